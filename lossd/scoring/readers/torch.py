"""Files of torch.save: tensors alone, mapped into memory."""

import pickle
import warnings
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, Final

import torch
from lossd_client.dtypes import is_bfloat16

from lossd.scoring.errors import SourceError
from lossd.scoring.readers.base import Failures, FileSource, blamed
from lossd.scoring.readers.keys import choose
from lossd.scoring.readers.kinds import bfloat16, readable
from lossd.scoring.readers.zipped import verified
from lossd.scoring.sources import Array, Source

_KIND: Final = "a file of torch.save"

_FAILURES: Final[Failures] = (
    *(RuntimeError, OSError, EOFError, ValueError, TypeError, KeyError, IndexError),
    *(AttributeError, AssertionError, OverflowError, MemoryError, zipfile.BadZipFile),
)


def open_file(path: Path, key: str, *, text: bool) -> Source:
    """A tensor of a file; `text` changes nothing, tensors have numbers."""
    tensors = _tensors(_load(path))
    if "" in tensors and key:
        raise SourceError(f"{path}: holds one tensor without a name; leave out '::{key}'")
    name = choose(str(path), key, tensors, "tensors")
    return Torch(path, key, tensors[name])


def _load(path: Path) -> Any:
    with blamed(str(path), _KIND, _FAILURES), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of protocols that damage makes up
        try:
            return torch.load(path, map_location="cpu", mmap=True, weights_only=True)
        except pickle.UnpicklingError as exc:
            raise SourceError(
                f"{path}: damaged, or holds Python objects other than tensors; loading those can "
                'run any code, so they are refused. Save tensors alone: torch.save({"logits": '
                "logits}, ...)"
            ) from exc
        except RuntimeError as exc:
            if "_use_new_zipfile_serialization" not in str(exc):
                raise
            raise SourceError(
                f"{path}: damaged, or in torch.save's format before torch 1.6; load and save it "
                "again"
            ) from exc


def _tensors(loaded: Any, prefix: str = "") -> dict[str, torch.Tensor]:
    """Tensors by their names with dots, "" for one that is not in a dict."""
    if isinstance(loaded, torch.Tensor):
        return {prefix: loaded}
    found: dict[str, torch.Tensor] = {}
    if isinstance(loaded, dict):
        for name, value in loaded.items():
            found |= _tensors(value, f"{prefix}.{name}" if prefix else str(name))
    return found


class Torch(FileSource):
    """A tensor."""

    kind: ClassVar[str] = _KIND
    failures: ClassVar[Failures] = _FAILURES

    def __init__(self, path: Path, key: str, tensor: torch.Tensor) -> None:
        name = f"{path}::{key}" if key else str(path)
        if tensor.layout is not torch.strided or tensor.is_quantized:
            raise SourceError(f"{name}: is sparse or quantized; save tensor.to_dense()")
        if not tensor.dim():
            raise SourceError(f"{name}: is a single number, it has no rows")
        rows, *shape = tensor.shape
        super().__init__(path, key, rows, tuple(shape), _dtype(tensor, name))
        self._tensor = tensor.detach()
        self._size = path.stat().st_size

    def verify(self) -> Iterator[None]:
        """Compare the tensor's bytes with their checksum, unless torch was told to write none."""
        size = self._tensor.untyped_storage().nbytes()
        with blamed(self.name, _KIND, _FAILURES):
            with zipfile.ZipFile(self.path) as archive:
                # which member is the tensor's is not told: one of those of its size
                members = [one for one in archive.infolist() if one.file_size == size and one.CRC]
            yield from verified(self.path, members)

    def fetch(self, start: int, stop: int) -> Array:
        """A copy of some rows: the pages of the file are not kept by who has them."""
        if self.path.stat().st_size < self._size:  # the system would end the process
            raise EOFError("it has become shorter since it was opened")
        part = self._tensor[start:stop].resolve_neg().clone(memory_format=torch.contiguous_format)
        if is_bfloat16(self.dtype):
            part = part.view(torch.int16)
        rows: Array = part.numpy()
        return rows.view(self.dtype)


def _dtype(tensor: torch.Tensor, name: str) -> Any:
    if tensor.dtype == torch.bfloat16:
        return bfloat16()
    try:
        stored = torch.empty(0, dtype=tensor.dtype).numpy().dtype
    except TypeError as exc:
        raise SourceError(f"{name}: has dtype {tensor.dtype}, which is not read") from exc
    return readable(stored, name, text=False)
