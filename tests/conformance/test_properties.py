"""Drawn at random, for every loss: shapes, types, parameters, options, magnitudes and layouts."""

import math
import os
from typing import Any, Final, NamedTuple

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st
from lossd_client.dtypes import narrowed, widened
from lossd_client.errors import ParameterError

from lossd.engine import evaluate
from lossd.spec import Classes, Elementwise, TensorType, Vectors, registry

from .cases import gradients_of
from .catalogue import ENTRIES
from .compare import (
    HALVES,
    Reference,
    assert_agrees,
    assert_conforms,
    by_torch,
    halved,
    upstream_for,
)
from .layouts import LAYOUTS
from .model import Array, Case, Number, Options, Shape, Tensors
from .oracles import Answer, oracle

pytestmark = pytest.mark.thorough

MORE: Final = os.environ.get("LOSSD_EXPLORE")
"""How many other examples to draw for each loss (`make test-explore`); the same few if not set."""

PROFILE: Final = settings(
    max_examples=int(MORE or 12),
    derandomize=not MORE,
    print_blob=True,
    deadline=None,
    database=None,
    phases=[Phase.generate] if MORE else [Phase.generate, Phase.shrink],
    suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow],
)

LABELS: Final = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")


class Magnitudes(NamedTuple):
    """Tensors of a loss that are multiplied by one power of ten, and which powers are drawn."""

    least: int
    most: int
    tensors: tuple[str, ...]


def magnitudes(least: int, most: int, tensors: str, losses: str) -> dict[str, Magnitudes]:
    """The same for some losses."""
    return {name: Magnitudes(least, most, tuple(tensors.split())) for name in losses.split()}


MAGNITUDES: Final = {
    # any that squares, of which hundreds are added, leave within float32
    **magnitudes(-18, 8, "input", "l1_loss mse_loss smooth_l1_loss huber_loss quantile_loss"),
    **magnitudes(-18, 8, "input", "mape_loss log_cosh_loss gaussian_nll_loss kl_div"),
    **magnitudes(-18, 8, "input", "hinge_loss squared_hinge_loss categorical_hinge_loss"),
    **magnitudes(-18, 8, "input", "multi_margin_loss multilabel_margin_loss soft_margin_loss"),
    **magnitudes(-18, 8, "input", "multilabel_soft_margin_loss hinge_embedding_loss nll_loss"),
    **magnitudes(-18, 8, "input", "cross_entropy binary_cross_entropy_with_logits"),
    **magnitudes(-18, 8, "input", "linear_cross_entropy adaptive_log_softmax_with_loss"),
    **magnitudes(-18, 8, "input", "listwise_softmax_loss"),
    **magnitudes(-18, 8, "input1", "margin_ranking_loss cosine_embedding_loss"),
    **magnitudes(-18, 8, "student_logits", "distillation_kl_loss generalized_jsd_loss"),
    **magnitudes(-18, 8, "policy_chosen_logps", "cpo_loss simpo_loss dpo_loss ipo_loss orpo_loss"),
    **magnitudes(-18, 8, "policy_logps", "kto_loss"),
    # ratios of policies are exponentials: of what these are multiplied by
    **magnitudes(-18, 8, "advantages", "ppo_clip_loss grpo_loss cispo_loss"),
    **magnitudes(-18, 8, "advantages", "importance_sampling_loss"),
    # together, since of points that are far from the others next to nothing is left of distances;
    # below 1e-8 torch raises norms of cosines
    **magnitudes(-6, 8, "anchor positive negative", "triplet_margin_loss"),
    **magnitudes(-6, 8, "anchor positive negative", "triplet_margin_with_distance_loss"),
    **magnitudes(-6, 8, "input1", "contrastive_loss"),
    # only directions count; below 1e-12 norms are raised
    **magnitudes(-9, 8, "embeddings", "circle_loss supcon_loss"),
    **magnitudes(-9, 8, "embeddings1", "nt_xent_loss"),
    **magnitudes(-9, 8, "query", "info_nce_loss"),
    # the oracle's exponentials end at e^-11,000
    **magnitudes(-18, 2, "input", "softmax_focal_loss poly1_cross_entropy_loss"),
    **magnitudes(-18, 2, "input", "symmetric_cross_entropy_loss sigmoid_focal_loss"),
    # a rate is the exponential of its logarithm, and float32 ends at e^88
    **magnitudes(-18, 1, "input", "poisson_nll_loss"),
    # logarithms of 1 + x, of x above 0
    **magnitudes(-4, 8, "input", "msle_loss"),
    # probabilities, which end at 1; the oracle takes sigmoids of regions from 1
    **magnitudes(-18, 0, "input", "binary_cross_entropy dice_loss generalized_dice_loss"),
    **magnitudes(-18, 0, "input", "jaccard_loss tversky_loss focal_tversky_loss"),
    # log-probabilities: far below, others than those of one path are lost
    **magnitudes(-18, 1, "log_probs", "ctc_loss"),
    # cosines; where they are all 0 a margin of 90 degrees jumps
    **magnitudes(-2, 0, "input", "arcface_loss"),
    **magnitudes(-18, 0, "input", "cosface_loss"),
    # areas beside which eps is not everything
    **magnitudes(-2, 8, "boxes1 boxes2", "box_iou_loss generalized_box_iou_loss"),
    **magnitudes(-2, 8, "boxes1 boxes2", "distance_box_iou_loss complete_box_iou_loss"),
}

