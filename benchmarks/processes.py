"""The processes that the suite talks to: a lossd server and a raw echo server."""

import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

START: Final = 300.0  # seconds that a server may take to start; kernels may have to be compiled


@dataclass(frozen=True)
class Addresses:
    """Where a server listens, and which process it is."""

    unix: str
    tcp: str
    process: int = 0


@contextmanager
def lossd_server(
    losses: Sequence[str],
    threads: int,
    log: Path,
    module: str = "lossd.cli",
    flags: Sequence[str] = (),
) -> Iterator[Addresses]:
    """A server process with the kernels of these losses ready: `module` run with its arguments."""
    with _addresses() as addresses:
        command = [module, "serve", "--listen", addresses.tcp, "--listen", addresses.unix]
        command += ["--threads", str(threads), "--warm", ",".join(losses)]
        command += ["--share-memory", "unix", *flags]  # so that TCP is what it is between hosts
        with _process(command, log) as process, grpc.insecure_channel(addresses.unix) as channel:
            _ready(process, channel, log)
            _serving(channel, log)
            yield replace(addresses, process=process.pid)


@contextmanager
def echo_server(log: Path) -> Iterator[Addresses]:
    """A process that answers bytes with bytes (benchmarks/raw.py)."""
    with _addresses() as addresses:
        command = ["benchmarks.raw", addresses.tcp, addresses.unix]
        with _process(command, log) as process, grpc.insecure_channel(addresses.unix) as channel:
            _ready(process, channel, log)
            yield replace(addresses, process=process.pid)


@contextmanager
def slow_link(target: str, rate: float, delay: float, log: Path) -> Iterator[str]:
    """An address at which a server answers through a link (benchmarks/link.py).

    Args:
        target: the server's, host:port.
        rate: megabytes a second that it carries each way.
        delay: milliseconds that these take.
        log: where its process writes to.
    """
    with _addresses() as addresses:
        command = ["benchmarks.link", addresses.tcp, target, str(rate), str(delay)]
        with _process(command, log) as process, grpc.insecure_channel(addresses.tcp) as channel:
            _ready(process, channel, log)
            yield addresses.tcp


@contextmanager
def beside_raw(losses: Sequence[str]) -> Iterator[tuple[Addresses, Addresses]]:
    """A lossd server of two threads, and a process that answers bytes with bytes."""
    with tempfile.TemporaryDirectory(prefix="lossd-bench-") as name:
        log = Path(name)
        with lossd_server(losses, 2, log / "server") as server, echo_server(log / "echo") as echo:
            yield server, echo


def most_resident(process: int) -> int:
    """The greatest resident memory of a process so far; `ru_maxrss` has its parent's in it."""
    status = Path(f"/proc/{process}/status").read_text()
    return 1024 * int(status.partition("VmHWM:")[2].split()[0])


def processor_seconds(process: int) -> float:
    """What a process took of processors so far, in ticks of 10 ms."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def _addresses() -> Iterator[Addresses]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory(prefix="lossd-bench-") as folder:
        yield Addresses(f"unix:{folder}/socket", f"127.0.0.1:{port}")


@contextmanager
def _process(module_and_arguments: list[str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("LOSSD_")}
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", *module_and_arguments],
            stdout=output,
            stderr=output,
            env=environment,
        )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _ready(process: subprocess.Popen[bytes], channel: grpc.Channel, log: Path) -> None:
    connected = grpc.channel_ready_future(channel)
    for _ in range(int(START)):
        try:
            connected.result(timeout=1)
        except grpc.FutureTimeoutError:
            if process.poll() is not None:
                break
        else:
            return
    connected.cancel()
    raise RuntimeError(f"a server did not start; {log} says:\n{log.read_text()[-2000:]}")


def _serving(channel: grpc.Channel, log: Path) -> None:
    """Wait until kernels are compiled."""
    serving = health_pb2.HealthCheckResponse.SERVING
    stub = health_pb2_grpc.HealthStub(channel)
    try:
        for answer in stub.Watch(health_pb2.HealthCheckRequest(), timeout=START):
            if answer.status == serving:
                return
    except grpc.RpcError as error:
        raise RuntimeError(
            f"the server is not SERVING; {log} says:\n{log.read_text()[-2000:]}"
        ) from error
