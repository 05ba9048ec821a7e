"""Losses of one class in many: how they are drawn, their formulas, and who else defines them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch

from ..draws import classes
from ..model import (
    CLASSES,
    FEW_CLASSES,
    WIDE,
    Array,
    Case,
    Entry,
    Number,
    Options,
    Rows,
    Shape,
    Tensors,
    class_axis,
    each,
    exact,
    one_hot,
)
from ..peers import Peer

TINY: Final = np.finfo(np.float32).tiny  # below it exponentials lose digits


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
    # with more dimensions PyTorch adds one class after another: half an eps each, 16 are allowed
    added = x.shape[-1] / 32 if input.ndim > 2 else 0
    return Rows(
        ((t * nll).sum(-1), (t * nll_scale).sum(-1)),
        {
            "input": (total * p - t, total * p_scale + t),
            "target": (keep * w * nll, keep * w * nll_scale),
            "weight": (y * nll, y * nll_scale),
        },
        divisor,
        lambda slope: np.moveaxis(slope, -1, axis),
        cancelled=added * total[..., 0],
        torch={"input": added * total * p},
    )


@dataclass(frozen=True)
class Focus:
    """A function of -log p of the label, and its slope k there; both as value and scale.

    lost, k_lost: by how much they change where 1 - p changes by 1, as torch rounds a difference.
    """

    loss: Number
    k: Number
    lost: Array
    k_lost: Array


def _focused(
    input: Array,
    target: Array,
    weight: Array | None,
    ignore_index: int,
    focus: Callable[[Array, Array, Array], Focus],
) -> Rows:
    """A loss that is a function of nll = -log p, p and q = 1 - p of the label."""
    axis = class_axis(input)
    x = np.moveaxis(input, axis, -1)
    width, kept = x.shape[-1], target != ignore_index
    own = one_hot(target, width, kept).astype(bool)
    w = ((np.ones(width, WIDE) if weight is None else weight) * own).sum(-1)

    depth = x.max(-1, keepdims=True) - x
    e = np.exp(-depth)
    others, total = (e * ~own).sum(-1), e.sum(-1)
    chosen = np.where(kept, (e * own).sum(-1), 1)
    nll, p, q = np.log1p(others / chosen), chosen / total, others / total
    made = focus(nll, p, q)
    (loss, loss_scale), (k, k_scale) = made.loss, made.k
    # the roundings of the others' exponentials, one by one as far as they are below the best
    behind = depth - np.where(own, np.inf, depth).min(-1, keepdims=True)
    noise = 1 + np.where(own, 0, e * behind).sum(-1) / np.where(others > 0, others, 1)
    of_nll = 1 + (depth * own).sum(-1) + np.log(total)  # torch's roundings of nll
    of_q = 1 + p * of_nll

    def components(label: Array, other: Array) -> Array:
        value: Array = w[..., None] * np.where(own, label[..., None], other)
        return value

    share = e / total[..., None]
    slope = components(-k * q, k[..., None] * share)
    scale = components(
        k_scale * q * (1 + noise), k_scale[..., None] * share * (1 + depth + noise[..., None])
    )
    k_torch = k_scale * of_nll + made.k_lost * of_q
    return Rows(
        (w * loss, w * (loss_scale + k_scale * q * noise)),
        {"input": (slope, scale)},
        w.sum(),
        lambda slope: np.moveaxis(slope, -1, axis),
        cancelled=w * (k_scale * of_nll + made.lost * of_q),
        torch={"input": components(k_torch, k_torch[..., None] * share)},
    )


def softmax_focal_loss(
    input: Array,
    target: Array,
    weight: Array | None = None,
    gamma: float = 2.0,
    ignore_index: int = -100,
) -> Rows:
    def focus(nll: Array, p: Array, q: Array) -> Focus:
        # p·nll/q is within [0, 1] and 1 at q = 0; k changes by at most 1 + gamma for each e-fold
        ratio = np.where(q > 0, p * nll / np.where(q > 0, q, 1), 1)
        power = q**gamma
        k = power * (1 + gamma * ratio)
        steep = np.where(q > 0, gamma * np.where(q > 0, q, 1) ** (gamma - 1), 0)
        return Focus(
            exact(power * nll),
            (k, k * (1 + gamma)),
            steep * nll,
            steep * (1 + abs(gamma - 1)),
        )

    return _focused(input, target, weight, ignore_index, focus)


def _two_terms(a: float, b: float) -> Callable[[Array, Array, Array], Focus]:
    """A·nll + b·q."""

    def focus(nll: Array, p: Array, q: Array) -> Focus:
        return Focus(
            (a * nll + b * q, a * nll + abs(b) * q),
            (a + b * p, a + abs(b) * p),
            abs(b) + 0 * q,
            abs(b) + 0 * q,
        )

    return focus


def poly1_cross_entropy_loss(
    input: Array,
    target: Array,
    weight: Array | None = None,
    epsilon: float = 2.0,
    ignore_index: int = -100,
    label_smoothing: float = 0.0,
) -> Rows:
    if not label_smoothing:
        return _focused(input, target, weight, ignore_index, _two_terms(1, epsilon))
    axis = class_axis(input)
    x = np.moveaxis(input, axis, -1)
    w, y, divisor = shares(x, target, axis, weight, ignore_index, label_smoothing)
    depth = x.max(-1, keepdims=True) - x
    log_sum = np.log(np.exp(-depth).sum(-1, keepdims=True))
    nll, off = depth + log_sum, 1 + depth + log_sum
    p, q, t, e = np.exp(-nll), -np.expm1(-nll), w * y, abs(epsilon)
    pulled, pulled_off = (t * p).sum(-1, keepdims=True), (t * p * off).sum(-1, keepdims=True)
    total = t.sum(-1, keepdims=True)
    return Rows(
        ((t * (nll + epsilon * q)).sum(-1), (t * (off + e * q * (1 + p * off))).sum(-1)),
        {
            "input": (
                p * (total + epsilon * pulled) - t * (1 + epsilon * p),
                p * off * (total + e * pulled) + p * e * pulled_off + t * (1 + e * p * off),
            )
        },
        divisor,
        lambda slope: np.moveaxis(slope, -1, axis),
        cancelled=(e * t * (1 + p * off)).sum(-1),  # torch's 1 - p
    )


def symmetric_cross_entropy_loss(
    input: Array,
    target: Array,
    weight: Array | None = None,
    alpha: float = 0.1,
    beta: float = 1.0,
    label_clamp: float = 1e-4,
    ignore_index: int = -100,
) -> Rows:
    reverse = -beta * np.log(WIDE(label_clamp))
    return _focused(input, target, weight, ignore_index, _two_terms(alpha, reverse))


def cosines(rng: np.random.Generator, shape: Shape, beyond: bool = False) -> Tensors:
    drawn = classes(rng, shape)
    x = np.tanh(drawn["input"] / 4)
    if beyond:  # the label's cosine, as rounding may leave it
        axis = class_axis(x)
        label = np.expand_dims(drawn["target"], axis)
        np.put_along_axis(x, label, 1 + rng.choice([1e-6, -1e-6, -0.5], label.shape), axis)
    return drawn | {"input": x}


def _lowered(
    input: Array, target: Array, scale: float, margin: Callable[[Array], tuple[Number, Number]]
) -> Rows:
    """Cross entropy of scaled cosines, the label's replaced by what `margin` makes of it.

    margin: the lowered cosine and its slope, as values and scales.
    """
    axis = class_axis(input)
    x = np.moveaxis(input, axis, -1)
    own = one_hot(target, x.shape[-1], np.ones_like(target, bool)).astype(bool)
    (cos, cos_scale), (bend, bend_scale) = margin((x * own).sum(-1))
    z = scale * np.where(own, cos[..., None], x)
    depth = z.max(-1, keepdims=True) - z
    e = np.exp(-depth)
    others, label, total = (e * ~own).sum(-1), (e * own).sum(-1), e.sum(-1)
    nll, q = np.log1p(others / label), others / total
    # the others are compared among themselves, then their best with the label
    best = np.where(own, -np.inf, x).max(-1, keepdims=True)
    behind = np.where(own, 0, scale * (best - x))
    noise = 1 + (e * behind).sum(-1) / np.where(others > 0, others, 1)
    # torch rounds the cosines before it compares them
    rough = scale * (cos_scale + abs(x).max(-1))

    def components(at_label: Array, other: Array) -> Array:
        value: Array = scale * np.where(own, at_label[..., None], other)
        return value

    share = e / total[..., None]
    slope = components(-bend * q, share)
    slope_scale = components(
        (bend_scale + abs(bend) * noise) * q, share * (1 + behind + noise[..., None]) + TINY
    )
    torch_scale = components(
        bend_scale * (1 + rough), share * (1 + rough[..., None] + depth) + scale * TINY
    )
    return Rows(
        (nll, nll + q * noise),
        {"input": (slope, slope_scale)},
        layout=lambda slope: np.moveaxis(slope, -1, axis),
        cancelled=1 + rough + nll,
        torch={"input": torch_scale},
    )


def arcface_loss(input: Array, target: Array, margin: float = 28.6, scale: float = 64.0) -> Rows:
    half_turn = np.arccos(WIDE(-1))  # np.pi is a float64, which a large scale makes visible
    m = WIDE(margin) * half_turn / 180

    def widened(x: Array) -> tuple[Number, Number]:
        cos = np.clip(x, -1, 1)
        angle, inside = np.arccos(cos), cos == x
        near = angle <= half_turn - m
        lowered = np.where(near, np.cos(angle + m), cos - m * np.sin(m))
        steep = np.sin(m) / np.where(abs(cos) < 1, np.sin(angle), np.inf)
        slope = inside * np.where(near, np.cos(m) + cos * steep, 1)
        return (lowered, 1 + abs(cos)), (slope, inside * (1 + steep))

    return _lowered(input, target, scale, widened)


def cosface_loss(input: Array, target: Array, margin: float = 0.35, scale: float = 64.0) -> Rows:
    return _lowered(
        input, target, scale, lambda x: ((x - margin, abs(x) + margin), exact(np.ones_like(x)))
    )


def _chosen(
    input: torch.Tensor, target: torch.Tensor, weight: torch.Tensor | None, ignore_index: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """The label's log-probability and its weight; 0 where it is ignored."""
    axis = class_axis(input)
    kept = target != ignore_index
    label = torch.where(kept, target, 0)
    log_p = input.log_softmax(axis).gather(axis, label.unsqueeze(axis)).squeeze(axis)
    w = torch.ones_like(log_p) if weight is None else weight[label]
    return log_p, w * kept


