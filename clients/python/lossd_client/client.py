"""Clients: where losses are computed."""

import asyncio
import functools
import operator
import os
import sys
import types
from collections import deque
from collections.abc import (
    AsyncIterator,
    Callable,
    Collection,
    Coroutine,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from types import TracebackType
from typing import Any, Final, Generic, Self, SupportsIndex, TypeVar, cast

import numpy as np
import numpy.typing as npt

from lossd_client.arrays import ArrayLike, as_array, widen_numbers
from lossd_client.caution import warn
from lossd_client.dtypes import BFLOAT16, FLOAT16, known
from lossd_client.errors import ParameterError
from lossd_client.handles import Handle
from lossd_client.pieces import Pieces, Sink
from lossd_client.transports import InProcess, Ongoing, Remote, Transport
from lossd_client.wire import Array, Parameter, Register, Request, Response, dtype_number

DEFAULT_TARGET: Final = "localhost:50051"

IN_FLIGHT: Final = 64 << 20
"""Bytes of inputs beyond which `map` begins no other evaluation."""

T = TypeVar("T")


def connect(
    target: str | None = None,
    *,
    timeout: float | None = None,
    retries: int = 4,
    wire_dtype: str | None = None,
) -> "Client":
    """A client of the server at `target`.

    Args:
        target: "host:port", "unix:/path/to/socket", or "inproc:" to compute in this process
            without a server (needs the `lossd` distribution). None: `$LOSSD_TARGET`, else
            localhost:50051.
        timeout: seconds that one evaluation may take; None for no limit.
        retries: how often an evaluation is sent again after its connection was lost.
        wire_dtype: "bfloat16" or "float16": float32 tensors are rounded to it on their way to the
            server, and so are their gradients on the way back, which halves what travels. Losses
            stay float32. `inproc:` and unix sockets round nothing; TCP shares no memory then.

    Connections are opened by the first evaluation, not here.

    >>> from lossd_client import connect, nn
    >>> with connect("inproc:") as client:
    ...     nn.MSELoss(client=client)([1.0, 2.0], [0.0, 0.0]).item()
    2.5
    """
    return Client(target, timeout=timeout, retries=retries, wire_dtype=wire_dtype)


def _transport(target: str | None, retries: int, wire_dtype: str | None) -> tuple[str, Transport]:
    if target is not None and not isinstance(target, str):
        message = f"target = {target!r} must be a text, such as 'localhost:50051'"
        raise TypeError(message)
    target = target or os.environ.get("LOSSD_TARGET") or DEFAULT_TARGET
    if retries < 0:
        raise ParameterError(f"retries = {retries} must be >= 0", field="retries")
    if wire_dtype not in (None, *_HALVES):
        raise ParameterError(
            f"wire_dtype = {wire_dtype!r} must be None, {' or '.join(map(repr, _HALVES))}",
            field="wire_dtype",
        )
    if target.startswith("inproc:"):
        return target, InProcess()
    return target, Remote(target, retries, _HALVES[wire_dtype] if wire_dtype else None)


_HALVES: Final = {"bfloat16": BFLOAT16, "float16": FLOAT16}


class _Base:
    """What both kinds of client have.

    Attributes:
        scale: what the last gradients of halves were multiplied by, as torch.amp's GradScaler does:
            the next are asked for like that. They are rounded once, after it.
    """

    scale = 1.0

    def __init__(
        self,
        target: str | None = None,
        *,
        timeout: float | None = None,
        retries: int = 4,
        wire_dtype: str | None = None,
    ) -> None:
        if timeout is not None and not timeout > 0:
            raise ParameterError(f"timeout = {timeout} must be > 0 seconds", field="timeout")
        self.target, self._transport = _transport(target, retries, wire_dtype)
        self.timeout = timeout
        self._again: dict[str, Any] = {
            "timeout": timeout,
            "retries": retries,
            "wire_dtype": wire_dtype,
        }

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled, it is a client of the same target: connections do not travel."""
        return functools.partial(type(self), self.target, **self._again), ()

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: Mapping[int, Any]) -> Self:
        """A copy of what holds a client, such as a model with its losses, shares it."""
        return self

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.target!r})"


class Client(_Base):
    """Computes losses at a target; see `connect`. Threads may share it; so may a forked child."""

    def evaluate(
        self,
        loss: str,
        tensors: Mapping[str, ArrayLike | Pieces],
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
            tensors: arrays, or what becomes one, by torch.nn.functional's argument names, and
                "grad_output" where gradients are to be multiplied by one; "sample_weight" for any
                loss.
            gradients: names of the tensors whose gradient is wanted; the response has them as
                "grad.NAME", beside "loss".
            timeout: seconds, in place of the client's.
            sink: called with each gradient as it comes, a part at a time, on any thread: its
                tensor's name, the position of the first element in C order, and the elements that
                follow, in one dimension. The response is without gradients then. After a lost
                connection it is given them from the start again.

        A tensor may be `Pieces`, made while it is sent; pieces are not sent again when a
        connection is lost. It may be the `Handle` of one that the server keeps.

        Raises:
            LossdError: see `lossd_client.errors`.
        """
        request = _request(loss, tensors, parameters, reduction, gradients)
        return self.send(request, timeout, sink)

    def send(
        self, request: Request, timeout: float | None = None, sink: Sink | None = None
    ) -> Response:
        """Evaluate a request; warns of what the response warns of."""
        seconds = self.timeout if timeout is None else timeout
        return _received(self._transport.evaluate(request, seconds, sink))

    def map(
        self, loss: Callable[..., T], *inputs: Iterable[ArrayLike], in_flight: int = 128
    ) -> Iterator[T]:
        """`map(loss, *inputs)` by this client, with several evaluations under way at a time.

        Many small evaluations take a fraction of the time that calls one after another take.

        Args:
            loss: a loss of `lossd_client.nn`, wherever it is computed otherwise, or its
                `value_and_grad`, or a `functools.partial` of it.
            inputs: for each input of the loss as many arrays as there are evaluations; those of the
                shortest, as with `map`. Taken as they are needed.
            in_flight: evaluations under way at most; fewer where their inputs take over 64 MiB.

        Yields what calls would return, in their order. The first that fails raises its error and
        ends it, and so does closing the iterator; what is under way then is given up.

        >>> from lossd_client import connect, nn
        >>> with connect("inproc:") as client:
        ...     [loss.item() for loss in client.map(nn.L1Loss(), [[1.0], [5.0]], [[0.0], [2.0]])]
        [1.0, 3.0]
        """
        begin = _on(loss, _Pipeline(self))
        ongoing: deque[_Ongoing[T]] = deque()
        try:
            for given in _bounded(inputs, in_flight, ongoing):
                if given is None:
                    yield ongoing.popleft().result()
                else:
                    ongoing.append(cast(_Ongoing[T], begin(*given)))
        finally:
            for evaluation in ongoing:
                evaluation.cancel()

    def compute(self, request: Request, finish: Callable[[Response], T]) -> T:
        """What `finish` makes of the response to a request."""
        return finish(self.send(request))

    def register(
        self, tensor: ArrayLike, *, seconds: float | None = None, stream_only: bool = False
    ) -> Handle:
        """Have the server keep a tensor, and name it in later calls instead of sending it again.

        The handle takes the tensor's place in calls of losses, also by other clients: who has its
        token can compute losses against targets that never leave the server. Their values, and
        even more their gradients, tell of the targets: a handle hides them from an honest party,
        not from one that is after them.

        Of a server with several workers (`lossd serve --workers`) the one that keeps it is the one
        that this client is connected to: clients that are connected to others do not find it there.

        Args:
            tensor: any array-like, such as the targets of a data set; rows of it can be named.
            seconds: how long it is kept after its last use; None: as long as the server keeps any
                (`--registered-seconds`).
            stream_only: whether it is for this client's connection alone, and gone with it.

        Raises:
            ResourceError: the server has no room for it (`--max-registered-bytes`).
        """
        kept = self._transport.register(_registration(tensor, seconds, stream_only), self.timeout)
        return Handle(kept.token)

    def unregister(self, handle: Handle) -> None:
        """Have the server keep a tensor no longer: calls that name it fail with HandleError.

        Nothing is waited for: of a tensor that is not kept any more nothing is told.
        """
        self._transport.unregister(handle.token)

    def empty(self, shape: int | tuple[int, ...], dtype: npt.DTypeLike = np.float32) -> Array:
        """An array with undefined values, like `np.empty`, from where tensors are not copied.

        On the server's host it is in memory that both share, if the server offers that; else it is
        an ordinary array. Gradients come in such memory by themselves. A forked child shares it,
        too: what either writes the other sees.

        Args:
            shape: its shape.
            dtype: its type.

        Raises:
            DeadlineError: the server has not answered within the client's `timeout`.
        """
        return self._transport.empty(_sizes(shape), np.dtype(dtype), self.timeout)

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
        tensors: Mapping[str, ArrayLike | Pieces],
        *,
        parameters: Mapping[str, Parameter] | None = None,
        reduction: str = "mean",
        gradients: Sequence[str] = (),
        timeout: float | None = None,
        sink: Sink | None = None,
    ) -> Response:
        """`Client.evaluate`, awaited."""
        request = _request(loss, tensors, parameters, reduction, gradients)
        return await self.send(request, timeout, sink)

    async def send(
        self, request: Request, timeout: float | None = None, sink: Sink | None = None
    ) -> Response:
        """`Client.send`, awaited."""
        seconds = self.timeout if timeout is None else timeout
        return _received(await self._transport.evaluate_async(request, seconds, sink))

    async def map(
        self, loss: Callable[..., Any], *inputs: Iterable[ArrayLike], in_flight: int = 128
    ) -> AsyncIterator[Any]:
        """`Client.map`, awaited: `async for value in client.map(loss, inputs, targets)`."""
        begin = _on(loss, self)
        ongoing: deque[asyncio.Task[Any]] = deque()
        try:
            for given in _bounded(inputs, in_flight, ongoing):
                if given is None:
                    yield await ongoing.popleft()
                else:
                    ongoing.append(asyncio.create_task(begin(*given)))
        finally:
            for task in ongoing:
                task.cancel()

    def compute(self, request: Request, finish: Callable[[Response], T]) -> Coroutine[Any, Any, T]:
        """What `finish` makes of the response to a request, awaited."""

        async def computed() -> T:
            return finish(await self.send(request))

        return computed()

    async def register(
        self, tensor: ArrayLike, *, seconds: float | None = None, stream_only: bool = False
    ) -> Handle:
        """`Client.register`, awaited."""
        request = _registration(tensor, seconds, stream_only)
        kept = await asyncio.to_thread(self._transport.register, request, self.timeout)
        return Handle(kept.token)

    async def unregister(self, handle: Handle) -> None:
        """`Client.unregister`, awaited."""
        await asyncio.to_thread(self._transport.unregister, handle.token)

    async def empty(self, shape: int | tuple[int, ...], dtype: npt.DTypeLike = np.float32) -> Array:
        """`Client.empty`, awaited."""
        return await asyncio.to_thread(
            self._transport.empty, _sizes(shape), np.dtype(dtype), self.timeout
        )

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


