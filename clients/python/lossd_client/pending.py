"""What is sent for a request, and what comes back until its answer is complete."""

import functools
import itertools
from collections.abc import Callable, Collection, Iterator
from typing import Any, Final

import numpy as np

from lossd_client import wire
from lossd_client.buffers import Pool
from lossd_client.dtypes import narrowed, widened
from lossd_client.errors import ProtocolError
from lossd_client.pieces import Sink
from lossd_client.shared import Placed
from lossd_client.streamed import STREAMED
from lossd_client.wire import Announcement, Array, Chunk, Register, Request, Response, Shared

pool: Final = Pool()
"""Where large results come from."""


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
            self._response = Response(tensors, item.warning, item.seconds)
        elif self._response and item.name in self._incoming:
            self._missing -= self._incoming[item.name].add(item)
            self._response.seconds += item.seconds
        else:
            raise ProtocolError(f"an unexpected chunk of {item.name!r} at byte {item.offset}")
        return self._response if self._missing == 0 else None

    def filled(self) -> Iterator[bool]:
        """Write what is to be written of its tensors once it is sent: `Filling.go_on`."""
        filling = None if self.placed is None else self.placed.filling
        return iter(()) if filling is None else filling.go_on()

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

    def __init__(self, array: Array, dtype: np.dtype[Any], size: int) -> None:
        super().__init__(dtype, array.shape)
        self._array, self._chunk = array, size

    def chunks(self, name: str) -> Iterator[Chunk]:
        """What is sent, made as it is asked for."""
        flat = np.ascontiguousarray(self._array).reshape(-1)
        row = self.shape[-1] if self.shape else 1
        step = self._chunk // self.dtype.itemsize
        step -= step % row if 0 < row <= step else 0
        for at in range(0, flat.size, step):
            values = narrowed(flat[at : at + step], self.dtype)
            yield from wire.chunks_of(name, values, at * self.dtype.itemsize)


def rounded(request: Request, dtype: np.dtype[Any], size: int) -> tuple[Request, list[str]]:
    """A request whose float32 tensors are sent in half precision, and their names.

    Args:
        request: what is asked.
        dtype: the half precision.
        size: bytes of a chunk at most.
    """
    found: dict[str, wire.Content] = {}
    for name, tensor in request.tensors.items():
        if isinstance(tensor, np.ndarray) and tensor.dtype == np.float32:
            large = tensor.nbytes > size
            found[name] = _Rounded(tensor, dtype, size) if large else narrowed(tensor, dtype)
    return request.with_tensors({**request.tensors, **found}), list(found)


def messages_of(id: int, request: Request | Register, size: int = wire.CHUNK) -> Iterator[bytes]:
    """The messages of one evaluation: the first is written here, chunks as they are asked for.

    Args:
        id: the evaluation's.
        request: what is asked.
        size: bytes of a chunk at most.
    """
    for tensor in request.tensors.values():
        if tensor.nbytes > size or isinstance(tensor, Announcement):
            break
    else:
        return iter((wire.write_stream(id, request),))
    rows = STREAMED.get(request.loss) if isinstance(request, Request) else None
    first, chunks = wire.split(request.tensors, size, rows)
    head = wire.write_stream(id, request.with_tensors(first))
    return itertools.chain([head], (wire.write_stream(id, chunk) for chunk in chunks))
