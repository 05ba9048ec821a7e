"""What a run says: tables in the terminal, CSV and JSON for programs, Markdown for docs."""

import csv
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.table import Table

from benchmarks.suite import Row
from benchmarks.verdicts import Verdict, summary, word

TITLES: Final = {"inprocess": "In this process", "service": "Over gRPC"}
COLUMNS: Final = {
    "inprocess": ("lossd", "torch", "torch/lossd", "copy", "lossd/copy", "MB/s"),
    "service": (
        "unix", "torch/unix", "in place", "torch/place", "raw unix", "unix/raw", "TCP", "raw TCP",
        "raw/TCP", "TCP MB/s", "torch/TCP",
    ),
}  # fmt: skip
MEANINGS: Final = """\
Times are medians of one call: loss and gradient. torch: forward and backward. copy: a kernel that
reads as many arrays as the loss and writes one, into memory used again. unix: a unix socket;
in place: the same with tensors of `client.empty`, which nobody copies. raw: grpcio alone, the
same bytes on a persistent stream. MB/s: tensors and gradient (over TCP: the bytes sent and
received) by the time, 1 MB = 10^6 bytes; nll_loss reads one value in a row and skips the others.
torch/unix, torch/place, torch/TCP above 1: such a call is faster than torch in the caller's own
process."""


def seconds(value: float) -> str:
    """Three digits and a unit."""
    if math.isnan(value):
        return "-"
    scale, unit = (1e6, "µs") if value < 1e-3 else (1e3, "ms")
    digits = max(0, 2 - math.floor(math.log10(value * scale)))
    return f"{value * scale:.{digits}f} {unit}"


def _times(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.2f}x"


def _percent(value: float) -> str:
    return "-" if math.isnan(value) else f"{100 * value:.0f} %"


def _rate(count: float, value: float) -> str:
    return "-" if math.isnan(value) else f"{count / value / 1e6:,.0f}"


def cells(row: Row, table: str) -> list[str]:
    """A row's cells in a table."""
    t = row.seconds
    head = [row.workload.loss, row.workload.size]
    if table == "inprocess":
        return [
            *head, seconds(t("lossd")), seconds(t("torch")), _times(row.ratio("torch", "lossd")),
            seconds(t("copy")), _times(row.ratio("lossd", "copy")), _rate(row.moved, t("lossd")),
        ]  # fmt: skip
    return [
        *head, seconds(t("unix")), _times(row.ratio("torch", "unix")), seconds(t("place")),
        _times(row.ratio("torch", "place")), seconds(t("raw_unix")),
        _times(row.ratio("unix", "raw_unix")),
        seconds(t("tcp")), seconds(t("raw_tcp")), _percent(row.ratio("raw_tcp", "tcp")),
        _rate(row.sent + row.returned, t("tcp")), _times(row.ratio("torch", "tcp")),
    ]  # fmt: skip


def line(row: Row) -> str:
    """A row in few words, for the log of a run."""
    found = [f"{n.replace('_', ' ')} {seconds(t.median)}" for n, t in row.timings.items()]
    return f"{row.workload.loss} {row.workload.size}: {', '.join(found)}"


def show(
    console: Console,
    rows: Sequence[Row],
    found: Sequence[Verdict],
    about: Mapping[str, str],
) -> None:
    """Print tables and summary."""
    for name in _tables(rows):
        table = Table(title=TITLES[name], title_justify="left", pad_edge=False, padding=(0, 1))
        table.add_column("loss", no_wrap=True)
        table.add_column("size", no_wrap=True)
        for column in COLUMNS[name]:
            table.add_column(column, justify="right", no_wrap=True)
        before = ""
        for row in rows:
            if before and before != row.workload.loss:
                table.add_section()
            before = row.workload.loss
            table.add_row(*cells(row, name))
        console.print(table)
    console.print(MEANINGS, highlight=False)
    console.print()
    console.print(summary(found))
    console.print(", ".join(f"{k} {v}" for k, v in about.items() if k != "command"))


def _tables(rows: Sequence[Row]) -> list[str]:
    measured = {contender for row in rows for contender in row.timings}
    names = ["inprocess"] * bool(measured & {"lossd", "torch", "copy"})
    return names + ["service"] * bool(measured - {"lossd", "torch", "copy"})


def write_csv(path: Path, rows: Sequence[Row], about: Mapping[str, str]) -> None:
    """One line for each row and contender, after comments with machine and versions."""
    with path.open("w", newline="", encoding="utf-8") as file:
        file.writelines(f"# {name}: {value}\n" for name, value in about.items())
        writer = csv.writer(file)
        writer.writerow(
            ["loss", "size", "elements", "bytes_moved", "bytes_sent", "bytes_returned",
             "contender", "median_s", "min_s", "iqr_s", "rounds", "calls"]
        )  # fmt: skip
        for row in rows:
            head = [row.workload.loss, row.workload.size, row.workload.elements]
            head += [row.moved, row.sent, row.returned]
            for contender, t in row.timings.items():
                times = [f"{x:.9f}" for x in (t.median, t.best, t.spread)]
                writer.writerow([*head, contender, *times, t.rounds, t.calls])


def write_json(
    path: Path, rows: Sequence[Row], found: Sequence[Verdict], about: Mapping[str, str]
) -> None:
    """Everything."""
    content = {
        "about": dict(about),
        "targets": [asdict(verdict) for verdict in found],
        "rows": [
            {
                "loss": row.workload.loss,
                "size": row.workload.size,
                "shape": list(row.workload.shape),
                "bytes_moved": row.moved,
                "bytes_sent": row.sent,
                "bytes_returned": row.returned,
                "timings": {
                    name: {
                        "median_s": t.median,
                        "min_s": t.best,
                        "iqr_s": t.spread,
                        "rounds": t.rounds,
                        "calls": t.calls,
                    }
                    for name, t in row.timings.items()
                },
            }
            for row in rows
        ],
    }
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def markdown(rows: Sequence[Row], found: Sequence[Verdict], about: Mapping[str, str]) -> str:
    """The page docs/benchmarks.md."""
    parts = [
        f"<!-- Made by `{about['command']}`. Do not edit. -->",
        "# Benchmarks",
        "The command below measures this page again (all losses: about twenty minutes; the machine "
        "should have nothing else to do), `python -m benchmarks --help` has parts of it. Each "
        "row's contenders take turns in one run, with the same number of threads, after lossd's "
        "results were compared with torch's. The figures with minima and quartiles are in "
        "`bench.csv` and `bench.json` in its `--out` folder.",
        "## What it must reach",
        grid(["target", "measured", ""], [[v.target, v.measured, word(v)] for v in found], 2),
        "## The machine",
        grid(["", ""], [[name, value] for name, value in about.items()], 2),
    ]
    for name in _tables(rows):
        header = ["loss", "size", *COLUMNS[name]]
        parts += [f"## {TITLES[name]}", grid(header, [cells(row, name) for row in rows], 2)]
        if name == "inprocess":
            parts.insert(-1, MEANINGS)
    return "\n\n".join(parts) + "\n"


def grid(header: list[str], lines: list[list[str]], left: int) -> str:
    """A Markdown table; columns from `left` on are aligned to the right."""
    marks = ["---" if i < left else "--:" for i in range(len(header))]
    return "\n".join(f"| {' | '.join(cell)} |" for cell in [header, marks, *lines])
