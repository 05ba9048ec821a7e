"""Sums of many values, in float64, to the last bits."""

from typing import Any, Final

import numpy as np
from numba.extending import register_jitable

from lossd.mathfns import exact_sum, typed

_exact_sum: Final = typed(exact_sum, np.float64)


@register_jitable
def plus(total: Any, lost: Any, value: Any) -> Any:
    """A sum with one more value, and what it has lost by rounding so far."""
    larger, rest = _exact_sum(total, value)
    return larger, lost + rest


@register_jitable
def whole(total: Any, lost: Any) -> Any:
    """A sum and what it has lost; what is not finite stays as it is."""
    return total + lost if np.isfinite(lost) else total
