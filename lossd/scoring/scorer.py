"""The losses of a shard, and what else is told of its rows: a table that becomes one file."""

import functools
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from lossd_client.dtypes import widened
from lossd_client.errors import LossdError

from lossd.engine import Call, compute
from lossd.kernels import runtime
from lossd.plan import Plan
from lossd.scoring.errors import InterruptedRunError
from lossd.scoring.exact import ExactSum
from lossd.scoring.inputs import Inputs, Shard, located

Array = npt.NDArray[Any]

Evaluate = Callable[
    [str, Mapping[str, Array], Mapping[str, Any], Sequence[str]],
    tuple[Array, Mapping[str, Array]],
]
"""Computes a loss of tensors with parameters under reduction='none', and gradients by name."""


def here(
    loss: str,
    tensors: Mapping[str, Array],
    parameters: Mapping[str, Any],
    gradients: Sequence[str],
) -> tuple[Array, Mapping[str, Array]]:
    """Compute in this thread: as many as there are workers do."""
    with runtime.one_thread():
        result = compute(Call(loss, tensors, parameters, "none", gradients))
    return result.loss, result.gradients


@dataclass
class Spent:
    """Where a worker's time went.

    reading, computing, writing: seconds; read: bytes of the tensors.
    """

    reading: float = 0.0
    computing: float = 0.0
    writing: float = 0.0
    read: int = 0

    def add(self, other: "Spent") -> None:
        """Add what another worker spent."""
        self.reading += other.reading
        self.computing += other.computing
        self.writing += other.writing
        self.read += other.read


@dataclass
class Scored:
    """What a shard gave.

    Attributes:
        shard: which.
        table: a row for each prediction (docs/scoring.md tells the columns).
        total: the sum of all losses; divisor: what the mean divides it by.
        gradients: of each row's loss with respect to its prediction, empty if not asked for.
        spent: the time that it took.
    """

    shard: Shard
    table: pa.Table
    total: ExactSum
    divisor: ExactSum
    gradients: list[Array]
    spent: Spent


@dataclass
class _Rows:
    """Columns of a shard, block by block; `valid` says where there is a loss."""

    columns: dict[str, list[Array]] = field(default_factory=dict)
    valid: list[Array] = field(default_factory=list)

    def add(self, **columns: Array) -> None:
        for name, values in columns.items():
            self.columns.setdefault(name, []).append(values)


