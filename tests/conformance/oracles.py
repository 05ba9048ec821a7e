"""The losses once more, written plainly from their formulas, in the widest type NumPy has.

Nothing here is shared with lossd. Each function answers a loss per row and the derivative of that
loss with respect to each component; `oracle` weighs and reduces them. Beside each number stands
its scale: the sum of the magnitudes of the terms that enter it, so that one rounding of one term
changes the number by at most eps · scale. Tests compare in units of eps · scale: a tolerance
relative to the result alone would be wrong wherever terms cancel.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Number = tuple[Array, Array]  # value and scale

WIDE = np.longdouble
COSINE_EPS = WIDE(np.float32(1e-12))  # torch's, a float there, added to the squared norms


@dataclass(frozen=True)
class Rows:
    """One loss for each row (or element), before reduction.

    losses: value and scale.
    slopes: derivative of each row's loss, value and scale, with the components last.
    divisor: what the mean divides by; the number of rows unless given.
    layout: brings a slope back from components-last to its tensor's layout.
    cancelled: magnitude of what PyTorch's formula for the loss adds and takes away again.
    torch: by tensor, what PyTorch's slope adds and takes away again, or rounds more often.
    over: the tensor whose sum the mean divides by, and whose gradient knows of that.
    factors: what the mean multiplies each row by, before it divides.
    views: shapes in which tensors were broadcast, where they are not their own.
    """

    losses: Number
    slopes: Mapping[str, Number]
    divisor: Any = None
    layout: Callable[[Array], Array] = field(default=lambda slope: slope)
    cancelled: Any = 0
    torch: Mapping[str, Array] = field(default_factory=dict)
    over: str = ""
    factors: Any = 1
    views: Mapping[str, tuple[int, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Answer:
    """What `oracle` expects: values and scales; the last two are scales of PyTorch's."""

    loss: Number
    gradients: Mapping[str, Number]
    torch_scale: Array
    torch_slopes: Mapping[str, Array]


def oracle(
    name: str,
    tensors: Mapping[str, Array],
    parameters: Mapping[str, Any],
    reduction: str,
    upstream: Array | None,
) -> Answer:
    """Loss and gradients of the functional loss `name`."""
    wide = {k: v.astype(WIDE) if v.dtype.kind == "f" else v for k, v in tensors.items()}
    with np.errstate(all="ignore"):
        rows = FORMULAS[name](**wide, **parameters)
        losses, scale, cancelled = np.broadcast_arrays(*rows.losses, rows.cancelled)
        divisor: Any = 1
        factors = np.broadcast_to(rows.factors if reduction == "mean" else WIDE(1), losses.shape)
        losses, scale, cancelled = losses * factors, scale * factors, cancelled * factors
        if reduction == "mean":
            divisor = losses.size if rows.divisor is None else rows.divisor
            divisor = wide[rows.over].sum() if rows.over in wide else divisor
        if reduction == "batchmean":
            divisor = wide["input"].shape[0] if wide["input"].ndim else 1
        divisor = WIDE(divisor)
        if reduction != "none":
            losses, scale, cancelled = losses.sum(), scale.sum(), cancelled.sum()
        given = WIDE(1) if upstream is None else upstream.astype(WIDE)
        factor = np.broadcast_to(given / divisor, rows.losses[0].shape) * factors

        def gradient(n: str, slope: Array, by: Array) -> Array:
            """Slopes times their row's factor, in the shape of tensor `n`."""
            seen = rows.views.get(n, wide[n].shape)
            made = _summed_to(rows.layout, slope * _spread(by, slope), seen)
            return made.reshape(wide[n].shape) if n in rows.views else made

        gradients, torch_slopes = {}, {}
        for n, number in rows.slopes.items():
            if n in tensors:
                slope, slope_scale = np.broadcast_arrays(*number)
                gradients[n] = gradient(n, slope, factor), gradient(n, slope_scale, abs(factor))
                more = np.broadcast_to(rows.torch.get(n, 0), slope.shape)
                torch_slopes[n] = gradients[n][1] + gradient(n, more, abs(factor))
        if rows.over in gradients and reduction == "mean":
            slope, slope_scale = gradients[rows.over]
            mean = losses / divisor * given / divisor
            slope_scale = slope_scale + scale / divisor**2 * abs(given)
            gradients[rows.over] = slope - mean, slope_scale
            torch_slopes[rows.over] = slope_scale
        scale, cancelled = scale / abs(divisor), cancelled / abs(divisor)
        return Answer((losses / divisor, scale), gradients, scale + cancelled, torch_slopes)


