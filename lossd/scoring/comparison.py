"""Two finished runs over the same rows, row by row: is one better, where, and how sure is that?"""

import hashlib
import json
import math
import os
import shlex
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from lossd_client.errors import ParameterError

from lossd.scoring import arrow
from lossd.scoring.disk import check_alone, read_json, strict, writing
from lossd.scoring.errors import OutputError, ScoringError, SourceError
from lossd.scoring.exact import ExactSum, edges_between
from lossd.scoring.inference import FEWEST, bootstrap, sign_test, theory
from lossd.scoring.readers.paths import is_run
from lossd.scoring.task import resuming

Array = npt.NDArray[Any]
Summary = Mapping[str, Any]

RESULT: Final = "comparison.json"
"""Marks the folder of a comparison."""

UNITS: Final = 2**14
"""The bootstrap draws rows, or from more rows as many buckets of them."""

BATCH: Final = 2**16
BINS: Final = 60
FIRST: Final = 1001  # paired rows
MOST: Final = float(np.finfo(np.float64).max)


@dataclass(frozen=True, repr=False)
class Comparison:
    """How run B differs from run A: differences are B's loss less A's, so below 0 B is better.

    Attributes:
        a, b: the runs' folders.
        loss: of both.
        parameters: of each, if they differ; else None.
        rows: of each.
        counts: "paired" rows have two finite losses; "a" and "b" lack one in that run.
        means: of the paired rows' losses "a", "b" and of their "difference"; its "std".
        bootstrap, theory: intervals of the mean difference, "low" and "high".
        confidence: of all intervals.
        resamples, units: of the bootstrap.
        signs: rows that are "better", "worse" and "equal", and the sign test's "p".
        classes, groups: the same for each, with Student's intervals; the most different first.
        improved, worsened: rows with the greatest differences.
        differences: their histogram; "below" and "above" its edges are as many rows.
        plane: counts of rows by loss in A and in B over common "edges"; "outside" are the others.
    """

    a: str
    b: str
    loss: str
    parameters: dict[str, Any] | None
    rows: int
    counts: dict[str, int]
    means: dict[str, float]
    bootstrap: dict[str, float]
    theory: dict[str, float]
    confidence: float
    resamples: int
    units: int
    signs: dict[str, float]
    classes: list[dict[str, Any]]
    groups: list[dict[str, Any]]
    improved: list[dict[str, Any]]
    worsened: list[dict[str, Any]]
    differences: dict[str, Any]
    plane: dict[str, Any]

    def __repr__(self) -> str:
        told = ("a", "b", "loss", "verdict", "rows", "means", "bootstrap")
        return f"Comparison({', '.join(f'{name}={getattr(self, name)!r}' for name in told)})"

    def to_json(self) -> str:
        """As text; floats that JSON has not are strings, and blocks without content absent."""
        kept = {k: v for k, v in asdict(self).items() if v not in (None, [], {})}
        return json.dumps({"format": 1, "verdict": self.verdict} | strict(kept), indent=1) + "\n"

    @property
    def few(self) -> bool:
        """Whether there are too few units to tell a difference."""
        return self.units < FEWEST

    @property
    def verdict(self) -> str:
        """Which run is better by the bootstrap's interval: "a", "b" or "", of few units too."""
        if self.few:
            return ""
        if self.bootstrap["high"] < 0:
            return "b"
        return "a" if self.bootstrap["low"] > 0 else ""


def summary_of(folder: Path) -> dict[str, Any]:
    """The summary of a finished run.

    Raises:
        ScoringError: the run is not finished.
        SourceError: its summary cannot be read, or something else is there.
    """
    path = folder / "summary.json"
    try:
        found = read_json(path)
    except OutputError as error:  # here it is what is read
        raise SourceError(str(error)) from error
    if found is None and folder.exists() and not is_run(folder):
        raise SourceError(f"{folder} holds no run: name the folder that a run's --out named")
    if found is None:
        raise ScoringError(
            f"{folder} has no summary.json: the run is not finished, or it is not there"
        )
    if not {"loss", "rows"} <= found.keys():
        raise SourceError(f"{path} is no summary of a run")
    return found


def check_parts(folder: Path, summary: Summary) -> None:
    """Refuse losses that are not as they were written.

    Raises:
        SourceError: a part is damaged or lacks.
    """
    for part in summary.get("parts", ()):
        path = folder / part["file"]
        try:
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise SourceError(f"{path} cannot be read: {error}") from error
        if digest != part["sha256"]:
            again = shlex.join(resuming(folder))
            raise SourceError(
                f"{path} is damaged: it is not as summary.json has it (SHA-256); `{again}` "
                "computes it again"
            )


