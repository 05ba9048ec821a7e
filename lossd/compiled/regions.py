"""Sums over regions, and what losses of segmentation make of them, compiled.

A region is a class of a sample: its voxels have predicted probabilities p and true values y. A loss
is made of the sums of p·y, p and y over them (or of p·y, p² and y²), its gradient of the
derivatives with respect to these sums.
"""

from collections.abc import Callable
from typing import Any, Final

import numpy as np
from numba.extending import register_jitable

from lossd.mathfns import decay, sigmoid

CHUNK: Final = 4096  # voxels of all classes that are worked on while they are in cache
LANES: Final = 128  # voxels that are added side by side


@register_jitable
def nothing(x: Any, p: Any, n: Any, start: Any, stop: Any) -> None:
    """Predictions x[n, class, start:stop] that are probabilities: p stays as it is."""


@register_jitable
def as_given(x: Any, p: Any, n: Any, c: Any, start: Any, stop: Any) -> Any:
    """The probabilities of a class where predictions are some."""
    return x[n, c, start:stop]


@register_jitable
def as_made(x: Any, p: Any, n: Any, c: Any, start: Any, stop: Any) -> Any:
    """The probabilities of a class where they are made of predictions."""
    return p[c, : stop - start]


@register_jitable
def through_nothing(x: Any, p: Any, g: Any, n: Any, start: Any, stop: Any) -> None:
    """Make g[n, class, start:stop] the gradient of predictions, from that of probabilities."""


@register_jitable
def by_sigmoid(x: Any, p: Any, n: Any, start: Any, stop: Any) -> None:
    """Probabilities p[class, voxel] of logits x[n, class, start:stop], each for itself."""
    for c in range(x.shape[1]):
        source, made = x[n, c, start:stop], p[c, : stop - start]
        for j in range(source.size):
            made[j] = sigmoid(source[j])


@register_jitable
def through_sigmoid(x: Any, p: Any, g: Any, n: Any, start: Any, stop: Any) -> None:
    """The same of such logits."""
    one = x.dtype.type(1)
    for c in range(g.shape[1]):
        source, slope = x[n, c, start:stop], g[n, c, start:stop]
        for j in range(slope.size):
            e = decay(source[j])  # p - p² would lose digits where p is nearly 1
            slope[j] *= e / ((one + e) * (one + e))


@register_jitable
def by_softmax(x: Any, p: Any, n: Any, start: Any, stop: Any) -> None:
    """Probabilities of logits of classes that exclude each other."""
    kind = x.dtype.type
    top, total = x[n, 0, start:stop].copy(), np.zeros(stop - start)  # in float64
    for c in range(1, x.shape[1]):
        source = x[n, c, start:stop]
        for j in range(top.size):
            above = (source[j] > top[j]) | (source[j] != source[j])  # NaN stays
            top[j] = source[j] if above else top[j]
    for c in range(x.shape[1]):
        source, made = x[n, c, start:stop], p[c, : stop - start]
        for j in range(top.size):
            made[j] = decay(source[j] - top[j])
        for j in range(top.size):
            total[j] += made[j]
    for j in range(top.size):
        top[j] = kind(1.0 / total[j])
    for c in range(x.shape[1]):
        made = p[c, : stop - start]
        for j in range(top.size):
            made[j] *= top[j]


@register_jitable
def through_softmax(x: Any, p: Any, g: Any, n: Any, start: Any, stop: Any) -> None:
    """The same of such logits."""
    kind, mean = p.dtype.type, np.zeros(stop - start)  # in float64: there may be many classes
    for c in range(g.shape[1]):
        value, slope = p[c, : stop - start], g[n, c, start:stop]
        for j in range(mean.size):
            mean[j] += value[j] * slope[j]
    for c in range(g.shape[1]):
        value, slope = p[c, : stop - start], g[n, c, start:stop]
        for j in range(mean.size):
            slope[j] = value[j] * (slope[j] - kind(mean[j]))


@register_jitable
def lanes_total(lanes: Any) -> float:
    """The sum of LANES values, added in halves."""
    half = LANES // 2
    while half:
        for j in range(half):
            lanes[j] += lanes[j + half]
        half //= 2
    return lanes[0]  # type: ignore[no-any-return]


@register_jitable
def add_sums(p: Any, y: Any, squared: Any, lanes: Any, sums: Any) -> None:
    """Add to `sums` those of p·y, p and y; with `squared`, of p·y, p² and y²."""
    kind = p.dtype.type
    plain, square = kind(1 - squared), kind(squared)
    lanes[:] = 0
    both, ours, theirs = lanes[0], lanes[1], lanes[2]
    full = p.size - p.size % LANES
    for base in range(0, full, LANES):
        u, v = p[base : base + LANES], y[base : base + LANES]
        for j in range(LANES):
            both[j] += u[j] * v[j]
            ours[j] += u[j] * (plain + square * u[j])
            theirs[j] += v[j] * (plain + square * v[j])
    u, v = p[full:], y[full:]
    for j in range(u.size):
        both[j] += u[j] * v[j]
        ours[j] += u[j] * (plain + square * u[j])
        theirs[j] += v[j] * (plain + square * v[j])
    for k in range(3):
        sums[k] += lanes_total(lanes[k])


