"""Streams of predictions that nobody holds: made while they are sent, gradients let go of.

How fast a long one is beside one of 1 GB, and what the server holds meanwhile.

    python -m benchmarks.streams [--gigabytes 20]
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

ROWS: Final = 2048  # of a block: 8 MB
CLASSES: Final = 1000
ROUNDS: Final = 3  # of the shorter stream, before the long one and after it


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
    long = parser.parse_args().gigabytes
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

        def row(what: str, gigabytes: int, seconds: float) -> None:
            held = most_resident(server.process) / 1e6
            rate = gigabytes * 1e3 / seconds
            table.add_row(what, f"{seconds:.2f}", f"{rate:,.0f}", f"{held:,.0f}")

        short = [streamed(client, block, labels, 1) for _ in range(ROUNDS)]
        row(f"1 GB, median of {ROUNDS}", 1, statistics.median(short))
        row(f"{long} GB", long, streamed(client, block, labels, long))
        short = [streamed(client, block, labels, 1) for _ in range(ROUNDS)]
        row(f"1 GB, median of {ROUNDS}", 1, statistics.median(short))
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
