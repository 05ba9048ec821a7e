"""Losses that hold parameters, as torch.nn's do: they are inputs of the loss, with gradients."""

import copy
import math
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np

from lossd_client.arrays import Array, ArrayLike, Tensor, as_array
from lossd_client.client import AnyClient
from lossd_client.dtypes import BFLOAT16, is_float, narrowed, widened
from lossd_client.errors import DTypeError, ParameterError, ShapeError
from lossd_client.handles import Handle
from lossd_client.limits import Limits
from lossd_client.module import Loss
from lossd_client.wire import Parameter


class Linear:
    """The parameters of a linear layer, drawn as torch.nn.Linear draws them.

    Attributes:
        weight: (out_features, in_features).
        bias: (out_features), or None.
    """

    def __init__(self, in_features: int, out_features: int, bias: bool, dtype: Any = None) -> None:
        bound = 1 / math.sqrt(in_features) if in_features > 0 else 0.0
        self.weight: Any = _drawn((out_features, in_features), bound, dtype)
        self.bias: Any = _drawn((out_features,), bound, dtype) if bias else None

    def __repr__(self) -> str:
        return f"Linear(weight={tuple(self.weight.shape)}, bias={self.bias is not None})"


class OwningLoss(Loss):
    """A loss that holds parameters.

    They are lossd tensors that require a gradient; arrays, torch tensors and torch parameters can
    be put in their place. `module()` holds them as torch parameters.
    """

    def named_parameters(self) -> Iterator[tuple[str, Any]]:
        """The parameters and what torch.nn's class calls them."""
        raise NotImplementedError

    def parameters(self) -> list[Any]:
        """The parameters."""
        return [parameter for _, parameter in self.named_parameters()]

    def zero_grad(self) -> None:
        """Forget the gradients of all parameters."""
        for owned in self._owned().values():
            if getattr(owned, "is_leaf", isinstance(owned, Tensor)):  # torch's say so
                owned.grad = None

    def state_dict(self) -> dict[str, Array]:
        """Copies of the parameters, by the names that torch.nn's class has for them."""
        return {name: plain(parameter).copy() for name, parameter in self.named_parameters()}

    def load_state_dict(self, state: Mapping[str, ArrayLike]) -> None:
        """Take the values of another loss's parameters, or of torch.nn's `state_dict()`.

        Raises:
            KeyError: names that are missing, or that there are not.
            ShapeError: a parameter of another shape.
        """
        mine = dict(self.named_parameters())
        if mine.keys() != set(state):
            missing, more = sorted(mine.keys() - set(state)), sorted(set(state) - mine.keys())
            message = f"state_dict: missing {missing}, unexpected {more}"
            raise KeyError(message)
        for name, parameter in mine.items():
            write(parameter, state[name], name)

    def reset_parameters(self) -> None:
        """Draw all parameters anew."""
        first = plain(self.parameters()[0])
        self.load_state_dict(self.drawn(first.dtype).state_dict())

    def drawn(self, dtype: Any = None) -> Self:
        """The same loss of parameters that are drawn anew."""
        raise NotImplementedError

    def having(self, parameters: Mapping[str, Any]) -> Self:
        """The same loss of other parameters, named as `named_parameters` does."""
        raise NotImplementedError


def _drawn(shape: tuple[int, ...], bound: float, dtype: Any) -> Tensor:
    """A parameter of uniform numbers between -bound and bound."""
    if min(shape) < 0:
        message = f"parameters cannot have the shape {shape}: sizes must not be negative"
        raise ParameterError(message)
    values = np.random.default_rng().uniform(-bound, bound, shape)
    if type(dtype).__module__ == "torch":
        dtype = str(dtype).removeprefix("torch.")
    kind = (
        BFLOAT16 if str(dtype) == "bfloat16" else np.dtype(np.float32 if dtype is None else dtype)
    )
    wide = values if kind == np.float64 else values.astype(np.float32)
    return Tensor(narrowed(wide, kind), requires_grad=True)


def write(parameter: Any, values: ArrayLike, name: str) -> None:
    """Write values into a parameter, where it is.

    Raises:
        ShapeError: they have another shape.
    """
    array = plain(values)
    if array.shape != tuple(parameter.shape):
        message = f"{name} {array.shape} must be {tuple(parameter.shape)}"
        raise ShapeError(message, field=name)
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(parameter, torch.Tensor):
        from lossd_client import torch_tensors

        with torch.no_grad():
            parameter.copy_(torch_tensors.to_tensor(array))
        return
    target = as_array(parameter)
    target[...] = narrowed(widened(array), target.dtype)


