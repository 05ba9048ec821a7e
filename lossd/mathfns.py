"""Point functions for kernels: `exp`, `log`, `log1p`, `softplus`, `sigmoid` and others.

Each takes one float32 or float64 and returns the same type. The compiled forms are branch-free, so
a loop over them vectorises; they stay within 2 ulp of the correctly rounded result over the whole
range of either type, subnormals included, and keep inf and NaN (tests/unit/test_mathfns.py).
Here they have NumPy's; how they are computed: lossd/compiled/points.py.
"""

import math
from collections.abc import Callable, Mapping
from types import FunctionType
from typing import Any, Final

import numpy as np
from numba import types
from numba.extending import overload, register_jitable

from lossd.compiled.instructions import bits, maximum, minimum, real
from lossd.compiled.points import DOUBLE, SINGLE

_ROUND64 = 6755399441055744.0  # 1.5·2^52: adding it rounds to an integer


def _sign(x: Any) -> Any:
    return 1 if x > 0 else (-1 if x < 0 else x)


NOTHING: Final = -(1 << 50)
"""The exponent that goes with a mantissa of 0."""

NEVER: Final = 4 * NOTHING
"""Added to an exponent, makes a number vanish beside 0."""


@register_jitable
def power_of_two(n: Any) -> Any:
    """2^n as float64 for n < 1024, and 0 below 2^-1022."""
    return real((max(n, -1023) + 1023) << 52)


@register_jitable
def normalised(m: Any, n: Any) -> Any:
    """m·2^n with a mantissa in [1/2, 1), for a normal float64 m ≥ 0; NaN stays."""
    shift = ((bits(m) >> 52) & 2047) - 1022
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
    return (m if x < np.inf else x), (bits(rounded) - bits(_ROUND64) if some else NOTHING)


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

    It is a normal number: beyond |x| = 104 (746 in float64) that of 104, which is 0 once it is
    brought down.
    """
    return np.exp(64 * np.log(2) - np.abs(x))


def log_both(x: Any) -> Any:
    """log(x) and log(1 - x) for x in [0, 1], for less than the price of two logarithms."""
    return np.log(x), np.log1p(-x)


def decay_both(x: Any) -> Any:
    """e^-|x| and 1 - e^-|x|, for the price of one; the former is a normal number.

    Beyond |x| = 87 (708 in float64) it is that of 87.
    """
    return np.exp(-np.abs(x)), -np.expm1(-np.abs(x))


def log1p_small(x: Any) -> Any:
    """log(1 + x) for x in [-0.64, 0.41], for less than the price of log1p."""
    return np.log1p(x)


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


_ALONE: Final[Mapping[str, Any]] = {"exp": math.exp, "log": math.log, "log1p": math.log1p}
"""The C library's functions, which jump and look up: faster for one number, no vectors."""


def typed(
    function: Callable[..., Any], dtype: type[np.floating[Any]], *, alone: bool = False
) -> Callable[..., Any]:
    """`function` with its literals and constants as `dtype`, ready to be called from compiled code.

    Numba widens `0.5 * x` to float64 for a float32 `x`; a formula written with plain literals is
    compiled through this, so that it computes in the type of its data. Its `min` and `max` keep
    NaN when the data comes first, as in `min(max(d, -b), b)`. With `alone` it is not called in a
    loop that could vectorise.
    """
    code, scope = function.__code__, dict(function.__globals__)
    scope |= {"max": maximum, "min": minimum}
    if alone:
        scope |= _ALONE
    for name in code.co_names:
        if isinstance(scope.get(name), FunctionType) and scope[name] in _helpers:
            scope[name] = typed(scope[name], dtype, alone=alone)
        elif type(scope.get(name)) in (int, float):
            scope[name] = dtype(scope[name])
    literals = tuple(dtype(c) if type(c) in (int, float) else c for c in code.co_consts)
    changed = code.replace(co_consts=literals)
    copy = FunctionType(changed, scope, function.__name__, None, function.__closure__)
    copy.__module__, copy.__qualname__ = function.__module__, function.__qualname__
    copy.__annotations__ = function.__annotations__
    return register_jitable(error_model="numpy", forceinline=True)(copy)  # type: ignore[no-any-return]


def _compiled(function: Callable[..., Any], single: Any, double: Any) -> None:
    """Give `function` its compiled forms, chosen by the argument's type."""

    @overload(function, jit_options={"error_model": "numpy"})
    def choose(x: Any) -> Any:
        return {types.float32: single, types.float64: double}.get(x)


_TRANSCENDENTAL: Final = (
    exp, log, log1p, softplus, softplus_tail, sigmoid, decay, lifted_decay, log_both, decay_both,
    log1p_small,
)  # fmt: skip


def transcendental(function: Callable[..., Any]) -> bool:
    """Whether a formula, or a helper that it calls, has exponentials or logarithms."""
    called = [function.__globals__.get(name) for name in function.__code__.co_names]
    functions = [f for f in called if isinstance(f, FunctionType)]
    return any(f in _TRANSCENDENTAL or (f in _helpers and transcendental(f)) for f in functions)


for _each in _TRANSCENDENTAL:
    _compiled(_each, getattr(SINGLE, _each.__name__), getattr(DOUBLE, _each.__name__))
_compiled(sign, typed(_sign, np.float32), typed(_sign, np.float64))
