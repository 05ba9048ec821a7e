"""HDF5, through h5py.

Numbers have no checksums unless the file was written with fletcher32. A file whose strings of
variable length are damaged can keep the HDF5 library busy for ever: nothing here can stop it.
Datasets whose numbers are in other files are refused: nobody named those files, and nothing would
notice that they change.
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

_LINKS: Final = 32
"""Soft links that are followed at most on the way to a dataset: they may go in circles."""


def open_file(path: Path, key: str, *, text: bool) -> Source:
    """A dataset of a file."""
    with blamed(str(path), _KIND, _FAILURES), h5py.File(path, "r") as file:
        name = key.strip("/")
        dataset = _found(file, name, f"{path}::{name}")
        if not isinstance(dataset, h5py.Dataset):
            name = choose(str(path), name, _datasets(file), "datasets")
            dataset = file[name]
        where = f"{path}::{name}"
        _check_own(dataset, where)
        if not dataset.shape:
            raise SourceError(f"{where}: is a single number or nothing, it has no rows")
        dtype = _dtype(dataset, where, text=text)
        chunk = dataset.chunks[0] if dataset.chunks else 0
        return Hdf5(path, key, name, dataset.shape, dtype, chunk)


def _found(file: h5py.File, name: str, where: str) -> h5py.Group | h5py.Dataset | None:
    """What a name leads to without a look into other files, None if there is nothing.

    Raises:
        SourceError: it leads into another file.
    """
    here: h5py.Group | h5py.Dataset | None = file
    left, links = _parts(name), 0
    while left and isinstance(here, h5py.Group):
        link = here.get(left[0], getlink=True)
        if isinstance(link, h5py.ExternalLink):
            raise SourceError(f"{where}: leads into another file; name that file itself")
        if isinstance(link, h5py.SoftLink) and links < _LINKS:
            links += 1
            here = file if link.path.startswith("/") else here
            left = _parts(link.path) + left[1:]
        else:
            here = here[left[0]] if isinstance(link, h5py.HardLink) else None
            left = left[1:]
    return None if left else here


def _parts(name: str) -> list[str]:
    return [part for part in name.split("/") if part not in ("", ".")]


def _check_own(dataset: h5py.Dataset, where: str) -> None:
    """Raise if a dataset's numbers are not in its own file.

    Raises:
        SourceError: they are not.
    """
    if dataset.is_virtual or dataset.external:
        how = "is a virtual dataset" if dataset.is_virtual else "has external storage"
        raise SourceError(f"{where}: {how}: its numbers are in other files, which are not read")


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
            dataset = _found(file, self._member, self.name)
            if not isinstance(dataset, h5py.Dataset):
                raise SourceError(f"{self.name}: has changed while it was read")
            _check_own(dataset, self.name)
            for start, stop in ranges:
                yield start, self._rows(dataset, start, stop)

    def _rows(self, dataset: h5py.Dataset, start: int, stop: int) -> Array:
        if self.dtype == TEXT:
            return given(np.asarray(dataset.asstr()[start:stop], object), TEXT)
        return given(dataset[start:stop], self.dtype)
