"""Losses of a batch of embeddings: how they are drawn, their formulas, and who defines them."""

from collections.abc import Callable
from typing import Any, Final

import numpy as np
import torch

from ..model import WIDE, Array, Case, Entry, Number, Rows, Shape, Tensors
from ..peers import Peer

Scored = Callable[[Array, Array], tuple[Number, Number]]


def labelled(rng: np.random.Generator, shape: Shape, classes: int = 3) -> Tensors:
    """Embeddings (N, D), the last of them alone in its class."""
    labels = rng.integers(0, classes, shape[0])
    labels[-1:] = classes
    return {"embeddings": rng.normal(size=shape), "labels": labels}


def views(rng: np.random.Generator, shape: Shape) -> Tensors:
    x = rng.normal(size=shape)
    return {"embeddings1": x, "embeddings2": x + 0.5 * rng.normal(size=shape)}


def queries(rng: np.random.Generator, shape: Shape) -> Tensors:
    x = rng.normal(size=shape)
    return {"query": x, "key": x + 0.5 * rng.normal(size=shape)}


def _unit(x: Array) -> tuple[Array, Array]:
    norms = np.sqrt((x**2).sum(1, keepdims=True))
    return x / norms, norms


def _through(unit: Array, norms: Array, g: Number) -> Number:
    """Slopes in unit rows as slopes in the rows that were given; (rows, N, D)."""
    value, scale = g
    along, along_scale = (value * unit).sum(-1), (scale * abs(unit)).sum(-1)
    return (
        (value - along[..., None] * unit) / norms,
        (scale + along_scale[..., None] * abs(unit)) / norms,
    )


def _between(u: Array, v: Array, losses: Number, g: Number) -> tuple[Number, Number]:
    """Slopes of row i in u_i and in every v_j, of slopes (N, M) in the cosines."""
    value, scale = g
    rows = np.arange(len(u))
    in_u, in_u_scale = np.zeros((len(u), *u.shape), WIDE), np.zeros((len(u), *u.shape), WIDE)
    in_u[rows, rows], in_u_scale[rows, rows] = value @ v, scale @ abs(v)
    in_v = value[..., None] * u[:, None], scale[..., None] * abs(u)[:, None]
    return (in_u, in_u_scale), in_v


def _softmax(s: Array, size: Array, shares: Array, temperature: float) -> tuple[Number, Number]:
    """Cross entropy of s / τ with shares, -inf where left out, and its slopes in s."""
    z = s / WIDE(temperature)
    top = z.max(1, keepdims=True)
    log_sum = np.log(np.exp(z - top).sum(1, keepdims=True))
    nll = np.where(np.isinf(z), 0, top + log_sum - z)
    p = np.exp(-(top + log_sum - z))
    drift = size / WIDE(temperature) * 4  # unit rows, their product and its quotient are rounded
    drift = drift + (p * drift).sum(1, keepdims=True)
    total = shares.sum(1, keepdims=True)
    losses = (shares * nll).sum(1), (shares * (abs(nll) + 1 + drift)).sum(1)
    scale = total * p * (1 + nll + drift) + shares
    return losses, ((total * p - shares) / temperature, scale / temperature)


def _positives(labels: Array) -> Array:
    same = labels[:, None] == labels
    np.fill_diagonal(same, False)
    return same


def supcon_loss(embeddings: Array, labels: Array, temperature: float = 0.1) -> Rows:
    u, norms = _unit(embeddings)
    same = _positives(labels)
    shares = same / np.maximum(same.sum(1, keepdims=True), 1).astype(WIDE)
    cosines = np.where(np.eye(len(u), dtype=bool), -np.inf, u @ u.T)
    losses, g = _softmax(cosines, abs(u) @ abs(u).T, shares, temperature)
    one, other = _between(u, u, losses, g)
    whole = one[0] + other[0], one[1] + other[1]
    return Rows(losses, {"embeddings": _through(u, norms, whole)}, divisor=same.any(1).sum())


