"""Losses of JAX's libraries: optax 0.2.8 and Rax 0.4."""

from typing import Any

import jax
import optax
import rax

from tests.conformance.model import Case

from .agreement import Answer, answers, assert_matches, by_jax, each_case, of


def poly(
    input: Any, target: Any, reduction: str, epsilon: float = 2.0, label_smoothing: float = 0.0
) -> Any:
    axis = 1 if input.ndim > 1 else 0
    one_hot = jax.nn.one_hot(target, input.shape[axis], axis=axis, dtype=input.dtype)
    labels = optax.losses.smooth_labels(one_hot, label_smoothing, axis=axis)
    losses = optax.losses.poly_loss_cross_entropy(input, labels, epsilon=epsilon, axis=axis)
    return losses if reduction == "none" else losses.mean()


def plain(case: Case) -> bool:
    """Whether there are classes for all, weighed alike: optax knows nothing else."""
    return not case.options and 0 not in case.shape and "ignore_index" not in case.parameters


@answers
@each_case(of("poly1_cross_entropy_loss", where=plain))
def test_matches_optax(case: Case, answer: Answer) -> None:
    assert_matches(answer, case, poly, "none", asked=by_jax)


def listwise(input: Any, target: Any, reduction: str, temperature: float = 1.0) -> Any:
    """TensorFlow Ranking's loss as its authors' library for JAX has it."""
    there = target >= 0
    return rax.softmax_loss(input / temperature, target, where=there, reduce_fn=None)


@answers
@each_case(of("listwise_softmax_loss", where=lambda case: 0 not in case.shape))
def test_matches_rax(case: Case, answer: Answer) -> None:
    assert_matches(answer, case, listwise, "none", asked=by_jax)
