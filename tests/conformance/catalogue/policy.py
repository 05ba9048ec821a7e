"""Losses of policies: how they are drawn, their formulas, and who else defines them."""

from typing import Any, Final

import numpy as np
import torch

from ..model import ELEMENTWISE, VECTORS, WIDE, Array, Case, Entry, Rows, Shape, Tensors
from ..peers import Peer


def tokens(
    rng: np.random.Generator, shape: Shape, by_sequence: bool = False, mask: str = ""
) -> Tensors:
    x = -2 * abs(rng.normal(size=shape))
    drawn = {"log_probs": x, "old_log_probs": x + 0.3 * rng.normal(size=shape)}
    drawn["advantages"] = rng.normal(size=shape[:-1] if by_sequence else shape)
    if mask:
        lengths = rng.integers(0, shape[-1] + 1, (*shape[:-1], 1))
        drawn["mask"] = np.arange(shape[-1]) < lengths
        if mask == "weights":
            drawn["mask"] = drawn["mask"] * rng.uniform(0.5, 2, shape)
    return {name: np.asarray(value) for name, value in drawn.items()}


def sequences(
    rng: np.random.Generator,
    shape: Shape,
    by_token: bool = False,
    mask: str = "",
    reference: bool = False,
) -> Tensors:
    drawn = tokens(rng, shape, not by_token, mask)
    drawn.setdefault("mask", np.ones(shape, np.int64))
    if reference:
        drawn["ref_log_probs"] = drawn["log_probs"] + 0.5 * rng.normal(size=shape)
    return drawn


def _spread(advantages: Array, x: Array) -> Array:
    return advantages if advantages.shape == x.shape else advantages[..., None]


def _of_tokens(loss: Array, slope: Array, depth: Array, mask: Any) -> Rows:
    """depth: how far a rounding of the ratio's logarithm goes, in units of eps."""
    m = 1 if mask is None else mask.astype(WIDE)
    losses = m * loss, abs(m * loss) * (1 + depth)
    slopes = {"log_probs": (m * slope, abs(m * slope) * (1 + depth))}
    return Rows(losses, slopes, divisor=None if mask is None else max(m.sum(), 1))


def importance_sampling_loss(
    log_probs: Array, old_log_probs: Array, advantages: Array, mask: Any = None
) -> Rows:
    d = log_probs - old_log_probs
    loss = -_spread(advantages, log_probs) * np.exp(d)
    return _of_tokens(loss, loss, abs(d), mask)


def _clipped(d: Array, a: Array, low: Any, high: Any, delta: Any = np.inf) -> tuple[Array, Array]:
    """PPO's loss and its slope in the logarithm of the ratio."""
    ratio = np.exp(d)
    plain, clip = np.minimum(ratio, delta) * a, np.clip(ratio, low, high) * a
    inside = np.where(plain < clip, ratio <= delta, (ratio >= low) & (ratio <= high))
    inside = np.where(plain == clip, (ratio <= delta) & (ratio >= low) & (ratio <= high), inside)
    return -np.minimum(plain, clip), np.where(inside, -ratio * a, 0)


def ppo_clip_loss(
    log_probs: Array,
    old_log_probs: Array,
    advantages: Array,
    mask: Any = None,
    epsilon_low: float = 0.2,
    epsilon_high: float = 0.2,
) -> Rows:
    d = log_probs - old_log_probs
    low, high = 1 - epsilon_low, 1 + epsilon_high
    loss, slope = _clipped(d, _spread(advantages, log_probs), low, high)
    return _of_tokens(loss, slope, abs(d), mask)


def cispo_loss(
    log_probs: Array,
    old_log_probs: Array,
    advantages: Array,
    mask: Any = None,
    clip_low_threshold: float = 0.0,
    clip_high_threshold: float = 5.0,
) -> Rows:
    d = log_probs - old_log_probs
    weight = np.clip(np.exp(d), clip_low_threshold, clip_high_threshold)
    slope = -weight * _spread(advantages, log_probs)
    return _of_tokens(slope * log_probs, slope, abs(d), mask)


