"""Counts over rows, one after the other: an order that no cut into parts changes."""

from typing import Any

from lossd.kernels import cache


@cache.compiled(
    "void(int64[::1], Array(float64, 1, 'C', readonly=True), boolean[::1], boolean[::1], "
    "boolean[::1], boolean[::1], float64[:, ::1])"
)
def add_losses(
    place: Any, losses: Any, finite: Any, scored: Any, judged: Any, right: Any, totals: Any
) -> None:
    """Add rows to their class or group.

    Args:
        place: int64[R], the column of `totals` of each row, -1 for none.
        losses: float64[R].
        finite: bool[R], whether a loss is a number.
        scored: bool[R], whether there is one.
        judged: bool[R], whether there is a class.
        right: bool[R], whether the prediction is the class.
        totals: float64[5, K], out: finite losses, their sum, scored rows, rows with a class, right
            ones among them.
    """
    for i in range(place.size):
        k = place[i]
        if k < 0:
            continue
        if finite[i]:
            totals[0, k] += 1
            totals[1, k] += losses[i]
        totals[2, k] += scored[i]
        if judged[i]:
            totals[3, k] += 1
            totals[4, k] += right[i]


@cache.compiled(
    "void(Array(int64, 1, 'C', readonly=True), Array(int64, 1, 'C', readonly=True), int64[:, ::1])"
)
def add_pairs(truth: Any, predicted: Any, counts: Any) -> None:
    """Count pairs of class and prediction.

    Args:
        truth: int64[R], classes in [0, C).
        predicted: int64[R], the same.
        counts: int64[C, C], out.
    """
    for i in range(truth.size):
        counts[truth[i], predicted[i]] += 1


@cache.compiled(
    "void(Array(int64, 1, 'C', readonly=True), Array(int64, 1, 'C', readonly=True), boolean[::1], "
    "Array(float32, 1, 'C', readonly=True), boolean, float64[:, ::1])"
)
def add_reliability(
    truth: Any, predicted: Any, told: Any, sure: Any, binary: bool, sums: Any
) -> None:
    """Add rows to the bins of a reliability diagram.

    Args:
        truth: int64[R], classes.
        predicted: int64[R].
        told: bool[R], whether a row has a class and a prediction.
        sure: float32[R], the probability of the prediction, or of class 1.
        binary: whether it is that of class 1.
        sums: float64[3, B], out: rows, their probabilities, how often they are right.
    """
    bins = sums.shape[1]
    for i in range(truth.size):
        p = sure[i]
        if not (told[i] and 0 <= p <= 1):
            continue
        k = min(int(p * bins), bins - 1)
        sums[0, k] += 1
        sums[1, k] += p
        sums[2, k] += truth[i] == 1 if binary else truth[i] == predicted[i]
