"""Losses of embeddings and of cosines, as pytorch-metric-learning 2.9 defines them."""

from typing import Any

import torch
from pytorch_metric_learning import losses, reducers

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
