"""Server processes: started, watched through their log, stopped."""

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

PATIENCE = 60.0
"""Seconds until a wait that normally takes far less counts as failed."""

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


def environment(given: Mapping[str, str] | None = None) -> dict[str, str]:
    """This process's environment without settings of lossd, and with those given."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("LOSSD_")}
    return kept | dict(given or {})


def eventually(succeeds: Callable[[], bool]) -> None:
    """Wait until something is so: nothing tells a client when a server noticed a disconnect."""
    deadline = time.monotonic() + PATIENCE
    while not succeeds():
        assert time.monotonic() < deadline, "it never came to be so"
        time.sleep(0.05)


class Server:
    """`lossd serve` with the given flags."""

    def __init__(self, *flags: str, env: Mapping[str, str] | None = None) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "lossd.cli", "serve", *flags],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            env=environment(env),
        )
        self.log: list[str] = []
        self._ended = False
        self._news = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        with self.process.stderr as lines:
            for line in lines:
                with self._news:
                    self.log.append(line.rstrip("\n"))
                    self._news.notify_all()
        with self._news:
            self._ended = True
            self._news.notify_all()

    @property
    def text(self) -> str:
        """The log so far."""
        return "\n".join(self.log)

    def await_log(self, pattern: str, count: int = 1) -> list[str]:
        """Wait until lines match a pattern; what its group matched in each."""

        def found() -> list[str]:
            return re.findall(pattern, self.text)

        with self._news:
            self._news.wait_for(lambda: self._ended or len(found()) >= count, PATIENCE)
            matches = found()
        assert len(matches) >= count, f"no {pattern!r} in the log:\n{self.text}"
        return matches

    def addresses(self, count: int = 1) -> list[str]:
        """The addresses that it listens on, once there are `count`."""
        return self.await_log(r'listening on ([^"\s]+)', count)

    def await_serving(self, count: int = 1) -> None:
        """Wait until grpc.health.v1 says SERVING."""
        with grpc.insecure_channel(self.addresses(count)[0]) as channel:
            for status in watched(channel):
                if status == SERVING:
                    return
        raise AssertionError(f"never SERVING:\n{self.text}")

    def stop(self) -> int:
        """End it with SIGTERM, as an operator does, unless it is ending; the exit status."""
        if "draining" not in self.text:
            self.process.send_signal(signal.SIGTERM)
        return self.wait()

    def wait(self) -> int:
        """Wait until it has ended; the exit status."""
        status = self.process.wait(PATIENCE)
        self._reader.join(PATIENCE)
        return status

    def kill(self) -> None:
        """End it without a chance to tidy up."""
        self.process.kill()
        self.wait()


class Relay:
    """A network between clients and a server at host:port: slow, if so asked, and it may be cut.

    Args:
        address: the server's.
        delay: seconds that bytes take.

    Attributes:
        connections: how many clients have made.
        ended: how many of these they have ended.
    """

    def __init__(self, address: str, delay: float = 0.0) -> None:
        host, port = address.rsplit(":", 1)
        self._server, self._delay = (host, int(port)), delay
        self._whole, self._closed = threading.Event(), threading.Event()
        self._whole.set()
        self.connections = self.ended = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._sockets: list[socket.socket] = []
        self._start(self._accept)

    @property
    def address(self) -> str:
        """Where clients reach the server through it."""
        return "{}:{}".format(*self._listener.getsockname())

    def cut(self) -> None:
        """Let nothing through, and tell nobody."""
        self._whole.clear()

    def mend(self) -> None:
        """Let everything through again."""
        self._whole.set()

    def close(self) -> None:
        """Close all connections."""
        self._closed.set()
        self.mend()
        for each in (self._listener, *self._sockets):
            with contextlib.suppress(OSError):  # not connected any more
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _start(self, what: Callable[..., None], *args: socket.socket) -> None:
        threading.Thread(target=what, args=args, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # closed
            while True:
                client, _ = self._listener.accept()
                self.connections += 1
                self._start(self._connect, client)

    def _connect(self, client: socket.socket) -> None:
        self._closed.wait(self._delay)
        server = socket.create_connection(self._server, PATIENCE)
        self._sockets += [client, server]
        self._start(self._pass, server, client)
        self._pass(client, server)
        self.ended += 1

    def _pass(self, giver: socket.socket, taker: socket.socket) -> None:
        with contextlib.suppress(OSError):  # closed
            while data := giver.recv(1 << 16):
                self._closed.wait(self._delay)
                self._whole.wait()
                taker.sendall(data)
            taker.shutdown(socket.SHUT_WR)


def watched(channel: grpc.Channel) -> Iterator[int]:
    """What grpc.health.v1 reports, as it changes."""
    request = health_pb2.HealthCheckRequest(service="lossd.v1.LossService")
    call: Any = health_pb2_grpc.HealthStub(channel).Watch(
        request, timeout=PATIENCE, wait_for_ready=True
    )
    try:
        for response in call:
            yield response.status
    finally:
        call.cancel()


@contextlib.contextmanager
def running(
    *flags: str, listen: tuple[str, ...] = ("127.0.0.1:0",), env: Mapping[str, str] | None = None
) -> Iterator[Server]:
    """A server that is SERVING and in the end stops as it should."""
    addresses = [part for address in listen for part in ("--listen", address)]
    warm = () if "--warm" in flags else ("--warm", "none")
    # by default TCP would not be used for much here: everybody is on this host
    share = () if "--share-memory" in flags else ("--share-memory", "unix")
    server = Server(*addresses, *warm, *share, *flags, env=env)
    try:
        server.await_serving(len(listen))
        yield server
        if server.process.poll() is None:
            assert server.stop() == 0, server.text
    finally:
        server.kill()
