"""What is measured: the shapes of each family, and how a tensor is drawn, declared once by role.

A new loss of a known family needs nothing here, unless its tensors have a domain of their own
(signs, probabilities): then one line in `SPECIAL`. A wrong draw shows, as the suite compares
lossd's results with torch's before it measures.
"""

import itertools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from lossd_client.client import Client
from lossd_client.shared import FROM, loan_of

import lossd.losses  # noqa: F401  fills the registry
from lossd.spec import Classes, Elementwise, Loss, Shape, Tensor, Vectors, registry

Array = npt.NDArray[Any]
Rng = np.random.Generator

FAMILIES: Final[dict[type[Loss], tuple[Shape, ...]]] = {
    Elementwise: tuple((1 << power,) for power in (12, 16, 20, 22, 24, 25)),
    Classes: (
        (64, 10), (4096, 10), (4096, 100), (4096, 1000), (512, 32000), (128, 128000),
        (8, 21, 256, 256),
    ),
    Vectors: ((32, 128), (1024, 128), (65536, 128)),
}  # fmt: skip
"""Shapes of the first tensor: up to 128 MiB of float32 each."""

BATCHES: Final = ((256, 128), (2048, 128))
MASKS: Final = ((4, 4, 64, 64), (8, 21, 256, 256), (2, 4, 64, 64, 64))
BOXES: Final = ((4096, 4), (65536, 4), (1 << 20, 4))

OWN: Final[dict[str, tuple[Shape, ...]]] = {
    # in longer rows PyTorch's gradient at the label is off by more than the comparison allows
    "multi_margin_loss": ((64, 10), (4096, 10), (4096, 100), (4096, 1000)),
    "multilabel_soft_margin_loss": ((64, 10), (4096, 100), (4096, 1000), (512, 32000)),
    "multilabel_margin_loss": ((64, 10), (4096, 100), (4096, 1000)),
    "generalized_jsd_loss": ((64, 10), (4096, 1000), (512, 32000)),
    "linear_cross_entropy": ((512, 256), (2048, 512)),
    "adaptive_log_softmax_with_loss": ((512, 256), (2048, 512)),
    **dict.fromkeys(("supcon_loss", "nt_xent_loss", "info_nce_loss", "circle_loss"), BATCHES),
    "ctc_loss": ((100, 8, 30), (500, 32, 100), (200, 16, 1000)),
    **dict.fromkeys(("dice_loss", "jaccard_loss", "tversky_loss", "focal_tversky_loss"), MASKS),
    "generalized_dice_loss": MASKS,
    **dict.fromkeys(
        (
            "box_iou_loss",
            "generalized_box_iou_loss",
            "distance_box_iou_loss",
            "complete_box_iou_loss",
        ),
        BOXES,
    ),
}
"""Shapes of losses that take others than their family."""

QUICK: Final = frozenset({"65536", "1M", "64x10", "4096x1000", "1024x128"})
"""The sizes of a quick run."""


def _normal(rng: Rng, shape: Shape) -> Array:
    return rng.standard_normal(shape, np.float32)


def _unit(rng: Rng, shape: Shape) -> Array:
    """Within (0, 1), away from the ends, where logarithms are large."""
    return rng.random(shape, np.float32) * np.float32(0.998) + np.float32(0.001)


def _log_unit(rng: Rng, shape: Shape) -> Array:
    return np.log(_unit(rng, shape))


def _signs(rng: Rng, shape: Shape) -> Array:
    return rng.integers(0, 2, shape, np.int8).astype(np.float32) * 2 - 1


def _counts(rng: Rng, shape: Shape) -> Array:
    return rng.poisson(3, shape).astype(np.float32)


def _log_softmax(rng: Rng, shape: Shape) -> Array:
    x = _normal(rng, shape)
    found: Array = x - np.log(np.exp(x).sum(-1, keepdims=True))
    return found


