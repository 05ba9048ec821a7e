"""What a file was when it was read, to notice that it is another one later."""

import hashlib
from pathlib import Path
from typing import Any, Final

from lossd.scoring.errors import SourceError

_SAMPLE: Final = 1 << 16
"""Bytes that are read at the beginning, in the middle and at the end."""


def fingerprint(path: Path) -> dict[str, Any]:
    """A file's size, time and digest.

    Args:
        path: a file, or the folder of a store.

    Returns:
        "path"; "size" in bytes, of a folder all files'; "modified" in nanoseconds, of a folder the
        latest; "digest": SHA-256 over the size and the first, middle and last 64 KiB, of a folder
        over its files' names, sizes and times. A change in place between those bytes that puts
        the time back is not seen.

    Raises:
        SourceError: it cannot be read.
    """
    try:
        return _of_folder(path) if path.is_dir() else _of_file(path)
    except OSError as exc:
        raise SourceError(f"{path}: cannot be read: {exc.strerror}") from exc


def _of_file(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        state = path.stat()
        digest = hashlib.sha256(str(state.st_size).encode())
        for place in (0, (state.st_size - _SAMPLE) // 2, state.st_size - _SAMPLE):
            file.seek(max(place, 0))
            digest.update(file.read(_SAMPLE))
    return _described(path, state.st_size, state.st_mtime_ns, digest.hexdigest())


def _of_folder(path: Path) -> dict[str, Any]:
    digest = hashlib.sha256()
    size = 0
    modified = path.stat().st_mtime_ns
    for file in sorted(file for file in path.rglob("*") if file.is_file()):
        state = file.stat()
        name = file.relative_to(path).as_posix()
        digest.update(f"{name}\0{state.st_size}\0{state.st_mtime_ns}\0".encode())
        size += state.st_size
        modified = max(modified, state.st_mtime_ns)
    return _described(path, size, modified, digest.hexdigest())


def _described(path: Path, size: int, modified: int, digest: str) -> dict[str, Any]:
    return {"path": str(path), "size": size, "modified": modified, "digest": digest}
