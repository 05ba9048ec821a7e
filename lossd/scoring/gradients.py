"""gradients.npy: one array of the predictions' shape, each shard written in its place."""

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from lossd_client.dtypes import is_bfloat16
from numpy.lib import format as npy

from lossd.scoring.disk import reading, writing

_PIECE: Final = 1 << 20  # bytes that are read together


class Gradients:
    """A .npy file of rows that are written in any order."""

    def __init__(self, path: Path, shape: Sequence[int], dtype: np.dtype[Any]) -> None:
        """Open the file; what lacks of its header and its size is made.

        Raises:
            OutputError: it cannot be written to.
        """
        kind = np.dtype("V2") if is_bfloat16(dtype) else dtype  # it has no name in .npy files
        self._each = int(np.prod(shape[1:], dtype=np.int64)) * dtype.itemsize
        self._path = path
        with writing(path):
            self._file = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o644), "r+b")
            header = {"descr": npy.dtype_to_descr(kind), "fortran_order": False}
            npy.write_array_header_2_0(self._file, header | {"shape": tuple(shape)})
            self._file.flush()
            self._start = self._file.tell()
            self._file.truncate(self._start + shape[0] * self._each)

    def write(self, row: int, pieces: Sequence[npt.NDArray[Any]]) -> str:
        """Write rows from `row` on, and have them on disk; gives their digest."""
        place = self._start + row * self._each
        digest = hashlib.sha256()
        with writing(self._path):
            for piece in pieces:
                left = memoryview(np.ascontiguousarray(piece).reshape(-1).view(np.uint8).data)
                digest.update(left)
                while left:
                    done = os.pwrite(self._file.fileno(), left, place)
                    left, place = left[done:], place + done
            os.fdatasync(self._file.fileno())
        return digest.hexdigest()

    def digest(self, start: int, stop: int) -> str:
        """The digest of the rows that are there.

        Raises:
            OutputError: they cannot be read.
        """
        place, end = (self._start + row * self._each for row in (start, stop))
        digest = hashlib.sha256()
        with reading(self._path):
            while piece := os.pread(self._file.fileno(), min(_PIECE, end - place), place):
                digest.update(piece)
                place += len(piece)
        return digest.hexdigest()

    def close(self) -> None:
        """Close the file."""
        self._file.close()
