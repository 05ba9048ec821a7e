"""Compiling, caching and running kernels: the threading layer, the two drivers, the disk cache."""

import contextlib
import ctypes
import functools
import hashlib
import sys
import sysconfig
import threading
from pathlib import Path
from typing import Any, Final

import numba as nb
from numba import cfunc, njit, prange, types

from lossd.kernels import elementwise, rowwise
from lossd.kernels.slots import call_block
from lossd.kernels.variant import Variant
from lossd.spec import Elementwise, Loss

PACKAGE: Final = Path(__file__).resolve().parents[1]


def _load_tbb() -> None:
    """Load the tbb wheel's library, so that Numba finds it.

    The wheel puts it into the environment's lib folder, where the dynamic loader does not look.
    """
    name = {"darwin": "libtbb.12.dylib", "win32": "tbb12.dll"}.get(sys.platform, "libtbb.so.12")
    for folder in {Path(sys.prefix) / "lib", Path(sysconfig.get_path("data")) / "lib"}:
        if (folder / name).exists():
            ctypes.CDLL(str(folder / name), mode=ctypes.RTLD_GLOBAL)


_load_tbb()
nb.config.THREADING_LAYER_PRIORITY = ["tbb", "omp", "workqueue"]


@njit("void(intp, intp, intp)", nogil=True, cache=True)  # type: ignore[untyped-decorator]
def run_serial(kernel: int, args: int, blocks: int) -> None:
    """Compute blocks one after the other."""
    for index in range(blocks):
        call_block(kernel, args, index)


@njit("void(intp, intp, intp)", nogil=True, parallel=True, cache=True)  # type: ignore[untyped-decorator]
def _run_parallel(kernel: int, args: int, blocks: int) -> None:
    for index in prange(blocks):
        call_block(kernel, args, index)


_run_parallel(0, 0, 0)  # starts the threads, which decides on the layer
LAYER: Final[str] = nb.threading_layer()
MAX_THREADS: Final[int] = nb.config.NUMBA_NUM_THREADS

# workqueue aborts the process when two threads enter a parallel kernel
_turn: Final = threading.Lock() if LAYER == "workqueue" else contextlib.nullcontext()


def run_parallel(kernel: int, args: int, blocks: int, threads: int) -> None:
    """Compute blocks on `threads` threads."""
    with _turn:
        nb.set_num_threads(threads)  # holds for the calling thread alone
        _run_parallel(kernel, args, blocks)


@functools.cache
def digest() -> str:
    """Digest of every source that a kernel is made from: another one, another cache entry.

    Numba notices edits of the file of the function that it compiles, not of what that calls.
    """
    sources = [PACKAGE / "mathfns.py", PACKAGE / "spec.py"]
    sources += sorted((PACKAGE / "kernels").glob("*.py")) + sorted((PACKAGE / "losses").glob("*.py"))
    total = hashlib.sha256()
    for source in sources:
        total.update(source.read_bytes())
    return total.hexdigest()


@functools.cache
def compiled(loss: type[Loss], variant: Variant) -> int:
    """Address of a loss's kernel, from memory, disk or the compiler; valid as long as the process."""
    driver: Any = elementwise if issubclass(loss, Elementwise) else rowwise
    block = driver.build(loss, variant, digest())
    # Numba names the cache's files after the function: one index for each kernel
    block.__qualname__ = f"{loss.__name__}-{variant}"
    kernel = cfunc(types.void(types.intp, types.intp), cache=True, error_model="numpy")(block)
    _kernels.append(kernel)
    return int(kernel.address)


_kernels: Final[list[Any]] = []  # keeps the machine code alive