_SAME: Final = {
    "row": "number",
    "id": "id",
    "class": "class",
    "target": "target",
    "group": "group",
}
"""Columns that rows of two runs have in common, and what they are called."""


def batches(folder: Path) -> Iterator[Any]:
    """The rows of a run in order, some at a time.

    Raises:
        SourceError: a file of losses is damaged or lacks.
    """
    paths = sorted((folder / "losses").glob("part-*.parquet"))
    if not paths:
        raise SourceError(f"{folder / 'losses'} has no part-*.parquet")
    for path in paths:
        try:
            with path.open("rb") as opened, pq.ParquetFile(opened) as file:
                wanted = {"loss", *_SAME} & set(file.schema_arrow.names)
                for batch in file.iter_batches(BATCH, columns=sorted(wanted)):
                    if batch.num_rows:
                        yield batch
        except (pa.ArrowException, OSError) as error:
            raise SourceError(f"{path} cannot be read: {error}") from error


def aligned(first: Iterator[Any], second: Iterator[Any]) -> Iterator[tuple[Any, Any]]:
    """Batches of as many rows from both, however each is cut."""
    x = y = None
    while True:
        x = x if x is not None and x.num_rows else next(first, None)
        y = y if y is not None and y.num_rows else next(second, None)
        if x is None or y is None:
            if x is not y:
                raise ScoringError("one run has more rows in losses/ than the other")
            return
        size = min(x.num_rows, y.num_rows)
        yield x.slice(0, size), y.slice(0, size)
        x, y = x.slice(size), y.slice(size)


def first_other(x: Any, y: Any) -> int | None:
    """The first place where two columns differ, if any; null is like null."""
    if x.equals(y):
        return None
    for k, (one, other) in enumerate(zip_longest(x.to_pylist(), y.to_pylist())):
        if one != other and not (one != one and other != other):  # noqa: PLR0124  NaN
            return k
    return None  # the same values of two types: int64 and int32


def check_same(x: Any, y: Any) -> None:
    """Refuse rows that are not the same.

    Raises:
        ScoringError: their numbers, ids, classes or targets differ; says where.
    """
    names = [set(x.schema.names), set(y.schema.names)]
    for key, word in _SAME.items():
        if key == "group" and not all(key in has for has in names):
            continue  # one run was asked for groups, the other not: no reason to refuse
        if (key in names[0]) != (key in names[1]):
            raise ScoringError(f"one run has a column {key!r} in losses/, the other not")
        if key not in names[0]:
            continue
        one, other = x.column(key), y.column(key)
        if key == "class":  # what one run ignores has no class there
            both = pc.and_(pc.is_valid(one), pc.is_valid(other))
            one, other = one.filter(both), other.filter(both)
            where = x.column("row").filter(both)
        else:
            where = x.column("row")
        k = first_other(one, other)
        if k is not None:
            row = where[k].as_py()
            raise ScoringError(
                f"the runs are not over the same rows: the {word} of row {row} is "
                f"{one[k].as_py()!r} in one and {other[k].as_py()!r} in the other"
            )


@dataclass(frozen=True)
class Pairs:
    """Some rows with two finite losses, and what they belong to."""

    row: Array
    a: Array
    b: Array
    table: Any  # those rows of run A, for ids, classes and groups; also if only run B has groups
    lacking: tuple[int, int]
    size: int  # of all these rows, those that lack a loss too

    @property
    def difference(self) -> Array:
        """B's losses less A's."""
        with np.errstate(over="ignore"):
            return self.b - self.a


def losses_of(batch: Any) -> Array:
    """The losses, NaN where there is none."""
    return arrow.numbers(pc.cast(batch.column("loss"), pa.float64()))


def pairs(run_a: Path, run_b: Path) -> Iterator[Pairs]:
    """The runs' rows, paired and checked."""
    for x, y in aligned(batches(run_a), batches(run_b)):
        check_same(x, y)
        a, b = losses_of(x), losses_of(y)
        fine = np.isfinite(a) & np.isfinite(b)
        lacking = (int((~np.isfinite(a)).sum()), int((~np.isfinite(b)).sum()))
        told = x
        if "group" in y.schema.names and "group" not in x.schema.names:
            told = x.append_column("group", y.column("group"))
        kept = told if fine.all() else told.filter(arrow.column(fine))
        row = arrow.numbers(x.column("row"))[fine]
        yield Pairs(row, a[fine], b[fine], kept, lacking, len(a))


