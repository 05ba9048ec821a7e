"""The losses once more, one module for each family in lossd/losses.

A module has ENTRIES (how each loss is drawn and on what), FORMULAS (each loss written plainly, in
the widest type NumPy has, nothing shared with lossd) and, for losses that torch.nn lacks, PEERS
(the loss as the library that defines it computes it).

A formula answers a loss per row and the derivative of that loss with respect to each component;
`oracle` weighs and reduces them. Beside each number stands its scale: the sum of the magnitudes
of the terms that enter it, so that one rounding of one term changes the number by at most
eps · scale. Tests compare in units of eps · scale: a tolerance relative to the result alone would
be wrong wherever terms cancel.
"""

import importlib
import pkgutil
from collections.abc import Callable
from typing import Final

from ..model import ENTRIES, Rows
from ..peers import Peer

FORMULAS: Final[dict[str, Callable[..., Rows]]] = {}
PEERS: Final[dict[str, Peer]] = {}

for _module in pkgutil.iter_modules(__path__):
    _family = importlib.import_module(f"{__name__}.{_module.name}")
    ENTRIES.update(_family.ENTRIES)
    FORMULAS.update({formula.__name__: formula for formula in _family.FORMULAS})
    PEERS.update(getattr(_family, "PEERS", {}))

__all__ = ["ENTRIES", "FORMULAS", "PEERS"]