def grpo_loss(
    log_probs: Array,
    old_log_probs: Array,
    advantages: Array,
    mask: Array,
    ref_log_probs: Array | None = None,
    beta: float = 0.0,
    epsilon_low: float = 0.2,
    epsilon_high: float = 0.2,
    delta: float = 0.0,
    loss_type: str = "dapo",
    importance_sampling_level: str = "token",
    max_completion_length: int = 0,
) -> Rows:
    m = mask.astype(WIDE)
    d, a = log_probs - old_log_probs, _spread(advantages, log_probs)
    count = np.maximum(m.sum(-1, keepdims=True), 1)
    depth, jacobian = abs(d), m
    if importance_sampling_level == "sequence":
        depth = (m * abs(d)).sum(-1, keepdims=True) / count
        d, jacobian = (m * d).sum(-1, keepdims=True) / count, m / count
    loss, slope = _clipped(d, a, 1 - epsilon_low, 1 + epsilon_high, delta or np.inf)
    slope, steep = m * slope, abs(m * slope) * (1 + depth)
    if importance_sampling_level == "sequence":  # each token has its part in the one ratio
        slope = slope.sum(-1, keepdims=True) * jacobian
        steep = steep.sum(-1, keepdims=True) * jacobian
    scale = abs(loss) * (1 + depth)
    cancelled, torchs = 0 * d, 0 * d
    if ref_log_probs is not None:
        e = ref_log_probs - log_probs
        kl = np.expm1(e) - e
        # the definition cancels, but for small differences lossd has the series
        terms = np.where(abs(e) > 0.5, np.exp(e) + abs(e) + 1, kl + abs(e * np.expm1(e)))
        loss, scale = loss + beta * kl, scale + beta * terms
        slope = slope - m * beta * np.expm1(e)
        steep = steep + m * beta * (abs(e) + kl)
        cancelled, torchs = beta * (np.exp(e) + abs(e) + 1), m * beta * (np.exp(e) + 1)
    divisor = {
        "grpo": count,
        "dr_grpo": WIDE(max_completion_length or max(log_probs.shape[-1], 1)),
    }.get(loss_type, WIDE(1))
    losses = tuple((m * x / divisor).sum(-1) for x in (loss, scale))
    return Rows(
        losses,
        {"log_probs": (slope / divisor, steep / divisor)},
        divisor=max(m.sum(), 1) if loss_type in ("bnpo", "dapo") else None,
        cancelled=(m * cancelled / divisor).sum(-1),
        torch={"log_probs": torchs / divisor},
    )


