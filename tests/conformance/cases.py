"""What every loss of the registry is tested on: one entry per loss.

An entry says how to draw the loss's tensors for a shape, and on which shapes, options and
parameters. `draw` gets keyword options of its own (`weight="zeros"`, `soft=True`), so that
every optional tensor and every kind of target appears.
"""

import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from lossd.spec import registry

Array = npt.NDArray[Any]
Tensors = dict[str, Array]
Shape = tuple[int, ...]
Options = Mapping[str, Any]

# one less, as many and one more than a tile (64 in a row, 512 element-wise) and a block (8192)
FLAT: list[Shape] = [(n,) for n in (0, 1, 63, 64, 65, 511, 512, 513, 8191, 8192, 8193)]
ELEMENTWISE: list[Shape] = [*FLAT, (), (3, 5, 7), (2, 0, 3)]
# rows of up to 100 components, and components that lie apart, are worked on 64 rows at a time
VECTORS: list[Shape] = [
    (7,), (1, 1), (5, 2), (4, 63), (4, 64), (4, 65), (3, 512), (131, 63), (2, 2049), (1, 8193),
    (0, 4), (8193, 1), (63, 31), (64, 32), (65, 33), (129, 5), (67, 100), (67, 101),
]  # fmt: skip
CLASSES: list[Shape] = [
    (10,), (1,), (7, 1), (7, 2), (7, 10), (7, 63), (7, 64), (7, 65), (5, 1000), (131, 63),
    (2, 2049), (1, 8193), (8193, 1), (0, 10), (3, 10, 4), (2, 65, 3), (2, 5, 0), (2, 10, 3, 5),
    (2, 64, 2, 3), (63, 31), (64, 32), (65, 33), (3, 32, 63), (2, 33, 64), (2, 5, 65),
    (2, 600, 3), (2, 31, 9, 15), (67, 100), (67, 101),
]  # fmt: skip
FEW_CLASSES: list[Shape] = [(10,), (7, 1), (7, 65), (3, 1000), (0, 10), (3, 10, 4), (2, 64, 2, 3)]


@dataclass(frozen=True)
class Case:
    """One set of tensors and parameters of a loss."""

    loss: str
    shape: Shape
    parameters: Options = field(default_factory=dict)
    options: Options = field(default_factory=dict)
    brief: bool = False  # the mean alone: mathematics and kernel are tested in full elsewhere

    def __str__(self) -> str:
        settings = {**self.options, **self.parameters}
        text = "".join(f"-{name}={value}" for name, value in settings.items())
        return f"{self.loss}-{'x'.join(map(str, self.shape)) or 'scalar'}{text}"

    def rng(self) -> np.random.Generator:
        """The same stream of numbers for the same case."""
        return np.random.default_rng(zlib.crc32(str(self).encode()))

    def tensors(self, dtype: npt.DTypeLike) -> Tensors:
        """Fresh tensors; floating ones in `dtype`."""
        drawn = ENTRIES[self.loss].draw(self.rng(), self.shape, **self.options)
        return {k: v.astype(dtype) if v.dtype.kind == "f" else v for k, v in drawn.items()}


@dataclass(frozen=True)
class Entry:
    """How one loss is tested."""

    draw: Callable[..., Tensors]
    gradients: tuple[str, ...]  # tensors for which PyTorch gives a gradient
    shapes: list[Shape]
    grid: list[Options] = field(default_factory=list)  # parameters, each set on `middle`
    middle: Shape = (3, 5, 7)
    options: list[Options] = field(default_factory=list)  # options, each set on `middle`
    more: list[Case] = field(default_factory=list)
    soft_gradients: tuple[str, ...] = ()  # with a floating target, where that is another kind


def regression(
    rng: np.random.Generator, shape: Shape, other: Shape | None = None, weight: bool = False
) -> Tensors:
    x, y = 2 * rng.normal(size=shape), 2 * rng.normal(size=shape if other is None else other)
    drawn = {"input": np.asarray(x), "target": np.asarray(y)}
    if weight:
        drawn["weight"] = np.asarray(rng.uniform(0, 2, shape))
    return drawn


