"""The cases that implementations get wrong, and the tutorials' worked examples.

Every expected number is written out, and held against PyTorch as well as lossd. Where lossd means
to differ from PyTorch, the corner says what PyTorch gives.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from lossd_client.errors import DomainError, LabelError, ParameterError, ResourceError, ShapeError

from lossd.engine import evaluate
from lossd.plan import Result

from .cases import CASES, gradients_of
from .compare import Reference, by_torch
from .model import Case

NAN, INF = np.nan, np.inf
LOG2 = float(np.log(2))
EPS = float(np.float32(1e-12))  # torch writes 1e-12f in BCE's gradient and in cosines
DTYPES = (np.float32, np.float64)

Values = Mapping[str, Any]


def arrays(tensors: Values, dtype: npt.DTypeLike) -> dict[str, npt.NDArray[Any]]:
    """Lists as arrays: integers stay labels, everything else gets `dtype`."""
    made = {name: np.asarray(value) for name, value in tensors.items()}
    return {k: a if a.dtype.kind in "iu" else a.astype(dtype) for k, a in made.items()}


def both(
    loss: str,
    tensors: Values,
    dtype: npt.DTypeLike = np.float32,
    reduction: str = "mean",
    shape: tuple[int, ...] = (),
    **parameters: Any,
) -> tuple[Result, Reference]:
    """The call, with every gradient, by lossd and by PyTorch."""
    given = arrays(tensors, dtype)
    form: dict[str, Any] = {
        # leaves every gradient as it is, in a kernel that other tests have compiled
        "grad_output": np.ones(shape, dtype) if reduction == "none" else None,
        "parameters": parameters,
        "reduction": reduction,
        "gradients": gradients_of(loss, given),
    }
    return evaluate(loss, given, **form), by_torch(loss, given, **form)


@dataclass(frozen=True)
class Corner:
    """A call whose answer is known.

    what: why it is here.
    expected: the loss.
    gradients: those that are known; the others are only held against PyTorch's.
    units: how many eps the answer may be off, relative to it; 0 where it is exact.
    torch: False where the answer differs from PyTorch's on purpose.
    """

    what: str
    loss: str
    tensors: Values
    expected: Any
    gradients: Values = field(default_factory=dict)
    parameters: Values = field(default_factory=dict)
    reduction: str = "mean"
    units: float = 4
    torch: bool = True

    def __str__(self) -> str:
        return f"{self.loss}: {self.what}"


def near(got: npt.NDArray[Any], expected: Any, units: float, what: str) -> None:
    rtol = units * float(np.finfo(got.dtype).eps)
    expected = np.asarray(expected, got.dtype)
    np.testing.assert_allclose(got, expected, rtol=rtol, err_msg=what, strict=True)


IGNORED = [-100, -100]
TWO = [[0.0, 1], [1, 2]]
ZEROS = [[0.0, 0], [0, 0]]

CLASSES = [
    Corner("probabilities that do not sum to 1", "cross_entropy",
           {"input": ZEROS, "target": [[0.9, 0.9], [0.5, -0.25]]}, [1.8 * LOG2, 0.25 * LOG2],
           {"input": [[0, 0], [-0.375, 0.375]]}, reduction="none"),
    Corner("every target ignored, mean", "cross_entropy", {"input": TWO, "target": IGNORED}, NAN,
           {"input": ZEROS}),
    Corner("every target ignored, sum", "cross_entropy", {"input": TWO, "target": IGNORED}, 0,
           {"input": ZEROS}, reduction="sum"),
    Corner("every target ignored, none", "cross_entropy", {"input": TWO, "target": IGNORED}, [0, 0],
           {"input": ZEROS}, reduction="none"),
    Corner("every target ignored, smoothed", "cross_entropy", {"input": TWO, "target": IGNORED},
           NAN, {"input": ZEROS}, {"label_smoothing": 0.1}),
    Corner("every target ignored, weighted", "cross_entropy",
           {"input": TWO, "target": IGNORED, "weight": [1.0, 2]}, NAN, {"input": ZEROS}),
    Corner("empty batch, mean", "cross_entropy",
           {"input": np.zeros((0, 3)), "target": np.zeros(0, int)}, NAN,
           {"input": np.zeros((0, 3))}),
    Corner("empty batch, sum", "cross_entropy",
           {"input": np.zeros((0, 3)), "target": np.zeros(0, int)}, 0, reduction="sum"),
    Corner("total weight 0, mean", "cross_entropy",
           {"input": [[0.0, 1]], "target": [0], "weight": [0.0, 1]}, NAN, {"input": [[NAN, NAN]]}),
    Corner("total weight 0, sum", "cross_entropy",
           {"input": [[0.0, 1]], "target": [0], "weight": [0.0, 1]}, 0, {"input": [[0, 0]]},
           reduction="sum"),
    # rows of log 2 with weights 1, 3, 3 and one left out: Σ w·nll / Σ w = log 2, and p - y = ±½
    Corner("indices and weight: divides by the weights kept", "cross_entropy",
           {"input": [[0.0, 0]] * 4, "target": [0, 1, 1, -100], "weight": [1.0, 3]}, LOG2,
           {"input": [[-0.5 / 7, 0.5 / 7], [1.5 / 7, -1.5 / 7], [1.5 / 7, -1.5 / 7], [0, 0]]}),
    Corner("probabilities and weight: divides by N", "cross_entropy",
           {"input": [[0.0, 0], [0, 0]], "target": [[1.0, 0], [0, 1]], "weight": [1.0, 3]},
           2 * LOG2,
           {"input": [[-0.25, 0.25], [0.75, -0.75]], "target": [[LOG2 / 2, 1.5 * LOG2]] * 2,
            "weight": [LOG2 / 2, LOG2 / 2]}),
    Corner("probabilities and weight: N is batch times spatial", "cross_entropy",
           {"input": [[[0.0, 0], [0, 0]]], "target": [[[1.0, 0], [0, 1]]], "weight": [1.0, 3]},
           2 * LOG2,
           {"input": [[[-0.25, 0.75], [0.25, -0.75]]]}),
    Corner("logit -inf that is not the target", "cross_entropy",
           {"input": [[0.0, 0, -INF]], "target": [0]}, LOG2, {"input": [[-0.5, 0.5, 0]]}),
    Corner("logit -inf with a probability of 0", "cross_entropy",
           {"input": [[0.0, 0, -INF]], "target": [[0.5, 0.5, 0]]}, NAN, {"input": [[0, 0, 0]]}),
    Corner("target logit -inf", "cross_entropy",
           {"input": [[0.0, -INF]], "target": [1]}, INF, {"input": [[1, -1]]}),
    Corner("target logit -inf, smoothed", "cross_entropy",
           {"input": [[0.0, -INF]], "target": [1]}, INF, {"input": [[0.75, -0.75]]},
           {"label_smoothing": 0.5}),
    Corner("other logit -inf, smoothed", "cross_entropy",
           {"input": [[0.0, -INF]], "target": [0]}, INF, {"input": [[0.25, -0.25]]},
           {"label_smoothing": 0.5}),
    Corner("other logit +inf", "cross_entropy",
           {"input": [[0.0, INF]], "target": [0]}, NAN, {"input": [[NAN, NAN]]}),
    Corner("target logit +inf", "cross_entropy",
           {"input": [[0.0, INF]], "target": [1]}, NAN, {"input": [[NAN, NAN]]}),
    Corner("every logit -inf", "cross_entropy",
           {"input": [[-INF, -INF]], "target": [1]}, NAN, {"input": [[NAN, NAN]]}),
    Corner("logits too large for exp", "cross_entropy",
           {"input": [[1000.0, 999, -1000]], "target": [0]}, np.log1p(np.exp(-1.0))),
    Corner("weight 0 where the logit is -inf", "cross_entropy",
           {"input": [[0.0, -INF]], "target": [0], "weight": [1.0, 0]}, 0, {"input": [[0, 0]]}),
    Corner("one class", "cross_entropy", {"input": [[5.0], [7]], "target": [0, 0]}, 0,
           {"input": [[0], [0]]}),
    Corner("no batch dimension, target of shape ()", "cross_entropy",
           {"input": [0.0, 0], "target": 1}, LOG2, {"input": [0.5, -0.5]}),
    Corner("every target ignored, mean", "nll_loss", {"input": TWO, "target": IGNORED}, NAN,
           {"input": ZEROS}),
    Corner("every target ignored, sum", "nll_loss", {"input": TWO, "target": IGNORED}, 0,
           {"input": ZEROS}, reduction="sum"),
    Corner("empty batch, mean", "nll_loss", {"input": np.zeros((0, 3)), "target": np.zeros(0, int)},
           NAN),
    Corner("weight: divides by the weights kept", "nll_loss",
           {"input": [[-1.0, -2], [-1, -2], [-1, -2]], "target": [0, 1, -100], "weight": [1.0, 3]},
           7 / 4,
           {"input": [[-0.25, 0], [0, -0.75], [0, 0]]}),
    Corner("total weight 0, mean", "nll_loss",
           {"input": [[-1.0, -2]], "target": [1], "weight": [1.0, 0]}, NAN, {"input": [[0, NAN]]}),
    Corner("log-probability -inf at the target", "nll_loss",
           {"input": [[-INF, 0.0]], "target": [0]}, INF, {"input": [[-1, 0]]}),
    Corner("log-probability -inf elsewhere", "nll_loss", {"input": [[-INF, 0.0]], "target": [1]}, 0,
           {"input": [[0, -1]]}),
]  # fmt: skip

PROBABILITIES = [
    Corner("input at the ends", "binary_cross_entropy",
           {"input": [0.0, 1, 0, 1], "target": [1.0, 0, 0, 1]}, [100, 100, 0, 0],
           {"input": [-1 / EPS, 1 / EPS, 0, 0], "target": [INF, -INF, INF, -INF]},
           reduction="none"),
    Corner("input at the ends, mean", "binary_cross_entropy",
           {"input": [0.0, 1], "target": [1.0, 0]}, 100, {"input": [-0.5 / EPS, 0.5 / EPS]}),
    Corner("weight, mean: divides by N", "binary_cross_entropy",
           {"input": [0.5, 0.5], "target": [1.0, 0], "weight": [1.0, 3]}, 2 * LOG2,
           {"input": [-1, 3]}),
    Corner("infinite logits with the target", "binary_cross_entropy_with_logits",
           {"input": [INF, -INF], "target": [1.0, 0]}, [NAN, NAN],
           {"input": [0, 0], "target": [-INF, INF]}, reduction="none"),
    # torch: nan for the second, whose (1 - y) x is 0 times infinity
    Corner("infinite logits against the target", "binary_cross_entropy_with_logits",
           {"input": [INF, -INF], "target": [0.0, 1]}, [INF, INF],
           {"input": [1, -1], "target": [-INF, INF]}, reduction="none", torch=False),
    Corner("large logits against the target", "binary_cross_entropy_with_logits",
           {"input": [200.0, -200], "target": [0.0, 1]}, [200, 200],
           {"input": [1, -1], "target": [-200, 200]}, reduction="none"),
    Corner("large logit with the target", "binary_cross_entropy_with_logits",
           {"input": [200.0], "target": [1.0]}, [np.exp(-200.0)], {"input": [0]}, reduction="none"),
    Corner("weight, mean: divides by N", "binary_cross_entropy_with_logits",
           {"input": [0.0, 0], "target": [1.0, 0], "weight": [1.0, 3]}, 2 * LOG2,
           {"input": [-0.25, 0.75]}),
    Corner("pos_weight, mean: divides by N", "binary_cross_entropy_with_logits",
           {"input": [0.0, 0], "target": [1.0, 0], "pos_weight": [3.0, 3]}, 2 * LOG2,
           {"input": [-0.75, 0.25], "target": [LOG2, LOG2]}),
    Corner("targets that do not sum to 1", "kl_div", {"input": [-1.0, -1], "target": [2.0, -1]},
           [2 * LOG2 + 2, NAN], {"input": [-2, 1]}, reduction="none"),
    Corner("target 0", "kl_div", {"input": [-1.0, -2], "target": [0.0, 0]}, [0, 0],
           {"input": [-0.0, -0.0], "target": [NAN, NAN]}, reduction="none"),
    Corner("target 0 and input -inf", "kl_div", {"input": [-INF], "target": [0.0]}, [NAN],
           {"input": [-0.0], "target": [NAN]}, reduction="none"),
    Corner("input -inf", "kl_div", {"input": [-INF], "target": [0.5]}, [INF],
           {"input": [-0.5], "target": [INF]}, reduction="none"),
    Corner("mean divides by every element", "kl_div",
           {"input": [[-1.0, -1, -1, -1]], "target": [[1.0, 1, 1, 1]]}, 1,
           {"input": [[-0.25] * 4]}),
    Corner("batchmean divides by the first dimension", "kl_div",
           {"input": [[-1.0, -1, -1, -1]] * 2, "target": [[1.0, 1, 1, 1]] * 2}, 4,
           {"input": [[-0.5] * 4] * 2}, reduction="batchmean"),
    Corner("log_target -inf", "kl_div", {"input": [-1.0], "target": [-INF]}, NAN,
           {"input": [-0.0], "target": [NAN]}, {"log_target": True}),
    Corner("empty, batchmean", "kl_div", {"input": np.zeros(0), "target": np.zeros(0)}, NAN,
           reduction="batchmean"),
]  # fmt: skip

REGRESSION = [
    Corner("subgradient 0 at 0", "l1_loss", {"input": [1.0, 2], "target": [1.0, 0]}, 1,
           {"input": [0, 0.5], "target": [0, -0.5]}),
    Corner("beta=0, subgradient 0 at 0", "smooth_l1_loss", {"input": [1.0, 2], "target": [1.0, 0]},
           1,
           {"input": [0, 0.5], "target": [0, -0.5]}, {"beta": 0.0}),
    Corner("at the joint", "smooth_l1_loss", {"input": [2.0, -2], "target": [0.0, 0]}, 1,
           {"input": [0.5, -0.5]}, {"beta": 2.0}),
    Corner("beta=inf", "smooth_l1_loss", {"input": [1.0, 3], "target": [1.0, 0]}, 0,
           {"input": [0, 0], "target": [0, 0]}, {"beta": INF}),
    Corner("at the joint", "huber_loss", {"input": [2.0, -2], "target": [0.0, 0]}, 2,
           {"input": [1, -1]}, {"delta": 2.0}),
    Corner("delta=inf is half the squared error", "huber_loss",
           {"input": [1.0, 3], "target": [1.0, 0]}, 2.25,
           {"input": [0, 1.5], "target": [0, -1.5]}, {"delta": INF}),
    *(
        Corner(f"empty, {reduction}", loss, {"input": np.zeros(0), "target": np.zeros(0)}, value,
               {"input": np.zeros(0)}, reduction=reduction)
        for loss in ("mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss", "binary_cross_entropy")
        for reduction, value in (("mean", NAN), ("sum", 0))
    ),
]  # fmt: skip

INFINITE = {"input": [INF, -INF, INF], "target": [0.0, 0, INF]}
REGRESSION += [
    Corner("infinite values", loss, INFINITE, [INF, INF, NAN], gradients, reduction="none",
           torch=agrees)
    for loss, gradients, agrees in (
        ("mse_loss", {"input": [INF, -INF, NAN], "target": [-INF, INF, NAN]}, True),
        ("l1_loss", {"input": [1, -1, NAN], "target": [-1, 1, NAN]}, False),  # torch: 0 for nan
        ("smooth_l1_loss", {"input": [1, -1, NAN], "target": [-1, 1, NAN]}, True),
        ("huber_loss", {"input": [1, -1, NAN], "target": [-1, 1, NAN]}, True),
    )
]  # fmt: skip

SAME = {"anchor": [[0.0, 0]], "positive": [[0.0, 0]], "negative": [[0.0, 0]]}
ROOT = 0.5**0.5


def gathered(anchor: float, positive: float, negative: float) -> dict[str, list[list[float]]]:
    values = {"anchor": anchor, "positive": positive, "negative": negative}
    return {name: [[value, value]] for name, value in values.items()}


EMBEDDINGS = [
    Corner("x = margin, y = -1: a clamp passes the gradient at equality", "hinge_embedding_loss",
           {"input": [1.0, 2, 0], "target": [-1.0, -1, -1]}, [0, 0, 1], {"input": [-1, 0, -1]},
           reduction="none"),
    Corner("y neither 1 nor -1: both parts", "hinge_embedding_loss",
           {"input": [0.5, 0.25, 3], "target": [0.0, 3, 0]}, [1, 1, 3], {"input": [0, 0, 1]},
           reduction="none"),
    Corner("at the kink", "margin_ranking_loss",
           {"input1": [1.0, 2], "input2": [1.0, 2], "target": [1.0, -1]}, [0, 0],
           {"input1": [-1, 1], "input2": [1, -1], "target": [0, 0]}, reduction="none"),
    Corner("at the kink, with a margin", "margin_ranking_loss",
           {"input1": [1.0], "input2": [0.5], "target": [1.0]}, [0],
           {"input1": [-1], "input2": [1], "target": [-0.5]}, {"margin": 0.5}, "none"),
    Corner("zero vector", "cosine_embedding_loss",
           {"input1": [[0.0, 0]], "input2": [[3000.0, 4000]], "target": [-1.0]}, [0],
           {"input1": [[0.6 / EPS**0.5, 0.8 / EPS**0.5]], "input2": [[0, 0]]}, reduction="none"),
    Corner("zero vector, similar", "cosine_embedding_loss",
           {"input1": [[0.0, 0]], "input2": [[1000.0, 1000]], "target": [1.0]}, [1],
           {"input1": [[-ROOT / EPS**0.5] * 2], "input2": [[0, 0]]}, reduction="none"),
    Corner("two zero vectors", "cosine_embedding_loss",
           {"input1": [[0.0, 0]] * 2, "input2": [[0.0, 0]] * 2, "target": [1.0, -1]}, [1, 0],
           {"input1": ZEROS, "input2": ZEROS}, reduction="none"),
    Corner("y neither 1 nor -1", "cosine_embedding_loss",
           {"input1": [[1.0, 0], [0, 1]], "input2": [[1.0, 1]] * 2, "target": [0.0, 2]}, [0, 0],
           {"input1": ZEROS, "input2": ZEROS}, reduction="none"),
    *(
        Corner(f"identical points, p={p}", "triplet_margin_loss", SAME, 1, gathered(0, -s, s),
               {"p": p})
        for p, s in ((2.0, ROOT), (1.0, 1), (0.5, 2), (-1.0, 0.25),
        (INF, 0.5), (-INF, 0.5))
    ),
    # (1e-18)^(1/3): a power of something small multiplies the rounding of its exponent
    Corner("identical points, p=3", "triplet_margin_loss", SAME, 1,
           gathered(0, -(2 ** (-2 / 3)), 2 ** (-2 / 3)), {"p": 3.0}, units=8),
    # both negatives are as far: each takes half of the slope
    *(
        Corner(f"identical points, swap, p={p}", "triplet_margin_loss", SAME, 1,
               gathered(s / 2, -1.5 * s, s), {"p": p, "swap": True})
        for p, s in ((2.0, ROOT), (1.0, 1), (0.5, 2), (INF, 0.5))
    ),
    *(
        Corner(f"identical points, eps=0, p={p}", "triplet_margin_loss", SAME, 1, gathered(0, 0, 0),
               {"p": p, "eps": 0.0})
        for p in (2.0, 1.0, 0.5, 3.0, -1.0, INF, -INF)
    ),
    Corner("at the kink", "triplet_margin_loss",
           {"anchor": [[0.0, 0]], "positive": [[0.0, 1]], "negative": [[0.0, 2]]}, 0,
           {"anchor": [[0, 0]], "positive": [[0, 1]], "negative": [[0, -1]]}, {"eps": 0.0}),
    Corner("swap at a tie", "triplet_margin_loss",
           {"anchor": [[0.0, 1]], "positive": [[0.0, -1]], "negative": [[0.0, 0]]}, 2,
           {"anchor": [[0, 0.5]], "positive": [[0, -0.5]], "negative": [[0, 0]]},
           {"eps": 0.0, "swap": True}),
    Corner("p=0 counts the components that differ", "triplet_margin_loss",
           {"anchor": [[0.0, 0, 5]], "positive": [[1.0, 2, 5]], "negative": [[0.0, 9, 5]]}, 2,
           {"anchor": [[0, 0, 0]]}, {"p": 0.0, "eps": 0.0}),
]  # fmt: skip


HALF = [[[-np.log(2), -np.log(2)]]]
SHORT = {"log_probs": np.array(HALF * 2), "targets": [[1, 1]], "input_lengths": [2],
         "target_lengths": [2]}  # two equal labels need a blank between them  # fmt: skip
# two labels must be read at the last two steps, and each of them costs 1000
FAR = {"log_probs": [[[0, -INF, -INF]]] * 3 + [[[-1.0, -1000, -INF]], [[-1.0, -INF, -1000]]],
       "targets": [[1, 2]], "input_lengths": [5], "target_lengths": [2]}  # fmt: skip

LIKELIHOODS = [
    Corner("no variance", "gaussian_nll_loss", {"input": [1.0], "target": [1.0], "var": [0.0]},
           np.log(1e-6) / 2, {"input": [0], "target": [0], "var": [5e5]}),
    Corner("less variance than eps", "gaussian_nll_loss",
           {"input": [1.0], "target": [0.0], "var": [0.1]}, (np.log(0.5) + 2) / 2,
           {"input": [2], "target": [-2], "var": [-1]}, {"eps": 0.5}),
    Corner("NaN variance", "gaussian_nll_loss",
           {"input": [1.0], "target": [0.0], "var": [NAN]}, NAN),
    Corner("a row's variance", "gaussian_nll_loss",
           {"input": [[1.0, 2], [3, 4], [5, 6]], "target": np.zeros((3, 2)), "var": [1.0, 4, 2]},
           [[0.5, 2], [(np.log(4) + 9 / 4) / 2, (np.log(4) + 4) / 2],
            [(np.log(2) + 25 / 2) / 2, (np.log(2) + 18) / 2]],
           {"var": [-1.5, -(25 / 4 - 2) / 8, -(61 / 2 - 2) / 4]}, reduction="none"),
    Corner("Stirling's term above 1 only", "poisson_nll_loss",
           {"input": [0.0, 0, 0], "target": [0.5, 1, 2]},
           [1, 1, 1 + 2.5 * np.log(2) - 2 + np.log(2 * np.pi) / 2],
           {"target": [0, 0, np.log(2) + 0.25]}, {"full": True}, "none"),
    Corner("Stirling's term at 0", "poisson_nll_loss", {"input": [1.0], "target": [0.0]}, np.e,
           {"input": [np.e], "target": [-1]}, {"full": True}, torch=False),  # torch: target NaN
    Corner("an expected count of 0", "poisson_nll_loss", {"input": [0.0], "target": [1.0]},
           -np.log(1e-8), {"input": [1 - 1e8], "target": [-np.log(1e-8)]}, {"log_input": False}),
    Corner("far on the wrong side", "soft_margin_loss", {"input": [-200.0], "target": [1]}, 200,
           {"input": [-1]}, torch=False),  # torch: inf and NaN in float32
    Corner("far on the right side", "soft_margin_loss", {"input": [-200.0], "target": [-1]},
           np.exp(-200.0), {"input": [np.exp(-200.0)]}, torch=False),
    Corner("at the kink", "multi_margin_loss", {"input": [[1.0, 0, -1]], "target": [0]}, 0,
           {"input": [[0, 0, 0]]}),
    Corner("one class", "multi_margin_loss", {"input": [[5.0]], "target": [0]}, 0,
           {"input": [[0]]}),
    Corner("the label's score is inf", "multi_margin_loss",
           {"input": [[INF, 1, 2]], "target": [0]}, 0, {"input": [[0, 0, 0]]}),
    Corner("another score is inf", "multi_margin_loss", {"input": [[0, INF, 2]], "target": [0]},
           INF, {"input": [[-2 / 3, 1 / 3, 1 / 3]]}),
    Corner("weights, mean", "multi_margin_loss",
           {"input": [[0.0, 0], [0, 0]], "target": [0, 1], "weight": [1.0, 3]}, 1,
           {"input": [[-0.25, 0.25], [0.75, -0.75]]}),
    Corner("far on the wrong side", "multilabel_soft_margin_loss",
           {"input": [[-200.0, 200]], "target": [[1.0, 0]]}, 200, {"input": [[-0.5, 0.5]]}),
    Corner("zero vector, cosine", "triplet_margin_with_distance_loss",
           {"anchor": [[0.0, 0]], "positive": [[3.0, 4]], "negative": [[1.0, 0]]}, 1,
           {"anchor": [[4e7, -8e7]], "positive": [[0, 0]], "negative": [[0, 0]]},
           {"distance_function": "cosine"}),
    Corner("at the kink", "multilabel_margin_loss",
           {"input": [[1.0, 0, 5]], "target": [[2, 0, -1]]}, 0, {"input": [[0, 0, 0]]}),
    Corner("a label twice", "multilabel_margin_loss",
           {"input": [[0.0, 0, 0]], "target": [[1, 1, -1]]}, 4 / 3,
           {"input": [[2 / 3, -4 / 3, 2 / 3]]}),
    Corner("no label", "multilabel_margin_loss", {"input": [[0.0, 0]], "target": [[-1, 0]]}, 0,
           {"input": [[0, 0]]}),
    Corner("a target that does not fit", "ctc_loss", SHORT, INF,
           {"log_probs": [[[NAN, NAN]], [[NAN, NAN]]]}),
    Corner("a target that does not fit, zeroed", "ctc_loss", SHORT, 0,
           {"log_probs": [[[0, 0]], [[0, 0]]]}, {"zero_infinity": True}),
    Corner("more labels than steps", "ctc_loss", SHORT | {"input_lengths": [1]}, INF,
           {"log_probs": [[[NAN, NAN]], [[0, 0]]]}),
    Corner("no label, mean", "ctc_loss", SHORT | {"target_lengths": [0]}, 2 * np.log(2),
           {"log_probs": [[[-0.5, 0.5]], [[-0.5, 0.5]]]}),
    Corner("no step and no label", "ctc_loss",
           SHORT | {"input_lengths": [0], "target_lengths": [0]}, 0,
           {"log_probs": [[[0, 0]], [[0, 0]]]}),
    Corner("no step", "ctc_loss", SHORT | {"input_lengths": [0]}, INF,
           {"log_probs": [[[0, 0]], [[0, 0]]]}),
    Corner("one path, far below all others", "ctc_loss", FAR, 1000),
    Corner("NaN in a label's column", "ctc_loss",
           {"log_probs": [[[-1.0, NAN]]], "targets": [[1]], "input_lengths": [1],
            "target_lengths": [1]}, NAN, {"log_probs": [[[NAN, NAN]]]}),
    Corner("total weight 0", "mse_loss", {"input": [1.0], "target": [0.0], "weight": [0.0]}, NAN),
    Corner("weights, mean", "mse_loss",
           {"input": [1.0, 3], "target": [0.0, 0], "weight": [3.0, 1]}, 3,
           {"input": [1.5, 1.5], "weight": [-0.5, 1.5]}),
    Corner("weights, huber's mean", "huber_loss",
           {"input": [1.0, 3], "target": [0.0, 0], "weight": [3.0, 1]}, 2,
           {"input": [1.5, 0.5], "weight": [0.25, 1.25]}),
]  # fmt: skip


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "corner", [*CLASSES, *PROBABILITIES, *REGRESSION, *EMBEDDINGS, *LIKELIHOODS], ids=str
)
def test_corner(corner: Corner, dtype: npt.DTypeLike) -> None:
    got, reference = both(
        corner.loss,
        corner.tensors,
        dtype,
        corner.reduction,
        np.shape(corner.expected),
        **corner.parameters,
    )
    near(got.loss, corner.expected, corner.units, "loss")
    for name, expected in corner.gradients.items():
        near(got.gradients[name], expected, corner.units, f"gradient of {name}")
    if corner.torch:
        near(reference.loss, corner.expected, corner.units, "torch: loss")
        for name, expected in corner.gradients.items():
            near(reference.gradients[name], expected, corner.units, f"torch: gradient of {name}")


@pytest.mark.parametrize("dtype", DTYPES)
def test_kl_div_gradient_at_target_0_is_negative_zero(dtype: npt.DTypeLike) -> None:
    got, reference = both("kl_div", {"input": [-1.0], "target": [0.0]}, dtype)
    assert np.signbit(got.gradients["input"]).all()
    assert np.signbit(reference.gradients["input"]).all()


@pytest.mark.parametrize("dtype", DTYPES)
def test_smoothing_with_weights_divides_by_the_weights_of_the_labels(dtype: npt.DTypeLike) -> None:
    smoothing, w, y = 0.2, np.array([1.0, 3]), np.array([1, 0, -100])
    x = np.log(np.array([[1.0, 3], [1, 1], [1, 3]]))
    nll = -np.log(np.array([[0.25, 0.75], [0.5, 0.5]]))  # of the two rows kept
    kept = w[y[:2]]
    expected = (1 - smoothing) * (kept * nll[[0, 1], y[:2]]).sum() / kept.sum()
    expected += smoothing / 2 * (w * nll).sum() / kept.sum()
    got, reference = both(
        "cross_entropy", {"input": x, "target": y, "weight": w}, dtype, label_smoothing=smoothing
    )
    near(got.loss, expected, 4, "loss")
    near(reference.loss, expected, 4, "torch: loss")


def test_cross_entropy_with_probabilities_refuses_an_ignore_index() -> None:
    x, y = np.zeros((1, 2), np.float32), np.full((1, 2), 0.5, np.float32)
    with pytest.raises(ParameterError, match="ignore_index = 0"):
        evaluate("cross_entropy", {"input": x, "target": y}, parameters={"ignore_index": 0})
    with pytest.raises(RuntimeError, match="ignore_index"):
        by_torch("cross_entropy", {"input": x, "target": y}, parameters={"ignore_index": 0})


@pytest.mark.parametrize("loss", ["cross_entropy", "nll_loss"])
def test_label_out_of_range_is_an_index_error(loss: str) -> None:
    tensors = {"input": np.zeros((3, 10), np.float32), "target": np.array([1, 12, 10])}
    with pytest.raises(LabelError, match=r"target\[1\] = 12 is outside \[0, 10\)") as caught:
        evaluate(loss, tensors)
    assert isinstance(caught.value, IndexError)
    assert caught.value.field == "target"
    with pytest.raises(IndexError, match="Target 12 is out of bounds"):
        by_torch(loss, tensors)


def test_cross_entropy_takes_int32_labels() -> None:
    x = np.float32([[0, 1], [1, 3]])
    got = evaluate("cross_entropy", {"input": x, "target": np.array([0, 1], np.int32)})
    assert got.loss == evaluate("cross_entropy", {"input": x, "target": np.array([0, 1])}).loss
    with pytest.raises(RuntimeError, match="expected target dtype"):
        torch.nn.functional.cross_entropy(torch.tensor(x), torch.tensor([0, 1], dtype=torch.int32))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ["input", "target"])
@pytest.mark.parametrize("value", [1.5, -1e-6, NAN, INF])
def test_bce_refuses_what_is_no_probability(name: str, value: float, dtype: npt.DTypeLike) -> None:
    tensors = {"input": np.full((2, 3), 0.5, dtype), "target": np.full((2, 3), 0.5, dtype)}
    tensors[name][1, 2] = value
    with pytest.raises(DomainError, match=rf"{name}\[1, 2\] = .* is outside \[0, 1\]") as caught:
        evaluate("binary_cross_entropy", tensors, gradients=("input", "target"))
    assert caught.value.field == name
    with pytest.raises(RuntimeError, match=f"all elements of {name} should be between 0 and 1"):
        by_torch("binary_cross_entropy", tensors)


@pytest.mark.parametrize("dtype", DTYPES)
def test_gaussian_refuses_negative_variances(dtype: npt.DTypeLike) -> None:
    tensors = {name: np.ones((2, 3), dtype) for name in ("input", "target", "var")}
    tensors["var"][1, 0], tensors["var"][0, 0] = -0.5, np.nan
    with pytest.raises(DomainError, match=r"var\[1, 0\] = -0.5 is outside \[0, inf\]"):
        evaluate("gaussian_nll_loss", tensors)
    with pytest.raises(ValueError, match="negative"):
        by_torch("gaussian_nll_loss", tensors)


@pytest.mark.parametrize("var", [(3,), (2, 2), (1, 1, 3), (1, 1)])
def test_gaussian_refuses_variances_of_another_shape(var: tuple[int, ...]) -> None:
    tensors = {name: np.ones((2, 3), np.float32) for name in ("input", "target")}
    tensors["var"] = np.ones(var, np.float32)
    with pytest.raises(ShapeError, match=r"var \(.*\) does not fit input \(2, 3\)"):
        evaluate("gaussian_nll_loss", tensors)
    with pytest.raises(ValueError, match="var is of incorrect size"):
        by_torch("gaussian_nll_loss", tensors)


def test_gaussian_takes_one_variance_for_all() -> None:
    x, y = np.float32([[1, 2], [3, 4]]), np.zeros((2, 2), np.float32)
    one = evaluate("gaussian_nll_loss", {"input": x, "target": y, "var": np.float32(2)})
    all_ = evaluate("gaussian_nll_loss", {"input": x, "target": y, "var": np.full_like(x, 2)})
    assert one.loss == all_.loss
    expected = torch.nn.functional.gaussian_nll_loss(torch.tensor(x), torch.tensor(y), 2.0)
    near(one.loss, expected.item(), 4, "loss")


@pytest.mark.parametrize(
    ("loss", "parameters", "message"),
    [
        ("sigmoid_focal_loss", {"alpha": -0.5}, r"alpha = -0.5 must be in \[0, 1\], or -1"),
        ("sigmoid_focal_loss", {"alpha": 1.5}, r"alpha = 1.5 .* must be >= -1 and <= 1"),
        ("sigmoid_focal_loss", {"gamma": -1.0}, r"gamma = -1.0 .* must be >= 0"),
        ("quantile_loss", {"quantile": 0.0}, r"quantile = 0.0 .* must be > 0 and < 1"),
        ("quantile_loss", {"quantile": 1.0}, r"quantile = 1.0 .* must be > 0 and < 1"),
        ("mape_loss", {"eps": 0.0}, r"eps = 0.0 .* must be > 0"),
        ("ctc_loss", {"blank": -1}, r"blank = -1 .* must be >= 0"),
        (
            "triplet_margin_with_distance_loss",
            {"distance_function": "euclid"},
            r"must be one of 'pairwise', 'cosine', 'squared_euclidean', 'manhattan'",
        ),
    ],
)
def test_parameters_outside_their_range(
    loss: str, parameters: dict[str, Any], message: str
) -> None:
    case = next(c for c in CASES if c.loss == loss and len(c.shape) > 1)
    with pytest.raises(ParameterError, match=message) as caught:
        evaluate(loss, case.tensors(np.float32), parameters=parameters)
    assert caught.value.field == next(iter(parameters))


def test_log_cosh_keeps_its_digits_near_0() -> None:
    x, y = np.float32([1e-4, 1e-2, 0.5]), np.zeros(3, np.float32)
    got = evaluate("log_cosh_loss", {"input": x, "target": y}, reduction="none")
    exact = np.log1p(2 * np.sinh(x.astype(np.float64) / 2) ** 2)
    near(got.loss, exact, 4, "loss")


CTC = {
    "log_probs": np.log(np.full((4, 2, 3), 1 / 3, np.float32)),
    "targets": np.array([[1, 2, 1], [2, 1, 0]]),
    "input_lengths": np.array([4, 3]),
    "target_lengths": np.array([3, 2]),
}


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"input_lengths": [4, 5]}, r"input_lengths\[1\] = 5 is outside \[0, 4\]"),
        ({"input_lengths": [-1, 3]}, r"input_lengths\[0\] = -1 is outside \[0, 4\]"),
        ({"target_lengths": [3, 4]}, r"target_lengths\[1\] = 4 is outside \[0, 3\]"),
        ({"target_lengths": [3, -2]}, r"target_lengths\[1\] = -2 is outside \[0, 3\]"),
        ({"input_lengths": [4]}, r"input_lengths \(1,\) does not fit log_probs \(4, 2, 3\)"),
        ({"target_lengths": 3}, r"target_lengths \(\) does not fit log_probs \(4, 2, 3\)"),
        ({"targets": [[1, 2, 1]]}, r"targets \(1, 3\) does not fit .* must be \(2, S\) or"),
        ({"targets": [1, 2, 1, 2]}, r"target_lengths add up to 5, targets \(4,\) has 4 labels"),
        (
            {"log_probs": np.zeros((4, 0, 3), np.float32)},
            r"log_probs \(4, 0, 3\) must have samples",
        ),
        ({"log_probs": np.zeros(4, np.float32)}, r"log_probs \(4,\) must be \(T, N, C\) or"),
    ],
)
def test_ctc_shapes_and_lengths_that_do_not_fit(changed: dict[str, Any], message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        evaluate("ctc_loss", CTC | {name: np.asarray(v) for name, v in changed.items()})


@pytest.mark.parametrize(
    ("targets", "message"),
    [
        ([[1, 0, 1], [2, 1, 0]], r"targets\[0, 1\] = 0 is the blank"),
        ([[1, 2, 1], [2, 3, 0]], r"targets\[1, 1\] = 3 is outside \[0, 3\)"),
        ([[1, 2, 1], [-1, 1, 0]], r"targets\[1, 0\] = -1 is outside \[0, 3\)"),
        ([1, 2, 1, 2, 7], r"targets\[4\] = 7 is outside \[0, 3\)"),
    ],
)
def test_ctc_labels_that_are_none(targets: Any, message: str) -> None:
    with pytest.raises(LabelError, match=message):
        evaluate("ctc_loss", CTC | {"targets": np.array(targets)})


def test_ctc_padding_may_be_anything() -> None:
    padded = CTC | {"targets": np.array([[1, 2, 1], [2, 1, -7]])}
    assert evaluate("ctc_loss", padded).loss == evaluate("ctc_loss", CTC).loss


def test_ctc_refuses_what_would_take_gigabytes() -> None:
    steps = 10_000
    tensors = {
        "log_probs": np.zeros((steps, 1, 2), np.float32),
        "targets": np.ones((1, steps), np.int64),
        "input_lengths": np.array([steps]),
        "target_lengths": np.array([steps]),
    }
    with pytest.raises(ResourceError, match=r"10000 steps of a target of 10000 labels need .* MiB"):
        evaluate("ctc_loss", tensors)


@pytest.mark.parametrize("label", [-2, 3])
def test_multilabel_margin_labels_out_of_range(label: int) -> None:
    tensors = {
        "input": np.zeros((2, 3), np.float32),
        "target": np.array([[0, -1, 0], [1, label, 0]]),
    }
    with pytest.raises(LabelError, match=rf"target\[1, 1\] = {label} is outside \[-1, 3\)"):
        evaluate("multilabel_margin_loss", tensors)
    with pytest.raises(RuntimeError, match="is out of range"):
        by_torch("multilabel_margin_loss", tensors)


@pytest.mark.parametrize("label", [-1, 3, -(1 << 63), 1 << 40])
def test_multi_margin_ignores_no_label(label: int) -> None:
    tensors = {"input": np.zeros((2, 3), np.float32), "target": np.array([0, label])}
    with pytest.raises(LabelError, match=rf"target\[1\] = {label} is outside \[0, 3\)$"):
        evaluate("multi_margin_loss", tensors)
    with pytest.raises(RuntimeError, match="target out of range"):
        by_torch("multi_margin_loss", tensors)


@pytest.mark.parametrize("p", [0, 3, -1])
def test_multi_margin_takes_powers_1_and_2(p: int) -> None:
    tensors = {"input": np.zeros((2, 3), np.float32), "target": np.array([0, 1])}
    with pytest.raises(ParameterError, match=rf"p = {p} .* it must be one of 1, 2"):
        evaluate("multi_margin_loss", tensors, parameters={"p": p})
    with pytest.raises(ValueError, match="only p == 1 and p == 2 supported"):
        by_torch("multi_margin_loss", tensors, parameters={"p": p})


@pytest.mark.parametrize("loss", ["multi_margin_loss", "multilabel_soft_margin_loss"])
def test_class_weights_must_be_one_for_each_class(loss: str) -> None:
    tensors = Case(loss, (2, 3)).tensors(np.float32)
    with pytest.raises(ShapeError, match=r"weight \(2,\) must be \(3,\), one for each class"):
        evaluate(loss, tensors | {"weight": np.ones(2, np.float32)})


@pytest.mark.parametrize("loss", ["l1_loss", "mse_loss", "huber_loss"])
def test_weights_must_have_the_inputs_shape(loss: str) -> None:
    tensors = {name: np.ones((2, 3), np.float32) for name in ("input", "target")}
    tensors["weight"] = np.ones(3, np.float32)
    with pytest.raises(ShapeError, match=r"weight \(3,\) must have the shape of input \(2, 3\)"):
        evaluate(loss, tensors)
    with pytest.raises(ValueError, match="Weights and input must have the same size"):
        by_torch(loss, tensors)


@pytest.mark.parametrize("loss", ["binary_cross_entropy", "binary_cross_entropy_with_logits"])
def test_bce_never_broadcasts(loss: str) -> None:
    tensors = {"input": np.full((3, 1), 0.5, np.float32), "target": np.ones((1, 4), np.float32)}
    with pytest.raises(ShapeError, match=r"input \(3, 1\) and target \(1, 4\)"):
        evaluate(loss, tensors)
    with pytest.raises(ValueError, match="same"):
        by_torch(loss, tensors)


@pytest.mark.parametrize(
    ("loss", "parameters"),
    [
        ("smooth_l1_loss", {"beta": -1.0}),
        ("smooth_l1_loss", {"beta": NAN}),
        ("huber_loss", {"delta": 0.0}),
        ("huber_loss", {"delta": -1.0}),
        ("huber_loss", {"delta": NAN}),
    ],
)
def test_thresholds_out_of_range_are_errors(loss: str, parameters: dict[str, float]) -> None:
    tensors = {"input": np.zeros(1, np.float32), "target": np.zeros(1, np.float32)}
    ((name, value),) = parameters.items()
    with pytest.raises(ParameterError, match=rf"{name} = {value}.* must be >"):
        evaluate(loss, tensors, parameters=parameters)
    with pytest.raises(RuntimeError, match="does not support"):
        by_torch(loss, tensors, parameters=parameters)


def test_torch_warns_of_kl_div_mean_and_the_engine_leaves_it_to_the_client() -> None:
    x, y = np.float32([[-1, -1]]), np.float32([[0.5, 0.5]])
    with pytest.warns(UserWarning, match="batchmean"):
        torch.nn.functional.kl_div(torch.tensor(x), torch.tensor(y))
    assert evaluate("kl_div", {"input": x, "target": y}).warning == ""  # warnings are errors here


WORKED = [
    ("mse_loss", {"input": [2.5, 5, 3], "target": [3.0, 5, 2.5]}, {}, 0.16666667),
    ("l1_loss", {"input": [2.5, 5, 3], "target": [3.0, 5, 2.5]}, {}, 0.33333334),
    ("cross_entropy", {"input": [[1.5, 2, 0.5], [0.5, 1, 1.5]], "target": [1, 2]}, {}, 0.6422001),
    ("binary_cross_entropy",
     {"input": [[0.7], [0.2], [0.9], [0.7]], "target": [[1.0], [0], [1], [0]]},
     {}, 0.47228798),
    ("binary_cross_entropy_with_logits",
     {"input": [[0.8], [-0.5], [1.2], [0.6]], "target": [[1.0], [0], [1], [0]]}, {}, 0.53648698),
    ("mse_loss", {"input": [0.9, 2.1, 3.3], "target": [1.2, 2.3, 3.4]}, {}, 0.046666697),
    ("cross_entropy", {"input": [[4.0, 1, 2], [1, 2, 3], [0, 3, 2]], "target": [0, 1, 2]}, {},
     0.97548801),
    ("binary_cross_entropy", {"input": [0.3, 0.9, 0.6, 0.1], "target": [0.0, 1, 1, 0]}, {},
     0.26955539),
    ("kl_div", {"input": [0.3, 0.3, 0.4], "target": [0.2, 0.3, 0.5]},
     {"reduction": "batchmean"}, 0.017805248),
    ("hinge_embedding_loss", {"input": [-0.3, 0.8, 0.6, -0.1], "target": [-1.0, 1, 1, -1]}, {},
     0.94999993),
    ("l1_loss", {"input": [1.0, 2, 3], "target": [1.0, 2, 5]}, {}, 0.66666669),
    ("mse_loss", {"input": [1.0, 2, 3], "target": [1.0, 2, 5]}, {}, 1.3333334),
    ("cross_entropy", {"input": [[0.1, 0.2, 0.3]], "target": [1]}, {}, 1.1019429),
    ("binary_cross_entropy_with_logits",
     {"input": np.full((10, 64), 1.5), "target": np.ones((10, 64)), "pos_weight": np.ones(64)}, {},
     0.20141332),
]  # fmt: skip


@pytest.mark.parametrize(("loss", "tensors", "options", "expected"), WORKED)
def test_worked_examples_of_the_tutorials(
    loss: str, tensors: Values, options: dict[str, str], expected: float
) -> None:
    """The tutorials print PyTorch's float32, which may be off by its last digits."""
    if loss == "kl_div":
        x = np.float32(tensors["input"])
        tensors = {**tensors, "input": torch.log_softmax(torch.tensor(x), -1).numpy()}
    got, reference = both(loss, tensors, **options)
    rtol = 4 * float(np.finfo(np.float32).eps)
    np.testing.assert_allclose(got.loss, expected, rtol=rtol)
    np.testing.assert_allclose(reference.loss, expected, rtol=rtol)
