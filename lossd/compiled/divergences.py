"""Divergences of two softmaxes, row by row: both are normalised before they are compared."""

import math
from collections.abc import Callable
from typing import Any, Final

import numpy as np
from numba.extending import register_jitable

from lossd.mathfns import exp, log

TILE: Final = 512
"""Classes that are worked on before their terms are added up."""

inlined = register_jitable(error_model="numpy", forceinline=True)


@inlined
def total(tile: Any, count: Any) -> Any:
    """The sum of a tile's first values in float64, in chains that do not wait for each other."""
    s0 = s1 = s2 = s3 = 0.0
    whole = count - count % 4
    for j in range(0, whole, 4):
        s0 += tile[j]
        s1 += tile[j + 1]
        s2 += tile[j + 2]
        s3 += tile[j + 3]
    for j in range(whole, count):
        s0 += tile[j]
    return (s0 + s1) + (s2 + s3)


@inlined
def largest(x: Any) -> Any:
    """The largest of the values that are numbers, in as many chains."""
    t0 = t1 = t2 = t3 = x.dtype.type(-math.inf)
    whole = x.size - x.size % 4
    for c in range(0, whole, 4):
        t0 = max(t0, x[c])
        t1 = max(t1, x[c + 1])
        t2 = max(t2, x[c + 2])
        t3 = max(t3, x[c + 3])
    for c in range(whole, x.size):
        t0 = max(t0, x[c])
    return max(t0, t1, t2, t3)


@inlined
def log_sum(x: Any, share: Any, tile: Any) -> Any:
    """The largest of x, and the logarithm of the sum of e^((x - largest) · share)."""
    top = largest(x)
    s = 0.0
    for start in range(0, x.size, TILE):
        part = x[start : start + TILE]
        for j in range(part.size):
            tile[j] = exp((part[j] - top) * share)
        s += total(tile, part.size)
    return top, x.dtype.type(log(s))


@inlined
def through_softmax(
    x: Any, g: Any, top: Any, log_total: Any, total_pull: Any, share: Any, slope: Any
) -> None:
    """Make g the gradient of logits, from p times the derivative by p of each class."""
    back, by = x.dtype.type(total_pull), share * slope
    for c in range(x.size):
        g[c] = (g[c] - exp((x[c] - top) * share - log_total) * back) * by


def divergence(between: Callable[..., Any]) -> Callable[..., Any]:
    """The `sample` of a divergence.

    between: of log p, log q, p, q, beta, 1 - beta and 1, what a class adds to the divergence, p
        times the derivative of the divergence with respect to p, and q times that to q.
    """
    part = inlined(between)

    def sample(
        n: Any, x: Any, y: Any, g: Any, h: Any, in_x: Any, in_y: Any, slope: Any, given: Any
    ) -> Any:
        kind = x.dtype.type
        share, one = kind(given[1]), kind(1)
        beta, rest = kind(given[0]), kind(1 - given[0])
        x, y, g, h = x[n], y[n], g[n], h[n]
        losses, of_p, of_q = np.empty((3, TILE), x.dtype)
        top_x, log_x = log_sum(x, share, losses)
        top_y, log_y = log_sum(y, share, losses)
        loss = pull_p = pull_q = 0.0
        for start in range(0, x.size, TILE):
            x_part, y_part = x[start : start + TILE], y[start : start + TILE]
            count = x_part.size
            for j in range(count):
                log_p = (x_part[j] - top_x) * share - log_x
                log_q = (y_part[j] - top_y) * share - log_y
                losses[j], of_p[j], of_q[j] = part(
                    log_p, log_q, exp(log_p), exp(log_q), beta, rest, one
                )
            loss += total(losses, count)
            if in_x:
                g[start : start + count] = of_p[:count]
                pull_p += total(of_p, count)
            if in_y:
                h[start : start + count] = of_q[:count]
                pull_q += total(of_q, count)
        if in_x:
            through_softmax(x, g, top_x, log_x, pull_p, share, slope)
        if in_y:
            through_softmax(y, h, top_y, log_y, pull_q, share, slope)
        return loss

    return sample
