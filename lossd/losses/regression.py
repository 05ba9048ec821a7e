"""Losses between two arrays of real values."""

import math
from typing import Any, ClassVar

from lossd_client.errors import ShapeError
from lossd_client.limits import Limits

from lossd.mathfns import decay_both, log1p, log1p_small, sign
from lossd.spec import Elementwise, Given, Layout, Loss, param, tensor, tuple_text

LOG_2 = math.log(2)


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
    integers = "beside"
    signature = ("size_average", "reduce", "reduction")
    functional = (*signature, "weight")
    formula = r"\ell = |x - y|"
    gradient = (
        r"\partial_x \ell = -\partial_y \ell = \mathrm{sign}(x - y)",
        r"\partial_x (w \ell) = w\,\partial_x \ell,\ \partial_w (w \ell) = \ell",
        (
            r"\text{the mean } L \text{ divides by the sum of the weights: } \partial_w L = "
            r"(\ell - L) / \sum w"
        ),
    )
    reference = "https://docs.pytorch.org/docs/2.13/generated/torch.nn.L1Loss.html"
    predicts = "value"

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
    divisor = weighing = "weight"

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
    integers = "beside"
    signature = ("size_average", "reduce", "reduction")
    functional = (*signature, "weight")
    formula = r"\ell = (x - y)^2"
    gradient = (
        r"\partial_x \ell = -\partial_y \ell = 2\,(x - y)",
        r"\partial_x (w \ell) = w\,\partial_x \ell,\ \partial_w (w \ell) = \ell",
        (
            r"\text{the mean } L \text{ divides by the sum of the weights: } \partial_w L = "
            r"(\ell - L) / \sum w"
        ),
    )
    reference = "https://docs.pytorch.org/docs/2.13/generated/torch.nn.MSELoss.html"
    predicts = "value"

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
    divisor = weighing = "weight"

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
    integers = "beside"
    signature = ("size_average", "reduce", "reduction", "beta")
    formula = (
        r"\ell = \tfrac{1}{2}(x - y)^2/\beta \text{ where } |x - y| < \beta,"
        r"\ |x - y| - \tfrac{1}{2}\beta \text{ elsewhere}"
    )
    gradient = (r"\partial_x \ell = -\partial_y \ell = \mathrm{clip}((x - y) / \beta,\ -1,\ 1)",)
    reference = "Girshick, Fast R-CNN, 2015, https://arxiv.org/abs/1504.08083"
    predicts = "value"
    broadcast = "warn"

    input = tensor("element", "Predictions x, (*).", grad=True)
    target = tensor("element", "True values y, (*).", grad=True)
    beta: float = param(1.0, "Where the quadratic part meets the linear, in units of x.", ge=0)

    def lower(self, given: Given) -> Loss:
        return L1Loss() if self.computed_in(given).type(self.beta) == 0 else self

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
    early: ClassVar = {"delta": Limits()}  # a number
    formula = (
        r"\ell = \tfrac{1}{2}(x - y)^2 \text{ where } |x - y| \le \delta,"
        r"\ \delta(|x - y| - \tfrac{1}{2}\delta) \text{ elsewhere}"
    )
    gradient = (
        r"\partial_x \ell = -\partial_y \ell = \mathrm{clip}(x - y,\ -\delta,\ \delta)",
        r"\partial_x (w \ell) = w\,\partial_x \ell,\ \partial_w (w \ell) = \ell",
    )
    reference = (
        "Huber, Robust estimation of a location parameter, 1964, doi:10.1214/aoms/1177703732"
    )
    predicts = "value"

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
    weighing = "weight"

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
    weighing = "weight"

    @staticmethod
    def math(x: Any, y: Any, w: Any, delta: Any) -> Any:
        d = x - y
        return w * (0.5 * d * d), w * d, -w * d, 0.5 * d * d


class LogCoshLoss(Elementwise):
    r"""Quadratic for small differences, linear for large ones, and smooth between.

    Shape:
        input, target: any, (*); broadcast together with a warning where they differ.

    Exact for small differences too, where `d + softplus(-2d) - log 2` loses all its digits.

    Example:
        >>> round(nn.LogCoshLoss(client=client)([0.0, 3.0], [0.5, 0.0]).item(), 4)
        1.2147
    """

    name = "log_cosh_loss"
    library = "keras.losses"
    signature = ("reduction",)
    formula = r"\ell = \log \cosh(x - y)"
    gradient = (r"\partial_x \ell = -\partial_y \ell = \tanh(x - y)",)
    reference = "https://keras.io/api/losses/regression_losses/#logcosh-class"
    predicts = "value"
    broadcast = "warn"

    input = tensor("element", "Predictions x, (*).", grad=True)
    target = tensor("element", "True values y, (*).", grad=True)

    @staticmethod
    def math(x: Any, y: Any) -> Any:
        d = x - y
        e, rest = decay_both(2 * d)  # e^-2|d|
        t = rest / (1 + e)  # tanh |d|
        # below 1, log cosh d = -log(1 - tanh² d) / 2; above, |d| - log 2 + log1p(e)
        near = abs(d) < 1
        rise = log1p_small(-t * t if near else e)
        loss = -0.5 * rise if near else (abs(d) - LOG_2) + rise
        slope = -t if d < 0 else t
        return loss, slope, -slope


