"""Kernels of row-wise losses whose components are next to each other."""

from collections.abc import Callable
from typing import Final

from lossd.compiled.instructions import larger
from lossd.compiled.lanes import added, fill, largest
from lossd.compiled.sums import plus, whole
from lossd.kernels.pieces import functions, opening, take_apart
from lossd.kernels.variant import Variant, ahead, lines, listed, on_stack, stamped, view
from lossd.spec import Rowwise

TILE: Final = 64  # components that are worked on side by side, each in its lane
RUN: Final = 2048  # components whose terms are added in lanes before they go on in float64
BLOCK: Final = 8192  # components of a block, at least one row


def block_rows(width: int, inner: int) -> int:
    """Losses computed by one call of a kernel: depends on the shape alone, as the sum must."""
    return max(1, BLOCK // max(width, 1))


def build(loss: type[Rowwise], variant: Variant) -> Callable[..., None]:
    """The block function of a row-wise loss, to be compiled.

    A row is walked up to three times (peaks, terms, slopes) while it is in cache.
    """
    pieces = take_apart(loss, variant)
    vectors, labelled, kept = pieces.vectors, pieces.labelled, pieces.kept
    n_peaks, n_terms, results = pieces.peaks, pieces.terms, pieces.results
    gradients = range(len(results))

    pads = [f"x{k}pad" for k in vectors] + [f"g{k}pad" for k in gradients]
    xs = listed("x{}t[j]", vectors)
    tops = listed("top{}", range(n_peaks))
    constants = listed("c{}", range(variant.constants))
    # of the next row, which comes while the terms of this one, most of the arithmetic, are computed
    coming = ahead(
        12, [f"a[slots.OPERANDS + {k}]" for k in pieces.moving], "at + width + base", TILE, variant,
        write=False,
    )  # fmt: skip
    # where gradients go: the next row's; where terms are kept, this row's, a run ahead of them
    room = ahead(
        12, [f"a[slots.GRADIENTS + {k}]" for k in gradients],
        f"at + {RUN if kept else 'width'} + base", TILE, variant, write=True,
    )  # fmt: skip
    first = ("g0t[j], " if kept else "zero, ") * loss.keep
    seen = (
        listed("float64(x{}[label])", vectors)
        if labelled
        else listed("float64(x{}[row])", pieces.scalars)
    )
    versus = "base + j != label, near, " * bool(pieces.versus)
    seen += listed("float64(top{})", range(n_peaks)) + listed("sum{}", range(n_terms))
    seen += listed("given[{}]", range(variant.constants))

    def walk(
        read: list[int],
        load: bool,
        store: bool,
        body: str,
        add: str = "",
        span: str = "0, width",
        pairs: str = "",
        asked: str = "",
        peaks: bool = False,
    ) -> str:
        """Source of a loop over the tiles of a row, and over what is left in a last one.

        The last tile reads and writes beyond its row, where there is room for it: what it spoils
        is the start of the next row, which comes later in the same block. `add` is a line that
        takes value number {k}, `{v}`, into its lane. With `pairs` tiles go in pairs, `pairs` being
        the line that joins value number {k} of both: a lane is then waited for half as often.
        `asked` are lines that ask for memory, once a tile. `peaks` tells that what is added are
        these, not terms.
        """
        loaded = [f"x{k}" for k in read] + [f"g{k}" for k in gradients if load]
        stored = [f"g{k}" for k in gradients if store]
        names = dict.fromkeys(loaded + stored)
        taken = range((n_peaks if peaks else n_terms) if add else 0)
        start, stop = span.split(", ", 1)
        paired = f"""
        for base in range({start}, even, {2 * TILE}):
{lines(12, f"{{0}}t = {{0}}[base : base + {TILE}]", over=names)}
{lines(12, f"{{0}}u = {{0}}[base + {TILE} : base + {2 * TILE}]", over=names)}
            for j in range({TILE}):
{body}
                firsts = values
{body.replace("t[j]", "u[j]").replace("base + j", f"base + {TILE} + j")}
{"".join(lines(16, pairs.format(k=k), add.format(k=k, v="v")) for k in taken)}
"""
        return f"""
        stop = {stop}
        full = stop - (stop - {start}) % {TILE}
        even = {f"full - (full - {start}) % {2 * TILE}" if pairs else start}
{paired if pairs else ""}
        for base in range(even, full, {TILE}):
{lines(12, f"{{0}}t = {{0}}[base : base + {TILE}]", over=names)}
{asked}
            for j in range({TILE}):
{body}
{"".join(lines(16, add.format(k=k, v=f"values[{k}]")) for k in taken)}
        if full < stop:
            base = full
            if room:
{lines(16, f"{{0}}t = {{0}}[full : full + {TILE}]", over=names)}
                pass
            else:
{lines(16, "{0}t = {0}pad", over=names)}
                for j in range(stop - full):
{lines(20, "{0}t[j] = {0}[full + j]", over=loaded)}
                    pass
            for j in range({TILE}):
{body}
{
            "".join(
                lines(
                    16,
                    f"v = values[{k}] if live[j] else {'low' if peaks else 'zero'}",
                    add.format(k=k, v="v"),
                )
                for k in taken
            )
        }
            if not room:
                for j in range(stop - full):
{lines(20, "{0}[full + j] = {0}t[j]", over=stored)}
                    pass
"""

    # NaN wins a maximum, and stays
    peak_walk = f"""
{lines(8, "fill(lanes{0}, low)", over=range(n_peaks))}
{
        walk(
            vectors,
            False,
            False,
            lines(16, f"values = peaks({xs}{versus}{constants})"),
            add="lanes{k}[j] = larger({v}, lanes{k}[j])",
            pairs="v = larger(values[{k}], firsts[{k}])",
            peaks=True,
        )
    }
{lines(8, "top{0} = largest(lanes{0})", over=range(n_peaks))}
"""
    term_walk = f"""
{lines(8, "sum{0} = 0.0", over=range(n_terms))}
        for start in range(0, width, {RUN}):
{lines(12, "fill(lanes{0}, zero)", over=range(n_terms))}
{
        _deeper(
            walk(
                vectors,
                False,
                kept,
                lines(16, f"values = terms({xs}{tops}{versus}{constants})")
                + lines(16, "g0t[j] = values[0]") * kept,
                add="lanes{k}[j] += {v}",
                span=f"start, min(start + {RUN}, width)",
                asked=coming + room * kept,
            )
        )
    }
{lines(12, "sum{0} += added(lanes{0})", over=range(n_terms))}
"""
    slope_of = f"slopes({first}{xs}{versus}{listed('k{}', pieces.coefficients)}{constants})"
    slope_body = lines(16, f"values = {slope_of}") + "".join(
        lines(16, f"g{k}t[j] = values[{r}] * slope") for k, r in enumerate(results)
    )
    slope_walk = f"""
        pull = scale
        if special:
            if weighed:
                pull *= ws[row]
            if upstream:
                pull *= us[row]
        slope = kind(pull)
{lines(8, "k{0} = kind(result[{0}])", over=pieces.coefficients)}
{walk(vectors, kept, True, slope_body, asked=room * (not kept)) if loss.slopes else ""}
{lines(8, "g0[label] -= kind(result[1]) * slope") * (labelled and results[:1] == [0])}
"""
    # Without slopes a gradient is zero but at the label: cleared for the whole block at once
    clear = f"""
{
        lines(
            4,
            f"g{{0}} = {view('a[slots.GRADIENTS + {0}] + first * width * size')}",
            "g{0}[: (last - first) * width] = zero",
            over=gradients,
        )
    }
"""
    ignored = f"""
        if label < 0:
{lines(12, "g{0}[:width] = zero", over=gradients) if loss.slopes else ""}
            if each:
                out[row] = zero
            continue
"""
    source = f"""
{opening(variant, pieces)}
{lines(4, f"lanes{{0}} = {on_stack(TILE)}", over=range(max(n_peaks, n_terms)))}
{lines(4, f"{{0}} = {on_stack(TILE)}", over=["live", *pads])}
    for j in range({TILE}):
        live[j] = j < width % {TILE}
{lines(4, "fill({0}, zero)", over=pads)}
    padded = -(-width // {TILE}) * {TILE}
{clear if not loss.slopes else ""}
    special = each | weighed | upstream
    total = lost = 0.0
    for row in range(first, last):
        at = row * width
        room = at + padded <= last * width
        label = {"labels[row]" if labelled else "0"}
{lines(8, f"g{{0}} = {view('a[slots.GRADIENTS + {0}] + at * size')}", over=gradients)}
{ignored if labelled else ""}
{lines(8, f"x{{0}} = {view('a[slots.OPERANDS + {0}] + at * size')}", over=pieces.moving)}
{lines(8, f"near = x{vectors[0]}[label]") if versus else ""}
{peak_walk if n_peaks else ""}
{term_walk if n_terms else ""}
        result = combine({seen})
        value = result[0]
        if special:
            if weighed:
                value *= ws[row]
            if each:
                out[row] = value
        total, lost = plus(total, lost, value)
{slope_walk if results else ""}
    carray(pointer(a[slots.PARTIAL], float64), index + 1)[index] = whole(total, lost)
"""
    scope = functions(loss, variant.dtype.type, alone=True)
    return stamped(
        source, variant, costly=pieces.costly, fill=fill, larger=larger, largest=largest,
        added=added, plus=plus, whole=whole, **scope,
    )  # fmt: skip


def _deeper(source: str) -> str:
    return "".join(f"    {line}\n" for line in source.splitlines())
