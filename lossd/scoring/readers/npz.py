"""NumPy's .npz: what is stored is read in place, what is compressed is unpacked forward."""

import lzma
import math
import struct
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, ClassVar, Final, cast

import numpy as np

from lossd.scoring.errors import SourceError
from lossd.scoring.readers.base import Failures, Piece, Pieced, blamed
from lossd.scoring.readers.flat import Flat
from lossd.scoring.readers.keys import choose
from lossd.scoring.readers.kinds import given, readable
from lossd.scoring.readers.npy import HEADER_FAILURES, Header, read_header
from lossd.scoring.readers.zipped import verified
from lossd.scoring.sources import Source

_KIND: Final = "an .npz file"

_FAILURES: Final[Failures] = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    IndexError,
    NotImplementedError,  # a method of compression that Python has not
    OverflowError,
    RuntimeError,  # a password is needed
    *HEADER_FAILURES,
)

_LOCAL: Final = struct.Struct("<4s22xHH")
"""A member's header in front of it: "PK\\3\\4", lengths of its name and of its extra field."""

_PIECE: Final = 16 << 20
"""Bytes that are unpacked at a time."""


def open_file(path: Path, key: str, *, text: bool) -> Source:
    """An array of a file."""
    with blamed(str(path), _KIND, _FAILURES), zipfile.ZipFile(path) as archive:
        names = [name.removesuffix(".npy") for name in archive.namelist()]
        name = choose(str(path), key, names, "arrays")
        member = archive.infolist()[names.index(name)]
        if member.compress_type == zipfile.ZIP_STORED and not member.flag_bits & 1:
            return Stored(path, key, member, text=text)
        with archive.open(member) as file:
            header = read_header(cast("Any", file), f"{path}::{name}")
            size = member.file_size - file.tell()
        return Compressed(path, key, member.filename, header, size, text=text)


class Stored(Flat):
    """An array that is read as if it were a file of its own."""

    def __init__(self, path: Path, key: str, member: zipfile.ZipInfo, *, text: bool) -> None:
        with path.open("rb") as file:
            file.seek(member.header_offset)
            magic, name, extra = _LOCAL.unpack(file.read(_LOCAL.size))
            if magic != b"PK\3\4":
                raise zipfile.BadZipFile(f"no member begins at byte {member.header_offset}")
            begin = file.seek(name + extra, 1)
            shape, fortran, stored = read_header(file, f"{path}::{key}")
            offset = file.tell()
            end = min(begin + member.file_size, path.stat().st_size)
        super().__init__(
            path,
            key,
            stored=stored,
            shape=shape,
            offset=offset,
            end=end,
            fortran=fortran,
            text=text,
        )
        self._member = member

    def verify(self) -> Iterator[None]:
        """Compare the array with its checksum."""
        with blamed(self.name, _KIND, _FAILURES):
            yield from verified(self.path, [self._member])


class Compressed(Pieced):
    """An array that is unpacked from its beginning on."""

    kind: ClassVar[str] = _KIND
    failures: ClassVar[Failures] = _FAILURES

    def __init__(
        self, path: Path, key: str, member: str, header: Header, size: int, *, text: bool
    ) -> None:
        shape, fortran, stored = header
        name = f"{path}::{key}" if key else str(path)
        dtype = readable(stored, name, text=text)
        if not shape:
            raise SourceError(f"{name}: is a single number, it has no rows")
        if fortran and len(shape) > 1:
            raise SourceError(
                f"{name}: is compressed in Fortran's order, so that its rows lie apart; save it "
                "with np.ascontiguousarray"
            )
        if min(shape) < 0 or math.prod(shape) * stored.itemsize != size:
            raise SourceError(f"{name}: damaged: shape {shape} of {stored} is not of {size} bytes")
        super().__init__(path, key, shape[0], shape[1:], dtype)
        self._member = member
        self._stored = stored

    def pieces(self, row: int) -> Iterator[Piece]:
        """All pieces: there is no way into the middle."""
        size = math.prod(self.shape) * self._stored.itemsize
        step = max(1, _PIECE // max(size, 1))
        with zipfile.ZipFile(self.path) as archive, archive.open(self._member) as file:
            read_header(cast("Any", file), self.name)
            for first in range(0, self.rows, step):
                count = min(step, self.rows - first)
                last = first + count == self.rows
                raw = _read(file, count * size, check=last)
                if first + count > row:
                    yield first, self._rows(raw, count)

    def _rows(self, raw: bytes, count: int) -> Any:
        if not raw:
            return np.empty((count, *self.shape), self.dtype)
        return given(np.frombuffer(raw, self._stored).reshape(count, *self.shape), self.dtype)


def _read(file: IO[bytes], size: int, *, check: bool) -> bytes:
    """As many bytes; `check` if they are the last: the checksum is compared at the end."""
    raw = file.read(size)
    if len(raw) < size or (check and file.read(1)):
        raise EOFError("its length is another than its header says")
    return raw
