"""The seam between the client and whatever computes: a request goes in, a response comes out."""

import asyncio
import contextlib
import itertools
import math
import os
import threading
import time
import weakref
from collections.abc import Callable
from typing import Any, Final, Protocol

import numpy as np

from lossd_client import wire
from lossd_client.errors import CancelledError, DeadlineError, HandleError, UnavailableError
from lossd_client.pending import pool
from lossd_client.pieces import Pieces, Sink
from lossd_client.stream import Stream, awaited, worth_asking
from lossd_client.wire import Array, Register, Registered, Request, Response


def options(keepalive: float) -> tuple[tuple[str, int], ...]:
    """Options of gRPC for a connection, which both of its ends have.

    Args:
        keepalive: seconds of silence after which the other end is asked whether it is there; it has
            twice as long to answer. Without that, a machine that vanishes is waited for for ever.
    """
    asked, given_up = round(1000 * keepalive), round(2000 * keepalive)
    return (
        ("grpc.max_send_message_length", -1),
        ("grpc.http2.bdp_probe", 0),
        ("grpc.http2.lookahead_bytes", wire.WINDOW),
        ("grpc.keepalive_time_ms", asked),
        ("grpc.keepalive_timeout_ms", given_up),  # for the system: bytes that are not acknowledged
        ("grpc.http2.ping_timeout_ms", given_up),
        ("grpc.http2.max_pings_without_data", 0),  # no limit
    )


KEEPALIVE: Final = 30.0

OPTIONS: Final = (
    *options(KEEPALIVE),
    ("grpc.max_receive_message_length", -1),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 10_000),  # how long connecting may take, at least
    ("grpc.max_reconnect_backoff_ms", 2000),
)


class Ongoing(Protocol):
    """An evaluation that was begun."""

    def result(self) -> Response:
        """Wait for its answer, which is raised if it is an error."""

    def cancel(self) -> None:
        """Give it up."""


class Transport(Protocol):
    """What a client needs: a stand-in for tests is a class with these methods."""

    def evaluate(
        self, request: Request, timeout: float | None, sink: Sink | None = None
    ) -> Response:
        """Compute a request, within `timeout` seconds; gradients go to `sink`, if there is one."""

    def begin(self, request: Request, timeout: float | None) -> Ongoing:
        """Send a request and do not wait: any number may be under way."""

    async def evaluate_async(
        self, request: Request, timeout: float | None, sink: Sink | None = None
    ) -> Response:
        """The same, awaited: any number may be under way."""

    def register(self, tensor: Register, timeout: float | None) -> Registered:
        """Have a tensor kept where it is computed."""

    def unregister(self, token: str) -> None:
        """Have it kept no longer."""

    def empty(self, shape: tuple[int, ...], dtype: np.dtype[Any], timeout: float | None) -> Array:
        """An array with undefined values, from where tensors need not be copied if possible."""

    def close(self) -> None:
        """Let go of connections; calls that are under way fail."""


class _Later:
    """An evaluation that is computed when its answer is asked for."""

    def __init__(self, compute: Callable[[], Response]) -> None:
        self._compute = compute

    def result(self) -> Response:
        """Compute it."""
        return self._compute()

    def cancel(self) -> None:
        """Nothing is under way."""


class InProcess:
    """The engine itself, in this process (needs the `lossd` distribution)."""

    def __init__(self) -> None:
        try:
            from lossd.answers import answer
            from lossd.registered import Registry
        except ModuleNotFoundError as error:
            raise UnavailableError(
                "'inproc:' computes in this process and needs the engine: pip install lossd"
            ) from error
        self._answer, self._registry = answer, Registry(1 << 40, math.inf)
        self._lock = threading.Lock()
        self._closed = False

    def evaluate(
        self, request: Request, timeout: float | None, sink: Sink | None = None
    ) -> Response:
        """Compute a request; it ends when it has, whatever the timeout."""
        if self._closed:
            raise CancelledError("the client was closed")
        if request.handles:
            with self._lock:
                request = self._registry.resolved(request)
        return self._answer(request, sink)

    def register(self, tensor: Register, timeout: float | None) -> Registered:
        """Keep a copy of a tensor."""
        (array,) = tensor.tensors.values()
        with self._lock:
            return Registered(*self._registry.add(np.array(array), tensor.seconds))

    def unregister(self, token: str) -> None:
        """Keep it no longer; as at a server, it is no error if it is not kept."""
        with self._lock, contextlib.suppress(HandleError):
            self._registry.remove(token)

    def begin(self, request: Request, timeout: float | None) -> Ongoing:
        """Compute a request when its answer is asked for: all cores work at it then."""
        return _Later(lambda: self.evaluate(request, timeout))

    async def evaluate_async(
        self, request: Request, timeout: float | None, sink: Sink | None = None
    ) -> Response:
        """Compute a request on another thread."""
        try:
            call = asyncio.to_thread(self.evaluate, request, timeout, sink)
            return await asyncio.wait_for(call, timeout)
        except TimeoutError as error:
            raise DeadlineError(f"{request.loss}: not computed in time") from error

    def empty(self, shape: tuple[int, ...], dtype: np.dtype[Any], timeout: float | None) -> Array:
        """An array with undefined values: tensors are not copied."""
        return pool.empty(shape, dtype)

    def close(self) -> None:
        """Refuse later calls, as a connection that is closed does."""
        self._closed = True


