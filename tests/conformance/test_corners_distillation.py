"""Corners of the losses of a student and a teacher (see test_corners.py)."""

import numpy as np
import numpy.typing as npt
import pytest
from lossd_client.errors import ParameterError, ShapeError

from lossd.engine import evaluate

from .model import Case
from .test_corners import DTYPES, INF, LOG2, NAN, Corner
from .test_corners import test_corner as check

LOG4 = float(np.log(4 / 3))


def pair(student: list[float], teacher: list[float]) -> dict[str, npt.NDArray[np.float64]]:
    both = np.array([[student], [teacher]], np.float64)
    return dict(zip(("student_logits", "teacher_logits"), both, strict=True))


# Where a logit is -inf, torch has 0 · inf = NaN
CORNERS = [
    Corner("alike", "distillation_kl_loss", pair([3, 3], [1, 1]), 0,
           {"student_logits": [[0, 0]], "teacher_logits": [[0, 0]]}),
    Corner("one class", "distillation_kl_loss", pair([3], [-2]), 0,
           {"student_logits": [[0]], "teacher_logits": [[0]]}),
    Corner("certain, and the student as certain of the other", "distillation_kl_loss",
           pair([0, 1000], [1000, 0]), 1000,
           {"student_logits": [[-1, 1]], "teacher_logits": [[0, 0]]}),
    # both soften to probabilities of 1/2 and a certain teacher
    Corner("the temperature's square", "distillation_kl_loss", pair([1, 1], [1e4, 0]), 16 * LOG2,
           {"student_logits": [[-2, 2]], "teacher_logits": [[0, 0]]}, {"temperature": 4.0}),
    Corner("left out by the teacher", "distillation_kl_loss", pair([0, 0], [0, -INF]), LOG2,
           {"student_logits": [[-0.5, 0.5]], "teacher_logits": [[0, 0]]}, torch=False),
    Corner("left out by both", "distillation_kl_loss", pair([0, -INF, 5], [1, -INF, 6]), 0,
           {"student_logits": [[0, 0, 0]], "teacher_logits": [[0, 0, 0]]}, torch=False),
    Corner("left out by the student alone", "distillation_kl_loss", pair([0, -INF], [0, 0]), INF,
           {"student_logits": [[0.5, -0.5]]}),
    Corner("a logit of inf", "distillation_kl_loss", pair([0, INF], [0, 0]), NAN,
           {"student_logits": [[NAN, NAN]]}),
    Corner("alike", "generalized_jsd_loss", pair([3, 3], [1, 1]), 0, {"student_logits": [[0, 0]]}),
    Corner("one class", "generalized_jsd_loss", pair([3], [-2]), 0, {"student_logits": [[0]]}),
    Corner("certain of different classes", "generalized_jsd_loss", pair([0, 1000], [1000, 0]),
           LOG2, {"student_logits": [[0, 0]]}),
    # the mixture is 3/4 and 1/4
    Corner("left out by the teacher", "generalized_jsd_loss", pair([0, 0], [0, -INF]),
           LOG4 / 2 + (np.log(2 / 3) + LOG2) / 4,
           {"student_logits": [[np.log(1 / 3) / 8, -np.log(1 / 3) / 8]]}, torch=False),
    Corner("left out by the student", "generalized_jsd_loss", pair([0, -INF], [0, 0]),
           LOG4 / 2 + (np.log(2 / 3) + LOG2) / 4,
           {"student_logits": [[0, 0]],
            "teacher_logits": [[np.log(1 / 3) / 8, -np.log(1 / 3) / 8]]}, torch=False),
    Corner("left out by both", "generalized_jsd_loss", pair([0, -INF, 0], [1, -INF, 1]), 0,
           {"student_logits": [[0, 0, 0]]}, torch=False),
    Corner("left out by the teacher, its divergence", "generalized_jsd_loss",
           pair([0, 0], [0, -INF]), LOG2,
           {"student_logits": [[-0.5, 0.5]], "teacher_logits": [[0, 0]]}, {"beta": 0.0},
           torch=False),
    Corner("left out by the student, its divergence", "generalized_jsd_loss",
           pair([0, -INF], [0, 0]), LOG2,
           {"student_logits": [[0, 0]], "teacher_logits": [[-0.5, 0.5]]}, {"beta": 1.0},
           torch=False),
    Corner("left out by the teacher, the student's divergence", "generalized_jsd_loss",
           pair([0, 0], [0, -INF]), INF, {}, {"beta": 1.0}),
    Corner("NaN in the teacher", "generalized_jsd_loss", pair([0, 0], [0, NAN]), NAN,
           {"student_logits": [[NAN, NAN]]}),
    Corner("a logit of inf", "generalized_jsd_loss", pair([0, INF], [0, 0]), NAN,
           {"student_logits": [[NAN, NAN]]}),
    *(
        Corner("empty batch, sum", loss,
               {"student_logits": np.zeros((0, 2)), "teacher_logits": np.zeros((0, 2))}, 0,
               reduction="sum")
        for loss in ("distillation_kl_loss", "generalized_jsd_loss")
    ),
]  # fmt: skip


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("corner", CORNERS, ids=str)
def test_corner(corner: Corner, dtype: npt.DTypeLike) -> None:
    check(corner, dtype)


@pytest.mark.parametrize("loss", ["distillation_kl_loss", "generalized_jsd_loss"])
def test_what_does_not_fit(loss: str) -> None:
    tensors = Case(loss, (4, 3)).tensors(np.float32)
    with pytest.raises(ShapeError, match=r"teacher_logits \(4, 1\) must have the shape of student"):
        evaluate(loss, tensors | {"teacher_logits": np.zeros((4, 1), np.float32)})
    with pytest.raises(ShapeError, match=r"student_logits \(4, 0\) must be \(\*, C\)"):
        evaluate(loss, dict.fromkeys(tensors, np.zeros((4, 0), np.float32)))
    with pytest.raises(ParameterError, match=r"temperature = 0.0 .* must be > 0"):
        evaluate(loss, tensors, parameters={"temperature": 0.0})


def test_beta_is_a_share() -> None:
    tensors = Case("generalized_jsd_loss", (4, 3)).tensors(np.float32)
    with pytest.raises(ParameterError, match=r"beta = 1.5 .* must be >= 0 and <= 1"):
        evaluate("generalized_jsd_loss", tensors, parameters={"beta": 1.5})
