"""Products of matrices by NumPy's BLAS, with the same bits for every number of threads.

BLAS splits a product among its threads where it likes, and its results depend on where. Here it
runs on one thread at a time, on tiles that the shapes alone decide on: the threads that run kernels
share them, and call BLAS by its address.
"""

import contextlib
import ctypes
import itertools
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numba as nb
import numpy as np
import numpy.typing as npt
import threadpoolctl
from llvmlite import ir
from numba import carray, types
from numba.extending import intrinsic

from lossd.compiled.stack import stack
from lossd.kernels import cache, courtesy, runtime, stopping
from lossd.kernels.memory import pool
from lossd.kernels.slots import pointer

Array = npt.NDArray[Any]

STEP: Final = 128  # lengths of tiles are multiples of it
TILES: Final = 16  # tiles that the longer side of a product is cut into at most
PARTS: Final = 8  # parts that a sum is cut into at most
DEEP: Final = 8  # from so many times the longer side on it is the sum that is cut
ALONE: Final = 1 << 22  # multiplications up to which a product runs on the calling thread

_LONGEST: Final = np.iinfo(np.int32).max  # what every BLAS can count to
_GEMM: Final[Mapping[np.dtype[Any], str]] = {
    np.dtype(np.float32): "sgemm",
    np.dtype(np.float64): "dgemm",
}
_AFFIXES: Final = (("scipy_", "_64_"), ("", "_64_"), ("", "_"))
"""What BLAS's functions have before and after their names: in NumPy's wheels, and in other builds,
of which the first takes sizes of 64 bits, the last of 32."""


def _found() -> tuple[Sequence[Any], Mapping[np.dtype[Any], int]]:
    """The BLAS that products run on, and where its functions are.

    These are missing where none has a known name, as Apple's.
    """
    libraries = threadpoolctl.ThreadpoolController().select(user_api="blas").lib_controllers
    own = {"numpy", "numpy.libs"}
    libraries.sort(key=lambda library: own.isdisjoint(Path(library.filepath).parts))
    for library, affixes in itertools.product(libraries, _AFFIXES):
        code = ctypes.CDLL(library.filepath)
        names = {kind: name.join(affixes) for kind, name in _GEMM.items()}
        if all(hasattr(code, name) for name in names.values()):
            places = {
                kind: ctypes.cast(code[name], ctypes.c_void_p) for kind, name in names.items()
            }
            return [library], {kind: place.value or 0 for kind, place in places.items()}
    return libraries, {}


