"""What scores of classes predict: the best class of each row, and how sure it is."""

import math
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from lossd.compiled.instructions import minimum
from lossd.kernels import cache

Array = npt.NDArray[Any]

NONE: Final = -1
"""Stands for no class until there is a table, which has nulls."""

_SEEN: Final = 16.0  # a loss whose rounding to float32 is seen in the sixth digit of a confidence

_SCORES: Final = tuple(f"Array({kind}, 2, 'C', readonly=True)" for kind in ("float32", "float64"))


@cache.compiled(*(f"void({scores}, int64[::1], float64[::1])" for scores in _SCORES))
def _look(scores: Any, best: Any, top: Any) -> None:
    for r in range(best.size):
        score = scores[r, best[r]]
        top[r] = score
        if score != score:  # noqa: PLR0124  NaN
            best[r] = NONE


def find_best(scores: Array) -> tuple[Array, Array]:
    """The first of the largest scores of each row; no class where one is NaN.

    Args:
        scores: float32 or float64[R, C], C-contiguous.

    Returns:
        Its class, int64[R], and the score, float64[R].
    """
    best = scores.argmax(1)  # takes NaN for the largest
    top = np.empty(len(scores))
    _look(scores, best, top)
    return best, top


@cache.compiled(
    *(
        f"void({scores}, int64[::1], boolean[::1], Array({kind}, 1, 'C', readonly=True), "
        "float64[::1], float64[::1])"
        for scores, kind in zip(_SCORES, ("float32", "float64"), strict=True)
    )
)
def find_confidence(
    scores: Any, labels: Any, kept: Any, surprise: Any, top: Any, confidence: Any
) -> None:
    """The largest of softmax(x): from the sum of exponentials that the loss has computed.

    Where the loss is large, its rounding would be seen; there the sum is computed anew.

    Args:
        scores: float32 or float64[R, C], logits x.
        labels: int64[R], classes y.
        kept: bool[R], whether a label is not ignored.
        surprise: of the scores' type, [R]: -log softmax(x)[y].
        top: float64[R], the largest score.
        confidence: float64[R], out; NaN where the label is ignored.
    """
    rows, width = scores.shape
    for r in range(rows):
        if not kept[r]:
            confidence[r] = math.nan
        elif surprise[r] < _SEEN:
            away = top[r] - np.float64(scores[r, labels[r]])
            confidence[r] = minimum(math.exp(away - np.float64(surprise[r])), 1.0)
        else:
            total = 0.0
            for k in range(width):
                total += math.exp(np.float64(scores[r, k]) - top[r])
            confidence[r] = minimum(1 / total, 1.0)
