"""Losses of predicted numbers: how they are drawn, their formulas, and who else defines them."""

from typing import Any, Final

import numpy as np
import torch

from ..draws import regression
from ..model import (
    ELEMENTWISE,
    WIDE,
    Array,
    Case,
    Entry,
    Number,
    Options,
    Rows,
    Shape,
    Tensors,
    exact,
)
from ..peers import Peer, keras, of_keras


def away_from_0(rng: np.random.Generator, shape: Shape, other: Shape | None = None) -> Tensors:
    drawn = regression(rng, shape, other)
    return drawn | {"target": np.asarray(drawn["target"] + np.sign(drawn["target"]) * 0.1)}


def positive(rng: np.random.Generator, shape: Shape, other: Shape | None = None) -> Tensors:
    drawn = regression(rng, shape, other)
    return {name: np.asarray(abs(values) + 0.01) for name, values in drawn.items()}


def _weighted(loss: Number, slope: Array, weight: Any, over: str = "weight") -> Rows:
    """A loss of input - target with its slope in input, both times a weight."""
    w = weight
    slopes = {"input": exact(w * slope), "target": exact(-w * slope), "weight": loss}
    return Rows((w * loss[0], abs(w) * loss[1]), slopes, over=over)


def l1_loss(input: Array, target: Array, weight: Any = 1) -> Rows:
    d = input - target
    return _weighted(exact(abs(d)), np.sign(d), weight)


def mse_loss(input: Array, target: Array, weight: Any = 1) -> Rows:
    d = input - target
    return _weighted(exact(d**2), 2 * d, weight)


def huber_loss(input: Array, target: Array, delta: float = 1.0, weight: Any = 1) -> Rows:
    d = input - target
    near = abs(d) <= delta
    losses = np.where(near, d**2 / 2, delta * (abs(d) - delta / 2))
    scale = np.where(near, d**2 / 2, delta * (abs(d) + delta / 2))
    slope = np.where(near, d, delta * np.sign(d))
    return _weighted((losses, scale), slope, weight, over="")


def smooth_l1_loss(input: Array, target: Array, beta: float = 1.0) -> Rows:
    d = input - target
    near = abs(d) < beta
    losses = np.where(near, d**2 / 2 / beta, abs(d) - beta / 2)
    scale = np.where(near, losses, abs(d) + beta / 2)
    slope = np.where(near, d / beta, np.sign(d))
    return Rows((losses, scale), {"input": exact(slope), "target": exact(-slope)})


def log_cosh_loss(input: Array, target: Array) -> Rows:
    d = input - target
    losses = np.log1p(2 * np.sinh(d / 2) ** 2)
    return Rows(
        exact(losses),
        {"input": exact(np.tanh(d)), "target": exact(-np.tanh(d))},
        cancelled=abs(d) + 1,  # Keras subtracts log 2 from what is nearly that
        torch={"input": 1 + 0 * d, "target": 1 + 0 * d},  # and the slopes of its summands
    )


def mape_loss(input: Array, target: Array, eps: float = 1e-7) -> Rows:
    d = input - target
    m = np.maximum(abs(target), eps)
    losses, slope = 100 * abs(d) / m, 100 * np.sign(d) / m
    through = np.where(abs(target) >= eps, losses * np.sign(target) / m, 0)
    in_target = -slope - through, abs(slope) + abs(through)
    return Rows(exact(losses), {"input": exact(slope), "target": in_target})


def msle_loss(input: Array, target: Array, eps: float = 1e-7) -> Rows:
    u, v = np.maximum(input, eps), np.maximum(target, eps)
    d, scale = np.log1p(u) - np.log1p(v), np.log1p(u) + np.log1p(v)
    slopes = {
        "input": (2 * d / (1 + u) * (input >= eps), 2 * scale / (1 + u)),
        "target": (-2 * d / (1 + v) * (target >= eps), 2 * scale / (1 + v)),
    }
    # Keras rounds 1 + u before it takes the logarithm
    torch = {name: 4 / (1 + x) for name, x in (("input", u), ("target", v))}
    return Rows((d**2, 2 * abs(d) * scale), slopes, cancelled=4 * abs(d) + 0 * u, torch=torch)


def quantile_loss(input: Array, target: Array, quantile: float = 0.5) -> Rows:
    d = target - input
    slope = np.where(d > 0, quantile, np.where(d < 0, WIDE(quantile) - 1, 0))
    return Rows(exact(slope * d), {"input": exact(-slope), "target": exact(slope)})


def _pinball(input: torch.Tensor, target: torch.Tensor, quantile: float = 0.5) -> torch.Tensor:
    """sklearn.metrics.mean_pinball_loss, before its mean; it has no gradient: 0 where both do."""
    d = target - input
    return quantile * d.relu() + (1 - quantile) * (-d).relu()


REGRESSION_OPTIONS: list[Options] = [
    {"other": (5, 1)},
    {"weight": True},
    {"weight": True, "other": (5, 1)},
]

ENTRIES: Final = {
    "l1_loss": Entry(
        regression, ("input", "target", "weight"), ELEMENTWISE, options=REGRESSION_OPTIONS
    ),
    "mse_loss": Entry(
        regression, ("input", "target", "weight"), ELEMENTWISE, options=REGRESSION_OPTIONS
    ),
    "huber_loss": Entry(
        regression,
        ("input", "target", "weight"),
        ELEMENTWISE,
        [{"delta": d} for d in (1e-3, 0.3, 3.0, np.inf)],
        options=REGRESSION_OPTIONS,
        more=[Case("huber_loss", (513,), {"delta": d}, {"weight": True}) for d in (0.3, np.inf)],
    ),
    "smooth_l1_loss": Entry(
        regression,
        ("input", "target"),
        ELEMENTWISE,
        [{"beta": b} for b in (0.0, 1e-3, 0.3, 3.0, np.inf)],
        options=[{"other": (5, 1)}],
    ),
    "log_cosh_loss": Entry(
        regression, ("input", "target"), ELEMENTWISE, options=[{"other": (5, 1)}]
    ),
    "mape_loss": Entry(
        away_from_0,
        ("input", "target"),
        ELEMENTWISE,
        options=[{"other": (5, 1)}],
        more=[Case("mape_loss", (3, 5, 7), {"eps": 1e-7})],
    ),
    "msle_loss": Entry(
        positive,
        ("input", "target"),
        ELEMENTWISE,
        options=[{"other": (5, 1)}],
        more=[Case("msle_loss", (3, 5, 7), {"eps": 1e-7})],
    ),
    "quantile_loss": Entry(
        regression,
        ("input", "target"),
        ELEMENTWISE,
        [{"quantile": q} for q in (0.1, 0.9)],
        options=[{"other": (5, 1)}],
    ),
}

FORMULAS: Final = (
    l1_loss,
    mse_loss,
    huber_loss,
    smooth_l1_loss,
    log_cosh_loss,
    mape_loss,
    msle_loss,
    quantile_loss,
)

PEERS: Final = {
    "log_cosh_loss": of_keras(keras.losses.log_cosh),
    "mape_loss": of_keras(keras.losses.mean_absolute_percentage_error),
    "msle_loss": of_keras(keras.losses.mean_squared_logarithmic_error),
    "quantile_loss": Peer(_pinball),
}
