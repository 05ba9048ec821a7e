"""Long computations give way to others, as long as somebody is in a hurry."""

import asyncio
import contextlib
import math
import os
import resource
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator

import numba as nb
import numpy as np
import pytest
from lossd_client.wire import Request

from lossd.kernels import courtesy, products, runtime
from lossd.kernels.variant import pointer
from lossd.server import compute

BLOCKS = 200
OFTEN = 10
"""How often a thread that gives way 100 times loses its processor at least, and another does not.

Linux leaves it there two times of three, as the other process had more.
"""


@nb.cfunc("void(intp, intp)")
def count(args: int, index: int) -> None:
    """A kernel that counts its blocks."""
    pointer(args, nb.int64)[0] += 1  # type: ignore[index]


@pytest.fixture(params=[False, True], ids=["nobody hurries", "somebody hurries"])
def hurried(request: pytest.FixtureRequest) -> Iterator[bool]:
    courtesy.hurry(request.param)
    yield request.param
    courtesy.hurry(False)


@contextlib.contextmanager
def busy(processor: int) -> Iterator[None]:
    """Another process computes on a processor without an end."""
    source = (
        f"import os; os.sched_setaffinity(0, {{{processor}}}); print(flush=True)\nwhile 1: pass"
    )
    with subprocess.Popen([sys.executable, "-c", source], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        try:
            yield
        finally:
            process.kill()


def switches(run: Callable[[], None]) -> int:
    """How often a thread that shares its processor with a busy process lost it."""
    found = list[int]()
    processor = min(os.sched_getaffinity(0))

    def measured() -> None:
        os.sched_setaffinity(0, {processor})
        before = resource.getrusage(resource.RUSAGE_THREAD)
        run()
        after = resource.getrusage(resource.RUSAGE_THREAD)
        found.append(after.ru_nvcsw + after.ru_nivcsw - before.ru_nvcsw - before.ru_nivcsw)

    with busy(processor):
        thread = threading.Thread(target=measured)
        thread.start()
        thread.join()
    return found[0]


def test_a_kernel_gives_way_between_blocks(hurried: bool) -> None:
    words = np.zeros(1, np.int64)

    def run() -> None:
        runtime.run_serial(count.address, words.ctypes.data, 0, BLOCKS, every=2)

    lost = switches(run)
    assert words[0] == BLOCKS
    assert (lost >= OFTEN) == hurried, lost


@pytest.mark.parametrize("known", [True, False], ids=["BLAS by its address", "NumPy"])
def test_products_give_way_between_tiles(
    hurried: bool, known: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not known:
        monkeypatch.setattr(products, "_functions", {})
    monkeypatch.setattr(products, "STEP", 1)
    monkeypatch.setattr(products, "TILES", BLOCKS)
    a, b = np.ones((BLOCKS, 1)), np.ones((1, 1))
    lost = switches(lambda: products.product(a, b))
    assert (lost >= OFTEN) == hurried, lost


@pytest.mark.parametrize(
    ("blocks", "seconds", "threads", "expected"),
    [
        (1000, 0.1, 1, 5),
        (1000, 0.1, 2, 2),
        (10, 1.0, 1, 1),
        (10, 0.5e-3, 1, 0),
        (10, 0.6e-3, 1, 8),
        (10, 0.4e-3, 2, 6),
        (1, 0.0, 1, 0),
        (10, math.inf, 1, courtesy.UNKNOWN),
    ],
)
def test_after_how_many_blocks(blocks: int, seconds: float, threads: int, expected: int) -> None:
    assert courtesy.blocks_between(blocks, seconds, threads) == expected


def test_who_asks_for_something_brief_is_in_a_hurry_for_a_while(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(compute, "HURRY", 0.5)
    said = list[bool]()
    monkeypatch.setattr(courtesy, "hurry", said.append)
    x = np.ones(8, np.float32)

    async def ask() -> None:
        computer = compute.Computer(1)
        request = Request("l1_loss", {"input": x, "target": x}, {}, "mean", [])
        await computer.evaluate(request)  # compiles: not brief
        assert said == []
        for _ in range(3):
            assert computer.evaluate_now(request, {}, alone=False, require=int) is not None
            assert said == [True]
        async with asyncio.timeout(30):
            while said == [True]:
                await asyncio.sleep(0.01)
        assert said == [True, False]
        computer.close()

    asyncio.run(ask())
