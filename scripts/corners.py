"""What losses make of inputs that are special, by our own kernels: tables for the docs' pages.

The tests' catalogue knows how to draw every loss's tensors.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from lossd_client.errors import LossdError

from lossd.engine import evaluate
from lossd.spec import Loss, registry
from tests.conformance.cases import MIDDLE, gradients_of
from tests.conformance.catalogue import ENTRIES
from tests.conformance.model import Case, Tensors

Array = npt.NDArray[Any]
INFINITE = {"infinity": np.inf, "-infinity": -np.inf}


class Corner(NamedTuple):
    """A row of a page's table."""

    given: str
    reduction: str
    loss: str
    gradient: str


def _drawn(name: str) -> Tensors:
    """Tensors of several dimensions."""
    return next(case for case in MIDDLE if case.loss == name).tensors(np.float32)


def _kind(value: float) -> str:
    """A value, as far as it does not depend on what was drawn."""
    if np.isnan(value):
        return "NaN"
    if value in (0, 1, -1):
        return f"{value:g}"
    return f"{value:g}".replace("inf", "infinity") if np.isinf(value) else "finite"


def _kinds(values: Array) -> str:
    without_sign_of_0 = values.reshape(-1) + 0.0
    return " or ".join(sorted({_kind(value) for value in without_sign_of_0})) or "empty"


def _asked(
    loss: type[Loss], tensors: Tensors, given: str, reduction: str, at: Any = ..., **more: Any
) -> Corner:
    """What becomes of the tensors: the losses that differ from the usual ones, and the gradient.

    Of the gradient with respect to the first tensor that has one, what is at `at`.
    """
    name, first = loss.name, gradients_of(loss.name, tensors)[0]
    try:
        found = evaluate(name, tensors, reduction=reduction, gradients=[first], **more)
    except LossdError as error:
        return Corner(given, reduction, f"error: {str(error).removeprefix(f'{name}: ')}", "")
    losses = np.atleast_1d(found.loss)
    if reduction == "none":
        usual = np.atleast_1d(evaluate(name, _drawn(name), reduction="none").loss)
        losses = losses[(losses != usual) & ~(np.isnan(losses) & np.isnan(usual))]
        if not losses.size:
            return Corner(given, reduction, "as without it", _kinds(found.gradients[first][at]))
    return Corner(given, reduction, _kinds(losses), _kinds(found.gradients[first][at]))


def _not_finite(loss: type[Loss], tensors: Tensors, at: Any, where: str) -> Iterator[Corner]:
    """One element of the first tensor is no number, or infinite."""
    first = gradients_of(loss.name, tensors)[0]
    for word, special in {"NaN": np.nan, **INFINITE}.items():
        moved = tensors[first].copy()
        moved[at] = special
        given = f"{word} in `{first}`{where}"
        yield _asked(loss, tensors | {first: moved}, given, "none", at)


def _of_labels(loss: type[Loss], tensors: Tensors) -> Iterator[Corner]:
    """Labels that are none."""
    target = tensors["target"]
    if "ignore_index" in loss.params:
        ignored = np.full_like(target, loss.params["ignore_index"].default)
        yield _asked(loss, tensors | {"target": ignored}, "all labels ignored", "mean")
        ignored.flat[:-1] = target.flat[:-1]
        at = (-1, ...)
        yield _asked(loss, tensors | {"target": ignored}, "a label ignored", "none", at)
    for wrong in (-1, 10_000):
        moved = target.copy()
        moved.flat[0] = wrong
        yield _asked(loss, tensors | {"target": moved}, f"a label of {wrong}", "mean")


def corners(name: str) -> list[Corner]:
    """What a loss makes of special inputs; nothing if the tests do not know it yet."""
    if name not in ENTRIES:
        return []
    loss, tensors = registry[name], _drawn(name)
    x = tensors[gradients_of(name, tensors)[0]]
    labelled = "target" in tensors and loss.tensors["target"].role == "label"
    if labelled and x.ndim == 2 and "linear_weight" not in tensors:
        own = 0, int(tensors["target"][0])
        other = 0, (own[1] + 1) % x.shape[1]
        found = [*_not_finite(loss, tensors, own, " at the label")]
        found += _not_finite(loss, tensors, other, " at another class")
    else:
        middle = np.unravel_index(x.size // 2, x.shape)
        found = [*_not_finite(loss, tensors, middle, "")]
    if loss.predicts == "value":
        equal = tensors | {"target": tensors["input"]}
        found.append(_asked(loss, equal, "`target` = `input`", "mean"))
    if labelled:
        found += _of_labels(loss, tensors)
    if loss.masked:
        masked = tensors | {loss.masked: np.zeros_like(x)}
        found.append(_asked(loss, masked, f"0 all over `{loss.masked}`", "mean"))
    if "weight" in loss.optional():
        of_classes = loss.tensors["weight"].role == "class"
        shape = x.shape[1:2] if of_classes else x.shape
        if "linear_weight" in tensors:
            shape = tensors["linear_weight"].shape[:1]
        weighed = tensors | {"weight": np.zeros(shape, np.float32)}
        found.append(_asked(loss, weighed, "0 all over `weight`", "mean"))
    samples = evaluate(name, tensors, reduction="none").loss.shape[:1]
    if samples:
        weight = np.zeros(samples, np.float32)
        given = "0 all over `sample_weight`"
        found.append(_asked(loss, tensors, given, "mean", sample_weight=weight))
    empty = [shape for shape in ENTRIES[name].shapes if shape[:1] == (0,)]
    if empty:
        nothing = Case(name, empty[-1]).tensors(np.float32)
        for reduction in ("mean", "sum"):
            found.append(_asked(loss, nothing, "no samples", reduction))
        given = "no samples, `zero_if_empty`"
        found.append(_asked(loss, nothing, given, "mean", zero_if_empty=True))
    return found
