"""Columns of Arrow's tables as arrays: Parquet's, Arrow's own, CSV's and JSON's."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lossd.scoring import arrow
from lossd.scoring.errors import SourceError
from lossd.scoring.readers.base import Failures
from lossd.scoring.readers.keys import choose, choose_several, shown
from lossd.scoring.readers.kinds import NO_TEXT, TEXT
from lossd.scoring.sources import Array, Shape

FAILURES: Final[Failures] = (
    *(pa.ArrowException, OSError, ValueError, KeyError, IndexError, TypeError),
    *(OverflowError, MemoryError),
)
"""What pyarrow raises on damaged files."""

FirstRow = Callable[[tuple[str, ...]], Any]
"""A row of a column, which is named with the structures around it; None if there is none."""

Leaves = dict[str, tuple[tuple[str, ...], pa.DataType]]
"""Columns by their names with dots: where they are in structures, and their types."""


@dataclass(frozen=True)
class Columns:
    """What is read of a table: one column, or several columns of numbers side by side.

    Attributes:
        where: the file, for messages.
        paths: of each column, the names of the structures around it, and its own.
        lists: lengths of the lists in a row, outermost first.
        shape: of a row.
        dtype: of what is read.
        several: whether the columns are a row's elements, though there be only one.
    """

    where: str
    paths: tuple[tuple[str, ...], ...]
    lists: Shape
    shape: Shape
    dtype: np.dtype[Any]
    several: bool = False

    @property
    def names(self) -> list[str]:
        """The columns' names, with dots."""
        return [".".join(path) for path in self.paths]

    def array(self, table: Any, first: int) -> Array:
        """Rows of a table, or of a batch, that has these columns.

        Args:
            table: the rows.
            first: which row of the file is the first of them.

        Raises:
            SourceError: a null, or a list of another length; names the row.
        """
        table.validate(full=True)  # damage must not be followed as a pointer
        found = [self._column(table, path, first) for path in self.paths]
        if self.several:
            return np.stack(found, axis=1)
        return found[0]

    def _column(self, table: Any, path: tuple[str, ...], first: int) -> Array:
        column = table.column(path[0])
        for name in path[1:]:
            column = pc.struct_field(column, name)
        parts = []
        for chunk in column.chunks if isinstance(column, pa.ChunkedArray) else [column]:
            flat = self._flat(chunk, path, first)
            shape = () if self.several else self.shape
            parts.append(flat.reshape(len(chunk), *shape))
            first += len(chunk)
        return parts[0] if len(parts) == 1 else np.concatenate(parts or [self._nothing()])

    def _nothing(self) -> Array:
        return np.empty((0, *(() if self.several else self.shape)), self.dtype)

    def _flat(self, array: pa.Array, path: tuple[str, ...], first: int) -> Array:
        """All numbers of an array, in order."""
        what = f"{self.where}, column {'.'.join(path)}"
        per_row = 1
        for length in (*self.lists, None):
            if isinstance(array, pa.ExtensionArray):
                array = array.storage
            if pa.types.is_dictionary(array.type):
                array = array.dictionary_decode()
            if array.null_count:
                row = first + int(np.argmax(array.is_null())) // per_row
                raise SourceError(
                    f"{what}, row {row}: is null; this part of the file has {array.null_count} "
                    "nulls"
                )
            if length is not None:
                array = _inner(array, length, what, first, per_row)
                per_row *= max(length, 1)
        if pa.types.is_temporal(array.type):
            array = _iso(array)
        text = not pa.types.is_primitive(array.type)
        values: Array = array.to_numpy(zero_copy_only=False) if text else arrow.numbers(array)
        return values.astype(self.dtype, copy=False)


def _iso(array: pa.Array) -> pa.Array:
    """Dates and times as ISO 8601 has them, a fraction of a second only where there is one."""
    spelled = pc.replace_substring(array.cast(pa.string()), " ", "T")
    return pc.replace_substring_regex(spelled, r"[.]0+([Z+-].*)?$", r"\1")


def _inner(array: pa.Array, length: int, what: str, first: int, per_row: int) -> pa.Array:
    """The elements of lists, of which each row has `per_row`, that must all be of a length."""
    if pa.types.is_fixed_size_list(array.type):
        return array.values.slice(array.offset * length, len(array) * length)
    offsets = arrow.numbers(array.offsets)
    wrong = np.diff(offsets) != length
    if wrong.any():
        at = int(np.argmax(wrong))
        has = offsets[at + 1] - offsets[at]
        raise SourceError(
            f"{what}, row {first + at // per_row}: has {has} numbers, where the rows before have "
            f"{length}"
        )
    return array.values.slice(offsets[0], len(array) * length)


