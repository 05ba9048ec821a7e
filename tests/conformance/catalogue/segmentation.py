"""Losses of segmentation: how they are drawn, their formulas, and who else defines them."""

from typing import Any, Final

import numpy as np
import torch

from ..model import WIDE, Array, Case, Entry, Number, Rows, Shape, Tensors
from ..peers import Peer


def voxels(
    rng: np.random.Generator,
    shape: Shape,
    logits: bool = False,
    soft: bool = False,
    labels: str = "",
) -> Tensors:
    """Probabilities or logits, and one class for each voxel or a probability for each of them.

    labels: the class as an index, in a "column" (N, 1, d1, …, dK) or "flat", (N, d1, …, dK).
    """
    x = 3 * rng.normal(size=shape) if logits else rng.uniform(0.01, 0.99, shape)
    y = rng.uniform(0.01, 0.99, shape)
    if labels:
        return {"input": x, "target": np.asarray(y.argmax(1, keepdims=labels == "column"))}
    if not soft:
        y = (y == y.max(1, keepdims=True, initial=0)) * 1.0
    return {"input": x, "target": y}


def _probabilities(x: Array, sigmoid: bool, softmax: bool) -> Array:
    if sigmoid:
        return 1 / (1 + np.exp(-x))
    if softmax:
        raised = np.exp(x - x.max(1, keepdims=True, initial=-np.inf))
        return raised / raised.sum(1, keepdims=True)
    return x


def _pulled(slope: Number, p: Array, sigmoid: bool, softmax: bool) -> Number:
    """Slopes of probabilities (…, class, voxel), as slopes of what they are made of."""
    value, scale = slope
    if sigmoid:
        return value * p * (1 - p), scale * p * (1 - p)
    if softmax:
        mean = (p * value).sum(-2, keepdims=True)
        return p * (value - mean), p * (scale + (p * scale).sum(-2, keepdims=True))
    return slope


def _near_one(scale: Array, p: Array) -> Array:
    """What PyTorch's slope of a sigmoid loses where p is nearly 1: it takes p from 1."""
    return scale * p / (1 - p)


def _flat(x: Array) -> Array:
    return x.reshape(*x.shape[:2], int(np.prod(x.shape[2:])))


def _true(input: Array, target: Array, to_onehot_y: bool) -> Array:
    """The true regions: as they are, or of labels."""
    if to_onehot_y:
        target = target.reshape(len(input), 1, -1) == np.arange(input.shape[1])[:, None]
        return target.astype(WIDE)
    return _flat(target)


def _overlap(
    input: Array,
    target: Array,
    alpha: float,
    beta: float,
    smooth_nr: float,
    smooth_dr: float,
    include_background: bool = True,
    to_onehot_y: bool = False,
    sigmoid: bool = False,
    softmax: bool = False,
    squared: bool = False,
    power: Any = 1,
) -> Rows:
    """One minus a Tversky index, to a power; a row's slopes are all classes'."""
    p = _probabilities(_flat(input), sigmoid, softmax)
    y = _true(input, target, to_onehot_y)
    both = (p * y).sum(-1)
    ours, theirs = (p**2 if squared else p).sum(-1), (y**2 if squared else y).sum(-1)
    below = both + alpha * (ours - both) + beta * (theirs - both) + smooth_dr
    index = (both + smooth_nr) / below
    lack = 1 - index
    # what an eps of each term changes in the denominator and, with the numerator's, in the loss
    terms = both * (1 + alpha + beta) + alpha * ours + beta * theirs + smooth_dr
    lack_scale = ((1 + index) * terms + smooth_nr) / below
    steep = power * lack ** (power - 1)
    # a relative error of the loss is one of its power's slope
    nonzero = np.where(lack != 0, abs(lack), 1)
    relative = 2 * terms / below + abs(power - 1) * lack_scale / nonzero
    in_both = steep * (index * (1 - alpha - beta) - 1) / below
    in_both_scale = abs(steep) * (index * abs(1 - alpha - beta) + 1) / below * relative
    in_ours, in_theirs = steep * index * alpha / below, steep * index * beta / below

    own = np.eye(p.shape[1], dtype=bool)[:, :, None]

    def alone(of_class: Array) -> Array:
        """Slopes of each class's loss, in row c of class c: NaN of one is not another's."""
        return np.where(own, of_class[:, :, None], 0)

    def slope(other: Array, mine: Array, k: Array) -> Number:
        size = 2 * mine if squared else 1 + 0 * mine
        value = in_both[..., None] * other + k[..., None] * size
        scale = in_both_scale[..., None] * other + (abs(k) * relative)[..., None] * size
        return alone(value), alone(scale)

    in_x = _pulled(slope(y, p, in_ours), p[:, None], sigmoid, softmax)
    in_y = slope(p, y, in_theirs)
    # it takes squares from norms, and products from squares and those of differences
    doubled = alone(squared * abs(steep / below)[..., None] * (p + y))
    # and adds what the intersection is in the denominator, which cancels
    apart = abs(steep * index * (1 + alpha + beta) / below)[..., None]
    in_x_apart, in_y_apart = (alone(apart * other) for other in (y, p))
    more = doubled + in_x_apart
    more = _pulled((more, more), p[:, None], sigmoid, softmax)[1]
    if sigmoid:
        more = more + _near_one(in_x[1], p[:, None])
    slopes = {"input": in_x} if to_onehot_y else {"input": in_x, "target": in_y}
    first = 0 if include_background else 1
    shape = input.shape
    return Rows(
        (lack[:, first:] ** power, (abs(steep) * lack_scale + abs(lack) ** power)[:, first:]),
        {n: (v[:, first:], s[:, first:]) for n, (v, s) in slopes.items()},
        layout=lambda made: made.sum(1).reshape(shape),
        cancelled=(abs(steep) * (1 + squared * (ours + theirs) / below))[:, first:],
        torch={"input": more[:, first:], "target": (doubled + in_y_apart)[:, first:]},
    )


