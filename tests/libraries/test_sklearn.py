"""The loss of quantiles, as scikit-learn defines it."""

import torch
from sklearn.metrics import mean_pinball_loss

from tests.conformance.model import Case

from .agreement import BOTH, Answer, answers, assert_matches, each_case, of


def pinball(
    input: torch.Tensor, target: torch.Tensor, reduction: str, quantile: float = 0.5
) -> torch.Tensor:
    """One sample of many outputs: their losses one by one, or their mean."""
    made = mean_pinball_loss(
        target.reshape(1, -1),
        input.reshape(1, -1),
        alpha=quantile,
        multioutput="raw_values" if reduction == "none" else "uniform_average",
    )
    return torch.as_tensor(made, dtype=input.dtype).reshape(
        input.shape if reduction == "none" else ()
    )


def alike(case: Case) -> bool:
    """Whether there is something, and input and target have one shape."""
    return 0 not in case.shape and "other" not in case.options


@BOTH
@answers
@each_case(of("quantile_loss", where=alike))
def test_matches_sklearn(case: Case, answer: Answer, reduction: str) -> None:
    assert_matches(answer, case, pinball, reduction, gradients=())  # it has no gradients
