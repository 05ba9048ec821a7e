"""Losses that ask of scores to be right by a margin."""

import math
from typing import Any, ClassVar

import numpy as np
from lossd_client.errors import LabelError, ShapeError
from lossd_client.limits import Limits

from lossd.compiled.hinges import LANES, rivals
from lossd.compiled.signs import is_set
from lossd.compiled.sums import plus, whole
from lossd.losses.embedding import step
from lossd.losses.probability import logistic
from lossd.mathfns import inlined, sigmoid, softplus
from lossd.spec import (
    Classes,
    Elementwise,
    Given,
    Layout,
    Loss,
    Operand,
    Prepared,
    Samples,
    Shape,
    Vectors,
    param,
    place_text,
    tensor,
    tuple_text,
)  # fmt: skip


class SoftMarginLoss(Elementwise):
    r"""Logistic loss of scores of two classes.

    Shape:
        input: any, (*); target: the same, or what is broadcast to it.

    Computed as a softplus, which is finite where PyTorch's exponential overflows.

    Example:
        >>> nn.SoftMarginLoss(client=client)([0.0, -200.0], [1, 1]).item()
        100.34657287597656
    """

    name = "soft_margin_loss"
    signature = ("size_average", "reduce", "reduction")
    formula = r"\ell = \log(1 + e^{-y x})"
    gradient = (r"\partial_x \ell = -y\,\sigma(-y x)",)
    reference = "https://docs.pytorch.org/docs/2.13/generated/torch.nn.SoftMarginLoss.html"

    input = tensor("element", "Scores x, (*).", grad=True)
    target = tensor("element", "1 for one class, -1 for the other, (*).")

    def layout(self, given: Given) -> Layout:
        made, shape = super().layout(given), given["input"].shape
        if made.output != shape:
            raise ShapeError(
                f"{self.name}: target {tuple_text(given['target'].shape)} cannot be broadcast to "
                f"input {tuple_text(shape)}",
                field="target",
            )
        return made

    @staticmethod
    def math(x: Any, y: Any) -> Any:
        wrong = -y * x
        return softplus(wrong), -y * sigmoid(wrong)


