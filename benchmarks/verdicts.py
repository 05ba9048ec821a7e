"""What must be reached, and whether it was: the table that benchmarks end with."""

from collections.abc import Sequence
from dataclasses import dataclass

from rich.table import Table


@dataclass(frozen=True)
class Verdict:
    """A target and what was measured; `met` is None where it was not."""

    target: str
    measured: str
    met: bool | None


def word(verdict: Verdict) -> str:
    """What a verdict comes to."""
    return {True: "met", False: "NOT met", None: "-"}[verdict.met]


def summary(found: Sequence[Verdict]) -> Table:
    """All of them, for the terminal."""
    table = Table(title="What it must reach", title_justify="left", pad_edge=False)
    for column in ("target", "measured", ""):
        table.add_column(column)
    for verdict in found:
        table.add_row(verdict.target, verdict.measured, _styled(verdict))
    return table


def _styled(verdict: Verdict) -> str:
    colour = {True: "green", False: "red", None: "dim"}[verdict.met]
    return f"[{colour}]{word(verdict)}[/]"
