"""Writes large tensors to shared memory while the server computes them.

The server is told of an evaluation before its tensors are there, computes what has been written,
and tells how far it has read. Tensors that are larger than a processor's caches go round in a ring
of memory that stays in these, which takes half as long as writing all of them to memory.
"""

import threading
import time
from collections.abc import Iterator, Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from lossd_client.dtypes import is_float
from lossd_client.streamed import STREAMED

Array = npt.NDArray[Any]

FROM: Final = 1 << 20
"""Bytes of tensors from which they are written while they are computed."""

ROUND_FROM: Final = 16 << 20
"""Bytes of tensors from which they go round."""

_SLOW: Final = 0.3
"""Share of the time that may be spent waiting for the server to read what is in a ring. Where three
calls in a row take longer to compute, the next ones are written whole if there is memory for that:
it uses all processors for what is left then."""

_ROOM: Final = 8 << 20
"""Bytes of a ring, and what goes before it."""

_HEAD: Final = 4096  # bytes before the lanes of a ring
_WORDS: Final = 128  # bytes of them by which it is told how far it is
_PIECE: Final = 1 << 18  # bytes of each tensor that are written at a time


class Filling:
    """Tensors that are being written, all of one type and shape, each to its lane.

    Args:
        loss: whose tensors they are.
        tensors: what is written.

    Attributes:
        names: of the tensors.
        capacity: bytes of a lane: all that a tensor has, or fewer, which it goes round.
        size: bytes of shared memory that are needed for lanes that tensors go round, and for the
            words that tell how far they are.
    """

    def __init__(self, loss: str, tensors: Mapping[str, Array]) -> None:
        first = next(iter(tensors.values()))
        self._kind = loss, first.dtype, first.shape, *tensors
        self._sources = [tensor.reshape(-1).view(np.uint8) for tensor in tensors.values()]
        self._total = first.nbytes
        self.names = tuple(tensors)
        self.capacity = _capacity(first, len(tensors))
        self.size = _HEAD if self.capacity == first.nbytes else _ROOM

    @classmethod
    def of(cls, loss: str, tensors: Mapping[str, Array]) -> "Filling | None":
        """What can be written while it is computed; None where that is little.

        Args:
            loss: its functional name.
            tensors: its tensors that have to be written.
        """
        found = dict[str, Array]()
        kind: Any = None
        for name in STREAMED.get(loss, ()):
            tensor = tensors.get(name)
            if tensor is None or not (tensor.flags.c_contiguous and is_float(tensor.dtype)):
                continue
            kind = kind or (tensor.dtype, tensor.shape)
            if kind == (tensor.dtype, tensor.shape):
                found[name] = tensor
        return cls(loss, found) if sum(t.nbytes for t in found.values()) >= FROM else None

    @property
    def round(self) -> bool:
        """Whether tensors go round in lanes that have less room."""
        return self.capacity < self._total

    @property
    def slow(self) -> bool:
        """Whether memory for whole tensors would be better than lanes that they go round."""
        return _slow.get(self._kind, 0) >= _IN_A_ROW

    def stay_whole(self) -> None:
        """Do without lanes that tensors go round."""
        self.capacity = self._total

    def lanes(self, room: Array) -> dict[str, Array]:
        """The lanes that tensors go round, in `size` bytes of shared memory."""
        starts = [_HEAD + k * self.capacity for k in range(len(self.names))]
        return {
            name: room[start : start + self.capacity]
            for name, start in zip(self.names, starts, strict=True)
        }

    def begin(self, room: Array, lanes: Mapping[str, Array]) -> Array:
        """Say that nothing is written, before the server is told of it.

        Args:
            room: `size` bytes of shared memory.
            lanes: where tensors are written to.

        Returns:
            Where it is told: int64[16], how many bytes of each tensor are written, and, 64 bytes
            on, read.
        """
        self._words = room[:_WORDS].view(np.int64)
        self._words[:] = 0
        rooms = [lanes[name].reshape(-1).view(np.uint8) for name in self.names]
        self._pairs = list(zip(self._sources, rooms, strict=True))
        return self._words

    def go_on(self) -> Iterator[bool]:
        """Write a piece at a time; whether there was room for one."""
        filled, taken = self._words[:1], self._words[8:9]
        at, total, capacity = 0, self._total, self.capacity
        begun, waited, order = time.perf_counter(), 0.0, threading.Lock()
        while at < total:
            free = capacity - at + int(taken[0]) if self.round else total
            begin = at % capacity
            length = min(_PIECE, total - at, capacity - begin)
            if free < min(length, capacity // 2):  # the server may want as many before it goes on
                since = time.perf_counter()
                yield False
                waited += time.perf_counter() - since
                continue
            length = min(length, free)
            for source, lane in self._pairs:
                lane[begin : begin + length] = source[at : at + length]
            at += length
            _keep_order(order)
            filled[0] = at
            yield True
        if waited > _SLOW * (time.perf_counter() - begun):
            if len(_slow) >= _KINDS:
                _slow.clear()
            _slow[self._kind] = _slow.get(self._kind, 0) + 1
        elif self.round:
            _slow.pop(self._kind, None)


_KINDS: Final = 256
_IN_A_ROW: Final = 3
_slow: Final = dict[tuple[Any, ...], int]()
"""Kinds of calls that took longer to compute than to write, `_KINDS` at most, and how many did."""


def _capacity(tensor: Array, count: int) -> int:
    """Bytes of each lane for `count` tensors like this one.

    Of a ring they are whole rows, where these are large, and two of them at least.
    """
    if count * tensor.nbytes < ROUND_FROM:
        return tensor.nbytes
    size = (_ROOM - _HEAD) // count // 64 * 64
    row = tensor.nbytes // tensor.shape[0] if tensor.ndim > 1 else tensor.itemsize
    if row > size // 2:
        return tensor.nbytes
    return size - size % row if row % 64 == 0 else size


def _keep_order(lock: threading.Lock) -> None:
    """Have other processors see what was written before in front of what is written after.

    Letting go of a lock keeps what is before it there, taking it what is after it.
    """
    for _ in range(2):
        with lock:
            pass