class _Deadline:
    """A moment, or never."""

    def __init__(self, timeout: float | None) -> None:
        self._at = None
        if timeout is not None and timeout <= threading.TIMEOUT_MAX:
            self._at = time.monotonic() + timeout

    def left(self) -> float | None:
        """Seconds until then."""
        return None if self._at is None else self._at - time.monotonic()


def _begun(request: Request | Register) -> bool:
    """Whether a tensor's pieces were asked for, which cannot be done again."""
    return any(isinstance(t, Pieces) and t.begun for t in request.tensors.values())


def _pause(attempt: int) -> float:
    """Seconds to wait after a lost connection."""
    return float(min(0.1 * 2**attempt, 2.0))


class Remote:
    """A server at an address, over one persistent stream.

    Args:
        target: host:port, unix:/path, or any gRPC name.
        retries: how often a lost connection is tried again; evaluations are pure functions.
        wire_dtype: what float32 tensors are sent as, and their gradients; None: as they are.
    """

    def __init__(self, target: str, retries: int, wire_dtype: np.dtype[Any] | None = None) -> None:
        self._target, self._retries, self._wire_dtype = target, retries, wire_dtype
        self._lock = threading.Lock()
        self._connection = _Connection()
        self._closed = False
        weakref.finalize(self, self._connection.drop).atexit = False

    def evaluate(
        self, request: Request, timeout: float | None, sink: Sink | None = None
    ) -> Response:
        """Send a request and wait for its answer; again, if the connection is lost."""
        deadline, tried = _Deadline(timeout), 0
        if sink is None:
            try:
                found = self._exchange(request, deadline)
            except DeadlineError:  # the server's
                raise
            except TimeoutError as error:
                raise self.late(request) from error
            except UnavailableError:
                if not self.again(request, 0, deadline):
                    raise
                time.sleep(_pause(0))
                tried = 1
            else:
                if found is not None:
                    return found
        response: Response = _Call(self, request, deadline, sink, tried).result()
        return response

    def _exchange(self, request: Request, deadline: "_Deadline") -> Response | None:
        """What a request has for an answer through pipes; None if it has to be sent."""
        stream = self.connected()
        found = stream.exchange(request, deadline.left)
        if found is None and worth_asking(request):
            stream.ask_for(request, deadline.left)
            found = stream.exchange(request, deadline.left, settled=True)
        return found

    def register(self, tensor: Register, timeout: float | None) -> Registered:
        """Send a tensor that the server keeps."""
        registered: Registered = _Call(self, tensor, _Deadline(timeout), None).result()
        return registered

    def unregister(self, token: str) -> None:
        """Tell the server to keep it no longer; it is not waited for."""
        self.connected().unregister(token)

    def begin(self, request: Request, timeout: float | None) -> Ongoing:
        """Send a request; its answer is waited for later, in which it is sent again if need be."""
        return _Call(self, request, _Deadline(timeout), None)

    async def evaluate_async(
        self, request: Request, timeout: float | None, sink: Sink | None = None
    ) -> Response:
        """The same, awaited."""
        deadline = _Deadline(timeout)
        for attempt in itertools.count():
            try:
                return await self._try_async(request, deadline, sink)
            except UnavailableError:
                if not self.again(request, attempt, deadline):
                    raise
                await asyncio.sleep(_pause(attempt))
        raise AssertionError

    def empty(self, shape: tuple[int, ...], dtype: np.dtype[Any], timeout: float | None) -> Array:
        """An array with undefined values, in memory that is shared with the server if possible."""
        deadline = _Deadline(timeout)
        for attempt in itertools.count():
            stream = self.connected()
            found = stream.empty(shape, dtype)
            if found is None:  # it was asked for
                try:
                    stream.settle(deadline.left)
                except TimeoutError as error:
                    raise self.late("an array in shared memory") from error
                except UnavailableError:
                    if not self.again(None, attempt, deadline):
                        raise
                    time.sleep(_pause(attempt))
                    continue
                found = stream.empty(shape, dtype)
            return pool.empty(shape, dtype) if found is None else found
        raise AssertionError

    def again(
        self, request: Request | Register | None, attempt: int, deadline: "_Deadline"
    ) -> bool:
        """Whether a request whose connection was lost is worth another try."""
        left = deadline.left()
        in_time = left is None or _pause(attempt) < left
        begun = request is not None and _begun(request)
        return attempt < self._retries and in_time and not self._closed and not begun

    async def _try_async(
        self, request: Request, deadline: "_Deadline", sink: Sink | None
    ) -> Response:
        if sink is None:
            try:
                found = await self._exchange_async(request, deadline)
            except DeadlineError:  # the server's
                raise
            except TimeoutError as error:
                raise self.late(request) from error
            if found is not None:
                return found
        stream, (done, finish) = self.connected(), awaited()
        id, waiting = stream.submit(request, finish, sink)
        stream.start_reader()
        try:
            await asyncio.wait_for(done.wait(), deadline.left())
        except TimeoutError as error:
            stream.cancel(id)
            raise self.late(request) from error
        except asyncio.CancelledError:
            stream.cancel(id)
            raise
        response: Response = waiting.result()
        return response

    async def _exchange_async(self, request: Request, deadline: "_Deadline") -> Response | None:
        """As `_exchange`."""
        stream = self.connected()
        found = await stream.exchange_async(request, deadline.left)
        if found is None and worth_asking(request):
            await stream.ask_for_async(request, deadline.left)
            found = await stream.exchange_async(request, deadline.left, settled=True)
        return found

    def late(self, asked: Request | Register | str) -> DeadlineError:
        """The error for a deadline that passed, of a request or of what was asked for."""
        named = asked.loss if isinstance(asked, Request) else asked
        what = named if isinstance(named, str) else "register"
        return DeadlineError(f"{what}: no answer from {self._target} in time")

    def connected(self) -> Stream:
        """The stream, opened if there is none; not one that failed."""
        with self._lock:
            if self._closed:
                raise CancelledError("the client was closed")
            return self._connection.open(self._target, self._wire_dtype)

    def close(self) -> None:
        """Close the connection; what is under way fails with CancelledError."""
        with self._lock:
            self._closed = True
            self._connection.close()


