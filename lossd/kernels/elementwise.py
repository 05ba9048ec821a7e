"""Kernels of element-wise losses."""

from collections.abc import Callable
from typing import Any, Final

import numpy as np

from lossd.compiled.lanes import added, fill
from lossd.compiled.streaming import settle, stream
from lossd.kernels.variant import Variant, lines, listed, on_stack, optional, stamped, view
from lossd.mathfns import transcendental, typed
from lossd.spec import Elementwise

TILE: Final = 512  # numbers of a tensor that are worked on side by side
BLOCK: Final = 8192  # those of a block: the unit of parallel work and of the sum


def block_rows(width: int, inner: int) -> int:
    """Losses computed by one call of a kernel."""
    return BLOCK // width


def build(loss: type[Elementwise], variant: Variant) -> Callable[..., None]:
    """The block function of an element-wise loss, to be compiled.

    It loads, computes, scales and stores in one pass. The inner loop runs over a fixed tile from
    index 0, which is the form that LLVM vectorises without being allowed to reorder additions;
    what is left at the end goes through a padded copy of the tile. Gradients that are larger than
    the caches are written to such a copy, too, and from there past the caches.

    A plain kernel adds losses as they are. The other one looks once a tile for what multiplies
    losses and gradients and for where losses are told; ones, and a copy of the tile, stand in.
    """
    parts, plain = loss.parts, variant.plain
    size, tile, block = variant.dtype.itemsize, TILE // parts, BLOCK // parts
    kind = np.float64 if loss.wide else variant.dtype.type
    lane = "float64" if loss.wide else "element"
    differentiable = [name for name, t in loss.tensors.items() if t.grad]
    results = [1 + parts * differentiable.index(name) for name in variant.gradients]
    operands, gradients = range(len(variant.operands)), range(len(results))
    bounds = {k: b for k, name in enumerate(variant.operands) if (b := loss.tensors[name].within)}

    def number(part: int) -> str:
        """Source of where a tile has a loss's numbers."""
        return f"{parts} * j + {part}" if parts > 1 else "j"

    taken = [[f"x{k}t[{number(part)}]" for part in range(parts)] for k in operands]
    arguments = listed("computed({})" if loss.wide else "{}", (x for own in taken for x in own))
    arguments += listed("c{}", range(variant.constants))
    conditions = [
        f"(not ((x{k}t[j] < low{k}) | (x{k}t[j] > high{k})))"
        if loss.tensors[variant.operands[k]].nan
        else f"(x{k}t[j] >= low{k}) & (x{k}t[j] <= high{k})"
        for k in bounds
    ]
    conditions += [f"(not misfit({', '.join(own)}))" for own in taken if loss.misfit]
    inside = " & ".join(conditions)
    slopes = [(f"g{k}t[{number(p)}]", r + p) for k, r in enumerate(results) for p in range(parts)]
    read, written = [f"x{k}" for k in operands], [f"g{k}" for k in gradients]
    pads = [f"{name}pad" for name in read + written]
    factors = ["w", "u"] * (not plain)
    singles = factors + ["out"] * (not plain)  # one value for each loss
    place = f"base * {parts} : base * {parts} + {TILE}"
    here = f"first + base : first + base + {tile}"
    slope = "scale" + " * wt[j] * ut[j]" * (not plain)
    chosen = f"""
            wt = ws[{here}] if weighed else wpad
            ut = us[{here}] if upstream else upad
            outt = out[{here}] if each else outpad
"""
    copied = """
            for j in range(rest * weighed):
                wpad[j] = ws[first + base + j]
            for j in range(rest * upstream):
                upad[j] = us[first + base + j]
"""
    told = """
            for j in range(rest * each):
                out[first + base + j] = outpad[j]
"""
    source = f"""
    a = carray(pointer(args, int64), slots.COUNT)
    first = index * {block}
    count = min({block}, a[slots.ROWS] - first)
    offset = index * {BLOCK * size}
    given = carray(pointer(a[slots.CONSTANTS], float64), slots.CONSTANTS_MAX)
    scale = computed(carray(pointer(a[slots.SCALE], float64), 1)[0])
{lines(4, "c{0} = computed(given[{0}])", over=range(variant.constants))}
{lines(4, f"x{{0}} = {view('a[slots.OPERANDS + {0}] + offset')}", over=operands)}
{lines(4, f"g{{0}} = {view('a[slots.GRADIENTS + {0}] + offset')}", over=gradients)}
{"" if plain else optional()}
{lines(4, f"{{0}} = {on_stack(TILE)}", over=pads)}
{lines(4, f"{{0}}pad = {on_stack(tile)}", over=singles)}
{lines(4, f"{{0}} = {on_stack(tile, lane)}", over=["lanes", "last"])}
{lines(4, "fill({0}pad, one)", over=factors)}
    fill(lanes, zero)
    streamed = a[slots.STREAMED] != 0
    good = True
    for base in range(0, count, {tile}):
        rest = min(count - base, {tile})
        if rest == {tile}:
{lines(12, f"{{0}}t = {{0}}[{place}]", over=read)}
{lines(12, f"{{0}}t = {{0}}pad if streamed else {{0}}[{place}]", over=written)}
{"" if plain else chosen}
            sums = lanes
        else:
            sums = last
            fill(sums, zero)
{lines(12, "{0}t = {0}pad", over=read + written + singles)}
{"" if plain else copied}
            for j in range(rest * {parts}):
{lines(16, f"{{0}}t[j] = {{0}}[base * {parts} + j]", over=read)}
                pass
            for j in range(rest * {parts}, {TILE}):
{lines(16, "{0}t[j] = nothing", over=read)}
{lines(16, "x{0}t[j] = low{0}", over=bounds)}
                pass
        for j in range({tile}):
            result = formula({arguments})
            value = result[0]{" * wt[j]" * (not plain)}
            sums[j] += value
{"" if plain else lines(12, "outt[j] = value")}
{"".join(lines(12, f"{g} = result[{r}] * ({slope})") for g, r in slopes)}
{lines(12, f"good &= {inside}") if inside else ""}
        if streamed and rest == {tile}:
{
        lines(
            12,
            f"at = {{0}}.ctypes.data + base * {parts * size}",
            f"stream(at, {{0}}pad.ctypes.data, {TILE * size})",
            over=written,
        )
    }
            pass
        if rest < {tile}:
            for j in range(rest):
                lanes[j] += sums[j]
            for j in range(rest * {parts}):
{lines(16, f"{{0}}[base * {parts} + j] = {{0}}t[j]", over=written)}
                pass
{"" if plain else told}
    if streamed:
        settle()
    carray(pointer(a[slots.PARTIAL], float64), index + 1)[index] = added(lanes)
    carray(pointer(a[slots.OUTSIDE], int64), index + 1)[index] = not good
"""
    scope: dict[str, Any] = {
        "added": added,
        "computed": kind,
        "fill": fill,
        "formula": typed(loss.math, kind),
        "nothing": variant.dtype.type(0),
        "one": variant.dtype.type(1),
        "settle": settle,
        "stream": stream,
        "zero": kind(0),
    }
    if loss.misfit:
        scope["misfit"] = typed(loss.misfit, variant.dtype.type)
    for k, (low, high) in bounds.items():
        scope |= {f"low{k}": variant.dtype.type(low), f"high{k}": variant.dtype.type(high)}
    return stamped(source, variant, costly=parts > 1 or transcendental(loss.math), **scope)
