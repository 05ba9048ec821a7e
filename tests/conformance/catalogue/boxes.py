"""Losses of boxes: how they are drawn, their formulas, and who else defines them."""

from typing import Final

import numpy as np
import torch

from ..model import WIDE, Array, Case, Entry, Rows, Shape, Tensors
from ..peers import Peer


def pairs(rng: np.random.Generator, shape: Shape, whole: bool = False) -> Tensors:
    """Boxes (*, 4), some apart, some within each other; `whole` coordinates often coincide."""
    drawn = {}
    for name in ("boxes1", "boxes2"):
        corner = rng.uniform(0, 2, (*shape, 2))
        size = rng.uniform(0.1, 2, (*shape, 2))
        if whole:
            corner, size = np.floor(corner), np.ceil(size)
        drawn[name] = np.concatenate([corner, corner + size], -1)
    return drawn


class _Axis:
    """One axis of two boxes: lengths, and how they change with the four ends."""

    def __init__(self, a: Array, b: Array, axis: int) -> None:
        ends = a[..., axis], a[..., axis + 2], b[..., axis], b[..., axis + 2]
        low1, high1, low2, high2 = ends
        self.inner = np.minimum(high1, high2) - np.maximum(low1, low2)
        self.outer = np.maximum(high1, high2) - np.minimum(low1, low2)
        self.first, self.second = high1 - low1, high2 - low2
        self.apart = (low1 + high1 - low2 - high2) / 2
        self.ends = sum(map(abs, ends)) / 2  # what PyTorch's distance adds and takes away
        later, earlier = (np.heaviside(low1 - low2, 0.5), np.heaviside(high2 - high1, 0.5))
        none, one = 0 * low1, 1 + 0 * low1
        # by each end (the first box's low, high, the second's low, high), for each length
        self.turns = np.array([
            [-later, earlier, later - 1, 1 - earlier],
            [later - 1, 1 - earlier, -later, earlier],
            [-one, one, none, none],
            [none, none, -one, one],
            [one / 2, one / 2, -one / 2, -one / 2],
        ])  # fmt: skip