def dice_loss(
    input: Array,
    target: Array,
    squared_pred: bool = False,
    smooth_nr: float = 1e-5,
    smooth_dr: float = 1e-5,
    **form: Any,
) -> Rows:
    return _overlap(
        input, target, WIDE(0.5), WIDE(0.5), WIDE(smooth_nr) / 2, WIDE(smooth_dr) / 2,
        squared=squared_pred, **form,
    )  # fmt: skip


def jaccard_loss(
    input: Array,
    target: Array,
    squared_pred: bool = False,
    smooth_nr: float = 1e-5,
    smooth_dr: float = 1e-5,
    **form: Any,
) -> Rows:
    return _overlap(
        input, target, WIDE(1), WIDE(1), WIDE(smooth_nr) / 2, WIDE(smooth_dr) / 2,
        squared=squared_pred, **form,
    )  # fmt: skip


def tversky_loss(
    input: Array,
    target: Array,
    alpha: float = 0.5,
    beta: float = 0.5,
    smooth_nr: float = 1e-5,
    smooth_dr: float = 1e-5,
    **form: Any,
) -> Rows:
    return _overlap(
        input, target, WIDE(alpha), WIDE(beta), WIDE(smooth_nr), WIDE(smooth_dr), **form
    )


def focal_tversky_loss(
    input: Array,
    target: Array,
    alpha: float = 0.3,
    beta: float = 0.7,
    gamma: float = 4 / 3,
    **form: Any,
) -> Rows:
    return tversky_loss(input, target, alpha, beta, power=WIDE(1 / gamma), **form)


def generalized_dice_loss(
    input: Array,
    target: Array,
    include_background: bool = True,
    to_onehot_y: bool = False,
    sigmoid: bool = False,
    softmax: bool = False,
    w_type: str = "square",
    smooth_nr: float = 1e-5,
    smooth_dr: float = 1e-5,
) -> Rows:
    p = _probabilities(_flat(input), sigmoid, softmax)
    y = _true(input, target, to_onehot_y)
    counted = np.ones(p.shape[1])
    counted[: 0 if include_background else 1] = 0
    both, ours, theirs = (p * y).sum(-1), p.sum(-1), y.sum(-1)
    power = {"square": 2, "simple": 1, "uniform": 0}[w_type]
    own = np.where(theirs > 0, counted * WIDE(1) / np.maximum(theirs, 1e-30) ** power, 0)
    heaviest = own.argmax(-1)[:, None] if own.size else np.zeros((len(p), 1), int)
    empty = (theirs == 0) & (counted > 0)
    w = counted * np.where(empty & (power > 0), own.max(-1, keepdims=True, initial=0), own)
    if not power:
        w = counted + 0 * theirs
    below = (w * (ours + theirs)).sum(-1, keepdims=True) + smooth_dr
    above = (w * 2 * both).sum(-1, keepdims=True) + smooth_nr
    score = above / below
    in_w = (score * (ours + theirs) - 2 * both) / below
    in_w_scale = (score * (ours + theirs) + 2 * both) / below
    # the weight of an empty class is that of the smallest other
    falls = counted * np.where(empty, 0, -power * own / np.maximum(theirs, 1e-30))
    at = np.arange(p.shape[1]) == heaviest
    in_w, in_w_scale = (k + at * (k * empty).sum(-1, keepdims=True) for k in (in_w, in_w_scale))
    through = falls * in_w, abs(falls) * in_w_scale
    k_both, k_size = -2 * w / below, score * w / below
    in_x = (
        k_both[..., None] * y + k_size[..., None],
        2 * (abs(k_both)[..., None] * y + k_size[..., None]),
    )
    in_x = _pulled(in_x, p, sigmoid, softmax)
    in_y = (
        k_both[..., None] * p + (k_size + through[0])[..., None],
        2 * (abs(k_both)[..., None] * p + (k_size + through[1])[..., None]),
    )
    shape = input.shape
    return Rows(
        ((1 - score)[:, 0], (1 + score)[:, 0] * 2),
        {"input": in_x} if to_onehot_y else {"input": in_x, "target": in_y},
        layout=lambda made: made.reshape(shape),
        torch={"input": _near_one(in_x[1], p)} if sigmoid else {},
    )


