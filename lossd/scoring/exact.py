"""Sums that do not depend on an order: of float64 numbers, without any rounding.

A number is a whole multiple of 2^-1074, so that a sum is a whole number, kept in pieces of 32 bits
while an array is added (R. M. Neal, "Fast exact summation using small and large superaccumulators",
https://arxiv.org/abs/1505.05571) and in one Python integer otherwise.
"""

import math
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from lossd.kernels import cache

_PIECES: Final = 68  # of 32 bits: 2098 bits of a float64's range, and room for carries
_AT_ONCE: Final = 1 << 28  # numbers of which no piece can overflow
_UNIT: Final = 1 << 1074
_LARGE: Final = 2.0**480  # up to here, and down to its inverse, squares and their rests are exact
_FAR: Final = 600  # numbers beyond are there when they are shifted by so many bits
_HALVES: Final = 2.0**27 + 1  # cuts a number into two of half the bits


@cache.compiled("void(Array(float64, 1, 'C', readonly=True), int64[::1], int64[::1])")
def _add(values: Any, pieces: Any, others: Any) -> None:
    """Add numbers to `pieces`; count what is not finite in `others`: NaN, infinity, -infinity."""
    bits = values.view(np.int64)
    for i in range(values.size):
        word = bits[i]
        exponent = (word >> 52) & 0x7FF
        fraction = word & 0xFFFFFFFFFFFFF
        if exponent == 0x7FF:
            others[0 if fraction else (2 if word < 0 else 1)] += 1
            continue
        shift = exponent
        if exponent:
            fraction |= 1 << 52
            shift -= 1
        at, by = shift >> 5, shift & 31
        low = (fraction & 0xFFFFFFFF) << by
        high = (fraction >> 32) << by
        sign = -1 if word < 0 else 1
        pieces[at] += sign * (low & 0xFFFFFFFF)
        pieces[at + 1] += sign * ((low >> 32) + (high & 0xFFFFFFFF))
        pieces[at + 2] += sign * (high >> 32)


@cache.compiled("boolean(Array(float64, 1, 'C', readonly=True), float64[::1], float64[::1])")
def _square(values: Any, squares: Any, rests: Any) -> bool:
    """Squares, which have twice as many bits, as float64 numbers and what those lack.

    False if a number is too large or too small for that.

    References:
        T. J. Dekker: A floating-point technique for extending the available precision, 1971.
    """
    for i in range(values.size):
        x = values[i]
        size = abs(x)
        if size >= _LARGE or 0 < size < 1 / _LARGE:
            return False
        high = x * _HALVES - (x * _HALVES - x)
        low = x - high
        square = x * x
        squares[i] = square
        rests[i] = ((high * high - square) + 2 * high * low) + low * low
    return True


@dataclass
class ExactSum:
    """The sum of float64 numbers; equal for the same numbers in any order and grouping.

    Attributes:
        units: the sum of the finite ones in units of 2^-1074.
        nan, positive, negative: how many are NaN, infinity and -infinity.

    >>> total = ExactSum()
    >>> total.add(np.array([1e100, 1.0, -1e100]))
    >>> float(total)
    1.0
    """

    units: int = 0
    nan: int = 0
    positive: int = 0
    negative: int = 0
    _pieces: npt.NDArray[np.int64] = field(
        default_factory=lambda: np.zeros(_PIECES, np.int64), repr=False, compare=False
    )

    def add(self, values: npt.ArrayLike) -> None:
        """Add all numbers of an array."""
        array = np.ascontiguousarray(values, np.float64).reshape(-1)
        others = np.zeros(3, np.int64)
        for start in range(0, array.size, _AT_ONCE):
            self._pieces[:] = 0
            _add(array[start : start + _AT_ONCE], self._pieces, others)
            self.units += sum(int(piece) << 32 * k for k, piece in enumerate(self._pieces) if piece)
        self.nan += int(others[0])
        self.positive += int(others[1])
        self.negative += int(others[2])

    def merge(self, other: "ExactSum") -> None:
        """Add another sum."""
        self.units += other.units
        self.nan += other.nan
        self.positive += other.positive
        self.negative += other.negative

    @property
    def finite(self) -> Fraction:
        """The sum of the finite numbers."""
        return Fraction(self.units, _UNIT)

    def over(self, divisor: "ExactSum | int") -> float:
        """The quotient, rounded once, as IEEE 754 has it: 0 / 0 is NaN."""
        below = divisor if isinstance(divisor, ExactSum) else ExactSum(divisor * _UNIT)
        top, bottom = self._special(), below._special()
        if top is not None or bottom is not None or not below.units:
            return _quotient(float(self), float(below))
        return rounded(Fraction(self.units, below.units))

    def __float__(self) -> float:
        """The sum, rounded once; NaN and infinities as an addition would have them."""
        special = self._special()
        return rounded(self.finite) if special is None else special

    def _special(self) -> float | None:
        if self.nan or (self.positive and self.negative):
            return math.nan
        if self.positive or self.negative:
            return math.inf if self.positive else -math.inf
        return None

    def dump(self) -> list[int | str]:
        """What `load` takes, for JSON."""
        return [hex(self.units), self.nan, self.positive, self.negative]

    @classmethod
    def load(cls, dumped: list[Any]) -> "ExactSum":
        """A sum that was dumped."""
        units, nan, positive, negative = dumped
        return cls(int(units, 16), nan, positive, negative)


class SumOfSquares:
    """The sum of the squares of float64 numbers, without any rounding; all are finite."""

    def __init__(self) -> None:
        self._sums = {shift: ExactSum() for shift in (0, -_FAR, _FAR)}

    def add(self, values: npt.NDArray[np.float64]) -> None:
        """Add the squares of an array's numbers; of far ones in other units."""
        squares, rests = np.empty((2, values.size))
        if _square(values, squares, rests):
            self._sums[0].add(squares)
            if rests.any():
                self._sums[0].add(rests)
            return
        size = np.abs(values)
        large, small = size >= _LARGE, (size < 1 / _LARGE) & (size > 0)
        for shift, mine in ((0, ~large & ~small), (-_FAR, large), (_FAR, small)):
            near = np.ldexp(values[mine], shift)
            squares, rests = np.empty((2, near.size))
            _square(near, squares, rests)
            self._sums[shift].add(squares)
            self._sums[shift].add(rests)

    @property
    def value(self) -> Fraction:
        """The sum."""
        return sum(
            (each.finite * Fraction(4) ** -shift for shift, each in self._sums.items()), Fraction()
        )


def edges_between(low: float, high: float, bins: int) -> npt.NDArray[np.float64]:
    """Edges of bins of equal width; both ends may be as far apart as float64 numbers are."""
    edges: npt.NDArray[np.float64] = 2 * np.linspace(low / 2, high / 2, bins + 1)
    return edges


def root(value: Fraction) -> float:
    """The square root, also of what is itself too large or too small for a float64."""
    shift = (value.numerator.bit_length() - value.denominator.bit_length()) // 2
    half = Fraction(math.sqrt(value / Fraction(4) ** shift))
    return rounded(half * Fraction(2) ** shift)


def rounded(value: Fraction) -> float:
    """The nearest float64, infinite beyond the largest."""
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def _quotient(top: float, bottom: float) -> float:
    with np.errstate(all="ignore"):
        return float(np.float64(top) / np.float64(bottom))
