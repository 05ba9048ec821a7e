"""One EvaluateStream: many evaluations, each in whatever pieces it comes."""

import asyncio
import math
from collections import deque
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from typing import Any, Final

import grpc
import numpy as np
import numpy.typing as npt
from lossd_client import wire
from lossd_client.errors import LossdError, ProtocolError
from lossd_client.wire import Announcement, Cancel, Chunk, Request, Response

from lossd.plan import pool
from lossd.server.compute import Computer, needed
from lossd.server.limits import Budget
from lossd.server.status import status_of
from lossd.steps import Arriving, Steps

REMEMBERED: Final = 4096
"""Ids of failed evaluations that are kept: chunks that were on their way are then let pass."""

WINDOW: Final = 8 << 20
"""Bytes of an evaluation that may wait to be computed; the stream is not read beyond them."""


@dataclass
class _Evaluation:
    """An evaluation that is under way.

    reserved: bytes of the budget that it holds.
    tensors: what is there, or being filled; `received`: bytes of those that come in chunks.
    arriving: those of them that are computed as they come; `waiting`: chunks not seen there yet.
    """

    request: Request
    reserved: int
    tensors: dict[str, Any]
    received: dict[str, int] = field(default_factory=dict)
    arriving: dict[str, Arriving] = field(default_factory=dict)
    waiting: list[tuple[str, npt.NDArray[Any]]] = field(default_factory=list)
    news: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[None] | None = None

    def missing(self) -> str | None:
        """The first tensor whose bytes are not all there."""
        sizes = self.request.tensors
        return next((n for n, got in self.received.items() if got < sizes[n].nbytes), None)

    @property
    def may_start(self) -> bool:
        return self.task is None and all(
            got == self.request.tensors[name].nbytes
            for name, got in self.received.items()
            if name not in self.arriving
        )

    @property
    def behind(self) -> bool:
        """Whether enough of every tensor waits that reading on can wait too."""
        held = dict.fromkeys(self.arriving, 0)
        for name, data in self.waiting:
            held[name] += data.size
        return bool(self.arriving) and all(
            tensor.held + held[name] > max(WINDOW, 2 * _row_bytes(self.request.tensors[name]))
            for name, tensor in self.arriving.items()
        )


def _row_bytes(tensor: Any) -> int:
    row: int = math.prod(tensor.shape[-1:]) * tensor.dtype.itemsize
    return row


def _unfinished(evaluation: _Evaluation, name: str) -> ProtocolError:
    return ProtocolError(
        f"the stream ended after {evaluation.received[name]} of {name!r}'s "
        f"{evaluation.request.tensors[name].nbytes} bytes",
        field=name,
    )


