"""Rows of norm 1, and the way back to the rows that they were made of."""

import math
from typing import Any, Final

import numba as nb
import numpy as np
import numpy.typing as npt
from numba import carray
from numba.extending import register_jitable

from lossd.compiled.instructions import larger
from lossd.compiled.lanes import added, fill
from lossd.compiled.stack import stack
from lossd.kernels import cache

Array = npt.NDArray[Any]

TINY: Final = 1e-12
"""Norms below it count as it, as in torch.nn.functional.normalize."""

_LANES: Final = 32


class Unit:
    """Rows of norm 1.

    Args:
        x: (N, D), float32 or float64.

    Attributes:
        rows: x with each row divided by its norm.
    """

    def __init__(self, x: Array) -> None:
        given = np.ascontiguousarray(x)
        self.rows = np.empty_like(given)
        self._norms = np.empty(len(given))
        _normalize(given, self.rows, self._norms)

    def back(self, gradient: Array, factor: float = 1.0) -> Array:
        """`factor` times a gradient, with respect to the rows as they were given.

        Args:
            gradient: (N, D), contiguous, with respect to `rows`; it is overwritten.
            factor: what it is multiplied by.
        """
        _go_back(gradient, self.rows, self._norms, factor)
        return gradient


@register_jitable
def _dot(x: Any, y: Any, lanes: Any) -> Any:
    """The product of two rows, added in float64."""
    fill(lanes, 0.0)
    full = x.size - x.size % _LANES
    for base in range(0, full, _LANES):
        for j in range(_LANES):
            lanes[j] += np.float64(x[base + j]) * np.float64(y[base + j])
    for j in range(x.size - full):
        lanes[j] += np.float64(x[full + j]) * np.float64(y[full + j])
    return added(lanes)


@cache.compiled(
    "void(Array(float32, 2, 'C', readonly=True), float32[:, ::1], float64[::1])",
    "void(Array(float64, 2, 'C', readonly=True), float64[:, ::1], float64[::1])",
    error_model="numpy",
)
def _normalize(x: Any, rows: Any, norms: Any) -> None:
    lanes = carray(stack(nb.float64, _LANES), _LANES)
    for i in range(len(x)):
        given, made = x[i], rows[i]
        norms[i] = norm = math.sqrt(_dot(given, given, lanes))
        divisor = x.dtype.type(larger(norm, TINY))
        for j in range(given.size):
            made[j] = given[j] / divisor


@cache.compiled(
    "void(float32[:, ::1], float32[:, ::1], float64[::1], float64)",
    "void(float64[:, ::1], float64[:, ::1], float64[::1], float64)",
    error_model="numpy",
)
def _go_back(gradient: Any, rows: Any, norms: Any, factor: float) -> None:
    lanes = carray(stack(nb.float64, _LANES), _LANES)
    kind = gradient.dtype.type
    for i in range(len(rows)):
        g, z, norm = gradient[i], rows[i], norms[i]
        along = kind(0 if norm <= TINY else _dot(g, z, lanes))
        scale = kind(factor / larger(norm, TINY))
        for j in range(g.size):
            g[j] = (g[j] - along * z[j]) * scale
