"""Losses that hold parameters, against PyTorch's own, on every transport."""

import copy
import inspect
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.utils.parametrizations
import torch.nn.utils.prune
from lossd_client import Client, connect, functional, nn, tensor
from lossd_client.errors import DTypeError, LabelError, ParameterError, ShapeError

RNG = np.random.default_rng(5)
X = RNG.normal(size=(20, 128)).astype(np.float32)
WIDE: Any = {"rtol": 1e-5, "atol": 1e-6}


def linear_pair(client: Client, **options: Any) -> tuple[Any, Any]:
    """Lossd's and PyTorch's loss with the same layer."""
    torch.manual_seed(0)
    theirs = torch.nn.LinearCrossEntropyLoss(128, 7, **options)
    weight = options.pop("weight", None)
    ours = nn.LinearCrossEntropyLoss(
        128, 7, **options, weight=None if weight is None else weight.numpy(), client=client
    )
    assert ours.linear.weight.shape == theirs.linear.weight.shape
    ours.linear.weight = tensor(theirs.linear.weight.detach().numpy(), requires_grad=True)
    if theirs.linear.bias is not None:
        assert ours.linear.bias.shape == theirs.linear.bias.shape
        ours.linear.bias = tensor(theirs.linear.bias.detach().numpy(), requires_grad=True)
    return ours, theirs


@pytest.mark.parametrize("out", [(), (3, 2)], ids=str)
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"reduction": "sum", "label_smoothing": 0.1},
        {"ignore_index": 2, "weight": torch.rand(7)},
    ],
    ids=["plain", "smoothed", "weighted"],
)
def test_linear_cross_entropy_is_torchs(
    client: Client, options: dict[str, Any], bias: bool, out: tuple[int, ...]
) -> None:
    ours, theirs = linear_pair(client, bias=bias, out_features=out, **options)
    y = RNG.integers(0, 7, (20, *out))
    x, z = tensor(X, requires_grad=True), torch.tensor(X, requires_grad=True)
    loss, expected = ours(x, y), theirs(z, torch.tensor(y))
    loss.backward()
    expected.backward()
    np.testing.assert_allclose(loss.item(), expected.item(), rtol=1e-5)
    np.testing.assert_allclose(x.grad, z.grad.numpy(), **WIDE)
    np.testing.assert_allclose(ours.linear.weight.grad, theirs.linear.weight.grad, **WIDE)
    if bias:
        np.testing.assert_allclose(ours.linear.bias.grad, theirs.linear.bias.grad, **WIDE)


def test_linear_cross_entropy_of_torch_parameters(client: Client) -> None:
    ours, theirs = linear_pair(client, bias=True)
    own = torch.nn.Linear(128, 7)
    own.load_state_dict(theirs.linear.state_dict())
    ours.linear.weight, ours.linear.bias = own.weight, own.bias
    y = torch.tensor(RNG.integers(0, 7, 20))
    (3 * ours(torch.tensor(X), y)).backward()
    (3 * theirs(torch.tensor(X), y)).backward()
    torch.testing.assert_close(own.weight.grad, theirs.linear.weight.grad, **WIDE)
    torch.testing.assert_close(own.bias.grad, theirs.linear.bias.grad, **WIDE)


def test_torch_inputs_beside_parameters_of_lossd(client: Client) -> None:
    ours, theirs = linear_pair(client)
    y = torch.tensor(RNG.integers(0, 7, 20))
    for x in (torch.tensor(X), torch.tensor(X, requires_grad=True)):
        ours.linear.weight.zero_grad()
        theirs.zero_grad()
        ours(x, y).backward()
        theirs(x.detach(), y).backward()
        np.testing.assert_allclose(ours.linear.weight.grad, theirs.linear.weight.grad, **WIDE)
        assert (x.grad is not None) == x.requires_grad


