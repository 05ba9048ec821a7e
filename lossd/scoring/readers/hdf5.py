"""HDF5, through h5py.

Numbers have no checksums unless the file was written with fletcher32. A file whose strings of
variable length are damaged can keep the HDF5 library busy for ever: nothing here can stop it.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, Final

import h5py
import numpy as np

from lossd.scoring.errors import SourceError
from lossd.scoring.readers.base import Failures, blamed
from lossd.scoring.readers.chunked import Chunked, Taken
from lossd.scoring.readers.keys import choose
from lossd.scoring.readers.kinds import TEXT, given, readable
from lossd.scoring.sources import Array, Source

_KIND: Final = "an HDF5 file"

_FAILURES: Final[Failures] = (KeyError, OSError, RuntimeError, TypeError, ValueError)


def open_file(path: Path, key: str, *, text: bool) -> Source:
    """A dataset of a file."""
    with blamed(str(path), _KIND, _FAILURES), h5py.File(path, "r") as file:
        name = key.strip("/")
        if not (name and isinstance(file.get(name), h5py.Dataset)):
            name = choose(str(path), name, _datasets(file), "datasets")
        dataset = file[name]
        where = f"{path}::{name}"
        if not dataset.shape:
            raise SourceError(f"{where}: is a single number or nothing, it has no rows")
        dtype = _dtype(dataset, where, text=text)
        chunk = dataset.chunks[0] if dataset.chunks else 0
        return Hdf5(path, key, name, dataset.shape, dtype, chunk)


def _datasets(file: h5py.File) -> list[str]:
    """Names of all datasets, in groups too; links are not followed."""
    names: list[str] = []

    def note(name: str, thing: object) -> None:
        if isinstance(thing, h5py.Dataset):
            names.append(name)

    file.visititems(note)
    return names


def _dtype(dataset: h5py.Dataset, where: str, *, text: bool) -> np.dtype[Any]:
    if h5py.check_string_dtype(dataset.dtype):
        return readable(np.dtype(str), where, text=text)
    return readable(dataset.dtype, where, text=text)


class Hdf5(Chunked):
    """A dataset; h5py lets one thread at a time read."""

    kind: ClassVar[str] = _KIND
    failures: ClassVar[Failures] = _FAILURES

    def taken(self, ranges: Iterator[tuple[int, int]]) -> Taken:
        """Rows of each range; the file is open from the first to the last."""
        with h5py.File(self.path, "r") as file:
            dataset = file[self._member]
            for start, stop in ranges:
                yield start, self._rows(dataset, start, stop)

    def _rows(self, dataset: h5py.Dataset, start: int, stop: int) -> Array:
        if self.dtype == TEXT:
            return given(np.asarray(dataset.asstr()[start:stop], object), TEXT)
        return given(dataset[start:stop], self.dtype)
