"""The exponential, logarithms and what is made of them, for float32 and for float64.

One set of formulas, with the polynomials and the bounds of each type. They are branch-free
(selects, never jumps), so that a loop over them vectorises. Every operation is exactly rounded by
IEEE 754 (add, multiply, divide, fused multiply-add, round to integer), and no fast-math flag is
ever set: a value does not depend on the lane, the vector width or the tail it was computed in.

The range reductions follow Muller, *Elementary Functions* (3rd ed., ch. 11), and fdlibm's log and
log1p; the polynomials are minimax fits in relative error, made for this file (float32: Lawson's
iteration; float64: Remez' exchange in 200 bits).
"""

from collections.abc import Callable
from typing import Any, Final, NamedTuple

import numpy as np
from numba.extending import register_jitable

from lossd.compiled.instructions import (
    add,
    and_,
    bits,
    fma,
    maximum,
    minimum,
    real,
    select,
    shift_left,
    shift_right,
    sub,
)


class Points(NamedTuple):
    """Functions of one number of a type."""

    exp: Callable[[Any], Any]
    log: Callable[[Any], Any]
    log1p: Callable[[Any], Any]
    softplus: Callable[[Any], Any]
    softplus_tail: Callable[[Any], Any]
    sigmoid: Callable[[Any], Any]
    decay: Callable[[Any], Any]
    lifted_decay: Callable[[Any], Any]
    log_both: Callable[[Any], Any]
    decay_both: Callable[[Any], Any]
    log1p_small: Callable[[Any], Any]


@register_jitable
def _expm1_32(r: Any) -> Any:
    """e^r - 1 for |r| ≤ ln2/2."""
    s = r * r
    q = fma(np.float32(1.3950725e-3), s, fma(np.float32(8.369025e-3), r, np.float32(4.1666202e-2)))
    q = fma(q, s, fma(np.float32(1.6666518e-1), r, np.float32(0.5)))
    return fma(q, s, r)


@register_jitable
def _expm1_64(r: Any) -> Any:
    """e^r - 1 for |r| ≤ ln2/2."""
    s = r * r
    low = fma(
        fma(0.008333333333307123, r, 0.04166666666651493),
        s,
        fma(0.166666666666667, r, 0.5000000000000013),
    )
    high = fma(
        fma(2.755721613621407e-06, r, 2.480148978575743e-05),
        s,
        fma(0.00019841269917563777, r, 0.0013888888947156174),
    )
    top = fma(2.5117914207829535e-08, r, 2.7631339731452504e-07)
    return fma(fma(fma(top, s * s, high), s * s, low), s, r)


_LN2_32: Final = 0.693359375, -2.12194440e-4
_LN2_64: Final = 6.93147180369123816490e-01, 1.90821492927058770002e-10
"""ln 2 in two parts, the first of so few bits that n times it is exact for every exponent n."""


@register_jitable
def _log_32(f: Any, k: Any) -> Any:
    """log((1 + f)·2^k) for 1 + f in [√½, √2]."""
    s = f * f
    high = fma(np.float32(-7.634493e-2), f, np.float32(1.2761576e-1))
    high = fma(high, s, fma(np.float32(-1.3160183e-1), f, np.float32(1.4201758e-1)))
    low = fma(np.float32(-1.6623357e-1), f, np.float32(2.0001227e-1))
    low = fma(low, s, fma(np.float32(-2.5000821e-1), f, np.float32(3.3333332e-1)))
    t = fma(s, np.float32(-0.5), k * np.float32(_LN2_32[1]))
    t = fma(s * f, fma(high, s * s, low), t)
    return fma(k, np.float32(_LN2_32[0]), f + t)


@register_jitable
def _log_64(f: Any, k: Any) -> Any:
    """log((1 + f)·2^k) for 1 + f in [√½, √2], by 2·artanh(f / (2 + f))."""
    half = 0.5 * f * f
    s = f / (2.0 + f)
    z = s * s
    w = z * z
    even = fma(fma(0.15314050542042326, w, 0.22222198573179955), w, 0.39999999999414676)
    odd = fma(
        fma(fma(0.14795949810482026, w, 0.1818356432645545), w, 0.28571428742387633),
        w,
        0.6666666666666734,
    )
    t = fma(s, fma(z, fma(even, z, odd), half), k * _LN2_64[1])
    return fma(k, _LN2_64[0], f - (half - t))


