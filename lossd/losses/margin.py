"""Losses that ask of scores to be right by a margin."""

from typing import Any

from lossd_client.errors import ShapeError

from lossd.mathfns import sigmoid, softplus, softplus_tail
from lossd.spec import Classes, Elementwise, Given, Layout, Loss, Vectors, param, tensor, tuple_text


class SoftMarginLoss(Elementwise):
    r"""Logistic loss of scores of two classes.

    Shape:
        input, target: any, (*); broadcast together.

    Computed as a softplus, which is finite where PyTorch's exponential overflows.

    Example:
        >>> nn.SoftMarginLoss(client=client)([0.0, -200.0], [1, 1]).item()
        100.34657287597656
    """

    name = "soft_margin_loss"
    signature = ("size_average", "reduce", "reduction")
    formula = r"\ell = \log(1 + e^{-y x})"
    reference = "https://docs.pytorch.org/docs/2.13/generated/torch.nn.SoftMarginLoss.html"

    input = tensor("element", "Scores x, (*).", grad=True)
    target = tensor("element", "1 for one class, -1 for the other, (*).")

    @staticmethod
    def math(x: Any, y: Any) -> Any:
        wrong = -y * x
        return softplus(wrong), -y * sigmoid(wrong)


class MultiLabelSoftMarginLoss(Vectors):
    r"""Binary cross entropy of each label's score, averaged over the labels.

    Shape:
        input, target: (N, C), or (*, C), broadcast together; weight: (C). The loss has their
        shape without C.

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
    reference = (
        "https://docs.pytorch.org/docs/2.13/generated/torch.nn.MultiLabelSoftMarginLoss.html"
    )

    input = tensor("vector", "Scores x, (N, C).", grad=True)
    target = tensor("vector", "1 for labels that apply, 0 for others, (N, C).", grad=True)
    weight = tensor("class", "Factor w of each label, (C).", optional=True)

    def layout(self, given: Given) -> Layout:
        for name in self.required():
            if not given[name].shape:
                raise ShapeError(f"{self.name}: {name} () must be (N, C) or (C)", field=name)
        layout = self.rows_of(given)
        self.check_class_weight(given, layout.width)
        return layout

    def constants(self, layout: Layout) -> tuple[float, ...]:
        return (1 / max(layout.width, 1),)

    @staticmethod
    def terms(x: Any, y: Any, w: Any, share: Any) -> Any:
        return (w * (((1 - y) if x >= 0 else y) * abs(x) + softplus_tail(x)),)

    @staticmethod
    def combine(total: Any, share: Any) -> Any:
        return share * total, share

    @staticmethod
    def slopes(x: Any, y: Any, w: Any, k: Any, share: Any) -> Any:
        return k * w * (sigmoid(x) - y), -k * w * x


class MultiMarginLoss(Classes):
    r"""Hinge loss of several classes: the label's score should lead all others by `margin`.

    Shape:
        input: (N, C) or (C); target: (N) or (), any integer type; weight: (C).

    `p` is 1 or 2. At the kink the gradient is 0. The mean divides by N, whatever the weights.

    Example:
        >>> round(nn.MultiMarginLoss(client=client)([[0.1, 0.2, 0.4, 0.8]], [3]).item(), 6)
        0.325
    """

    name = "multi_margin_loss"
    signature = ("p", "margin", "weight", "size_average", "reduce", "reduction")
    formula = r"\ell = \frac{w_y}{C} \sum_{c \ne y} \max(0,\ m - x_y + x_c)^p"
    reference = "https://docs.pytorch.org/docs/2.13/generated/torch.nn.MultiMarginLoss.html"
    versus = True
    plain_mean = True

    input = tensor("vector", "Scores x, (N, C) or (C).", grad=True)
    target = tensor("label", "Class indices in [0, C), (N) or ().")
    weight = tensor("class", "Factor w of each class, (C).", optional=True)
    p: int = param(1, "Power of the hinge.", choices=(1, 2))
    margin: float = param(1.0, "By how much the label's score must lead.")

    def lower(self, given: Given) -> Loss:
        return _SquaredMultiMargin(**self.values) if self.p == 2 else self

    def layout(self, given: Given) -> Layout:
        shape = given["input"].shape
        if len(shape) not in (1, 2):
            raise ShapeError(
                f"{self.name}: input {tuple_text(shape)} must be (N, C) or (C)", field="input"
            )
        return super().layout(given)

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
