"""Exact order statistics of numbers that are read again and again, in constant memory.

Floats sort like unsigned integers once their bits are turned round; sixteen bits are decided in
each pass, as a radix sort does.
"""

from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from typing import Any, Final

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Values = Callable[[], Iterable[Array]]

_DIGIT: Final = 16


def order_statistics(values: Values, ranks: Sequence[int], dtype: npt.DTypeLike) -> list[float]:
    """The numbers of the given ranks, counted from 0, among all numbers in ascending order.

    Args:
        values: gives all numbers, in pieces, each time it is called; none is NaN.
        ranks: which are asked for.
        dtype: float32 or float64, that of the pieces.
    """
    kind = np.dtype(dtype)
    bits = 8 * kind.itemsize
    word = np.dtype(f"u{kind.itemsize}")
    found = dict.fromkeys(ranks, 0)  # the digits that are known, of each rank
    left = {rank: rank for rank in ranks}  # ranks among those that share them
    for shift in range(bits - _DIGIT, -1, -_DIGIT):
        counts = {prefix: np.zeros(1 << _DIGIT, np.int64) for prefix in found.values()}
        for piece in values():
            keys = _ascending(piece, word)
            above, digits = _split(keys, shift, bits)
            for prefix in counts:
                mine = digits[above == prefix] if above is not None else digits
                counts[prefix] += np.bincount(mine, minlength=1 << _DIGIT)
        for rank in ranks:
            ends = np.cumsum(counts[found[rank]])
            digit = int(np.searchsorted(ends, left[rank], side="right"))
            left[rank] -= int(ends[digit - 1]) if digit else 0
            found[rank] = found[rank] << _DIGIT | digit
    return [_number(found[rank], word, kind) for rank in ranks]


def quantiles(
    values: Values, count: int, probabilities: Sequence[float], dtype: npt.DTypeLike
) -> list[float]:
    """Quantiles of `count` numbers, as `numpy.quantile` interpolates by default; rounded once."""
    places = [p * (count - 1) for p in probabilities]
    lower = [int(place) for place in places]
    ranks = sorted({*lower, *(min(rank + 1, count - 1) for rank in lower)})
    at = dict(zip(ranks, order_statistics(values, ranks, dtype), strict=True))
    return [
        _between(at[rank], at[min(rank + 1, count - 1)], place - rank)
        for rank, place in zip(lower, places, strict=True)
    ]


def _between(low: float, high: float, part: float) -> float:
    """What lies between two numbers, however far they are from each other."""
    return float(Fraction(low) + (Fraction(high) - Fraction(low)) * Fraction(part))


def _ascending(piece: Array, word: np.dtype[Any]) -> Array:
    """Integers in the order of the numbers: negative ones have all bits turned, others the sign."""
    keys = np.ascontiguousarray(piece).view(word)
    sign = word.type(1 << (8 * word.itemsize - 1))
    turned: Array = np.where(keys & sign, ~keys, keys | sign)
    return turned


def _split(keys: Array, shift: int, bits: int) -> tuple[Array | None, Array]:
    """The digits above a place, None at the first, and the digit there."""
    digits = (keys >> keys.dtype.type(shift)) & keys.dtype.type((1 << _DIGIT) - 1)
    if shift + _DIGIT >= bits:
        return None, digits
    return keys >> keys.dtype.type(shift + _DIGIT), digits


def _number(key: int, word: np.dtype[Any], kind: np.dtype[Any]) -> float:
    sign = 1 << (8 * word.itemsize - 1)
    mask = (1 << (8 * word.itemsize)) - 1
    return float(np.array(key ^ sign if key & sign else ~key & mask, word).view(kind))