HALF_POWERS: Final = (-4, 3)
"""Powers of ten beyond which float16 is left with zeros, or infinities."""


OVERFLOWS: Final[dict[str, str]] = {
    "orpo_loss": "log(1 - exp(x)) of an x that is nearly 0: -infinity, and inf - inf after it",
    "sigmoid_focal_loss": "a power of 1 - p where p rounds to 1: its slope infinite, or NaN",
    "soft_margin_loss": "log(1 + exp(-yx)) as it stands is infinite beyond e^88, its slope NaN",
}
"""Losses of which PyTorch's results are not finite where the true ones are, and why."""


def finite(name: str, theirs: Reference, expected: Answer) -> Reference:
    """PyTorch's results; where they alone are not finite, and are known to be so, the oracle's."""

    def chosen(array: Array, number: Number) -> Array:
        value = np.asarray(number[0])
        # in a type that the value does not fit it is infinite
        with np.errstate(over="ignore"):
            lost = np.isfinite(value.astype(array.dtype)) & ~np.isfinite(array)
            assert name in OVERFLOWS or not lost.any(), f"PyTorch: {array[lost]}, not {value[lost]}"
            return np.where(lost, value, array).astype(array.dtype)

    gradients = {n: chosen(g, expected.gradients[n]) for n, g in theirs.gradients.items()}
    return Reference(chosen(theirs.loss, expected.loss), gradients, theirs.precision)


def shapes(name: str) -> st.SearchStrategy[Shape]:
    """Shapes that a loss takes: those of its entry, and near ones."""
    loss, entry = registry[name], ENTRIES[name]
    # without the background nothing is left of one class, which is refused
    least = 2 if any("include_background" in p for p in entry.grid) else 0
    usable = [s for s in entry.shapes if math.prod(s[1:2]) >= least]
    known = st.sampled_from(usable)
    small = [s for s in usable if s and 0 not in s and np.prod(s) < 5000]
    if issubclass(loss, Elementwise):
        drawn: Any = st.lists(st.integers(1, 9), max_size=4).map(tuple)
        return drawn | known
    if issubclass(loss, Classes):
        ranks = {len(s) for s in entry.shapes}
        rows, width = st.integers(1, 40), st.integers(2, 140)
        flat = st.tuples(rows, width)
        if max(ranks) > 2:
            return flat | st.tuples(st.integers(1, 3), width, st.integers(1, 70)) | known
        return flat | known
    if issubclass(loss, Vectors) and {len(s) for s in entry.shapes} == {1, 2}:
        return st.tuples(st.integers(1, 140), st.integers(2, 140)) | known
    bases = [s for s in small if len(s) > 1]
    if not bases:
        return known
    more = st.tuples(st.sampled_from(bases), st.integers(2, 9))
    return more.map(lambda pair: (max(pair[0][0], pair[1]), *pair[0][1:])) | known


NORMS: Final = (0.5, 4.0)
"""Orders of the norms that are drawn: near 0, norms are beyond any number."""


def between(name: str, parameter: str) -> tuple[float, float]:
    """Between which numbers a parameter of a loss is drawn: those of its entry, or 100 times."""
    declared = registry[name].params[parameter]
    tried = [float(p[parameter]) for p in ENTRIES[name].grid if parameter in p]
    known = sorted(value for value in [*tried, float(declared.default)] if math.isfinite(value))
    low, high = known[0], known[-1]
    if low == high:
        low, high = low / 10, high * 10
    return NORMS if parameter == "p" else (low, high)


