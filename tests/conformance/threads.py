"""What a process with its own number of threads computes, for test_threads.py: a digest a line.

Each loss in both types and under all reductions, then with one set of parameters and one of options
that are not the default: the kernels that test_values.py compiles.
"""

import hashlib
import math
import warnings
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from lossd.engine import evaluate
from lossd.kernels import products, runtime
from lossd.spec import Classes, Elementwise, Vectors, registry

from .cases import gradients_of
from .catalogue import ENTRIES
from .model import Case, Shape

# products of more than products.ALONE multiplications: with 7 classes, a head of 5, all pairs
LAYER: Shape = (products.ALONE // (512 * 5) + 1, 512)
PAIRS: Shape = (math.isqrt(products.ALONE // 77) + 1, 77)
SHAPES: dict[str, Shape] = {
    "ctc_loss": (60, 40, 30),
    "multilabel_margin_loss": (900, 100),
    "linear_cross_entropy": LAYER,
    "adaptive_log_softmax_with_loss": LAYER,
    "generalized_jsd_loss": (900, 100),
    **dict.fromkeys(("supcon_loss", "nt_xent_loss", "info_nce_loss", "circle_loss"), PAIRS),
}


def large(name: str) -> Shape:
    """The shape of a call of a loss that several threads share."""
    loss = registry[name]
    if name in SHAPES:
        return SHAPES[name]
    if issubclass(loss, Elementwise):
        return (70_001,)
    if issubclass(loss, Classes):
        return (700, 100)
    if issubclass(loss, Vectors) and {len(s) for s in ENTRIES[name].shapes} == {1, 2}:
        return (700, 100)
    return max(ENTRIES[name].shapes, key=np.prod)


def forms(name: str) -> Iterator[tuple[Case, str, npt.DTypeLike]]:
    """Cases, reductions and types to compute a loss with."""
    shape, entry = large(name), ENTRIES[name]
    yield Case(name, shape), "mean", np.float32
    yield Case(name, shape), "none", np.float32
    yield Case(name, shape), "sum", np.float32
    yield Case(name, shape), "sum", np.float64
    for parameters in entry.grid[-1:]:
        yield Case(name, shape, parameters), "mean", np.float32
    free = [o for o in entry.options if all(isinstance(v, bool | str) for v in o.values())]
    for options in free[:1]:  # others name a shape, that of `entry.middle`
        yield Case(name, shape, {}, options), "mean", np.float32


def digest(case: Case, reduction: str, dtype: npt.DTypeLike) -> str:
    """Of the loss and all gradients."""
    tensors = case.tensors(dtype)
    made = evaluate(
        case.loss,
        tensors,
        parameters=case.parameters,
        reduction=reduction,
        gradients=gradients_of(case.loss, tensors),
    )
    total = hashlib.sha256(made.loss.tobytes())
    for gradient in made.gradients.values():
        total.update(gradient.tobytes())
    return total.hexdigest()


def main() -> None:
    warnings.simplefilter("ignore")
    print(runtime.get_threads(), runtime.MAX_THREADS)
    runtime.set_threads(runtime.MAX_THREADS)
    for name in sorted(registry):
        for case, reduction, dtype in forms(name):
            kind = np.dtype(dtype).name
            print(name, f"{case}-{reduction}-{kind}", digest(case, reduction, dtype), flush=True)


if __name__ == "__main__":
    main()
