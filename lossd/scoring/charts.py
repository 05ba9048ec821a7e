"""Charts of a run: from the numbers of its summary to PNG files and to SVG for a page.

Every chart is a function of the summary alone, and the same summary gives the same bits.
"""

import contextlib
import io
import math
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any, Final

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import (
    FuncFormatter,
    LogLocator,
    MaxNLocator,
    NullFormatter,
    PercentFormatter,
)
from matplotlib.transforms import blended_transform_factory

from lossd.scoring.disk import replacing
from lossd.scoring.figures import brief, figure, number, plain, short

Summary = Mapping[str, Any]
Array = npt.NDArray[np.float64]

# Okabe and Ito's palette: apart for every kind of colour vision. jfly.uni-koeln.de/color
BLUE, SKY, ORANGE, RED, GREEN = "#0072B2", "#56B4E9", "#E69F00", "#D55E00", "#009E73"
INK, FAINT = "#2b2f36", "#8a919c"

WIDTH: Final = 5.0
"""Inches. With letters of 9 points they can be read on a telephone and do not shout on a desk."""

BARS: Final = 30
"""A chart of bars shows as many."""

COUNTED: Final = 15
"""A confusion matrix of as many classes has room for its counts."""

DRAWN: Final = 1e300
"""Numbers beyond are not drawn: there is no room to scale them."""

STYLE: Final[Mapping[Any, Any]] = {
    "axes.axisbelow": True,
    "axes.edgecolor": FAINT,
    "axes.grid": True,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.8,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.unicode_minus": True,
    "font.family": ["DejaVu Sans"],
    "font.size": 9,
    "grid.alpha": 0.25,
    "grid.color": FAINT,
    "grid.linewidth": 0.6,
    "legend.fontsize": 8.5,
    "legend.frameon": False,
    "legend.labelcolor": INK,
    "svg.fonttype": "none",  # text stays text: small, searchable
    "text.color": INK,
    "text.parse_math": False,  # a group may be called "$5 to $10"
    "xtick.color": FAINT,
    "xtick.labelcolor": INK,
    "xtick.labelsize": 8.5,
    "ytick.color": FAINT,
    "ytick.labelcolor": INK,
    "ytick.labelsize": 8.5,
}


@dataclass(frozen=True)
class Chart:
    """A drawn chart: its name, what it shows in words, and the SVG element for a page."""

    name: str
    words: str
    svg: str


@contextlib.contextmanager
def styled() -> Iterator[None]:
    """Our style, for a while; a user's own matplotlibrc plays no part."""
    with warnings.catch_warnings(), mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update({**STYLE, "svg.hashsalt": "lossd"})
        # Names in scripts that matplotlib's font lacks: boxes in the PNG, right in the page.
        warnings.filterwarnings("ignore", r"(?s)(Glyph|Matplotlib currently)", UserWarning)
        yield


def ticks(value: float, _: Any = None) -> str:
    """A label of an axis."""
    return figure(float(value)) if abs(value) < 1e6 else brief(float(value), 4)


def title(made: Figure, text: str) -> None:
    """Say what is seen, at the left edge."""
    made.suptitle(text, x=0.015, ha="left", fontsize=10, fontweight="bold")


def empty(words: str, height: float = 3.0) -> tuple[Figure, Axes]:
    """A figure with one titled pair of axes."""
    made = Figure(figsize=(WIDTH, height), layout="constrained")
    title(made, words)
    axes = made.subplots()
    axes.tick_params(length=3)
    return made, axes


def drawable(*values: float) -> bool:
    """Whether all are numbers that can be drawn."""
    return all(abs(value) < DRAWN for value in values)