def away_from_0(rng: np.random.Generator, shape: Shape, other: Shape | None = None) -> Tensors:
    drawn = regression(rng, shape, other)
    return drawn | {"target": np.asarray(drawn["target"] + np.sign(drawn["target"]) * 0.1)}


def positive(rng: np.random.Generator, shape: Shape, other: Shape | None = None) -> Tensors:
    drawn = regression(rng, shape, other)
    return {name: np.asarray(abs(values) + 0.01) for name, values in drawn.items()}


def one_hots(rng: np.random.Generator, shape: Shape, soft: bool = False) -> Tensors:
    y = (rng.integers(0, shape[-1], (*shape[:-1], 1)) == np.arange(shape[-1])) * 1.0
    if soft:
        y = rng.uniform(size=shape)
    return {"input": 2 * rng.normal(size=shape), "target": y}


def counts(
    rng: np.random.Generator,
    shape: Shape,
    rates: bool = False,
    above_zero: bool = False,  # PyTorch's slope of y log y is NaN at 0
    other: Shape | None = None,
) -> Tensors:
    x = rng.uniform(0.01, 6, shape) if rates else rng.normal(size=shape)
    y = rng.poisson(2.0, shape if other is None else other) * 1.0
    if above_zero:
        y = rng.uniform(0.1, 5, shape)
    return {"input": np.asarray(x), "target": np.asarray(y)}


def gaussians(
    rng: np.random.Generator, shape: Shape, var: Shape | None = None, other: Shape | None = None
) -> Tensors:
    drawn = regression(rng, shape, other)
    drawn["var"] = np.asarray(rng.uniform(0.05, 4, shape if var is None else var))
    return drawn


def signs(rng: np.random.Generator, shape: Shape, other: Shape | None = None) -> Tensors:
    drawn = regression(rng, shape)
    y = rng.integers(0, 2, shape if other is None else other) * 2.0 - 1
    return drawn | {"target": np.asarray(y)}


def probabilities(rng: np.random.Generator, shape: Shape, weight: Shape | None = None) -> Tensors:
    drawn = {"input": rng.uniform(0.001, 0.999, shape), "target": rng.uniform(0, 1, shape)}
    hard = rng.uniform(size=shape) < 0.5  # every second target is 0 or 1
    drawn["target"] = np.where(hard, np.round(drawn["target"]), drawn["target"])
    if weight is not None:
        drawn["weight"] = rng.uniform(0, 2, weight)
    return {name: np.asarray(value) for name, value in drawn.items()}


def logits(
    rng: np.random.Generator,
    shape: Shape,
    weight: Shape | None = None,
    pos_weight: Shape | None = None,
) -> Tensors:
    drawn = probabilities(rng, shape, weight)
    drawn["input"] = np.asarray(8 * rng.normal(size=shape))
    if pos_weight is not None:
        drawn["pos_weight"] = np.asarray(rng.uniform(0.2, 3, pos_weight))
    return drawn


def multilabels(
    rng: np.random.Generator, shape: Shape, weight: bool = False, other: Shape | None = None
) -> Tensors:
    drawn = logits(rng, shape)
    if other is not None:
        drawn["target"] = rng.uniform(size=other)
    if weight:
        drawn["weight"] = rng.uniform(0, 2, shape[-1])
    return drawn


def divergence(
    rng: np.random.Generator, shape: Shape, log_target: bool = False, other: Shape | None = None
) -> Tensors:
    x, y = rng.uniform(-6, -0.01, shape), rng.uniform(0.01, 1, shape if other is None else other)
    return {"input": np.asarray(x), "target": np.asarray(np.log(y) if log_target else y)}


def pairs(rng: np.random.Generator, shape: Shape, other: Shape | None = None) -> Tensors:
    y = rng.integers(0, 2, shape if other is None else other) * 2.0 - 1
    return {"input": np.asarray(rng.normal(size=shape)), "target": np.asarray(y)}


def rankings(rng: np.random.Generator, shape: Shape, others: tuple[Shape, ...] = ()) -> Tensors:
    one, two, three = others or (shape, shape, shape)
    return {
        "input1": np.asarray(rng.normal(size=one)),
        "input2": np.asarray(rng.normal(size=two)),
        "target": np.asarray(rng.integers(0, 2, three) * 2.0 - 1),
    }