class Stream:
    """Serves one stream until its client ends it, or until it is idle while the server drains."""

    def __init__(
        self,
        computer: Computer,
        budget: Budget,
        context: grpc.aio.ServicerContext[bytes, bytes],
    ) -> None:
        self._computer, self._budget, self._context = computer, budget, context
        self._evaluations: dict[int, _Evaluation] = {}
        self._failed: deque[int] = deque(maxlen=REMEMBERED)
        self._room = asyncio.Event()  # set when an evaluation got on
        self._writing = asyncio.Lock()  # gRPC takes one message at a time
        self._task: asyncio.Task[Any] | None = None
        self._draining = self._idle = False

    async def serve(self, messages: AsyncIterator[bytes]) -> None:
        """Read messages and write answers; memory is given back however the stream ends."""
        self._task = asyncio.current_task()
        try:
            async for message in messages:
                answer = self._receive(message)
                if answer is not None:
                    await self._write(answer)
                self._end_if_idle()
                while any(e.behind for e in self._evaluations.values()):
                    self._room.clear()
                    await self._room.wait()
            for id, evaluation in list(self._evaluations.items()):
                if (name := evaluation.missing()) is not None:
                    await self._write(self._failure(id, _unfinished(evaluation, name)))
            await asyncio.gather(*[e.task for e in self._evaluations.values() if e.task])
        except asyncio.CancelledError:
            if not self._idle:
                raise
        finally:
            for id in list(self._evaluations):
                self._end(id)

    def drain(self) -> None:
        """End as soon as no evaluation is under way."""
        self._draining = True
        self._end_if_idle()

    def _end_if_idle(self) -> None:
        if self._draining and not self._evaluations and self._task:
            self._idle = True
            self._task.cancel()

    def _receive(self, message: bytes) -> bytes | None:
        """Take a message; an answer that can be given at once."""
        try:
            id, item = wire.read_stream_request(message)
        except LossdError as error:
            return wire.write_stream(0, status_of(error))
        try:
            match item:
                case Request():
                    return self._begin(id, item)
                case Chunk():
                    self._add(id, item)
                case Cancel():
                    self._end(id)
                case LossdError():
                    raise item
        except LossdError as error:
            return self._failure(id, error)
        return None

    def _begin(self, id: int, request: Request) -> bytes | None:
        if id in self._evaluations:
            raise ProtocolError(f"evaluation {id} is under way already")
        announced = {n: t for n, t in request.tensors.items() if isinstance(t, Announcement)}
        if not announced:
            response = self._computer.evaluate_now(request)
            if response is not None:
                return wire.write_stream(id, response)
        needs = needed(request)
        self._budget.take(needs.size)
        evaluation = _Evaluation(request, needs.size, dict(request.tensors))
        self._evaluations[id] = evaluation
        evaluation.received = dict.fromkeys(announced, 0)
        for name, tensor in announced.items():
            if name in needs.in_pieces:
                evaluation.arriving[name] = Arriving(tensor.dtype, tensor.nbytes)
            else:
                evaluation.tensors[name] = pool.empty(tensor.shape, tensor.dtype)
        self._start(id, evaluation)
        return None

    def _add(self, id: int, chunk: Chunk) -> None:
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
            self._budget.take(data.size)
            evaluation.reserved += data.size
            evaluation.waiting.append((name, data))
            evaluation.news.set()
        else:
            evaluation.tensors[name].reshape(-1).view(np.uint8)[start:end] = data
        evaluation.received[name] = end
        self._start(id, evaluation)

    def _start(self, id: int, evaluation: _Evaluation) -> None:
        """Begin to compute, once all that is needed for it is there."""
        if evaluation.may_start:
            compute = self._advance if evaluation.arriving else self._evaluate
            evaluation.task = asyncio.create_task(self._guarded(id, evaluation, compute))

    async def _guarded(self, id: int, evaluation: _Evaluation, compute: Any) -> None:
        try:
            await compute(id, evaluation)
        except LossdError as error:
            await self._write(self._failure(id, error))
        self._end(id)
        self._end_if_idle()

    async def _evaluate(self, id: int, evaluation: _Evaluation) -> None:
        """Compute an evaluation whose tensors are all there."""
        request = evaluation.request.with_tensors(evaluation.tensors)
        response = await self._computer.evaluate(request)
        evaluation.tensors = request.tensors = {}
        tensors: dict[str, npt.NDArray[Any]] = dict(response.tensors)  # type: ignore[arg-type]
        first, chunks = wire.split(tensors)
        await self._write(wire.write_stream(id, response.with_tensors(first)))
        await self._write_chunks(id, chunks)

    async def _advance(self, id: int, evaluation: _Evaluation) -> None:
        """Compute an evaluation while its tensors come, and write what is ready."""
        request = evaluation.request.with_tensors(evaluation.tensors)
        steps = await self._computer.begin(request, evaluation.arriving)
        head = Response(
            {name: Announcement(*kind) for name, kind in steps.announced().items()}, steps.warning
        )
        await self._write(wire.write_stream(id, head))
        while not steps.finished:
            await self._await_news(evaluation, steps)
            held = sum(tensor.held for tensor in evaluation.arriving.values())
            pieces = await self._computer.step(request, steps)
            held -= sum(tensor.held for tensor in evaluation.arriving.values())
            evaluation.reserved -= held
            self._budget.give_back(held)
            self._room.set()
            for piece in pieces:
                await self._write_chunks(id, wire.chunks_of(piece.name, piece.data, piece.offset))

    async def _await_news(self, evaluation: _Evaluation, steps: Steps) -> None:
        """Wait until there is something to compute."""
        while True:
            for name, data in evaluation.waiting:
                evaluation.arriving[name].add(data)
            evaluation.waiting.clear()
            if steps.ready:
                return
            evaluation.news.clear()
            await evaluation.news.wait()

    async def _write_chunks(self, id: int, chunks: Iterable[Chunk]) -> None:
        for chunk in chunks:
            await self._write(wire.write_stream(id, chunk))

    async def _write(self, message: bytes) -> None:
        """Write a message, when the client has room for it, and those before have left."""
        async with self._writing:
            await self._context.write(message)

    def _failure(self, id: int, error: LossdError) -> bytes:
        """End an evaluation; the message that tells why."""
        self._end(id)
        self._failed.append(id)
        return wire.write_stream(id, status_of(error))

    def _end(self, id: int) -> None:
        """Forget an evaluation, whatever it is at, and give its memory back."""
        evaluation = self._evaluations.pop(id, None)
        if evaluation is None:
            return
        self._budget.give_back(evaluation.reserved)
        self._room.set()
        if evaluation.task not in (None, asyncio.current_task()):
            evaluation.task.cancel()