def _request(
    loss: str,
    tensors: Mapping[str, ArrayLike | Pieces],
    parameters: Mapping[str, Parameter] | None,
    reduction: str,
    gradients: Sequence[str],
) -> Request:
    handles = {name: tensor for name, tensor in tensors.items() if isinstance(tensor, Handle)}
    sent = {
        name: tensor if isinstance(tensor, Pieces) else as_array(tensor, name, loss)
        for name, tensor in tensors.items()
        if name not in handles
    }
    widen_numbers(sent, tensors)
    return Request(loss, sent, parameters or {}, reduction, gradients, handles=handles)


def _sizes(shape: int | tuple[int, ...]) -> tuple[int, ...]:
    if isinstance(shape, SupportsIndex):
        return (operator.index(shape),)
    return tuple(map(operator.index, shape))


def _registration(tensor: ArrayLike, seconds: float | None, stream_only: bool) -> Register:
    if seconds is not None and not seconds > 0:
        raise ParameterError(f"seconds = {seconds} must be > 0", field="seconds")
    array = as_array(tensor)
    dtype_number("tensor", array.dtype)  # a type that can be kept
    return Register({"tensor": array}, seconds, stream_only)


class _Pipeline(Client):
    """Begins the evaluations that a client is asked for; computes others as the client does."""

    def __init__(self, client: Client) -> None:
        self.target, self.timeout = client.target, client.timeout
        self._transport = client._transport

    def compute(self, request: Request, finish: Callable[[Response], T]) -> Any:
        """An evaluation that is under way."""
        return _Ongoing(self._transport.begin(request, self.timeout), finish)


