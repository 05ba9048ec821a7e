"""What can go wrong in a run over files; the errors of losses are lossd_client.errors'."""

from typing import ClassVar

from lossd_client.errors import LossdError


class ScoringError(LossdError):
    """A run that cannot start or go on."""

    reason: ClassVar[str] = "SCORING_FAILED"
    code: ClassVar[int] = 9


class SourceError(ScoringError, ValueError):
    """Files that cannot be read as what they are named for: missing, damaged, of another kind."""

    reason, code = "UNREADABLE_SOURCE", 3


class OutputError(ScoringError, OSError):
    """A folder that results cannot be written to: of another run, full, not permitted."""

    reason, code = "UNUSABLE_OUTPUT", 9


class InterruptedRunError(ScoringError, RuntimeError):
    """A run that stopped before its end and can go on later."""

    reason, code = "INTERRUPTED", 10
