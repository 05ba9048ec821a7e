"""Losses of embeddings and of cosines, as pytorch-metric-learning 2.9 defines them."""

from typing import Any

import numpy as np
import pytest
import torch
from pytorch_metric_learning import losses, reducers

from lossd.engine import evaluate
from tests.conformance.model import Case

from .agreement import BOTH, Answer, answers, assert_matches, each_case, of


def reduced(loss: type, reduction: str, **options: Any) -> Any:
    """A loss with the library's own mean, or one that answers what it would take the mean of."""
    if reduction == "none":
        options["reducer"] = reducers.DoNothingReducer()
    return loss(**options)


def value(made: Any) -> torch.Tensor:
    """The mean, or the losses: of rows, which the circle loss keeps a dimension for."""
    return made["loss"]["losses"].flatten() if isinstance(made, dict) else made


def supcon(embeddings: Any, labels: Any, **options: Any) -> torch.Tensor:
    return value(reduced(losses.SupConLoss, **options)(embeddings, labels))


def nt_xent(embeddings1: Any, embeddings2: Any, temperature: float = 0.1, **options: Any) -> Any:
    loss = reduced(losses.NTXentLoss, temperature=temperature, **options)
    return value(losses.SelfSupervisedLoss(loss)(embeddings1, embeddings2))


def circle(embeddings: Any, labels: Any, **options: Any) -> torch.Tensor:
    return value(reduced(losses.CircleLoss, **options)(embeddings, labels))


class Given:
    """In place of a layer, whose cosines with embeddings these losses take: the cosines."""

    def get_cosine(self, embeddings: torch.Tensor) -> torch.Tensor:
        return embeddings


class ArcFace(Given, losses.ArcFaceLoss):
    pass


class CosFace(Given, losses.CosFaceLoss):
    pass


def arcface(input: Any, target: Any, **options: Any) -> torch.Tensor:
    sizes = {"num_classes": input.shape[1], "embedding_size": 1}
    return value(reduced(ArcFace, **sizes, **options)(input, target))


def cosface(input: Any, target: Any, **options: Any) -> torch.Tensor:
    sizes = {"num_classes": input.shape[1], "embedding_size": 1}
    return value(reduced(CosFace, **sizes, **options)(input, target))


LOSSES = {
    "supcon_loss": supcon,
    "nt_xent_loss": nt_xent,
    "circle_loss": circle,
    "arcface_loss": arcface,
    "cosface_loss": cosface,
}


def rows(case: Case) -> bool:
    """Whether there are rows, as the library wants them."""
    return len(case.shape) == 2 and 0 not in case.shape


@BOTH
@answers
@each_case(of(*LOSSES, where=rows))
def test_matches_metric_learning(case: Case, answer: Answer, reduction: str) -> None:
    assert_matches(answer, case, LOSSES[case.loss], reduction)


def test_means_differ_where_losses_are_0() -> None:
    """What is alone in its class is left out here, there what has a loss of exactly 0."""
    x = np.array([[1.0, 0.0], [1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.8, 1.0]])
    labels = np.array([0, 0, 2, 1, 1])
    tensors, form = {"embeddings": x, "labels": labels}, {"parameters": {"temperature": 0.02}}
    rows = evaluate("supcon_loss", tensors, **form, reduction="none").loss
    assert list(rows > 0) == [True, True, False, False, True]
    ours = evaluate("supcon_loss", tensors, **form).loss
    theirs = losses.SupConLoss(temperature=0.02)(torch.from_numpy(x), torch.from_numpy(labels))
    # roundings of cosines are divided by the temperature, and sums near 1 are rounded
    eps = np.finfo(float).eps
    np.testing.assert_allclose(4 * ours, 3 * theirs, rtol=16 * eps / 0.02, atol=16 * eps)


@pytest.mark.parametrize("name", ["supcon_loss", "circle_loss"])
def test_the_library_has_no_loss_of_one_class(name: str) -> None:
    x, labels = np.eye(3), np.zeros(3, int)
    ours = evaluate(name, {"embeddings": x, "labels": labels}).loss
    expected = np.log(2) if name == "supcon_loss" else np.nan
    np.testing.assert_allclose(ours, expected, rtol=4 * np.finfo(float).eps)
    assert LOSSES[name](torch.from_numpy(x), torch.from_numpy(labels), reduction="mean") == 0