class _Connection:
    """What a client has opened: a channel, and the stream that it is used for."""

    def __init__(self) -> None:
        self._stream: Stream | None = None
        self._channel: Any = None
        self._process = os.getpid()

    def open(self, target: str, wire_dtype: np.dtype[Any] | None) -> Stream:
        """The stream, a new one where there is none or it failed."""
        if self._process != os.getpid():  # a fork: the parent's connection is not ours
            self._process, self._channel, self._stream = os.getpid(), None, None
        if self._stream is None or self._stream.error is not None:
            if self._stream is not None and self._stream.broken:
                self._channel = None
            if self._channel is None:
                # gRPC's handlers keep a fork safe; the variable is read when it is loaded
                os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "1")
                import grpc

                self._channel = grpc.insecure_channel(target, OPTIONS)
            self._stream = Stream(self._channel, target, wire_dtype)
        return self._stream

    def close(self) -> None:
        """Close what this process opened."""
        if self._process != os.getpid():
            return
        if self._stream is not None:
            self._stream.close()
        if self._channel is not None:
            self._channel.close()

    def drop(self) -> None:
        """Close it on another thread: the collector calls this, on any thread, at any time."""
        if self._channel is not None:
            with contextlib.suppress(RuntimeError):  # the interpreter ends
                threading.Thread(target=self.close, name="lossd-client-drop", daemon=True).start()


class _Call:
    """An evaluation by a server, begun with its making."""

    def __init__(
        self,
        remote: Remote,
        request: Request | Register,
        deadline: _Deadline,
        sink: Sink | None,
        tried: int = 0,
    ) -> None:
        self._remote, self._request, self._deadline, self._sink = remote, request, deadline, sink
        self._tried = tried
        self._send()

    def _send(self) -> None:
        self._done = threading.Lock()
        self._done.acquire()
        self._stream = self._remote.connected()
        self._id, self._waiting = self._stream.submit(self._request, self._done.release, self._sink)

    def result(self) -> Any:
        """Wait for the answer; send again, if the connection is lost."""
        for attempt in itertools.count(self._tried):
            try:
                return self._wait()
            except UnavailableError:
                if not self._remote.again(self._request, attempt, self._deadline):
                    raise
                time.sleep(_pause(attempt))
                self._send()
        raise AssertionError

    def _wait(self) -> Any:
        try:
            in_time = self._stream.wait(self._waiting, self._done, self._deadline.left())
        except BaseException:  # Ctrl-C
            self.cancel()
            raise
        if not in_time:
            self.cancel()
            raise self._remote.late(self._request)
        return self._waiting.result()

    def cancel(self) -> None:
        """Give it up."""
        self._stream.cancel(self._id)
