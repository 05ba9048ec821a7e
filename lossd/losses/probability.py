"""Losses between probabilities, log-probabilities or logits, element by element."""

from dataclasses import replace
from typing import Any, ClassVar

from lossd.mathfns import exp, inlined, log, log_both, sigmoid, softplus_tail
from lossd.spec import Elementwise, Given, Layout, Loss, param, tensor

EPS = 9.999999960041972e-13
"""Least denominator of BCE's gradient: 1e-12 as a float32, as PyTorch has it."""


@inlined
def logistic(x: Any, y: Any) -> Any:
    """Binary cross entropy of logits: log(1 + e^-|x|) never overflows and loses nothing."""
    return ((1 - y) if x >= 0 else y) * abs(x) + softplus_tail(x)


class BCELoss(Elementwise):
    r"""Binary cross entropy of probabilities.

    Shape:
        input, target: any, (*), the same; weight: broadcast to them.

    Logarithms are clamped at -100, so that input 0 with target 1 costs 100 and not infinity, and
    the denominator of the gradient at 1e-12. The mean divides by the number of elements, whatever
    the weight. Values outside [0, 1], NaN included, are an error. `BCEWithLogitsLoss` is the
    better choice where logits are at hand.

    Example:
        >>> nn.BCELoss(client=client)([0.3, 0.9, 0.6, 0.1], [0.0, 1, 1, 0]).item()
        0.26955538988113403
    """

    name = "binary_cross_entropy"
    signature = ("weight", "size_average", "reduce", "reduction")
    formula = r"\ell = -w\,[\,y \log x + (1 - y) \log(1 - x)\,]"
    gradient = (
        (
            r"\partial_x \ell = w\,\frac{x - y}{\max(x (1 - x),\ 10^{-12})},\ \partial_y \ell = "
            r"w\,[\log(1 - x) - \log x]"
        ),
    )
    reference = "https://docs.pytorch.org/docs/2.13/generated/torch.nn.BCELoss.html"
    predicts = "probability"
    broadcast = "refuse"

    input = tensor("element", "Probabilities x in [0, 1], (*).", grad=True, within=(0, 1))
    target = tensor("element", "Probabilities y in [0, 1], (*).", grad=True, within=(0, 1))
    weight = tensor("multiplier", "Factor of each loss, broadcast to (*).", optional=True)

    @staticmethod
    def math(x: Any, y: Any) -> Any:
        log_x, log_not_x = log_both(x)
        loss = (y - 1) * max(log_not_x, -100) - y * max(log_x, -100)
        return loss, (x - y) / max((1 - x) * x, EPS), log_not_x - log_x


class BCEWithLogitsLoss(Elementwise):
    r"""Binary cross entropy of logits: a sigmoid and BCELoss in one, without their overflow.

    Shape:
        input, target: any, (*), the same; weight, pos_weight: broadcast to them.

    `pos_weight` multiplies the positive part: above 1 it raises recall, below 1 precision. The
    mean divides by the number of elements, whatever the weights. An infinite logit that agrees
    with its target gives NaN and gradient 0, as in PyTorch.

    Example:
        >>> import numpy as np
        >>> criterion = nn.BCEWithLogitsLoss(pos_weight=np.ones(64), client=client)
        >>> round(criterion(np.full((10, 64), 1.5), np.ones((10, 64))).item(), 8)
        0.20141328
    """

    name = "binary_cross_entropy_with_logits"
    signature = ("weight", "size_average", "reduce", "reduction", "pos_weight")
    formula = r"\ell = -w\,[\,p\,y \log \sigma(x) + (1 - y) \log(1 - \sigma(x))\,]"
    gradient = (
        r"\partial_x \ell = w\,[\,(1 - y + p\,y)\,\sigma(x) - p\,y\,]",
        (
            r"\partial_y \ell = w\,[\log(1 - \sigma(x)) - p \log \sigma(x)],\ -w\,x \text{ for } "
            r"p = 1"
        ),
    )
    reference = "https://docs.pytorch.org/docs/2.13/generated/torch.nn.BCEWithLogitsLoss.html"
    predicts = "logit"
    broadcast = "refuse"

    input = tensor("element", "Logits x, (*).", grad=True)
    target = tensor("element", "Probabilities y, (*).", grad=True)
    weight = tensor("multiplier", "Factor of each loss, broadcast to (*).", optional=True)
    pos_weight = tensor(
        "element", "Factor p of the positive part, broadcast to (*).", optional=True
    )

    def lower(self, given: Given) -> Loss:
        return _PositiveWeighted(**self.values) if "pos_weight" in given else self

    @staticmethod
    def math(x: Any, y: Any) -> Any:
        return logistic(x, y), sigmoid(x) - y, -x


