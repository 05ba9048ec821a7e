"""`lossd score`: the command line of a run."""

import argparse
import json
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from lossd_client.errors import LossdError
from rich.console import Console
from rich.progress import (
    BarColumn,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)  # fmt: skip
from rich.progress import (
    Progress as Bar,
)
from rich.table import Table

from lossd.kernels import runtime
from lossd.scoring.commands.arguments import (
    add_sources,
    add_task,
    flag,
    loss_among,
    parameters_of,
    positive,
    tensors_of,
)  # fmt: skip
from lossd.scoring.engines import Engine, Threads
from lossd.scoring.errors import ScoringError
from lossd.scoring.run import Progress, Result, resume, score
from lossd.spec import find

UNFINISHED: Final = 1
"""Exit status of a run that may succeed when it is run again: no server, no room."""

WRONG: Final = 2
"""Exit status of a run that cannot: what it was given is wrong."""

INTERRUPTED: Final = 130
"""Exit status of a run that Ctrl-C or SIGTERM ended."""

_EXAMPLES: Final = """
SOURCE is PATH or PATH::KEY. PATH is a file, a glob or a folder of .npy, .npz, .safetensors,
.parquet, .arrow, .zarr, .h5, .csv, .jsonl or .pt files; KEY is a column or a key in them; ::KEY
alone is in the files of the predictions. `lossd score LOSS --help` shows a loss's parameters.

  lossd score cross_entropy logits.npy labels.npy --out run --label-smoothing 0.1
  lossd score mse_loss 'eval/*.parquet::predicted' ::actual --group-by ::region --out run
  lossd score --resume --out run
"""


def main(given: Sequence[str]) -> None:
    """Run `lossd score` with these arguments."""
    parser = _parser(loss_among(given))
    options = parser.parse_args(given)
    if options.resume and (options.loss or _settings(options)):
        words = ", ".join(_settings(options)) or "LOSS and sources"
        parser.error(f"--resume takes what is scored from the folder: leave {words} out")
    if not options.resume and options.targets is None:
        parser.error("LOSS, PREDICTIONS and TARGETS are needed")
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # stops as cleanly as Ctrl-C
    tell = _Lines() if options.json else _Terminal(quiet=options.quiet)
    try:
        with tell:
            result = _run(options, tell.watch)
    except LossdError as error:
        tell.failed(error)
        wrong = bool(error.field) or isinstance(error, ValueError | TypeError | LookupError)
        raise SystemExit(WRONG if wrong else UNFINISHED) from error
    except KeyboardInterrupt:
        tell.stopped(options.out)
        raise SystemExit(INTERRUPTED) from None
    tell.finished(result)


def _settings(options: argparse.Namespace) -> list[str]:
    """Flags that were given of those that say what is scored."""
    names = ("sample_weight", "ids", "group_by", "tensor", "gradients", "shard_rows", "overwrite")
    return [flag(name) for name in names if getattr(options, name)]


def _run(options: argparse.Namespace, watch: Callable[[Progress], None]) -> Result:
    shared: dict[str, Any] = {
        "engine": _engine(options),
        "worst": options.worst,
        "report": options.report,
        "watch": watch,
    }
    if options.resume:
        return resume(options.out, **shared)
    loss = find(options.loss)
    return score(
        options.loss,
        options.predictions,
        options.targets,
        out=options.out,
        parameters=parameters_of(options, loss),
        tensors=tensors_of(options, loss),
        sample_weight=options.sample_weight,
        ids=options.ids,
        group_by=options.group_by,
        gradients=options.gradients,
        shard_rows=options.shard_rows,
        overwrite=options.overwrite,
        **shared,
    )


def _engine(options: argparse.Namespace) -> Engine:
    if options.engine == "ray":
        try:
            from lossd.scoring.cluster import Ray
        except ModuleNotFoundError as error:
            message = f"--engine ray needs {error.name}: pip install 'lossd[ray]'"
            raise ScoringError(message, field="engine") from error
        return Ray(options.workers or 2, options.ray_address, options.target, options.timeout)
    workers = options.workers or (4 if options.target else runtime.MAX_THREADS)
    return Threads(workers, options.target, options.timeout)


# --- arguments --------------------------------------------------------------------------------


def _parser(loss: str | None) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="lossd score",
        description="Compute the losses of predictions and targets in files of any size.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add_task(parser, loss, optional=True)
    add("--out", type=Path, required=True, metavar="DIR", help="folder of the results")
    add_sources(parser)
    _add_workers(parser)
    add("--resume", action="store_true", help="go on with the run in DIR")
    add("--overwrite", action="store_true", help="begin anew where DIR holds a run")
    add("--worst", type=int, default=20, metavar="K", help="tell the K largest losses (20)")
    add("--no-report", dest="report", action="store_false", help="make no report.html")
    add("--json", action="store_true", help="tell progress, result and errors as lines of JSON")
    add("--quiet", action="store_true", help="tell only the result")
    return parser


