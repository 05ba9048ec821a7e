"""Corners of the losses of ranked lists (see test_corners.py)."""

import numpy as np
import numpy.typing as npt
import pytest
from lossd_client.errors import ParameterError, ShapeError

from lossd.engine import evaluate

from .model import Case
from .test_corners import DTYPES, INF, LOG2, NAN, Corner
from .test_corners import test_corner as check

LOSS = "listwise_softmax_loss"

CORNERS = [
    Corner("labels are used as they are", LOSS, {"input": [[0.0, 0]], "target": [[3.0, 1]]},
           4 * LOG2, {"input": [[-1, 1]], "target": [[LOG2, LOG2]]}),
    Corner("nothing relevant", LOSS, {"input": [[5.0, 0]], "target": [[0.0, 0]]}, 0,
           {"input": [[0, 0]]}),
    Corner("padding of any score", LOSS,
           {"input": [[0.0, 0, INF, NAN]], "target": [[1.0, 0, -1, -0.5]]}, LOG2,
           {"input": [[-0.5, 0.5, 0, 0]], "target": [[LOG2, LOG2, 0, 0]]}, torch=False),
    Corner("padding only", LOSS, {"input": [[1.0, 2]], "target": [[-1.0, -1]]}, 0,
           {"input": [[0, 0]], "target": [[0, 0]]}, torch=False),  # torch: NaN
    Corner("far apart", LOSS, {"input": [[1000.0, 0]], "target": [[0.0, 1]]}, 1000,
           {"input": [[1, -1]], "target": [[0, 1000]]}),
    Corner("the temperature", LOSS, {"input": [[1000.0, 0]], "target": [[0.0, 1]]}, 4000,
           {"input": [[4, -4]], "target": [[0, 4000]]}, {"temperature": 0.25}),
    Corner("NaN in a label", LOSS, {"input": [[0.0, 0]], "target": [[NAN, 1]]}, NAN, torch=False),
    Corner("a mean over lists", LOSS,
           {"input": [[0.0, 0], [7, 7]], "target": [[1.0, 0], [0, 3]]}, 2 * LOG2),
    Corner("empty batch, sum", LOSS, {"input": np.zeros((0, 2)), "target": np.zeros((0, 2))}, 0,
           reduction="sum"),
]  # fmt: skip


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("corner", CORNERS, ids=str)
def test_corner(corner: Corner, dtype: npt.DTypeLike) -> None:
    check(corner, dtype)


def test_what_does_not_fit() -> None:
    tensors = Case(LOSS, (4, 3)).tensors(np.float32)
    with pytest.raises(ShapeError, match=r"target \(4, 2\) do not fit together"):
        evaluate(LOSS, tensors | {"target": np.zeros((4, 2), np.float32)})
    with pytest.raises(ShapeError, match=r"target \(\) must be \(\*, L\)"):
        evaluate(LOSS, tensors | {"target": np.zeros((), np.float32)})
    with pytest.raises(ParameterError, match=r"temperature = -1.0 .* must be > 0"):
        evaluate(LOSS, tensors, parameters={"temperature": -1.0})