def plain(value: Any) -> Array:
    """An array, of torch tensors too."""
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(value, torch.Tensor):
        from lossd_client import torch_tensors

        return torch_tensors.to_array(value, "parameter")
    return as_array(value)


class LinearCrossEntropyLoss(OwningLoss):
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
        dtype: of the layer's parameters, NumPy's or torch's; float32 by default.
        reduction: 'none', 'mean', 'sum'.
        weight: Factor of each class, (C).
        ignore_index: Index of rows to leave out; None for -100.
        label_smoothing: Share of the target spread evenly over the classes. >= 0 and <= 1.
        options: None or torch's LinearCrossEntropyOptions, not needed: the server chooses the
            chunks.
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
    defaults: ClassVar[Mapping[str, Any]] = {"ignore_index": None, "label_smoothing": 0.0}
    limits: ClassVar[Mapping[str, Limits]] = {
        "label_smoothing": Limits(ge=0, le=1),
        "weight": Limits(rank=1),
    }
    ignore_index: int | None
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
        dtype: Any = None,
        reduction: str = "mean",
        weight: ArrayLike | None = None,
        ignore_index: int | None = None,
        label_smoothing: float = 0.0,
        options: Any = None,
        normalizer: str | float | None = None,
        zero_if_empty: bool = False,
        client: AnyClient | None = None,
    ) -> None:
        if options is not None and type(options).__name__ != "LinearCrossEntropyOptions":
            raise DTypeError(
                f"{self.name}: options must be None or torch's LinearCrossEntropyOptions, not "
                f"{type(options).__name__}",
                field="options",
            )
        self.in_features, self.num_classes = in_features, num_classes
        self.out_features = tuple(out_features)
        count = math.prod(self.out_features, start=num_classes)
        self.linear = Linear(in_features, count, bias, dtype)
        self._configure(
            parameters={
                "ignore_index": ignore_index,
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

    def named_parameters(self) -> Iterator[tuple[str, Any]]:
        """`linear.weight` and, if there is one, `linear.bias`."""
        yield "linear.weight", self.linear.weight
        if self.linear.bias is not None:
            yield "linear.bias", self.linear.bias

    def drawn(self, dtype: Any = None) -> Self:
        """The same loss of parameters that are drawn anew."""
        other = copy.copy(self)
        rows, bias = self.linear.weight.shape[0], self.linear.bias is not None
        other.linear = Linear(self.in_features, rows, bias, dtype)
        return other

    def having(self, parameters: Mapping[str, Any]) -> Self:
        """The same loss of other parameters."""
        other = copy.copy(self)
        other.linear = copy.copy(self.linear)
        other.linear.weight = parameters["linear.weight"]
        other.linear.bias = parameters.get("linear.bias")
        return other

    def _sizes(self) -> list[str]:
        sizes = [f"in_features={self.in_features}", f"num_classes={self.num_classes}"]
        sizes += [f"out_features={self.out_features}"] if self.out_features else []
        return [*sizes, "bias=True"] if self.linear.bias is not None else sizes

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


class _Share(Tensor):
    """A part of a tensor, whose gradient is a part of that tensor's."""

    __slots__ = ("_place", "_whole")

    def __init__(self, whole: Tensor, place: slice, shape: tuple[int, int]) -> None:
        self.data = whole.data[place].reshape(shape)
        self.requires_grad, self._backward = True, None
        self._whole, self._place = whole, place

    @property
    def grad(self) -> Array | None:
        """None, or its part of the whole's."""
        whole = self._whole.grad
        return None if whole is None else whole[self._place].reshape(self.shape)

    @grad.setter
    def grad(self, value: Array | None) -> None:
        whole = self._whole.grad
        if whole is None and value is None:
            return
        whole = np.zeros_like(self._whole.data) if whole is None else whole.copy()
        whole[self._place] = 0 if value is None else np.reshape(value, -1)
        self._whole.grad = whole if value is not None or whole.any() else None


class Part:
    """A matrix inside the flat tensor of a loss's tail."""

    def __init__(
        self, loss: "AdaptiveLogSoftmaxWithLoss", start: int, shape: tuple[int, int]
    ) -> None:
        self._loss, self._shape = loss, shape
        self._place = slice(start, start + math.prod(shape))

    @property
    def weight(self) -> Any:
        """The matrix, over the same memory; a lossd tensor has its share of the gradient."""
        whole = self._loss.tail_weight
        if not isinstance(whole, Tensor):
            return whole[self._place].reshape(self._shape)
        return _Share(whole, self._place, self._shape)

    @weight.setter
    def weight(self, value: ArrayLike) -> None:
        write(self.weight, value, "weight")


class AdaptiveLogSoftmaxWithLoss(OwningLoss):
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
        dtype: of the parameters, NumPy's or torch's; float32 by default.
        normalizer: what the mean divides by: 'batch', 'weights', 'valid' or a number; None: as
            PyTorch.
        zero_if_empty: whether a mean of nothing is 0 instead of NaN.
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
        dtype: Any = None,
        *,
        normalizer: str | float | None = None,
        zero_if_empty: bool = False,
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
        tails = [
            _drawn(shape, 1 / math.sqrt(shape[1]) if shape[1] else 0.0, dtype).data.reshape(-1)
            for shape in self._shapes(div_value)
        ]
        self.tail_weight: Any = Tensor(np.concatenate(tails), requires_grad=True)
        self._configure(
            parameters={"div_value": div_value},
            options={},
            reduction="mean",
            size_average=None,
            reduce=None,
            normalizer=normalizer,
            zero_if_empty=zero_if_empty,
            client=client,
        )

    def _shapes(self, div_value: float) -> list[tuple[int, int]]:
        """Of the tail's matrices: a narrow one and one of classes, for each cluster."""
        shapes = []
        for k in range(self.n_clusters):
            inner = int(self.in_features // div_value ** (k + 1))
            shapes += [(inner, self.in_features), (self.cutoffs[k + 1] - self.cutoffs[k], inner)]
        return shapes

    @property
    def tail(self) -> list[list[Part]]:
        """The two matrices of each cluster."""
        shapes = self._shapes(self.div_value)
        starts = np.cumsum([0, *map(math.prod, shapes)])
        parts = [Part(self, int(at), shape) for at, shape in zip(starts, shapes, strict=False)]
        return [parts[k : k + 2] for k in range(0, len(parts), 2)]

    def named_parameters(self) -> Iterator[tuple[str, Any]]:
        """`head.weight`, `head.bias`, and `tail.k.0.weight` and `tail.k.1.weight` of clusters."""
        yield "head.weight", self.head.weight
        if self.head.bias is not None:
            yield "head.bias", self.head.bias
        for k, parts in enumerate(self.tail):
            for n, part in enumerate(parts):
                yield f"tail.{k}.{n}.weight", part.weight

    def drawn(self, dtype: Any = None) -> Self:
        """The same loss of parameters that are drawn anew."""
        return type(self)(
            self.in_features, self.n_classes, self.cutoffs[:-1], self.div_value,
            self.head.bias is not None, dtype=dtype,
        )  # fmt: skip

    def having(self, parameters: Mapping[str, Any]) -> Self:
        """The same loss of other parameters."""
        other = copy.copy(self)
        other.head = copy.copy(self.head)
        other.head.weight = parameters["head.weight"]
        other.head.bias = parameters.get("head.bias")
        tail = [value.reshape(-1) for name, value in parameters.items() if "tail" in name]
        torch = sys.modules.get("torch")
        other.tail_weight = torch.cat(tail) if torch is not None else np.concatenate(tail)
        return other

    def _sizes(self) -> list[str]:
        sizes = [f"in_features={self.in_features}", f"n_classes={self.n_classes}"]
        sizes += [f"cutoffs={self.cutoffs[:-1]}"]
        return [*sizes, "head_bias=True"] if self.head.bias is not None else sizes

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

        def then(losses: Any) -> AdaptiveOutput:
            return _output_and_loss(losses, self._divisor(losses, sample_weight))

        return self._call(  # type: ignore[no-any-return]
            input_, target_, sample_weight=sample_weight, reduction="none", then=then
        )

    def _parameters(self) -> dict[str, Parameter]:
        """What to send: the mean is taken here."""
        more = ("normalizer", "zero_if_empty")
        return {name: value for name, value in super()._parameters().items() if name not in more}

    def _divisor(self, losses: Any, sample_weight: Any) -> float:
        """What the sum of the losses is divided by for their mean, `inf` for a mean of 0."""
        count: float = math.prod(losses.shape)
        if isinstance(self.normalizer, int | float):
            count = float(self.normalizer)
        elif sample_weight is not None and self.normalizer in ("weights", "valid"):
            weights = widened(plain(sample_weight))
            counted = weights if self.normalizer == "weights" else weights != 0
            count = float(counted.sum(dtype=np.float64))
        return math.inf if self.zero_if_empty and not count else count

    def log_prob(self, input: ArrayLike) -> Any:
        """Log-probabilities of all classes.

        Args:
            input: (N, D).

        Returns:
            (N, n_classes), a lossd tensor; where the input or a parameter is a torch tensor, a
            torch tensor that is part of the graph.
        """
        tools = self._tools(input)
        return tools.finished(self._log_prob(self._features(input, tools), tools), input)

    def predict(self, input: ArrayLike) -> Any:
        """The most likely class of each sample.

        Args:
            input: (N, D).

        Returns:
            (N), int64, a lossd tensor, or a torch tensor where `log_prob` answers one.
        """
        tools = self._tools(input)
        x = self._features(input, tools)
        found = self._scores(x, tools).argmax(1)
        rare = found >= self.shortlist_size
        if rare.any():
            found[rare] = self._log_prob(x[rare], tools).argmax(1)
        return tools.finished(found, found)

    def _tools(self, input: Any) -> "_Tools":
        torch = sys.modules.get("torch")
        given = (input, self.head.weight, self.head.bias, self.tail_weight)
        if torch is None or not any(isinstance(value, torch.Tensor) for value in given):
            return _Tools(
                array=lambda value: widened(as_array(value)),
                log_softmax=_log_softmax,
                joined=lambda parts: np.concatenate(parts, 1),
                finished=lambda made, like: Tensor(_as(made, as_array(like).dtype)),
            )
        from lossd_client import torch_tensors

        return _Tools(
            array=torch_tensors.to_tensor,
            log_softmax=lambda scores: torch.log_softmax(scores, 1),
            joined=lambda parts: torch.cat(parts, 1),
            finished=lambda made, like: made,
        )

    def _features(self, input: Any, tools: "_Tools") -> Any:
        x = tools.array(input)
        if x.ndim != 2 or x.shape[1] != self.in_features:
            message = f"input {tuple(x.shape)} must be (N, {self.in_features})"
            raise ShapeError(message, field="input")
        return x

    def _scores(self, x: Any, tools: "_Tools") -> Any:
        scores = x @ tools.array(self.head.weight).T
        return scores if self.head.bias is None else scores + tools.array(self.head.bias)

    def _log_prob(self, x: Any, tools: "_Tools") -> Any:
        head = tools.log_softmax(self._scores(x, tools))
        clusters = []
        for k, layers in enumerate(self.tail):
            narrow, wide = (tools.array(layer.weight) for layer in layers)
            cluster = tools.log_softmax(x @ narrow.T @ wide.T)
            clusters.append(cluster + head[:, self.shortlist_size + k, None])
        return tools.joined([head[:, : self.shortlist_size], *clusters])


class _Tools(NamedTuple):
    """What NumPy and torch do in ways of their own."""

    array: Callable[[Any], Any]
    log_softmax: Callable[[Any], Any]
    joined: Callable[[list[Any]], Any]
    finished: Callable[[Any, Any], Any]


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


def _output_and_loss(losses: Any, divisor: float) -> AdaptiveOutput:
    """The pair of losses that are not reduced, and of what their sum is divided by."""
    if not isinstance(losses, Tensor):
        return AdaptiveOutput(-losses, losses.sum() / divisor)

    def output(upstream: Array | None) -> None:
        losses.backward(-np.asarray(1.0 if upstream is None else upstream))

    def mean(upstream: Array | None) -> None:
        each = (1.0 if upstream is None else float(upstream)) / (divisor or math.nan)
        losses.backward(np.full(losses.shape, each, losses.dtype))

    wide = widened(losses.data)
    total = wide.sum(dtype=np.float64) / divisor if divisor else math.nan
    value = narrowed(np.asarray(total, wide.dtype), losses.dtype)
    return AdaptiveOutput(
        Tensor(narrowed(-wide, losses.dtype), backward=output), Tensor(value, backward=mean)
    )


def _log_softmax(scores: Array) -> Array:
    depth = scores - scores.max(1, keepdims=True)
    made: Array = depth - np.log(np.exp(depth).sum(1, keepdims=True))
    return made


def _as(array: Array, dtype: np.dtype[Any]) -> Array:
    return narrowed(array, dtype) if is_float(dtype) else array
