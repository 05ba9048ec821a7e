"""What readers of one file have in common."""

import threading
from abc import abstractmethod
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar, Final

import numpy as np

from lossd.scoring.errors import SourceError
from lossd.scoring.readers.keys import shown
from lossd.scoring.sources import Array, Name, Shape, Source

Piece = tuple[int, Array]
"""The first row of some rows in a file, and the rows."""

_SAYS: Final = 160
"""Characters of what a library says of a file; it quotes what it did not expect at the end."""

Failures = tuple[type[Exception], ...]


@contextmanager
def blamed(where: str, kind: str, failures: Failures) -> Iterator[None]:
    """What a library raises within is the fault of the file.

    Args:
        where: the file, and the key if there is one.
        kind: what the file should be: "an HDF5 file".
        failures: what the library raises where a file is damaged.

    Raises:
        SourceError: one of them was raised.
    """
    try:
        yield
    except SourceError:
        raise
    except FileNotFoundError as exc:
        raise SourceError(f"{where}: does not exist, or a part of it does not") from exc
    except PermissionError as exc:
        raise SourceError(f"{where}: no permission to read it") from exc
    except failures as exc:
        says = shown(str(exc), _SAYS) or type(exc).__name__
        raise SourceError(f"{where}: damaged, cut short or not {kind}: {says}") from exc


class FileSource(Source):
    """Rows in one file (or in one folder, where a format is made of them)."""

    kind: ClassVar[str]
    failures: ClassVar[Failures]

    def __init__(self, path: Path, key: str, rows: int, shape: Shape, dtype: np.dtype[Any]) -> None:
        self.path = path
        self.name = str(Name(str(path), key))
        self.rows = rows
        self.shape = shape
        self.dtype = dtype
        self.files = (path,)

    def read(self, start: int, stop: int) -> Array:
        """Rows from `start` to before `stop`."""
        self.check_range(start, stop)
        if start == stop:
            return np.empty((0, *self.shape), self.dtype)
        with blamed(f"{self.name}, rows {start} to {stop - 1}", self.kind, self.failures):
            return self.fetch(start, stop)

    def check_range(self, start: int, stop: int) -> None:
        """Raise IndexError if there are no such rows."""
        if not 0 <= start <= stop <= self.rows:
            raise IndexError(f"{self.name} has rows 0 to {self.rows}, not {start} to {stop}")

    def place(self, row: int) -> str:
        """Where a row is."""
        return f"{self.path}, row {row}"

    @abstractmethod
    def fetch(self, start: int, stop: int) -> Array:
        """Rows that exist, at least one; may raise what is in `failures`."""

    def widen(self) -> None:
        """Have whole numbers be float64 if they stand in text, which has no types."""

    def leave(self) -> None:
        """The calling thread reads elsewhere now: let go of what is kept for it."""


class Pieced(FileSource):
    """Rows that are decoded piece by piece, forward.

    Each thread keeps the piece that it read last, so that reads in order decode each piece once
    though they are smaller than it.
    """

    def __init__(
        self,
        path: Path,
        key: str,
        rows: int,
        shape: Shape,
        dtype: np.dtype[Any],
        cuts: Sequence[int] = (0,),
    ) -> None:
        super().__init__(path, key, rows, shape, dtype)
        self.cuts = cuts
        self._threads = threading.local()

    @abstractmethod
    def pieces(self, row: int) -> Iterator[Piece]:
        """Pieces to the end of the file, in order; the first begins at or before `row`."""

    def fetch(self, start: int, stop: int) -> Array:
        """Rows out of one piece, or of several."""
        parts = []
        row = start
        while row < stop:
            first, piece = self._piece(row)
            parts.append(piece[row - first : stop - first])
            row += len(parts[-1])
        if stop == self.rows:
            self.leave()
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def leave(self) -> None:
        """Let go of the thread's piece."""
        self._threads.__dict__.clear()

    def close(self) -> None:
        """Let go of all threads' pieces, and of the files that they are read from."""
        self._threads = threading.local()

    def _piece(self, row: int) -> Piece:
        """The thread's piece that has a row."""
        here = self._threads
        first, piece = getattr(here, "piece", (0, np.empty(0)))
        if first <= row < first + len(piece):
            return first, piece
        if not hasattr(here, "rest") or not self._is_ahead(row, first + len(piece)):
            here.rest = self.pieces(row)
        try:
            for first, piece in here.rest:
                if first > row:
                    break
                if row < first + len(piece):
                    here.piece = first, piece
                    return first, piece
        except BaseException:
            self.leave()  # a generator that has raised is at its end
            raise
        self.leave()
        raise SourceError(f"{self.place(row)}: the file ends before, or skips rows")

    def _is_ahead(self, row: int, reached: int) -> bool:
        """Whether reading on is the shortest way to a row."""
        cuts = self.cuts
        return row == reached or (
            row > reached and bisect_right(cuts, row) == bisect_right(cuts, reached)
        )
