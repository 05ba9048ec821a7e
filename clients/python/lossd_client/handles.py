"""Tensors that a server keeps: named in later calls, not sent again."""

import operator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, eq=False)
class Handle:
    """A tensor that a server keeps, or rows of it: takes the place of an array in a loss's call.

    `Client.register` makes handles. Whoever knows the token can use the tensor in evaluations, on
    any connection to that server, without ever being sent it: `Handle(token)`.

    Args:
        token: what the server knows it by. Keep it as you would keep a password.
        start: first row.
        stop: the row after the last; None: all to the end.
        rows: numbers of rows, in place of both.

    >>> from lossd_client import connect, nn
    >>> with connect("inproc:") as client:
    ...     labels = client.register([2, 0, 1, 1])
    ...     x = [[0.1, 0.2, 0.7], [0.5, 0.3, 0.2]]
    ...     loss = nn.CrossEntropyLoss(client=client)(x, labels[:2])
    >>> round(loss.item(), 4)
    0.8539
    """

    token: str
    start: int = 0
    stop: int | None = None
    rows: npt.NDArray[np.int64] | None = None

    def __getitem__(self, rows: Any) -> "Handle":
        """Rows of the tensor: `handle[64:128]`, or `handle[[5, 3, 8]]`.

        Raises:
            TypeError: something else, such as one number, or rows of rows.
            ValueError: numbers below 0, or a step: how many rows there are is not known here.
        """
        if self.start or self.stop is not None or self.rows is not None:
            message = f"{self!r} has been indexed already: index the whole handle"
            raise TypeError(message)
        if isinstance(rows, slice):
            start = 0 if rows.start is None else operator.index(rows.start)
            stop = None if rows.stop is None else operator.index(rows.stop)
            if start < 0 or (stop is not None and stop < 0) or rows.step not in (None, 1):
                message = (
                    "a handle's slices count from its first row on: no negative numbers, no step"
                )
                raise ValueError(message)
            return replace(self, start=start, stop=stop)
        found = np.asarray(rows)
        if isinstance(rows, tuple) or found.ndim != 1 or found.dtype.kind not in "iu":
            message = (
                f"a handle is indexed by a slice or by row numbers in one dimension, not {rows!r}"
            )
            raise TypeError(message)
        if found.size and found.min() < 0:
            message = "a handle's rows count from its first one on: no negative numbers"
            raise ValueError(message)
        return replace(self, rows=found.astype(np.int64))

    @property
    def nbytes(self) -> int:
        """Bytes that are sent for the tensor's elements: none."""
        return 0

    def __repr__(self) -> str:
        part = "" if not self.start and self.stop is None else f", rows {self.start}:{self.stop}"
        part = part if self.rows is None else f", {self.rows.size} rows"
        return f"Handle({self.token[:4]}…{part})"