class MAPELoss(Elementwise):
    r"""Mean absolute percentage error: 100 times the difference relative to the true value.

    Shape:
        input, target: any, (*); broadcast together with a warning where they differ.

    True values nearer to 0 than `eps` count as `eps`.

    Example:
        >>> nn.MAPELoss(client=client)([1.5, 8.0], [1.0, 10.0]).item()
        35.0
    """

    name = "mape_loss"
    library = "keras.losses"
    signature = ("eps", "reduction")
    formula = r"\ell = 100\,\frac{|x - y|}{\max(|y|, \varepsilon)}"
    gradient = (
        r"\partial_x \ell = \frac{100\,\mathrm{sign}(x - y)}{\max(|y|, \varepsilon)}",
        r"\partial_y \ell = -\partial_x \ell - \frac{\ell}{y}\,[\,|y| \ge \varepsilon\,]",
    )
    reference = "https://keras.io/api/losses/regression_losses/#meanabsolutepercentageerror-class"
    predicts = "value"
    broadcast = "warn"

    input = tensor("element", "Predictions x, (*).", grad=True)
    target = tensor("element", "True values y, (*).", grad=True)
    eps: float = param(1e-7, "Least magnitude to divide by.", gt=0)

    @staticmethod
    def math(x: Any, y: Any, eps: Any) -> Any:
        d = x - y
        m = max(abs(y), eps)
        slope = 100 * sign(d) / m
        loss = 100 * (abs(d) / m)
        return loss, slope, -slope - (loss * sign(y) / m if abs(y) >= eps else 0)


class MSLELoss(Elementwise):
    r"""Mean squared logarithmic error: squared error of log(1 + value), for positive values.

    Shape:
        input, target: any, (*); broadcast together with a warning where they differ.

    Values below `eps` count as `eps` and have the gradient 0.

    Example:
        >>> round(nn.MSLELoss(client=client)([1.0, 3.0], [0.0, 3.0]).item(), 4)
        0.2402
    """

    name = "msle_loss"
    library = "keras.losses"
    signature = ("eps", "reduction")
    formula = r"\ell = (\log(1 + \max(x, \varepsilon)) - \log(1 + \max(y, \varepsilon)))^2"
    gradient = (
        (
            r"\partial_x \ell = \frac{2\,d}{1 + x}\,[\,x \ge \varepsilon\,],\ \partial_y \ell = "
            r"-\frac{2\,d}{1 + y}\,[\,y \ge \varepsilon\,],\ d = \log(1 + \max(x, \varepsilon)) "
            r"- \log(1 + \max(y, \varepsilon))"
        ),
    )
    reference = "https://keras.io/api/losses/regression_losses/#meansquaredlogarithmicerror-class"
    predicts = "value"
    broadcast = "warn"

    input = tensor("element", "Predictions x, (*).", grad=True)
    target = tensor("element", "True values y, (*).", grad=True)
    eps: float = param(1e-7, "Least value.", ge=0)

    @staticmethod
    def math(x: Any, y: Any, eps: Any) -> Any:
        u, v = max(x, eps), max(y, eps)
        d = log1p(u) - log1p(v)
        in_x, in_y = 2 * d / (1 + u), -2 * d / (1 + v)
        return d * d, (0 if x < eps else in_x), (0 if y < eps else in_y)


class QuantileLoss(Elementwise):
    r"""Pinball loss: the loss of a quantile, as L1Loss is the median's.

    Shape:
        input, target: any, (*); broadcast together with a warning where they differ.

    At input = target the gradient is the subgradient 0.

    Example:
        >>> nn.QuantileLoss(0.75, client=client)([1.0, 2.0], [3.0, 1.0]).item()
        0.875
    """

    name = "quantile_loss"
    library = "sklearn.metrics"
    signature = ("quantile", "reduction")
    formula = r"\ell = \max(q\,(y - x),\ (q - 1)(y - x))"
    gradient = (
        (
            r"\partial_x \ell = -\partial_y \ell = -q \text{ where } x < y,\ 1 - q \text{ where "
            r"} x > y"
        ),
    )
    reference = "Koenker and Bassett, Regression quantiles, 1978, doi:10.2307/1913643"
    predicts = "value"
    broadcast = "warn"

    input = tensor("element", "Predicted quantiles x, (*).", grad=True)
    target = tensor("element", "True values y, (*).", grad=True)
    quantile: float = param(0.5, "Which quantile, q.", gt=0, lt=1)

    @staticmethod
    def math(x: Any, y: Any, q: Any) -> Any:
        d = y - x
        slope = q if d > 0 else ((q - 1) if d < 0 else d)
        return slope * d, -slope, slope
