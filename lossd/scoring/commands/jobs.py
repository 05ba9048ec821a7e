"""`lossd jobs`: scoring jobs of a server, from the command line."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from lossd_client.errors import LossdError
from lossd_client.jobs import ScoringJob, ScoringJobs
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from lossd.scoring.commands.arguments import (
    add_sources,
    add_task,
    loss_among,
    parameters_of,
    tensors_of,
)
from lossd.spec import find


def main(given: Sequence[str]) -> None:
    """Run `lossd jobs` with these arguments."""
    options = _parser(loss_among(given)).parse_args(given)
    try:
        with ScoringJobs(options.target) as jobs:
            _do(jobs, options)
    except LossdError as error:
        raise SystemExit(f"lossd jobs: {error}") from error


def _parser(loss: str | None) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="lossd jobs", description="Score files that a server can read, by the server."
    )
    parser.add_argument("--target", default="localhost:50051", help="the server (localhost:50051)")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    submit = commands.add_parser(
        "submit", help="begin a job (lossd jobs submit LOSS --help)", allow_abbrev=False
    )
    submit.add_argument("--name", default="", help="1 to 63 of a-z, 0-9 and -")
    submit.add_argument("--wait", action="store_true", help="watch it until it has ended")
    add_task(submit, loss, optional=False)
    add_sources(submit)
    commands.add_parser("list", help="tell of all jobs")
    for name, told in (
        ("watch", "tell how a job gets on, until it has ended"),
        ("cancel", "stop a job for good"),
        ("delete", "remove a job that has ended, and its results"),
        ("fetch", "copy the results of a job"),
    ):
        command = commands.add_parser(name, help=told)
        command.add_argument("name", metavar="NAME", help="the job")
        if name == "fetch":
            command.add_argument("--out", type=Path, required=True, metavar="DIR")
    return parser


def _do(jobs: ScoringJobs, options: argparse.Namespace) -> None:
    console = Console(highlight=False)
    if options.command == "submit":
        loss = find(options.loss)
        first, second, *_ = [*loss.required(), ""]
        tensors = tensors_of(options, loss) | {
            first: options.predictions, second: options.targets,
        }  # fmt: skip
        job = jobs.submit(
            options.loss,
            "",
            "",
            name=options.name,
            parameters=parameters_of(options, loss),
            tensors=tensors,
            sample_weight=options.sample_weight,
            ids=options.ids,
            group_by=options.group_by,
            gradients=options.gradients,
            shard_rows=options.shard_rows,
        )
        console.print(job.name, markup=False)
        if options.wait:
            _watch(jobs, job.name)
    elif options.command == "list":
        console.print(_table(jobs.all()))
    elif options.command == "watch":
        _watch(jobs, options.name)
    elif options.command == "fetch":
        for path in jobs.fetch(options.name, options.out):
            console.print(str(path), markup=False, soft_wrap=True)
    else:
        (jobs.cancel if options.command == "cancel" else jobs.delete)(options.name)


def _watch(jobs: ScoringJobs, name: str) -> None:
    with Progress(console=Console(stderr=True)) as bar:
        task = bar.add_task(name, total=None)
        for job in jobs.watch(name):
            bar.update(
                task, completed=job.rows_done, total=job.rows or None,
                description=f"{name} {job.state}",
            )  # fmt: skip
    if job.state != "SUCCEEDED":
        raise LossdError(f"{name} {job.state} {job.error}".rstrip())


def _table(jobs: Sequence[ScoringJob]) -> Table:
    table = Table("name", "loss", "state", "rows", "created", "", box=None, pad_edge=False)
    for job in jobs:
        rows = f"{job.rows_done:,} of {job.rows:,}" if job.rows else ""
        created = f"{job.created.astimezone():%Y-%m-%d %H:%M:%S}"
        table.add_row(job.name, job.loss, job.state, rows, created, job.error)
    return table
