"""Two boxes, axis by axis: how they meet, and what losses make of it, compiled.

A loss of two boxes depends, on each axis, on five lengths: those of their intersection, of what
encloses both, of either box, and the distance of their centres. Its slopes by these lengths are
its slopes by the coordinates. All of it is float64.
"""

import math
from collections.abc import Callable
from typing import Any

from numba.extending import register_jitable

from lossd.compiled.angles import angle
from lossd.compiled.instructions import fma, select


@register_jitable
def lengths(low1: Any, high1: Any, low2: Any, high2: Any) -> Any:
    """Of intersection, enclosure, first and second box, and from centre 2 to centre 1."""
    inner = min(high1, high2) - max(low1, low2)
    outer = max(high1, high2) - min(low1, low2)
    return inner, outer, high1 - low1, high2 - low2, ((low1 - low2) + (high1 - high2)) * 0.5


@register_jitable
def first_share(a: Any, b: Any) -> Any:
    """The slope of max(a, b) by a: half where they are equal, as autograd has it."""
    return select(a > b, 0.5, 0.0) + select(a >= b, 0.5, 0.0)


@register_jitable
def meet(x: Any, y: Any) -> Any:
    """1 if boxes of these lengths meet, else 0: a factor, as a branch could not be predicted."""
    return select((x[0] > 0) & (y[0] > 0), 1.0, 0.0)


@register_jitable(error_model="numpy")
def iou(x: Any, y: Any, eps: Any) -> Any:
    """1 - IoU, of lengths x and y.

    Answers the loss, its slopes by the intersection's area and by either box's, and for x and y
    those by the enclosure, either box and the distance that do not come through areas.
    """
    both = meet(x, y) * x[0] * y[0]
    below = x[2] * y[2] + x[3] * y[3] - both + eps
    share = both / below
    none = (0.0, 0.0, 0.0, 0.0)
    return 1.0 - share, -(1.0 + share) / below, share / below, none, none


@register_jitable(error_model="numpy")
def giou(x: Any, y: Any, eps: Any) -> Any:
    """1 - IoU, and the part of the enclosing box that is in neither (see `iou`)."""
    loss, in_both, in_area, _, _ = iou(x, y, eps)
    both = meet(x, y) * x[0] * y[0]
    union = x[2] * y[2] + x[3] * y[3] - both
    hull = x[1] * y[1]
    below = hull + eps
    in_hull = (union + eps) / below / below
    loss += (hull - union) / below
    slopes_x = (in_hull * y[1], 0.0, 0.0, 0.0)
    slopes_y = (in_hull * x[1], 0.0, 0.0, 0.0)
    return loss, in_both + 1.0 / below, in_area - 1.0 / below, slopes_x, slopes_y


@register_jitable(error_model="numpy")
def diou(x: Any, y: Any, eps: Any) -> Any:
    """1 - IoU, and the squared distance of the centres over the enclosing diagonal's."""
    loss, in_both, in_area, _, _ = iou(x, y, eps)
    below = x[1] * x[1] + y[1] * y[1] + eps
    far = (x[4] * x[4] + y[4] * y[4]) / below
    slopes_x = (-2.0 * far * x[1] / below, 0.0, 0.0, 2.0 * x[4] / below)
    slopes_y = (-2.0 * far * y[1] / below, 0.0, 0.0, 2.0 * y[4] / below)
    return loss + far, in_both, in_area, slopes_x, slopes_y


@register_jitable(error_model="numpy")
def ciou(x: Any, y: Any, eps: Any) -> Any:
    """`diou`, and how much the boxes' aspect ratios differ, with a weight that counts as fixed."""
    part, in_both, in_area, slopes_x, slopes_y = diou(x, y, eps)
    w, h, w2, h2 = x[2], y[2], x[3], y[3]
    # of the angles whose tangents are w2 / h2 and w / h; 0 for a box without width and height
    product = w * h2
    across = fma(w2, h, -product) - fma(w, h2, -product)  # w2 · h - w · h2, which cancel (Kahan)
    apart = angle(across, h2 * h + w2 * w)
    differ = 4.0 / math.pi**2 * apart * apart
    weight = differ / (iou(x, y, eps)[0] + differ + eps)
    k = weight * 8.0 / math.pi**2 * apart
    first, second = w * w + h * h, w2 * w2 + h2 * h2
    k1, k2 = k / (first if first != 0 else 1.0), k / (second if second != 0 else 1.0)
    slopes_x = (slopes_x[0], -k1 * h, k2 * h2, slopes_x[3])
    slopes_y = (slopes_y[0], k1 * w, -k2 * w2, slopes_y[3])
    return part + weight * differ, in_both, in_area, slopes_x, slopes_y


@register_jitable
def ends(low1: Any, high1: Any, low2: Any, high2: Any, slopes: Any) -> Any:
    """Slopes by both boxes' ends on one axis, from those by its five lengths."""
    in_inner, in_outer, in_first, in_second, in_apart = slopes
    low, high = first_share(low1, low2), first_share(high2, high1)
    return (
        -in_inner * low - in_outer * (1.0 - low) - in_first + in_apart * 0.5,
        in_inner * high + in_outer * (1.0 - high) + in_first + in_apart * 0.5,
        -in_inner * (1.0 - low) - in_outer * low - in_second - in_apart * 0.5,
        in_inner * (1.0 - high) + in_outer * high + in_second - in_apart * 0.5,
    )


def pair(loss: Any) -> Callable[..., Any]:
    """The `math` of a loss of two boxes (x1, y1, x2, y2), `loss` being one of the above."""

    def math(
        ax1: Any, ay1: Any, ax2: Any, ay2: Any, bx1: Any, by1: Any, bx2: Any, by2: Any, eps: Any
    ) -> Any:
        x, y = lengths(ax1, ax2, bx1, bx2), lengths(ay1, ay2, by1, by2)
        wide, _, width1, width2, _ = x
        high, _, height1, height2, _ = y
        value, both, area, of_x, of_y = loss(x, y, eps)
        both *= meet(x, y)
        hull_x, own_x1, own_x2, apart_x = of_x
        hull_y, own_y1, own_y2, apart_y = of_y
        in_x = both * high, hull_x, area * height1 + own_x1, area * height2 + own_x2, apart_x
        in_y = both * wide, hull_y, area * width1 + own_y1, area * width2 + own_y2, apart_y
        in_ax1, in_ax2, in_bx1, in_bx2 = ends(ax1, ax2, bx1, bx2, in_x)
        in_ay1, in_ay2, in_by1, in_by2 = ends(ay1, ay2, by1, by2, in_y)
        return value, in_ax1, in_ay1, in_ax2, in_ay2, in_bx1, in_by1, in_bx2, in_by2

    return math
