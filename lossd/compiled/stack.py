"""Small memory that a function has while it runs.

Arrays that NumPy makes are allocated, counted by every name that they get, and given back; these
are not, and a kernel's alias checks know that nothing else points to them.
"""

from typing import Any, Final

from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

_ALIGNMENT: Final = 64  # bytes: a cache line, and the longest vector


@intrinsic(prefer_literal=True)
def stack(typingctx: Any, dtype: Any, count: Any) -> Any:
    """Where `count` values of `dtype` have room, undefined at first; `count` is a constant."""
    kind = types.CPointer(dtype.dtype)

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        value = context.get_data_type(dtype.dtype)
        place = cgutils.alloca_once(builder, value, size=count.literal_value)
        place.align = _ALIGNMENT
        return builder.bitcast(place, context.get_value_type(kind))

    return kind(dtype, count), build
