"""Files that are whole and on disk when they appear, and what a file system refuses, in words."""

import contextlib
import errno
import json
import math
import os
import re
import uuid
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any, Final

import numpy as np

from lossd.scoring.errors import OutputError, ScoringError

TEMPORARY: Final = ".tmp"
"""End of the names of files that are being written."""

UNFINISHED: Final = rf"\.[0-9a-f]{{32}}{re.escape(TEMPORARY)}"
"""What `replacing` adds to a name meanwhile, as a pattern."""


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn what a file system refuses into an error that says what to do."""
    try:
        yield
    except ScoringError:
        raise
    except OSError as error:
        told = {
            errno.ENOSPC: "the disk is full; what is done stays: make room and run it again",
            errno.EDQUOT: "the disk quota is used up; what is done stays: make room, run it again",
            errno.EACCES: "no permission to write there",
            errno.EROFS: "its file system is read-only",
            errno.ENOTDIR: "it is not a folder",
            errno.EEXIST: "it is not a folder",
        }.get(error.errno or 0, error.strerror)
        named = str(error.filename or path)
        place = path if named.endswith(TEMPORARY) else named
        field = "" if error.errno in (errno.ENOSPC, errno.EDQUOT) else "out"
        raise OutputError(f"cannot write to {place}: {told}", field=field) from error


def check_alone(folder: Path, foreign: Iterable[str]) -> None:
    """Refuse a folder that holds what is not ours, by its names.

    Raises:
        OutputError: it does.
    """
    names = sorted(foreign)
    if names:
        raise OutputError(
            f"{folder} holds other things ({', '.join(names[:3])}): take an empty folder",
            field="out",
        )


@contextlib.contextmanager
def reading(path: Path) -> Iterator[None]:
    """The same of what was written and is read again.

    Raises:
        OutputError: it cannot be read.
    """
    try:
        yield
    except OSError as error:
        raise OutputError(f"{path} cannot be read: {error.strerror}", field="out") from error


@contextlib.contextmanager
def replacing(path: Path, *, settled: bool = True) -> Iterator[IO[bytes]]:
    """A file that takes its name when it is whole and, if `settled`, on disk.

    Raises:
        OutputError: it cannot be written.
    """
    temporary = path.with_name(f"{path.name}.{uuid.uuid4().hex}{TEMPORARY}")  # nobody else's
    with writing(path):
        try:
            with temporary.open("wb") as file:
                yield file
                if settled:
                    file.flush()
                    os.fsync(file.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
        if settled:
            synchronise(path.parent)


def synchronise(path: Path) -> None:
    """Have a file's content, or a folder's names, on disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Keep a JSON file.

    Raises:
        OutputError: it cannot be written.
    """
    with replacing(path) as file:
        file.write(json.dumps(content, indent=1, allow_nan=False).encode() + b"\n")


def read_json(path: Path) -> dict[str, Any] | None:
    """A JSON file, None if there is none.

    Raises:
        OutputError: it is damaged or cannot be read.
    """
    try:
        found = json.loads(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, RecursionError) as error:
        raise OutputError(f"{path} cannot be read: {error}", field="out") from error
    if not isinstance(found, dict):
        raise OutputError(f"{path} cannot be read: it is no JSON object", field="out")
    return found


def strict(value: Any) -> Any:
    """The same in what JSON has: NaN and infinities as strings, arrays as lists."""
    if isinstance(value, dict):
        return {str(key): strict(each) for key, each in value.items()}
    if isinstance(value, list | tuple | np.ndarray):
        return [strict(each) for each in value]
    if isinstance(value, np.generic):
        return strict(value.item())
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else ("Infinity" if value > 0 else "-Infinity")
    return value