def test_linear_cross_entropy_as_a_function(client: Client) -> None:
    weight, bias = RNG.normal(size=(7, 3, 128)), RNG.normal(size=(7, 3))
    y = RNG.dirichlet(np.ones(7), (20, 3)).transpose(0, 2, 1).copy()
    given = [torch.tensor(a, requires_grad=True) for a in (X.astype(float), weight, y, bias)]
    again = [g.detach().clone().requires_grad_() for g in given]
    losses = functional.linear_cross_entropy(
        *given[:3], linear_bias=given[3], reduction="none", client=client
    )
    expected = torch.nn.functional.linear_cross_entropy(
        *again[:3], linear_bias=again[3], reduction="none"
    )
    upstream = torch.rand(20, 3).double()
    losses.backward(upstream)
    expected.backward(upstream)
    torch.testing.assert_close(losses, expected)
    for one, other in zip(given, again, strict=True):
        torch.testing.assert_close(one.grad, other.grad)


def adaptive_pair(client: Client, **options: Any) -> tuple[Any, Any]:
    torch.manual_seed(0)
    theirs = torch.nn.AdaptiveLogSoftmaxWithLoss(128, 50, [5, 12, 30], **options)
    ours = nn.AdaptiveLogSoftmaxWithLoss(128, 50, [5, 12, 30], **options, client=client)
    ours.head.weight = tensor(theirs.head.weight.detach().numpy(), requires_grad=True)
    if theirs.head_bias:
        ours.head.bias = tensor(theirs.head.bias.detach().numpy(), requires_grad=True)
    for mine, other in zip(ours.tail, theirs.tail, strict=True):
        for part, layer in zip(mine, other, strict=True):
            assert part.weight.shape == layer.weight.shape
            part.weight = layer.weight.detach().numpy()
    return ours, theirs


@pytest.mark.parametrize("options", [{}, {"div_value": 2.0, "head_bias": True}], ids=str)
def test_adaptive_log_softmax_is_torchs(client: Client, options: dict[str, Any]) -> None:
    ours, theirs = adaptive_pair(client, **options)
    y = RNG.integers(0, 50, 20)
    y[:4] = 0, 6, 15, 40  # the head and every cluster: PyTorch has no gradient for others
    x, z = tensor(X, requires_grad=True), torch.tensor(X, requires_grad=True)
    made, expected = ours(x, y), theirs(z, torch.tensor(y))
    np.testing.assert_allclose(made.output.numpy(), expected.output.detach(), **WIDE)
    np.testing.assert_allclose(made.loss.item(), expected.loss.item(), rtol=1e-5)
    made.loss.backward()
    expected.loss.backward()
    np.testing.assert_allclose(x.grad, z.grad.numpy(), **WIDE)
    np.testing.assert_allclose(ours.head.weight.grad, theirs.head.weight.grad, **WIDE)
    for mine, other in zip(ours.tail, theirs.tail, strict=True):
        for part, layer in zip(mine, other, strict=True):
            np.testing.assert_allclose(part.weight.grad, layer.weight.grad, **WIDE)
    if options:
        np.testing.assert_allclose(ours.head.bias.grad, theirs.head.bias.grad, **WIDE)


def test_the_gradient_through_the_log_probabilities(client: Client) -> None:
    ours, theirs = adaptive_pair(client)
    y, upstream = RNG.integers(0, 50, 20), RNG.normal(size=20).astype(np.float32)
    x, z = tensor(X, requires_grad=True), torch.tensor(X, requires_grad=True)
    ours(x, y).output.backward(upstream)
    theirs(z, torch.tensor(y)).output.backward(torch.tensor(upstream))
    np.testing.assert_allclose(x.grad, z.grad.numpy(), **WIDE)
    t = torch.tensor(X, requires_grad=True)
    output, loss = ours(t, torch.tensor(y))
    (loss + (output * torch.tensor(upstream)).sum()).backward()
    again = torch.tensor(X, requires_grad=True)
    output, loss = theirs(again, torch.tensor(y))
    (loss + (output * torch.tensor(upstream)).sum()).backward()
    torch.testing.assert_close(t.grad, again.grad, **WIDE)


def test_one_sample_without_a_batch(client: Client) -> None:
    ours, theirs = adaptive_pair(client)
    made, expected = ours(X[0], 40), theirs(torch.tensor(X[0]), torch.tensor(40))
    assert made.output.shape == ()
    np.testing.assert_allclose(made.output.item(), expected.output.item(), rtol=1e-5)
    np.testing.assert_allclose(made.loss.item(), expected.loss.item(), rtol=1e-5)


