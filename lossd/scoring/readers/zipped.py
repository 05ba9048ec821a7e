"""Checksums of what lies in a zip file as it is, and is read past the zip."""

import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

_PIECE: Final = 4 << 20
"""Bytes that are read at a time."""


def verified(path: Path, members: Sequence[zipfile.ZipInfo]) -> Iterator[None]:
    """Compare members with their checksums, piece by piece.

    Raises:
        BadZipFile: other bytes than were written.
        EOFError: fewer.
    """
    with zipfile.ZipFile(path) as archive:
        for member in members:
            with archive.open(member) as file:
                while file.read(_PIECE):
                    yield
