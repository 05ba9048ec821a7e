"""One EvaluateStream: many evaluations, each in whatever pieces it comes."""

import asyncio
import contextlib
import dataclasses
import itertools
import time
import traceback
from collections import Counter
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Coroutine,
    Iterable,
    Iterator,
    Mapping,
)
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

import grpc
import numpy as np
import numpy.typing as npt
from lossd_client import wire
from lossd_client.errors import DeadlineError, LossdError, ProtocolError, ResourceError
from lossd_client.pipes import MOST
from lossd_client.wire import (
    Announcement,
    Cancel,
    Chunk,
    Lease,
    Leased,
    Opened,
    OpenPipes,
    Register,
    Registered,
    Release,
    Request,
    Response,
    Shared,
    Unregister,
)

from lossd.answers import LATER, Later, response_of
from lossd.filling import Filling, Lanes
from lossd.kernels.memory import pool
from lossd.registered import Registry
from lossd.server.compute import Computer, guarded, needed
from lossd.server.limits import Budget
from lossd.server.pipes import Pipes
from lossd.server.shared import Segments
from lossd.server.status import status_of
from lossd.server.traffic import Traffic
from lossd.steps import Arriving, Steps

T = TypeVar("T")

REMEMBERED: Final = 4096
"""Ids of failed evaluations that are kept: chunks that were on their way are then let pass."""

_WAITING: Final = 4096
"""Chunks that wait to be seen: small ones take far more than their bytes."""

LEAST: Final = 1 << 14
"""Bytes that an evaluation counts at least: many that wait take memory, too."""

_SPARE: Final = 1 << 16
"""Bytes of a message beside its tensors that may be kept with them."""

_SOON: Final = 5e-4
"""Seconds after which it is seen whether more of what is in shared memory has been written; twice
as many each time that there is none, up to `_LATE`."""

_LATE: Final = 0.05

_GRACE: Final = 1.0
"""Seconds after which it is seen whether an evaluation's tensors come too slowly."""

_TURN: Final = 0.02
"""Seconds of the event loop's processor that a message has before others have their turn."""


@dataclass
class _Evaluation:
    """An evaluation that is under way, or a tensor that is to be kept.

    compute: what is to be done once all that it needs is there.
    reserved: bytes of the budget that it holds; `allowance` of them are for chunks that wait to be
        computed, `extra` is what these take beyond.
    out: arrays in shared memory that gradients go to.
    windows: bytes of each of those tensors that may wait to be computed, some whole rows: beyond
        them, the stream is not read.
    tensors: what is there, or being filled; `received`: bytes of those that come in chunks.
    arriving: those of them that are computed as they come; `waiting`: chunks not seen there yet,
        `unseen`: their bytes.
    computing: whether a thread may use its tensors: what it holds is counted as long.
    lanes: tensors that are written to shared memory while they are computed; `filling`: what is
        computed of them.
    begun, heard: when it began, and when its last chunk came; `timer`: looks whether another did,
        and whether more was written than was `seen`.
    """

    request: Request | Register
    compute: Callable[[int, "_Evaluation"], Coroutine[Any, Any, None]]
    reserved: int
    tensors: dict[str, Any]
    allowance: int
    windows: dict[str, int]
    extra: int = 0
    received: dict[str, int] = field(default_factory=dict)
    arriving: dict[str, Arriving] = field(default_factory=dict)
    waiting: list[tuple[str, npt.NDArray[Any]]] = field(default_factory=list)
    unseen: Counter[str] = field(default_factory=Counter)
    news: asyncio.Event = field(default_factory=asyncio.Event)
    out: dict[str, npt.NDArray[Any]] = field(default_factory=dict)
    task: asyncio.Task[None] | None = None
    computing: bool = False
    ended: bool = False
    lanes: Lanes | None = None
    filling: Filling | None = None
    begun: float = 0.0
    heard: float = 0.0
    seen: int = 0
    timer: asyncio.TimerHandle | None = None

    def progress(self) -> dict[str, int]:
        """Bytes that are there of each tensor that comes bit by bit."""
        if self.lanes is not None:
            return dict.fromkeys(self.lanes.memory, int(self.lanes.filled[0]))
        return self.received

    def missing(self) -> str | None:
        """The first tensor whose bytes are not all there."""
        sizes = self.request.tensors
        return next((n for n, got in self.progress().items() if got < sizes[n].nbytes), None)

    def dawdles(self, now: float, patience: float) -> bool:
        """Whether as much as it holds would take longer than that to come, as its tensors come.

        Never if it waits for the server.
        """
        age = now - self.begun
        if age < min(_GRACE, patience) or self.behind:
            return False
        if self.lanes is not None and (self.computing or _moves(self.lanes, self.seen)):
            return False
        return sum(self.progress().values()) * patience < self.reserved * age

    @property
    def may_start(self) -> bool:
        return self.task is None and all(
            got == self.request.tensors[name].nbytes
            for name, got in self.received.items()
            if name not in self.arriving
        )

    def held(self) -> dict[str, int]:
        """Bytes that wait to be computed, of each tensor that is computed as it comes."""
        return {name: tensor.held + self.unseen[name] for name, tensor in self.arriving.items()}

    @property
    def behind(self) -> bool:
        """Whether enough of every tensor waits that reading on can wait too.

        Not before it is begun: what it begins with may still have to be read.
        """
        return (
            self.task is not None
            and bool(self.arriving)
            and (
                len(self.waiting) > _WAITING
                or all(size > self.windows[name] for name, size in self.held().items())
            )
        )


