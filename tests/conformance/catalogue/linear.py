"""Losses of a linear layer's classes: how they are drawn, their formulas, and PyTorch's module."""

import math
from typing import Any, Final

import numpy as np
import torch

from ..model import WIDE, Array, Case, Entry, Number, Rows, Shape, Tensors
from ..peers import Peer
from .classification import cross_entropy, shares


def layers(
    rng: np.random.Generator,
    shape: Shape,
    classes: int = 7,
    bias: bool = False,
    weight: str = "",
    ignored: int | None = None,
    soft: bool = False,
) -> Tensors:
    """Features (N, D) or (D), a layer, and targets."""
    drawn: Tensors = {
        "input": 2 * rng.normal(size=shape),
        "linear_weight": rng.normal(size=(classes, shape[-1])),
    }
    label = np.asarray(rng.integers(0, classes, shape[:-1]))
    if ignored is not None:
        label = np.where(rng.uniform(size=label.shape) < 0.3, ignored, label)
    drawn["target"] = rng.dirichlet(np.ones(classes), shape[:-1]) if soft else label
    if bias:
        drawn["linear_bias"] = rng.normal(size=classes)
    if weight:
        drawn["weight"] = rng.uniform(0.2, 3, classes)
        if weight == "zeros":
            drawn["weight"][::3] = 0
    return drawn


