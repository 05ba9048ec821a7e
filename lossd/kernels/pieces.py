"""What the drivers of row-wise losses derive from a declaration and a variant."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from lossd.kernels.variant import Variant, lines, optional, view
from lossd.mathfns import transcendental, typed
from lossd.spec import Rowwise


@dataclass(frozen=True)
class Pieces:
    """A row-wise loss, taken apart. Operands and gradients go by their position.

    vectors: operands with a value for each component; `moving` of them differ from row to row.
    scalars: operands with one value for each row.
    labelled: whether rows have a class index.
    results: for each gradient, its position in what `slopes` gives.
    peaks, terms: how many values these give.
    coefficients: positions of the coefficients in what `combine` gives.
    kept: whether the first term is kept where the first gradient goes.
    walks: whether any piece looks at every component.
    versus: how many more values peaks, terms and slopes see, of the label.
    costly: whether what is computed of every component has exponentials or logarithms.
    """

    vectors: list[int]
    moving: list[int]
    scalars: list[int]
    labelled: bool
    results: list[int]
    peaks: int
    terms: int
    coefficients: list[int]
    kept: bool
    walks: bool
    versus: int
    costly: bool


def take_apart(loss: type[Rowwise], variant: Variant) -> Pieces:
    """The pieces of a loss. How many values each gives is asked once, on ones."""
    roles = [loss.tensors[name].role for name in variant.operands]
    vectors = [k for k, role in enumerate(roles) if role in ("vector", "class")]
    scalars = [k for k, role in enumerate(roles) if role == "scalar"]
    labelled = any(t.role == "label" for t in loss.tensors.values())
    differentiable = [name for name, t in loss.tensors.items() if t.grad]
    results = [differentiable.index(name) for name in variant.gradients]

    rows, constants = len(vectors), variant.constants
    versus = 2 * loss.versus
    peaks = len(loss.peaks(*[1.0] * (rows + versus + constants))) if loss.peaks else 0
    terms = len(loss.terms(*[1.0] * (rows + peaks + versus + constants))) if loss.terms else 0
    seen = rows if labelled else len(scalars)
    combined = len(loss.combine(*[1.0] * (seen + peaks + terms + constants)))
    everywhere = (loss.peaks, loss.terms, loss.slopes)
    return Pieces(
        vectors=vectors,
        moving=[k for k in vectors if roles[k] == "vector"],
        scalars=scalars,
        labelled=labelled,
        results=results,
        peaks=peaks,
        terms=terms,
        coefficients=list(range(2 if labelled else 1, combined)),
        kept=loss.keep and results[:1] == [0],
        walks=any(everywhere),
        versus=versus,
        costly=any(piece and transcendental(piece) for piece in everywhere),
    )


def opening(variant: Variant, pieces: Pieces) -> str:
    """Source of a block function's first lines: sizes, constants, and what all rows share."""
    fixed = [k for k in range(len(variant.operands)) if k not in pieces.moving]
    return f"""
    a = carray(pointer(args, int64), slots.COUNT)
    width, inner = a[slots.WIDTH], a[slots.INNER]
    first = index * a[slots.BLOCK_ROWS]
    last = min(first + a[slots.BLOCK_ROWS], a[slots.ROWS])
    size = {variant.dtype.itemsize}
    labels = carray(pointer(a[slots.LABELS], int64), a[slots.ROWS])
    given = carray(pointer(a[slots.CONSTANTS], float64), slots.CONSTANTS_MAX)
    scale = carray(pointer(a[slots.SCALE], float64), 1)[0]
{lines(4, "c{0} = kind(given[{0}])", over=range(variant.constants))}
{optional()}
{lines(4, f"x{{0}} = {view('a[slots.OPERANDS + {0}]')}", over=fixed)}
"""


def functions(loss: type[Rowwise], kind: Any, *, alone: bool) -> dict[str, Any]:
    """The mathematics in the types that kernels call it with, and constants of that type.

    `alone` tells that rows are combined one by one.
    """
    return {
        "peaks": typed(loss.peaks, kind) if loss.peaks else None,
        "terms": typed(loss.terms, kind) if loss.terms else None,
        "combine": typed(loss.combine, np.float64, alone=alone),
        "slopes": typed(loss.slopes, kind) if loss.slopes else None,
        "zero": kind(0),
        "low": kind(-np.inf),
    }
