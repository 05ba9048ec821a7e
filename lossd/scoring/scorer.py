"""The losses of a shard, and what else is told of its rows: a table that becomes one file."""

import functools
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from lossd_client.dtypes import is_bfloat16, widened
from lossd_client.errors import LossdError

from lossd.engine import Call, compute
from lossd.kernels import runtime
from lossd.plan import Plan
from lossd.scoring import arrow
from lossd.scoring.errors import InterruptedRunError
from lossd.scoring.exact import ExactSum
from lossd.scoring.inputs import Inputs, Shard, located, row_bytes
from lossd.scoring.predictions import NONE, find_best, find_confidence
from lossd.scoring.readers.kinds import TEXT
from lossd.scoring.sources import Shape, Source

Array = npt.NDArray[Any]

_FEW: Final = 64  # bytes of a row

_CLASSES: Final = ("class", "prediction")
_SHARES: Final = ("confidence", "probability")


class Evaluated(NamedTuple):
    """What came of a block.

    losses: those under reduction='none'.
    gradients: by tensor.
    elsewhere: seconds that a server computed, None if it was computed here.
    """

    losses: Array
    gradients: Mapping[str, Array]
    elsewhere: float | None = None


class Evaluator(NamedTuple):
    """Computes losses.

    evaluate: called with a loss, its tensors, its parameters, and whose gradients are wanted.
    empty: makes room that predictions are best read to, None if any is as good.
    block: bytes of predictions that are best read and computed at a time.
    """

    evaluate: Callable[
        [str, Mapping[str, Array], Mapping[str, Any], Sequence[str]],
        Evaluated,
    ]
    empty: Callable[[Shape, np.dtype[Any]], Array] | None = None
    block: int = 8 << 20


def _here(
    loss: str,
    tensors: Mapping[str, Array],
    parameters: Mapping[str, Any],
    gradients: Sequence[str],
) -> Evaluated:
    with runtime.one_thread():
        result = compute(Call(loss, tensors, parameters, "none", gradients))
    return Evaluated(result.loss, result.gradients)


HERE: Final = Evaluator(_here)
"""Computes in the calling thread: as many as there are workers do. What is read stays in the cache
until it is computed, and a call costs little beside it."""


@dataclass
class Spent:
    """Where a worker's time went.

    reading, network, computing, writing: seconds; read: bytes of the tensors. What a server
    computes counts as computing; the rest of the wait for it, the way there and back, as network.
    """

    reading: float = 0.0
    network: float = 0.0
    computing: float = 0.0
    writing: float = 0.0
    read: int = 0

    def add(self, other: "Spent") -> None:
        """Add what another worker spent."""
        self.reading += other.reading
        self.network += other.network
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
class _Block:
    """A block's losses, of its shape, and what its predictions tell (`Scorer._told`)."""

    losses: Array
    told: dict[str, Array]


