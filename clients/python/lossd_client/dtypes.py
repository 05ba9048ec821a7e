"""Types of two bytes, which NumPy knows in part (float16) or not at all (bfloat16)."""

import sys
from typing import Any, Final

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

BFLOAT16: Final = np.dtype([("bfloat16", "<u2")])
"""Stands for bfloat16 where ml_dtypes, which brings it to NumPy, is not loaded."""

FLOAT16: Final = np.dtype(np.float16)


def is_bfloat16(dtype: np.dtype[Any]) -> bool:
    """Whether it is ml_dtypes' bfloat16, or stands for it."""
    return dtype.kind == "V" and (dtype == BFLOAT16 or dtype.name == "bfloat16")


def is_half(dtype: np.dtype[Any]) -> bool:
    """Whether it is float16 or bfloat16."""
    return dtype == FLOAT16 or is_bfloat16(dtype)


def is_float(dtype: np.dtype[Any]) -> bool:
    """Whether it is a floating-point type of any size."""
    return dtype.kind == "f" or is_bfloat16(dtype)


def named(dtype: np.dtype[Any]) -> str:
    """Its name."""
    return "bfloat16" if is_bfloat16(dtype) else str(dtype)


def known(array: Array) -> Array:
    """The array in ml_dtypes' bfloat16 if that is loaded and the array stands for it."""
    loaded = sys.modules.get("ml_dtypes")
    return array.view(loaded.bfloat16) if loaded and array.dtype == BFLOAT16 else array


def widened(array: Array) -> Array:
    """The same values in float32, others as they are."""
    if array.dtype == FLOAT16:
        return array.astype(np.float32)
    if is_bfloat16(array.dtype):
        bits = np.ascontiguousarray(array).view(np.uint16).astype(np.uint32)
        return (bits << 16).view(np.float32).reshape(array.shape)
    return array


def narrowed(array: Array, dtype: np.dtype[Any]) -> Array:
    """The array in another type, rounded to the nearest value, ties to even."""
    if not is_bfloat16(dtype):
        with np.errstate(over="ignore"):
            return array.astype(dtype, copy=False)
    bits = np.ascontiguousarray(array, np.float32).view(np.uint32)
    rounded = (bits + 0x7FFF + (bits >> 16 & 1)) >> 16
    rounded = np.where(bits & 0x7FFFFFFF > 0x7F800000, bits >> 16 | 0x40, rounded)  # NaN
    return rounded.astype(np.uint16).view(dtype).reshape(array.shape)
