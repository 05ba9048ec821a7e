"""What several worker processes of a server bring: evaluations of clients that call all the time.

Clients are processes of their own, and need processors too: what workers bring shows where there
are more processors than clients.

    python -m benchmarks.workers [--workers 1,2] [--clients 2]
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from lossd_client import connect
from rich.console import Console
from rich.table import Table

from benchmarks.arguments import positive
from benchmarks.processes import lossd_server
from benchmarks.workloads import Workload, evaluation

SHAPES: Final = ((64, 10), (256, 1000))  # 3 KB and 1 MB
SECONDS: Final = 4.0
WARM: Final = 1.0


def call(target: str, rows: int, classes: int, until: float) -> None:
    """Call until then, and print how often from `SECONDS` before."""
    with connect(target) as client:
        once = evaluation(Workload("cross_entropy", (rows, classes)), client)
        count = 0
        while (now := time.time()) < until:
            once()
            count += now > until - SECONDS
    print(json.dumps(count))


def rate(target: str, shape: tuple[int, int], clients: int) -> float:
    """Evaluations a second of so many clients together."""
    until = time.time() + 2.0 + WARM + SECONDS  # their imports take a second
    command = [sys.executable, "-m", "benchmarks.workers", "call", target, *map(str, shape)]
    started = [
        subprocess.Popen([*command, str(until)], stdout=subprocess.PIPE, text=True)
        for _ in range(clients)
    ]
    count: int = sum(json.loads(process.communicate()[0]) for process in started)
    return count / SECONDS


def main() -> None:
    """Measure and print."""
    if sys.argv[1:2] == ["call"]:
        target, rows, classes, until = sys.argv[2:]
        return call(target, int(rows), int(classes), float(until))
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--workers", default="1,2", help="numbers of them, separated by commas")
    parser.add_argument("--clients", type=positive, default=2)
    options = parser.parse_args()
    columns = [f"{rows}x{classes}" for rows, classes in SHAPES]
    table = Table(f"evaluations/s, {options.clients} clients, TCP, {os.cpu_count()} cores",
                  *columns, box=None, pad_edge=False)  # fmt: skip
    for workers in map(int, options.workers.split(",")):
        with (
            tempfile.TemporaryDirectory(prefix="lossd-workers-") as name,
            lossd_server(
                ["cross_entropy"], 1, Path(name) / "log", flags=["--workers", str(workers)]
            ) as server,
        ):
            rates = [rate(server.tcp, shape, options.clients) for shape in SHAPES]
        table.add_row(f"{workers} worker{'s' * (workers > 1)}", *(f"{r:,.0f}" for r in rates))
    return Console(width=120).print(table)


if __name__ == "__main__":
    main()