def _spread(factor: Array, slope: Array) -> Array:
    """One factor per row, for slopes that have components."""
    return factor.reshape(factor.shape + (1,) * (slope.ndim - factor.ndim))


def _summed_to(layout: Callable[[Array], Array], slope: Array, shape: tuple[int, ...]) -> Array:
    """The gradient of a tensor that was broadcast: summed over what it was repeated along."""
    if len(shape) == 1 < slope.ndim and shape == slope.shape[-1:]:
        return slope.sum(tuple(range(slope.ndim - 1)))  # one value per component
    slope = layout(slope)
    slope = slope.sum(tuple(range(slope.ndim - len(shape))))
    repeated = tuple(axis for axis, n in enumerate(shape) if n == 1 and slope.shape[axis] != 1)
    return slope.sum(repeated, keepdims=True)


def _exact(value: Array) -> Number:
    """A number whose terms do not cancel."""
    return value, abs(value)


def _above(h: Array, then: Any) -> Array:
    """`then` where a hinge is active: max(h, 0) has slope 1 at 0."""
    return np.where(h >= 0, then, 0 * then)


def _weighted(loss: Number, slope: Array, weight: Any, over: str = "weight") -> Rows:
    """A loss of input - target with its slope in input, both times a weight."""
    w = weight
    slopes = {"input": _exact(w * slope), "target": _exact(-w * slope), "weight": loss}
    return Rows((w * loss[0], abs(w) * loss[1]), slopes, over=over)


def l1_loss(input: Array, target: Array, weight: Any = 1) -> Rows:
    d = input - target
    return _weighted(_exact(abs(d)), np.sign(d), weight)


def mse_loss(input: Array, target: Array, weight: Any = 1) -> Rows:
    d = input - target
    return _weighted(_exact(d**2), 2 * d, weight)


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
    return Rows((losses, scale), {"input": _exact(slope), "target": _exact(-slope)})


def binary_cross_entropy(input: Array, target: Array, weight: Any = 1) -> Rows:
    x, y, w = input, target, weight
    log_x, log_rest = np.maximum(np.log(x), -100), np.maximum(np.log1p(-x), -100)
    losses = -w * (y * log_x + (1 - y) * log_rest)
    slope = w * (x - y) / np.maximum(x * (1 - x), 1e-12)
    in_target = w * (np.log1p(-x) - np.log(x)), w * (abs(np.log1p(-x)) + abs(np.log(x)))
    return Rows(_exact(losses), {"input": _exact(slope), "target": in_target})


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
    return Rows(_exact(losses), slopes, cancelled=cancelled)


def kl_div(input: Array, target: Array, log_target: bool = False) -> Rows:
    x = input
    y, log_y = (np.exp(target), target) if log_target else (target, np.log(target))
    losses = y * (log_y - x), y * (abs(log_y) + abs(x))
    in_target = log_y - x + 1, abs(log_y) + abs(x) + 1
    if log_target:
        in_target = y * in_target[0], y * in_target[1]
    return Rows(losses, {"input": _exact(-y + 0 * x), "target": in_target})


def log_cosh_loss(input: Array, target: Array) -> Rows:
    d = input - target
    losses = np.log1p(2 * np.sinh(d / 2) ** 2)
    return Rows(
        _exact(losses),
        {"input": _exact(np.tanh(d)), "target": _exact(-np.tanh(d))},
        cancelled=abs(d) + 1,  # Keras subtracts log 2 from what is nearly that
        torch={"input": 1 + 0 * d, "target": 1 + 0 * d},  # and the slopes of its summands
    )


