"""Losses of embeddings: how they are drawn, their formulas, and who else defines them."""

from typing import Final

import numpy as np
import torch

from ..model import (
    ELEMENTWISE,
    VECTORS,
    WIDE,
    Array,
    Case,
    Entry,
    Number,
    Rows,
    Shape,
    Tensors,
    above,
    exact,
    nearly_above,
)
from ..peers import Peer

COSINE_EPS: Final = WIDE(np.float32(1e-12))  # torch's, a float there, added to the squared norms


def pairs(rng: np.random.Generator, shape: Shape, other: Shape | None = None) -> Tensors:
    y = rng.integers(0, 2, shape if other is None else other) * 2.0 - 1
    return {"input": np.asarray(rng.normal(size=shape)), "target": np.asarray(y)}


def rankings(rng: np.random.Generator, shape: Shape, others: tuple[Shape, ...] = ()) -> Tensors:
    one, two, three = others or (shape, shape, shape)
    return {
        "input1": np.asarray(rng.normal(size=one)),
        "input2": np.asarray(rng.normal(size=two)),
        "target": np.asarray(rng.integers(0, 2, three) * 2.0 - 1),
    }


def cosines(rng: np.random.Generator, shape: Shape, others: tuple[Shape, ...] = ()) -> Tensors:
    one, two, three = others or (shape, shape, shape[:-1])
    return {
        "input1": rng.normal(size=one),
        "input2": rng.normal(size=two) + 0.3,
        "target": np.asarray(rng.integers(0, 2, three) * 2.0 - 1),
    }


def matches(
    rng: np.random.Generator,
    shape: Shape,
    others: tuple[Shape, ...] = (),
    soft: bool = False,
) -> Tensors:
    drawn = cosines(rng, shape, others)
    y = rng.uniform(size=drawn["target"].shape)
    drawn["target"] = np.asarray(y if soft else np.round(y))
    width = shape[-1]  # so that margins near 1 matter
    return drawn | {n: drawn[n] / np.sqrt(width) for n in ("input1", "input2")}


def triplets(rng: np.random.Generator, shape: Shape, others: tuple[Shape, ...] = ()) -> Tensors:
    names = ("anchor", "positive", "negative")
    shapes = others or (shape, shape, shape)
    points = [rng.normal(size=s) + 0.1 * k for k, s in enumerate(shapes)]
    return dict(zip(names, points, strict=True))


def hinge_embedding_loss(input: Array, target: Array, margin: float = 1.0) -> Rows:
    x, y = input, target
    h = margin - x
    similar, apart = y != -1, y != 1
    losses = similar * x + apart * np.maximum(h, 0)
    scale = similar * abs(x) + apart * above(h, abs(margin) + abs(x))
    slope = similar - apart * above(h, 1.0), similar + 1.0 * apart
    return Rows((losses, scale), {"input": slope})


def margin_ranking_loss(input1: Array, input2: Array, target: Array, margin: float = 0.0) -> Rows:
    d, y = input1 - input2, target
    h = margin - y * d
    losses = np.maximum(h, 0), above(h, abs(y * d) + abs(margin))
    slope, in_target = above(h, y + 0 * d), above(h, d + 0 * y)
    slopes = {"input1": exact(-slope), "input2": exact(slope), "target": exact(-in_target)}
    return Rows(losses, slopes)


def cosine_embedding_loss(input1: Array, input2: Array, target: Array, margin: float = 0.0) -> Rows:
    x1, x2, y = input1, input2, target
    square1, square2 = (x1**2).sum(-1) + COSINE_EPS, (x2**2).sum(-1) + COSINE_EPS
    norms = np.sqrt(square1 * square2)
    cos, cos_scale = (x1 * x2).sum(-1) / norms, abs(x1 * x2).sum(-1) / norms
    h = cos - margin
    losses = np.where(y == 1, 1 - cos, np.where(y == -1, np.maximum(h, 0), 0))
    terms = cos_scale + abs(margin)
    reached = nearly_above(h, np.ones_like(h), terms)
    scale = np.where(y == 1, 1 + cos_scale, np.where(y == -1, reached * terms, 0))
    felt = np.where(y == 1, 1, np.where(y == -1, reached, 0))[..., None]
    sign = np.where(y == 1, -1, np.where(y == -1, above(h, 1.0), 0))[..., None]
    norms, cos, cos_scale = norms[..., None], cos[..., None], cos_scale[..., None]

    def slope(own: Array, other: Array, square: Array) -> Number:
        square = square[..., None]
        value = sign * (other / norms - cos * own / square)
        return value, felt * (abs(other) / norms + cos_scale * abs(own) / square)

    slopes = {"input1": slope(x1, x2, square1), "input2": slope(x2, x1, square2)}
    return Rows((losses, scale), slopes)


