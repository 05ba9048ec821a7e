"""Clients: where losses are computed."""

import asyncio
import functools
import os
import sys
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt

from lossd_client.caution import warn
from lossd_client.dtypes import known
from lossd_client.errors import ParameterError
from lossd_client.pieces import Pieces, Sink
from lossd_client.transports import InProcess, Remote, Transport
from lossd_client.wire import Array, Parameter, Request, Response

DEFAULT_TARGET: Final = "localhost:50051"


def connect(
    target: str | None = None, *, timeout: float | None = None, retries: int = 4
) -> "Client":
    """A client of the server at `target`.

    Args:
        target: "host:port", "unix:/path/to/socket", or "inproc:" to compute in this process
            without a server (needs the `lossd` distribution). None: `$LOSSD_TARGET`, else
            localhost:50051.
        timeout: seconds that one evaluation may take; None for no limit.
        retries: how often an evaluation is sent again after its connection was lost.

    Connections are opened by the first evaluation, not here.

    >>> from lossd_client import connect, nn
    >>> with connect("inproc:") as client:
    ...     nn.MSELoss(client=client)([1.0, 2.0], [0.0, 0.0]).item()
    2.5
    """
    return Client(target, timeout=timeout, retries=retries)


def _transport(target: str | None, retries: int) -> tuple[str, Transport]:
    target = target or os.environ.get("LOSSD_TARGET") or DEFAULT_TARGET
    if retries < 0:
        raise ParameterError(f"retries = {retries} must be >= 0", field="retries")
    if target.startswith("inproc:"):
        return target, InProcess()
    return target, Remote(target, retries)


class _Base:
    """What both kinds of client have."""

    def __init__(
        self, target: str | None = None, *, timeout: float | None = None, retries: int = 4
    ) -> None:
        if timeout is not None and not timeout > 0:
            raise ParameterError(f"timeout = {timeout} must be > 0 seconds", field="timeout")
        self.target, self._transport = _transport(target, retries)
        self.timeout = timeout

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.target!r})"


class Client(_Base):
    """Computes losses at a target; see `connect`. Threads may share it; so may a forked child."""

    def evaluate(
        self,
        loss: str,
        tensors: Mapping[str, Array | Pieces],
        *,
        parameters: Mapping[str, Parameter] | None = None,
        reduction: str = "mean",
        gradients: Sequence[str] = (),
        timeout: float | None = None,
        sink: Sink | None = None,
    ) -> Response:
        """Evaluate a loss by its functional name, on arrays.

        Args:
            loss: functional name, such as "cross_entropy".
            parameters: hyper-parameters that differ from their defaults, by name; "normalizer"
                and "zero_if_empty" for any loss.
            reduction: "mean", "sum", "none"; "sample" for element-wise losses, the mean of all but
                the first dimension; "batchmean" for kl_div.
            tensors: arrays by torch.nn.functional's argument names, and "grad_output" where
                gradients are to be multiplied by one; "sample_weight" for any loss.
            gradients: names of the tensors whose gradient is wanted; the response has them as
                "grad.NAME", beside "loss".
            timeout: seconds, in place of the client's.
            sink: called with each gradient as it comes, a part at a time, on any thread: its
                tensor's name, the position of the first element in C order, and the elements that
                follow, in one dimension. The response is without gradients then. After a lost
                connection it is given them from the start again.

        A tensor may be `Pieces`, made while it is sent; pieces are not sent again when a
        connection is lost.

        Raises:
            LossdError: see `lossd_client.errors`.
        """
        request = Request(loss, tensors, parameters or {}, reduction, gradients)
        return self.send(request, timeout, sink)

    def send(
        self, request: Request, timeout: float | None = None, sink: Sink | None = None
    ) -> Response:
        """Evaluate a request; warns of what the response warns of."""
        seconds = self.timeout if timeout is None else timeout
        return _received(self._transport.evaluate(request, seconds, sink))

    def empty(self, shape: int | tuple[int, ...], dtype: npt.DTypeLike = np.float32) -> Array:
        """An array with undefined values, like `np.empty`, from where tensors are not copied.

        On the server's host it is in memory that both share, if the server offers that; else it is
        an ordinary array. Gradients come in such memory by themselves.

        Args:
            shape: its shape.
            dtype: its type.
        """
        sizes = (shape,) if isinstance(shape, int) else tuple(shape)
        return self._transport.empty(sizes, np.dtype(dtype))

    def close(self) -> None:
        """Close the connection. Evaluations that are under way fail with CancelledError."""
        self._transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


class AsyncClient(_Base):
    """The twin of `Client` for asyncio: losses made with it are awaited.

    >>> import asyncio
    >>> from lossd_client import AsyncClient, nn
    >>> async def main():
    ...     async with AsyncClient("inproc:") as client:
    ...         return (await nn.MSELoss(client=client)([1.0, 2.0], [0.0, 0.0])).item()
    >>> asyncio.run(main())
    2.5
    """

    async def evaluate(
        self,
        loss: str,
        tensors: Mapping[str, Array | Pieces],
        *,
        parameters: Mapping[str, Parameter] | None = None,
        reduction: str = "mean",
        gradients: Sequence[str] = (),
        timeout: float | None = None,
        sink: Sink | None = None,
    ) -> Response:
        """`Client.evaluate`, awaited."""
        request = Request(loss, tensors, parameters or {}, reduction, gradients)
        return await self.send(request, timeout, sink)

    async def send(
        self, request: Request, timeout: float | None = None, sink: Sink | None = None
    ) -> Response:
        """`Client.send`, awaited."""
        seconds = self.timeout if timeout is None else timeout
        return _received(await self._transport.evaluate_async(request, seconds, sink))

    async def aclose(self) -> None:
        """Close the connection."""
        await asyncio.to_thread(self._transport.close)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()


def _received(response: Response) -> Response:
    """What the caller sees of a response; warns of what it warns of."""
    if response.warning:
        warn(response.warning)
    if "ml_dtypes" in sys.modules:
        return response.with_tensors({n: known(np.asarray(t)) for n, t in response.tensors.items()})
    return response


AnyClient = Client | AsyncClient


@functools.cache
def _default(target: str) -> Client:
    return connect(target)


def default_client() -> Client:
    """The client of losses that are given none: at `$LOSSD_TARGET`, else localhost:50051."""
    return _default(os.environ.get("LOSSD_TARGET") or DEFAULT_TARGET)


def checked(client: Any) -> AnyClient:
    """`client`, or the default one.

    Raises:
        TypeError: not a client; an address must go through `connect`.
    """
    if client is None:
        return default_client()
    if not isinstance(client, Client | AsyncClient):
        message = f"client = {client!r} must be a Client or AsyncClient: use connect(address)"
        raise TypeError(message)
    return client
