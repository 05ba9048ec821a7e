"""Losses between scores of classes and one class, or a distribution, per row."""

import math
from typing import Any

from lossd_client.dtypes import is_float
from lossd_client.errors import ParameterError

from lossd.mathfns import exp
from lossd.spec import Classes, Given, Layout, Loss, param, tensor


class CrossEntropyLoss(Classes):
    r"""Cross entropy of logits with class indices or class probabilities.

    Shape:
        input: (C), (N, C) or (N, C, d1, …, dK); target: the same without C (indices, any integer
        type), or the input's shape (probabilities, floating); weight: (C).

    Rows whose target is `ignore_index` give 0 and do not count. With indices the mean divides by
    the sum of the weights at the targets (NaN where that is 0: every row ignored, an empty
    batch); with probabilities by the number of rows.

    Example:
        >>> criterion = nn.CrossEntropyLoss(client=client)
        >>> round(criterion([[1.5, 2, 0.5], [0.5, 1, 1.5]], [1, 2]).item(), 6)
        0.6422
    """

    name = "cross_entropy"
    signature = (
        "weight", "size_average", "ignore_index", "reduce", "reduction", "label_smoothing",
    )  # fmt: skip
    formula = r"\ell = -w_y \log \frac{e^{x_y}}{\sum_c e^{x_c}}"
    reference = "https://docs.pytorch.org/docs/2.13/generated/torch.nn.CrossEntropyLoss.html"

    input = tensor("vector", "Logits x, (C), (N, C) or (N, C, d1, …, dK).", grad=True)
    target = tensor(
        "label", "Class indices in [0, C) without C, or probabilities like input.", soft=True
    )
    weight = tensor("class", "Factor w of each class, (C).", optional=True)
    ignore_index: int = param(-100, "Index of rows to leave out.")
    label_smoothing: float = param(
        0.0, "Share of the target spread evenly over the classes.", ge=0, le=1
    )

    def lower(self, given: Given) -> Loss:
        if is_float(given["target"].dtype):
            return _SoftCrossEntropy(**self.values)
        return _SmoothedCrossEntropy(**self.values) if self.label_smoothing else self

    @staticmethod
    def peaks(x: Any, w: Any, smoothing: Any) -> Any:
        return (x,)

    keep = True

    @staticmethod
    def terms(x: Any, w: Any, m: Any, smoothing: Any) -> Any:
        return (exp(x - m),)  # at most 1: x - max(x) cannot overflow

    @staticmethod
    def combine(x: Any, w: Any, m: Any, s: Any, smoothing: Any) -> Any:
        return w * ((m - x) + math.log(s)), w, w / s

    @staticmethod
    def slopes(e: Any, x: Any, w: Any, k: Any, smoothing: Any) -> Any:
        return (e * k,)


class _SmoothedCrossEntropy(CrossEntropyLoss):
    """(1 - ε) of the target on its label, ε/C on every class."""

    def constants(self, layout: Layout) -> tuple[float, ...]:
        return self.label_smoothing, self.label_smoothing / max(layout.width, 1)

    @staticmethod
    def peaks(x: Any, w: Any, smoothing: Any, share: Any) -> Any:
        return (x,)

    @staticmethod
    def terms(x: Any, w: Any, m: Any, smoothing: Any, share: Any) -> Any:
        return exp(x - m), w * (m - x), w

    @staticmethod
    def combine(
        x: Any, w: Any, m: Any, s: Any, spread: Any, total: Any, smoothing: Any, share: Any
    ) -> Any:
        log_s = math.log(s)
        keep = (1 - smoothing) * w
        loss = keep * ((m - x) + log_s) + share * (spread + total * log_s)
        return loss, keep, (keep + share * total) / s

    @staticmethod
    def slopes(e: Any, x: Any, w: Any, k: Any, smoothing: Any, share: Any) -> Any:
        return (e * k - share * w,)


class _SoftCrossEntropy(CrossEntropyLoss):
    """A distribution over the classes as target; the one form that has a gradient for weight."""

    formula = r"\ell = -\sum_c w_c y_c \log \frac{e^{x_c}}{\sum_j e^{x_j}}"

    target = tensor("vector", "Probabilities y, of the input's shape.", grad=True)
    weight = tensor("class", "Factor w of each class, (C).", optional=True, grad=True)

    def layout(self, given: Given) -> Layout:
        if self.ignore_index >= 0:
            raise ParameterError(
                f"{self.name}: ignore_index = {self.ignore_index} needs index targets; "
                "these are probabilities",
                field="ignore_index",
            )
        return super().layout(given)

    def constants(self, layout: Layout) -> tuple[float, ...]:
        return 1 - self.label_smoothing, self.label_smoothing / max(layout.width, 1)

    @staticmethod
    def peaks(x: Any, y: Any, w: Any, keep: Any, share: Any) -> Any:
        return (x,)

    @staticmethod
    def terms(x: Any, y: Any, w: Any, m: Any, keep: Any, share: Any) -> Any:
        t = w * (y * keep + share)
        return exp(x - m), t, t * (m - x)

    @staticmethod
    def combine(m: Any, s: Any, total: Any, spread: Any, keep: Any, share: Any) -> Any:
        log_s = math.log(s)
        return spread + total * log_s, total / s, m, log_s

    @staticmethod
    def slopes(
        e: Any, x: Any, y: Any, w: Any, k: Any, m: Any, log_s: Any, keep: Any, share: Any
    ) -> Any:
        t = y * keep + share
        nll = (m - x) + log_s
        return e * k - w * t, keep * w * nll, t * nll


class NLLLoss(Classes):
    r"""Negative log-likelihood of log-probabilities.

    Shape:
        input: (C), (N, C) or (N, C, d1, …, dK); target: the same without C (any integer type);
        weight: (C).

    Rows whose target is `ignore_index` give 0 and do not count. The mean divides by the sum of
    the weights at the targets (NaN where that is 0).

    Example:
        >>> nn.NLLLoss(client=client)([[-0.5, -1.0], [-2.0, -0.25]], [0, 1]).item()
        0.375
    """

    name = "nll_loss"
    aliases = ("NLLLoss2d",)
    signature = ("weight", "size_average", "ignore_index", "reduce", "reduction")
    formula = r"\ell = -w_y x_y"
    reference = "https://docs.pytorch.org/docs/2.13/generated/torch.nn.NLLLoss.html"

    input = tensor("vector", "Log-probabilities x, (C), (N, C) or (N, C, d1, …, dK).", grad=True)
    target = tensor("label", "Class indices in [0, C), the input's shape without C.")
    weight = tensor("class", "Factor w of each class, (C).", optional=True)
    ignore_index: int = param(-100, "Index of rows to leave out.")

    @staticmethod
    def combine(x: Any, w: Any) -> Any:
        return -w * x, w
