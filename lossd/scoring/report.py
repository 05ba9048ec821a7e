"""The page of a run: its numbers, charts and worst rows, in one file that needs nothing else."""

import datetime
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from lossd.scoring.charts import Chart, ranked, write_charts
from lossd.scoring.disk import writing
from lossd.scoring.figures import figure, number, seconds, share, size
from lossd.scoring.pages import SHOWN, Band, Column, Table, Tile, render, table_of, write_whole

Summary = Mapping[str, Any]
Layout = Sequence[Sequence[Sequence[Table]]]
"""Tables of a section: its rows, their columns, the tables in each."""

BY: Final = {
    "class": Column("class", "head"),
    "group": Column("group", "head"),
    "count": Column("rows"),
    "not_finite": Column("not finite"),
    "mean": Column("mean loss"),
    "sum": Column("sum"),
    "accuracy": Column("accuracy", "share"),
}
WORK: Final = {"network": "to servers and back"}
"""What workers do, where timing.json has another word for it."""

WORST: Final = {
    "row": Column("row"),
    "loss": Column("loss"),
    "id": Column("id", "text"),
    "class": Column("class", "text"),
    "prediction": Column("prediction", "text"),
    "confidence": Column("confidence", "share"),
    "probability": Column("probability", "share"),
    "input": Column("input"),
    "target": Column("target"),
    "group": Column("group", "text"),
    "place": Column("where", "text"),
}


@dataclass(frozen=True)
class Page:
    """What the template shows."""

    title: str
    run: str
    lead: str
    tags: Sequence[str]
    warnings: Sequence[Band]
    tiles: Sequence[Tile]
    charts: Sequence[Chart]
    tables: Sequence[tuple[str, Layout]]
    footer: str


def parameter(name: str, value: Any) -> str:
    """A parameter as a user would give it."""
    said = figure(value) if isinstance(value, float) else str(value)
    return f"{name} = {said if len(said) <= 80 else said[:79] + '…'}"


def lead(summary: Summary) -> str:
    """What was scored, in a line."""
    inputs = summary["inputs"]
    names = [str(inputs[k]["name"]) for k in ("input", "target") if k in inputs]
    rest = [f"{k} {v['name']}" for k, v in inputs.items() if k not in ("input", "target")]
    said = " against ".join(names) + "".join(f", {one}" for one in rest)
    return f"{said} · {figure(summary['rows'])} rows · {summary['kind']}"


def warnings(summary: Summary) -> Iterator[Band]:
    """What a reader must know before the numbers."""
    counts = summary["counts"]
    bad = {"NaN": counts.get("nan", 0), "infinite": counts.get("inf", 0)}
    if any(bad.values()):
        kinds = " and ".join(f"{figure(n)} {kind}" for kind, n in bad.items() if n)
        several = sum(bad.values()) > 1
        rows = [found(entry) for entry in summary.get("nans", [])]
        text = "The distribution and the charts leave them out; the reductions do not."
        if len(rows) < sum(bad.values()) and rows:
            text += f" The first {len(rows)}:"
        yield Band(f"{kinds} loss{'es' if several else ''}", text, rows)
    if counts.get("ignored"):
        whole = f" of {figure(summary['rows'])}"
        yield Band(
            f"{figure(counts['ignored'])}{whole} rows ignored",
            "Their labels say to (ignore_index): they count in no number here.",
        )
    unpredicted = summary.get("classification", {}).get("unpredicted", 0)
    if unpredicted:
        yield Band(
            f"{figure(unpredicted)} row{'s' * (unpredicted > 1)} without a prediction",
            "Their predictions hold NaN: they count as wrong in the accuracy, and are neither "
            "among the mistakes nor in the calibration.",
        )


def found(entry: Summary) -> str:
    """Where a row is."""
    named = f", id {entry['id']}" if entry.get("id") is not None else ""
    return f"row {figure(entry['row'])}{named}: {entry.get('place', '')}".rstrip(": ")


def tiles(summary: Summary) -> Iterator[Tile]:
    """The numbers of the first glance."""
    spread = summary.get("distribution", {})
    quantiles = spread.get("quantiles", {})
    reductions = summary.get("reductions", {})
    for name in ("mean", "sum"):
        if name in reductions:
            yield Tile(name, figure(reductions[name]))
    for name, value in (
        ("standard deviation", spread.get("std")),
        ("median", quantiles.get("0.5")),
        ("95 % are below", quantiles.get("0.95")),
        ("greatest", spread.get("max")),
    ):
        if value is not None:
            yield Tile(name, figure(value))
    labels = summary.get("classification", {})
    if labels.get("accuracy") is not None:
        yield Tile("accuracy", share(labels["accuracy"]))
    if block := labels.get("reliability"):
        error = block["error"] if sum(block["counts"]) else None
        yield Tile("calibration error", figure(error, 4), "expected (ECE)")
    numbers = summary.get("regression", {})
    for name, key in (("RMSE", "rmse"), ("mean absolute error", "mae"), ("R²", "r2")):
        if numbers.get(key) is not None:
            yield Tile(name, figure(numbers[key]))


