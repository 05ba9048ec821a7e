"""From a name to a source: which reader, and what is wrong before any reader looks."""

import importlib
from itertools import pairwise
from pathlib import Path
from typing import Final, NamedTuple, Protocol, cast

from lossd.scoring.errors import SourceError
from lossd.scoring.readers.base import FileSource
from lossd.scoring.readers.keys import listed
from lossd.scoring.readers.paths import files_of, is_store
from lossd.scoring.readers.shards import Shards
from lossd.scoring.sources import Name, Source


class _Reader(NamedTuple):
    """A module here that has `open_file`, and the library that it imports."""

    module: str
    library: str = "numpy"


_TABLES: Final = _Reader("tables", "pyarrow")
_ARROW: Final = _Reader("arrow", "pyarrow")
_HDF5: Final = _Reader("hdf5", "h5py")
_ZARR: Final = _Reader("zarr", "zarr")
_TORCH: Final = _Reader("torch", "torch")

_READERS: Final = {
    ".npy": _Reader("npy"),
    ".npz": _Reader("npz"),
    ".safetensors": _Reader("safetensors", "safetensors"),
    ".parquet": _Reader("parquet", "pyarrow"),
    ".arrow": _ARROW,
    ".feather": _ARROW,
    ".ipc": _ARROW,
    ".zarr": _ZARR,
    ".h5": _HDF5,
    ".hdf5": _HDF5,
    ".csv": _TABLES,
    ".tsv": _TABLES,
    ".jsonl": _TABLES,
    ".ndjson": _TABLES,
    ".pt": _TORCH,
    ".pth": _TORCH,
}
"""By the suffix of a file's name."""


class _Module(Protocol):
    def open_file(self, path: Path, key: str, *, text: bool) -> FileSource:
        """Open one file."""


def open_source(name: str | Name, *, text: bool = False, real: bool = False) -> Source:
    """Open what a name stands for.

    Args:
        name: PATH or PATH::KEY; the path of a file, a folder or a glob.
        text: whether it may be of strings; `read` gives arrays of Python's strings then.
        real: whether whole numbers of CSV and JSON, which have no types, are float64. They are
            where another file has floats.

    Raises:
        SourceError: it is not there, is damaged, or is nothing that can be read.

    >>> import tempfile
    >>> import numpy as np
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     np.savez(f"{folder}/run.npz", logits=np.eye(3), labels=np.arange(3))
    ...     source = open_source(f"{folder}/run.npz::logits")
    ...     source.rows, source.shape, source.read(1, 2).tolist()
    (3, (3,), [[0.0, 1.0, 0.0]])
    """
    name = name if isinstance(name, Name) else Name.parse(name)
    paths = files_of(name.path)
    for one, other in pairwise(paths):
        if _suffix(one) != _suffix(other):
            raise SourceError(f"{name.path}: has files of several kinds: {one} and {other}")
    reader = _reader(paths[0])
    opened = [_open(reader, path, name.key, text=text) for path in paths]
    if real or any(shard.dtype.kind == "f" for shard in opened):
        for shard in opened:
            shard.widen()
    return opened[0] if len(opened) == 1 else Shards(opened)


def _suffix(path: Path) -> str:
    return ".zarr" if is_store(path) else path.suffix.lower()


def _reader(path: Path) -> _Module:
    """The module that reads such files; it and its library are imported only now."""
    suffix = _suffix(path)
    if suffix not in _READERS:
        raise SourceError(
            f"{path}: files with the suffix {suffix!r} are not read; {listed(list(_READERS))} are"
        )
    module, library = _READERS[suffix]
    try:
        return cast("_Module", importlib.import_module(f"lossd.scoring.readers.{module}"))
    except ModuleNotFoundError as exc:
        if (exc.name or "").partition(".")[0] != library:
            raise
        needed = "torch" if library == "torch" else "'lossd[score]'"
        raise SourceError(f"{path}: to read it, {library} is needed: pip install {needed}") from exc


def _open(reader: _Module, path: Path, key: str, *, text: bool) -> FileSource:
    try:
        if path.is_file():
            with path.open("rb") as file:
                if not file.read(1):
                    raise SourceError(f"{path}: is empty, of 0 bytes")
        return reader.open_file(path, key, text=text)
    except PermissionError as exc:
        raise SourceError(f"{path}: no permission to read it") from exc
    except OSError as exc:
        raise SourceError(f"{path}: cannot be read: {exc.strerror}") from exc
