"""Writing what is larger than the caches past them.

A store brings the line that it writes to into the cache first, which is a quarter or more of
what element-wise kernels move. Lines that are written as a whole, by stores that say so, are not.
"""

from typing import Any, Final

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

VECTOR: Final = 32
"""Bytes that are written by one store; addresses are multiples of it."""


@intrinsic(prefer_literal=True)
def stream(typingctx: Any, to: Any, source: Any, count: Any) -> Any:
    """Copy `count` bytes, a constant and a multiple of VECTOR, from one address to another."""

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        number = ir.IntType(32)
        vector = ir.VectorType(number, VECTOR // 4)
        to, source = (builder.inttoptr(address, vector.as_pointer()) for address in args[:2])
        past = builder.module.add_metadata([number(1)])
        steps = args[2].type(signature.args[2].literal_value // VECTOR)
        with cgutils.for_range(builder, steps) as loop:
            value = builder.load(builder.gep(source, [loop.index]), align=VECTOR)
            store = builder.store(value, builder.gep(to, [loop.index]), align=VECTOR)
            store.set_metadata("nontemporal", past)
        return context.get_dummy_value()

    return types.void(types.intp, types.intp, count), build


@intrinsic
def settle(typingctx: Any) -> Any:
    """Have other threads see what was written so before what is written after."""

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        builder.fence("seq_cst")
        return context.get_dummy_value()

    return types.void(), build
