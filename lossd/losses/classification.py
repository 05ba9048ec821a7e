"""Losses between scores of classes and one class, or a distribution, per row."""

import math
from collections.abc import Mapping
from typing import Any, Final

from lossd_client.dtypes import is_float
from lossd_client.errors import ParameterError, ShapeError

from lossd.mathfns import LOWER, decay, exp, inlined, lifted_decay, log, log1p
from lossd.spec import Classes, Given, Layout, Loss, param, tensor, tuple_text


class CrossEntropyLoss(Classes):
    r"""Cross entropy of logits with class indices or class probabilities.

    Shape:
        input: (C), (N, C) or (N, C, d1, …, dK); target: the same without C (indices, any integer
        type), or the input's shape (probabilities, floating); weight: (C).

    Rows whose target is `ignore_index` give 0 and do not count. With indices the mean divides by
    the sum of the weights at the targets (NaN where that is 0: every row ignored, an empty
    batch); with probabilities by the number of rows. Probabilities are used as they are: a row of
    them that does not sum to 1, or has values below 0, is no error, as in PyTorch.

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
    gradient = (
        r"\partial_{x_c} \ell = w_y\,(p_c - [c = y]),\ p = \mathrm{softmax}(x)",
        (
            r"\text{of probabilities } y,\ \ell = -\sum_c w_c y_c \log p_c: \ \partial_{x_c} "
            r"\ell = p_c \sum_j w_j y_j - w_c y_c,\ \partial_{y_c} \ell = -w_c \log p_c,\ "
            r"\partial_{w_c} \ell = -y_c \log p_c"
        ),
        (
            r"\text{with label\_smoothing } \varepsilon,\ (1 - \varepsilon)\,y_c + \varepsilon / "
            r"C \text{ takes the place of } y_c, \text{ which is } [c = y] \text{ for an index}, "
            r"\text{ and } \partial_{y_c} \ell \text{ is multiplied by } 1 - \varepsilon"
        ),
    )
    reference = "https://docs.pytorch.org/docs/2.13/generated/torch.nn.CrossEntropyLoss.html"
    predicts = "logits"

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
        return (lifted_decay(x - m),)  # m is the largest x: at most 2^64

    @staticmethod
    def combine(x: Any, w: Any, m: Any, s: Any, smoothing: Any) -> Any:
        s = s * LOWER
        return w * ((m - x) + log(s)), w, w / s

    @staticmethod
    def slopes(e: Any, x: Any, w: Any, k: Any, smoothing: Any) -> Any:
        return (e * LOWER * k,)


class _SmoothedCrossEntropy(CrossEntropyLoss):
    """(1 - ε) of the target on its label, ε/C on every class."""

    def layout(self, given: Given) -> Layout:
        if self._lone(given):  # PyTorch takes it without smoothing alone
            raise ShapeError(
                f"{self.name}: target (1,) does not fit input "
                f"{tuple_text(given['input'].shape)}: it must be ()",
                field="target",
            )
        return super().layout(given)

    def constants(self, layout: Layout) -> tuple[float, ...]:
        return self.label_smoothing, self.label_smoothing / max(layout.width, 1)

    @staticmethod
    def peaks(x: Any, w: Any, smoothing: Any, share: Any) -> Any:
        return (x,)

    @staticmethod
    def terms(x: Any, w: Any, m: Any, smoothing: Any, share: Any) -> Any:
        return lifted_decay(x - m), w * (m - x), w

    @staticmethod
    def combine(
        x: Any, w: Any, m: Any, s: Any, spread: Any, total: Any, smoothing: Any, share: Any
    ) -> Any:
        s = s * LOWER
        log_s = log(s)
        keep = (1 - smoothing) * w
        loss = keep * ((m - x) + log_s) + share * (spread + total * log_s)
        return loss, keep, (keep + share * total) / s

    @staticmethod
    def slopes(e: Any, x: Any, w: Any, k: Any, smoothing: Any, share: Any) -> Any:
        return (e * LOWER * k - share * w,)


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

    def count(self, arrays: Mapping[str, Any], layout: Layout) -> float:
        return super().count(arrays, layout) if layout.width else 0.0

    def constants(self, layout: Layout) -> tuple[float, ...]:
        return 1 - self.label_smoothing, self.label_smoothing / max(layout.width, 1)

    @staticmethod
    def peaks(x: Any, y: Any, w: Any, keep: Any, share: Any) -> Any:
        return (x,)

    @staticmethod
    def terms(x: Any, y: Any, w: Any, m: Any, keep: Any, share: Any) -> Any:
        t = w * (y * keep + share)
        return lifted_decay(x - m), t, t * (m - x)

    @staticmethod
    def combine(m: Any, s: Any, total: Any, spread: Any, keep: Any, share: Any) -> Any:
        s = s * LOWER
        log_s = log(s) if s != 0 else 0.0  # no classes
        return spread + total * log_s, total / s, m, log_s

    @staticmethod
    def slopes(
        e: Any, x: Any, y: Any, w: Any, k: Any, m: Any, log_s: Any, keep: Any, share: Any
    ) -> Any:
        t = y * keep + share
        nll = (m - x) + log_s
        return e * LOWER * k - w * t, keep * w * nll, t * nll


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
    gradient = (r"\partial_{x_c} \ell = -w_y\,[c = y]",)
    reference = "https://docs.pytorch.org/docs/2.13/generated/torch.nn.NLLLoss.html"
    predicts = "log-probabilities"

    input = tensor("vector", "Log-probabilities x, (C), (N, C) or (N, C, d1, …, dK).", grad=True)
    target = tensor("label", "Class indices in [0, C), the input's shape without C.")
    weight = tensor("class", "Factor w of each class, (C).", optional=True)
    ignore_index: int = param(-100, "Index of rows to leave out.")

    @staticmethod
    def combine(x: Any, w: Any) -> Any:
        return -w * x, w


LOWEST: Final = -math.inf
"""The logit of a class that is left out: its probability is 0."""


@inlined
def rival(z: Any, x: Any, other: Any) -> Any:
    """e^z of a class other than the label's, z below the best of them; 0 of the label's own."""
    e = exp(z)
    e = e if x != LOWEST else 0  # the best may be LOWEST itself, and z NaN
    return e if other else 0


@inlined
def odds(lead: Any, rest: Any) -> Any:
    """Of the label: -log p, p, 1 - p, and by what to multiply its rivals' terms to get theirs.

    lead: how far the best rival's logit is above the label's; rest: the sum of e^(x - best) over
    the rivals. They are added to the label's term last, so that nothing of 1 - p is lost in 1.
    """
    e = decay(lead)
    others, own, share = (rest, e, 1.0) if lead > 0 else (rest * e, 1.0, e)
    total = others + own
    nll = lead + log(total) if lead > 0 else log1p(others)
    return nll, own / total, others / total, share / total


class _Rivals(Classes):
    """Losses of logits that add up the label's rivals apart from it."""

    versus = True
    keep = True

    input = tensor("vector", "Logits x, (C), (N, C) or (N, C, d1, …, dK).", grad=True)
    target = tensor("label", "Class indices in [0, C), the input's shape without C.")
    weight = tensor("class", "Factor w of each class, (C).", optional=True)
    ignore_index: int = param(-100, "Index of rows to leave out.")

    @staticmethod
    def peaks(x: Any, w: Any, other: Any, x_y: Any, a: Any, b: Any) -> Any:
        return (x if other else LOWEST,)

    @staticmethod
    def terms(x: Any, w: Any, top: Any, other: Any, x_y: Any, a: Any, b: Any) -> Any:
        return (rival(x - top, x, other),)

    @staticmethod
    def combine(x: Any, w: Any, top: Any, rest: Any, a: Any, b: Any) -> Any:
        nll, p, q, share = odds(top - x, rest)
        k = w * (a + b * p)
        return w * (a * nll + b * q), k * q, k * share

    @staticmethod
    def slopes(e: Any, x: Any, w: Any, other: Any, x_y: Any, k: Any, a: Any, b: Any) -> Any:
        return (e * k,)


