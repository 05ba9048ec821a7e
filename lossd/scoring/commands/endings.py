"""How the command lines end: exit statuses, and errors in the words of a terminal."""

from typing import Final

from lossd_client.errors import LossdError
from lossd_client.stream import IN_PROCESS

UNFINISHED: Final = 1
"""Exit status of what may succeed when it is run again: no server, no room."""

WRONG: Final = 2
"""Exit status of what cannot: what was given is wrong."""

INTERRUPTED: Final = 130
"""Exit status of what Ctrl-C or SIGTERM ended."""


def status_of(error: LossdError) -> int:
    """The exit status that tells of an error."""
    wrong = bool(error.field) or isinstance(error, ValueError | TypeError | LookupError)
    return WRONG if wrong else UNFINISHED


def in_words(error: LossdError, instead: str) -> str:
    """What an error says; `instead` of a server that is not there, for advice to Python's users."""
    return str(error).replace(IN_PROCESS, instead)
