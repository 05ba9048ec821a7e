"""What a run says: tables in the terminal, a page for docs, a chart."""

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import matplotlib as mpl
from rich.console import Console
from rich.table import Table

from benchmarks.report import grid, seconds
from benchmarks.suite import Row


@dataclass(frozen=True)
class Way:
    """A way of handing tensors over.

    lossd: its contender there, to which the others are held.
    others: labels by contender.
    """

    title: str
    lossd: str
    others: Mapping[str, str]

    @property
    def labels(self) -> dict[str, str]:
        """Of all its contenders."""
        return {self.lossd: "lossd", **self.others}


TORCH: Final = {"torch": "torch in the caller's own process"}
WAYS: Final = (
    Way(
        "Over TCP",
        "tcp",
        {
            "raw_tcp": "gRPC echo (grpcio), no loss",
            "flight": "Arrow Flight echo, no loss",
            "triton_torch": "Triton, torch",
            "triton_numpy": "Triton, NumPy",
            **TORCH,
        },
    ),
    Way(
        "Through shared memory, tensors copied there",
        "shared",
        {
            "triton_torch_shared": "Triton, torch",
            "triton_numpy_shared": "Triton, NumPy",
            **TORCH,
        },
    ),
    Way(
        "Through shared memory, tensors made there",
        "place",
        {
            "triton_torch_place": "Triton, torch",
            "triton_numpy_place": "Triton, NumPy",
            **TORCH,
        },
    ),
)
SHORT: Final = {"binary_cross_entropy_with_logits": "BCE with logits", "mse_loss": "MSE"}
MEANINGS: Final = """\
Times are medians of one call: the loss and the gradient of its input; in brackets how many times
lossd's in the same table. Everybody is on one host and computes with the same number of threads.

- **lossd**: `value_and_grad` of `lossd_client.nn`: over TCP; over a unix socket with NumPy arrays,
  which the client copies to shared memory; and there with arrays of `client.empty`. Small tensors
  go in the message all the same.
- **gRPC echo**, **Arrow Flight echo**: as many bytes as lossd sends over TCP, answered with as many
  as it answers, in messages or record batches of 1 MiB on a stream that stays open. Answers begin
  while the request is still coming. They compute nothing: this is what carrying the bytes costs.
- **Triton**: Triton Inference Server with the loss in its Python backend: torch's forward and
  backward, or NumPy with the gradient written by hand (on one thread). It is called with
  `tritonclient.grpc`, whose channel has lossd's window; in shared memory by Triton's system shared
  memory, in which the gradient comes back too and is read in place.
- **torch**: forward and backward, where nothing is carried."""


def name(row: Row) -> str:
    """A workload's name."""
    loss = row.workload.loss
    return f"{SHORT.get(loss, loss.replace('_', ' '))} {row.workload.size}"


def lines(way: Way, rows: Sequence[Row]) -> list[list[str]]:
    """A table of a way: a line for each contender that was measured, a column for each row."""
    measured = {contender for row in rows for contender in row.timings}
    return [
        [label, *(_cell(row, contender, way.lossd) for row in rows)]
        for contender, label in way.labels.items()
        if contender in measured
    ]


def _cell(row: Row, contender: str, lossd: str) -> str:
    ratio = row.ratio(contender, lossd)
    if math.isnan(ratio):
        return "-"
    time = seconds(row.seconds(contender))
    digits = 2 if ratio < 0.095 else 1 if ratio < 9.95 else 0
    return time if contender == lossd else f"{time} ({ratio:.{digits}f}x)"


def show(console: Console, rows: Sequence[Row], about: Mapping[str, str]) -> None:
    """Print a table for each way."""
    for way in WAYS:
        table = Table(title=way.title, title_justify="left", pad_edge=False, padding=(0, 1))
        table.add_column("")
        for row in rows:
            table.add_column(name(row), justify="right")
        for line in lines(way, rows):
            table.add_row(*line)
        console.print(table)
    console.print(", ".join(f"{k} {v}" for k, v in about.items() if k != "command"))


