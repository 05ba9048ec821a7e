"""Kernels of losses that see a sample as a whole."""

from collections.abc import Callable
from typing import Any, Final

from numba.extending import register_jitable

from lossd.kernels.variant import Variant, lines, listed, stamped, view
from lossd.spec import Samples

BLOCK: Final = 1 << 14  # values of a block, at least one sample


def block_rows(width: int, inner: int) -> int:
    """Samples computed by one call of a kernel: depends on the shape alone, as the sum must."""
    return max(1, BLOCK // max(width, 1))


def build(loss: type[Samples], variant: Variant) -> Callable[..., None]:
    """The block function of such a loss, to be compiled: it calls `sample` for one after another.

    Operands are arrays of the rank that the loss declares; where no gradient is wanted, the first
    operand stands in for it and is not written to.
    """
    kinds = dict(loss.operands)
    opened, at = "", 0
    for k, name in enumerate(variant.operands):
        rank = kinds[name].rank
        shape = f"({listed('sizes[{}]', range(at, at + rank))})"
        address = f"a[slots.OPERANDS + {k}]"
        pointed = "int64" if kinds[name].integer else "element"
        opened += f"    x{k} = carray(pointer({address}, {pointed}), {shape})\n"
        if k == 0:
            gradient = f"carray(pointer(a[slots.GRADIENTS], element), {shape})"
            opened += f"    g = {gradient if variant.gradients else 'x0'}\n"
        at += rank
    xs = listed("x{}", range(len(variant.operands)))
    source = f"""
def block(args, index):
    a = carray(pointer(args, int64), slots.COUNT)
    first = index * a[slots.BLOCK_ROWS]
    last = min(first + a[slots.BLOCK_ROWS], a[slots.ROWS])
    sizes = carray(pointer(a[slots.SIZES], int64), {max(at, 1)})
    given = carray(pointer(a[slots.CONSTANTS], float64), slots.CONSTANTS_MAX)
    factors = carray(pointer(a[slots.FACTORS], float64), a[slots.ROWS])
    scale = carray(pointer(a[slots.SCALE], float64), 1)[0]
    us, out = {view("a[slots.UPSTREAM]")}, {view("a[slots.LOSSES]")}
{opened}
    total = 0.0
    for row in range(first, last):
        slope = kind(scale * factors[row]{" * us[row]" * variant.upstream})
        value = sample(row, {xs}g, {bool(variant.gradients)}, slope, given) * factors[row]
        total += value
{lines(8, "out[row] = value") if variant.each else ""}
    carray(pointer(a[slots.PARTIAL], float64), index + 1)[index] = total
"""
    scope: dict[str, Any] = {"sample": register_jitable(error_model="numpy")(loss.sample)}
    return stamped(source, variant, **scope)
