"""Tensors that losses of several families are tested on."""

import numpy as np

from .model import Shape, Tensors


def regression(
    rng: np.random.Generator, shape: Shape, other: Shape | None = None, weight: bool = False
) -> Tensors:
    x, y = 2 * rng.normal(size=shape), 2 * rng.normal(size=shape if other is None else other)
    drawn = {"input": np.asarray(x), "target": np.asarray(y)}
    if weight:
        drawn["weight"] = np.asarray(rng.uniform(0, 2, shape))
    return drawn


def probabilities(rng: np.random.Generator, shape: Shape, weight: Shape | None = None) -> Tensors:
    drawn = {"input": rng.uniform(0.001, 0.999, shape), "target": rng.uniform(0, 1, shape)}
    hard = rng.uniform(size=shape) < 0.5  # every second target is 0 or 1
    drawn["target"] = np.where(hard, np.round(drawn["target"]), drawn["target"])
    if weight is not None:
        drawn["weight"] = rng.uniform(0, 2, weight)
    return {name: np.asarray(value) for name, value in drawn.items()}


def logits(
    rng: np.random.Generator,
    shape: Shape,
    weight: Shape | None = None,
    pos_weight: Shape | None = None,
) -> Tensors:
    drawn = probabilities(rng, shape, weight)
    drawn["input"] = np.asarray(8 * rng.normal(size=shape))
    if pos_weight is not None:
        drawn["pos_weight"] = np.asarray(rng.uniform(0.2, 3, pos_weight))
    return drawn


def classes(
    rng: np.random.Generator,
    shape: Shape,
    weight: str = "",
    ignored: int | None = None,
    soft: bool = False,
) -> Tensors:
    axis = 1 if len(shape) > 1 else 0
    width, rows = shape[axis], shape[:axis] + shape[axis + 1 :]
    drawn: Tensors = {"input": 4 * rng.normal(size=shape)}
    if soft:
        raw = rng.uniform(size=shape)
        drawn["target"] = raw / np.maximum(raw.sum(axis, keepdims=True), 1e-9)
    else:
        label = rng.integers(0, width, rows)
        if ignored is not None:
            label = np.where(rng.uniform(size=rows) < 0.3, ignored, label)
        drawn["target"] = np.asarray(label)
    if weight:
        drawn["weight"] = rng.uniform(0.2, 3, width)
        if weight == "zeros":
            drawn["weight"][::3] = 0
    return drawn
