"""The argument block of a kernel: one int64 array of sizes and addresses.

A kernel computes one block of a call and has the C signature `void(intptr args, intptr block)`.
All kernels share it, so that one serial and one parallel driver run every loss, each loss is
compiled once, and a call from Python converts two integers instead of a dozen arrays.
"""

from typing import Any, Final

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

ROWS: Final = 0  # losses in all
WIDTH: Final = 1  # components of a row
INNER: Final = 2  # distance between components
BLOCK_ROWS: Final = 3  # rows of a block
LABELS: Final = 4  # int64[rows], -1 where ignored
CONSTANTS: Final = 5  # float64[…]
SCALE: Final = 6  # float64[1], what every gradient is multiplied by
UPSTREAM: Final = 7  # compute[rows], or 0
LOSSES: Final = 8  # compute[rows], or 0
PARTIAL: Final = 9  # float64[blocks], the sum of each block's losses
OUTSIDE: Final = 10  # int64[blocks], whether a value was outside its domain
MULTIPLIER: Final = 11  # compute[rows], or 0
OPERANDS: Final = 12  # compute[rows·width] each
GRADIENTS: Final = 18  # compute[rows·width] each
SIZES: Final = 24  # int64[…], lengths of the operands' dimensions, one after another
FACTORS: Final = 25  # float64[rows], what each loss and its gradient are multiplied by
STOP: Final = 26  # int64[1], not 0 once samples need not be finished
STREAMED: Final = 27  # whether gradients of elements are written past the caches
COUNT: Final = 28
CONSTANTS_MAX: Final = 8


@intrinsic
def pointer(typingctx: Any, address: Any, dtype: Any) -> Any:
    """An address as a pointer to values of `dtype`."""
    kind = types.CPointer(dtype.dtype)

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.inttoptr(args[0], context.get_value_type(kind))

    return kind(types.intp, dtype), build


@intrinsic
def call_block(typingctx: Any, kernel: Any, args: Any, block: Any) -> Any:
    """Call the kernel at an address."""

    def build(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        word = ir.IntType(64)
        kind = ir.FunctionType(ir.VoidType(), [word, word])
        builder.call(builder.inttoptr(values[0], kind.as_pointer()), values[1:])
        return context.get_dummy_value()

    return types.void(types.intp, types.intp, types.intp), build