def origin_of(some: Iterator[Pairs]) -> float:
    """The median of the first differences: near the mean, and no row that is far away moves it."""
    first = np.zeros(0)
    for one in some:
        first = np.append(first, one.difference)[:FIRST]
        if len(first) == FIRST:
            break
    first = first[np.abs(first) < 1e150]  # their squares are numbers
    return float(np.median(first)) if len(first) else 0.0


class Tally:
    """Counts and sums of differences by unit, added row after row.

    `add.at` goes through the rows in their order, so how they were cut changes no bit of a sum.

    Args:
        units: at first.
        origin: near the mean, so that sums of squares do not cancel.
    """

    def __init__(self, units: int, origin: float) -> None:
        self.origin = origin
        self.numbers = np.zeros((5, units))  # count, a, b, difference and its square from origin

    def add(self, places: Array, some: Pairs) -> None:
        """Add rows to their units."""
        need = int(places.max(initial=-1)) + 1 - self.numbers.shape[1]
        if need > 0:
            self.numbers = np.pad(self.numbers, ((0, 0), (0, max(need, 64))))
        with np.errstate(over="ignore", invalid="ignore"):  # of huge losses
            away = some.difference - self.origin
            for total, values in zip(
                self.numbers, (np.ones(len(away)), some.a, some.b, away, away * away), strict=True
            ):
                np.add.at(total, places, values)

    def of(self, place: Any, confidence: float) -> dict[str, float]:
        """Means of a unit, or of all with slice(None), and Student's interval."""
        count, a, b, away, square = (summed(n[place]) for n in self.numbers)
        if not count:
            return {}
        middle = away / count
        variance = max(square - count * middle * middle, 0.0) / max(count - 1, 1)
        said: dict[str, float] = {"count": int(count), "a": a / count, "b": b / count}
        said |= {"difference": self.origin + middle, "std": math.sqrt(variance)}
        within = theory(said["difference"], variance, int(count), confidence)
        return said | {"low": within.low, "high": within.high}


def summed(values: Any) -> float:
    """A number, or the sum of several, rounded once; infinite beyond float64."""
    if np.ndim(values) == 0:
        return float(values)
    total = ExactSum()
    total.add(values)
    return float(total)


class Named:
    """A tally by class or group.

    Args:
        key: the column.
        origin: of the differences.
    """

    def __init__(self, key: str, origin: float) -> None:
        self.key = key
        self.tally = Tally(64, origin)
        self.places: dict[Any, int] = {}

    def add(self, some: Pairs) -> None:
        """Add rows, if they have the column."""
        if self.key not in some.table.schema.names:
            return
        column = some.table.column(self.key)
        if pa.types.is_dictionary(column.type):
            column = column.dictionary_decode()
        coded = column.dictionary_encode(null_encoding="encode")
        names = coded.dictionary.to_pylist()
        places = np.array(
            [self.places.setdefault(n, len(self.places)) for n in names], dtype=np.int64
        )
        self.tally.add(places[arrow.numbers(coded.indices)], some)

    def entries(self, confidence: float) -> list[dict[str, Any]]:
        """The block of a comparison, the greatest differences first."""
        made = [
            {self.key: name} | self.tally.of(place, confidence)
            for name, place in self.places.items()
        ]
        return sorted(made, key=lambda e: (-abs(e["difference"]), str(e[self.key])))


def buckets(row: Array) -> Array:
    """Which unit a row belongs to, by its number alone: SplitMix64's last steps.

    References:
        Steele, Lea, Flood: Fast splittable pseudorandom number generators, OOPSLA 2014.
    """
    z = row.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return ((z ^ (z >> np.uint64(31))) % np.uint64(UNITS)).astype(np.int64)


class Extremes:
    """The rows with the greatest differences of one sign.

    Args:
        sign: -1 for improved, 1 for worsened rows.
        most: how many to keep.
    """

    def __init__(self, sign: int, most: int) -> None:
        self.sign, self.most = sign, most
        self.kept: list[dict[str, Any]] = []

    def add(self, some: Pairs) -> None:
        """Look at rows; of equal differences the first rows stay."""
        size = some.difference * self.sign
        good = np.flatnonzero(size > 0)
        if len(good) > self.most > 0:
            least = np.partition(size[good], len(good) - self.most)[len(good) - self.most]
            good = good[size[good] >= least]
        chosen = good[np.lexsort((some.row[good], -size[good]))][: self.most]
        keys = [key for key in ("id", "class", "group") if key in some.table.schema.names]
        for k in chosen.tolist():
            entry: dict[str, Any] = {"row": int(some.row[k])}
            entry |= {key: some.table.column(key)[k].as_py() for key in keys}
            entry |= {"a": float(some.a[k]), "b": float(some.b[k])}
            self.kept.append(entry | {"difference": self.sign * float(size[k])})
        self.kept.sort(key=lambda e: (-self.sign * e["difference"], e["row"]))
        del self.kept[self.most :]


