"""What the entry of a loss in the catalogue of tests is made of."""

import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Tensors = dict[str, Array]
Shape = tuple[int, ...]
Options = Mapping[str, Any]
Number = tuple[Array, Array]  # value and scale

WIDE = np.longdouble

# one less, as many and one more than a tile (64 in a row, 512 element-wise) and a block (8192)
FLAT: list[Shape] = [(n,) for n in (0, 1, 63, 64, 65, 511, 512, 513, 8191, 8192, 8193)]
ELEMENTWISE: list[Shape] = [*FLAT, (), (3, 5, 7), (2, 0, 3)]
# rows of up to 100 or 200 components, and those that lie apart, are worked on 64 at a time
VECTORS: list[Shape] = [
    (7,), (1, 1), (5, 2), (4, 63), (4, 64), (4, 65), (3, 512), (131, 63), (2, 2049), (1, 8193),
    (0, 4), (8193, 1), (63, 31), (64, 32), (65, 33), (129, 5), (67, 100), (67, 101),
    (67, 200), (67, 201),
]  # fmt: skip
CLASSES: list[Shape] = [
    (10,), (1,), (7, 1), (7, 2), (7, 10), (7, 63), (7, 64), (7, 65), (5, 1000), (131, 63),
    (2, 2049), (1, 8193), (8193, 1), (0, 10), (3, 10, 4), (2, 65, 3), (2, 5, 0), (2, 10, 3, 5),
    (2, 64, 2, 3), (63, 31), (64, 32), (65, 33), (3, 32, 63), (2, 33, 64), (2, 5, 65),
    (2, 600, 3), (2, 31, 9, 15), (67, 100), (67, 101), (67, 200), (67, 201),
]  # fmt: skip
FEW_CLASSES: list[Shape] = [(10,), (7, 1), (7, 65), (3, 1000), (0, 10), (3, 10, 4), (2, 64, 2, 3)]


@dataclass(frozen=True)
class Case:
    """One set of tensors and parameters of a loss."""

    loss: str
    shape: Shape
    parameters: Options = field(default_factory=dict)
    options: Options = field(default_factory=dict)
    brief: bool = False  # the mean alone: mathematics and kernel are tested in full elsewhere

    def __str__(self) -> str:
        settings = {**self.options, **self.parameters}
        text = "".join(f"-{name}={value}" for name, value in settings.items())
        return f"{self.loss}-{'x'.join(map(str, self.shape)) or 'scalar'}{text}"

    def rng(self) -> np.random.Generator:
        """The same stream of numbers for the same case."""
        return np.random.default_rng(zlib.crc32(str(self).encode()))

    def tensors(self, dtype: npt.DTypeLike, rng: np.random.Generator | None = None) -> Tensors:
        """Fresh tensors; floating ones in `dtype`."""
        drawn = ENTRIES[self.loss].draw(rng or self.rng(), self.shape, **self.options)
        return {k: v.astype(dtype) if v.dtype.kind == "f" else v for k, v in drawn.items()}


@dataclass(frozen=True)
class Entry:
    """How one loss is tested."""

    draw: Callable[..., Tensors]
    gradients: tuple[str, ...]  # tensors for which PyTorch gives a gradient
    shapes: list[Shape]
    grid: list[Options] = field(default_factory=list)  # parameters, each set on `middle`
    middle: Shape = (3, 5, 7)
    options: list[Options] = field(default_factory=list)  # options, each set on `middle`
    more: list[Case] = field(default_factory=list)
    soft_gradients: tuple[str, ...] = ()  # with a floating target, where that is another kind


ENTRIES: dict[str, Entry] = {}
"""Every loss's entry, filled by the catalogue."""


def each(loss: str, shapes: list[Shape], options: Options, **parameters: Any) -> list[Case]:
    return [Case(loss, shape, parameters, options) for shape in shapes]


@dataclass(frozen=True)
class Rows:
    """One loss for each row (or element), before reduction.

    losses: value and scale (catalogue/__init__.py).
    slopes: derivative of each row's loss, value and scale, with the components last.
    divisor: what the mean divides by; the number of rows unless given.
    layout: brings a slope back from components-last to its tensor's layout.
    cancelled: magnitude of what PyTorch's formula for the loss adds and takes away again.
    torch: by tensor, what PyTorch's slope adds and takes away again, or rounds more often.
    over: the tensor whose sum the mean divides by, and whose gradient knows of that.
    factors: what the mean multiplies each row by, before it divides.
    views: shapes in which tensors were broadcast, where they are not their own.
    """

    losses: Number
    slopes: Mapping[str, Number]
    divisor: Any = None
    layout: Callable[[Array], Array] = field(default=lambda slope: slope)
    cancelled: Any = 0
    torch: Mapping[str, Array] = field(default_factory=dict)
    over: str = ""
    factors: Any = 1
    views: Mapping[str, tuple[int, ...]] = field(default_factory=dict)


def exact(value: Array) -> Number:
    """A number whose terms do not cancel."""
    return value, abs(value)


def above(h: Array, then: Any) -> Array:
    """`then` where a hinge is active: max(h, 0) has slope 1 at 0."""
    return np.where(h >= 0, then, 0 * then)


def nearly_above(h: Array, then: Any, scale: Any) -> Array:
    """`then` where roundings of a hinge's terms, of the size `scale`, may make it active, too."""
    return np.where(h >= -4 * np.finfo(np.float32).eps * scale, then, 0 * then)


def class_axis(input: Array) -> int:
    return 1 if input.ndim > 1 else 0


def one_hot(target: Array, width: int, kept: Array) -> Array:
    label = np.where(kept, target, 0)
    return (label[..., None] == np.arange(width)) * kept[..., None]