@pytest.mark.parametrize("options", [{}, {"head_bias": True}], ids=str)
def test_log_prob_and_predict(client: Client, options: dict[str, Any]) -> None:
    ours, theirs = adaptive_pair(client, **options)
    for scale in (0.1, 5.0):
        x = scale * torch.tensor(X)
        torch.testing.assert_close(ours.log_prob(x), theirs.log_prob(x).detach(), **WIDE)
        np.testing.assert_allclose(
            ours.log_prob(x.numpy()).numpy(), theirs.log_prob(x).detach(), **WIDE
        )
        torch.testing.assert_close(ours.predict(x), theirs.predict(x))
    with pytest.raises(ShapeError, match=r"input \(128,\) must be \(N, 128\)"):
        ours.log_prob(X[0])


def test_adaptive_losses_as_a_function(client: Client) -> None:
    ours, _ = adaptive_pair(client, head_bias=True)
    y = RNG.integers(0, 50, 20)
    loss = functional.adaptive_log_softmax_with_loss(
        X,
        y,
        ours.head.weight,
        ours.tail_weight,
        ours.cutoffs,
        head_bias=ours.head.bias,
        client=client,
    )
    assert loss.item() == pytest.approx(ours(X, y).loss.item(), rel=1e-6)


@pytest.mark.parametrize("cutoffs", [[], [0, 5], [5, 5], [7, 3], [5, 50], [5, 60]], ids=str)
def test_cutoffs_that_do_not_increase(cutoffs: list[int]) -> None:
    with pytest.raises(ParameterError, match="must increase, from 1 on and below n_classes = 50"):
        nn.AdaptiveLogSoftmaxWithLoss(128, 50, cutoffs)


def test_what_the_server_says_of_parameters_that_do_not_fit(client: Client) -> None:
    ours, _ = adaptive_pair(client)
    whole = ours.tail_weight
    with pytest.raises(LabelError, match=r"target\[1\] = 50 is outside \[0, 50\)"):
        ours(X[:2], [3, 50])
    with pytest.raises(ShapeError, match=r"tail_weight has 3 values; .* need \d+"):
        functional.adaptive_log_softmax_with_loss(
            X, [0] * 20, ours.head.weight, whole.data[:3], ours.cutoffs, client=client
        )
    with pytest.raises(ParameterError, match=r"cutoffs \[5, 4\] must be positive and increase"):
        functional.adaptive_log_softmax_with_loss(
            X, [0] * 20, ours.head.weight, whole, [5, 4], client=client
        )
    with pytest.raises(ShapeError, match=r"head_weight has 8 rows; .* = 6"):
        functional.adaptive_log_softmax_with_loss(
            X, [0] * 20, ours.head.weight, whole, [5, 50], client=client
        )
    linear, _ = linear_pair(client)
    with pytest.raises(ShapeError, match=r"linear_weight \(7, 128\) does not fit input \(20, 3\)"):
        linear(X[:, :3], [0] * 20)
    with pytest.raises(LabelError, match=r"target\[0\] = 7 is outside \[0, 7\)"):
        linear(X[:1], [7])


def test_functions_take_torchs_arguments() -> None:
    theirs = inspect.signature(torch.nn.functional.linear_cross_entropy).parameters
    ours = inspect.signature(functional.linear_cross_entropy).parameters
    for name, argument in theirs.items():
        assert ours[name].kind is argument.kind, name
        assert ours[name].default == argument.default, name
    assert [name for name in ours if name in theirs] == list(theirs)


# --- parameters as torch.nn's classes have them --------------------------------------------------

LOSSES: Any = {
    "linear": (lambda at, **more: at.LinearCrossEntropyLoss(16, 5, bias=True, **more)),
    "adaptive": (
        lambda at, **more: at.AdaptiveLogSoftmaxWithLoss(16, 20, [3, 9], head_bias=True, **more)
    ),
}
each_owning = pytest.mark.parametrize("made", LOSSES.values(), ids=LOSSES)


