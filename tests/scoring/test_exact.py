"""Sums without rounding, and quantiles without sorting."""

import math
from collections.abc import Iterator
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lossd.scoring.exact import ExactSum, SumOfSquares, root
from lossd.scoring.quantiles import order_statistics, quantiles

FLOATS = st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=50)


def total(*arrays: object) -> ExactSum:
    found = ExactSum()
    for array in arrays:
        found.add(array)  # type: ignore[arg-type]
    return found


@settings(deadline=None)
@example([2.0**1023] * 2, 0)
@example([-(2.0**1023)] * 2, 1)
@given(FLOATS, st.integers(0, 50))
def test_sum_is_rounded_once_whatever_the_grouping(values: list[float], at: int) -> None:
    found = total(values)
    assert found == total(values[at:][::-1], values[:at])
    exact = sum(map(Fraction, values), Fraction())  # math.fsum gives up where a part overflows
    try:
        expected = float(exact)
    except OverflowError:
        expected = math.inf if exact > 0 else -math.inf
    assert float(found) == expected


@settings(deadline=None)
@given(FLOATS, FLOATS)
def test_merged_sums_are_the_sum(one: list[float], other: list[float]) -> None:
    merged = total(one)
    merged.merge(total(other))
    assert merged == total(one + other)
    assert ExactSum.load(merged.dump()) == merged


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([1e308, 1e308, -1e308], 1e308),
        ([1e308, 1e308], math.inf),
        ([-1e308, -1e308], -math.inf),
        ([5e-324, 5e-324], 1e-323),
        ([math.inf, 1.0], math.inf),
        ([-math.inf, 1e308], -math.inf),
        ([], 0.0),
    ],
)
def test_extremes(values: list[float], expected: float) -> None:
    assert float(total(values)) == expected


@pytest.mark.parametrize("values", [[math.nan], [math.inf, -math.inf], [math.nan, math.inf]])
def test_sums_that_are_not_numbers(values: list[float]) -> None:
    assert math.isnan(float(total(values)))
    assert math.isnan(total(values).over(3))


def test_many_numbers_of_all_sizes() -> None:
    random = np.random.default_rng(0)
    values = random.standard_normal(300_000) * 10.0 ** random.integers(-300, 290, 300_000)
    assert float(total(values)) == math.fsum(values)


def test_quotients() -> None:
    assert total([1.0]).over(3) == 1 / 3
    assert total([2.0]).over(total([0.5, 0.5, 2.0])) == 2 / 3
    assert math.isnan(total([]).over(0))
    assert total([1.0]).over(0) == math.inf
    assert total([math.inf]).over(2) == math.inf


@settings(deadline=None)
@given(FLOATS)
def test_squares_are_not_rounded(values: list[float]) -> None:
    found = SumOfSquares()
    found.add(np.array(values, np.float64))
    found.add(np.array(values[:3], np.float64))
    assert found.value == sum(Fraction(value) ** 2 for value in values + values[:3])


@pytest.mark.parametrize("value", [0.0, 2.0, 5e-324, 1e-200, 1e200, 1.7e308])
def test_roots(value: float) -> None:
    assert root(Fraction(value)) == math.sqrt(value)
    assert root(Fraction(value) ** 2) == value
    assert root(Fraction(1.7e308) ** 2 * 4) == math.inf


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_order_statistics_and_quantiles(dtype: type) -> None:
    random = np.random.default_rng(1)
    values = (random.standard_normal(5000) * 10.0 ** random.integers(-30, 30, 5000)).astype(dtype)
    values[::7] = values[3]  # ties
    values[5], values[6] = -0.0, 0.0

    def pieces() -> Iterator[np.ndarray]:
        yield from np.array_split(values, 7)

    ordered = np.sort(values)
    ranks = [0, 1, 2500, 4998, 4999]
    assert order_statistics(pieces, ranks, dtype) == [float(ordered[rank]) for rank in ranks]
    wanted = (0.0, 0.01, 0.5, 0.777, 1.0)
    np.testing.assert_allclose(
        quantiles(pieces, values.size, wanted, dtype),
        np.quantile(values.astype(np.float64), wanted),
        rtol=1e-14,
    )


def test_the_quantile_of_one_number() -> None:
    assert quantiles(lambda: [np.float32([2.5])], 1, (0.0, 0.3, 1.0), np.float32) == [2.5] * 3


def test_quantiles_between_numbers_that_are_far_apart() -> None:
    ends = np.array([-1.7e308, 1.7e308])
    assert quantiles(lambda: [ends], 2, (0.0, 0.5, 1.0), np.float64) == [-1.7e308, 0.0, 1.7e308]
