"""`lossd compare`: the command line of a comparison."""

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from lossd_client.errors import LossdError
from rich.console import Console
from rich.table import Table

from lossd.scoring.commands.arguments import Parser, folder, positive, whole
from lossd.scoring.commands.endings import status_of
from lossd.scoring.comparison import Comparison, compare, summary_of
from lossd.scoring.figures import MINUS, brief, plain
from lossd.scoring.inference import FEWEST

_ROWS: Final = 5
"""Rows without a finite loss that are told, of each run."""


def main(given: Sequence[str]) -> None:
    """Run `lossd compare` with these arguments."""
    options = _parser().parse_args(given)
    try:
        made = compare(
            options.a,
            options.b,
            options.out,
            overwrite=options.overwrite,
            resamples=options.resamples,
            confidence=options.confidence,
            worst=options.worst,
        )
    except LossdError as error:
        sys.stderr.write(f"lossd compare: {error}\n")
        raise SystemExit(status_of(error)) from error
    if options.json:
        sys.stdout.write(made.to_json())
        return
    _tell(made, options.out)


def _parser() -> Parser:
    parser = Parser(
        prog="lossd compare",
        description="Compare two runs of one loss over the same rows, row by row: differences are "
        "B's loss less A's, so that below 0 B is better.",
    )
    add = parser.add_argument
    add(
        "a",
        type=folder,
        metavar="RUN_A",
        help="folder of the run to compare with, the older model say",
    )
    add("b", type=folder, metavar="RUN_B", help="folder of the run to judge, the newer model say")
    add(
        "--out",
        type=folder,
        metavar="DIR",
        help="write comparison.json, comparison.html and charts to a folder of their own",
    )
    add("--overwrite", action="store_true", help="begin anew where DIR holds a comparison")
    add(
        "--confidence",
        type=_confidence,
        default=0.95,
        metavar="P",
        help="how often such intervals hold the mean (0.95)",
    )
    add("--resamples", type=positive, default=10_000, metavar="N", help="of the bootstrap (10000)")
    add(
        "--worst",
        type=whole,
        default=20,
        metavar="K",
        help="tell the K rows that most improved and worsened (20)",
    )
    add("--json", action="store_true", help="print comparison.json instead of a table")
    return parser


def _confidence(text: str) -> float:
    """An argument that is a share of one."""
    value = float(text)
    if 1 < value < 100:
        hint = f"{value / 100:g} for {value:g} %"
        raise argparse.ArgumentTypeError(f"{text} must be > 0 and < 1: {hint}")
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(f"{text} must be > 0 and < 1, such as 0.95")
    return value


def _left_out(made: Comparison) -> Iterator[str]:
    """How many rows were left out, and the first of those that have a loss that is not finite."""
    left = made.rows - made.counts["paired"]
    if not left:
        return
    yield (
        f"{left:,} of {made.rows:,} rows left out: {made.counts['a']:,} have no finite loss in A, "
        f"{made.counts['b']:,} in B (ignored, NaN or infinite)"
    )
    for name, run in (("A", made.a), ("B", made.b)):
        rows = summary_of(Path(run)).get("nans", [])[:_ROWS]
        if rows:
            yield f"the first in {name}: {'; '.join(plain(row['place'], 200) for row in rows)}"


def _verdict(made: Comparison) -> str:
    """Which run is better, or why that cannot be told."""
    if made.verdict:
        side = "below" if made.verdict == "b" else "above"
        return f"{made.verdict.upper()} is better: the interval lies {side} 0"
    if made.units == 1:
        return "one row tells nothing of a difference"
    if made.few:
        return f"{made.units} rows are too few to tell a difference: {FEWEST} are the fewest"
    return "no difference can be told: the interval has 0 in it"


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
    console.print(_verdict(made))
    for line in _left_out(made):
        console.print(line, markup=False, soft_wrap=True)
    if made.parameters:
        console.print(f"the runs' parameters differ: {made.parameters}", markup=False)
    if out:
        console.print(plain(out / "comparison.html", 10_000), markup=False, soft_wrap=True)
