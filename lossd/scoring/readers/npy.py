"""NumPy's .npy."""

import tokenize
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np
from numpy.lib import format as npy_format

from lossd.scoring.errors import SourceError
from lossd.scoring.readers.base import Failures, blamed
from lossd.scoring.readers.flat import Flat
from lossd.scoring.sources import Shape, Source

KIND: Final = "a .npy file"

HEADER_FAILURES: Final[Failures] = (
    *(EOFError, KeyError, MemoryError, OSError, RecursionError, SyntaxError, TypeError, ValueError),
    tokenize.TokenError,
)
"""What NumPy raises on a damaged header, which it reads as a Python literal."""

_READ: Final[Mapping[tuple[int, int], Callable[[BinaryIO], Any]]] = {
    (1, 0): npy_format.read_array_header_1_0,
    (2, 0): npy_format.read_array_header_2_0,
}

Header = tuple[Shape, bool, np.dtype[Any]]
"""Shape, whether Fortran's order, and type."""


def open_file(path: Path, key: str, *, text: bool) -> Source:
    """The array of a file."""
    if key:
        raise SourceError(f"{path}: holds one array without a name; leave out '::{key}'")
    with path.open("rb") as file:
        shape, fortran, stored = read_header(file, str(path))
        offset = file.tell()
        end = file.seek(0, 2)
    return Flat(
        path, "", stored=stored, shape=shape, offset=offset, end=end, fortran=fortran, text=text
    )


def read_header(file: BinaryIO, where: str) -> Header:
    """An array's header; the file stands at its first element then.

    Raises:
        SourceError: damaged, or of Python objects, which would have to be unpickled.
    """
    with blamed(where, KIND, HEADER_FAILURES), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # headers of Python 2
        version = npy_format.read_magic(file)
        if version not in _READ:  # 3.0 differs in the names of a structure's fields
            raise ValueError(f"version {version[0]}.{version[1]} is for structures of fields")
        try:
            shape, fortran, dtype = _READ[version](file)
        except HEADER_FAILURES as exc:  # NumPy's advice is to trust the file
            raise SourceError(
                f"{where}: damaged or cut short: its header does not tell a shape, an order and a "
                "type; save the array again with np.save"
            ) from exc
    if dtype.hasobject:
        raise SourceError(
            f"{where}: holds Python objects, which run code when they are loaded; save numbers, or "
            "strings of a fixed width, as array.astype(str)"
        )
    return shape, fortran, dtype