def mape_loss(input: Array, target: Array, eps: float = 1e-7) -> Rows:
    d = input - target
    m = np.maximum(abs(target), eps)
    losses, slope = 100 * abs(d) / m, 100 * np.sign(d) / m
    through = np.where(abs(target) >= eps, losses * np.sign(target) / m, 0)
    in_target = -slope - through, abs(slope) + abs(through)
    return Rows(_exact(losses), {"input": _exact(slope), "target": in_target})


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
    return Rows(_exact(slope * d), {"input": _exact(-slope), "target": _exact(slope)})


def _hinge(x: Array, y: Array) -> tuple[Array, Array]:
    h = 1 - y * x
    return np.maximum(h, 0), _above(h, 1 + abs(y * x))


def hinge_loss(input: Array, target: Array) -> Rows:
    h, scale = _hinge(input, target)
    active = _above(1 - target * input, np.ones_like(h))
    slopes = {"input": _exact(-target * active), "target": _exact(-input * active)}
    return Rows((h, scale), slopes)


def squared_hinge_loss(input: Array, target: Array) -> Rows:
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
    scale = _above(h, abs(top) + abs(y * x).sum(-1) + 1)
    active = _above(h, np.ones_like(h))[..., None]
    share = active * best / best.sum(-1, keepdims=True)
    slopes = {
        "input": (share * (1 - y) - active * y, share * (1 - y) + active * y),
        "target": (-share * x - active * x, (share + active) * abs(x)),
    }
    return Rows((np.maximum(h, 0), scale), slopes)


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
    slopes = {"input": _exact(d / v), "target": _exact(-d / v), "var": in_var}
    return Rows((losses, scale), slopes, views={"var": view})


def soft_margin_loss(input: Array, target: Array) -> Rows:
    wrong = -target * input
    return Rows(
        _exact(np.logaddexp(0, wrong)),
        {"input": _exact(-target * np.exp(-np.logaddexp(0, -wrong)))},
    )


def multilabel_soft_margin_loss(input: Array, target: Array, weight: Any = 1) -> Rows:
    x, y = np.broadcast_arrays(input, target)
    w = weight + 0 * x
    positive, negative = np.logaddexp(0, -x), np.logaddexp(0, x)
    losses = w * (y * positive + (1 - y) * negative)
    sigmoid, count = np.exp(-positive), x.shape[-1]
    slopes = {
        "input": (w * (sigmoid - y) / count, w * (sigmoid + y) / count),
        "target": _exact(-w * x / count),
    }
    torch = {"target": w * (positive + negative) / count}  # it subtracts one from the other
    return Rows(_exact(losses.sum(-1) / count), slopes, torch=torch)


def multi_margin_loss(
    input: Array, target: Array, weight: Array | None = None, p: int = 1, margin: float = 1.0
) -> Rows:
    width = input.shape[-1]
    own = _one_hot(target, width, np.ones_like(target, bool)).astype(bool)
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
    return Rows(sums, {"input": _exact(slopes)}, torch={"input": abs(slopes) * width / 32})