class _Ongoing(Generic[T]):
    """An evaluation that is under way, and what is made of its response."""

    def __init__(self, evaluation: Ongoing, finish: Callable[[Response], T]) -> None:
        self._evaluation, self._finish = evaluation, finish

    def result(self) -> T:
        """What is made of the response, once that is there."""
        return self._finish(_received(self._evaluation.result()))

    def cancel(self) -> None:
        """Give it up."""
        self._evaluation.cancel()


def _on(loss: Callable[..., T], client: Client | AsyncClient) -> Callable[..., T]:
    """A loss, or a method of one, as computed by a client.

    Raises:
        TypeError: neither.
    """
    if isinstance(loss, functools.partial):
        return functools.partial(_on(loss.func, client), *loss.args, **loss.keywords)
    on = getattr(getattr(loss, "__self__", loss), "on", None)
    if on is None:
        message = f"map takes a loss of lossd_client.nn or its value_and_grad, not {loss!r}"
        raise TypeError(message)
    there = on(client)
    return types.MethodType(loss.__func__, there) if hasattr(loss, "__func__") else there


def _bounded(
    inputs: Sequence[Iterable[ArrayLike]], in_flight: int, ongoing: Collection[Any]
) -> Iterator[tuple[ArrayLike, ...] | None]:
    """The inputs of each evaluation, and None where the first of those under way is to be awaited.

    Raises:
        ParameterError: `in_flight` is not positive.
    """
    if in_flight < 1:
        raise ParameterError(f"in_flight = {in_flight} must be >= 1", field="in_flight")
    sizes: deque[int] = deque()
    total = 0
    for given in zip(*inputs, strict=False):
        sizes.append(sum(getattr(tensor, "nbytes", 0) for tensor in given))
        total += sizes[-1]
        while len(ongoing) >= in_flight or (ongoing and total > IN_FLIGHT):
            total -= sizes.popleft()
            yield None
        yield given
    while ongoing:
        yield None


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
    if not isinstance(client, AnyClient):
        message = f"client = {client!r} must be a Client or AsyncClient: use connect(address)"
        raise TypeError(message)
    return client
