"""Divergences of two softmaxes, row by row: both are normalised before they are compared."""

import math
from collections.abc import Callable
from typing import Any, Final

import numba as nb
from numba import carray
from numba.extending import register_jitable

from lossd.compiled.lanes import added, fill, largest
from lossd.compiled.stack import stack, stack_like
from lossd.mathfns import decay, log

TILE: Final = 512
"""Classes that are worked on before their terms are added up."""

LANES: Final = 64
"""Sums and maxima that do not wait for each other."""

inlined = register_jitable(error_model="numpy", forceinline=True)


@inlined
def total(tile: Any, count: Any) -> Any:
    """The sum of a tile's first values in float64, in lanes."""
    lanes = carray(stack(nb.float64, LANES), LANES)
    fill(lanes, 0.0)
    whole = count - count % LANES
    for start in range(0, whole, LANES):
        part = tile[start : start + LANES]
        for j in range(LANES):
            lanes[j] += part[j]
    for j in range(count - whole):
        lanes[j] += tile[whole + j]
    return added(lanes)


@inlined
def top_of(x: Any) -> Any:
    """The largest of the values that are numbers."""
    lanes = carray(stack(nb.float64, LANES), LANES)
    fill(lanes, -math.inf)
    whole = x.size - x.size % LANES
    for start in range(0, whole, LANES):
        part = x[start : start + LANES]
        for j in range(LANES):
            lanes[j] = max(lanes[j], part[j])
    for j in range(x.size - whole):
        lanes[j] = max(lanes[j], x[whole + j])
    return x.dtype.type(largest(lanes))


@inlined
def log_sum(x: Any, share: Any) -> Any:
    """The largest of x, and the logarithm of the sum of e^((x - largest) · share)."""
    tile = carray(stack_like(x, TILE), TILE)
    top = top_of(x)
    s = 0.0
    for start in range(0, x.size, TILE):
        part = x[start : start + TILE]
        for j in range(part.size):
            tile[j] = decay((part[j] - top) * share)
        s += total(tile, part.size)
    return top, x.dtype.type(log(s))


@inlined
def through_softmax(
    x: Any, g: Any, top: Any, log_total: Any, total_pull: Any, share: Any, slope: Any
) -> None:
    """Make g the gradient of logits, from p times the derivative by p of each class."""
    back, by = x.dtype.type(total_pull), share * slope
    for c in range(x.size):
        g[c] = (g[c] - decay((x[c] - top) * share - log_total) * back) * by


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
        losses = carray(stack_like(x, TILE), TILE)
        of_p, of_q = carray(stack_like(x, TILE), TILE), carray(stack_like(x, TILE), TILE)
        top_x, log_x = log_sum(x, share)
        top_y, log_y = log_sum(y, share)
        loss = pull_p = pull_q = 0.0
        for start in range(0, x.size, TILE):
            x_part, y_part = x[start : start + TILE], y[start : start + TILE]
            count = x_part.size
            for j in range(count):
                log_p = (x_part[j] - top_x) * share - log_x
                log_q = (y_part[j] - top_y) * share - log_y
                losses[j], of_p[j], of_q[j] = part(
                    log_p, log_q, decay(log_p), decay(log_q), beta, rest, one
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
