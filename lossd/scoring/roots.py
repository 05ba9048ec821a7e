"""Folders that a job may read, whatever its names, globs and links say.

What is said of files outside of them, even whether they are there, is the same for all: only the
name that was asked for is told.
"""

import glob
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from lossd.scoring.errors import SourceError
from lossd.scoring.readers.paths import files_of
from lossd.scoring.sources import Name


def rooted(name: str, roots: Sequence[Path]) -> str:
    """A source's name with a path from /: those without are in the first root.

    Raises:
        SourceError: it leads out of the roots, or is no path.
    """
    parsed = Name.parse(name)
    if "\0" in parsed.path:
        raise SourceError(f"{parsed.path!r} is no path: it has a zero in it")
    path = roots[0] / parsed.path
    if ".." in path.parts or not (_below(path, roots) or _is_inside(path, roots)):
        raise _outside(parsed.path, roots)
    return str(Name(str(path), parsed.key))


def check_inside(name: str, roots: Sequence[Path]) -> None:
    """Raise if a file of a source is elsewhere once links are followed, before it is opened.

    Raises:
        SourceError: it is, or is not there.
    """
    path = Name.parse(name).path
    if not all(_is_inside(passed, roots) for passed in _passed(path)):
        raise _outside(path, roots)
    check_files(name, files_of(path), roots)


def check_files(name: str, files: Iterable[Path], roots: Sequence[Path]) -> None:
    """Raise if one of a source's files is elsewhere once links are followed.

    Raises:
        SourceError: it is.
    """
    if not all(_is_inside(file, roots) for path in files for file in _everything(path)):
        raise _outside(Name.parse(name).path, roots)


def _passed(path: str) -> Iterator[Path]:
    """What a path leads through, each before it is looked into: the path, a glob's folders."""
    yield Path(path)  # with the links in it, wherever they stand
    for parent in reversed(Path(path).parents):
        if glob.has_magic(str(parent)):
            yield from map(Path, glob.glob(f"{parent}/", recursive=True))  # noqa: PTH207  absolute


def _everything(path: Path) -> Iterator[Path]:
    """A path, and if it is a store all that is in it, in linked folders too."""
    yield path
    seen = set()
    for folder, folders, files in os.walk(path, followlinks=True):
        real = os.path.realpath(folder)
        if real in seen:
            folders.clear()  # a link that leads back
            continue
        seen.add(real)
        yield from (Path(folder, name) for name in (*folders, *files))


def _is_inside(path: Path, roots: Sequence[Path]) -> bool:
    return _below(Path(os.path.realpath(path)), roots)


def _below(path: Path, roots: Sequence[Path]) -> bool:
    return any(path.is_relative_to(root) for root in roots)


def _outside(path: str, roots: Sequence[Path]) -> SourceError:
    allowed = ", ".join(map(str, roots))
    return SourceError(
        f"{path} is, or leads, outside of the folders that this server reads: {allowed}"
    )
