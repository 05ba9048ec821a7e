"""Composed losses whose rows go through in chunks, of one row and of several."""

import numpy as np
import numpy.typing as npt
import pytest

from lossd.engine import evaluate
from lossd.spec import Composed, registry

from .cases import CASES, gradients_of
from .compare import assert_agrees, assert_conforms, by_torch, upstream_for
from .model import Case
from .oracles import oracle

pytestmark = pytest.mark.thorough

COMPOSED = [case for case in CASES if issubclass(registry[case.loss], Composed)]


def test_there_are_such() -> None:
    assert len({case.loss for case in COMPOSED}) >= 6


@pytest.mark.parametrize("scratch", [1, 300, 1000, 3000])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("case", COMPOSED, ids=str)
def test_chunks_of_any_length(
    case: Case, dtype: npt.DTypeLike, scratch: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their sums are those of PyTorch and of the oracle."""
    monkeypatch.setattr(Composed, "scratch", scratch)
    tensors = case.tensors(dtype)
    gradients = gradients_of(case.loss, tensors)
    alone = oracle(case.loss, tensors, case.parameters, "none", None)
    upstream = upstream_for(case, alone.loss[0].shape, dtype)
    expected = oracle(case.loss, tensors, case.parameters, "none", upstream)
    form = {
        "parameters": case.parameters,
        "reduction": "none",
        "gradients": gradients,
        "grad_output": upstream,
    }
    got = evaluate(case.loss, tensors, **form)
    assert_conforms(got, expected, dtype)
    assert_agrees(got, by_torch(case.loss, tensors, **form), expected, dtype)
    for name in gradients:  # alone, it has other products around it
        one = evaluate(case.loss, tensors, **{**form, "gradients": [name]})
        assert one.gradients[name].tobytes() == got.gradients[name].tobytes()
        assert one.loss.tobytes() == got.loss.tobytes()
