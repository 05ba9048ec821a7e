"""Corners of losses of boxes: what coincides, what has no area, what does not meet, and errors."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from lossd_client.errors import DomainError, ParameterError, ShapeError

from lossd.engine import evaluate

from .test_corners import DTYPES, NAN, Corner, near
from .test_corners import test_corner as check

LOSSES = (
    "box_iou_loss",
    "generalized_box_iou_loss",
    "distance_box_iou_loss",
    "complete_box_iou_loss",
)
EXACT = {"eps": 0.0}
UNIT = [[0.0, 0, 1, 1]]
NONE = [[0.0, 0, 0, 0]]


def two(box1: Any, box2: Any) -> dict[str, Any]:
    return {"boxes1": box1, "boxes2": box2}


def nowhere(box: Any) -> dict[str, Any]:
    return {name: np.zeros(np.shape(box)) for name in ("boxes1", "boxes2")}


CORNERS = [
    # at equal ends either box has half the slope of the intersection: -1 / 2 · 2, and 1 of the area
    *(Corner("the same box", loss, two(UNIT, UNIT), 0, {"boxes1": [[0, 0, 0, 0]]}, EXACT)
      for loss in LOSSES if loss != "complete_box_iou_loss"),
    Corner("the same box, no eps in the weight", "complete_box_iou_loss", two(UNIT, UNIT), NAN, {},
           EXACT),
    Corner("apart", "box_iou_loss", two(UNIT, [[2.0, 2, 3, 3]]), 1, nowhere(UNIT), EXACT),
    Corner("touching", "box_iou_loss", two(UNIT, [[1.0, 0, 2, 1]]), 1, nowhere(UNIT), EXACT),
    # the enclosing box has area 9, of which 7 are in neither; its slope is 2 / 9² · 3
    Corner("apart", "generalized_box_iou_loss", two(UNIT, [[2.0, 2, 3, 3]]), 1 + 7 / 9,
           {"boxes1": [[-6 / 81 + 1 / 9, -6 / 81 + 1 / 9, -1 / 9, -1 / 9]]}, EXACT),
    # centres 2 apart on either axis, a diagonal of 3² + 3²
    Corner("apart", "distance_box_iou_loss", two(UNIT, [[2.0, 2, 3, 3]]), 1 + 8 / 18, {}, EXACT),
    Corner("within", "box_iou_loss", two([[1.0, 1, 2, 2]], [[0.0, 0, 4, 4]]), 15 / 16,
           {"boxes1": [[1 / 16, 1 / 16, -1 / 16, -1 / 16]]}, EXACT),
    Corner("around one centre", "distance_box_iou_loss", two([[1.0, 1, 3, 3]], [[0.0, 0, 4, 4]]),
           0.75, {}, EXACT),
    # a quarter turn less: v = 4 / π² (π / 4)² = 1 / 4, alpha = v / (1 + v) = 1 / 5
    Corner("no height", "complete_box_iou_loss", two([[0.0, 0, 1, 0]], [[0.0, 0, 1, 1]]),
           1 + 0.25 / 2 + 0.05, {}, EXACT),
    Corner("neither width nor height", "box_iou_loss", two(NONE, UNIT), 1, nowhere(NONE), EXACT),
    Corner("two boxes without area, eps 0", "box_iou_loss", two(NONE, NONE), NAN, {}, EXACT),
    Corner("two boxes without area", "generalized_box_iou_loss", two(NONE, NONE), 1),
    Corner("no aspect ratio to differ in", "complete_box_iou_loss", two(NONE, UNIT), 1.25,
           {}, EXACT, torch=False),
    Corner("NaN", "complete_box_iou_loss", two([[0.0, NAN, 1, 1]], UNIT), NAN,
           {"boxes1": [[NAN] * 4], "boxes2": [[NAN] * 4]}, torch=False),
    *(Corner("no boxes, mean", loss, two(np.zeros((0, 4)), np.zeros((0, 4))), NAN)
      for loss in LOSSES),
    Corner("no boxes, sum", "generalized_box_iou_loss", two(np.zeros((0, 4)), np.zeros((0, 4))), 0,
           reduction="sum"),
    Corner("one box", "generalized_box_iou_loss", two(UNIT[0], [0.0, 0, 1, 2]), 0.5, {}, EXACT,
           reduction="none"),
]  # fmt: skip


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("corner", CORNERS, ids=str)
def test_corner(corner: Corner, dtype: npt.DTypeLike) -> None:
    check(corner, dtype)


@pytest.mark.parametrize("loss", LOSSES)
def test_boxes_are_interchangeable(loss: str) -> None:
    rng = np.random.default_rng(2)
    corners = rng.uniform(0, 3, (2, 9, 2))
    first, second = np.concatenate([corners, corners + rng.uniform(0.1, 2, (2, 9, 2))], -1)
    there = evaluate(loss, two(first, second), gradients=["boxes1", "boxes2"])
    back = evaluate(loss, two(second, first), gradients=["boxes1", "boxes2"])
    near(there.loss, back.loss, 4, "loss")
    np.testing.assert_allclose(there.gradients["boxes1"], back.gradients["boxes2"], atol=1e-15)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("name", ["boxes1", "boxes2"])
def test_what_is_not_a_box(loss: str, name: str) -> None:
    boxes = np.tile(np.float32([0, 0, 1, 1]), (2, 3, 1))
    for bad, text in (([5, 0, 4.5, 1], r"\(5, 0, 4.5, 1\)"), ([0, 2, 1, 1], r"\(0, 2, 1, 1\)")):
        tensors = two(boxes, boxes)
        tensors[name] = boxes.copy()
        tensors[name][1, 2] = bad
        with pytest.raises(DomainError, match=rf"{name}\[1, 2\] = {text} is not a box") as caught:
            evaluate(loss, tensors)
        assert caught.value.field == name
    with pytest.raises(DomainError, match=r"boxes1 = \(1, 0, 0, 1\) is not a box"):
        evaluate(loss, two([1.0, 0, 0, 1], UNIT[0]))


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        ((3, 5), (3, 5), r"boxes1 \(3, 5\) must be \(\*, 4\)"),
        ((), (), r"boxes1 \(\) must be \(\*, 4\)"),
        ((3, 4), (1, 4), r"boxes2 \(1, 4\) must have the shape of boxes1 \(3, 4\)"),
    ],
)
def test_shapes_that_do_not_fit(
    first: tuple[int, ...], second: tuple[int, ...], message: str
) -> None:
    tensors = two(np.zeros(first, np.float32), np.zeros(second, np.float32))
    with pytest.raises(ShapeError, match=message):
        evaluate("generalized_box_iou_loss", tensors)


def test_eps_below_0_is_an_error() -> None:
    with pytest.raises(ParameterError, match=r"eps = -1.0 .* must be >= 0"):
        evaluate("box_iou_loss", two(UNIT, UNIT), parameters={"eps": -1.0})
