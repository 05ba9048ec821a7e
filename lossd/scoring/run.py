"""A run from its start, or from where it stopped, to its report."""

import datetime
import operator
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, SupportsIndex

import numpy as np
from lossd_client.errors import ParameterError

from lossd.kernels import runtime
from lossd.scoring.disk import read_json, write_json
from lossd.scoring.engines import Engine, Threads
from lossd.scoring.errors import OutputError, ScoringError, SourceError
from lossd.scoring.folder import (
    MANIFEST,
    SUMMARY,
    TIMING,
    Folder,
    Kept,
    check_version,
)  # fmt: skip
from lossd.scoring.inputs import Inputs, Shard
from lossd.scoring.scorer import Spent
from lossd.scoring.sources import Name
from lossd.scoring.summary import Summary
from lossd.scoring.task import Task
from lossd.spec import find

if TYPE_CHECKING:
    import pyarrow.dataset

WORST: Final = 20
"""Rows of the largest losses that are told by default."""


@dataclass(frozen=True)
class Progress:
    """How far a run is.

    rows: of how many it has the losses; of: of how many it wants them.
    resumed: rows that were there when it began; read: bytes read since; seconds: since then.
    """

    rows: int
    of: int
    resumed: int
    read: int
    seconds: float


@dataclass(frozen=True)
class Result:
    """A finished run.

    Attributes:
        folder: its absolute path: summary.json, losses/, report.html, charts/.
        summary: the content of summary.json (docs/scoring.md).
        timing: the content of timing.json.
    """

    folder: Path
    summary: Mapping[str, Any]
    timing: Mapping[str, Any] = field(default_factory=dict)

    def __repr__(self) -> str:
        told = f"folder={str(self.folder)!r}, loss={self.loss!r}, rows={self.summary['rows']}"
        return f"Result({told})"

    @property
    def loss(self) -> float:
        """The mean, as PyTorch's `reduction="mean"` over all rows."""
        return float(self.summary["reductions"]["mean"])

    def losses(self) -> "pyarrow.dataset.Dataset":
        """The losses of rows, in their order, as an Arrow dataset."""
        import pyarrow.dataset  # it brings pandas with it

        files = [str(self.folder / part["file"]) for part in self.summary["parts"]]
        return pyarrow.dataset.dataset(files, format="parquet")


