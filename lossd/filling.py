"""A call whose large tensors are still being written, to memory that who asks shares with us.

What is there is computed while the rest is written: copying tensors into shared memory takes as
long as computing them. Where that memory is smaller than the tensors, what is written stays in the
cache until it is computed. Results have the bits of a call whose tensors are all there.
"""

import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from lossd.kernels import courtesy, rings, stopping
from lossd.kernels.memory import pool
from lossd.plan import Arguments, KernelPlan, Plan, Result

Array = npt.NDArray[Any]

_LEAST: Final = 1 << 14  # bytes that are worth taking in


@dataclass(frozen=True)
class Lanes:
    """Tensors of one type and shape that are being written together.

    memory: bytes of each, by name: all that it has, or room that it goes round.
    filled, taken: int64[1]: how many bytes of each tensor were written, and how many were read.
    """

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    memory: Mapping[str, Array]
    filled: Array
    taken: Array

    @property
    def total(self) -> int:
        """Bytes of a tensor."""
        return int(np.prod(self.shape, dtype=np.int64)) * self.dtype.itemsize

    @property
    def capacity(self) -> int:
        """Bytes of a tensor that there is room for."""
        return len(next(iter(self.memory.values())))

    @property
    def whole(self) -> bool:
        """Whether there is for all."""
        return self.capacity == self.total

    def arrays(self) -> dict[str, Array]:
        """The tensors, where there is."""
        return {
            name: data.view(self.dtype).reshape(self.shape) for name, data in self.memory.items()
        }


class Filling(ABC):
    """Such a call.

    Args:
        plan: what is computed.
        arrays: the tensors that are there.
        lanes: the others.
        grad_output: gradient of what follows, as in `Plan.run`.
        out: arrays that gradients go to.

    Attributes:
        result: what comes of it; None while not all is computed.
        position: how far it is.
        seconds: how long it was computed.

    Raises:
        LossdError: what is wrong with the arrays that are there.
    """

    def __init__(
        self,
        plan: Plan,
        arrays: Mapping[str, Array],
        lanes: Lanes,
        grad_output: npt.ArrayLike | None,
        out: Mapping[str, Array],
    ) -> None:
        begun = time.thread_time()
        self._plan, self._arrays, self._lanes = plan, dict(arrays), lanes
        self._grad_output, self._out = grad_output, out
        self.result: Result | None = None
        self.position = 0
        self._prepare()
        self.seconds = time.thread_time() - begun

    def go_on(self, patience: int) -> bool:
        """Compute what is there; whether there was anything.

        Args:
            patience: how often it is waited for more, some 70 microseconds each, in all.

        Raises:
            LossdError: what is wrong with what is there.
        """
        before, begun = self.position, time.thread_time()
        self._advance(patience)
        self.seconds += time.thread_time() - begun
        if self._complete:
            begun = time.perf_counter()
            self.result = self._finish()
            self.seconds += time.perf_counter() - begun
            self._plan.took(self.seconds)
        return self.result is not None or self.position > before

    @abstractmethod
    def _prepare(self) -> None:
        """Look at the tensors that are there."""

    @abstractmethod
    def _advance(self, patience: int) -> None:
        """Go on from `position` as far as tensors are there."""

    @property
    @abstractmethod
    def _complete(self) -> bool:
        """Whether all that is left can be computed."""

    @abstractmethod
    def _finish(self) -> Result:
        """Compute what is left; what comes of it all."""


def begun(
    plan: Plan,
    arrays: Mapping[str, Array],
    lanes: Lanes,
    grad_output: npt.ArrayLike | None,
    out: Mapping[str, Array],
) -> Filling:
    """A call of `Filling`'s arguments: block by block if it can be, else once all is there."""
    blocks = isinstance(plan, KernelPlan) and _in_blocks(plan, lanes)
    return (_InBlocks if blocks else _Gathered)(plan, arrays, lanes, grad_output, out)


def _in_blocks(plan: KernelPlan, lanes: Lanes) -> bool:
    """Whether blocks can be computed as they come.

    Of lanes that go round a block takes half at most: the next one is written meanwhile.
    """
    fits = lanes.whole or 2 * _step(plan, lanes) <= lanes.capacity
    return fits and lanes.memory.keys() <= plan.streamed.keys()


