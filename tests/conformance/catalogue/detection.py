"""Losses of object detection: how they are drawn, their formulas, and who else defines them."""

from typing import Final

import numpy as np
import torch

from ..draws import logits
from ..model import ELEMENTWISE, Array, Entry, Rows
from ..peers import Peer


def sigmoid_focal_loss(
    input: Array, target: Array, alpha: float = 0.25, gamma: float = 2.0
) -> Rows:
    x, y = input, target
    positive, negative = np.logaddexp(0, -x), np.logaddexp(0, x)
    s, r = np.exp(-positive), np.exp(-negative)
    ce = y * positive + (1 - y) * negative
    u = y * r + (1 - y) * s
    w, w_slope = (alpha * y + (1 - alpha) * (1 - y), 2 * alpha - 1) if alpha >= 0 else (1, 0)
    power, slope = u**gamma, gamma * u ** (gamma - 1)
    depth = 1 + gamma * abs(np.log(u)) * (gamma not in (0, 2))  # exp(gamma · log u) rounds more
    steep = abs(slope * (1 - 2 * y) * s * r) * ce
    in_x = w * (power * (s - y) + ce * slope * (1 - 2 * y) * s * r)
    in_y = w_slope * power * ce + w * (ce * slope * (r - s) + power * (positive - negative))
    tiny = 4 * np.finfo(np.float32).tiny  # where powers lose digits
    y_scale = tiny + abs(w_slope) * power * ce + w * (ce * slope + power * (positive + negative))
    # 1 - p_t and the cross entropy are differences there: digits are lost where p_t is nearly 1
    lost = (1 + power + slope) * (1 + abs(x))
    return Rows(
        (w * power * ce, w * power * ce * (2 + gamma) * depth),
        {
            "input": (in_x, w * (power * (s + y) + 2 * steep) * (1 + gamma) * depth + tiny),
            "target": (in_y, y_scale * (1 + gamma) * depth),
        },
        cancelled=w * lost,
        torch={"input": w * lost, "target": (w + abs(w_slope)) * lost},
    )


def _sigmoid_focal(
    input: torch.Tensor, target: torch.Tensor, alpha: float = 0.25, gamma: float = 2.0
) -> torch.Tensor:
    """As torchvision.ops 0.28 defines it; its wheel cannot be imported beside torch for CPUs."""
    bce = torch.nn.functional.binary_cross_entropy_with_logits
    p = input.sigmoid()
    p_t = p * target + (1 - p) * (1 - target)
    weight = alpha * target + (1 - alpha) * (1 - target) if alpha >= 0 else 1
    return weight * bce(input, target, reduction="none") * (1 - p_t) ** gamma


ENTRIES: Final = {
    "sigmoid_focal_loss": Entry(
        logits,
        ("input", "target"),
        ELEMENTWISE,
        [
            {"gamma": 0.0},
            {"gamma": 0.5, "alpha": -1.0},
            {"gamma": 1.0, "alpha": 0.9},
            {"gamma": 3.5},
            {"alpha": -1.0},
            {"alpha": 0.0},
        ],
    ),
}

FORMULAS: Final = (sigmoid_focal_loss,)

PEERS: Final = {
    "sigmoid_focal_loss": Peer(_sigmoid_focal),
}
