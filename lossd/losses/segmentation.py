"""Losses of segmentation: how far predicted and true regions overlap."""

import math
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
from lossd_client.errors import LabelError, ParameterError, ShapeError

from lossd.compiled.regions import GIVEN, SIGMOID, SOFTMAX, generalized, overlaps, regions
from lossd.spec import (
    Given,
    Layout,
    Loss,
    Operand,
    Prepared,
    Samples,
    Shape,
    param,
    place_text,
    tensor,
    tuple_text,
)  # fmt: skip


def one_hot(loss: str, target: Any, classes: int) -> Any:
    """Whether each voxel is of each class, (N, C, d1 · … · dK), of labels (N, d1 · … · dK).

    Raises:
        LabelError: a label that is no class.
    """
    with np.errstate(invalid="ignore"):  # NaN is no class
        labels = target.astype(np.int64)
    wrong = (labels != target) | (labels < 0) | (labels >= classes)
    if wrong.any():
        value = target.reshape(-1)[int(np.argmax(wrong))]
        raise LabelError(
            f"{loss}: target{place_text(wrong)} = {value:g} is no class: it must be a whole "
            f"number in [0, {classes})",
            field="target",
        )
    flat = labels.reshape(len(labels), 1, math.prod(labels.shape[1:]))
    return flat == np.arange(classes)[:, None]


class _Regions(Samples):
    """Sums over the voxels of predictions and of true regions."""

    several = True
    asked: str = ""  # the loss that was asked for: messages name it

    input = tensor("whole", "Predictions x, (N, C, d1, …, dK).", grad=True)
    target = tensor(
        "whole",
        "True regions y, 0 to 1, of the input's shape; class indices with to_onehot_y.",
        grad=True,
    )
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

    def differentiable(self, given: Given) -> frozenset[str]:
        labels = given["target"].shape != given["input"].shape
        return super().differentiable(given) - ({"target"} if labels else frozenset())

    def prepare(self, arrays: Any, layout: Layout, reduction: str) -> Prepared:
        x, y = arrays["input"], arrays["target"]
        if y.shape != x.shape:
            y = one_hot(self.asked, y, x.shape[1])
        flat = (*x.shape[:2], math.prod(x.shape[2:]))
        return Prepared({"input": x.reshape(flat), "target": y.reshape(flat)}, np.ones(layout.rows))


class _Overlap(_Regions):
    squared: bool = param(False, "Whether sums of squares are taken.")
    alpha: float = param(0.5, "Weight of false positives.")
    beta: float = param(0.5, "Weight of false negatives.")
    smooth_nr: float = param(0.0, "Added to the intersection.")
    smooth_dr: float = param(0.0, "Added to what it is divided by.")
    power: float = param(1.0, "Power of the loss.")

    sample = staticmethod(regions(GIVEN, overlaps))


class _OverlapOfSigmoid(_Overlap):
    sample = staticmethod(regions(SIGMOID, overlaps))


class _OverlapOfSoftmax(_Overlap):
    sample = staticmethod(regions(SOFTMAX, overlaps))


class _Generalized(_Regions):
    squared: bool = param(False, "Whether sums of squares are taken.")
    smooth_nr: float = param(0.0, "Added to the numerator.")
    smooth_dr: float = param(0.0, "Added to the denominator.")
    power: float = param(2.0, "By which power of its true volume a class's weight falls.")

    sample = staticmethod(regions(GIVEN, generalized))

    def layout(self, given: Given) -> Layout:
        layout = super().layout(given)
        batch, width = layout.batch, layout.width * layout.inner
        return replace(layout, output=(batch,), rows=batch, width=width, inner=1)


class _GeneralizedOfSigmoid(_Generalized):
    sample = staticmethod(regions(SIGMOID, generalized))


class _GeneralizedOfSoftmax(_Generalized):
    sample = staticmethod(regions(SOFTMAX, generalized))


