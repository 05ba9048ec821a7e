"""sample_weight, normalizer, zero_if_empty and the means of samples, for every loss.

What PyTorch's users write by hand: losses under reduction='none', times weights, summed, divided.
"""

import itertools
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pytest
import torch
from lossd_client.errors import DTypeError, LossdError, ParameterError, ShapeError
from torch.nn import functional

from lossd.engine import evaluate
from lossd.plan import Result
from lossd.spec import registry

from .cases import CASES, MIDDLE, gradients_of
from .compare import TOLERANCES, assert_near, by_torch
from .model import Array, Case
from .oracles import oracle

pytestmark = pytest.mark.filterwarnings("ignore:.*are broadcast")

UNITS = TOLERANCES[np.dtype(np.float32)].weighed

ELEMENTWISE = [c for c in MIDDLE if "sample" in registry[c.loss].reductions]


def weights(case: Case, shape: tuple[int, ...]) -> Array:
    """Weights of samples; every third is 0."""
    drawn = np.asarray(case.rng().uniform(0.5, 2, shape), np.float32)
    drawn.reshape(-1)[2::3] = 0
    return drawn


def losses_of(case: Case, tensors: dict[str, Array]) -> Array:
    return evaluate(case.loss, tensors, parameters=case.parameters, reduction="none").loss


def call(case: Case, tensors: dict[str, Array], **more: Any) -> Result:
    gradients = gradients_of(case.loss, tensors)
    return evaluate(
        case.loss, tensors, parameters=case.parameters, **{"gradients": gradients, **more}
    )


def spread(weight: Array, losses: Array) -> Array:
    """A weight for each loss."""
    each = weight.reshape(weight.shape + (1,) * (losses.ndim - weight.ndim))
    return np.broadcast_to(each, losses.shape)


def scales(case: Case, tensors: dict[str, Array], upstream: Array) -> Any:
    return oracle(case.loss, tensors, case.parameters, "none", upstream)


def assert_weighs(
    case: Case, tensors: dict[str, Array], got: Result, factors: Array, reduced: bool
) -> None:
    """Compare with PyTorch's losses and gradients, each loss times its factor."""
    factors = factors.astype(np.float32)
    expected = by_torch(
        case.loss,
        tensors,
        parameters=case.parameters,
        reduction="none",
        gradients=gradients_of(case.loss, tensors),
        grad_output=factors,
    )
    scale = scales(case, tensors, factors)
    losses = expected.loss.astype(np.float64) * factors
    loss_scale = scale.torch_scale * abs(factors)
    if reduced:
        losses, loss_scale = losses.sum(), loss_scale.sum()
    assert_near(got.loss, (losses, loss_scale), UNITS, "loss")
    for name, gradient in got.gradients.items():
        near = expected.gradients[name], scale.torch_slopes[name]
        assert_near(gradient, near, UNITS, f"gradient of {name}")


@pytest.mark.parametrize("case", MIDDLE, ids=str)
def test_weights_of_samples_multiply_losses_and_gradients(case: Case) -> None:
    tensors = case.tensors(np.float32)
    losses = losses_of(case, tensors)
    for shape in {losses.shape[:1], losses.shape}:
        weight = weights(case, shape)
        each = spread(weight, losses)
        got = call(case, tensors, reduction="none", sample_weight=weight)
        assert_weighs(case, tensors, got, each, reduced=False)
        got = call(case, tensors, reduction="sum", sample_weight=weight)
        assert_weighs(case, tensors, got, each, reduced=True)


OWN: Final = ("multiplier", "element")
"""Roles of a weight of each loss."""


