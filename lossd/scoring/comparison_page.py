"""The page of a comparison: which run is better, by how much, where, and in which rows."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from lossd import __version__
from lossd.scoring.charts import (
    BARS,
    BLUE,
    DRAWN,
    INK,
    RED,
    WIDTH,
    Chart,
    drawable,
    empty,
    legend,
    marks,
    steps,
    styled,
    ticks,
    title,
    write,
)
from lossd.scoring.comparison import RESULT, Comparison
from lossd.scoring.disk import writing
from lossd.scoring.figures import figure, plain, share
from lossd.scoring.pages import SHOWN, Band, Column, Table, Tile, render, table_of, write_whole

ROWS: Final = {
    "row": Column("row"),
    "difference": Column("B less A"),
    "a": Column("loss in A"),
    "b": Column("loss in B"),
    "id": Column("id", "text"),
    "class": Column("class", "text"),
    "group": Column("group", "text"),
}
BY: Final = {
    "class": Column("class", "head"),
    "group": Column("group", "head"),
    "count": Column("rows"),
    "a": Column("mean in A"),
    "b": Column("mean in B"),
    "difference": Column("B less A"),
    "low": Column("from"),
    "high": Column("to"),
}


@dataclass(frozen=True)
class Page:
    """What the template shows."""

    title: str
    a: str
    b: str
    verdict: str
    words: str
    warnings: Sequence[Band]
    tiles: Sequence[Tile]
    charts: Sequence[Chart]
    tables: Sequence[tuple[str, Sequence[Sequence[Sequence[Table]]]]]
    footer: str


def percent(made: Comparison) -> str:
    """The confidence of the intervals."""
    return f"{100 * made.confidence:.4g}\N{NO-BREAK SPACE}%"


def differences(made: Comparison) -> Figure | None:
    """How the rows' differences are spread."""
    block = made.differences
    drawing, axes = empty("Difference of each row: B less A")
    if not steps(axes, block):
        return None
    beyond = block["below"] + block["above"]
    more = f" ({beyond:,} rows beyond are not drawn)" if beyond else ""
    axes.set_xlabel(f"loss in B less loss in A{more}")
    axes.axvline(0, color=INK, linewidth=0.9)
    marks(axes, {"mean": (made.means["difference"], RED, "--")})
    return drawing


def forest(made: Comparison, key: str) -> Figure | None:
    """Mean differences of classes or groups with their intervals."""
    entries = [
        e
        for e in (made.classes if key == "class" else made.groups)
        if not any(abs(e[name]) > DRAWN for name in ("difference", "low", "high"))
    ]
    if not entries:
        return None
    shown = sorted(entries[:BARS], key=lambda e: e["difference"])
    more = f": the {len(shown)} greatest of {len(entries)}" if len(shown) < len(entries) else ""
    pitch = 0.2 if len(shown) <= 15 else 0.16
    words = f"Mean difference by {key}{more}"
    drawing, axes = empty(words, 1.2 + pitch * max(len(shown), 3))
    for place, entry in enumerate(shown):
        sure = entry["low"] > 0 or entry["high"] < 0
        colour = INK if not sure else BLUE if entry["difference"] < 0 else RED
        within = [entry["low"], entry["high"]]
        axes.plot(within, [place, place], color=colour, linewidth=2, solid_capstyle="butt")
        axes.plot(entry["difference"], place, "o" if sure else "D", color=colour, markersize=4.5)
    for colour, mark, name in (
        (BLUE, "o", "B better"),
        (RED, "o", "A better"),
        (INK, "D", "unclear"),
    ):
        axes.plot([], [], mark, color=colour, markersize=4.5, label=name)
    axes.axvline(0, color=INK, linewidth=0.9)
    axes.set_yticks(np.arange(len(shown)), [plain(e[key]) for e in shown])
    axes.set_ylim(len(shown) - 0.4, -0.6)
    axes.grid(visible=False, axis="y")
    axes.tick_params(axis="y", length=0)
    axes.set_ylabel(key)
    axes.set_xlabel(f"mean of B less A, with {percent(made)} intervals")
    axes.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 2.5, 5, 10]))
    axes.xaxis.set_major_formatter(FuncFormatter(ticks))
    legend(axes)
    return drawing


