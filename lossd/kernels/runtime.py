"""Running kernels: the threading layer, the serial and the parallel driver."""

import contextlib
import ctypes
import functools
import os
import sys
import sysconfig
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numba as nb
from lossd_client.errors import ParameterError
from numba import prange, types

from lossd.compiled.signs import give_way, is_set
from lossd.kernels import cache, columns, courtesy, elementwise, rowwise, samples, stopping
from lossd.kernels.slots import call_block
from lossd.kernels.variant import Variant
from lossd.spec import Elementwise, Loss, Samples


def _load_tbb() -> None:
    """Load the tbb wheel's library, so that Numba finds it.

    The wheel puts it into the environment's lib folder, where the dynamic loader does not look.
    """
    name = {"darwin": "libtbb.12.dylib", "win32": "tbb12.dll"}.get(sys.platform, "libtbb.so.12")
    for folder in {Path(sys.prefix) / "lib", Path(sysconfig.get_path("data")) / "lib"}:
        if (folder / name).exists():
            ctypes.CDLL(str(folder / name), mode=ctypes.RTLD_GLOBAL)


def _largest_cache() -> int:
    """Its bytes; a usual number where the system does not tell."""
    name = "SC_LEVEL3_CACHE_SIZE"
    told = os.sysconf(name) if name in getattr(os, "sysconf_names", {}) else 0
    return told if told > 0 else 32 << 20


CACHE: Final = _largest_cache()
"""Bytes of the processor's largest cache."""

_load_tbb()
nb.config.THREADING_LAYER_PRIORITY = ["tbb", "omp", "workqueue"]


@nb.njit
def _call_unless_stopped(
    kernel: int, args: int, index: int, stop: int, hurry: int, every: int
) -> None:
    # a function of its own: Numba reads what does not depend on the index before a prange's loop
    if every > 0 and index % every == every - 1 and is_set(hurry):
        give_way()
    if not is_set(stop):
        call_block(kernel, args, index)


@cache.compiled("void(intp, intp, intp, intp, intp, intp, intp)")
def _run_serial(
    kernel: int, args: int, first: int, last: int, stop: int, hurry: int, every: int
) -> None:
    for index in range(first, last):
        _call_unless_stopped(kernel, args, index, stop, hurry, every)


@cache.compiled(
    *(f"intp(Array({kind}, 1, 'C', readonly=True))" for kind in ("float32", "float64", "int64"))
)
def address(array: Any) -> int:
    """Where an array's memory begins: six times faster than NumPy tells it."""
    return array.ctypes.data  # type: ignore[no-any-return]


@cache.compiled("void(intp, intp, intp, intp, intp, intp, intp)", parallel=True)
def _run_parallel(
    kernel: int, args: int, first: int, last: int, stop: int, hurry: int, every: int
) -> None:
    for index in prange(first, last):
        _call_unless_stopped(kernel, args, index, stop, hurry, every)


_run_parallel(
    0, 0, 0, 0, stopping.current().address, courtesy.ADDRESS, 0
)  # starts the threads, which decides on the layer
LAYER: Final[str] = nb.threading_layer()
MAX_THREADS: Final[int] = nb.config.NUMBA_NUM_THREADS

_count = min(MAX_THREADS, len(os.sched_getaffinity(0)))
_own: Final = threading.local()

_counting = threading.Lock()
_running = 0  # kernels that are run on several threads, now


def _begin_anew() -> None:
    """In a forked child, where nobody else runs any."""
    global _counting, _running
    _counting, _running = threading.Lock(), 0


os.register_at_fork(after_in_child=_begin_anew)

# workqueue aborts the process when two threads enter a parallel kernel
_turn: Final = threading.Lock() if LAYER == "workqueue" else contextlib.nullcontext()


def set_threads(count: int) -> None:
    """Run large kernels on `count` threads. Results do not depend on it.

    Raises:
        ParameterError: not between 1 and the threads that were started (the processors, or
            `NUMBA_NUM_THREADS`).
    """
    global _count  # noqa: PLW0603  one number for the process, as Numba's threads are
    if not 1 <= count <= MAX_THREADS:
        raise ParameterError(
            f"threads = {count} must be between 1 and {MAX_THREADS}", field="threads"
        )
    _count = count


def get_threads() -> int:
    """How many threads large kernels run on."""
    return getattr(_own, "count", None) or _count


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Run kernels on the calling thread alone, as callers that are many do."""
    _own.count = 1
    try:
        yield
    finally:
        _own.count = None


def run_serial(kernel: int, args: int, first: int, last: int, every: int = 0) -> None:
    """Compute blocks from `first` to before `last`, one after the other.

    Args:
        kernel: its address.
        args: that of its arguments.
        first: number of the first block.
        last: number after the last one.
        every: after how many blocks it gives way (kernels/courtesy.py), 0 for never.

    Raises:
        Stopped: it was asked to end (kernels/stopping.py).
    """
    stop = stopping.current()
    _run_serial(kernel, args, first, last, stop.address, courtesy.ADDRESS, every)
    stop.check()


def run_parallel(
    kernel: int, args: int, first: int, last: int, threads: int, every: int = 0
) -> None:
    """Compute blocks on `threads` threads, as `run_serial` does on one.

    While other kernels run, on its part of them: threads that are more than processors would wait
    for each other at the end of each kernel.
    """
    global _running  # noqa: PLW0603  one number for the process, as processors are
    stop = stopping.current()
    with _counting:
        _running += 1
        threads //= _running
    try:
        if threads > 1:
            with _turn:
                nb.set_num_threads(threads)  # holds for the calling thread alone
                _run_parallel(kernel, args, first, last, stop.address, courtesy.ADDRESS, every)
        else:
            _run_serial(kernel, args, first, last, stop.address, courtesy.ADDRESS, every)
    finally:
        with _counting:
            _running -= 1
    stop.check()


def driver_of(loss: type[Loss], variant: Variant) -> Any:
    """The module that writes a loss's kernel."""
    if issubclass(loss, Samples):
        return samples
    if issubclass(loss, Elementwise):
        return elementwise
    return columns if variant.columns else rowwise


@functools.cache
def kernel(loss: type[Loss], variant: Variant) -> cache.Kernel:
    """A loss's kernel, from memory, disk or the compiler."""
    block = driver_of(loss, variant).build(loss, variant)
    block.__qualname__ = f"{loss.__module__}.{loss.__name__}-{variant}"  # names the cache's files
    return cache.Kernel(
        block, types.void(types.intp, types.intp), cache.digest(cache.source_of(loss))
    )