def reduced(loss: Any) -> Any:
    """The loss alone, of those that answer more."""
    return loss.loss if hasattr(loss, "output") else loss


@each_owning
def test_parameters_travel_to_and_from_torch(client: Client, made: Any) -> None:
    ours, theirs = made(nn, client=client), made(torch.nn)
    mine, other = ours.state_dict(), theirs.state_dict()
    assert {k: v.shape for k, v in mine.items()} == {k: tuple(v.shape) for k, v in other.items()}
    ours.load_state_dict(other)
    for name, value in ours.named_parameters():
        np.testing.assert_array_equal(value, other[name])
    theirs.load_state_dict({name: torch.tensor(value) for name, value in mine.items()})
    before = ours.state_dict()
    ours.reset_parameters()
    assert all((before[name] != value).any() for name, value in ours.state_dict().items())
    with pytest.raises(KeyError, match=r"missing \['head.bias'|missing \['linear.bias'"):
        ours.load_state_dict({n: v for n, v in before.items() if "bias" not in n})
    with pytest.raises(ShapeError, match=r"weight \(1, 1\) must be \("):
        ours.load_state_dict(before | {next(iter(before)): np.ones((1, 1))})


@each_owning
def test_numpy_training_of_parameters(client: Client, made: Any) -> None:
    ours, y = made(nn, client=client), RNG.integers(0, 5, 20)
    losses = []
    for _ in range(20):
        ours.zero_grad()
        loss = reduced(ours(X[:, :16], y))
        loss.backward()
        for parameter in ours.parameters():
            parameter.data -= 0.3 * parameter.grad
        losses.append(loss.item())
    assert losses[-1] < 0.7 * losses[0]


@each_owning
def test_modules_are_trained_moved_and_saved_as_torchs(
    client: Client, made: Any, tmp_path: Path
) -> None:
    x, y = torch.tensor(X[:, :16]), torch.tensor(RNG.integers(0, 20, 20) % 5)
    theirs = made(torch.nn)
    ours = made(nn, client=client).module()
    ours.load_state_dict(theirs.state_dict())
    for criterion in (ours, theirs):
        model = torch.nn.ModuleDict({"body": torch.nn.Linear(16, 16), "head": criterion})
        torch.nn.init.eye_(model["body"].weight)
        torch.nn.init.zeros_(model["body"].bias)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        for _ in range(3):
            optimizer.zero_grad()
            reduced(model["head"](model["body"](x), y)).backward()
            optimizer.step()
    torch.testing.assert_close(dict(ours.state_dict()), dict(theirs.state_dict()), **WIDE)
    torch.save(ours, tmp_path / "criterion.pt")
    again = torch.load(tmp_path / "criterion.pt", weights_only=False)
    for same in (copy.deepcopy(ours), again):
        torch.testing.assert_close(reduced(same(x, y)), reduced(ours(x, y)))
    again.client.close()
    double = reduced(ours.double()(x.double(), y))
    assert double.dtype == torch.float64
    assert "in_features=16" in repr(ours)


@each_owning
def test_modules_draw_and_load_all_that_they_have(client: Client, made: Any) -> None:
    for dtype in (torch.float32, torch.bfloat16):
        module = made(nn, client=client).module().to(dtype)
        before = {name: value.clone() for name, value in module.state_dict().items()}
        module.reset_parameters()
        assert all((before[name] != value).any() for name, value in module.state_dict().items())
        assert {value.dtype for value in module.parameters()} == {dtype}
    loss = made(nn, client=client)
    whole = {name: torch.nn.Parameter(torch.tensor(v)) for name, v in loss.state_dict().items()}
    ours = loss.having(whole)
    reduced(ours(torch.tensor(X[:, :16]), torch.zeros(20, dtype=torch.int64))).backward()
    ours.zero_grad()
    assert (
        ours.head.weight.grad is None if hasattr(ours, "head") else ours.linear.weight.grad is None
    )