class _Segmentation(_Regions):
    """A public loss: `kinds` are what it is computed as, `settings` their parameters."""

    kinds: ClassVar[tuple[type[_Regions], ...]] = (_Overlap, _OverlapOfSigmoid, _OverlapOfSoftmax)

    to_onehot_y: bool = param(False, "Whether the target holds the class of each voxel.")
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
        self._check_target(shape, target)
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
        made = kind(include_background=self.include_background, **self.settings())
        made.asked = self.name
        return made

    def _check_target(self, shape: Shape, target: Shape) -> None:
        if self.to_onehot_y and shape[1] > 1:
            if target not in ((shape[0], 1, *shape[2:]), (shape[0], *shape[2:])):
                raise ShapeError(
                    f"{self.name}: target {tuple_text(target)} does not fit input "
                    f"{tuple_text(shape)}: with to_onehot_y it must be "
                    f"{tuple_text((shape[0], 1, *shape[2:]))}, or that without the 1",
                    field="target",
                )
        elif target != shape:
            raise ShapeError(
                f"{self.name}: target {tuple_text(target)} must have the shape of input "
                f"{tuple_text(shape)}: one value for each class; to_onehot_y takes the class of "
                "each voxel instead",
                field="target",
            )


class DiceLoss(_Segmentation):
    r"""One minus the Dice score of each class: twice the overlap over the sum of the volumes.

    Shape:
        input: (N, C, d1, …, dK); target: the same, or with `to_onehot_y` (N, 1, d1, …, dK) or
        (N, d1, …, dK). The losses are (N, C).

    `squared_pred` takes squares in the denominator. A class that neither predictions nor target
    have costs 0 where `smooth_nr` and `smooth_dr` are the same, NaN where both are 0. With
    `include_background=False` the losses are (N, C - 1). Soft targets are multiplied as they are.
    With `to_onehot_y` the target holds the class of each voxel, of any type of number; MONAI's
    wants the dimension of 1. Where the input has one class alone, it changes nothing, as there.
    One class alone with `include_background=False` or `softmax` is an error; MONAI warns, and
    ignores them.

    Example:
        >>> criterion = nn.DiceLoss(client=client)
        >>> round(criterion([[[0.9, 0.8, 0.1]]], [[[1, 1, 0]]]).item(), 6)
        0.105263
    """

    name = "dice_loss"
    library = "monai.losses"
    signature = (
        "include_background", "to_onehot_y", "sigmoid", "softmax", "squared_pred", "reduction",
        "smooth_nr", "smooth_dr",
    )  # fmt: skip
    formula = r"\ell = 1 - \frac{2 \sum x y + \epsilon_n}{\sum x + \sum y + \epsilon_d}"
    gradient = (
        (
            r"\ell = 1 - \frac{N}{D}: \ \partial_x \ell = \frac{N - 2 y D}{D^2},\ \partial_y "
            r"\ell = \frac{N - 2 x D}{D^2}"
        ),
        (
            r"\text{with squared\_pred, } D = \sum x^2 + \sum y^2 + \epsilon_d \text{, and } 2 x "
            r"N,\ 2 y N \text{ take the place of } N"
        ),
        (
            r"\text{with sigmoid or softmax, times the derivatives (the Jacobian) of } x \text{ "
            r"in the logits}"
        ),
    )
    reference = "https://docs.monai.io/en/stable/losses.html#diceloss"

    squared_pred: bool = param(False, "Whether the denominator is of squares.")
    smooth_nr: float = param(1e-5, "Added to the numerator, ε_n.", ge=0)
    smooth_dr: float = param(1e-5, "Added to the denominator, ε_d.", ge=0)

    def settings(self) -> dict[str, Any]:
        return {
            "squared": self.squared_pred,
            "smooth_nr": self.smooth_nr / 2,
            "smooth_dr": self.smooth_dr / 2,
        }


