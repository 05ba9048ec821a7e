"""Negative log-likelihoods of counts and of real values."""

import math
from dataclasses import replace
from typing import Any

from lossd_client.errors import ShapeError

from lossd.mathfns import exp, inlined, log
from lossd.spec import Elementwise, Given, Layout, Loss, Shape, param, tensor, tuple_text

HALF_LOG_2_PI = 0.5 * math.log(2 * math.pi)


@inlined
def stirling(y: Any) -> Any:
    """log(y!) by Stirling's approximation where y > 1, else 0; and its slope."""
    log_y = log(max(y, 1))
    value = (y + 0.5) * log_y - y + HALF_LOG_2_PI
    return (value if y > 1 else 0 * y), (log_y + 0.5 / y if y > 1 else 0 * y)


@inlined
def gaussian(x: Any, y: Any, var: Any, eps: Any) -> Any:
    """Half of log v + (x - y)²/v for v = max(var, eps), and its slopes."""
    v = max(var, eps)
    d = x - y
    q = d * d / v
    return 0.5 * (log(v) + q), d / v, -d / v, 0.5 * (1 - q) / v


class PoissonNLLLoss(Elementwise):
    r"""Negative log-likelihood of counts under a Poisson distribution.

    Shape:
        input, target: any, (*); broadcast together.

    `full` adds Stirling's approximation of log(y!) where the target is above 1. Its gradient with
    respect to a target of 0 is 0; PyTorch's is NaN.

    Example:
        >>> nn.PoissonNLLLoss(client=client)([0.0, 1.0], [1.0, 2.0]).item()
        0.8591408729553223
    """

    name = "poisson_nll_loss"
    called = ("log_input", "target")
    integers = "alone"
    signature = ("log_input", "full", "size_average", "eps", "reduce", "reduction")
    formula = r"\ell = e^x - y x \text{ if log\_input, else } x - y \log(x + \varepsilon)"
    gradient = (
        r"\partial_x \ell = e^x - y,\ \partial_y \ell = -x \text{ if log\_input}",
        (
            r"\partial_x \ell = 1 - \frac{y}{x + \varepsilon},\ \partial_y \ell = -\log(x + "
            r"\varepsilon) \text{ if not}"
        ),
        (
            r"\text{if full, } \partial_y \ell \text{ has } \log y + \tfrac{1}{2 y} \text{ added "
            r"where } y > 1"
        ),
    )
    reference = "https://docs.pytorch.org/docs/2.13/generated/torch.nn.PoissonNLLLoss.html"

    input = tensor("element", "Expected counts x, or their logarithms, (*).", grad=True)
    target = tensor("element", "Counts y, (*).", grad=True)
    log_input: bool = param(True, "Whether input holds logarithms.")
    full: bool = param(False, "Whether to add Stirling's approximation of log(y!).")
    eps: float = param(1e-8, "Added to input in its logarithm, if that is to be taken.")

    def lower(self, given: Given) -> Loss:
        if self.log_input:
            return _PoissonFull(**self.values) if self.full else self
        return (_PoissonRateFull if self.full else _PoissonRate)(**self.values)

    @staticmethod
    def math(x: Any, y: Any, log_input: Any, full: Any, eps: Any) -> Any:
        rate = exp(x)
        return rate - y * x, rate - y, -x


class _PoissonFull(PoissonNLLLoss):
    @staticmethod
    def math(x: Any, y: Any, log_input: Any, full: Any, eps: Any) -> Any:
        rate = exp(x)
        factorial, slope = stirling(y)
        return rate - y * x + factorial, rate - y, slope - x


class _PoissonRate(PoissonNLLLoss):
    @staticmethod
    def math(x: Any, y: Any, log_input: Any, full: Any, eps: Any) -> Any:
        log_rate = log(x + eps)
        return x - y * log_rate, 1 - y / (x + eps), -log_rate


class _PoissonRateFull(PoissonNLLLoss):
    @staticmethod
    def math(x: Any, y: Any, log_input: Any, full: Any, eps: Any) -> Any:
        log_rate = log(x + eps)
        factorial, slope = stirling(y)
        return x - y * log_rate + factorial, 1 - y / (x + eps), slope - log_rate


class GaussianNLLLoss(Elementwise):
    r"""Negative log-likelihood under normal distributions of predicted mean and variance.

    Shape:
        input, target: any, (*), broadcast together; var: the input's shape, the same with one
        dimension of 1, the same without the last dimension, or one number.

    Variances below `eps` count as `eps`, and their gradient is taken there; negative ones are an
    error. `full` adds the constant ½ log 2π.

    Example:
        >>> nn.GaussianNLLLoss(client=client)([0.0, 1.0], [1.0, 1.0], [1.0, 1.0]).item()
        0.25
    """

    name = "gaussian_nll_loss"
    signature = ("*", "full", "eps", "reduction")
    functional = ("full", "eps", "reduction")
    integers = "beside"
    formula = (
        r"\ell = \tfrac{1}{2}\left(\log v + (x - y)^2 / v\right),\ v = \max(\sigma^2, \varepsilon)"
    )
    gradient = (
        (
            r"\partial_x \ell = -\partial_y \ell = \frac{x - y}{v},\ \partial_{\sigma^2} \ell = "
            r"\frac{1}{2 v} \left(1 - \frac{(x - y)^2}{v}\right)"
        ),
    )
    reference = "Nix and Weigend, 1994, doi:10.1109/ICNN.1994.374138"
    predicts = "value"

    input = tensor("element", "Expected values x, (*).", grad=True)
    target = tensor("element", "True values y, (*).", grad=True)
    var = tensor(
        "element", "Variances σ², like input or fewer.", grad=True, within=(0, math.inf), nan=True
    )
    full: bool = param(False, "Whether to add the constant ½ log 2π.")
    eps: float = param(1e-6, "Least variance.")

    def lower(self, given: Given) -> Loss:
        return _GaussianFull(**self.values) if self.full else self

    def layout(self, given: Given) -> Layout:
        shape, var = given["input"].shape, given["var"].shape
        view: Shape = (*var, 1) if shape and var == shape[:-1] else var
        differing = [n for n, m in zip(view, shape, strict=False) if n != m]
        if var and (len(view) != len(shape) or differing not in ([], [1])):
            raise ShapeError(
                f"{self.name}: var {tuple_text(var)} does not fit input {tuple_text(shape)}: it "
                "must have its shape, one dimension of 1 in it, or all but its last dimension",
                field="var",
            )
        seen = {**given, "var": replace(given["var"], shape=view)}
        return replace(super().layout(seen), views={} if view == var else {"var": view})

    @staticmethod
    def math(x: Any, y: Any, var: Any, full: Any, eps: Any) -> Any:
        return gaussian(x, y, var, eps)


class _GaussianFull(GaussianNLLLoss):
    @staticmethod
    def math(x: Any, y: Any, var: Any, full: Any, eps: Any) -> Any:
        loss, in_x, in_y, in_var = gaussian(x, y, var, eps)
        return loss + HALF_LOG_2_PI, in_x, in_y, in_var
