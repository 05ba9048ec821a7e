"""Point functions for kernels: `exp`, `log`, `log1p`, `softplus`, `sigmoid`.

Each takes one float32 or float64 and returns the same type. The float32 forms are branch-free
(selects, never jumps), so a loop over them vectorises; they stay within 2 ulp of the correctly
rounded result over the whole float32 range, subnormals included, and keep inf and NaN
(tests/unit/test_mathfns.py). The float64 forms are the C library's.

Every operation below is exactly rounded by IEEE 754 (add, multiply, divide, fused multiply-add,
round to integer), and no fast-math flag is ever set: a value does not depend on the lane, the
vector width or the tail it was computed in. That is what makes results reproducible.

The range reductions follow Muller, *Elementary Functions* (3rd ed., ch. 11), and fdlibm's log1p;
the polynomials are minimax fits in relative error, made for this file with Lawson's iteration.
"""

import math
from collections.abc import Callable
from types import FunctionType
from typing import Any, Final

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic, overload, register_jitable

_LN2_HI = np.float32(0.693359375)  # 9 bits: n * hi is exact for every exponent n
_LN2_LO = np.float32(-2.12194440e-4)
_LOG2_E = np.float32(1.44269504)
_ONE = np.float32(1.0)
_HALF = np.float32(0.5)
_ZERO = np.float32(0.0)
_INF = np.float32(np.inf)
_ROUND = np.float32(12582912.0)  # 1.5·2^23: adding it rounds to an integer
_ROUND64 = 6755399441055744.0  # 1.5·2^52, for float64
_ROUND_191 = np.float32(12582912.0 + 191)  # the same, and adds 127 + 64
_2_64 = np.float32(2.0**-64)


@intrinsic
def _fma(typingctx: Any, x: Any, y: Any, z: Any) -> Any:
    """x·y + z with one rounding."""

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.fma(*args)

    return x(x, x, x), build


def _same_bits(source: Any, result: Any, kind: ir.Type) -> Callable[..., Any]:
    """The value of type `result` that has the bits of one of type `source`."""

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.bitcast(args[0], kind)

    @intrinsic
    def cast(typingctx: Any, x: Any) -> Any:
        return result(source), build

    return cast  # type: ignore[no-any-return]


_bits = _same_bits(types.float32, types.int32, ir.IntType(32))
_float = _same_bits(types.int32, types.float32, ir.FloatType())
_bits64 = _same_bits(types.float64, types.int64, ir.IntType(64))
_float64 = _same_bits(types.int64, types.float64, ir.DoubleType())


def _integer(operation: str) -> Callable[..., Any]:
    """An operation on two int32. Numba's own widen to int64, which halves the vectors."""

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return getattr(builder, operation)(*args)

    @intrinsic
    def binary(typingctx: Any, a: Any, b: Any) -> Any:
        return types.int32(types.int32, types.int32), build

    return binary  # type: ignore[no-any-return]


_add, _sub, _and = _integer("add"), _integer("sub"), _integer("and_")
_shift_left, _shift_right = _integer("shl"), _integer("ashr")


@intrinsic
def _select(typingctx: Any, condition: Any, a: Any, b: Any) -> Any:
    """`a if condition else b` that stays a select: a branch would stop vectorisation."""

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.select(*args)

    return a(types.boolean, a, a), build


@intrinsic
def _maximum(typingctx: Any, x: Any, bound: Any) -> Any:
    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.select(builder.fcmp_ordered(">", args[1], args[0]), args[1], args[0])

    return x(x, x), build


@intrinsic
def _minimum(typingctx: Any, x: Any, bound: Any) -> Any:
    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.select(builder.fcmp_ordered("<", args[1], args[0]), args[1], args[0])

    return x(x, x), build


@register_jitable
def _expm1_reduced32(c: Any, n: Any) -> Any:
    """exp(c - n·ln2) - 1 for a difference of at most ln2/2."""
    r = _fma(n, -_LN2_LO, _fma(n, -_LN2_HI, c))
    s = r * r
    q = _fma(
        np.float32(1.3950725e-3), s, _fma(np.float32(8.369025e-3), r, np.float32(4.1666202e-2))
    )
    q = _fma(q, s, _fma(np.float32(1.6666518e-1), r, _HALF))
    return _fma(q, s, r)


