"""Folders that a job may read, whatever its names, globs and links say."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from lossd.scoring.errors import SourceError
from lossd.scoring.readers.paths import files_of
from lossd.scoring.sources import Name


def rooted(name: str, roots: Sequence[Path]) -> str:
    """A source's name with a path from /: those without are in the first root.

    Raises:
        SourceError: it leads out of the roots.
    """
    parsed = Name.parse(name)
    path = roots[0] / parsed.path
    if ".." in path.parts or not any(path.is_relative_to(root) for root in roots):
        raise _outside(parsed.path, roots)
    return str(Name(str(path), parsed.key))


def check_inside(name: str, roots: Sequence[Path]) -> None:
    """Raise if a file of a source is elsewhere once links are followed, before it is opened.

    Raises:
        SourceError: it is, or is not there.
    """
    real = [root.resolve() for root in roots]
    for path in files_of(Name.parse(name).path):
        for file in _everything(path):
            if not any(file.resolve().is_relative_to(root) for root in real):
                raise _outside(str(path), roots)


def _everything(path: Path) -> Iterator[Path]:
    yield path
    if path.is_dir():  # a store: its files are read too
        yield from path.rglob("*")


def _outside(path: str, roots: Sequence[Path]) -> SourceError:
    allowed = ", ".join(map(str, roots))
    return SourceError(f"{path} is outside of the folders that this server reads: {allowed}")
