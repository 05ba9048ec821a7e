"""Calls over links of several rates, by the size of their chunks: python -m benchmarks.links."""

import functools
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final
from unittest import mock

from lossd_client import connect
from lossd_client.pace import SMALL, Pace, Sent
from lossd_client.wire import CHUNK
from rich.console import Console
from rich.table import Table

from benchmarks.processes import lossd_server, slow_link
from benchmarks.report import seconds
from benchmarks.timing import interleaved
from benchmarks.workloads import Workload, evaluation

LINKS: Final = ((30.0, 0.1), (125.0, 0.1), (125.0, 5.0), (500.0, 0.1))
"""Megabytes a second each way, and milliseconds: 1 Gbit/s is 125."""

WORKLOADS: Final = tuple(Workload("mse_loss", (1 << size,)) for size in (17, 18, 20, 22))
SIZES: Final = (1 << 16, SMALL, 1 << 18, 1 << 19, CHUNK)
ROUNDS: Final = 7
WARM: Final = 6
"""Calls after which sizes are adapted."""


def fixed(call: Callable[[], object], size: int) -> Callable[[], object]:
    """A call whose chunks have a given size."""

    def choose(pace: Pace, request: Any, alone: bool) -> Sent:
        return Sent(None, 1, size)

    def run() -> object:
        with mock.patch.object(Pace, "choose", choose):
            return call()

    return run


def main() -> None:
    """Measure and print."""
    table = Table("MB/s", "ms", "size", "bytes there / rate",
                  *(f"{size >> 10} KiB" for size in SIZES), "adapted",
                  title=f"Loss and gradient over a link, by chunks: medians of {ROUNDS}, in turns",
                  box=None, pad_edge=False)  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="lossd-bench-") as name:
        log = Path(name)
        with lossd_server(["mse_loss"], 2, log / "server") as server:
            for rate, delay in LINKS:
                with (
                    slow_link(server.tcp, rate, delay, log / "link") as address,
                    connect(address) as client,
                ):
                    for workload in WORKLOADS:
                        call = functools.partial(evaluation, workload)(client)
                        for _ in range(WARM):
                            call()
                        contenders = {str(size): fixed(call, size) for size in SIZES}
                        found = interleaved(contenders | {"adapted": call}, ROUNDS)
                        limit = workload.tensors()["input"].nbytes * 2 / rate / 1e6
                        table.add_row(
                            f"{rate:g}", f"{delay:g}", workload.size, seconds(limit),
                            *(seconds(each.median) for each in found.values()),
                        )  # fmt: skip
    Console(width=140).print(table)


if __name__ == "__main__":
    main()