def _exp32(x: Any) -> Any:
    # exp(x) = 2^n · exp(r), |r| ≤ ln2/2; NaN passes through
    c = _minimum(_maximum(x, np.float32(-104.0)), np.float32(89.0))
    rounded = _fma(c, _LOG2_E, _ROUND)  # its low bits are n
    p = _expm1_reduced32(c, rounded - _ROUND)
    # 2^n in two factors: the result may be subnormal or just below overflow
    i = _sub(_bits(rounded), _bits(_ROUND))
    half = _shift_right(i, np.int32(1))
    first = _power_of_two(half)
    return _fma(p, first, first) * _power_of_two(_sub(i, half))


@register_jitable
def _power_of_two(n: Any) -> Any:
    """2^n for -127 < n < 128."""
    return _float(_shift_left(_add(n, np.int32(127)), np.int32(23)))


@register_jitable
def _log_reduced32(f: Any, k: Any) -> Any:
    """log((1 + f)·2^k) for 1 + f in [√½, √2]."""
    s = f * f
    high = _fma(np.float32(-7.634493e-2), f, np.float32(1.2761576e-1))
    high = _fma(high, s, _fma(np.float32(-1.3160183e-1), f, np.float32(1.4201758e-1)))
    low = _fma(np.float32(-1.6623357e-1), f, np.float32(2.0001227e-1))
    low = _fma(low, s, _fma(np.float32(-2.5000821e-1), f, np.float32(3.3333332e-1)))
    t = _fma(s * f, _fma(high, s * s, low), _fma(s, -_HALF, k * _LN2_LO))
    return _fma(k, _LN2_HI, f + t)


@register_jitable
def _split(x: Any) -> Any:
    """K and f with x = 2^k · (1 + f), 1 + f in [√½, √2], for a normal positive x."""
    bits = _add(_bits(x), np.int32(0x3F800000 - 0x3F3504F3))
    k = _sub(_shift_right(bits, np.int32(23)), np.int32(127))
    return k, _float(_add(_and(bits, np.int32(0x7FFFFF)), np.int32(0x3F3504F3))) - _ONE


def _log32(x: Any) -> Any:
    tiny = x < np.float32(1.17549435e-38)
    k, f = _split(_select(tiny, x * np.float32(8388608.0), x))
    y = _log_reduced32(f, np.float32(k) - _select(tiny, np.float32(23.0), _ZERO))
    y = _select(x < _INF, y, x)  # inf and NaN answer themselves
    y = _select(x != _ZERO, y, -_INF)
    return _select(x < _ZERO, np.float32(np.nan), y)


def _log1p32(x: Any) -> Any:
    k, m = _split(x + _ONE)
    # (1 + x)·2^-k - 1 in one rounding, so that nothing of a small x is lost in 1 + x
    scale = _power_of_two(_sub(np.int32(0), _select(k < np.int32(64), k, np.int32(64))))
    f = _select(k < np.int32(26), _fma(x, scale, scale - _ONE), m)
    y = _log_reduced32(f, np.float32(k))
    y = _select(x < _INF, y, x)
    y = _select(x != _ZERO, y, x)  # keeps the sign of zero
    y = _select(x != -_ONE, y, -_INF)
    return _select(x < -_ONE, np.float32(np.nan), y)


@register_jitable
def _decay32(x: Any) -> Any:
    """2^64·e^-|x|, which is a normal number for every x: only the lower end needs a bound."""
    c = _maximum(-abs(x), np.float32(-104.0))
    rounded = _fma(c, _LOG2_E, _ROUND_191)  # its low bits are n + 64, biased as an exponent is
    scale = _float(_shift_left(_bits(rounded), np.int32(23)))
    return _fma(_expm1_reduced32(c, rounded - _ROUND_191), scale, scale)


def _softplus_tail32(x: Any) -> Any:
    # log1p(e) for e in [0, 1] needs none of log1p's special cases
    near = abs(x) < np.float32(0.88)  # then e > √2 - 1
    scale = _select(near, _HALF, _ONE)
    f = _fma(_decay32(x), scale * _2_64, scale - _ONE)
    return _log_reduced32(f, _select(near, _ONE, _ZERO))


def _softplus32(x: Any) -> Any:
    return softplus_tail(x) + _maximum(x, _ZERO)


def _sigmoid32(x: Any) -> Any:
    e = _decay32(x) * _2_64
    d = _ONE + e
    q = _select(x >= _ZERO, _ONE, e) / d
    # less what the rounding of 1 + e did, for which a line is near enough to 1/d
    return _fma(-q * (e - (d - _ONE)), _fma(d, -_HALF, np.float32(1.457)), q)