def _norm(d: Array, p: float, eps: float = 0.0) -> tuple[Array, Array, Array]:
    """The p-norm of d + eps over the last dimension, its gradient, and the gradient's scale."""
    v = d + eps
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
    if p == 2:  # d and eps may cancel
        return norm, slope, (abs(d) + eps) / norm[..., None]
    lost = (abs(d) + eps) / np.where(size > 0, size, 1)  # and a power multiplies roundings
    return norm, slope, abs(slope) * np.maximum(1, abs(p - 1) * lost)


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
    near, near_slope, near_scale = _norm(anchor - positive, p, eps)
    far, far_slope, far_scale = _norm(anchor - negative, p, eps)
    other, other_slope, other_scale = _norm(positive - negative, p, eps)
    share = np.ones_like(far)  # of the slope that goes to |a - n|, not to |p - n|
    if swap:
        share = np.where(far < other, 1, np.where(other < far, 0, 0.5)).astype(WIDE)
        far = np.minimum(far, other)
    h = margin + near - far
    losses = np.maximum(h, 0), above(h, margin + near + far)
    active = above(h, np.ones_like(h))[..., None]
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
        return exact((d**2).sum(-1)), exact(2 * d), exact(-2 * d)
    if kind == "manhattan":
        return exact(abs(d).sum(-1)), exact(np.sign(d)), exact(-np.sign(d))
    norm, slope, scale = _norm(d, 2, 1e-6)
    return exact(norm), (slope, scale), (-slope, scale)


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
    active = above(h, np.ones_like(h))[..., None]
    share = active * share[..., None]

    def joined(*parts: tuple[Array, Number]) -> Number:
        value = sum(factor * slope[0] for factor, slope in parts)
        return value, sum(abs(factor) * slope[1] for factor, slope in parts)

    slopes = {
        "anchor": joined((active, near_a), (-share, far_a)),
        "positive": joined((active, near_p), (share - active, other_p)),
        "negative": joined((-share, far_n), (share - active, other_n)),
    }
    return Rows((np.maximum(h, 0), above(h, margin + near[1] + far[1])), slopes)


def contrastive_loss(
    input1: Array,
    input2: Array,
    target: Array,
    distance_function: str = "pairwise",
    margin: float = 1.0,
) -> Rows:
    x1, x2 = np.broadcast_arrays(input1, input2)
    y = target
    if distance_function == "manhattan":
        v = x1 - x2 + 1e-6
        (d, d_scale), in1, in2 = exact(abs(v).sum(-1)), exact(np.sign(v)), exact(-np.sign(v))
    else:
        (d, d_scale), in1, in2 = _distance(x1, x2, distance_function)
    h = margin - d
    lack, lack_scale = np.maximum(h, 0), nearly_above(h, margin + d_scale, margin + d_scale)
    losses = (y * d**2 + (1 - y) * lack**2) / 2
    # roundings of the size of a scale are left of what is 0
    eps = np.finfo(np.float32).eps
    scale = y * np.maximum(d, eps * d_scale) * d_scale
    scale += (1 - y) * np.maximum(lack, eps * lack_scale) * lack_scale
    slope = (y * d - (1 - y) * lack)[..., None]
    slope_scale = (y * d_scale + (1 - y) * lack_scale)[..., None]
    slopes = {
        "input1": (slope * in1[0], slope_scale * in1[1]),
        "input2": (slope * in2[0], slope_scale * in2[1]),
    }
    return Rows((losses, scale), slopes)


