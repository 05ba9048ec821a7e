"""One EvaluateStream: many evaluations, each in whatever pieces it comes."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import grpc
import numpy as np
import numpy.typing as npt
from lossd_client import wire
from lossd_client.errors import LossdError, ProtocolError
from lossd_client.wire import Announcement, Cancel, Chunk, Request

from lossd.plan import pool
from lossd.server.compute import Computer, needed
from lossd.server.limits import Budget
from lossd.server.status import status_of

REMEMBERED: Final = 4096
"""Ids of failed evaluations that are kept: chunks that were on their way are then let pass."""


@dataclass
class _Evaluation:
    """An evaluation that is under way."""

    request: Request
    reserved: int
    tensors: dict[str, Any]
    received: dict[str, int] = field(default_factory=dict)
    task: asyncio.Task[None] | None = None

    @property
    def complete(self) -> bool:
        return all(n == self.tensors[name].nbytes for name, n in self.received.items())


def _unfinished(evaluation: _Evaluation) -> ProtocolError:
    name = next(n for n, got in evaluation.received.items() if got < evaluation.tensors[n].nbytes)
    return ProtocolError(
        f"the stream ended after {evaluation.received[name]} of {name!r}'s "
        f"{evaluation.tensors[name].nbytes} bytes",
        field=name,
    )


class Stream:
    """Serves one stream until its client ends it, or until it is idle while the server drains."""

    def __init__(self, computer: Computer, budget: Budget) -> None:
        self._computer, self._budget = computer, budget
        self._evaluations: dict[int, _Evaluation] = {}
        self._failed: deque[int] = deque(maxlen=REMEMBERED)
        self._outgoing: deque[tuple[int, Iterator[bytes]]] = deque()
        self._wake = asyncio.Event()
        self._writing = asyncio.Lock()  # gRPC takes one message at a time
        self._task: asyncio.Task[Any] | None = None
        self._ended = self._draining = self._idle = False

    async def serve(
        self, messages: AsyncIterator[bytes], context: grpc.aio.ServicerContext[bytes, bytes]
    ) -> None:
        """Read messages and write answers; memory is given back however the stream ends."""
        self._task = asyncio.current_task()
        writer = asyncio.create_task(self._write(context))
        try:
            async for message in messages:
                answer = self._receive(message)
                if answer is not None:
                    async with self._writing:
                        await context.write(answer)
                self._end_if_idle()
            for id in [id for id, e in self._evaluations.items() if e.task is None]:
                self._send(id, iter([self._failure(id, _unfinished(self._evaluations[id]))]))
            running = [e.task for e in self._evaluations.values() if e.task is not None]
            await asyncio.gather(*running)
            self._ended = True
            self._wake.set()
            await writer
        except asyncio.CancelledError:
            if not self._idle:
                raise
        finally:
            writer.cancel()
            for id in list(self._evaluations):
                self._end(id)

    def drain(self) -> None:
        """End as soon as no evaluation is under way."""
        self._draining = True
        self._end_if_idle()

    def _end_if_idle(self) -> None:
        if self._draining and not self._evaluations and not self._outgoing and self._task:
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
        size = needed(request)
        self._budget.take(size)
        evaluation = self._evaluations[id] = _Evaluation(request, size, dict(request.tensors))
        for name, tensor in announced.items():
            evaluation.tensors[name] = pool.empty(tensor.shape, tensor.dtype)
            evaluation.received[name] = 0
        self._start_if_complete(id, evaluation)
        return None

    def _add(self, id: int, chunk: Chunk) -> None:
        evaluation = self._evaluations.get(id)
        if evaluation is None:
            if id in self._failed:
                return
            raise ProtocolError(
                f"a chunk of {chunk.name!r} for evaluation {id}, which has not begun"
            )
        if evaluation.task is not None or chunk.name not in evaluation.received:
            raise ProtocolError(f"a chunk of {chunk.name!r}, which awaits none", field=chunk.name)
        expected = evaluation.received[chunk.name]
        tensor: npt.NDArray[Any] = evaluation.tensors[chunk.name]
        if chunk.offset != expected:
            raise ProtocolError(
                f"a chunk of {chunk.name!r} begins at byte {chunk.offset} and should at {expected}",
                field=chunk.name,
            )
        end = chunk.offset + len(chunk.data)
        if end > tensor.nbytes:
            raise ProtocolError(
                f"chunks of {chunk.name!r} hold {end} bytes; {tensor.shape} of {tensor.dtype} "
                f"has {tensor.nbytes}",
                field=chunk.name,
            )
        flat = tensor.reshape(-1).view(np.uint8)
        flat[chunk.offset : end] = np.frombuffer(chunk.data, np.uint8)
        evaluation.received[chunk.name] = end
        self._start_if_complete(id, evaluation)

    def _start_if_complete(self, id: int, evaluation: _Evaluation) -> None:
        if evaluation.complete:
            evaluation.request.tensors = evaluation.tensors
            evaluation.task = asyncio.create_task(self._evaluate(id, evaluation))

    async def _evaluate(self, id: int, evaluation: _Evaluation) -> None:
        try:
            response = await self._computer.evaluate(evaluation.request)
        except LossdError as error:
            if self._evaluations.get(id) is evaluation:
                self._send(id, iter([self._failure(id, error)]))
            return
        if self._evaluations.get(id) is not evaluation:
            return  # cancelled meanwhile
        evaluation.request.tensors = evaluation.tensors = {}
        tensors: dict[str, npt.NDArray[Any]] = dict(response.tensors)  # type: ignore[arg-type]
        response.tensors, chunks = wire.split(tensors)

        def messages() -> Iterator[bytes]:
            yield wire.write_stream(id, response)
            for chunk in chunks:
                yield wire.write_stream(id, chunk)

        self._send(id, messages())

    def _failure(self, id: int, error: LossdError) -> bytes:
        """End an evaluation; the message that tells why."""
        self._end(id)
        self._failed.append(id)
        return wire.write_stream(id, status_of(error))

    def _end(self, id: int) -> None:
        """Forget an evaluation and give its memory back."""
        evaluation = self._evaluations.pop(id, None)
        if evaluation is not None:
            self._budget.give_back(evaluation.reserved)

    def _send(self, id: int, messages: Iterator[bytes]) -> None:
        self._outgoing.append((id, messages))
        self._wake.set()

    async def _write(self, context: grpc.aio.ServicerContext[bytes, bytes]) -> None:
        """Write what is outgoing, a message of each answer in turn."""
        while True:
            while self._outgoing:
                id, messages = self._outgoing[0]
                message = next(messages, None)
                if message is None:
                    self._outgoing.popleft()
                    self._end(id)
                    self._end_if_idle()
                    continue
                async with self._writing:
                    await context.write(message)
                self._outgoing.rotate(-1)
            if self._ended:
                return
            self._wake.clear()
            await self._wake.wait()
