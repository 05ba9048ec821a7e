"""Raw grpcio, the limit of what is served: the same bytes over a persistent stream, no work.

`python -m benchmarks.raw ADDRESS ...` is the server, `Exchange` the client.
"""

import asyncio
import queue
import sys
from collections.abc import Iterator
from typing import Any, Final

import grpc

BLOCK: Final = 1 << 20  # bytes of a message at most
OPTIONS: Final = (
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
)
_SERVICE, _METHOD = "lossd.benchmarks.Raw", "Exchange"


class Exchange:
    """A stream on which requests of some bytes are answered with others.

    Args:
        address: of the echo server.
        request: what a call sends, in messages of BLOCK bytes.
        answer: bytes that come back, as soon as their share of the request has arrived.
    """

    def __init__(self, address: str, request: bytes, answer: int) -> None:
        self._blocks = [request[i : i + BLOCK] for i in range(0, len(request), BLOCK)]
        self._answer = answer
        self._queue: queue.SimpleQueue[list[bytes]] = queue.SimpleQueue()
        self._channel = grpc.insecure_channel(address, OPTIONS)
        method: Any = self._channel.stream_stream  # its stubs ask for serializers
        sizes = (("request", str(len(request))), ("answer", str(answer)))
        self._answers: Iterator[bytes] = method(f"/{_SERVICE}/{_METHOD}")(
            self._messages(), metadata=sizes
        )

    def __call__(self) -> int:
        """Send a request and take its answer in: how many bytes."""
        self._queue.put(self._blocks)
        missing = self._answer
        while missing > 0:
            missing -= len(next(self._answers))
        return self._answer - missing

    def close(self) -> None:
        """End the stream."""
        self._queue.put([])
        self._channel.close()

    def _messages(self) -> Iterator[bytes]:
        while blocks := self._queue.get():
            yield from blocks


async def _exchange(_: object, context: "grpc.aio.ServicerContext[bytes, bytes]") -> None:
    sizes = dict(context.invocation_metadata() or ())
    request, answer = int(sizes["request"]), int(sizes["answer"])
    received = sent = 0
    while (message := await _read(context)) is not None:
        received += len(message)
        due = received * answer // request - sent
        while due >= BLOCK or (due and received == request):
            length = min(due, BLOCK)
            await context.write(message if len(message) == length else bytes(length))
            sent, due = sent + length, due - length
        if received == request:
            received = sent = 0


async def _read(context: Any) -> bytes | None:
    message = await context.read()
    return message if isinstance(message, bytes) else None  # grpc.aio.EOF


async def _serve(addresses: list[str]) -> None:
    server = grpc.aio.server(options=OPTIONS)
    handlers: dict[str, grpc.RpcMethodHandler[bytes, bytes]] = {
        _METHOD: grpc.stream_stream_rpc_method_handler(_exchange)
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(_SERVICE, handlers),))
    for address in addresses:
        server.add_insecure_port(address)
    await server.start()
    await server.wait_for_termination()


if __name__ == "__main__":
    asyncio.run(_serve(sys.argv[1:]))
