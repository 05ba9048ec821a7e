"""Requests of the protocol, answered by the engine: for the server, and for `inproc:` clients."""

import numpy as np
from lossd_client.wire import Announcement, Request, Response

from lossd.engine import Call, compute, steps
from lossd.plan import Result
from lossd.steps import Arriving, Steps


def call_of(request: Request) -> Call:
    """What the engine is asked, of a request whose tensors are all there."""
    arrays = {n: t for n, t in request.tensors.items() if not isinstance(t, Announcement)}
    upstream = arrays.pop("grad_output", None)
    return Call(
        request.loss, arrays, request.parameters, request.reduction, request.gradients, upstream
    )


def response_of(result: Result) -> Response:
    """The engine's result as the protocol names it."""
    gradients = {f"grad.{name}": array for name, array in result.gradients.items()}
    return Response({"loss": result.loss, **gradients}, result.warning)


def steps_of(request: Request, arriving: dict[str, Arriving]) -> Steps:
    """The steps of a request of which some tensors come in pieces.

    Raises:
        LossdError: what is wrong with those that are there.
    """
    stand_ins = {
        name: np.broadcast_to(np.empty((), tensor.dtype), tensor.shape)
        for name, tensor in request.tensors.items()
        if name in arriving
    }
    return steps(call_of(request.with_tensors({**request.tensors, **stand_ins})), arriving)


def answer(request: Request) -> Response:
    """Compute a request.

    Raises:
        LossdError: what is wrong with it.
    """
    return response_of(compute(call_of(request)))
