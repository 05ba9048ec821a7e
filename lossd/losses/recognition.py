"""Losses of recognition: cosines of an embedding and the classes' centres, with a margin."""

import math
from fractions import Fraction
from typing import Any, Final

from lossd.losses.classification import LOWEST, odds, rival
from lossd.mathfns import exact_product, exact_sum, inlined
from lossd.spec import Classes, Layout, param, tensor

_PI: Final = Fraction("3.14159265358979323846264338327950288419716939937510582097494459")
_ONE: Final = 1 << 160  # fixed-point numbers are multiples of 1 / _ONE


def in_two(value: int) -> tuple[float, float]:
    """A fixed-point number as a float64, and what that leaves out."""
    near = value / _ONE
    return near, (value - int(Fraction(near) * _ONE)) / _ONE


def turn(degrees: float) -> tuple[tuple[float, float], ...]:
    """Cosine, sine, and the sine times the angle in radians, each in two parts."""
    angle = int(Fraction(degrees) * _PI / 180 * _ONE)
    sums, term = [0, 0, 0, 0], _ONE
    for k in range(60):  # angle^k / k!, the series of cosine and sine
        sums[k % 4] += term
        term = term * angle // _ONE // (k + 1)
    cos, sin = sums[0] - sums[2], sums[1] - sums[3]
    return in_two(cos), in_two(sin), in_two(angle * sin // _ONE)


@inlined
def sine_of(cos: Any) -> Any:
    """The root of 1 - cos², in two parts."""
    below, below_rest = exact_sum(1.0, -cos)
    above, above_rest = exact_sum(1.0, cos)
    square, rest = exact_product(below, above)
    sine = math.sqrt(square)
    back, back_rest = exact_product(sine, sine)
    rest = (square - back) - back_rest + (rest + below * above_rest + below_rest * above)
    return sine, (0.5 * rest / sine if sine > 0 else 0.0)


@inlined
def apart(top: Any, cos: Any, cos_rest: Any, others: Any, scale: Any) -> Any:
    """`odds` of the label's lowered cosine, given in two parts: -log p, 1 - p and the factor.

    The scale multiplies roundings of a cosine, which the exponential then makes relative errors:
    the difference of the best rival's cosine and the label's is kept in two parts, too.
    """
    gap, gap_rest = exact_sum(top, -cos)
    lead, rest = exact_product(scale, gap)
    rest += scale * (gap_rest - cos_rest)
    rest = rest if abs(rest) < 1.0 else 0.0  # infinite cosines leave NaN
    nll, p, q, share = odds(lead, others)
    return nll + q * rest, q * (1.0 + p * rest), share * (1.0 + p * rest)


class _Cosines(Classes):
    """Cross entropy of scaled cosines, the label's lowered by what `combine` makes of `params`."""

    versus = True
    keep = True

    input = tensor(
        "vector", "Cosines x of an embedding and each class's centre, (C) or (N, C).", grad=True
    )
    target = tensor("label", "Class indices in [0, C), the input's shape without C.")

    @staticmethod
    def peaks(x: Any, other: Any, x_y: Any, *params: Any) -> Any:
        return (x if other else LOWEST,)

    @staticmethod
    def terms(x: Any, top: Any, other: Any, x_y: Any, scale: Any, *params: Any) -> Any:
        return (rival(scale * (x - top), x, other),)

    @staticmethod
    def slopes(e: Any, x: Any, other: Any, x_y: Any, k: Any, *params: Any) -> Any:
        return (e * k,)


class ArcFaceLoss(_Cosines):
    r"""Softmax cross entropy of cosines, after the angle to the label's class is widened.

    Shape:
        input: (C), (N, C) or (N, C, d1, …, dK), cosines; target: the same without C (any integer
        type).

    pytorch-metric-learning's loss of the cosines: there the loss normalises embeddings and owns
    the matrix of class centres, here both are the caller's. `margin` is in degrees, as there.
    Where angle and margin exceed 180 degrees, the label's cosine is lowered by margin · sin(margin)
    (in radians) instead, which keeps the loss monotonic. The label's cosine is clamped to [-1, 1],
    and has no gradient beyond. At 1 the slope of its angle would be infinite: that part is left
    out there.

    Example:
        >>> criterion = nn.ArcFaceLoss(scale=8.0, client=client)
        >>> round(criterion([[0.9, 0.2, -0.5], [0.1, 0.3, 0.2]], [0, 1]).item(), 6)
        1.796338
    """

    name = "arcface_loss"
    library = "pytorch_metric_learning.losses"
    signature = ("margin", "scale", "reduction")
    formula = (
        r"\ell = -\log \frac{e^{s \cos(\theta_y + m)}}"
        r"{e^{s \cos(\theta_y + m)} + \sum_{c \ne y} e^{s x_c}},\ \theta_y = \arccos x_y"
    )
    gradient = (
        (
            r"\partial_{x_c} \ell = s\,p_c \text{ for } c \ne y,\ \partial_{x_y} \ell = -s\,(1 - "
            r"p_y) \left(\cos m + \frac{x_y \sin m}{\sqrt{1 - x_y^2}}\right)"
        ),
        (
            r"p = \mathrm{softmax} \text{ of the scaled cosines, the label's after its angle is "
            r"widened; } m \text{ in radians}"
        ),
        (
            r"\text{where } \theta_y + m > \pi \text{, the label's cosine is } x_y - m \sin m "
            r"\text{, and } \partial_{x_c} \ell = s\,(p_c - [c = y])"
        ),
    )
    reference = (
        "Deng et al., ArcFace: additive angular margin loss for deep face recognition, "
        "https://arxiv.org/abs/1801.07698"
    )

    margin: float = param(
        28.6, "What the label's angle is widened by, m, in degrees.", ge=0, le=180
    )
    scale: float = param(64.0, "Factor s of all cosines.", gt=0)

    def constants(self, layout: Layout) -> tuple[float, ...]:
        nearest, rests = zip(*turn(self.margin), strict=True)
        return self.scale, *nearest, *rests

    @staticmethod
    def combine(
        x: Any, top: Any, others: Any,
        scale: Any, cos_m: Any, sin_m: Any, drop: Any, cos_rest: Any, sin_rest: Any, drop_rest: Any,
    ) -> Any:  # fmt: skip
        cos = min(max(x, -1.0), 1.0)
        sine, sine_rest = sine_of(cos)
        near = cos >= -cos_m  # the angle and the margin are at most 180 degrees
        one, one_rest = exact_product(cos, cos_m)
        two, two_rest = exact_product(sine, sin_m)
        turned, rest = exact_sum(one, -two)
        rest += (one_rest - two_rest) + (cos * cos_rest - sine * sin_rest - sine_rest * sin_m)
        dropped, far_rest = exact_sum(cos, -drop)
        lowered, rest = (turned, rest) if near else (dropped, far_rest - drop_rest)
        slope = cos_m + (cos * sin_m / sine if sine > 0 else 0.0) if near else 1.0
        slope = slope if cos == x else 0.0
        nll, q, share = apart(top, lowered, rest, others, scale)
        return nll, scale * slope * q, scale * share


class CosFaceLoss(_Cosines):
    r"""Softmax cross entropy of cosines, after the label's is lowered.

    Shape:
        input: (C), (N, C) or (N, C, d1, …, dK), cosines; target: the same without C (any integer
        type).

    pytorch-metric-learning's loss of the cosines: there the loss normalises embeddings and owns
    the matrix of class centres, here both are the caller's. `margin` is a cosine.

    Example:
        >>> criterion = nn.CosFaceLoss(scale=8.0, client=client)
        >>> round(criterion([[0.9, 0.2, -0.5], [0.1, 0.3, 0.2]], [0, 1]).item(), 6)
        1.259809
    """

    name = "cosface_loss"
    library = "pytorch_metric_learning.losses"
    signature = ("margin", "scale", "reduction")
    formula = r"\ell = -\log \frac{e^{s (x_y - m)}}{e^{s (x_y - m)} + \sum_{c \ne y} e^{s x_c}}"
    gradient = (
        (
            r"\partial_{x_c} \ell = s\,(p_c - [c = y]),\ p = \mathrm{softmax} \text{ of the "
            r"scaled cosines, the label's after it is lowered}"
        ),
    )
    reference = (
        "Wang et al., CosFace: large margin cosine loss for deep face recognition, "
        "https://arxiv.org/abs/1801.09414"
    )

    margin: float = param(0.35, "What the label's cosine is lowered by, m.", ge=0)
    scale: float = param(64.0, "Factor s of all cosines.", gt=0)

    def constants(self, layout: Layout) -> tuple[float, ...]:
        return self.scale, self.margin

    @staticmethod
    def combine(x: Any, top: Any, others: Any, scale: Any, margin: Any) -> Any:
        lowered, rest = exact_sum(x, -margin)
        nll, q, share = apart(top, lowered, rest, others, scale)
        return nll, scale * q, scale * share
