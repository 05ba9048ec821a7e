"""What every loss class is made of; `lossd_client.nn` holds the classes."""

import copy
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Final, Self, cast

import numpy as np

from lossd_client.arrays import Array, ArrayLike, Tensor, as_array, widen_numbers
from lossd_client.caution import warn
from lossd_client.client import AnyClient, Client, checked
from lossd_client.dtypes import FLOAT16, is_half, narrowed, widened
from lossd_client.handles import Handle
from lossd_client.limits import Limits
from lossd_client.wire import Parameter, Request, Response

_FLOAT32_MOST: Final = float(np.finfo(np.float32).max)

Named = str | Callable[..., Any] | None
"""A function by its name: one that the server has, PyTorch's of that kind, or None."""


class Loss:
    """Base of the classes in `lossd_client.nn`.

    Class attributes:
        name: functional name.
        inputs: names of the tensors of a call.
        differentiable: names of those for which there is a gradient.
        constants: names of those that PyTorch takes as they are, though they require a gradient.
        options: names of the tensors that are constructor arguments.
        defaults: the parameters, with their defaults.
        choices: the names that parameters of type str may have.
        limits: the values that parameters, and the dimensions that options, may have.
        advice: what a call warns of, by reduction.
        deprecated: what the constructor warns of.
    """

    name: ClassVar[str]
    inputs: ClassVar[tuple[str, ...]]
    differentiable: ClassVar[tuple[str, ...]]
    constants: ClassVar[tuple[str, ...]] = ()
    options: ClassVar[tuple[str, ...]] = ()
    defaults: ClassVar[Mapping[str, Parameter]] = {}
    choices: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    limits: ClassVar[Mapping[str, Limits]] = {}
    advice: ClassVar[Mapping[str, str]] = {}
    deprecated: ClassVar[str] = ""

    def _configure(
        self,
        *,
        parameters: Mapping[str, Parameter | Named],
        options: Mapping[str, ArrayLike | None],
        reduction: str,
        size_average: bool | None,
        reduce: bool | None,
        normalizer: str | float | None,
        zero_if_empty: bool,
        client: AnyClient | None,
    ) -> None:
        self.normalizer, self.zero_if_empty = normalizer, zero_if_empty
        self.reduction = _legacy_reduction(size_average, reduce) or reduction
        self._client = client
        for key, given in parameters.items():
            if key in self.choices:
                setattr(self, key, self._named(key, given))
            else:
                setattr(self, key, _number(given, self.defaults[key]))
        for key, value in options.items():
            setattr(self, key, value)
        for key, limits in self.limits.items():
            limits.check_argument(self.name, key, getattr(self, key))
        if self.deprecated:
            warn(self.deprecated, FutureWarning)

    def _named(self, key: str, value: Any) -> str:
        """The name of a function.

        Raises:
            TypeError: a function that has none at a server.
        """
        if value is None:
            return str(self.defaults[key])
        if isinstance(value, str):
            return value
        if _is_pairwise_distance(value):
            return "pairwise"
        names = ", ".join(map(repr, self.choices[key]))
        message = f"{key} = {value!r} cannot be sent to a server; give the name of one: {names}"
        raise TypeError(message)

    @property
    def client(self) -> AnyClient:
        """Where it is computed."""
        return checked(self._client)

    @client.setter
    def client(self, client: AnyClient | None) -> None:
        self._client = client

    def on(self, client: AnyClient | None) -> Self:
        """The same loss, computed by another client."""
        other = copy.copy(self)
        other._client = client
        return other

    def __repr__(self) -> str:
        changed = [f"{k}={v!r}" for k, d in self.defaults.items() if (v := getattr(self, k)) != d]
        given = [f"{k}=…" for k in self.options if getattr(self, k) is not None]
        mode = [] if self.reduction == "mean" else [f"reduction={self.reduction!r}"]
        mode += [] if self.normalizer is None else [f"normalizer={self.normalizer!r}"]
        mode += ["zero_if_empty=True"] if self.zero_if_empty else []
        return f"{type(self).__name__}({', '.join(self._sizes() + changed + given + mode)})"

    def _parameters(self) -> dict[str, Parameter]:
        """What to send beside the tensors: what differs from the defaults."""
        found = {k: v for k, d in self.defaults.items() if (v := getattr(self, k)) != d}
        if self.normalizer is not None:
            found["normalizer"] = self.normalizer
        if self.zero_if_empty:
            found["zero_if_empty"] = self.zero_if_empty
        return found

    def _sizes(self) -> list[str]:
        """What its text tells first."""
        return []

    def module(self) -> Any:
        """The loss as a torch.nn.Module.

        It can be a part of a model: parameters that the loss holds are torch parameters, weights
        that are torch tensors are buffers, so that they are moved, saved and given to an optimizer
        with it; its `state_dict` is that of torch.nn's class. It has the loss's own methods and
        attributes too.

        >>> import torch
        >>> from lossd_client import connect, nn
        >>> with connect("inproc:") as client:
        ...     head = nn.LinearCrossEntropyLoss(4, 3, client=client).module()
        ...     model = torch.nn.ModuleList([torch.nn.Linear(8, 4), head])
        ...     head(model[0](torch.ones(2, 8)), torch.tensor([0, 2])).backward()
        ...     sorted(head.state_dict())
        ['linear.weight']
        """
        from lossd_client.torch_module import LossModule

        return LossModule(self)

    def _owned(self) -> dict[str, Any]:
        """Tensors of the loss that the class holds; None where there is none."""
        return {}

    def _shaped(self, arrays: dict[str, Array]) -> dict[str, Array]:
        """Arrays in the shapes that the loss takes them in."""
        return arrays

    def _call(self, *inputs: Any, **options: Any) -> Any:
        """The loss of these inputs, as what they are: torch tensors in, a torch tensor out."""
        torch = sys.modules.get("torch")
        if torch is not None and torch.compiler.is_compiling():  # told here, where it is traced
            return torch.compiler.disable(self._evaluated)(*inputs, **options)
        return self._evaluated(*inputs, **options)

    def _evaluated(
        self,
        *inputs: Any,
        sample_weight: ArrayLike | None = None,
        reduction: str | None = None,
        then: Callable[[Any], Any] | None = None,
    ) -> Any:
        call = _Call(self, inputs, sample_weight, reduction)
        call.differentiate()
        finish = call.finish if call.torch is None else call.finish_torch
        request = call.request(call.wanted, call.foreseen)
        if then is None:
            return self._later(request, finish)
        return self._later(request, lambda response: then(finish(response)))

    def value_and_grad(
        self,
        *inputs: ArrayLike,
        wrt: str | Sequence[str] | None = None,
        sample_weight: ArrayLike | None = None,
    ) -> Any:
        """The loss and its gradient, as arrays.

        Args:
            inputs: the tensors of a call.
            wrt: name of the input whose gradient is wanted, or several; by default the first.
            sample_weight: factor of each sample's losses.

        Returns:
            (value, gradient), for several names (value, (gradient, …)). value is a float where
            the loss is reduced to one number, else an array. With reduction='none' it is the
            gradient of the losses' sum.
        """
        names = (self.inputs[0],) if wrt is None else (wrt,) if isinstance(wrt, str) else tuple(wrt)
        call = _Call(self, inputs, sample_weight)

        def finish(response: Response) -> Any:
            value = cast(Array, response.tensors["loss"])
            gradients = tuple(call.shaped(n, _gradient(response, n)) for n in names)
            several = wrt is not None and not isinstance(wrt, str)
            return (value if value.ndim else value.item()), (gradients if several else gradients[0])

        return self._later(call.request(names), finish)

    def _later(self, request: Request, finish: Callable[[Response], Any]) -> Any:
        """Send and finish: at once, or as a coroutine for an AsyncClient."""
        if self.reduction in self.advice:
            warn(self.advice[self.reduction])
        return self.client.compute(request, finish)


