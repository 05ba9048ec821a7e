"""Endless calls end with the server, whatever they are at when it begins to end."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from grpc_reflection.v1alpha import reflection

from lossd.server.calls import Calls

METHOD = f"/{reflection.SERVICE_NAME}/ServerReflectionInfo"


class AbortError(Exception):
    """What gRPC's `abort` raises."""


class Context:
    """gRPC's, as far as it is used. Its writes cannot be held up on purpose over a socket."""

    def __init__(self) -> None:
        self.code: grpc.StatusCode | None = None

    def set_trailing_metadata(self, metadata: object) -> None:
        pass

    async def abort(self, code: grpc.StatusCode, details: str) -> None:
        self.code = code
        raise AbortError


async def echo(requests: AsyncIterator[int], context: object) -> AsyncIterator[int]:
    async for request in requests:
        yield request


@pytest.mark.parametrize("writing", [True, False])
def test_the_client_is_told_of_the_end(writing: bool) -> None:
    """Ended while gRPC writes an answer, it would not be."""

    async def main() -> None:
        calls, context = Calls(), Context()
        handler = grpc.stream_stream_rpc_method_handler(echo)

        async def found(_: object) -> Any:
            return handler

        details: Any = type("Details", (), {"method": METHOD})
        serve = (await calls.intercept_service(found, details)).stream_stream
        requests: asyncio.Queue[int] = asyncio.Queue()
        written, may_write = list[int](), asyncio.Event()

        async def taken() -> AsyncIterator[int]:
            while True:
                yield await requests.get()

        async def call() -> None:  # as gRPC does
            async for answer in serve(taken(), context):
                await may_write.wait()
                written.append(answer)

        task = asyncio.create_task(call())
        requests.put_nowait(1)
        if not writing:
            may_write.set()
        await asyncio.sleep(0.01)
        assert written == [1] * (not writing)
        calls.drain()
        await asyncio.sleep(0.01)
        assert task.done() == (not writing)
        may_write.set()
        with pytest.raises(AbortError):
            await task
        assert written == [1]
        assert context.code == grpc.StatusCode.UNAVAILABLE

    asyncio.run(main())
