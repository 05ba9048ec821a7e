"""How much memory evaluations that are under way may take."""

from typing import Final, Protocol

from lossd_client.errors import ResourceError

SMALL: Final = 1 << 16
"""Bytes up to which an evaluation finds room where large ones hold all there is."""

RESERVE: Final = 16
"""The part of the limit that small ones may take beyond it."""


class Holder(Protocol):
    """Holds room that others may need more."""

    def let_go(self) -> None:
        """Give up what gets on too slowly."""


class Budget:
    """Bytes that are left for tensors. Used from the event loop alone.

    Whoever does not get on with what it holds room for loses it once others need that: else a few
    clients who send a byte now and then would keep the server from everybody.

    Args:
        limit: all there are.
        flag: the server's flag that says so.

    Attributes:
        used: bytes that are reserved.
        holders: who is asked to let go.
    """

    def __init__(self, limit: int, flag: str) -> None:
        self.limit, self._flag = limit, flag
        self.used = 0
        self.holders = set[Holder]()

    def take(self, size: int) -> None:
        """Reserve `size` bytes; raises as `require`."""
        self.require(size)
        self.used += size

    def require(self, size: int) -> None:
        """Make sure that `size` bytes are free.

        Raises:
            ResourceError: they would go over the limit.
        """
        limit = self.limit + self.limit // RESERVE * (size <= SMALL)
        if self.used + size > limit and size <= self.limit:
            for holder in list(self.holders):
                holder.let_go()
        if self.used + size > limit:
            raise ResourceError(
                f"the evaluation needs {size:,} bytes for its tensors; "
                f"{max(0, self.limit - self.used):,} of the server's {self.limit:,} are free "
                f"({self._flag}): send less at a time, or again later"
            )

    def give_back(self, size: int) -> None:
        """End a reservation."""
        self.used -= size