def cosines(rng: np.random.Generator, shape: Shape, others: tuple[Shape, ...] = ()) -> Tensors:
    one, two, three = others or (shape, shape, shape[:-1])
    return {
        "input1": rng.normal(size=one),
        "input2": rng.normal(size=two) + 0.3,
        "target": np.asarray(rng.integers(0, 2, three) * 2.0 - 1),
    }


def triplets(rng: np.random.Generator, shape: Shape, others: tuple[Shape, ...] = ()) -> Tensors:
    names = ("anchor", "positive", "negative")
    shapes = others or (shape, shape, shape)
    points = [rng.normal(size=s) + 0.1 * k for k, s in enumerate(shapes)]
    return dict(zip(names, points, strict=True))


def classes(
    rng: np.random.Generator,
    shape: Shape,
    weight: str = "",
    ignored: int | None = None,
    soft: bool = False,
) -> Tensors:
    axis = 1 if len(shape) > 1 else 0
    width, rows = shape[axis], shape[:axis] + shape[axis + 1 :]
    drawn: Tensors = {"input": 4 * rng.normal(size=shape)}
    if soft:
        raw = rng.uniform(size=shape)
        drawn["target"] = raw / np.maximum(raw.sum(axis, keepdims=True), 1e-9)
    else:
        label = rng.integers(0, width, rows)
        if ignored is not None:
            label = np.where(rng.uniform(size=rows) < 0.3, ignored, label)
        drawn["target"] = np.asarray(label)
    if weight:
        drawn["weight"] = rng.uniform(0.2, 3, width)
        if weight == "zeros":
            drawn["weight"][::3] = 0
    return drawn