def parameters(name: str) -> st.SearchStrategy[Options]:
    """Parameters of a loss: one of its entry's, and any number in the place of any number.

    Not those that say what shapes tensors have.
    """
    loss, entry = registry[name], ENTRIES[name]
    numbers = [n for n, p in loss.params.items() if p.type is float and n != "div_value"]
    drawn = {n: st.floats(*between(name, n)) for n in numbers}
    named = {
        n: st.sampled_from([p.default, *(tried[n] for tried in entry.grid if n in tried)])
        for n, p in loss.params.items()
        if p.type is str
    }
    more = st.fixed_dictionaries({}, optional=drawn | named)
    return st.builds(
        lambda base, other: {**base, **other}, st.sampled_from([{}, *entry.grid]), more
    )


def fit(name: str, tensors: Tensors, chosen: Options) -> bool:
    """Whether parameters go together, which their domains alone do not say."""
    given = {n: TensorType(array.dtype, array.shape) for n, array in tensors.items()}
    try:
        registry[name](**chosen).lower(given)
    except ParameterError:
        return False
    return True


@pytest.mark.filterwarnings("ignore:.*are broadcast")
@pytest.mark.parametrize("name", sorted(registry))
def test_any_call_agrees_with_the_oracle_and_torch(name: str) -> None:
    entry = ENTRIES[name]

    @PROFILE
    @given(st.data())
    def check(data: st.DataObject) -> None:
        shape = data.draw(shapes(name), "shape")
        drawn = data.draw(parameters(name), "parameters")
        own = [c for c in entry.more if not c.brief]
        if own and data.draw(st.booleans(), "a case of its own"):
            chosen = data.draw(st.sampled_from(own))
            case = Case(name, chosen.shape, chosen.parameters, chosen.options)
        else:
            case = Case(name, shape, drawn)
        kind = data.draw(st.sampled_from(["float32", "float64", *HALVES]), "dtype")
        dtype = HALVES[kind] if kind in HALVES else np.dtype(kind)
        layout = LAYOUTS[data.draw(st.sampled_from(list(LAYOUTS)), "layout")]
        reductions = [r for r in registry[name].reductions if r != "sample"]
        reduction = data.draw(st.sampled_from(reductions), "reduction")
        seed = data.draw(st.integers(0, 1 << 32), "seed")
        tensors = given_to(name, case, dtype, np.random.default_rng(seed), data)
        # the same values, of types that PyTorch and the oracle know
        wide = {n: widened(array) for n, array in tensors.items()}
        gradients = gradients_of(name, wide)
        assume(fit(name, wide, case.parameters))
        computed = np.dtype(np.float32) if kind in HALVES else dtype
        alone = oracle(name, wide, case.parameters, reduction, None)
        upstream = upstream_for(case, alone.loss[0].shape, computed)
        expected = oracle(name, wide, case.parameters, reduction, upstream)
        form: dict[str, Any] = {
            "parameters": case.parameters,
            "reduction": reduction,
            "gradients": gradients,
        }
        moved = {n: layout(a) if n != "cutoffs" else a for n, a in tensors.items()}
        labelled = moved | {n: layout(a) for n, a in relabelled(wide, data).items()}
        got = evaluate(name, labelled, **form, grad_output=upstream)
        assert_conforms(got, expected, dtype)
        exact = np.float64 if kind in HALVES else dtype
        doubles = {n: a.astype(exact) if a.dtype.kind == "f" else a for n, a in wide.items()}
        form["grad_output"] = upstream.astype(exact)
        theirs = finite(name, by_torch(name, doubles, **form), expected)
        alike = 0
        if issubclass(registry[name], Classes) and len(case.shape) > 2:
            alike = case.shape[1]  # exponentials so small that all are lost beside the largest
        if issubclass(registry[name], Classes):
            alike = math.prod(case.shape[1:2])  # classes whose margins are what is left of them
        declared = registry[name].params
        scale = (
            case.parameters.get("scale", declared["scale"].default) if "scale" in declared else 1
        )
        assert_agrees(got, theirs, expected, dtype, alike, scale)

    check()


