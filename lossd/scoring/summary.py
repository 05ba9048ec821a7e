"""What a run says: read from its parts in the order of rows, in constant memory."""

import hashlib
import heapq
import math
import platform
from collections.abc import Iterator, Sequence
from fractions import Fraction
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from lossd import __version__
from lossd.scoring import arrow
from lossd.scoring.counting import add_losses, add_pairs, add_reliability
from lossd.scoring.disk import reading, strict
from lossd.scoring.exact import ExactSum, SumOfSquares, edges_between, root, rounded
from lossd.scoring.folder import LOSSES, Folder, Part, Written
from lossd.scoring.inputs import Inputs
from lossd.scoring.quantiles import quantiles
from lossd.scoring.task import FORMAT

Array = npt.NDArray[Any]

PROBABILITIES: Final = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
_BINS: Final = 60  # of histograms
_RELIABILITY_BINS: Final = 10
_SMALL_CONFUSION: Final = 50  # classes up to which the whole matrix is told
_REMEMBERED: Final = 1 << 24  # losses that are kept in memory for further passes
_BATCH: Final = 1 << 16  # rows that are looked at together
_SMALL: Final = 1 << 20  # numbers below are looked up as keys in an array
_TOLD: Final = 50  # mistakes, and rows without a finite loss
_UNMET: Final = -2  # stands for the place of a key that was not met yet


class Losses:
    """The parts of a run, read as columns; `take` adds the next."""

    def __init__(self, rows: int) -> None:
        self._paths: list[Path] = []
        self._kept: list[Array] | None = [] if rows <= _REMEMBERED else None
        self.names: list[str] = []
        self.dtype = np.dtype(np.float32)

    def take(self, path: Path, table: pa.Table) -> Iterator[pa.RecordBatch]:
        """The rows of the next part, which holds this; their losses are remembered, if few."""
        self._paths.append(path)
        self.names = table.column_names
        self.dtype = np.dtype(table.schema.field("loss").type.to_pandas_dtype())
        for batch in table.to_batches(_BATCH):
            if self._kept is not None:
                self._kept.append(_finite(batch))
            yield batch

    def batches(self, *columns: str) -> Iterator[pa.RecordBatch]:
        """All rows of some columns, in order."""
        for path in self._paths:
            # opened here: pyarrow takes no names that are not UTF-8
            with path.open("rb") as opened, pq.ParquetFile(opened) as file:
                yield from file.iter_batches(_BATCH, columns=list(columns), use_threads=False)

    def finite(self) -> Iterator[Array]:
        """The losses that are numbers."""
        if self._kept is not None:
            return iter(self._kept)
        return map(_finite, self.batches("loss"))


def _finite(batch: pa.RecordBatch) -> Array:
    values = arrow.numbers(batch["loss"])
    finite = np.isfinite(values)
    return values if finite.all() else values[finite]


class Summary:
    """What a run says, gathered while its parts come.

    Rows are gone through in their order, whatever the order of the parts: no bit of what is told
    depends on who computed them.
    """

    def __init__(self, inputs: Inputs, folder: Folder, worst: int) -> None:
        """Of inputs and settings alone.

        Args:
            inputs: what is scored.
            folder: holds the parts.
            worst: how many of the largest losses are told.
        """
        self._inputs, self._folder = inputs, folder
        self._losses, self._rows = Losses(inputs.rows), _Rows(inputs, worst)
        self._total, self._divisor = ExactSum(), ExactSum()
        self._parts: list[dict[str, Any]] = []
        self._waiting: dict[int, tuple[Part, Written | None]] = {}

    def add(self, part: Part, written: Written | None = None) -> None:
        """Take in a part, and those that waited for it.

        Args:
            part: of the folder.
            written: what is in its file, None to read it.
        """
        self._waiting[part.shard.number] = part, written
        while (following := self._waiting.pop(len(self._parts), None)) is not None:
            self._take(*following)

    def _take(self, part: Part, written: Written | None) -> None:
        path = self._folder.part_path(part.shard.number)
        there = written or _written(path)
        for batch in self._losses.take(path, there.table):
            self._rows.add(batch)
        self._total.merge(part.total)
        self._divisor.merge(part.divisor)
        self._parts.append(
            {
                "file": f"{LOSSES}/{path.name}",
                "rows": part.shard.stop - part.shard.start,
                "sha256": there.digest,
            }
        )

    def finished(self) -> dict[str, Any]:
        """The content of summary.json (docs/scoring.md tells its keys)."""
        inputs = self._inputs
        counts, moments, rest = self._rows.told(self._losses)
        summary = {
            "format": FORMAT,
            "lossd": __version__,
            "versions": _versions(),
            "loss": inputs.task.loss,
            "parameters": dict(inputs.task.parameters),
            "inputs": self._folder.described["inputs"],
            "rows": inputs.rows,
            "kind": inputs.kind,
            "counts": counts,
            **_reductions(inputs, self._total, self._divisor),
            "distribution": _distribution(self._losses, moments),
            **rest,
            "parts": self._parts,
        }
        plain: dict[str, Any] = strict(summary)
        return plain


