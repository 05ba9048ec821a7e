"""One open EvaluateStream: any number of evaluations under way, for the threads of a process."""

import asyncio
import contextlib
import itertools
import math
import queue
import re
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Iterator
from typing import Any, Final

import numpy as np

from lossd_client import wire
from lossd_client.errors import (
    CancelledError,
    LossdError,
    ProtocolError,
    ResourceError,
    UnavailableError,
)
from lossd_client.interrupts import uninterrupted
from lossd_client.pace import Pace, Sent
from lossd_client.pending import Pending, messages_of, rounded
from lossd_client.pieces import Sink
from lossd_client.pipes import MOST, LostError, Pipes
from lossd_client.shared import AGAIN, FROM, Placed, SharedPool, Staging
from lossd_client.wire import (
    Array,
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
)  # fmt: skip

METHOD: Final = "/lossd.v1.LossService/EvaluateStream"

_SCHEME: Final = re.compile(r"(dns:///|ipv[46]:)?")

_PARTING: Final = 2.0
"""Seconds that a server has to hear the last of a client."""


_WORTH_ASKING: Final = 2 << 20
"""Bytes of tensors from which it takes less to ask for memory, and wait, than to send them."""

_INLINE: Final = MOST - (4 << 10)
"""Bytes of tensors up to which they go with a message through pipes: no memory is as fast."""

IN_PROCESS: Final = "compute in this process with connect('inproc:')"
"""What to do without a server, in Python; command lines have other words for it."""


def unavailable(target: str, details: str) -> UnavailableError:
    """The error for a server that is not there, with what to do about it."""
    address = target if target.startswith("unix:") else target.removeprefix("dns:///")
    return UnavailableError(
        f"no lossd server answers at {target} ({details}); start one with "
        f"`lossd serve --listen {address}`, or {IN_PROCESS}"
    )


class Waiting(Pending):
    """A pending evaluation that somebody waits for: `done` is called when it has its answer."""

    def __init__(
        self,
        id: int,
        messages: Iterator[bytes],
        done: Callable[[], object],
        sink: Sink | None = None,
        placed: Placed | None = None,
        rounded: Collection[str] = (),
    ) -> None:
        super().__init__(messages, sink, placed, rounded)
        self.id, self._done = id, done
        self.sent: Sent | None = None  # how it is, where its time tells something
        self.begun = time.perf_counter()
        self.answer: Response | Registered | Exception | None = None

    def finish(self, answer: Response | Registered | Exception) -> None:
        """Give the answer, the first time."""
        if self.answer is None:
            self.answer = answer
            self.placed = None
            self._done()

    def result(self) -> Any:
        """The answer, raised if it is an error: a response, or what is registered."""
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def settled(self) -> None:
        """Raise the answer unless it is a refusal, as what asks for nothing gets."""
        if not isinstance(self.answer, ResourceError):
            self.result()