class _Call:
    """One call of a loss: its inputs as arrays, and the way back to what they were."""

    def __init__(
        self,
        loss: Loss,
        inputs: Sequence[Any],
        sample_weight: Any = None,
        reduction: str | None = None,
    ) -> None:
        if len(inputs) != len(loss.inputs):
            message = f"{loss.name} takes {', '.join(loss.inputs)}: {len(inputs)} were given"
            raise TypeError(message)
        self.loss, self.reduction = loss, reduction or loss.reduction
        self.parameters = loss._parameters()
        self.given: dict[str, Any] = dict(zip(loss.inputs, inputs, strict=True))
        held = {name: getattr(loss, name) for name in loss.options} | loss._owned()
        for name, value in held.items():
            if value is not None:
                self.given[name] = value
        if sample_weight is not None:
            self.given["sample_weight"] = sample_weight
        self.handles: dict[str, Handle] = {}
        self.torch: Any = None
        torch = sys.modules.get("torch")
        arrays: dict[str, Array] = {}
        for name, value in self.given.items():
            if isinstance(value, np.ndarray):  # first: to ask for torch's takes as long as the rest
                arrays[name] = as_array(value, name)
            elif isinstance(value, Handle):
                self.handles[name] = value
            elif torch is not None and isinstance(value, torch.Tensor):
                from lossd_client import torch_tensors

                self.torch = torch_tensors
                arrays[name] = torch_tensors.to_array(value, name)
            else:
                arrays[name] = as_array(value, name)
        widen_numbers(arrays, self.given)
        self.shapes = {name: array.shape for name, array in arrays.items()}
        self.arrays = loss._shaped(arrays)
        self.wanted: list[str] = []
        self.scale = 1.0  # of the gradients that were asked for

    def differentiate(self) -> None:
        """Have a backward give gradients to the tensors that require one.

        Raises:
            RuntimeError: one requires a gradient that there is not.
        """
        loss = self.loss
        if self.torch is not None and not self.torch.grads_enabled():
            return
        asked = [n for n, v in self.given.items() if getattr(v, "requires_grad", False)]
        for name in asked:
            if name not in loss.differentiable and name not in loss.constants:
                message = (
                    f"{loss.name} is not differentiable with respect to {name!r}, which requires a "
                    f"gradient: give {name}.detach()"
                )
                raise RuntimeError(message)
        self.wanted = [n for n in asked if n in loss.differentiable]
        if self.halves and self.reduction not in ("none", "sample"):
            self.scale = loss.client.scale

    @property
    def again(self) -> bool:
        """Whether gradients can be computed once more where a backward needs them."""
        return isinstance(self.loss.client, Client)

    @property
    def halves(self) -> bool:
        """Whether a gradient is rounded to a type of two bytes."""
        return any(n in self.arrays and is_half(self.arrays[n].dtype) for n in self.wanted)

    @property
    def foreseen(self) -> Array | None:
        """The upstream gradient to ask for: as the last, for gradients of halves.

        Many of these are too small for float16 before they are multiplied, which is what they are
        multiplied for.
        """
        return None if self.scale == 1 else np.array(self.scale, np.float32)

    def learn(self, upstream: Array) -> None:
        """Foresee this upstream gradient from now on, if it is one that others can be made of.

        Where gradients cannot be computed again, one that makes them smaller is not: another
        backward could not bring back what they lost.
        """
        if self.halves and not upstream.ndim and 0 < abs(upstream) <= _FLOAT32_MOST:
            foreseen = float(np.float32(upstream))
            self.loss.client.scale = foreseen if self.again or abs(foreseen) >= 1 else 1.0

    def request(
        self,
        gradients: Sequence[str],
        grad_output: Array | None = None,
    ) -> Request:
        """What to send. Gradients of losses that are not reduced wait for the upstream one."""
        tensors = self.arrays
        if grad_output is not None:
            tensors = {**tensors, "grad_output": grad_output}
        return Request(
            self.loss.name, tensors, self.parameters, self.reduction, gradients,
            handles=self.handles,
        )  # fmt: skip

    def shaped(self, name: str, gradient: Array) -> Array:
        """A gradient in the shape that its tensor was given in."""
        shape = self.shapes.get(name, gradient.shape)
        return gradient if gradient.shape == shape else gradient.reshape(shape)

    def gradients(self, response: Response) -> dict[str, Array]:
        """Gradients of the sum of all losses, of the inputs that want one."""
        return {n: self.shaped(n, _gradient(response, n)) for n in self.wanted}

    def gradients_of(self, upstream: Array, dtype: np.dtype[Any]) -> dict[str, Array]:
        """Gradients of the losses, each multiplied by its upstream gradient: computed once more.

        Raises:
            RuntimeError: only an AsyncClient is there to compute them.
        """
        client = self.loss.client
        if not isinstance(client, Client):
            message = (
                f"backward through reduction={self.reduction!r} needs a Client, not an AsyncClient"
            )
            raise RuntimeError(message)
        with np.errstate(over="ignore"):
            factor = np.asarray(upstream, dtype)
        return self.gradients(client.send(self.request(self.wanted, factor)))

    def finish(self, response: Response) -> Tensor:
        """A Tensor that knows the way back."""
        value = cast(Array, response.tensors["loss"])
        if not self.wanted:
            return Tensor(value)

        def backward(upstream: Array | None) -> None:
            factor = np.array(1.0) if upstream is None else upstream
            self.learn(factor)
            found = scaled(self.gradients(response), factor, self.scale, self.again)
            if found is None:
                found = self.gradients_of(factor, value.dtype)
            for name, gradient in found.items():
                self.given[name].accumulate(gradient)

        return Tensor(value, backward=backward)

    def finish_torch(self, response: Response) -> Any:
        """A torch tensor in the autograd graph."""
        return self.torch.attach(self, response)