def clusters(
    rng: np.random.Generator,
    shape: Shape,
    cutoffs: tuple[int, ...] = (3, 5, 12),
    bias: bool = False,
    div_value: float = 4.0,
) -> Tensors:
    """Features (N, D) or (D), a head, and the clusters' layers."""
    depth, scores = shape[-1], cutoffs[0] + len(cutoffs) - 1
    inner = [int(depth // div_value ** (k + 1)) for k in range(len(cutoffs) - 1)]
    size = sum(
        h * (depth + b - a) for h, a, b in zip(inner, cutoffs[:-1], cutoffs[1:], strict=True)
    )
    drawn = {
        "input": 2 * rng.normal(size=shape),
        "target": np.asarray(rng.integers(0, cutoffs[-1], shape[:-1])),
        "head_weight": rng.normal(size=(scores, depth)),
        "tail_weight": rng.normal(size=size),
        "cutoffs": np.array(cutoffs),
    }
    return drawn | ({"head_bias": rng.normal(size=scores)} if bias else {})


def linear_cross_entropy(
    input: Array,
    linear_weight: Array,
    target: Array,
    linear_bias: Array | None = None,
    weight: Array | None = None,
    ignore_index: int = -100,
    label_smoothing: float = 0.0,
) -> Rows:
    w_layer = linear_weight
    bias = np.zeros(len(w_layer), WIDE) if linear_bias is None else linear_bias
    z = input @ w_layer.T + bias
    size = abs(input) @ abs(w_layer).T + abs(bias)
    made = cross_entropy(z, target, weight, ignore_index, label_smoothing)
    w, y, divisor = shares(z, target, z.ndim - 1, weight, ignore_index, label_smoothing)
    p = np.exp(z - z.max(-1, keepdims=True))
    p /= p.sum(-1, keepdims=True)
    drift = size + (p * size).sum(-1, keepdims=True)  # what roundings of the logits do to log p
    t = w * y
    (g, g_scale), (loss, loss_scale) = made.slopes["input"], made.losses
    g_scale = g_scale + t.sum(-1, keepdims=True) * p * drift
    keep = 1 - label_smoothing
    return Rows(
        (loss, loss_scale + (t * drift).sum(-1)),
        {
            "input": (g @ w_layer, g_scale @ abs(w_layer)),
            "linear_weight": (
                g[..., None] * input[..., None, :],
                g_scale[..., None] * abs(input)[..., None, :],
            ),
            "linear_bias": (g, g_scale),
            "target": (made.slopes["target"][0], made.slopes["target"][1] + keep * w * drift),
            "weight": (made.slopes["weight"][0], made.slopes["weight"][1] + y * drift),
        },
        divisor,
    )


def adaptive_log_softmax_with_loss(
    input: Array,
    target: Array,
    head_weight: Array,
    tail_weight: Array,
    cutoffs: Array,
    head_bias: Array | None = None,
    div_value: float = 4.0,
) -> Rows:
    alone = input.ndim == 1
    x = np.atleast_2d(input)
    bias = np.zeros(len(head_weight), WIDE) if head_bias is None else head_bias
    losses, loss_scale = np.zeros(len(x), WIDE), np.zeros(len(x), WIDE)
    slopes = {
        "input": x,
        "head_weight": np.zeros((len(x), *head_weight.shape)),
        "tail_weight": np.zeros((len(x), tail_weight.size)),
        "head_bias": np.zeros((len(x), bias.size)),
    }
    values = {name: np.zeros(like.shape, WIDE) for name, like in slopes.items()}
    scales = {name: np.zeros(like.shape, WIDE) for name, like in slopes.items()}

    def softmax(z: Array, size: Array, label: int) -> tuple[Number, Number]:
        made = cross_entropy(z, np.asarray(label))
        p = np.exp(z - z.max())
        p /= p.sum()
        drift = size + (p * size).sum()
        (loss, scale), (g, g_scale) = made.losses, made.slopes["input"]
        return (loss, scale + drift[label]), (g, g_scale + p * drift)

    def add(name: str, n: int, at: Any, value: Array, scale: Array) -> None:
        values[name][n][at] += value
        scales[name][n][at] += scale

    for n, label in enumerate(np.atleast_1d(target)):
        row, k = x[n], int(np.searchsorted(cutoffs, label, "right"))
        score = int(label) if k == 0 else int(cutoffs[0]) + k - 1
        size = abs(head_weight) @ abs(row) + abs(bias)
        (loss, scale), (g, g_scale) = softmax(head_weight @ row + bias, size, score)
        whole = slice(None)
        add("input", n, whole, g @ head_weight, g_scale @ abs(head_weight))
        add("head_weight", n, whole, np.outer(g, row), np.outer(g_scale, abs(row)))
        add("head_bias", n, whole, g, g_scale)
        at = 0
        for c in range(1, len(cutoffs)):
            inner = int(x.shape[1] // div_value**c)
            first = slice(at, at + inner * x.shape[1])
            count = int(cutoffs[c] - cutoffs[c - 1])
            second = slice(first.stop, first.stop + count * inner)
            at = second.stop
            if c != k:
                continue
            narrow, wide = (
                tail_weight[first].reshape(inner, x.shape[1]),
                tail_weight[second].reshape(count, inner),
            )
            h, h_size = narrow @ row, abs(narrow) @ abs(row)
            own = int(label - cutoffs[c - 1])
            (more, more_scale), (g, g_scale) = softmax(wide @ h, 2 * abs(wide) @ h_size, own)
            loss, scale = loss + more, scale + more_scale
            back, back_scale = g @ wide, 2 * g_scale @ abs(wide)
            add("tail_weight", n, second, np.outer(g, h).ravel(), np.outer(g_scale, h_size).ravel())
            add(
                "tail_weight",
                n,
                first,
                np.outer(back, row).ravel(),
                np.outer(back_scale, abs(row)).ravel(),
            )
            add("input", n, whole, back @ narrow, back_scale @ abs(narrow))
        losses[n], loss_scale[n] = loss, scale
    if alone:
        return Rows(
            (losses[0], loss_scale[0]), {k: (v[0], scales[k][0]) for k, v in values.items()}
        )
    return Rows((losses, loss_scale), {k: (v, scales[k]) for k, v in values.items()})


def _adaptive(
    input: torch.Tensor,
    target: torch.Tensor,
    head_weight: torch.Tensor,
    tail_weight: torch.Tensor,
    cutoffs: torch.Tensor,
    head_bias: torch.Tensor | None = None,
    div_value: float = 4.0,
) -> torch.Tensor:
    """torch.nn.AdaptiveLogSoftmaxWithLoss, its parameters put in from outside."""
    *given, classes = cutoffs.tolist()
    module = torch.nn.AdaptiveLogSoftmaxWithLoss(
        input.shape[-1], classes, given, div_value, head_bias is not None
    ).to(input.dtype)
    parameters = {"head.weight": head_weight}
    if head_bias is not None:
        parameters["head.bias"] = head_bias
    at = 0
    for name, parameter in module.named_parameters():
        if name.startswith("tail"):
            size = math.prod(parameter.shape)
            parameters[name] = tail_weight[at : at + size].reshape(parameter.shape)
            at += size
    made: torch.Tensor = -torch.func.functional_call(module, parameters, (input, target)).output
    return made


ENTRIES: Final = {
    "linear_cross_entropy": Entry(
        layers,
        ("input", "linear_weight", "linear_bias"),
        [(5,), (1, 1), (7, 3), (65, 64), (131, 5), (3, 300)],
        [{"ignore_index": 2}, {"label_smoothing": 0.1}, {"label_smoothing": 1.0}],
        (9, 5),
        options=[
            {"bias": True},
            {"weight": "zeros", "bias": True},
            {"ignored": -100},
            {"classes": 300, "bias": True},
            {"soft": True, "bias": True, "weight": "random"},
        ],
        more=[
            Case("linear_cross_entropy", (9, 5), {"label_smoothing": 0.3}, {"soft": True}),
            Case("linear_cross_entropy", (5,), {}, {"soft": True}),
        ],
        soft_gradients=("input", "linear_weight", "linear_bias", "target", "weight"),
    ),
    "adaptive_log_softmax_with_loss": Entry(
        clusters,
        ("input", "head_weight", "tail_weight", "head_bias"),
        [(16,), (1, 16), (40, 64), (7, 33)],
        [],
        (9, 16),
        options=[{"bias": True}, {"cutoffs": (4, 9)}, {"cutoffs": (1, 2, 3, 70)}],
        more=[
            Case(
                "adaptive_log_softmax_with_loss",
                (9, 16),
                {"div_value": 2.0},
                {"div_value": 2.0, "bias": True},
            )
        ],
    ),
}

FORMULAS: Final = (
    linear_cross_entropy,
    adaptive_log_softmax_with_loss,
)

PEERS: Final = {
    "adaptive_log_softmax_with_loss": Peer(_adaptive),
}