def divisors(case: Case, tensors: dict[str, Array], each: Array) -> dict[Any, float]:
    """What each normalizer divides by, told from the definition."""
    counted = np.ones(each.shape, bool)
    own = np.ones(each.shape)
    target = tensors.get("target")
    labels = target is not None and any(
        t.role == "label" for t in registry[case.loss].tensors.values()
    )
    if target is not None and labels and target.dtype.kind == "i":
        counted = target != case.parameters.get("ignore_index", -100)
        if "weight" in tensors:
            own = tensors["weight"].astype(np.float64)[np.where(counted, target, 0)]
    elif "weight" in tensors and registry[case.loss].tensors["weight"].role in OWN:
        own = np.broadcast_to(tensors["weight"], each.shape)
    if case.loss == "grpo_loss":  # its losses are sums over tokens
        own = tensors["mask"].sum(-1)
        kept = np.count_nonzero(tensors["mask"], -1)[each != 0].sum()
        return {"batch": len(each), "valid": kept, "weights": (own * each).sum(), 17.5: 17.5}
    batch = each.shape[0] if each.ndim else 1
    valid = np.count_nonzero(counted & (own * each != 0))
    total = float((own * each)[counted].sum(dtype=np.float64))
    return {"batch": batch, "valid": valid, "weights": total, 17.5: 17.5}


OWN_WEIGHTS: Final = {
    "mse_loss": functional.mse_loss,
    "l1_loss": functional.l1_loss,
    "huber_loss": functional.huber_loss,
    "binary_cross_entropy": functional.binary_cross_entropy,
    "cross_entropy": functional.cross_entropy,
    "nll_loss": functional.nll_loss,
}


@pytest.mark.parametrize("normalizer", ["weights", "valid", "batch"])
@pytest.mark.parametrize("name", OWN_WEIGHTS)
def test_losses_count_by_their_own_weights(name: str, normalizer: str) -> None:
    """Gradients are those of the mean, of its divisor too; a weight of 0 is not valid."""
    rng = np.random.default_rng(7)
    classes = name in ("cross_entropy", "nll_loss")
    shape = (60, 5) if classes else (60,)
    w = rng.uniform(0.5, 2, 5 if classes else 60)
    w[::4] = 0
    s = rng.uniform(0.5, 2, 60)
    s[::7] = 0
    y = rng.integers(0, 5, 60) if classes else rng.uniform(0, 1, 60)
    tensors = {"input": rng.uniform(0.1, 0.9, shape), "target": y, "weight": w}
    gradients = gradients_of(name, tensors)
    got = evaluate(name, tensors, gradients=gradients, sample_weight=s, normalizer=normalizer)
    given = {n: torch.tensor(a, requires_grad=n in gradients) for n, a in tensors.items()}
    # PyTorch's own function multiplies
    losses = OWN_WEIGHTS[name](**given, reduction="none")
    own = given["weight"][given["target"]] if classes else given["weight"]
    factors = own * torch.tensor(s)
    divisor = {"weights": factors.sum(), "valid": (factors != 0).sum(), "batch": 60}[normalizer]
    mean = (losses * torch.tensor(s)).sum() / divisor
    mean.backward()
    np.testing.assert_allclose(got.loss, mean.detach(), rtol=1e-12)
    for n in gradients:
        expected = given[n].grad
        assert expected is not None
        np.testing.assert_allclose(got.gradients[n], expected, rtol=1e-11, atol=1e-17)


def in_the_mean(case: Case, tensors: dict[str, Array]) -> Array:
    """What the mean multiplies each loss by before it divides: CTC's by their targets' lengths."""
    if case.loss != "ctc_loss":
        return np.ones(())
    return 1 / np.maximum(tensors["target_lengths"], 1)


@pytest.mark.parametrize("case", MIDDLE, ids=str)
def test_the_mean_divides_by_the_normalizer(case: Case) -> None:
    tensors = case.tensors(np.float32)
    losses = losses_of(case, tensors)
    weight = weights(case, losses.shape[:1])
    each = spread(weight, losses)
    for normalizer, divisor in divisors(case, tensors, each).items():
        got = call(case, tensors, sample_weight=weight, normalizer=normalizer)
        factors = each * in_the_mean(case, tensors) / divisor
        assert_weighs(case, tensors, got, factors, reduced=True)


CTC = [c for c in CASES if c.loss == "ctc_loss" and len(c.shape) == 3 and not c.brief]