class _GivenUp(Exception):  # noqa: N818  no error: nobody waits for the evaluation any more
    pass


def _unfinished(evaluation: _Evaluation, name: str) -> ProtocolError:
    return ProtocolError(
        f"the stream ended after {evaluation.progress()[name]} of {name!r}'s "
        f"{evaluation.request.tensors[name].nbytes} bytes",
        field=name,
    )


def _owned(data: npt.NDArray[Any], held: int, length: int) -> npt.NDArray[Any]:
    """What a message of `length` bytes holds, apart from it if that is mostly something else.

    The message lives as long as what looks into it, and only tensors' bytes are counted.
    """
    return data.copy() if length > 2 * held + _SPARE else data


def _telling(chunks: Iterator[Chunk], seconds: float) -> Iterator[Chunk]:
    """Chunks, of which the last tells how long was computed."""
    last = next(chunks, None)
    for chunk in chunks:
        assert last is not None
        yield last
        last = chunk
    if last is not None:
        yield dataclasses.replace(last, seconds=seconds)


def _in_rooms(response: Response, request: Request, rooms: Mapping[str, Any]) -> Response:
    """A response that names where gradients are that are not sent."""
    if not rooms:
        return response
    placed = {
        f"{wire.GRADIENT}{name}": Shared(room.dtype, room.shape, request.places[name])
        for name, room in rooms.items()
    }
    return response.with_tensors({**response.tensors, **placed})


def _moves(lanes: Lanes, seen: int) -> bool:
    """Whether it is not for the client to write: it has, or there is no room before more is read.

    Args:
        lanes: what it writes.
        seen: how much it had when it was looked at last.
    """
    filled = int(lanes.filled[0])
    return filled != seen or filled - int(lanes.taken[0]) >= lanes.capacity // 2


def _response_of(filling: Filling) -> Response:
    """The answer to an evaluation that is computed."""
    assert filling.result is not None
    response = response_of(filling.result)
    response.seconds = filling.seconds
    return response