class SoftmaxFocalLoss(_Rivals):
    r"""Cross entropy of logits in which well classified rows hardly count.

    Shape:
        input: (C), (N, C) or (N, C, d1, …, dK); target: the same without C (any integer type);
        weight: (C).

    The loss is one for each row: MONAI's, for one-hot targets and without `alpha`, summed over the
    classes. With `gamma=0` it is CrossEntropyLoss for finite logits, and the mean divides as it
    does there: by the sum of the weights at the targets. Rows whose target is `ignore_index` give 0
    and do not count. A class with the logit -inf is left out; a label with the logit +inf costs 0.
    Exact where the label's probability is nearly 1, as 1 - p is added up and not subtracted; at p =
    1 the gradient is 0 for every gamma.

    Example:
        >>> criterion = nn.SoftmaxFocalLoss(client=client)
        >>> round(criterion([[1.5, 2, 0.5], [0.5, 1, 1.5]], [1, 2]).item(), 6)
        0.144954
    """

    name = "softmax_focal_loss"
    library = "monai.losses"
    signature = ("gamma", "weight", "ignore_index", "reduction")
    formula = r"\ell = -w_y (1 - p_y)^\gamma \log p_y,\ p_c = \frac{e^{x_c}}{\sum_j e^{x_j}}"
    gradient = (
        (
            r"\partial_{x_c} \ell = w_y\,[\,(1 - p_y)^\gamma - \gamma\,(1 - p_y)^{\gamma - "
            r"1}\,p_y \log p_y\,]\,(p_c - [c = y])"
        ),
    )
    reference = (
        "Lin et al., Focal loss for dense object detection, https://arxiv.org/abs/1708.02002"
    )
    predicts = "logits"

    gamma: float = param(2.0, "How little easy rows count.", ge=0)

    def constants(self, layout: Layout) -> tuple[float, ...]:
        return self.gamma, 0.0

    @staticmethod
    def combine(x: Any, w: Any, top: Any, rest: Any, gamma: Any, _: Any) -> Any:
        nll, p, q, share = odds(top - x, rest)
        power = w * q**gamma
        # -p log p / (1 - p), whose limits are 1 at p = 1 and 0 at p = 0
        ratio = p * nll / q if q != 0 else p
        ratio = ratio if p != 0 else 0.0
        k = power * (1.0 + gamma * ratio)
        return power * nll, k * q, k * share


