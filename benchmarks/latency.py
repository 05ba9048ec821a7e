"""Small calls: how long one takes, alone and beside a large one, and how many a second go together.

    python -m benchmarks.latency [--calls 3000] [--rounds 7]

A call alone stands beside a ping-pong of the same bytes over raw grpcio, on a unix socket and over
TCP. Calls that go together are those of one client's `map`.
"""

import argparse
import contextlib
import itertools
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from lossd_client import Client, connect, nn, wire
from rich.console import Console
from rich.table import Table

from benchmarks.arguments import positive
from benchmarks.processes import Addresses, echo_server, lossd_server
from benchmarks.raw import Exchange
from benchmarks.verdicts import Verdict, summary
from benchmarks.workloads import Workload, evaluation

SMALL: Final = Workload("cross_entropy", (64, 10))
LARGE: Final = Workload("cross_entropy", (64_000, 1000))  # 256 MB
ANSWER: Final = 2700  # bytes of a loss and a gradient of 64x10
WARM: Final = 300
SETTLE: Final = 3.0  # seconds until the other client is at its third evaluation
TOGETHER: Final = 8000  # evaluations of a round
LEAST: Final = 8000  # of them a second


@dataclass(frozen=True)
class Latency:
    """Seconds of many calls, in ascending order."""

    transport: str
    what: str
    times: list[float]

    @property
    def p50(self) -> float:
        """As long takes half of them at most."""
        return self.times[len(self.times) // 2]

    @property
    def p99(self) -> float:
        """As long take 99 of 100 at most."""
        return self.times[len(self.times) * 99 // 100]


def latencies(call: Callable[[], object], calls: int) -> list[float]:
    """Seconds of many calls, in ascending order."""
    for _ in range(WARM):
        call()
    times = []
    for _ in range(calls):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return sorted(times)


@contextlib.contextmanager
def beside(target: str) -> Iterator[None]:
    """Another process evaluates something large at a server, again and again."""
    process = subprocess.Popen([sys.executable, "-m", "benchmarks.latency", "large", target])
    try:
        time.sleep(SETTLE)
        yield
        assert process.poll() is None, "it went on until the end"
    finally:
        process.terminate()
        process.wait(20)


def evaluate_large(target: str) -> None:
    """Evaluate something large until the end."""
    with connect(target) as client:
        call = evaluation(LARGE, client, in_place=target.startswith("unix:"))
        while True:
            call()


def raw(echo: Addresses, calls: int) -> Iterator[Latency]:
    """Ping-pongs of what a small call sends and receives."""
    request = wire.Request(SMALL.loss, SMALL.tensors(), {}, SMALL.reduction, ["input"])
    message = wire.write_stream(1, request)
    for transport, address in (("unix", echo.unix), ("TCP", echo.tcp)):
        exchange = Exchange(address, message, ANSWER)
        yield Latency(transport, "raw stream ping-pong, alone", latencies(exchange, calls))
        exchange.close()


def served(server: Addresses, calls: int) -> Iterator[Latency]:
    """Small calls alone; and over a unix socket beside large ones."""
    with connect(server.unix) as client, connect(server.tcp) as over_tcp:
        call = evaluation(SMALL, client)
        yield Latency("unix", "lossd, alone", latencies(call, calls))
        yield Latency("TCP", "lossd, alone", latencies(evaluation(SMALL, over_tcp), calls))
        for what, target in (("shared memory", server.unix), ("TCP", server.tcp)):
            with beside(target):
                times = latencies(call, calls)
            yield Latency("unix", f"lossd, beside 256 MB by {what}", times)


def together(client: Client, rounds: int, *, gradients: bool) -> float:
    """Evaluations a second that go together, the median of some rounds."""
    criterion = nn.CrossEntropyLoss(client=client)
    loss = criterion.value_and_grad if gradients else criterion
    tensors = SMALL.tensors()
    rates = []
    for _ in range(1 + rounds):
        inputs = (itertools.repeat(tensors[name], TOGETHER) for name in ("input", "target"))
        start = time.perf_counter()
        count = sum(1 for _ in client.map(loss, *inputs))
        rates.append(count / (time.perf_counter() - start))
    return statistics.median(rates[1:])  # the first is there to get warm


def of_calls(found: list[Latency]) -> Table:
    """Table of latencies."""
    table = Table("64x10 cross entropy with its gradient", "over", "p50, µs", "p99, µs",
                  "p99 / p50 alone", box=None, pad_edge=False)  # fmt: skip
    alone = {each.transport: each.p50 for each in found if each.what == "lossd, alone"}
    for each in found:
        table.add_row(each.what, each.transport, f"{each.p50 * 1e6:,.0f}", f"{each.p99 * 1e6:,.0f}",
                      f"{each.p99 / alone[each.transport]:.1f}")  # fmt: skip
    return table


def main() -> None:
    """Measure and print."""
    if sys.argv[1:2] == ["large"]:
        return evaluate_large(sys.argv[2])
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--calls", type=positive, default=3000, help="one after another")
    parser.add_argument("--rounds", type=positive, default=7, help="of calls that go together")
    options = parser.parse_args()
    many = Table(f"64x10 cross entropy, {TOGETHER:,} evaluations by `Client.map`", "over",
                 f"evaluations/s, median of {options.rounds}", box=None,
                 pad_edge=False)  # fmt: skip
    verdicts = []
    with tempfile.TemporaryDirectory(prefix="lossd-latency-") as name:
        log = Path(name)
        with echo_server(log / "echo") as echo:
            found = list(raw(echo, options.calls))
        with lossd_server([SMALL.loss], 2, log / "log") as server:
            found += served(server, options.calls)
            for transport, address in (("unix", server.unix), ("TCP", server.tcp)):
                for what, gradients in (("losses", False), ("losses and gradients", True)):
                    with connect(address) as client:
                        rate = together(client, options.rounds, gradients=gradients)
                    many.add_row(what, transport, f"{rate:,.0f}")
                    target = f"{what[0].upper()}{what[1:]} that go together over {transport}"
                    verdicts.append(
                        Verdict(f"{target}: ≥ {LEAST:,} a second", f"{rate:,.0f}", rate >= LEAST)
                    )
    console = Console(width=120)
    for table in (of_calls(found), many, summary(verdicts)):
        console.print(table)
        console.print()
    return None


if __name__ == "__main__":
    main()
