"""Single instructions of processors, for functions that must vectorise."""

from collections.abc import Callable
from typing import Any, Final

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

_INTEGERS: Final = {types.float32: types.int32, types.float64: types.int64}
_REALS: Final = {integer: real for real, integer in _INTEGERS.items()}


@intrinsic
def fma(typingctx: Any, x: Any, y: Any, z: Any) -> Any:
    """x·y + z with one rounding."""

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.fma(*args)

    return x(x, x, x), build


def _same_bits(kinds: dict[Any, Any]) -> Callable[..., Any]:
    @intrinsic
    def cast(typingctx: Any, x: Any) -> Any:
        def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return builder.bitcast(args[0], context.get_value_type(kinds[x]))

        return kinds[x](x), build

    return cast  # type: ignore[no-any-return]


bits = _same_bits(_INTEGERS)
"""The integer that has the bits of a number."""

real = _same_bits(_REALS)
"""The number that has the bits of an integer."""


def _integer(operation: str) -> Callable[..., Any]:
    """An operation on two integers of a type. Numba's own widen int32, which halves the vectors."""

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return getattr(builder, operation)(*args)

    @intrinsic
    def binary(typingctx: Any, a: Any, b: Any) -> Any:
        return a(a, a), build

    return binary  # type: ignore[no-any-return]


add, sub, and_ = _integer("add"), _integer("sub"), _integer("and_")
shift_left, shift_right = _integer("shl"), _integer("ashr")


@intrinsic
def one_by_one(typingctx: Any, x: Any) -> Any:
    """x, in a way that keeps the loop around it from being vectorised.

    Where vectors had to be gathered from all over memory, which takes longer than reading their
    parts one after the other.
    """

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kind = args[0].type
        same = ir.InlineAsm(ir.FunctionType(kind, [kind]), "", "=r,0", side_effect=True)
        return builder.call(same, args)

    return x(x), build


@intrinsic
def select(typingctx: Any, condition: Any, a: Any, b: Any) -> Any:
    """`a if condition else b` that stays a select: a branch would stop vectorisation."""

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.select(*args)

    return a(types.boolean, a, a), build


@intrinsic
def larger(typingctx: Any, x: Any, top: Any) -> Any:
    """The larger of two numbers; NaN wins, and stays."""

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        x, top = args
        beyond = builder.fcmp_ordered(">", x, top)
        return builder.select(builder.or_(beyond, builder.fcmp_unordered("uno", x, x)), x, top)

    return x(x, x), build


def _bounded(beyond: str) -> Callable[..., Any]:
    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        x, bound = args
        return builder.select(builder.fcmp_ordered(beyond, bound, x), bound, x)

    @intrinsic
    def nearest(typingctx: Any, x: Any, bound: Any) -> Any:
        return x(x, x), build

    return nearest  # type: ignore[no-any-return]


maximum = _bounded(">")
"""x, or the bound if that is larger; NaN for NaN."""

minimum = _bounded("<")
"""x, or the bound if that is smaller; NaN for NaN."""