def plane(made: Comparison) -> Figure | None:
    """The rows by their losses in both runs."""
    block = made.plane
    edges, counts = np.array(block["edges"]), np.array(block["counts"], dtype=np.float64)
    if not drawable(*edges):
        return None
    drawing = Figure(figsize=(WIDTH, 4.2), layout="constrained")
    title(drawing, "Each row's loss in both runs")
    axes = drawing.subplots()
    most = max(counts.max(), 2.0)
    seen = np.ma.masked_equal(counts.T, 0)
    mesh = axes.pcolormesh(
        edges, edges, seen, cmap="Blues", norm=LogNorm(0.5, most), rasterized=True
    )
    axes.plot(
        edges[[0, -1]], edges[[0, -1]], color=RED, linestyle="--", linewidth=1.2, label="equal"
    )
    axes.set_aspect("equal")
    out = f" ({block['outside']:,} rows beyond are not drawn)" if block["outside"] else ""
    axes.set_xlabel(f"loss in A{out}")
    axes.set_ylabel("loss in B")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(6, steps=[1, 2, 2.5, 5, 10]))
        axis.set_major_formatter(FuncFormatter(ticks))
    axes.annotate("A better", (0.03, 0.95), xycoords="axes fraction", fontsize=8.5)
    axes.annotate("B better", (0.97, 0.04), xycoords="axes fraction", fontsize=8.5, ha="right")
    scale = drawing.colorbar(mesh, ax=axes, shrink=0.8, aspect=25, pad=0.02)
    scale.ax.yaxis.set_major_locator(LogLocator(numticks=6))
    scale.ax.yaxis.set_major_formatter(FuncFormatter(ticks))
    scale.ax.yaxis.set_minor_formatter(NullFormatter())
    scale.set_label("rows (logarithmic)")
    scale.outline.set_visible(False)
    return drawing


def draw(made: Comparison, folder: Path) -> list[Chart]:
    """Write folder/charts/*.png; gives the charts for the page."""
    with styled():
        drawings: dict[str, tuple[Figure | None, str]] = {
            "differences": (differences(made), "Histogram of the rows' differences, B less A"),
            "plane": (plane(made), "Rows by their loss in A and in B"),
            "classes": (forest(made, "class"), "Mean differences by class with their intervals"),
            "groups": (forest(made, "group"), "Mean differences by group with their intervals"),
        }
        return write(drawings, folder)


def interval(within: Mapping[str, float]) -> str:
    """From where to where."""
    return f"{figure(within['low'], 4)} to {figure(within['high'], 4)}"


def words(made: Comparison) -> str:
    """What the numbers say, in a sentence."""
    sure = f"{percent(made)} interval {interval(made.bootstrap)}"
    gap = made.means["difference"]
    if made.few:
        return f"Too few rows to tell a difference in the mean: {figure(gap, 4)}, {sure}."
    if not made.verdict:
        return f"The rows show no difference in the mean: {figure(gap, 4)}, {sure}."
    better, worse = ("B", "A") if made.verdict == "b" else ("A", "B")
    relative = abs(gap / made.means[worse.lower()]) if made.means[worse.lower()] else 0.0
    part = f" ({share(relative)})" if relative else ""
    size = figure(abs(gap), 4)
    return (
        f"{better} is better: its mean loss is {size}{part} lower than {worse}'s. B less A: {sure}."
    )


def tiles(made: Comparison) -> Iterator[Tile]:
    """The numbers of the first glance."""
    signs, paired = made.signs, made.counts["paired"]
    yield Tile("mean in A", figure(made.means["a"]))
    yield Tile("mean in B", figure(made.means["b"]))
    yield Tile("mean of B less A", figure(made.means["difference"]), interval(made.bootstrap))
    yield Tile("rows better in B", share(signs["better"] / paired), figure(signs["better"]))
    yield Tile("rows worse in B", share(signs["worse"] / paired), figure(signs["worse"]))
    p = f"p = {figure(signs['p'], 3)}" if signs["p"] > 1e-300 else "p < 1e\N{MINUS SIGN}300"
    yield Tile("sign test", p, f"{figure(signs['equal'])} rows equal")