class JaccardLoss(DiceLoss):
    r"""One minus the Jaccard index of each class: the intersection over the union.

    Shape:
        input: (N, C, d1, …, dK); target: the same, or with `to_onehot_y` (N, 1, d1, …, dK) or
        (N, d1, …, dK). The losses are (N, C).

    It is MONAI's `DiceLoss(jaccard=True)`, whose numerator and denominator are twice those of
    the index. `squared_pred` takes squares in the denominator. A class that neither predictions
    nor target have costs 0 where `smooth_nr` and `smooth_dr` are the same, NaN where both are 0.
    With `include_background=False` the losses are (N, C - 1).

    Example:
        >>> criterion = nn.JaccardLoss(client=client)
        >>> round(criterion([[[0.9, 0.8, 0.1]]], [[[1, 1, 0]]]).item(), 6)
        0.190476
    """

    name = "jaccard_loss"
    formula = (
        r"\ell = 1 - \frac{2 \sum x y + \epsilon_n}"
        r"{2 (\sum x + \sum y - \sum x y) + \epsilon_d}"
    )
    gradient = (
        (
            r"\ell = 1 - \frac{N}{D}: \ \partial_x \ell = \frac{2 (1 - y) N - 2 y D}{D^2},\ "
            r"\partial_y \ell = \frac{2 (1 - x) N - 2 x D}{D^2}"
        ),
        (
            r"\text{with squared\_pred, } D = 2 (\sum x^2 + \sum y^2 - \sum x y) + \epsilon_d "
            r"\text{, and } 2 (2 x - y) N,\ 2 (2 y - x) N \text{ take the place of the first "
            r"terms}"
        ),
        (
            r"\text{with sigmoid or softmax, times the derivatives (the Jacobian) of } x \text{ "
            r"in the logits}"
        ),
    )

    def settings(self) -> dict[str, Any]:
        return super().settings() | {"alpha": 1.0, "beta": 1.0}


