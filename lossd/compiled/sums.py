"""Sums of many values, in float64, to the last bits."""

from typing import Any

import numpy as np
from numba.extending import register_jitable


@register_jitable
def plus(total: Any, lost: Any, value: Any) -> Any:
    """A sum with one more value, and what it has lost by rounding so far (Knuth's two-sum)."""
    larger = total + value
    back = larger - total
    return larger, lost + ((total - (larger - back)) + (value - back))


@register_jitable
def whole(total: Any, lost: Any) -> Any:
    """A sum and what it has lost; what is not finite stays as it is."""
    return total + lost if np.isfinite(lost) else total
