"""Corner cases of losses with kinks, of whole batches, of layers: single and equal rows, ties."""

import numpy as np
import numpy.typing as npt
import pytest

from .test_corners import DTYPES, INF, LOG2, NAN, Corner, both, near

LOG3 = float(np.log(3))
SAME = [[1.0, 0]] * 4
ZERO = [[0.0, 0]] * 3
NONE = np.zeros((0, 2))

ELEMENTS = [
    Corner("at the kink", "hinge_loss", {"input": [1.0, -1], "target": [1.0, -1]}, [0, 0],
           reduction="none"),
    Corner("infinite scores", "hinge_loss",
           {"input": [INF, -INF, INF], "target": [1.0, 1, -1]}, [0, INF, INF],
           {"input": [0, -1, 1]}, reduction="none"),
    Corner("at the kink", "squared_hinge_loss", {"input": [1.0, -1], "target": [1.0, -1]}, [0, 0],
           {"input": [0, 0], "target": [0, 0]}, reduction="none"),
    Corner("infinite scores", "squared_hinge_loss",
           {"input": [INF, -INF, INF], "target": [1.0, 1, -1]}, [0, INF, INF],
           {"input": [0, -INF, INF]}, reduction="none"),
    Corner("wrong classes tie", "categorical_hinge_loss",
           {"input": [[1.0, 1, 1]], "target": [[1.0, 0, 0]]}, 1, {"input": [[-1, 0.5, 0.5]]}),
    Corner("at the kink", "categorical_hinge_loss",
           {"input": [[1.0, 0]], "target": [[1.0, 0]]}, 0),
    Corner("targets that do not sum to 1", "categorical_hinge_loss",
           {"input": [[2.0, 4]], "target": [[0.5, 0.25]]}, 2, {"input": [[-0.5, 0.5]]}),
    Corner("no difference", "log_cosh_loss", {"input": [1.0], "target": [1.0]}, 0,
           {"input": [0], "target": [0]}, torch=False),  # Keras: -2e-9 in float64
    Corner("far apart", "log_cosh_loss", {"input": [1000.0, -1000], "target": [0.0, 0]},
           [1000 - LOG2] * 2, {"input": [1, -1], "target": [-1, 1]}, reduction="none"),
    Corner("infinitely far apart", "log_cosh_loss", {"input": [INF], "target": [0.0]}, INF,
           {"input": [1]}),
    Corner("no difference", "mape_loss", {"input": [2.0], "target": [2.0]}, 0, {"input": [0]}),
    Corner("a true value of 0", "mape_loss", {"input": [1.0], "target": [0.0]}, 1e9,
           {"input": [1e9]}),
    Corner("an infinite prediction", "mape_loss", {"input": [-INF], "target": [2.0]}, INF,
           {"input": [-50]}),
    Corner("no difference", "msle_loss", {"input": [2.0], "target": [2.0]}, 0,
           {"input": [0], "target": [0]}),
    Corner("below 0 is eps", "msle_loss", {"input": [-3.0, 0], "target": [0.0, -1]}, 0,
           {"input": [0, 0], "target": [0, 0]}),
    Corner("an infinite prediction", "msle_loss", {"input": [INF], "target": [0.0]}, INF),
    Corner("at the kink", "quantile_loss", {"input": [1.0], "target": [1.0]}, 0, {"input": [0]}),
    Corner("infinitely far on either side", "quantile_loss",
           {"input": [0.0, INF], "target": [INF, 0.0]}, [INF, INF], {"input": [-0.75, 0.25]},
           {"quantile": 0.75}, "none"),
    Corner("logit 0", "sigmoid_focal_loss", {"input": [0.0], "target": [1.0]}, LOG2 / 16),
    Corner("large logits against the target", "sigmoid_focal_loss",
           {"input": [-200.0, 200], "target": [1.0, 0]}, [50, 150], {"input": [-0.25, 0.75]},
           reduction="none"),
    Corner("infinite logits with the target", "sigmoid_focal_loss",
           {"input": [INF, -INF], "target": [1.0, 0]}, [NAN, NAN], reduction="none"),
    Corner("gamma=0 and alpha=-1 are BCE", "sigmoid_focal_loss",
           {"input": [0.0], "target": [1.0]}, LOG2, {"input": [-0.5]},
           {"gamma": 0.0, "alpha": -1.0}),
    *(
        Corner(f"empty, {reduction}", loss, {"input": np.zeros(0), "target": np.zeros(0)}, value,
               reduction=reduction)
        for loss in ("log_cosh_loss", "mape_loss", "msle_loss", "quantile_loss",
                     "sigmoid_focal_loss", "hinge_loss", "squared_hinge_loss")
        for reduction, value in (("mean", NAN), ("sum", 0))
    ),
]  # fmt: skip

