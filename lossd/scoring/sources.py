"""Rows of one tensor, in one file or many: what a run reads from.

A source is named by a path, a glob or a folder of shards, and, after "::", by what in the file is
meant: `predictions.npy`, `run.npz::logits`, `shards/*.parquet::probability`,
`store.h5::/eval/logits`. Without a key a file must hold exactly one tensor or column.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Shape = tuple[int, ...]


@dataclass(frozen=True)
class Name:
    """What a source was named by.

    path: a file, a folder or a glob, as given; key: what in each file, "" for all that it holds.
    """

    path: str
    key: str = ""

    @classmethod
    def parse(cls, text: str) -> "Name":
        """A name as it is written: PATH or PATH::KEY."""
        path, _, key = text.partition("::")
        return cls(path, key)

    def __str__(self) -> str:
        return f"{self.path}::{self.key}" if self.key else self.path


class Source(ABC):
    """Rows of one tensor; reading is safe from several threads at once.

    Attributes:
        rows: how many there are.
        shape: of one row, () of numbers.
        dtype: of what `read` gives: one of lossd's, an integer type, bool, or object for strings.
        files: what it is read from, in the order of the rows.
        cuts: first rows of pieces that are best read as a whole (files, row groups, chunks), in
            order, beginning with 0; [0] where any range is as good as another.
        in_place: whether `read_to` saves a copy.
    """

    rows: int
    shape: Shape
    dtype: np.dtype[Any]
    files: Sequence[Path]
    cuts: Sequence[int] = (0,)
    in_place: bool = False

    @abstractmethod
    def read(self, start: int, stop: int) -> Array:
        """Rows from `start` to before `stop`: an array of `(stop - start, *shape)`, C-contiguous.

        The caller may keep it, not write to it.

        Raises:
            SourceError: a file that is damaged, or shorter than it says; names file and row.
        """

    def read_to(self, start: int, out: Array) -> None:
        """Read as many rows from `start` on as `out` has, into it; raises as `read`."""
        out[:] = self.read(start, start + len(out))

    @abstractmethod
    def place(self, row: int) -> str:
        """Where a row is, for messages: "shards/b.npy, row 17"."""

    def verify(self) -> Iterator[None]:
        """Compare the files with the checksums that `read` does not look at, piece by piece.

        Raises:
            SourceError: bytes have changed since they were written; names the file.
        """
        yield from ()

    def close(self) -> None:  # noqa: B027  most have nothing open
        """Let go of open files."""