def _prepared(
    input: torch.Tensor,
    target: torch.Tensor,
    include_background: bool,
    to_onehot_y: bool,
    sigmoid: bool,
    softmax: bool,
) -> tuple[torch.Tensor, torch.Tensor, list[int]]:
    """What MONAI's losses begin with: probabilities, classes that count, dimensions to sum over."""
    if to_onehot_y:
        labels = target.reshape(len(input), *input.shape[2:])
        one_hot = torch.nn.functional.one_hot(labels, input.shape[1])
        target = one_hot.movedim(-1, 1).to(input.dtype)
    if sigmoid:
        input = input.sigmoid()
    if softmax:
        input = input.softmax(1)
    if not include_background:
        input, target = input[:, 1:], target[:, 1:]
    return input, target, list(range(2, input.ndim))


def _dice(
    input: torch.Tensor,
    target: torch.Tensor,
    include_background: bool = True,
    to_onehot_y: bool = False,
    sigmoid: bool = False,
    softmax: bool = False,
    squared_pred: bool = False,
    smooth_nr: float = 1e-5,
    smooth_dr: float = 1e-5,
    wrong: float = 0.5,
) -> torch.Tensor:
    """As MONAI 1.6.1 defines DiceLoss; with jaccard=True it counts what is wrong once, not half."""
    x, y, space = _prepared(input, target, include_background, to_onehot_y, sigmoid, softmax)
    if squared_pred:
        norm = torch.linalg.vector_norm
        ours, theirs, apart = (norm(t, dim=space) ** 2 for t in (x, y, x - y))
        both = (ours + theirs - apart) / 2
    else:
        both, ours, theirs = (x * y).sum(space), x.sum(space), y.sum(space)
    errors = wrong * (ours - both) + wrong * (theirs - both)
    return 1 - (2 * both + smooth_nr) / (2 * (both + errors) + smooth_dr)


def _jaccard(input: torch.Tensor, target: torch.Tensor, **parameters: Any) -> torch.Tensor:
    return _dice(input, target, wrong=1.0, **parameters)


def _tversky(
    input: torch.Tensor,
    target: torch.Tensor,
    include_background: bool = True,
    to_onehot_y: bool = False,
    sigmoid: bool = False,
    softmax: bool = False,
    alpha: float = 0.5,
    beta: float = 0.5,
    smooth_nr: float = 1e-5,
    smooth_dr: float = 1e-5,
) -> torch.Tensor:
    """As MONAI 1.6.1 defines TverskyLoss."""
    x, y, space = _prepared(input, target, include_background, to_onehot_y, sigmoid, softmax)
    both, false = (x * y).sum(space), (x * (1 - y)).sum(space)
    missed = ((1 - x) * y).sum(space)
    return 1 - (both + smooth_nr) / (both + alpha * false + beta * missed + smooth_dr)


def _focal_tversky(
    input: torch.Tensor,
    target: torch.Tensor,
    alpha: float = 0.3,
    beta: float = 0.7,
    gamma: float = 4 / 3,
    **parameters: Any,
) -> torch.Tensor:
    """The paper's power of MONAI's Tversky loss; the paper's alpha is MONAI's beta."""
    made: torch.Tensor = _tversky(input, target, alpha=alpha, beta=beta, **parameters)
    return made ** (1 / gamma)


