"""Kernels of losses that see a sample as a whole."""

from collections.abc import Callable
from typing import Any, Final

from numba.extending import register_jitable

from lossd.compiled.sums import plus, whole
from lossd.kernels.variant import Variant, listed, optional, stamped
from lossd.spec import Samples

BLOCK: Final = 1 << 14  # values of a block, at least one sample


def block_rows(width: int, inner: int) -> int:
    """Samples computed by one call of a kernel: depends on the shape alone, as the sum must."""
    return max(1, BLOCK // max(width * inner, 1)) * inner


def build(loss: type[Samples], variant: Variant) -> Callable[..., None]:
    """The block function of such a loss, to be compiled: it calls `sample` for one after another.

    Operands are arrays of the rank that the loss declares; where a gradient is not wanted, its
    operand stands in for it and is not written to.
    """
    kinds = dict(loss.operands)
    differentiable = [name for name in kinds if name in loss.tensors and loss.tensors[name].grad]
    opened, gradients, at = "", "", 0
    for k, name in enumerate(variant.operands):
        rank = kinds[name].rank
        shape = f"({listed('sizes[{}]', range(at, at + rank))})"
        address = f"a[slots.OPERANDS + {k}]"
        pointed = "int64" if kinds[name].integer else "element"
        opened += f"    x{k} = carray(pointer({address}, {pointed}), {shape})\n"
        if name in differentiable:
            opened += f"    g{k} = x{k}\n"
            gradients += f"g{k}, "
        if name in variant.gradients:
            address = f"a[slots.GRADIENTS + {variant.gradients.index(name)}]"
            opened += f"    g{k} = carray(pointer({address}, element), {shape})\n"
        at += rank
    arguments = listed("x{}", range(len(variant.operands))) + gradients
    arguments += listed("{}", (name in variant.gradients for name in differentiable))
    last_ones = "given, a[slots.STOP]" if loss.long else "given"
    if loss.several:
        body = f"""
    count = a[slots.INNER]
    slopes, values = np.empty(count, np.float64), np.empty(count, np.float64)
    for start in range(first, last, count):
        for k in range(count):
            slopes[k] = scale * factors[start + k]
            if upstream:
                slopes[k] *= us[start + k]
        sample(start // count, {arguments}slopes, values, {last_ones})
        for k in range(count):
            value = values[k] * factors[start + k]
            total, lost = plus(total, lost, value)
            if each:
                out[start + k] = value
"""
    else:
        body = f"""
    for row in range(first, last):
        pull = scale * factors[row]
        if upstream:
            pull *= us[row]
        slope = kind(pull)
        value = sample(row, {arguments}slope, {last_ones}) * factors[row]
        total, lost = plus(total, lost, value)
        if each:
            out[row] = value
"""
    source = f"""
    a = carray(pointer(args, int64), slots.COUNT)
    first = index * a[slots.BLOCK_ROWS]
    last = min(first + a[slots.BLOCK_ROWS], a[slots.ROWS])
    sizes = carray(pointer(a[slots.SIZES], int64), {max(at, 1)})
    given = carray(pointer(a[slots.CONSTANTS], float64), slots.CONSTANTS_MAX)
    factors = carray(pointer(a[slots.FACTORS], float64), a[slots.ROWS])
    scale = carray(pointer(a[slots.SCALE], float64), 1)[0]
{optional()}
{opened}
    total = lost = 0.0
{body}
    carray(pointer(a[slots.PARTIAL], float64), index + 1)[index] = whole(total, lost)
"""
    scope: dict[str, Any] = {
        "plus": plus,
        "sample": register_jitable(error_model="numpy", forceinline=True)(loss.sample),
        "whole": whole,
    }
    return stamped(source, variant, **scope)