def _weights(
    input: torch.Tensor,
    target: torch.Tensor,
    weight: torch.Tensor | None = None,
    *,
    ignore_index: int = -100,
    **_: float,
) -> torch.Tensor:
    """What the mean of cross entropy divides by."""
    return _chosen(input.detach(), target, weight, ignore_index)[1].sum()


def _softmax_focal(
    input: torch.Tensor,
    target: torch.Tensor,
    weight: torch.Tensor | None = None,
    gamma: float = 2.0,
    ignore_index: int = -100,
) -> torch.Tensor:
    """As monai.losses 1.6 defines it with use_softmax, at the one class that is not 0."""
    log_p, w = _chosen(input, target, weight, ignore_index)
    return -w * (1 - log_p.exp()) ** gamma * log_p


def _poly1_cross_entropy(
    input: torch.Tensor,
    target: torch.Tensor,
    weight: torch.Tensor | None = None,
    epsilon: float = 2.0,
    ignore_index: int = -100,
    label_smoothing: float = 0.0,
) -> torch.Tensor:
    """As optax.losses 0.2.8 defines poly_loss_cross_entropy, for one-hot labels or smoothed ones.

    Each class's part has its own weight, as in torch's smoothed cross entropy.
    """
    if not label_smoothing:
        log_p, w = _chosen(input, target, weight, ignore_index)
        return w * (-log_p + epsilon * (1 - log_p.exp()))
    axis = class_axis(input)
    kept = target != ignore_index
    log_p = input.log_softmax(axis).movedim(axis, -1)
    y = torch.nn.functional.one_hot(torch.where(kept, target, 0), input.shape[axis])
    y = (1 - label_smoothing) * y.to(input.dtype) + label_smoothing / input.shape[axis]
    w = torch.ones_like(log_p) if weight is None else weight
    return (w * y * (-log_p + epsilon * (1 - log_p.exp()))).sum(-1) * kept


