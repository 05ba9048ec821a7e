"""Small memory that a function has while it runs.

Arrays that NumPy makes are allocated, counted by every name that they get, and given back; these
are not, and a kernel's alias checks know that nothing else points to them.
"""

from typing import Any, Final

from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

_ALIGNMENT: Final = 64  # bytes: a cache line, and the longest vector


def _room(context: Any, builder: Any, dtype: Any, count: Any) -> Any:
    place = cgutils.alloca_once(builder, context.get_data_type(dtype), size=count.literal_value)
    place.align = _ALIGNMENT
    return builder.bitcast(place, context.get_value_type(types.CPointer(dtype)))


@intrinsic(prefer_literal=True)
def stack(typingctx: Any, dtype: Any, count: Any) -> Any:
    """Where `count` values of `dtype` have room, undefined at first; `count` is a constant."""

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return _room(context, builder, dtype.dtype, count)

    return types.CPointer(dtype.dtype)(dtype, count), build


@intrinsic(prefer_literal=True)
def stack_like(typingctx: Any, array: Any, count: Any) -> Any:
    """As `stack`, of an array's type."""

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return _room(context, builder, array.dtype, count)

    return types.CPointer(array.dtype)(array, count), build
