"""A call whose large tensors come in pieces: blocks are computed as soon as they are there.

What comes back, gradients and losses, is ready in pieces too. Nothing of a tensor's size is held,
and results have the bits of a call whose tensors are all there: the same blocks, the same sums.
"""

import time
from collections import deque
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
from lossd_client.dtypes import is_half

from lossd.kernels import halves, runtime, slots
from lossd.kernels.memory import pool
from lossd.plan import Arguments, KernelPlan

Array = npt.NDArray[Any]

RUN: Final = 1 << 20
"""Bytes of a tensor that are computed in a step at most, or one block."""


SMALL: Final = 4096
"""Bytes below which pieces of a tensor are copied together, `GATHERED` at most."""

GATHERED: Final = 1 << 16


class Piece(NamedTuple):
    """A part of a result: its bytes from `offset` on."""

    name: str
    offset: int
    data: Array


class Arriving:
    """A tensor that comes in pieces, in order: those that are not computed yet.

    Attributes:
        received: bytes that came; latest: those of the last piece.
        held: bytes of pieces that are kept.
    """

    def __init__(self, dtype: np.dtype[Any], size: int) -> None:
        self.dtype, self.size = dtype, size
        self.received = self.latest = self.held = 0
        self._pieces: deque[tuple[int, Array]] = deque()
        self._gathered = np.empty(0, np.uint8)
        self._filled = 0  # bytes of it

    def add(self, data: Array) -> None:
        """Take the next bytes, uint8; they are kept, not copied unless they are few."""
        if data.size < SMALL:
            self._gather(data)
        else:
            self._pieces.append((self.received, data))
        self.received += data.size
        self.latest = data.size
        self.held += data.size

    def _gather(self, data: Array) -> None:
        """Put a few bytes behind those before: each alone would take far more than its bytes."""
        if not data.size:
            return
        begin, piece = self._pieces[-1] if self._pieces else (0, data)
        end = self._filled + data.size
        if piece.base is not self._gathered or end > self._gathered.size:
            self._gathered = np.empty(GATHERED, np.uint8)
            begin, start = self.received, self.received % self.dtype.itemsize
            end = start + data.size
        else:
            start = end - data.size - piece.size
            self._pieces.pop()
        self._gathered[end - data.size : end] = data
        self._filled = end
        self._pieces.append((begin, self._gathered[start:end]))

    def together(self, start: int) -> int:
        """Where the piece ends that `start` is in, `start` itself if its elements lie askew."""
        begin, data = self._at(start)
        askew = (data.ctypes.data + start - begin) % self.dtype.itemsize
        return start if askew else begin + data.size

    def span(self, start: int, end: int) -> Array:
        """The elements in some bytes: the piece itself if it has them all, else a copy."""
        begin, data = self._at(start)
        if end <= self.together(start):
            return data[start - begin : end - begin].view(self.dtype)
        copy = np.empty(end - start, np.uint8)
        for begin, data in self._pieces:
            low, high = max(start, begin), min(end, begin + data.size)
            if low < high:
                copy[low - start : high - start] = data[low - begin : high - begin]
        return copy.view(self.dtype)

    def drop(self, end: int) -> None:
        """Forget the pieces that lie before `end`."""
        while self._pieces and self._pieces[0][0] + self._pieces[0][1].size <= end:
            self.held -= self._pieces.popleft()[1].size

    def _at(self, place: int) -> tuple[int, Array]:
        return next(p for p in self._pieces if place < p[0] + p[1].size)


