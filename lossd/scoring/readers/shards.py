"""Many files as one source."""

import threading
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from lossd_client.dtypes import named

from lossd.scoring.errors import SourceError
from lossd.scoring.readers.base import FileSource
from lossd.scoring.readers.kinds import TEXT
from lossd.scoring.sources import Array, Source


class Shards(Source):
    """The rows of files, one file after the other."""

    def __init__(self, shards: Sequence[FileSource]) -> None:
        """Put sources together; where some are of text, whole numbers of the others are text too.

        Args:
            shards: at least one.

        Raises:
            SourceError: rows that differ in shape or type; names the first two files that do.
        """
        filled = [shard for shard in shards if shard.rows] or list(shards[:1])
        text = any(shard.dtype == TEXT for shard in filled)
        for one, other in pairwise(filled):
            alike = named(one.dtype) == named(other.dtype) or (
                text and all(_is_spelled(shard.dtype) for shard in (one, other))
            )
            if one.shape != other.shape or not alike:
                raise SourceError(
                    f"{one.name} has rows of shape {one.shape} and dtype {named(one.dtype)}, "
                    f"{other.name} of shape {other.shape} and dtype {named(other.dtype)}"
                )
        self._shards = filled
        self._starts: list[int] = []
        self.cuts = []
        rows = 0
        for shard in filled:
            self._starts.append(rows)
            self.cuts += [rows + cut for cut in shard.cuts]
            rows += shard.rows
        self.rows = rows
        self.shape = filled[0].shape
        self.dtype = TEXT if text else filled[0].dtype
        self.in_place = all(shard.in_place for shard in filled)
        self.files = [path for shard in shards for path in shard.files]
        self._threads = threading.local()

    def read(self, start: int, stop: int) -> Array:
        """Rows from `start` to before `stop`."""
        if not 0 <= start <= stop <= self.rows:
            raise IndexError(f"there are rows 0 to {self.rows}, not {start} to {stop}")
        if start == stop:
            return np.empty((0, *self.shape), self.dtype)
        parts = []
        while start < stop:
            shard, row = self._find(start)
            self._go_to(shard)
            end = min(row + stop - start, shard.rows)
            rows = shard.read(row, end)
            if self.dtype == TEXT and rows.dtype != TEXT:
                rows = rows.astype(str).astype(TEXT)
            parts.append(rows)
            start += end - row
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def read_to(self, start: int, out: Array) -> None:
        """Read rows into an array: of one file without a copy in between."""
        if not len(out):
            return None
        shard, row = self._find(start)
        if row + len(out) > shard.rows or self.dtype == TEXT:
            return super().read_to(start, out)
        self._go_to(shard)
        return shard.read_to(row, out)

    def place(self, row: int) -> str:
        """Where a row is."""
        shard, row = self._find(row)
        return shard.place(row)

    def verify(self) -> Iterator[None]:
        """Compare all files with their checksums."""
        for shard in self._shards:
            yield from shard.verify()

    def close(self) -> None:
        """Let go of all files."""
        for shard in self._shards:
            shard.close()

    def _find(self, row: int) -> tuple[FileSource, int]:
        k = bisect_right(self._starts, row) - 1
        return self._shards[k], row - self._starts[k]

    def _go_to(self, shard: FileSource) -> None:
        """Let go of what the thread has of another shard, or it would keep a piece of each."""
        last = getattr(self._threads, "shard", shard)
        if last is not shard:
            last.leave()
        self._threads.shard = shard


def _is_spelled(dtype: np.dtype[Any]) -> bool:
    """Whether values have one spelling: text, and whole numbers."""
    return dtype == TEXT or dtype.kind in "iu"