class MultiLabelSoftMarginLoss(Vectors):
    r"""Binary cross entropy of each label's score, averaged over the labels.

    Shape:
        input, target: (N, C), or (*, C), broadcast together; weight: (C), or what is broadcast
        with them. The loss has their shape without the input's last dimension.

    Where shapes differ, C is the input's last dimension, as in PyTorch. A target of infinity gives
    an infinite loss of the score's other sign; PyTorch's is NaN.

    Example:
        >>> criterion = nn.MultiLabelSoftMarginLoss(client=client)
        >>> round(criterion([[0.5, -1.0, 2.0]], [[1, 0, 1]]).item(), 6)
        0.304756
    """

    name = "multilabel_soft_margin_loss"
    signature = ("weight", "size_average", "reduce", "reduction")
    formula = (
        r"\ell = -\frac{1}{C} \sum_c w_c\,[\,y_c \log \sigma(x_c)"
        r" + (1 - y_c) \log(1 - \sigma(x_c))\,]"
    )
    gradient = (
        (
            r"\partial_{x_c} \ell = \frac{w_c}{C}\,(\sigma(x_c) - y_c),\ \partial_{y_c} \ell = "
            r"-\frac{w_c}{C}\,x_c"
        ),
        (
            r"\partial_{w_c} \ell = -\frac{1}{C}\,[\,y_c \log \sigma(x_c) + (1 - y_c) \log(1 - "
            r"\sigma(x_c))\,]"
        ),
    )
    reference = (
        "https://docs.pytorch.org/docs/2.13/generated/torch.nn.MultiLabelSoftMarginLoss.html"
    )

    input = tensor("vector", "Scores x, (N, C).", grad=True)
    target = tensor("vector", "1 for labels that apply, 0 for others, (N, C).", grad=True)
    weight = tensor("class", "Factor w of each label, (C).", optional=True, grad=True)

    def lower(self, given: Given) -> Loss:
        x, y = given["input"].shape, given["target"].shape
        weighed = "weight" in given
        if x == y and not (weighed and given["weight"].shape != x[-1:]):
            return self
        classes = x[-1] if x else 0
        return (_SpreadWeights if weighed else _SpreadLabels)(classes=classes)

    def layout(self, given: Given) -> Layout:
        axis = len(given["input"].shape) - 1
        if axis < 0:
            raise ShapeError(f"{self.name}: input () must be (N, C) or (C)", field="input")
        common = self._common(given)
        output = common[:axis] + common[axis + 1 :]
        vectors = [n for n in given if self.tensors[n].role == "vector"]
        return Layout(
            output=output,
            shapes=dict.fromkeys(vectors, common),
            rows=math.prod(output),
            width=common[axis],
            inner=math.prod(common[axis + 1 :]),
            batch=output[0] if output else 1,
        )

    def _common(self, given: Given) -> Shape:
        """The shape that all are broadcast to."""
        x, y = given["input"].shape, given["target"].shape
        shapes = f"input {tuple_text(x)} and target {tuple_text(y)}"
        try:
            common = np.broadcast_shapes(x, y)
        except ValueError:
            message = f"{self.name}: {shapes} do not fit together"
            raise ShapeError(message, field="target") from None
        if "weight" not in given:
            return common
        weight = given["weight"].shape
        try:
            return np.broadcast_shapes(common, weight)
        except ValueError:
            raise ShapeError(
                f"{self.name}: weight {tuple_text(weight)} must be {tuple_text(common[-1:])}, one "
                f"for each class, or fit together with {shapes}",
                field="weight",
            ) from None

    def constants(self, layout: Layout) -> tuple[float, ...]:
        return (1 / layout.width if layout.width else math.nan,)

    @staticmethod
    def terms(x: Any, y: Any, w: Any, share: Any) -> Any:
        return (w * logistic(x, y),)

    @staticmethod
    def combine(total: Any, share: Any) -> Any:
        return share * total, share

    @staticmethod
    def slopes(x: Any, y: Any, w: Any, k: Any, share: Any) -> Any:
        return k * w * (sigmoid(x) - y), -k * w * x, k * logistic(x, y)


class _SpreadLabels(MultiLabelSoftMarginLoss):
    """Tensors of several shapes: what is summed over is not what the sum is divided by."""

    classes: int = param(0, "Size of the input's last dimension.")

    def constants(self, layout: Layout) -> tuple[float, ...]:
        return (1 / self.classes if self.classes else math.nan,)


class _SpreadWeights(_SpreadLabels):
    """A weight of any shape beside them."""

    weight = tensor("vector", "Factor w of each loss.", optional=True, grad=True)


