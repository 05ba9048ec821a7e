"""`lossd compare`: the command line of a comparison."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from lossd_client.errors import LossdError
from rich.console import Console
from rich.table import Table

from lossd.scoring.comparison import Comparison, compare
from lossd.scoring.figures import MINUS, brief


def main(given: Sequence[str]) -> None:
    """Run `lossd compare` with these arguments."""
    parser = argparse.ArgumentParser(
        prog="lossd compare",
        description="Compare two runs of one loss over the same rows, row by row: differences are "
        "B's loss less A's, so that below 0 B is better.",
    )
    add = parser.add_argument
    add(
        "a",
        type=Path,
        metavar="RUN_A",
        help="folder of the run to compare with, the older model say",
    )
    add("b", type=Path, metavar="RUN_B", help="folder of the run to judge, the newer model say")
    add("--out", type=Path, metavar="DIR", help="write comparison.json, comparison.html and charts")
    add(
        "--confidence",
        type=float,
        default=0.95,
        metavar="P",
        help="how often such intervals hold the mean (0.95)",
    )
    add("--resamples", type=int, default=10_000, metavar="N", help="draws of the bootstrap (10000)")
    add(
        "--worst",
        type=int,
        default=20,
        metavar="K",
        help="tell the K rows that most improved and worsened (20)",
    )
    add("--json", action="store_true", help="print comparison.json instead of a table")
    options = parser.parse_args(given)
    try:
        made = compare(
            options.a,
            options.b,
            options.out,
            resamples=options.resamples,
            confidence=options.confidence,
            worst=options.worst,
        )
    except LossdError as error:
        raise SystemExit(f"lossd compare: {error}") from error
    if options.json:
        sys.stdout.write(made.to_json())
        return
    _tell(made, options.out)


def _tell(made: Comparison, out: Path | None) -> None:
    console = Console(highlight=False)
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column()
    table.add_column(justify="right")
    percent = f"{made.confidence * 100:g} %"
    table.add_row("mean loss of A", brief(made.means["a"]))
    table.add_row("mean loss of B", brief(made.means["b"]))
    table.add_row("mean difference, B - A", brief(made.means["difference"]))
    for name, within in (("bootstrap", made.bootstrap), ("normal theory", made.theory)):
        interval = f"[{brief(within['low'])}, {brief(within['high'])}]"
        table.add_row(f"its {percent} interval, {name}", interval)
    signs = made.signs
    for word in ("better", "worse", "equal"):
        table.add_row(f"rows of which B is {word}", f"{signs[word]:,}")
    p = brief(signs["p"]) if signs["p"] > 1e-300 else f"< 1e{MINUS}300"
    table.add_row("p of the sign test", p)
    console.print(table, markup=False)
    verdict = {
        "a": "A is better: the interval lies above 0",
        "b": "B is better: the interval lies below 0",
    }.get(made.verdict, "no difference can be told: the interval has 0 in it")
    console.print(verdict)
    if made.parameters:
        console.print(f"the runs' parameters differ: {made.parameters}", markup=False)
    if out:
        console.print(f"{out / 'comparison.html'}", markup=False, soft_wrap=True)
