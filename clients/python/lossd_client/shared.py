"""Memory that a server on this host leased to a stream: tensors in it are named, not sent."""

import functools
import math
import mmap
import os
import re
import stat
import threading
import time
import weakref
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from lossd_client.buffers import ALIGNMENT, LARGE, class_of
from lossd_client.dtypes import is_float
from lossd_client.errors import ProtocolError
from lossd_client.filling import Filling
from lossd_client.wire import Content, Leased, Place, Request, Ring, Shared, address_of

Array = npt.NDArray[Any]

FROM: Final = LARGE
"""Bytes from which a tensor goes through shared memory."""

AGAIN: Final = 1.0
"""Seconds after which memory that was refused is asked for again."""

IDLE: Final = 30.0
"""Seconds after which memory that nothing uses goes back, at the next use of any."""

STAGED: Final = 1 << 12
"""Bytes from which a smaller one does, with others of its request."""

LEAST: Final = 1 << 20
"""Bytes of shared memory for such, at least."""

PATH: Final = re.compile(r"/proc/\d+/fd/\d+")
"""What a server's memory and pipes are opened by."""


@dataclass(frozen=True, eq=False)
class Block:
    """Memory that both ends map."""

    segment: int
    memory: Array

    @functools.cached_property
    def address(self) -> int:
        """Where it begins here."""
        return address_of(self.memory)


def mapped(leased: Leased) -> Block:
    """Map leased memory.

    Raises:
        OSError, ValueError: there is nothing such: the server is on another host.
    """
    if not PATH.fullmatch(leased.path):
        raise ValueError(f"{leased.path} is no path of leased memory")
    found = Path(leased.path).stat()
    if not stat.S_ISREG(found.st_mode) or found.st_size < leased.size or leased.size < 1:
        raise ValueError(f"{leased.path} is something else")
    file = os.open(leased.path, os.O_RDWR | os.O_CLOEXEC)
    try:
        memory = np.frombuffer(mmap.mmap(file, leased.size), np.uint8)
    finally:
        os.close(file)
    if bytes(memory[: len(leased.token)]) != leased.token or not leased.token:
        raise ValueError(f"{leased.path} is something else")
    return Block(leased.segment, memory)


class Loan:
    """What an array in shared memory is based on; the block goes back when the array is gone.

    Attributes:
        spoilt: whether the block is never used again, since the server may still do.
    """

    def __init__(self, pool: "SharedPool", block: Block, shape: tuple[int, ...]) -> None:
        # else streams that were dropped would stay: the collector does not see what arrays refer to
        self._pool = weakref.ref(pool)
        self.block, self.spoilt = block, False
        self.__array_interface__ = {
            "data": (block.address, False),
            "shape": shape,
            "typestr": "|u1",
            "version": 3,
        }

    def is_of(self, pool: "SharedPool") -> bool:
        """Whether a pool gave it."""
        return self._pool() is pool

    def __del__(self) -> None:
        pool = self._pool()
        if pool is not None:
            pool.give_back(self.block, keep=not self.spoilt)


def loan_of(array: Array) -> Loan | None:
    """What an array in shared memory is based on; None of another array."""
    base: Any = array
    while isinstance(base, np.ndarray):
        base = base.base
    return base if isinstance(base, Loan) else None


