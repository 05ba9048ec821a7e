"""The contrastive loss of pairs, as sentence-transformers 6.2 defines it."""

from typing import Any

import numpy as np
import pytest
from sentence_transformers.sentence_transformer.losses import ContrastiveLoss, SiameseDistanceMetric

from tests.conformance.model import Case

from .agreement import Answer, answers, assert_matches, each_case, of

DISTANCES = {
    "pairwise": SiameseDistanceMetric.EUCLIDEAN,
    "manhattan": SiameseDistanceMetric.MANHATTAN,
    "cosine": SiameseDistanceMetric.COSINE_DISTANCE,
}


def contrastive(
    input1: Any,
    input2: Any,
    target: Any,
    reduction: str,
    distance_function: str = "pairwise",
    margin: float = 1.0,
) -> Any:
    """The loss of embeddings, which a model would make."""
    loss = ContrastiveLoss(
        model=None,
        distance_metric=DISTANCES[distance_function],
        margin=margin,
        size_average=reduction == "mean",
    )
    return loss.compute_loss_from_embeddings([input1, input2], target)


def paired(case: Case) -> bool:
    return len(case.shape) == 2 and 0 not in case.shape and "others" not in case.options


@answers
@pytest.mark.parametrize("reduction", ["sum", "mean"])
@pytest.mark.filterwarnings("ignore:ContrastiveLoss expects binary labels")
@each_case(of("contrastive_loss", where=paired))
def test_matches_sentence_transformers(case: Case, answer: Answer, reduction: str) -> None:
    # labels are taken as float32, which changes those between 0 and 1
    dtype = np.float32 if case.options.get("soft") else np.float64
    assert_matches(answer, case, contrastive, reduction, dtype)