GIVEN: Final = nothing, as_given, through_nothing
SIGMOID: Final = by_sigmoid, as_made, through_sigmoid
SOFTMAX: Final = by_softmax, as_made, through_softmax
"""Predictions to probabilities, where these are, and gradients of these to those of those."""


def regions(predictions: tuple[Any, Any, Any], combine: Any) -> Callable[..., None]:
    """The `sample` of a loss that is made of sums over each class's voxels.

    predictions: what they are: GIVEN, SIGMOID or SOFTMAX.
    combine(sums, slopes, losses, given, k): writes the losses, made of sums[class] of p·y, p and
        y, and k[class], the derivatives by them of the losses times their slopes. given[0] is
        whether the background counts, given[1] whether the sums are of squares.
    """
    activate, probabilities, through = predictions

    def sample(
        n: Any,
        x: Any,
        y: Any,
        in_x: Any,
        in_y: Any,
        x_wanted: Any,
        y_wanted: Any,
        slopes: Any,
        losses: Any,
        given: Any,
    ) -> None:
        kind = x.dtype.type
        classes, size = x.shape[1], x.shape[2]
        first, squared = 1 - int(given[0]), given[1]
        p, lanes = np.empty((classes, min(CHUNK, size)), x.dtype), np.empty((3, LANES), x.dtype)
        sums, k = np.zeros((classes, 3)), np.zeros((classes, 3))
        for start in range(0, size, CHUNK):
            stop = min(start + CHUNK, size)
            activate(x, p, n, start, stop)
            for c in range(first, classes):
                u, v = probabilities(x, p, n, c, start, stop), y[n, c, start:stop]
                add_sums(u, v, squared, lanes, sums[c])
        combine(sums[first:], slopes, losses, given, k[first:])

        plain, twice = kind(1 - squared), kind(2 * squared)
        for start in range(0, size if x_wanted or y_wanted else 0, CHUNK):
            stop = min(start + CHUNK, size)
            if size > CHUNK:
                activate(x, p, n, start, stop)
            for c in range(classes):
                both, ours, theirs = kind(k[c, 0]), kind(k[c, 1]), kind(k[c, 2])
                u, v = probabilities(x, p, n, c, start, stop), y[n, c, start:stop]
                if x_wanted:
                    made = in_x[n, c, start:stop]
                    for j in range(made.size):
                        made[j] = both * v[j] + ours * (plain + twice * u[j])
                if y_wanted:
                    made = in_y[n, c, start:stop]
                    for j in range(made.size):
                        made[j] = both * u[j] + theirs * (plain + twice * v[j])
            if x_wanted:
                through(x, p, in_x, n, start, stop)

    return sample


@register_jitable(error_model="numpy")
def overlaps(sums: Any, slopes: Any, losses: Any, given: Any, k: Any) -> None:
    """What each class lacks to a Tversky index of 1, to a power."""
    _, _, alpha, beta, smooth_nr, smooth_dr, power = given[:7]
    for c in range(len(sums)):
        both, ours, theirs = sums[c]
        wrong = alpha * (ours - both) + beta * (theirs - both)
        below = both + wrong + smooth_dr
        index = (both + smooth_nr) / below
        lack = (wrong + smooth_dr - smooth_nr) / below  # 1 - index, exactly 0 if nothing is wrong
        losses[c] = lack**power
        steep = power * lack ** (power - 1.0)
        scaled = slopes[c] / below * (steep if steep != np.inf else 0.0)
        k[c, 0] = scaled * (index * (1.0 - alpha - beta) - 1.0)
        k[c, 1] = scaled * index * alpha
        k[c, 2] = scaled * index * beta


@register_jitable(error_model="numpy")
def generalized(sums: Any, slopes: Any, losses: Any, given: Any, k: Any) -> None:
    """What all classes together, weighed by their true volume, lack to a Dice score of 1."""
    _, _, smooth_nr, smooth_dr, power = given[:5]
    weights = np.zeros(len(sums))
    heaviest = 0
    for c in range(len(sums)):
        weights[c] = sums[c, 2] ** -power
        if weights[c] == np.inf:
            weights[c] = 0.0
        if weights[c] > weights[heaviest]:
            heaviest = c
    empty = weights == 0
    above, below = smooth_nr, smooth_dr
    for c in range(len(sums)):
        both, ours, theirs = sums[c]
        weights[c] = weights[heaviest] if empty[c] else weights[c]
        above += 2.0 * weights[c] * both
        below += weights[c] * (ours + theirs)
    losses[0] = (below - above) / below
    score, scaled = above / below, slopes[0] / below
    for c in range(len(sums)):
        both, ours, theirs = sums[c]
        k[c, 0] = -2.0 * scaled * weights[c]
        k[c, 1] = scaled * score * weights[c]
        k[c, 2] += k[c, 1]
        # the weights are functions of the volumes, those of empty classes of the smallest one
        by = heaviest if empty[c] else c
        if power > 0 and not empty[by]:
            in_weight = scaled * (score * (ours + theirs) - 2.0 * both)
            k[by, 2] -= in_weight * power * weights[by] / sums[by, 2]
