"""Words by which another thread, or another process, tells compiled code something."""

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


@intrinsic
def read_word(typingctx: Any, address: Any) -> Any:
    """The int64 at an address; what was written before it was is seen, too."""

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        place = builder.inttoptr(args[0], ir.IntType(64).as_pointer())
        return builder.load_atomic(place, "acquire", 8)

    return types.int64(types.intp), build


@intrinsic
def write_word(typingctx: Any, address: Any, value: Any) -> Any:
    """Write an int64 to an address; who reads it sees what was done before it was written."""

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        place = builder.inttoptr(args[0], ir.IntType(64).as_pointer())
        builder.store_atomic(args[1], place, "release", 8)
        return context.get_dummy_value()

    return types.void(types.intp, types.int64), build


give_way = types.ExternalFunction("sched_yield", types.int32())
"""Let another thread that waits have this one's processor."""

nap = types.ExternalFunction("usleep", types.int32(types.uint32))
"""Let go of the processor for some microseconds."""
