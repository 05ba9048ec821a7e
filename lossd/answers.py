"""Requests of the protocol, answered by the engine: for the server, and for `inproc:` clients."""

import math
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from lossd_client import wire
from lossd_client.pieces import Pieces, Sink
from lossd_client.wire import Announcement, Content, Request, Response, Shared

from lossd.engine import Call, compute, needed, steps
from lossd.plan import NOWHERE, Result
from lossd.steps import Arriving

Array = npt.NDArray[Any]

LATER: Final = 1 << 20
"""Bytes from which a tensor that has to be copied is copied where it is computed."""


@dataclass(frozen=True)
class Later:
    """A tensor that is made where it is computed: that takes too long for an event loop."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    make: Callable[[], Array]

    @property
    def nbytes(self) -> int:
        """Bytes that it will have."""
        return math.prod(self.shape) * self.dtype.itemsize


def call_of(request: Request, out: Mapping[str, Array] = NOWHERE) -> Call:
    """What the engine is asked, of a request whose tensors are there, or can be made now."""
    arrays: dict[str, Array] = {}
    for name, tensor in request.tensors.items():
        if isinstance(tensor, np.ndarray):
            arrays[name] = tensor
        elif not isinstance(tensor, Announcement | Shared):
            arrays[name] = tensor.make()
    upstream = arrays.pop("grad_output", None)
    return Call(
        request.loss, arrays, request.parameters, request.reduction, request.gradients, upstream,
        out,
    )  # fmt: skip


def response_of(result: Result) -> Response:
    """The engine's result as the protocol names it."""
    tensors: dict[str, Content] = {"loss": result.loss}
    for name, gradient in result.gradients.items():
        tensors[wire.GRADIENT + name] = gradient
    return Response(tensors, result.warning)


def stepped(request: Request, coming: Collection[str], out: Mapping[str, Array] = NOWHERE) -> Call:
    """The call of a request of which some tensors are not there yet, for `engine.steps`.

    Raises:
        LossdError: what is wrong with it, as far as types and shapes tell.
    """
    stand_ins = {
        name: np.broadcast_to(np.empty((), tensor.dtype), tensor.shape)
        for name, tensor in request.tensors.items()
        if name in coming
    }
    return call_of(request.with_tensors({**request.tensors, **stand_ins}), out)


def answer(
    request: Request, sink: Sink | None = None, out: Mapping[str, Array] = NOWHERE
) -> Response:
    """Compute a request; its gradients go to `sink`, if there is one, or to arrays of `out`.

    Raises:
        LossdError: what is wrong with it.
    """
    for tensor in request.tensors.values():
        if isinstance(tensor, Pieces):
            return _in_pieces(request, sink)
    begun = time.perf_counter()
    response = response_of(compute(call_of(request, out)))
    response.seconds = time.perf_counter() - begun
    return response if sink is None else _sunk(response, sink)


def _sunk(response: Response, sink: Sink) -> Response:
    loss, *gradients = response.tensors.items()
    for name, array in gradients:
        assert isinstance(array, np.ndarray)
        sink(name.removeprefix(wire.GRADIENT), 0, array.reshape(-1))
    return response.with_tensors(dict([loss]))


def _in_pieces(request: Request, sink: Sink | None) -> Response:
    """Compute a request while its tensors are made."""
    types = {n: (t.dtype, t.shape) for n, t in request.tensors.items() if n != "grad_output"}
    _, possible, _ = needed(
        request.loss, types, request.parameters, request.reduction, request.gradients
    )
    tensors = {
        name: tensor.whole(name) if isinstance(tensor, Pieces) and name not in possible else tensor
        for name, tensor in request.tensors.items()
    }
    pieces = {name: tensor for name, tensor in tensors.items() if isinstance(tensor, Pieces)}
    request = request.with_tensors(tensors)
    if not pieces:
        return answer(request, sink)
    arriving = {name: Arriving(tensor.dtype, tensor.nbytes) for name, tensor in pieces.items()}
    evaluation = steps(stepped(request, arriving), arriving)
    results = {
        name: np.empty(shape, dtype)
        for name, (dtype, shape) in evaluation.announced().items()
        if sink is None or name == "loss"
    }
    for chunk in wire.split(pieces)[1]:
        arriving[chunk.name].add(np.frombuffer(chunk.data, np.uint8))
        while evaluation.ready:
            for piece in evaluation.step():
                start = piece.offset // piece.data.itemsize
                values = piece.data.reshape(-1)
                if sink is None or piece.name == "loss":
                    results[piece.name].reshape(-1)[start : start + values.size] = values
                else:
                    sink(piece.name.removeprefix(wire.GRADIENT), start, values)
    return Response(results, evaluation.warning, evaluation.seconds)