def _written(path: Path) -> Written:
    with reading(path):
        content = path.read_bytes()
    with pq.ParquetFile(pa.BufferReader(content)) as file:
        table = file.read(use_threads=False)
    return Written(table, hashlib.sha256(content).hexdigest())


# --- reductions -----------------------------------------------------------------------------------


def _reductions(inputs: Inputs, total: ExactSum, divisor: ExactSum) -> dict[str, Any]:
    parameters = inputs.task.parameters
    normalizer = parameters.get("normalizer")
    below = divisor
    if isinstance(normalizer, int | float):
        below = ExactSum()
        below.add(normalizer)
    empty = not below.units and parameters.get("zero_if_empty")
    found = {
        "mean": 0.0 if empty else _cast(total.over(below), inputs.dtype),
        "sum": _cast(float(total), inputs.dtype),
    }
    if "batchmean" in inputs.outline(1).loss.reductions:
        found["batchmean"] = _cast(total.over(inputs.rows), inputs.dtype)
    return {
        "reductions": found,
        "exact": {"sum": float(total), "mean": 0.0 if empty else total.over(below)},
        "divisor": float(below),
    }


def _cast(value: float, dtype: np.dtype[Any]) -> float:
    """A number rounded to the loss's type, infinite beyond it."""
    with np.errstate(over="ignore"):
        return float(dtype.type(value))


def _distribution(losses: Losses, moments: "_Moments") -> dict[str, Any]:
    count = moments.count
    if not count:
        return {}
    values = quantiles(losses.finite, count, PROBABILITIES, losses.dtype)
    edges, above = _edges(moments.least, moments.most, values)
    histogram = np.zeros(_BINS, np.int64)
    beyond = 0
    for piece in losses.finite():
        histogram += np.histogram(piece, edges)[0]
        beyond += int(np.count_nonzero(piece > edges[-1])) if above else 0
    return {
        "mean": moments.mean(),
        "std": moments.deviation(),
        "min": moments.least,
        "max": moments.most,
        "quantiles": {f"{p:g}": q for p, q in zip(PROBABILITIES, values, strict=True)},
        "histogram": {"edges": edges, "counts": histogram, "above": beyond},
    }


def _edges(least: float, most: float, values: Sequence[float]) -> tuple[Array, bool]:
    """Bins of equal width; a long tail is left to the count of what lies above them."""
    high = values[-1] + 0.5 * (values[-1] - values[0])
    tail = most - least > 2 * (high - least) > 0
    end = high if tail else most
    if end <= least:
        end = least + max(abs(least) * 1e-6, 1e-6)
    return edges_between(least, end, _BINS), tail


class _Moments:
    """Count, mean, deviation, least and most of finite numbers."""

    def __init__(self) -> None:
        self.count = 0
        self.least, self.most = math.inf, -math.inf
        self._sum, self._squares = ExactSum(), SumOfSquares()

    def add(self, values: Array) -> None:
        if values.size:
            wide = values.astype(np.float64)
            self.count += wide.size
            self.least = min(self.least, float(wide.min()))
            self.most = max(self.most, float(wide.max()))
            self._sum.add(wide)
            self._squares.add(wide)

    def mean(self) -> float:
        return self._sum.over(self.count)

    def deviation(self) -> float:
        """The sample's standard deviation, n - 1 below the line."""
        return root(self.spread() / (self.count - 1)) if self.count > 1 else math.nan

    def squares(self) -> Fraction:
        """The sum of the squares."""
        return self._squares.value

    def spread(self) -> Fraction:
        """The sum of the squared distances from the mean."""
        return self._squares.value - self._sum.finite**2 / self.count


# --- one pass over all rows -----------------------------------------------------------------------