def _rows(
    boxes1: Array, boxes2: Array, eps: float, enclosing: bool, distance: bool, aspect: bool
) -> Rows:
    x, y = _Axis(boxes1, boxes2, 0), _Axis(boxes1, boxes2, 1)
    eps = WIDE(eps)
    meet = (x.inner > 0) & (y.inner > 0)
    both = np.where(meet, x.inner * y.inner, 0)
    one, other = x.first * y.first, x.second * y.second
    union = one + other - both
    iou = both / (union + eps)
    losses, scale = 1 - iou, 1 + iou
    cancelled = 0 * losses
    # slopes by the intersection's and the boxes' areas, and by each axis's lengths
    in_both, in_area = -(1 + iou) / (union + eps), iou / (union + eps)
    areas = abs(in_both), in_area
    slopes = np.zeros((2, 5, *losses.shape), WIDE)
    lost = np.zeros((2, 5, *losses.shape), WIDE)
    if enclosing:
        hull = x.outer * y.outer
        below = hull + eps
        losses, scale = losses + (hull - union) / below, scale + (hull + union) / below
        in_hull = (union + eps) / below**2
        slopes[0, 1], slopes[1, 1] = in_hull * y.outer, in_hull * x.outer
        lost[0, 1], lost[1, 1] = 2 / below * y.outer, 2 / below * x.outer
        in_both, in_area = in_both + 1 / below, in_area - 1 / below
        areas = areas[0] + 1 / below, areas[1] + 1 / below
    if distance:
        below = x.outer**2 + y.outer**2 + eps
        far = (x.apart**2 + y.apart**2) / below
        losses, scale = losses + far, scale + far
        cancelled = cancelled + 2 * (abs(x.apart) * x.ends + abs(y.apart) * y.ends) / below
        for k, axis in enumerate((x, y)):
            slopes[k, 1], slopes[k, 4] = -2 * far * axis.outer / below, 2 * axis.apart / below
            lost[k, 1] = 2 * axis.outer / below * cancelled
            lost[k, 4] = 2 * axis.ends / below
    magnitude = abs(slopes)
    magnitude[:, 4] += lost[:, 4]  # the ends that centres are the difference of
    if aspect:
        angles = np.arctan(x.first / y.first), np.arctan(x.second / y.second)
        turned, around = angles[1] - angles[0], angles[1] + angles[0]
        v = 4 / WIDE(np.pi) ** 2 * turned**2
        v_lost = 8 / WIDE(np.pi) ** 2 * abs(turned) * around
        alpha = v / (1 - iou + v + eps)
        alpha_lost = v_lost / (1 - iou + v + eps) + alpha * (2 + v_lost) / (1 - iou + v + eps)
        losses, scale = losses + alpha * v, scale + alpha * v
        cancelled = cancelled + alpha * v_lost + alpha_lost * v
        k = 8 * turned / WIDE(np.pi) ** 2
        for at, (w, h) in enumerate([(x.first, y.first), (x.second, y.second)]):
            sign = 2 * at - 1
            turns = np.array([h, -w]) / (w**2 + h**2)
            slopes[:, 2 + at] += sign * alpha * k * turns
            magnitude[:, 2 + at] += abs(alpha * k * turns)
            lost[:, 2 + at] += (alpha_lost * abs(k) + alpha * around) * abs(turns)
    for made, (by_both, by_area) in ((slopes, (in_both, in_area)), (magnitude, areas)):
        made[0, 0] += np.where(meet, by_both * y.inner, 0)
        made[1, 0] += np.where(meet, by_both * x.inner, 0)
        made[0, 2] += by_area * y.first
        made[1, 2] += by_area * x.first
        made[0, 3] += by_area * y.second
        made[1, 3] += by_area * x.second

    def by_ends(made: Array, size: bool) -> tuple[Array, Array]:
        """Slopes by the ends of either box, from those by lengths: (x1, y1, x2, y2) each."""
        ends = [
            np.einsum("l...,le...->e...", made[k], abs(a.turns) if size else a.turns)
            for k, a in enumerate((x, y))
        ]
        order = [[ends[0][i], ends[1][i], ends[0][i + 1], ends[1][i + 1]] for i in (0, 2)]
        return np.stack(order[0], -1), np.stack(order[1], -1)

    values, scales = by_ends(slopes, False), by_ends(magnitude, True)
    more = by_ends(lost, True)
    names = "boxes1", "boxes2"
    return Rows(
        (losses, scale),
        {n: (values[i], scales[i]) for i, n in enumerate(names)},
        cancelled=cancelled,
        torch={n: more[i] for i, n in enumerate(names)},
    )


def box_iou_loss(boxes1: Array, boxes2: Array, eps: float = 1e-7) -> Rows:
    return _rows(boxes1, boxes2, eps, enclosing=False, distance=False, aspect=False)


def generalized_box_iou_loss(boxes1: Array, boxes2: Array, eps: float = 1e-7) -> Rows:
    return _rows(boxes1, boxes2, eps, enclosing=True, distance=False, aspect=False)


def distance_box_iou_loss(boxes1: Array, boxes2: Array, eps: float = 1e-7) -> Rows:
    return _rows(boxes1, boxes2, eps, enclosing=False, distance=True, aspect=False)


def complete_box_iou_loss(boxes1: Array, boxes2: Array, eps: float = 1e-7) -> Rows:
    return _rows(boxes1, boxes2, eps, enclosing=False, distance=True, aspect=True)