def steps(axes: Axes, histogram: Summary, *, colour: str = BLUE) -> bool:
    """Draw a histogram; tells whether there was something to draw.

    The axis of counts is logarithmic if most bars would not be seen otherwise.
    """
    edges = np.array([number(x) for x in histogram["edges"]])
    counts = np.array([number(x) for x in histogram["counts"]])
    if not counts.sum() or not drawable(*edges):
        return False
    if edges[0] == edges[-1]:  # every row has the same value
        wide = max(abs(edges[0]) * 0.05, 0.05)
        edges, counts = np.array([edges[0] - wide, edges[0] + wide]), np.array([counts.sum()])
    seen, floor = counts[counts > 0], 0.0
    if np.mean(seen < seen.max() / 100) > 1 / 3:
        axes.set_yscale("log")
        floor = 0.6
        axes.yaxis.set_major_locator(LogLocator(numticks=6))
        axes.yaxis.set_minor_formatter(NullFormatter())
        axes.set_ylim(floor, seen.max() * 2)
    else:
        axes.set_ylim(0, seen.max() * 1.08)
        axes.yaxis.set_major_locator(MaxNLocator(5, integer=True, steps=[1, 2, 2.5, 5, 10]))
    axes.stairs(np.maximum(counts, floor), edges, baseline=floor, fill=True, color=colour, lw=0)
    widths = np.diff(edges)
    if edges[0] > 0 and widths.max() > 20 * widths.min():
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(numticks=7))
        axes.xaxis.set_minor_formatter(NullFormatter())
    axes.margins(x=0.01)
    axes.xaxis.set_major_formatter(FuncFormatter(ticks))
    axes.yaxis.set_major_formatter(FuncFormatter(ticks))
    axes.set_ylabel("rows" + (" (logarithmic)" if floor else ""))
    axes.grid(visible=False, axis="x")
    return True


def legend(axes: Axes) -> None:
    """Name the lines in a row between title and axes, where no data can be."""
    assert isinstance(axes.figure, Figure)
    over = blended_transform_factory(axes.figure.transFigure, axes.transAxes)
    given: dict[str, Any] = {"loc": "lower left", "bbox_to_anchor": (0.015, 1.0), "ncols": 4}
    given |= {"bbox_transform": over, "handlelength": 1.5, "handletextpad": 0.4}
    above = axes.legend(columnspacing=1.0, borderpad=0, borderaxespad=0.4, **given)
    above.set_in_layout(False)  # long names may end outside: no reason to draw nothing
    axes.set_title(" ", fontsize=9, pad=4)  # its room


def marks(axes: Axes, values: Mapping[str, tuple[Any, str, str]]) -> None:
    """Upright lines at values, each with its colour and dashes."""
    for name, (value, colour, dashes) in values.items():
        x = number(value)
        if drawable(x):
            label = f"{name} {brief(x)}"
            axes.axvline(x, color=colour, linestyle=dashes, linewidth=1.5, label=label)
    if axes.get_legend_handles_labels()[0]:
        legend(axes)


def distribution(summary: Summary) -> Figure | None:
    """How the losses of the rows are spread."""
    block = summary.get("distribution")
    if not block or not block.get("histogram"):
        return None
    made, axes = empty("Loss of each row")
    if not steps(axes, block["histogram"]):
        return None
    above = block["histogram"].get("above", 0)
    axes.set_xlabel("loss" + (f" ({brief(above)} rows lie beyond the right edge)" if above else ""))
    quantiles = block.get("quantiles", {})
    marks(
        axes,
        {
            "median": (quantiles.get("0.5"), GREEN, "-"),
            "mean": (block.get("mean"), INK, "--"),
            "p95": (quantiles.get("0.95"), ORANGE, "-."),
            "p99": (quantiles.get("0.99"), RED, ":"),
        },
    )
    return made


def ranked(entries: Sequence[Summary]) -> list[Summary]:
    """Classes or groups that have a mean, the worst first."""
    known = [e for e in entries if not math.isnan(number(e.get("mean")))]
    return sorted(known, key=lambda e: -number(e["mean"]))