def ctc_loss(
    log_probs: Array,
    targets: Array,
    input_lengths: Array,
    target_lengths: Array,
    blank: int = 0,
    zero_infinity: bool = False,
) -> Rows:
    """Sums over alignments by their logarithms; targets must fit."""
    alone = log_probs.ndim == 2
    x = log_probs[:, None] if alone else log_probs
    steps, lengths = np.atleast_1d(input_lengths), np.atleast_1d(target_lengths)
    if targets.ndim == 1:
        targets = np.split(targets, np.cumsum(lengths)[:-1])
    losses = np.zeros(x.shape[1], WIDE)
    slopes = np.zeros((x.shape[1], x.shape[0], x.shape[2]), WIDE)
    scales, torch = slopes.copy(), slopes.copy()
    for n, (time, count) in enumerate(zip(steps, lengths, strict=True)):
        states = [blank] + [s for y in targets[n][:count] for s in (y, blank)]
        follows = [
            [
                r
                for r in range(max(s - 2, 0), s + 1)
                if r >= s - 1 or states[r] != states[s] != blank
            ]
            for s in range(len(states))
        ]
        ends = list(range(len(states)))[-2:]
        p = x[:time, n][:, states]
        prefix, suffix = np.full(p.shape, -np.inf, WIDE), np.full(p.shape, -np.inf, WIDE)
        prefix[0, :2], suffix[-1, ends] = p[0, :2], 0
        for t in range(1, time):
            for s, before in enumerate(follows):
                prefix[t, s] = np.logaddexp.reduce(prefix[t - 1, before]) + p[t, s]
        for t in range(time - 2, -1, -1):
            for s, before in enumerate(follows):
                for r in before:
                    path = suffix[t + 1, s] + p[t + 1, s]
                    suffix[t, r] = np.logaddexp(suffix[t, r], path)
        total = np.logaddexp.reduce(prefix[-1, ends])
        losses[n] = -total
        share = np.exp(prefix + suffix - total)
        taken = np.zeros((time, x.shape[2]), WIDE)
        for s, label in enumerate(states):
            taken[:, label] += share[:, s]
        slopes[n, :time] = np.exp(x[:time, n]) - taken
        scales[n, :time] = np.exp(x[:time, n]) + 2 * taken
        torch[n, :time] = taken * abs(total) * time / 32  # its logarithms grow with the steps
    scale = abs(losses) + 1 + steps / WIDE(4)
    made = Rows(
        (losses, scale),
        {"log_probs": (slopes, scales)},
        layout=lambda slope: np.moveaxis(slope, 0, 1),
        cancelled=abs(losses) * steps / 32,
        torch={"log_probs": torch},
        factors=1 / np.maximum(lengths, 1).astype(WIDE),
    )
    if not alone:
        return made
    return Rows(
        (losses[0], scale[0]),
        {"log_probs": (slopes[0], scales[0])},
        cancelled=made.cancelled[0],
        torch={"log_probs": torch[0]},
        factors=made.factors[0],
    )


def hinge_embedding_loss(input: Array, target: Array, margin: float = 1.0) -> Rows:
    x, y = input, target
    h = margin - x
    similar, apart = y != -1, y != 1
    losses = similar * x + apart * np.maximum(h, 0)
    scale = similar * abs(x) + apart * _above(h, abs(margin) + abs(x))
    slope = similar - apart * _above(h, 1.0), similar + 1.0 * apart
    return Rows((losses, scale), {"input": slope})


def margin_ranking_loss(input1: Array, input2: Array, target: Array, margin: float = 0.0) -> Rows:
    d, y = input1 - input2, target
    h = margin - y * d
    losses = np.maximum(h, 0), _above(h, abs(y * d) + abs(margin))
    slope, in_target = _above(h, y + 0 * d), _above(h, d + 0 * y)
    slopes = {"input1": _exact(-slope), "input2": _exact(slope), "target": _exact(-in_target)}
    return Rows(losses, slopes)


def cosine_embedding_loss(input1: Array, input2: Array, target: Array, margin: float = 0.0) -> Rows:
    x1, x2, y = input1, input2, target
    square1, square2 = (x1**2).sum(-1) + COSINE_EPS, (x2**2).sum(-1) + COSINE_EPS
    norms = np.sqrt(square1 * square2)
    cos, cos_scale = (x1 * x2).sum(-1) / norms, abs(x1 * x2).sum(-1) / norms
    h = cos - margin
    losses = np.where(y == 1, 1 - cos, np.where(y == -1, np.maximum(h, 0), 0))
    scale = np.where(
        y == 1, 1 + cos_scale, np.where(y == -1, _above(h, cos_scale + abs(margin)), 0)
    )
    sign = np.where(y == 1, -1, np.where(y == -1, _above(h, 1.0), 0))[..., None]
    norms, cos, cos_scale = norms[..., None], cos[..., None], cos_scale[..., None]

    def slope(own: Array, other: Array, square: Array) -> Number:
        square = square[..., None]
        value = sign * (other / norms - cos * own / square)
        return value, abs(sign) * (abs(other) / norms + cos_scale * abs(own) / square)

    slopes = {"input1": slope(x1, x2, square1), "input2": slope(x2, x1, square2)}
    return Rows((losses, scale), slopes)


