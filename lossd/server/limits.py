"""How much memory evaluations that are under way may take."""

from lossd_client.errors import ResourceError


class Budget:
    """Bytes that are left for tensors. Used from the event loop alone.

    Args:
        limit: all there are.
        flag: the server's flag that says so.
    """

    def __init__(self, limit: int, flag: str) -> None:
        self.limit, self._flag = limit, flag
        self.used = 0

    def take(self, size: int) -> None:
        """Reserve `size` bytes; raises as `require`."""
        self.require(size)
        self.used += size

    def require(self, size: int) -> None:
        """Make sure that `size` bytes are free.

        Raises:
            ResourceError: they would go over the limit.
        """
        if self.used + size > self.limit:
            raise ResourceError(
                f"the evaluation needs {size:,} bytes for its tensors; {self.limit - self.used:,} "
                f"of the server's {self.limit:,} are free ({self._flag}): send less at "
                "a time, or again later"
            )

    def give_back(self, size: int) -> None:
        """End a reservation."""
        self.used -= size