class Steps:
    """A call that is computed in steps.

    Args:
        plan: what is computed.
        arrays: the tensors that are there.
        arriving: those that come in pieces, of `plan.streamed`.
        grad_output: gradient of what follows, as in `Plan.run`.

    Attributes:
        seconds: how long it has been computed.

    Raises:
        LossdError: what is wrong with the arrays that are there.
    """

    def __init__(
        self,
        plan: KernelPlan,
        arrays: Mapping[str, Array],
        arriving: Mapping[str, Arriving],
        grad_output: npt.ArrayLike | None = None,
    ) -> None:
        begun = time.perf_counter()
        self._plan, self._arrays, self._arriving = plan, arrays, arriving
        self._call = Arguments(plan.template, plan.blocks)
        self._begun = plan.begin(self._call, arrays, grad_output)
        self._done = 0  # blocks
        width = plan.layout.width
        self._row_bytes = {n: width * a.dtype.itemsize for n, a in arriving.items()}
        row = max(self._row_bytes.values(), default=1)
        self._most = max(1, RUN // max(plan.block_rows * row, 1))  # blocks of a step
        self._slots = {name: slot for slot, name, _ in plan.reads}
        self.seconds = time.perf_counter() - begun

    @property
    def warning(self) -> str:
        """What the caller should be told, or ""."""
        return self._plan.layout.warning

    @property
    def finished(self) -> bool:
        """Whether every block is computed."""
        return bool(self._done == self._plan.blocks)

    @property
    def ready(self) -> bool:
        """Whether there is enough to compute: all that is left, or about as much as came last.

        What a piece leaves over goes with the next one: few blocks are not worth a step.
        """
        plan, available = self._plan, self._available()
        count = available - self._done
        if not 0 < count < self._most or available == plan.blocks:
            return count > 0
        return any(
            2 * count * plan.block_rows * self._row_bytes[name] >= tensor.latest
            for name, tensor in self._arriving.items()
        )

    @property
    def expected(self) -> float:
        """Seconds that the next step takes, if it takes as long as the last ones; or more."""
        return float(self._plan.pace * min(self._available() - self._done, self._most))

    def announced(self) -> dict[str, tuple[np.dtype[Any], tuple[int, ...]]]:
        """Type and shape of what comes back: "loss" and "grad.NAME"."""
        plan = self._plan
        found: dict[str, tuple[np.dtype[Any], tuple[int, ...]]] = {
            "loss": (plan.dtype, plan.layout.output if plan.each else ())
        }
        for _, name, shape in plan.writes:
            found[f"grad.{name}"] = self._written(name), shape
        return found

    def step(self) -> list[Piece]:
        """Compute some of the blocks that are there; their gradients and losses.

        Raises:
            DomainError: a value outside its domain.
        """
        begun = time.perf_counter()
        plan, args, first = self._plan, self._call.words, self._done
        last = min(self._available(), first + self._most)
        rows = plan.block_rows * first, min(plan.block_rows * last, plan.layout.rows)
        write, pieces = [], []
        if plan.each:
            losses = pool.empty((rows[1] - rows[0],), plan.dtype)
            offset = rows[0] * losses.itemsize
            args[slots.LOSSES] = losses.ctypes.data - offset
            pieces.append(Piece("loss", offset, losses))
        for slot, name, _ in plan.writes:
            dtype = self._written(name)
            gradient = pool.empty(((rows[1] - rows[0]) * plan.layout.width,), dtype)
            offset = rows[0] * plan.layout.width * dtype.itemsize
            place = gradient.ctypes.data - offset
            if is_half(dtype):
                write.append((slot, dtype, place))
            else:
                args[slot] = place
            pieces.append(Piece(f"grad.{name}", offset, gradient))

        while self._done < last:
            self._compute(self._together(self._done, last), write)
        if self.finished and not plan.each:
            pieces.append(Piece("loss", 0, plan.reduced(self._call, self._begun.divisor)))
        took = time.perf_counter() - begun
        plan.pace = min(took / (last - first), 2 * plan.pace)
        self.seconds += took
        return pieces

    def _compute(self, last: int, write: list[halves.Place]) -> None:
        """Compute the blocks before `last`, whose gradients have their places."""
        plan, args, first = self._plan, self._call.words, self._done
        rows = plan.block_rows * first, min(plan.block_rows * last, plan.layout.rows)
        read = list(self._begun.read)
        spans, starts = dict(self._arrays), {}
        for name, tensor in self._arriving.items():
            start, end = (row * self._row_bytes[name] for row in rows)
            spans[name] = span = tensor.span(start, end)
            starts[name] = start // tensor.dtype.itemsize
            place = span.ctypes.data - start
            if name in plan.halves:
                read.append((self._slots[name], tensor.dtype, place))
            else:
                args[self._slots[name]] = place
        entry, words = plan.entered(self._call, read, write)
        runtime.run_serial(entry, words.ctypes.data, first, last)
        plan.check_domains(self._call, spans, starts)
        self._done = last
        for name, tensor in self._arriving.items():
            tensor.drop(rows[1] * self._row_bytes[name])

    def _written(self, name: str) -> np.dtype[Any]:
        return self._plan.form.given[name].dtype if name in self._plan.halves else self._plan.dtype

    def _available(self) -> int:
        """Blocks of which every tensor is there."""
        plan = self._plan
        rows = min(t.received // self._row_bytes[n] for n, t in self._arriving.items())
        return int(plan.blocks if rows == plan.layout.rows else rows // plan.block_rows)

    def _together(self, first: int, last: int) -> int:
        """Up to which block a run from `first` goes: all in one piece of each tensor, or one."""
        plan = self._plan
        for name, tensor in self._arriving.items():
            step = plan.block_rows * self._row_bytes[name]
            end = tensor.together(first * step)
            last = min(last, plan.blocks if end == tensor.size else end // step)
        return max(last, first + 1)
