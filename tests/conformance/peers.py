"""The losses that torch.nn lacks, by the libraries that define them, as torch expressions.

Versions are those of constraints.txt. Each function answers a loss for each element.
"""

import os
from collections.abc import Callable
from typing import Any, Final

import torch

os.environ["KERAS_BACKEND"] = "torch"
import keras

Peer = Callable[..., torch.Tensor]


def _of_keras(function: Any) -> Peer:
    """Keras' losses take the true value first, and average over the last dimension."""

    def peer(input: torch.Tensor, target: torch.Tensor, **parameters: Any) -> torch.Tensor:
        input, target = torch.broadcast_tensors(input, target)
        made: torch.Tensor = function(target[..., None], input[..., None])
        return made

    return peer


def _pinball(input: torch.Tensor, target: torch.Tensor, quantile: float = 0.5) -> torch.Tensor:
    """sklearn.metrics.mean_pinball_loss, which has no gradient, before its mean."""
    d = target - input
    return torch.where(d > 0, quantile * d, (quantile - 1) * d)


def _categorical_hinge(input: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    made: torch.Tensor = keras.losses.categorical_hinge(*torch.broadcast_tensors(target, input))
    return made


SINGLE: Final = frozenset(
    (
        "log_cosh_loss",
        "mape_loss",
        "msle_loss",
        "hinge_loss",
        "squared_hinge_loss",
        "categorical_hinge_loss",
    )
)
"""Keras' operations on a tensor and a number answer in float32, with PyTorch's float64 too."""


def _sigmoid_focal(
    input: torch.Tensor, target: torch.Tensor, alpha: float = 0.25, gamma: float = 2.0
) -> torch.Tensor:
    """As torchvision.ops 0.28 defines it; its wheel cannot be imported beside torch for CPUs."""
    bce = torch.nn.functional.binary_cross_entropy_with_logits
    p = input.sigmoid()
    p_t = p * target + (1 - p) * (1 - target)
    weight = alpha * target + (1 - alpha) * (1 - target) if alpha >= 0 else 1
    return weight * bce(input, target, reduction="none") * (1 - p_t) ** gamma


PEERS: Final[dict[str, Peer]] = {
    "log_cosh_loss": _of_keras(keras.losses.log_cosh),
    "mape_loss": _of_keras(keras.losses.mean_absolute_percentage_error),
    "msle_loss": _of_keras(keras.losses.mean_squared_logarithmic_error),
    "hinge_loss": _of_keras(keras.losses.hinge),
    "squared_hinge_loss": _of_keras(keras.losses.squared_hinge),
    "quantile_loss": _pinball,
    "sigmoid_focal_loss": _sigmoid_focal,
    "categorical_hinge_loss": _categorical_hinge,
}
