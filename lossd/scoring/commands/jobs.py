"""`lossd jobs`: scoring jobs of a server, from the command line."""

import argparse
import json
import shlex
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from lossd_client.errors import JobExistsError, LossdError
from lossd_client.jobs import ScoringJob, ScoringJobs
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

from lossd.scoring.commands.arguments import (
    Parser,
    add_sources,
    add_task,
    folder,
    loss_among,
    parameters_of,
    tensors_of,
)
from lossd.scoring.commands.endings import INTERRUPTED, UNFINISHED, in_words, status_of
from lossd.scoring.disk import writing
from lossd.scoring.figures import plain
from lossd.spec import find

_TARGET: Final = "localhost:50051"


def main(given: Sequence[str]) -> None:
    """Run `lossd jobs` with these arguments."""
    options = _parser(loss_among(given)).parse_args(given)
    tell = _Lines() if options.json else _Terminal(options.target)
    try:
        task = _task(options) if options.command == "submit" else {}
    except LossdError as error:
        tell.failed(error)
        raise SystemExit(status_of(error)) from error
    try:
        with ScoringJobs(options.target) as jobs:
            _ACTIONS[options.command](jobs, options, tell, task)
    except LossdError as error:
        tell.failed(error)
        raise SystemExit(UNFINISHED) from error


# --- arguments --------------------------------------------------------------------------------


