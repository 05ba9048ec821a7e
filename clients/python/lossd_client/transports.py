"""The seam between the client and whatever computes: a request goes in, a response comes out."""

import asyncio
import functools
import itertools
import math
import os
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Iterator
from typing import Any, Final, Protocol

import numpy as np

from lossd_client import wire
from lossd_client.buffers import Pool
from lossd_client.dtypes import narrowed, widened
from lossd_client.errors import (
    CancelledError,
    DeadlineError,
    LossdError,
    ProtocolError,
    UnavailableError,
)  # fmt: skip
from lossd_client.pieces import Pieces, Sink
from lossd_client.shared import Placed, SharedPool
from lossd_client.wire import (
    Announcement,
    Array,
    Chunk,
    Lease,
    Leased,
    Register,
    Registered,
    Release,
    Request,
    Response,
    Shared,
    Unregister,
)  # fmt: skip

METHOD: Final = "/lossd.v1.LossService/EvaluateStream"

OPTIONS: Final = (
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    ("grpc.http2.bdp_probe", 0),
    ("grpc.http2.lookahead_bytes", wire.WINDOW),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 2000),
)

pool: Final = Pool()
"""Where large results come from."""


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

    def empty(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
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
        """Keep it no longer."""
        with self._lock:
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

    def empty(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
        """An array with undefined values: tensors are not copied."""
        return pool.empty(shape, dtype)

    def close(self) -> None:
        """Refuse later calls, as a connection that is closed does."""
        self._closed = True


class _Incoming:
    """A tensor that comes in chunks.

    Args:
        name: its name.
        announced: its type and size.
        put: takes the position of the first of some elements in C order, and these.
    """

    def __init__(
        self, name: str, announced: Announcement, put: Callable[[int, Array], object]
    ) -> None:
        self._name, self._put = name, put
        self._size, self._dtype, self._filled = announced.nbytes, announced.dtype, 0

    def add(self, chunk: Chunk) -> int:
        """Take a chunk in; its bytes."""
        start, size = chunk.offset, len(chunk.data)
        if start != self._filled or size % self._dtype.itemsize:
            raise ProtocolError(f"an unexpected chunk of {self._name!r} at byte {start}")
        if start + size > self._size:
            raise ProtocolError(f"a chunk of {self._name!r} goes beyond its {self._size} bytes")
        self._filled += size
        self._put(start // self._dtype.itemsize, np.frombuffer(chunk.data, self._dtype))
        return size


class Pending:
    """An evaluation that is under way: collects what comes until the answer is complete.

    Args:
        messages: what is sent for it.
        sink: takes gradients.
        placed: the shared memory that it uses.
        rounded: tensors that were sent in half precision: their gradients come in it, too.
    """

    def __init__(
        self,
        messages: Iterator[bytes],
        sink: Sink | None = None,
        placed: Placed | None = None,
        rounded: Collection[str] = (),
    ) -> None:
        self.messages = messages
        self._sink, self.placed = sink, placed
        self._rounded = {f"{wire.GRADIENT}{name}" for name in rounded}
        self._response: Response | None = None
        self._missing = 0
        self._incoming: dict[str, _Incoming] = {}

    def take(self, item: Response | Chunk) -> Response | None:
        """Add a message; the response, once it is complete.

        Raises:
            ProtocolError: chunks that do not fit what was announced.
        """
        if isinstance(item, Response):
            tensors: dict[str, wire.Content] = {}
            for name, tensor in item.tensors.items():
                if isinstance(tensor, Shared):
                    if self.placed is None:
                        raise ProtocolError(f"{name!r} is in memory that was not offered")
                    tensors[name] = self.placed.result(name.removeprefix(wire.GRADIENT))
                elif (found := self._received(name, tensor)) is not None:
                    tensors[name] = found
            self._response = Response(tensors, item.warning)
        elif item.name in self._incoming:
            self._missing -= self._incoming[item.name].add(item)
        else:
            raise ProtocolError(f"an unexpected chunk of {item.name!r} at byte {item.offset}")
        return self._response if self._missing == 0 else None

    def _received(self, name: str, tensor: Array | Announcement) -> Array | None:
        """A tensor that is there, or room for one that comes; None of one that the sink takes."""
        whole, room = isinstance(tensor, np.ndarray), None
        widen = widened if name in self._rounded else np.asarray
        if self._sink is not None and name.startswith(wire.GRADIENT):
            put = functools.partial(_pass_on, self._sink, name.removeprefix(wire.GRADIENT), widen)
        else:
            dtype = np.dtype(np.float32) if name in self._rounded else tensor.dtype
            room = np.empty(tensor.shape, dtype) if whole else pool.empty(tensor.shape, dtype)
            put = functools.partial(_fill, room.reshape(-1), widen)
        if isinstance(tensor, np.ndarray):  # the message cannot be written to
            put(0, tensor.reshape(-1))
        else:
            self._missing += tensor.nbytes
            self._incoming[name] = _Incoming(name, tensor, put)
        return room


def _pass_on(
    sink: Sink, name: str, widen: Callable[[Array], Array], at: int, values: Array
) -> None:
    sink(name, at, widen(values))


def _fill(flat: Array, widen: Callable[[Array], Array], at: int, values: Array) -> None:
    flat[at : at + values.size] = widen(values)


class _Rounded(Announcement):
    """A float32 tensor as it is sent in half precision: rounded chunk by chunk."""

    def __init__(self, array: Array, dtype: np.dtype[Any]) -> None:
        super().__init__(dtype, array.shape)
        self._array = array

    def chunks(self, name: str) -> Iterator[Chunk]:
        """What is sent, made as it is asked for."""
        flat = np.ascontiguousarray(self._array).reshape(-1)
        row = self.shape[-1] if self.shape else 1
        step = wire.CHUNK // self.dtype.itemsize
        step -= step % row if 0 < row <= step else 0
        for at in range(0, flat.size, step):
            values = narrowed(flat[at : at + step], self.dtype)
            yield from wire.chunks_of(name, values, at * self.dtype.itemsize)


def rounded(request: Request, dtype: np.dtype[Any]) -> tuple[Request, list[str]]:
    """A request whose float32 tensors are sent in half precision, and their names."""
    found: dict[str, wire.Content] = {}
    for name, tensor in request.tensors.items():
        if isinstance(tensor, np.ndarray) and tensor.dtype == np.float32:
            large = tensor.nbytes > wire.CHUNK
            found[name] = _Rounded(tensor, dtype) if large else narrowed(tensor, dtype)
    return request.with_tensors({**request.tensors, **found}), list(found)


def messages_of(id: int, request: Request | Register) -> Iterator[bytes]:
    """The messages of one evaluation: the first is written here, chunks as they are asked for."""
    for tensor in request.tensors.values():
        if tensor.nbytes > wire.CHUNK or isinstance(tensor, Announcement):
            break
    else:
        return iter((wire.write_stream(id, request),))
    first, chunks = wire.split(request.tensors)
    head = wire.write_stream(id, request.with_tensors(first))
    return itertools.chain([head], (wire.write_stream(id, chunk) for chunk in chunks))


def unavailable(target: str, details: str) -> UnavailableError:
    """The error for a server that is not there, with what to do about it."""
    address = target if target.startswith("unix:") else target.removeprefix("dns:///")
    return UnavailableError(
        f"no lossd server answers at {target} ({details}); start one with "
        f"`lossd serve --listen {address}`, or compute in this process with connect('inproc:')"
    )


class _Waiting(Pending):
    """A pending evaluation that somebody waits for: `done` is called when it has its answer."""

    def __init__(
        self,
        id: int,
        messages: Iterator[bytes],
        done: Callable[[], object],
        sink: Sink | None = None,
        placed: Placed | None = None,
        rounded: Collection[str] = (),
    ) -> None:
        super().__init__(messages, sink, placed, rounded)
        self.id, self._done = id, done
        self.answer: Response | Registered | Exception | None = None

    def finish(self, answer: Response | Registered | Exception) -> None:
        """Give the answer, the first time."""
        if self.answer is None:
            self.answer = answer
            self.placed = None
            self._done()

    def result(self) -> Any:
        """The answer, raised if it is an error: a response, or what is registered."""
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


class _Stream:
    """One open EvaluateStream, shared by the threads of a process."""

    def __init__(self, channel: Any, target: str, wire_dtype: np.dtype[Any] | None) -> None:
        self._target, self._wire_dtype = target, wire_dtype
        self._leases: dict[int, int] = {}  # sizes that were asked for
        self._shared = SharedPool(self._lease, self._release)
        self._shared.off = not _on_this_host(target)
        self._queue: queue.SimpleQueue[_Waiting | None] = queue.SimpleQueue()
        self._pending: dict[int, _Waiting] = {}
        self._lock = threading.Lock()
        self._ids = itertools.count(1)
        self.error: LossdError | None = None
        self._call = channel.stream_stream(METHOD)(self._messages())
        self._reading = threading.Lock()
        self._reader: threading.Thread | None = None

    def submit(
        self, request: Request | Register, done: Callable[[], object], sink: Sink | None
    ) -> tuple[int, _Waiting]:
        """Send a request; its id, and what holds the answer once `done` was called."""
        id = next(self._ids)
        asked, placed, names = request, None, list[str]()
        if isinstance(request, Request):
            placed = self._shared.place(request) if sink is None else None
            if placed is not None:
                asked = placed.request
            elif self._wire_dtype is not None:
                asked, names = rounded(request, self._wire_dtype)
        waiting = _Waiting(id, messages_of(id, asked), done, sink, placed, names)
        with self._lock:
            error = self.error
            if error is None:
                self._pending[id] = waiting
        if error is None:
            self._queue.put(waiting)
        else:
            waiting.finish(error)
        return id, waiting

    def empty(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array | None:
        """An array in shared memory, if there is room at once; else more is asked for."""
        return self._shared.array(shape, dtype)

    def wait(self, waiting: _Waiting, done: threading.Lock, timeout: float | None) -> bool:
        """Wait for an answer; whether it came in time.

        A thread that waits alone and without a deadline reads the stream itself, which saves a
        hop between threads. Otherwise a thread of its own reads, from then on.
        """
        if timeout is None and self._reader is None and self._reading.acquire(blocking=False):
            try:
                while waiting.answer is None and self._read_one():
                    pass
            finally:
                self._reading.release()
            return True
        self.start_reader()
        return done.acquire(timeout=-1 if timeout is None else max(timeout, 0))

    def start_reader(self) -> None:
        """Have a thread of its own read the stream."""
        with self._lock:
            if self._reader is not None:
                return
            self._reader = threading.Thread(
                target=self._read, name="lossd-client-reader", daemon=True
            )
        self._reader.start()

    def unregister(self, token: str) -> None:
        """Have a tensor kept no longer."""
        self._say(Unregister(token))

    def cancel(self, id: int) -> None:
        """Give an evaluation up."""
        waiting = self._pending.pop(id, None)
        if waiting is not None:
            if waiting.placed is not None:
                waiting.placed.spoil()
            waiting.finish(CancelledError("the evaluation was given up"))  # stops its chunks
            self._say(wire.Cancel(), id)

    def _say(self, message: wire.StreamMessage, id: int | None = None) -> int:
        """Send a message that nobody waits for an answer to; its id."""
        id = next(self._ids) if id is None else id
        self._queue.put(_Waiting(id, iter([wire.write_stream(id, message)]), int))
        return id

    def _lease(self, size: int) -> None:
        """Ask for shared memory; the answer comes whenever it does."""
        id = next(self._ids)
        self._leases[id] = size
        self._say(Lease(size), id)

    def _release(self, segment: int) -> None:
        self._say(Release(segment))

    def close(self) -> None:
        """End the stream; what is under way fails."""
        self._fail(CancelledError("the client was closed"))
        self._queue.put(None)
        self._call.cancel()

    def _messages(self) -> Iterator[bytes]:
        """What gRPC sends, a message of each evaluation in turn; small ones together."""
        active: deque[_Waiting] = deque()
        small, size = list[bytes](), 0
        while True:
            while not (active or small) or not self._queue.empty():
                item = self._queue.get()
                if item is None:
                    return
                active.append(item)
                del item
            message = self._turn(active) if active else None
            large = message is not None and len(message) > wire.TOGETHER
            if small and (large or not active or size > wire.TOGETHER):
                yield wire.write_together(small)
                small, size = [], 0
            if message is not None and large:
                yield message
            elif message is not None:
                small.append(message)
                size += len(message)
            del message  # nothing is kept until the next call

    def _turn(self, active: deque[_Waiting]) -> bytes | None:
        """The next message of the first evaluation, which then is the last."""
        waiting = active.popleft()
        # failed or given up: the rest need not be sent
        message = self._next(waiting) if waiting.answer is None else None
        if message is not None:
            active.append(waiting)
        return message

    def _next(self, waiting: _Waiting) -> bytes | None:
        """The next message of an evaluation; what its pieces raise, its caller gets."""
        try:
            return next(waiting.messages, None)
        except Exception as error:  # noqa: BLE001  the caller's own code, whatever it raises
            self._pending.pop(waiting.id, None)
            waiting.finish(error)
            return wire.write_stream(waiting.id, wire.Cancel())

    def _read(self) -> None:
        with self._reading:
            while self._read_one():
                pass

    def _read_one(self) -> bool:
        """Read a message and give it to whom it is for; False at the stream's end."""
        import grpc

        try:
            message = next(self._call, None)
            if message is None:
                self._fail(unavailable(self._target, "the server ended the stream"))
                return False
            for part in wire.read_together(message):
                self._take(*wire.read_stream_response(part))
        except grpc.RpcError as error:
            self._fail(self._translated(error))
            return False
        except LossdError as error:
            self._fail(error)
            self._call.cancel()
            return False
        return True

    def _take(self, id: int, item: wire.Answered) -> None:
        size = self._leases.pop(id, None)
        if size is not None and isinstance(item, Leased):
            self._shared.attach(item, size)
            return
        if size is not None:
            self._shared.refused(size)
            return
        if isinstance(item, Leased):
            raise ProtocolError("memory is leased that was not asked for")
        waiting = self._pending.get(id)
        if waiting is None:
            if id == 0 and isinstance(item, LossdError):
                raise item
            return  # given up meanwhile
        try:
            answer = waiting.take(item) if isinstance(item, Response | Chunk) else item
        except LossdError:
            raise
        except Exception as error:  # noqa: BLE001  the caller's own code, whatever it raises
            waiting.finish(error)
            self.cancel(id)
            return
        if answer is not None:
            self._pending.pop(id, None)
            waiting.finish(answer)

    def _translated(self, error: Any) -> LossdError:
        code, details = error.code().value[0], error.details()
        if code == UnavailableError.code:
            return unavailable(self._target, details)
        if code == CancelledError.code:
            return UnavailableError(f"the connection to {self._target} was lost: {details}")
        return wire.error_for(code, f"{self._target}: {details}")

    def _fail(self, error: LossdError) -> None:
        self._shared.close()
        with self._lock:
            self.error = self.error or error
            pending, self._pending = self._pending, {}
        for waiting in pending.values():
            waiting.finish(error)


class _Deadline:
    """A moment, or never."""

    def __init__(self, timeout: float | None) -> None:
        self._at = None if timeout is None else time.monotonic() + timeout

    def left(self) -> float | None:
        """Seconds until then."""
        return None if self._at is None else self._at - time.monotonic()


def _on_this_host(target: str) -> bool:
    """Whether a target may be on this host; what the server leases tells for sure."""
    host = target.removeprefix("dns:///").rpartition(":")[0]
    return target.startswith("unix:") or host in ("localhost", "127.0.0.1", "[::1]")


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
        self._stream: _Stream | None = None
        self._channel: Any = None
        self._process = os.getpid()
        self._closed = False

    def evaluate(
        self, request: Request, timeout: float | None, sink: Sink | None = None
    ) -> Response:
        """Send a request and wait for its answer; again, if the connection is lost."""
        response: Response = _Call(self, request, _Deadline(timeout), sink).result()
        return response

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

    def empty(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
        """An array with undefined values, in memory that is shared with the server if possible."""
        found = self.connected().empty(shape, dtype)
        if found is None:
            # memory was asked for: the answer to that comes before the answer to this
            one = np.ones(1, np.float32)
            self.evaluate(Request("l1_loss", {"input": one, "target": one}), None)
            found = self.connected().empty(shape, dtype)
        return pool.empty(shape, dtype) if found is None else found

    def again(self, request: Request | Register, attempt: int, deadline: "_Deadline") -> bool:
        """Whether a request whose connection was lost is worth another try."""
        left = deadline.left()
        in_time = left is None or _pause(attempt) < left
        return attempt < self._retries and in_time and not self._closed and not _begun(request)

    async def _try_async(
        self, request: Request, deadline: "_Deadline", sink: Sink | None
    ) -> Response:
        stream, done, loop = self.connected(), asyncio.Event(), asyncio.get_running_loop()
        finish = functools.partial(loop.call_soon_threadsafe, done.set)
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

    def late(self, request: Request | Register) -> DeadlineError:
        """The error for a deadline that passed."""
        what = request.loss if isinstance(request, Request) else "register"
        return DeadlineError(f"{what}: no answer from {self._target} in time")

    def connected(self) -> _Stream:
        """The stream, opened if there is none; not one that failed."""
        with self._lock:
            if self._closed:
                raise CancelledError("the client was closed")
            if self._process != os.getpid():  # a fork: the parent's connection is not ours
                self._process, self._channel, self._stream = os.getpid(), None, None
            if self._stream is None or self._stream.error is not None:
                if self._channel is None:
                    # gRPC's handlers keep a fork safe; the variable is read when it is loaded
                    os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "1")
                    import grpc

                    self._channel = grpc.insecure_channel(self._target, OPTIONS)
                self._stream = _Stream(self._channel, self._target, self._wire_dtype)
            return self._stream

    def close(self) -> None:
        """Close the connection; what is under way fails with CancelledError."""
        with self._lock:
            self._closed = True
            if self._process != os.getpid():
                return
            if self._stream is not None:
                self._stream.close()
            if self._channel is not None:
                self._channel.close()


class _Call:
    """An evaluation by a server, begun with its making."""

    def __init__(
        self, remote: Remote, request: Request | Register, deadline: _Deadline, sink: Sink | None
    ) -> None:
        self._remote, self._request, self._deadline, self._sink = remote, request, deadline, sink
        self._send()

    def _send(self) -> None:
        self._done = threading.Lock()
        self._done.acquire()
        self._stream = self._remote.connected()
        self._id, self._waiting = self._stream.submit(self._request, self._done.release, self._sink)

    def result(self) -> Any:
        """Wait for the answer; send again, if the connection is lost."""
        for attempt in itertools.count():
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