@pytest.mark.parametrize("normalizer", [None, "batch", "weights", "valid", 4.0])
@pytest.mark.parametrize("case", CTC, ids=str)
def test_ctc_divides_by_targets_lengths_first(case: Case, normalizer: Any) -> None:
    """Whatever the mean divides by then: sample_weight changes neither."""
    tensors = case.tensors(np.float32)
    batch = case.shape[1]
    weight = weights(case, (batch,))
    divisor = {
        "weights": float(weight.sum(dtype=np.float64)),
        "valid": np.count_nonzero(weight),
        4.0: 4.0,
    }.get(normalizer, batch)
    got = call(case, tensors, sample_weight=weight, normalizer=normalizer)
    factors = weight / np.maximum(tensors["target_lengths"], 1) / divisor
    assert_weighs(case, tensors, got, factors, reduced=True)


@pytest.mark.parametrize("reduction", ["none", "sum", "mean"])
def test_ctc_weight_0_leaves_out_a_target_that_fits(reduction: str) -> None:
    """And 0 times the infinite loss of one that does not is NaN, as in PyTorch by hand."""
    tensors = {
        "log_probs": np.log(np.full((3, 3, 2), 0.5, np.float32)),
        "targets": np.ones((3, 2), np.int64),
        "input_lengths": np.array([3, 3, 2]),
        "target_lengths": np.array([2, 1, 2]),  # the last does not fit: 1, blank, 1
    }
    fits = {"sample_weight": np.float32([0, 2, 0]), "parameters": {"zero_infinity": True}}
    form: dict[str, Any] = {"reduction": reduction, "gradients": ["log_probs"]}
    got = evaluate("ctc_loss", tensors, **form, **fits)
    alone = np.float32(np.log(8 / 6))  # 6 of 8 paths are a 1 without repetitions and blanks
    expected = {"none": np.float32([0, 2 * alone, 0]), "sum": 2 * alone, "mean": 2 * alone / 3}
    np.testing.assert_allclose(got.loss, expected[reduction], rtol=1e-6)
    assert not got.gradients["log_probs"][:, [0, 2]].any()
    assert got.gradients["log_probs"][:, 1].any()
    weight = np.float32([0, 2, 0])
    infinite = evaluate("ctc_loss", tensors, **form, sample_weight=weight)
    assert np.isnan(infinite.loss).any()
    assert np.isnan(infinite.gradients["log_probs"][:2, 2]).all()


MASKED = [
    *(Case(n, (9, 65), {}, {"mask": "weights"}) for n, d in registry.items() if d.masked),
    *(
        Case("grpo_loss", (9, 65), {"loss_type": kind}, {"mask": "weights"})
        for kind in ("grpo", "dr_grpo", "bnpo")
    ),
]


def kept_by(case: Case, mask: Array, sample: Array) -> dict[str, float]:
    """What is divided by, of a mask (N, T) and weights of samples (N)."""
    if case.parameters.get("loss_type") in ("grpo", "dr_grpo"):  # means of sequences
        mask = mask.any(-1, keepdims=True)
    each = mask.astype(np.float64) * sample[:, None]
    return {"valid": float(np.count_nonzero(each)), "weights": float(each.sum())}


@pytest.mark.parametrize("weighed", [False, True])
@pytest.mark.parametrize("case", MASKED, ids=str)
def test_normalizers_count_what_a_mask_keeps(case: Case, weighed: bool) -> None:
    tensors = case.tensors(np.float32)
    tensors["mask"][4] = 0  # a sequence of no tokens
    sample = weights(case, (9,)) if weighed else np.ones(9, np.float32)
    more: dict[str, Any] = {"sample_weight": sample} if weighed else {}
    total = call(case, tensors, reduction="sum", **more)
    for normalizer, divisor in kept_by(case, tensors["mask"], sample).items():
        got = call(case, tensors, normalizer=normalizer, **more)
        np.testing.assert_allclose(got.loss, total.loss / divisor, rtol=1e-6)
        for name, gradient in got.gradients.items():
            np.testing.assert_allclose(gradient, total.gradients[name] / divisor, 1e-6, 1e-12)


