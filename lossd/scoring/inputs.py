"""A task's files, opened and checked against its loss, and how their rows are cut into shards."""

import itertools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
from lossd_client.dtypes import named
from lossd_client.errors import DTypeError, LossdError, ParameterError, ShapeError

from lossd.engine import outline
from lossd.plan import SAMPLE_WEIGHT, Plan
from lossd.scoring.errors import ScoringError, SourceError
from lossd.scoring.readers import fingerprint, open_source
from lossd.scoring.readers.kinds import TEXT
from lossd.scoring.sources import Source
from lossd.scoring.task import Task
from lossd.spec import Classes, Elementwise, Loss, Rowwise, find, registry

Array = npt.NDArray[Any]

SHARD_BYTES: Final = 32 << 20
"""Predictions of a shard: what is lost at most, for each worker, when a run is killed."""

SHARD_ROWS: Final = 1 << 20
"""Rows of a shard at most: a worker holds their results."""

_WHOLE: Final = 64 << 20  # bytes of a tensor that is taken whole


class Shard(NamedTuple):
    """A range of rows that is computed and kept as one, the `number`-th of all."""

    number: int
    start: int
    stop: int


class Inputs:
    """A task's files, opened.

    Attributes:
        rows: how many there are; `shards`: what they are cut into.
        sources: tensors with a row for each prediction, the predictions first, and sample_weight.
        whole: tensors that are the same for all rows.
        ids, groups: sources of one value a row, None where not asked for.
        kind: "classification", "binary", "regression" or "other": what is told beside losses.
        labelled: whether rows have one class each.
    """

    def __init__(self, task: Task) -> None:
        """Open all files.

        Raises:
            SourceError: files that cannot be read.
            LossdError: a loss, a parameter, types or shapes that do not fit.
        """
        self.task = task
        declared = find(task.loss)
        _check_family(task.loss, declared)
        names = _checked_names(task)
        self.input = names[0]
        opened = {
            name: _opened(task.tensors[name], name, real=name == self.input) for name in names
        }
        first = opened[self.input]
        self.rows = first.rows
        if not self.rows:
            raise SourceError(f"{task.tensors[self.input]} has no rows", field=self.input)
        self.sources, self.whole = {}, {}
        for name, source in opened.items():
            # one value for each class, say, is of fewer dimensions than predictions
            alike = source.rows == self.rows and len(source.shape) == len(first.shape)
            whole = declared.tensors[name].role in ("class", "whole") or (
                declared.tensors[name].optional and not alike
            )
            if whole:
                self.whole[name] = _taken_whole(source, task.tensors[name], name)
            else:
                self.sources[name] = source
        if task.sample_weight:
            self.sources[SAMPLE_WEIGHT] = _opened(task.sample_weight, SAMPLE_WEIGHT)
        self.ids = _opened(task.ids, "ids", text=True) if task.ids else None
        self.groups = _opened(task.groups, "groups", text=True) if task.groups else None
        self._check_rows()
        self._check_ids()
        self._check_loss()
        self.shards = cut(self.rows, row_bytes(first), first.cuts, task.shard_rows)

    @property
    def first(self) -> Source:
        """The predictions."""
        return self.sources[self.input]

    def everything(self) -> dict[str, Source]:
        """All sources of rows by what they are."""
        others = {"ids": self.ids, "groups": self.groups}
        return self.sources | {name: source for name, source in others.items() if source}

    def names(self) -> dict[str, str]:
        """The names of all sources, of whole tensors too, by what they are."""
        task = self.task
        others = {SAMPLE_WEIGHT: task.sample_weight, "ids": task.ids, "groups": task.groups}
        return dict(task.tensors) | {key: name for key, name in others.items() if name}

    def outline(self, rows: int) -> Plan:
        """What a call of so many rows is."""
        kinds = {name: (s.dtype, (rows, *s.shape)) for name, s in self.sources.items()}
        kinds |= {name: (a.dtype, a.shape) for name, a in self.whole.items()}
        return outline(self.task.loss, kinds, self.task.parameters)

    def fingerprints(self) -> dict[str, Any]:
        """What each source is made of, as run.json has it."""
        names = self.names().items()
        return {key: _described(name, self._source(key, name)) for key, name in names}

    def verify(self) -> Iterator[None]:
        """Compare files with the checksums that reading does not look at, piece by piece."""
        for key, source in self.everything().items():
            with _at_fault(key):
                yield from source.verify()

    def close(self) -> None:
        """Let go of open files."""
        for source in self.everything().values():
            source.close()

    def _source(self, key: str, name: str) -> Source:
        return self.everything().get(key) or open_source(name)

    def _check_rows(self) -> None:
        for key, source in self.everything().items():
            if source.rows != self.rows:
                raise ShapeError(
                    f"{self.input} has {self.rows} rows and {key} has {source.rows}: "
                    f"{self.task.tensors[self.input]} and {source.files[0]}",
                    field=key,
                )
            if key in (SAMPLE_WEIGHT, "ids", "groups") and source.shape:
                raise ShapeError(
                    f"{key} must have one value a row, not {source.shape}: {source.files[0]}",
                    field=key,
                )

    def _check_ids(self) -> None:
        if self.ids and self.ids.dtype != TEXT and self.ids.dtype.kind not in "iu":
            raise SourceError(
                f"ids must be whole numbers or text, not {named(self.ids.dtype)}: "
                f"{self.ids.files[0]}",
                field="ids",
            )

    def _check_loss(self) -> None:
        """Check that each row has a loss of its own."""
        self._check_labels()
        self.outline(self.rows)  # what does not fit is told with the shapes that there are
        plan, more = self.outline(2), self.outline(3)
        loss, shape = plan.loss, plan.layout.output
        _check_family(self.task.loss, type(loss))  # a parameter may have made it another
        if shape[:1] != (2,) or more.layout.output != (3, *shape[1:]):
            shapes = ", ".join(
                f"{name} ({', '.join(map(str, ('rows', *source.shape)))})"
                for name, source in self.sources.items()
            )
            raise ShapeError(
                f"{self.task.loss}: rows of these shapes do not have losses of their own: {shapes}",
                field=self.input,
            )
        self.dtype, self.tail = plan.dtype, shape[1:]
        self.labelled = isinstance(loss, Classes) and plan.labelled
        ignored = loss.values.get("ignore_index") if self.labelled else None
        self.ignored = None if ignored is None else int(ignored)
        self.predicts = loss.predicts
        self.kind = self._kind()

    def _check_labels(self) -> None:
        """Check that what can only be classes, by its shape, is whole numbers."""
        declared = find(self.task.loss).tensors
        for name, source in self.sources.items():
            label = name in declared and declared[name].role == "label"
            if (
                label
                and source.dtype.kind not in "iub"
                and len(source.shape) < len(self.first.shape)
            ):
                raise DTypeError(
                    f"{name} has dtype {named(source.dtype)}, and labels must be integers: "
                    f"{self.task.tensors[name]}",
                    field=name,
                )

    def _kind(self) -> str:
        # one prediction is also broadcast against several targets, with a loss for each
        single = self.first.shape in ((), (1,)) and self.tail in ((), (1,))
        if self.labelled and not self.tail and self.predicts:
            return "classification"
        if self.predicts in ("probability", "logit") and single:
            return "binary"
        return "regression" if self.predicts == "value" and single else "other"