def _add_workers(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("who computes")
    group.add_argument(
        "--target",
        action="append",
        default=[],
        metavar="ADDRESS",
        help="a server that computes, such as host:50051 or unix:/run/lossd.sock (repeatable)",
    )
    group.add_argument(
        "--workers",
        type=positive,
        metavar="N",
        help="threads (one for each processor; with servers four for each), or Ray's actors (two)",
    )
    group.add_argument(
        "--engine",
        choices=("threads", "ray"),
        default="threads",
        help="threads of this process (the default), or actors of a Ray cluster",
    )
    group.add_argument(
        "--ray-address",
        metavar="ADDRESS",
        help="of the Ray cluster; else $RAY_ADDRESS, or a cluster of its own here",
    )
    group.add_argument(
        "--timeout", type=float, metavar="SECONDS", help="that a server has for a block (no limit)"
    )


# --- what is told -----------------------------------------------------------------------------


class _Lines:
    """Lines of JSON on the standard output."""

    def __enter__(self) -> None: ...

    def __exit__(self, *error: object) -> None: ...

    def watch(self, progress: Progress) -> None:
        left = _seconds_left(progress)
        self._tell("progress", **vars(progress), seconds_left=left)

    def failed(self, error: LossdError) -> None:
        self._tell("error", reason=error.reason, field=error.field, message=str(error))

    def stopped(self, out: Path) -> None:
        self._tell("stopped", out=str(out), message="run it again to go on")

    def finished(self, result: Result) -> None:
        told = {key: result.summary[key] for key in ("rows", "counts", "reductions")}
        self._tell("finished", out=str(result.folder), **told, timing=dict(result.timing))

    def _tell(self, event: str, **what: Any) -> None:
        sys.stdout.write(json.dumps({"event": event, **what}) + "\n")
        sys.stdout.flush()


class _Terminal:
    """A bar on the standard error, the result on the standard output."""

    def __init__(self, *, quiet: bool) -> None:
        self._errors = Console(stderr=True, highlight=False)
        self._bar = Bar(
            TextColumn("{task.fields[rows]} rows"),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
            console=self._errors,
            disable=quiet,
        )
        self._task = self._bar.add_task("", total=None, rows="", rate="")
        self._rows: tuple[int, int] | None = None

    def __enter__(self) -> None: ...

    def __exit__(self, *error: object) -> None:
        if self._rows:
            self._bar.stop()

    def watch(self, progress: Progress) -> None:
        if self._rows is None:
            self._bar.start()
            if progress.resumed and not self._bar.disable:
                self._bar.print(f"going on: {progress.resumed:,} of {progress.of:,} rows are there")
        self._rows = (progress.rows, progress.of)
        rate = f"{size(progress.read / progress.seconds)}/s" if progress.seconds > 0 else ""
        self._bar.update(
            self._task, completed=progress.rows, total=progress.of, rows=f"{progress.rows:,}",
            rate=rate,
        )  # fmt: skip

    def failed(self, error: LossdError) -> None:
        self._errors.print(f"lossd score: {error}", markup=False, soft_wrap=True)

    def stopped(self, out: Path) -> None:
        done = "{:,} of {:,} rows are done; ".format(*self._rows) if self._rows else ""
        told = f"stopped: {done}`lossd score --resume --out {out}` goes on"
        self._errors.print(told, markup=False, soft_wrap=True)

    def finished(self, result: Result) -> None:
        console = Console(highlight=False)
        console.print(_table(result))
        console.print(_timing(result), markup=False, soft_wrap=True)
        made = "report.html" if (result.folder / "report.html").exists() else "summary.json"
        console.print(f"{result.folder / made}", markup=False, soft_wrap=True)


def _table(result: Result) -> Table:
    summary = result.summary
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column()
    table.add_column(justify="right")
    for name, value in summary["reductions"].items():
        table.add_row(name, _number(value))
    for name in ("std", "min", "max"):
        if name in summary["distribution"]:
            table.add_row(name, _number(summary["distribution"][name]))
    for p, value in summary["distribution"].get("quantiles", {}).items():
        table.add_row(f"quantile {p}", _number(value))
    if "classification" in summary:
        table.add_row("accuracy", _number(summary["classification"]["accuracy"]))
    for name, count in summary["counts"].items():
        if count:
            table.add_row(f"rows {name}" if name != "scored" else "rows", f"{count:,}")
    return table


def _timing(result: Result) -> str:
    timing = result.timing
    if not timing["rows"]:
        return "nothing was left to compute"
    rates = timing["worker_bytes_per_second"]
    shares = ", ".join(
        f"{name} {share:.0%} ({size(rates[name])}/s)" for name, share in timing["shares"].items()
    )
    return (
        f"{size(timing['bytes'])} in {timing['seconds']:.1f} s: "
        f"{size(timing['bytes_per_second'])}/s, {timing['rows_per_second']:,.0f} rows/s; workers' "
        f"time: {shares}; bottleneck: {timing['bottleneck']}"
    )


def _number(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:.7g}"


def size(count: float) -> str:
    """Bytes as people write them."""
    for unit in ("B", "KB", "MB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:,.3g} GB"


def _seconds_left(progress: Progress) -> float | None:
    done = progress.rows - progress.resumed
    return progress.seconds / done * (progress.of - progress.rows) if done else None