def nt_xent_loss(embeddings1: Array, embeddings2: Array, temperature: float = 0.1) -> Rows:
    count = len(embeddings1)
    made = supcon_loss(
        np.concatenate([embeddings1, embeddings2]), np.tile(np.arange(count), 2), temperature
    )
    value, scale = made.slopes["embeddings"]
    return Rows(
        made.losses,
        {
            "embeddings1": (value[:, :count], scale[:, :count]),
            "embeddings2": (value[:, count:], scale[:, count:]),
        },
    )


def info_nce_loss(
    query: Array, key: Array, temperature: float = 0.1, symmetric: bool = False
) -> Rows:
    (u, u_norms), (v, v_norms) = _unit(query), _unit(key)
    shares = np.eye(len(u), dtype=WIDE)
    losses, g = _softmax(u @ v.T, abs(u) @ abs(v).T, shares, temperature)
    in_u, in_v = _between(u, v, losses, g)
    if symmetric:
        back, g = _softmax(v @ u.T, abs(v) @ abs(u).T, shares, temperature)
        of_v, of_u = _between(v, u, back, g)
        losses = (losses[0] + back[0]) / 2, (losses[1] + back[1]) / 2
        in_u = (in_u[0] + of_u[0]) / 2, (in_u[1] + of_u[1]) / 2
        in_v = (in_v[0] + of_v[0]) / 2, (in_v[1] + of_v[1]) / 2
    return Rows(losses, {"query": _through(u, u_norms, in_u), "key": _through(v, v_norms, in_v)})


def circle_loss(embeddings: Array, labels: Array, m: float = 0.4, gamma: float = 80.0) -> Rows:
    u, norms = _unit(embeddings)
    s, size = u @ u.T, 4 * abs(u) @ abs(u).T
    same = _positives(labels)
    others = labels[:, None] != labels
    counted = same.any(1) & others.any(1)
    alpha_p, alpha_n = np.maximum(1 + m - s, 0), np.maximum(s + m, 0)

    def part(logits: Array, chosen: Array) -> tuple[Array, Array]:
        logits = np.where(chosen, logits, -np.inf)
        top = np.where(chosen.any(1), logits.max(1), 0)[:, None]
        e = np.exp(logits - top)
        total = np.maximum(e.sum(1, keepdims=True), WIDE(1e-300))
        return (top + np.log(total))[:, 0], e / total

    pull, p = part(-gamma * alpha_p * (s - (1 - m)), same)
    push, n = part(gamma * alpha_n * (s - m), others)
    # what a rounding of a cosine, and of the factors made of it, does to a logit
    drift_p = gamma * (alpha_p + abs(s - 1 + m)) * (size + 2)
    drift_n = gamma * (alpha_n + abs(s - m)) * (size + 2)
    z = np.where(counted, pull + push, 0)
    drift = (p * drift_p).sum(1) + (n * drift_n).sum(1)
    sigmoid = np.exp(-np.logaddexp(0, -z))
    losses = np.where(counted, np.logaddexp(0, z), 0)
    loss_scale = np.where(counted, losses + sigmoid * drift, 0)
    on = (counted * sigmoid)[:, None]
    steep = ((1 - sigmoid) * drift)[:, None]  # what the drift of z does to its sigmoid
    noise_p = 1 + drift_p + (p * drift_p).sum(1, keepdims=True) + steep
    noise_n = 1 + drift_n + (n * drift_n).sum(1, keepdims=True) + steep
    g = on * gamma * (n * alpha_n - p * alpha_p)
    g_scale = on * gamma * (n * (alpha_n * noise_n + size) + p * (alpha_p * noise_p + size))
    one, other = _between(u, u, (losses, loss_scale), (g, g_scale))
    whole = one[0] + other[0], one[1] + other[1]
    return Rows((losses, loss_scale), {"embeddings": _through(u, norms, whole)}, counted.sum())