class _Rows:
    """What one pass over all rows finds."""

    def __init__(self, inputs: Inputs, worst: int) -> None:
        self._inputs, self._worst = inputs, worst
        self._moments, self._by_class, self._by_group = _Moments(), _Table(), _Table()
        self._counts = dict.fromkeys(("scored", "ignored", "nan", "inf"), 0)
        self._top: list[tuple[float, int, dict[str, Any]]] = []
        self._odd: list[dict[str, Any]] = []
        self._more: _Classes | _Residuals | None = None
        if inputs.kind != "other":
            classes = inputs.first.shape[0] if inputs.kind == "classification" else 2
            self._more = _Residuals() if inputs.kind == "regression" else _Classes(classes)

    def add(self, batch: pa.RecordBatch) -> None:
        """Take in the next rows."""
        missing = ~_valid(batch["loss"])
        values = arrow.numbers(batch["loss"])
        finite = np.isfinite(values)
        ignored = int(np.count_nonzero(missing))
        self._counts["scored"] += len(batch) - ignored
        self._counts["ignored"] += ignored
        if finite.all():
            self._moments.add(values)
        else:
            self._counts["nan"] += int(np.count_nonzero(np.isnan(values) & ~missing))
            self._counts["inf"] += int(np.count_nonzero(np.isinf(values)))
            self._moments.add(values[finite])
        judged = _judged(batch)
        for name, table in (("class", self._by_class), ("group", self._by_group)):
            if name in batch.schema.names:
                table.add(batch[name], values, finite, missing, judged)
        if self._more:
            self._more.add(batch)
        self._odd += [
            _row(batch, int(at), self._inputs)
            for at in np.flatnonzero(~finite & ~missing)[: _TOLD - len(self._odd)]
        ]
        _keep_worst(self._top, batch, values, finite, self._worst, self._inputs)

    def told(self, losses: Losses) -> tuple[dict[str, int], "_Moments", dict[str, Any]]:
        """Counts, the losses' moments, and what else summary.json has of rows."""
        rest: dict[str, Any] = {}
        if "class" in losses.names:
            rest["classes"] = self._by_class.rows("class")
        if "group" in losses.names:
            rest["groups"] = self._by_group.rows("group")
        best = sorted(self._top, key=lambda kept: (-kept[0], -kept[1]))
        rest["worst"] = [row for _, _, row in best]
        rest["nans"] = self._odd
        if self._more:
            rest |= self._more.tell(losses)
        return self._counts, self._moments, rest


def _judged(batch: pa.RecordBatch) -> tuple[Array, Array] | None:
    """Which rows have a class, and of which it is predicted; None if nothing is predicted."""
    if "prediction" not in batch.schema.names:
        return None
    known = _valid(batch["class"])
    right: Array = known & (_classes(batch["prediction"]) == _classes(batch["class"]))
    return known, right


def _classes(column: pa.Array) -> Array:
    """A column of classes, -1 for none."""
    return arrow.numbers(column, -1)


def _valid(column: pa.Array) -> Array:
    """Which rows of a column are not null."""
    whole = not column.null_count
    return np.ones(len(column), bool) if whole else arrow.numbers(column.is_valid())


def _row(batch: pa.RecordBatch, at: int, inputs: Inputs) -> dict[str, Any]:
    row = {name: batch[name][at].as_py() for name in batch.schema.names}
    return row | {"place": inputs.first.place(row["row"])}


def _keep_worst(
    top: list[tuple[float, int, dict[str, Any]]],
    batch: pa.RecordBatch,
    values: Array,
    finite: Array,
    worst: int,
    inputs: Inputs,
) -> None:
    """Keep the rows of the largest losses; of equal ones the earliest."""
    if not worst:
        return
    least = top[0][0] if len(top) == worst else -math.inf
    places = np.flatnonzero(finite & (values > least))
    if places.size > worst:
        order = np.lexsort((places, -values[places]))
        places = np.sort(places[order[:worst]])
    for at in places:
        entry = (float(values[at]), -int(batch["row"][int(at)].as_py()))
        if len(top) < worst or entry > top[0][:2]:
            kept = (*entry, _row(batch, int(at), inputs))
            (heapq.heappush if len(top) < worst else heapq.heapreplace)(top, kept)


