"""The command line: python -m benchmarks."""

import argparse
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from rich.console import Console

from benchmarks import machine, report, targets
from benchmarks.arguments import names_of, positive
from benchmarks.suite import GROUPS, Row, Setting, WrongResultError, run
from benchmarks.workloads import QUICK, all_sizes, chosen
from lossd.spec import registry

EPILOG: Final = """\
examples:
  python -m benchmarks --quick
  python -m benchmarks --losses cross_entropy --sizes 4096x1000,512x32000 --only inprocess
  python -m benchmarks --out build/bench --markdown docs/benchmarks.md      (make bench)
"""


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, show, write."""
    given = _parse(arguments)
    workloads = chosen(given.losses, given.sizes, given.dtype)
    if not workloads:
        raise SystemExit("benchmarks: none of these losses is measured at these sizes")
    log, console = Console(stderr=True, highlight=False), Console(highlight=False)
    if not console.is_terminal:
        console.width = 140
    about = machine.description(given.threads, given.rounds)
    machine.warn(about, log)
    start, count = time.monotonic(), 0

    def done(row: Row) -> None:
        nonlocal count
        count += 1
        passed = time.monotonic() - start
        place = f"{count}/{len(workloads)} {passed:4.0f} s"
        log.print(f"{place}  {report.line(row)}", soft_wrap=True, markup=False)

    setting = Setting(given.threads, given.rounds, given.only, given.out)
    try:
        rows = run(workloads, setting, done)
    except WrongResultError as error:
        raise SystemExit(f"benchmarks: nothing to time: {error}") from error
    found = targets.verdicts(rows)
    report.show(console, rows, found, about)
    report.write_csv(given.out / "bench.csv", rows, about)
    report.write_json(given.out / "bench.json", rows, found, about)
    written = [str(given.out / "bench.csv"), str(given.out / "bench.json")]
    if given.markdown:
        given.markdown.parent.mkdir(parents=True, exist_ok=True)
        given.markdown.write_text(report.markdown(rows, found, about), encoding="utf-8")
        written.append(str(given.markdown))
    console.print(f"{time.monotonic() - start:.0f} s; written: {', '.join(written)}")


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        "python -m benchmarks",
        description="Measure every loss at several sizes: lossd in-process and over gRPC, torch, a "
        "copy kernel (the memory limit) and raw grpcio, side by side, with the same threads.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--quick", action="store_true", help="few sizes, one round: less than a minute")
    add("--losses", type=_losses, help="names, separated by commas (all): " + ", ".join(registry))
    add("--sizes", type=_sizes, help="names, separated by commas (all): " + ", ".join(all_sizes()))
    add(
        "--only",
        type=_groups,
        default=GROUPS,
        help="part of the contenders, separated by commas: inprocess (lossd, torch, copy), "
        "service (lossd over a unix socket and TCP), raw (grpcio alone)",
    )
    add(
        "--dtype",
        choices=("float32", "float64"),
        default="float32",
        help="of all tensors but labels (default: float32)",
    )
    add("--rounds", type=positive, help="samples of each contender at least (5; quick: 1)")
    add(
        "--threads",
        type=positive,
        default=2,
        help="of lossd, torch and the copy kernel, each (default: 2)",
    )
    add(
        "--out",
        type=Path,
        default=Path("build/bench"),
        help="folder for bench.csv, bench.json and the servers' logs (default: build/bench)",
    )
    add("--markdown", type=Path, metavar="FILE", help="write the page docs/benchmarks.md there")
    given = parser.parse_args(arguments)
    if given.threads > (cores := len(os.sched_getaffinity(0))):
        parser.error(f"--threads {given.threads}: this machine has {cores} cores")
    if given.rounds is None:
        given.rounds = 1 if given.quick else 5
    if given.quick and given.sizes is None:
        given.sizes = QUICK
    return given


def _losses(text: str) -> list[str]:
    return names_of(text, list(registry))


def _sizes(text: str) -> frozenset[str]:
    return frozenset(names_of(text, all_sizes()))


def _groups(text: str) -> list[str]:
    return names_of(text, list(GROUPS))


if __name__ == "__main__":
    main()
