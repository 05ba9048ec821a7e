"""`lossd score`: the command line of a run."""

import argparse
import json
import logging
import math
import shlex
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
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
from rich.text import Text

from lossd.kernels import runtime
from lossd.scoring.commands.arguments import (
    Parser,
    add_sources,
    add_task,
    flag,
    folder,
    loss_among,
    parameters_of,
    positive,
    seconds,
    tensors_of,
    whole,
)  # fmt: skip
from lossd.scoring.commands.endings import INTERRUPTED, UNFINISHED, in_words, status_of
from lossd.scoring.engines import Engine, Threads
from lossd.scoring.errors import ScoringError
from lossd.scoring.figures import number, plain
from lossd.scoring.folder import MANIFEST
from lossd.scoring.run import WORST, Progress, Result, resume, score
from lossd.scoring.task import resuming
from lossd.spec import find

_GROUPS: Final = 10
"""Groups that are told in a terminal, the worst first."""

_ROWS: Final = 5
"""Rows without a finite loss that are told in a terminal."""

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
    warned = _Warned(tell.warned)
    logging.getLogger("lossd.scoring").addHandler(warned)
    try:
        with tell:
            result = _run(options, tell.watch)
    except LossdError as error:
        status = status_of(error)
        tell.failed(error, _again(options) if status == UNFINISHED else "")
        raise SystemExit(status) from error
    except KeyboardInterrupt:
        tell.stopped(options.out, _again(options))
        raise SystemExit(INTERRUPTED) from None
    finally:
        logging.getLogger("lossd.scoring").removeHandler(warned)
    tell.finished(result, options.out)


def _again(options: argparse.Namespace) -> str:
    """The command that goes on with a run, "" if none has begun."""
    if not (options.out / MANIFEST).exists():
        return ""
    words = resuming(options.out)
    words += [word for target in options.target for word in ("--target", target)]
    for name in ("engine", "ray_address", "workers", "timeout"):
        value = getattr(options, name)
        if value not in (None, "threads"):
            words += [flag(name), str(value)]
    if options.worst != WORST:
        words += ["--worst", str(options.worst)]
    if not options.report:
        words.append("--no-report")
    return shlex.join(words)