def test_what_is_set_on_a_module_is_set_on_its_loss(client: Client) -> None:
    weight = torch.tensor([1.0, 2.0])
    ours = nn.CrossEntropyLoss(weight=weight, client=client).module()
    theirs = torch.nn.CrossEntropyLoss(weight=weight)
    ours.load_state_dict(theirs.state_dict())
    x, y = torch.rand(3, 2, dtype=torch.float64), torch.tensor([0, 1, 1])
    torch.testing.assert_close(ours.double()(x, y), theirs.double()(x, y))
    ours.reduction = theirs.reduction = "none"
    torch.testing.assert_close(ours(x, y), theirs(x, y))
    assert ours.reduction == "none"


def test_any_loss_is_a_module(client: Client) -> None:
    criterion = nn.HuberLoss(delta=0.5, client=client).module()
    x = torch.tensor([1.0, 3.0], requires_grad=True)
    expected = torch.nn.HuberLoss(delta=0.5)(x, torch.zeros(2))
    torch.testing.assert_close(criterion(x, torch.zeros(2)), expected)
    assert not list(criterion.parameters())
    assert criterion.delta == 0.5
    with pytest.raises(AttributeError, match="no_such"):
        _ = criterion.no_such


def test_weights_of_a_module_come_and_go_as_torchs(client: Client) -> None:
    weight, x, y = torch.tensor([1.0, 2, 3]), torch.randn(5, 3), torch.tensor([0, 1, 2, 1, 0])
    mine = nn.CrossEntropyLoss(weight=weight, client=client).module()
    torchs = torch.nn.CrossEntropyLoss(weight=weight)
    for made in (mine, torchs):
        made.weight = None
    assert mine(x, y).item() == pytest.approx(torchs(x, y).item())
    mine = nn.CrossEntropyLoss(client=client).module()
    mine.weight = weight
    mine.double()
    assert mine.state_dict()["weight"].dtype == torch.float64
    expected = torch.nn.functional.cross_entropy(x.double(), y, weight.double())
    assert mine(x.double(), y).item() == pytest.approx(expected.item())


def test_layers_of_a_module_are_torchs(client: Client) -> None:
    """They compute, and can be pruned and parametrized."""
    module = nn.LinearCrossEntropyLoss(4, 3, bias=True, client=client).module()
    x, y = torch.randn(2, 4), torch.tensor([0, 2])
    logits = module.linear(x)
    assert module(x, y).item() == pytest.approx(
        torch.nn.functional.cross_entropy(logits, y).item(), rel=1e-6
    )
    torch.nn.utils.prune.l1_unstructured(module.linear, "weight", 0.5)
    expected = torch.nn.functional.cross_entropy(module.linear(x), y).item()
    assert module(x, y).item() == pytest.approx(expected, rel=1e-6)
    module = nn.LinearCrossEntropyLoss(4, 3, client=client).module()
    torch.nn.utils.parametrizations.weight_norm(module.linear)
    module(x, y).backward()
    assert all(p.grad is not None and p.grad.any() for p in module.parameters())
    adaptive = nn.AdaptiveLogSoftmaxWithLoss(16, 20, [4, 10], client=client).module()
    torchs = torch.nn.AdaptiveLogSoftmaxWithLoss(16, 20, [4, 10])
    assert str(adaptive.tail) == str(torchs.tail)
    adaptive.load_state_dict(torchs.state_dict())
    assert torch.equal(adaptive.tail[1](x[:, [0] * 16]), torchs.tail[1](x[:, [0] * 16]))


def test_a_modules_client_is_its_losses(client: Client) -> None:
    with connect("inproc:") as other:
        module = nn.MSELoss(client=client).module()
        module.client = other
        assert module.client is other
        assert module(torch.ones(2), torch.zeros(2)).item() == 1
        with pytest.warns(UserWarning, match="broadcast|size") as caught:
            module(torch.ones(2, 1), torch.zeros(2))
        assert caught[0].filename == __file__


