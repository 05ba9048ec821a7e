"""Arrow Flight: the bytes of a call on a DoExchange stream, answered with others, no work.

The stream stays open from call to call, as lossd's does. Bytes travel in record batches of up to
BLOCK. `python -m benchmarks.peers.flight serve` is the server, without arguments the worker.
"""

import queue
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
from pyarrow import flight

from benchmarks.peers.serving import Call, serve

BLOCK: Final = 1 << 20
SCHEMA: Final = pa.schema([("data", pa.uint8())])


class Echo(flight.FlightServerBase):  # type: ignore[misc]
    """Answers as soon as an answer's share of the request has arrived."""

    def do_exchange(self, context: Any, descriptor: Any, reader: Any, writer: Any) -> None:
        request, answer = map(int, descriptor.command.split())
        spare = _batches(bytes(BLOCK))[0]
        writer.begin(SCHEMA)
        received = sent = 0
        for chunk in reader:
            received += chunk.data.num_rows
            due = received * answer // request - sent
            while due >= BLOCK or (due and received == request):
                length = min(due, BLOCK)
                same = chunk.data.num_rows == length
                writer.write_batch(chunk.data if same else spare.slice(0, length))
                sent, due = sent + length, due - length
            if received == request:
                received = sent = 0


class Exchange:
    """A stream on which requests are answered; a thread writes what is more than one batch."""

    def __init__(self, client: Any, request: bytes, answer: int) -> None:
        command = f"{len(request)} {answer}".encode()
        descriptor = flight.FlightDescriptor.for_command(command)
        self._batches, self._answer = _batches(request), answer
        self._writer, self._reader = client.do_exchange(descriptor)
        self._writer.begin(SCHEMA)
        self._turns: queue.SimpleQueue[bool] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._write_turns, daemon=True)
        self._thread.start()

    def __call__(self) -> int:
        """Send the request and take its answer in: how many bytes."""
        if len(self._batches) == 1:
            self._write()
        else:
            self._turns.put(True)
        received = 0
        while received < self._answer:
            received += self._reader.read_chunk().data.num_rows
        return received

    def close(self) -> None:
        """End the stream."""
        self._turns.put(False)
        self._thread.join()
        self._writer.done_writing()
        self._writer.close()

    def _write_turns(self) -> None:
        while self._turns.get():
            self._write()

    def _write(self) -> None:
        for batch in self._batches:
            self._writer.write_batch(batch)


class Flight:
    """The peer: one echo over TCP."""

    versions: Final = {"pyarrow": pa.__version__}

    def __init__(self, client: Any) -> None:
        self._client = client

    @contextmanager
    def contenders(self, folder: Path, loss: str, answer: int) -> Iterator[dict[str, Call]]:
        exchange = Exchange(self._client, (folder / "request").read_bytes(), answer)
        try:
            yield {"flight": exchange}
        finally:
            exchange.close()


def _batches(data: bytes) -> list[Any]:
    """The bytes as record batches of one column, not copied."""
    column = pa.Array.from_buffers(pa.uint8(), len(data), [None, pa.py_buffer(data)])
    batch = pa.record_batch([column], schema=SCHEMA)
    return [batch.slice(start, BLOCK) for start in range(0, len(data), BLOCK)]


@contextmanager
def _peer() -> Iterator[Flight]:
    """A server process, and a client of it."""
    command = [sys.executable, "-m", "benchmarks.peers.flight", "serve"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as server:
        assert server.stdout is not None
        try:
            port = int(server.stdout.readline())
            with flight.connect(f"grpc://127.0.0.1:{port}") as client:
                yield Flight(client)
        finally:
            server.terminate()


def _serve() -> None:
    server = Echo("grpc://127.0.0.1:0")
    print(server.port, flush=True)
    server.serve()


if __name__ == "__main__":
    _serve() if sys.argv[1:] == ["serve"] else serve(_peer())