def given_to(
    name: str, case: Case, dtype: np.dtype[Any], rng: np.random.Generator, data: st.DataObject
) -> Tensors:
    """A case's tensors with numbers of any magnitude, floating ones in `dtype`."""
    half = dtype in HALVES.values()
    tensors = case.tensors(np.float32 if half else dtype, rng)
    if name in MAGNITUDES:
        least, most, scaled = MAGNITUDES[name]
        if dtype == HALVES["float16"]:
            least, most = max(least, HALF_POWERS[0]), min(most, HALF_POWERS[1])
        power = data.draw(st.integers(least, most), "power of ten")
        for n in scaled:
            tensors[n] = np.asarray(tensors[n] * 10.0**power, tensors[n].dtype)
    return halved(tensors, dtype) if half else tensors


def relabelled(tensors: Tensors, data: st.DataObject) -> Tensors:
    """The tensors of integers, in types that hold them."""
    found = {}
    for name, array in tensors.items():
        if array.dtype.kind == "i" and array.size and name != "cutoffs":
            kinds = [k for k in LABELS if (array.astype(k) == array).all()]
            found[name] = array.astype(data.draw(st.sampled_from(kinds), f"type of {name}"))
    return found


def test_magnitudes_are_told_of_every_loss() -> None:
    assert MAGNITUDES.keys() == registry.keys()


@pytest.mark.filterwarnings("ignore:.*are broadcast")
@pytest.mark.parametrize("name", sorted(registry))
def test_any_call_is_made_of_its_losses(name: str) -> None:
    """In any type and layout, however it is weighed and reduced: as float32 without all that."""

    @PROFILE
    @given(st.data())
    def check(data: st.DataObject) -> None:
        case = Case(name, data.draw(shapes(name), "shape"))
        kind = data.draw(st.sampled_from(["float32", *HALVES]), "dtype")
        tensors = case.tensors(np.float32)
        if kind in HALVES:
            tensors = halved(tensors, HALVES[kind])
        wide = {n: widened(array) for n, array in tensors.items()}
        layout = LAYOUTS[data.draw(st.sampled_from(list(LAYOUTS)), "layout")]
        given = {n: layout(a) if n != "cutoffs" else a for n, a in tensors.items()}
        given |= {n: layout(array) for n, array in relabelled(wide, data).items()}
        reduction = data.draw(st.sampled_from(registry[name].reductions), "reduction")
        losses = evaluate(name, wide, parameters=case.parameters, reduction="none").loss
        more: dict[str, Any] = {"reduction": reduction, "parameters": case.parameters}
        factors = np.ones(losses.shape)
        if data.draw(st.booleans(), "weighed"):
            ranks = range(losses.ndim + 1)
            weight = case.rng().uniform(0, 2, losses.shape[: data.draw(st.sampled_from(ranks))])
            more["sample_weight"] = weight = weight.astype(np.float32)
            factors = np.broadcast_to(
                weight.reshape(weight.shape + (1,) * (losses.ndim - weight.ndim)), losses.shape
            )
        if reduction == "mean" and data.draw(st.booleans(), "normalized"):
            more["normalizer"] = divisor = data.draw(st.sampled_from([0.5, 3.0]), "normalizer")
            factors = factors / divisor
        more["zero_if_empty"] = data.draw(st.booleans(), "zero if empty")
        gradients = gradients_of(name, wide)
        got = evaluate(name, given, gradients=gradients, **more)
        alike = evaluate(name, wide, gradients=gradients, **more)
        assert got.loss.tobytes() == alike.loss.tobytes()
        for wanted, gradient in got.gradients.items():
            assert gradient.dtype == tensors[wanted].dtype
            rounded = widened(narrowed(alike.gradients[wanted], gradient.dtype))
            np.testing.assert_array_equal(widened(gradient), rounded, wanted)

        made = losses.astype(np.float64) * factors
        each = tuple(range(1, losses.ndim))
        if reduction == "sample":
            count = math.prod(losses.shape[1:])
            made = made.sum(each)
            if count or not more["zero_if_empty"]:
                with np.errstate(invalid="ignore"):  # of nothing: NaN
                    made = made / count
        elif reduction == "sum" or "normalizer" in more:
            if name == "ctc_loss" and reduction == "mean":
                made = made / np.maximum(wide["target_lengths"], 1)
            made = made.sum()
        elif reduction != "none":
            return  # what other means divide by has its own tests
        bound = 1e-5 * np.abs(losses * factors).sum() if reduction != "none" else 1e-38
        np.testing.assert_allclose(got.loss, made, rtol=1e-6, atol=float(np.nan_to_num(bound)))

    check()