def test_log_prob_is_part_of_the_graph(client: Client) -> None:
    theirs = LOSSES["adaptive"](torch.nn)
    ours = LOSSES["adaptive"](nn, client=client).module()
    ours.load_state_dict(theirs.state_dict())
    found = []
    for criterion in (ours, theirs):
        x = torch.tensor(X[:, :16], requires_grad=True)
        criterion.log_prob(x)[:, 7].sum().backward()
        found.append((x.grad, criterion.get_parameter("tail.0.1.weight").grad))
        assert torch.equal(criterion.predict(x), theirs.predict(x))
    torch.testing.assert_close(found[0], found[1], **WIDE)


def test_a_tail_that_is_replaced_is_the_one_that_counts(client: Client) -> None:
    ours = LOSSES["adaptive"](nn, client=client)
    ours.tail_weight = tensor(np.zeros(ours.tail_weight.shape, np.float32), requires_grad=True)
    x, y = X[:, :16], np.full(20, 7)
    output = ours(x, y).output.numpy()
    np.testing.assert_allclose(ours.log_prob(x).numpy()[:, 7], output, rtol=1e-6)
    ours.tail[0][0].weight = torch.nn.Parameter(torch.ones(ours.tail[0][0].weight.shape))
    assert ours.tail_weight.data[:10].tolist() == [1.0] * 10
    ours.tail_weight = torch.nn.Parameter(torch.zeros(ours.tail_weight.shape))
    ours(x, y).loss.backward()
    assert ours.tail_weight.grad is not None
    np.testing.assert_allclose(ours.log_prob(x).detach()[:, 7], output, rtol=1e-6)


@pytest.mark.parametrize(
    "dtype", [torch.float64, torch.float16, torch.bfloat16, np.float64], ids=str
)
def test_types_of_parameters(client: Client, dtype: Any) -> None:
    ours = nn.LinearCrossEntropyLoss(16, 5, dtype=dtype, client=client)
    x = torch.tensor(X[:, :16]).to(torch.float64 if dtype is np.float64 else dtype)
    loss = ours(x, torch.zeros(20, dtype=torch.int64))
    assert loss.dtype == (torch.float64 if x.dtype == torch.float64 else torch.float32)
    with pytest.raises(ParameterError, match="must not be negative"):
        nn.LinearCrossEntropyLoss(-3, 4)


def test_options_of_chunks_are_torchs(client: Client) -> None:
    nn.LinearCrossEntropyLoss(3, 4, options=torch.nn.LinearCrossEntropyOptions(), client=client)
    with pytest.raises(DTypeError, match=r"options must be None or torch's .*, not dict"):
        nn.LinearCrossEntropyLoss(3, 4, options={"chunks": 3}, client=client)


@pytest.mark.parametrize(
    ("normalizer", "weights", "divisor"),
    [
        (None, None, 20.0),
        ("batch", True, 20.0),
        ("weights", True, None),
        ("valid", True, 10.0),
        (5.0, None, 5.0),
    ],
    ids=str,
)
def test_what_the_adaptive_mean_divides_by(
    client: Client, normalizer: Any, weights: bool | None, divisor: float | None
) -> None:
    more = {"normalizer": normalizer, "client": client}
    ours = LOSSES["adaptive"](nn, **more)
    y = RNG.integers(0, 20, 20)
    given = None if weights is None else np.where(np.arange(20) % 2, RNG.random(20), 0)
    x = tensor(X[:, :16], requires_grad=True)
    found = ours(x, y, sample_weight=given)
    below = float(given.sum()) if divisor is None and given is not None else divisor
    assert found.loss.item() == pytest.approx(-found.output.numpy().sum() / below, rel=1e-5)
    alone = functional.adaptive_log_softmax_with_loss(
        X[:, :16], y, ours.head.weight, ours.tail_weight, ours.cutoffs, head_bias=ours.head.bias,
        sample_weight=given, **more,
    )  # fmt: skip
    assert found.loss.item() == pytest.approx(alone.item(), rel=1e-5)
    found.loss.backward()
    assert x.grad is not None


def test_an_adaptive_mean_of_nothing(client: Client) -> None:
    for zero in (False, True):
        ours = LOSSES["adaptive"](nn, normalizer="weights", zero_if_empty=zero, client=client)
        loss = ours(X[:, :16], [0] * 20, sample_weight=[0.0] * 20).loss.item()
        assert loss == 0 if zero else np.isnan(loss)