def cut(rows: int, each: int, cuts: Sequence[int] = (0,), most: int = 0) -> list[Shard]:
    """Rows cut into shards: a function of the files alone, whoever computes them.

    Args:
        rows: how many.
        each: bytes of one.
        cuts: where pieces begin that are best read as a whole.
        most: rows of a shard, wherever those begin; 0 for what suits them.
    """
    if most:
        places, least = [0], most
    else:
        least = min(SHARD_BYTES // each or 1, SHARD_ROWS)
        places, most = sorted({0, *cuts} - {rows}), least + least // 2
    shards: list[Shard] = []
    start = 0
    for piece_end in [*places[1:], rows]:
        if piece_end - start < least and piece_end != rows:
            continue  # small pieces go together
        parts = -(-(piece_end - start) // most)
        bounds = [start + (piece_end - start) * k // parts for k in range(parts + 1)]
        shards += [
            Shard(len(shards) + k, *pair) for k, pair in enumerate(itertools.pairwise(bounds))
        ]
        start = piece_end
    return shards


def row_bytes(source: Source) -> int:
    """Bytes of a row."""
    return max(1, int(np.prod(source.shape, dtype=np.int64)) * source.dtype.itemsize)


def _opened(name: str, field: str, *, text: bool = False, real: bool = False) -> Source:
    with _at_fault(field):
        return open_source(name, text=text, real=real)


@contextmanager
def _at_fault(field: str) -> Iterator[None]:
    """Errors of a source know which tensor is at fault."""
    try:
        yield
    except SourceError as error:
        raise SourceError(str(error), field=field) from error


def _check_family(name: str, declared: type[Loss]) -> None:
    if not issubclass(declared, Elementwise | Rowwise):
        known = ", ".join(n for n, d in registry.items() if issubclass(d, Elementwise | Rowwise))
        raise ScoringError(
            f"{name} is not a loss of one row at a time: it sees more than its own row, or its "
            f"batch is not the first dimension. These are: {known}",
            field="loss",
        )


def _checked_names(task: Task) -> list[str]:
    """The tensors that are given, as the declaration orders them."""
    declared = find(task.loss)
    for name in declared.required():
        if name not in task.tensors:
            raise ParameterError(
                f"{task.loss} needs the tensor {name!r} too: --tensor {name}=SOURCE", field=name
            )
    for name in task.tensors:
        if name not in declared.tensors:
            known = ", ".join(declared.tensors)
            raise ParameterError(f"{task.loss} has no tensor {name!r}; it has: {known}", field=name)
    return [name for name in declared.tensors if name in task.tensors]


def _taken_whole(source: Source, name: str, tensor: str) -> Array:
    if source.rows * row_bytes(source) > _WHOLE:
        raise SourceError(
            f"{name} has {source.rows} rows of {source.shape}: too large for {tensor}, which is "
            "the same for all rows",
            field=tensor,
        )
    for _ in source.verify():
        pass
    return source.read(0, source.rows)


def _described(name: str, source: Source) -> dict[str, Any]:
    return {
        "name": name,
        "rows": source.rows,
        "shape": list(source.shape),
        "dtype": named(source.dtype),
        "files": [fingerprint(path) for path in source.files],
    }


def located(error: LossdError, inputs: Inputs, start: int) -> LossdError:
    """The same error, with the file and the row of what is at fault.

    Args:
        error: names a place in a block as `target[17]`.
        inputs: where it was read from.
        start: the block's first row.
    """
    name = error.field
    before, bracket, rest = str(error).partition(f"{name}[")
    source = inputs.sources.get(name)
    index = rest.partition("]")[0].split(",")
    if not (bracket and source and index[0].isdigit()):
        return error
    row = start + int(index[0])
    place = ", ".join([str(row), *(part.strip() for part in index[1:])])
    message = f"{before}{name}[{place}]{rest.partition(']')[2]} ({source.place(row)})"
    return type(error)(message, field=name)