class Poly1CrossEntropyLoss(_Rivals):
    r"""Cross entropy of logits with another weight of the first term of its series in 1 - p.

    Shape:
        input: (C), (N, C) or (N, C, d1, …, dK); target: the same without C (any integer type);
        weight: (C).

    With `epsilon=0` it is CrossEntropyLoss for finite logits, and the mean divides as it does
    there: by the sum of the weights at the targets. `weight` multiplies both terms. Rows whose
    target is `ignore_index` give 0 and do not count. A class with the logit -inf is left out; a
    label with the logit +inf costs 0.

    `label_smoothing` spreads that share of the target evenly over the classes, in both terms, as
    the paper's code does: the loss is the sum over the classes, each by its share of the target
    and its own weight.

    Example:
        >>> criterion = nn.Poly1CrossEntropyLoss(client=client)
        >>> round(criterion([[1.5, 2, 0.5], [0.5, 1, 1.5]], [1, 2]).item(), 6)
        1.58917
    """

    name = "poly1_cross_entropy_loss"
    library = "optax.losses"
    signature = ("epsilon", "weight", "ignore_index", "reduction", "label_smoothing")
    formula = r"\ell = w_y\,[-\log p_y + \varepsilon (1 - p_y)],\ p = \mathrm{softmax}(x)"
    gradient = (
        r"\partial_{x_c} \ell = w_y\,(1 + \varepsilon\,p_y)\,(p_c - [c = y])",
        (
            r"\text{with label\_smoothing, } \ell \text{ and its gradient are the sum over the "
            r"classes as } y, \text{ each by its share of the target}"
        ),
    )
    reference = (
        "Leng et al., PolyLoss: a polynomial expansion perspective of classification loss "
        "functions, https://arxiv.org/abs/2204.12511"
    )
    predicts = "logits"

    epsilon: float = param(2.0, "What is added to the first term's weight, 1.", ge=-1)
    label_smoothing: float = param(
        0.0, "Share of the target spread evenly over the classes.", ge=0, le=1
    )

    def lower(self, given: Given) -> Loss:
        return _SmoothedPoly1(**self.values) if self.label_smoothing else self

    def constants(self, layout: Layout) -> tuple[float, ...]:
        return 1.0, self.epsilon


