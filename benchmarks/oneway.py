"""Losses without gradients over TCP, against raw gRPC that carries the same bytes one way.

python -m benchmarks.oneway
"""

import functools
from typing import Final

from lossd_client import connect, nn
from rich.console import Console
from rich.table import Table

from benchmarks.contenders import request_bytes
from benchmarks.processes import beside_raw
from benchmarks.raw import Exchange
from benchmarks.report import seconds
from benchmarks.timing import interleaved
from benchmarks.workloads import Workload
from lossd.spec import registry

WORKLOADS: Final = tuple(
    Workload(loss, shape)
    for loss, shapes in {
        "mse_loss": ((1 << 18,), (1 << 20,), (1 << 24,)),
        "binary_cross_entropy_with_logits": ((1 << 20,), (1 << 24,)),
        "cross_entropy": ((4096, 100), (4096, 1000), (512, 32_000), (64_000, 1000)),
    }.items()
    for shape in shapes
)
ANSWER: Final = 64
"""Bytes that come back: a loss and what is told with it."""

ROUNDS: Final = 7


def main() -> None:
    """Measure and print."""
    table = Table("loss", "size", "sent, MB", "lossd", "raw", "share of raw", "MB/s",
                  title="Losses without gradients, TCP", box=None, pad_edge=False)  # fmt: skip
    names = sorted({workload.loss for workload in WORKLOADS})
    with beside_raw(names) as (server, echo), connect(server.tcp) as client:
        for workload in WORKLOADS:
            tensors = workload.tensors()
            request = request_bytes(workload, tensors)
            criterion = getattr(nn, registry[workload.loss].__name__)(client=client)
            exchange = Exchange(echo.tcp, request, ANSWER)
            arrays = list(tensors.values())
            ask = functools.partial(criterion, *arrays)
            found = interleaved({"lossd": ask, "raw": exchange}, ROUNDS)
            exchange.close()
            ours, raw = found["lossd"].median, found["raw"].median
            table.add_row(
                workload.loss, workload.size, f"{len(request) / 1e6:,.1f}", seconds(ours),
                seconds(raw), f"{100 * raw / ours:.0f} %", f"{len(request) / ours / 1e6:,.0f}",
            )  # fmt: skip
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
