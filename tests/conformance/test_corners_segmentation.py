"""Corners of losses of segmentation: classes that nobody has, saturated logits, and errors."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from lossd_client.errors import LabelError, ParameterError, ShapeError

from lossd.engine import evaluate

from .test_corners import DTYPES, INF, NAN, Corner, near
from .test_corners import test_corner as check

RIGHT = [[[1.0, 1, 0, 0], [0, 0, 1, 1]]]  # two classes, two voxels each
NONE = [[[0.0, 0, 0, 0]]]
PERFECT = {"input": RIGHT, "target": RIGHT}
LOSSES = (
    "dice_loss",
    "jaccard_loss",
    "tversky_loss",
    "focal_tversky_loss",
    "generalized_dice_loss",
)
S = 1e-5  # the smoothing

CORNERS = [
    *(Corner("what is right costs nothing", loss, PERFECT, 0, torch=loss != "focal_tversky_loss")
      for loss in LOSSES),
    # slope (index · (1 - alpha - beta) - 1) · y / below + alpha · index / below, index = 1
    Corner("slopes where nothing is wrong", "dice_loss", PERFECT, 0,
           {"input": [[[-0.25 / (2 + S / 2)] * 2 + [0.25 / (2 + S / 2)] * 2,
                       [0.25 / (2 + S / 2)] * 2 + [-0.25 / (2 + S / 2)] * 2]]}),
    Corner("focal slopes where nothing is wrong would be infinite", "focal_tversky_loss", PERFECT,
           0, {"input": np.zeros((1, 2, 4)), "target": np.zeros((1, 2, 4))}, torch=False),
    Corner("focal slopes where nothing is wrong, gamma below 1", "focal_tversky_loss", PERFECT,
           0, {"input": np.zeros((1, 2, 4))}, {"gamma": 0.5}),
    Corner("a class that nobody has", "dice_loss", {"input": NONE, "target": NONE}, 0,
           {"input": [[[0.5 / (S / 2)] * 4]]}),
    Corner("a class that nobody has, not smoothed", "tversky_loss", {"input": NONE, "target": NONE},
           NAN, {}, {"smooth_nr": 0.0, "smooth_dr": 0.0}),
    Corner("nothing found", "jaccard_loss", {"input": NONE, "target": [[[1.0, 1, 0, 0]]]}, 1,
           {}, {"smooth_nr": 0.0}),
    Corner("soft targets are multiplied as they are", "dice_loss",
           {"input": [[[0.5, 0.5]]], "target": [[[0.5, 0.5]]]}, 0.5, {},
           {"smooth_nr": 0.0, "smooth_dr": 0.0}),
    Corner("squares take soft targets for right", "dice_loss",
           {"input": [[[0.5, 0.5]]], "target": [[[0.5, 0.5]]]}, 0, {}, {"squared_pred": True}),
    Corner("no voxels", "dice_loss", {"input": np.zeros((2, 3, 0)), "target": np.zeros((2, 3, 0))},
           0, {"input": np.zeros((2, 3, 0))}),
    Corner("no samples, mean", "dice_loss",
           {"input": np.zeros((0, 3, 4)), "target": np.zeros((0, 3, 4))}, NAN),
    Corner("no samples, sum", "generalized_dice_loss",
           {"input": np.zeros((0, 3, 4)), "target": np.zeros((0, 3, 4))}, 0, reduction="sum"),
    # the weights are 1 / 4² and, of the empty class, the same: 1 - 2 · 3 / (4 + 3 + 1)
    Corner("an empty class gets the largest weight", "generalized_dice_loss",
           {"input": [[[1.0, 1, 1, 0], [0, 0, 0, 1]]], "target": [[[1.0] * 4, [0] * 4]]}, 0.25,
           {}, {"smooth_nr": 0.0, "smooth_dr": 0.0}, torch=False),
    # 1 - 6 / 8 and the slopes 6 / 8² - 2 x / 8: the weights do not depend on volumes
    Corner("an empty class of no weight of its own", "generalized_dice_loss",
           {"input": [[[1.0, 1, 1, 0], [0, 0, 0, 1]]], "target": [[[1.0] * 4, [0] * 4]]}, 0.25,
           {"target": [[[-0.15625] * 3 + [0.09375], [0.09375] * 3 + [-0.15625]]]},
           {"w_type": "uniform", "smooth_nr": 0.0, "smooth_dr": 0.0}),
    Corner("no class at all", "generalized_dice_loss", {"input": NONE, "target": NONE}, 0,
           {"input": np.zeros((1, 1, 4))}, torch=False),
    Corner("logits far on the right side", "dice_loss",
           {"input": [[[1e3, 1e3, -1e3, -1e3]]], "target": [[[1.0, 1, 0, 0]]]}, 0,
           {"input": [[[0, 0, 0, 0]]]}, {"sigmoid": True}),
    Corner("logits far on the wrong side", "dice_loss",
           {"input": [[[-1e3, 1e3]]], "target": [[[1.0, 0]]]}, 1,
           {"input": [[[0, 0]]]}, {"sigmoid": True, "smooth_nr": 0.0}),
    Corner("infinite logits of a sigmoid", "tversky_loss",
           {"input": [[[INF, -INF]]], "target": [[[1.0, 0]]]}, 0,
           {"input": [[[0, 0]]]}, {"sigmoid": True}),
    Corner("large logits of a softmax", "dice_loss",
           {"input": [[[1e38, -1e38], [-1e38, 1e38]]], "target": [[[1.0, 0], [0, 1]]]}, 0,
           {"input": np.zeros((1, 2, 2))}, {"softmax": True}),
    Corner("a logit of -inf has probability 0", "dice_loss",
           {"input": [[[0.0, 0], [-INF, 0]]], "target": [[[1.0, 0], [0, 1]]]}, 4 / 15,
           {}, {"softmax": True, "smooth_nr": 0.0, "smooth_dr": 0.0}),
    Corner("a logit of +inf is none of a softmax", "dice_loss",
           {"input": [[[INF], [0.0]]], "target": [[[1.0], [0]]]}, NAN, {}, {"softmax": True}),
    Corner("without the background", "dice_loss",
           {"input": [[[0.3, 0.2], [1.0, 0]]], "target": [[[0.0, 1], [1, 0]]]}, [[0]],
           {}, {"include_background": False}, reduction="none"),
]  # fmt: skip


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("corner", CORNERS, ids=str)
def test_corner(corner: Corner, dtype: npt.DTypeLike) -> None:
    check(corner, dtype)


@pytest.mark.parametrize("loss", LOSSES)
def test_without_the_background_its_gradient_is_0(loss: str) -> None:
    rng = np.random.default_rng(0)
    tensors = {
        name: rng.uniform(size=(2, 3, 40)).astype(np.float32) for name in ("input", "target")
    }
    parameters = {"include_background": False}
    got = evaluate(loss, tensors, parameters=parameters, gradients=["input", "target"])
    rest = {name: array[:, 1:] for name, array in tensors.items()}
    alone = evaluate(loss, rest, gradients=["input", "target"])
    near(got.loss, alone.loss, 0, "loss")
    for name, gradient in got.gradients.items():
        assert not gradient[:, 0].any()
        near(gradient[:, 1:], alone.gradients[name], 0, name)


def test_focal_tversky_is_tversky_to_a_power() -> None:
    rng = np.random.default_rng(1)
    tensors = {name: rng.uniform(size=(2, 3, 40)) for name in ("input", "target")}
    form: dict[str, Any] = {"reduction": "none"}
    plain = evaluate("tversky_loss", tensors, parameters={"alpha": 0.3, "beta": 0.7}, **form)
    focal = evaluate("focal_tversky_loss", tensors, parameters={"gamma": 2.0}, **form)
    near(focal.loss, np.sqrt(plain.loss), 4, "loss")


@pytest.mark.parametrize(
    ("input", "target", "parameters", "message"),
    [
        ((2, 3), (2, 3), {}, r"input \(2, 3\) must be \(N, C, d1, …, dK\)"),
        ((2, 3, 4), (2, 4), {}, r"target \(2, 4\) must have the shape of input \(2, 3, 4\)"),
        ((2, 0, 4), (2, 0, 4), {}, r"input \(2, 0, 4\) has 0 classes; .* must have 1 or more"),
        (
            (2, 1, 4),
            (2, 1, 4),
            {"softmax": True},
            r"input \(2, 1, 4\) has 1 classes; with softmax = True .* must have 2 or more",
        ),
        (
            (2, 1, 4),
            (2, 1, 4),
            {"include_background": False},
            r".* and include_background = False it must have 2 or more",
        ),
    ],
)
@pytest.mark.parametrize("loss", LOSSES)
def test_shapes_that_do_not_fit(
    loss: str,
    input: tuple[int, ...],
    target: tuple[int, ...],
    parameters: dict[str, Any],
    message: str,
) -> None:
    tensors = {"input": np.zeros(input, np.float32), "target": np.zeros(target, np.float32)}
    with pytest.raises(ShapeError, match=f"^{loss}: {message}"):
        evaluate(loss, tensors, parameters=parameters)


@pytest.mark.parametrize(
    ("loss", "parameters", "message"),
    [
        ("dice_loss", {"softmax": True, "sigmoid": True}, "sigmoid and softmax exclude each other"),
        ("dice_loss", {"smooth_nr": -1.0}, r"smooth_nr = -1.0 .* must be >= 0"),
        ("tversky_loss", {"alpha": -0.1}, r"alpha = -0.1 .* must be >= 0"),
        ("focal_tversky_loss", {"gamma": 0.0}, r"gamma = 0.0 .* must be > 0"),
        (
            "generalized_dice_loss",
            {"w_type": "cube"},
            r"w_type = 'cube' .* must be one of 'square', 'simple', 'uniform'",
        ),
    ],
)
def test_parameters_outside_their_range(
    loss: str, parameters: dict[str, Any], message: str
) -> None:
    tensors = {name: np.zeros((1, 2, 3), np.float32) for name in ("input", "target")}
    with pytest.raises(ParameterError, match=message) as caught:
        evaluate(loss, tensors, parameters=parameters)
    assert caught.value.field == next(iter(parameters))


LABELS = np.array([[0, 2, 1, 1], [2, 2, 0, 0]])
X = np.random.default_rng(5).uniform(0.1, 0.9, (2, 3, 4))


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("dtype", [np.uint8, np.int64, np.float32, np.bool_])
def test_labels_of_any_type_are_one_hot_targets(loss: str, dtype: npt.DTypeLike) -> None:
    labels = LABELS.astype(dtype)
    target = (labels.astype(int)[:, None] == np.arange(3)[:, None]).astype(np.float32)
    expected = evaluate(loss, {"input": X, "target": target}, gradients=["input"])
    for given in (labels, labels[:, None]):
        tensors = {"input": X, "target": given}
        got = evaluate(loss, tensors, parameters={"to_onehot_y": True}, gradients=["input"])
        assert got.loss == expected.loss
        np.testing.assert_array_equal(got.gradients["input"], expected.gradients["input"])


def test_one_class_alone_has_no_labels() -> None:
    tensors = {"input": X[:, :1], "target": X[:, :1] > 0.5}
    got = evaluate("dice_loss", tensors, parameters={"to_onehot_y": True})
    assert got.loss == evaluate("dice_loss", tensors).loss


@pytest.mark.parametrize(
    ("target", "place"),
    [
        ([[0, 1, 2, 3], [0, 0, 0, 0]], r"\[0, 3\] = 3"),
        ([[0, 1, 2, 0], [0, -1, 0, 0]], r"\[1, 1\] = -1"),
        ([[0, 1.5, 2, 0], [0, 0, 0, 0]], r"\[0, 1\] = 1.5"),
        ([[0, NAN, 2, 0], [0, 0, 0, 0]], r"\[0, 1\] = nan"),
    ],
)
def test_labels_that_are_no_class(target: Any, place: str) -> None:
    tensors = {"input": X, "target": np.array(target)}
    with pytest.raises(LabelError, match=f"dice_loss: target{place} is no class"):
        evaluate("dice_loss", tensors, parameters={"to_onehot_y": True})


def test_labels_have_their_shapes_and_no_gradient() -> None:
    labels: dict[str, Any] = {"parameters": {"to_onehot_y": True}}
    with pytest.raises(ShapeError, match=r"with to_onehot_y it must be \(2, 1, 4\)"):
        evaluate("dice_loss", {"input": X, "target": X}, **labels)
    with pytest.raises(ShapeError, match="to_onehot_y takes the class of each voxel"):
        evaluate("dice_loss", {"input": X, "target": LABELS})
    with pytest.raises(ParameterError, match="no gradient with respect to 'target'"):
        evaluate("dice_loss", {"input": X, "target": LABELS}, gradients=["target"], **labels)