class MultiMarginLoss(Classes):
    r"""Hinge loss of several classes: the label's score should lead all others by `margin`.

    Shape:
        input: (N, C) or (C), or () for one class; target: (N), of one sample also (), any integer
        type; weight: (C). The loss has the target's shape.

    `p` is 1 or 2. At the kink the gradient is 0. The mean divides by N, whatever the weights.

    Example:
        >>> round(nn.MultiMarginLoss(client=client)([[0.1, 0.2, 0.4, 0.8]], [3]).item(), 6)
        0.325
    """

    name = "multi_margin_loss"
    signature = ("p", "margin", "weight", "size_average", "reduce", "reduction")
    formula = r"\ell = \frac{w_y}{C} \sum_{c \ne y} \max(0,\ m - x_y + x_c)^p"
    gradient = (
        (
            r"\partial_{x_c} \ell = \frac{p\,w_y}{C} \max(0,\ m - x_y + x_c)^{p - 1}\,[\,m - x_y "
            r"+ x_c > 0\,] \text{ for } c \ne y"
        ),
        r"\partial_{x_y} \ell = -\sum_{c \ne y} \partial_{x_c} \ell",
    )
    reference = "https://docs.pytorch.org/docs/2.13/generated/torch.nn.MultiMarginLoss.html"
    predicts = "scores"
    versus = True
    plain_mean = True
    early: ClassVar = {"p": Limits(choices=(1, 2)), "weight": Limits(rank=1)}

    input = tensor("vector", "Scores x, (N, C) or (C).", grad=True)
    target = tensor("label", "Class indices in [0, C), (N) or ().")
    weight = tensor("class", "Factor w of each class, (C).", optional=True)
    p: int = param(1, "Power of the hinge.", choices=(1, 2))
    margin: float = param(1.0, "By how much the label's score must lead, m.")

    def lower(self, given: Given) -> Loss:
        return _SquaredMultiMargin(**self.values) if self.p == 2 else self

    def layout(self, given: Given) -> Layout:
        shape, target = given["input"].shape, given["target"].shape
        seen = shape or (1,)
        if len(shape) > 2 or not seen[-1]:
            raise ShapeError(
                f"{self.name}: input {tuple_text(shape)} must be (N, C) or (C)", field="input"
            )
        rows, width = math.prod(seen[:-1]), seen[-1]
        if target != (rows,) and not (rows == 1 and target == ()):
            also = " or ()" if rows == 1 else ""
            raise ShapeError(
                f"{self.name}: target {tuple_text(target)} does not fit input "
                f"{tuple_text(shape)}: it must be ({rows},){also}",
                field="target",
            )
        self.check_class_weight(given, width)
        shapes = {name: given[name].shape for name in given} | {"input": seen}
        views = {} if shape else {"input": seen}
        return Layout(target, shapes, rows, width, batch=rows, views=views)

    def differentiable(self, given: Given) -> frozenset[str]:
        return Loss.differentiable(self, given)

    def constants(self, layout: Layout) -> tuple[float, ...]:
        return self.margin, 1 / max(layout.width, 1)

    @staticmethod
    def terms(x: Any, w: Any, other: Any, x_y: Any, margin: Any, share: Any) -> Any:
        h = max(margin - x_y + x, 0) if other else 0
        return h, (1 if h > 0 else h)

    @staticmethod
    def combine(x: Any, w: Any, total: Any, count: Any, margin: Any, share: Any) -> Any:
        k = w * share
        return k * total, k * count, k

    @staticmethod
    def slopes(x: Any, w: Any, other: Any, x_y: Any, k: Any, margin: Any, share: Any) -> Any:
        h = max(margin - x_y + x, 0) if other else 0
        return (k * (1 if h > 0 else h),)


class _SquaredMultiMargin(MultiMarginLoss):
    @staticmethod
    def terms(x: Any, w: Any, other: Any, x_y: Any, margin: Any, share: Any) -> Any:
        h = max(margin - x_y + x, 0) if other else 0
        return h * h, 2 * h

    @staticmethod
    def slopes(x: Any, w: Any, other: Any, x_y: Any, k: Any, margin: Any, share: Any) -> Any:
        return (k * 2 * (max(margin - x_y + x, 0) if other else 0),)


