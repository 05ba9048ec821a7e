"""Memory that this server shares with clients on its host.

Every segment is an anonymous file of the kernel's (memfd), sealed against changes of its size. It
has no name in any file system: a client of the same user opens it as a file of this process, and it
is gone when the last end that maps it is, however that ended.
"""

import errno
import fcntl
import gc
import mmap
import os
import resource
import secrets
import weakref
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from lossd_client.dtypes import is_float
from lossd_client.errors import ProtocolError, ResourceError
from lossd_client.wire import Leased, Place, Request, Shared

from lossd.answers import LATER, Later
from lossd.filling import Lanes
from lossd.server.limits import Budget

Array = npt.NDArray[Any]

AVAILABLE: Final = hasattr(os, "memfd_create")
MOST: Final = 256
"""Segments of a stream."""

FILES: Final = resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 2
"""Segments and pipes are files: the other half of those that may be open is for connections."""


_released: Final[weakref.WeakSet[mmap.mmap]] = weakref.WeakSet()
"""What was let go of and is still mapped."""


def collect_released() -> None:
    """Have memory unmapped that only what broke off still refers to: exceptions and their frames.

    They refer to each other, so that without this they would stay until the collector comes, which
    it does not while a server is idle.
    """
    if len(_released):
        gc.collect()


def _made(size: int) -> tuple[int, mmap.mmap]:
    """A new segment: its file and its memory.

    Raises:
        OSError: the system has no memory or no file for it.
    """
    file = os.memfd_create("lossd", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        if file >= FILES:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        os.ftruncate(file, size)
        seals = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL
        fcntl.fcntl(file, fcntl.F_ADD_SEALS, seals)
        return file, mmap.mmap(file, size)
    except OSError:
        os.close(file)
        raise


class Segments:
    """What is leased to one stream.

    Args:
        budget: bytes that all streams may have.
    """

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._memory: dict[int, tuple[int, mmap.mmap, Array]] = {}  # file, and its bytes twice
        self._last = 0

    def lease(self, size: int) -> Leased:
        """Make a segment.

        Raises:
            ResourceError: there is not so much.
        """
        if not AVAILABLE or not 0 < size <= self._budget.limit or len(self._memory) >= MOST:
            raise ResourceError(f"{size:,} bytes of shared memory cannot be leased")
        self._budget.take(size)
        try:
            file, mapped = _made(size)
        except OSError as error:
            self._budget.give_back(size)
            raise ResourceError(
                f"{size:,} bytes of shared memory cannot be leased: {error.strerror}"
            ) from error
        memory = np.frombuffer(mapped, np.uint8)
        token = secrets.token_bytes(16)[:size]
        memory[: len(token)] = np.frombuffer(token, np.uint8)
        self._last += 1
        self._memory[self._last] = file, mapped, memory
        return Leased(self._last, size, f"/proc/{os.getpid()}/fd/{file}", token)

    def release(self, segment: int) -> None:
        """Let go of a segment; what still computes in it keeps it.

        Raises:
            ProtocolError: it is not leased.
        """
        if segment not in self._memory:
            raise ProtocolError(f"segment {segment} is not leased to this stream")
        file, mapped, memory = self._memory.pop(segment)
        os.close(file)
        _released.add(mapped)
        self._budget.give_back(memory.size)

    def close(self) -> None:
        """Let go of all."""
        for segment in list(self._memory):
            self.release(segment)

    def tensor(self, name: str, shared: Shared) -> Array | Later:
        """The tensor at a place; whole numbers are copied, so that they stay as they are checked.

        Many of them are copied later, where they are computed.

        Raises:
            ProtocolError: the place is not leased to the stream, or too small.
        """
        array = self.room(name, shared.place, shared.dtype, shared.shape)
        if array.dtype.kind not in "iub":
            return array
        return array.copy() if array.nbytes < LATER else Later(array.dtype, array.shape, array.copy)

    def lanes(self, request: Request) -> Lanes:
        """The tensors of a request that are still being written.

        Raises:
            ProtocolError: there are none such, or not where it says.
        """
        assert request.ring is not None
        names, place, capacity = request.ring
        tensors = [t for name in names if isinstance(t := request.tensors.get(name), Shared)]
        kinds = {(t.dtype, t.shape) for t in tensors}
        own = len(tensors) == len(set(names)) and "grad_output" not in names
        if len(kinds) != 1 or not own or not is_float(tensors[0].dtype):
            raise ProtocolError(
                f"a ring of {', '.join(names) or 'nothing'}: it must be of different tensors in "
                "shared memory, grad_output not among them, which are real and have one type and "
                "shape"
            )
        ((dtype, shape),) = kinds
        total = tensors[0].nbytes
        if capacity != total and not (0 < capacity < total and capacity % 64 == 0):
            raise ProtocolError(
                f"a ring of {capacity} bytes for tensors of {total}: it must be these, or fewer "
                "and a multiple of 64"
            )
        memory = {}
        for name, tensor in zip(names, tensors, strict=True):
            count = capacity // dtype.itemsize
            memory[name] = self.room(name, tensor.place, dtype, (count,)).view(np.uint8)
        words = self.room("ring", place, np.dtype(np.int64), (16,))
        return Lanes(dtype, shape, memory, words[:1], words[8:9])

    def room(self, name: str, place: Place, dtype: np.dtype[Any], shape: tuple[int, ...]) -> Array:
        """The array at a place."""
        if place.segment not in self._memory:
            raise ProtocolError(
                f"{name!r} is in segment {place.segment}, which is not leased to this stream",
                field=name,
            )
        memory = self._memory[place.segment][2]
        size = Shared(dtype, shape, place).nbytes
        if place.offset + size > memory.size or place.offset % dtype.itemsize:
            raise ProtocolError(
                f"{name!r} is at byte {place.offset} of segment {place.segment} with its {size} "
                f"bytes: it must be within {memory.size}, at a multiple of {dtype.itemsize}",
                field=name,
            )
        return memory[place.offset : place.offset + size].view(dtype).reshape(shape)
