"""Drawn at random, for every loss: shapes, types, parameters, options, magnitudes and layouts."""

import math
from typing import Any, Final

import numpy as np
import pytest
from hypothesis import assume, given, settings
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

EXAMPLES = 12
# draws of numbers without bounds: they may be of any magnitude
SCALED = {
    "l1_loss", "mse_loss", "smooth_l1_loss", "huber_loss", "quantile_loss", "hinge_loss",
    "squared_hinge_loss", "hinge_embedding_loss", "margin_ranking_loss", "cosine_embedding_loss",
    "cross_entropy", "nll_loss", "multi_margin_loss", "soft_margin_loss",
}  # fmt: skip


def finite(theirs: Reference, expected: Answer) -> Reference:
    """PyTorch's results; where they alone are not finite, the oracle's."""

    def chosen(array: Array, number: Number) -> Array:
        value = np.asarray(number[0])
        with np.errstate(over="ignore"):
            return np.where(np.isfinite(value) & ~np.isfinite(array), value, array).astype(
                array.dtype
            )

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

    @settings(max_examples=EXAMPLES, deadline=None, derandomize=True, database=None)
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
        dtype = np.dtype(data.draw(st.sampled_from(["float32", "float64"]), "dtype"))
        layout = data.draw(st.sampled_from(list(LAYOUTS)), "layout")
        reductions = [r for r in registry[name].reductions if r != "sample"]
        reduction = data.draw(st.sampled_from(reductions), "reduction")
        tensors = case.tensors(dtype)
        first = next(iter(tensors))
        alike = 0
        if issubclass(registry[name], Classes) and len(case.shape) > 2:
            alike = case.shape[1]  # exponentials so small that all are lost beside the largest
        if name in SCALED:
            alike = math.prod(case.shape[1:2])  # classes whose margins are what is left of them
            power = data.draw(st.integers(-18, 8), "power of ten")
            tensors[first] = np.asarray(tensors[first] * 10.0**power, dtype)
        gradients = gradients_of(name, tensors)
        assume(fit(name, tensors, case.parameters))
        alone = oracle(name, tensors, case.parameters, reduction, None)
        upstream = upstream_for(case, alone.loss[0].shape, dtype)
        expected = oracle(name, tensors, case.parameters, reduction, upstream)
        form: dict[str, Any] = {
            "parameters": case.parameters,
            "reduction": reduction,
            "gradients": gradients,
            "grad_output": upstream,
        }
        moved = {k: LAYOUTS[layout](v) if k != "cutoffs" else v for k, v in tensors.items()}
        got = evaluate(name, moved, **form)
        assert_conforms(got, expected, dtype)
        theirs = finite(by_torch(name, tensors, **form), expected)
        declared = registry[name].params
        scale = (
            case.parameters.get("scale", declared["scale"].default) if "scale" in declared else 1
        )
        assert_agrees(got, theirs, expected, dtype, alike, scale)

    check()


LABELS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")


@pytest.mark.filterwarnings("ignore:.*are broadcast")
@pytest.mark.parametrize("name", sorted(registry))
def test_any_call_is_made_of_its_losses(name: str) -> None:
    """In any type and layout, however it is weighed and reduced: as float32 without all that."""

    @settings(max_examples=EXAMPLES, deadline=None, derandomize=True, database=None)
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
        for label, array in wide.items():
            if array.dtype.kind == "i" and array.size and label != "cutoffs":
                kinds = [k for k in LABELS if (array.astype(k) == array).all()]
                given[label] = layout(array.astype(data.draw(st.sampled_from(kinds), label)))
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
            if name in ("ctc_loss", "grpo_loss") and reduction == "mean":
                return  # their means have factors of their own
            made = made.sum()
        elif reduction != "none":
            return  # what other means divide by has its own tests
        bound = 1e-5 * np.abs(losses * factors).sum() if reduction != "none" else 1e-38
        np.testing.assert_allclose(got.loss, made, rtol=1e-6, atol=float(np.nan_to_num(bound)))

    check()