class MultiLabelMarginLoss(Samples):
    r"""Hinge loss of several labels at once: each one's score should lead all others by 1.

    Shape:
        input: (N, C) or (C), or () for one class; target: the same, any signed integer type. A
        row of target holds its labels first; -1 ends them.

    At the kink the gradient is 0.

    Example:
        >>> criterion = nn.MultiLabelMarginLoss(client=client)
        >>> round(criterion([[0.1, 0.2, 0.4, 0.8]], [[3, 0, -1, 1]]).item(), 6)
        0.85
    """

    name = "multilabel_margin_loss"
    signature = ("size_average", "reduce", "reduction")
    formula = r"\ell = \frac{1}{C} \sum_{y} \sum_{c \notin y} \max(0,\ 1 - x_y + x_c)"
    gradient = (
        (
            r"\partial_{x_c} \ell = \frac{1}{C} \sum_y [\,1 - x_y + x_c > 0\,] \text{ for } c "
            r"\notin y"
        ),
        r"\partial_{x_y} \ell = -\frac{1}{C} \sum_{c \notin y} [\,1 - x_y + x_c > 0\,]",
    )
    reference = "https://docs.pytorch.org/docs/2.13/generated/torch.nn.MultiLabelMarginLoss.html"

    input = tensor("whole", "Scores x, (N, C) or (C).", grad=True)
    target = tensor("index", "Labels y in [0, C), then -1, of the input's shape.")

    long = True
    operands: ClassVar = (("input", Operand(2)), ("target", Operand(2, integer=True)))

    @classmethod
    def smallest(cls) -> dict[str, Any]:
        return {"input": np.zeros((1, 1), np.float32), "target": np.zeros((1, 1), np.int64)}

    def layout(self, given: Given) -> Layout:
        shape = given["input"].shape
        width = math.prod(shape[-1:])
        if len(shape) > 2 or not width:
            raise ShapeError(
                f"{self.name}: input {tuple_text(shape)} must be (N, C) or (C)", field="input"
            )
        scalar = shape in ((), (1,)) and given["target"].shape in ((), (1,))
        if given["target"].shape != shape and not scalar:
            raise ShapeError(
                f"{self.name}: target {tuple_text(given['target'].shape)} must have the shape of "
                f"input {tuple_text(shape)}",
                field="target",
            )
        rows = math.prod(shape[:-1])
        shapes = {"input": shape}
        return Layout(shape[:-1], shapes, rows, width=width, batch=rows)

    def prepare(self, arrays: Any, layout: Layout, reduction: str) -> Prepared:
        shape = layout.rows, layout.width
        target = arrays["target"]
        if target.size and (target.min() < -1 or target.max() >= layout.width):
            wrong = (target < -1) | (target >= layout.width)
            raise LabelError(
                f"{self.name}: target{place_text(wrong)} = {target[wrong][0]} is outside "
                f"[-1, {layout.width})",
                field="target",
            )
        operands = {"input": arrays["input"].reshape(shape), "target": target.reshape(shape)}
        return Prepared(operands, np.ones(layout.rows))

    @staticmethod
    def sample(
        n: Any, x: Any, y: Any, g: Any, wanted: Any, slope: Any, given: Any, stop: Any
    ) -> Any:
        x, labels, g = x[n], y[n], g[n]
        width = x.size
        scores, rival, slopes = np.zeros((3, -(-width // LANES) * LANES))
        for c in range(width):
            scores[c] = x[c]
            rival[c] = 1.0
        count = 0
        while count < width and labels[count] >= 0:
            rival[labels[count]] = 0.0
            count += 1
        total = lost = 0.0
        for k in range(count):
            if is_set(stop):
                return 0.0
            label = labels[k]
            lead = 1.0 - scores[label]
            beyond, above = rivals(lead, scores, rival, slopes)
            slopes[label] -= above
            total, lost = plus(total, lost, beyond)
        if wanted:
            for c in range(width):
                g[c] = slopes[c] * (slope / width)
        return whole(total, lost) / width


@inlined
def side(y: Any) -> Any:
    """The label that is meant: 0, of labels 0 and 1, is -1."""
    return -1 if y == 0 else y


class HingeLoss(Elementwise):
    r"""Hinge loss of scores of two classes: the loss of a support vector machine.

    Shape:
        input, target: any, (*); broadcast together.

    Labels may be 0 and 1, too: 0 is taken for -1. Keras does so where a call has no other labels
    than 0 and 1. At the kink the gradient is that of the active side.

    Example:
        >>> nn.HingeLoss(client=client)([0.5, -2.0], [1, 1]).item()
        1.75
    """

    name = "hinge_loss"
    library = "keras.losses"
    signature = ("reduction",)
    formula = r"\ell = \max(0,\ 1 - y x)"
    gradient = (r"\partial_x \ell = -y\,[\,y x \le 1\,],\ \partial_y \ell = -x\,[\,y x \le 1\,]",)
    reference = "https://keras.io/api/losses/hinge_losses/#hinge-class"

    input = tensor("element", "Scores x, (*).", grad=True)
    target = tensor("element", "1 for one class, -1 or 0 for the other, (*).", grad=True)

    @staticmethod
    def math(x: Any, y: Any) -> Any:
        y = side(y)
        h = 1 - y * x
        active = step(h)
        return max(h, 0), -y * active, -x * active


class SquaredHingeLoss(Elementwise):
    r"""Squared hinge loss of scores of two classes.

    Shape:
        input, target: any, (*); broadcast together.

    Labels may be 0 and 1, too: 0 is taken for -1. Keras does so where a call has no other labels
    than 0 and 1.

    Example:
        >>> nn.SquaredHingeLoss(client=client)([0.5, -2.0], [1, 1]).item()
        4.625
    """

    name = "squared_hinge_loss"
    library = "keras.losses"
    signature = ("reduction",)
    formula = r"\ell = \max(0,\ 1 - y x)^2"
    gradient = (
        r"\partial_x \ell = -2 y \max(0,\ 1 - y x),\ \partial_y \ell = -2 x \max(0,\ 1 - y x)",
    )
    reference = "https://keras.io/api/losses/hinge_losses/#squaredhinge-class"

    input = tensor("element", "Scores x, (*).", grad=True)
    target = tensor("element", "1 for one class, -1 or 0 for the other, (*).", grad=True)

    @staticmethod
    def math(x: Any, y: Any) -> Any:
        y = side(y)
        h = max(1 - y * x, 0)
        return h * h, -2 * y * h, -2 * x * h


class CategoricalHingeLoss(Vectors):
    r"""Hinge loss of several classes with a distribution as target: the best wrong score counts.

    Shape:
        input, target: (*, C), broadcast together; the loss has their shape without C.

    Wrong classes that share the best score share its gradient; at the kink the gradient is that
    of the active side. Targets are used as they are: one that does not sum to 1 is no error.

    Example:
        >>> criterion = nn.CategoricalHingeLoss(client=client)
        >>> criterion([[0.5, 2.0, 1.0]], [[0, 0, 1]]).item()
        2.0
    """

    name = "categorical_hinge_loss"
    library = "keras.losses"
    signature = ("reduction",)
    formula = r"\ell = \max\left(0,\ 1 + \max_c (1 - y_c) x_c - \sum_c y_c x_c\right)"
    gradient = (
        (
            r"\partial_{x_c} \ell = a\,[\,b_c\,(1 - y_c) - y_c\,],\ \partial_{y_c} \ell = -a\,(1 "
            r"+ b_c)\,x_c"
        ),
        r"a = 1 \text{ where what is in the maximum with 0 is at least that, else } 0",
        (
            r"b_c = 1 / k \text{ for the } k \text{ classes that share the largest } (1 - "
            r"y_c)\,x_c,\ 0 \text{ for others}"
        ),
    )
    reference = "https://keras.io/api/losses/hinge_losses/#categoricalhinge-class"

    input = tensor("vector", "Scores x, (*, C).", grad=True)
    target = tensor("vector", "Probabilities y, usually 1 for the class and 0 else.", grad=True)

    def layout(self, given: Given) -> Layout:
        for name in self.required():
            if not given[name].shape or not given[name].shape[-1]:
                raise ShapeError(
                    f"{self.name}: {name} {tuple_text(given[name].shape)} must be (*, C)",
                    field=name,
                )
        return self.rows_of(given)

    @staticmethod
    def peaks(x: Any, y: Any) -> Any:
        return ((1 - y) * x,)

    @staticmethod
    def terms(x: Any, y: Any, top: Any) -> Any:
        return y * x, (1 if (1 - y) * x == top else 0)

    @staticmethod
    def combine(top: Any, own: Any, count: Any) -> Any:
        h = top - own + 1.0
        active = step(h) * 1.0
        return max(h, 0.0), active, (active / count if count > 0 else active), top

    @staticmethod
    def slopes(x: Any, y: Any, k: Any, shared: Any, top: Any) -> Any:
        best = shared if (1 - y) * x == top else 0 * k
        return best * (1 - y) - k * y, -best * x - k * x
