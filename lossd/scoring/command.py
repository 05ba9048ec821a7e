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

import lossd.losses  # noqa: F401  fills the registry
from lossd.kernels import runtime
from lossd.scoring.engines import Engine, Threads
from lossd.scoring.errors import ScoringError, SourceError
from lossd.scoring.run import Progress, Result, resume, score
from lossd.spec import Loss, Param, find, registry

INTERRUPTED: Final = 130  # the exit status of a command that Ctrl-C ended

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
    parser = _parser(next((word for word in given if word in registry), None))
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
        bad_input = error.field or isinstance(error, SourceError)
        raise SystemExit(2 if bad_input else 1) from error
    except KeyboardInterrupt:
        tell.stopped(options.out)
        raise SystemExit(INTERRUPTED) from None
    tell.finished(result)


def _settings(options: argparse.Namespace) -> list[str]:
    """Flags that were given of those that say what is scored."""
    names = ("sample_weight", "ids", "group_by", "tensor", "gradients", "shard_rows", "overwrite")
    return [_flag(name) for name in names if getattr(options, name)]


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
    chosen = vars(options)
    tensors = dict(options.tensor)
    tensors |= {name: chosen[name] for name in loss.optional() if chosen.get(name)}
    parameters = {name: chosen[name] for name in loss.params if chosen.get(name) is not None}
    if options.normalizer is not None:
        parameters["normalizer"] = options.normalizer
    if options.zero_if_empty:
        parameters["zero_if_empty"] = True
    return score(
        options.loss,
        options.predictions,
        options.targets,
        out=options.out,
        parameters=parameters,
        tensors=tensors,
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
        return Ray(options.workers or 2, options.ray_address, options.target)
    workers = options.workers or (2 if options.target else runtime.MAX_THREADS)
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
    add(
        "loss",
        nargs="?",
        metavar="LOSS",
        help="functional name, such as cross_entropy: `lossd losses` lists them",
    )
    add("predictions", nargs="?", metavar="PREDICTIONS", help="source of the loss's first tensor")
    add("targets", nargs="?", metavar="TARGETS", help="source of its second tensor")
    add("--out", type=Path, required=True, metavar="DIR", help="folder of the results")
    _add_sources(parser)
    _add_workers(parser)
    add(
        "--shard-rows",
        type=_positive,
        default=0,
        metavar="N",
        help="rows of a part, which is kept as one (32 MiB of predictions)",
    )
    add("--resume", action="store_true", help="go on with the run in DIR")
    add("--overwrite", action="store_true", help="begin anew where DIR holds a run")
    add("--worst", type=int, default=20, metavar="K", help="tell the K largest losses (20)")
    add("--no-report", dest="report", action="store_false", help="make no report.html")
    add("--json", action="store_true", help="tell progress, result and errors as lines of JSON")
    add("--quiet", action="store_true", help="tell only the result")
    if loss:
        _add_parameters(parser, find(loss))
    return parser


def _add_sources(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("further sources")
    one: dict[str, Any] = {"default": "", "metavar": "SOURCE"}
    group.add_argument("--sample-weight", help="factor of each row's loss", **one)
    group.add_argument("--ids", help="name of each row, a number or a string", **one)
    group.add_argument("--group-by", help="group of each row: losses are told for each", **one)
    group.add_argument(
        "--tensor",
        action="append",
        default=[],
        type=_pair,
        metavar="NAME=SOURCE",
        help="a further tensor of the loss (repeatable)",
    )
    group.add_argument(
        "--gradients",
        action="store_true",
        help="write gradients.npy: of each row's own loss with respect to its prediction",
    )


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
        type=_positive,
        metavar="N",
        help="threads (one for each processor; with servers two for each), or Ray's actors (two)",
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


def _add_parameters(parser: argparse.ArgumentParser, loss: type[Loss]) -> None:
    group = parser.add_argument_group(f"parameters of {loss.name}")
    for name in loss.optional():
        group.add_argument(_flag(name), metavar="SOURCE", help=_told(loss.tensors[name].doc))
    for name, declared in loss.params.items():
        group.add_argument(_flag(name), dest=name, **_typed(declared))
    group.add_argument(
        "--normalizer",
        type=_number_or_name,
        metavar="HOW",
        help="what the mean divides by: batch, weights, valid or a number",
    )
    group.add_argument("--zero-if-empty", action="store_true", help="a mean of nothing is 0")


def _typed(declared: Param) -> dict[str, Any]:
    domain = f", {declared.domain}" if declared.domain else ""
    told = _told(f"{declared.doc} ({declared.default!r}{domain})")
    if declared.type is bool:
        return {"action": argparse.BooleanOptionalAction, "help": told, "default": None}
    return {"type": declared.type, "help": told, "metavar": declared.type.__name__.upper()}


def _told(text: str) -> str:
    return text.replace("%", "%%")


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{value} must be 1 or more")
    return value


def _pair(text: str) -> tuple[str, str]:
    name, _, source = text.partition("=")
    if not (name and source):
        raise argparse.ArgumentTypeError(f"{text!r} must be NAME=SOURCE")
    return name, source


def _number_or_name(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


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
    shares = ", ".join(f"{name} {share:.0%}" for name, share in timing["shares"].items())
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