class TverskyLoss(_Segmentation):
    r"""One minus the Tversky index of each class: overlap that weighs the two kinds of errors.

    Shape:
        input: (N, C, d1, …, dK); target: the same, or with `to_onehot_y` (N, 1, d1, …, dK) or
        (N, d1, …, dK). The losses are (N, C).

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
    signature: ClassVar[tuple[str, ...]] = (
        "include_background", "to_onehot_y", "sigmoid", "softmax", "alpha", "beta", "reduction",
        "smooth_nr", "smooth_dr",
    )  # fmt: skip
    formula = (
        r"\ell = 1 - \frac{\sum x y + \epsilon_n}"
        r"{\sum x y + \alpha \sum x (1 - y) + \beta \sum (1 - x) y + \epsilon_d}"
    )
    gradient: ClassVar[tuple[str, ...]] = (
        (
            r"\ell = 1 - \frac{N}{D}: \ \partial_x \ell = \frac{(y + \alpha (1 - y) - \beta y) N "
            r"- y D}{D^2},\ \partial_y \ell = \frac{(x - \alpha x + \beta (1 - x)) N - x D}{D^2}"
        ),
        (
            r"\text{with sigmoid or softmax, times the derivatives (the Jacobian) of } x \text{ "
            r"in the logits}"
        ),
    )
    reference = "https://docs.monai.io/en/stable/losses.html#tverskyloss"

    alpha: float = param(0.5, "Weight of false positives.", ge=0)
    beta: float = param(0.5, "Weight of false negatives.", ge=0)
    smooth_nr: float = param(1e-5, "Added to the numerator, ε_n.", ge=0)
    smooth_dr: float = param(1e-5, "Added to the denominator, ε_d.", ge=0)

    def settings(self) -> dict[str, Any]:
        names = ("alpha", "beta", "smooth_nr", "smooth_dr")
        return {name: self.values[name] for name in names}


class FocalTverskyLoss(TverskyLoss):
    r"""Tversky loss of each class to the power 1 / `gamma`: small regions count more.

    Shape:
        input: (N, C, d1, …, dK); target: the same, or with `to_onehot_y` (N, 1, d1, …, dK) or
        (N, d1, …, dK). The losses are (N, C).

    Parameters, shapes and smoothing are TverskyLoss's, the power the paper's, taken class by
    class; other implementations name that power itself gamma (0.75 for the 4/3 of the paper,
    whose alpha weighs the false negatives). Where the loss is 0, and its slope not finite, the
    gradient is 0.

    Example:
        >>> criterion = nn.FocalTverskyLoss(client=client)
        >>> round(criterion([[[0.9, 0.8, 0.1]]], [[[1, 1, 0]]]).item(), 6)
        0.208596
    """

    name = "focal_tversky_loss"
    library = "Abraham & Khan"
    signature = (
        "include_background", "to_onehot_y", "sigmoid", "softmax", "alpha", "beta", "gamma",
        "reduction", "smooth_nr", "smooth_dr",
    )  # fmt: skip
    formula = r"\ell = (1 - \mathrm{TI})^{1 / \gamma}"
    gradient = (
        (
            r"\partial_x \ell = -\frac{1}{\gamma}\,(1 - \mathrm{TI})^{1 / \gamma - "
            r"1}\,\frac{\partial\,\mathrm{TI}}{\partial x},\ \partial_y \ell = "
            r"-\frac{1}{\gamma}\,(1 - \mathrm{TI})^{1 / \gamma - "
            r"1}\,\frac{\partial\,\mathrm{TI}}{\partial y},\ \mathrm{TI} \text{ as in "
            r"TverskyLoss}"
        ),
        (
            r"\text{with sigmoid or softmax, times the derivatives (the Jacobian) of } x \text{ "
            r"in the logits}"
        ),
    )
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
        input: (N, C, d1, …, dK); target: the same, or with `to_onehot_y` (N, 1, d1, …, dK) or
        (N, d1, …, dK). The losses are (N).

    `w_type` is the weight of a class: 'square' is 1 over the square of its volume in the target,
    'simple' 1 over it, 'uniform' 1. A class that a sample's target does not have gets the largest
    weight of that sample, 0 if it has none. `include_background=False` leaves class 0 out.

    Example:
        >>> criterion = nn.GeneralizedDiceLoss(client=client)
        >>> x = [[[0.9, 0.8, 0.1], [0.1, 0.2, 0.9]]]
        >>> round(criterion(x, [[[1, 1, 0], [0, 0, 1]]]).item(), 6)
        0.15873
    """

    name = "generalized_dice_loss"
    library = "monai.losses"
    signature = (
        "include_background", "to_onehot_y", "sigmoid", "softmax", "w_type", "reduction",
        "smooth_nr", "smooth_dr",
    )  # fmt: skip
    formula = (
        r"\ell = 1 - \frac{2 \sum_c w_c \sum x_c y_c + \epsilon_n}"
        r"{\sum_c w_c \left(\sum x_c + \sum y_c\right) + \epsilon_d}"
    )
    gradient = (
        r"\ell = 1 - \frac{N}{D}: \ \partial_{x_c} \ell = \frac{w_c\,(N - 2 y_c D)}{D^2}",
        (
            r"\partial_{y_c} \ell = \frac{w_c}{D^2} \left[\,N - 2 x_c D - \frac{q}{\sum y_c} "
            r"\left(N \left(\sum x_c + \sum y_c\right) - 2 D \sum x_c y_c\right)\right],\ w_c = "
            r"\left(\sum y_c\right)^{-q} \text{ for classes that the target has}"
        ),
        r"q = 2,\ 1 \text{ or } 0 \text{ for w\_type 'square', 'simple' or 'uniform'}",
        (
            r"\text{with sigmoid or softmax, times the derivatives (the Jacobian) of } x \text{ "
            r"in the logits}"
        ),
    )
    reference = "https://docs.monai.io/en/stable/losses.html#generalizeddiceloss"
    kinds = (_Generalized, _GeneralizedOfSigmoid, _GeneralizedOfSoftmax)

    w_type: str = param(
        "square", "A class's weight, by its volume.", choices=("square", "simple", "uniform")
    )
    smooth_nr: float = param(1e-5, "Added to the numerator, ε_n.", ge=0)
    smooth_dr: float = param(1e-5, "Added to the denominator, ε_d.", ge=0)

    def settings(self) -> dict[str, Any]:
        power = {"square": 2.0, "simple": 1.0, "uniform": 0.0}[self.w_type]
        return {"smooth_nr": self.smooth_nr, "smooth_dr": self.smooth_dr, "power": power}
