"""Calls that are under way, and those that would last for ever while the server drains."""

import asyncio
import contextlib
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final

import grpc
from grpc_health.v1 import health
from grpc_reflection.v1alpha import reflection
from lossd_client.errors import UnavailableError

from lossd.server import scoring_service
from lossd.server.status import aborted

ENDLESS: Final = {
    f"/{health.SERVICE_NAME}/Watch",
    f"/{reflection.SERVICE_NAME}/ServerReflectionInfo",
    f"/{scoring_service.NAME}/WatchScoringJob",
}
"""Methods whose calls last as long as their clients like: the server's end waits for none."""

Context = grpc.aio.ServicerContext[Any, Any]


class Calls(grpc.aio.ServerInterceptor):
    """Ends the endless calls while the server drains, once no other is under way."""

    def __init__(self) -> None:
        self._handlers: dict[str, Any] = {}  # by their methods
        self._endless: set[asyncio.Task[Any]] = set()
        self._others = 0
        self._draining = False

    async def intercept_service(
        self, continuation: Callable[[Any], Awaitable[Any]], call: grpc.HandlerCallDetails
    ) -> Any:
        """What serves a method, so that its calls are known."""
        method = call.method
        if method not in self._handlers:
            handler = await continuation(call)
            if handler is None:
                return None
            known = self._waited_out if method in ENDLESS else self._waited_for
            self._handlers[method] = _within(known, handler)
        return self._handlers[method]

    def drain(self) -> None:
        """End endless calls as soon as there are no others."""
        self._draining = True
        self._end_if_idle()

    def _end_if_idle(self) -> None:
        if self._draining and not self._others:
            for task in self._endless:
                task.cancel()

    @contextlib.asynccontextmanager
    async def _waited_for(self, context: Context) -> AsyncIterator[None]:
        self._others += 1
        try:
            yield None
        finally:
            self._others -= 1
            self._end_if_idle()

    @contextlib.asynccontextmanager
    async def _waited_out(self, context: Context) -> AsyncIterator[Callable[[bool], None]]:
        task = asyncio.current_task()
        assert task is not None

        def may_end(here: bool) -> None:
            if here:
                self._endless.add(task)
                self._end_if_idle()
            else:
                self._endless.discard(task)

        may_end(True)
        try:
            yield may_end
        except asyncio.CancelledError:
            if not self._draining:  # the client's wish
                raise
            await aborted(context, UnavailableError("the server ends: call it again later"))
        finally:
            may_end(False)


def _within(
    known: Callable[
        [Context], contextlib.AbstractAsyncContextManager[Callable[[bool], None] | None]
    ],
    handler: Any,
) -> Any:
    """A method's handler, each of whose calls is within a context.

    That may give a function which is told when the call must not be ended, and when it may again:
    not while gRPC writes an answer, where it would not tell the client of the end.
    """
    sides = (handler.request_streaming, handler.response_streaming)
    kind = "_".join("stream" if streaming else "unary" for streaming in sides)
    serve = getattr(handler, kind)

    async def answered(request: Any, context: Context) -> Any:
        async with known(context):
            return await serve(request, context)

    async def streamed(request: Any, context: Context) -> AsyncIterator[Any]:
        async with known(context) as may_end:
            async for answer in serve(request, context):
                if may_end is not None:
                    may_end(False)
                yield answer
                if may_end is not None:
                    may_end(True)

    make = getattr(grpc, f"{kind}_rpc_method_handler")
    call = streamed if inspect.isasyncgenfunction(serve) else answered
    return make(call, handler.request_deserializer, handler.response_serializer)