def _cosines(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    u = torch.nn.functional.normalize(x)
    return u @ u.T, torch.eye(len(x), dtype=torch.bool)


def _supcon(
    embeddings: torch.Tensor, labels: torch.Tensor, temperature: float = 0.1
) -> torch.Tensor:
    """As pytorch-metric-learning 2.9's SupConLoss has it, before its reducer."""
    s, own = _cosines(embeddings)
    z = (s / temperature).masked_fill(own, -torch.inf)
    log_p = z - z.logsumexp(1, keepdim=True)
    same = (labels[:, None] == labels) & ~own
    return -log_p.masked_fill(~same, 0).sum(1) / same.sum(1).clamp_min(1)


def _attracted(embeddings: torch.Tensor, labels: torch.Tensor, **_: Any) -> Any:
    same = (labels[:, None] == labels) & ~torch.eye(len(labels), dtype=torch.bool)
    return same.any(1).sum()


def _nt_xent(one: torch.Tensor, other: torch.Tensor, temperature: float = 0.1) -> torch.Tensor:
    """As pytorch-metric-learning 2.9's NTXentLoss has it for two views, a class for each sample."""
    return _supcon(torch.cat([one, other]), torch.arange(len(one)).repeat(2), temperature)


def _info_nce(
    query: torch.Tensor, key: torch.Tensor, temperature: float = 0.1, symmetric: bool = False
) -> torch.Tensor:
    """As transformers 5's CLIP has it, for one direction or for both."""
    normalize, cross_entropy = torch.nn.functional.normalize, torch.nn.functional.cross_entropy
    z = normalize(query) @ normalize(key).T / temperature
    y = torch.arange(len(query))
    losses = cross_entropy(z, y, reduction="none")
    return (losses + cross_entropy(z.T, y, reduction="none")) / 2 if symmetric else losses


def _circle(
    embeddings: torch.Tensor, labels: torch.Tensor, m: float = 0.4, gamma: float = 80.0
) -> torch.Tensor:
    """As pytorch-metric-learning 2.9's CircleLoss has it, before its reducer.

    Its softplus is z itself beyond 20, which is 2e-9 off.
    """
    s, own = _cosines(embeddings)
    same, others = (labels[:, None] == labels) & ~own, labels[:, None] != labels
    pull = -gamma * (1 + m - s.detach()).clamp_min(0) * (s - 1 + m)
    push = gamma * (s.detach() + m).clamp_min(0) * (s - m)
    counted = same.any(1) & others.any(1)
    lowest = torch.finfo(s.dtype).min
    z = pull.masked_fill(~same, lowest).logsumexp(1) + push.masked_fill(~others, lowest).logsumexp(
        1
    )
    return torch.where(counted, torch.logaddexp(z, torch.zeros_like(z)), 0)


def _circled(embeddings: torch.Tensor, labels: torch.Tensor, **_: Any) -> Any:
    same = (labels[:, None] == labels) & ~torch.eye(len(labels), dtype=torch.bool)
    return (same.any(1) & (labels[:, None] != labels).any(1)).sum()


SHAPES: Final[list[Shape]] = [(2, 3), (5, 1), (33, 7), (70, 64), (131, 5), (9, 300)]

ENTRIES: Final = {
    "supcon_loss": Entry(
        labelled,
        ("embeddings",),
        [s for s in SHAPES if s[0] > 2],
        [{"temperature": t} for t in (0.05, 1.0)],
        (9, 5),
        options=[{"classes": 1}],
    ),
    "nt_xent_loss": Entry(
        views, ("embeddings1", "embeddings2"), SHAPES, [{"temperature": 0.5}], (9, 5)
    ),
    "info_nce_loss": Entry(
        queries,
        ("query", "key"),
        SHAPES,
        [{"temperature": 0.5}, {"symmetric": True}],
        (9, 5),
        more=[Case("info_nce_loss", (70, 20), {"symmetric": True, "temperature": 0.05})],
    ),
    "circle_loss": Entry(
        labelled,
        ("embeddings",),
        [s for s in SHAPES if s[0] > 2],
        [{"m": 0.25, "gamma": 4.0}, {"gamma": 256.0}],
        (9, 5),
        options=[{"classes": 1}],
    ),
}

FORMULAS: Final = (supcon_loss, nt_xent_loss, info_nce_loss, circle_loss)

PEERS: Final = {
    "supcon_loss": Peer(_supcon, divisor=_attracted),
    "nt_xent_loss": Peer(_nt_xent),
    "info_nce_loss": Peer(_info_nce),
    "circle_loss": Peer(_circle, divisor=_circled),
}