class _Table:
    """Losses by class or group. Sums go through the rows in order: parts change no bit of them."""

    def __init__(self) -> None:
        self._places: dict[Any, int] = {}
        self._small = np.full(1, -1)  # places of null and of keys that are small numbers
        self._totals = np.zeros((5, 64))  # finite losses, their sum, rows: scored, judged, right

    def add(
        self,
        keys: pa.Array,
        values: Array,
        finite: Array,
        missing: Array,
        judged: tuple[Array, Array] | None,
    ) -> None:
        self._judged = judged is not None
        place = self._places_of(keys)
        lacking = len(self._places) - self._totals.shape[1]
        if lacking > 0:
            self._totals = np.pad(self._totals, ((0, 0), (0, max(lacking, len(self._places)))))
        known, right = judged or (np.zeros(place.size, bool),) * 2
        add_losses(place, values.astype(np.float64), finite, ~missing, known, right, self._totals)

    def _places_of(self, keys: pa.Array) -> Array:
        """The column of the totals of each key, -1 where it is null."""
        if pa.types.is_integer(keys.type) and len(keys):
            numbers = _classes(keys)
            if numbers.min() >= -1 and numbers.max() < _SMALL:
                return self._places_of_small(numbers)
        encoded = keys.dictionary_encode()
        places = [self._place(name) for name in encoded.dictionary.to_pylist()]
        return np.array([*places, -1], np.int64)[_classes(encoded.indices)]

    def _places_of_small(self, numbers: Array) -> Array:
        """The same of numbers from 0 on, -1 for null: most are met again and again."""
        lacking = int(numbers.max()) + 2 - self._small.size
        if lacking > 0:
            self._small = np.pad(self._small, (0, lacking), constant_values=_UNMET)
        places: Array = self._small[numbers + 1]
        if places.min() == _UNMET:
            unmet = np.unique(numbers[places == _UNMET])
            self._small[unmet + 1] = [self._place(number) for number in unmet.tolist()]
            places = self._small[numbers + 1]
        return places

    def _place(self, key: Any) -> int:
        return self._places.setdefault(key, len(self._places))

    def rows(self, name: str) -> list[dict[str, Any]]:
        """A row for each, in their order."""
        told = []
        for key in sorted(self._places):
            count, total, scored, known, right = self._totals[:, self._places[key]].tolist()
            row = {name: key, "count": int(scored), "mean": total / count if count else math.nan}
            row["sum"] = total
            if count < row["count"]:
                row["not_finite"] = row["count"] - int(count)
            if self._judged:
                row["accuracy"] = right / known if known else math.nan
            told.append(row)
        return told


class _Classes:
    """Predicted and true classes, and how far probabilities can be relied on."""

    def __init__(self, classes: int) -> None:
        self._pairs = _Pairs(classes)
        self._sums = np.zeros((3, _RELIABILITY_BINS))
        self._reliable = False
        self._unpredicted = 0

    def add(self, batch: pa.RecordBatch) -> None:
        binary = "probability" in batch.schema.names
        known = _valid(batch["class"])
        told = known & _valid(batch["prediction"])
        self._unpredicted += int(known.sum() - told.sum())
        truth, predicted = _classes(batch["class"]), _classes(batch["prediction"])
        if told.all():
            self._pairs.add(truth, predicted)
        else:
            self._pairs.add(truth[told], predicted[told])
        name = "probability" if binary else "confidence"
        if name in batch.schema.names:
            self._reliable = True
            sure = arrow.numbers(batch[name])
            add_reliability(truth, predicted, told, sure, binary, self._sums)

    def tell(self, losses: Losses) -> dict[str, Any]:
        pairs = self._pairs
        judged = pairs.met + self._unpredicted
        found: dict[str, Any] = {"accuracy": pairs.right / judged if judged else math.nan}
        found["unpredicted"] = self._unpredicted
        names = pairs.names()
        if len(names) <= _SMALL_CONFUSION:
            found |= {"classes": names, "confusion": pairs.matrix(names)}
        else:
            found["confused"] = pairs.most_confused(_TOLD)
        if self._reliable:
            found["reliability"] = self._reliability(judged)
        return {"classification": found}

    def _reliability(self, judged: int) -> dict[str, Any]:
        count, sure, hits = self._sums
        some = count > 0
        below = np.maximum(count, 1)
        mean, share = sure / below, hits / below
        error = float(np.sum(np.abs(mean - share) * count) / max(count.sum(), 1))
        return {
            "edges": np.linspace(0, 1, _RELIABILITY_BINS + 1),
            "counts": count.astype(int),
            "confidence": [float(v) if s else None for v, s in zip(mean, some, strict=True)],
            "accuracy": [float(v) if s else None for v, s in zip(share, some, strict=True)],
            "error": error,
            "left_out": judged - int(count.sum()),
        }


def _largest(counts: Array, most: int) -> Array:
    """Where the largest counts are, the largest first, and of equal ones the first."""
    if counts.size > most:
        least = np.partition(counts, -most)[-most]
        some = np.flatnonzero(counts > least)
        some = np.concatenate([some, np.flatnonzero(counts == least)[: most - some.size]])
    else:
        some = np.arange(counts.size)
    return some[np.lexsort((some, -counts[some]))]