class Scorer:
    """Computes shards, one at a time."""

    def __init__(
        self,
        inputs: Inputs,
        evaluator: Evaluator = HERE,
        stop: threading.Event | None = None,
    ) -> None:
        """Compute what `inputs` hold, until `stop` is set."""
        self._inputs, self._evaluator, self._empty = inputs, evaluator.evaluate, evaluator.empty
        self._network = 0.0  # seconds, of the shard that is computed
        self._rows_at_once = max(1, evaluator.block // row_bytes(inputs.first))
        self._own: Array | None = None
        self._stop = stop or threading.Event()
        task = inputs.task
        self._parameters = {
            name: value
            for name, value in task.parameters.items()
            if name not in ("normalizer", "zero_if_empty")
        }
        self._wanted = (inputs.input,) if task.gradients else ()
        self._outline: Callable[[int], Plan] = functools.lru_cache(4)(inputs.outline)
        # tensors of few bytes a row are read once for a shard, not for each of its blocks
        self._beside = [
            name
            for name, source in inputs.sources.items()
            if name != inputs.input and row_bytes(source) <= _FEW
        ]
        others = inputs.sources.keys() - {inputs.input, *self._beside}
        loss = inputs.outline(1).loss
        self._divided_at_once = not others and inputs.input not in (loss.divisor, *loss.counted)

    def shard(self, shard: Shard) -> Scored:
        """Compute a shard.

        Raises:
            InterruptedRunError: `stop` was set.
            LossdError: what is wrong, with its file and row.
        """
        spent, divisor = Spent(), ExactSum()
        self._network = 0.0
        gradients: list[Array] = []
        blocks: list[_Block] = []
        begun = time.perf_counter()
        beside = self._read(shard.start, shard.stop, self._beside, spent)
        if self._divided_at_once:
            divisor.add(self._divided_by(shard, beside | self._inputs.whole))
        for block in self._blocks(shard):
            here = slice(block.start - shard.start, block.stop - shard.start)
            arrays = self._read(block.start, block.stop, self._others(), spent)
            arrays |= {name: array[here] for name, array in beside.items()} | self._inputs.whole
            if not self._divided_at_once:
                divisor.add(self._divided_by(block, arrays))
            try:
                made = self._evaluate(
                    self._inputs.task.loss, arrays, self._parameters, self._wanted
                )
                blocks.append(_Block(made.losses, self._told(arrays, made.losses)))
            except LossdError as error:
                raise located(error, self._inputs, block.start) from error
            gradients += made.gradients.values()
        scored = self._finished(shard, blocks, divisor, gradients, spent)
        spent.network = self._network
        spent.computing = time.perf_counter() - begun - spent.reading - spent.network
        return scored

    def _evaluate(
        self,
        loss: str,
        tensors: Mapping[str, Array],
        parameters: Mapping[str, Any],
        gradients: Sequence[str],
    ) -> Evaluated:
        begun = time.perf_counter()
        made = self._evaluator(loss, tensors, parameters, gradients)
        if made.elsewhere is not None:
            self._network += time.perf_counter() - begun - made.elsewhere
        return made

    def _blocks(self, shard: Shard) -> Iterator[Shard]:
        for start in range(shard.start, shard.stop, self._rows_at_once):
            if self._stop.is_set():
                raise InterruptedRunError("the run was stopped")
            yield Shard(shard.number, start, min(start + self._rows_at_once, shard.stop))

    def _others(self) -> list[str]:
        return [name for name in self._inputs.sources if name not in self._beside]

    def _read(self, start: int, stop: int, names: list[str], spent: Spent) -> dict[str, Array]:
        begun = time.perf_counter()
        arrays = {name: self._rows(name, start, stop) for name in names}
        spent.reading += time.perf_counter() - begun
        spent.read += sum(array.nbytes for array in arrays.values())
        return arrays

    def _rows(self, name: str, start: int, stop: int) -> Array:
        source = self._inputs.sources[name]
        if name != self._inputs.input or not source.in_place:
            return source.read(start, stop)
        room = self._room(stop - start, source)
        source.read_to(start, room)
        return room

    def _room(self, rows: int, source: Source) -> Array:
        """Where predictions are read to: the same memory again where they are computed here."""
        if self._empty is not None:
            return self._empty((rows, *source.shape), source.dtype)
        if self._own is None:
            self._own = np.empty((self._rows_at_once, *source.shape), source.dtype)
        return self._own[:rows]

    def _divided_by(self, rows: Shard, arrays: Mapping[str, Array]) -> Array:
        try:
            return self._outline(rows.stop - rows.start).divided_by(arrays)
        except LossdError as error:
            raise located(error, self._inputs, rows.start) from error

    # --- what is told beside the losses ---------------------------------------------------------

    def _told(self, arrays: Mapping[str, Array], losses: Array) -> dict[str, Array]:
        """What a block's tensors tell of each row, but for what it takes to say it in words."""
        inputs = self._inputs
        told = {"target": arrays["target"]} if "target" in arrays and inputs.labelled else {}
        if inputs.kind in ("binary", "regression"):
            # what predictions are read to is written to again
            return {"input": arrays[inputs.input].copy(), "target": arrays["target"]}
        if inputs.kind != "classification":
            return told
        scores = np.require(widened(arrays[inputs.input]), requirements=["C", "A"])
        told["prediction"], top = find_best(scores)
        if inputs.predicts == "logits":
            told["confidence"] = self._confidence(scores, top, arrays, losses)
        elif inputs.predicts == "log-probabilities":
            with np.errstate(over="ignore"):  # what is no log-probability is not news
                told["confidence"] = np.exp(top)
        return told

    def _confidence(
        self, scores: Array, top: Array, arrays: Mapping[str, Array], losses: Array
    ) -> Array:
        """The largest of softmax(x), NaN where the label is ignored."""
        confidence = np.empty(len(scores))
        labels = arrays["target"].astype(np.int64)
        surprise = np.ascontiguousarray(self._surprise(arrays, losses), scores.dtype)
        find_confidence(scores, labels, self._kept(arrays["target"]), surprise, top, confidence)
        return confidence

    def _kept(self, labels: Array) -> Array:
        """Which labels are not ignored."""
        ignored = self._inputs.ignored
        kept: Array = np.ones(labels.shape, bool) if ignored is None else labels != ignored
        return kept

    def _surprise(self, arrays: Mapping[str, Array], losses: Array) -> Array:
        """-log softmax(x)[y] of each row: the loss itself, if it is plain cross entropy."""
        task, given = self._inputs.task, arrays.keys() - {self._inputs.input, "target"}
        if task.loss == "cross_entropy" and not given and not self._smoothed():
            return losses
        tensors = {"input": arrays[self._inputs.input], "target": arrays["target"]}
        ignored = {"ignore_index": self._inputs.ignored} if self._inputs.ignored is not None else {}
        return self._evaluate("cross_entropy", tensors, ignored, ()).losses

    def _smoothed(self) -> bool:
        return bool(self._parameters.get("label_smoothing"))

    # --- the table ------------------------------------------------------------------------------

    def _finished(
        self,
        shard: Shard,
        blocks: Sequence[_Block],
        divisor: ExactSum,
        gradients: list[Array],
        spent: Spent,
    ) -> Scored:
        losses = np.concatenate([block.losses for block in blocks])
        told = {
            name: np.concatenate([block.told[name] for block in blocks]) for name in blocks[0].told
        }
        total = ExactSum()
        with np.errstate(over="ignore", invalid="ignore"):  # of huge and of infinite losses
            sums = losses.reshape(len(losses), -1).sum(1, dtype=np.float64)
        total.add(sums)
        count: Array | int = losses[0].size
        missing = None
        if self._inputs.labelled:
            count = self._kept(told["target"]).reshape(len(losses), -1).sum(1)
            missing = np.equal(count, 0)
        each = losses if losses.ndim == 1 else sums / np.maximum(count, 1)
        columns = {"loss": np.asarray(each, self._inputs.dtype)} | self._columns(told)
        return Scored(shard, self._table(shard, columns, missing), total, divisor, gradients, spent)

    def _columns(self, told: Mapping[str, Array]) -> dict[str, Array]:
        """What a table has beside the losses."""
        kind, predicts = self._inputs.kind, self._inputs.predicts
        if kind == "classification":
            kept = self._kept(told["target"])
            columns = {"class": np.where(kept, told["target"].astype(np.int64), NONE)}
            columns["prediction"] = told["prediction"].astype(np.int64)
            if "confidence" in told:
                sure = np.where(kept, told["confidence"], np.nan)
                columns["confidence"] = sure.astype(np.float32)
            return columns
        if kind not in ("binary", "regression"):
            return {}
        x, y = (widened(told[n]).reshape(-1).astype(np.float64) for n in ("input", "target"))
        if kind == "regression":
            return {"input": x, "target": y}
        with np.errstate(over="ignore"):
            odds = x if predicts == "probability" else 1 / (1 + np.exp(-x))
        return {
            "class": _sides(y),
            "prediction": _sides(odds),
            "probability": odds.astype(np.float32),
        }

    def _table(self, shard: Shard, columns: Mapping[str, Array], missing: Array | None) -> pa.Table:
        inputs = self._inputs
        masks = {name: columns[name] == NONE for name in _CLASSES if name in columns}
        masks |= {name: np.isnan(columns[name]) for name in _SHARES if name in columns}
        masks |= {"loss": missing}
        told = {name: arrow.column(each, masks.get(name)) for name, each in columns.items()}
        told["row"] = arrow.column(np.arange(shard.start, shard.stop, dtype=np.int64))
        if inputs.ids:
            ids = inputs.ids.read(shard.start, shard.stop)
            kind = np.uint64 if ids.dtype == np.uint64 else np.int64
            text = ids.dtype == TEXT
            told["id"] = pa.array(ids, pa.string()) if text else arrow.column(ids.astype(kind))
        if inputs.groups:
            told["group"] = pa.array(_words(inputs.groups.read(shard.start, shard.stop)))
        order = ("row", "id", "loss", "class", "group")
        names = [n for n in order if n in told] + [n for n in told if n not in order]
        return pa.table({name: told[name] for name in names})


def _words(groups: Array) -> Array:
    """What groups are called."""
    if groups.dtype == TEXT:
        return groups
    # NumPy cannot spell bfloat16; float16 it spells shorter than the float32 of that value
    named: Array = (widened(groups) if is_bfloat16(groups.dtype) else groups).astype(str)
    return named


def _sides(shares: Array) -> Array:
    """Of two classes the one that each share of class 1 stands for, no class for NaN."""
    sides: Array = np.where(np.isnan(shares), NONE, shares >= 0.5).astype(np.int64)
    return sides
