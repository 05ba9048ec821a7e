"""Kernels of row-wise losses whose rows are worked on side by side, one in each lane.

For components that are not next to each other, as in (N, C, d1, …, dK), and for rows so short that
lanes within a row would stay empty.
"""

from collections.abc import Callable
from typing import Final

from lossd.compiled.instructions import larger, one_by_one
from lossd.compiled.lanes import added, fill, multiply
from lossd.compiled.sums import plus, whole
from lossd.kernels.pieces import functions, opening, take_apart
from lossd.kernels.transposition import from_lanes, to_lanes
from lossd.kernels.variant import Variant, ahead, lines, listed, on_stack, stamped, view
from lossd.spec import Rowwise

LANES: Final = 64  # rows that are worked on side by side
NARROW: Final = 100  # components up to which rows are, although theirs are next to each other
NARROW_WITH_PEAKS: Final = 200  # the same, where rows are walked once more
RUN: Final = 8  # components whose terms are added in one lane before they go on in float64
BLOCK: Final = 8192  # components of a block, at least LANES rows


def block_rows(width: int, inner: int) -> int:
    """Losses computed by one call of a kernel: depends on the shape alone, as the sum must."""
    group = inner if 1 < inner < LANES else LANES
    return max(1, BLOCK // (group * max(width, 1))) * group


def build(loss: type[Rowwise], variant: Variant) -> Callable[..., None]:
    """The block function of a row-wise loss, to be compiled.

    A group of rows is walked up to three times (peaks, terms, slopes), component by component.
    Rows whose components are next to each other are transposed into a small space first, as is a
    group of fewer than LANES rows.
    """
    pieces = take_apart(loss, variant)
    gradients = range(len(pieces.results))
    moving = [f"x{k}" for k in pieces.moving]
    written = [f"g{k}" for k in gradients]
    places = {name: place for place, name in enumerate([*moving, *written])}

    def component(k: int) -> str:
        return f"x{k}t[j]" if k in pieces.moving else f"x{k}[c]"

    xs = "".join(f"{component(k)}, " for k in pieces.vectors)
    constants = listed("c{}", range(variant.constants))
    tops = listed("top{}[j]", range(pieces.peaks))

    versus = "c != mine[j], near[j], " * bool(pieces.versus)

    # of the next group, which comes while this one is worked on
    beside = "next_at + c * step"
    coming = ahead(
        16, [f"a[slots.OPERANDS + {k}]" for k in pieces.moving], beside, LANES, variant, write=False
    )
    room = ahead(
        12, [f"a[slots.GRADIENTS + {k}]" for k in gradients], beside, LANES, variant, write=True
    )

    def walk(
        names: list[str], body: str, span: str = "0, width", deep: int = 0, asked: str = ""
    ) -> str:
        """Source of a loop over components and, inside, over lanes.

        `asked` are lines that ask for memory, once a component.
        """
        pad = " " * deep
        views = "".join(
            f"{pad}            {n}t = {n}[c * step : c * step + {LANES}]\n" for n in names
        )
        inner = "".join(f"{pad}                {line}\n" for line in body.splitlines())
        return f"""
{pad}        for c in range({span}):
{views}
{asked}
{pad}            for j in range({LANES}):
{inner}
"""

    peak_walk = lines(8, "fill(top{0}, low)", over=range(pieces.peaks)) + walk(
        moving,
        f"values = peaks({xs}{versus}{constants})\n"
        + "".join(f"top{k}[j] = larger(values[{k}], top{k}[j])\n" for k in range(pieces.peaks)),
    )
    term_body = (
        f"values = terms({xs}{tops}{versus}{constants})\n"
        + "g0t[j] = values[0]\n" * pieces.kept
        + lines(0, "part{0}[j] += values[{0}]", over=range(pieces.terms))
    )
    written_terms = ["g0"] * pieces.kept
    term_walk = f"""
{lines(8, "fill(sum{0}, 0)", over=range(pieces.terms))}
        for start in range(0, width, {RUN}):
{lines(12, "fill(part{0}, 0)", over=range(pieces.terms))}
{walk(moving + written_terms, term_body, f"start, min(start + {RUN}, width)", 4, coming)}
            for j in range({LANES}):
{lines(16, "sum{0}[j] += part{0}[j]", over=range(pieces.terms))}
                pass
"""
    coefficients = listed("k{}[j]", pieces.coefficients)
    first = ("g0t[j], " if pieces.kept else "zero, ") * loss.keep
    slope_walk = walk(
        moving + [g for g in written if g not in moving],
        f"values = slopes({first}{xs}{versus}{coefficients}{constants})\n"
        + "".join(f"g{k}t[j] = values[{r}] * slope[j]\n" for k, r in enumerate(pieces.results)),
        asked=room,
    )
    clear = f"""
        for c in range(width):
{lines(12, "{0}[c * step : c * step + count] = zero", over=written)}
"""
    # gathered first, so that the loop that combines them vectorises
    from_rows = pieces.vectors if pieces.labelled else pieces.scalars
    picked = lines(12, "own{0}[j] = x{0}[row + j]", over=() if pieces.labelled else from_rows)
    for k in from_rows if pieces.labelled else ():
        place = "label * step + j" if k in pieces.moving else "label"
        picked += lines(12, f"own{k}[j] = x{k}[{place}]")
    seen = listed("own{}[j]", from_rows)
    seen += listed("float64(top{}[j])", range(pieces.peaks))
    seen += listed("sum{}[j]", range(pieces.terms))
    seen += listed("given[{}]", range(variant.constants))
    ignored = """
        for j in range(count):
            if labels[row + j] < 0:
                losses[j] = 0
"""
    pulled = f"""
        fill(pull, scale)
        if weighed:
            multiply(pull, count, ws[row : row + count])
        if upstream:
            multiply(pull, count, us[row : row + count])
        for j in range(count):
{lines(12, "if labels[row + j] < 0:", "    pull[j] = 0.0") * pieces.labelled}
            slope[j] = pull[j]
"""
    correct = f"""
        for j in range(count):
            label = labels[row + j]
            if label >= 0:
{lines(16, "g0[label * step + j] -= less[j] * slope[j]") * (pieces.results[:1] == [0])}
                pass
            else:
                for c in range(width):
{lines(20, "{0}[c * step + j] = zero", over=written)}
                    pass
"""
    chosen = f"""
        for j in range(count):
            mine[j] = labels[row + j]
            if mine[j] >= 0:
                near[j] = x{pieces.vectors[0]}[mine[j] * step + j]
"""
    opened = "".join(
        f"""
        {name} = {view(f"a[slots.{group} + {name[1:]}] + at * size")}
        if not direct:
            source{name} = {name}
            {name} = space[{place}]
"""
        for name, place in places.items()
        for group in ["OPERANDS" if name in moving else "GRADIENTS"]
    )
    lanes = [f"top{k}" for k in range(pieces.peaks)] + [f"part{k}" for k in range(pieces.terms)]
    lanes += [f"k{k}" for k in pieces.coefficients] + ["slope", "less", "near"]
    doubles = (
        [f"sum{k}" for k in range(pieces.terms)]
        + [f"own{k}" for k in from_rows]
        + ["losses", "pull"]
    )
    source = f"""
{opening(variant, pieces)}
{lines(4, f"{{0}} = {on_stack(LANES)}", over=lanes)}
{lines(4, f"{{0}} = {on_stack(LANES, 'float64')}", over=doubles)}
    mine = {on_stack(LANES, "int32")}
{lines(4, "fill({0}, 0)", over=[*lanes, *doubles, "mine"])}
    space = np.zeros(({len(places)}, width * {LANES}), kind)
    total = lost = 0.0
    row = first
    while row < last:
        count = min({LANES}, last - row)
        at = row * width
        if inner > 1:
            count = min(count, inner - row % inner)
            at = row // inner * width * inner + row % inner
        direct = inner > 1 and {f"count == {LANES}" if pieces.walks else "True"}
        step = inner if direct else {LANES}
        next_at = at + {LANES} * (width if inner == 1 else 1)
{opened}
        if not direct:
{lines(12, f"to_lanes(source{{0}}, inner, {{0}}, {LANES}, width, count, element)", over=moving)}
            pass
{chosen if versus else ""}
{peak_walk if pieces.peaks else ""}
{term_walk if pieces.terms else ""}
        for j in range({"count if width else 0" if pieces.labelled else "count"}):
            label = {"one_by_one(max(labels[row + j], 0))" if pieces.labelled else "0"}
{picked}
        for j in range({LANES}):
            result = combine({seen})
            losses[j] = result[0]
{lines(12, "k{0}[j] = result[{0}]", over=pieces.coefficients)}
{lines(12, "less[j] = result[1]") * pieces.labelled}
        if weighed:
            multiply(losses, count, ws[row : row + count])
{ignored if pieces.labelled else ""}
        for j in range(count, {LANES}):
            losses[j] = 0
        total, lost = plus(total, lost, added(losses))
        if each:
            for j in range(count):
                out[row + j] = losses[j]
{pulled if written else ""}
{(slope_walk if loss.slopes else clear) if written else ""}
{correct if pieces.labelled and written else ""}
        if not direct:
{lines(12, f"from_lanes({{0}}, {LANES}, source{{0}}, inner, width, count, element)", over=written)}
            pass
        row += count
    carray(pointer(a[slots.PARTIAL], float64), index + 1)[index] = whole(total, lost)
"""
    return stamped(
        source,
        variant,
        costly=pieces.costly,
        to_lanes=to_lanes,
        from_lanes=from_lanes,
        fill=fill,
        added=added,
        multiply=multiply,
        plus=plus,
        whole=whole,
        one_by_one=one_by_one,
        larger=larger,
        **functions(loss, variant.dtype.type, alone=False),
    )