def two(
    id: str, title: str, heads: tuple[str, str], values: Mapping[str, Any], **more: Any
) -> Table:
    """A table of names and numbers."""
    columns = [Column(heads[0], "head"), Column(heads[1])]
    return Table(id, title, columns, list(values.items()), **more)


def numbers(summary: Summary) -> Iterator[Table]:
    """Tables of the whole: reductions, the spread, what was counted."""
    names = {"scored": "scored", "ignored": "ignored", "nan": "NaN", "inf": "infinite"}
    counts = {names[k]: v for k, v in summary["counts"].items() if v or k == "scored"}
    reductions = dict(summary.get("reductions", {}))
    if "divisor" in summary:
        reductions["divisor of the mean"] = summary["divisor"]
    yield two("reductions", "Reductions", ("reduction", "loss"), reductions)
    spread = summary.get("distribution", {})
    if spread.get("quantiles"):
        said = {"least": spread.get("min")}
        said |= {f"{float(q):.6g}": v for q, v in sorted(spread["quantiles"].items(), key=by_share)}
        said["greatest"] = spread.get("max")
        yield two("quantiles", "Quantiles of the rows' losses", ("quantile", "loss"), said)
    yield two("counts", "Rows", ("which", "rows"), counts)
    if "regression" in summary:
        names = {
            "bias": "bias (mean residual)",
            "mae": "mean absolute error",
            "rmse": "RMSE",
            "r2": "R²",
        }
        block = summary["regression"]
        said = {names[k]: block[k] for k in names if k in block}
        yield two("regression", "Errors of the predictions", ("measure", "value"), said)


def by_share(entry: tuple[str, Any]) -> float:
    """Order of quantiles."""
    return float(entry[0])


def breakdown(summary: Summary, of: str, title: str) -> Iterator[Table]:
    """A table of classes or groups, the worst first."""
    entries = summary.get(of, [])
    if not entries:
        return
    if any("not_finite" in entry for entry in entries):
        entries = [{"not_finite": 0, **entry} for entry in entries]
    worst = ranked(entries)
    without = [e for e in entries if math.isnan(number(e.get("mean")))]
    shown = (worst + without)[:SHOWN]
    more = f"The worst {SHOWN} of {figure(len(entries))}; all are in summary.json."
    note = more if len(shown) < len(entries) else "The worst first."
    if any(entry.get("not_finite") for entry in shown):
        note += " Mean and sum are of finite losses."
    yield table_of(of, title, shown, BY, note=note, sortable=True)


def rows(summary: Summary) -> Iterator[Table]:
    """Tables of rows and of mistakes."""
    if summary.get("worst"):
        title = f"The {len(summary['worst'])} rows with the greatest losses"
        yield table_of("worst", title, summary["worst"], WORST, sortable=True)
    mistakes = mistaken(summary)
    if mistakes:
        columns = {"class": Column("class", "head"), "prediction": Column("taken for", "text")}
        columns |= {"count": Column("rows"), "share": Column("of the class", "share")}
        yield table_of("confused", "What is most often mistaken", mistakes, columns, sortable=True)


def mistaken(summary: Summary, most: int = 20) -> list[dict[str, Any]]:
    """The most frequent mistakes with their shares of their classes."""
    block = summary.get("classification", {})
    pairs = [dict(one) for one in block.get("confused", [])]
    if "confusion" in block:
        names = block["classes"]
        pairs = [
            {"class": a, "prediction": b, "count": n}
            for a, line in zip(names, block["confusion"], strict=True)
            for b, n in zip(names, line, strict=True)
            if a != b and n
        ]
    pairs = sorted(pairs, key=lambda one: -int(one["count"]))[:most]
    sizes = {one["class"]: one["count"] for one in summary.get("classes", [])}
    for one in pairs:
        if sizes.get(one["class"]):
            one["share"] = one["count"] / sizes[one["class"]]
    return pairs


