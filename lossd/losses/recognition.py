"""Losses of recognition: cosines of an embedding and the classes' centres, with a margin."""

import math
from typing import Any

from lossd.losses.classification import LOWEST, odds, rival
from lossd.spec import Classes, Layout, param, tensor


class _Cosines(Classes):
    """Cross entropy of scaled cosines, the label's lowered by what `combine` makes of a, b, c."""

    versus = True
    keep = True

    input = tensor(
        "vector", "Cosines x of an embedding and each class's centre, (C) or (N, C).", grad=True
    )
    target = tensor("label", "Class indices in [0, C), the input's shape without C.")

    @staticmethod
    def peaks(x: Any, other: Any, x_y: Any, scale: Any, a: Any, b: Any, c: Any) -> Any:
        return (x if other else LOWEST,)

    @staticmethod
    def terms(x: Any, top: Any, other: Any, x_y: Any, scale: Any, a: Any, b: Any, c: Any) -> Any:
        return (rival(scale * (x - top), x, other),)

    @staticmethod
    def slopes(
        e: Any, x: Any, other: Any, x_y: Any, k: Any, scale: Any, a: Any, b: Any, c: Any
    ) -> Any:
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
    reference = (
        "Deng et al., ArcFace: additive angular margin loss for deep face recognition, "
        "https://arxiv.org/abs/1801.07698"
    )

    margin: float = param(28.6, "What the label's angle is widened by, in degrees.", ge=0, le=180)
    scale: float = param(64.0, "Factor s of all cosines.", gt=0)

    def constants(self, layout: Layout) -> tuple[float, ...]:
        margin = math.radians(self.margin)
        return self.scale, math.cos(margin), math.sin(margin), margin * math.sin(margin)

    @staticmethod
    def combine(x: Any, top: Any, rest: Any, scale: Any, cos_m: Any, sin_m: Any, drop: Any) -> Any:
        cos = min(max(x, -1.0), 1.0)
        sine = math.sqrt((1.0 - cos) * (1.0 + cos))
        near = cos >= -cos_m  # the angle and the margin are at most 180 degrees
        lowered = cos * cos_m - sine * sin_m if near else cos - drop
        slope = cos_m + (cos * sin_m / sine if sine > 0 else 0.0) if near else 1.0
        slope = slope if cos == x else 0.0
        nll, _, q, share = odds(scale * (top - lowered), rest)
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
    reference = (
        "Wang et al., CosFace: large margin cosine loss for deep face recognition, "
        "https://arxiv.org/abs/1801.09414"
    )

    margin: float = param(0.35, "What the label's cosine is lowered by.", ge=0)
    scale: float = param(64.0, "Factor s of all cosines.", gt=0)

    def constants(self, layout: Layout) -> tuple[float, ...]:
        return self.scale, self.margin, 0.0, 0.0

    @staticmethod
    def combine(x: Any, top: Any, rest: Any, scale: Any, margin: Any, b: Any, c: Any) -> Any:
        nll, _, q, share = odds(scale * (top - x + margin), rest)
        return nll, scale * q, scale * share
