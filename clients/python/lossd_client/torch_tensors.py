"""torch tensors in and out. Imported only where the caller has imported torch."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch

from lossd_client.dtypes import BFLOAT16, is_bfloat16
from lossd_client.wire import Response

if TYPE_CHECKING:
    from lossd_client.arrays import Array
    from lossd_client.module import _Call


def to_arrays(given: Mapping[str, Any]) -> "dict[str, Array]":
    """Tensors as arrays over the same memory, or copies from another device."""
    from lossd_client.arrays import as_array

    return {
        name: _array(value.detach().cpu()) if isinstance(value, torch.Tensor) else as_array(value)
        for name, value in given.items()
    }


def _array(tensor: torch.Tensor) -> "Array":
    if tensor.dtype == torch.bfloat16:  # NumPy has no such type
        return cast("Array", tensor.view(torch.int16).numpy().view(BFLOAT16))
    return cast("Array", tensor.numpy())


def _tensor(array: "Array") -> torch.Tensor:
    if is_bfloat16(array.dtype):
        return torch.from_numpy(np.ascontiguousarray(array).view(np.int16)).view(torch.bfloat16)
    return torch.from_numpy(np.ascontiguousarray(array))


def attach(call: "_Call", response: Response) -> torch.Tensor:
    """The loss as a torch tensor whose backward gives the response's gradients."""
    tensors = [call.given[name] for name in call.wanted]
    device = next(v.device for v in call.given.values() if isinstance(v, torch.Tensor))
    value = torch.from_numpy(np.array(response.tensors["loss"])).to(device)
    if not tensors:
        return value
    return cast(torch.Tensor, _Attached.apply(call, response, value, *tensors))


class _Attached(torch.autograd.Function):
    """A loss that was computed elsewhere, as a node of the graph."""

    @staticmethod
    def forward(
        ctx: Any, call: "_Call", response: Response, value: torch.Tensor, *tensors: torch.Tensor
    ) -> torch.Tensor:
        ctx.call, ctx.response = call, response
        ctx.devices = [tensor.device for tensor in tensors]
        return value

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, upstream: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        gradients = ctx.call.gradients(ctx.response, upstream.detach().cpu().numpy())
        found = [
            _tensor(gradient).to(device)
            for gradient, device in zip(gradients.values(), ctx.devices, strict=True)
        ]
        return (None, None, None, *found)