def bars(summary: Summary, key: str, what: str, of: str) -> Figure | None:
    """Bars of the mean loss of classes or groups."""
    entries = [e for e in ranked(summary.get(of, [])) if drawable(number(e["mean"]))]
    if not entries:
        return None
    shown = entries[:BARS]
    more = f": the worst {len(shown)} of {len(entries)}" if len(shown) < len(entries) else ""
    made, axes = empty(
        f"Mean loss by {what}{more}",
        1.15 + (0.19 if len(shown) <= 15 else 0.155) * max(len(shown), 3),
    )
    places, means = np.arange(len(shown)), [number(e["mean"]) for e in shown]
    axes.barh(places, means, height=0.72, color=BLUE)
    axes.set_yticks(places, [plain(e[key]) for e in shown])
    axes.set_ylim(len(shown) - 0.4, -0.6)
    axes.grid(visible=False, axis="y")
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel("mean loss")
    axes.set_ylabel(what)
    axes.xaxis.set_major_formatter(FuncFormatter(ticks))
    axes.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 2.5, 5, 10]))
    beside: dict[str, Any] = {
        "xycoords": axes.get_yaxis_transform(),
        "xytext": (5, 0),
        "textcoords": "offset points",
        "va": "center_baseline",
    }
    for place, mean in enumerate(means):  # beside the axes: no line goes through them there
        axes.annotate(brief(mean, 4), (1, place), fontsize=7.5, **beside)
    axes.margins(x=0.03)
    marks(axes, {"all rows": (summary.get("distribution", {}).get("mean"), RED, "--")})
    return made


def classes(summary: Summary) -> Figure | None:
    """The classes whose rows have the greatest losses."""
    return bars(summary, "class", "class", "classes")


def groups(summary: Summary) -> Figure | None:
    """The groups whose rows have the greatest losses."""
    return bars(summary, "group", "group", "groups")


def confusion(summary: Summary) -> Figure | None:
    """What is taken for what, each class's rows shared out."""
    block = summary.get("classification", {})
    if not block.get("confusion"):
        return None
    counts = np.array(block["confusion"], dtype=np.float64)
    names = [plain(c, 12) for c in block["classes"]]
    size = len(names)
    rows = counts.sum(axis=1, keepdims=True)
    shares = np.divide(counts, rows, out=np.zeros_like(counts), where=rows > 0)
    made, axes = empty("What each class is taken for", 4.2 if size > 4 else 3.2)
    detailed = size <= COUNTED
    mesh = axes.pcolormesh(
        shares,
        cmap="Blues",
        vmin=0,
        vmax=1,
        edgecolors="white" if detailed else "none",
        linewidth=0.8 if detailed else 0,
        rasterized=not detailed,
    )
    axes.set_aspect("equal")
    axes.invert_yaxis()
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    every = 1 if size <= 20 else 5
    at = np.arange(0, size, every)
    turned = 90 if max(map(len, names)) > 3 and size > 6 else 0
    axes.set_xticks(at + 0.5, names[::every], rotation=turned)
    axes.set_yticks(at + 0.5, names[::every])
    axes.set_xlabel("prediction")
    axes.set_ylabel("class")
    scale = made.colorbar(mesh, ax=axes, shrink=0.8, aspect=25, pad=0.02)
    scale.ax.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    scale.set_label("share of the class's rows")
    scale.outline.set_visible(False)
    if detailed:
        letters = 8 if size <= 10 else 6
        for (i, j), share in np.ndenumerate(shares):
            if counts[i, j]:
                colour = "white" if share > 0.55 else INK
                place: dict[str, Any] = {
                    "ha": "center",
                    "va": "center",
                    "fontsize": letters,
                    "color": colour,
                }
                axes.text(j + 0.5, i + 0.5, short(int(counts[i, j])), **place)
    return made


def reliability(summary: Summary) -> Figure | None:
    """Whether the model is as often right as it is sure."""
    block = summary.get("classification", {}).get("reliability")
    if not block or not sum(block["counts"]):
        return None
    binary = summary.get("kind") == "binary"
    made = Figure(figsize=(WIDTH, 3.9), layout="constrained")
    title(made, f"Calibration: expected error {brief(number(block['error']))}")
    axes, below = made.subplots(2, 1, sharex=True, height_ratios=[3.2, 1])
    edges = np.array(block["edges"], dtype=np.float64)
    sure = np.array([number(x) for x in block["confidence"]])
    right = np.array([number(x) for x in block["accuracy"]])
    known = np.isfinite(sure) & np.isfinite(right)
    axes.plot([0, 1], [0, 1], color=FAINT, linestyle="--", linewidth=1.2, label="perfect")
    axes.vlines(sure[known], sure[known], right[known], color=ORANGE, linewidth=4, label="gap")
    axes.plot(
        sure[known], right[known], "o-", color=BLUE, markersize=4.5, linewidth=1.4, label="measured"
    )
    legend(axes)
    axes.set_ylim(-0.02, 1.02)
    axes.set_ylabel("share of class 1" if binary else "accuracy")
    below.stairs(block["counts"], edges, fill=True, color=SKY, lw=0)
    below.set_xlabel("probability of class 1" if binary else "confidence of the prediction")
    below.set_ylabel("rows")
    below.set_xlim(0, 1)
    below.yaxis.set_major_locator(MaxNLocator(2, integer=True))
    below.yaxis.set_major_formatter(FuncFormatter(ticks))
    below.grid(visible=False, axis="x")
    for one in (axes, below):
        one.tick_params(length=3)
    return made


