"""Numbers that are none, infinite, zero, or next to it: results are so where PyTorch's are."""

from typing import Any, Final

import numpy as np
import pytest
from lossd_client.errors import DomainError

from lossd.engine import evaluate

from .cases import MIDDLE, gradients_of
from .compare import by_torch
from .model import Array, Case

SPECIAL: Final = (np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-42, -1e-42)

INFINITE: Final = {
    ("binary_cross_entropy_with_logits", "pos_weight"),
    ("categorical_hinge_loss", "input"),
    ("complete_box_iou_loss", "boxes1"),
    ("contrastive_loss", "target"),
    ("distance_box_iou_loss", "boxes1"),
    ("distance_box_iou_loss", "boxes2"),
    ("generalized_box_iou_loss", "boxes1"),
    ("generalized_box_iou_loss", "boxes2"),
    ("circle_loss", "embeddings"),
    ("supcon_loss", "embeddings"),
    ("grpo_loss", "advantages"),
    ("ppo_clip_loss", "advantages"),
    ("triplet_margin_loss", "anchor"),
    ("triplet_margin_with_distance_loss", "anchor"),
}
"""Tensors with an infinity of which lossd's loss, or a gradient, is NaN and PyTorch's is not."""


def kinds(values: Array) -> Array:
    """What each value is: a number (0), NaN (2), or an infinity and of which sign."""
    return np.where(np.isnan(values), 2, np.isinf(values) * np.sign(values))


@pytest.mark.filterwarnings("ignore:.*are broadcast")
@pytest.mark.parametrize("case", MIDDLE, ids=str)
def test_what_is_not_finite_is_where_pytorch_has_it(case: Case) -> None:
    """Or, of a NaN, NaN where PyTorch loses it; or something where PyTorch has inf - inf."""
    whole = case.tensors(np.float32)
    agreed = 0
    for name, values in whole.items():
        if values.dtype.kind != "f" or not values.size:
            continue
        for special in SPECIAL:
            tensors = {n: array.copy() for n, array in whole.items()}
            tensors[name].flat[values.size // 2] = special
            form: dict[str, Any] = {
                "parameters": case.parameters,
                "reduction": "none",
                "gradients": gradients_of(case.loss, tensors),
            }
            try:
                got = evaluate(case.loss, tensors, **form)
            except DomainError:  # a box without a size, a probability above 1
                continue
            expected = by_torch(case.loss, tensors, **form)
            results = {"loss": (got.loss, expected.loss)}
            results |= {n: (g, expected.gradients[n]) for n, g in got.gradients.items()}
            for what, pair in results.items():
                ours, theirs = map(kinds, pair)
                good = (ours == theirs) | (theirs == 2)
                if np.isnan(special) or (np.isinf(special) and (case.loss, name) in INFINITE):
                    good |= ours == 2
                assert good.all(), f"{what} of {name} with {special}: {pair}"
                agreed += 1
    assert agreed or not any(v.dtype.kind == "f" and v.size for v in whole.values())
