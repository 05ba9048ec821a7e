"""Losses of segmentation: how far predicted and true regions overlap."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any, ClassVar, Final

import numpy as np
from lossd_client.errors import ParameterError, ShapeError
from numba.extending import register_jitable

from lossd.mathfns import exp, sigmoid
from lossd.spec import (
    Given,
    Layout,
    Loss,
    Operand,
    Prepared,
    Samples,
    param,
    tensor,
    tuple_text,
)  # fmt: skip

CHUNK: Final = 2048  # voxels of all classes that are worked on while they are in cache
LANES: Final = 32  # voxels that are added side by side


@register_jitable
def as_given(x: Any, p: Any, n: Any, start: Any, stop: Any) -> None:
    """Probabilities p[class, voxel] of predictions x[n, class, start:stop] that are some."""
    for c in range(x.shape[1]):
        source, made = x[n, c, start:stop], p[c, : stop - start]
        for j in range(source.size):
            made[j] = source[j]


@register_jitable
def through_as_given(p: Any, g: Any, n: Any, start: Any, stop: Any) -> None:
    """Make g[n, class, start:stop] the gradient of predictions, from that of probabilities."""


@register_jitable
def by_sigmoid(x: Any, p: Any, n: Any, start: Any, stop: Any) -> None:
    """Probabilities of logits, each for itself."""
    for c in range(x.shape[1]):
        source, made = x[n, c, start:stop], p[c, : stop - start]
        for j in range(source.size):
            made[j] = sigmoid(source[j])


@register_jitable
def through_sigmoid(p: Any, g: Any, n: Any, start: Any, stop: Any) -> None:
    """The same of such logits."""
    for c in range(g.shape[1]):
        value, slope = p[c, : stop - start], g[n, c, start:stop]
        for j in range(slope.size):
            slope[j] *= value[j] - value[j] * value[j]


@register_jitable
def by_softmax(x: Any, p: Any, n: Any, start: Any, stop: Any) -> None:
    """Probabilities of logits of classes that exclude each other."""
    top, total = x[n, 0, start:stop].copy(), np.zeros(stop - start, x.dtype)
    for c in range(1, x.shape[1]):
        source = x[n, c, start:stop]
        for j in range(top.size):
            above = (source[j] > top[j]) | (source[j] != source[j])  # NaN stays
            top[j] = source[j] if above else top[j]
    for c in range(x.shape[1]):
        source, made = x[n, c, start:stop], p[c, : stop - start]
        for j in range(top.size):
            made[j] = exp(source[j] - top[j])
            total[j] += made[j]
    for c in range(x.shape[1]):
        made = p[c, : stop - start]
        for j in range(top.size):
            made[j] /= total[j]


@register_jitable
def through_softmax(p: Any, g: Any, n: Any, start: Any, stop: Any) -> None:
    """The same of such logits."""
    mean = np.zeros(stop - start, p.dtype)
    for c in range(g.shape[1]):
        value, slope = p[c, : stop - start], g[n, c, start:stop]
        for j in range(mean.size):
            mean[j] += value[j] * slope[j]
    for c in range(g.shape[1]):
        value, slope = p[c, : stop - start], g[n, c, start:stop]
        for j in range(mean.size):
            slope[j] = value[j] * (slope[j] - mean[j])


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
    for j in range(LANES):
        sums[0] += both[j]
        sums[1] += ours[j]
        sums[2] += theirs[j]


def regions(activate: Any, through: Any, combine: Any) -> Callable[..., None]:
    """The `sample` of a loss that is made of sums over each class's voxels.

    activate, through: predictions to probabilities, and gradients of these to those of those.
    combine(sums, slopes, losses, given, k): writes the losses, made of sums[class] of p·y, p and
        y, and k[class], the derivatives by them of the losses times their slopes. given[0] is
        whether the background counts, given[1] whether the sums are of squares.
    """

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
                add_sums(p[c, : stop - start], y[n, c, start:stop], squared, lanes, sums[c])
        combine(sums[first:], slopes, losses, given, k[first:])

        plain, twice = kind(1 - squared), kind(2 * squared)
        for start in range(0, size if x_wanted or y_wanted else 0, CHUNK):
            stop = min(start + CHUNK, size)
            if size > CHUNK:
                activate(x, p, n, start, stop)
            for c in range(classes):
                both, ours, theirs = kind(k[c, 0]), kind(k[c, 1]), kind(k[c, 2])
                u, v = p[c, : stop - start], y[n, c, start:stop]
                if x_wanted:
                    made = in_x[n, c, start:stop]
                    for j in range(made.size):
                        made[j] = both * v[j] + ours * (plain + twice * u[j])
                if y_wanted:
                    made = in_y[n, c, start:stop]
                    for j in range(made.size):
                        made[j] = both * u[j] + theirs * (plain + twice * v[j])
            if x_wanted:
                through(p, in_x, n, start, stop)

    return sample


@register_jitable
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


@register_jitable
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
        if not empty[by]:
            in_weight = scaled * (score * (ours + theirs) - 2.0 * both)
            k[by, 2] -= in_weight * power * weights[by] / sums[by, 2]


class _Regions(Samples):
    """Sums over the voxels of predictions and of true regions."""

    several = True

    input = tensor("whole", "Predictions x, (N, C, d1, …, dK).", grad=True)
    target = tensor("whole", "True regions y, 0 to 1, of the input's shape.", grad=True)
    include_background: bool = param(True, "Whether class 0 counts.")

    operands: ClassVar = (("input", Operand(3)), ("target", Operand(3)))

    @classmethod
    def smallest(cls) -> dict[str, Any]:
        return dict.fromkeys(("input", "target"), np.zeros((1, 2, 1), np.float32))

    def layout(self, given: Given) -> Layout:
        batch, classes, *space = shape = given["input"].shape
        counted = classes - (not self.include_background)
        return Layout(
            output=(batch, counted),
            shapes=dict.fromkeys(("input", "target"), shape),
            rows=batch * counted,
            width=math.prod(space),
            inner=counted,
            batch=batch,
        )

    def prepare(self, arrays: Any, layout: Layout, reduction: str) -> Prepared:
        flat = {n: a.reshape(*a.shape[:2], math.prod(a.shape[2:])) for n, a in arrays.items()}
        return Prepared(flat, np.ones(layout.rows))


class _Overlap(_Regions):
    squared: bool = param(False, "Whether sums of squares are taken.")
    alpha: float = param(0.5, "Weight of false positives.")
    beta: float = param(0.5, "Weight of false negatives.")
    smooth_nr: float = param(0.0, "Added to the intersection.")
    smooth_dr: float = param(0.0, "Added to what it is divided by.")
    power: float = param(1.0, "Power of the loss.")

    sample = staticmethod(regions(as_given, through_as_given, overlaps))


class _OverlapOfSigmoid(_Overlap):
    sample = staticmethod(regions(by_sigmoid, through_sigmoid, overlaps))


class _OverlapOfSoftmax(_Overlap):
    sample = staticmethod(regions(by_softmax, through_softmax, overlaps))


class _Generalized(_Regions):
    squared: bool = param(False, "Whether sums of squares are taken.")
    smooth_nr: float = param(0.0, "Added to the numerator.")
    smooth_dr: float = param(0.0, "Added to the denominator.")
    power: float = param(2.0, "By which power of its true volume a class's weight falls.")

    sample = staticmethod(regions(as_given, through_as_given, generalized))

    def layout(self, given: Given) -> Layout:
        layout = super().layout(given)
        batch, width = layout.batch, layout.width * layout.inner
        return replace(layout, output=(batch,), rows=batch, width=width, inner=1)


class _GeneralizedOfSigmoid(_Generalized):
    sample = staticmethod(regions(by_sigmoid, through_sigmoid, generalized))


class _GeneralizedOfSoftmax(_Generalized):
    sample = staticmethod(regions(by_softmax, through_softmax, generalized))


class _Segmentation(_Regions):
    """A public loss: `kinds` are what it is computed as, `settings` their parameters."""

    kinds: ClassVar[tuple[type[_Regions], ...]] = (_Overlap, _OverlapOfSigmoid, _OverlapOfSoftmax)

    sigmoid: bool = param(False, "Whether the predictions are logits, of classes that may overlap.")
    softmax: bool = param(False, "Whether they are logits of classes that exclude each other.")

    def settings(self) -> dict[str, Any]:
        raise NotImplementedError

    def lower(self, given: Given) -> Loss:
        shape, target = given["input"].shape, given["target"].shape
        if len(shape) < 3:
            raise ShapeError(
                f"{self.name}: input {tuple_text(shape)} must be (N, C, d1, …, dK)", field="input"
            )
        if target != shape:
            raise ShapeError(
                f"{self.name}: target {tuple_text(target)} must have the shape of input "
                f"{tuple_text(shape)}: one value for each class",
                field="target",
            )
        if self.sigmoid and self.softmax:
            raise ParameterError(
                f"{self.name}: sigmoid and softmax exclude each other", field="softmax"
            )
        least = 2 if self.softmax or not self.include_background else 1
        if shape[1] < least:
            raise ShapeError(
                f"{self.name}: input {tuple_text(shape)} has {shape[1]} classes; with softmax = "
                f"{self.softmax} and include_background = {self.include_background} it must have "
                f"{least} or more",
                field="input",
            )
        kind = self.kinds[1 if self.sigmoid else 2 * self.softmax]
        return kind(include_background=self.include_background, **self.settings())


class DiceLoss(_Segmentation):
    r"""One minus the Dice score of each class: twice the overlap over the sum of the volumes.

    Shape:
        input, target: (N, C, d1, …, dK), the same. The losses are (N, C).

    `squared_pred` takes squares in the denominator. A class that neither predictions nor target
    have costs 0 where `smooth_nr` and `smooth_dr` are the same, NaN where both are 0. With
    `include_background=False` the losses are (N, C - 1). Soft targets are multiplied as they are.

    Example:
        >>> criterion = nn.DiceLoss(client=client)
        >>> round(criterion([[[0.9, 0.8, 0.1]]], [[[1, 1, 0]]]).item(), 6)
        0.105262
    """

    name = "dice_loss"
    library = "monai.losses"
    signature = (
        "include_background", "sigmoid", "softmax", "squared_pred", "reduction", "smooth_nr",
        "smooth_dr",
    )  # fmt: skip
    formula = r"\ell = 1 - \frac{2 \sum x y + \epsilon_n}{\sum x + \sum y + \epsilon_d}"
    reference = "https://docs.monai.io/en/stable/losses.html#diceloss"

    squared_pred: bool = param(False, "Whether the denominator is of squares.")
    smooth_nr: float = param(1e-5, "Added to the numerator.", ge=0)
    smooth_dr: float = param(1e-5, "Added to the denominator.", ge=0)

    def settings(self) -> dict[str, Any]:
        return {
            "squared": self.squared_pred,
            "smooth_nr": self.smooth_nr / 2,
            "smooth_dr": self.smooth_dr / 2,
        }


class JaccardLoss(DiceLoss):
    r"""One minus the Jaccard index of each class: the intersection over the union.

    Shape:
        input, target: (N, C, d1, …, dK), the same. The losses are (N, C).

    It is MONAI's `DiceLoss(jaccard=True)`, whose numerator and denominator are twice those of
    the index. `squared_pred` takes squares in the denominator. A class that neither predictions
    nor target have costs 0 where `smooth_nr` and `smooth_dr` are the same, NaN where both are 0.
    With `include_background=False` the losses are (N, C - 1).

    Example:
        >>> criterion = nn.JaccardLoss(client=client)
        >>> round(criterion([[[0.9, 0.8, 0.1]]], [[[1, 1, 0]]]).item(), 6)
        0.190475
    """

    name = "jaccard_loss"
    formula = (
        r"\ell = 1 - \frac{2 \sum x y + \epsilon_n}"
        r"{2 (\sum x + \sum y - \sum x y) + \epsilon_d}"
    )

    def settings(self) -> dict[str, Any]:
        return super().settings() | {"alpha": 1.0, "beta": 1.0}


class TverskyLoss(_Segmentation):
    r"""One minus the Tversky index of each class: overlap that weighs the two kinds of errors.

    Shape:
        input, target: (N, C, d1, …, dK), the same. The losses are (N, C).

    `alpha = beta = 0.5` is the Dice score, `alpha = beta = 1` the Jaccard index. A class that
    neither predictions nor target have costs 0 where `smooth_nr` and `smooth_dr` are the same,
    NaN where both are 0. With `include_background=False` the losses are (N, C - 1).

    Example:
        >>> criterion = nn.TverskyLoss(alpha=0.3, beta=0.7, client=client)
        >>> round(criterion([[[0.9, 0.8, 0.1]]], [[[1, 1, 0]]]).item(), 6)
        0.123711
    """

    name = "tversky_loss"
    library = "monai.losses"
    signature = (
        "include_background", "sigmoid", "softmax", "alpha", "beta", "reduction", "smooth_nr",
        "smooth_dr",
    )  # fmt: skip
    formula = (
        r"\ell = 1 - \frac{\sum x y + \epsilon_n}"
        r"{\sum x y + \alpha \sum x (1 - y) + \beta \sum (1 - x) y + \epsilon_d}"
    )
    reference = "https://docs.monai.io/en/stable/losses.html#tverskyloss"

    alpha: float = param(0.5, "Weight of false positives.", ge=0)
    beta: float = param(0.5, "Weight of false negatives.", ge=0)
    smooth_nr: float = param(1e-5, "Added to the numerator.", ge=0)
    smooth_dr: float = param(1e-5, "Added to the denominator.", ge=0)

    def settings(self) -> dict[str, Any]:
        names = ("alpha", "beta", "smooth_nr", "smooth_dr")
        return {name: self.values[name] for name in names}


class FocalTverskyLoss(TverskyLoss):
    r"""Tversky loss of each class to the power 1 / `gamma`: small regions count more.

    Shape:
        input, target: (N, C, d1, …, dK), the same. The losses are (N, C).

    Parameters, shapes and smoothing are TverskyLoss's, the power the paper's, taken class by
    class; other implementations name that power itself gamma (0.75 for the 4/3 of the paper,
    whose alpha weighs the false negatives). Where the loss is 0, and its slope not finite, the
    gradient is 0.

    Example:
        >>> criterion = nn.FocalTverskyLoss(client=client)
        >>> round(criterion([[[0.9, 0.8, 0.1]]], [[[1, 1, 0]]]).item(), 6)
        0.208597
    """

    name = "focal_tversky_loss"
    library = "Abraham & Khan"
    signature = (
        "include_background", "sigmoid", "softmax", "alpha", "beta", "gamma", "reduction",
        "smooth_nr", "smooth_dr",
    )  # fmt: skip
    formula = r"\ell = (1 - \mathrm{TI})^{1 / \gamma}"
    reference = (
        "Abraham and Khan, A novel focal Tversky loss function with improved attention U-Net for "
        "lesion segmentation, https://arxiv.org/abs/1810.07842"
    )

    alpha: float = param(0.3, "Weight of false positives.", ge=0)
    beta: float = param(0.7, "Weight of false negatives.", ge=0)
    gamma: float = param(4 / 3, "How much classes that are nearly right still count.", gt=0)

    def settings(self) -> dict[str, Any]:
        return super().settings() | {"power": 1 / self.gamma}


class GeneralizedDiceLoss(_Segmentation):
    r"""One minus the Dice score of all classes of a sample, each weighed by its true volume.

    Shape:
        input, target: (N, C, d1, …, dK), the same. The losses are (N).

    `w_type` is the weight of a class: 'square' is 1 over the square of its volume in the target,
    'simple' 1 over it, 'uniform' 1. A class that a sample's target does not have gets the largest
    weight of that sample, 0 if it has none. `include_background=False` leaves class 0 out.

    Example:
        >>> criterion = nn.GeneralizedDiceLoss(client=client)
        >>> x = [[[0.9, 0.8, 0.1], [0.1, 0.2, 0.9]]]
        >>> round(criterion(x, [[[1, 1, 0], [0, 0, 1]]]).item(), 6)
        0.128202
    """

    name = "generalized_dice_loss"
    library = "monai.losses"
    signature = (
        "include_background", "sigmoid", "softmax", "w_type", "reduction", "smooth_nr",
        "smooth_dr",
    )  # fmt: skip
    formula = (
        r"\ell = 1 - \frac{2 \sum_c w_c \sum x_c y_c + \epsilon_n}"
        r"{\sum_c w_c \left(\sum x_c + \sum y_c\right) + \epsilon_d}"
    )
    reference = "https://docs.monai.io/en/stable/losses.html#generalizeddiceloss"
    kinds = (_Generalized, _GeneralizedOfSigmoid, _GeneralizedOfSoftmax)

    w_type: str = param(
        "square", "A class's weight, by its volume.", choices=("square", "simple", "uniform")
    )
    smooth_nr: float = param(1e-5, "Added to the numerator.", ge=0)
    smooth_dr: float = param(1e-5, "Added to the denominator.", ge=0)

    def settings(self) -> dict[str, Any]:
        power = {"square": 2.0, "simple": 1.0, "uniform": 0.0}[self.w_type]
        return {"smooth_nr": self.smooth_nr, "smooth_dr": self.smooth_dr, "power": power}
