"""From where on more threads pay, and another one: python -m benchmarks.thresholds.

Two numbers in lossd rest on this: `plan.PARALLEL_FROM`, the elements from which a kernel runs on
several threads, and `server.compute.INLINE`, the bytes up to which the server computes on its
event loop instead of handing the work to its pool.
"""

import argparse
import asyncio
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from lossd_client import connect
from rich.console import Console
from rich.table import Table

from benchmarks import contenders
from benchmarks.report import seconds
from benchmarks.workloads import Workload, size_name
from lossd import plan
from lossd.kernels import runtime
from lossd.server import compute
from lossd.spec import Shape

CASES: Final[dict[str, tuple[Shape, ...]]] = {
    "mse_loss": tuple((1 << power,) for power in range(14, 22)),
    "binary_cross_entropy_with_logits": tuple((1 << power,) for power in range(14, 22)),
    "cross_entropy": tuple((1 << power, 64) for power in range(8, 16)),
}
"""A light element-wise kernel, a heavy one and a row-wise one; all have several blocks."""

SAMPLES: Final = 400  # of each size at most
BUDGET: Final = 0.4  # seconds of sampling for each size


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(
        "python -m benchmarks.thresholds", description=__doc__.partition("\n\n")[2]
    )
    parser.add_argument("--threads", type=int, default=runtime.get_threads())
    threads = parser.parse_args().threads
    console = Console(highlight=False)
    console.print(parallel(threads))
    console.print(
        "typical: median; bad: the 95th of 100 calls. PARALLEL_FROM should be where one thread\n"
        "stops to be faster in both, for most kernels.\n"
    )
    console.print(inline())
    console.print("INLINE should be where computing takes about as long as the hop.")


def parallel(threads: int) -> Table:
    """One thread against several, by size."""
    table = Table(title=f"Serial and on {threads} threads; PARALLEL_FROM = {plan.PARALLEL_FROM}")
    table.add_column("loss", no_wrap=True)
    for column in ("elements", "1: typical", "bad", f"{threads}: typical", "bad", "speed-up"):
        table.add_column(column, justify="right", no_wrap=True)
    used = plan.PARALLEL_FROM
    vars(plan)["PARALLEL_FROM"] = 0  # plans made from now on may run in parallel at any size
    try:
        for loss, shapes in CASES.items():
            for shape in shapes:
                call = _call(Workload(loss, shape))
                one, several = _alternating(
                    call, lambda: runtime.set_threads(1), lambda: runtime.set_threads(threads)
                )
                ratio = _typical(one) / _typical(several)
                cells = [f(times) for times in (one, several) for f in (_typical, _bad)]
                elements = f"{Workload(loss, shape).elements:,}"
                table.add_row(loss, elements, *map(seconds, cells), f"{ratio:.2f}")
            table.add_section()
    finally:
        vars(plan)["PARALLEL_FROM"] = used
    return table


def inline() -> Table:
    """Computing on the event loop against the way to another thread and back, by size."""
    hop = asyncio.run(_hops())
    table = Table(title=f"Computing, and the hop to the pool; INLINE = {compute.INLINE} bytes")
    table.add_column("loss", no_wrap=True)
    for column in ("size", "bytes of tensors", "compute", "hop", "compute/hop"):
        table.add_column(column, justify="right", no_wrap=True)
    for loss, shapes in (
        ("mse_loss", [(1 << power,) for power in (8, 10, 12, 13, 14, 15, 16)]),
        ("binary_cross_entropy_with_logits", [(1 << power,) for power in (8, 10, 12, 13, 14, 15)]),
        ("cross_entropy", [(64, 10), (256, 10), (256, 64), (512, 64), (4096, 10)]),
    ):
        for shape in shapes:
            workload = Workload(loss, shape)
            size = sum(array.nbytes for array in workload.tensors().values())
            time_of = _typical(_alternating(_call(workload), lambda: None)[0])
            row = [size_name(shape), f"{size:,}", seconds(time_of), seconds(hop)]
            table.add_row(loss, *row, f"{time_of / hop:.2f}")
        table.add_section()
    return table


def _call(workload: Workload) -> Callable[[], object]:
    return contenders.lossd_call(workload, workload.tensors(), connect("inproc:"))


def _alternating(
    call: Callable[[], object], *settings: Callable[[], None]
) -> tuple[list[float], ...]:
    """Seconds of single calls under each setting, in turns."""
    found: tuple[list[float], ...] = tuple([] for _ in settings)
    for apply in settings:
        apply()
        call()  # compiles
    start = time.perf_counter()
    while len(found[0]) < SAMPLES and time.perf_counter() - start < BUDGET:
        for apply, times in zip(settings, found, strict=True):
            apply()
            call()
            before = time.perf_counter()
            call()
            times.append(time.perf_counter() - before)
    return found


async def _hops() -> float:
    """Seconds that a call in another thread takes, typically, when it does nothing."""
    loop, times = asyncio.get_running_loop(), []
    with ThreadPoolExecutor(1) as pool:
        for _ in range(2000):
            before = time.perf_counter()
            await loop.run_in_executor(pool, int)
            times.append(time.perf_counter() - before)
    return _typical(times)


def _typical(times: list[float]) -> float:
    return statistics.median(times)


def _bad(times: list[float]) -> float:
    return statistics.quantiles(times, n=20, method="inclusive")[-1]


if __name__ == "__main__":
    main()
