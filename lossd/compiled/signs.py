"""Words by which another thread tells compiled code something."""

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic


@intrinsic
def is_set(typingctx: Any, address: Any) -> Any:
    """Whether the int64 at an address is not 0; looked up anew each time."""

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        place = builder.inttoptr(args[0], ir.IntType(64).as_pointer())
        word = builder.load_atomic(place, "monotonic", 8)
        return builder.icmp_signed("!=", word, ir.Constant(ir.IntType(64), 0))

    return types.boolean(types.intp), build


give_way = types.ExternalFunction("sched_yield", types.int32())
"""Let another thread that waits have this one's processor."""