def _symmetric_cross_entropy(
    input: torch.Tensor,
    target: torch.Tensor,
    weight: torch.Tensor | None = None,
    alpha: float = 0.1,
    beta: float = 1.0,
    label_clamp: float = 1e-4,
    ignore_index: int = -100,
) -> torch.Tensor:
    """As the paper defines it; its authors' code has log(label_clamp) for A."""
    log_p, w = _chosen(input, target, weight, ignore_index)
    return w * (-alpha * log_p - beta * float(np.log(label_clamp)) * (1 - log_p.exp()))


def _with_margin(
    input: torch.Tensor,
    target: torch.Tensor,
    scale: float,
    margin: Callable[[torch.Tensor], torch.Tensor],
) -> torch.Tensor:
    axis = class_axis(input)
    label = target.unsqueeze(axis)
    logits = input.scatter(axis, label, margin(input.gather(axis, label)))
    log_p = (scale * logits).log_softmax(axis)
    return -log_p.gather(axis, label).squeeze(axis)


def _arcface(
    input: torch.Tensor, target: torch.Tensor, margin: float = 28.6, scale: float = 64.0
) -> torch.Tensor:
    """As pytorch_metric_learning.losses 2.9 defines it, of the cosines."""
    m = float(np.radians(margin))

    def widened(cos: torch.Tensor) -> torch.Tensor:
        angle = cos.clamp(-1, 1).acos()
        return torch.where(angle <= np.pi - m, (angle + m).cos(), angle.cos() - m * np.sin(m))

    return _with_margin(input, target, scale, widened)


