"""Steps through the states of a CTC loss: probabilities with an exponent of their own.

A number is m·2^n with m in [1/2, 1) or 0; sums and products of such numbers neither overflow nor
underflow, and need no logarithm.
"""

from typing import Any, Final

import numpy as np
from numba import carray
from numba.extending import register_jitable

from lossd.compiled.signs import is_set
from lossd.compiled.stack import stack_like
from lossd.mathfns import NEVER, NOTHING, exp, normalised, power_of_two, wide_exp

TILE: Final = 256
"""Classes whose probabilities are computed side by side."""


@register_jitable
def step_probabilities(
    x: Any,  # compute[C], log-probabilities
    y: Any,  # int64[S], labels
    blank: Any,
    p: Any,  # float64[2·S + 1], out
    q: Any,  # int64[2·S + 1], out
    m: Any,  # float64[S], for use here
    n: Any,  # int64[S], for use here
) -> None:
    """The probability p·2^q of each state's class at one step."""
    for k in range(y.size):
        m[k] = x[y[k]]
    for k in range(y.size):
        m[k], n[k] = wide_exp(m[k])
    none, n_none = wide_exp(float(x[blank]))
    p[0], q[0] = none, n_none
    for k in range(y.size):
        p[2 * k + 1], q[2 * k + 1] = m[k], n[k]
        p[2 * k + 2], q[2 * k + 2] = none, n_none


@register_jitable
def sum_of_three(
    far: Any,  # float64[n], far·2^n_far
    n_far: Any,  # int64[n]
    mid: Any,  # alike
    n_mid: Any,
    near: Any,  # alike
    n_near: Any,
    gap: Any,  # int64[n], 0 or so much that `far` vanishes
    b: Any,  # float64[n], out: b·2^f
    f: Any,  # int64[n], out
) -> None:
    """Add up three numbers each, the first of them only where `gap` is 0."""
    for s in range(b.size):
        i, j, k = n_far[s] + gap[s], n_mid[s], n_near[s]
        top = max(i, j, k)
        b[s] = far[s] * power_of_two(i - top) + (
            mid[s] * power_of_two(j - top) + near[s] * power_of_two(k - top)
        )
        f[s] = top


@register_jitable
def raise_all(x: Any, scale: Any, found: Any) -> None:
    """Found = e^x · scale, on the stack first: LLVM vectorises what nothing else points to."""
    tile = carray(stack_like(x, TILE), TILE)
    for start in range(0, x.size, TILE):
        part, made = x[start : start + TILE], found[start : start + TILE]
        for k in range(part.size):
            tile[k] = exp(part[k]) * scale
        for k in range(made.size):
            made[k] = tile[k]


@register_jitable
def backward(
    x: Any,  # compute[T, N, C], log-probabilities, of which sample n is looked at
    y: Any,  # int64[S], labels
    blank: Any,
    n: Any,
    time: Any,
    a: Any,  # float64[time, 2·S + 3], the prefixes' probabilities a·2^e
    e: Any,  # int64[time, 2·S + 3]
    far: Any,  # int64[2·S + 1], 0 where a path may come from two states before
    total: Any,  # the probability of all paths is total·2^top
    top: Any,
    g: Any,  # compute[T, N, C], out: the first `time` steps of sample n
    slope: Any,
    stop: Any,  # address of what ends it
) -> None:
    """Write the gradient: each step's probabilities less those of the paths, times `slope`."""
    states = 2 * y.size + 1
    # suffixes: c·2^d behind a state, and r·2^u with its own step; two places after the last
    c, d = np.zeros(states), np.full(states, NOTHING)
    r, u = np.zeros(states + 2), np.full(states + 2, NOTHING)
    p, q = np.empty(states), np.empty(states, np.int64)
    m, k_m = np.empty(y.size), np.empty(y.size, np.int64)
    leap = np.full(states, NEVER)  # from s to s + 2
    leap[: max(states - 2, 0)] = far[2:]
    share, part = np.zeros(x.shape[2]), np.empty(states)
    inverse = 1.0 / total
    c[max(states - 2, 0) :] = 0.5
    d[max(states - 2, 0) :] = 1
    for t in range(time - 1, -1, -1):
        if is_set(stop):
            return
        if t < time - 1:
            sum_of_three(r[2:], u[2:], r[1:], u[1:], r, u, leap, c, d)
        step_probabilities(x[t, n], y, blank, p, q, m, k_m)
        before, height = a[t, 2:], e[t, 2:]
        for s in range(states):
            part[s] = before[s] * c[s] * inverse * power_of_two(min(height[s] + d[s] - top, 1000))
        for s in range(states):
            r[s], u[s] = normalised(c[s] * p[s], d[s] + q[s])
        none = part[0]
        for k in range(y.size):
            none += part[2 * k + 2]
            share[y[k]] += part[2 * k + 1]
        row, source = g[t, n], x[t, n]
        raise_all(source, slope, row)
        row[blank] -= none * slope
        for k in range(y.size):
            row[y[k]] -= share[y[k]] * slope
            share[y[k]] = 0.0  # a label may come again
