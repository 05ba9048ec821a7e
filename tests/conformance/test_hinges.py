"""Labels of the hinge losses, beside Keras."""

from typing import Any

import numpy as np
import pytest
import torch

from lossd.engine import evaluate

from .peers import keras

HINGES = {"hinge_loss": keras.losses.hinge, "squared_hinge_loss": keras.losses.squared_hinge}
RNG = np.random.default_rng(11)


LABELS = [
    (labels, kind)
    for labels in ((0, 1), (-1, 1), (0, 0), (1, 1))
    for kind in (np.float32, np.float64, np.int64, np.uint8, bool)
    if min(labels) >= 0 or np.dtype(kind).kind in "fi"
]


@pytest.mark.parametrize("loss", HINGES)
@pytest.mark.parametrize(("labels", "kind"), LABELS)
def test_labels_of_both_kinds(loss: str, labels: tuple[int, int], kind: Any) -> None:
    x = RNG.standard_normal((40, 1), np.float32)
    y = RNG.choice(labels, x.shape).astype(kind)
    scores = torch.tensor(x, requires_grad=True)
    expected = HINGES[loss](torch.tensor(y.astype(np.float32)), scores)
    expected.sum().backward()
    found = evaluate(loss, {"input": x, "target": y}, reduction="none", gradients=["input"])
    np.testing.assert_allclose(found.loss[:, 0], expected.detach(), rtol=1e-6)
    np.testing.assert_allclose(found.gradients["input"], scores.grad, rtol=1e-6)