BATCHES = [
    Corner("all embeddings are equal", "supcon_loss",
           {"embeddings": SAME, "labels": [0, 0, 1, 1]}, LOG3, {"embeddings": np.zeros((4, 2))}),
    Corner("zero vectors", "supcon_loss", {"embeddings": ZERO, "labels": [0, 0, 0]}, LOG2),
    Corner("a single row, none", "supcon_loss", {"embeddings": [[1.0, 2]], "labels": [0]}, [0],
           {"embeddings": [[0, 0]]}, reduction="none"),
    Corner("all embeddings are equal", "nt_xent_loss",
           {"embeddings1": SAME[:2], "embeddings2": SAME[:2]}, LOG3,
           {"embeddings1": np.zeros((2, 2))}),
    Corner("one pair of views", "nt_xent_loss",
           {"embeddings1": [[1.0, 0]], "embeddings2": [[0.0, 2]]}, 0,
           {"embeddings1": [[0, 0]], "embeddings2": [[0, 0]]}),
    Corner("all embeddings are equal", "info_nce_loss",
           {"query": SAME[:2], "key": SAME[:2]}, LOG2, {"query": np.zeros((2, 2))}),
    Corner("one row", "info_nce_loss", {"query": [[1.0, 0]], "key": [[0.0, 2]]}, 0,
           {"query": [[0, 0]], "key": [[0, 0]]}),
    # softplus(80 · 0.4 · (0 - 0.4) + 80 · 1.4 · (0.6 - 0))
    Corner("cosines of 0", "circle_loss",
           {"embeddings": [[1.0, 0, 0], [0, 1, 0], [0, 0, 1]], "labels": [0, 0, 1]}, 54.4),
    Corner("a single row, none", "circle_loss", {"embeddings": [[1.0, 2]], "labels": [0]}, [0],
           {"embeddings": [[0, 0]]}, reduction="none"),
]  # fmt: skip

LAYER = {"linear_weight": [[1.0, 0], [0, 1]]}
# a head of two classes and one cluster of two, whose features are one number
PARTS = {"head_weight": np.zeros((3, 4)), "tail_weight": np.zeros(6), "cutoffs": [2, 4]}
ADAPTIVE = "adaptive_log_softmax_with_loss"
LAYERS = [
    Corner("one row of zeros", ADAPTIVE, {"input": [[0.0] * 4], "target": [1], **PARTS}, LOG3,
           {"input": [[0] * 4]}),
    Corner("head and cluster", ADAPTIVE, {"input": [[0.0] * 4] * 2, "target": [0, 3], **PARTS},
           [LOG3, LOG3 + LOG2], reduction="none"),
    Corner("an infinite feature", ADAPTIVE,
           {"input": [[INF, 0, 0, 0]], "target": [0], **PARTS}, NAN),
    Corner("one row of zeros", "linear_cross_entropy",
           {"input": [[0.0, 0]], **LAYER, "target": [1]}, LOG2,
           {"input": [[0.5, -0.5]], "linear_weight": ZERO[:2]}),
    Corner("every target ignored, mean", "linear_cross_entropy",
           {"input": [[1.0, 0]], **LAYER, "target": [-100]}, NAN),
    Corner("every target ignored, sum", "linear_cross_entropy",
           {"input": [[1.0, 0]], **LAYER, "target": [-100]}, 0,
           {"input": [[0, 0]], "linear_weight": ZERO[:2]}, reduction="sum"),
    Corner("empty batch, sum", "linear_cross_entropy",
           {"input": NONE, **LAYER, "target": np.zeros(0, int)}, 0,
           {"linear_weight": ZERO[:2]}, reduction="sum"),
    Corner("probabilities that do not sum to 1", "linear_cross_entropy",
           {"input": [[0.0, 0]], **LAYER, "target": [[0.9, 0.9]]}, 1.8 * LOG2),
    Corner("an infinite feature", "linear_cross_entropy",
           {"input": [[INF, 0]], **LAYER, "target": [0]}, NAN),
]  # fmt: skip


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("corner", [*ELEMENTS, *BATCHES, *LAYERS], ids=str)
def test_corner(corner: Corner, dtype: npt.DTypeLike) -> None:
    shape = np.shape(corner.expected)
    got, reference = both(
        corner.loss, corner.tensors, dtype, corner.reduction, shape, **corner.parameters
    )
    near(got.loss, corner.expected, corner.units, "loss")
    for name, expected in corner.gradients.items():
        near(got.gradients[name], expected, corner.units, f"gradient of {name}")
    if corner.torch:  # Keras answers float64 in float32
        kind = reference.precision or dtype
        near(reference.loss.astype(kind), corner.expected, corner.units, "torch: loss")
        for name, expected in corner.gradients.items():
            slope = reference.gradients[name].astype(kind)
            near(slope, expected, corner.units, f"torch: gradient of {name}")