def _contrastive(
    input1: torch.Tensor,
    input2: torch.Tensor,
    target: torch.Tensor,
    distance_function: str = "pairwise",
    margin: float = 1.0,
) -> torch.Tensor:
    """As sentence_transformers.losses 6.2 defines it, of the embeddings."""
    if distance_function == "cosine":
        d = 1 - torch.nn.functional.cosine_similarity(input1, input2, dim=-1)
    else:
        p = {"pairwise": 2, "manhattan": 1}[distance_function]
        d = torch.nn.functional.pairwise_distance(input1, input2, p)
    return (target * d**2 + (1 - target) * (margin - d).relu() ** 2) / 2


ENTRIES: Final = {
    "hinge_embedding_loss": Entry(
        pairs,
        ("input",),
        ELEMENTWISE,
        [{"margin": m} for m in (0.0, 0.3, 2.5, -0.5)],
        options=[{"other": (5, 1)}],
    ),
    "margin_ranking_loss": Entry(
        rankings,
        ("input1", "input2", "target"),
        ELEMENTWISE,
        [{"margin": m} for m in (0.3, 2.5, -0.5)],
        options=[{"others": ((3, 1, 7), (1, 5, 1), (1, 1, 1))}],
    ),
    "cosine_embedding_loss": Entry(
        cosines,
        ("input1", "input2"),
        VECTORS,
        [{"margin": m} for m in (0.3, -0.5, 1.0)],
        (9, 7),
        options=[{"others": ((9, 7), (1, 7), (9,))}, {"others": ((1, 7), (9, 7), (1,))}],
    ),
    "triplet_margin_loss": Entry(
        triplets,
        ("anchor", "positive", "negative"),
        VECTORS,
        [
            *({"margin": m} for m in (0.3, 5.0)),
            {"eps": 1e-2},
            *({"p": p, "margin": 3.0} for p in (0.0, 0.5, 1.0, 1.5, 3.0, -1.0, np.inf, -np.inf)),
            *({"p": p, "swap": True} for p in (2.0, 0.0, 0.5, 1.0, 3.0, -1.0, np.inf, -np.inf)),
        ],
        (9, 7),
        options=[{"others": ((9, 7), (1, 7), (9, 1))}],
        more=[
            Case("triplet_margin_loss", (2, 3, 5)),
            *(
                Case("triplet_margin_loss", (2, 129), {"p": p}, brief=True)
                for p in (0.0, 0.5, 1.0, np.inf)
            ),
        ],
    ),
    "triplet_margin_with_distance_loss": Entry(
        triplets,
        ("anchor", "positive", "negative"),
        VECTORS,
        [
            {"distance_function": d, **more}
            for d in ("pairwise", "cosine", "squared_euclidean", "manhattan")
            for more in ({"margin": 0.3}, {"margin": 5.0, "swap": True})
        ],
        (9, 7),
        options=[{"others": ((9, 7), (1, 7), (9, 1))}],
        more=[
            Case(
                "triplet_margin_with_distance_loss", (2, 129), {"distance_function": d}, brief=True
            )
            for d in ("cosine", "squared_euclidean", "manhattan")
        ],
    ),
    "contrastive_loss": Entry(
        matches,
        ("input1", "input2"),
        VECTORS,
        [
            {"margin": 0.0},
            {"margin": 3.0},
            *({"distance_function": d} for d in ("cosine", "manhattan")),
        ],
        (9, 7),
        [
            {"soft": True},
            {"others": ((9, 7), (1, 7), (9,))},
            {"others": ((1, 7), (9, 7), (1,))},
        ],
        more=[
            Case("contrastive_loss", (2, 129), {"distance_function": d, "margin": 2.0}, brief=True)
            for d in ("cosine", "manhattan")
        ],
    ),
}

FORMULAS: Final = (
    hinge_embedding_loss,
    margin_ranking_loss,
    cosine_embedding_loss,
    triplet_margin_loss,
    triplet_margin_with_distance_loss,
    contrastive_loss,
)

PEERS: Final = {"contrastive_loss": Peer(_contrastive)}
