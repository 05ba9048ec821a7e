"""The sum of what blocks give."""

from typing import Any

from lossd.compiled.sums import plus, whole
from lossd.kernels import cache


@cache.compiled("float64(float64[::1])")
def total(partial: Any) -> float:
    """The blocks' sums, float64[B], added in their order; what rounding lost is added last."""
    found = lost = 0.0
    for each in partial:
        found, lost = plus(found, lost, each)
    return whole(found, lost)  # type: ignore[no-any-return]