def _five_labels(rng: Rng, shape: Shape) -> Array:
    """Rows of five different labels, then -1."""
    target = np.full(shape, -1, np.int64)
    start = rng.integers(0, shape[1], (shape[0], 1))
    target[:, :5] = (start + np.arange(5) * (shape[1] // 5)) % shape[1]
    return target


def _sequences(rng: Rng, shape: Shape) -> Array:
    """A label for every tenth step."""
    return rng.integers(1, shape[2], (shape[1], shape[0] // 10))


def _advantages(rng: Rng, shape: Shape) -> Array:
    """One for each sequence."""
    return _normal(rng, shape[:-1])


def _ones(rng: Rng, shape: Shape) -> Array:
    return np.ones(shape, np.float32)


def _regions(rng: Rng, shape: Shape) -> Array:
    """One class for each voxel."""
    labels = rng.integers(0, shape[1], (shape[0], 1, *shape[2:]))
    classes = np.arange(shape[1]).reshape(-1, *(1 for _ in shape[2:]))
    found: Array = (labels == classes).astype(np.float32)
    return found


def _boxes(rng: Rng, shape: Shape) -> Array:
    """Boxes of up to 100 in a picture of 400, every tenth pair or so overlapping."""
    corners = rng.random((*shape[:-1], 2), np.float32) * 300
    sizes = 1 + rng.random((*shape[:-1], 2), np.float32) * 99
    return np.concatenate([corners, corners + sizes], -1)


CLASSES: Final = 32_000
CUTOFFS: Final = (2000, 10_000, 50_000)


def _layer(rng: Rng, shape: Shape) -> Array:
    return _normal(rng, (CLASSES, shape[1])) / np.float32(math.sqrt(shape[1]))


def _head(rng: Rng, shape: Shape) -> Array:
    return _normal(rng, (CUTOFFS[0] + len(CUTOFFS) - 1, shape[1])) / np.float32(16)


def _tail(rng: Rng, shape: Shape) -> Array:
    depth = shape[1]
    inner = [depth // 4 ** (k + 1) for k in range(len(CUTOFFS) - 1)]
    sizes = [b - a for a, b in itertools.pairwise(CUTOFFS)]
    total = sum(h * (depth + size) for h, size in zip(inner, sizes, strict=True))
    return _normal(rng, (total,)) / np.float32(16)


Draw = Callable[[Rng, Shape], Array]

SPECIAL: Final[dict[tuple[str, str], Draw]] = {
    ("binary_cross_entropy_with_logits", "target"): _unit,
    ("kl_div", "input"): _log_unit,
    ("kl_div", "target"): _unit,
    ("hinge_embedding_loss", "target"): _signs,
    ("margin_ranking_loss", "target"): _signs,
    ("nll_loss", "input"): _log_unit,
    ("poisson_nll_loss", "target"): _counts,
    ("gaussian_nll_loss", "var"): _unit,
    ("soft_margin_loss", "target"): _signs,
    ("multilabel_soft_margin_loss", "target"): _unit,
    ("categorical_hinge_loss", "target"): _unit,
    ("sigmoid_focal_loss", "target"): _unit,
    ("arcface_loss", "input"): _unit,
    ("cosface_loss", "input"): _unit,
    ("generalized_jsd_loss", "student_logits"): _normal,
    ("generalized_jsd_loss", "teacher_logits"): _normal,
    ("contrastive_loss", "target"): lambda rng, shape: _signs(rng, shape[:-1]).clip(0),
    ("listwise_softmax_loss", "target"): lambda rng, shape: rng.poisson(1, shape).astype("f4"),
    ("mape_loss", "target"): _unit,
    ("msle_loss", "input"): _unit,
    ("msle_loss", "target"): _unit,
    ("hinge_loss", "target"): _signs,
    ("squared_hinge_loss", "target"): _signs,
    ("multilabel_margin_loss", "input"): _normal,
    ("multilabel_margin_loss", "target"): _five_labels,
    ("orpo_loss", "policy_chosen_logps"): _log_unit,
    ("orpo_loss", "policy_rejected_logps"): _log_unit,
    ("kto_loss", "target"): _signs,
    ("grpo_loss", "advantages"): _advantages,
    ("grpo_loss", "mask"): _ones,
    **{
        (loss, name): draw
        for loss, shapes in OWN.items()
        if shapes is MASKS
        for name, draw in {"input": _unit, "target": _regions}.items()
    },
    **{
        (loss, name): _boxes
        for loss, shapes in OWN.items()
        if shapes is BOXES
        for name in ("boxes1", "boxes2")
    },
    ("linear_cross_entropy", "input"): _normal,
    ("linear_cross_entropy", "linear_weight"): _layer,
    ("linear_cross_entropy", "target"): lambda rng, shape: rng.integers(0, CLASSES, shape[0]),
    ("adaptive_log_softmax_with_loss", "input"): _normal,
    ("adaptive_log_softmax_with_loss", "target"): (
        lambda rng, shape: rng.integers(0, CUTOFFS[-1], shape[0])
    ),
    ("adaptive_log_softmax_with_loss", "head_weight"): _head,
    ("adaptive_log_softmax_with_loss", "tail_weight"): _tail,
    ("adaptive_log_softmax_with_loss", "cutoffs"): lambda rng, shape: np.array(CUTOFFS),
    **{
        (loss, name): _normal
        for loss, shapes in OWN.items()
        if shapes is BATCHES
        for name in ("embeddings", "embeddings1", "embeddings2", "query", "key")
    },
    **{
        (loss, "labels"): lambda rng, shape: rng.integers(0, 32, shape[0])
        for loss in ("supcon_loss", "circle_loss")
    },
    ("ctc_loss", "log_probs"): _log_softmax,
    ("ctc_loss", "targets"): _sequences,
    ("ctc_loss", "input_lengths"): lambda rng, shape: np.full(shape[1], shape[0]),
    ("ctc_loss", "target_lengths"): lambda rng, shape: np.full(shape[1], shape[0] // 10),
}
"""Tensors that their role alone does not tell how to draw."""


INEXACT: Final = {"ctc_loss": 50}
"""How many times further than others PyTorch's own result is off: it adds logarithms in float32."""


@dataclass(frozen=True)
class Workload:
    """A loss, the shape of its first tensor, and the type of all that are not labels."""

    loss: str
    shape: Shape
    dtype: str = "float32"

    @property
    def size(self) -> str:
        """The shape's name on the command line and in tables."""
        return size_name(self.shape)

    @property
    def elements(self) -> int:
        return math.prod(self.shape)

    @property
    def elementwise(self) -> bool:
        """Whether a loss is of one number of each tensor."""
        declared = registry[self.loss]
        return issubclass(declared, Elementwise) and declared.parts == 1

    @property
    def reduction(self) -> str:
        """The loss's usual one: kl_div's 'mean' is not the divergence, and warned of."""
        return "batchmean" if "batchmean" in registry[self.loss].reductions else "mean"

    def tensors(self) -> dict[str, Array]:
        """The tensors of a call, the same ones in every run."""
        rng = np.random.default_rng(20)
        declared = registry[self.loss].tensors
        drawn = {n: self._draw(rng, n, t) for n, t in declared.items() if not t.optional}
        return {n: a.astype(self.dtype) if a.dtype.kind == "f" else a for n, a in drawn.items()}

    def _draw(self, rng: Rng, name: str, tensor: Tensor) -> Array:
        if special := SPECIAL.get((self.loss, name)):
            return special(rng, self.shape)
        match tensor.role:
            case "element" | "vector":
                return (_unit if tensor.within == (0, 1) else _normal)(rng, self.shape)
            case "scalar":
                return _signs(rng, self.shape[:-1])
            case "label":
                return rng.integers(0, self.shape[1], self.shape[:1] + self.shape[2:])
        raise NotImplementedError(
            f"benchmarks/workloads.py does not know how to draw {name!r} of {self.loss}: "
            f"the role {tensor.role!r} is new"
        )


def size_name(shape: Shape) -> str:
    """(1 << 20,) is "1M", (64, 10) is "64x10"."""
    if len(shape) == 1 and shape[0] >= 1 << 20:
        return f"{shape[0] >> 20}M"
    return "x".join(map(str, shape))


def all_sizes() -> list[str]:
    """The names of all sizes, in order."""
    shapes = [*FAMILIES.values(), *OWN.values()]
    return list(dict.fromkeys(size_name(shape) for group in shapes for shape in group))


def shapes_of(loss: str) -> tuple[Shape, ...]:
    """The shapes at which a loss is measured.

    Raises:
        NotImplementedError: its family has none yet.
    """
    if loss in OWN:
        return OWN[loss]
    for family, shapes in FAMILIES.items():
        if issubclass(registry[loss], family):
            return shapes
    raise NotImplementedError(f"benchmarks/workloads.py has no shapes for the family of {loss}")


def chosen(losses: list[str] | None, sizes: frozenset[str] | None, dtype: str) -> list[Workload]:
    """The workloads of these losses (all by default) at these sizes (all by default)."""
    return [
        Workload(loss, shape, dtype)
        for loss in losses or registry
        for shape in shapes_of(loss)
        if sizes is None or size_name(shape) in sizes
    ]


def in_shared_memory(tensors: Mapping[str, Array], client: Client) -> dict[str, Array]:
    """Tensors in memory that a client shares with its server, those that are large enough for it.

    Raises:
        MemoryError: there is no room for them.
    """
    placed = {name: client.empty(array.shape, array.dtype) for name, array in tensors.items()}
    for name, array in tensors.items():
        if array.nbytes >= FROM and loan_of(placed[name]) is None:
            message = f"no shared memory for {name}, {array.nbytes:,} bytes"
            raise MemoryError(message)
        placed[name][...] = array
    return placed


def evaluation(
    workload: Workload, client: Client, *, in_place: bool = False
) -> Callable[[], object]:
    """A call for a loss and its first tensor's gradient, beneath `lossd_client.nn`.

    Args:
        workload: what is computed.
        client: where.
        in_place: whether the tensors are in memory that it shares with its server.
    """
    tensors = workload.tensors()
    if in_place:
        tensors = in_shared_memory(tensors, client)
    first = next(iter(tensors))
    return lambda: client.evaluate(
        workload.loss, tensors, reduction=workload.reduction, gradients=[first]
    )