def _step(plan: KernelPlan, lanes: Lanes) -> int:
    """Bytes of each tensor that belong to a block."""
    size: int = plan.block_rows * plan.layout.width * lanes.dtype.itemsize
    return size


class _InBlocks(Filling):
    """A call that is computed block by block; `position` is the next one."""

    _plan: KernelPlan

    def _prepare(self) -> None:
        plan, lanes = self._plan, self._lanes
        self._call = Arguments(plan.template, plan.blocks)
        self._started = plan.start(
            self._call, self._arrays, self._grad_output, self._out, list(lanes.memory)
        )
        bad = self._call.outside if plan.bounded else None
        self._step = _step(plan, lanes)
        self._memory = list(lanes.memory.items())
        self._loop = rings.Lanes(
            lanes.capacity,
            self._step,
            lanes.total,
            lanes.filled.ctypes.data,
            lanes.taken.ctypes.data,
            0 if bad is None else bad.ctypes.data,
            [(self._started.places[name], memory.ctypes.data) for name, memory in self._memory],
        )

    @property
    def _complete(self) -> bool:
        lanes = self._lanes
        rest_there = lanes.whole and self.position > 0 and lanes.filled[0] >= lanes.total
        return bool(rest_there or self.position == self._plan.blocks)

    def _advance(self, patience: int) -> None:
        plan, started = self._plan, self._started
        every = courtesy.blocks_between(plan.blocks, plan.fastest, 1)
        self.position = rings.run(
            started.entry,
            started.address,
            self.position,
            plan.blocks,
            self._loop,
            patience,
            every,
        )
        if self.position < plan.blocks:
            self._check(self.position)

    def _check(self, block: int) -> None:
        """Raise if a block met a value outside its domain: its numbers are still there."""
        if self._call.outside[block]:
            start = block * self._step
            end = min(start + self._step, self._lanes.total)
            spans = {name: self._span(memory, start, end) for name, memory in self._memory}
            starts = dict.fromkeys(spans, start // self._lanes.dtype.itemsize)
            self._plan.check_domains(self._call, self._arrays | spans, starts)

    def _span(self, memory: Array, start: int, end: int) -> Array:
        """The elements in some bytes of a tensor."""
        places = np.arange(start, end) % memory.size
        return memory[places].view(self._lanes.dtype)

    def _finish(self) -> Result:
        plan, call = self._plan, self._call
        if self.position < plan.blocks:
            plan.run_from(self.position, self._started)
        if self._lanes.whole and plan.bounded:
            plan.check_domains(call, self._arrays | self._lanes.arrays())
        return plan.result(call, self._started, self._out)


class _Gathered(Filling):
    """A call that needs all of its tensors; `position` is the bytes of each that are there."""

    def _prepare(self) -> None:
        lanes = self._lanes
        self._made = (
            lanes.arrays()
            if lanes.whole
            else {name: pool.empty(lanes.shape, lanes.dtype) for name in lanes.memory}
        )
        self._arrays |= self._made

    @property
    def _complete(self) -> bool:
        return self.position == self._lanes.total

    def _advance(self, patience: int) -> None:
        naps = 0
        while not self._complete:
            stopping.current().check()
            taken = self._take()
            if taken >= _LEAST:
                continue
            if naps >= patience:  # bytes that come one by one keep nobody here, either
                return
            if not taken:
                time.sleep(rings.NAP * 1e-6)
            naps += 1

    def _take(self) -> int:
        """Take in what is there, or as much as lies together; how many bytes of each tensor."""
        lanes, start = self._lanes, self.position
        length = min(int(lanes.filled[0]), lanes.total) - start
        if length <= 0:
            return 0
        if not lanes.whole:
            begin = start % lanes.capacity
            length = min(length, lanes.capacity - begin)
            for name, memory in lanes.memory.items():
                made = self._made[name].reshape(-1).view(np.uint8)
                made[start : start + length] = memory[begin : begin + length]
        self.position = start + length
        lanes.taken[0] = self.position
        return length

    def _finish(self) -> Result:
        return self._plan.run(self._arrays, self._grad_output, self._out)
