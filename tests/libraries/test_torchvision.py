"""Losses of detection, as torchvision 0.28 defines them.

torchvision's `__init__` loads compiled operators, which a wheel made for GPUs does not find beside
torch for CPUs. Its losses need none of them: their modules are imported without it.
"""

import importlib
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

from lossd.engine import evaluate
from tests.conformance.model import Case

from .agreement import BOTH, Answer, answers, assert_matches, each_case, of

FOLDER = Path(sys.prefix) / "apart" / "torchvision"

MODULES = ("focal_loss", "giou_loss", "diou_loss", "ciou_loss")


def loaded() -> dict[str, Any]:
    """The losses' modules; no trace of the package is left, which others would take for whole."""
    for name, folder in {"torchvision": FOLDER, "torchvision.ops": FOLDER / "ops"}.items():
        package = ModuleType(name)
        package.__path__ = [str(folder)]
        sys.modules[name] = package
    made = {name: importlib.import_module(f"torchvision.ops.{name}") for name in MODULES}
    for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
        del sys.modules[name]
    return made


OPS = loaded()


def box_iou(boxes1: Any, boxes2: Any, reduction: str, eps: float = 1e-7) -> Any:
    """One minus the IoU that torchvision's DIoU loss computes on its way."""
    losses = 1 - OPS["diou_loss"]._diou_iou_loss(boxes1, boxes2, eps)[1]
    return losses if reduction == "none" else losses.mean()


def sigmoid_focal(input: Any, target: Any, **options: Any) -> Any:
    return OPS["focal_loss"].sigmoid_focal_loss(input, target, **options)


LOSSES: dict[str, Any] = {
    "box_iou_loss": box_iou,
    "generalized_box_iou_loss": OPS["giou_loss"].generalized_box_iou_loss,
    "distance_box_iou_loss": OPS["diou_loss"].distance_box_iou_loss,
    "complete_box_iou_loss": OPS["ciou_loss"].complete_box_iou_loss,
    "sigmoid_focal_loss": sigmoid_focal,
}


def taken(case: Case) -> bool:
    """Whether it is no mean of nothing, nor a CIoU whose other denominators have no `eps`."""
    return 0 not in case.shape and (case.loss, *case.parameters) != ("complete_box_iou_loss", "eps")


@BOTH
@answers
@each_case(of(*LOSSES, where=taken))
def test_matches_torchvision(case: Case, answer: Answer, reduction: str) -> None:
    assert_matches(answer, case, LOSSES[case.loss], reduction)


@pytest.mark.parametrize("loss", [name for name in LOSSES if name.endswith("_box_iou_loss")])
def test_mean_of_no_boxes_is_0(loss: str) -> None:
    none = {"boxes1": np.zeros((0, 4)), "boxes2": np.zeros((0, 4))}
    expected = LOSSES[loss](**{n: torch.from_numpy(x) for n, x in none.items()}, reduction="mean")
    assert evaluate(loss, none, zero_if_empty=True).loss == expected == 0