def _log_both32(x: Any) -> Any:
    # the smaller of x and 1 - x is exact, and the other's logarithm is log1p of it
    small = _minimum(x, _ONE - x)
    tiny = small < np.float32(1.17549435e-38)
    k, f = _split(_select(tiny, small * np.float32(8388608.0), small))
    far = _log_reduced32(f, np.float32(k) - _select(tiny, np.float32(23.0), _ZERO))
    far = _select(small != _ZERO, far, -_INF)
    below = small > np.float32(0.29289323)
    near = _log_reduced32(
        _select(below, _fma(small, np.float32(-2.0), _ONE), -small), _select(below, -_ONE, _ZERO)
    )
    left = x <= _HALF
    return _select(left, far, near), _select(left, near, far)


def _exp64(x: Any) -> Any:
    return math.exp(x)


def _log64(x: Any) -> Any:
    return math.log(x)


def _log1p64(x: Any) -> Any:
    return math.log1p(x)


def _decay64(x: Any) -> Any:
    return math.exp(-abs(x))


def _lifted_decay64(x: Any) -> Any:
    return math.exp(-abs(x)) * 2.0**64


def _decay_whole32(x: Any) -> Any:
    return _decay32(x) * _2_64


def _softplus_tail64(x: Any) -> Any:
    return math.log1p(math.exp(-abs(x)))


def _softplus64(x: Any) -> Any:
    return math.log1p(math.exp(-abs(x))) + (max(0.0, x))


def _log_both64(x: Any) -> Any:
    return math.log(x), math.log1p(-x)


def _sigmoid(x: Any) -> Any:
    e = exp(-abs(x))
    d = 1 + e
    inverse = 1 / d
    q = e * inverse
    # one Newton step on e / (1 + e), with what 1 + e rounded away
    q = _fma(_fma(-q, d, e) - q * (e - (d - 1)), inverse, q)
    return inverse if x >= 0 else q


def _sign(x: Any) -> Any:
    return 1 if x > 0 else (-1 if x < 0 else x)


NOTHING: Final = -(1 << 50)
"""The exponent that goes with a mantissa of 0."""

NEVER: Final = 4 * NOTHING
"""Added to an exponent, makes a number vanish beside 0."""


@register_jitable
def power_of_two(n: Any) -> Any:
    """2^n as float64 for n < 1024, and 0 below 2^-1022."""
    return _float64((max(n, -1023) + 1023) << 52)


@register_jitable
def normalised(m: Any, n: Any) -> Any:
    """m·2^n with a mantissa in [1/2, 1), for a normal float64 m ≥ 0; NaN stays."""
    shift = ((_bits64(m) >> 52) & 2047) - 1022
    return m * power_of_two(-shift), (n + shift if m > 0 else NOTHING)


@register_jitable
def wide_exp(x: Any) -> Any:
    """e^x as a mantissa and an exponent of 2, which neither overflows nor underflows."""
    c = min(max(x, -1e12), 1e12)
    rounded = c * 1.4426950408889634 + _ROUND64  # its low bits are n
    n = rounded - _ROUND64
    r = (c - n * 6.93147180369123816490e-01) - n * 1.90821492927058770002e-10
    p = 1.0 / 6227020800.0
    for k in (479001600.0, 39916800.0, 3628800.0, 362880.0, 40320.0, 5040.0, 720.0, 120.0, 24.0):
        p = p * r + 1.0 / k
    p = (((p * r + 1.0 / 6.0) * r + 0.5) * r + 1.0) * r + 1.0
    some = x > -np.inf
    m = p if some else 0.0
    return (m if x < np.inf else x), (_bits64(rounded) - _bits64(_ROUND64) if some else NOTHING)


def exp(x: Any) -> Any:
    """e^x."""
    return np.exp(x)


def log(x: Any) -> Any:
    """Natural logarithm: -inf at 0, NaN below."""
    return np.log(x)


def log1p(x: Any) -> Any:
    """log(1 + x), exact for small x."""
    return np.log1p(x)


def softplus(x: Any) -> Any:
    """log(1 + e^x), without overflow."""
    return np.logaddexp(x, 0)


