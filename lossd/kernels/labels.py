"""Class indices: checked and counted before any kernel uses them."""

from typing import Any

from lossd.compiled.sums import plus, whole
from lossd.kernels import cache


@cache.compiled("UniTuple(int64, 2)(Array(int64, 1, 'C', readonly=True), int64[::1], int64, int64)")
def prepare(target: Any, rows: Any, classes: int, ignored: int) -> tuple[int, int]:
    """Copy labels, -1 in place of `ignored`.

    Args:
        target: int64[R], the labels.
        rows: int64[R], out.
        classes: labels must be in [0, classes).
        ignored: label of rows to leave out.

    Returns:
        The position of the first label out of range or -1, and how many rows are kept.
    """
    wrong = kept = 0
    for i in range(target.size):  # side by side: where the first is wrong is told if one is
        label = target[i]
        skip = label == ignored
        wrong += (not skip) & ((label < 0) | (label >= classes))
        kept += not skip
        rows[i] = -1 if skip else label
    bad = -1
    for i in range(target.size if wrong else 0):
        label = target[i]
        if label != ignored and (label < 0 or label >= classes):
            bad = i
            break
    return bad, kept


@cache.compiled("float64(int64[::1], Array(float64, 1, 'C', readonly=True))")
def weight_sum(rows: Any, weight: Any) -> float:
    """Sum of the weights at the labels, rows of -1 left out."""
    total = lost = 0.0
    for label in rows:
        if label >= 0:
            total, lost = plus(total, lost, weight[label])
    return whole(total, lost)  # type: ignore[no-any-return]