def alignments(
    rng: np.random.Generator,
    shape: Shape,
    concatenated: bool = False,
    blank: int = 0,
    full: bool = False,
) -> Tensors:
    """Log-probabilities (T, N, C) or (T, C) and targets that fit, even if one label repeats."""
    x = 2 * rng.normal(size=shape)
    batch, classes = shape[1:-1], shape[-1]
    steps = rng.integers((shape[0] + 1) // 2, shape[0] + 1, batch)
    lengths = np.asarray([rng.integers(0, (n + 1) // 2 + 1) for n in steps.ravel()])
    if full:
        steps = np.full(batch, shape[0])
    labels = rng.integers(0, classes - 1, (*batch, max(int(lengths.max()), 1)))
    labels += labels >= blank
    if concatenated:
        rows = labels.reshape(-1, labels.shape[-1])
        labels = np.concatenate([row[:n] for row, n in zip(rows, lengths, strict=True)])
    return {
        "log_probs": x - np.log(np.exp(x).sum(-1, keepdims=True)),
        "targets": labels,
        "input_lengths": np.asarray(steps),
        "target_lengths": lengths.reshape(batch),
    }


def label_sets(rng: np.random.Generator, shape: Shape) -> Tensors:
    """Rows of distinct labels, ended by -1, and what comes after it does not matter."""
    y = np.argsort(rng.uniform(size=shape), -1)
    count = rng.integers(0, shape[-1] + 1, (*shape[:-1], 1))
    y = np.where(np.arange(shape[-1]) == count, -1, y)
    return {"input": rng.normal(size=shape), "target": y}


def log_probabilities(rng: np.random.Generator, shape: Shape, **options: Any) -> Tensors:
    drawn = classes(rng, shape, **options)
    x = drawn["input"]
    axis = 1 if len(shape) > 1 else 0
    drawn["input"] = x - np.log(np.exp(x).sum(axis, keepdims=True))
    return drawn


def _spread(loss: str, shapes: list[Shape], options: Options, **parameters: Any) -> list[Case]:
    return [Case(loss, shape, parameters, options) for shape in shapes]


_CLASS_OPTIONS: list[Options] = [
    {"weight": "random"},
    {"weight": "zeros"},
    {"ignored": -100},
    {"weight": "zeros", "ignored": -100},
]

_REGRESSION_OPTIONS: list[Options] = [
    {"other": (5, 1)},
    {"weight": True},
    {"weight": True, "other": (5, 1)},
]

ENTRIES: dict[str, Entry] = {
    "l1_loss": Entry(
        regression, ("input", "target", "weight"), ELEMENTWISE, options=_REGRESSION_OPTIONS
    ),
    "mse_loss": Entry(
        regression, ("input", "target", "weight"), ELEMENTWISE, options=_REGRESSION_OPTIONS
    ),
    "smooth_l1_loss": Entry(
        regression,
        ("input", "target"),
        ELEMENTWISE,
        [{"beta": b} for b in (0.0, 1e-3, 0.3, 3.0, np.inf)],
        options=[{"other": (5, 1)}],
    ),
    "huber_loss": Entry(
        regression,
        ("input", "target", "weight"),
        ELEMENTWISE,
        [{"delta": d} for d in (1e-3, 0.3, 3.0, np.inf)],
        options=_REGRESSION_OPTIONS,
        more=[Case("huber_loss", (513,), {"delta": d}, {"weight": True}) for d in (0.3, np.inf)],
    ),
    "log_cosh_loss": Entry(
        regression, ("input", "target"), ELEMENTWISE, options=[{"other": (5, 1)}]
    ),
    "mape_loss": Entry(
        away_from_0,
        ("input", "target"),
        ELEMENTWISE,
        options=[{"other": (5, 1)}],
        more=[Case("mape_loss", (3, 5, 7), {"eps": 1e-7})],
    ),
    "msle_loss": Entry(
        positive,
        ("input", "target"),
        ELEMENTWISE,
        options=[{"other": (5, 1)}],
        more=[Case("msle_loss", (3, 5, 7), {"eps": 1e-7})],
    ),
    "quantile_loss": Entry(
        regression,
        ("input", "target"),
        ELEMENTWISE,
        [{"quantile": q} for q in (0.1, 0.9)],
        options=[{"other": (5, 1)}],
    ),
    "hinge_loss": Entry(signs, ("input", "target"), ELEMENTWISE, options=[{"other": (5, 1)}]),
    "squared_hinge_loss": Entry(
        signs, ("input", "target"), ELEMENTWISE, options=[{"other": (5, 1)}]
    ),
    "categorical_hinge_loss": Entry(
        one_hots,
        ("input", "target"),
        [s for s in VECTORS if s[-1] > 1 and s[0]],  # Keras refuses empty batches
        middle=(9, 7),
        options=[{"soft": True}],
        more=[Case("categorical_hinge_loss", (2, 3, 5))],
    ),
    "sigmoid_focal_loss": Entry(
        logits,
        ("input", "target"),
        ELEMENTWISE,
        [
            {"gamma": 0.0},
            {"gamma": 0.5, "alpha": -1.0},
            {"gamma": 1.0, "alpha": 0.9},
            {"gamma": 3.5},
            {"alpha": -1.0},
            {"alpha": 0.0},
        ],
    ),
    "poisson_nll_loss": Entry(
        counts,
        ("input", "target"),
        ELEMENTWISE,
        options=[{"other": (5, 1)}],
        more=[
            *_spread("poisson_nll_loss", [(513,), (3, 5, 7)], {"rates": True}, log_input=False),
            Case("poisson_nll_loss", (3, 5, 7), {"log_input": False, "eps": 0.3}, {"rates": True}),
            *(
                Case(
                    "poisson_nll_loss",
                    (3, 5, 7),
                    {"full": True, "log_input": log_input},
                    {"rates": not log_input, "above_zero": True},
                )
                for log_input in (True, False)
            ),
        ],
    ),
    "gaussian_nll_loss": Entry(
        gaussians,
        ("input", "target", "var"),
        ELEMENTWISE,
        [{"full": True}],
        options=[
            *({"var": s} for s in ((3, 5, 1), (3, 5), (1, 5, 7))),
            {"other": (5, 1)},
            {"other": (5, 1), "var": (3, 5)},
        ],
        more=[
            Case("gaussian_nll_loss", (8193,), {"eps": 0.5}, brief=True),
            Case("gaussian_nll_loss", (131, 63), {}, {"var": (131,)}),
        ],
    ),
    "multilabel_soft_margin_loss": Entry(
        multilabels,
        ("input", "target"),
        [s for s in VECTORS if s[-1]],
        middle=(9, 7),
        options=[{"weight": True}, {"other": (1, 7)}, {"other": (7,)}],
        more=[
            Case("multilabel_soft_margin_loss", (2, 3, 5)),
            *_spread("multilabel_soft_margin_loss", [(3, 65), (3, 129)], {"weight": True}),
        ],
    ),
    "multilabel_margin_loss": Entry(
        label_sets,
        ("input",),
        [(7,), (1, 1), (5, 2), (4, 63), (3, 65), (131, 63), (8193, 1)],
        middle=(9, 7),
    ),
    "ctc_loss": Entry(
        alignments,
        ("log_probs",),
        [(7, 5), (1, 1, 2), (2, 3, 4), (6, 4, 5), (12, 3, 10), (9, 1, 70), (3, 130, 3)],
        [{"zero_infinity": True}],
        (6, 4, 5),
        options=[{"concatenated": True}, {"full": True}],
        more=[
            Case("ctc_loss", (6, 4, 5), {"blank": 3}, {"blank": 3}),
            Case("ctc_loss", (7, 5), {"blank": 4}, {"blank": 4}),
            Case("ctc_loss", (80, 5, 30), brief=True),
            Case("ctc_loss", (700, 2, 12), brief=True),
        ],
    ),
    "multi_margin_loss": Entry(
        classes,
        ("input",),
        [s for s in CLASSES if len(s) < 3 and 0 not in s],
        [{"p": 2}, {"margin": 0.3}, {"margin": 4.0, "p": 2}, {"margin": -0.5}],
        (9, 10),
        [{"weight": "random"}],
        more=[
            *_spread("multi_margin_loss", FEW_CLASSES[:4], {"weight": "zeros"}, p=2),
            Case("multi_margin_loss", (2, 2049), {"p": 2}),
        ],
    ),
    "soft_margin_loss": Entry(signs, ("input",), ELEMENTWISE, options=[{"other": (5, 1)}]),
    "binary_cross_entropy": Entry(
        probabilities,
        ("input", "target"),
        ELEMENTWISE,
        options=[{"weight": s} for s in ((), (7,), (5, 1), (3, 5, 7))],
        more=[Case("binary_cross_entropy", (8193,), {}, {"weight": (8193,)})],
    ),
    "binary_cross_entropy_with_logits": Entry(
        logits,
        ("input", "target"),
        ELEMENTWISE,
        options=[
            {"weight": (7,)},
            {"pos_weight": (7,)},
            {"pos_weight": (5, 1)},
            {"pos_weight": ()},
            {"weight": (3, 5, 7), "pos_weight": (3, 1, 7)},
        ],
        more=_spread("binary_cross_entropy_with_logits", [(513,), (8193,)], {"pos_weight": (1,)}),
    ),
    "kl_div": Entry(
        divergence,
        ("input", "target"),
        ELEMENTWISE,
        more=[
            *_spread("kl_div", [(513,), (8193,), (3, 5, 7)], {"log_target": True}, log_target=True),
            Case("kl_div", (3, 5, 7), {}, {"other": (5, 1)}),
            Case("kl_div", (1, 7), {}, {"other": (5, 1)}),
        ],
    ),
    "hinge_embedding_loss": Entry(
        pairs,
        ("input",),
        ELEMENTWISE,
        [{"margin": m} for m in (0.0, 0.3, 2.5, -0.5)],
        options=[{"other": (5, 1)}],
    ),
    "margin_ranking_loss": Entry(
        rankings,
        ("input1", "input2", "target"),
        ELEMENTWISE,
        [{"margin": m} for m in (0.3, 2.5, -0.5)],
        options=[{"others": ((3, 1, 7), (1, 5, 1), (1, 1, 1))}],
    ),
    "cosine_embedding_loss": Entry(
        cosines,
        ("input1", "input2"),
        VECTORS,
        [{"margin": m} for m in (0.3, -0.5, 1.0)],
        (9, 7),
        options=[{"others": ((9, 7), (1, 7), (9,))}, {"others": ((1, 7), (9, 7), (1,))}],
    ),
    "triplet_margin_loss": Entry(
        triplets,
        ("anchor", "positive", "negative"),
        VECTORS,
        [
            *({"margin": m} for m in (0.3, 5.0)),
            {"eps": 1e-2},
            *({"p": p, "margin": 3.0} for p in (0.0, 0.5, 1.0, 1.5, 3.0, -1.0, np.inf, -np.inf)),
            *({"p": p, "swap": True} for p in (2.0, 0.0, 0.5, 1.0, 3.0, -1.0, np.inf, -np.inf)),
        ],
        (9, 7),
        options=[{"others": ((9, 7), (1, 7), (9, 1))}],
        more=[
            Case("triplet_margin_loss", (2, 3, 5)),
            *(
                Case("triplet_margin_loss", (2, 129), {"p": p}, brief=True)
                for p in (0.0, 0.5, 1.0, np.inf)
            ),
        ],
    ),
    "triplet_margin_with_distance_loss": Entry(
        triplets,
        ("anchor", "positive", "negative"),
        VECTORS,
        [
            {"distance_function": d, **more}
            for d in ("pairwise", "cosine", "squared_euclidean", "manhattan")
            for more in ({"margin": 0.3}, {"margin": 5.0, "swap": True})
        ],
        (9, 7),
        options=[{"others": ((9, 7), (1, 7), (9, 1))}],
        more=[
            Case(
                "triplet_margin_with_distance_loss", (2, 129), {"distance_function": d}, brief=True
            )
            for d in ("cosine", "squared_euclidean", "manhattan")
        ],
    ),
    "nll_loss": Entry(
        log_probabilities,
        ("input",),
        CLASSES,
        [{"ignore_index": 2}],
        (9, 10),
        _CLASS_OPTIONS,
        more=[
            Case("nll_loss", (3, 10, 4), {"ignore_index": -1}, {"ignored": -1}),
            Case("nll_loss", (2, 10, 3, 5), {}, {"weight": "zeros"}),
        ],
    ),
    "cross_entropy": Entry(
        classes,
        ("input",),
        CLASSES,
        [{"ignore_index": 2}, {"label_smoothing": 0.1}, {"label_smoothing": 1.0}],
        (9, 10),
        _CLASS_OPTIONS,
        more=[
            Case("cross_entropy", (3, 10, 4), {"ignore_index": -1}, {"ignored": -1}),
            *(
                Case("cross_entropy", shape, {"label_smoothing": smoothing}, options)
                for smoothing in (0.1, 1.0)
                for options in _CLASS_OPTIONS[1:]
                for shape in ((9, 10), (3, 10, 4))
            ),
            *_spread("cross_entropy", FEW_CLASSES, {"weight": "random"}, label_smoothing=0.1),
            *_spread("cross_entropy", FEW_CLASSES, {"soft": True}),
            *(
                Case("cross_entropy", shape, {"label_smoothing": smoothing}, options)
                for smoothing in (0.0, 0.1, 1.0)
                for options in ({"soft": True, "weight": "zeros"},)
                for shape in ((9, 10), (2, 64, 2, 3), (2, 2049))
            ),
            Case("cross_entropy", (9, 10), {"label_smoothing": 0.1}, {"soft": True}),
        ],
        soft_gradients=("input", "target", "weight"),
    ),
}


def cases_of(loss: str) -> list[Case]:
    """Every case of a loss."""
    entry = ENTRIES[loss]
    return [
        *(Case(loss, shape) for shape in entry.shapes),
        *(Case(loss, entry.middle, parameters) for parameters in entry.grid),
        *(Case(loss, entry.middle, {}, options) for options in entry.options),
        *entry.more,
    ]


def gradients_of(loss: str, tensors: Mapping[str, Any]) -> tuple[str, ...]:
    """The tensors of a call for which PyTorch gives a gradient."""
    entry = ENTRIES[loss]
    soft = entry.soft_gradients and np.asarray(tensors["target"]).dtype.kind == "f"
    names = entry.soft_gradients if soft else entry.gradients
    return tuple(name for name in names if name in tensors)


CASES: list[Case] = [case for loss in registry if loss in ENTRIES for case in cases_of(loss)]