class Stream:
    """One open EvaluateStream, shared by the threads of a process.

    Attributes:
        error: why it ended; None while it has not.
        broken: whether reading was interrupted, after which its channel is of no more use.
    """

    def __init__(self, channel: Any, target: str, wire_dtype: np.dtype[Any] | None) -> None:
        # the same bits from every call: whether memory is at hand must not decide what is rounded
        self._target = target
        self._wire_dtype = None if target.startswith("unix:") else wire_dtype
        self._leases: dict[int, int] = {}  # sizes that were asked for
        self._shared = SharedPool(self._lease, self._release)
        self._shared.off = self._wire_dtype is not None or not _on_this_host(target)
        self._staging, self._ring = Staging(self._shared), Staging(self._shared)
        self._pipes: Pipes | None = None
        self._asked = 0  # under which id pipes were asked for
        self._ask_from = 0.0  # when they are asked for at the earliest
        self._refused = False  # what was asked for last, of pipes and memory
        self._pace = Pace(near=_on_this_host(target))
        self._queue: queue.SimpleQueue[Waiting | None] = queue.SimpleQueue()
        self._pending: dict[int, Waiting] = {}
        self._lock = threading.Lock()
        self._ids = itertools.count(1)
        self.error: LossdError | None = None
        self.broken = False
        self._call = channel.stream_stream(METHOD)(self._messages())
        self._reading = threading.Lock()
        self._reads = 0  # the thread that does
        self._overtaken = False  # whether pipes would be faster than what was said last
        self._unheard = False  # whether something was said that has no answer
        self._reader: threading.Thread | None = None

    def submit(
        self, request: Request | Register, done: Callable[[], object], sink: Sink | None
    ) -> tuple[int, Waiting]:
        """Send a request; its id, and what holds the answer once `done` was called."""
        id = next(self._ids)
        asked, placed, sent, names = request, None, None, list[str]()
        if isinstance(request, Request):
            placed = self._shared.place(request, self._ring, ask=True) if sink is None else None
            if placed is None:
                sent = self._pace.choose(request, alone=not self._pending)
        size = wire.CHUNK if sent is None else sent.size
        if placed is not None:
            asked = placed.request
        elif isinstance(request, Request) and self._wire_dtype is not None:
            asked, names = rounded(request, self._wire_dtype, size)
        waiting = Waiting(id, messages_of(id, asked, size), done, sink, placed, names)
        error = self._enter(waiting, sent)
        if error is None:
            self._queue.put(waiting)
            self._overtaken = False  # the answer to this comes after it
        else:
            waiting.finish(error)
        return id, waiting

    def _enter(self, waiting: Waiting, sent: Sent | None = None) -> LossdError | None:
        """Expect its answer; why there will be none, if the stream ended."""
        with self._lock:
            if self.error is None:
                others = list(self._pending.values()) if len(self._pending) < 2 else []
                for other in others:  # the time of two that are under way tells of neither
                    other.sent = None
                waiting.sent = None if self._pending else sent
                self._pending[waiting.id] = waiting
            return self.error

    def ask_for(self, request: Request, left: Callable[[], float | None]) -> None:
        """Ask for what a request needs to go through pipes and is not there, and wait for it.

        Not where the last was refused: `submit` asks for it then, and does not wait.

        Args:
            request: what is asked.
            left: tells how many seconds there are for it, None for any number.

        Raises:
            LossdError: the stream ended.
            TimeoutError: there was no answer in time.
        """
        if not self._refused:
            self._shared.ask_for(request, self._ring)
            self.settle(left)

    async def ask_for_async(self, request: Request, left: Callable[[], float | None]) -> None:
        """The same, awaited."""
        if self._refused:
            return
        self._shared.ask_for(request, self._ring)
        if not self._asks:
            return
        done, finish = awaited()
        last = self._asked_last(finish)
        self.start_reader()
        try:
            await asyncio.wait_for(done.wait(), left())
        finally:
            self._pending.pop(last.id, None)
        last.settled()

    def settle(self, left: Callable[[], float | None]) -> None:
        """Wait for the answers to what memory and pipes were asked for.

        Raises:
            LossdError: the stream ended.
            TimeoutError: they did not come in time.
        """
        if not self._asks:
            return
        done = threading.Lock()
        done.acquire()
        last = self._asked_last(done.release)
        try:
            if not self.wait(last, done, left()):
                raise TimeoutError
        finally:
            self._pending.pop(last.id, None)
        last.settled()

    @property
    def _asks(self) -> bool:
        """Whether there was something asked for that has no answer yet."""
        return bool(self._leases or self._asked)

    def _asked_last(self, done: Callable[[], object]) -> Waiting:
        """A lease of nothing, which is refused after there were answers to what was asked for."""
        id = next(self._ids)
        last = Waiting(id, iter([wire.write_stream(id, Lease(0))]), done)
        error = self._enter(last)
        if error is None:
            self._queue.put(last)
        else:
            last.finish(error)
        return last

    def exchange(
        self, request: Request, left: Callable[[], float | None], *, settled: bool = False
    ) -> Response | None:
        """Send a request through pipes and wait for its answer.

        Args:
            request: what is asked.
            left: tells how many seconds there are for it, None for any number.
            settled: whether it makes do with the memory that is there, if that is enough.

        Returns:
            None where that cannot be done: it has to be submitted.

        Raises:
            LossdError: that is the answer.
            TimeoutError: it did not come in time.
        """
        pipes = self._free_pipes()
        if pipes is None:
            return None
        try:
            done = threading.Lock()
            done.acquire()
            prepared = self._prepared(request, done.release, settled)
            if prepared is None:
                return None
            message, waiting = prepared
            with self._given_up(pipes, waiting):
                there, filled = self._call.is_active, waiting.filled()
                answer = pipes.exchange(message, left, there, filled)
                if answer:
                    self._take(*wire.read_stream_response(answer))
                elif not self.wait(waiting, done, left()):
                    raise TimeoutError
            found: Response | None = waiting.result()
            return found
        finally:
            pipes.give_back()

    async def exchange_async(
        self, request: Request, left: Callable[[], float | None], *, settled: bool = False
    ) -> Response | None:
        """The same, awaited."""
        pipes = self._free_pipes()
        if pipes is None:
            return None
        try:
            done, finish = awaited()
            prepared = self._prepared(request, finish, settled)
            if prepared is None:
                return None
            message, waiting = prepared
            with self._given_up(pipes, waiting):
                there, filled = self._call.is_active, waiting.filled()
                answer = await pipes.exchange_async(message, left, there, filled)
                if answer:
                    self._take(*wire.read_stream_response(answer))
                else:
                    self.start_reader()
                    await asyncio.wait_for(done.wait(), left())
            found: Response | None = waiting.result()
            return found
        finally:
            pipes.give_back()

    def _free_pipes(self) -> Pipes | None:
        """Pipes that the caller has to give back; None if there are none that are free."""
        pipes = self._pipes
        if pipes is None and not self._shared.off:
            self._ask_for_pipes()
        if pipes is None or self._overtaken or self._reads == threading.get_ident():
            return None
        if not pipes.take():
            return None
        return pipes

    def _ask_for_pipes(self) -> None:
        """Ask for pipes, unless they are asked for; the answer comes whenever it does."""
        with self._lock:
            if self._pipes is not None or self._asked or time.monotonic() < self._ask_from:
                return
            id = self._asked = next(self._ids)
        self._say(OpenPipes(), id)

    def _opened(self, item: wire.Answered) -> None:
        """Take the answer in."""
        pipes = None
        wait = AGAIN  # there may be some later
        if isinstance(item, Opened):
            try:
                pipes = Pipes(item)
            except (OSError, ValueError):  # the server is on another host
                wait = math.inf
        with self._lock:
            self._pipes, self._asked = pipes, 0
            self._ask_from = time.monotonic() + wait
        self._refused = pipes is None

    def _prepared(
        self, request: Request, done: Callable[[], object], settled: bool
    ) -> tuple[bytes, Waiting] | None:
        """A request's message for pipes, and what holds its answer; None if it does not fit."""
        tensors = request.tensors.values()
        if any(isinstance(t, wire.Announcement) for t in tensors):
            return None  # its chunks follow
        placed = self._shared.place(request, self._ring, ask=False, settled=settled)
        asked = request if placed is None else placed.request
        if placed is None and any(t.nbytes >= FROM for t in tensors):
            return None
        if max(_travelling(asked)) > _INLINE:
            placed = self._staging.place(placed or Placed(request, [], {}))
            if placed is None:
                return None
            asked = placed.request
        id = next(self._ids)
        message = wire.write_stream(id, asked)
        if len(message) > MOST:
            return None
        waiting = Waiting(id, iter(()), done, None, placed)
        return None if self._enter(waiting) is not None else (message, waiting)

    @contextlib.contextmanager
    def _given_up(self, pipes: Pipes, waiting: Waiting) -> Iterator[None]:
        """Let go of pipes, and of what went into them, if anything is raised.

        Where they are lost nothing is raised, and there is no answer: it has to be submitted.
        """
        try:
            yield
        except BaseException as error:
            pipes.close()
            self.cancel(waiting.id)  # before other pipes are there, which use the same memory
            with self._lock:
                if self._pipes is pipes:
                    self._pipes, self._ask_from = None, 0.0
            if not isinstance(error, LostError):
                raise
            waiting.answer = None

    def empty(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array | None:
        """An array in shared memory, if there is room at once; else more is asked for."""
        return self._shared.array(shape, dtype)

    def wait(self, waiting: Waiting, done: threading.Lock, timeout: float | None) -> bool:
        """Wait for an answer; whether it came in time.

        A thread that waits alone and without a deadline reads the stream itself, which saves a
        hop between threads. Otherwise a thread of its own reads, from then on.

        Raises:
            RuntimeError: this thread reads already, and was called back.
        """
        if self._reads == threading.get_ident():
            message = "a sink holds up its client's answers: call another client in it"
            raise RuntimeError(message)
        if timeout is None and self._reader is None and self._reading.acquire(blocking=False):
            try:
                with uninterrupted(self._call.cancel):
                    self._reads = threading.get_ident()
                    while waiting.answer is None and self._read_one():
                        pass
            except BaseException:
                self.broken = True
                self._fail(unavailable(self._target, "reading was interrupted"))
                raise
            finally:
                self._reads = 0
                self._reading.release()
            return True
        self.start_reader()
        return done.acquire(timeout=-1 if timeout is None else max(timeout, 0))

    def start_reader(self) -> None:
        """Have a thread of its own read the stream."""
        with self._lock:
            if self._reader is not None:
                return
            self._reader = threading.Thread(
                target=self._read, name="lossd-client-reader", daemon=True
            )
        self._reader.start()

    def unregister(self, token: str) -> None:
        """Have a tensor kept no longer."""
        self._unheard = self._overtaken = True
        self._say(Unregister(token))

    def cancel(self, id: int) -> None:
        """Give an evaluation up."""
        waiting = self._pending.pop(id, None)
        if waiting is not None:
            placed = waiting.placed
            if placed is not None:
                placed.spoil()
            waiting.finish(CancelledError("the evaluation was given up"))  # stops its chunks
            self._say(wire.Cancel(), id)

    def _say(self, message: wire.StreamMessage, id: int | None = None) -> int:
        """Send a message that nobody waits for an answer to; its id."""
        id = next(self._ids) if id is None else id
        self._queue.put(Waiting(id, iter([wire.write_stream(id, message)]), int))
        return id

    def _lease(self, size: int) -> None:
        """Ask for shared memory; the answer comes whenever it does."""
        id = next(self._ids)
        self._leases[id] = size
        self._say(Lease(size), id)

    def _release(self, segment: int) -> None:
        self._say(Release(segment))

    def close(self) -> None:
        """End the stream; what is under way fails."""
        self._fail(CancelledError("the client was closed"))
        if self._unheard:  # cancelled now, it might never be sent
            self.start_reader()
            assert self._reader is not None
            self._reader.join(_PARTING)
        self._call.cancel()

    def _messages(self) -> Iterator[bytes]:
        """What gRPC sends, a message of each evaluation in turn; small ones together."""
        active: deque[Waiting] = deque()
        small, size = list[bytes](), 0
        ended = False
        while not ended or active or small:
            while not ended and (not (active or small) or not self._queue.empty()):
                item = self._queue.get()
                if item is None:
                    ended = True
                else:
                    active.append(item)
                del item
            message = self._turn(active) if active else None
            large = message is not None and len(message) > wire.TOGETHER
            if small and (large or not active or size > wire.TOGETHER):
                yield wire.write_together(small)
                small, size = [], 0
            if message is not None and large:
                yield message
            elif message is not None:
                small.append(message)
                size += len(message)
            del message  # nothing is kept until the next call

    def _turn(self, active: deque[Waiting]) -> bytes | None:
        """The next message of the first evaluation, which then is the last."""
        waiting = active.popleft()
        # failed or given up: the rest need not be sent
        message = self._next(waiting) if waiting.answer is None else None
        if message is not None:
            active.append(waiting)
        return message

    def _next(self, waiting: Waiting) -> bytes | None:
        """The next message of an evaluation; what its pieces raise, its caller gets."""
        try:
            return next(waiting.messages, None)
        except Exception as error:  # noqa: BLE001  the caller's own code, whatever it raises
            self._pending.pop(waiting.id, None)
            waiting.finish(error)
            return wire.write_stream(waiting.id, wire.Cancel())

    def _read(self) -> None:
        with self._reading:
            self._reads = threading.get_ident()
            try:
                while self._read_one():
                    pass
            finally:
                self._reads = 0

    def _read_one(self) -> bool:
        """Read a message and give it to whom it is for; False at the stream's end."""
        import grpc

        try:
            message = next(self._call, None)
            if message is None:
                self._fail(unavailable(self._target, "the server ended the stream"))
                return False
            for part in wire.read_together(message):
                self._take(*wire.read_stream_response(part))
        except grpc.RpcError as error:
            self._fail(self._translated(error))
            return False
        except LossdError as error:
            self._fail(error)
            self._call.cancel()
            return False
        return True

    def _take(self, id: int, item: wire.Answered) -> None:
        size = self._leases.pop(id, None)
        if size is not None and isinstance(item, Leased):
            self._shared.attach(item, size)
            self._refused = False
        elif size is not None:
            self._shared.refused(size)
            self._refused = True
        elif id == self._asked and id:
            self._opened(item)
        else:
            self._take_answer(id, item)

    def _take_answer(self, id: int, item: wire.Answered) -> None:
        if isinstance(item, Leased | Opened):
            raise ProtocolError("what was not asked for is there")
        waiting = self._pending.get(id)
        if waiting is None:
            if id == 0 and isinstance(item, LossdError):
                raise item
            return  # given up meanwhile
        try:
            answer = waiting.take(item) if isinstance(item, Response | Chunk) else item
        except LossdError:
            raise
        except Exception as error:  # noqa: BLE001  the caller's own code, whatever it raises
            waiting.finish(error)
            self.cancel(id)
            return
        if answer is not None:
            self._pending.pop(id, None)
            sent = waiting.sent
            if sent is not None and isinstance(answer, Response):
                self._pace.took(sent, time.perf_counter() - waiting.begun)
            waiting.finish(answer)

    def _translated(self, error: Any) -> LossdError:
        code, details = error.code().value[0], error.details()
        if code == UnavailableError.code:
            return unavailable(self._target, details)
        if code == CancelledError.code:
            return UnavailableError(f"the connection to {self._target} was lost: {details}")
        return wire.error_for(code, f"{self._target}: {details}")

    def _fail(self, error: LossdError) -> None:
        self._shared.close()
        if self._pipes is not None:
            self._pipes.close()
        with self._lock:
            self.error = self.error or error
            pending, self._pending = self._pending, {}
        for waiting in pending.values():
            waiting.finish(error)
        self._queue.put(None)  # what sends ends, too


def awaited() -> tuple[asyncio.Event, Callable[[], None]]:
    """An event of the running loop, and what sets it from any thread."""
    loop, done, thread = asyncio.get_running_loop(), asyncio.Event(), threading.get_ident()

    def finish() -> None:
        if threading.get_ident() == thread:
            done.set()
        else:
            with contextlib.suppress(RuntimeError):  # the loop was closed: nobody waits any more
                loop.call_soon_threadsafe(done.set)

    return done, finish


def worth_asking(request: Request) -> bool:
    """Whether a request is large enough to ask for memory, and wait, before it goes anywhere."""
    tensors = request.tensors.values()
    in_pieces = any(isinstance(tensor, wire.Announcement) for tensor in tensors)
    return not in_pieces and sum(tensor.nbytes for tensor in tensors) >= _WORTH_ASKING


def _travelling(request: Request) -> tuple[int, int]:
    """Bytes of tensors in a request's message, and in its answer's but for the losses."""
    sent = {n: t.nbytes for n, t in request.tensors.items() if not isinstance(t, Shared)}
    back = [sent.get(name, 0) for name in request.gradients if name not in request.places]
    return sum(sent.values()), sum(back)


def _on_this_host(target: str) -> bool:
    """Whether a target may be on this host; what the server leases tells for sure."""
    if target.startswith(("unix:", "unix-abstract:")):
        return True
    host = _SCHEME.sub("", target).rpartition(":")[0]
    return host in ("localhost", "[::1]") or host.startswith("127.")
