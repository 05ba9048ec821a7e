"""Losses of detectors: many easy negatives, few positives."""

from typing import Any

from lossd_client.errors import ParameterError

from lossd.losses.probability import logistic
from lossd.mathfns import exp, inlined, log, sigmoid
from lossd.spec import Elementwise, Given, Loss, param, tensor


@inlined
def focal(x: Any, y: Any, ce: Any, alpha: Any, power: Any, through: Any, s: Any, r: Any) -> Any:
    """The loss and its slopes.

    ce: binary cross entropy; power: of u = 1 - p_t to gamma; through: ce times the slope of that
    by u; s, r: the sigmoids of x and -x.
    """
    weight = (alpha * y + (1 - alpha) * (1 - y)) if alpha >= 0 else (1 + 0 * y)
    in_weight = (2 * alpha - 1) if alpha >= 0 else (0 * alpha)
    return (
        weight * power * ce,
        weight * (power * (s - y) + through * (1 - 2 * y) * s * r),
        in_weight * power * ce + weight * (through * (r - s) - power * x),
    )


FAR = 1e-18
"""Below this, x, log(1 + x) and x / (1 + x) are the same in any type."""


class SigmoidFocalLoss(Elementwise):
    r"""Binary cross entropy of logits in which well classified examples hardly count.

    Shape:
        input, target: any, (*), the same.

    `alpha` in [0, 1] weighs the positives, 1 - alpha the negatives; -1 weighs nothing. With
    `gamma=0` it is BCEWithLogitsLoss.

    Example:
        >>> criterion = nn.SigmoidFocalLoss(client=client)
        >>> round(criterion([2.0, -1.0, 0.0], [1.0, 0.0, 1.0]).item(), 5)
        0.02026
    """

    name = "sigmoid_focal_loss"
    library = "torchvision.ops"
    signature = ("alpha", "gamma", "reduction")
    formula = (
        r"\ell = \alpha_t (1 - p_t)^\gamma H,\ p_t = y\,\sigma(x) + (1 - y)(1 - \sigma(x)),"
        r"\ H = -y \log \sigma(x) - (1 - y) \log(1 - \sigma(x))"
    )
    gradient = (
        (
            r"\partial_x \ell = \alpha_t\,[\,u^\gamma\,(\sigma(x) - y) + \gamma\,u^{\gamma - "
            r"1}\,(1 - 2 y)\,\sigma(x)\,(1 - \sigma(x))\,H\,]"
        ),
        (
            r"\partial_y \ell = (2 \alpha - 1)\,u^\gamma H + \alpha_t\,[\,\gamma\,u^{\gamma - "
            r"1}\,(1 - 2 \sigma(x))\,H - u^\gamma x\,]"
        ),
        (
            r"u = 1 - p_t,\ \alpha_t = \alpha y + (1 - \alpha)(1 - y); \text{ for } \alpha = "
            r"-1,\ \alpha_t = 1 \text{ and } 0 \text{ takes the place of } 2 \alpha - 1"
        ),
    )
    reference = (
        "Lin et al., Focal loss for dense object detection, https://arxiv.org/abs/1708.02002"
    )
    predicts = "logit"
    broadcast = "refuse"

    input = tensor("element", "Logits x, (*).", grad=True)
    target = tensor("element", "Probabilities y, usually 0 or 1, (*).", grad=True)
    alpha: float = param(0.25, "Weight of the positives, or -1 for none.", ge=-1, le=1)
    gamma: float = param(2.0, "How little easy examples count.", ge=0)

    def lower(self, given: Given) -> Loss:
        if -1 < self.alpha < 0:
            raise ParameterError(
                f"{self.name}: alpha = {self.alpha} must be in [0, 1], or -1 for no weight",
                field="alpha",
            )
        if self.gamma == 2:
            return self
        return (_FocalPower if self.gamma else _FocalZero)(**self.values)

    @staticmethod
    def math(x: Any, y: Any, alpha: Any, gamma: Any) -> Any:
        s, r = sigmoid(x), sigmoid(-x)
        u, ce = y * r + (1 - y) * s, logistic(x, y)
        return focal(x, y, ce, alpha, u * u, ce * 2 * u, s, r)


class _FocalZero(SigmoidFocalLoss):
    @staticmethod
    def math(x: Any, y: Any, alpha: Any, gamma: Any) -> Any:
        s, r = sigmoid(x), sigmoid(-x)
        return focal(x, y, logistic(x, y), alpha, 1 + 0 * x, 0 * x, s, r)


class _FocalPower(SigmoidFocalLoss):
    @staticmethod
    def math(x: Any, y: Any, alpha: Any, gamma: Any) -> Any:
        s, r = sigmoid(x), sigmoid(-x)
        u, ce = y * r + (1 - y) * s, logistic(x, y)
        # u of a target of 0 or 1 leaves the type sooner than its power: it is exp(-|x|), as ce is
        far = u < FAR and y * (1 - y) == 0
        power = exp(gamma * (-abs(x) if far else log(u)))
        return focal(x, y, ce, alpha, power, gamma * power * (1 if far else ce / u), s, r)
