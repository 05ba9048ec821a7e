"""Streams of predictions that nobody holds: made while they are sent, gradients let go of.

How fast a long one is beside one of 1 GB, and what the server holds meanwhile.

    python -m benchmarks.streams [--gigabytes 20] [--rounds 3]
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any, Final

import numpy as np
from lossd_client import Client, Pieces, connect
from rich.console import Console
from rich.table import Table

from benchmarks.arguments import positive
from benchmarks.processes import lossd_server, most_resident
from benchmarks.verdicts import Verdict, summary

ROWS: Final = 2048  # of a block: 8 MB
CLASSES: Final = 1000
ROUNDS: Final = 3  # of the shorter stream, before the long one and after it
RESIDENT: Final = 600  # MB that the server may hold
WITHIN: Final = 10  # per cent that the long stream may be slower than the short ones


def streamed(client: Client, block: Any, labels: Any, gigabytes: int) -> float:
    """Seconds that the loss and the gradient of so many gigabytes take."""
    times = gigabytes * 10**9 // block.nbytes
    tensors: dict[str, Any] = {
        "input": Pieces((times * ROWS, CLASSES), block.dtype, (block for _ in range(times))),
        "target": np.tile(labels, times),
    }
    received = 0

    def let_go(name: str, start: int, values: Any) -> None:
        nonlocal received
        received += values.nbytes

    start = time.perf_counter()
    client.evaluate("cross_entropy", tensors, gradients=["input"], sink=let_go)
    seconds = time.perf_counter() - start
    assert received == times * block.nbytes, "all gradients came"
    return seconds


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--gigabytes", type=positive, default=20, help="of the long stream")
    parser.add_argument("--rounds", type=positive, default=ROUNDS, help="of the short one")
    options = parser.parse_args()
    long, rounds = options.gigabytes, options.rounds
    random = np.random.default_rng(0)
    block = random.standard_normal((ROWS, CLASSES), np.float32)
    labels = random.integers(0, CLASSES, ROWS)
    table = Table("cross entropy with its gradient, TCP", "s", "MB/s each way", "server held, MB",
                  box=None, pad_edge=False)  # fmt: skip
    with (
        tempfile.TemporaryDirectory(prefix="lossd-streams-") as name,
        lossd_server(["cross_entropy"], 2, Path(name) / "log") as server,
        connect(server.tcp) as client,
    ):
        streamed(client, block, labels, 1)

        def measure(what: str, gigabytes: int, times: int) -> list[float]:
            seconds = [streamed(client, block, labels, gigabytes) for _ in range(times)]
            median = statistics.median(seconds)
            held = most_resident(server.process) / 1e6
            rate = gigabytes * 1e3 / median
            table.add_row(what, f"{median:.2f}", f"{rate:,.0f}", f"{held:,.0f}")
            return seconds

        short = f"1 GB, median of {rounds}"
        before = measure(short, 1, rounds)
        (seconds,) = measure(f"{long} GB", long, 1)
        after = measure(short, 1, rounds)
        held = most_resident(server.process) / 1e6
    share = 100 * statistics.median(before + after) * long / seconds
    console = Console(width=120)
    console.print(table)
    console.print()
    rate = f"A stream of {long} GB: ≥ {100 - WITHIN} % of the rate of 1 GB (median of {2 * rounds})"
    found = [
        Verdict(f"The server holds < {RESIDENT} MB", f"{held:,.0f} MB", held < RESIDENT),
        Verdict(rate, f"{share:.0f} %", share >= 100 - WITHIN),
    ]
    console.print(summary(found))


if __name__ == "__main__":
    main()
