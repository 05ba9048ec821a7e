"""Which types of numbers and text are read, and as what."""

import sys
from typing import Any, Final

import numpy as np
from lossd_client.dtypes import BFLOAT16, is_bfloat16, known

from lossd.scoring.errors import SourceError
from lossd.scoring.sources import Array

TEXT: Final = np.dtype(object)

FLOATS: Final = (np.dtype(np.float16), np.dtype(np.float32), np.dtype(np.float64))

NO_TEXT: Final = "holds text, where numbers are needed"


def bfloat16() -> np.dtype[Any]:
    """ml_dtypes' bfloat16 if that is loaded, or what stands for it."""
    return known(np.empty(0, BFLOAT16)).dtype


def readable(dtype: np.dtype[Any], where: str, *, text: bool) -> np.dtype[Any]:
    """The type that numbers or strings of a stored type are given in.

    Raises:
        SourceError: no numbers, and no strings where those are allowed.
    """
    if dtype.kind in "UST":
        if not text:
            raise SourceError(f"{where}: {NO_TEXT}")
        return TEXT
    if is_bfloat16(dtype):
        return bfloat16()
    native = dtype.newbyteorder("=")
    if native.kind in "biu" or native in FLOATS:
        return native
    if dtype.kind == "V" and dtype.itemsize == 2 and not dtype.names:
        raise SourceError(
            f"{where}: has two bytes an element that have lost their type (V2), as NumPy stores "
            "ml_dtypes' bfloat16; save it as float32, or with safetensors, which knows bfloat16"
        )
    raise SourceError(
        f"{where}: has dtype {dtype}; floats of 16 to 64 bits, integers and booleans can be read"
    )


def given(stored: Array, dtype: np.dtype[Any]) -> Array:
    """Stored elements as what `readable` said, C-contiguous.

    Raises:
        ValueError: damaged text.
    """
    if is_bfloat16(dtype):
        return np.ascontiguousarray(stored).view(dtype)
    if dtype != TEXT:
        return np.ascontiguousarray(stored, dtype)
    if stored.dtype.kind == "S":
        stored = np.char.decode(stored, "utf-8")
    elif stored.dtype.kind == "U":
        codes = np.ascontiguousarray(stored, stored.dtype.newbyteorder("=")).view(np.uint32)
        lone = (codes >= 0xD800) & (codes < 0xE000)  # surrogates: UTF-8 has none
        if codes.max(initial=0) > sys.maxunicode or lone.any():  # NumPy would raise a SystemError
            raise ValueError("has characters that are not in Unicode")
    return np.ascontiguousarray(stored.astype(object))
