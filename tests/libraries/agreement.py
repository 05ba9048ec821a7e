"""What is held to a library, and how.

A library's loss is called with the catalogue's cases. What lossd answers, and what the peer in the
catalogue does, must be what the library answers, in units of the oracle's scales
(tests/conformance/catalogue/__init__.py) with the tolerance that PyTorch has for its own losses.
"""

from collections.abc import Callable, Collection, Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pytest
import torch

from lossd.engine import evaluate
from tests.conformance.cases import CASES, gradients_of
from tests.conformance.compare import Array, Reference, assert_agrees, by_torch, upstream_for
from tests.conformance.model import Case
from tests.conformance.oracles import oracle

Answer = Callable[..., Any]
Library = Callable[..., Any]

answers = pytest.mark.parametrize(
    "answer", [pytest.param(evaluate, id="lossd"), pytest.param(by_torch, id="peer")]
)
"""Both are called alike: lossd, and the library's loss as the catalogue writes it out."""


def of(*losses: str, where: Callable[[Case], bool] = lambda case: True) -> list[Case]:
    """The catalogue's cases of losses, as far as the library takes them."""
    return [case for case in CASES if case.loss in losses and where(case)]


def each_case(cases: list[Case]) -> pytest.MarkDecorator:
    assert cases
    return pytest.mark.parametrize("case", cases, ids=str)


def by_autograd(
    library: Library,
    tensors: Mapping[str, Array],
    *,
    parameters: Mapping[str, Any],
    reduction: str,
    gradients: Collection[str],
    grad_output: Array | None,
) -> Reference:
    """Loss and gradients of a library of torch."""
    given = {
        n: torch.from_numpy(x.copy()).requires_grad_(n in gradients) for n, x in tensors.items()
    }
    loss = library(**given, **parameters, reduction=reduction)
    if gradients:
        loss.backward(torch.ones_like(loss) if grad_output is None else torch.tensor(grad_output))
    return Reference(loss.detach().numpy(), {n: given[n].grad.numpy() for n in gradients})


def by_jax(
    library: Library,
    tensors: Mapping[str, Array],
    *,
    parameters: Mapping[str, Any],
    reduction: str,
    gradients: Collection[str],
    grad_output: Array | None,
) -> Reference:
    """Loss and gradients of a library of JAX."""
    import jax

    def loss_of(wanted: dict[str, Any]) -> Any:
        return library(**{**tensors, **wanted}, **parameters, reduction=reduction)

    with jax.enable_x64(True):
        loss, back = jax.vjp(loss_of, {n: jax.numpy.asarray(tensors[n]) for n in gradients})
        upstream = np.ones_like(loss) if grad_output is None else grad_output
        (slopes,) = back(jax.numpy.asarray(upstream))
    return Reference(np.asarray(loss), {n: np.asarray(slope) for n, slope in slopes.items()})


def assert_matches(
    answer: Answer,
    case: Case,
    library: Library,
    reduction: str,
    dtype: npt.DTypeLike = np.float64,
    asked: Callable[..., Reference] = by_autograd,
    gradients: tuple[str, ...] | None = None,
) -> None:
    """Loss and gradients of `case`, with a gradient of what follows where there are rows.

    gradients: the tensors that the library has one for, where these are not all that lossd has.
    """
    tensors = case.tensors(dtype)
    upstream = None
    if reduction == "none":
        alone = oracle(case.loss, tensors, case.parameters, "none", None)
        upstream = upstream_for(case, alone.loss[0].shape, dtype)
    call: dict[str, Any] = {
        "parameters": case.parameters,
        "reduction": reduction,
        "gradients": gradients_of(case.loss, tensors) if gradients is None else gradients,
        "grad_output": upstream,
    }
    reference = asked(library, tensors, **call)
    scales = oracle(case.loss, tensors, case.parameters, reduction, upstream)
    assert_agrees(answer(case.loss, tensors, **call), reference, scales, dtype)


BOTH: Final = pytest.mark.parametrize("reduction", ["none", "mean"])