def markdown(rows: Sequence[Row], about: Mapping[str, str], page: Path, chart: Path | None) -> str:
    """The page docs/benchmarks-peers.md."""
    header = ["", *map(name, rows)]
    sizes = [
        ["sent", *(f"{row.sent / 1e6:,.3g} MB" for row in rows)],
        ["returned", *(f"{row.returned / 1e6:,.3g} MB" for row in rows)],
    ]
    parts = [
        f"<!-- Made by `{about['command']}`. Do not edit. -->",
        "# Beside others that carry tensors",
        "`make bench-peers` measures this page again (the machine should have nothing else to "
        "do), `python -m benchmarks.peers --help` has parts of it. All contenders take turns in "
        "one run, after their results were compared with torch's. Minima and quartiles are in "
        "`build/bench-peers/bench.csv` and `bench.json`.",
        MEANINGS,
    ]
    if chart:
        target = os.path.relpath(chart, page.parent)
        parts.append(f"![Milliseconds of a call, by workload and contender]({target})")
    for way in WAYS:
        parts += [f"## {way.title}", grid(header, lines(way, rows), 1)]
    parts += ["## Bytes of a call over TCP", grid(header, sizes, 1)]
    parts += ["## The machine", grid(["", ""], [[k, v] for k, v in about.items()], 2)]
    return "\n\n".join(parts) + "\n"


COLOURS: Final = {"lossd": "#c8102e", "Triton": "#5b8c2a", "torch": "#8a8a8a"}


def draw(rows: Sequence[Row], path: Path) -> None:
    """Write the chart: a panel for each workload, a bar for each contender."""
    mpl.use("svg")
    mpl.rcParams |= {"svg.hashsalt": "peers", "svg.fonttype": "none"}
    import matplotlib.pyplot as plt

    bars = _bars(rows)
    down = math.ceil(len(rows) / 2)
    size = (9.5, 0.6 + down * (0.9 + 0.19 * len(bars)))
    figure, panels = plt.subplots(
        down, min(2, len(rows)), figsize=size, layout="constrained", sharey=True, squeeze=False
    )
    for panel in panels.flat[len(rows) :]:
        panel.set_visible(False)
    for panel, row in zip(panels.flat, rows, strict=False):
        times = [row.seconds(contender) * 1e3 for contender, _, _ in bars]
        panel.barh(range(len(bars)), times, color=[_colour(label) for _, label, _ in bars])
        panel.set_xscale("log")
        panel.minorticks_off()
        least, most = min(times), max(times)
        panel.set_xlim(least / 2, most * 4)
        for at, time in enumerate(times):
            panel.text(time * 1.08, at, seconds(time / 1e3), va="center", fontsize=7)
        for at, (_, _, first) in enumerate(bars):
            if first and at:
                panel.axhline(at - 0.5, color="black", linewidth=0.5)
        panel.set_yticks(range(len(bars)), [label for _, label, _ in bars], fontsize=8)
        panel.set_title(name(row), fontsize=10)
        panel.tick_params(axis="x", labelsize=8)
        panel.grid(axis="x", alpha=0.3)
        panel.set_axisbelow(True)
    panels[0, 0].invert_yaxis()
    figure.supxlabel("milliseconds of a call, logarithmic: less is better", fontsize=9)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)


def _bars(rows: Sequence[Row]) -> list[tuple[str, str, bool]]:
    """Contender, label, and whether it is the first of its way. torch comes once, at the end."""
    measured = {contender for row in rows for contender in row.timings}
    ways = ("TCP", "shared memory", "made in shared memory")
    found = []
    for way, where in zip(WAYS, ways, strict=True):
        for contender, label in way.labels.items():
            if contender in measured and contender not in TORCH:
                text = f"{label.removesuffix(', no loss')}, {where}"
                found.append((contender, text, contender == way.lossd))
    return [*found, ("torch", "torch, in process", True)]


def _colour(label: str) -> str:
    return next((c for start, c in COLOURS.items() if label.startswith(start)), "#3b6ea5")
