"""How long a small call takes: alone, and while another client has a large evaluation computed.

python -m benchmarks.latency
"""

import contextlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import numpy as np
from lossd_client import connect, wire
from rich.console import Console
from rich.table import Table

from benchmarks.processes import echo_server, lossd_server
from benchmarks.raw import Exchange
from benchmarks.workloads import Workload, evaluation

SMALL: Final = Workload("cross_entropy", (64, 10))
LARGE: Final = Workload("cross_entropy", (64_000, 1000))  # 256 MB
CALLS: Final = 3000
WARM: Final = 300
SETTLE: Final = 3.0  # seconds until the other client is at its third evaluation


def latencies(call: Callable[[], object]) -> list[float]:
    """Seconds of many calls, in ascending order."""
    for _ in range(WARM):
        call()
    times = []
    for _ in range(CALLS):
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
        call = evaluation(LARGE, client, in_place=True)
        while True:
            call()


def main() -> None:
    """Measure and print."""
    if sys.argv[1:2] == ["large"]:
        return evaluate_large(sys.argv[2])
    found = {}
    with tempfile.TemporaryDirectory(prefix="lossd-latency-") as name:
        log = Path(name)
        random = np.random.default_rng(0)
        tensors = {
            "input": random.standard_normal((64, 10), np.float32),
            "target": np.zeros(64, int),
        }
        request = wire.Request("cross_entropy", tensors, {}, "mean", ["input"])
        with echo_server(log / "echo") as echo:
            exchange = Exchange(echo.unix, wire.write_stream(1, request), 2700)
            found["raw stream ping-pong, alone"] = latencies(exchange)
        with (
            lossd_server(["cross_entropy"], 2, log / "log") as addresses,
            connect(addresses.unix) as client,
        ):
            call = evaluation(SMALL, client)
            found["lossd, alone"] = latencies(call)
            for what, target in (("shared memory", addresses.unix), ("TCP", addresses.tcp)):
                with beside(target):
                    found[f"lossd, beside 256 MB by {what}"] = latencies(call)
    table = Table("64x10 cross entropy over a unix socket", "p50, µs", "p99, µs", "p99 / p50 alone",
                  box=None, pad_edge=False)  # fmt: skip
    alone = found["lossd, alone"][CALLS // 2]
    for what, times in found.items():
        p50, p99 = times[CALLS // 2], times[CALLS * 99 // 100]
        table.add_row(what, f"{p50 * 1e6:,.0f}", f"{p99 * 1e6:,.0f}", f"{p99 / alone:.1f}")
    return Console(width=120).print(table)


if __name__ == "__main__":
    main()
