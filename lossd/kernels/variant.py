"""Which kernel of a loss is meant, and how its source is stamped."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

import numba as nb
import numpy as np
from numba import carray

from lossd.compiled.prefetching import LINE, prefetch, prefetch_to_write
from lossd.compiled.stack import stack
from lossd.compiled.vectors import whole_vectors
from lossd.kernels import slots
from lossd.kernels.slots import pointer

UNBOUNDED: Final = 1 << 40  # length of views whose real length the loops respect


@dataclass(frozen=True)
class Variant:
    """One compiled form of a loss.

    dtype: the type that it reads, computes in and writes.
    operands: the tensors that the mathematics sees, in the order of its arguments.
    gradients: the tensors whose gradient is written, in declared order.
    constants: how many parameters the mathematics takes.
    columns: whether rows are worked on side by side (kernels/columns.py).
    plain: of an element-wise loss, whether losses are summed and nothing else: not written, and
        neither they nor gradients multiplied by a value for each.
    """

    dtype: np.dtype[Any]
    operands: tuple[str, ...]
    gradients: tuple[str, ...]
    constants: int
    columns: bool = False
    plain: bool = False

    def __str__(self) -> str:
        # by position: a file's name has room for 255 characters
        slopes = ".".join(str(self.operands.index(name)) for name in self.gradients)
        flags = [f for f in ("columns", "plain") if getattr(self, f)]
        return "-".join([self.dtype.name, *self.operands, f"d{slopes}", *flags])


def stamped(
    source: str, variant: Variant, *, costly: bool = False, **scope: Any
) -> Callable[..., None]:
    """The function `block(args, index)` whose body a driver wrote out for one variant of one loss.

    Drivers write the source out because Numba cannot loop over tensors at compile time, and
    because one flat function compiles several times faster than the same in small parts. `costly`
    tells that arithmetic takes longer than memory.
    """
    kind = variant.dtype.type
    scope |= {
        "carray": carray,
        "pointer": pointer,
        "prefetch": prefetch,
        "prefetch_to_write": prefetch_to_write,
        "int32": nb.int32,
        "int64": nb.int64,
        "float64": nb.float64,
        "element": nb.from_dtype(variant.dtype),
        "kind": kind,
        "np": np,
        "slots": slots,
        "stack": stack,
        "uintp": nb.uintp,
        "whole_vectors": whole_vectors,
    }
    names = ", ".join(scope)
    code = f"""
def close({names}):
    def block(args, index):
        {"whole_vectors()" if costly else ""}
{_indented(source)}
    return block
"""
    made: dict[str, Any] = {"__name__": __name__}  # Numba loads cached code into this module
    exec(compile(code, __file__, "exec"), made)
    return made["close"](**scope)  # type: ignore[no-any-return]


def _indented(source: str) -> str:
    return "".join(f"    {line}\n" for line in source.strip("\n").splitlines())


def view(address: str, length: str = str(UNBOUNDED)) -> str:
    """Source of an array at an address."""
    return f"carray(pointer({address}, element), {length})"


def on_stack(length: int, kind: str = "element") -> str:
    """Source of an array of undefined values that lives as long as the block is computed."""
    return f"carray(stack({kind}, {length}), {length})"


def optional() -> str:
    """Source: what a call may do without, and whether it does.

    A look at it for each row or sample costs nothing, and every reduction of a loss, with or
    without weights, is then one kernel instead of up to five. Element-wise kernels look once for
    many elements, and are compiled without it, too, for a sum that needs none of it.
    """
    return f"""
    out, each = {view("a[slots.LOSSES]")}, a[slots.LOSSES] != 0
    us, upstream = {view("a[slots.UPSTREAM]")}, a[slots.UPSTREAM] != 0
    ws, weighed = {view("a[slots.MULTIPLIER]")}, a[slots.MULTIPLIER] != 0
"""


def listed(item: str, positions: Iterable[object]) -> str:
    """Source: `item`, its `{}` replaced by each position, separated by commas."""
    return "".join(item.format(k) + ", " for k in positions)


def lines(indent: int, *templates: str, over: Iterable[object] = ("",)) -> str:
    """Source: the template lines, their `{}` replaced, once for each item of `over`."""
    pad = " " * indent
    return "".join(f"{pad}{line.format(item)}\n" for item in over for line in templates)


def ahead(
    indent: int, arrays: Iterable[str], place: str, length: int, variant: Variant, *, write: bool
) -> str:
    """Source that asks for what comes later.

    Args:
        indent: of each line.
        arrays: where they begin.
        place: source of how far in they will be read, or written to, in elements.
        length: how many elements.
        variant: what is compiled.
        write: whether they will be written to.
    """
    ask = "prefetch_to_write" if write else "prefetch"
    count = length * variant.dtype.itemsize
    return lines(indent, f"{ask}({{}} + ({place}) * size + {LINE}, {count})", over=arrays)