class Whole:
    """All that one pass over the pairs finds.

    Args:
        rows: of each run.
        worst: rows to keep of each sign.
        origin: of the differences.
    """

    def __init__(self, rows: int, worst: int, origin: float) -> None:
        self.bucketed = rows > UNITS
        self.tally = Tally(min(rows, UNITS), origin)
        self.named = Named("class", origin), Named("group", origin)
        self.extremes = Extremes(-1, worst), Extremes(1, worst)
        self.signs = [0, 0, 0]
        self.lacking = [0, 0]
        self.least, self.greatest = np.full(3, math.inf), np.full(3, -math.inf)

    def add(self, some: Pairs) -> None:
        """Add rows."""
        d = some.difference
        self.tally.add(buckets(some.row) if self.bucketed else some.row, some)
        for part in (*self.named, *self.extremes):
            part.add(some)
        self.lacking = [n + m for n, m in zip(self.lacking, some.lacking, strict=True)]
        for k, found in enumerate((d < 0, d > 0, d == 0)):
            self.signs[k] += int(found.sum())
        for k, values in enumerate((some.a, some.b, d)):
            self.least[k] = min(self.least[k], values.min(initial=math.inf))
            self.greatest[k] = max(self.greatest[k], values.max(initial=-math.inf))


def span(low: float, high: float, bins: int) -> Array:
    """Edges of a histogram; of something wide even where all values are equal."""
    if not low < high:
        wide = max(abs(low) * 0.05, 0.05)
        low, high = low - wide, high + wide
    return edges_between(max(low, -MOST), min(high, MOST), bins)