@pytest.mark.parametrize("name", ["mse_loss", "l1_loss"])
def test_a_weight_in_the_divisor_has_its_share_of_the_gradient(name: str) -> None:
    rng = np.random.default_rng(3)
    x, y = rng.normal(size=(2, 4, 3))
    w, s = rng.uniform(0.5, 2, (4, 3)), rng.uniform(0.5, 2, 4)

    def mean(weight: npt.NDArray[np.float64]) -> Result:
        given = {"input": x, "target": y, "weight": weight}
        more = {"sample_weight": s, "normalizer": "weights"}
        return evaluate(name, given, gradients=["weight"], **more)

    gradient = mean(w).gradients["weight"]
    for at in np.ndindex(w.shape):
        step = np.zeros_like(w)
        step[at] = 1e-6
        numeric = (mean(w + step).loss - mean(w - step).loss) / 2e-6
        np.testing.assert_allclose(gradient[at], numeric, rtol=1e-6, atol=1e-10)


@pytest.mark.parametrize("case", MIDDLE, ids=str)
def test_a_mean_of_nothing_is_nan_or_0_as_asked(case: Case) -> None:
    tensors = case.tensors(np.float32)
    nothing = np.zeros(losses_of(case, tensors).shape[:1], np.float32)
    for normalizer in ("weights", "valid"):
        plain = call(case, tensors, sample_weight=nothing, normalizer=normalizer)
        assert np.isnan(plain.loss)
        zero = call(case, tensors, sample_weight=nothing, normalizer=normalizer, zero_if_empty=True)
        assert zero.loss == 0
        for name, gradient in zero.gradients.items():
            assert not gradient.any(), name


@pytest.mark.parametrize("empty", [(0, 10), (4, 10)], ids=["no rows", "all ignored"])
def test_rows_that_are_all_left_out_may_cost_nothing(empty: tuple[int, int]) -> None:
    given = {"input": np.ones(empty, np.float32), "target": np.full(empty[0], -100)}
    assert np.isnan(evaluate("cross_entropy", given).loss)
    got = evaluate("cross_entropy", given, gradients=["input"], zero_if_empty=True)
    assert got.loss == 0
    assert not got.gradients["input"].any()


# ---- the mean of each sample -------------------------------------------------------------------


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("case", ELEMENTWISE, ids=str)
def test_the_means_of_samples(case: Case, weighted: bool) -> None:
    tensors = case.tensors(np.float32)
    losses = losses_of(case, tensors)
    weight = weights(case, losses.shape[:1]) if weighted else np.ones(losses.shape[:1], np.float32)
    upstream = np.asarray(case.rng().normal(size=losses.shape[:1]), np.float32)
    more: dict[str, Any] = {"sample_weight": weight} if weighted else {}
    got = call(case, tensors, reduction="sample", grad_output=upstream, **more)
    alone = call(case, tensors, reduction="sample", **more)
    assert got.loss.shape == losses.shape[:1]
    assert got.loss.dtype == np.float32
    assert got.loss.tobytes() == alone.loss.tobytes()

    count = losses[0].size
    expected = losses.reshape(len(losses), -1).mean(1, dtype=np.float64) * weight
    np.testing.assert_allclose(got.loss, expected, rtol=1e-6, atol=1e-7)
    factors = spread(upstream * weight / count, losses)
    torch = by_torch(
        case.loss,
        tensors,
        parameters=case.parameters,
        reduction="none",
        gradients=list(got.gradients),
        grad_output=factors.astype(np.float32),
    )
    scale = scales(case, tensors, factors)
    for name, gradient in got.gradients.items():
        near = torch.gradients[name], scale.torch_slopes[name]
        assert_near(gradient, near, UNITS, f"gradient of {name}")


