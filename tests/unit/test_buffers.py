"""Memory is used again, and never while anything refers to it."""

import gc
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from lossd_client.buffers import ALIGNMENT, LARGE, Pool

FLOAT = np.dtype(np.float32)
MANY = LARGE  # elements: four times what makes an array large


def address(array: np.ndarray) -> int:
    return array.__array_interface__["data"][0]


@pytest.mark.parametrize("shape", [(MANY,), (4, MANY), (MANY, 3), (1, MANY, 1), (MANY + 1,)])
@pytest.mark.parametrize("dtype", ["float32", "float64", "uint8", "int64", "bool"])
def test_arrays_are_like_any_other(shape: tuple[int, ...], dtype: str) -> None:
    array = Pool().empty(shape, np.dtype(dtype))
    assert array.shape == shape
    assert array.dtype == dtype
    assert array.flags.c_contiguous
    assert array.flags.writeable
    assert address(array) % ALIGNMENT == 0
    array[...] = 1
    assert array.sum(dtype=np.int64) == array.size


@pytest.mark.parametrize("shape", [(), (0,), (3,), (0, 1 << 40), (LARGE // 4 - 1,)])
def test_small_arrays_come_from_numpy(shape: tuple[int, ...]) -> None:
    pool = Pool()
    array = pool.empty(shape, FLOAT)
    assert (array.shape, array.dtype) == (shape, FLOAT)
    del array
    assert pool.kept == 0


def test_memory_is_used_again() -> None:
    pool = Pool()
    first = pool.empty((MANY,), FLOAT)
    place = address(first)
    del first
    assert pool.kept >= 4 * MANY
    again = pool.empty((MANY,), FLOAT)
    assert address(again) == place
    assert pool.kept == 0


def test_memory_is_used_again_for_other_shapes_and_types() -> None:
    pool = Pool()
    first = pool.empty((MANY, 2), FLOAT)
    place = address(first)
    del first
    assert address(pool.empty((2, MANY), np.dtype(np.float32))) == place
    assert address(pool.empty((MANY,), np.dtype(np.float64))) == place
    nearly = pool.empty((2 * MANY - 1,), FLOAT)  # of the same size class
    assert address(nearly) == place


def test_memory_that_is_referred_to_is_not_handed_out() -> None:
    pool = Pool()
    arrays = [pool.empty((MANY,), FLOAT) for _ in range(4)]
    for k, array in enumerate(arrays):
        array[...] = k
    assert len({address(array) for array in arrays}) == 4
    assert [set(array.tolist()) for array in arrays] == [{0}, {1}, {2}, {3}]


@pytest.mark.parametrize(
    "refer",
    [
        lambda array: array[5:10],
        lambda array: array.reshape(2, -1).T,
        lambda array: array.view(np.uint8)[:1],
        lambda array: memoryview(array)[3:],
        lambda array: np.broadcast_to(array, (2, array.size)),
        iter,
        lambda array: np.frombuffer(array, np.uint8)[1:2],
    ],
    ids=["slice", "transpose", "bytes", "memoryview", "broadcast", "iterator", "buffer"],
)
def test_a_view_keeps_the_memory(refer: object) -> None:
    pool = Pool()
    array = pool.empty((MANY,), FLOAT)
    place = address(array)
    view = refer(array)  # type: ignore[operator]
    del array
    gc.collect()
    assert pool.kept == 0
    other = pool.empty((MANY,), FLOAT)
    assert address(other) != place
    del other
    kept = pool.kept
    del view
    assert pool.kept > kept


def test_no_more_is_kept_than_the_limit() -> None:
    one = Pool()
    array = one.empty((MANY,), FLOAT)
    del array
    size = one.kept

    pool = Pool(limit=2 * size + 1)
    arrays = [pool.empty((MANY,), FLOAT) for _ in range(5)]
    del arrays
    assert pool.kept == 2 * size
    arrays = [pool.empty((MANY,), FLOAT) for _ in range(3)]
    assert pool.kept == 0
    del arrays
    assert pool.kept == 2 * size

    none = Pool(limit=0)
    array = none.empty((MANY,), FLOAT)
    del array
    assert none.kept == 0


def test_what_was_not_used_for_longest_makes_room() -> None:
    pool = Pool(limit=12 * LARGE)
    for size in (4 * LARGE, LARGE, 2 * LARGE, LARGE, 4 * LARGE, 8 * LARGE):
        array = pool.empty((size,), np.dtype(np.uint8))
        del array
    assert pool.kept == 12 * LARGE  # 4 and 8 of them, which were used last
    arrays = [pool.empty((k * LARGE,), np.dtype(np.uint8)) for k in (4, 8)]
    assert pool.kept == 0
    del arrays
    large = pool.empty((13 * LARGE,), np.dtype(np.uint8))
    del large
    assert pool.kept == 12 * LARGE


@pytest.mark.parametrize("count", [LARGE // 4, MANY, MANY + 1, 3 * MANY // 2, (1 << 22) + 1])
def test_no_more_than_a_quarter_is_wasted(count: int) -> None:
    pool = Pool()
    array = pool.empty((count,), FLOAT)
    size = array.nbytes
    del array
    assert size <= pool.kept <= 1.25 * size + ALIGNMENT


def test_threads_share_a_pool() -> None:
    pool = Pool()
    start = threading.Barrier(4)

    def work(k: int) -> None:
        start.wait(60)
        for _ in range(200):
            array = pool.empty((LARGE,), np.dtype(np.uint8))
            array[:] = k
            assert array[0] == array[-1] == k
            assert (array[:: 1 << 12] == k).all()

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(work, range(4)))
    assert pool.kept <= 4 * 2 * LARGE