class Scorer:
    """Computes shards, one at a time."""

    def __init__(
        self, inputs: Inputs, evaluate: Evaluate = here, stop: threading.Event | None = None
    ) -> None:
        """Compute what `inputs` hold by `evaluate`, until `stop` is set."""
        self._inputs, self._evaluate = inputs, evaluate
        self._stop = stop or threading.Event()
        task = inputs.task
        self._parameters = {
            name: value
            for name, value in task.parameters.items()
            if name not in ("normalizer", "zero_if_empty")
        }
        self._wanted = (inputs.input,) if task.gradients else ()
        self._outline: Callable[[int], Plan] = functools.lru_cache(4)(inputs.outline)

    def shard(self, shard: Shard) -> Scored:
        """Compute a shard.

        Raises:
            InterruptedRunError: `stop` was set.
            LossdError: what is wrong, with its file and row.
        """
        rows, spent = _Rows(), Spent()
        gradients: list[Array] = []
        total, divisor = ExactSum(), ExactSum()
        for start in range(shard.start, shard.stop, self._inputs.block_rows):
            if self._stop.is_set():
                raise InterruptedRunError("the run was stopped")
            stop = min(start + self._inputs.block_rows, shard.stop)
            begun = time.perf_counter()
            arrays = self._inputs.read(start, stop)
            read = time.perf_counter()
            try:
                divisor.add(self._outline(stop - start).divided_by(arrays))
                losses, made = self._evaluate(
                    self._inputs.task.loss, arrays, self._parameters, self._wanted
                )
                self._tell(arrays, losses, rows)
            except LossdError as error:
                raise located(error, self._inputs, start) from error
            total.add(self._each(losses, rows, arrays))
            gradients += made.values()
            spent.add(Spent(read - begun, time.perf_counter() - read, 0.0, self._bytes(arrays)))
        return Scored(shard, self._table(shard, rows), total, divisor, gradients, spent)

    def _bytes(self, arrays: Mapping[str, Array]) -> int:
        return sum(arrays[name].nbytes for name in self._inputs.sources)

    def _each(self, losses: Array, rows: _Rows, arrays: Mapping[str, Array]) -> Array:
        """Add the loss of each row, the mean of what it has; returns their sums."""
        sums: Array = losses.reshape(losses.shape[0], -1).sum(1, dtype=np.float64)
        count: Array | int = losses[0].size
        if self._inputs.labelled:
            kept = self._kept(arrays["target"])
            count = kept.reshape(losses.shape[0], -1).sum(1)
            rows.valid.append(np.greater(count, 0))
        each = losses if losses.ndim == 1 else sums / np.maximum(count, 1)
        rows.add(loss=np.asarray(each, self._inputs.dtype))
        return sums

    def _kept(self, labels: Array) -> Array:
        """Which labels are not ignored."""
        ignored = self._inputs.ignored
        kept: Array = np.ones(labels.shape, bool) if ignored is None else labels != ignored
        return kept

    # --- what is told beside the losses ---------------------------------------------------------

    def _tell(self, arrays: Mapping[str, Array], losses: Array, rows: _Rows) -> None:
        inputs = self._inputs
        x, y = arrays[inputs.input], arrays.get("target")
        if inputs.kind == "classification":
            self._tell_classes(arrays, losses, rows)
        elif inputs.kind == "binary" and y is not None:
            logits = widened(x).reshape(-1).astype(np.float64)
            with np.errstate(over="ignore"):  # e^x of a large logit: the probability is 0
                odds = logits if inputs.predicts == "probability" else 1 / (1 + np.exp(-logits))
            rows.add(
                **{"class": (widened(y).reshape(-1) >= 0.5).astype(np.int64)},
                prediction=(odds >= 0.5).astype(np.int64),
                probability=odds.astype(np.float32),
            )
        elif inputs.kind == "regression" and y is not None:
            rows.add(
                input=widened(x).reshape(-1).astype(np.float64),
                target=widened(y).reshape(-1).astype(np.float64),
            )

    def _tell_classes(self, arrays: Mapping[str, Array], losses: Array, rows: _Rows) -> None:
        inputs = self._inputs
        x, y = arrays[inputs.input], arrays["target"]
        kept = self._kept(y)
        labels = np.where(kept, y, 0).astype(np.int64)
        scores = widened(x)
        best = scores.argmax(1)
        rows.add(**{"class": labels}, prediction=best)
        top = np.take_along_axis(scores, best[:, None], 1)[:, 0].astype(np.float64)
        if inputs.predicts == "logits":
            # softmax(x)[best] from what the loss has computed already: its sum of exponentials
            at_label = np.take_along_axis(scores, labels[:, None], 1)[:, 0].astype(np.float64)
            with np.errstate(invalid="ignore"):
                top = top - at_label - self._surprise(arrays, losses)
        if inputs.predicts != "scores":
            with np.errstate(over="ignore"):
                rows.add(confidence=np.exp(top).astype(np.float32))

    def _surprise(self, arrays: Mapping[str, Array], losses: Array) -> Array:
        """-log softmax(x)[y] of each row: the loss itself, if it is plain cross entropy."""
        task, given = self._inputs.task, arrays.keys() - {self._inputs.input, "target"}
        if task.loss == "cross_entropy" and not given and not self._smoothed():
            return losses
        tensors = {"input": arrays[self._inputs.input], "target": arrays["target"]}
        ignored = {"ignore_index": self._inputs.ignored} if self._inputs.ignored is not None else {}
        return self._evaluate("cross_entropy", tensors, ignored, ())[0]

    def _smoothed(self) -> bool:
        return bool(self._parameters.get("label_smoothing"))

    # --- the table ------------------------------------------------------------------------------

    def _table(self, shard: Shard, rows: _Rows) -> pa.Table:
        inputs = self._inputs
        columns: dict[str, pa.Array] = {
            "row": pa.array(np.arange(shard.start, shard.stop, dtype=np.int64))
        }
        if inputs.ids:
            ids = inputs.ids.read(shard.start, shard.stop)
            columns["id"] = pa.array(ids, pa.string() if ids.dtype == object else pa.int64())
        missing = ~np.concatenate(rows.valid) if rows.valid else None
        for name, parts in rows.columns.items():
            masked = missing if name in ("loss", "class", "confidence") else None
            columns[name] = pa.array(np.concatenate(parts), mask=masked)
        if inputs.groups:
            groups = inputs.groups.read(shard.start, shard.stop)
            columns["group"] = pa.array(groups.astype(str), pa.string())
        order = ("row", "id", "loss", "class", "group")
        names = [n for n in order if n in columns] + [n for n in columns if n not in order]
        return pa.table({name: columns[name] for name in names})