def _number(value: Any, default: Parameter) -> Any:
    """A parameter; a tensor or an array without dimensions is the number in it.

    Whole numbers are true or false where that is asked for, as in torch.
    """
    number = value.item() if getattr(value, "ndim", None) == 0 else value
    return bool(number) if isinstance(default, bool) and isinstance(number, int) else number


def _is_pairwise_distance(value: Any) -> bool:
    """Whether it is PyTorch's function, or its module as it is without arguments."""
    torch = sys.modules.get("torch")
    if torch is None:
        return False
    plain = {"norm": 2.0, "eps": 1e-6, "keepdim": False}
    return value is torch.nn.functional.pairwise_distance or (
        type(value) is torch.nn.PairwiseDistance
        and all(getattr(value, k) == v for k, v in plain.items())
    )


def scaled(
    gradients: dict[str, Array], upstream: Array, scale: float, again: bool
) -> dict[str, Array] | None:
    """Gradients that were asked for times `scale`, times an upstream one instead.

    The arrays themselves if that is the same. None if they have to be computed once more: because
    losses have different upstream gradients, or, if `again` says that they can be, because halves
    were rounded already.

    Raises:
        RuntimeError: halves were too large times `scale`, and cannot be computed again.
    """
    if not upstream.size:
        return gradients
    factor = float(upstream.flat[0])
    if upstream.size > 1 and not (upstream == upstream.flat[0]).all():
        return None
    if factor == scale:
        return gradients
    by = factor / scale
    too_large = scale != 1 and abs(by) < 1 and not all(map(_is_finite, gradients.values()))
    if again and (too_large or any(_is_rounded(gradient, by) for gradient in gradients.values())):
        return None
    if too_large:
        message = (
            f"gradients were asked for times {scale:g}, as in the backward before, which is too "
            "large for their type, and an AsyncClient cannot compute them again here: compute the "
            f"loss once more, for a backward of {factor:g}"
        )
        raise RuntimeError(message)
    return {name: _times(gradient, by) for name, gradient in gradients.items()}


def _is_rounded(gradient: Array, factor: float) -> bool:
    """Whether the product differs from what is computed in float32 and rounded then."""
    power_of_two = math.isfinite(factor) and abs(math.frexp(factor)[0]) == 0.5
    return gradient.dtype == FLOAT16 or (is_half(gradient.dtype) and not power_of_two)


def _is_finite(gradient: Array) -> bool:
    return bool(np.isfinite(widened(gradient)).all())


def _gradient(response: Response, name: str) -> Array:
    return cast(Array, response.tensors[f"grad.{name}"])


def _times(gradient: Array, factor: float) -> Array:
    wide = widened(gradient)
    with np.errstate(all="ignore"):
        return narrowed(wide * wide.dtype.type(factor), gradient.dtype)


def _legacy_reduction(size_average: bool | None, reduce: bool | None) -> str | None:
    """The reduction that the deprecated pair means, None where neither is given."""
    if size_average is None and reduce is None:
        return None
    whole = reduce is None or reduce
    reduction = "none" if not whole else "mean" if size_average is None or size_average else "sum"
    warn(f"size_average and reduce are deprecated; use reduction={reduction!r} instead")
    return reduction
