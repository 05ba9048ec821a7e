"""Losses between two arrays of real values."""

from typing import Any

from lossd_client.errors import ShapeError

from lossd.mathfns import sign
from lossd.spec import Elementwise, Given, Layout, Loss, param, tensor, tuple_text


class _Weighable(Elementwise):
    """A loss whose function takes a weight of the input's very shape."""

    broadcast = "warn"

    def layout(self, given: Given) -> Layout:
        weight, input = given.get("weight"), given["input"]
        if weight is not None and weight.shape != input.shape:
            raise ShapeError(
                f"{self.name}: weight {tuple_text(weight.shape)} must have the shape of input "
                f"{tuple_text(input.shape)}",
                field="weight",
            )
        return super().layout(given)


class L1Loss(_Weighable):
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
    functional = (*signature, "weight")
    formula = r"\ell = |x - y|"
    reference = "https://docs.pytorch.org/docs/2.13/generated/torch.nn.L1Loss.html"

    input = tensor("element", "Predictions x, (*).", grad=True)
    target = tensor("element", "True values y, (*).", grad=True)
    weight = tensor(
        "element",
        "Factor w of each loss, of the input's shape; the mean divides by their sum.",
        optional=True,
        grad=True,
    )

    def lower(self, given: Given) -> Loss:
        return _WeightedL1() if "weight" in given else self

    @staticmethod
    def math(x: Any, y: Any) -> Any:
        d = x - y
        return abs(d), sign(d), -sign(d)


class _WeightedL1(L1Loss):
    divisor = "weight"

    @staticmethod
    def math(x: Any, y: Any, w: Any) -> Any:
        d = x - y
        return w * abs(d), w * sign(d), -w * sign(d), abs(d)


class MSELoss(_Weighable):
    r"""Mean squared error: the loss of a mean.

    Shape:
        input, target: any, (*); broadcast together with a warning where they differ.

    Example:
        >>> nn.MSELoss(client=client)([2.5, 5, 3], [3, 5, 2.5]).item()
        0.1666666716337204
    """

    name = "mse_loss"
    signature = ("size_average", "reduce", "reduction")
    functional = (*signature, "weight")
    formula = r"\ell = (x - y)^2"
    reference = "https://docs.pytorch.org/docs/2.13/generated/torch.nn.MSELoss.html"

    input = tensor("element", "Predictions x, (*).", grad=True)
    target = tensor("element", "True values y, (*).", grad=True)
    weight = tensor(
        "element",
        "Factor w of each loss, of the input's shape; the mean divides by their sum.",
        optional=True,
        grad=True,
    )

    def lower(self, given: Given) -> Loss:
        return _WeightedMSE() if "weight" in given else self

    @staticmethod
    def math(x: Any, y: Any) -> Any:
        d = x - y
        return d * d, 2 * d, -2 * d


class _WeightedMSE(MSELoss):
    divisor = "weight"

    @staticmethod
    def math(x: Any, y: Any, w: Any) -> Any:
        d = x - y
        return w * d * d, 2 * w * d, -2 * w * d, d * d


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


class HuberLoss(_Weighable):
    r"""Quadratic below `delta`, linear above with slope `delta`.

    Shape:
        input, target: any, (*); broadcast together with a warning where they differ.

    Example:
        >>> nn.HuberLoss(delta=2.0, client=client)([0.0, 3.0], [0.5, 0.0]).item()
        2.0625
    """

    name = "huber_loss"
    signature = ("reduction", "delta")
    functional = (*signature, "weight")
    formula = (
        r"\ell = \tfrac{1}{2}(x - y)^2 \text{ where } |x - y| \le \delta,"
        r"\ \delta(|x - y| - \tfrac{1}{2}\delta) \text{ elsewhere}"
    )
    reference = (
        "Huber, Robust estimation of a location parameter, 1964, doi:10.1214/aoms/1177703732"
    )

    input = tensor("element", "Predictions x, (*).", grad=True)
    target = tensor("element", "True values y, (*).", grad=True)
    weight = tensor(
        "element", "Factor w of each loss, of the input's shape.", optional=True, grad=True
    )
    delta: float = param(1.0, "Where the quadratic part meets the linear, in units of x.", gt=0)

    def lower(self, given: Given) -> Loss:
        whole = self.delta == float("inf")  # the linear part would be ∞ · 0
        if "weight" in given:
            return (_WeightedHalfSquared if whole else _WeightedHuber)(**self.values)
        return _HalfSquared(**self.values) if whole else self

    @staticmethod
    def math(x: Any, y: Any, delta: Any) -> Any:
        d = x - y
        q = min(abs(d), delta)
        slope = min(max(d, -delta), delta)
        return 0.5 * q * q + delta * (abs(d) - q), slope, -slope


class _WeightedHuber(HuberLoss):
    @staticmethod
    def math(x: Any, y: Any, w: Any, delta: Any) -> Any:
        d = x - y
        q = min(abs(d), delta)
        slope = w * min(max(d, -delta), delta)
        loss = 0.5 * q * q + delta * (abs(d) - q)
        return w * loss, slope, -slope, loss


class _HalfSquared(HuberLoss):
    """Huber with δ = ∞."""

    @staticmethod
    def math(x: Any, y: Any, delta: Any) -> Any:
        d = x - y
        return 0.5 * d * d, d, -d


class _WeightedHalfSquared(HuberLoss):
    @staticmethod
    def math(x: Any, y: Any, w: Any, delta: Any) -> Any:
        d = x - y
        return w * (0.5 * d * d), w * d, -w * d, 0.5 * d * d
