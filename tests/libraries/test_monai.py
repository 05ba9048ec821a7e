"""Losses of segmentation and of one class in many, as MONAI 1.6 defines them."""

from typing import Any

import monai.losses
import numpy as np

from tests.conformance.model import Case

from .agreement import BOTH, Answer, answers, assert_matches, each_case, of


def in_columns(input: Any, target: Any) -> Any:
    """Labels as MONAI takes them."""
    return target if target.ndim == input.ndim else target[:, None]


def dice(input: Any, target: Any, reduction: str, **options: Any) -> Any:
    losses = monai.losses.DiceLoss(reduction=reduction, **options)(input, in_columns(input, target))
    return losses.flatten(1) if reduction == "none" else losses


def jaccard(input: Any, target: Any, **options: Any) -> Any:
    return dice(input, target, jaccard=True, **options)


def tversky(input: Any, target: Any, **options: Any) -> Any:
    return monai.losses.TverskyLoss(**options)(input, in_columns(input, target))


def focal_tversky(
    input: Any,
    target: Any,
    reduction: str,
    alpha: float = 0.3,
    beta: float = 0.7,
    gamma: float = 4 / 3,
    **options: Any,
) -> Any:
    """The power of MONAI's Tversky loss; whose own name for the weight of a miss is `beta`."""
    options |= {"alpha": alpha, "beta": beta, "reduction": "none"}
    losses = tversky(input, target, **options) ** (1 / gamma)
    return losses if reduction == "none" else losses.mean()


def generalized_dice(input: Any, target: Any, reduction: str, **options: Any) -> Any:
    losses = monai.losses.GeneralizedDiceLoss(reduction=reduction, **options)(
        input, in_columns(input, target)
    )
    return losses.flatten() if reduction == "none" else losses


LOSSES = {
    "dice_loss": dice,
    "jaccard_loss": jaccard,
    "tversky_loss": tversky,
    "focal_tversky_loss": focal_tversky,
}


def drawn(case: Case) -> bool:
    return 0 not in case.shape


@BOTH
@answers
@each_case(of(*LOSSES, where=drawn))
def test_matches_monai(case: Case, answer: Answer, reduction: str) -> None:
    assert_matches(answer, case, LOSSES[case.loss], reduction)


@BOTH
@answers
@each_case(of("generalized_dice_loss", where=drawn))
def test_generalized_dice_matches_monai(case: Case, answer: Answer, reduction: str) -> None:
    # its weights are float32, and changed in place, so that there is no gradient of the target
    assert_matches(answer, case, generalized_dice, reduction, np.float32, gradients=("input",))


def focal(
    input: Any,
    target: Any,
    reduction: str,
    weight: Any = None,
    gamma: float = 2.0,
    ignore_index: int = -100,
) -> Any:
    """The loss of each label: MONAI has a loss for each class, 0 for all but one."""
    loss = monai.losses.FocalLoss(
        to_onehot_y=True,
        use_softmax=True,
        gamma=gamma,
        weight=weight,
        ignore_index=ignore_index,
        reduction=reduction,
    )
    return loss(input, target[:, None]).sum(1)


def classified(case: Case) -> bool:
    """Whether the second dimension is that of classes, and there is more than one."""
    return len(case.shape) > 1 and case.shape[1] > 1 and 0 not in case.shape


@answers
@each_case(of("softmax_focal_loss", where=classified))
def test_focal_loss_matches_monai(case: Case, answer: Answer) -> None:
    assert_matches(answer, case, focal, "none", np.float32)  # it computes in float32
