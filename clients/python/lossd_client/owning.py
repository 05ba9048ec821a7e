"""Losses that hold parameters, as torch.nn's do: they are inputs of the loss, with gradients."""

import math
import sys
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from lossd_client.arrays import Array, ArrayLike, Tensor, as_array
from lossd_client.client import AnyClient
from lossd_client.dtypes import widened
from lossd_client.errors import ParameterError, ShapeError
from lossd_client.handles import Handle
from lossd_client.module import Loss
from lossd_client.wire import Parameter


class Linear:
    """The parameters of a linear layer, drawn as torch.nn.Linear draws them.

    Attributes:
        weight: (out_features, in_features).
        bias: (out_features), or None.
    """

    def __init__(
        self, in_features: int, out_features: int, bias: bool, dtype: npt.DTypeLike | None = None
    ) -> None:
        bound = 1 / math.sqrt(in_features) if in_features else 0.0
        self.weight: Any = _uniform((out_features, in_features), bound, dtype)
        self.bias: Any = _uniform((out_features,), bound, dtype) if bias else None

    def __repr__(self) -> str:
        return f"Linear(weight={np.shape(self.weight)}, bias={self.bias is not None})"


def _uniform(shape: tuple[int, ...], bound: float, dtype: npt.DTypeLike | None) -> Tensor:
    values = np.random.default_rng().uniform(-bound, bound, shape)
    return Tensor(values.astype(np.float32 if dtype is None else dtype), requires_grad=True)


class LinearCrossEntropyLoss(Loss):
    r"""Cross entropy of a linear layer's logits, which are never all there at once.

    .. math:: \ell = -w_y \log \frac{e^{z_y}}{\sum_c e^{z_c}},\ z = W x + b

    The layer is `linear`, with `linear.weight` (C · d1 · … · dK, D) and `linear.bias`. They are
    lossd tensors that require a gradient; arrays or torch parameters can be put in their place.

    Shape:
        input: (N, D) or (D); target: (N, d1, …, dK) (indices) or (N, C, d1, …, dK)
        (probabilities), without N where input has none; weight: (C).

    Args:
        in_features: D.
        num_classes: C.
        out_features: (d1, …, dK).
        bias: whether the layer has one.
        device: accepted as in PyTorch, and not needed.
        dtype: of the layer's parameters; float32 by default.
        reduction: 'none', 'mean', 'sum'.
        weight: Factor of each class, (C).
        ignore_index: Index of rows to leave out; -100 by default.
        label_smoothing: Share of the target spread evenly over the classes. >= 0 and <= 1.
        options: accepted as in PyTorch, and not needed: the server chooses the chunks.
        normalizer: what the mean divides by: 'batch', 'weights', 'valid' or a number; None: as
            PyTorch.
        zero_if_empty: whether a mean of nothing is 0 instead of NaN.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    Gradients: input, linear.weight, linear.bias, target and weight where target is probabilities.

    Reference: https://docs.pytorch.org/docs/2.13/generated/torch.nn.LinearCrossEntropyLoss.html

    Example:
        >>> criterion = nn.LinearCrossEntropyLoss(2, 3, client=client)
        >>> criterion.linear.weight = [[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]
        >>> round(criterion([[0.5, -1.0]], [0]).item(), 6)
        0.464369
    """

    name = "linear_cross_entropy"
    inputs = ("input", "target")
    differentiable = ("input", "target", "linear_weight", "linear_bias", "weight")
    options = ("weight",)
    defaults: ClassVar[Mapping[str, Parameter]] = {"ignore_index": -100, "label_smoothing": 0.0}
    ignore_index: int
    label_smoothing: float
    weight: ArrayLike | None

    def __init__(
        self,
        in_features: int,
        num_classes: int,
        *,
        out_features: Sequence[int] = (),
        bias: bool = False,
        device: Any = None,
        dtype: npt.DTypeLike | None = None,
        reduction: str = "mean",
        weight: ArrayLike | None = None,
        ignore_index: int | None = None,
        label_smoothing: float = 0.0,
        options: Any = None,
        normalizer: str | float | None = None,
        zero_if_empty: bool = False,
        client: AnyClient | None = None,
    ) -> None:
        self.in_features, self.num_classes = in_features, num_classes
        self.out_features = tuple(out_features)
        count = math.prod(self.out_features, start=num_classes)
        self.linear = Linear(in_features, count, bias, dtype)
        self._configure(
            parameters={
                "ignore_index": -100 if ignore_index is None else ignore_index,
                "label_smoothing": label_smoothing,
            },
            options={"weight": weight},
            reduction=reduction,
            size_average=None,
            reduce=None,
            normalizer=normalizer,
            zero_if_empty=zero_if_empty,
            client=client,
        )

    @classmethod
    def of(
        cls, linear_weight: ArrayLike, *, linear_bias: ArrayLike | None = None, **more: Any
    ) -> Self:
        """The loss of a layer that there is: weight (C, d1, …, dK, D), bias without D."""
        # a handle's shape is known where it is kept
        shape = () if isinstance(linear_weight, Handle) else np.shape(linear_weight)
        classes, *out, features = shape or (0, 0)
        made = cls(0, 0, **more)
        made.in_features, made.num_classes, made.out_features = features, classes, tuple(out)
        made.linear.weight, made.linear.bias = linear_weight, linear_bias
        return made

    def _owned(self) -> dict[str, Any]:
        return {"linear_weight": self.linear.weight, "linear_bias": self.linear.bias}

    def _shaped(self, arrays: Mapping[str, Array]) -> dict[str, Array]:
        shapes = {
            "linear_weight": (self.num_classes, *self.out_features, self.in_features),
            "linear_bias": (self.num_classes, *self.out_features),
        }
        return {
            n: a.reshape(shapes[n]) if n in shapes and a.size == math.prod(shapes[n]) else a
            for n, a in arrays.items()
        }

    def __call__(
        self, input: ArrayLike, target: ArrayLike, *, sample_weight: ArrayLike | None = None
    ) -> Tensor:
        """The loss."""
        return self._call(input, target, sample_weight=sample_weight)  # type: ignore[no-any-return]


