"""Numbers between NumPy and Arrow, without copies.

pyarrow's own `array` and `to_numpy` load pandas, if there is one, to ask whether it was given a
series: half a second of a run.
"""

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Array = npt.NDArray[Any]


def column(array: Array, missing: Array | None = None) -> pa.Array:
    """Numbers as a column; `missing` are null.

    >>> import numpy as np
    >>> column(np.arange(3), np.array([False, True, False])).to_pylist()
    [0, None, 2]
    """
    absent = None
    if missing is not None and missing.any():
        absent = pa.py_buffer(np.packbits(~missing, bitorder="little"))
    packed = np.packbits(array, bitorder="little") if array.dtype == bool else array
    data = pa.py_buffer(np.ascontiguousarray(packed))
    return pa.Array.from_buffers(pa.from_numpy_dtype(array.dtype), len(array), [absent, data])


def numbers(column: pa.Array, instead: float = math.nan) -> Array:
    """A column's values, and what stands for those that are missing.

    >>> import pyarrow as pa
    >>> numbers(pa.array([0.5, None]))
    array([0.5, nan])
    """
    if not len(column):
        return np.empty(0, column.type.to_pandas_dtype())
    there, data = column.buffers()
    if pa.types.is_boolean(column.type):
        values = _bits(data, column).astype(bool)
    else:
        dtype = np.dtype(column.type.to_pandas_dtype())
        values = np.frombuffer(data, dtype, len(column), column.offset * dtype.itemsize)
    if not column.null_count:
        return values
    if values.dtype.kind != "f" and math.isnan(instead):
        raise ValueError(f"{column.null_count} of {len(column)} values are missing")
    return np.where(_bits(there, column), values, values.dtype.type(instead))


def _bits(buffer: pa.Buffer, column: pa.Array) -> Array:
    first = column.offset
    packed = np.frombuffer(buffer, np.uint8)
    return np.unpackbits(packed, count=first + len(column), bitorder="little")[first:]
