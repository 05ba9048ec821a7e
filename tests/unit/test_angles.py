"""The arctangent of kernels."""

from typing import Any

import numba
import numpy as np
import numpy.typing as npt
import pytest

from lossd.compiled.angles import angle

Array = npt.NDArray[Any]


@numba.njit(error_model="numpy")
def angles(y: Array, x: Array, found: Array) -> None:
    for i in range(y.size):
        found[i] = angle(y[i], x[i])


def computed(y: Array, x: Array) -> Array:
    found = np.empty_like(y)
    angles(y, x, found)
    return found


@pytest.mark.parametrize("spread", [0.5, 3, 60, 300])
def test_it_is_within_2_ulp(spread: float) -> None:
    rng = np.random.default_rng(int(spread))
    x = 10.0 ** rng.uniform(-spread, spread, 1 << 19)
    y = rng.choice([-1, 1], x.size) * 10.0 ** rng.uniform(-spread, spread, x.size)
    exact = np.arctan2(y.astype(np.longdouble), x.astype(np.longdouble))
    found = computed(y, x)
    unit = np.spacing(np.maximum(abs(exact).astype(np.float64), np.finfo(np.float64).tiny))
    assert (abs(found - exact) / unit).max() <= 2


def test_its_ends() -> None:
    inf, nan = np.inf, np.nan
    y = np.array([0.0, -0.0, 1, -1, 0, 1, inf, -inf, 1, 5e-324, nan, 1])
    x = np.array([0.0, 0.0, 0, 0, 1, 1, 1, 2, inf, 5e-324, 1, nan])
    np.testing.assert_array_equal(computed(y, x), np.arctan2(y, x))
    assert np.isnan(computed(np.array([inf]), np.array([inf]))).all()
