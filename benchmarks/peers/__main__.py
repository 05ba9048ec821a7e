"""The command line: python -m benchmarks.peers."""

import argparse
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from rich.console import Console

from benchmarks import machine
from benchmarks.arguments import names_of, positive
from benchmarks.peers import report
from benchmarks.peers.suite import PEERS, WORKLOADS, Setting, run
from benchmarks.peers.worker import PeerError
from benchmarks.report import line, write_csv, write_json
from benchmarks.suite import Row, WrongResultError

QUICK: Final = ("64x10", "4096x1000", "1M")
DESCRIPTION: Final = """\
Measure lossd beside others that carry tensors between processes, in one run over loopback: torch
in the caller's process, lossd over TCP and through shared memory, echoes of the same bytes by
grpcio and Arrow Flight, and Triton Inference Server with the same losses in torch and NumPy, by
gRPC and through shared memory. Results are compared with torch's before anything is timed.
"""
EPILOG: Final = """\
examples:
  make bench-peers                              environments, the whole run, the page and the chart
  python -m benchmarks.peers --quick
  python -m benchmarks.peers --losses mse_loss --peers flight
"""


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, show, write."""
    given = _parse(arguments)
    workloads = [w for w in WORKLOADS if w.loss in given.losses and w.size in given.sizes]
    if not workloads:
        raise SystemExit("benchmarks.peers: none of these losses is measured at these sizes")
    log, console = Console(stderr=True, highlight=False), Console(highlight=False)
    if not console.is_terminal:
        console.width = 160
    about = machine.description(given.threads, given.rounds, "benchmarks.peers")
    machine.warn(about, log)
    start = time.monotonic()

    def done(row: Row) -> None:
        log.print(f"{time.monotonic() - start:4.0f} s  {line(row)}", soft_wrap=True, markup=False)

    setting = Setting(given.threads, given.rounds, given.peers, given.environments, given.out)
    try:
        rows, versions = run(workloads, setting, done)
    except (PeerError, WrongResultError) as error:
        raise SystemExit(f"benchmarks.peers: nothing to time: {error}") from error
    about |= versions
    report.show(console, rows, about)
    written = [given.out / "bench.csv", given.out / "bench.json"]
    write_csv(written[0], rows, about)
    write_json(written[1], rows, [], about)
    if given.chart:
        report.draw(rows, given.chart)
        written.append(given.chart)
    if given.markdown:
        given.markdown.parent.mkdir(parents=True, exist_ok=True)
        page = report.markdown(rows, about, given.markdown, given.chart)
        given.markdown.write_text(page, encoding="utf-8")
        written.append(given.markdown)
    console.print(f"{time.monotonic() - start:.0f} s; written: {', '.join(map(str, written))}")


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    losses = list(dict.fromkeys(workload.loss for workload in WORKLOADS))
    sizes = list(dict.fromkeys(workload.size for workload in WORKLOADS))
    parser = argparse.ArgumentParser(
        "python -m benchmarks.peers",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--quick", action="store_true", help="the smaller workloads, one round")
    add(
        "--losses",
        type=lambda text: names_of(text, losses),
        default=losses,
        help="names, separated by commas (all): " + ", ".join(losses),
    )
    add(
        "--sizes",
        type=lambda text: names_of(text, sizes),
        help="names, separated by commas (all): " + ", ".join(sizes),
    )
    add(
        "--peers",
        type=lambda text: names_of(text, list(PEERS)),
        default=PEERS,
        help="those with an environment of their own, separated by commas (all): "
        + ", ".join(PEERS),
    )
    add("--rounds", type=positive, help="samples of each contender at least (5; quick: 1)")
    add(
        "--threads",
        type=positive,
        default=2,
        help="of lossd, of torch, and of torch in Triton, each (default: 2)",
    )
    add(
        "--environments",
        type=Path,
        default=Path("build/peers"),
        help="folder with an environment for each peer, as `make bench-peers` makes them "
        "(default: build/peers)",
    )
    add(
        "--out",
        type=Path,
        default=Path("build/bench-peers"),
        help="folder for bench.csv, bench.json, logs and Triton's models "
        "(default: build/bench-peers)",
    )
    add("--markdown", type=Path, metavar="FILE", help="write the page docs/benchmarks-peers.md")
    add("--chart", type=Path, metavar="FILE", help="draw the chart, SVG; the page shows it")
    given = parser.parse_args(arguments)
    if given.threads > (cores := len(os.sched_getaffinity(0))):
        parser.error(f"--threads {given.threads}: this machine has {cores} cores")
    if given.rounds is None:
        given.rounds = 1 if given.quick else 5
    if given.sizes is None:
        given.sizes = QUICK if given.quick else sizes
    return given


if __name__ == "__main__":
    main()
