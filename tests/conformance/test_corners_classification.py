"""Corners of the losses of one class in many that torch.nn lacks (see test_corners.py)."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from lossd_client.errors import LabelError, ParameterError, ShapeError

from lossd.engine import evaluate

from .compare import assert_conforms
from .model import Case
from .oracles import oracle
from .test_corners import DTYPES, IGNORED, INF, LOG2, NAN, TWO, ZEROS, Corner, near
from .test_corners import test_corner as check

Q = float(1 / (1 + np.exp(10)))  # what is not the label's at logits of 10 and 0
K = 0.25 * (1 + 2 * LOG2)  # focal's slope at a probability of 1/2
A = float(np.log(1e-4))
SIXTY = {"margin": 60.0, "scale": 1.0}
BEHIND = -1 - np.pi / 3 * np.sin(np.pi / 3)  # -1, lowered as where angle and margin exceed 180

# The gradients that torch has NaN for: 0 · inf, in the power of 0 and in the slope of acos at ±1
CORNERS = [
    *(
        corner
        for loss in (
            "softmax_focal_loss", "poly1_cross_entropy_loss", "symmetric_cross_entropy_loss",
        )
        for corner in (
            Corner("every target ignored, mean", loss, {"input": TWO, "target": IGNORED}, NAN,
                   {"input": ZEROS}, torch=False),  # the peers divide by 0, cross entropy does not
            Corner("every target ignored, sum", loss, {"input": TWO, "target": IGNORED}, 0,
                   {"input": ZEROS}, reduction="sum"),
            Corner("total weight 0, mean", loss,
                   {"input": [[0.0, 1]], "target": [0], "weight": [0.0, 1]}, NAN,
                   {"input": [[NAN, NAN]]}),
            Corner("empty batch, sum", loss,
                   {"input": np.zeros((0, 3)), "target": np.zeros(0, int)}, 0, reduction="sum"),
            Corner("one class", loss, {"input": [[5.0]], "target": [0]}, 0, {"input": [[0]]}),
            Corner("every logit -inf", loss, {"input": [[-INF, -INF]], "target": [0]}, NAN,
                   {"input": [[NAN, NAN]]}),
            Corner("other logit +inf", loss, {"input": [[0.0, INF]], "target": [0]}, NAN,
                   {"input": [[NAN, NAN]]}),
            Corner("target logit +inf", loss, {"input": [[INF, 0.0]], "target": [0]}, 0,
                   {"input": [[0, 0]]}, torch=False),
            Corner("others left out", loss, {"input": [[3.0, -INF, -INF]], "target": [0]}, 0,
                   {"input": [[0, 0, 0]]}),
            Corner("far ahead", loss, {"input": [[1000.0, 0]], "target": [0]}, 0,
                   {"input": [[0, 0]]}),
        )
    ),
    Corner("a row ignored", "softmax_focal_loss",
           {"input": [[0.0, 0], [7, 5]], "target": [0, -100]}, 0.25 * LOG2,
           {"input": [[-K / 2, K / 2], [0, 0]]}),
    # weights 1 and 3: the same mean as without, and the gradients weighed
    Corner("weights, mean", "softmax_focal_loss",
           {"input": [[0.0, 0], [0, 0]], "target": [0, 1], "weight": [1.0, 3]}, 0.25 * LOG2,
           {"input": [[-K / 8, K / 8], [3 * K / 8, -3 * K / 8]]}),
    Corner("a class left out", "softmax_focal_loss", {"input": [[0.0, 0, -INF]], "target": [0]},
           0.25 * LOG2, {"input": [[-K / 2, K / 2, 0]]}),
    Corner("target logit -inf", "softmax_focal_loss", {"input": [[0.0, -INF]], "target": [1]},
           INF, {"input": [[1, -1]]}, torch=False),
    Corner("far behind", "softmax_focal_loss", {"input": [[1000.0, 0]], "target": [1]}, 1000,
           {"input": [[1, -1]]}, torch=False),
    Corner("far ahead, a power below 1", "softmax_focal_loss",
           {"input": [[1000.0, 0]], "target": [0]}, 0, {"input": [[0, 0]]}, {"gamma": 0.5},
           torch=False),
    # torch subtracts p from 1, of which float32 leaves two digits here
    Corner("nearly certain", "softmax_focal_loss", {"input": [[10.0, 0]], "target": [0]},
           -(Q**2) * np.log1p(-Q),
           {"input": [[-(Q**3) + 2 * Q**2 * (1 - Q) * np.log1p(-Q),
                       Q**3 - 2 * Q**2 * (1 - Q) * np.log1p(-Q)]]}, torch=False),
    Corner("minus one: the first term is taken away", "poly1_cross_entropy_loss",
           {"input": [[0.0, 0]], "target": [0]}, LOG2 - 0.5, {"input": [[-0.25, 0.25]]},
           {"epsilon": -1.0}),
    Corner("target logit -inf", "poly1_cross_entropy_loss",
           {"input": [[0.0, -INF]], "target": [1]}, INF, {"input": [[1, -1]]}, torch=False),
    Corner("two classes alike", "symmetric_cross_entropy_loss",
           {"input": [[0.0, 0]], "target": [0]}, 2 * LOG2 - 1.5 * A,
           {"input": [[-1 + 0.75 * A, 1 - 0.75 * A]]}, {"alpha": 2.0, "beta": 3.0}),
    Corner("zeros of labels count as 1", "symmetric_cross_entropy_loss",
           {"input": [[0.0, 0]], "target": [0]}, 0.1 * LOG2, {"input": [[-0.05, 0.05]]},
           {"label_clamp": 1.0}),
    Corner("far behind", "symmetric_cross_entropy_loss",
           {"input": [[1000.0, 0]], "target": [1]}, 100 - A, {"input": [[0.1, -0.1]]}),
    Corner("the label's centre itself", "arcface_loss", {"input": [[1.0, 0.5]], "target": [0]},
           LOG2, {"input": [[-0.25, 0.5]]}, SIXTY, torch=False),
    Corner("beyond 1, as rounding may leave it", "arcface_loss",
           {"input": [[1.5, 0.5]], "target": [0]}, LOG2, {"input": [[0, 0.5]]}, SIXTY,
           torch=False),
    Corner("opposite to the label's centre", "arcface_loss",
           {"input": [[-1.0, BEHIND]], "target": [0]}, LOG2, {"input": [[-0.5, 0.5]]}, SIXTY,
           torch=False),
    Corner("no margin", "arcface_loss", {"input": [[1.0, 1]], "target": [0]}, LOG2,
           {"input": [[-0.5, 0.5]]}, {"margin": 0.0, "scale": 1.0}, torch=False),
    Corner("angle and margin are 180 degrees", "arcface_loss",
           {"input": [[0.0, -1]], "target": [0]}, LOG2, {}, {"margin": 90.0, "scale": 1.0}),
    Corner("one class", "arcface_loss", {"input": [[0.5]], "target": [0]}, 0, {"input": [[0]]}),
    Corner("NaN at the label", "arcface_loss", {"input": [[NAN, 0]], "target": [0]}, NAN,
           {"input": [[NAN, NAN]]}, torch=False),
    # e^(scale · margin) overflows in float32
    Corner("a large scale", "cosface_loss", {"input": [[1.0, 0.5, -1]], "target": [0]}, LOG2,
           {"input": [[-500, 500, 0]]}, {"margin": 0.5, "scale": 1000.0}),
    Corner("a large scale, far ahead", "cosface_loss", {"input": [[1.0, -1]], "target": [0]}, 0,
           {"input": [[0, 0]]}, {"scale": 1e6}),
    Corner("a large scale, far behind", "cosface_loss", {"input": [[-1.0, 1]], "target": [0]},
           2.5e6, {"input": [[-1e6, 1e6]]}, {"margin": 0.5, "scale": 1e6}),
    Corner("one class", "cosface_loss", {"input": [[0.5]], "target": [0]}, 0, {"input": [[0]]}),
]  # fmt: skip


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("corner", CORNERS, ids=str)
def test_corner(corner: Corner, dtype: npt.DTypeLike) -> None:
    check(corner, dtype)


@pytest.mark.parametrize(
    ("loss", "parameters"),
    [
        ("softmax_focal_loss", {"gamma": 0.0}),
        ("poly1_cross_entropy_loss", {"epsilon": 0.0}),
        ("symmetric_cross_entropy_loss", {"alpha": 1.0, "beta": 0.0}),
    ],
)
@pytest.mark.parametrize("dtype", DTYPES)
def test_cross_entropy_is_among_them(
    loss: str, parameters: dict[str, Any], dtype: npt.DTypeLike
) -> None:
    tensors = Case(loss, (9, 10), {}, {"weight": "random", "ignored": -100}).tensors(dtype)
    got = evaluate(loss, tensors, parameters=parameters, gradients=["input"])
    expected = evaluate("cross_entropy", tensors, gradients=["input"])
    near(got.loss, expected.loss, 8, "loss")
    scale = float(abs(expected.gradients["input"]).max())
    error = abs(got.gradients["input"] - expected.gradients["input"]).max()
    assert error <= 8 * np.finfo(dtype).eps * scale


@pytest.mark.parametrize("classes", [2, 10])
@pytest.mark.parametrize("scale", [64.0, 300.0])
@pytest.mark.parametrize("loss", ["arcface_loss", "cosface_loss"])
def test_a_scale_multiplies_no_rounding(loss: str, scale: float, classes: int) -> None:
    # so many rows that the label and its best rival come close in some
    case = Case(loss, (1000, classes), {"scale": scale})
    tensors = case.tensors(np.float64)
    form: dict[str, Any] = {"parameters": case.parameters, "reduction": "none"}
    got = evaluate(loss, tensors, gradients=["input"], grad_output=np.ones(1000), **form)
    assert_conforms(got, oracle(loss, tensors, upstream=np.ones(1000), **form), np.float64)


@pytest.mark.parametrize(
    ("loss", "parameters", "message"),
    [
        ("softmax_focal_loss", {"gamma": -0.5}, r"gamma = -0.5 .* must be >= 0"),
        ("poly1_cross_entropy_loss", {"epsilon": -1.5}, r"epsilon = -1.5 .* must be >= -1"),
        ("symmetric_cross_entropy_loss", {"alpha": -1.0}, r"alpha = -1.0 .* must be >= 0"),
        ("symmetric_cross_entropy_loss", {"label_clamp": 0.0}, r"label_clamp = 0.0 .* must be > 0"),
        ("arcface_loss", {"margin": 181.0}, r"margin = 181.0 .* must be >= 0 and <= 180"),
        ("arcface_loss", {"scale": 0.0}, r"scale = 0.0 .* must be > 0"),
        ("cosface_loss", {"margin": -0.1}, r"margin = -0.1 .* must be >= 0"),
        ("cosface_loss", {"scale": NAN}, r"scale = nan .* must be > 0"),
    ],
)
def test_parameters_outside_their_range(
    loss: str, parameters: dict[str, float], message: str
) -> None:
    with pytest.raises(ParameterError, match=message):
        evaluate(loss, Case(loss, (2, 3)).tensors(np.float32), parameters=parameters)


@pytest.mark.parametrize("loss", sorted({corner.loss for corner in CORNERS}))
def test_labels_and_shapes_that_do_not_fit(loss: str) -> None:
    tensors = Case(loss, (2, 3)).tensors(np.float32)
    with pytest.raises(LabelError, match=r"target\[1\] = 3 is outside \[0, 3\)"):
        evaluate(loss, tensors | {"target": np.array([0, 3])})
    with pytest.raises(ShapeError, match=r"target \(3,\) does not fit input \(2, 3\)"):
        evaluate(loss, tensors | {"target": np.array([0, 1, 2])})
