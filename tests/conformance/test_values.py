"""Value and gradient of every loss, against PyTorch, the oracle and finite differences."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from lossd.engine import evaluate
from lossd.plan import Result
from lossd.spec import registry

from .cases import CASES, gradients_of
from .catalogue import ENTRIES, FORMULAS
from .compare import assert_agrees, assert_conforms, by_torch, upstream_for
from .model import Case
from .oracles import oracle

Doubles = npt.NDArray[np.float64]

# Every form is another kernel to compile: one case of each loss goes through all of them
IN_FULL = [
    max((c for c in CASES if c.loss == name), key=lambda c: len(c.shape)) for name in ENTRIES
]


def forms(case: Case) -> Iterator[tuple[str, bool, type[np.floating[Any]]]]:
    """Reductions, whether an upstream gradient comes in, and types to test a case with."""
    if case.brief:
        yield "mean", True, np.float32
        return
    for dtype in (np.float32, np.float64):
        for reduction in registry[case.loss].reductions:
            if reduction not in ("none", "sample"):  # test_weighing.py has the means of samples
                yield reduction, False, dtype
        yield "mean", True, dtype
        if dtype == np.float32 or case in IN_FULL:
            yield "none", True, dtype
    if case in IN_FULL:
        yield "none", False, np.float32


FORMS = [
    pytest.param(
        case, *form, id=f"{case}-{form[0]}{'-upstream' * form[1]}-{np.dtype(form[2]).name}"
    )
    for case in CASES
    for form in forms(case)
]


def test_every_loss_has_cases_and_an_oracle() -> None:
    assert set(ENTRIES) == set(registry), "tests/conformance/catalogue needs an entry for each loss"
    assert set(FORMULAS) == set(registry), "tests/conformance/catalogue needs each loss's formula"


@pytest.mark.filterwarnings("ignore:.*are broadcast")
@pytest.mark.parametrize(("case", "reduction", "with_upstream", "dtype"), FORMS)
def test_matches_oracle_and_torch(
    case: Case, reduction: str, with_upstream: bool, dtype: npt.DTypeLike
) -> None:
    tensors = case.tensors(dtype)
    gradients = gradients_of(case.loss, tensors)
    upstream = None
    if with_upstream:
        alone = oracle(case.loss, tensors, case.parameters, reduction, None)
        upstream = upstream_for(case, alone.loss[0].shape, dtype)
    expected = oracle(case.loss, tensors, case.parameters, reduction, upstream)

    form = {
        "parameters": case.parameters,
        "reduction": reduction,
        "gradients": gradients,
        "grad_output": upstream,
    }
    got = evaluate(case.loss, tensors, **form)
    assert got.gradients.keys() == set(gradients)
    assert_conforms(got, expected, dtype)
    assert_agrees(got, by_torch(case.loss, tensors, **form), expected, dtype)


STEP = 1e-5  # of differences: the method is off by about STEP⁴, the values by eps / STEP = 2e-11


def differences(function: Callable[[Doubles], float], x: Doubles) -> Doubles:
    """The gradient of `function` at x by central differences of fourth order."""
    made = np.empty_like(x)
    for at in np.ndindex(x.shape):
        values = []
        for k in (-2, -1, 1, 2):
            moved = x.copy()
            moved[at] += k * STEP
            values.append(function(moved))
        made[at] = (values[0] - 8 * values[1] + 8 * values[2] - values[3]) / (12 * STEP)
    return made


# small enough to move every element; zero-size tensors have none
# the circle loss takes its factors as constants: its gradient is no derivative
SMALL = [
    c for c in CASES if 1 < np.prod(c.shape) <= 105 and not c.brief and c.loss != "circle_loss"
]


@pytest.mark.thorough
@pytest.mark.filterwarnings("ignore:.*are broadcast")
@pytest.mark.parametrize("case", SMALL, ids=str)
def test_gradients_match_finite_differences(case: Case) -> None:
    tensors = case.tensors(np.float64)
    for name, declared in registry[case.loss].tensors.items():
        focal = (case.loss, name) == ("sigmoid_focal_loss", "target")
        if (
            declared.within == (0, 1) or focal
        ):  # away from the ends, so that elements may move both ways
            tensors[name] = 0.01 + 0.98 * tensors[name]
    gradients = gradients_of(case.loss, tensors)

    def result(changed: dict[str, Doubles]) -> Result:
        given = tensors | changed
        if case.loss == "ctc_loss":  # its gradient is that of logits
            x = given["log_probs"]
            given["log_probs"] = x - np.log(np.exp(x).sum(-1, keepdims=True))
        if case.loss == "cispo_loss":  # the weight is held: the old policy moves along
            given["old_log_probs"] = tensors["old_log_probs"] + given["log_probs"]
            given["old_log_probs"] -= tensors["log_probs"]
        return evaluate(case.loss, given, parameters=case.parameters, gradients=gradients)

    whole = result({})
    noise = 2 * np.finfo(np.float64).eps * abs(float(whole.loss)) / STEP  # its last bits
    for name, gradient in whole.gradients.items():
        numeric = differences(lambda x, n=name: float(result({n: x}).loss), tensors[name])
        scale = max(1.0, float(abs(gradient).max()))
        atol = 1e-9 * scale + noise
        np.testing.assert_allclose(gradient, numeric, rtol=1e-7, atol=atol, err_msg=name)
