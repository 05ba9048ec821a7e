"""One score against all others, side by side, compiled."""

from typing import Any, Final

import numba as nb
import numpy as np
from numba import carray
from numba.extending import register_jitable

from lossd.compiled.instructions import select
from lossd.compiled.lanes import added, fill
from lossd.compiled.stack import stack
from lossd.compiled.views import place

LANES: Final = 32
"""Scores that are looked at side by side; rows are padded to a multiple of them."""


@register_jitable(error_model="numpy")
def rivals(lead: Any, scores: Any, rival: Any, slopes: Any) -> Any:
    """The sum of max(0, lead + score) over all rivals, and how many of these are above 0.

    NaN stays, in the sum, in the count and in the slopes.

    Args:
        lead: what is added to each score.
        scores: float64, a multiple of LANES of them.
        rival: of each, 1 if it counts, else 0.
        slopes: to each, 1 is added where its hinge is above 0.
    """
    hinges = carray(stack(nb.float64, LANES), LANES)
    counts = carray(stack(nb.float64, LANES), LANES)
    fill(hinges, 0.0)
    fill(counts, 0.0)
    for start in range(0, scores.size, LANES):
        score, own = carray(place(scores, start), LANES), carray(place(rival, start), LANES)
        slope = carray(place(slopes, start), LANES)
        for j in range(LANES):
            hinge = select(own[j] > 0.0, lead + score[j], -np.inf)
            flat = hinge <= 0.0
            step = select(flat, 0.0, select(hinge > 0.0, 1.0, hinge))
            hinges[j] += select(flat, 0.0, hinge)
            counts[j] += step
            slope[j] += step
    return added(hinges), added(counts)
