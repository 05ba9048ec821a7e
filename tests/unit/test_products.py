"""Products of matrices: BLAS has one thread while they run, whoever asks, and its own after."""

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import threadpoolctl

from lossd.kernels import products


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


@pytest.mark.parametrize("add", [False, True])
@pytest.mark.parametrize(
    "shape", [(0, 3, 2), (1, 1, 1), (7, 300, 5), (5, 0, 4), (900, 70, 300), (90, 30, 5000)]
)
def test_products_are_numpys(shape: tuple[int, int, int], add: bool) -> None:
    rng = np.random.default_rng(0)
    m, k, n = shape
    a, b, out = rng.normal(size=(m, k)), rng.normal(size=(n, k)).T, rng.normal(size=(m, n))
    expected = a @ b + (out if add else 0)
    with products.one_thread_each():
        made = products.product(a, b, out, add=add)
    assert made is out
    np.testing.assert_allclose(out, expected, rtol=1e-10, atol=1e-10)