def score(
    loss: str,
    predictions: str | os.PathLike[str],
    targets: str | os.PathLike[str],
    *,
    out: str | os.PathLike[str],
    parameters: Mapping[str, Any] = MappingProxyType({}),
    tensors: Mapping[str, str | os.PathLike[str]] = MappingProxyType({}),
    sample_weight: str | os.PathLike[str] = "",
    ids: str | os.PathLike[str] = "",
    group_by: str | os.PathLike[str] = "",
    gradients: bool = False,
    shard_rows: int = 0,
    engine: Engine | None = None,
    overwrite: bool = False,
    worst: int = WORST,
    report: bool = True,
    watch: Callable[[Progress], None] = lambda progress: None,
) -> Result:
    """Compute the losses of all rows of files, whatever their size, and tell what they are.

    Sources are named by PATH or PATH::KEY: a file, a glob or a folder of .npy, .npz, .safetensors,
    .parquet, .arrow, .zarr, .h5, .csv, .jsonl or .pt files, and a column or key in them; ::KEY
    alone is in the predictions' files. A run that
    was stopped goes on when it is asked for again; its result is the same to the bit, whoever
    computes it and however often it was stopped.

    Args:
        loss: functional name, such as "cross_entropy", of a loss whose rows have their own losses.
        predictions: names the source of the loss's first tensor.
        targets: names that of its second.
        out: folder of the results; made if it is not there.
        parameters: hyper-parameters by name; "normalizer" and "zero_if_empty" for any loss.
        tensors: further tensors by name: with a row for each prediction, or, such as class
            weights, the same for all.
        sample_weight: names the source of a factor for each row.
        ids: names the source of a name for each row, numbers or strings.
        group_by: names the source of a group for each row: losses are told for each.
        gradients: whether gradients.npy is written: of each row's own loss with respect to its
            prediction.
        shard_rows: rows that are computed and kept as one: what each worker loses at most when it
            is killed; 0 for about 32 MiB of predictions. No sum depends on it.
        engine: who computes: by default `Threads` of this process, one for each processor.
        overwrite: begin anew where the folder holds a run.
        worst: how many rows of the largest losses are told.
        report: whether report.html and its pictures are made.
        watch: called with the progress, in the calling thread.

    Raises:
        SourceError: files that cannot be read, or have no rows.
        OutputError: a folder that cannot be written to, or holds another run.
        InterruptedRunError: no server answers any more; run it again to go on.
        LossdError: a loss, a parameter, shapes, types or values that do not fit, with file and row.

    Example:
        >>> import numpy as np, tempfile
        >>> from lossd.scoring import score
        >>> folder = tempfile.mkdtemp()
        >>> np.save(f"{folder}/p.npy", np.float32([[1.5, 2, 0.5], [0.5, 1, 1.5]]))
        >>> np.save(f"{folder}/y.npy", np.array([1, 2]))
        >>> result = score("cross_entropy", f"{folder}/p.npy", f"{folder}/y.npy",
        ...                out=f"{folder}/run", report=False)
        >>> round(result.loss, 6)
        0.6422
    """
    _check_out(out)
    for name, mapping in (("parameters", parameters), ("tensors", tensors)):
        if not isinstance(mapping, Mapping):
            raise ParameterError(f"{name} = {mapping!r} must be a mapping by name", field=name)
    if not isinstance(gradients, bool | np.bool):
        raise ParameterError(f"gradients = {gradients!r} must be True or False", field="gradients")
    given = dict(zip(find(loss).required(), (predictions, targets), strict=False))
    for name in tensors:
        if name in given:
            raise ParameterError(f"{loss}: tensor {name!r} is given twice", field=name)
    given |= tensors

    def named(source: str | os.PathLike[str]) -> str:
        """As run.json has it, for whoever goes on with it from wherever."""
        if not isinstance(source, str | os.PathLike):
            raise SourceError(
                f"a source is the name of a file, not {type(source).__name__}: save arrays first, "
                "with np.save"
            )
        name = Name.parse(os.fspath(source))
        path = name.path or (Name.parse(os.fspath(predictions)).path if name.key else "")
        return str(Name(os.path.abspath(path), name.key)) if path else ""  # noqa: PTH100  a glob

    task = Task(
        loss=loss,
        tensors={name: named(source) for name, source in given.items()},
        parameters={
            key: value.item() if isinstance(value, np.generic) else value
            for key, value in parameters.items()
        },
        sample_weight=named(sample_weight),
        ids=named(ids),
        groups=named(group_by),
        gradients=bool(gradients),
        shard_rows=_counted("shard_rows", shard_rows),
    )
    return run(
        task, Path(out), engine=engine, overwrite=overwrite, worst=worst, report=report, watch=watch
    )


def resume(
    out: str | os.PathLike[str],
    *,
    engine: Engine | None = None,
    worst: int = WORST,
    report: bool = True,
    watch: Callable[[Progress], None] = lambda progress: None,
) -> Result:
    """Go on with the run of a folder; see `score`.

    Raises:
        OutputError: the folder holds no run.
    """
    _check_out(out)
    manifest = read_json(Path(out) / MANIFEST)
    if manifest is None:
        raise OutputError(f"{out} holds no run to go on with", field="out")
    check_version(Path(out), manifest)
    return run(
        Task.from_json(manifest["task"]),
        Path(out),
        engine=engine,
        worst=worst,
        report=report,
        watch=watch,
    )


def _check_out(out: str | os.PathLike[str]) -> None:
    """Raise if no folder is named: Path("") would be the current one."""
    if not os.fspath(out):
        raise OutputError("out = '' names no folder", field="out")


def _counted(name: str, value: SupportsIndex) -> int:
    """A number of rows, of Python's type.

    Raises:
        ParameterError: it is none.
    """
    try:
        count = operator.index(value)
    except TypeError as error:
        raise ParameterError(f"{name} = {value!r} must be a whole number", field=name) from error
    if count < 0:
        raise ParameterError(f"{name} = {value} must be 0 or more", field=name)
    return count


