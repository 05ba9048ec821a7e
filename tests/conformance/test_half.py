"""float16 and bfloat16: the results of the same values in float32, gradients rounded once."""

from typing import Any

import numpy as np
import pytest
import torch
from lossd_client.dtypes import BFLOAT16, narrowed, widened

from lossd.engine import evaluate
from lossd.plan import Result
from lossd.spec import registry

from .cases import CASES, MIDDLE, gradients_of
from .compare import HALVES, assert_conforms, halved
from .model import Array, Case
from .oracles import oracle

pytestmark = pytest.mark.thorough


def assert_is_rounded(got: Result, wide: Result, tensors: dict[str, Array]) -> None:
    assert got.loss.dtype == np.float32
    assert got.loss.tobytes() == wide.loss.tobytes()
    for name, gradient in got.gradients.items():
        expected = narrowed(wide.gradients[name], tensors[name].dtype)
        assert gradient.dtype == tensors[name].dtype
        assert gradient.shape == tensors[name].shape
        same = gradient.view(np.uint16) == expected.view(np.uint16)
        nan = np.isnan(widened(gradient)) & np.isnan(widened(expected))
        assert (same | nan).all(), name


def both(case: Case, tensors: dict[str, Array], reduction: str, **more: Any) -> None:
    """Compare a call with the same in float32."""
    form = {"parameters": case.parameters, "reduction": reduction, **more}
    form["gradients"] = gradients_of(case.loss, tensors)
    wide = {name: widened(array) for name, array in tensors.items()}
    assert_is_rounded(
        evaluate(case.loss, tensors, **form), evaluate(case.loss, wide, **form), tensors
    )


# both row-wise drivers, tails of tiles and of blocks, empty ones
SHAPES = [
    c
    for c in CASES
    if c.loss
    in ("cross_entropy", "nll_loss", "mse_loss", "triplet_margin_loss", "multi_margin_loss")
    and not (c.parameters or c.brief)
]


@pytest.mark.filterwarnings("ignore:.*are broadcast")
@pytest.mark.parametrize("dtype", HALVES.values(), ids=HALVES.keys())
@pytest.mark.parametrize("case", MIDDLE + SHAPES, ids=str)
def test_results_are_those_of_float32(case: Case, dtype: np.dtype[Any]) -> None:
    both(case, halved(case.tensors(np.float32), dtype), "mean")


@pytest.mark.filterwarnings("ignore:.*are broadcast")
@pytest.mark.parametrize("dtype", HALVES.values(), ids=HALVES.keys())
@pytest.mark.parametrize("case", MIDDLE, ids=str)
def test_results_are_the_oracles(case: Case, dtype: np.dtype[Any]) -> None:
    tensors = halved(case.tensors(np.float32), dtype)
    wide = {name: widened(array) for name, array in tensors.items()}
    gradients = gradients_of(case.loss, wide)
    got = evaluate(case.loss, tensors, parameters=case.parameters, gradients=gradients)
    assert_conforms(got, oracle(case.loss, wide, case.parameters, "mean", None), dtype)


@pytest.mark.filterwarnings("ignore:.*are broadcast")
@pytest.mark.parametrize("case", MIDDLE, ids=str)
def test_results_of_rows_with_upstream_are_those_of_float32(case: Case) -> None:
    tensors = halved(case.tensors(np.float32), HALVES["bfloat16"])
    losses = evaluate(case.loss, tensors, parameters=case.parameters, reduction="none").loss
    upstream = case.rng().normal(size=losses.shape)
    both(case, tensors, "none", grad_output=narrowed(upstream, HALVES["float16"]))


@pytest.mark.filterwarnings("ignore:.*are broadcast")
@pytest.mark.parametrize("case", MIDDLE, ids=str)
def test_halves_beside_other_types(case: Case) -> None:
    """The first tensor alone is float16; the others are float32, then float64."""
    for other in (np.float32, np.float64):
        tensors = case.tensors(other)
        first = next(iter(tensors))
        tensors[first] = tensors[first].astype(np.float16)
        form = {"parameters": case.parameters, "gradients": gradients_of(case.loss, tensors)}
        got = evaluate(case.loss, tensors, **form)
        wide = evaluate(case.loss, tensors | {first: tensors[first].astype(other)}, **form)
        has_other = any(a.dtype == other for n, a in tensors.items() if n != first)
        if not has_other:
            continue
        assert got.loss.tobytes() == wide.loss.tobytes()
        for name, gradient in got.gradients.items():
            assert gradient.dtype == tensors[name].dtype
            if name != first:
                assert gradient.tobytes() == wide.gradients[name].tobytes()


def test_every_value_of_both_types_is_read_and_written() -> None:
    """X + 0 = x: the gradient of x·y in x is y, for every pattern of 16 bits."""
    every = np.arange(1 << 16, dtype=np.uint16)
    for dtype in HALVES.values():
        values = every.view(dtype)
        ones = np.ones(every.size, np.float32)
        got = evaluate(
            "mse_loss",
            {"input": values, "target": 0 * ones, "weight": ones},
            reduction="none",
            gradients=["input"],
        )
        with np.errstate(over="ignore", invalid="ignore"):
            expected = narrowed(2 * widened(values), dtype)
        gradient = got.gradients["input"]
        same = gradient.view(np.uint16) == expected.view(np.uint16)
        assert (same | (np.isnan(widened(gradient)) & np.isnan(widened(values)))).all()


def test_the_stand_in_of_bfloat16_is_read_like_it() -> None:
    case = Case("cross_entropy", (9, 10))
    tensors = halved(case.tensors(np.float32), HALVES["bfloat16"])
    stands = tensors | {"input": tensors["input"].view(BFLOAT16)}
    one = evaluate("cross_entropy", tensors, gradients=["input"])
    other = evaluate("cross_entropy", stands, gradients=["input"])
    assert other.gradients["input"].dtype == BFLOAT16
    assert one.gradients["input"].tobytes() == other.gradients["input"].tobytes()


@pytest.mark.parametrize(("kind", "true"), [(torch.float16, 4.392), (torch.bfloat16, 4.392)])
def test_means_are_right_where_pytorchs_are_not(kind: torch.dtype, true: float) -> None:
    """PyTorch's mean over many rows of halves overflows, or stands still."""
    torch.manual_seed(0)
    x = torch.randn(4, 50, 64, 64).to(kind)
    y = torch.randint(0, 50, (4, 64, 64))
    exact = torch.nn.functional.cross_entropy(x.double(), y).item()
    theirs = torch.nn.functional.cross_entropy(x, y).item()
    array = x.view(torch.int16).numpy().view(HALVES[str(kind).removeprefix("torch.")])
    ours = float(evaluate("cross_entropy", {"input": array, "target": y.numpy()}).loss)
    assert abs(exact - true) < 0.02
    assert abs(ours - exact) < 1e-6 * exact
    assert not abs(theirs - exact) < 1e-3 * exact


def test_every_loss_takes_halves() -> None:
    assert {case.loss for case in MIDDLE} == set(registry)
