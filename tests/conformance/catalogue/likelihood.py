"""Negative log-likelihoods: how they are drawn, their formulas, and who else defines them."""

from typing import Final

import numpy as np

from ..draws import regression
from ..model import ELEMENTWISE, WIDE, Array, Case, Entry, Rows, Shape, Tensors, each, exact


def counts(
    rng: np.random.Generator,
    shape: Shape,
    rates: bool = False,
    above_zero: bool = False,  # PyTorch's slope of y log y is NaN at 0
    other: Shape | None = None,
) -> Tensors:
    x = rng.uniform(0.01, 6, shape) if rates else rng.normal(size=shape)
    y = rng.poisson(2.0, shape if other is None else other) * 1.0
    if above_zero:
        y = rng.uniform(0.1, 5, shape)
    return {"input": np.asarray(x), "target": np.asarray(y)}


def gaussians(
    rng: np.random.Generator, shape: Shape, var: Shape | None = None, other: Shape | None = None
) -> Tensors:
    drawn = regression(rng, shape, other)
    drawn["var"] = np.asarray(rng.uniform(0.05, 4, shape if var is None else var))
    return drawn


def poisson_nll_loss(
    input: Array, target: Array, log_input: bool = True, full: bool = False, eps: float = 1e-8
) -> Rows:
    x, y = np.broadcast_arrays(input, target)
    rate, log_rate = (np.exp(x), x) if log_input else (x, np.log(x + eps))
    losses, scale = rate - y * log_rate, abs(rate) + abs(y) * (abs(log_rate) + (not log_input))
    slope = (rate - y, rate + abs(y)) if log_input else (1 - y / (x + eps), 1 + y / (x + eps))
    in_target = -log_rate, abs(log_rate) + (not log_input)
    if full:
        big = y > 1
        log_y = np.log(np.where(big, y, 1))
        losses = losses + np.where(big, (y + 0.5) * log_y - y + np.log(2 * WIDE(np.pi)) / 2, 0)
        scale = scale + np.where(big, (y + 0.5) * log_y + y + 1, 0)
        in_target = (
            in_target[0] + np.where(big, log_y + 0.5 / y, 0),
            in_target[1] + np.where(big, log_y + 0.5 / y, 0),
        )
    return Rows((losses, scale), {"input": slope, "target": in_target})


def gaussian_nll_loss(
    input: Array, target: Array, var: Array, full: bool = False, eps: float = 1e-6
) -> Rows:
    view = (*var.shape, 1) if input.ndim and var.shape == input.shape[:-1] else var.shape
    v = np.maximum(var.reshape(view), eps)
    d = input - target + 0 * v
    square = d**2 / v
    constant = np.log(2 * WIDE(np.pi)) / 2 if full else 0
    losses = (np.log(v) + square) / 2 + constant
    scale = (abs(np.log(v)) + (v == eps) + square) / 2 + constant
    in_var = (1 - square) / v / 2, (1 + square) / v / 2
    slopes = {"input": exact(d / v), "target": exact(-d / v), "var": in_var}
    return Rows((losses, scale), slopes, views={"var": view})


ENTRIES: Final = {
    "poisson_nll_loss": Entry(
        counts,
        ("input", "target"),
        ELEMENTWISE,
        options=[{"other": (5, 1)}],
        more=[
            *each("poisson_nll_loss", [(513,), (3, 5, 7)], {"rates": True}, log_input=False),
            Case("poisson_nll_loss", (3, 5, 7), {"log_input": False, "eps": 0.3}, {"rates": True}),
            *(
                Case(
                    "poisson_nll_loss",
                    (3, 5, 7),
                    {"full": True, "log_input": log_input},
                    {"rates": not log_input, "above_zero": True},
                )
                for log_input in (True, False)
            ),
        ],
    ),
    "gaussian_nll_loss": Entry(
        gaussians,
        ("input", "target", "var"),
        ELEMENTWISE,
        [{"full": True}],
        options=[
            *({"var": s} for s in ((3, 5, 1), (3, 5), (1, 5, 7))),
            {"other": (5, 1)},
            {"other": (5, 1), "var": (3, 5)},
        ],
        more=[
            Case("gaussian_nll_loss", (8193,), {"eps": 0.5}, brief=True),
            Case("gaussian_nll_loss", (131, 63), {}, {"var": (131,)}),
        ],
    ),
}

FORMULAS: Final = (
    poisson_nll_loss,
    gaussian_nll_loss,
)