def test_means_of_samples_without_elements_are_nan_or_0() -> None:
    given = {"input": np.ones((2, 0), np.float32), "target": np.ones((2, 0), np.float32)}
    assert np.isnan(evaluate("mse_loss", given, reduction="sample").loss).all()
    zero = evaluate("mse_loss", given, reduction="sample", zero_if_empty=True)
    np.testing.assert_array_equal(zero.loss, [0, 0])
    none = {"input": np.ones((0, 3), np.float32), "target": np.ones((0, 3), np.float32)}
    assert evaluate("mse_loss", none, reduction="sample").loss.shape == (0,)


SHAPES: tuple[tuple[int, ...], ...] = ((), (3,), (1, 3), (2, 1), (2, 3))


@pytest.mark.parametrize("shapes", list(itertools.product(SHAPES, SHAPES)), ids=str)
@pytest.mark.parametrize("name", ["mse_loss", "smooth_l1_loss", "kl_div", "quantile_loss"])
def test_the_means_of_samples_that_are_broadcast(
    name: str, shapes: tuple[tuple[int, ...], tuple[int, ...]]
) -> None:
    """A sample is a place of the losses' first dimension, whichever tensor has it."""
    random = np.random.default_rng(5)
    tensors = dict(
        zip(("input", "target"), (random.random(s, np.float32) for s in shapes), strict=True)
    )
    form: dict[str, Any] = {"gradients": ["input", "target"]}
    losses = evaluate(name, tensors, reduction="none").loss
    upstream = np.asarray(random.random(losses.shape[:1]), np.float32)
    got = evaluate(name, tensors, reduction="sample", grad_output=upstream, **form)
    each = losses[0].size if losses.ndim else 1
    expected = losses.mean(tuple(range(1, losses.ndim)), dtype=np.float64)
    np.testing.assert_allclose(got.loss, expected, rtol=1e-6)
    assert got.loss.shape == losses.shape[:1]
    factors = np.array(spread(upstream / np.float32(each), losses), order="C")
    alike = evaluate(name, tensors, reduction="none", grad_output=factors, **form)
    for wanted, gradient in got.gradients.items():
        np.testing.assert_allclose(gradient, alike.gradients[wanted], rtol=1e-5, atol=1e-7)
    batch = evaluate("mse_loss", tensors, normalizer="batch").loss
    total = evaluate("mse_loss", tensors, reduction="sum").loss
    np.testing.assert_allclose(batch, total / (losses.shape[:1] or (1,))[0], rtol=1e-6)


# ---- what is refused ---------------------------------------------------------------------------

GIVEN = {"input": np.ones((2, 3), np.float32), "target": np.zeros((2, 3), np.float32)}


@pytest.mark.parametrize(
    ("more", "error", "text"),
    [
        ({"sample_weight": np.ones(3)}, ShapeError, r"sample_weight \(3,\) .* \(2, 3\)"),
        ({"sample_weight": np.ones((2, 1))}, ShapeError, r"sample_weight \(2, 1\)"),
        ({"sample_weight": np.ones(2, complex)}, DTypeError, "sample_weight has type complex128"),
        ({"normalizer": 0}, ParameterError, "normalizer = 0 must be a finite number > 0"),
        ({"normalizer": -1.0}, ParameterError, "normalizer = -1.0"),
        ({"normalizer": np.inf}, ParameterError, "normalizer = inf"),
        ({"normalizer": np.nan}, ParameterError, "normalizer = nan"),
        ({"normalizer": True}, ParameterError, "normalizer = True"),
        ({"normalizer": "size"}, ParameterError, "'batch', 'weights', 'valid'"),
        ({"normalizer": [1]}, DTypeError, "must be a number or a name"),
        ({"normalizer": 2, "reduction": "sum"}, ParameterError, "the reduction is 'sum'"),
        ({"zero_if_empty": 1}, DTypeError, "zero_if_empty = 1 must be bool"),
    ],
    ids=lambda value: "" if isinstance(value, type) else None,
)
def test_what_does_not_fit_is_refused(
    more: dict[str, Any], error: type[LossdError], text: str
) -> None:
    with pytest.raises(error, match=text):
        evaluate("mse_loss", GIVEN, **more)