def _columns(advantages: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    return advantages if advantages.shape == x.shape else advantages[..., None]


def _tokens(*tensors: torch.Tensor, **parameters: Any) -> Any:
    """What a mean of tokens divides by, as TRL and verl take it: the mask's sum."""
    return tensors[3].sum().clamp(min=1.0) if len(tensors) > 3 else tensors[0].numel()


def _importance_sampling(
    x: torch.Tensor, old: torch.Tensor, a: torch.Tensor, mask: Any = 1
) -> torch.Tensor:
    """Tinker's importance_sampling, before its sum (documentation of its losses, 2026)."""
    return -torch.exp(x - old) * _columns(a, x) * mask


def _ppo_clip(
    x: torch.Tensor,
    old: torch.Tensor,
    a: torch.Tensor,
    mask: Any = 1,
    epsilon_low: float = 0.2,
    epsilon_high: float = 0.2,
) -> torch.Tensor:
    """The tokens' losses in GRPOTrainer of TRL 1.16."""
    ratio, a = torch.exp(x - old), _columns(a, x)
    clipped = torch.clamp(ratio, 1 - epsilon_low, 1 + epsilon_high)
    return -torch.min(ratio * a, clipped * a) * mask


def _cispo(
    x: torch.Tensor,
    old: torch.Tensor,
    a: torch.Tensor,
    mask: Any = 1,
    clip_low_threshold: float = 0.0,
    clip_high_threshold: float = 5.0,
) -> torch.Tensor:
    """Tinker's cispo; GRPOTrainer's of TRL 1.16 has no lower clip."""
    weight = torch.clamp(torch.exp(x - old), clip_low_threshold, clip_high_threshold).detach()
    return -weight * _columns(a, x) * x * mask


def _grpo(
    x: torch.Tensor,
    old: torch.Tensor,
    a: torch.Tensor,
    mask: torch.Tensor,
    ref: torch.Tensor | None = None,
    beta: float = 0.0,
    epsilon_low: float = 0.2,
    epsilon_high: float = 0.2,
    delta: float = 0.0,
    loss_type: str = "dapo",
    importance_sampling_level: str = "token",
    max_completion_length: int = 0,
) -> torch.Tensor:
    """GRPOTrainer._compute_loss of TRL 1.16 for each sequence, before its mean over them."""
    log_ratio = x - old
    if importance_sampling_level == "sequence":
        log_ratio = (log_ratio * mask).sum(-1, keepdim=True)
        log_ratio = log_ratio / mask.sum(-1, keepdim=True).clamp(min=1.0)
    ratio, a = torch.exp(log_ratio), _columns(a, x)
    clipped = torch.clamp(ratio, 1 - epsilon_low, 1 + epsilon_high)
    if delta:
        ratio = torch.clamp(ratio, max=delta)
    loss = -torch.min(ratio * a, clipped * a)
    if ref is not None:
        loss = loss + beta * (torch.exp(ref - x) - (ref - x) - 1)
    total = (loss * mask).sum(-1)
    if loss_type == "grpo":
        return total / mask.sum(-1).clamp(min=1.0)
    return total / (max_completion_length or x.shape[-1]) if loss_type == "dr_grpo" else total


def _grpo_divisor(*tensors: torch.Tensor, loss_type: str = "dapo", **parameters: Any) -> Any:
    if loss_type in ("bnpo", "dapo"):
        return tensors[3].sum().clamp(min=1.0)
    return tensors[0][..., 0].numel()


TOKEN_OPTIONS: Final = [
    {"by_sequence": True},
    {"mask": "padded"},
    {"mask": "weights", "by_sequence": True},
]
MASKED: Final = [(n,) for n in (1, 513, 8193)]
TYPES: Final = ("grpo", "bnpo", "dr_grpo", "dapo")

ENTRIES: Final = {
    "importance_sampling_loss": Entry(
        tokens, ("log_probs",), ELEMENTWISE, options=[*TOKEN_OPTIONS]
    ),
    "ppo_clip_loss": Entry(
        tokens,
        ("log_probs",),
        ELEMENTWISE,
        [
            {"epsilon_low": 0.0, "epsilon_high": 0.0},
            {"epsilon_high": 0.28},
            {"epsilon_low": 2.0},
        ],
        options=[*TOKEN_OPTIONS],
        more=[Case("ppo_clip_loss", s, {"epsilon_low": 0.1}, {"mask": "padded"}) for s in MASKED],
    ),
    "cispo_loss": Entry(
        tokens,
        ("log_probs",),
        ELEMENTWISE,
        [
            {"clip_low_threshold": 0.9, "clip_high_threshold": 1.1},
            {"clip_high_threshold": 1.0},
        ],
        options=[*TOKEN_OPTIONS],
        more=[
            Case("cispo_loss", s, {"clip_high_threshold": 1.2}, {"mask": "weights"}) for s in MASKED
        ],
    ),
    "grpo_loss": Entry(
        sequences,
        ("log_probs",),
        [shape for shape in VECTORS if 0 not in shape],
        [
            {"loss_type": kind, "importance_sampling_level": level}
            for kind in TYPES
            for level in ("token", "sequence")
        ],
        options=[{"mask": "padded"}, {"mask": "weights", "by_token": True}],
        more=[
            Case(
                "grpo_loss",
                shape,
                {"loss_type": kind, "beta": beta, "importance_sampling_level": level, **more},
                {"mask": mask, "reference": beta > 0, "by_token": by_token},
            )
            for shape, mask in (((9, 65), "padded"), ((65, 9), "weights"))
            for kind, more in (
                ("grpo", {"delta": 1.5}),
                ("bnpo", {"delta": 1.05}),
                ("dr_grpo", {"max_completion_length": 80}),
                ("dapo", {"epsilon_low": 0.1, "epsilon_high": 0.28}),
            )
            for beta in (0.0, 0.2)
            for level in ("token", "sequence")
            for by_token in (False, True)
        ],
    ),
}

FORMULAS: Final = (importance_sampling_loss, ppo_clip_loss, cispo_loss, grpo_loss)

PEERS: Final = {
    "importance_sampling_loss": Peer(_importance_sampling, divisor=_tokens),
    "ppo_clip_loss": Peer(_ppo_clip, divisor=_tokens),
    "cispo_loss": Peer(_cispo, divisor=_tokens),
    "grpo_loss": Peer(_grpo, divisor=_grpo_divisor),
}
