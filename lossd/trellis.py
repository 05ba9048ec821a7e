"""Steps through the states of a CTC loss: probabilities with an exponent of their own.

A number is m·2^n with m in [1/2, 1) or 0; sums and products of such numbers neither overflow nor
underflow, and need no logarithm.
"""

from typing import Any

import numpy as np
from numba.extending import register_jitable

from lossd.mathfns import NOTHING, exp, normalised, power_of_two, wide_exp


@register_jitable
def step_probabilities(
    x: Any,  # compute[C], log-probabilities
    y: Any,  # int64[S], labels
    blank: Any,
    p: Any,  # float64[2·S + 1], out
    q: Any,  # int64[2·S + 1], out
) -> None:
    """The probability p·2^q of each state's class at one step."""
    none, n_none = wide_exp(float(x[blank]))
    p[0], q[0] = none, n_none
    for k in range(y.size):
        p[2 * k + 1], q[2 * k + 1] = wide_exp(float(x[y[k]]))
        p[2 * k + 2], q[2 * k + 2] = none, n_none


@register_jitable
def forward(a: Any, e: Any, skip: Any, p: Any, q: Any, b: Any, f: Any) -> None:
    """From the prefixes' probabilities a·2^e to the next step's, b·2^f; shifted by two places."""
    for s in range(p.size):
        stay, move, jump = e[s + 2], e[s + 1], e[s] if skip[s] else NOTHING
        top = max(stay, move, jump)
        m = a[s + 2] * power_of_two(stay - top) + a[s + 1] * power_of_two(move - top)
        m += a[s] * power_of_two(jump - top) if skip[s] else 0.0
        b[s + 2], f[s + 2] = normalised(m * p[s], top + q[s])


@register_jitable
def backward(
    x: Any,  # compute[T, N, C], log-probabilities, of which sample n is looked at
    y: Any,  # int64[S], labels
    blank: Any,
    n: Any,
    time: Any,
    a: Any,  # float64[time, 2·S + 3], the prefixes' probabilities a·2^e
    e: Any,  # int64[time, 2·S + 3]
    skip: Any,  # int64[2·S + 1], whether a path may come from two states before
    total: Any,  # the probability of all paths is total·2^top
    top: Any,
    g: Any,  # compute[T, N, C], out: the first `time` steps of sample n
    slope: Any,
) -> None:
    """Write the gradient: each step's probabilities less those of the paths, times `slope`."""
    states = 2 * y.size + 1
    # suffixes: c·2^d behind a state, with that state's own step r·2^u; two places after the last
    c, d = np.zeros(states), np.full(states, NOTHING)
    r, u = np.zeros(states + 2), np.full(states + 2, NOTHING)
    p, q = np.empty(states), np.empty(states, np.int64)
    share = np.zeros(x.shape[2])
    inverse = 1.0 / total
    c[max(states - 2, 0) :] = 0.5
    d[max(states - 2, 0) :] = 1
    for t in range(time - 1, -1, -1):
        if t < time - 1:
            for s in range(states):
                jumps = s + 2 < states and skip[s + 2]
                stay, move, jump = u[s], u[s + 1], u[s + 2] if jumps else NOTHING
                high = max(stay, move, jump)
                m = r[s] * power_of_two(stay - high) + r[s + 1] * power_of_two(move - high)
                m += r[s + 2] * power_of_two(jump - high) if jumps else 0.0
                c[s], d[s] = normalised(m, high)
        step_probabilities(x[t, n], y, blank, p, q)
        for s in range(states):
            r[s], u[s] = normalised(c[s] * p[s], d[s] + q[s])
        share[blank] = 0.0
        for k in range(y.size):
            share[y[k]] = 0.0
        for s in range(states):
            part = a[t, s + 2] * c[s] * inverse
            share[y[s >> 1] if s & 1 else blank] += part * power_of_two(
                min(e[t, s + 2] + d[s] - top, 1000)
            )
        for k in range(x.shape[2]):
            g[t, n, k] = exp(x[t, n, k]) * slope
        g[t, n, blank] -= share[blank] * slope
        for k in range(y.size):
            g[t, n, y[k]] -= share[y[k]] * slope
            share[y[k]] = 0.0  # a label may come again
