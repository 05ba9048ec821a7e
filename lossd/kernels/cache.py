"""Compiled code on disk: found by what it was made from, wherever it lies.

Numba's own cache does not serve kernels: its key pickles what a function closes over, which differs
from process to process for functions made at run time (https://github.com/numba/numba/issues/6264);
it notices edits of one file only; and it refuses a folder that it cannot write to, such as that of
a container with a read-only root. Here the key is a digest of every source involved.

The folder is `$NUMBA_CACHE_DIR/lossd`, else `__pycache__` beside this file, else
`~/.cache/lossd`: the first that can be written to, or at least be read.
"""

import contextlib
import functools
import gc
import hashlib
import inspect
import os
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import numba
from numba import njit
from numba.core.caching import CompileResultCacheImpl, FunctionCache
from numba.core.ccallback import CFunc
from numba.core.runtime import rtsys
from numba.core.typing import Signature

PACKAGE: Final = Path(__file__).resolve().parents[1]


_UNREADABLE: Final = (
    pickle.UnpicklingError, EOFError, OSError, ValueError, AttributeError, ImportError, IndexError,
)  # fmt: skip
"""What pickle raises for a truncated or damaged file."""


@functools.cache
def digest(*modules: str) -> str:
    """Digest of every source that kernels are made from, and of further files."""
    sources = [
        PACKAGE / "mathfns.py",
        PACKAGE / "spec.py",
        *sorted((PACKAGE / "compiled").glob("*.py")),
    ]
    sources += sorted((PACKAGE / "kernels").glob("*.py")) + sorted(
        (PACKAGE / "losses").glob("*.py")
    )
    total = hashlib.sha256(numba.__version__.encode())
    for source in [*sources, *map(Path, modules)]:
        total.update(source.read_bytes())
    return total.hexdigest()


@functools.cache
def folder() -> Path:
    """Where compiled code is kept."""
    chosen = os.environ.get("NUMBA_CACHE_DIR")
    places = [Path(chosen) / "lossd"] if chosen else []
    places.append(Path(__file__).with_name("__pycache__"))
    with contextlib.suppress(RuntimeError):  # a user without a home
        places.append(Path.home() / ".cache" / "lossd")
    return next(filter(_writable, places), next(filter(Path.is_dir, places), places[0]))


def _writable(place: Path) -> bool:
    try:
        place.mkdir(parents=True, exist_ok=True)
    except OSError:
        return False
    return os.access(place, os.W_OK)


class _Place:
    """What Numba asks about a cache's folder."""

    def __init__(self, stamp: str) -> None:
        self._stamp = stamp

    def get_cache_path(self) -> str:
        return str(folder())

    def get_source_stamp(self) -> str:
        return self._stamp  # an index of another stamp is discarded

    def get_disambiguator(self) -> str:
        return "kernel"

    def ensure_cache_path(self) -> None:
        """Nothing to do: `folder` made it, or cannot."""


class _Data(CompileResultCacheImpl):
    """How Numba packs compiled code, without its search for a folder."""

    def __init__(self, function: Callable[..., Any], stamp: str) -> None:
        self._locator = _Place(stamp)
        self._filename_base = self.get_filename_base(function.__qualname__, "")


class Cache(FunctionCache):
    """The cache of one function. `stamp` is the digest of what it is made from."""

    def __init__(self, function: Callable[..., Any], stamp: str) -> None:
        self._stamp = stamp
        self._impl_class = functools.partial(_Data, stamp=stamp)
        super().__init__(function)

    def _index_key(self, sig: Any, codegen: Any) -> tuple[Any, ...]:
        return sig, codegen.magic_tuple(), self._stamp

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """Compiled code from disk; None if there is none, or none that can be read.

        What it was made from is compiled in, so that it needs Numba's memory functions and nothing
        else: all that Numba can compile, which takes as long to import as everything before it,
        waits until something is to be compiled.
        """
        rtsys.initialize(target_context)
        try:
            return self._load_overload(sig, target_context)
        except _UNREADABLE:
            if os.access(folder(), os.W_OK):
                self.flush()
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        """Keep compiled code, where the folder can be written to."""
        if os.access(folder(), os.W_OK):
            super().save_overload(sig, data)


@contextlib.contextmanager
def _no_collector() -> Iterator[None]:
    """Python's collector looks in vain at what a compiler makes, for a fifth of its time."""
    on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if on:
            gc.enable()


class Kernel(CFunc):
    """A block function as a C function, from disk or the compiler.

    Attributes:
        entry: its address, valid as long as this object.
        from_disk: whether it did not have to be compiled.
    """

    def __init__(self, block: Callable[..., None], signature: Signature, stamp: str) -> None:
        parts = (signature.args, signature.return_type)
        super().__init__(block, parts, {}, {"error_model": "numpy"})
        self._cache = Cache(block, stamp)
        with _no_collector():
            self.compile()

        self.from_disk = self._cache_hits > 0  # type: ignore[attr-defined]
        self.entry: int = self.address  # type: ignore[assignment]


def compiled(*signatures: str, **options: Any) -> Callable[[Callable[..., Any]], Any]:
    """Like `numba.njit(signatures, cache=True)`, with the cache of this module."""

    def compile_now(function: Callable[..., Any]) -> Any:
        dispatcher = njit(nogil=True, **options)(function)
        dispatcher._cache = Cache(function, digest(source_of(function)))
        with _no_collector():
            for signature in signatures:
                dispatcher.compile(signature)
        dispatcher.disable_compile()
        return dispatcher

    return compile_now


def source_of(thing: Any) -> str:
    """The file that a class or function stands in."""
    return inspect.getfile(thing)
