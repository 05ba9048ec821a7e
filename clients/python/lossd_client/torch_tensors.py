"""torch tensors in and out. Imported only where the caller has imported torch."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from torch.autograd.forward_ad import unpack_dual

from lossd_client.dtypes import BFLOAT16, is_bfloat16
from lossd_client.wire import Response

if TYPE_CHECKING:
    from lossd_client.arrays import Array
    from lossd_client.module import _Call


def grads_enabled() -> bool:
    """Whether what is computed becomes part of the graph."""
    enabled: bool = torch.is_grad_enabled()
    return enabled


def to_array(tensor: torch.Tensor, name: str) -> "Array":
    """A tensor as an array over the same memory, or a copy from another device.

    Raises:
        TypeError: a tensor without memory of its own, as torch.func's are.
        NotImplementedError: a tensor with a tangent: gradients go backward only.
    """
    if unpack_dual(tensor).tangent is not None:
        message = f"{name} has a tangent, and losses of a server have no forward-mode derivative"
        raise NotImplementedError(message)
    try:
        if tensor.dtype == torch.bfloat16:  # NumPy has no such type
            bits = tensor.detach().view(torch.int16).numpy(force=True)
            return cast("Array", bits.view(BFLOAT16))
        return cast("Array", tensor.numpy(force=True))
    except (RuntimeError, TypeError) as error:
        message = (
            f"{name} is a tensor whose values cannot be read ({error}): losses of a server take "
            "dense tensors, and torch.func and torch.compile(fullgraph=True) do not reach there"
        )
        raise TypeError(message) from error


def to_tensor(value: Any) -> torch.Tensor:
    """A tensor as it is, anything else as one over the same memory."""
    from lossd_client.arrays import as_array

    return value if isinstance(value, torch.Tensor) else _tensor(as_array(value))


def _tensor(array: "Array") -> torch.Tensor:
    ordered = np.asarray(array, order="C")
    if is_bfloat16(ordered.dtype):
        return torch.from_numpy(ordered.view(np.int16)).view(torch.bfloat16)
    return torch.from_numpy(ordered)


def attach(call: "_Call", response: Response) -> torch.Tensor:
    """The loss as a torch tensor whose backward gives the response's gradients."""
    tensors = [v for n in call.wanted if isinstance(v := call.given[n], torch.Tensor)]
    value = cast("Array", response.tensors["loss"])
    if not call.wanted:
        return _own(value, call)
    if not tensors:  # what wants a gradient are tensors of lossd's: something must be in the graph
        tensors = [torch.zeros((), requires_grad=True)]
    return cast(torch.Tensor, _Attached.apply(call, call.gradients(response), value, *tensors))


def _own(value: "Array", call: "_Call") -> torch.Tensor:
    """A new tensor where those of the call are: it may be written to."""
    device = next(v.device for v in call.given.values() if isinstance(v, torch.Tensor))
    return torch.from_numpy(np.array(value)).to(device)


class _Attached(torch.autograd.Function):
    """A loss that was computed elsewhere, as a node of the graph.

    It holds the gradients as PyTorch's own nodes hold what they saved: until the first backward
    that does not retain the graph.
    """

    @staticmethod
    def forward(
        ctx: Any,
        call: "_Call",
        gradients: "dict[str, Array]",
        value: "Array",
        *tensors: torch.Tensor,
    ) -> torch.Tensor:
        ctx.names, ctx.loss = list(gradients), call.loss.name
        ctx.into = [call.given[name] for name in ctx.names]
        ctx.into = [v.device if isinstance(v, torch.Tensor) else v for v in ctx.into]
        # gradients may have to be computed once more: from what was given, unchanged
        again = value.ndim or call.halves
        ctx.call, ctx.versions = (call, _versions(call)) if again else (None, {})
        ctx.scale = call.scale
        ctx.save_for_backward(*map(_tensor, gradients.values()))
        return _own(value, call)

    @staticmethod
    def backward(ctx: Any, upstream: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        from lossd_client.module import scaled

        if torch.is_grad_enabled():
            message = (
                f"{ctx.loss} of lossd is differentiable once: create_graph=True cannot go through"
            )
            raise RuntimeError(message)
        saved: tuple[torch.Tensor, ...] = ctx.saved_tensors  # raises what PyTorch's nodes raise
        held = {name: to_array(x, name) for name, x in zip(ctx.names, saved, strict=True)}
        factor, call, retained = to_array(upstream, "the gradient"), ctx.call, _is_retained()
        if not retained:
            ctx.call = None  # it holds the inputs
        if call is not None:
            call.learn(factor)
        found = scaled(held, factor, ctx.scale, again=call is not None and call.again)
        if found is None:
            _check_unchanged(call, ctx.versions)
            found = call.gradients_of(factor, factor.dtype)
        elif found is held and retained:
            found = {name: array.copy() for name, array in held.items()}
        into = zip(ctx.into, found.values(), strict=True)
        made: list[torch.Tensor | None] = []
        for place, gradient in into:
            if isinstance(place, torch.device):
                made.append(_tensor(gradient).to(place))
            else:
                place.accumulate(gradient)
        return (None, None, None, *(made or [None]))


def _is_retained() -> bool:
    """Whether there may be another backward, which needs what is saved as it is."""
    told = getattr(torch._C._autograd, "_get_current_graph_task_keep_graph", None)
    return told is None or bool(told())


def _versions(call: "_Call") -> dict[str, int]:
    """How often each tensor was written to so far."""
    return {
        name: value._version
        for name, value in call.given.items()
        if isinstance(value, torch.Tensor) and not value.is_inference()
    }


def _check_unchanged(call: "_Call", versions: Mapping[str, int]) -> None:
    for name, version in versions.items():
        now = call.given[name]._version
        if now != version:
            message = (
                f"{name} has been modified by an inplace operation since {call.loss.name} was "
                f"computed: it is at version {now}; expected version {version}"
            )
            raise RuntimeError(message)
