"""Arrow's IPC files (Feather's version 2 is the same), read by record batches."""

from bisect import bisect_right
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, Final

import pyarrow as pa

from lossd.scoring.errors import SourceError
from lossd.scoring.readers.base import Failures, Piece, Pieced, blamed
from lossd.scoring.readers.columns import FAILURES, Columns, choose_columns
from lossd.scoring.sources import Source

_KIND: Final = "an Arrow IPC file"

_MAPPED: Final = 128 << 20
"""Bytes of a record batch above which it is mapped, not read: it is one piece in any case."""


def open_file(path: Path, key: str, *, text: bool) -> Source:
    """A column of a file, or several."""
    with path.open("rb") as file:
        if file.read(4) == b"\xff\xff\xff\xff":
            raise SourceError(
                f"{path}: is an Arrow stream, whose rows can only be found by reading all of it; "
                "save it as a file (pyarrow.ipc.new_file) or as Parquet"
            )
    with blamed(str(path), _KIND, FAILURES), pa.memory_map(str(path)) as source:
        schema = pa.ipc.open_file(source).schema

        def first_row(path: tuple[str, ...]) -> Any:
            reader = _reader(source, [schema.get_field_index(path[0])])
            for k in range(reader.num_record_batches):
                if len(batch := reader.get_batch(k)):
                    return batch.slice(0, 1)
            return None

        columns = choose_columns(str(path), key, schema, first_row, text=text)
        return Arrow(path, key, columns, _lengths(source, schema))


def _reader(source: pa.NativeFile, fields: list[int]) -> pa.RecordBatchFileReader:
    """A reader of some of the columns."""
    options = pa.ipc.IpcReadOptions(included_fields=fields, use_threads=False)
    return pa.ipc.open_file(source, options=options)


def _lengths(source: pa.NativeFile, schema: pa.Schema) -> list[int]:
    """Rows of each batch. pyarrow tells them only of batches that it reads: the narrowest column.

    The file is mapped here, so that nothing of it is read unless it is compressed.
    """
    widths = [_width(kind) for kind in schema.types]
    reader = _reader(source, [widths.index(min(widths))])
    return [len(reader.get_batch(k)) for k in range(reader.num_record_batches)]


def _width(kind: pa.DataType) -> int:
    try:
        return int(kind.bit_width)
    except ValueError:  # of variable width
        return 1 << 30


class Arrow(Pieced):
    """Columns of a file."""

    kind: ClassVar[str] = _KIND
    failures: ClassVar[Failures] = FAILURES

    def __init__(self, path: Path, key: str, columns: Columns, lengths: list[int]) -> None:
        self._batches = []
        self._starts = []
        rows = 0
        for batch, count in enumerate(lengths):
            if count:
                self._batches.append(batch)
                self._starts.append(rows)
            rows += count
        super().__init__(path, key, rows, columns.shape, columns.dtype, self._starts or (0,))
        self._columns = columns
        self._longest = max(lengths, default=0)

    def pieces(self, row: int) -> Iterator[Piece]:
        """Record batches."""
        size = self._longest * self.dtype.itemsize
        for extent in self.shape:
            size *= extent
        file = pa.memory_map(str(self.path)) if size > _MAPPED else pa.OSFile(str(self.path))
        with file:
            schema = pa.ipc.open_file(file).schema
            fields = sorted({schema.get_field_index(path[0]) for path in self._columns.paths})
            reader = _reader(file, fields)
            for k in range(bisect_right(self._starts, row) - 1, len(self._batches)):
                first = self._starts[k]
                yield first, self._columns.array(reader.get_batch(self._batches[k]), first)
