"""Small transpositions: rows of memory to lanes and back.

Squares of SIDE numbers go through vector registers; LLVM makes element by element of the loops.
"""

from typing import Any, Final

from llvmlite import ir
from numba import types
from numba.extending import intrinsic, register_jitable

SIDE: Final = 8


@intrinsic
def _square(
    typingctx: Any, source: Any, source_step: Any, target: Any, target_step: Any, dtype: Any
) -> Any:
    """Transpose SIDE rows of SIDE numbers; steps from row to row are in bytes."""
    size = dtype.dtype.bitwidth // 8

    def build(context: Any, b: Any, signature: Any, args: Any) -> Any:
        kind = ir.VectorType(context.get_data_type(dtype.dtype), SIDE)

        def row(start: Any, step: Any, number: int) -> Any:
            address = b.add(start, b.mul(step, ir.IntType(64)(number)))
            return b.inttoptr(address, kind.as_pointer())

        rows = [b.load(row(args[0], args[1], k), align=size) for k in range(SIDE)]
        distance = 1
        while distance < SIDE:  # swaps the off-diagonal quarters of ever larger squares
            upper = [k if not k & distance else SIDE + k - distance for k in range(SIDE)]
            lower = [k + distance if not k & distance else SIDE + k for k in range(SIDE)]
            for k in range(SIDE):
                if not k & distance:
                    one, other = rows[k], rows[k + distance]
                    rows[k] = b.shuffle_vector(one, other, _mask(upper))
                    rows[k + distance] = b.shuffle_vector(one, other, _mask(lower))
            distance *= 2
        for k in range(SIDE):
            b.store(rows[k], row(args[2], args[3], k), align=size)
        return context.get_dummy_value()

    words = (types.intp,) * 4
    return types.void(*words, dtype), build


def _mask(indices: list[int]) -> Any:
    return ir.Constant(ir.VectorType(ir.IntType(32), SIDE), indices)


@register_jitable
def transpose(
    source: Any, source_step: int, target: Any, target_step: int, rows: int, columns: int, kind: Any
) -> None:
    """target[c · target_step + r] = source[r · source_step + c], for all rows and columns.

    Args:
        source: of one dimension, as is the target.
        source_step: numbers from row to row.
        target: where lanes are.
        target_step: numbers from one column's lanes to the next one's.
        rows: of the source.
        columns: of the source.
        kind: Numba's type of their elements.
    """
    size = source.itemsize
    start, end = source.ctypes.data, target.ctypes.data
    full_rows, full_columns = rows - rows % SIDE, columns - columns % SIDE
    for r in range(0, full_rows, SIDE):
        for c in range(0, full_columns, SIDE):
            _square(
                start + (r * source_step + c) * size,
                source_step * size,
                end + (c * target_step + r) * size,
                target_step * size,
                kind,
            )
        for c in range(full_columns, columns):
            for k in range(r, r + SIDE):
                target[c * target_step + k] = source[k * source_step + c]
    for r in range(full_rows, rows):
        for c in range(columns):
            target[c * target_step + r] = source[r * source_step + c]


@register_jitable
def to_lanes(
    rows: Any, inner: int, lanes: Any, count: int, width: int, some: int, kind: Any
) -> None:
    """Bring `some` rows side by side: lanes[c · count + j] is component c of row j.

    Args:
        rows: theirs, `inner` from each other; 1 where a row's are next to each other.
        inner: that distance.
        lanes: of one dimension.
        count: lanes of a component.
        width: components.
        some: rows that there are.
        kind: Numba's type of their elements.
    """
    if inner == 1:
        transpose(rows, width, lanes, count, some, width, kind)
        return
    for c in range(width):
        for j in range(some):
            lanes[c * count + j] = rows[c * inner + j]


@register_jitable
def from_lanes(
    lanes: Any, count: int, rows: Any, inner: int, width: int, some: int, kind: Any
) -> None:
    """Put rows that are side by side where they belong; see `to_lanes`."""
    if inner == 1:
        transpose(lanes, count, rows, width, width, some, kind)
        return
    for c in range(width):
        for j in range(some):
            rows[c * inner + j] = lanes[c * count + j]
