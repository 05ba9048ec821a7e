"""Batch scoring: losses of predictions and targets that lie in files, larger than memory."""

from lossd.scoring.compare import Comparison, compare
from lossd.scoring.engines import Threads
from lossd.scoring.errors import InterruptedRunError, OutputError, ScoringError, SourceError
from lossd.scoring.run import Progress, Result, resume, score

__all__ = [
    "Comparison",
    "InterruptedRunError",
    "OutputError",
    "Progress",
    "Result",
    "ScoringError",
    "SourceError",
    "Threads",
    "compare",
    "resume",
    "score",
]
