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
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core.typing import Context, Signature
from numba.extending import intrinsic, overload, register_jitable

_LN2_HI = np.float32(0.693359375)  # 9 bits: n * hi is exact for every exponent n
_LN2_LO = np.float32(-2.12194440e-4)
_LOG2_E = np.float32(1.44269504)
_ONE = np.float32(1.0)
_HALF = np.float32(0.5)
_ZERO = np.float32(0.0)
_INF = np.float32(np.inf)


def _llvm(name: str, arity: int) -> Callable[..., Any]:
    """An LLVM floating-point intrinsic as a function usable in compiled code."""

    def build(context: Context, builder: ir.IRBuilder, signature: Signature, args: Any) -> Any:
        kind = context.get_value_type(signature.return_type)
        callee = builder.module.declare_intrinsic(
            name, [kind], ir.FunctionType(kind, [kind] * arity)
        )
        return builder.call(callee, args)

    if arity == 1:

        @intrinsic
        def unary(typingctx: Any, x: Any) -> Any:
            return x(x), build

        return unary  # type: ignore[no-any-return]

    @intrinsic
    def ternary(typingctx: Any, x: Any, y: Any, z: Any) -> Any:
        return x(x, x, x), build

    return ternary  # type: ignore[no-any-return]


_rint = _llvm("llvm.rint", 1)
_fma = _llvm("llvm.fma", 3)


@intrinsic
def _bits(typingctx: Any, x: Any) -> Any:
    """The 32 bits of a float32 as int32."""

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.bitcast(args[0], ir.IntType(32))

    return types.int32(types.float32), build


@intrinsic
def _float(typingctx: Any, x: Any) -> Any:
    """The float32 that has these 32 bits."""

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.bitcast(args[0], ir.FloatType())

    return types.float32(types.int32), build


@intrinsic
def _to_int(typingctx: Any, x: Any) -> Any:
    """A float32 that holds an integer as int32."""

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.fptosi(args[0], ir.IntType(32))

    return types.int32(types.float32), build


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


def _exp32(x: Any) -> Any:
    # exp(x) = 2^n · exp(r), |r| ≤ ln2/2; the comparison sends NaN to a finite stand-in
    c = _select(x > np.float32(-104.0), x, np.float32(-104.0))
    c = _select(c < np.float32(89.0), c, np.float32(89.0))
    n = _rint(c * _LOG2_E)
    r = _fma(n, -_LN2_LO, _fma(n, -_LN2_HI, c))
    q = _fma(np.float32(1.3950725e-3), r, np.float32(8.369025e-3))
    q = _fma(q, r, np.float32(4.1666202e-2))
    q = _fma(q, r, np.float32(1.6666518e-1))
    q = _fma(q, r, _HALF)
    p = _fma(q, r * r, r) + _ONE
    # 2^n in two factors: the result may be subnormal or just below overflow
    i = _to_int(n)
    half = i >> np.int32(1)
    p = p * _float((half + np.int32(127)) << np.int32(23))
    p = p * _float((i - half + np.int32(127)) << np.int32(23))
    return _select(x != x, x, p)  # noqa: PLR0124  NaN


@register_jitable
def _log_reduced32(f: Any, k: Any) -> Any:
    """log((1 + f)·2^k) for 1 + f in [√½, √2]."""
    p = _fma(np.float32(-7.634493e-2), f, np.float32(1.2761576e-1))
    p = _fma(p, f, np.float32(-1.3160183e-1))
    p = _fma(p, f, np.float32(1.4201758e-1))
    p = _fma(p, f, np.float32(-1.6623357e-1))
    p = _fma(p, f, np.float32(2.0001227e-1))
    p = _fma(p, f, np.float32(-2.5000821e-1))
    p = _fma(p, f, np.float32(3.3333332e-1))
    s = f * f
    t = _fma(s * f, p, -_HALF * s)
    return _fma(k, _LN2_HI, f + _fma(k, _LN2_LO, t))