class _Warned(logging.Handler):
    """Hands on what a run warns of, the same once."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        super().__init__(logging.WARNING)
        self._tell, self._told = tell, set[str]()

    def emit(self, record: logging.LogRecord) -> None:
        message = record.getMessage()
        if message not in self._told:
            self._told.add(message)
            self._tell(message)


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


def _parser(loss: str | None) -> Parser:
    parser = Parser(
        prog="lossd score",
        description="Compute the losses of predictions and targets in files of any size.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add_task(parser, loss, optional=True)
    add("--out", type=folder, required=True, metavar="DIR", help="folder of the results")
    add_sources(parser)
    _add_workers(parser)
    add("--resume", action="store_true", help="go on with the run in DIR")
    add("--overwrite", action="store_true", help="begin anew where DIR holds a run")
    add("--worst", type=whole, default=WORST, metavar="K", help="tell the K largest losses (20)")
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
        "--timeout",
        type=seconds,
        metavar="SECONDS",
        help="that a server has for a block (no limit)",
    )


# --- what is told -----------------------------------------------------------------------------


_HERE: Final = "leave --target out to compute here"
"""What to do without a server, as it is typed."""

_COUNTED: Final = {
    "scored": "rows",
    "ignored": "rows ignored",
    "nan": "rows of NaN",
    "inf": "rows of infinity",
}


class _Lines:
    """Lines of JSON on the standard output."""

    def __enter__(self) -> None: ...

    def __exit__(self, *error: object) -> None: ...

    def watch(self, progress: Progress) -> None:
        left = _seconds_left(progress)
        self._tell("progress", **vars(progress), seconds_left=left)

    def warned(self, message: str) -> None:
        self._tell("warning", message=message)

    def failed(self, error: LossdError, again: str) -> None:
        message = in_words(error, _HERE)
        message += f". Go on with: {again}" if again else ""
        self._tell("error", reason=error.reason, field=error.field, message=message)

    def stopped(self, out: Path, again: str) -> None:
        self._tell("stopped", out=str(out), message=f"go on with: {again}" if again else "")

    def finished(self, result: Result, out: Path) -> None:
        told = {key: result.summary[key] for key in ("rows", "counts", "reductions")}
        self._tell("finished", out=str(out), **told, timing=dict(result.timing))

    def _tell(self, event: str, **what: Any) -> None:
        sys.stdout.write(json.dumps({"event": event, **what}) + "\n")
        sys.stdout.flush()


class _Terminal:
    """A bar on the standard error, the result on the standard output."""

    def __init__(self, *, quiet: bool) -> None:
        self._errors = Console(stderr=True, highlight=False)
        self._bar = Bar(
            TextColumn("{task.fields[rows]}"),
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
            self._task, completed=progress.rows, total=progress.of, rate=rate,
            rows=f"{progress.rows:,} of {progress.of:,} rows",
        )  # fmt: skip

    def warned(self, message: str) -> None:
        self._say(message)

    def failed(self, error: LossdError, again: str) -> None:
        self._say(in_words(error, _HERE))
        if again:
            self._say(f"`{again}` goes on")

    def stopped(self, out: Path, again: str) -> None:
        done = "{:,} of {:,} rows are done; ".format(*self._rows) if self._rows else ""
        self._say(f"stopped: {done}`{again}` goes on" if again else "stopped before it had begun")

    def _say(self, message: str) -> None:
        self._errors.print(f"lossd score: {message}", markup=False, soft_wrap=True)

    def finished(self, result: Result, out: Path) -> None:
        console = Console(highlight=False)
        console.print(_table(result))
        if told := _not_finite(result.summary):
            console.print(told, markup=False, soft_wrap=True)
        if result.summary.get("groups"):
            console.print(_groups(result.summary["groups"]))
        console.print(_timing(result), markup=False, soft_wrap=True)
        made = "report.html" if (out / "report.html").exists() else "summary.json"
        console.print(plain(out / made, 10_000), markup=False, soft_wrap=True)


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
            table.add_row(_COUNTED[name], f"{count:,}")
    return table


def _not_finite(summary: Mapping[str, Any]) -> str:
    """Which rows have no finite loss, and what of the numbers leaves them out."""
    count = summary["counts"]["nan"] + summary["counts"]["inf"]
    if not count:
        return ""
    rows = [
        f"{row['place']}, id {plain(row['id'])}" if "id" in row else row["place"]
        for row in summary["nans"][:_ROWS]
    ]
    more = f"; and {count - len(rows):,} more, see summary.json" if count > len(rows) else ""
    return (
        f"loss of NaN or infinity: {'; '.join(rows)}{more}\n"
        "std, min, max and quantiles are of the rows of finite losses, mean and sum of all"
    )


def _groups(groups: Sequence[Mapping[str, Any]]) -> Table:
    """The groups, those of the largest means first."""
    worst = sorted(groups, key=lambda one: (math.isnan(number(one["mean"])), -number(one["mean"])))
    columns = {"group": "group", "count": "rows", "not_finite": "not finite", "mean": "mean loss"}
    columns |= {"accuracy": "accuracy"}
    kept = [key for key in columns if any(key in one for one in groups)]
    left = len(groups) - _GROUPS
    caption = f"and {left:,} more groups, see summary.json" if left > 0 else None
    table = Table(box=None, pad_edge=False, caption=caption, caption_justify="left")
    for key in kept:
        table.add_column(columns[key], justify="left" if key == "group" else "right")
    for one in worst[:_GROUPS]:
        table.add_row(*(_cell(one.get(key, 0)) for key in kept))
    return table


def _cell(value: Any) -> Text:
    if isinstance(value, str) and value not in ("NaN", "Infinity", "-Infinity"):
        return Text(plain(value, 30))
    return Text(f"{value:,}" if isinstance(value, int) else _number(value))


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
