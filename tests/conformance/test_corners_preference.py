"""Corners of preference losses: kinks, answers that cannot come, what is refused."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from lossd_client.errors import DomainError, ParameterError

from lossd.engine import evaluate
from lossd.spec import registry

from . import test_corners as corners
from .compare import by_torch
from .model import Case
from .test_corners import DTYPES, INF, LOG2, NAN, Corner, near

CHOSEN, REJECTED = "policy_chosen_logps", "policy_rejected_logps"


def pair(chosen: float, rejected: float) -> dict[str, list[float]]:
    return {CHOSEN: [float(chosen)], REJECTED: [float(rejected)]}


def four(chosen: float, rejected: float) -> dict[str, list[float]]:
    """Log-ratios to a reference of 0."""
    zeros = {"reference_chosen_logps": [0.0], "reference_rejected_logps": [0.0]}
    return pair(chosen, rejected) | zeros


def rated(x: float, target: int, kl: float) -> dict[str, Any]:
    return {"policy_logps": [float(x)], "reference_logps": [0.0], "target": [target], "kl": kl}


BETA = {"beta": 1.0}
PAIRS = [
    Corner("no difference", "cpo_loss", pair(-3, -3), LOG2, {CHOSEN: [-0.5], REJECTED: [0.5]},
           BETA),
    Corner("far on the right side", "cpo_loss", pair(-1, -1000), 0, {CHOSEN: [0], REJECTED: [0]},
           BETA),
    Corner("far on the wrong side", "cpo_loss", pair(-1000, -1), 999,
           {CHOSEN: [-1], REJECTED: [1]}, BETA),
    Corner("rejected that cannot come; PyTorch has ∞ · 0", "cpo_loss", pair(-1, -INF), 0,
           {CHOSEN: [0]}, BETA, torch=False),
    Corner("chosen that cannot come", "cpo_loss", pair(-INF, -1), INF, {CHOSEN: [-1]}, BETA),
    Corner("both, smoothed", "cpo_loss", pair(-1, -INF), INF, {CHOSEN: [0.25]},
           {**BETA, "label_smoothing": 0.25}),
    Corner("the kink", "cpo_loss", pair(-1, -2), 0, {CHOSEN: [0], REJECTED: [0]},
           {**BETA, "loss_type": "hinge"}),
    Corner("the kink", "simpo_loss", pair(-1, -2.5), 0, {CHOSEN: [0], REJECTED: [0]},
           {**BETA, "gamma": 0.5, "loss_type": "hinge"}),
    Corner("a margin that is met", "simpo_loss", pair(-1, -1.5), LOG2, {CHOSEN: [-0.5]},
           {**BETA, "gamma": 0.5}),
    Corner("equal odds", "orpo_loss", pair(-2, -2), LOG2, {}, BETA),
    Corner("an answer that cannot come", "orpo_loss", pair(-1, -INF), 0, {CHOSEN: [0]}, BETA,
           torch=False),
    Corner("a sure answer", "orpo_loss", pair(0, -1), 0, {CHOSEN: [NAN]}, BETA),
    Corner("nan", "orpo_loss", pair(NAN, -1), NAN, {CHOSEN: [NAN], REJECTED: [NAN]}, BETA),
    Corner("no difference", "ipo_loss", four(-1, -1), 0.25, {CHOSEN: [-1], REJECTED: [1]}, BETA),
    *(
        Corner(f"{kind} of no difference", "dpo_loss", four(0, 0), expected,
               {CHOSEN: [chosen], REJECTED: [rejected]},
               {**BETA, "loss_type": kind, "label_smoothing": 0.25 if kind == "exo_pair" else 0.0},
               units=16)  # logarithms of 2 and 3 cancel out in exo_pair
        for kind, expected, chosen, rejected in (
            ("sigmoid", LOG2, -0.5, 0.5),
            ("robust", LOG2, -0.5, 0.5),
            ("hinge", 1, -1, 1),
            ("ipo", 0.25, -1, 1),
            ("exo_pair", np.log(2 / np.sqrt(3)), -np.log(3) / 4, np.log(3) / 4),
            ("nca_pair", 2 * LOG2, -0.25, 0.25),
            ("bco_pair", 2 * LOG2, -0.5, 0.5),
            ("sppo_hard", 0.5, -1, 1),
            ("apo_zero", 1, -0.25, 0.25),
            ("apo_down", 1, 0, 0.25),
        )
    ),
    *(
        Corner(f"{kind} far on the right side", "dpo_loss", four(0, -1000), 0,
               {CHOSEN: [0], REJECTED: [0]}, {**BETA, "loss_type": kind})
        for kind in ("sigmoid", "hinge", "discopop")
    ),
    Corner("discopop far on the wrong side; PyTorch has ∞ · 0", "dpo_loss", four(-1000, 0), 1000,
           {CHOSEN: [-1], REJECTED: [1]}, {**BETA, "loss_type": "discopop"}, torch=False),
    Corner("robust far on the right side may be below 0", "dpo_loss", four(0, -1000), -500,
           {CHOSEN: [-0.5]}, {**BETA, "loss_type": "robust", "label_smoothing": 0.25}),
    Corner("the kink", "dpo_loss", four(0, -1), 0, {CHOSEN: [0], REJECTED: [0]},
           {**BETA, "loss_type": "hinge"}),
    *(
        Corner(f"{kind}: no difference", "dpo_loss", four(0, 0), LOG2,
               {CHOSEN: [-slope], REJECTED: [slope]}, {**BETA, "f_divergence_type": kind})
        for kind, slope in
        (("forward_kl", 0.5), ("js_divergence", 0.25), ("alpha_divergence", 0.5))
    ),
    Corner("scores of log-ratios that are nearly 0", "dpo_loss", four(2**-20, -(2**-20)),
           1 - 2 * np.sinh(2**-20), {CHOSEN: [-np.exp(-(2**-20))]},
           {**BETA, "f_divergence_type": "forward_kl", "loss_type": "hinge"}),
    Corner("an alpha of 1 is the reverse KL", "dpo_loss", four(-3, 2), 6, {CHOSEN: [-1]},
           {**BETA, "f_divergence_type": "alpha_divergence", "f_alpha_divergence_coef": 1 + 5e-7,
            "loss_type": "hinge"}),
    Corner("exponents above 80 are 80", "dpo_loss", four(0, 100), np.exp(80.0), {CHOSEN: [-1],
           REJECTED: [0]}, {**BETA, "f_divergence_type": "alpha_divergence",
           "f_alpha_divergence_coef": 2.0, "loss_type": "hinge"}, units=64),  # e^80 in float32
    *(
        Corner(f"{kind} of a score that overflows where it does not count; PyTorch has 0 · ∞",
               "dpo_loss", four(0, -1000), expected, {CHOSEN: [0], REJECTED: [0]},
               {**BETA, "f_divergence_type": "forward_kl", "loss_type": kind,
                "label_smoothing": 0.1 if kind == "exo_pair" else 0.0}, torch=False)
        for kind, expected in (("sigmoid", 0), ("robust", 0), ("hinge", 0), ("discopop", 0),
                               ("exo_pair", -np.log(0.9)))
    ),
    Corner("a chosen answer that cannot come any more", "dpo_loss", four(-1000, 0), INF,
           {CHOSEN: [-INF]}, {**BETA, "f_divergence_type": "forward_kl"}),
    Corner("nan, of which PyTorch's clamp makes a gradient of 0", "dpo_loss", four(NAN, 0), NAN,
           {CHOSEN: [NAN], REJECTED: [NAN]}, {**BETA, "f_divergence_type": "alpha_divergence"},
           torch=False),
    Corner("at the reference point", "kto_loss", rated(2, 1, 2.0), 0.5, {"policy_logps": [-0.25]},
           BETA),
    Corner("a negative divergence counts as 0", "kto_loss", rated(0, 0, -2.0), 0.5,
           {"policy_logps": [0.25]}, BETA),
    Corner("far on the wrong side", "kto_loss", rated(-1000, 1, 0.0), 1, {"policy_logps": [0]},
           BETA),
    Corner("weights", "kto_loss", rated(0, 0, 0.0), 1.5, {"policy_logps": [0.75]},
           {**BETA, "undesirable_weight": 3.0}),
]  # fmt: skip


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("corner", PAIRS, ids=str)
def test_preference_corner(corner: Corner, dtype: npt.DTypeLike) -> None:
    corners.test_corner(corner, dtype)


def test_odds_of_nearly_sure_answers_keep_their_digits() -> None:
    c, r = np.float32([-1e-6, -1e-3, -0.69, -0.7]), np.float32([-2, -1e-5, -0.5, -0.1])
    got = evaluate(
        "orpo_loss", {CHOSEN: c, REJECTED: r}, reduction="none", parameters={"beta": 1.0}
    )
    c, r = c.astype(np.float64), r.astype(np.float64)
    odds = c - np.log(-np.expm1(c)) - r + np.log(-np.expm1(r))
    near(got.loss, np.logaddexp(0, -odds), 16, "loss")


def test_logarithms_of_probabilities_are_not_above_0() -> None:
    tensors = {CHOSEN: np.float32([-1, 0.5]), REJECTED: np.float32([-1, -2])}
    with pytest.raises(DomainError, match=r"policy_chosen_logps\[1\] = 0.5 is outside \[-inf, 0\]"):
        evaluate("orpo_loss", tensors)


def test_kto_takes_booleans() -> None:
    x = np.float32([1, 2, 3])
    tensors = {"policy_logps": x, "reference_logps": 0 * x, "kl": np.float32(0.5)}
    wanted = np.array([True, False, True])
    got = evaluate("kto_loss", tensors | {"target": wanted})
    assert got.loss == evaluate("kto_loss", tensors | {"target": wanted.astype(np.int8)}).loss


@pytest.mark.parametrize(
    ("loss", "parameters", "message"),
    [
        ("dpo_loss", {"label_smoothing": 0.5}, "label_smoothing = 0.5 .* must be >= 0 and < 0.5"),
        ("dpo_loss", {"loss_type": "sft"}, "loss_type = 'sft' .* must be one of 'sigmoid'"),
        ("dpo_loss", {"beta": 0.0}, "beta = 0.0 .* must be > 0"),
        (
            "dpo_loss",
            {"f_divergence_type": "forward_kl", "loss_type": "ipo"},
            "f_divergence_type = 'forward_kl' must be 'reverse_kl' for loss_type = 'ipo', "
            "which takes means over tokens",
        ),
        (
            "dpo_loss",
            {"f_divergence_type": "js_divergence", "loss_type": "aot"},
            "must be 'reverse_kl' for loss_type = 'aot', which does not compare",
        ),
        (
            "dpo_loss",
            {"f_divergence_type": "alpha_divergence", "loss_type": "nca_pair"},
            "must be 'reverse_kl' for loss_type = 'nca_pair', which does not compare",
        ),
        (
            "dpo_loss",
            {"f_alpha_divergence_coef": NAN, "f_divergence_type": "alpha_divergence"},
            "f_alpha_divergence_coef = nan must be finite",
        ),
        ("dpo_loss", {"f_divergence_type": "kl"}, "f_divergence_type = 'kl' .* must be one of"),
        ("cpo_loss", {"loss_type": "simpo"}, "must be one of 'sigmoid', 'hinge', 'ipo'"),
        ("simpo_loss", {"loss_type": "ipo"}, "must be one of 'sigmoid', 'hinge'"),
        ("kto_loss", {"desirable_weight": -1.0}, "desirable_weight = -1.0 .* must be >= 0"),
        ("orpo_loss", {"beta": NAN}, "beta = nan"),
    ],
)
def test_parameters_outside_their_range(
    loss: str, parameters: dict[str, Any], message: str
) -> None:
    tensors: dict[str, Any] = rated(-1, 1, 0.0) if loss == "kto_loss" else four(-1, -2)
    if loss not in ("dpo_loss", "kto_loss"):
        tensors = pair(-1, -2)
    with pytest.raises(ParameterError, match=message) as caught:
        evaluate(loss, tensors, parameters=parameters)
    assert caught.value.field == next(iter(parameters))


def test_exo_pair_needs_label_smoothing() -> None:
    with pytest.raises(ParameterError, match=r"label_smoothing = 0\.0 must be above 0 for"):
        evaluate("dpo_loss", four(-1, -2), parameters={"loss_type": "exo_pair"})


KINDS = registry["dpo_loss"].params["loss_type"].choices


@pytest.mark.parametrize("kind", KINDS)
def test_without_a_reference_is_with_one_of_0(kind: str) -> None:
    rng = np.random.default_rng(3)
    policy = {CHOSEN: rng.normal(size=7), REJECTED: rng.normal(size=7)}
    names = ("reference_chosen_logps", "reference_rejected_logps")
    form: dict[str, Any] = {
        "parameters": {"loss_type": kind, "label_smoothing": 0.1},
        "gradients": [CHOSEN, *names],
    }
    one = evaluate("dpo_loss", policy | dict.fromkeys(names, np.zeros(())), **form)
    each = evaluate("dpo_loss", policy | dict.fromkeys(names, np.zeros(7)), **form)
    assert one.loss == each.loss
    np.testing.assert_array_equal(one.gradients[CHOSEN], each.gradients[CHOSEN])
    for name in names:
        assert one.gradients[name].shape == ()
        np.testing.assert_allclose(one.gradients[name], each.gradients[name].sum(), 1e-12, 1e-15)


@pytest.mark.parametrize("kind", ["aot", "aot_unpaired"])
@pytest.mark.parametrize("shape", [(), (0,), (5,), (5, 3)])
def test_sorted_pairs_of_any_shape(kind: str, shape: tuple[int, ...]) -> None:
    tensors = Case("dpo_loss", shape).tensors(np.float64)
    form: dict[str, Any] = {
        "parameters": {"loss_type": kind},
        "reduction": "none",
        "gradients": list(tensors),
        "grad_output": np.asarray(np.random.default_rng(7).normal(size=shape)),
    }
    got, expected = evaluate("dpo_loss", tensors, **form), by_torch("dpo_loss", tensors, **form)
    np.testing.assert_allclose(got.loss, expected.loss, 1e-13)
    for name, gradient in got.gradients.items():
        np.testing.assert_allclose(gradient, expected.gradients[name], 1e-12, 1e-15)


def test_sorted_pairs_have_means_of_samples() -> None:
    tensors = Case("dpo_loss", (5, 3)).tensors(np.float32)
    form: dict[str, Any] = {"parameters": {"loss_type": "aot"}}
    losses = evaluate("dpo_loss", tensors, reduction="none", **form).loss
    means = evaluate("dpo_loss", tensors, reduction="sample", **form).loss
    np.testing.assert_allclose(means, losses.mean(1), 1e-6)