def _cosface(
    input: torch.Tensor, target: torch.Tensor, margin: float = 0.35, scale: float = 64.0
) -> torch.Tensor:
    """As pytorch_metric_learning.losses 2.9 defines it, of the cosines."""
    return _with_margin(input, target, scale, lambda cos: cos - margin)


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
    "softmax_focal_loss": Entry(
        classes,
        ("input",),
        CLASSES,
        [{"gamma": gamma} for gamma in (0.0, 0.5, 1.0, 3.5)] + [{"ignore_index": 2}],
        (9, 10),
        CLASS_OPTIONS,
        more=[Case("softmax_focal_loss", (3, 10, 4), {"gamma": 0.0}, {"weight": "zeros"})],
    ),
    "poly1_cross_entropy_loss": Entry(
        classes,
        ("input",),
        FEW_CLASSES,
        [
            *({"epsilon": epsilon} for epsilon in (-1.0, 0.0, 0.3)),
            {"ignore_index": 2},
            {"label_smoothing": 0.1},
            {"label_smoothing": 1.0, "epsilon": -1.0},
        ],
        (9, 10),
        CLASS_OPTIONS,
        more=[
            Case("poly1_cross_entropy_loss", (3, 10, 4), {"epsilon": 6.0}, {"ignored": -100}),
            Case("poly1_cross_entropy_loss", (7, 1), {"label_smoothing": 0.1}),
            *(
                Case("poly1_cross_entropy_loss", shape, {"label_smoothing": 0.1}, options)
                for shape in [(7, 5), (3, 1000), (3, 10, 4), (67, 101)]
                for options in [{}, {"weight": "zeros", "ignored": -100}]
            ),
        ],
    ),
    "symmetric_cross_entropy_loss": Entry(
        classes,
        ("input",),
        FEW_CLASSES,
        [
            {"alpha": 6.0, "beta": 0.1},
            {"alpha": 0.0},
            {"beta": 0.0},
            {"label_clamp": 1e-7},
            {"label_clamp": 1.0},
            {"ignore_index": 2},
        ],
        (9, 10),
        CLASS_OPTIONS,
        more=[Case("symmetric_cross_entropy_loss", (3, 10, 4), {}, {"weight": "zeros"})],
    ),
    "arcface_loss": Entry(
        cosines,
        ("input",),
        FEW_CLASSES,
        [
            {"margin": 0.0},
            {"margin": 90.0, "scale": 8.0},
            {"margin": 180.0, "scale": 1.0},
            {"scale": 1.0},
            {"scale": 300.0},
        ],
        (9, 10),
    ),
    "cosface_loss": Entry(
        cosines,
        ("input",),
        FEW_CLASSES,
        [{"margin": 0.0}, {"margin": 0.9, "scale": 8.0}, {"scale": 1.0}, {"scale": 300.0}],
        (9, 10),
        [{"beyond": True}],
    ),
}

FORMULAS: Final = (
    nll_loss,
    cross_entropy,
    softmax_focal_loss,
    poly1_cross_entropy_loss,
    symmetric_cross_entropy_loss,
    arcface_loss,
    cosface_loss,
)

PEERS: Final = {
    "softmax_focal_loss": Peer(_softmax_focal, divisor=_weights),
    "poly1_cross_entropy_loss": Peer(_poly1_cross_entropy, divisor=_weights),
    "symmetric_cross_entropy_loss": Peer(_symmetric_cross_entropy, divisor=_weights),
    "arcface_loss": Peer(_arcface),
    "cosface_loss": Peer(_cosface),
}