_blas, _functions = _found()
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
        a: (M, K), float32 or float64.
        b: (K, N), of a's type.
        out: (M, N), where it goes: rows whose elements are next to each other. A new array by
            default.
        add: whether it is added to what is there.

    Raises:
        Stopped: it was asked to end (kernels/stopping.py).
    """
    (rows, depth), columns = a.shape, b.shape[1]
    if out is None:
        out = pool.empty((rows, columns), a.dtype)
    if not (rows and columns and depth):
        if not add:
            out.fill(0)
        return out
    run = _run if _functions and max(rows, depth, columns) <= _LONGEST else _run_by_numpy
    if depth < DEEP * max(rows, columns):
        along = _ROWS if rows >= columns else _COLUMNS
        run(a, b, out, along, _step(max(rows, columns), TILES), add)
        return out
    step = _step(depth, PARTS)
    parts = pool.empty((-(-depth // step), rows, columns), a.dtype)
    run(a, b, parts, _DEPTH, step, False)
    if add:
        out += parts.sum(0)
    else:
        np.add.reduce(parts, 0, out=out)
    return out


def _step(length: int, tiles: int) -> int:
    """The length of a dimension's tiles."""
    return max(STEP, -(-length // (tiles * STEP)) * STEP)


# What a tile is computed from, in words of 64 bits: BLAS's function; whether its two operands are
# transposed; what the product, and what was there before, are multiplied by; the result's columns
# and rows, and what is summed over; the distances between rows or columns of the operands and the
# result; which of the three sizes is cut, and to what length; where the operands and the result
# are, and how far from one tile's to the next one's, in bytes.
_FUNCTION, _TURNED, _FACTORS, _SIZES, _LEADING, _ALONG, _TILE, _PLACES, _STEPS, _COUNT = (
    *(0, 1, 3, 5, 8, 11, 12, 13, 16, 19),
)
_COLUMNS, _ROWS, _DEPTH = range(3)
_ARGUMENTS: Final = 13


@intrinsic
def _call(typingctx: Any, function: Any, arguments: Any) -> Any:
    """Call a function of _ARGUMENTS addresses: where it is, and where these are."""

    def build(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        word = ir.IntType(64)
        kind = ir.FunctionType(ir.VoidType(), [word] * _ARGUMENTS)
        place = builder.inttoptr(values[1], word.as_pointer())
        given = [builder.load(builder.gep(place, [word(k)])) for k in range(_ARGUMENTS)]
        builder.call(builder.inttoptr(values[0], kind.as_pointer()), given)
        return context.get_dummy_value()

    return types.void(types.intp, types.intp), build


def _tile(args: int, index: int) -> None:
    """Compute a tile.

    To BLAS, which has columns next to each other, all is transposed: the operands stand in the
    other order. Where it takes sizes of 32 bits it reads the lower half of each, which is first.
    """
    a = carray(pointer(args, nb.int64), _COUNT)
    sizes = carray(stack(nb.int64, 6), 6)
    for k in range(3):
        sizes[k] = a[_SIZES + k]
        sizes[3 + k] = a[_LEADING + k]
    along = a[_ALONG]
    sizes[along] = min(a[_TILE], a[_SIZES + along] - index * a[_TILE])
    size = sizes.ctypes.data
    given = carray(stack(nb.int64, _ARGUMENTS), _ARGUMENTS)
    given[0], given[1] = a[_TURNED], a[_TURNED + 1]
    for k in range(3):
        given[2 + k] = size + 8 * k
    given[5] = a[_FACTORS]
    given[6] = a[_PLACES] + index * a[_STEPS]
    given[7] = size + 24
    given[8] = a[_PLACES + 1] + index * a[_STEPS + 1]
    given[9] = size + 32
    given[10] = a[_FACTORS + 1]
    given[11] = a[_PLACES + 2] + index * a[_STEPS + 2]
    given[12] = size + 40
    _call(a[_FUNCTION], given.ctypes.data)


_tiles: Final = cache.Kernel(_tile, types.void(types.intp, types.intp), cache.digest())

_letters: Final = np.frombuffer(b"NT", np.uint8)
_factors: Final = {kind: np.array([0, 1], kind) for kind in _GEMM}


def _run(a: Array, b: Array, out: Array, along: int, step: int, add: bool) -> None:
    """Compute a product by tiles, on the threads that it is worth.

    Args:
        a: the first operand.
        b: the second.
        out: where it goes; with _DEPTH, an array for each tile.
        along: what is cut.
        step: the length of a tile.
        add: whether it is added to what is there.
    """
    (turned_a, leading_a, a), (turned_b, leading_b, b) = _operand(a), _operand(b)
    size, (rows, depth), columns = a.itemsize, a.shape, b.shape[1]
    letters, factors = _letters.ctypes.data, _factors[a.dtype].ctypes.data
    leading = leading_b, leading_a, max(out.strides[-2] // size, columns)
    steps: tuple[int, ...] = {
        _COLUMNS: (step * b.strides[1], 0, step * size),
        _ROWS: (0, step * a.strides[0], step * out.strides[0]),
        _DEPTH: (step * b.strides[0], step * a.strides[1], out.strides[0]),
    }[along]
    words = np.array(
        [
            _functions[a.dtype], letters + turned_b, letters + turned_a,
            factors + size, factors + size * add, columns, rows, depth, *leading, along, step,
            b.ctypes.data, a.ctypes.data, out.ctypes.data, *steps,
        ],
        np.int64,
    )  # fmt: skip
    tiles = -(-(columns, rows, depth)[along] // step)
    threads = min(runtime.get_threads(), tiles) if rows * depth * columns > ALONE else 1
    if threads > 1:
        runtime.run_parallel(_tiles.entry, words.ctypes.data, 0, tiles, threads, every=1)
    else:
        runtime.run_serial(_tiles.entry, words.ctypes.data, 0, tiles, every=1)


def _operand(array: Array) -> tuple[bool, int, Array]:
    """Whether the elements of columns are next to each other, how far these are, the array.

    A copy, if elements are next to each other neither way.
    """
    size, (rows, columns), (down, right) = array.itemsize, array.shape, array.strides
    if (columns == 1 or right == size) and (rows == 1 or down >= columns * size):
        return False, down // size if rows > 1 else columns, array
    if (rows == 1 or down == size) and (columns == 1 or right >= rows * size):
        return True, right // size if columns > 1 else rows, array
    return _operand(np.ascontiguousarray(array))


def _run_by_numpy(a: Array, b: Array, out: Array, along: int, step: int, add: bool) -> None:
    """The same on the calling thread: of any size, with functions of BLAS wherever they are."""
    for k, start in enumerate(range(0, (b.shape[1], *a.shape)[along], step)):
        stopping.current().check()
        courtesy.pause()
        cut, whole = slice(start, start + step), slice(None)
        first = a[cut if along == _ROWS else whole, cut if along == _DEPTH else whole]
        second = b[cut if along == _DEPTH else whole, cut if along == _COLUMNS else whole]
        place = {_COLUMNS: out[..., cut], _ROWS: out[cut], _DEPTH: out[k]}[along]
        if add:
            place += first @ second
        else:
            np.matmul(first, second, out=place)
