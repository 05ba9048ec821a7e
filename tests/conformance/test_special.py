"""Numbers that are none, infinite, zero, or next to it: results are so where PyTorch's are."""

from typing import Any, Final, NamedTuple

import numpy as np
import pytest
from lossd_client.errors import DomainError

from lossd.engine import evaluate
from lossd.spec import registry

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


class Otherwise(NamedTuple):
    """What lossd answers in one place, or more, where PyTorch, or a library's expression, has NaN.

    answer: 0 for a number, 1 for infinity, -1 for minus infinity.
    why: what PyTorch's NaN is.
    """

    answer: int
    why: str


NUMBER, INFINITY, MINUS_INFINITY = 0, 1, -1
APART = "inf - inf: boxes without a common area have a slope of 0"
NO_LABEL = "inf - inf in softmax: the label's probability is 1"
LOGITS = "(1 - y) x is 0 times infinity: the loss is log(1 + exp(-x))"
NO_TEACHER = "0 times log 0: a class of probability 0 costs nothing"
TOO_LARGE = "log(1 + exp(-yx)) as it stands: infinity / infinity"
CLIPPED = "0 times infinity: the clipped side has no slope"
CERTAIN = "0 times infinity with a smoothing of 0: the pair is certain, and costs nothing"
ODDS = "inf - inf: the odds of probability 1"
COSH = "inf - inf: a rest of log(1 + exp(-2 |d|))"

OTHERWISE: Final[dict[tuple[str, str, float, str], Otherwise]] = {
    ("box_iou_loss", "boxes1", np.inf, "boxes1"): Otherwise(NUMBER, APART),
    ("box_iou_loss", "boxes2", np.inf, "boxes2"): Otherwise(NUMBER, APART),
    ("poly1_cross_entropy_loss", "input", np.inf, "loss"): Otherwise(NUMBER, NO_LABEL),
    ("poly1_cross_entropy_loss", "input", np.inf, "input"): Otherwise(NUMBER, NO_LABEL),
    ("binary_cross_entropy_with_logits", "input", -np.inf, "loss"): Otherwise(INFINITY, LOGITS),
    ("sigmoid_focal_loss", "input", -np.inf, "loss"): Otherwise(INFINITY, LOGITS),
    ("sigmoid_focal_loss", "input", np.inf, "target"): Otherwise(MINUS_INFINITY, LOGITS),
    ("multilabel_soft_margin_loss", "target", np.inf, "loss"): Otherwise(
        MINUS_INFINITY, "inf - inf of its two parts, which are one: y times -x"
    ),
    ("multilabel_soft_margin_loss", "target", -np.inf, "loss"): Otherwise(
        INFINITY, "inf - inf of its two parts, which are one: y times -x"
    ),
    **{
        (loss, tensor, -np.inf, what): Otherwise(NUMBER, NO_TEACHER)
        for loss, tensor in (
            ("distillation_kl_loss", "teacher_logits"),
            ("generalized_jsd_loss", "teacher_logits"),
            ("generalized_jsd_loss", "student_logits"),
        )
        for what in ("loss", tensor)
    },
    ("soft_margin_loss", "input", np.inf, "input"): Otherwise(NUMBER, TOO_LARGE),
    ("soft_margin_loss", "target", np.inf, "input"): Otherwise(MINUS_INFINITY, TOO_LARGE),
    **{
        (loss, tensor, special, "log_probs"): Otherwise(NUMBER, CLIPPED)
        for loss in ("ppo_clip_loss", "grpo_loss")
        for tensor, special in (("log_probs", np.inf), ("old_log_probs", -np.inf))
    },
    **{
        (loss, f"policy_{answer}_logps", special, "loss"): Otherwise(NUMBER, CERTAIN)
        for loss in ("cpo_loss", "simpo_loss", "dpo_loss")
        for answer, special in (("chosen", np.inf), ("rejected", -np.inf))
    },
    ("dpo_loss", "reference_chosen_logps", -np.inf, "loss"): Otherwise(NUMBER, CERTAIN),
    ("dpo_loss", "reference_rejected_logps", np.inf, "loss"): Otherwise(NUMBER, CERTAIN),
    ("orpo_loss", "policy_chosen_logps", -1e-42, "policy_chosen_logps"): Otherwise(
        MINUS_INFINITY, ODDS
    ),
    **{
        ("orpo_loss", "policy_rejected_logps", special, "policy_rejected_logps"): Otherwise(
            INFINITY, ODDS
        )
        for special in (0.0, -1e-42)
    },
    ("log_cosh_loss", "input", -np.inf, "loss"): Otherwise(INFINITY, COSH),
    ("log_cosh_loss", "target", np.inf, "loss"): Otherwise(INFINITY, COSH),
    ("ctc_loss", "log_probs", -np.inf, "log_probs"): Otherwise(
        NUMBER, "0 times infinity: a probability of 0 has a slope of 0"
    ),
}
"""By loss, tensor, the number in it, and result. docs/design.md tells of them."""


def kinds(values: Array) -> Array:
    """What each value is: a number (0), NaN (2), or an infinity and of which sign."""
    return np.where(np.isnan(values), 2, np.isinf(values) * np.sign(values))


@pytest.mark.filterwarnings("ignore:.*are broadcast")
@pytest.mark.parametrize("loss", sorted(registry))
def test_what_is_not_finite_is_where_pytorch_has_it(loss: str) -> None:
    """Or, of a NaN, NaN where PyTorch loses it; or what is listed above."""
    known = {key for key in OTHERWISE if key[0] == loss}
    found = set()
    for case in [c for c in MIDDLE if c.loss == loss]:
        agreed, other = special_results(case)
        assert agreed or not any(v.dtype.kind == "f" for v in case.tensors(np.float32).values())
        found |= other
    assert found == known, "OTHERWISE lists what there is"


def special_results(case: Case) -> tuple[int, set[tuple[str, str, float, str]]]:
    """How many results of a case are as expected, and where lossd answers otherwise."""
    whole = case.tensors(np.float32)
    agreed, other = 0, set()
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
                good = ours == theirs
                listed = OTHERWISE.get((case.loss, name, special, what))
                if listed is not None and (~good).any():
                    good |= (theirs == 2) & (ours == listed.answer)
                    other.add((case.loss, name, special, what))
                if np.isnan(special) or (np.isinf(special) and (case.loss, name) in INFINITE):
                    good |= ours == 2
                assert good.all(), f"{what} of {name} with {special}: {pair}"
                agreed += 1
    return agreed, other
