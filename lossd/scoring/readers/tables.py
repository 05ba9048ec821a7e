"""Tables of text, CSV, TSV and JSON lines: small ones, which are held in memory."""

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, Final

import numpy as np
import pyarrow as pa
from pyarrow import csv, json

from lossd.scoring.errors import SourceError
from lossd.scoring.readers.base import Failures, FileSource, blamed
from lossd.scoring.readers.columns import FAILURES, choose_columns
from lossd.scoring.readers.keys import shown
from lossd.scoring.readers.kinds import NO_TEXT
from lossd.scoring.sources import Array, Source

_LIMIT: Final = 1 << 30
"""Bytes of a file of text."""

_NULLS: Final = ["", "#N/A", "#N/A N/A", "#NA", "N/A", "NA", "NULL", "n/a", "null"]
"""What is no number in CSV. pyarrow's list without its NaNs, which are numbers to a loss."""

_NO_UTF8: Final = "is not UTF-8; save the file as UTF-8"

_HEADER: Final = 16 << 20
"""Bytes that the first line of CSV can have."""

_LINE: Final = 64 << 20
"""Bytes that a line of JSON can have."""


def open_file(path: Path, key: str, *, text: bool) -> Source:
    """A column of a file, or several."""
    size = path.stat().st_size
    if size > _LIMIT:
        raise SourceError(
            f"{path}: is of {size / 1e9:.1f} GB; text is read up to {_LIMIT / 1e9:.1f} GB, convert "
            "it to Parquet"
        )
    if path.suffix.lower() in (".csv", ".tsv"):
        return _csv(path, key, text=text)
    return _json(path, key, text=text)


def _csv(path: Path, key: str, *, text: bool) -> Source:
    delimiter = "\t" if path.suffix.lower() == ".tsv" else ","
    with blamed(str(path), "a table of text", FAILURES), _explained(path):
        parsing = csv.ParseOptions(delimiter=delimiter)
        reading = csv.ReadOptions(use_threads=False, block_size=_HEADER)
        names = _header(path, reading, parsing)
        if len(names) == 1:  # an empty line is a row, whose value is missing
            parsing.ignore_empty_lines = False
            if _header(path, reading, parsing) != names:
                raise SourceError(f"{path}: begins with an empty line; CSV begins with a header")
        schema = pa.schema([(name, pa.null()) for name in names])
        wanted = choose_columns(str(path), key, schema, lambda _: None, text=True)
        if text and not wanted.several:
            return Table(path, key, _spelled(path, wanted.names[0], reading, parsing), text=True)
        converting = csv.ConvertOptions(include_columns=wanted.names, null_values=_NULLS)
        table = csv.read_csv(path, reading, parsing, converting)
        _check_numbers(path, table, reading, parsing)
        return Table(path, key, table, text=False)


def _spelled(
    path: Path, name: str, reading: csv.ReadOptions, parsing: csv.ParseOptions
) -> pa.Table:
    """A column as it stands in the file: 01 is not 1, and a date is no number of seconds.

    Whole numbers are numbers where that changes none of them.
    """
    converting = csv.ConvertOptions(
        include_columns=[name],
        column_types={name: pa.string()},
        null_values=[""],
        strings_can_be_null=True,
        quoted_strings_can_be_null=False,
    )
    table = csv.read_csv(path, reading, parsing, converting)
    [column] = table.columns
    try:
        numbers = column.cast(pa.int64())
    except pa.ArrowInvalid:
        return table
    return pa.table({name: numbers}) if numbers.cast(pa.string()).equals(column) else table


@contextlib.contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Have pyarrow's messages number rows from 0; it numbers them from 1 with the header first.

    Raises:
        SourceError: text of another encoding than UTF-8.
    """
    try:
        yield
    except UnicodeDecodeError as exc:
        raise SourceError(f"{path}: its header {_NO_UTF8}") from exc
    except pa.ArrowInvalid as exc:
        said = re.sub(r"Row #(\d+)", lambda found: f"row {int(found[1]) - 2}", str(exc))
        if "invalid UTF8" in said:
            row = re.search(r"row \d+", said)
            place = f"{path}, {row[0]}" if row else str(path)
            raise SourceError(f"{place}: {_NO_UTF8}") from exc
        raise pa.ArrowInvalid(said) from exc


def _check_numbers(
    path: Path, table: pa.Table, reading: csv.ReadOptions, parsing: csv.ParseOptions
) -> None:
    """Raise if a column is text, and say which cell made it that.

    Raises:
        SourceError: there is such a column.
    """
    for name in table.column_names:
        kind = table.schema.field(name).type
        if pa.types.is_binary(kind):
            _spelled(path, name, reading, parsing)  # raises, with the row that is not UTF-8
        if not pa.types.is_string(kind):
            continue
        wanted = csv.ConvertOptions(
            include_columns=[name], null_values=_NULLS, column_types={name: pa.float64()}
        )
        try:
            csv.read_csv(path, reading, parsing, wanted)
        except pa.ArrowInvalid as exc:
            cell = re.search(r"Row #(\d+): .*?invalid value '(.*)'", str(exc), re.DOTALL)
            what = f": row {int(cell[1]) - 2} has '{shown(cell[2])}'" if cell else ""
            raise SourceError(f"{path}, column {shown(name)}: {NO_TEXT}{what}") from exc


def _header(path: Path, reading: csv.ReadOptions, parsing: csv.ParseOptions) -> list[str]:
    with csv.open_csv(path, reading, parsing) as reader:
        names: list[str] = reader.schema.names
        return names


def _json(path: Path, key: str, *, text: bool) -> Source:
    with blamed(str(path), "a file of JSON lines", FAILURES):
        reading = json.ReadOptions(use_threads=False, block_size=_LINE)
        table = json.read_json(path, reading)
        if text and (undated := _undated(table.schema)) != table.schema:
            parsing = json.ParseOptions(explicit_schema=undated)
            table = json.read_json(path, reading, parsing)
        return Table(path, key, table, text=text)


def _undated(schema: pa.Schema) -> pa.Schema:
    """With strings for what pyarrow took for dates: JSON has none, and they are spelled anew."""

    def spelled(field: pa.Field) -> pa.Field:
        if pa.types.is_struct(field.type):
            return field.with_type(pa.struct([spelled(inner) for inner in field.type]))
        return field.with_type(pa.string()) if pa.types.is_timestamp(field.type) else field

    return pa.schema([spelled(field) for field in schema])


class Table(FileSource):
    """Columns of a table in memory."""

    kind: ClassVar[str] = "a table of text"
    failures: ClassVar[Failures] = FAILURES

    def __init__(self, path: Path, key: str, table: pa.Table, *, text: bool) -> None:
        def first_row(path: tuple[str, ...]) -> Any:
            return table.slice(0, 1)

        columns = choose_columns(str(path), key, table.schema, first_row, text=text)
        self._rows = columns.array(table, 0)
        super().__init__(path, key, len(self._rows), columns.shape, columns.dtype)

    def widen(self) -> None:
        """Have whole numbers be float64: what is 1 here may be 1.5 in another file."""
        if self.dtype.kind in "iu":
            self._rows = self._rows.astype(np.float64)
            self.dtype = self._rows.dtype

    def fetch(self, start: int, stop: int) -> Array:
        """A part of the array."""
        return self._rows[start:stop]
