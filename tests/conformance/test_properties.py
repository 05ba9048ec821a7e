"""Drawn at random, for every loss: shapes, types, parameters, options, magnitudes and layouts."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lossd.engine import evaluate
from lossd.spec import Classes, Elementwise, Vectors, registry

from .cases import gradients_of
from .catalogue import ENTRIES
from .compare import Reference, assert_agrees, assert_conforms, by_torch, upstream_for
from .layouts import LAYOUTS
from .model import Array, Case, Number, Shape
from .oracles import Answer, oracle

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
    if issubclass(loss, Elementwise) and "boxes1" not in loss.tensors:
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


@pytest.mark.filterwarnings("ignore:.*are broadcast")
@pytest.mark.parametrize("name", sorted(registry))
def test_any_call_agrees_with_the_oracle_and_torch(name: str) -> None:
    entry = ENTRIES[name]

    @settings(max_examples=EXAMPLES, deadline=None, derandomize=True, database=None)
    @given(st.data())
    def check(data: st.DataObject) -> None:
        shape = data.draw(shapes(name), "shape")
        parameters = data.draw(st.sampled_from([{}, *entry.grid]), "parameters")
        own = [c for c in entry.more if not c.brief]
        if own and data.draw(st.booleans(), "a case of its own"):
            chosen = data.draw(st.sampled_from(own))
            case = Case(name, chosen.shape, chosen.parameters, chosen.options)
        else:
            case = Case(name, shape, parameters)
        dtype = np.dtype(data.draw(st.sampled_from(["float32", "float64"]), "dtype"))
        layout = data.draw(st.sampled_from(list(LAYOUTS)), "layout")
        reductions = [r for r in registry[name].reductions if r != "sample"]
        reduction = data.draw(st.sampled_from(reductions), "reduction")
        tensors = case.tensors(dtype)
        first = next(iter(tensors))
        alike = 0
        if name in SCALED:
            alike = math.prod(case.shape[1:2])  # classes whose margins are what is left of them
            power = data.draw(st.integers(-18, 8), "power of ten")
            tensors[first] = (tensors[first] * 10.0**power).astype(dtype)
        gradients = gradients_of(name, tensors)
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
        assert_agrees(got, theirs, expected, dtype, alike)

    check()
