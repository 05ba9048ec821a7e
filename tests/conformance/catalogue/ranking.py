"""Losses of ranked lists: how they are drawn, their formulas, and who else defines them."""

from typing import Final

import numpy as np
import torch

from ..model import VECTORS, Array, Case, Entry, Rows, Shape, Tensors
from ..peers import Peer


def lists(
    rng: np.random.Generator, shape: Shape, padded: float = 0, other: Shape | None = None
) -> Tensors:
    # not 0, which finite differences would make padding
    relevance = rng.integers(1, 5, shape if other is None else other) * 0.5
    relevance = np.where(rng.uniform(size=relevance.shape) < padded, -1.0, relevance)
    return {"input": 3 * rng.normal(size=shape), "target": relevance}


def listwise_softmax_loss(input: Array, target: Array, temperature: float = 1.0) -> Rows:
    x, y = np.broadcast_arrays(input, target)
    there = y >= 0
    y = np.where(there, y, 0)
    top = np.where(there, x, -np.inf).max(-1, keepdims=True)
    depth = np.where(there, top - x, 0) / temperature
    e = np.where(there, np.exp(-depth), 0)
    total = e.sum(-1, keepdims=True)
    log_sum = np.log(np.where(total > 0, total, 1))
    p = e / np.where(total > 0, total, 1)
    nll, labels = there * (depth + log_sum), y.sum(-1, keepdims=True)
    # torch divides by the temperature before it subtracts
    rough = there * (abs(np.where(there, x, 0)) + abs(np.where(there, top, 0))) / temperature
    return Rows(
        ((y * nll).sum(-1), (y * (nll + 1)).sum(-1)),
        {
            "input": ((labels * p - y) / temperature, (labels * p * (2 + depth) + y) / temperature),
            "target": (nll, there * (nll + 1)),
        },
        cancelled=(y * rough).sum(-1),
        torch={"input": labels * p * (1 + rough) / temperature, "target": rough},
    )


def _listwise_softmax(
    input: torch.Tensor, target: torch.Tensor, temperature: float = 1.0
) -> torch.Tensor:
    """As tfr.keras.losses.SoftmaxLoss of TensorFlow Ranking 0.5, padding left out altogether."""
    there = target >= 0
    log_p = torch.where(there, input / temperature, -torch.inf).log_softmax(-1)
    return -(torch.where(there, target, 0) * torch.where(there, log_p, 0)).sum(-1)


ENTRIES: Final = {
    "listwise_softmax_loss": Entry(
        lists,
        ("input", "target"),
        VECTORS,
        [{"temperature": 0.1}, {"temperature": 3.0}],
        (9, 7),
        [{"padded": 0.3}, {"other": (1, 7)}, {"other": (7,)}],
        more=[
            Case("listwise_softmax_loss", (2, 3, 5)),
            Case("listwise_softmax_loss", (4, 130), {"temperature": 0.5}, {"padded": 0.9}),
        ],
    ),
}

FORMULAS: Final = (listwise_softmax_loss,)

PEERS: Final = {"listwise_softmax_loss": Peer(_listwise_softmax)}
