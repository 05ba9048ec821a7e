"""Lanes: short arrays that kernels work on side by side."""

from typing import Any, Final

import numpy as np
from numba.extending import register_jitable

from lossd.compiled.instructions import larger

CHAINS: Final = 8
"""What lanes are brought together in, not waiting for each other; there are a multiple of them."""


@register_jitable
def fill(lanes: Any, value: Any) -> None:
    """Have the same in all lanes."""
    for j in range(lanes.size):
        lanes[j] = value


@register_jitable
def multiply(lanes: Any, count: int, factors: Any) -> None:
    """Multiply the first `count` lanes by a factor each."""
    for j in range(count):
        lanes[j] *= factors[j]


@register_jitable
def added(lanes: Any) -> Any:
    """The sum of all lanes in float64, in an order of its own."""
    t0 = t1 = t2 = t3 = t4 = t5 = t6 = t7 = 0.0
    for j in range(0, lanes.size, CHAINS):
        t0 += lanes[j]
        t1 += lanes[j + 1]
        t2 += lanes[j + 2]
        t3 += lanes[j + 3]
        t4 += lanes[j + 4]
        t5 += lanes[j + 5]
        t6 += lanes[j + 6]
        t7 += lanes[j + 7]
    return ((t0 + t4) + (t2 + t6)) + ((t1 + t5) + (t3 + t7))


@register_jitable
def largest(lanes: Any) -> Any:
    """The largest of all lanes; NaN wins."""
    t0 = t1 = t2 = t3 = t4 = t5 = t6 = t7 = lanes.dtype.type(-np.inf)
    for j in range(0, lanes.size, CHAINS):
        t0 = larger(lanes[j], t0)
        t1 = larger(lanes[j + 1], t1)
        t2 = larger(lanes[j + 2], t2)
        t3 = larger(lanes[j + 3], t3)
        t4 = larger(lanes[j + 4], t4)
        t5 = larger(lanes[j + 5], t5)
        t6 = larger(lanes[j + 6], t6)
        t7 = larger(lanes[j + 7], t7)
    return larger(larger(larger(t7, t3), larger(t5, t1)), larger(larger(t6, t2), larger(t4, t0)))
