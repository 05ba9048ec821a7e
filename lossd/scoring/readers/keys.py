"""Which of the tensors or columns in a file is meant."""

import difflib
import re
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from typing import Final

from lossd.scoring.errors import SourceError

_LISTED: Final = 20


def natural(name: str) -> list[tuple[int, str]]:
    """What to sort names by: runs of digits as numbers.

    >>> sorted(["p10", "p9"], key=natural)
    ['p9', 'p10']
    """
    return [
        (int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", name)
    ]


def shown(text: str, most: int = 80) -> str:
    """Text out of a file for a message: one line, not long, control characters escaped."""
    line = "".join(c if c.isprintable() else repr(c)[1:-1] for c in " ".join(text.split()))
    return line if len(line) <= most else f"{line[: most - 1]}…"


def listed(names: Sequence[str]) -> str:
    """Names in words, at most 20 of them."""
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return ", ".join(map(shown, names[:_LISTED])) + more


def choose(where: str, key: str, names: Iterable[str], things: str) -> str:
    """The one that a key names, or the only one.

    Args:
        where: the file.
        key: as given, "" for the only one.
        names: of what is there.
        things: what those are: "tensors", "columns".

    Raises:
        SourceError: the key is missing or wrong; lists what is there.
    """
    names = list(names)
    if key in names:
        return key
    if not names:
        raise SourceError(f"{where}: has no {things}")
    if key:
        raise unknown(where, key, names, things)
    if len(names) > 1:
        raise SourceError(
            f"{where}: has {len(names)} {things}; name one after '::': {listed(names)}"
        )
    return names[0]


def choose_several(where: str, key: str, names: Iterable[str]) -> list[str] | None:
    """The columns that "p0,p1,p2" or "p*" names, None where a key names one; p2 is before p10.

    Raises:
        SourceError: one that is not there, or none that fits.
    """
    names = list(names)
    if key in names or not any(mark in key for mark in ",*?["):
        return None
    found: list[str] = []
    for part in key.split(","):
        fitting = [name for name in names if fnmatchcase(name, part)]
        if part not in names and not fitting:
            raise unknown(where, part, names, "columns")
        found += [part] if part in names else sorted(fitting, key=natural)
    return list(dict.fromkeys(found))


def unknown(where: str, key: str, names: Sequence[str], things: str) -> SourceError:
    """A key that is not there; what is, with the most similar first."""
    close = difflib.get_close_matches(key, names, n=3)
    ordered = close + [name for name in names if name not in close]
    return SourceError(f"{where}: has no {key!r} among its {things}: {listed(ordered)}")