def drawn(
    again: Callable[[], Iterator[Pairs]], whole: Whole, means: Mapping[str, float]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Histograms of the differences and of the pairs, in a second pass: now their range is known.

    Five standard deviations to each side are in; the few beyond would squeeze the rest.
    """
    far = 5 * means["std"]
    middle = means["difference"]
    edges = span(max(whole.least[2], middle - far), min(whole.greatest[2], middle + far), BINS)
    high = max(means["a"], means["b"]) + max(far, 3 * abs(max(means["a"], means["b"])))
    common = span(min(whole.least[:2]), min(max(whole.greatest[:2]), high), BINS)
    counts, plane = np.zeros(BINS, np.int64), np.zeros((BINS, BINS), np.int64)
    below = above = outside = 0
    for some in again():
        d = some.difference
        counts += np.histogram(d, edges)[0]
        below, above = below + int((d < edges[0]).sum()), above + int((d > edges[-1]).sum())
        found = np.histogram2d(some.a, some.b, (common, common))[0].astype(np.int64)
        plane += found
        outside += len(d) - int(found.sum())
    return (
        {"edges": edges.tolist(), "counts": counts.tolist(), "below": below, "above": above},
        {"edges": common.tolist(), "counts": plane.tolist(), "outside": outside},
    )


def check_settings(a: Summary, b: Summary) -> dict[str, Any] | None:
    """The parameters in which two runs differ, or None.

    Raises:
        ScoringError: the losses or the numbers of rows differ.
    """
    if a["loss"] != b["loss"]:
        raise ScoringError(f"the runs are of two losses: {a['loss']} and {b['loss']}")
    if a["rows"] != b["rows"]:
        raise ScoringError(f"the runs are over {a['rows']:,} and {b['rows']:,} rows")
    one, other = a.get("parameters", {}), b.get("parameters", {})
    apart = sorted(k for k in one.keys() | other.keys() if one.get(k) != other.get(k))
    return {k: {"a": one.get(k), "b": other.get(k)} for k in apart} or None


def check_folder(folder: Path, *, overwrite: bool) -> None:
    """Refuse a folder that is not for a comparison.

    Raises:
        OutputError: it holds a run, other things, or a comparison and `overwrite` is not given.
    """
    if not folder.exists():
        return
    with writing(folder):
        held = {path.name for path in folder.iterdir()}
    if held & {"run.json", "summary.json"}:
        raise OutputError(f"{folder} holds a run: take another folder", field="out")
    if RESULT in held and not overwrite:
        message = f"{folder} holds a comparison: --overwrite begins anew"
        raise OutputError(message, field="out")
    if RESULT not in held:
        check_alone(folder, held)


def compare(
    run_a: str | os.PathLike[str],
    run_b: str | os.PathLike[str],
    out: str | os.PathLike[str] | None = None,
    *,
    resamples: int = 10_000,
    confidence: float = 0.95,
    worst: int = 20,
    overwrite: bool = False,
) -> Comparison:
    """Compare two finished runs of one loss over the same rows, in constant memory.

    Args:
        run_a: folder of the run that is the measure.
        run_b: folder of the run that is measured.
        out: where to write comparison.json, comparison.html and charts/*.png, if anywhere.
        resamples: of the bootstrap, at least 2 / (1 - confidence).
        confidence: of all intervals.
        worst: how many rows to name of those that most improved and worsened.
        overwrite: begin anew where `out` holds a comparison.

    Returns:
        The comparison: the same numbers for the same losses, however the files are cut.

    Raises:
        ScoringError: a run is not finished; the losses, rows, ids or classes differ; no row has
            two finite losses.
        ParameterError: a number is outside its range.
        SourceError: a file cannot be read, or a folder holds no run.
        OutputError: `out` cannot be written to, or holds something else.
    """
    if out is not None:
        if not os.fspath(out):
            raise OutputError("out = '' names no folder", field="out")
        check_folder(Path(out), overwrite=overwrite)
    run_a, run_b = Path(run_a), Path(run_b)
    for name, value, fits, range_ in (
        ("confidence", confidence, 0 < confidence < 1, "> 0 and < 1"),
        ("worst", worst, worst >= 0, ">= 0"),
    ):
        if not fits:
            raise ParameterError(
                f"{name} = {value} is outside its range: it must be {range_}", field=name
            )
    least = math.ceil(2 / (1 - confidence) - 1e-6)  # one beyond either end of an interval
    if resamples < least:
        raise ParameterError(
            f"resamples = {resamples} are too few to tell the ends of intervals of {confidence}: "
            f"it must be >= {least}",
            field="resamples",
        )
    first, second = summary_of(run_a), summary_of(run_b)
    for folder, summary in ((run_a, first), (run_b, second)):
        check_parts(Path(folder), summary)
    apart = check_settings(first, second)
    whole = Whole(first["rows"], worst, origin_of(pairs(run_a, run_b)))
    rows = 0
    for some in pairs(run_a, run_b):
        rows += some.size
        whole.add(some)
    if rows != first["rows"]:
        raise SourceError(f"losses/ has {rows:,} rows, summary.json speaks of {first['rows']:,}")
    counts = {"paired": sum(whole.signs)} | dict(zip("ab", whole.lacking, strict=True))
    if not counts["paired"]:
        raise ScoringError("no row has a finite loss in both runs")
    made = compared(whole, lambda: pairs(run_a, run_b), resamples, confidence)
    names = {"a": str(run_a), "b": str(run_b), "loss": first["loss"], "rows": first["rows"]}
    result = Comparison(**names, parameters=apart, counts=counts, **made)
    if out is not None:
        from lossd.scoring.comparison_page import write_comparison

        write_comparison(Path(out), result)
    return result


def compared(
    whole: Whole, again: Callable[[], Iterator[Pairs]], resamples: int, confidence: float
) -> dict[str, Any]:
    """The numbers of a comparison."""
    means = whole.tally.of(slice(None), confidence)
    within = {k: means.pop(k) for k in ("low", "high")}
    del means["count"]
    count, away = whole.tally.numbers[0], whole.tally.numbers[3]
    filled = count > 0
    found = bootstrap(away[filled], count[filled], resamples=resamples, confidence=confidence)
    origin = whole.tally.origin
    better, worse, equal = whole.signs
    differences, plane = drawn(again, whole, means)
    by_class, by_group = (one.entries(confidence) for one in whole.named)
    return {
        "means": means,
        "bootstrap": {"low": origin + found.low, "high": origin + found.high},
        "theory": within,
        "confidence": confidence,
        "resamples": resamples,
        "units": int(filled.sum()),
        "signs": {"better": better, "worse": worse, "equal": equal}
        | {"p": sign_test(better, worse)},
        "classes": by_class,
        "groups": by_group,
        "improved": whole.extremes[0].kept,
        "worsened": whole.extremes[1].kept,
        "differences": differences,
        "plane": plane,
    }
