"""Calls of many rows: their sums, and gradients that are written past the caches."""

from typing import Any

import numpy as np
import pytest

from lossd import engine, plan
from lossd.engine import Call, compute, evaluate
from lossd.kernels import runtime

from .compare import difference
from .model import Case
from .oracles import oracle

MANY = [
    ("mse_loss", (100_003,), {}),
    ("cross_entropy", (50_000, 7), {"weight": True}),
    ("cross_entropy", (5_000, 300), {}),
    ("complete_box_iou_loss", (20_000,), {}),
    ("triplet_margin_loss", (20_000, 5), {}),
    ("multilabel_margin_loss", (5_000, 5), {}),
]


@pytest.mark.parametrize(("name", "shape", "options"), MANY)
def test_a_sum_of_many_is_as_exact_as_its_losses(
    name: str, shape: tuple[int, ...], options: dict[str, bool]
) -> None:
    """Added one after the other, float64 would lose several of its last bits."""
    case = Case(name, shape, {}, options)
    tensors = case.tensors(np.float64)
    for reduction in ("sum", "mean"):
        got = evaluate(name, tensors, parameters=case.parameters, reduction=reduction)
        expected = oracle(name, tensors, case.parameters, reduction, None)
        off, unit = difference(got.loss, expected.loss)
        assert off <= 1.5 * unit, (reduction, float(off / unit))


def test_a_sum_that_is_not_finite_stays_as_it_is() -> None:
    x = np.zeros((5_000, 3))
    y = np.zeros(5_000, np.int64)
    for value, expected in ((np.inf, np.inf), (np.nan, np.nan), (1e308, np.inf)):
        x[:2000, 1] = value
        loss = evaluate("multi_margin_loss", {"input": x, "target": y}, reduction="sum").loss
        np.testing.assert_equal(float(loss), expected)


STREAMED = ["mse_loss", "kl_div", "gaussian_nll_loss", "binary_cross_entropy"]


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16], ids=lambda d: d.__name__)
@pytest.mark.parametrize("name", STREAMED)
@pytest.mark.parametrize("size", [1, 511, 512, 200_000, 262_144])
def test_bits_do_not_depend_on_how_gradients_are_written(
    name: str, size: int, dtype: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = Case(name, (size,))
    tensors = case.tensors(dtype)
    wanted = list(tensors)[:1] if name == "kl_div" else list(tensors)
    call = Call(name, tensors, case.parameters, "mean", wanted)
    expected = compute(call)
    monkeypatch.setattr(plan, "STREAMED_FROM", 0)
    made = engine._plan(*call.key())  # anew, and kept for this call
    assert isinstance(made, plan.KernelPlan)
    assert made.stores is not None
    monkeypatch.setattr(made.stores, "past", lambda *, learning: True)
    room = np.empty(size + 1, dtype)
    places: list[dict[str, Any]] = [{}, {wanted[0]: room[1:]}]  # the latter where none can be
    for threads in range(1, runtime.MAX_THREADS + 1):
        monkeypatch.setattr(runtime, "_count", threads)
        for out in places:
            got = compute(call._replace(out=out))
            assert got.loss.tobytes() == expected.loss.tobytes()
            for key, gradient in expected.gradients.items():
                assert got.gradients[key].tobytes() == gradient.tobytes(), key


def test_large_gradients_are_written_as_was_faster() -> None:
    stores = plan.Stores()
    seconds = {True: 2.0, False: 1.0}

    def calls(count: int) -> list[bool]:
        found = []
        for _ in range(count):
            found.append(stores.past(learning=True))
            stores.learn(found[-1], seconds[found[-1]])
        return found

    assert stores.past(learning=False)
    assert calls(6) == [True, False] * 3
    assert calls(57) == [False] * 57
    assert not stores.past(learning=False)
    seconds[True] = 0.5
    assert calls(3) == [True, True, True]  # the 64th tries the other kind again
    assert calls(64).count(False) == 1
    assert stores.past(learning=False)