def _norm(v: Array, p: float) -> tuple[Array, Array, Array]:
    """The p-norm over the last dimension, its gradient, and the gradient's scale."""
    size = abs(v)
    if p == 0:
        return (size != 0).sum(-1).astype(WIDE), 0 * v, 0 * v
    if np.isinf(p):
        norm = size.max(-1) if p > 0 else size.min(-1)
        reached = size == norm[..., None]
        slope = np.sign(v) * reached / reached.sum(-1, keepdims=True)
        return norm, slope, abs(slope)
    norm = (size**p).sum(-1) ** WIDE(1 / WIDE(p))
    slope = np.where(size > 0, np.sign(v) * (size / norm[..., None]) ** (p - 1), 0)
    return norm, slope, abs(slope) * max(1, abs(p - 1))  # a power multiplies roundings


def triplet_margin_loss(
    anchor: Array,
    positive: Array,
    negative: Array,
    margin: float = 1.0,
    p: float = 2.0,
    eps: float = 1e-6,
    swap: bool = False,
) -> Rows:
    anchor, positive, negative = np.broadcast_arrays(anchor, positive, negative)
    near, near_slope, near_scale = _norm(anchor - positive + eps, p)
    far, far_slope, far_scale = _norm(anchor - negative + eps, p)
    other, other_slope, other_scale = _norm(positive - negative + eps, p)
    share = np.ones_like(far)  # of the slope that goes to |a - n|, not to |p - n|
    if swap:
        share = np.where(far < other, 1, np.where(other < far, 0, 0.5)).astype(WIDE)
        far = np.minimum(far, other)
    h = margin + near - far
    losses = np.maximum(h, 0), _above(h, margin + near + far)
    active = _above(h, np.ones_like(h))[..., None]
    to_far, to_other = active * share[..., None], active * (1 - share[..., None])
    near_slope, near_scale = active * near_slope, active * near_scale
    far_slope, far_scale = to_far * far_slope, to_far * far_scale
    other_slope, other_scale = to_other * other_slope, to_other * other_scale
    return Rows(
        losses,
        {
            "anchor": (near_slope - far_slope, near_scale + far_scale),
            "positive": (-near_slope - other_slope, near_scale + other_scale),
            "negative": (far_slope + other_slope, far_scale + other_scale),
        },
    )


def _distance(x: Array, y: Array, kind: str) -> tuple[Number, Number, Number]:
    """A distance of vectors and its slopes in either."""
    d = x - y
    if kind == "cosine":
        nx, ny = np.sqrt((x**2).sum(-1)), np.sqrt((y**2).sum(-1))
        cos, cos_scale = (x * y).sum(-1) / nx / ny, abs(x * y).sum(-1) / nx / ny
        nx, ny = nx[..., None], ny[..., None]
        c, s = cos[..., None], cos_scale[..., None]
        in_x = -y / nx / ny + c * x / nx**2, abs(y) / nx / ny + s * abs(x) / nx**2
        in_y = -x / nx / ny + c * y / ny**2, abs(x) / nx / ny + s * abs(y) / ny**2
        return (1 - cos, 1 + cos_scale), in_x, in_y
    if kind == "squared_euclidean":
        return _exact((d**2).sum(-1)), _exact(2 * d), _exact(-2 * d)
    if kind == "manhattan":
        return _exact(abs(d).sum(-1)), _exact(np.sign(d)), _exact(-np.sign(d))
    norm, slope, scale = _norm(d + 1e-6, 2)
    return _exact(norm), (slope, scale), (-slope, scale)


