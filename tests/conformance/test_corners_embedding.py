"""Corners of the losses of embeddings that torch.nn lacks (see test_corners.py)."""

import numpy as np
import numpy.typing as npt
import pytest
from lossd_client.errors import ParameterError, ShapeError

from lossd.engine import evaluate

from .model import Case
from .test_corners import DTYPES, NAN, Corner, near
from .test_corners import test_corner as check

SIDE = (1 - 1e-6 * np.sqrt(2)) / np.sqrt(2)  # of the slope, whose direction is that of eps

CORNERS = [
    Corner("equal vectors, similar", "contrastive_loss",
           {"input1": [[1.0, 1]], "input2": [[1.0, 1]], "target": [1.0]}, 1e-12,
           {"input1": [[1e-6, 1e-6]], "input2": [[-1e-6, -1e-6]]}),
    Corner("equal vectors, dissimilar", "contrastive_loss",
           {"input1": [[1.0, 1]], "input2": [[1.0, 1]], "target": [0.0]},
           (1 - 1e-6 * np.sqrt(2)) ** 2 / 2,
           {"input1": [[-SIDE, -SIDE]], "input2": [[SIDE, SIDE]]}),
    Corner("equal vectors, cosine", "contrastive_loss",
           {"input1": [[3.0, 4]], "input2": [[3.0, 4]], "target": [0.0]}, 0.125, {},
           {"distance_function": "cosine", "margin": 0.5}),
    Corner("a zero vector, cosine", "contrastive_loss",
           {"input1": [[0.0, 0]], "input2": [[3.0, 4]], "target": [1.0]}, 0.5,
           {"input1": [[-6e7, -8e7]], "input2": [[0, 0]]}, {"distance_function": "cosine"}),
    Corner("beyond the margin", "contrastive_loss",
           {"input1": [[0.0, 0]], "input2": [[3.0, 4]], "target": [0.0]}, 0,
           {"input1": [[0, 0]], "input2": [[0, 0]]}),
    Corner("one pair", "contrastive_loss",
           {"input1": [0.6, 0], "input2": [0.6, -5], "target": 1.0},
           ((5 + 1e-6) ** 2 + 1e-12) / 2),
    Corner("NaN in a target", "contrastive_loss",
           {"input1": [[0.0, 0]], "input2": [[3.0, 4]], "target": [NAN]}, NAN,
           {"input1": [[NAN, NAN]], "input2": [[NAN, NAN]]}),
    Corner("empty batch, sum", "contrastive_loss",
           {"input1": np.zeros((0, 2)), "input2": np.zeros((0, 2)), "target": np.zeros(0)}, 0,
           reduction="sum"),
    Corner("empty batch, mean", "contrastive_loss",
           {"input1": np.zeros((0, 2)), "input2": np.zeros((0, 2)), "target": np.zeros(0)}, NAN),
]  # fmt: skip


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("corner", CORNERS, ids=str)
def test_corner(corner: Corner, dtype: npt.DTypeLike) -> None:
    check(corner, dtype)


@pytest.mark.parametrize("distance", ["pairwise", "manhattan"])
def test_a_difference_of_exactly_minus_eps_has_no_slope(distance: str) -> None:
    """The norm is 0 there: its subgradient is, as torch has it."""
    x = np.full((1, 2), -1e-6, np.float32)
    got = evaluate(
        "contrastive_loss",
        {"input1": x, "input2": np.zeros_like(x), "target": np.zeros(1, np.float32)},
        parameters={"distance_function": distance},
        gradients=["input1"],
    )
    near(got.loss, 0.5, 4, "loss")
    near(got.gradients["input1"], [[0, 0]], 4, "gradient")


def test_what_does_not_fit() -> None:
    tensors = Case("contrastive_loss", (4, 3)).tensors(np.float32)
    with pytest.raises(ShapeError, match=r"target \(4, 1\) must be \(N\) or \(\)"):
        evaluate("contrastive_loss", tensors | {"target": np.zeros((4, 1), np.float32)})
    with pytest.raises(ShapeError, match=r"input2 \(4, 2\) must have vectors of the same length"):
        evaluate("contrastive_loss", tensors | {"input2": np.zeros((4, 2), np.float32)})
    with pytest.raises(ParameterError, match=r"margin = -1.0 .* must be >= 0"):
        evaluate("contrastive_loss", tensors, parameters={"margin": -1.0})
    with pytest.raises(ParameterError, match=r"'euclid' .* must be one of 'pairwise', 'cosine'"):
        evaluate("contrastive_loss", tensors, parameters={"distance_function": "euclid"})


@pytest.mark.parametrize("loss", ["triplet_margin_loss", "triplet_margin_with_distance_loss"])
def test_swap_of_vectors_that_are_broadcast_to_the_anchor_alone(loss: str) -> None:
    """PyTorch takes the distance between positive and negative before they are broadcast."""
    one, three = np.ones((4, 1), np.float32), np.ones((4, 3), np.float32)
    given = {"anchor": three, "positive": one, "negative": 0 * one}
    with pytest.raises(ShapeError, match=r"positive \(4, 1\), .*: with swap, positive and neg"):
        evaluate(loss, given, parameters={"swap": True})
    near(evaluate(loss, given).loss, 0, 4, "loss")
    for wider in ({"negative": 0 * three}, {"anchor": one}):
        assert evaluate(loss, given | wider, parameters={"swap": True}).loss < 1
