"""Other libraries' losses as torch expressions, of the versions that are named.

Keras' own functions are called. `make test-libraries` holds the others to the libraries.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

os.environ["KERAS_BACKEND"] = "torch"
import keras


@dataclass(frozen=True)
class Peer:
    """A loss as the library that defines it computes it.

    function: answers a loss for each element or row, of the tensors and parameters.
    single: whether it answers in float32 for float64 too, as Keras' operations on a tensor and
        a number do.
    divisor: what the mean divides by, of the same arguments; the number of losses unless given.
    """

    function: Callable[..., torch.Tensor]
    single: bool = False
    divisor: Callable[..., torch.Tensor] | None = None


def of_keras(function: Any) -> Peer:
    """A loss of elements: Keras takes the true value first and averages the last dimension."""

    def peer(input: torch.Tensor, target: torch.Tensor, **parameters: Any) -> torch.Tensor:
        input, target = torch.broadcast_tensors(input, target)
        made: torch.Tensor = function(target[..., None], input[..., None])
        return made

    return Peer(peer, single=True)


__all__ = ["Peer", "keras", "of_keras"]
