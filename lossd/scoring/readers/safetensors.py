"""safetensors: the library checks the header, rows are read by position."""

import json
from pathlib import Path
from typing import Any, Final

import numpy as np
from lossd_client.dtypes import BFLOAT16
from safetensors import SafetensorError, safe_open

from lossd.scoring.errors import SourceError
from lossd.scoring.readers.base import Failures, blamed
from lossd.scoring.readers.flat import Flat
from lossd.scoring.readers.keys import choose
from lossd.scoring.sources import Source

_KIND: Final = "a safetensors file"

_FAILURES: Final[Failures] = (SafetensorError, OSError, KeyError, TypeError, ValueError)

_DTYPES: Final[dict[str, np.dtype[Any]]] = {
    "F64": np.dtype("<f8"),
    "F32": np.dtype("<f4"),
    "F16": np.dtype("<f2"),
    "BF16": BFLOAT16,
    "I64": np.dtype("<i8"),
    "I32": np.dtype("<i4"),
    "I16": np.dtype("<i2"),
    "I8": np.dtype("i1"),
    "U64": np.dtype("<u8"),
    "U32": np.dtype("<u4"),
    "U16": np.dtype("<u2"),
    "U8": np.dtype("u1"),
    "BOOL": np.dtype("?"),
}


def open_file(path: Path, key: str, *, text: bool) -> Source:
    """A tensor of a file."""
    with blamed(str(path), _KIND, _FAILURES):
        with safe_open(path, framework="np") as tensors:
            name = choose(str(path), key, list(tensors.keys()), "tensors")
        # The library does not tell where a tensor is; it has found the header to be sound.
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            entry = json.loads(file.read(length))[name]
            size = file.seek(0, 2)
        begin, end = (8 + length + offset for offset in entry["data_offsets"])
        shape = tuple(entry["shape"])
    stored = _DTYPES.get(entry["dtype"])
    if stored is None:
        raise SourceError(
            f"{path}::{name}: has dtype {entry['dtype']}; {', '.join(_DTYPES)} can be read"
        )
    return Flat(path, key, stored=stored, shape=shape, offset=begin, end=min(end, size), text=text)
