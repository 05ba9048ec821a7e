"""Losses of one class in many: how they are drawn, their formulas, and who else defines them."""

from typing import Any, Final

import numpy as np

from ..draws import classes
from ..model import (
    CLASSES,
    FEW_CLASSES,
    WIDE,
    Array,
    Case,
    Entry,
    Options,
    Rows,
    Shape,
    Tensors,
    class_axis,
    each,
    exact,
    one_hot,
)


def log_probabilities(rng: np.random.Generator, shape: Shape, **options: Any) -> Tensors:
    drawn = classes(rng, shape, **options)
    x = drawn["input"]
    axis = 1 if len(shape) > 1 else 0
    drawn["input"] = x - np.log(np.exp(x).sum(axis, keepdims=True))
    return drawn


def nll_loss(
    input: Array, target: Array, weight: Array | None = None, ignore_index: int = -100
) -> Rows:
    axis = class_axis(input)
    x = np.moveaxis(input, axis, -1)
    w = np.ones(x.shape[-1]) if weight is None else weight
    chosen = w * one_hot(target, x.shape[-1], target != ignore_index)
    return Rows(
        exact(-(chosen * x).sum(-1)),
        {"input": exact(-chosen)},
        chosen.sum(),
        lambda slope: np.moveaxis(slope, -1, axis),
    )


def shares(
    x: Array,
    target: Array,
    axis: int,
    weight: Array | None,
    ignore_index: int,
    label_smoothing: float,
) -> tuple[Array, Array, Any]:
    """Each class's weight, its share of the target, and what the mean divides by."""
    width = x.shape[-1]
    w = np.ones(width, WIDE) if weight is None else weight
    soft = target.dtype.kind == "f"
    kept = np.ones(x.shape[:-1], bool) if soft else target != ignore_index
    y = np.moveaxis(target, axis, -1) if soft else one_hot(target, width, kept)
    divisor = None if soft else (w * y).sum()
    return w, (1 - label_smoothing) * y + WIDE(label_smoothing) / width * kept[..., None], divisor


def cross_entropy(
    input: Array,
    target: Array,
    weight: Array | None = None,
    ignore_index: int = -100,
    label_smoothing: float = 0.0,
) -> Rows:
    axis = class_axis(input)
    x = np.moveaxis(input, axis, -1)
    w, y, divisor = shares(x, target, axis, weight, ignore_index, label_smoothing)

    depth = x.max(-1, keepdims=True) - x
    log_sum = np.log(np.exp(-depth).sum(-1, keepdims=True))
    nll = depth + log_sum
    nll_scale = depth + log_sum + 1  # 1: what a rounding of the sum does to its logarithm
    p = np.exp(-nll)
    p_scale = p * (1 + depth)  # depth: what its rounding does to its exponential
    t = w * y
    total = t.sum(-1, keepdims=True)
    keep = 1 - label_smoothing
    return Rows(
        ((t * nll).sum(-1), (t * nll_scale).sum(-1)),
        {
            "input": (total * p - t, total * p_scale + t),
            "target": (keep * w * nll, keep * w * nll_scale),
            "weight": (y * nll, y * nll_scale),
        },
        divisor,
        lambda slope: np.moveaxis(slope, -1, axis),
    )


CLASS_OPTIONS: list[Options] = [
    {"weight": "random"},
    {"weight": "zeros"},
    {"ignored": -100},
    {"weight": "zeros", "ignored": -100},
]

ENTRIES: Final = {
    "nll_loss": Entry(
        log_probabilities,
        ("input",),
        CLASSES,
        [{"ignore_index": 2}],
        (9, 10),
        CLASS_OPTIONS,
        more=[
            Case("nll_loss", (3, 10, 4), {"ignore_index": -1}, {"ignored": -1}),
            Case("nll_loss", (2, 10, 3, 5), {}, {"weight": "zeros"}),
        ],
    ),
    "cross_entropy": Entry(
        classes,
        ("input",),
        CLASSES,
        [{"ignore_index": 2}, {"label_smoothing": 0.1}, {"label_smoothing": 1.0}],
        (9, 10),
        CLASS_OPTIONS,
        more=[
            Case("cross_entropy", (3, 10, 4), {"ignore_index": -1}, {"ignored": -1}),
            *(
                Case("cross_entropy", shape, {"label_smoothing": smoothing}, options)
                for smoothing in (0.1, 1.0)
                for options in CLASS_OPTIONS[1:]
                for shape in ((9, 10), (3, 10, 4))
            ),
            *each("cross_entropy", FEW_CLASSES, {"weight": "random"}, label_smoothing=0.1),
            *each("cross_entropy", FEW_CLASSES, {"soft": True}),
            *(
                Case("cross_entropy", shape, {"label_smoothing": smoothing}, options)
                for smoothing in (0.0, 0.1, 1.0)
                for options in ({"soft": True, "weight": "zeros"},)
                for shape in ((9, 10), (2, 64, 2, 3), (2, 2049))
            ),
            Case("cross_entropy", (9, 10), {"label_smoothing": 0.1}, {"soft": True}),
        ],
        soft_gradients=("input", "target", "weight"),
    ),
}

FORMULAS: Final = (
    nll_loss,
    cross_entropy,
)
