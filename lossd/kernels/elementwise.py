"""Kernels of element-wise losses."""

from collections.abc import Callable
from typing import Any, Final

from lossd.compiled.lanes import added
from lossd.compiled.streaming import settle, stream
from lossd.kernels.variant import Variant, lines, listed, on_stack, stamped, view
from lossd.mathfns import typed
from lossd.spec import Elementwise

TILE: Final = 512  # elements whose losses are added side by side, each in its lane
BLOCK: Final = 8192  # elements of a block: the unit of parallel work and of the sum


def block_rows(width: int, inner: int) -> int:
    """Losses computed by one call of a kernel."""
    return BLOCK


def build(loss: type[Elementwise], variant: Variant) -> Callable[..., None]:
    """The block function of an element-wise loss, to be compiled.

    It loads, computes, scales and stores in one pass. The inner loop runs over a fixed tile from
    index 0, which is the form that LLVM vectorises without being allowed to reorder additions;
    what is left at the end goes through a padded copy of the tile. Gradients that are larger than
    the caches are written to such a copy, too, and from there past the caches.
    """
    kind = variant.dtype.type
    differentiable = [name for name, t in loss.tensors.items() if t.grad]
    results = [1 + differentiable.index(name) for name in variant.gradients]
    bounds = {k: b for k, name in enumerate(variant.operands) if (b := loss.tensors[name].within)}
    # every array of a call: variable name -> (slot, whether it is written)
    arrays = {f"x{k}": (f"slots.OPERANDS + {k}", False) for k in range(len(variant.operands))}
    if variant.multiplier:
        arrays["w"] = ("slots.MULTIPLIER", False)
    if variant.upstream:
        arrays["u"] = ("slots.UPSTREAM", False)
    if variant.each:
        arrays["out"] = ("slots.LOSSES", True)
    arrays |= {f"g{k}": (f"slots.GRADIENTS + {k}", True) for k in range(len(results))}

    read = [name for name, (_, written) in arrays.items() if not written]
    written = [name for name in arrays if name not in read]
    arguments = listed("x{}t[j]", range(len(variant.operands)))
    arguments += listed("c{}", range(variant.constants))
    inside = " & ".join(
        f"(not ((x{k}t[j] < low{k}) | (x{k}t[j] > high{k})))"
        if loss.tensors[variant.operands[k]].nan
        else f"(x{k}t[j] >= low{k}) & (x{k}t[j] <= high{k})"
        for k in bounds
    )
    slope = "scale" + " * wt[j]" * variant.multiplier + " * ut[j]" * variant.upstream
    pads = [f"{name}pad" for name in arrays]
    gradients = [f"g{k}" for k in range(len(results))]
    others = [name for name in arrays if name not in gradients]
    size = variant.dtype.itemsize
    source = f"""
def block(args, index):
    a = carray(pointer(args, int64), slots.COUNT)
    count = min({BLOCK}, a[slots.ROWS] - index * {BLOCK})
    offset = index * {BLOCK * size}
    given = carray(pointer(a[slots.CONSTANTS], float64), slots.CONSTANTS_MAX)
    scale = kind(carray(pointer(a[slots.SCALE], float64), 1)[0])
{lines(4, "c{0} = kind(given[{0}])", over=range(variant.constants))}
{"".join(lines(4, f"{name} = {view(f'a[{slot}] + offset')}") for name, (slot, _) in arrays.items())}
{lines(4, f"{{0}} = {on_stack(TILE)}", over=["lanes", "last", *pads])}
    lanes[:] = zero
    streamed = a[slots.STREAMED] != 0
    good = True
    for base in range(0, count, {TILE}):
        rest = min(count - base, {TILE})
        if rest == {TILE}:
{lines(12, f"{{0}}t = {{0}}[base : base + {TILE}]", over=others)}
{lines(12, f"{{0}}t = {{0}}pad if streamed else {{0}}[base : base + {TILE}]", over=gradients)}
            sums = lanes
        else:
            sums = last
            sums[:] = zero
{lines(12, "{0}t = {0}pad", over=arrays)}
            for j in range(rest):
{lines(16, "{0}t[j] = {0}[base + j]", over=read)}
                pass
            for j in range(rest, {TILE}):
{lines(16, "{0}t[j] = zero", over=read)}
{lines(16, "x{0}t[j] = low{0}", over=bounds)}
                pass
        for j in range({TILE}):
            result = formula({arguments})
            value = result[0]{" * wt[j]" * variant.multiplier}
            sums[j] += value
{lines(12, "outt[j] = value") if variant.each else ""}
{"".join(lines(12, f"g{k}t[j] = result[{r}] * ({slope})") for k, r in enumerate(results))}
{lines(12, f"good &= {inside}") if inside else ""}
        if streamed and rest == {TILE}:
{
        lines(
            12,
            f"stream({{0}}.ctypes.data + base * {size}, {{0}}pad.ctypes.data, {TILE * size})",
            over=gradients,
        )
    }
            pass
        if rest < {TILE}:
            for j in range(rest):
                lanes[j] += sums[j]
{lines(16, "{0}[base + j] = {0}t[j]", over=written)}
    if streamed:
        settle()
    carray(pointer(a[slots.PARTIAL], float64), index + 1)[index] = added(lanes)
    carray(pointer(a[slots.OUTSIDE], int64), index + 1)[index] = not good
"""
    scope: dict[str, Any] = {
        "added": added, "formula": typed(loss.math, kind), "settle": settle, "stream": stream,
        "zero": kind(0),
    }  # fmt: skip
    for k, (low, high) in bounds.items():
        scope |= {f"low{k}": kind(low), f"high{k}": kind(high)}
    return stamped(source, variant, **scope)