def softplus_tail(x: Any) -> Any:
    """log(1 + e^-|x|): softplus less max(x, 0)."""
    return np.log1p(np.exp(-np.abs(x)))


def decay(x: Any) -> Any:
    """e^-|x|, for less than the price of exp."""
    return np.exp(-np.abs(x))


LOWER: Final = 2.0**-64
"""What brings `lifted_decay` down to e^-|x|."""


def lifted_decay(x: Any) -> Any:
    """2^64·e^-|x|, for two thirds of the price of exp.

    In float32 it is a normal number; beyond |x| = 104 that of 104, which is 0 once it is brought
    down. In float64 it is exp, lifted.
    """
    return np.exp(64 * np.log(2) - np.abs(x))


def log_both(x: Any) -> Any:
    """log(x) and log(1 - x) for x in [0, 1], for less than the price of two logarithms."""
    return np.log(x), np.log1p(-x)


def sigmoid(x: Any) -> Any:
    """1 / (1 + e^-x), without overflow."""
    e = np.exp(-np.abs(x))
    return np.where(np.asarray(x) >= 0, 1, e) / (1 + e)


def sign(x: Any) -> Any:
    """-1, 0 or 1; NaN for NaN."""
    return np.sign(x)


def inlined(function: Callable[..., Any]) -> Callable[..., Any]:
    """Mark a helper that formulas call; `typed` compiles it along with them."""
    _helpers.add(function)
    return function


_helpers: set[Callable[..., Any]] = set()


@inlined
def exact_sum(a: Any, b: Any) -> Any:
    """A sum, and what its rounding has left out (Knuth)."""
    s = a + b
    t = s - a
    return s, (a - (s - t)) + (b - t)


@inlined
def in_halves(a: Any) -> Any:
    """A float64 as the sum of two with 26 bits each (Veltkamp)."""
    shifted = 134217729.0 * a  # 2^27 + 1
    high = shifted - (shifted - a)
    return high, a - high


@inlined
def exact_product(a: Any, b: Any) -> Any:
    """A product of two float64, and what its rounding has left out (Dekker)."""
    p = a * b
    a_high, a_low = in_halves(a)
    b_high, b_low = in_halves(b)
    rest = a_low * b_low - (((p - a_high * b_high) - a_low * b_high) - a_high * b_low)
    return p, rest


def typed(function: Callable[..., Any], dtype: type[np.floating[Any]]) -> Callable[..., Any]:
    """`function` with its literals and constants as `dtype`, ready to be called from compiled code.

    Numba widens `0.5 * x` to float64 for a float32 `x`; a formula written with plain literals is
    compiled through this, so that it computes in the type of its data. Its `min` and `max` keep
    NaN when the data comes first, as in `min(max(d, -b), b)`.
    """
    code, scope = function.__code__, dict(function.__globals__)
    scope |= {"max": _maximum, "min": _minimum}
    for name in code.co_names:
        if isinstance(scope.get(name), FunctionType) and scope[name] in _helpers:
            scope[name] = typed(scope[name], dtype)
        elif type(scope.get(name)) in (int, float):
            scope[name] = dtype(scope[name])
    literals = tuple(dtype(c) if type(c) in (int, float) else c for c in code.co_consts)
    copy = FunctionType(code.replace(co_consts=literals), scope, function.__name__)
    copy.__module__, copy.__qualname__ = function.__module__, function.__qualname__
    copy.__annotations__ = function.__annotations__
    return register_jitable(error_model="numpy", forceinline=True)(copy)  # type: ignore[no-any-return]


def _compiled(function: Callable[..., Any], single: Any, double: Any) -> None:
    """Give `function` its compiled forms, chosen by the argument's type."""

    @overload(function, jit_options={"error_model": "numpy"})
    def choose(x: Any) -> Any:
        return {types.float32: single, types.float64: double}.get(x)


_compiled(exp, _exp32, _exp64)
_compiled(log, _log32, _log64)
_compiled(log1p, _log1p32, _log1p64)
_compiled(softplus, _softplus32, _softplus64)
_compiled(softplus_tail, _softplus_tail32, _softplus_tail64)
_compiled(decay, _decay_whole32, _decay64)
_compiled(lifted_decay, _decay32, _lifted_decay64)
_compiled(log_both, _log_both32, _log_both64)
_compiled(sigmoid, _sigmoid32, typed(_sigmoid, np.float64))
_compiled(sign, typed(_sign, np.float32), typed(_sign, np.float64))
