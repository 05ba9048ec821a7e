"""Tensors that are kept for later evaluations, which name them by a handle."""

import dataclasses
import functools
import math
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy.typing as npt
from lossd_client.errors import HandleError, ResourceError, ShapeError
from lossd_client.handles import Handle
from lossd_client.wire import Request

from lossd.answers import LATER, Later

Array = npt.NDArray[Any]

LEAST: Final = 4096
"""Bytes that a tensor counts at least: many small ones take memory, too."""

_OFTEN: Final = 0.1
"""Seconds between looks at all that is kept for what was not used in its time, at least."""


@dataclass
class _Kept:
    array: Array
    seconds: float
    owner: object
    ends: float


class Registry:
    """The tensors that are kept. Used by one thread at a time.

    Args:
        limit: bytes of them all.
        longest: seconds that one is kept after its last use.
        clock: tells the time in seconds.
    """

    def __init__(
        self, limit: int, longest: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._limit, self._longest, self._clock = limit, longest, clock
        self._kept: dict[str, _Kept] = {}
        self._next = math.inf  # nothing ends before that
        self.used = 0

    def add(self, array: Array, seconds: float | None, owner: object = None) -> tuple[str, float]:
        """Keep a tensor that nobody else writes to; its handle, and how long it is kept.

        Args:
            array: the tensor.
            seconds: how long after its last use, at most the longest; None: the longest.
            owner: whom it is for alone; None: whoever knows the handle.

        Raises:
            ResourceError: there is no room for it.
        """
        self.require_room(array.nbytes)
        kept = self._longest if seconds is None else min(seconds, self._longest)
        array.flags.writeable = False
        token = secrets.token_urlsafe(16)
        ends = self._clock() + kept
        self._kept[token] = _Kept(array, kept, owner, ends)
        self._next = min(self._next, ends)
        self.used += max(array.nbytes, LEAST)
        return token, kept

    def require_room(self, size: int) -> None:
        """Make sure that there is room for so many bytes.

        Raises:
            ResourceError: there is not.
        """
        self.expire()
        if self.used + max(size, LEAST) > self._limit:
            raise ResourceError(
                f"{size:,} bytes cannot be registered: {self._limit - self.used:,} of the server's "
                f"{self._limit:,} are free (--max-registered-bytes)"
            )

    def find(
        self, name: str, handle: Handle, owner: object = None, *, later: bool = False
    ) -> Array | Later:
        """The tensor that a handle names, or its rows: `later`, where they are copied.

        Raises:
            HandleError: there is none, or not for this owner.
            ShapeError: it has no such rows.
        """
        kept = self._at(handle.token, owner, name)
        kept.ends = self._clock() + kept.seconds
        if handle.rows is None and handle.start == 0 and handle.stop is None:
            return kept.array
        if not kept.array.ndim:
            raise ShapeError(f"{name} has 0 rows at the server: it is a scalar", field=name)
        count = kept.array.shape[0]
        stop = count if handle.stop is None else handle.stop
        rows = handle.rows
        first, last = (handle.start, stop) if rows is None else (0, 0)
        if rows is not None and rows.size:
            first, last = int(rows.min()), int(rows.max()) + 1
        if not 0 <= first <= last <= count:
            raise ShapeError(
                f"{name} has {count} rows at the server; {first} to {last - 1} were asked for",
                field=name,
            )
        if rows is None:
            return kept.array[first:last]
        shape = rows.size, *kept.array.shape[1:]
        found = Later(kept.array.dtype, shape, functools.partial(kept.array.take, rows, 0))
        return found if later else found.make()

    def resolved(
        self,
        request: Request,
        owner: object = None,
        require: Callable[[int], object] = lambda size: None,
    ) -> Request:
        """A request with tensors in place of handles; raises as `find`.

        Args:
            request: names tensors by handles.
            owner: who asks.
            require: raises if there is no room for so many bytes, of the rows that are copied.
        """
        copied = sum(self._copied(name, h, owner) for name, h in request.handles.items())
        require(copied)
        later = copied >= LATER
        tensors: dict[str, Any] = dict(request.tensors)
        for name, handle in request.handles.items():
            tensors[name] = self.find(name, handle, owner, later=later)
        return dataclasses.replace(request, tensors=tensors, handles={})

    def remove(self, token: str, owner: object = None) -> None:
        """Keep a tensor no longer.

        Raises:
            HandleError: there is none, or not for this owner.
        """
        self._at(token, owner, "handle")
        self._drop(token)

    def remove_all(self, owner: object) -> None:
        """Keep what is for this owner alone no longer."""
        for token in [token for token, kept in self._kept.items() if kept.owner is owner]:
            self._drop(token)

    def expire(self) -> None:
        """Drop what was not used in its time."""
        now = self._clock()
        if now < self._next:
            return
        for token in [token for token, kept in self._kept.items() if kept.ends <= now]:
            self._drop(token)
        ends = min((kept.ends for kept in self._kept.values()), default=math.inf)
        self._next = max(ends, now + _OFTEN)

    def _copied(self, name: str, handle: Handle, owner: object) -> int:
        """Bytes of the rows that a handle names one by one."""
        if handle.rows is None:
            return 0
        array = self._at(handle.token, owner, name).array
        return handle.rows.size * math.prod(array.shape[1:]) * array.itemsize

    def _at(self, token: str, owner: object, name: str) -> _Kept:
        kept = self._kept.get(token)
        if kept is not None and kept.ends <= self._clock():
            self._drop(token)
            kept = None
        if kept is None or (kept.owner is not None and kept.owner is not owner):
            raise HandleError(
                f"{name}: no tensor is registered here under that handle: it expired, was "
                "unregistered, is another stream's or another worker's, or the server started anew",
                field=name,
            )
        return kept

    def _drop(self, token: str) -> None:
        self.used -= max(self._kept.pop(token).array.nbytes, LEAST)