def flat(block: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """The entries of nested mappings, with their names joined."""
    if isinstance(block, Mapping):
        for key, value in block.items():
            yield from flat(value, f"{name} {key}".strip().replace("_", " "))
    elif isinstance(block, list) and any(isinstance(x, Mapping) for x in block):
        for k, value in enumerate(block):
            yield from flat(value, f"{name} {k}")
    elif isinstance(block, list):
        yield name, ", ".join(str(figure(x) if isinstance(x, float) else x) for x in block)
    else:
        yield name, block


def settings(summary: Summary) -> Iterator[Table]:
    """Tables of what went in and came out, for who will do it again."""
    inputs = summary["inputs"]
    told = [
        {
            "role": role,
            "name": one["name"],
            "rows": one.get("rows"),
            "shape": " \N{MULTIPLICATION SIGN} ".join(map(str, one.get("shape") or []))
            or "one number",
            "dtype": "text" if one.get("dtype") == "object" else one.get("dtype"),
        }
        for role, one in inputs.items()
    ]
    columns = {
        "role": Column("tensor", "head"),
        "name": Column("name", "text"),
        "rows": Column("rows"),
        "shape": Column("a row's shape", "text"),
        "dtype": Column("type", "text"),
    }
    yield table_of("inputs", "Inputs", told, columns)
    made = {"lossd": summary["lossd"], "loss": summary["loss"]}
    made |= dict(flat(summary.get("parameters", {}))) | dict(flat(summary.get("versions", {})))
    heads = [Column("name", "head"), Column("value", "text")]
    yield Table("settings", "Settings and versions", heads, [(k, str(v)) for k, v in made.items()])


def checksums(summary: Summary) -> Iterator[Table]:
    """Tables of files, folded: few look, and they are long."""
    files = [
        {"role": role, **file}
        for role, one in summary["inputs"].items()
        for file in one.get("files", [])
    ]
    columns = {
        "role": Column("tensor", "head"),
        "path": Column("file", "text"),
        "size": Column("size", "size"),
        "digest": Column("fingerprint", "hash"),
    }
    if files:
        count = f"{figure(len(files))} file{'s' * (len(files) > 1)}"
        yield table_of("files", "Files read", files, columns, folded=count)
    parts = summary.get("parts", [])
    columns = {
        "file": Column("file", "text"),
        "rows": Column("rows"),
        "sha256": Column("SHA-256", "hash"),
    }
    if parts:
        count = f"{figure(len(parts))} file{'s' * (len(parts) > 1)}"
        yield table_of("parts", "Files of the rows' losses", parts, columns, folded=count)


def spent(timing: Mapping[str, Any] | None) -> Iterator[Table]:
    """A table of where the time went."""
    if not timing:
        return
    said = [("in all, to the summary", seconds(timing["seconds"]))]
    if timing["rows"]:
        each = figure(float(timing["rows_per_second"]), 4)
        said.append(("rows computed", f"{figure(timing['rows'])}, {each} a second"))
        rate = size(timing["bytes_per_second"])
        said.append(("bytes of tensors read", f"{size(timing['bytes'])}, {rate} a second"))
    for name, spent in timing["worker_seconds"].items():
        part, rate = share(timing["shares"][name]), size(timing["worker_bytes_per_second"][name])
        told = f"{seconds(spent)} ({part}), {rate} a second"
        said.append((f"workers, {WORK.get(name, name)}", told if spent else seconds(0)))
    held = timing.get("bottleneck")
    note = f"What held the run back: {WORK.get(held, held)}." if held else ""
    heads = [Column("part", "head"), Column("value", "text")]
    yield Table("timing", "Time of the last start", heads, said, note=note)


def apart(tables: Iterator[Table], name: str) -> tuple[list[Table], list[Table]]:
    """The table of a name, and the others."""
    listed = list(tables)
    return [t for t in listed if t.id == name], [t for t in listed if t.id != name]


def page_of(
    summary: Summary, timing: Mapping[str, Any] | None, charts: Sequence[Chart], run: str
) -> Page:
    """All that the page says; `run` is its folder, and when it was made."""
    quantiles, rest = apart(numbers(summary), "quantiles")
    confused, worst = apart(rows(summary), "confused")
    small = [*breakdown(summary, "groups", "By group"), *confused]
    large = list(breakdown(summary, "classes", "By class"))
    made, said = apart(settings(summary), "settings")
    return Page(
        title=f"{summary['loss']}, row by row",
        run=run,
        lead=lead(summary),
        tags=[parameter(k, v) for k, v in summary.get("parameters", {}).items()],
        warnings=list(warnings(summary)),
        tiles=list(tiles(summary)),
        charts=charts,
        tables=[
            ("Numbers", [[rest, quantiles]]),
            ("Breakdown", [[small, large]] if small or large else []),
            ("Rows to look at", [[[one]] for one in worst]),
            ("How it was made", [[[*said, *spent(timing)], made]]),
            ("Checksums", [[[one]] for one in checksums(summary)]),
        ],
        footer=f"lossd {summary['lossd']}. The losses of all rows are in losses/*.parquet, these "
        "numbers in summary.json, the charts in charts/*.png.",
    )


def write_report(
    folder: Path,
    summary: Summary,
    timing: Mapping[str, Any] | None,
    made: datetime.datetime | None = None,
) -> Path:
    """Write a run's charts/*.png and report.html.

    Args:
        folder: of the run.
        summary: as in its summary.json.
        timing: as in its timing.json, if there is one.
        made: when the run ended, if that is to be told.

    Returns:
        The path of the page: one file that needs no other and no network.

    Raises:
        OutputError: the folder cannot be written to.
    """
    with writing(folder):
        charts = write_charts(summary, folder)
    when = f" · {made:%Y-%m-%d %H:%M %Z}".rstrip() if made else ""
    page = page_of(summary, timing, charts, f"{folder.absolute()}{when}")
    return write_whole(folder / "report.html", render("report.html", page))