class _Pairs:
    """How often each pair of class and prediction is met; a pair's code is class · C + prediction.

    Attributes:
        met: pairs in all; right: those of a class and itself.
    """

    _DENSE: Final = 2048  # classes up to which there is room for a count of each pair

    def __init__(self, classes: int) -> None:
        self.met = self.right = 0
        self._classes = classes
        self._dense = classes <= self._DENSE
        # the codes that were met, in their order, or all, and how often
        self._codes = np.zeros(0, np.int64)
        self._counts = np.zeros(classes * classes if self._dense else 0, np.int64)

    def add(self, truth: Array, predicted: Array) -> None:
        self.met += truth.size
        self.right += int(np.count_nonzero(truth == predicted))
        if self._dense:
            add_pairs(truth, predicted, self._counts.reshape(self._classes, -1))
            return
        codes = truth * self._classes + predicted
        found, counts = np.unique(codes, return_counts=True)
        self._codes, where = np.unique(np.concatenate([self._codes, found]), return_inverse=True)
        summed = np.zeros(self._codes.size, np.int64)
        np.add.at(summed, where, np.concatenate([self._counts, counts]))
        self._counts = summed

    def names(self) -> Array:
        """The classes that were met, as one or as the other."""
        if self._dense:
            square = self._counts.reshape(self._classes, -1)
            return np.flatnonzero(square.any(0) | square.any(1))
        return np.unique(np.divmod(self._codes, self._classes))

    def matrix(self, names: Array) -> Array:
        """The counts of these classes, a row for each."""
        codes = np.add.outer(names * self._classes, names)
        if self._dense:
            counts: Array = self._counts[codes]
            return counts
        at = np.searchsorted(self._codes, codes).clip(max=self._codes.size - 1)
        return np.where(self._codes[at] == codes, self._counts[at], 0)

    def most_confused(self, most: int) -> list[dict[str, int]]:
        """The pairs of different classes that were met most often, of equal ones the first."""
        counts, own = self._counts.copy(), self._classes + 1  # k · own is the code of k and k
        if self._dense:
            counts[::own] = 0
        else:
            counts[self._codes % own == 0] = 0
        at = _largest(counts, most)
        at = at[counts[at] > 0]
        truth, predicted = np.divmod(at if self._dense else self._codes[at], self._classes)
        rows = zip(truth.tolist(), predicted.tolist(), counts[at].tolist(), strict=True)
        return [{"class": a, "prediction": b, "count": n} for a, b, n in rows]


class _Residuals:
    """Differences of predictions and targets."""

    def __init__(self) -> None:
        self._moments, self._targets, self._sizes = _Moments(), _Moments(), ExactSum()

    def add(self, batch: pa.RecordBatch) -> None:
        residual, target = _residuals(batch)
        self._moments.add(residual)
        self._targets.add(target)
        self._sizes.add(np.abs(residual))

    def tell(self, losses: Losses) -> dict[str, Any]:
        n = self._moments.count
        if not n:
            return {"regression": {}}
        spread, squares = self._targets.spread(), self._moments.squares()
        return {
            "regression": {
                "bias": self._moments.mean(),
                "mae": self._sizes.over(n),
                "rmse": root(squares / n),
                "r2": rounded(1 - squares / spread) if spread else math.nan,
                "residuals": self._histogram(losses),
            }
        }

    def _histogram(self, losses: Losses) -> dict[str, Any]:
        """Four deviations on each side of the mean, and how many lie beyond them."""
        moments = self._moments
        reach = 4 * moments.deviation() if moments.count > 1 else 0.0
        low = max(moments.least, moments.mean() - reach)
        high = min(moments.most, moments.mean() + reach)
        if not high > low:
            high = low + max(abs(low) * 1e-6, 1e-6)
        edges = edges_between(low, high, _BINS)
        counts = np.zeros(_BINS, np.int64)
        for batch in losses.batches("input", "target"):
            counts += np.histogram(_residuals(batch)[0], edges)[0]
        return {"edges": edges, "counts": counts, "beyond": moments.count - int(counts.sum())}


def _residuals(batch: pa.RecordBatch) -> tuple[Array, Array]:
    """The finite differences of predictions and targets, and those targets."""
    target = arrow.numbers(batch["target"])
    with np.errstate(over="ignore", invalid="ignore"):
        residual = arrow.numbers(batch["input"]) - target
    good = np.isfinite(residual)
    return residual[good], target[good]


# --- what made it --------------------------------------------------------------------------------


def _versions() -> dict[str, str]:
    names = ("numpy", "numba", "pyarrow")
    return {"python": platform.python_version(), **{name: version(name) for name in names}}