def residuals(summary: Summary) -> Figure | None:
    """How far the predictions are from the targets, and on which side."""
    block = summary.get("regression", {})
    if not block.get("residuals"):
        return None
    made, axes = empty("Residual of each row: prediction less target")
    if not steps(axes, block["residuals"]):
        return None
    beyond = block["residuals"].get("beyond", 0)
    more = f" ({brief(beyond)} rows lie beyond)" if beyond else ""
    axes.set_xlabel(f"residual, in the target's units{more}")
    bias, rmse = number(block.get("bias")), number(block.get("rmse"))
    axes.axvline(0, color=INK, linewidth=0.9)
    if drawable(bias, rmse):
        axes.axvspan(
            -rmse, rmse, color=ORANGE, alpha=0.25, lw=0, zorder=0.5, label=f"± RMSE {brief(rmse)}"
        )
    marks(axes, {"bias": (bias, RED, "--")})
    return made


CHARTS: Final = {
    "distribution": (distribution, "Histogram of the per-row losses with mean and quantiles"),
    "residuals": (residuals, "Histogram of the residuals, prediction less target"),
    "classes": (classes, "Bars of the mean loss by class, the worst first"),
    "groups": (groups, "Bars of the mean loss by group, the worst first"),
    "confusion": (confusion, "Confusion matrix, each class's rows shared out over predictions"),
    "reliability": (
        reliability,
        "Reliability diagram, how often the predictions of a confidence are right",
    ),
}
"""In the order of the page: what draws it, and what it shows in words."""


def png(made: Figure) -> bytes:
    """The figure as a picture without a date."""
    out = io.BytesIO()
    made.savefig(out, format="png", dpi=150, facecolor="white", metadata={"Software": None})
    return out.getvalue()


def svg(made: Figure, name: str, words: str) -> str:
    """The figure as an element for a page, labelled; its ids clash with no other chart's."""
    out = io.StringIO()
    nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    made.savefig(out, format="svg", dpi=200, transparent=True, metadata=nothing)
    text = out.getvalue()
    text = text[text.index("<svg") :]
    opening = re.sub(r'\s(width|height)="[^"]*pt"', "", text[: text.index(">")])
    opening += f' role="img" aria-label="{escape(words)}"'
    text = opening + text[text.index(">") :]

    def named(tag: re.Match[str]) -> str:  # in tags alone: what users wrote stays as it is
        return re.sub(r'( id="|url\(#|href="#)', rf"\g<1>{name}-", tag[0])

    return re.sub(r"<[^>]*>", named, text)


def write(made: Mapping[str, tuple[Figure | None, str]], folder: Path) -> list[Chart]:
    """Write folder/charts/NAME.png of those figures that there are; gives them for a page.

    Call it within `styled`. A chart of an earlier time that there is none of now is removed.

    Raises:
        OutputError: it cannot be written to.
    """
    drawn = []
    for name, (one, words) in made.items():
        path = folder / "charts" / f"{name}.png"
        if one is None:
            path.unlink(missing_ok=True)
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as file:
            file.write(png(one))
        drawn.append(Chart(name, words, svg(one, name, words)))
    return drawn


def write_charts(summary: Summary, folder: Path) -> list[Chart]:
    """Draw what the summary has numbers for.

    Args:
        summary: see docs/scoring.md.
        folder: of the run; PNGs go to its charts/.

    Returns:
        The charts for a page, in its order.
    """
    with styled():
        made = {name: (draw(summary), words) for name, (draw, words) in CHARTS.items()}
        return write(made, folder)
