"""Long computations give way to brief ones that wait for a processor.

The operating system lets a kernel's threads finish their time slices, some milliseconds, before a
thread that was woken has a processor. While somebody is in a hurry, kernels offer theirs now and
then. Not else: beside other processes that compute they would get less than their share.
"""

import os
from typing import Final

import numpy as np

SLICE: Final = 0.5e-3
"""Seconds of computing after which a thread gives way."""

UNKNOWN: Final = 64
"""Blocks after which it does, where nobody knows how long they take."""

_word: Final = np.zeros(1, np.int64)
ADDRESS: Final[int] = _word.ctypes.data
"""Of an int64 that is not 0 while somebody is in a hurry."""


def hurry(somebody: bool) -> None:
    """Say whether somebody is in a hurry."""
    _word[0] = somebody


def blocks_between(blocks: int, seconds: float, threads: int) -> int:
    """After how many blocks of a kernel a thread gives way, 0 for never.

    Args:
        blocks: of the whole kernel.
        seconds: that it takes on so many threads; infinite where nobody knows.
        threads: that share it.
    """
    if not seconds < float("inf"):
        return UNKNOWN
    spent = seconds * threads
    return 0 if spent <= SLICE else max(1, int(blocks * SLICE / spent))


def pause() -> None:
    """Give way, if somebody is in a hurry."""
    if _word[0]:
        os.sched_yield()