def _generalized_dice(
    input: torch.Tensor,
    target: torch.Tensor,
    include_background: bool = True,
    to_onehot_y: bool = False,
    sigmoid: bool = False,
    softmax: bool = False,
    w_type: str = "square",
    smooth_nr: float = 1e-5,
    smooth_dr: float = 1e-5,
) -> torch.Tensor:
    """As MONAI 1.6.1 defines GeneralizedDiceLoss, whose weights are float32.

    It replaces infinite weights in place, which autograd refuses for a target with a gradient.
    """
    x, y, space = _prepared(input, target, include_background, to_onehot_y, sigmoid, softmax)
    both = (x * y).sum(space)
    volume = y.sum(space).float()
    power = {"square": 2, "simple": 1, "uniform": 0}[w_type]
    infinite = (volume == 0) & (power > 0)
    weight = torch.where(infinite, 1, volume) ** -power * ~infinite
    weight = weight + infinite * weight.max(1, keepdim=True).values
    above = 2 * (both * weight).sum(1) + smooth_nr
    return 1 - above / (((x.sum(space) + y.sum(space)) * weight).sum(1) + smooth_dr)


SHAPES: Final[list[Shape]] = [
    (2, 3, 5), (1, 1, 1), (3, 2, 1), (2, 3, 127), (2, 3, 128), (1, 2, 129), (2, 5, 6, 7, 3),
    (1, 2, 4097), (2, 2, 64, 65), (1, 130, 9), (0, 3, 4), (70, 2, 40),
]  # fmt: skip
FORMS: Final[list[dict[str, bool]]] = [{"sigmoid": True}, {"softmax": True}]


def _entry(
    loss: str, *grid: dict[str, Any], whole: bool = False, shapes: list[Shape] = SHAPES
) -> Entry:
    """`whole`: every activation with shapes of its own, for one loss of those with one kernel."""
    logits: list[Shape] = [(2, 3, 7), (2, 4, 5, 9)]
    if whole:
        logits += [(2, 3, 4099), (1, 2, 130), (0, 2, 3)]
    more = [
        Case(loss, (2, 3, 7), {}, {"soft": True}),
        *(
            Case(loss, (2, 3, 7), {"to_onehot_y": True}, {"labels": kind})
            for kind in ("column", "flat")
        ),
    ]
    for form in FORMS:
        foreground = {**form, "include_background": False}
        labelled = {**foreground, "to_onehot_y": True}
        more += [
            Case(loss, (2, 3, 5, 7), labelled, {"logits": True, "labels": kind})
            for kind in ("column", "flat")
        ]
        more += [Case(loss, shape, form, {"logits": True}) for shape in logits]
        more.append(Case(loss, (2, 3, 5, 7), foreground, {"logits": True}))
    return Entry(
        voxels,
        ("input",),
        shapes if whole else shapes[:6],
        [{"include_background": False}, {"smooth_nr": 0.5, "smooth_dr": 2.0}, *grid],
        (2, 3, 5, 7),
        more=more,
        soft_gradients=("input", "target"),
    )


ENTRIES: Final = {
    "dice_loss": _entry(
        "dice_loss", *({**form, "squared_pred": True} for form in [{}, *FORMS]), whole=True
    ),
    "jaccard_loss": _entry("jaccard_loss", {"squared_pred": True}),
    "tversky_loss": _entry("tversky_loss", {"alpha": 0.3, "beta": 0.7}, {"alpha": 2.0}),
    "focal_tversky_loss": _entry("focal_tversky_loss", {"gamma": 0.5}, {"gamma": 2.0}),
    "generalized_dice_loss": _entry(
        "generalized_dice_loss",
        {"w_type": "simple"},
        {"w_type": "uniform"},
        whole=True,
        # with one voxel, classes are empty, where weights have no derivative
        shapes=[s for s in SHAPES if s != (3, 2, 1)],
    ),
}

FORMULAS: Final = (
    dice_loss,
    jaccard_loss,
    tversky_loss,
    focal_tversky_loss,
    generalized_dice_loss,
)

PEERS: Final = {
    "dice_loss": Peer(_dice),
    "jaccard_loss": Peer(_jaccard),
    "tversky_loss": Peer(_tversky),
    "focal_tversky_loss": Peer(_focal_tversky),
    "generalized_dice_loss": Peer(_generalized_dice, single=True),
}
