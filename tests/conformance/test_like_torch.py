"""What torch.nn.functional takes, lossd takes, and answers alike: rare shapes and types.

The calls go through the client's functions, with torch tensors, so that what is refused there is
seen too.
"""

import inspect
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from lossd_client import Client, connect, functional, nn
from lossd_client.errors import DTypeError, LabelError, LossdError, ShapeError
from lossd_client.limits import Limits

from lossd.spec import registry

Shape = tuple[int, ...]
REDUCTIONS = ("none", "mean", "sum")


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    with connect("inproc:") as made:
        yield made


def real(*shape: int, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    """Numbers between -2 and 2, each shape's own."""
    rng = np.random.default_rng(sum(shape) + 1)
    return torch.tensor(rng.uniform(-2, 2, shape)).to(dtype)


def labels(*shape: int, below: int = 1) -> torch.Tensor:
    return torch.tensor(np.random.default_rng(1).integers(0, below, shape))


def answers(
    function: Any, tensors: Sequence[torch.Tensor], options: Mapping[str, Any]
) -> tuple[torch.Tensor, list[torch.Tensor | None]]:
    """The loss of copies of these tensors, and every gradient that there can be."""
    weight = options.get("weight")
    given = [*tensors, *([] if weight is None else [weight])]
    copies = [t.clone().requires_grad_(t.is_floating_point()) for t in given]
    options = dict(options)
    if weight is not None:
        options["weight"] = copies[-1]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        loss = function(*copies[: len(tensors)], **options)
    if loss.requires_grad:
        upstream = torch.linspace(0.5, 1.5, loss.numel(), dtype=loss.dtype)
        (loss * upstream.reshape(loss.shape)).sum().backward()
    return loss.detach(), [t.grad for t in copies]


def assert_alike(
    client: Client,
    name: str,
    tensors: Sequence[torch.Tensor],
    **options: Any,
) -> None:
    """Value, type, shape and gradients are torch's; no gradient is a gradient of 0."""
    got, made = answers(getattr(functional, name), tensors, {**options, "client": client})
    expected, gradients = answers(getattr(torch.nn.functional, name), tensors, options)
    rtol = 1e-12 if expected.dtype == torch.float64 else 2e-6
    torch.testing.assert_close(got, expected, rtol=rtol, atol=rtol, equal_nan=True)
    for mine, theirs in zip(made, gradients, strict=True):
        if mine is None or theirs is None:
            assert not (mine is not None and mine.any())
            assert not (theirs is not None and theirs.any())
        else:
            torch.testing.assert_close(mine, theirs, rtol=rtol, atol=rtol, equal_nan=True)


def assert_both_refuse(
    client: Client, kind: type[LossdError], name: str, *tensors: torch.Tensor, **options: Any
) -> None:
    with pytest.raises((RuntimeError, ValueError, IndexError)):
        answers(getattr(torch.nn.functional, name), tensors, options)
    with pytest.raises(kind):
        answers(getattr(functional, name), tensors, {**options, "client": client})


# --- multilabel_soft_margin_loss: whose last dimension, and which weights -----------------------

SPREAD: list[tuple[Shape, Shape, Shape | None]] = [
    ((3, 1), (3, 5), None),
    ((3, 5), (5,), None),
    ((3, 5), (3, 1), None),
    ((3, 5), (), None),
    ((5,), (3, 5), None),  # torch sums over the first dimension
    ((4,), (2, 3, 4), None),
    ((3, 5), (3, 5), (5,)),
    ((2, 3, 4), (2, 3, 4), (4,)),
    ((3, 5), (3, 5), (1,)),
    ((3, 5), (3, 5), (3, 1)),
    ((3, 5), (3, 5), ()),
    ((1, 5), (1, 5), (3, 5)),
    ((5,), (5,), (3, 5)),
    ((3, 1), (3, 5), (5,)),
    ((3, 5), (3, 5), (2, 3, 5)),
    ((3, 0), (3, 0), None),
    ((0, 3), (0, 3), (3,)),
    ((150, 70), (150, 70), (70,)),  # several blocks, and rows longer than a tile
    ((150, 130), (150, 130), (130,)),
]


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize(("x", "y", "weight"), SPREAD, ids=str)
def test_labels_that_are_broadcast(
    client: Client, x: Shape, y: Shape, weight: Shape | None, reduction: str
) -> None:
    tensors = real(*x), real(*y).abs() / 2
    options = {} if weight is None else {"weight": real(*weight).abs()}
    assert_alike(client, "multilabel_soft_margin_loss", tensors, reduction=reduction, **options)


def test_weights_of_labels_that_do_not_fit(client: Client) -> None:
    for weight in ((2,), (5, 1)):
        assert_both_refuse(
            client, ShapeError, "multilabel_soft_margin_loss", real(3, 5), real(3, 5),
            weight=real(*weight),
        )  # fmt: skip
    assert_both_refuse(client, ShapeError, "multilabel_soft_margin_loss", real(), real(5))


# --- integers where torch takes them -----------------------------------------------------------

KINDS = {"int": torch.int64, "int32": torch.int32, "uint8": torch.uint8, "bool": torch.bool}


def drawn(kind: str, *shape: int) -> torch.Tensor:
    """Positive values: what is given as variance too."""
    if kind == "float":
        return real(*shape, dtype=torch.float32).abs() + 0.25
    return torch.tensor(np.random.default_rng(3).integers(0, 4, shape)).to(KINDS[kind])


PAIRS = ("mse_loss", "l1_loss", "smooth_l1_loss", "poisson_nll_loss")


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("kinds", ["int float", "int32 float", "uint8 float", "float int"])
@pytest.mark.parametrize("name", PAIRS)
def test_an_integer_beside_a_floating_tensor(
    client: Client, name: str, kinds: str, reduction: str
) -> None:
    tensors = [drawn(kind, 4, 3) for kind in kinds.split()]
    assert_alike(client, name, tensors, reduction=reduction)


@pytest.mark.parametrize("name", ["mse_loss", "smooth_l1_loss", "poisson_nll_loss"])
def test_truth_values_beside_a_floating_tensor(client: Client, name: str) -> None:
    for kinds in ("bool float", "float bool"):
        assert_alike(client, name, [drawn(kind, 4, 3) for kind in kinds.split()])


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float64])
def test_integers_beside_other_floating_types(client: Client, kind: torch.dtype) -> None:
    x, y = drawn("int", 40), real(40).to(kind).requires_grad_()
    loss = functional.mse_loss(x, y, client=client)
    loss.backward()
    wide = y.detach().double().requires_grad_()
    expected = torch.nn.functional.mse_loss(x, wide)
    expected.backward()
    assert loss.dtype == (torch.float64 if kind == torch.float64 else torch.float32)
    assert y.grad.dtype == kind
    torch.testing.assert_close(loss.double(), expected, rtol=1e-6, atol=0)
    torch.testing.assert_close(y.grad.double(), wide.grad, rtol=torch.finfo(kind).eps, atol=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("variance", [0.1, 1e-3, 2.0])
def test_a_number_as_variance(client: Client, dtype: torch.dtype, variance: float) -> None:
    """It is what it says, to the precision of the tensors beside it."""
    x, y = real(3, 4, dtype=dtype), real(4, dtype=dtype)
    assert_alike(client, "gaussian_nll_loss", [x, y], var=variance)
    tensors = {"input": x.numpy(), "target": y.expand(3, 4).numpy(), "var": variance}
    loss = client.evaluate("gaussian_nll_loss", tensors).tensors["loss"]
    expected = torch.nn.functional.gaussian_nll_loss(x, y, variance)
    torch.testing.assert_close(
        torch.tensor(loss), expected, rtol=2e-6 * (dtype.itemsize == 4), atol=1e-15
    )


@pytest.mark.parametrize("kinds", ["int int float", "int float float", "float int float"])
def test_integers_beside_a_variance(client: Client, kinds: str) -> None:
    assert_alike(client, "gaussian_nll_loss", [drawn(kind, 4, 3) for kind in kinds.split()])


@pytest.mark.parametrize(
    "kinds", ["int int int", "int float float", "int int float", "float int int"]
)
@pytest.mark.parametrize(
    "name", ["margin_ranking_loss", "triplet_margin_loss", "triplet_margin_with_distance_loss"]
)
def test_integers_alone_where_a_number_makes_them_floating(
    client: Client, name: str, kinds: str
) -> None:
    assert_alike(client, name, [drawn(kind, 4, 3) for kind in kinds.split()], margin=2.5)


def test_integers_alone_of_other_losses(client: Client) -> None:
    for options in ({}, {"log_input": False, "full": True}):
        tensors = drawn("int", 4, 3) + 1, drawn("int", 4, 3)
        assert_alike(client, "poisson_nll_loss", tensors, **options)
    for kind in ("int", "bool"):
        tensors = drawn(kind, 4, 3), drawn("int", 4, 3), torch.tensor([1, -1, 1, -1])
        assert_alike(client, "cosine_embedding_loss", tensors)


@pytest.mark.filterwarnings("ignore:.*mean")
@pytest.mark.parametrize("name", ["mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss", "kl_div"])
def test_integers_alone_have_no_mean(client: Client, name: str) -> None:
    x = drawn("int", 4)
    with pytest.raises(RuntimeError):
        getattr(torch.nn.functional, name)(x, x)
    with pytest.raises(DTypeError, match=f"{name}: input has type int64; it must have float16"):
        getattr(functional, name)(x, x, client=client)


@pytest.mark.parametrize("kind", [torch.float32, torch.float64, torch.float16, torch.bool])
def test_labels_of_ctc_may_have_any_type(client: Client, kind: torch.dtype) -> None:
    x = real(8, 3, 5, dtype=torch.float32).log_softmax(-1)
    y = (torch.tensor([[1, 2, 3], [2, 3, 1], [4, 3, 2]]) + 0.75).to(kind)
    lengths = torch.tensor([8, 8, 8]), torch.tensor([3, 2, 3])
    got = functional.ctc_loss(x, y, *lengths, reduction="none", client=client)
    expected = torch.nn.functional.ctc_loss(x, y, *lengths, reduction="none")
    torch.testing.assert_close(got, expected, rtol=1e-5, atol=0)
    assert got.dtype == torch.float32


def test_labels_of_ctc_that_are_no_numbers(client: Client) -> None:
    x, lengths = real(8, 1, 5).log_softmax(-1), (torch.tensor([8]), torch.tensor([2]))
    for wrong in (torch.nan, torch.inf, -1.5):
        with pytest.raises(LabelError, match=r"targets\[0, 1\] = .* is outside \[0, 5\)"):
            functional.ctc_loss(x, torch.tensor([[1.0, wrong]]), *lengths, client=client)


# --- shapes -----------------------------------------------------------------------------------


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("p", [2.0, 1.0, 0.5, np.inf])
def test_points_on_a_line(client: Client, p: float, reduction: str) -> None:
    tensors = [torch.tensor(value).double() for value in (1.0, 2.5, 3.0)]
    options = {"margin": 5.0, "reduction": reduction}
    for swap in (False, True):
        assert_alike(client, "triplet_margin_loss", tensors, p=p, swap=swap, **options)
    if p == 2:
        assert_alike(client, "triplet_margin_with_distance_loss", tensors, **options)


def test_points_of_different_dimensions_are_refused(client: Client) -> None:
    assert_both_refuse(client, ShapeError, "triplet_margin_loss", real(), real(1), real())


ONE_CLASS: list[tuple[Shape, Shape]] = [
    ((), ()), ((), (1,)), ((1,), ()), ((1,), (1,)), ((5,), ()), ((5,), (1,)), ((1, 5), ()),
    ((1, 5), (1,)), ((1, 1), ()), ((3, 5), (3,)),
]  # fmt: skip


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize(("x", "y"), ONE_CLASS, ids=str)
def test_margins_without_a_batch(client: Client, x: Shape, y: Shape, reduction: str) -> None:
    target = labels(*y, below=x[-1] if x else 1)
    for p in (1, 2):
        assert_alike(client, "multi_margin_loss", (real(*x), target), p=p, reduction=reduction)


@pytest.mark.parametrize(
    ("x", "y"),
    [((3, 0), (3,)), ((0,), ()), ((3, 5), (3, 1)), ((1, 5), (1, 1)), ((2, 5), ()),
     ((2, 3, 5), (2,))],
    ids=str,
)  # fmt: skip
def test_margins_of_shapes_that_do_not_fit(client: Client, x: Shape, y: Shape) -> None:
    assert_both_refuse(client, ShapeError, "multi_margin_loss", real(*x), labels(*y))


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize(("x", "y"), [((), ()), ((), (1,)), ((1,), ())], ids=str)
def test_margins_of_one_label(client: Client, x: Shape, y: Shape, reduction: str) -> None:
    tensors = real(*x), labels(*y)
    assert_alike(client, "multilabel_margin_loss", tensors, reduction=reduction)


@pytest.mark.parametrize(
    ("x", "y"), [((0,), (0,)), ((3, 0), (3, 0)), ((1, 3), (3,)), ((3,), (1, 3))]
)
def test_labels_of_shapes_that_do_not_fit(client: Client, x: Shape, y: Shape) -> None:
    assert_both_refuse(client, ShapeError, "multilabel_margin_loss", real(*x), labels(*y))


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("shape", [(0,), (3, 0), (0, 0), (3, 0, 2)], ids=str)
def test_no_classes(client: Client, shape: Shape, reduction: str) -> None:
    tensors = real(*shape), real(*shape)
    assert_alike(client, "cross_entropy", tensors, reduction=reduction)
    options = {"label_smoothing": 0.1, "weight": real(0), "reduction": reduction}
    assert_alike(client, "cross_entropy", tensors, **options)


def test_a_row_whose_target_has_a_batch(client: Client) -> None:
    """PyTorch computes the loss, and its backward refuses it."""
    x, y = real(5), labels(1, below=5)
    for name in ("cross_entropy", "nll_loss"):
        assert_both_refuse(client, LossdError, name, x, y)
        got = getattr(functional, name)(x, y, client=client)
        torch.testing.assert_close(got, getattr(torch.nn.functional, name)(x, y))
    with pytest.raises(RuntimeError):
        torch.nn.functional.cross_entropy(x, y, label_smoothing=0.1)
    with pytest.raises(ShapeError, match=r"target \(1,\) does not fit input \(5,\)"):
        functional.cross_entropy(x, y, label_smoothing=0.1, client=client)


@pytest.mark.parametrize("y", [(3,), (1, 3), (2, 1), ()], ids=str)
def test_soft_margins_of_fewer_targets(client: Client, y: Shape) -> None:
    assert_alike(client, "soft_margin_loss", (real(2, 3), torch.ones(y).int()), reduction="none")


@pytest.mark.parametrize(
    ("x", "y"), [((3,), (2, 3)), ((1, 3), (2, 3)), ((), (3,)), ((2, 1), (1, 3))], ids=str
)
def test_soft_margins_of_more_targets(client: Client, x: Shape, y: Shape) -> None:
    assert_both_refuse(client, ShapeError, "soft_margin_loss", real(*x), torch.ones(y).int())


@pytest.mark.parametrize("soft", [False, True], ids=["indices", "probabilities"])
@pytest.mark.parametrize(
    ("x", "layer"),
    [((3, 0), (4, 0)), ((0,), (4, 0)), ((0, 2), (4, 2)), ((3, 0), (4, 2, 0))],
    ids=str,
)  # fmt: skip
def test_layers_without_features_or_rows(
    client: Client, x: Shape, layer: Shape, soft: bool
) -> None:
    shape = (*x[:-1], layer[0], *layer[1:-1]) if soft else (*x[:-1], *layer[1:-1])
    target = real(*shape).abs() if soft else labels(*shape, below=4)
    tensors = real(*x), real(*layer), target
    for reduction in REDUCTIONS:
        options = {"linear_bias": real(*layer[:-1]), "reduction": reduction}
        assert_alike(client, "linear_cross_entropy", tensors, **options)


# --- arguments --------------------------------------------------------------------------------


def test_options_of_linear_cross_entropy_are_accepted(client: Client) -> None:
    tensors = real(3, 2), real(4, 2), labels(3, below=4)
    expected = torch.nn.functional.linear_cross_entropy(*tensors)
    for more in ({"options": object()}, {"options": None}, {"ignore_index": None}):
        got = functional.linear_cross_entropy(*tensors, **more, client=client)
        torch.testing.assert_close(got, expected)


WRONG: list[tuple[str, dict[str, Any]]] = [
    ("TripletMarginLoss", {"margin": 0}),
    ("TripletMarginLoss", {"margin": -1.0}),
    ("TripletMarginWithDistanceLoss", {"margin": 0.0}),
    ("TripletMarginWithDistanceLoss", {"margin": -1}),
    ("MultiMarginLoss", {"p": 3}),
    ("MultiMarginLoss", {"p": 0}),
    ("MultiMarginLoss", {"weight": torch.ones(1, 2)}),
    ("MultiMarginLoss", {"weight": torch.ones(())}),
    ("HuberLoss", {"delta": "1"}),
]


@pytest.mark.parametrize(("name", "arguments"), WRONG, ids=str)
def test_limits_are_what_torchs_constructors_check(name: str, arguments: dict[str, Any]) -> None:
    with pytest.raises((ValueError, TypeError)) as theirs:
        getattr(torch.nn, name)(**arguments)
    ((key, value),) = arguments.items()
    limits: Limits = getattr(nn, name).limits[key]
    with pytest.raises(type(theirs.value), match=key):
        limits.check_argument(name, key, value)


def test_limits_let_pass_what_torchs_constructors_do() -> None:
    right = {"margin": [0.1, 3], "p": [1, 2], "weight": [None, torch.ones(3), [1.0]], "delta": [0]}
    for name, loss in registry.items():
        if loss.library == "torch.nn" and not loss.owned:
            for key, limits in getattr(getattr(nn, loss.__name__), "limits", {}).items():
                for value in right[key]:
                    getattr(torch.nn, loss.__name__)(
                        **{key: torch.ones(1) if isinstance(value, list) else value}
                    )
                    limits.check_argument(name, key, value)


def test_every_constructor_that_checks_has_limits() -> None:
    """The torch constructors that raise are those of `WRONG`, and those written by hand."""
    raising = {
        name
        for loss in registry.values()
        if loss.library == "torch.nn" and (name := loss.__name__)
        if "raise " in inspect.getsource(getattr(torch.nn, name).__init__)
    }
    owned = {loss.__name__ for loss in registry.values() if loss.owned}
    assert raising - owned == {name for name, _ in WRONG}
