"""Losses between two arrays of real values."""

from typing import Any

from lossd.mathfns import sign
from lossd.spec import Elementwise, Given, Loss, param, tensor


class L1Loss(Elementwise):
    r"""Mean absolute error: the loss of a median.

    Shape:
        input, target: any, (*); broadcast together with a warning where they differ.

    At input = target the gradient is the subgradient 0.

    Example:
        >>> nn.L1Loss(client=client)([2.5, 5, 3], [3, 5, 2.5]).item()
        0.3333333432674408
    """

    name = "l1_loss"
    signature = ("size_average", "reduce", "reduction")
    formula = r"\ell = |x - y|"
    reference = "https://docs.pytorch.org/docs/2.13/generated/torch.nn.L1Loss.html"
    broadcast = "warn"

    input = tensor("element", "Predictions x, (*).", grad=True)
    target = tensor("element", "True values y, (*).", grad=True)

    @staticmethod
    def math(x: Any, y: Any) -> Any:
        d = x - y
        return abs(d), sign(d), -sign(d)


class MSELoss(Elementwise):
    r"""Mean squared error: the loss of a mean.

    Shape:
        input, target: any, (*); broadcast together with a warning where they differ.

    Example:
        >>> nn.MSELoss(client=client)([2.5, 5, 3], [3, 5, 2.5]).item()
        0.1666666716337204
    """

    name = "mse_loss"
    signature = ("size_average", "reduce", "reduction")
    formula = r"\ell = (x - y)^2"
    reference = "https://docs.pytorch.org/docs/2.13/generated/torch.nn.MSELoss.html"
    broadcast = "warn"

    input = tensor("element", "Predictions x, (*).", grad=True)
    target = tensor("element", "True values y, (*).", grad=True)

    @staticmethod
    def math(x: Any, y: Any) -> Any:
        d = x - y
        return d * d, 2 * d, -2 * d


class SmoothL1Loss(Elementwise):
    r"""Quadratic below `beta`, linear above: squared error that outliers do not dominate.

    Shape:
        input, target: any, (*); broadcast together with a warning where they differ.

    It is the Huber loss divided by `beta`. With `beta=0` it is L1Loss, subgradient 0 included.

    Example:
        >>> nn.SmoothL1Loss(client=client)([0.0, 3.0], [0.5, 0.0]).item()
        1.3125
    """

    name = "smooth_l1_loss"
    signature = ("size_average", "reduce", "reduction", "beta")
    formula = (
        r"\ell = \tfrac{1}{2}(x - y)^2/\beta \text{ where } |x - y| < \beta,"
        r"\ |x - y| - \tfrac{1}{2}\beta \text{ elsewhere}"
    )
    reference = "Girshick, Fast R-CNN, 2015, https://arxiv.org/abs/1504.08083"
    broadcast = "warn"

    input = tensor("element", "Predictions x, (*).", grad=True)
    target = tensor("element", "True values y, (*).", grad=True)
    beta: float = param(1.0, "Where the quadratic part meets the linear, in units of x.", ge=0)

    def lower(self, given: Given) -> Loss:
        return L1Loss() if self.beta == 0 else self

    @staticmethod
    def math(x: Any, y: Any, beta: Any) -> Any:
        d = x - y
        q = min(abs(d), beta)  # |d| in the quadratic part, β in the linear one
        slope = min(max(d, -beta), beta) / beta
        return 0.5 * q * q / beta + (abs(d) - q), slope, -slope


class HuberLoss(Elementwise):
    r"""Quadratic below `delta`, linear above with slope `delta`.

    Shape:
        input, target: any, (*); broadcast together with a warning where they differ.

    Example:
        >>> nn.HuberLoss(delta=2.0, client=client)([0.0, 3.0], [0.5, 0.0]).item()
        2.0625
    """

    name = "huber_loss"
    signature = ("reduction", "delta")
    formula = (
        r"\ell = \tfrac{1}{2}(x - y)^2 \text{ where } |x - y| \le \delta,"
        r"\ \delta(|x - y| - \tfrac{1}{2}\delta) \text{ elsewhere}"
    )
    reference = (
        "Huber, Robust estimation of a location parameter, 1964, doi:10.1214/aoms/1177703732"
    )
    broadcast = "warn"

    input = tensor("element", "Predictions x, (*).", grad=True)
    target = tensor("element", "True values y, (*).", grad=True)
    delta: float = param(1.0, "Where the quadratic part meets the linear, in units of x.", gt=0)

    def lower(self, given: Given) -> Loss:
        return _HalfSquared(**self.values) if self.delta == float("inf") else self

    @staticmethod
    def math(x: Any, y: Any, delta: Any) -> Any:
        d = x - y
        q = min(abs(d), delta)
        slope = min(max(d, -delta), delta)
        return 0.5 * q * q + delta * (abs(d) - q), slope, -slope


class _HalfSquared(HuberLoss):
    """Huber with δ = ∞, whose linear part would be ∞ · 0."""

    @staticmethod
    def math(x: Any, y: Any, delta: Any) -> Any:
        d = x - y
        return 0.5 * d * d, d, -d
