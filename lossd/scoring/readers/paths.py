"""From what a source is named by to its files."""

import difflib
import glob
import itertools
from collections.abc import Iterable
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


def is_run(path: Path) -> bool:
    """Whether a folder is a run's, as lossd.scoring.folder makes it."""
    return (path / "run.json").exists() and (path / "losses").is_dir()


def files_of(name: str) -> list[Path]:
    """The files that a path, a folder or a glob names; shard-2 comes before shard-10.

    Hidden files and those that begin with "_" are left out of folders and globs, and out of globs
    the folders of runs: what a run writes must not be what the next one reads.

    Raises:
        SourceError: nothing is there.
    """
    if not name:
        raise SourceError("no file is named: a source is PATH or PATH::KEY")
    path = Path(name)
    try:
        if path.is_dir() and not is_store(path):
            return _inside(path)
        if path.is_file() or is_store(path):
            return [path]
        if path.exists():  # opening a pipe waits for somebody to write to it
            raise SourceError(
                f"{path}: is a pipe or a device; rows are read by their places: save it as a file"
            )
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
    seen = [
        path
        for path in map(Path, found)
        if (path.is_file() or is_store(path)) and not _is_left_out(path, fixed)
    ]
    runs = _runs_around(pattern, seen)
    files = [path for path in seen if runs.isdisjoint(path.parents)]
    if not files:
        raise SourceError(f"{pattern}: no file matches (folders of runs are left out of globs)")
    return sorted(files, key=_order)


def _runs_around(pattern: str, paths: Iterable[Path]) -> set[Path]:
    """The folders of runs that files are in and that the pattern does not name."""
    named = list(itertools.takewhile(lambda part: not glob.has_magic(part), Path(pattern).parts))
    folders = {folder for path in paths for folder in path.parents}
    return {folder for folder in folders if len(folder.parts) > len(named) and is_run(folder)}


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