def warnings(made: Comparison) -> Iterator[Band]:
    """What a reader must know before the numbers."""
    if made.parameters:
        rows = [f"{k}: {v['a']} in A, {v['b']} in B" for k, v in made.parameters.items()]
        text = "Differences may come from these, not from the predictions:"
        yield Band("The runs have different parameters", text, rows)
    left = made.rows - made.counts["paired"]
    if left:
        yield Band(
            f"{figure(left)} of {figure(made.rows)} rows left out",
            "They have no finite loss (ignored, NaN or infinite) in one run or in both: "
            f"{figure(made.counts['a'])} in A, {figure(made.counts['b'])} in B.",
        )


def intervals(made: Comparison) -> Table:
    """The mean difference by two methods."""
    heads = [Column("method", "head"), Column("from"), Column("to")]
    unit = "rows" if made.units == made.counts["paired"] else "buckets of rows"
    rows = [
        [f"bootstrap: {made.resamples:,} draws of {made.units:,} {unit}", *made.bootstrap.values()],
        ["Student's t", *made.theory.values()],
    ]
    note = f"Such intervals hold the true mean in {percent(made)} of cases."
    return Table("intervals", "Intervals of the mean difference", heads, rows, note=note)


def breakdown(made: Comparison, key: str) -> Iterator[Table]:
    """A table of classes or groups."""
    entries = made.classes if key == "class" else made.groups
    if entries:
        cut = f" {SHOWN} of {len(entries):,} shown." if len(entries) > SHOWN else ""
        note = (
            "The greatest differences first. Each interval is for itself: of many, some miss 0 "
            f"by chance.{cut}"
        )
        name = "classes" if key == "class" else "groups"
        yield table_of(name, f"By {key}", entries[:SHOWN], BY, note=note, sortable=True)


def extremes(made: Comparison) -> Iterator[Table]:
    """Tables of rows."""
    for name, entries in (("improved", made.improved), ("worsened", made.worsened)):
        if entries:
            count = f"The {len(entries)} rows that " if len(entries) > 1 else "The row that "
            yield table_of(name, f"{count}most {name} in B", entries, ROWS, sortable=True)


def page_of(made: Comparison, charts: Sequence[Chart]) -> Page:
    """All that the page says."""
    by = [[[one]] for key in ("group", "class") for one in breakdown(made, key)]
    means = {"A": made.means["a"], "B": made.means["b"], "B less A": made.means["difference"]}
    means["standard deviation of B less A"] = made.means["std"]
    heads = [Column("mean loss of the paired rows", "head"), Column("value")]
    return Page(
        title=f"{made.loss}, A against B",
        a=made.a,
        b=made.b,
        verdict=made.verdict,
        words=words(made),
        warnings=list(warnings(made)),
        tiles=list(tiles(made)),
        charts=charts,
        tables=[
            (
                "Numbers",
                [[[Table("means", "Means", heads, list(means.items()))], [intervals(made)]]],
            ),
            ("Breakdown", by),
            ("Rows to look at", [[[one]] for one in extremes(made)]),
        ],
        footer=f"lossd {__version__}. {figure(made.counts['paired'])} paired rows; these numbers "
        "are in comparison.json, the charts in charts/*.png.",
    )


def write_comparison(folder: Path, made: Comparison) -> Path:
    """Write comparison.json, comparison.html and charts/*.png.

    Args:
        folder: made if need be.
        made: the comparison.

    Returns:
        The path of the page.

    Raises:
        OutputError: the folder cannot be written to.
    """
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(folder / RESULT, made.to_json())
        charts = draw(made, folder)
    return write_whole(folder / "comparison.html", render("comparison.html", page_of(made, charts)))
