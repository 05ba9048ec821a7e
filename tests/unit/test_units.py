"""Rows of norm 1, against PyTorch's normalize in float64."""

import numpy as np
import pytest
import torch

from lossd.kernels.units import TINY, Unit

RNG = np.random.default_rng(31)
WIDTHS = 0, 1, 2, 31, 32, 33, 100, 257


def by_torch(x: np.ndarray, upstream: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Unit rows, and the gradient that goes back through them."""
    leaf = torch.from_numpy(x.astype(np.float64)).requires_grad_()
    made = torch.nn.functional.normalize(leaf, eps=TINY)
    made.backward(torch.from_numpy(upstream.astype(np.float64)))
    assert leaf.grad is not None
    return made.detach().numpy(), leaf.grad.numpy()


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_rows_and_the_way_back(width: int, dtype: type) -> None:
    x = RNG.standard_normal((7, width)).astype(dtype) * dtype(10) ** RNG.integers(-6, 6, (7, 1))
    x = x.astype(dtype)
    upstream = RNG.standard_normal((7, width)).astype(dtype)
    rows, gradient = by_torch(x, upstream)
    unit, eps = Unit(x), np.finfo(dtype).eps
    assert unit.rows.dtype == dtype
    np.testing.assert_allclose(unit.rows, rows, rtol=2 * eps)
    size = np.linalg.norm(x.astype(np.float64), axis=1, keepdims=True)
    along = np.abs(upstream * rows).sum(1, keepdims=True)
    terms = (np.abs(upstream) + along * np.abs(rows)) / size
    found = unit.back(upstream, 3.0)
    assert found is upstream
    assert (np.abs(found - 3.0 * gradient) <= 3.0 * 4 * eps * terms).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_rows_of_nearly_nothing(dtype: type) -> None:
    """Norms below TINY count as it, and do not change with their rows."""
    x = np.array([[0, 0], [3e-14, -4e-14], [TINY, 0]], dtype)
    upstream = np.array([[1, 2], [3, 4], [5, 6]], dtype)
    rows, gradient = by_torch(x[:2], upstream[:2])
    unit = Unit(x)
    np.testing.assert_allclose(unit.rows[:2], rows, rtol=1e-6)
    np.testing.assert_allclose(unit.back(upstream)[:2], gradient, rtol=1e-6)


def test_what_is_not_finite_stays_in_its_row() -> None:
    x = np.array([[1, np.nan], [np.inf, 1], [3, 4]], np.float32)
    unit = Unit(x)
    assert np.isnan(unit.rows[0]).all()
    assert np.isnan(unit.rows[1, 0])
    assert unit.rows[1, 1] == 0
    np.testing.assert_array_equal(unit.rows[2], np.float32([0.6, 0.8]))
    found = unit.back(np.ones((3, 2), np.float32))
    assert np.isnan(found[:2]).any(1).all()
    assert np.isfinite(found[2]).all()


def test_arrays_as_they_come() -> None:
    """Strided, read-only, empty."""
    whole = RNG.standard_normal((6, 10), np.float32)
    whole.flags.writeable = False
    np.testing.assert_array_equal(Unit(whole[::2, ::-1]).rows, Unit(whole[::2, ::-1].copy()).rows)
    assert Unit(whole[:0]).rows.shape == (0, 10)