class _PositiveWeighted(BCEWithLogitsLoss):
    @staticmethod
    def math(x: Any, y: Any, p: Any) -> Any:
        log_weight = p * y + (1 - y)
        tail = softplus_tail(x)
        loss = (1 - y) * max(x, 0) + p * y * max(-x, 0) + log_weight * tail
        return loss, log_weight * sigmoid(x) - p * y, p * max(-x, 0) - max(x, 0) + (p - 1) * tail


class KLDivLoss(Elementwise):
    r"""Kullback-Leibler divergence of log-probabilities from a target distribution.

    Shape:
        input, target: any, (*); broadcast together.

    `reduction='mean'` divides by the number of elements, which is not the divergence: use
    'batchmean', which divides by the size of the first dimension. A target of 0 gives 0. Targets
    are used as they are: that they sum to 1 is not checked; one below 0 gives NaN, as in PyTorch.

    Example:
        >>> import numpy as np
        >>> criterion = nn.KLDivLoss(reduction="batchmean", client=client)
        >>> x = np.array([[-1.13533, -1.13533, -1.03533]], np.float32)
        >>> round(criterion(x, np.array([[0.2, 0.3, 0.5]], np.float32)).item(), 5)
        0.05568
    """

    name = "kl_div"
    signature = ("size_average", "reduce", "reduction", "log_target")
    reductions = ("none", "mean", "batchmean", "sum", "sample")
    advice: ClassVar[dict[str, str]] = {
        "mean": "kl_div: reduction='mean' divides by the number of elements, which is not the "
        "divergence; use 'batchmean'"
    }
    formula = r"\ell = y\,(\log y - x)"
    gradient = (
        r"\partial_x \ell = -y,\ \partial_y \ell = \log y + 1 - x",
        r"\text{if log\_target, } \partial_x \ell = -e^y,\ \partial_y \ell = e^y (y - x + 1)",
    )
    reference = "https://docs.pytorch.org/docs/2.13/generated/torch.nn.KLDivLoss.html"

    input = tensor("element", "Log-probabilities x, (*).", grad=True)
    target = tensor("element", "Probabilities y (their logarithms if log_target), (*).", grad=True)
    log_target: bool = param(False, "Whether target holds log-probabilities.")

    def layout(self, given: Given) -> Layout:
        """PyTorch's batch is that of the input, though it be broadcast."""
        first = given["input"].shape[:1]
        return replace(super().layout(given), batch=first[0] if first else 1)

    def lower(self, given: Given) -> Loss:
        return _LogTarget(**self.values) if self.log_target else self

    @staticmethod
    def math(x: Any, y: Any, log_target: Any) -> Any:
        log_y = log(y)
        entropy = y * log_y if y != 0 else y
        return entropy - y * x, -y, log_y + y / y - x  # y / y: PyTorch's NaN at y = 0


class _LogTarget(KLDivLoss):
    formula = r"\ell = e^y (y - x)"

    @staticmethod
    def math(x: Any, y: Any, log_target: Any) -> Any:
        p = exp(y)
        return p * (y - x), -p, p * (y - x) + p
