"""The angle of a point, branch-free, so that a loop over it vectorises.

The angle is brought to one of at most π/8 by the two identities of the tangent (of π/2 less an
angle, and of π/4 and an angle); the polynomial is a minimax fit in relative error, made for this
file (Remez' exchange in 200 bits).
"""

import math
from typing import Any, Final

from numba.extending import register_jitable

from lossd.compiled.instructions import fma, select

_BEND: Final = math.sqrt(2) - 1  # the tangent of π/8
_QUARTER: Final = math.pi / 4
_REST: Final = 3.061616997868383e-17  # of π/4, what float64 leaves out


@register_jitable(error_model="numpy")
def angle(y: Any, x: Any) -> Any:
    """atan2(y, x) of float64 for x ≥ 0, within 2 ulp: in [-π/2, π/2], 0 at the origin.

    NaN where both are infinite.
    """
    size = abs(y)
    steep = size > x
    short, long = select(steep, x, size), select(steep, size, x)
    middle = short > _BEND * long
    above = select(middle, short - long, short)
    below = select(middle, short + long, long)
    t = above / select(below != 0.0, below, 1.0)
    z = t * t
    w = z * z
    first = fma(fma(-0.14285714280161965, z, 0.19999999999953205), z, -0.333333333333332)
    second = fma(fma(0.07692059586873183, z, -0.09090897718121531), z, 0.11111110781915329)
    third = fma(fma(-0.05039138272637664, z, 0.05847847938834268), z, -0.06663097681384347)
    last = fma(-0.01790353321309548, z, 0.03806078895461127)
    cube = w * z
    tail = t * z * fma(fma(fma(last, cube, third), cube, second), cube, first)
    quarters = select(middle, 1.0, select(steep, 2.0, 0.0))
    turn = select(steep, -1.0, 1.0)
    found = fma(quarters, _QUARTER, fma(turn, t, fma(turn, tail, quarters * _REST)))
    return select(y < 0.0, -found, found)
