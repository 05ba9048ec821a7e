"""Parts of arrays in loops that must vectorise.

A slice of NumPy's is cut to the array's length first; what LLVM cannot see through that it computes
one after the other.
"""

from typing import Any

from numba import types
from numba.extending import intrinsic


@intrinsic
def place(typingctx: Any, array: Any, start: Any) -> Any:
    """Where element `start` of a contiguous array is, for `carray`; nothing is checked."""
    kind = types.CPointer(array.dtype)

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, args[0]).data
        return builder.gep(data, [args[1]])

    return kind(array, types.intp), build
