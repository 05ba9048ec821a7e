"""Losses that ask for a margin: how they are drawn, their formulas, and who else defines them."""

from typing import Any, Final

import numpy as np
import torch

from ..draws import classes, logits, regression
from ..model import (
    CLASSES,
    ELEMENTWISE,
    FEW_CLASSES,
    VECTORS,
    WIDE,
    Array,
    Case,
    Entry,
    Rows,
    Shape,
    Tensors,
    above,
    each,
    exact,
    one_hot,
)
from ..peers import Peer, keras, of_keras


def signs(rng: np.random.Generator, shape: Shape, other: Shape | None = None) -> Tensors:
    drawn = regression(rng, shape)
    y = np.asarray(rng.integers(0, 2, shape if other is None else other) * 2.0 - 1)
    y.reshape(-1)[:1] = -1  # Keras takes targets that are all 0 or 1 for labels
    return drawn | {"target": y}


def one_hots(rng: np.random.Generator, shape: Shape, soft: bool = False) -> Tensors:
    y = (rng.integers(0, shape[-1], (*shape[:-1], 1)) == np.arange(shape[-1])) * 1.0
    if soft:
        y = rng.uniform(size=shape)
    return {"input": 2 * rng.normal(size=shape), "target": y}


def multilabels(
    rng: np.random.Generator, shape: Shape, weight: bool = False, other: Shape | None = None
) -> Tensors:
    drawn = logits(rng, shape)
    if other is not None:
        drawn["target"] = rng.uniform(size=other)
    if weight:
        drawn["weight"] = rng.uniform(0, 2, shape[-1])
    return drawn


def label_sets(rng: np.random.Generator, shape: Shape) -> Tensors:
    """Rows of distinct labels, ended by -1, and what comes after it does not matter."""
    y = np.argsort(rng.uniform(size=shape), -1)
    count = rng.integers(0, shape[-1] + 1, (*shape[:-1], 1))
    y = np.where(np.arange(shape[-1]) == count, -1, y)
    return {"input": rng.normal(size=shape), "target": y}


def soft_margin_loss(input: Array, target: Array) -> Rows:
    wrong = -target * input
    return Rows(
        exact(np.logaddexp(0, wrong)),
        {"input": exact(-target * np.exp(-np.logaddexp(0, -wrong)))},
    )


def multilabel_soft_margin_loss(input: Array, target: Array, weight: Any = 1) -> Rows:
    x, y = np.broadcast_arrays(input, target)
    w = weight + 0 * x
    positive, negative = np.logaddexp(0, -x), np.logaddexp(0, x)
    each = y * positive + (1 - y) * negative
    losses = w * each
    sigmoid, count = np.exp(-positive), x.shape[-1]
    slopes = {
        "input": (w * (sigmoid - y) / count, w * (sigmoid + y) / count),
        "target": exact(-w * x / count),
        "weight": exact(each / count),
    }
    torch = {"target": w * (positive + negative) / count}  # it subtracts one from the other
    return Rows(exact(losses.sum(-1) / count), slopes, torch=torch)


def multi_margin_loss(
    input: Array, target: Array, weight: Array | None = None, p: int = 1, margin: float = 1.0
) -> Rows:
    width = input.shape[-1]
    own = one_hot(target, width, np.ones_like(target, bool)).astype(bool)
    w = (np.ones(width, WIDE) if weight is None else weight)[target][..., None] / width
    chosen = np.take_along_axis(input, np.asarray(target)[..., None], -1)
    h = margin - chosen + input
    active = (h > 0) & ~own
    scale = np.where(active, abs(margin) + abs(chosen) + abs(input), 0)
    losses = w * np.where(active, h**p, 0)
    loss_scale = w * np.where(active, p * scale * h ** (p - 1), 0)
    slope = w * np.where(active, p * h ** (p - 1), 0)
    slope_scale = w * np.where(active, p * scale ** (p - 1), 0)
    slope = np.where(own, -slope.sum(-1, keepdims=True), slope)
    slope_scale = np.where(own, slope_scale.sum(-1, keepdims=True), slope_scale)
    # it adds the slope at the label one by one: half an eps each, where 16 eps are allowed
    torch = {"input": own * slope_scale * active.sum(-1, keepdims=True) / 32}
    sums = losses.sum(-1), loss_scale.sum(-1)
    return Rows(sums, {"input": (slope, slope_scale)}, torch=torch)


