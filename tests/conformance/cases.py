"""What every loss of the registry is tested on, made of the catalogue's entries.

An entry says how to draw the loss's tensors for a shape, and on which shapes, options and
parameters. `draw` gets keyword options of its own (`weight="zeros"`, `soft=True`), so that
every optional tensor and every kind of target appears.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from lossd.spec import registry

from .catalogue import ENTRIES
from .model import Case


def cases_of(loss: str) -> list[Case]:
    """Every case of a loss."""
    entry = ENTRIES[loss]
    return [
        *(Case(loss, shape) for shape in entry.shapes),
        *(Case(loss, entry.middle, parameters) for parameters in entry.grid),
        *(Case(loss, entry.middle, {}, options) for options in entry.options),
        *entry.more,
    ]


def gradients_of(loss: str, tensors: Mapping[str, Any]) -> tuple[str, ...]:
    """The tensors of a call for which PyTorch gives a gradient."""
    entry = ENTRIES[loss]
    names = entry.gradients
    if entry.soft_gradients:
        target = np.asarray(tensors["target"])
        regions = target.ndim > 2 and target.shape == tensors["input"].shape  # whole numbers, too
        names = entry.soft_gradients if target.dtype.kind == "f" or regions else names
    return tuple(name for name in names if name in tensors)


CASES: list[Case] = [case for loss in registry if loss in ENTRIES for case in cases_of(loss)]

# one case of each loss with tensors of several dimensions, none of them of length 1 where there is
# such a case, and both kinds of cross entropy
MIDDLE: list[Case] = [
    max((c for c in CASES if c.loss == name and len(c.shape) > 1), key=lambda c: min(3, *c.shape))
    for name in registry
    if name in ENTRIES
]
MIDDLE += [
    Case("cross_entropy", (3, 10, 4), {}, {"weight": "random"}),
    Case("cross_entropy", (2, 64, 2, 3), {}, {"soft": True, "weight": "zeros"}),
    Case("nll_loss", (3, 10, 4)),
    Case("binary_cross_entropy", (3, 5, 7), {}, {"weight": (3, 5, 7)}),
    Case("binary_cross_entropy_with_logits", (3, 5, 7), {}, {"pos_weight": (5, 1)}),
    Case("triplet_margin_loss", (9, 7), {"p": np.inf, "margin": 3.0}),
]
