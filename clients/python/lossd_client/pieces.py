"""Tensors that are never held as a whole: made block by block while they are sent."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from lossd_client.errors import DTypeError, ShapeError
from lossd_client.wire import Announcement, Chunk, chunks_of

Array = npt.NDArray[Any]

Sink = Callable[[str, int, Array], object]
"""Takes a gradient as it comes: its tensor's name, the position of the first element in C order,
and the elements that follow, in one dimension."""


class Pieces(Announcement):
    """A tensor as blocks of its rows, in order: any iterable of arrays, also a generator.

    Args:
        shape: of the whole tensor; its first dimension is what blocks are pieces of.
        dtype: of the blocks.
        blocks: arrays of shape (n, *shape[1:]), whose n add up to shape[0].

    >>> import numpy as np
    >>> from lossd_client import Pieces, connect
    >>> blocks = (np.zeros((100, 10), np.float32) for _ in range(6))
    >>> tensors = {"input": Pieces((600, 10), np.float32, blocks), "target": np.arange(600) % 10}
    >>> with connect("inproc:") as client:
    ...     loss = client.evaluate("cross_entropy", tensors).tensors["loss"]
    >>> round(float(loss), 4)
    2.3026
    """

    def __init__(
        self, shape: tuple[int, ...], dtype: npt.DTypeLike, blocks: Iterable[Array]
    ) -> None:
        super().__init__(np.dtype(dtype), tuple(shape))
        if not self.shape:
            raise ShapeError("a tensor in pieces needs a dimension that they are pieces of")
        self._blocks = blocks
        self.begun = False

    def chunks(self, name: str) -> Iterator[Chunk]:
        """What is sent, made as it is asked for."""
        start = 0
        for block in self.blocks(name):
            yield from chunks_of(name, block, start)
            start += block.nbytes

    def blocks(self, name: str) -> Iterator[Array]:
        """The blocks, checked.

        Raises:
            ShapeError: a block of another shape, or more or fewer rows than there should be.
            DTypeError: a block of another type.
        """
        rows = 0
        self.begun = True
        for block in self._blocks:
            if block.shape[1:] != self.shape[1:] or block.ndim != len(self.shape):
                raise ShapeError(
                    f"a block of {name} has the shape {block.shape} and should have "
                    f"(n, {', '.join(map(str, self.shape[1:]))})",
                    field=name,
                )
            if block.dtype != self.dtype:
                raise DTypeError(
                    f"a block of {name} has type {block.dtype} and should have {self.dtype}",
                    field=name,
                )
            rows += len(block)
            if rows > self.shape[0]:
                break
            yield block
        if rows != self.shape[0]:
            raise ShapeError(
                f"the blocks of {name} have {rows} rows{' or more' * (rows > self.shape[0])} and "
                f"should have {self.shape[0]}",
                field=name,
            )

    def whole(self, name: str) -> Array:
        """All of it in one array."""
        return np.concatenate([np.empty((0, *self.shape[1:]), self.dtype), *self.blocks(name)])