def multilabel_margin_loss(input: Array, target: Array) -> Rows:
    x = input.reshape(-1, input.shape[-1])
    rows, width = x.shape
    losses, scale = np.zeros(rows, WIDE), np.zeros(rows, WIDE)
    slopes = np.zeros(x.shape, WIDE)
    for n, row in enumerate(target.reshape(x.shape)):
        ended = np.flatnonzero(row < 0)
        labels = row[: ended[0]] if ended.size else row
        others = np.setdiff1d(np.arange(width), labels)
        h = 1 - x[n, labels][:, None] + x[n, others]
        active = h > 0
        losses[n] = h[active].sum() / width
        magnitude = 1 + abs(x[n, labels])[:, None] + abs(x[n, others])
        scale[n] = magnitude[active].sum() / width
        slopes[n, others] = active.sum(0) / WIDE(width)
        slopes[n, labels] = -active.sum(1) / WIDE(width)
    shape = input.shape
    sums = losses.reshape(shape[:-1]), scale.reshape(shape[:-1])
    slopes = slopes.reshape(shape)
    # it adds one unit after another: half an eps each, where 16 eps are allowed
    return Rows(sums, {"input": exact(slopes)}, torch={"input": abs(slopes) * width / 32})


def _side(y: Array) -> Array:
    """0, of labels 0 and 1, is -1."""
    return np.where(y == 0, -1, y)


def _hinge(x: Array, y: Array) -> tuple[Array, Array]:
    h = 1 - y * x
    return np.maximum(h, 0), above(h, 1 + abs(y * x))


def hinge_loss(input: Array, target: Array) -> Rows:
    target = _side(target)
    h, scale = _hinge(input, target)
    active = above(1 - target * input, np.ones_like(h))
    slopes = {"input": exact(-target * active), "target": exact(-input * active)}
    return Rows((h, scale), slopes)


def squared_hinge_loss(input: Array, target: Array) -> Rows:
    target = _side(target)
    h, scale = _hinge(input, target)
    slopes = {
        "input": (-2 * target * h, 2 * abs(target) * scale),
        "target": (-2 * input * h, 2 * abs(input) * scale),
    }
    return Rows((h**2, 2 * h * scale), slopes)


def categorical_hinge_loss(input: Array, target: Array) -> Rows:
    x, y = np.broadcast_arrays(input, target)
    wrong = (1 - y) * x
    best = wrong == wrong.max(-1, keepdims=True)
    top, own = wrong.max(-1), (y * x).sum(-1)
    h = top - own + 1
    scale = above(h, abs(top) + abs(y * x).sum(-1) + 1)
    active = above(h, np.ones_like(h))[..., None]
    share = active * best / best.sum(-1, keepdims=True)
    slopes = {
        "input": (share * (1 - y) - active * y, share * (1 - y) + active * y),
        "target": (-share * x - active * x, (share + active) * abs(x)),
    }
    return Rows((np.maximum(h, 0), scale), slopes)


def _categorical_hinge(input: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    made: torch.Tensor = keras.losses.categorical_hinge(*torch.broadcast_tensors(target, input))
    return made


ENTRIES: Final = {
    "soft_margin_loss": Entry(signs, ("input",), ELEMENTWISE, options=[{"other": (5, 1)}]),
    "multilabel_soft_margin_loss": Entry(
        multilabels,
        ("input", "target", "weight"),
        [s for s in VECTORS if s[-1]],
        middle=(9, 7),
        options=[{"weight": True}, {"other": (1, 7)}, {"other": (7,)}],
        more=[
            Case("multilabel_soft_margin_loss", (2, 3, 5)),
            *each("multilabel_soft_margin_loss", [(3, 65), (3, 129)], {"weight": True}),
        ],
    ),
    "multi_margin_loss": Entry(
        classes,
        ("input",),
        [s for s in CLASSES if len(s) < 3 and 0 not in s],
        [{"p": 2}, {"margin": 0.3}, {"margin": 4.0, "p": 2}, {"margin": -0.5}],
        (9, 10),
        [{"weight": "random"}],
        more=[
            *each("multi_margin_loss", FEW_CLASSES[:4], {"weight": "zeros"}, p=2),
            Case("multi_margin_loss", (2, 2049), {"p": 2}),
        ],
    ),
    "multilabel_margin_loss": Entry(
        label_sets,
        ("input",),
        [(7,), (1, 1), (5, 2), (4, 63), (3, 65), (131, 63), (8193, 1)],
        middle=(9, 7),
    ),
    "hinge_loss": Entry(signs, ("input", "target"), ELEMENTWISE, options=[{"other": (5, 1)}]),
    "squared_hinge_loss": Entry(
        signs, ("input", "target"), ELEMENTWISE, options=[{"other": (5, 1)}]
    ),
    "categorical_hinge_loss": Entry(
        one_hots,
        ("input", "target"),
        [s for s in VECTORS if s[-1] > 1 and s[0]],  # Keras refuses empty batches
        middle=(9, 7),
        options=[{"soft": True}],
        more=[Case("categorical_hinge_loss", (2, 3, 5))],
    ),
}

FORMULAS: Final = (
    soft_margin_loss,
    multilabel_soft_margin_loss,
    multi_margin_loss,
    multilabel_margin_loss,
    hinge_loss,
    squared_hinge_loss,
    categorical_hinge_loss,
)

PEERS: Final = {
    "hinge_loss": of_keras(keras.losses.hinge),
    "squared_hinge_loss": of_keras(keras.losses.squared_hinge),
    "categorical_hinge_loss": Peer(_categorical_hinge, single=True),
}
