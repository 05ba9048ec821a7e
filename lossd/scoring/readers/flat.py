"""Arrays that lie in a file as they lie in memory: .npy, what is stored in .npz, safetensors."""

import math
import os
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from lossd.scoring.errors import SourceError
from lossd.scoring.readers.base import Failures, FileSource, blamed
from lossd.scoring.readers.kinds import given, readable
from lossd.scoring.sources import Array, Shape


def read_into(descriptor: int, buffer: memoryview, offset: int) -> None:
    """Fill a buffer of bytes from a place in a file.

    Raises:
        EOFError: the file ends before.
    """
    while buffer:
        count = os.preadv(descriptor, [buffer], offset)
        if not count:
            raise EOFError(f"the file ends at {offset} bytes")
        buffer = buffer[count:]
        offset += count


class Flat(FileSource):
    """One array, read by position.

    Not mapped: a file that is cut short while it is read is an error then, not a signal, and
    pages that were read do not count as the process's memory.
    """

    kind: ClassVar[str] = "an array of its header's size"
    failures: ClassVar[Failures] = (EOFError, OSError, ValueError)

    def __init__(
        self,
        path: Path,
        key: str,
        *,
        stored: np.dtype[Any],
        shape: Shape,
        offset: int,
        end: int,
        fortran: bool = False,
        text: bool = False,
    ) -> None:
        """Describe an array.

        Args:
            path: the file.
            key: its name in the file.
            stored: type of its elements in the file.
            shape: of all of it.
            offset: where its first byte is.
            end: of the bytes that can be its.
            fortran: whether the first axis is the one that changes fastest.
            text: whether it may be of strings.

        Raises:
            SourceError: a type that is not read, no rows at all, or too few bytes.
        """
        name = f"{path}::{key}" if key else str(path)
        dtype = readable(stored, name, text=text)
        if not shape:
            raise SourceError(f"{name}: is a single number, it has no rows")
        needed = math.prod(shape) * stored.itemsize
        if min(shape) < 0 or end - offset < needed:
            raise SourceError(
                f"{name}: damaged or cut short: shape {shape} of {stored} needs {needed} bytes, "
                f"{max(end - offset, 0)} are there"
            )
        super().__init__(path, key, shape[0], shape[1:], dtype)
        self._stored = stored
        self._offset = offset
        self._fortran = fortran and len(shape) > 1
        self.in_place = not self._fortran and stored == dtype

    def read_to(self, start: int, out: Array) -> None:
        """Read rows to where they are wanted, without a copy in between."""
        if not (self.in_place and out.size):
            return super().read_to(start, out)
        stop = start + len(out)
        self.check_range(start, stop)
        with blamed(f"{self.name}, rows {start} to {stop - 1}", self.kind, self.failures):
            descriptor = os.open(self.path, os.O_RDONLY)
            try:
                place = self._offset + start * out[0].nbytes
                read_into(descriptor, out.reshape(-1).view(np.uint8).data, place)
            finally:
                os.close(descriptor)
        return None

    def fetch(self, start: int, stop: int) -> Array:
        """Rows of the file, which is open no longer than that."""
        descriptor = os.open(self.path, os.O_RDONLY)
        try:
            read = self._columns if self._fortran else self._rows
            return given(read(descriptor, start, stop), self.dtype)
        finally:
            os.close(descriptor)

    def _rows(self, descriptor: int, start: int, stop: int) -> Array:
        size = math.prod(self.shape) * self._stored.itemsize
        buffer = np.empty((stop - start) * size, np.uint8)
        read_into(descriptor, buffer.data, self._offset + start * size)
        if not size:  # a view would have no rows to tell apart
            return np.empty((stop - start, *self.shape), self._stored)
        return buffer.view(self._stored).reshape(stop - start, *self.shape)

    def _columns(self, descriptor: int, start: int, stop: int) -> Array:
        """Rows of an array in Fortran's order: a stretch of each column."""
        size = self._stored.itemsize
        columns = math.prod(self.shape)
        buffer = np.empty((columns, (stop - start) * size), np.uint8)
        for column in range(columns):
            place = self._offset + (column * self.rows + start) * size
            read_into(descriptor, buffer[column].data, place)
        if not columns:
            return np.empty((stop - start, *self.shape), self._stored)
        return buffer.view(self._stored).reshape(*self.shape[::-1], stop - start).T
