"""How large a connection's chunks are: those that its calls took the least time with.

What computes, and what comes back, waits for the first chunk and for the last: where a connection
is slow, small chunks are better. Where processors are what is slow, each message is too many.
"""

from typing import Any, Final, NamedTuple

from lossd_client.wire import CHUNK, Announcement, Request

FROM: Final = 1 << 19
"""Bytes of a request's tensors from which chunks may be smaller than `CHUNK`."""

SMALL: Final = 1 << 17
"""Bytes of these."""

_TRIES: Final = 2
"""Calls that each size is tried with; the faster one counts: the first of all is slow."""

_FAST: Final = 1 / 400e6
"""Seconds per byte, there and back, that only processors hold up: calls over a loopback take
1/1600e6 to 1/500e6."""

_AGAIN: Final = 64
"""Calls after which a size that was slower is tried again."""

_LARGER: Final = 1.05
"""How much longer larger chunks may take: they leave more of both ends' processors to others."""

_KINDS: Final = 256


class Sent(NamedTuple):
    """A request that was sent: its kind, its bytes there and back, and the size of its chunks."""

    kind: Any
    total: int
    size: int


class _Tried:
    """What calls of one kind took per byte, by the size of chunks."""

    def __init__(self) -> None:
        self.took: dict[int, list[float]] = {CHUNK: [], SMALL: []}
        self._calls = 0

    def choose(self, near: bool, alone: bool) -> int:
        """The size of the next call's chunks."""
        large, small = self.took[CHUNK], self.took[SMALL]
        if near and large and min(large) < _FAST:
            return CHUNK
        if min(len(large), len(small)) < _TRIES:
            first = len(large) < _TRIES if near else len(large) < len(small)
            return CHUNK if first or not alone else SMALL
        self._calls += alone
        better = CHUNK if min(large) <= _LARGER * min(small) else SMALL
        again = alone and self._calls % _AGAIN == 0
        return (SMALL if better == CHUNK else CHUNK) if again else better


class Pace:
    """What calls took, by the size of their chunks.

    Args:
        near: whether the server seems to be on this host: large chunks are tried first then, and
            small ones not at all where these are fast. What seems so may be a tunnel.
    """

    def __init__(self, near: bool) -> None:
        self._near = near
        self._kinds = dict[Any, _Tried]()

    def choose(self, request: Request, alone: bool) -> Sent | None:
        """How a request is sent; None if in chunks of `CHUNK` in any case.

        Args:
            request: what is sent.
            alone: whether nothing else is on its way: else its time will tell nothing.
        """
        tensors = request.tensors.values()
        total = sum(tensor.nbytes for tensor in tensors)
        if total < FROM or any(isinstance(tensor, Announcement) for tensor in tensors):
            return None
        kind = request.loss, total.bit_length(), *request.gradients
        back = (request.tensors.get(name) for name in request.gradients)
        total += sum(tensor.nbytes for tensor in back if tensor is not None)
        tried = self._kinds.get(kind)
        if tried is None:
            if len(self._kinds) >= _KINDS:
                self._kinds.clear()
            tried = self._kinds[kind] = _Tried()
        return Sent(kind, total, tried.choose(self._near, alone))

    def took(self, sent: Sent, seconds: float) -> None:
        """Note how long one took, from its first message to the end of its answer."""
        tried = self._kinds.get(sent.kind)
        if tried is not None:
            tried.took[sent.size] = [*tried.took[sent.size], seconds / sent.total][-_TRIES:]
