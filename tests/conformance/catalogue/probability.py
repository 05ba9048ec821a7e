"""Losses of probabilities: how they are drawn, their formulas, and who else defines them."""

from typing import Any, Final

import numpy as np

from ..draws import logits, probabilities
from ..model import ELEMENTWISE, WIDE, Array, Case, Entry, Rows, Shape, Tensors, each, exact


def divergence(
    rng: np.random.Generator, shape: Shape, log_target: bool = False, other: Shape | None = None
) -> Tensors:
    x, y = rng.uniform(-6, -0.01, shape), rng.uniform(0.01, 1, shape if other is None else other)
    return {"input": np.asarray(x), "target": np.asarray(np.log(y) if log_target else y)}


def binary_cross_entropy(input: Array, target: Array, weight: Any = 1) -> Rows:
    x, y, w = input, target, weight
    log_x, log_rest = np.maximum(np.log(x), -100), np.maximum(np.log1p(-x), -100)
    losses = -w * (y * log_x + (1 - y) * log_rest)
    slope = w * (x - y) / np.maximum(x * (1 - x), WIDE(np.float32(1e-12)))  # as torch writes it
    in_target = w * (np.log1p(-x) - np.log(x)), w * (abs(np.log1p(-x)) + abs(np.log(x)))
    return Rows(exact(losses), {"input": exact(slope), "target": in_target})


def binary_cross_entropy_with_logits(
    input: Array, target: Array, weight: Any = 1, pos_weight: Any = 1
) -> Rows:
    x, y, w, p = input, target, weight, pos_weight
    positive, negative = np.logaddexp(0, -x), np.logaddexp(0, x)  # -log of the sigmoid, of its rest
    sigmoid = np.exp(-positive)
    losses = w * (p * y * positive + (1 - y) * negative)
    slope = w * ((p * y + 1 - y) * sigmoid - p * y)
    scale = w * ((p * y + 1 - y) * sigmoid + p * y)
    in_target = w * (p * positive - negative), w * (p * positive + negative)
    # PyTorch subtracts the sigmoid's log from (1 - y) x: nearly equal where x < 0 and y = 0
    cancelled = w * (1 - y) * abs(x)
    slopes = {"input": (slope, scale), "target": in_target}
    return Rows(exact(losses), slopes, cancelled=cancelled)


def kl_div(input: Array, target: Array, log_target: bool = False) -> Rows:
    x = input
    y, log_y = (np.exp(target), target) if log_target else (target, np.log(target))
    losses = y * (log_y - x), y * (abs(log_y) + abs(x))
    in_target = log_y - x + 1, abs(log_y) + abs(x) + 1
    if log_target:
        in_target = y * in_target[0], y * in_target[1]
    return Rows(losses, {"input": exact(-y + 0 * x), "target": in_target})


ENTRIES: Final = {
    "binary_cross_entropy": Entry(
        probabilities,
        ("input", "target"),
        ELEMENTWISE,
        options=[{"weight": s} for s in ((), (7,), (5, 1), (3, 5, 7))],
        more=[Case("binary_cross_entropy", (8193,), {}, {"weight": (8193,)})],
    ),
    "binary_cross_entropy_with_logits": Entry(
        logits,
        ("input", "target"),
        ELEMENTWISE,
        options=[
            {"weight": (7,)},
            {"pos_weight": (7,)},
            {"pos_weight": (5, 1)},
            {"pos_weight": ()},
            {"weight": (3, 5, 7), "pos_weight": (3, 1, 7)},
        ],
        more=each("binary_cross_entropy_with_logits", [(513,), (8193,)], {"pos_weight": (1,)}),
    ),
    "kl_div": Entry(
        divergence,
        ("input", "target"),
        ELEMENTWISE,
        more=[
            *each("kl_div", [(513,), (8193,), (3, 5, 7)], {"log_target": True}, log_target=True),
            Case("kl_div", (3, 5, 7), {}, {"other": (5, 1)}),
            Case("kl_div", (1, 7), {}, {"other": (5, 1)}),
        ],
    ),
}

FORMULAS: Final = (
    binary_cross_entropy,
    binary_cross_entropy_with_logits,
    kl_div,
)
