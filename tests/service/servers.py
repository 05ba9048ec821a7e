"""Server processes: started, watched through their log, stopped."""

import contextlib
import os
import re
import signal
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
    server = Server(*addresses, *warm, *flags, env=env)
    try:
        server.await_serving(len(listen))
        yield server
        if server.process.poll() is None:
            assert server.stop() == 0, server.text
    finally:
        server.kill()
