"""Zarr's stores, of versions 2 and 3, in a folder.

A chunk whose file is not there has the fill value: the format says so, and so a store that has
lost files cannot be told from one that never had them.
"""

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, Final, cast

import numpy as np
import zarr
import zarr.errors

from lossd.scoring.errors import SourceError
from lossd.scoring.readers.base import Failures, blamed
from lossd.scoring.readers.chunked import Chunked, Taken
from lossd.scoring.readers.keys import choose
from lossd.scoring.readers.kinds import given, readable
from lossd.scoring.readers.paths import STORES
from lossd.scoring.sources import Source

_KIND: Final = "a Zarr store"

_FAILURES: Final[Failures] = (
    *(KeyError, IndexError, OSError, RuntimeError, TypeError, ValueError, AttributeError),
    *(EOFError, AssertionError, OverflowError),
)


def open_file(path: Path, key: str, *, text: bool) -> Source:
    """An array of a store."""
    if not any((path / name).exists() for name in STORES):
        raise SourceError(
            f"{path}: is no Zarr store, or one that was not written to its end: it has none of "
            f"{', '.join(STORES)}"
        )
    with blamed(str(path), _KIND, _FAILURES):
        array, name = _array(path, key)
        shape = tuple(array.shape)
        if not shape:
            raise SourceError(f"{path}: is a single number, it has no rows")
        where = f"{path}::{name}" if name else str(path)
        dtype = readable(np.dtype(array.dtype), where, text=text)
        chunk = (array.shards or array.chunks)[0]
    return Zarr(path, key, name, shape, dtype, chunk)


def _array(path: Path, key: str) -> tuple[Any, str]:
    """The array that a key names, and its name in the store, "" if it is the store."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of files that belong to no array
        node = zarr.open(str(path), mode="r")
        if isinstance(node, zarr.Array):
            if key:
                raise SourceError(f"{path}: holds one array without a name; leave out '::{key}'")
            return node, ""
        names = [name for name, member in node.members(None) if isinstance(member, zarr.Array)]
        name = choose(str(path), key.strip("/"), sorted(names), "arrays")
        return node[name], name


class Zarr(Chunked):
    """An array of a store."""

    kind: ClassVar[str] = _KIND
    failures: ClassVar[Failures] = _FAILURES

    def taken(self, ranges: Iterator[tuple[int, int]]) -> Taken:
        """Rows of each range."""
        array = cast("Any", zarr.open_array(str(self.path), path=self._member, mode="r"))
        for start, stop in ranges:
            yield start, given(np.asarray(array[start:stop]), self.dtype)
