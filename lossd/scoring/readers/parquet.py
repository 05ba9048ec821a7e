"""Parquet, read by row groups, of large ones by parts of them."""

import math
from bisect import bisect_right
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, Final

import pyarrow as pa
import pyarrow.parquet as pq

from lossd.scoring.readers.base import Failures, Piece, Pieced, blamed
from lossd.scoring.readers.columns import FAILURES, Columns, choose_columns
from lossd.scoring.readers.kinds import TEXT
from lossd.scoring.sources import Source

_KIND: Final = "a Parquet file"

_WHOLE: Final = 128 << 20
"""Decoded bytes of a row group that is decoded at once."""

_BATCH: Final = 16 << 20
"""Decoded bytes of the parts of larger row groups."""

_OPTIONS: Final = {
    "pre_buffer": False,  # of a large row group it would hold all encoded bytes
    "buffer_size": 4 << 20,
    "page_checksum_verification": True,  # few writers store them; those who do want them used
}

_READING: Final = {"use_threads": False}  # runs read in threads of their own


def open_file(path: Path, key: str, *, text: bool) -> Source:
    """A column of a file, or several."""
    with blamed(str(path), _KIND, FAILURES), pq.ParquetFile(path, **_OPTIONS) as file:

        def first_row(path: tuple[str, ...]) -> Any:
            batches = file.iter_batches(batch_size=1, columns=[".".join(path)], **_READING)
            return next(batches, None)

        columns = choose_columns(str(path), key, file.schema_arrow, first_row, text=text)
        return Parquet(path, key, columns, file.metadata)


class Parquet(Pieced):
    """Columns of a file."""

    kind: ClassVar[str] = _KIND
    failures: ClassVar[Failures] = FAILURES

    def __init__(self, path: Path, key: str, columns: Columns, metadata: pq.FileMetaData) -> None:
        self._groups = []
        self._starts = []
        rows = 0
        for group in range(metadata.num_row_groups):
            count = metadata.row_group(group).num_rows
            if count < 0:
                raise ValueError(f"row group {group} has {count} rows")
            if count:
                self._groups.append(group)
                self._starts.append(rows)
            rows += count
        super().__init__(path, key, rows, columns.shape, columns.dtype, self._starts or (0,))
        self._columns = columns
        self._metadata = metadata

    def pieces(self, row: int) -> Iterator[Piece]:
        """Row groups, or parts of them."""
        with pq.ParquetFile(self.path, metadata=self._metadata, **_OPTIONS) as file:
            for k in range(bisect_right(self._starts, row) - 1, len(self._groups)):
                first = self._starts[k]
                for table in self._decoded(file, self._groups[k]):
                    yield first, self._columns.array(table, first)
                    first += len(table)

    def _decoded(self, file: pq.ParquetFile, group: int) -> Iterator[pa.Table | pa.RecordBatch]:
        names = self._columns.names
        rows = self._metadata.row_group(group).num_rows
        size = self._row_bytes(group)
        if rows * size <= _WHOLE:
            return iter([file.read_row_group(group, columns=names, **_READING)])
        batch = max(1, int(_BATCH // size))
        parts: Iterator[pa.RecordBatch] = file.iter_batches(
            batch, row_groups=[group], columns=names, **_READING
        )
        return parts

    def _row_bytes(self, group: int) -> float:
        """Bytes of a row when it is decoded; of strings their share of the encoded bytes."""
        if self.dtype != TEXT:
            return max(1, math.prod(self.shape) * self.dtype.itemsize)
        about = self._metadata.row_group(group)
        sizes = [about.column(k).total_uncompressed_size for k in range(about.num_columns)]
        return float(100 + max(sizes) / about.num_rows)
