"""From what a source is named by to its files."""

import difflib
import glob
from pathlib import Path
from typing import Final

from lossd.scoring.errors import SourceError
from lossd.scoring.readers.keys import listed, natural

STORES: Final = ("zarr.json", ".zarray", ".zgroup")
"""Files that make a folder a Zarr store."""


def is_store(path: Path) -> bool:
    """Whether a folder is one array, or a tree of them."""
    return path.is_dir() and (
        path.suffix.lower() == ".zarr" or any((path / name).exists() for name in STORES)
    )


def files_of(name: str) -> list[Path]:
    """The files that a path, a folder or a glob names; shard-2 comes before shard-10.

    Hidden files and those that begin with "_" are left out of folders and globs.

    Raises:
        SourceError: nothing is there.
    """
    if not name:
        raise SourceError("no file is named: a source is PATH or PATH::KEY")
    path = Path(name)
    try:
        if path.is_dir() and not is_store(path):
            return _inside(path)
        if path.exists():
            return [path]
        if glob.has_magic(name):
            return _matching(name)
        raise SourceError(f"{path}: does not exist{_similar(path)}")
    except OSError as exc:
        raise SourceError(f"{name}: cannot be read: {exc.strerror}") from exc


def _order(path: Path) -> list[tuple[int, str]]:
    return natural(path.as_posix())


def _inside(folder: Path) -> list[Path]:
    seen = [path for path in folder.iterdir() if not path.name.startswith((".", "_"))]
    files = [path for path in seen if path.is_file() or is_store(path)]
    if not files:
        below = " (folders in it are not searched: name them as 'folder/**/*.parquet')"
        raise SourceError(f"{folder}: the folder has no files{below if seen else ''}")
    return sorted(files, key=_order)


def _matching(pattern: str) -> list[Path]:
    fixed = [part for part in Path(pattern).parts if part.startswith((".", "_"))]
    found = glob.glob(pattern, recursive=True)  # noqa: PTH207  Path.glob takes no absolute ones
    files = [
        path
        for path in map(Path, found)
        if (path.is_file() or is_store(path)) and not _is_left_out(path, fixed)
    ]
    if not files:
        raise SourceError(f"{pattern}: no file matches")
    return sorted(files, key=_order)


def _is_left_out(path: Path, fixed: list[str]) -> bool:
    """Whether part of a path is hidden, and the pattern does not ask for such."""
    hidden = [part for part in path.parts if part.startswith((".", "_")) and part != ".."]
    return len(hidden) > len([part for part in fixed if part != ".."])


def _similar(path: Path) -> str:
    """Words on what has a similar name."""
    if not path.parent.is_dir():
        return f" (nor does the folder {path.parent})"
    close = difflib.get_close_matches(path.name, [other.name for other in path.parent.iterdir()])
    column = "" if path.suffix else f"; a column of the predictions' files is named '::{path.name}'"
    return (f"; there is {listed(close)}" if close else "") + column
