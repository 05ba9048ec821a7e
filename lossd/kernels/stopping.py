"""What nobody waits for any more ends soon: kernels look between blocks, products between tiles."""

import contextlib
import threading
from collections.abc import Iterator
from typing import Final

import numpy as np


class Stopped(Exception):  # noqa: N818  no error: it was asked for
    """Computing has ended before its end; what was written is of no use."""


class Stop:
    """Asks what runs under `stopped_by` to end; any thread may.

    Attributes:
        address: of an int64 that is not 0 once it is asked.
        asked: whether it is.
    """

    def __init__(self) -> None:
        self._word = np.zeros(1, np.int64)
        self.address: Final = self._word.ctypes.data
        self.asked = False

    def ask(self) -> None:
        """Ask it to end."""
        self.asked = True
        self._word[0] = 1

    def check(self) -> None:
        """Raise Stopped if it is asked to end."""
        if self.asked:
            raise Stopped


class _Own(threading.local):
    """What this thread's computing may be ended by: nothing, if it is not told."""

    stop = Stop()


_own: Final = _Own()


def current() -> Stop:
    """What may end what this thread computes."""
    return _own.stop


@contextlib.contextmanager
def stopped_by(stop: Stop) -> Iterator[None]:
    """Compute until `stop` asks to end; Stopped is then raised soon."""
    before, _own.stop = _own.stop, stop
    try:
        yield
    finally:
        _own.stop = before