class _SmoothedPoly1(Poly1CrossEntropyLoss):
    """1 less the smoothing on the label, the smoothing's share on every class."""

    def constants(self, layout: Layout) -> tuple[float, ...]:
        share = self.label_smoothing / max(layout.width, 1)
        return self.epsilon, 1 - self.label_smoothing, share

    @staticmethod
    def peaks(x: Any, w: Any, other: Any, x_y: Any, *params: Any) -> Any:
        return (x if other else LOWEST,)

    @staticmethod
    def terms(x: Any, w: Any, top: Any, other: Any, x_y: Any, *params: Any) -> Any:
        e = rival(x - top, x, other)
        return e, w * (max(top, x_y) - x), w, w * e

    @staticmethod
    def combine(
        x: Any, w: Any, top: Any,
        rest: Any, spread: Any, weights: Any, weighed: Any,
        epsilon: Any, keep: Any, share: Any,
    ) -> Any:  # fmt: skip
        lead = top - x
        nll, p, q, by = odds(lead, rest)
        spread += weights * (nll - max(lead, 0.0))  # the weighed sum of all -log p
        # the weighed sum of 1 - p of all classes, and by how much that of p is below the label's
        left = w * q + (weights - w) - by * weighed
        below = w * q - by * weighed
        loss = keep * w * (nll + epsilon * q) + share * (spread + epsilon * left)
        pull = keep * w * (1.0 + epsilon * p) + share * (weights + epsilon * (w - below))
        at_label = keep * w * q * (1.0 + epsilon * p) + share * p * (epsilon * below - weights)
        return loss, at_label, by * pull, by * epsilon * share

    @staticmethod
    def slopes(
        e: Any, x: Any, w: Any, other: Any, x_y: Any, pull: Any, k: Any,
        epsilon: Any, keep: Any, share: Any,
    ) -> Any:  # fmt: skip
        return (e * (pull - k * w) - share * w,)


class SymmetricCrossEntropyLoss(_Rivals):
    r"""Cross entropy of logits plus reverse cross entropy, which noisy labels mislead less.

    Shape:
        input: (C), (N, C) or (N, C, d1, …, dK); target: the same without C (any integer type);
        weight: (C).

    In the reverse cross entropy the logarithm of the labels is taken, whose zeros count as
    `label_clamp`, as in the authors' code: its logarithm is the paper's A. The code's clamp of
    the probabilities at 1e-7, which adds as much for each class without a gradient, is left out
    as in the paper. `weight` multiplies both terms, and the mean divides as CrossEntropyLoss's:
    by the sum of the weights at the targets. Rows whose target is `ignore_index` give 0 and do
    not count. A class with the logit -inf is left out.

    Example:
        >>> criterion = nn.SymmetricCrossEntropyLoss(client=client)
        >>> round(criterion([[1.5, 2, 0.5], [0.5, 1, 1.5]], [1, 2]).item(), 6)
        4.425179
    """

    name = "symmetric_cross_entropy_loss"
    library = "Wang et al."
    signature = ("alpha", "beta", "label_clamp", "weight", "ignore_index", "reduction")
    formula = (
        r"\ell = w_y\,[-\alpha \log p_y - \beta A (1 - p_y)],\ p = \mathrm{softmax}(x),"
        r"\ A = \log(\text{label\_clamp})"
    )
    gradient = (r"\partial_{x_c} \ell = w_y\,(\alpha - \beta A\,p_y)\,(p_c - [c = y])",)
    reference = (
        "Wang et al., Symmetric cross entropy for robust learning with noisy labels, "
        "https://arxiv.org/abs/1908.06112"
    )
    predicts = "logits"

    alpha: float = param(0.1, "Weight of the cross entropy.", ge=0)
    beta: float = param(1.0, "Weight of the reverse cross entropy.", ge=0)
    label_clamp: float = param(1e-4, "What the labels' zeros count as.", gt=0, le=1)

    def constants(self, layout: Layout) -> tuple[float, ...]:
        return self.alpha, -self.beta * math.log(self.label_clamp)