class SharedPool:
    """A stream's shared memory: blocks that are free, and requests for more.

    Blocks of sizes that are no longer asked for go back: after a while, or as soon as there is no
    room for others.

    Args:
        ask: sends a request for so many bytes, whose answer goes to `attach` or `refused`.
        release: tells the server that a block is let go of.
        limit: bytes that are leased at most.

    Attributes:
        off: whether there is none, ever: the stream is gone, or what it leases cannot be mapped.
    """

    def __init__(
        self,
        ask: Callable[[int], object],
        release: Callable[[int], object],
        limit: int = 4 << 30,
    ) -> None:
        self._ask, self._release, self._limit = ask, release, limit
        # by segment: a block and since when it is free, those that are for longest first
        self._free: dict[int, tuple[Block, float]] = {}
        self._leased = 0
        self._lock = threading.RLock()  # a finaliser may run while it is held
        self._refused: tuple[float, float] = (math.inf, 0.0)  # from which size on, until when
        self._closed = False
        self.off = False

    def array(self, shape: tuple[int, ...], dtype: np.dtype[Any], ask: bool = True) -> Array | None:
        """An array in shared memory; None if there is none free, and more is asked for."""
        size = math.prod(shape) * dtype.itemsize
        if size < FROM:
            return None
        block = self._take(class_of(size), ask)
        if block is None:
            return None
        return np.asarray(Loan(self, block, (size,))).view(dtype).reshape(shape)

    def _take(self, size: int, ask: bool) -> Block | None:
        with self._lock:
            for block, _ in reversed(list(self._free.values())):
                if block.memory.size == size and self._free.pop(block.segment, None) is not None:
                    return block
        if ask:
            self._ask_more(size)
        return None

    def _ask_more(self, size: int) -> None:
        """Ask for a block, if there may be one."""
        with self._lock:
            now = time.monotonic()
            least, until = self._refused
            if self.off or size > self._limit or (size >= least and now < until):
                return
            idle = self._idle(now - IDLE, self._leased + size - self._limit)
            fits = self._leased + size <= self._limit
            self._leased += size * fits
        for block in idle:
            self._release(block.segment)
        if fits:
            self._ask(size)

    def _idle(self, before: float, needed: int = 0) -> list[Block]:
        """Forget blocks that are free since before a time, and more until so much is let go of.

        The caller releases them.
        """
        gone = []
        for block, since in list(self._free.values()):
            if since > before and needed <= 0:
                break
            if self._free.pop(block.segment, None):  # a finaliser may have been here
                gone.append(block)
                needed -= block.memory.size
                self._leased -= block.memory.size
        return gone

    def attach(self, leased: Leased, size: int) -> None:
        """Take a leased block in."""
        try:
            block = mapped(leased)
        except (OSError, ValueError):
            with self._lock:
                self._leased -= size
                self.off = True
            self._release(leased.segment)  # others may have use for it
            return
        with self._lock:
            self._free[block.segment] = block, time.monotonic()

    def refused(self, size: int) -> None:
        """There is no room for so many bytes now: go without for a while.

        What nothing has used for as long makes room, if it is as much.
        """
        with self._lock:
            self._leased -= size
            now = time.monotonic()
            least = self._refused[0] if now < self._refused[1] else math.inf
            self._refused = min(size, least), now + AGAIN
            unused = [
                b.memory.size for b, since in list(self._free.values()) if since <= now - AGAIN
            ]
            idle = self._idle(now - AGAIN) if sum(unused) >= size else []
        for block in idle:
            self._release(block.segment)

    def close(self) -> None:
        """Forget everything: the stream is gone."""
        with self._lock:
            self.off = self._closed = True
            self._free.clear()

    def give_back(self, block: Block, keep: bool) -> None:
        """Take a block back, or let go of it."""
        with self._lock:
            if keep and not self._closed:
                now = time.monotonic()
                self._free[block.segment] = block, now
                gone = self._idle(now - IDLE)
            else:
                self._leased -= block.memory.size
                gone = [] if self._closed else [block]
        for each in gone:
            self._release(each.segment)

    def place_of(self, array: Array) -> Place | None:
        """Where an array is, if it is in this memory as it would be sent."""
        loan = loan_of(array)
        if loan is None or not loan.is_of(self) or not array.flags.c_contiguous:
            return None
        return Place(loan.block.segment, address_of(array) - loan.block.address)

    def ask_for(self, request: Request, ring: "Staging") -> None:
        """Ask for memory that `place` would need and that is not there."""
        found = None if self.off else self._large(request)
        if found is None:
            return
        moved = found[1]
        filling = Filling.of(request.loss, moved)
        if filling is not None:
            ring.room(filling.size)
            if filling.round and not filling.slow:
                moved = {n: t for n, t in moved.items() if n not in filling.names}
        arrays = [*moved.values(), *_with_large_gradients(request).values()]
        with self._lock:  # counted, not taken: others may want them
            there = Counter(block.memory.size for block, _ in list(self._free.values()))
        for size in (Counter(class_of(array.nbytes) for array in arrays) - there).elements():
            self._ask_more(size)

    def place(
        self, request: Request, ring: "Staging | None", *, ask: bool, settled: bool = False
    ) -> "Placed | None":
        """A request whose large tensors are in shared memory.

        Args:
            request: what is asked.
            ring: room through which tensors can be written while they are computed.
            ask: whether memory that is missing is asked for, and all tensors are written here;
                else some may be left to `Placed.filling`.
            settled: whether tensors that would better be written whole go round where there is no
                memory for that.

        Returns:
            None if it does not fit there, and where nothing is large.
        """
        found = None if self.off else self._large(request)
        if found is None:
            return None
        tensors, moved = found
        filling = None if ring is None else Filling.of(request.loss, moved)
        track, own, lanes = None, dict[str, Array](), dict[str, Array]()
        results = dict[str, Array]()
        complete = self._find_rooms(_with_large_gradients(request), results, ask)
        if filling is not None and ring is not None and not ask:
            track = ring.room(filling.size, ask)
        if filling is not None and track is not None and filling.round:
            whole = {name: moved[name] for name in filling.names}
            if filling.slow and self._find_rooms(whole, own, ask):
                filling.stay_whole()
            elif filling.slow and not settled:
                return None
            else:
                own, lanes = {}, filling.lanes(track)
        missing = {n: t for n, t in moved.items() if n not in own and n not in lanes}
        complete &= self._find_rooms(missing, own, ask)
        if filling is not None and ring is not None and ask:
            ring.room(filling.size, ask)  # for later calls
        rooms = own | lanes
        there = any(isinstance(tensor, Shared) for tensor in tensors.values())
        if not complete or not (there or rooms or results):
            return None
        for name, room in rooms.items():
            if filling is None or track is None or name not in filling.names:
                np.copyto(room, moved[name])
            tensors[name] = Shared(moved[name].dtype, moved[name].shape, self._placed(room))
        asked = request.with_tensors(tensors)
        asked.places = {name: self._placed(room) for name, room in results.items()}
        placed = Placed(asked, list(own.values()), results)
        if filling is not None and track is not None:
            words = filling.begin(track, rooms)
            asked.ring = Ring(filling.names, self._placed(words), filling.capacity)
            placed.loans.append(track)
            placed.filling = filling
        return placed

    def _large(self, request: Request) -> tuple[dict[str, Content], dict[str, Array]] | None:
        """A request's tensors, those named that are here already; and large ones that are not.

        Returns:
            None if there are some of no bytes.
        """
        tensors, moved = dict[str, Content](request.tensors), dict[str, Array]()
        for name, tensor in request.tensors.items():
            if not isinstance(tensor, np.ndarray) or tensor.dtype.hasobject:
                return None
            if tensor.nbytes < FROM:
                continue
            place = self.place_of(tensor)
            if place is None:
                moved[name] = tensor
            else:
                tensors[name] = Shared(tensor.dtype, tensor.shape, place)
        return tensors, moved

    def _find_rooms(self, tensors: Mapping[str, Array], rooms: dict[str, Array], ask: bool) -> bool:
        """Find room for tensors like these; whether there was for all."""
        complete = True
        for name, tensor in tensors.items():
            room = self.array(tensor.shape, tensor.dtype, ask)
            if room is None:
                complete = False
            else:
                rooms[name] = room
        return complete

    def _placed(self, array: Array) -> Place:
        """Where an array of this memory is."""
        place = self.place_of(array)
        assert place is not None
        return place


