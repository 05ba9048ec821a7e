"""Asking for memory before it is its turn.

Processors guess what is read next along one run of addresses, not across its end, nor beside the
arithmetic of the row before.
"""

from collections.abc import Callable
from typing import Any, Final

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

LINE: Final = 64
"""Bytes that come at once."""


def _prefetch(*, write: bool) -> Callable[[int, int], None]:
    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        byte, number = ir.IntType(8).as_pointer(), ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [byte, number, number, number])
        ask = builder.module.declare_intrinsic("llvm.prefetch", [byte], kind)
        whole_way, data = number(3), number(1)
        for start in range(0, signature.args[1].literal_value, LINE):
            place = builder.inttoptr(builder.add(args[0], args[0].type(start)), byte)
            builder.call(ask, [place, number(int(write)), whole_way, data])
        return context.get_dummy_value()

    @intrinsic(prefer_literal=True)
    def prefetch(typingctx: Any, address: Any, count: Any) -> Any:
        return types.void(types.intp, count), build

    return prefetch  # type: ignore[no-any-return]


prefetch = _prefetch(write=False)
"""Bring the lines of `count` bytes from an address near; nothing happens where there is no memory.

`count` is a constant."""

prefetch_to_write = _prefetch(write=True)
"""The same of lines that will be written to."""