def _log32(x: Any) -> Any:
    tiny = x < np.float32(1.17549435e-38)
    bits = _bits(_select(tiny, x * np.float32(8388608.0), x)) + np.int32(0x3F800000 - 0x3F3504F3)
    k = (bits >> np.int32(23)) - np.int32(127)
    f = _float((bits & np.int32(0x7FFFFF)) + np.int32(0x3F3504F3)) - _ONE
    y = _log_reduced32(f, np.float32(_select(tiny, k - np.int32(23), k)))
    y = _select(x < _INF, y, x)  # inf and NaN answer themselves
    y = _select(x != _ZERO, y, -_INF)
    return _select(x < _ZERO, np.float32(np.nan), y)


def _log1p32(x: Any) -> Any:
    u = x + _ONE
    bits = _bits(u) + np.int32(0x3F800000 - 0x3F3504F3)
    k = (bits >> np.int32(23)) - np.int32(127)
    m = _float((bits & np.int32(0x7FFFFF)) + np.int32(0x3F3504F3)) - _ONE
    # (1 + x)·2^-k - 1 in one rounding, so that nothing of a small x is lost in 1 + x
    scale = _float((np.int32(127) - _select(k < np.int32(64), k, np.int32(64))) << np.int32(23))
    f = _select(k < np.int32(26), _fma(x, scale, scale - _ONE), m)
    y = _log_reduced32(f, np.float32(k))
    y = _select(x < _INF, y, x)
    y = _select(x != _ZERO, y, x)  # keeps the sign of zero
    y = _select(x != -_ONE, y, -_INF)
    return _select(x < -_ONE, np.float32(np.nan), y)


def _softplus32(x: Any) -> Any:
    # log1p(e) for e in [0, 1] needs none of log1p's special cases (they would stop vectorisation)
    e = exp(-abs(x))
    above = e > np.float32(0.41421354)
    scale = _select(above, _HALF, _ONE)
    y = _log_reduced32(_fma(e, scale, scale - _ONE), _select(above, _ONE, _ZERO))
    return y + _maximum(x, _ZERO)


def _softplus64(x: Any) -> Any:
    return math.log1p(math.exp(-abs(x))) + (max(0.0, x))


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


def typed(function: Callable[..., Any], dtype: type[np.floating[Any]]) -> Callable[..., Any]:
    """`function` with its number literals as `dtype`, ready to be called from compiled code.

    Numba widens `0.5 * x` to float64 for a float32 `x`; a formula written with plain literals is
    compiled through this, so that it computes in the type of its data. Its `min` and `max` keep
    NaN when the data comes first, as in `min(max(d, -b), b)`.
    """
    code, scope = function.__code__, dict(function.__globals__)
    scope |= {"max": _maximum, "min": _minimum}
    for name in code.co_names:
        if isinstance(scope.get(name), FunctionType) and scope[name] in _helpers:
            scope[name] = typed(scope[name], dtype)
    literals = tuple(dtype(c) if type(c) in (int, float) else c for c in code.co_consts)
    copy = FunctionType(code.replace(co_consts=literals), scope, function.__name__)
    copy.__module__, copy.__qualname__ = function.__module__, function.__qualname__
    copy.__annotations__ = function.__annotations__
    return register_jitable(error_model="numpy")(copy)  # type: ignore[no-any-return]


def _compiled(function: Callable[..., Any], single: Any, double: Any) -> None:
    """Give `function` its compiled forms, chosen by the argument's type."""

    @overload(function, jit_options={"error_model": "numpy"})
    def choose(x: Any) -> Any:
        return {types.float32: single, types.float64: double}.get(x)


_compiled(exp, _exp32, lambda x: math.exp(x))  # noqa: PLW0108  Numba asks for a Python function
_compiled(log, _log32, lambda x: math.log(x))  # noqa: PLW0108
_compiled(log1p, _log1p32, lambda x: math.log1p(x))  # noqa: PLW0108
_compiled(softplus, _softplus32, _softplus64)
for _function, _formula in ((sigmoid, _sigmoid), (sign, _sign)):
    _compiled(_function, typed(_formula, np.float32), typed(_formula, np.float64))