def choose_columns(
    where: str, key: str, schema: pa.Schema, first_row: FirstRow, *, text: bool
) -> Columns:
    """What a key names in a table.

    Args:
        where: the file.
        key: a column, "p0,p1" or "p*" for several, "" for the only one.
        schema: the table's.
        first_row: gives the first row of a column, or None if there is none.
        text: whether a column may be of strings.

    Raises:
        SourceError: it names nothing, or what cannot be read.
    """
    leaves = _leaves(where, schema)
    names = choose_several(where, key, leaves)
    if names is not None:
        return _several(where, names, leaves)
    data = [name for name in leaves if not name.startswith("__index_level_")]  # pandas' index
    name = choose(where, key, leaves if key else data, "columns")
    path, kind = leaves[name]
    what = f"{where}, column {name}"
    dtype, lists, tensor = _layout(kind, what, text=text)
    if None in lists:
        lists = _lengths(first_row(path), path, lists)
    known = tuple(length or 0 for length in lists)
    return Columns(where, (path,), known, tensor or known, dtype)


def _several(where: str, names: list[str], leaves: Leaves) -> Columns:
    """Columns of numbers as the elements of rows, in the type that has them all."""
    dtypes = []
    for name in names:
        dtype, lists, _ = _layout(leaves[name][1], f"{where}, column {name}", text=False)
        if lists:
            raise SourceError(f"{where}, column {name}: is of lists; several columns of numbers")
        dtypes.append(dtype)
    paths = tuple(leaves[name][0] for name in names)
    return Columns(where, paths, (), (len(names),), np.result_type(*dtypes), several=True)


def _leaves(where: str, schema: pa.Schema) -> Leaves:
    """All columns, of structures those within."""
    found: Leaves = {}

    def note(field: pa.Field, path: tuple[str, ...]) -> None:
        path = (*path, field.name)
        if pa.types.is_struct(field.type):
            for k in range(field.type.num_fields):
                note(field.type.field(k), path)
            return
        name = ".".join(path)
        if name in found:
            raise SourceError(f"{where}: has two columns of the name '{shown(name)}'")
        found[name] = path, field.type

    for field in schema:
        note(field, ())
    return found


def _layout(
    kind: pa.DataType, what: str, *, text: bool
) -> tuple[np.dtype[Any], tuple[int | None, ...], Shape]:
    """Type of the elements, lengths of the lists (None if they vary), the shape of tensors."""
    if isinstance(kind, pa.FixedShapeTensorType):
        order = kind.permutation
        if order is not None and list(order) != sorted(order):
            raise SourceError(f"{what}: is of tensors whose axes are permuted; store them in order")
        dtype, _, _ = _layout(kind.value_type, what, text=False)
        return dtype, (math.prod(kind.shape),), tuple(kind.shape)
    if isinstance(kind, pa.BaseExtensionType):
        return _layout(kind.storage_type, what, text=text)
    if pa.types.is_dictionary(kind):
        return _layout(kind.value_type, what, text=text)
    if pa.types.is_fixed_size_list(kind):
        dtype, lists, _ = _layout(kind.value_type, what, text=False)
        return dtype, (kind.list_size, *lists), ()
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        dtype, lists, _ = _layout(kind.value_type, what, text=False)
        return dtype, (None, *lists), ()
    return _element(kind, what, text=text), (), ()


def _element(kind: pa.DataType, what: str, *, text: bool) -> np.dtype[Any]:
    types = pa.types
    if types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind):
        if not text:
            raise SourceError(f"{what}: {NO_TEXT}")
        return TEXT
    if text and (types.is_date(kind) or types.is_time(kind) or types.is_timestamp(kind)):
        return TEXT
    if types.is_null(kind):  # of no rows, or of nulls, which are refused when they are read
        return np.dtype(np.float64)
    if types.is_boolean(kind) or types.is_integer(kind) or types.is_floating(kind):
        dtype: np.dtype[Any] = np.dtype(kind.to_pandas_dtype())
        return dtype
    raise SourceError(
        f"{what}: is of type {kind}; floats of 16 to 64 bits, integers and booleans can be read"
    )


def _lengths(
    table: Any, path: tuple[str, ...], lists: tuple[int | None, ...]
) -> tuple[int | None, ...]:
    """Lengths of the lists, those that vary as they are in the first row."""
    value = None
    if table is not None and len(table):
        table.validate(full=True)
        value = table.column(path[0])[0]
    for name in path[1:]:
        value = value[name] if value is not None else None
    found = []
    inner = value.as_py() if value is not None else None
    for length in lists:
        found.append(length if length is not None else len(inner or ()))
        inner = inner[0] if inner else None
    return tuple(found)