def _points(
    kind: Any,
    expm1_reduced: Callable[[Any], Any],
    log_reduced: Callable[[Any, Any], Any],
    ln2: tuple[float, float],
) -> Points:
    integer: Any = np.int32 if kind is np.float32 else np.int64
    limits = np.finfo(kind)
    mantissa, bias = limits.nmant, limits.maxexp - 1
    ln_2 = np.log(np.longdouble(2))

    zero, half, one, two = kind(0), kind(0.5), kind(1), kind(2)
    inf, nan = kind(np.inf), kind(np.nan)
    ln2_high, ln2_low, log2_e = kind(ln2[0]), kind(ln2[1]), kind(1 / ln_2)
    lowest = kind(np.floor((limits.minexp - mantissa - 1) * ln_2))  # e^x rounds to 0 there
    highest = kind(np.ceil(limits.maxexp * ln_2))  # and to inf there
    normal = kind(limits.tiny)
    least = kind(np.ceil(limits.minexp * ln_2))  # e^x is a normal number from there on
    lift, lifted = kind(2.0**mantissa), kind(mantissa)  # make subnormal numbers normal
    lower = kind(2.0**-64)

    rounding = kind(1.5 * 2.0**mantissa)  # adding it rounds to an integer
    rounding_to_64 = kind(1.5 * 2.0**mantissa + bias + 64)  # the same, and adds 64 and the bias
    counting = kind(2.0**mantissa)  # its bits and an integer's: that much more
    root = kind(np.sqrt(np.longdouble(0.5)))
    bend, near_0, line = kind(1 - np.sqrt(np.longdouble(0.5))), kind(0.88), kind(1.457)
    rounding_bits, counting_bits, one_bits, root_bits = (
        integer(x.view(integer)) for x in (rounding, counting, one, root)
    )
    none, single, shift = integer(0), integer(1), integer(mantissa)
    digits, biased = integer((1 << mantissa) - 1), integer(bias)
    whole, most = integer(mantissa + 3), integer(64)

    @register_jitable
    def exp_reduced(c: Any, n: Any) -> Any:
        """e^(c - n·ln2) - 1 for a difference of at most ln2/2."""
        return expm1_reduced(fma(n, -ln2_low, fma(n, -ln2_high, c)))

    @register_jitable
    def power_of_two(n: Any) -> Any:
        """2^n, a normal number."""
        return real(shift_left(add(n, biased), shift))

    @register_jitable
    def split(x: Any) -> Any:
        """The parts k and f of a normal x = 2^k · (1 + f) > 0, 1 + f in [√½, √2]; k biased too."""
        moved = add(bits(x), sub(one_bits, root_bits))
        exponent = shift_right(moved, shift)
        k = real(add(exponent, counting_bits)) - (counting + kind(bias))
        return k, real(add(and_(moved, digits), root_bits)) - one, exponent

    @register_jitable
    def exp(x: Any) -> Any:
        c = minimum(maximum(x, lowest), highest)  # NaN passes through
        rounded = fma(c, log2_e, rounding)  # its low bits are n: e^x = 2^n · e^r, |r| ≤ ln2/2
        p = exp_reduced(c, rounded - rounding)
        # 2^n in two factors: the result may be subnormal or just below overflow
        n = sub(bits(rounded), rounding_bits)
        part = shift_right(n, single)
        first = power_of_two(part)
        return fma(p, first, first) * power_of_two(sub(n, part))

    @register_jitable
    def log(x: Any) -> Any:
        tiny = x < normal
        k, f, _ = split(select(tiny, x * lift, x))
        y = log_reduced(f, k - select(tiny, lifted, zero))
        y = select(x < inf, y, x)  # inf and NaN answer themselves
        y = select(x != zero, y, -inf)
        return select(x < zero, nan, y)

    @register_jitable
    def log1p(x: Any) -> Any:
        k, m, exponent = split(x + one)
        n = sub(exponent, biased)
        # (1 + x)·2^-k - 1 in one rounding, so that nothing of a small x is lost in 1 + x
        scale = power_of_two(sub(none, select(n < most, n, most)))
        f = select(n < whole, fma(x, scale, scale - one), m)
        y = log_reduced(f, k)
        y = select(x < inf, y, x)
        y = select(x != zero, y, x)  # keeps the sign of zero
        y = select(x != -one, y, -inf)
        return select(x < -one, nan, y)

    @register_jitable
    def lifted_decay(x: Any) -> Any:
        c = maximum(-abs(x), lowest)  # 2^64·e^c is a normal number: only this end needs a bound
        rounded = fma(c, log2_e, rounding_to_64)
        scale = real(shift_left(bits(rounded), shift))
        return fma(exp_reduced(c, rounded - rounding_to_64), scale, scale)

    @register_jitable
    def decay(x: Any) -> Any:
        return lifted_decay(x) * lower

    @register_jitable
    def softplus_tail(x: Any) -> Any:
        # log1p(e) for e in [0, 1] needs none of log1p's special cases
        near = abs(x) < near_0  # then e > √2 - 1
        scale = select(near, half, one)
        f = fma(lifted_decay(x), scale * lower, scale - one)
        return log_reduced(f, select(near, one, zero))

    @register_jitable
    def softplus(x: Any) -> Any:
        return softplus_tail(x) + maximum(x, zero)

    @register_jitable
    def sigmoid(x: Any) -> Any:
        e = decay(x)
        d = one + e
        q = select(x >= zero, one, e) / d
        # less what the rounding of 1 + e did, for which a line is near enough to 1/d
        return fma(-q * (e - (d - one)), fma(d, -half, line), q)

    @register_jitable
    def log_both(x: Any) -> Any:
        # the smaller of x and 1 - x is exact, and the other's logarithm is log1p of it
        small = minimum(x, one - x)
        tiny = small < normal
        k, f, _ = split(select(tiny, small * lift, small))
        own = log_reduced(f, k - select(tiny, lifted, zero))
        own = select(small != zero, own, -inf)
        low = small > bend
        other = log_reduced(select(low, fma(small, -two, one), -small), select(low, -one, zero))
        left = x <= half
        return select(left, own, other), select(left, other, own)

    @register_jitable
    def decay_both(x: Any) -> Any:
        c = maximum(-abs(x), least)
        rounded = fma(c, log2_e, rounding)
        p = exp_reduced(c, rounded - rounding)
        scale = power_of_two(sub(bits(rounded), rounding_bits))
        return fma(p, scale, scale), fma(-p, scale, one - scale)

    @register_jitable
    def log1p_small(x: Any) -> Any:
        low = x < -bend  # then 2·(1 + x) is in [√½, √2]
        return log_reduced(select(low, fma(x, two, one), x), select(low, -one, zero))

    return Points(
        exp, log, log1p, softplus, softplus_tail, sigmoid, decay, lifted_decay, log_both,
        decay_both, log1p_small,
    )  # fmt: skip


SINGLE: Final = _points(np.float32, _expm1_32, _log_32, _LN2_32)
DOUBLE: Final = _points(np.float64, _expm1_64, _log_64, _LN2_64)
