"""Products of matrices by NumPy's BLAS, with the same bits for every number of threads.

BLAS splits a product among its threads where it likes, and its results depend on where. Here it
runs on one thread at a time, on tiles that the shapes alone decide on; tiles run side by side.
"""

import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import threadpoolctl

from lossd.kernels import courtesy, runtime, stopping

Array = npt.NDArray[Any]

STEP: Final = 128  # lengths of tiles are multiples of it
TILES: Final = 16  # tiles that the longer side of a product is cut into at most
ALONE: Final = 1 << 23  # multiplications up to which a product runs on the calling thread

_blas: Final = threadpoolctl.ThreadpoolController().select(user_api="blas").lib_controllers
_pool: Final = ThreadPoolExecutor(runtime.MAX_THREADS, "lossd-product")
_lock: Final = threading.Lock()
_inside = 0
_before: list[int | None] = []


@contextlib.contextmanager
def one_thread_each() -> Iterator[None]:
    """BLAS on one thread until the last one leaves: its setting is the process's."""
    global _inside, _before  # noqa: PLW0603  as the setting is
    with _lock:
        if not _inside:
            _before = [library.num_threads for library in _blas]
            _set_threads([1] * len(_blas))
        _inside += 1
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if not _inside:
                _set_threads(_before)


def _set_threads(counts: Sequence[int | None]) -> None:
    """Set BLAS's threads from this thread: what another one sets in OpenBLAS goes without effect.

    One that controls them does so no more, and this one does not either.
    """
    for library, count in zip(_blas, counts, strict=True):
        controlled = library.internal_api == "openblas"
        if controlled:
            library.clear_controlling_thread(force=True)
        if count is not None:
            library.set_num_threads(count)
        if controlled:
            library.clear_controlling_thread(force=True)


def product(a: Array, b: Array, out: Array | None = None, *, add: bool = False) -> Array:
    """The matrix product a @ b, inside `one_thread_each`.

    Args:
        a: (M, K).
        b: (K, N), of a's type.
        out: (M, N), where it goes; a new array by default.
        add: whether it is added to what is there.
    """
    rows, columns = a.shape[0], b.shape[1]
    if out is None:
        out = np.empty((rows, columns), a.dtype)

    def tile(first: slice, second: slice) -> None:
        place = out[first, second]
        if add:
            place += a[first] @ b[:, second]
        else:
            np.matmul(a[first], b[:, second], out=place)

    whole = slice(None)
    if rows >= columns:
        tasks = [partial(tile, part, whole) for part in parts(rows)]
    else:
        tasks = [partial(tile, whole, part) for part in parts(columns)]
    spread(tasks, a.size * columns)
    return out


def parts(length: int) -> list[slice]:
    """A dimension cut into tiles."""
    step = max(STEP, -(-length // (TILES * STEP)) * STEP)
    return [slice(start, min(start + step, length)) for start in range(0, length, step)]


def spread(tasks: Sequence[Callable[[], None]], cost: int) -> None:
    """Run tasks that do not depend on each other, side by side if they cost enough.

    Raises:
        Stopped: it was asked to end (kernels/stopping.py).
    """
    stop, threads = stopping.current(), runtime.get_threads()
    if threads == 1 or len(tasks) == 1 or cost <= ALONE:
        for task in tasks:
            stop.check()
            courtesy.pause()
            task()
        return
    queue = iter(tasks)
    turn = threading.Lock()

    def work() -> None:
        with np.errstate(all="ignore"):  # each thread has its own
            while True:
                with turn:
                    task = next(queue, None)
                if task is None or stop.asked:
                    return
                courtesy.pause()
                task()

    helpers = [_pool.submit(work) for _ in range(min(threads, len(tasks)) - 1)]
    work()
    for helper in helpers:
        helper.result()
    stop.check()
