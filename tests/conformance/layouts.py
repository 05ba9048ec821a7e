"""The same values, laid out otherwise in memory."""

from collections.abc import Callable
from typing import Final

import numpy as np

from .model import Array


def spaced(array: Array) -> Array:
    """Every second element of something larger, along every dimension."""
    room = np.zeros(tuple(2 * n for n in array.shape), array.dtype)
    view = room[(..., *(slice(None, None, 2) for _ in array.shape))]
    view[...] = array
    return view


def reversed_(array: Array) -> Array:
    """The same values with negative strides."""
    flip = tuple(slice(None, None, -1) for _ in array.shape)
    return array[flip].copy()[flip]


def read_only(array: Array) -> Array:
    copy = array.copy()
    copy.flags.writeable = False
    return copy


def unaligned(array: Array) -> Array:
    room = np.zeros(array.nbytes + 1, np.uint8)
    view = np.frombuffer(room, np.uint8, array.nbytes, 1).view(array.dtype).reshape(array.shape)
    view[...] = array
    return view


LAYOUTS: Final[dict[str, Callable[[Array], Array]]] = {
    "as it is": lambda array: array,
    "Fortran order": lambda array: np.array(array, order="F"),
    "spaced": spaced,
    "negative strides": reversed_,
    "read-only": read_only,
    "unaligned": unaligned,
}
