"""Batch scoring: losses of predictions and targets that lie in files, larger than memory."""

import importlib
import typing

if typing.TYPE_CHECKING:
    from lossd.scoring.cluster import Ray
    from lossd.scoring.comparison import Comparison, compare
    from lossd.scoring.engines import Threads
    from lossd.scoring.errors import InterruptedRunError, OutputError, ScoringError, SourceError
    from lossd.scoring.run import Progress, Result, resume, score

__all__ = [
    "Comparison",
    "InterruptedRunError",
    "OutputError",
    "Progress",
    "Ray",
    "Result",
    "ScoringError",
    "SourceError",
    "Threads",
    "compare",
    "resume",
    "score",
]

_PLACES: typing.Final = {
    "cluster": ("Ray",),
    "comparison": ("Comparison", "compare"),
    "engines": ("Threads",),
    "errors": ("InterruptedRunError", "OutputError", "ScoringError", "SourceError"),
    "run": ("Progress", "Result", "resume", "score"),
}


def __getattr__(name: str) -> typing.Any:
    """What is asked for, from its module: a server needs little of the rest."""
    for module, names in _PLACES.items():
        if name in names:
            return getattr(importlib.import_module(f"lossd.scoring.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
