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
    soft = entry.soft_gradients and np.asarray(tensors["target"]).dtype.kind == "f"
    names = entry.soft_gradients if soft else entry.gradients
    return tuple(name for name in names if name in tensors)


CASES: list[Case] = [case for loss in registry if loss in ENTRIES for case in cases_of(loss)]
