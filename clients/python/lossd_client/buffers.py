"""Large arrays that are used again.

A new array of megabytes costs a page fault for every 4 KiB, several times what a kernel costs.
"""

import math
import threading
from typing import Any, Final

import numpy as np

LARGE: Final = 1 << 18  # bytes from which an array comes from the pool
ALIGNMENT: Final = 64


def class_of(size: int) -> int:
    """The size of memory kept for `size` >= 8 bytes: there are four for each power of two."""
    step = 1 << (size - 1).bit_length() - 3
    return -(-size // step) * step


class Pool:
    """Memory that goes back when the last array over it is gone.

    Args:
        limit: bytes kept for later use at most: sizes that were not used for longest make room.
    """

    def __init__(self, limit: int = 1 << 30) -> None:
        self.limit = limit
        self.kept = 0
        self._free = dict[int, list[_Memory]]()  # by size, that which was used last at the end
        self._lock = threading.RLock()  # a finaliser may run while it is held

    def empty(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> np.ndarray[Any, Any]:
        """An array with undefined values, like `np.empty`."""
        size = math.prod(shape) * dtype.itemsize
        if size < LARGE:
            return np.empty(shape, dtype)
        rounded = class_of(size)
        with self._lock:
            stock = self._stock(rounded)
            memory = stock.pop() if stock else None
            self.kept -= rounded if memory is not None else 0
        if memory is None:
            memory = _Memory(rounded)
        return np.asarray(_Lease(self, memory, shape, dtype)).view(dtype)  # not all have a text

    def give_back(self, memory: "_Memory") -> None:
        """Take memory in for later use, unless it is as large as all that may be kept."""
        with self._lock:
            if memory.size > self.limit:
                return
            self._stock(memory.size).append(memory)
            self.kept += memory.size
            while self.kept > self.limit:
                oldest = next(iter(self._free))
                if self._free[oldest]:
                    self._free[oldest].pop()
                    self.kept -= oldest
                else:
                    del self._free[oldest]

    def _stock(self, size: int) -> "list[_Memory]":
        """What there is of a size, which is used now."""
        stock = self._free[size] = self._free.pop(size, [])
        return stock


class _Memory:
    """Bytes from an aligned address on."""

    __slots__ = ("_bytes", "address", "size")

    def __init__(self, size: int) -> None:
        self._bytes, self.size = np.empty(size + ALIGNMENT, np.uint8), size
        self.address = -(-self._bytes.ctypes.data // ALIGNMENT) * ALIGNMENT


class _Lease:
    """What an array from the pool is based on; gives the memory back when the array is gone."""

    def __init__(
        self, pool: Pool, memory: _Memory, shape: tuple[int, ...], dtype: np.dtype[Any]
    ) -> None:
        self._pool, self._memory = pool, memory
        self.__array_interface__ = {
            "data": (memory.address, False),
            "shape": shape,
            "typestr": dtype.str,
            "version": 3,
        }

    def __del__(self) -> None:
        self._pool.give_back(self._memory)
