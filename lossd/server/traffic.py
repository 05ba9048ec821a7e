"""Which client was heard last, and when another one was."""

import math
from typing import Final

QUIET: Final = 0.05
"""Seconds after which a client that says nothing counts as waiting for nothing."""


class Traffic:
    """Tells whether a client is the only one that waits for the server."""

    def __init__(self) -> None:
        self._latest: object = None
        self._heard = self._other = -math.inf  # when it was heard last, and when any other

    def hear(self, client: object, now: float) -> None:
        """Note that a client said something."""
        if client is not self._latest:
            self._latest, self._other = client, self._heard
        self._heard = now

    def alone(self, client: object, now: float) -> bool:
        """Whether no other client said anything of late."""
        return client is self._latest and now - self._other > QUIET
