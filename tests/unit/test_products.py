"""Products of matrices: BLAS has one thread while they run, whoever asks, and its own after."""

import itertools
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import threadpoolctl

from lossd.kernels import products, runtime
from lossd.kernels.stopping import Stop, Stopped, stopped_by

pytestmark = pytest.mark.thorough

Array = npt.NDArray[Any]


def counts() -> set[int]:
    """Threads of NumPy's BLAS; what SciPy brings for itself multiplies nothing here."""
    found = [i for i in threadpoolctl.threadpool_info() if i["user_api"] == "blas"]
    return {i["num_threads"] for i in found if "numpy" in i["filepath"]}


def test_blas_has_one_thread_inside_and_its_own_after() -> None:
    before = counts()
    for _ in range(3):
        with products.one_thread_each():
            assert counts() == {1}
        assert counts() == before


def test_any_thread_may_be_first_and_another_last() -> None:
    before = counts()
    first_in, last_out = threading.Event(), threading.Event()

    def first() -> None:
        with products.one_thread_each():
            first_in.set()
            last_out.wait(10)

    thread = threading.Thread(target=first)
    thread.start()
    first_in.wait(10)
    with products.one_thread_each():
        last_out.set()
        thread.join()
        assert counts() == {1}
    assert counts() == before
    with ThreadPoolExecutor(3) as pool:

        def inside(_: int) -> set[int]:
            with products.one_thread_each():
                return counts()

        assert list(pool.map(inside, range(30))) == [{1}] * 30
    assert counts() == before


def test_a_limit_of_somebody_else_comes_back() -> None:
    with threadpoolctl.threadpool_limits(2, user_api="blas"):
        before = counts()
        with products.one_thread_each():
            assert counts() == {1}
        assert counts() == before


def laid_out(how: str, rows: int, columns: int, dtype: npt.DTypeLike) -> Array:
    """A matrix: its rows next to each other, its columns, parts of larger ones, or steps apart."""

    def drawn(*shape: int) -> Array:
        return np.random.default_rng(rows + columns).normal(size=shape).astype(dtype)

    if how == "rows":
        return drawn(rows, columns)
    if how == "columns":
        return drawn(columns, rows).T
    if how == "part of rows":
        return drawn(rows + 3, columns + 5)[2 : rows + 2, 1 : columns + 1]
    if how == "part of columns":
        return drawn(columns + 3, rows + 4)[1 : columns + 1, 3 : rows + 3].T
    return drawn(2 * rows, 3 * columns)[::-2, ::3]


LAYOUTS = ["rows", "columns", "part of rows", "part of columns", "steps"]
SHAPES = [
    *((0, 3, 2), (3, 0, 2), (3, 2, 0), (1, 1, 1), (1, 9, 7), (9, 1, 7), (9, 7, 1), (7, 300, 5)),
    *((900, 70, 300), (90, 30, 5000), (40, 5000, 130), (3, 1024, 128)),
]


@pytest.fixture(params=["BLAS by its address", "NumPy"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "NumPy":
        monkeypatch.setattr(products, "_functions", {})
    else:
        assert products._functions, "this NumPy's BLAS is known"


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_products_are_numpys(shape: tuple[int, int, int], dtype: npt.DTypeLike) -> None:
    rng = np.random.default_rng(0)
    rows, depth, columns = shape
    bound = np.sqrt(max(depth, 1)) * 64 * np.finfo(dtype).eps
    pairs = {*zip(LAYOUTS, LAYOUTS, strict=True), *zip(LAYOUTS, LAYOUTS[::-1], strict=True)}
    for (one, other), add, within in itertools.product(sorted(pairs), [False, True], [False, True]):
        a = laid_out(one, rows, depth, dtype)
        b = laid_out(other, depth, columns, dtype)
        around = rng.normal(size=(rows + 2, columns + 3)).astype(dtype)
        out = around[1:-1, 2:-1] if within else np.array(around[1:-1, 2:-1])
        expected = np.float64(a) @ np.float64(b) + (out if add else 0)
        before = around.copy()
        if not add:
            out.fill(np.nan)
        with products.one_thread_each():
            made = products.product(a, b, out, add=add)
        assert made is out
        np.testing.assert_allclose(out, expected, rtol=0, atol=bound)
        around[1:-1, 2:-1] = before[1:-1, 2:-1]
        np.testing.assert_array_equal(around, before)  # nothing beside it


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("shape", [(700, 300, 500), (300, 200, 900), (100, 9000, 90)], ids=str)
def test_products_are_the_same_on_any_number_of_threads(shape: tuple[int, int, int]) -> None:
    rng = np.random.default_rng(1)
    rows, depth, columns = shape
    assert rows * depth * columns > products.ALONE
    a = rng.normal(size=(rows, depth)).astype(np.float32)
    b = rng.normal(size=(columns, depth)).astype(np.float32).T
    with products.one_thread_each():
        several = products.product(a, b)
        with runtime.one_thread():
            np.testing.assert_array_equal(products.product(a, b), several)


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("threads", [1, 2])
def test_products_end_between_tiles(threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime, "get_threads", lambda: threads)
    stop, side = Stop(), 2048
    a = np.ones((side, side))
    out = np.zeros((side, side))

    def ask() -> None:
        while not out[0].all():
            time.sleep(1e-3)
        stop.ask()

    asking = threading.Thread(target=ask)
    asking.start()
    with stopped_by(stop), products.one_thread_each(), pytest.raises(Stopped):
        products.product(a, a, out)
    asking.join()
    tiles = out.reshape(products.TILES, -1)
    done = tiles.all(1)
    assert 1 <= done.sum() < products.TILES
    assert (tiles[done] == side).all()
    assert not tiles[~done].any()