def _with_large_gradients(request: Request) -> dict[str, Array]:
    """The tensors whose gradients are asked for and large."""
    found = {name: request.tensors.get(name) for name in request.gradients}
    return {
        name: tensor
        for name, tensor in found.items()
        if isinstance(tensor, np.ndarray) and tensor.nbytes >= FROM and is_float(tensor.dtype)
    }


@dataclass
class Placed:
    """A request in shared memory.

    request: names places.
    loans: arrays that are there for it alone.
    results: where gradients go.
    copied: where small ones go, which are taken out of there.
    filling: what is written once the server is told of it.
    """

    request: Request
    loans: list[Array]
    results: dict[str, Array]
    copied: dict[str, Array] = field(default_factory=dict)
    filling: Filling | None = None

    def result(self, name: str) -> Array:
        """The gradient "grad.NAME"."""
        if name in self.copied:
            return self.copied[name].copy()
        found = self.results.get(name)
        if found is None:
            raise ProtocolError(f"the answer has {name!r} in memory that was not offered")
        return found

    def spoil(self) -> None:
        """Never use the memory again: the server may still do."""
        for array in (*self.loans, *self.results.values()):
            loan = loan_of(array)
            assert loan is not None
            loan.spoilt = True


class Staging:
    """Shared memory that one request after the other uses: for all that is small of it, say.

    Args:
        pool: where it comes from.
    """

    def __init__(self, pool: SharedPool) -> None:
        self._pool = pool
        self._room: Array | None = None
        self._lock = threading.Lock()

    def place(self, placed: Placed) -> Placed | None:
        """A request with its small tensors and their gradients there, too.

        Args:
            placed: the request, with its large ones in memory of their own.

        Returns:
            None if there is no room now: more is asked for.
        """
        asked, size = placed.request, 0
        starts = dict[tuple[str, bool], int]()  # of a tensor, and of its gradient
        tensors = {n: t for n, t in asked.tensors.items() if not isinstance(t, Shared)}
        wanted = [n for n in asked.gradients if n in tensors and is_float(tensors[n].dtype)]
        for key in [(n, False) for n in tensors] + [(n, True) for n in wanted]:
            if tensors[key[0]].nbytes >= STAGED:
                starts[key] = size
                size += -(-tensors[key[0]].nbytes // ALIGNMENT) * ALIGNMENT
        room = self.room(size)
        if room is None:
            return None
        there, places, copied = dict(asked.tensors), dict(asked.places), dict[str, Array]()
        for (name, is_gradient), start in starts.items():
            tensor = tensors[name]
            part = room[start : start + tensor.nbytes].view(tensor.dtype).reshape(tensor.shape)
            place = self._pool.place_of(part)
            assert place is not None
            if is_gradient:
                copied[name], places[name] = part, place
            else:
                assert isinstance(tensor, np.ndarray)
                np.copyto(part, tensor)
                there[name] = Shared(tensor.dtype, tensor.shape, place)
        staged = asked.with_tensors(there)
        staged.places = places
        loans = [*placed.loans, room]
        return Placed(staged, loans, placed.results, copied, placed.filling)

    def room(self, size: int, ask: bool = True) -> Array | None:
        """So many bytes, the same ones as before if they are enough.

        Args:
            size: how many.
            ask: whether more memory is asked for if there are not.
        """
        with self._lock:
            room = self._room
            loan = None if room is None else loan_of(room)
            if room is None or loan is None or loan.spoilt or room.size < size:
                room = self._room = None  # before more is asked for
                room = self._room = self._pool.array((max(size, LEAST),), np.dtype(np.uint8), ask)
            return room
