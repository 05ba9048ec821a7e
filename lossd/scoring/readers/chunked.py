"""Arrays that are stored in chunks, each of which is decoded as a whole."""

import math
from abc import abstractmethod
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np

from lossd.scoring.readers.base import Piece, Pieced
from lossd.scoring.sources import Array, Shape

Taken = Generator[Piece]

_PIECE: Final = 8 << 20
"""Bytes that are read at a time at least: chunks can be of a row each."""

_KEPT: Final = 256 << 20
"""Bytes of a row of chunks that is kept; of larger ones the rows asked for are read again."""


class Chunked(Pieced):
    """An array of chunks, or in one stretch: `chunk` is 0 then. `member`: its name in the file."""

    def __init__(
        self, path: Path, key: str, member: str, shape: Shape, dtype: np.dtype[Any], chunk: int
    ) -> None:
        rows = shape[0]
        cuts = range(0, max(rows, 1), chunk) if chunk else (0,)
        super().__init__(path, key, rows, shape[1:], dtype, cuts)
        self._member = member
        row = max(math.prod(self.shape) * dtype.itemsize, 1)
        self._step = chunk * max(1, _PIECE // (chunk * row)) if chunk else 0
        if self._step * row > _KEPT:
            self._step = 0

    @abstractmethod
    def taken(self, ranges: Iterator[tuple[int, int]]) -> Taken:
        """The rows of each range."""

    def fetch(self, start: int, stop: int) -> Array:
        """Rows out of pieces, or right from the file."""
        if self._step:
            return super().fetch(start, stop)
        [(_, rows)] = self.taken(iter([(start, stop)]))
        return rows

    def pieces(self, row: int) -> Iterator[Piece]:
        """Pieces of whole chunks."""
        firsts = range(row - row % self._step, self.rows, self._step)
        return self.taken((first, min(first + self._step, self.rows)) for first in firsts)