def run(
    task: Task,
    out: Path,
    *,
    engine: Engine | None = None,
    overwrite: bool = False,
    worst: int = WORST,
    report: bool = True,
    watch: Callable[[Progress], None] = lambda progress: None,
    check: Callable[[Inputs], None] = lambda inputs: None,
) -> Result:
    """Do a task, or what is left of it; see `score`. `check` looks at its files, first and last."""
    worst = _counted("worst", worst)
    _counted("shard_rows", task.shard_rows)  # of a run.json too
    engine = engine or Threads(runtime.MAX_THREADS)
    if isinstance(engine, type) or not hasattr(engine, "run"):
        raise ParameterError(
            f"engine = {engine!r} is no engine: give Threads(workers) or Ray(workers) of "
            "lossd.scoring",
            field="engine",
        )
    with closing(Inputs(task)) as inputs, Folder.held(out) as folder:
        check(inputs)
        folder.begin(inputs, overwrite=overwrite)
        begun = time.perf_counter()
        gathered = Summary(inputs, folder, worst)
        left = []
        for shard, part in folder.parts(inputs):
            if part is None:
                left.append(shard)
            else:
                gathered.add(part)
        spent = Spent()
        with _beside(inputs.verify() if left else iter(())) as verified:
            for kept in _computed(inputs, folder, engine, left, watch, begun):
                spent.add(kept.spent)
                gathered.add(kept.part, kept.written)
                if verified.done():
                    verified.result()
        computed = time.perf_counter() - begun
        _check_unchanged(inputs, folder)
        check(inputs)
        with ThreadPoolExecutor(1, "lossd-settle") as beside:  # the disk is slow, and computes not
            settled = beside.submit(folder.settle, inputs)
            summary = gathered.finished()
            settled.result()
        write_json(out / SUMMARY, summary)
        timing = _timing(
            left, spent, computed, time.perf_counter() - begun, served=bool(engine.targets)
        )
        write_json(out / TIMING, timing)
        if report:
            from lossd.scoring.report import write_report

            write_report(out, summary, timing, datetime.datetime.now().astimezone())
    return Result(out.absolute(), summary, timing)


def _computed(
    inputs: Inputs,
    folder: Folder,
    engine: Engine,
    left: Sequence[Shard],
    watch: Callable[[Progress], None],
    begun: float,
) -> Iterator[Kept]:
    """Compute the shards that are left and keep what they give."""
    resumed = rows = inputs.rows - sum(shard.stop - shard.start for shard in left)
    read = 0

    def told() -> Progress:
        return Progress(rows, inputs.rows, resumed, read, time.perf_counter() - begun)

    watch(told())
    for kept in engine.run(inputs, folder, left):
        rows += kept.part.shard.stop - kept.part.shard.start
        read += kept.spent.read
        watch(told())
        yield kept


@contextmanager
def _beside(steps: Iterator[None]) -> Iterator[Future[None]]:
    """Steps taken on a thread of their own, all of them before the end; raises what they do."""
    stopping = threading.Event()

    def take() -> None:
        for _ in steps:
            if stopping.is_set():
                return

    with ThreadPoolExecutor(1, "lossd-beside") as thread:
        taken = thread.submit(take)
        try:
            yield taken
            taken.result()
        finally:
            stopping.set()


def _check_unchanged(inputs: Inputs, folder: Folder) -> None:
    """Raise if a file changed while it was read."""
    if inputs.fingerprints() != folder.described["inputs"]:
        raise ScoringError(
            "a file has changed while it was scored: what is told of it may be of both versions. "
            "--overwrite begins anew"
        )


def _timing(
    left: Sequence[Shard], spent: Spent, computed: float, whole: float, *, served: bool
) -> dict[str, Any]:
    """What timing.json holds; rates are of a worker's time at what they tell of."""
    network = {"network": spent.network} if served else {}
    shares = {
        "reading": spent.reading, **network,
        "computing": spent.computing, "writing": spent.writing,
    }  # fmt: skip
    busy = sum(shares.values())
    rows = sum(shard.stop - shard.start for shard in left)
    return {
        "seconds": whole,
        "rows": rows,
        "rows_per_second": rows / computed if rows else 0.0,
        "bytes": spent.read,
        "bytes_per_second": spent.read / computed if rows else 0.0,
        "worker_seconds": shares,
        "shares": {name: each / busy if busy else 0.0 for name, each in shares.items()},
        "worker_bytes_per_second": {
            name: spent.read / each if each else 0.0 for name, each in shares.items()
        },
        "bottleneck": max(shares, key=lambda name: shares[name]) if busy else "",
    }
