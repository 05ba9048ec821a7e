"""The loss of images and texts, as transformers 5's CLIP defines it."""

import inspect
from types import SimpleNamespace
from typing import Any

import torch
from transformers.models.clip import modeling_clip

from tests.conformance.model import Case

from .agreement import Answer, answers, assert_matches, each_case, of

forward = inspect.unwrap(modeling_clip.CLIPModel.forward)


def clip(query: torch.Tensor, key: torch.Tensor, temperature: float = 0.1) -> Any:
    """CLIP's own forward pass after its towers: texts are the queries, images the keys."""
    model = SimpleNamespace(
        get_text_features=lambda **_: SimpleNamespace(pooler_output=query),
        get_image_features=lambda **_: SimpleNamespace(pooler_output=key),
        logit_scale=torch.tensor(1 / temperature, dtype=query.dtype).log(),
    )
    return forward(model, return_loss=True)


def both_ways(query: Any, key: Any, reduction: str, symmetric: bool, **options: Any) -> Any:
    return clip(query, key, **options).loss


def one_way(query: Any, key: Any, reduction: str, **options: Any) -> Any:
    """What texts lose, the first half of CLIP's loss."""
    return modeling_clip.contrastive_loss(clip(query, key, **options).logits_per_text)


@answers
@each_case(of("info_nce_loss"))
def test_matches_clip(case: Case, answer: Answer) -> None:
    library = both_ways if case.parameters.get("symmetric") else one_way
    assert_matches(answer, case, library, "mean")
