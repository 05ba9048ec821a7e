"""Losses that ask of scores to be right by a margin."""

from typing import Any

from lossd.mathfns import sigmoid, softplus
from lossd.spec import Elementwise, tensor


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