def triplet_margin_with_distance_loss(
    anchor: Array,
    positive: Array,
    negative: Array,
    distance_function: str = "pairwise",
    margin: float = 1.0,
    swap: bool = False,
) -> Rows:
    anchor, positive, negative = np.broadcast_arrays(anchor, positive, negative)
    near, near_a, near_p = _distance(anchor, positive, distance_function)
    far, far_a, far_n = _distance(anchor, negative, distance_function)
    other, other_p, other_n = _distance(positive, negative, distance_function)
    share = np.ones_like(far[0])
    if swap:
        share = np.where(far[0] < other[0], 1, np.where(other[0] < far[0], 0, 0.5)).astype(WIDE)
        far = tuple(np.where(share > 0, f, o) for f, o in zip(far, other, strict=True))
    h = margin + near[0] - far[0]
    active = _above(h, np.ones_like(h))[..., None]
    share = active * share[..., None]

    def joined(*parts: tuple[Array, Number]) -> Number:
        value = sum(factor * slope[0] for factor, slope in parts)
        return value, sum(abs(factor) * slope[1] for factor, slope in parts)

    slopes = {
        "anchor": joined((active, near_a), (-share, far_a)),
        "positive": joined((active, near_p), (share - active, other_p)),
        "negative": joined((-share, far_n), (share - active, other_n)),
    }
    return Rows((np.maximum(h, 0), _above(h, margin + near[1] + far[1])), slopes)


def _class_axis(input: Array) -> int:
    return 1 if input.ndim > 1 else 0


def _one_hot(target: Array, width: int, kept: Array) -> Array:
    label = np.where(kept, target, 0)
    return (label[..., None] == np.arange(width)) * kept[..., None]


def nll_loss(
    input: Array, target: Array, weight: Array | None = None, ignore_index: int = -100
) -> Rows:
    axis = _class_axis(input)
    x = np.moveaxis(input, axis, -1)
    w = np.ones(x.shape[-1]) if weight is None else weight
    chosen = w * _one_hot(target, x.shape[-1], target != ignore_index)
    return Rows(
        _exact(-(chosen * x).sum(-1)),
        {"input": _exact(-chosen)},
        chosen.sum(),
        lambda slope: np.moveaxis(slope, -1, axis),
    )


def cross_entropy(
    input: Array,
    target: Array,
    weight: Array | None = None,
    ignore_index: int = -100,
    label_smoothing: float = 0.0,
) -> Rows:
    axis = _class_axis(input)
    x = np.moveaxis(input, axis, -1)
    width = x.shape[-1]
    w = np.ones(width, WIDE) if weight is None else weight
    soft = target.dtype.kind == "f"
    kept = np.ones(x.shape[:-1], bool) if soft else target != ignore_index
    y = np.moveaxis(target, axis, -1) if soft else _one_hot(target, width, kept)
    divisor = None if soft else (w * y).sum()
    y = (1 - label_smoothing) * y + WIDE(label_smoothing) / width * kept[..., None]

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


FORMULAS: dict[str, Callable[..., Rows]] = {
    formula.__name__: formula
    for formula in (
        l1_loss, mse_loss, smooth_l1_loss, huber_loss, cross_entropy, nll_loss,
        binary_cross_entropy, binary_cross_entropy_with_logits, kl_div, hinge_embedding_loss,
        margin_ranking_loss, triplet_margin_loss, cosine_embedding_loss, poisson_nll_loss,
        gaussian_nll_loss, soft_margin_loss, multilabel_soft_margin_loss, multi_margin_loss,
        categorical_hinge_loss, sigmoid_focal_loss,
        log_cosh_loss, mape_loss, msle_loss, quantile_loss, hinge_loss, squared_hinge_loss,
        triplet_margin_with_distance_loss, multilabel_margin_loss, ctc_loss,
    )
}  # fmt: skip