def _iou(a: torch.Tensor, b: torch.Tensor, eps: float) -> tuple[torch.Tensor, torch.Tensor]:
    """IoU and union, as torchvision.ops 0.28 has them in its losses."""
    low, high = torch.max(a[..., :2], b[..., :2]), torch.min(a[..., 2:], b[..., 2:])
    meet = (high > low).all(-1)
    both = torch.where(meet, (high - low).prod(-1), 0)
    union = (a[..., 2:] - a[..., :2]).prod(-1) + (b[..., 2:] - b[..., :2]).prod(-1) - both
    return both / (union + eps), union


def _enclosing(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    return torch.max(a[..., 2:], b[..., 2:]) - torch.min(a[..., :2], b[..., :2])


def _box_iou(boxes1: torch.Tensor, boxes2: torch.Tensor, eps: float = 1e-7) -> torch.Tensor:
    return 1 - _iou(boxes1, boxes2, eps)[0]


def _giou(boxes1: torch.Tensor, boxes2: torch.Tensor, eps: float = 1e-7) -> torch.Tensor:
    """As torchvision.ops 0.28 defines it; its wheel cannot be imported beside torch for CPUs."""
    iou, union = _iou(boxes1, boxes2, eps)
    hull = _enclosing(boxes1, boxes2).prod(-1)
    return 1 - (iou - (hull - union) / (hull + eps))


def _diou(boxes1: torch.Tensor, boxes2: torch.Tensor, eps: float = 1e-7) -> torch.Tensor:
    """As torchvision.ops 0.28 defines it."""
    iou, _ = _iou(boxes1, boxes2, eps)
    diagonal = (_enclosing(boxes1, boxes2) ** 2).sum(-1) + eps
    centres = [(boxes[..., 2:] + boxes[..., :2]) / 2 for boxes in (boxes1, boxes2)]
    return 1 - iou + ((centres[0] - centres[1]) ** 2).sum(-1) / diagonal


def _ciou(boxes1: torch.Tensor, boxes2: torch.Tensor, eps: float = 1e-7) -> torch.Tensor:
    """As torchvision.ops 0.28 defines it, but with `eps` also where it adds its default 1e-7."""
    (w1, h1), (w2, h2) = ((b[..., 2:] - b[..., :2]).unbind(-1) for b in (boxes1, boxes2))
    v = 4 / torch.pi**2 * (torch.atan(w2 / h2) - torch.atan(w1 / h1)) ** 2
    with torch.no_grad():
        alpha = v / (1 - _iou(boxes1, boxes2, eps)[0] + v + eps)
    made: torch.Tensor = _diou(boxes1, boxes2, eps) + alpha * v
    return made


def _entry(loss: str, smooth: bool = True) -> Entry:
    """`smooth`: whether small boxes are drawn, whose gradient is held to finite differences."""
    small: list[Shape] = [(7,), (3, 5), (2, 0, 3)]
    return Entry(
        pairs,
        ("boxes1", "boxes2"),
        [(1,), (0,), (4095,), (4097,), *(small if smooth else [])],
        [{"eps": 1e-3}, {"eps": 0.0}],
        (3, 5) if smooth else (11, 13),
        more=[Case(loss, (11, 13), {}, {"whole": True})],  # kinks
    )


ENTRIES: Final = {
    "box_iou_loss": _entry("box_iou_loss"),
    "generalized_box_iou_loss": _entry("generalized_box_iou_loss"),
    "distance_box_iou_loss": _entry("distance_box_iou_loss"),
    # its weight alpha counts as constant in the gradient
    "complete_box_iou_loss": _entry("complete_box_iou_loss", smooth=False),
}

FORMULAS: Final = (
    box_iou_loss,
    generalized_box_iou_loss,
    distance_box_iou_loss,
    complete_box_iou_loss,
)

PEERS: Final = {
    "box_iou_loss": Peer(_box_iou),
    "generalized_box_iou_loss": Peer(_giou),
    "distance_box_iou_loss": Peer(_diou),
    "complete_box_iou_loss": Peer(_ciou),
}