def _parser(loss: str | None) -> Parser:
    parser = Parser(
        prog="lossd jobs", description="Score files that a server can read, by the server."
    )
    _add_everywhere(parser, _TARGET, json=False)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    submit = commands.add_parser(
        "submit",
        help="begin a job (lossd jobs submit LOSS --help)",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    submit.add_argument("--name", default="", help="1 to 63 of a-z, 0-9 and -")
    submit.add_argument("--wait", action="store_true", help="watch it until it has ended")
    add_task(submit, loss, optional=False)
    add_sources(submit)
    _add_everywhere(submit)
    _add_everywhere(commands.add_parser("list", help="tell of all jobs, the latest first"))
    for name, told in (
        ("watch", "tell how a job gets on, until it has ended"),
        ("cancel", "stop a job for good"),
        ("delete", "remove a job that has ended, and its results"),
        ("fetch", "copy the results of a job"),
    ):
        command = commands.add_parser(name, help=told)
        command.add_argument("name", metavar="NAME", help="the job")
        if name == "fetch":
            command.add_argument("--out", type=folder, required=True, metavar="DIR")
        _add_everywhere(command)
    return parser


def _add_everywhere(parser: Parser, target: Any = argparse.SUPPRESS, **default: Any) -> None:
    """Add flags that may stand before the command and after it."""
    parser.add_argument(
        "--target", default=target, metavar="ADDRESS", help=f"the server ({_TARGET})"
    )
    parser.add_argument(
        "--json",
        action="store_true",
        default=default.get("json", argparse.SUPPRESS),
        help="tell results and errors as lines of JSON",
    )


def _task(options: argparse.Namespace) -> dict[str, Any]:
    """What is to be submitted.

    Raises:
        LossdError: a loss, a parameter or a tensor that there is not.
    """
    loss = find(options.loss)
    first, second, *_ = [*loss.required(), ""]
    sources = {first: options.predictions, second: options.targets}
    parameters = parameters_of(options, loss)
    loss(**{name: parameters[name] for name in loss.params if name in parameters})  # checks them
    return {
        "name": options.name,
        "parameters": parameters,
        "tensors": tensors_of(options, loss) | sources,
        "sample_weight": options.sample_weight,
        "ids": options.ids,
        "group_by": options.group_by,
        "gradients": options.gradients,
        "shard_rows": options.shard_rows,
    }


# --- what is done -----------------------------------------------------------------------------


def _submit(
    jobs: ScoringJobs, options: argparse.Namespace, tell: "_Tells", task: Mapping[str, Any]
) -> None:
    try:
        job = jobs.submit(options.loss, "", "", **task)
    except JobExistsError as error:
        raise LossdError(
            f"{error}: choose another --name, or remove that one first, with "
            f"{_typed(options.target, 'delete', options.name)}"
        ) from error
    if job.state in ("FAILED", "CANCELLED"):
        raise LossdError(
            f"job {job.name!r} is there and is {job.state}, it will not run again; to run it anew, "
            f"remove it first, with {_typed(options.target, 'delete', job.name)}"
            + (f". What was wrong: {job.error}" if job.error else "")
        )
    tell.submitted(job)
    if options.wait:
        _watch(jobs, argparse.Namespace(name=job.name), tell, {})


def _typed(target: str, *command: str) -> str:
    """A command for the same server, as it is typed."""
    where = [] if target == _TARGET else ["--target", target]
    return f"`{shlex.join(['lossd', 'jobs', *where, *command])}`"


def _list(jobs: ScoringJobs, options: argparse.Namespace, tell: "_Tells", _: Any) -> None:
    tell.listed(jobs.all())


def _watch(jobs: ScoringJobs, options: argparse.Namespace, tell: "_Tells", _: Any) -> None:
    name = options.name
    job = jobs.get(name)  # no bar for a job that there is not
    try:
        for told in tell.watching(name, jobs.watch(name)):
            job = told
    except KeyboardInterrupt:
        tell.left(name)
        raise SystemExit(INTERRUPTED) from None
    if job.state != "SUCCEEDED":
        raise LossdError(f"job {name!r} is {job.state}{f': {job.error}' if job.error else ''}")


def _cancel(jobs: ScoringJobs, options: argparse.Namespace, tell: "_Tells", _: Any) -> None:
    job = jobs.get(options.name)
    if job.ended and job.state != "CANCELLED":
        raise LossdError(f"job {job.name!r} has ended, {job.state}: there is nothing to cancel")
    jobs.cancel(job.name)
    tell.done("cancelled", job.name)


def _delete(jobs: ScoringJobs, options: argparse.Namespace, tell: "_Tells", _: Any) -> None:
    jobs.delete(options.name)
    tell.done("deleted", options.name)


def _fetch(jobs: ScoringJobs, options: argparse.Namespace, tell: "_Tells", _: Any) -> None:
    with writing(options.out):
        paths = jobs.fetch(options.name, options.out)
    tell.fetched(paths)


_ACTIONS: Final[Mapping[str, Callable[..., None]]] = {
    "submit": _submit,
    "list": _list,
    "watch": _watch,
    "cancel": _cancel,
    "delete": _delete,
    "fetch": _fetch,
}


# --- what is told -----------------------------------------------------------------------------

_ELSEWHERE: Final = "name another server with --target"
"""What to do without a server, as it is typed."""


class _Lines:
    """Lines of JSON on the standard output."""

    def submitted(self, job: ScoringJob) -> None:
        self._job(job)

    def listed(self, jobs: Sequence[ScoringJob]) -> None:
        for job in jobs:
            self._job(job)

    def watching(self, name: str, jobs: Iterator[ScoringJob]) -> Iterator[ScoringJob]:
        for job in jobs:
            self._job(job)
            yield job

    def left(self, name: str) -> None:
        self._tell("stopped", name=name, message="the job goes on")

    def done(self, what: str, name: str) -> None:
        self._tell(what, name=name)

    def fetched(self, paths: Sequence[Path]) -> None:
        self._tell("fetched", files=[str(path) for path in paths])

    def failed(self, error: LossdError) -> None:
        message = in_words(error, _ELSEWHERE)
        self._tell("error", reason=error.reason, field=error.field, message=message)

    def _job(self, job: ScoringJob) -> None:
        self._tell("job", **asdict(job) | {"created": job.created.isoformat()})

    def _tell(self, event: str, **what: Any) -> None:
        sys.stdout.write(json.dumps({"event": event, **what}) + "\n")
        sys.stdout.flush()


class _Terminal:
    """Words on the standard output; a bar and errors on the standard error."""

    def __init__(self, target: str) -> None:
        self._target = target
        self._console = Console(highlight=False)
        self._errors = Console(stderr=True, highlight=False)

    def submitted(self, job: ScoringJob) -> None:
        self._console.print(job.name, markup=False)

    def listed(self, jobs: Sequence[ScoringJob]) -> None:
        """A line for each, as wide as the terminal; whole where there is none."""
        width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
        for line in _lines(jobs):
            cut = width is not None and len(line) > width
            sys.stdout.write(f"{line[: width - 1]}…\n" if cut and width else f"{line}\n")

    def watching(self, name: str, jobs: Iterator[ScoringJob]) -> Iterator[ScoringJob]:
        columns = [TextColumn("{task.description}", markup=False), BarColumn()]
        with Progress(*columns, TaskProgressColumn(), console=self._errors) as bar:
            task = bar.add_task(name, total=None)
            for job in jobs:
                rows = f" {job.rows_done:,} of {job.rows:,} rows" if job.rows else ""
                bar.update(
                    task, completed=job.rows_done, total=job.rows or None,
                    description=f"{name} {job.state}{rows}",
                )  # fmt: skip
                yield job

    def left(self, name: str) -> None:
        self._say(
            f"job {name!r} goes on: {_typed(self._target, 'watch', name)} watches it again, "
            f"{_typed(self._target, 'cancel', name)} ends it"
        )

    def done(self, what: str, name: str) -> None:
        """Nothing is to be said."""

    def fetched(self, paths: Sequence[Path]) -> None:
        for path in paths:
            self._console.print(plain(path, 10_000), markup=False, soft_wrap=True)

    def failed(self, error: LossdError) -> None:
        self._say(in_words(error, _ELSEWHERE))

    def _say(self, message: str) -> None:
        self._errors.print(f"lossd jobs: {message}", markup=False, soft_wrap=True)


_Tells = _Lines | _Terminal


def _lines(jobs: Sequence[ScoringJob]) -> Iterator[str]:
    """A table of jobs, a line for each."""
    table = [("NAME", "STATE", "ROWS", "CREATED", "LOSS")]
    for job in jobs:
        rows = f"{job.rows:,}"
        if job.state != "SUCCEEDED":
            rows = f"{job.rows_done:,} of {rows}"
        created = f"{job.created.astimezone():%Y-%m-%d %H:%M}"
        said = f"{job.loss} {plain(job.error, 10_000)}".rstrip()
        table.append((job.name, job.state, rows if job.rows else "", created, said))
    wide = [max(len(row[k]) for row in table) for k in range(4)]
    for *cells, last in table:
        padded = [cell.ljust(width) for cell, width in zip(cells, wide, strict=True)]
        yield "  ".join([*padded, last])