class AdaptiveOutput(NamedTuple):
    """What AdaptiveLogSoftmaxWithLoss answers.

    output: (N) or (), the log-probabilities of the targets.
    loss: (), the mean of their negatives.
    """

    output: Any
    loss: Any


class Part:
    """A matrix inside a flat tensor of parameters."""

    def __init__(self, whole: Tensor, start: int, shape: tuple[int, int]) -> None:
        self._whole, self._shape = whole, shape
        self._place = slice(start, start + math.prod(shape))

    @property
    def weight(self) -> Tensor:
        """The matrix, over the same memory, with its share of the gradient."""
        made = Tensor(self._whole.data[self._place].reshape(self._shape), requires_grad=True)
        if self._whole.grad is not None:
            made.grad = self._whole.grad[self._place].reshape(self._shape)
        return made

    @weight.setter
    def weight(self, value: ArrayLike) -> None:
        array = as_array(value)
        if array.shape != self._shape:
            message = f"weight {array.shape} must be {self._shape}"
            raise ShapeError(message, field="weight")
        self._whole.data[self._place] = array.reshape(-1)


class AdaptiveLogSoftmaxWithLoss(Loss):
    r"""Cross entropy over very many classes, the rare ones in clusters with layers of their own.

    The parameters are `head.weight` (cutoffs[0] + K, D), `head.bias`, and for each of the K
    clusters `tail[k][0].weight` (D // div_value^(k + 1), D) and `tail[k][1].weight` (classes of the
    cluster, D // div_value^(k + 1)), parts of one flat tensor, `tail_weight`.

    Shape:
        input: (N, D) or (D); target: (N) or (), any integer type.

    Args:
        in_features: D.
        n_classes: Number of classes.
        cutoffs: First class of each cluster; classes below the first are in the head.
        div_value: By how much each cluster's inner layer is narrower than the last.
        head_bias: whether the head has a bias.
        device: accepted as in PyTorch, and not needed.
        dtype: of the parameters; float32 by default.
        client: where to compute; by default at $LOSSD_TARGET, else localhost:50051.

    Called with (input, target) it answers (output, loss): the log-probabilities of the targets, and
    the mean of their negatives; `sample_weight` multiplies both. `log_prob` and `predict` are
    computed here, without a server.

    Gradients: input, head.weight, head.bias, tail_weight.

    Reference: https://docs.pytorch.org/docs/2.13/generated/torch.nn.AdaptiveLogSoftmaxWithLoss.html

    Example:
        >>> criterion = nn.AdaptiveLogSoftmaxWithLoss(4, 10, [2, 6], client=client)
        >>> output, loss = criterion([[0.0, 0.0, 0.0, 0.0]], [0])
        >>> round(loss.item(), 6)  # one of two classes and two clusters
        1.386294
    """

    name = "adaptive_log_softmax_with_loss"
    inputs = ("input", "target")
    differentiable = ("input", "head_weight", "head_bias", "tail_weight")
    defaults: ClassVar[Mapping[str, Parameter]] = {"div_value": 4.0}
    div_value: float

    def __init__(
        self,
        in_features: int,
        n_classes: int,
        cutoffs: Sequence[int],
        div_value: float = 4.0,
        head_bias: bool = False,
        device: Any = None,
        dtype: npt.DTypeLike | None = None,
        *,
        client: AnyClient | None = None,
    ) -> None:
        given = list(cutoffs)
        if (
            not given
            or sorted({int(c) for c in given}) != given
            or not (given[0] > 0 and given[-1] < n_classes)
        ):
            message = (
                f"cutoffs = {given} must increase, from 1 on and below n_classes = {n_classes}"
            )
            raise ParameterError(message, field="cutoffs")
        self.in_features, self.n_classes = in_features, n_classes
        self.cutoffs = [*given, n_classes]
        self.shortlist_size, self.n_clusters = given[0], len(given)
        self.head_size = self.shortlist_size + self.n_clusters
        self.head = Linear(in_features, self.head_size, head_bias, dtype)
        self.head_bias = head_bias
        parts, shapes = [], []
        for k in range(self.n_clusters):
            inner = int(in_features // div_value ** (k + 1))
            shapes += [(inner, in_features), (self.cutoffs[k + 1] - self.cutoffs[k], inner)]
        for shape in shapes:
            layer = Linear(shape[1], shape[0], False, dtype)
            parts.append(layer.weight.data.reshape(-1))
        self.tail_weight: Any = Tensor(np.concatenate(parts), requires_grad=True)
        starts = np.cumsum([0, *(math.prod(shape) for shape in shapes)])
        made = [
            Part(self.tail_weight, int(start), shape)
            for start, shape in zip(starts, shapes, strict=False)
        ]
        self.tail = [made[k : k + 2] for k in range(0, len(made), 2)]
        self._configure(
            parameters={"div_value": div_value},
            options={},
            reduction="mean",
            size_average=None,
            reduce=None,
            normalizer=None,
            zero_if_empty=False,
            client=client,
        )

    @classmethod
    def of(
        cls,
        head_weight: ArrayLike,
        tail_weight: ArrayLike,
        cutoffs: ArrayLike,
        *,
        head_bias: ArrayLike | None = None,
        div_value: float = 4.0,
        **more: Any,
    ) -> "_Given":
        """The losses of layers that there are; see the functional form."""
        made = _Given()
        made.owned = {
            "head_weight": head_weight,
            "tail_weight": tail_weight,
            "cutoffs": cutoffs,
            "head_bias": head_bias,
        }
        everywhere = {"normalizer": None, "zero_if_empty": False} | more
        made._configure(
            parameters={"div_value": div_value},
            options={},
            size_average=None,
            reduce=None,
            **everywhere,
        )
        return made

    def _owned(self) -> dict[str, Any]:
        return {
            "head_weight": self.head.weight,
            "tail_weight": self.tail_weight,
            "cutoffs": np.array(self.cutoffs),
            "head_bias": self.head.bias,
        }

    def __call__(
        self, input_: ArrayLike, target_: ArrayLike, *, sample_weight: ArrayLike | None = None
    ) -> AdaptiveOutput:
        """Log-probabilities of the targets, and the mean of their negatives."""
        return self._call(  # type: ignore[no-any-return]
            input_, target_, sample_weight=sample_weight, reduction="none", then=_output_and_loss
        )

    def log_prob(self, input: ArrayLike) -> Any:
        """Log-probabilities of all classes.

        Args:
            input: (N, D).

        Returns:
            (N, n_classes), a lossd tensor, or a torch tensor if input is one; without gradient.
        """
        return _like(input, self._log_prob(self._features(input)))

    def predict(self, input: ArrayLike) -> Any:
        """The most likely class of each sample.

        Args:
            input: (N, D).

        Returns:
            (N), int64, a lossd tensor, or a torch tensor if input is one.
        """
        x = self._features(input)
        found = self._scores(x).argmax(1)
        rare = found >= self.shortlist_size
        if rare.any():
            found[rare] = self._log_prob(x[rare]).argmax(1)
        return _like(input, found)

    def _features(self, input: Any) -> Array:
        x = widened(_plain(input))
        if x.ndim != 2 or x.shape[1] != self.in_features:
            message = f"input {x.shape} must be (N, {self.in_features})"
            raise ShapeError(message, field="input")
        return x

    def _scores(self, x: Array) -> Array:
        scores = x @ _plain(self.head.weight).T
        made: Array = scores if self.head.bias is None else scores + _plain(self.head.bias)
        return made

    def _log_prob(self, x: Array) -> Array:
        head = _log_softmax(self._scores(x))
        clusters = [
            _log_softmax(x @ narrow.weight.data.T @ wide.weight.data.T)
            + head[:, self.shortlist_size + k, None]
            for k, (narrow, wide) in enumerate(self.tail)
        ]
        return np.concatenate([head[:, : self.shortlist_size], *clusters], axis=1)


class _Given(Loss):
    """AdaptiveLogSoftmaxWithLoss' losses, of parameters that are somebody else's."""

    name = AdaptiveLogSoftmaxWithLoss.name
    inputs = AdaptiveLogSoftmaxWithLoss.inputs
    differentiable = AdaptiveLogSoftmaxWithLoss.differentiable
    defaults = AdaptiveLogSoftmaxWithLoss.defaults
    owned: dict[str, Any]

    def _owned(self) -> dict[str, Any]:
        return self.owned

    def __call__(
        self, input: ArrayLike, target: ArrayLike, *, sample_weight: ArrayLike | None = None
    ) -> Tensor:
        """The loss."""
        return self._call(input, target, sample_weight=sample_weight)  # type: ignore[no-any-return]


def _output_and_loss(losses: Any) -> AdaptiveOutput:
    """The pair of losses that are not reduced."""
    if not isinstance(losses, Tensor):
        return AdaptiveOutput(-losses, losses.mean())
    count = max(losses.size, 1)

    def output(upstream: Array | None) -> None:
        losses.backward(-np.asarray(1.0 if upstream is None else upstream))

    def mean(upstream: Array | None) -> None:
        each = (1.0 if upstream is None else float(upstream)) / count
        losses.backward(np.full(losses.shape, each, losses.dtype))

    total = losses.data.sum(dtype=np.float64) / losses.size if losses.size else math.nan
    value = np.asarray(total, losses.dtype)
    return AdaptiveOutput(Tensor(-losses.data, backward=output), Tensor(value, backward=mean))


def _log_softmax(scores: Array) -> Array:
    depth = scores - scores.max(1, keepdims=True)
    made: Array = depth - np.log(np.exp(depth).sum(1, keepdims=True))
    return made


def _plain(value: Any) -> Array:
    """An array, of torch tensors too."""
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(value, torch.Tensor):
        value = value.detach().cpu().numpy()
    return as_array(value)


def _like(input: Any, array: Array) -> Any:
    """A result as what the input is."""
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(input, torch.Tensor):
        return torch.from_numpy(array).to(input.device)
    return Tensor(array)