class Stream:
    """Serves one stream until its client ends it, or until it is idle while the server drains."""

    def __init__(
        self,
        computer: Computer,
        budget: Budget,
        context: grpc.aio.ServicerContext[bytes, bytes],
        segments: Segments | None,
        registered: Registry,
        stall: float,
        traffic: Traffic,
    ) -> None:
        self._computer, self._budget, self._context = computer, budget, context
        self._segments, self._registered, self._stall = segments, registered, stall
        self._traffic = traffic
        self._evaluations: dict[int, _Evaluation] = {}
        self._failed: dict[int, None] = {}  # the latest last
        self._room = asyncio.Event()  # set when an evaluation got on
        self._writing = asyncio.Lock()  # gRPC takes one message at a time
        self._pipes: Pipes | None = None
        self._piped: int | None = None  # the evaluation that came through them
        self._diverted: int | None = None  # the last one, whose answer is written to the stream
        self._task: asyncio.Task[Any] | None = None
        self._tasks = asyncio.TaskGroup()
        self._running = 0  # tasks of evaluations, also of those that have ended
        self._grown: dict[int, _Evaluation] = {}  # those that the last message had chunks of
        self._asking: _Evaluation | None = None  # the one whose chunks need more room now
        self._draining = self._idle = self._answering = self._ended = False
        self._several = False  # whether the message that is answered is several
        self._paused, self._resumed = False, 0.0  # reading, and when it last was not

    async def serve(self, messages: AsyncIterator[bytes]) -> None:
        """Read messages and write answers; memory is given back however the stream ends."""
        self._task, loop = asyncio.current_task(), asyncio.get_running_loop()
        self._budget.holders.add(self)
        try:
            async with self._tasks:
                try:
                    async for message in messages:
                        self._traffic.hear(self, loop.time())
                        await self._answer(message)
                        self._end_if_idle()
                        await self._wait_for_room()
                finally:
                    self._ended = True
                    self._close_pipes()
                for id, evaluation in list(self._evaluations.items()):
                    if (name := evaluation.missing()) is not None:
                        await self._write(self._failure(id, _unfinished(evaluation, name)), id)
        except asyncio.CancelledError:
            if not self._idle:
                raise
        except grpc.aio.BaseError:
            pass  # the client is gone
        finally:
            self._budget.holders.discard(self)
            for id in list(self._evaluations):
                self._end(id)
            self._registered.remove_all(self)
            if self._segments is not None:
                self._segments.close()

    async def _wait_for_room(self) -> None:
        """Read no further while enough waits to be computed, of what more came of just now."""
        grown, self._grown = self._grown.values(), {}
        while any(evaluation.behind for evaluation in grown):
            self._paused = True
            self._room.clear()
            await self._room.wait()
        if self._paused:
            self._paused, self._resumed = False, asyncio.get_running_loop().time()

    def drain(self) -> None:
        """End as soon as no evaluation is under way."""
        self._draining = True
        self._end_if_idle()

    def _end_if_idle(self) -> None:
        busy = self._evaluations or self._running or self._answering
        if self._draining and not busy and self._task:
            self._idle = True
            self._task.cancel()

    async def _answer(self, message: bytes) -> None:
        """Take a message, and write what can be answered at once."""
        self._answering = True
        try:
            for answer in self._answers(message):
                await (self._write(answer) if answer else asyncio.sleep(0))
        finally:
            self._answering = False

    def _answers(self, message: bytes) -> Iterator[bytes]:
        """Take a message; what can be answered at once, together if that is how it was asked.

        Nothing in between where it is others' turn.
        """
        try:
            parts = wire.read_together(message)
        except LossdError as error:
            yield wire.write_stream(0, status_of(error))
            return
        ready, size, began = list[bytes](), 0, time.thread_time()
        for part in parts:
            self._several = len(parts) > 1
            answer = self._receive(part)
            self._several = False
            if answer is not None:
                if ready and size + len(answer) > wire.TOGETHER:
                    yield wire.write_together(ready)
                    ready, size = [], 0
                ready.append(answer)
                size += len(answer)
            if time.thread_time() - began > _TURN:
                yield wire.write_together(ready) if ready else b""
                ready, size, began = [], 0, time.thread_time()
        if ready:
            yield wire.write_together(ready)

    def _receive(self, message: bytes) -> bytes | None:
        """Take a message; an answer that can be given at once."""
        try:
            id, item = wire.read_stream_request(message)
        except LossdError as error:
            return wire.write_stream(0, status_of(error))
        return self._handle(id, item, len(message))

    def _handle(self, id: int, item: wire.Asked, length: int) -> bytes | None:
        try:
            match item:
                case Request():
                    return guarded(item.loss, lambda: self._begin(id, item, length))
                case Register():
                    return guarded("register", lambda: self._register(id, item))
                case Unregister():
                    self._registered.remove(item.token, self)
                case Chunk():
                    self._add(id, item, length)
                case Cancel():
                    self._end(id)
                case Lease():
                    return wire.write_stream(id, self._lease(item))
                case Release():
                    self._shared().release(item.segment)
                case OpenPipes():
                    return wire.write_stream(id, self._open_pipes())
                case LossdError():
                    raise item
        except LossdError as error:
            return self._failure(id, error)
        return None

    def _is_alone(self) -> bool:
        """Whether no other client was heard of late."""
        return self._traffic.alone(self, asyncio.get_running_loop().time())

    def _shared(self) -> Segments:
        if self._segments is None:
            raise ResourceError("this server shares no memory with its clients here")
        return self._segments

    def _lease(self, lease: Lease) -> Leased:
        return self._shared().lease(lease.size)

    def _open_pipes(self) -> Opened:
        self._shared()
        self._close_pipes()
        self._pipes = Pipes(self._take_piped)
        return self._pipes.opened()

    def _close_pipes(self) -> None:
        if self._pipes is not None:
            self._pipes.close()
        self._pipes = self._piped = self._diverted = None

    def _take_piped(self, message: bytes) -> None:
        """Take a message that came through the pipes; they wait for its answer."""
        self._traffic.hear(self, asyncio.get_running_loop().time())
        try:
            id, item = wire.read_stream_request(message)
            if not isinstance(item, Request | LossdError):
                item = ProtocolError("only evaluations go through pipes")
        except LossdError as error:
            id, item = 0, error
        self._piped = id
        answer = self._handle(id, item, len(message))
        if answer is not None and self._by_pipes(id, answer):
            self._answer_piped(answer)
        elif answer is not None:
            self._tasks.create_task(self._write_diverted(id, answer))
        self._end_if_idle()

    def _by_pipes(self, id: int | None, answer: bytes | None) -> bool:
        """Whether an answer goes through the pipes, as what it answers came; else they are told so.

        Args:
            id: the evaluation that is answered.
            answer: all of it; None of several messages.
        """
        if self._pipes is None or self._pipes.closed or self._piped is None or id != self._piped:
            return False
        if answer is not None and len(answer) <= MOST:
            return True
        self._answer_piped(b"")
        self._pipes.pause()  # or answers would pile up of a client that takes none
        self._diverted = id
        return False

    def _go_on(self, id: int) -> None:
        """Read from the pipes again, if they waited for an evaluation's answer to be written."""
        if id == self._diverted:
            self._diverted = None
            if self._pipes is not None:
                self._pipes.resume()

    async def _write_diverted(self, id: int, answer: bytes) -> None:
        self._running += 1
        try:
            with contextlib.suppress(grpc.aio.BaseError):  # the client is gone
                await self._write(answer)
        finally:
            self._running -= 1
            self._go_on(id)
            self._end_if_idle()

    def _answer_piped(self, answer: bytes) -> None:
        assert self._pipes is not None
        self._piped = None
        self._pipes.answer(answer)

    def _begin(self, id: int, request: Request, length: int) -> bytes | None:
        if id in self._evaluations:
            raise ProtocolError(f"evaluation {id} is under way already")
        sent = request.tensors
        if request.handles:
            request = self._registered.resolved(request, self, self._budget.require)
        tensors: dict[str, Any] = dict(request.tensors)
        lanes = None if request.ring is None else self._shared().lanes(request)
        shared = {
            name: t
            for name, t in tensors.items()
            if isinstance(t, Shared) and (lanes is None or name not in lanes.memory)
        }
        if shared:
            self._budget.require(sum(t.nbytes for t in shared.values()))  # some are copied
            tensors |= {name: self._shared().tensor(name, t) for name, t in shared.items()}
        request.tensors = tensors
        announced = {n: t for n, t in tensors.items() if isinstance(t, Announcement)}
        out = self._rooms(request)
        if announced and lanes is not None:
            raise ProtocolError("tensors in chunks beside a ring: send them first, or in memory")
        alone = not self._evaluations and self._is_alone()
        filling = None
        if lanes is not None:
            alone &= not self._several  # the loop would wait for each of them
            filling = self._computer.fill_now(
                request, lanes, out, alone=alone, require=self._budget.require
            )
            if filling is not None and filling.result is not None:
                return wire.write_stream(id, _in_rooms(_response_of(filling), request, out))
        elif not announced:
            response = self._computer.evaluate_now(
                request, out, alone=alone, require=self._budget.require
            )
            if response is not None:
                return wire.write_stream(id, _in_rooms(response, request, out))
        needs = needed(request)
        windows = {name: max(wire.WINDOW, 2 * row) for name, row in needs.in_pieces.items()}
        allowance = sum(min(announced[n].nbytes, w + wire.CHUNK) for n, w in windows.items())
        reserved = max(needs.size + allowance, LEAST)
        self._budget.take(reserved)
        inline = {name: t for name, t in sent.items() if isinstance(t, np.ndarray)}
        held = sum(tensor.nbytes for tensor in inline.values())
        tensors |= {name: _owned(tensor, held, length) for name, tensor in inline.items()}
        request.tensors = tensors
        compute = self._advance if needs.in_pieces else self._evaluate
        compute = compute if lanes is None else self._fill
        evaluation = _Evaluation(request, compute, reserved, dict(tensors), allowance, windows)
        self._evaluations[id] = evaluation
        evaluation.out, evaluation.lanes, evaluation.filling = out, lanes, filling
        evaluation.received = dict.fromkeys(announced, 0)
        for name, tensor in announced.items():
            if name in needs.in_pieces:
                evaluation.arriving[name] = Arriving(tensor.dtype, tensor.nbytes)
            else:
                evaluation.tensors[name] = pool.empty(tensor.shape, tensor.dtype)
        self._expect(id, evaluation)
        self._start(id, evaluation)
        return None

    def _register(self, id: int, request: Register) -> bytes | None:
        if id in self._evaluations:
            raise ProtocolError(f"evaluation {id} is under way already")
        ((name, tensor),) = request.tensors.items()
        if isinstance(tensor, Shared):
            tensor = self._shared().room(name, tensor.place, tensor.dtype, tensor.shape)
        self._registered.require_room(tensor.nbytes)
        if isinstance(tensor, np.ndarray):
            if tensor.nbytes < LATER:
                return wire.write_stream(id, self._keep(request, tensor.copy()))
            room, compute, expected = tensor, self._copy_and_register, dict[str, int]()
        else:
            room, compute = pool.empty(tensor.shape, tensor.dtype), self._finish_registering
            expected = {name: 0}
        reserved = max(tensor.nbytes, LEAST)
        self._budget.take(reserved)
        evaluation = _Evaluation(request, compute, reserved, {name: room}, 0, {})
        self._evaluations[id] = evaluation
        evaluation.received = expected
        self._expect(id, evaluation)
        self._start(id, evaluation)
        return None

    def _expect(self, id: int, evaluation: _Evaluation) -> None:
        """Give an evaluation up if nothing more of its tensors comes for long."""
        name = evaluation.missing()
        lanes = evaluation.lanes
        if evaluation.ended or (name is None and lanes is None) or self._ended:
            return
        loop = asyncio.get_running_loop()
        now = loop.time()
        if lanes is not None and (
            name is None or evaluation.computing or _moves(lanes, evaluation.seen)
        ):
            evaluation.seen, evaluation.heard = int(lanes.filled[0]), now
        evaluation.begun, evaluation.heard = evaluation.begun or now, evaluation.heard or now
        since = now if self._paused else max(evaluation.heard, self._resumed)
        left = since + self._stall - now
        if left > 0:
            evaluation.timer = loop.call_later(left, self._expect, id, evaluation)
            return
        error = DeadlineError(
            f"nothing of {name!r} has come for {self._stall:g} s (--stall-seconds)",
            field=name or "",
        )
        self._tell(id, self._failure(id, error))

    def let_go(self) -> None:
        """Give up evaluations whose tensors come too slowly: others need their room."""
        if self._ended or self._paused:
            return
        loop = asyncio.get_running_loop()
        now = loop.time()
        for id, evaluation in list(self._evaluations.items()):
            name = evaluation.missing()
            if (
                name is None
                or evaluation is self._asking
                or not evaluation.dawdles(now, self._stall)
            ):
                continue
            error = DeadlineError(
                f"{name!r} comes too slowly: {evaluation.progress()[name]:,} of "
                f"{evaluation.request.tensors[name].nbytes:,} bytes in "
                f"{now - evaluation.begun:.1f} s, and others need its room (--stall-seconds)",
                field=name,
            )
            loop.call_soon(self._tell, id, self._failure(id, error))

    def _tell(self, id: int, message: bytes) -> None:
        """Write a message if anybody reads it."""
        if not self._ended:
            self._tasks.create_task(self._write(message, id))

    def _keep(self, request: Register, tensor: npt.NDArray[Any]) -> Registered:
        owner = self if request.stream_only else None
        return Registered(*self._registered.add(tensor, request.seconds, owner))

    async def _finish_registering(self, id: int, evaluation: _Evaluation) -> None:
        assert isinstance(evaluation.request, Register)
        (tensor,) = evaluation.tensors.values()
        evaluation.tensors = {}
        answer = self._keep(evaluation.request, tensor)
        await self._write_for(evaluation, id, [answer], last=True)

    async def _copy_and_register(self, id: int, evaluation: _Evaluation) -> None:
        ((name, tensor),) = evaluation.tensors.items()
        evaluation.tensors = {name: await self._computed(evaluation, self._computer.copy(tensor))}
        if not evaluation.ended:
            await self._finish_registering(id, evaluation)

    def _rooms(self, request: Request) -> dict[str, npt.NDArray[Any]]:
        """The arrays that gradients go to."""
        rooms = {}
        for name, place in request.places.items():
            tensor = request.tensors.get(name)
            if name not in request.gradients or not isinstance(tensor, np.ndarray | Later | Shared):
                raise ProtocolError(f"a place for the gradient of {name!r}, which is not wanted")
            rooms[name] = self._shared().room(name, place, tensor.dtype, tensor.shape)
        return rooms

    def _add(self, id: int, chunk: Chunk, length: int) -> None:
        evaluation = self._evaluations.get(id)
        if evaluation is None:
            if id in self._failed:
                return
            raise ProtocolError(
                f"a chunk of {chunk.name!r} for evaluation {id}, which has not begun"
            )
        name, start, end = chunk.name, chunk.offset, chunk.offset + len(chunk.data)
        announced = evaluation.request.tensors.get(name)
        expected = evaluation.received.get(name)
        if announced is None or expected is None or expected == announced.nbytes:
            raise ProtocolError(f"a chunk of {name!r}, which awaits none", field=name)
        if start != expected:
            raise ProtocolError(
                f"a chunk of {name!r} begins at byte {start} and should at {expected}", field=name
            )
        if end > announced.nbytes:
            raise ProtocolError(
                f"chunks of {name!r} hold {end} bytes; {announced.shape} of {announced.dtype} "
                f"has {announced.nbytes}",
                field=name,
            )
        data = np.frombuffer(chunk.data, np.uint8)
        if name in evaluation.arriving:
            self._grown[id] = evaluation
            data = _owned(data, data.size, length)
            if evaluation.task is None:
                evaluation.arriving[name].add(data)
            else:
                evaluation.waiting.append((name, data))
                evaluation.unseen[name] += data.size
                evaluation.news.set()
            self._reserve_extra(evaluation)
        else:
            evaluation.tensors[name].reshape(-1).view(np.uint8)[start:end] = data
        evaluation.received[name] = end
        if chunk.data:
            evaluation.heard = asyncio.get_running_loop().time()
        self._start(id, evaluation)

    def _reserve_extra(self, evaluation: _Evaluation) -> None:
        """Reserve what chunks that wait take beyond their allowance: those of one tensor alone.

        Raises:
            ResourceError: it would go over the limit.
        """
        extra = max(0, sum(evaluation.held().values()) - evaluation.allowance)
        more, evaluation.extra = extra - evaluation.extra, extra
        if more > 0:
            self._asking = evaluation
            try:
                self._budget.take(more)
            except ResourceError as error:
                evaluation.extra -= more
                raise ResourceError(
                    f"{error}; chunks wait for those of another tensor: send tensors of one type "
                    "and shape in turn"
                ) from error
            finally:
                self._asking = None
        else:
            self._budget.give_back(-more)
        evaluation.reserved += more

    def _start(self, id: int, evaluation: _Evaluation) -> None:
        """Begin to compute, once all that is needed for it is there."""
        if evaluation.may_start:
            evaluation.task = self._tasks.create_task(self._guarded(id, evaluation))

    async def _guarded(self, id: int, evaluation: _Evaluation) -> None:
        self._running += 1
        try:
            await evaluation.compute(id, evaluation)
        except LossdError as error:
            if not evaluation.ended:  # else another may have its id
                await self._write(self._failure(id, error), id)
        except (_GivenUp, grpc.aio.BaseError):  # the latter: the client is gone
            if not evaluation.ended:
                self._end(id)
        except asyncio.CancelledError as error:
            traceback.clear_frames(error.__traceback__)  # tensors, until the collector comes
            raise
        finally:
            self._running -= 1
            self._go_on(id)
            self._end_if_idle()

    async def _computed(self, evaluation: _Evaluation, result: Awaitable[T]) -> T:
        """Wait for what is computed of an evaluation."""
        evaluation.computing = True
        try:
            return await result
        finally:
            evaluation.computing = False
            if evaluation.ended:
                self._give_back(evaluation)

    async def _evaluate(self, id: int, evaluation: _Evaluation) -> None:
        """Compute an evaluation whose tensors are all there."""
        assert isinstance(evaluation.request, Request)
        request = evaluation.request.with_tensors(evaluation.tensors)
        alone = len(self._evaluations) == 1 and self._is_alone()
        result = self._computer.evaluate(request, evaluation.out, alone=alone)
        response = await self._computed(evaluation, result)
        await self._write_whole(evaluation, id, request, response)

    async def _write_whole(
        self, evaluation: _Evaluation, id: int, request: Request, response: Response
    ) -> None:
        """Write the answer to an evaluation that is computed."""
        response = _in_rooms(response, request, evaluation.out)
        evaluation.tensors = request.tensors = {}
        first, chunks = wire.split(response.tensors)
        head: list[Response | Chunk] = [response.with_tensors(first)]
        await self._write_for(evaluation, id, itertools.chain(head, chunks), last=True)

    async def _fill(self, id: int, evaluation: _Evaluation) -> None:
        """Compute an evaluation while its tensors are written to shared memory."""
        assert isinstance(evaluation.request, Request)
        lanes = evaluation.lanes
        if lanes is None:  # it has ended before it began
            raise _GivenUp
        request = evaluation.request.with_tensors(evaluation.tensors)
        filling = evaluation.filling
        if filling is None:
            alone = len(self._evaluations) == 1 and self._is_alone()
            begun = self._computer.begin_filling(request, lanes, evaluation.out, alone=alone)
            filling = await self._computed(evaluation, begun)
        pause, moves = 0.0, True
        while filling.result is None:
            await asyncio.sleep(pause)
            if evaluation.ended:
                raise _GivenUp
            alone = len(self._evaluations) == 1 and self._is_alone()
            fill = self._computer.fill(request, filling, alone=alone, moves=moves)
            moves = await self._computed(evaluation, fill)
            pause = 0.0 if moves else min(max(2 * pause, _SOON), _LATE)
        await self._write_whole(evaluation, id, request, _response_of(filling))

    async def _advance(self, id: int, evaluation: _Evaluation) -> None:
        """Compute an evaluation while its tensors come, and write what is ready."""
        assert isinstance(evaluation.request, Request)
        request = evaluation.request.with_tensors(evaluation.tensors)
        begin = self._computer.begin(request, evaluation.arriving)
        steps = await self._computed(evaluation, begin)
        announced = {name: Announcement(*kind) for name, kind in steps.announced().items()}
        begun = False
        while not steps.finished:
            await self._await_news(evaluation, steps)
            pieces = await self._computed(evaluation, self._computer.step(request, steps))
            if not evaluation.ended:
                self._reserve_extra(evaluation)
                self._room.set()
            if not pieces:
                continue
            if begun:
                items: Iterable[Response | Chunk] = ()
            elif steps.finished and len(pieces) == len(announced):  # it is all there
                whole = {p.name: p.data.reshape(announced[p.name].shape) for p in pieces}
                first, items = wire.split(whole)
                items, pieces = [Response(first, steps.warning, steps.seconds), *items], []
            else:
                items = [Response(announced, steps.warning)]
            begun = True
            chunks = itertools.chain(*[wire.chunks_of(p.name, p.data, p.offset) for p in pieces])
            if steps.finished:
                chunks = _telling(chunks, steps.seconds)
            items = itertools.chain(items, chunks)
            await self._write_for(evaluation, id, items, last=steps.finished)

    async def _await_news(self, evaluation: _Evaluation, steps: Steps) -> None:
        """Wait until there is something to compute."""
        while True:
            for name, data in evaluation.waiting:
                evaluation.arriving[name].add(data)
            evaluation.waiting.clear()
            evaluation.unseen.clear()
            self._room.set()
            if evaluation.ended:
                raise _GivenUp
            if steps.ready:
                return
            evaluation.news.clear()
            await evaluation.news.wait()

    async def _write_for(
        self,
        evaluation: _Evaluation,
        id: int,
        items: Iterable[Response | Chunk | Registered],
        *,
        last: bool,
    ) -> None:
        """Write messages of an evaluation, as long as somebody waits for it.

        It has ended before the last is written: who has that may use its id, and its memory.
        """
        rest = iter(items)
        item = next(rest, None)
        while item is not None:
            following = next(rest, None)
            message = wire.write_stream(id, item)
            ends = last and following is None
            if not evaluation.ended and self._by_pipes(id, message if ends else None):
                self._end(id)
                self._answer_piped(message)
                return
            async with self._writing:
                if evaluation.ended:
                    raise _GivenUp
                if ends:
                    self._end(id)
                await self._context.write(message)
            item = following

    async def _write(self, message: bytes, id: int | None = None) -> None:
        """Write a message, when the client has room for it, and those before have left.

        Args:
            message: what is written.
            id: the evaluation that it is the whole answer to, if it is of one.
        """
        if self._by_pipes(id, message):
            self._answer_piped(message)
            return
        async with self._writing:
            await self._context.write(message)

    def _failure(self, id: int, error: LossdError) -> bytes:
        """End an evaluation; the message that tells why."""
        self._end(id)
        self._failed.pop(id, None)
        self._failed[id] = None
        if len(self._failed) > REMEMBERED:
            del self._failed[next(iter(self._failed))]
        return wire.write_stream(id, status_of(error))

    def _give_back(self, evaluation: _Evaluation) -> None:
        self._budget.give_back(evaluation.reserved)
        evaluation.reserved = 0

    def _end(self, id: int) -> None:
        """Forget an evaluation, whatever it is at, and give its memory back."""
        evaluation = self._evaluations.pop(id, None)
        if evaluation is None:
            return
        evaluation.ended = True
        if evaluation.timer is not None:
            evaluation.timer.cancel()
        if evaluation.computing:
            assert evaluation.task is not None
            evaluation.task.cancel()  # it gives back once no thread uses anything of it
        else:
            self._give_back(evaluation)
        # what an exception's frames keep of it until the collector comes must not be memory
        evaluation.tensors, evaluation.out = {}, {}
        evaluation.request = evaluation.request.with_tensors({})
        evaluation.waiting, evaluation.arriving = [], {}
        evaluation.lanes = evaluation.filling = None
        evaluation.news.set()
        self._room.set()
