"""Blocks of tensors that are still being written, by another process: computed as they come.

Each tensor has memory of its own, a lane. One that is smaller than its tensor goes round: the
tensor's bytes begin again at its start. Two words tell how far all tensors are written and read.
"""

from typing import Any, Final

import numpy as np
from numba import carray, types

from lossd.compiled.signs import give_way, is_set, nap, read_word, write_word
from lossd.kernels import cache, courtesy, stopping
from lossd.kernels.slots import call_block, pointer

NAP: Final = 20
"""Microseconds that are slept before it is seen whether more is there; the system adds some 50."""

# What a loop is called with: words of int64, and for each lane the word that a kernel looks for it
# in, its memory, and room for a block of it.
_CAPACITY, _STEP, _TOTAL, _FILLED, _TAKEN, _BAD, _LANES, _HEAD = range(8)
_EACH: Final = 3


class Lanes:
    """What `run` is told of the lanes of one call.

    Args:
        capacity: bytes of each lane.
        step: bytes of each tensor that belong to a block, half as many at most if it goes round.
        total: bytes of each tensor.
        filled, taken: addresses of the words.
        bad: address of int64[blocks], not 0 where a block met a value that it should not have;
            0 if none can.
        lanes: for each lane the address of the word in which a kernel finds where its tensor
            begins, and where its memory does.
    """

    def __init__(
        self,
        capacity: int,
        step: int,
        total: int,
        filled: int,
        taken: int,
        bad: int,
        lanes: list[tuple[int, int]],
    ) -> None:
        self.room = np.empty((len(lanes), step), np.uint8)
        words = [capacity, step, total, filled, taken, bad, len(lanes)]
        for (word, memory), room in zip(lanes, self.room, strict=True):
            words += [word, memory, room.ctypes.data]
        self.words = np.array(words, np.int64)


@cache.compiled("intp(intp, intp, intp, intp, intp, intp, intp, intp, intp)")
def _run(
    kernel: int,
    args: int,
    first: int,
    last: int,
    loop: int,
    patience: int,
    stop: int,
    hurry: int,
    every: int,
) -> int:
    head = carray(pointer(loop, types.int64), _HEAD)
    capacity, step, total = head[_CAPACITY], head[_STEP], head[_TOTAL]
    lanes = carray(pointer(loop + 8 * _HEAD, types.int64), (head[_LANES], _EACH))
    rounds: Any = -1  # how often a lane was gone round where words point to
    naps = 0
    for index in range(first, last):
        start = index * step
        length = min(step, total - start)
        while read_word(head[_FILLED]) < start + length:
            if naps == patience or is_set(stop):
                return index
            nap(types.uint32(NAP))
            naps += 1
        begin = start % capacity
        if begin + length > capacity:  # a block around a lane's end
            for k in range(head[_LANES]):
                room = carray(pointer(lanes[k, 2], types.uint8), step)
                lane = carray(pointer(lanes[k, 1], types.uint8), capacity)
                for j in range(capacity - begin):
                    room[j] = lane[begin + j]
                for j in range(begin + length - capacity):
                    room[capacity - begin + j] = lane[j]
                carray(pointer(lanes[k, 0], types.int64), 1)[0] = lanes[k, 2] - start
            rounds = -1
        elif start // capacity != rounds:
            rounds = start // capacity
            for k in range(head[_LANES]):
                place = lanes[k, 1] - rounds * capacity
                carray(pointer(lanes[k, 0], types.int64), 1)[0] = place
        if every > 0 and index % every == every - 1 and is_set(hurry):
            give_way()
        if is_set(stop):
            return index
        call_block(kernel, args, index)
        if head[_BAD] != 0 and carray(pointer(head[_BAD], types.int64), last)[index] != 0:
            return index
        write_word(head[_TAKEN], start + length)
        if capacity >= total and read_word(head[_FILLED]) >= total:
            return index + 1
    return last


def run(
    kernel: int, args: int, first: int, last: int, lanes: Lanes, patience: int, every: int = 0
) -> int:
    """Compute blocks one after the other, from `first` to before `last`, as far as they are there.

    Args:
        kernel: its address.
        args: that of its arguments.
        first: number of the first block.
        last: number after the last one.
        lanes: what is written.
        patience: how often it is waited for more, in all.
        every: after how many blocks it gives way (kernels/courtesy.py), 0 for never.

    Returns:
        The block that comes next: `last`, one that is not there yet, one that met a value that it
        should not have, or the first of those that are all there where lanes hold all.

    Raises:
        Stopped: it was asked to end (kernels/stopping.py).
    """
    stop = stopping.current()
    loop: Any = lanes.words.ctypes.data
    done: int = _run(
        kernel, args, first, last, loop, patience, stop.address, courtesy.ADDRESS, every
    )
    stop.check()
    return done
