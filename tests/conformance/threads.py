"""What a process with its own number of threads computes, for test_threads.py: a digest a line."""

import hashlib
import warnings

import numpy as np

from lossd.engine import evaluate
from lossd.kernels import runtime
from lossd.spec import Classes, Elementwise, Vectors, registry

from .cases import gradients_of
from .catalogue import ENTRIES
from .model import Case, Shape

SHAPES: dict[str, Shape] = {
    "ctc_loss": (60, 40, 30),
    "multilabel_margin_loss": (900, 100),
    "linear_cross_entropy": (333, 77),
    "adaptive_log_softmax_with_loss": (900, 64),
    "generalized_jsd_loss": (900, 100),
    **dict.fromkeys(("supcon_loss", "nt_xent_loss", "info_nce_loss", "circle_loss"), (333, 77)),
}


def large(name: str) -> Case:
    """A call of a loss that several threads share."""
    loss = registry[name]
    if name in SHAPES:
        return Case(name, SHAPES[name])
    if issubclass(loss, Elementwise):
        return Case(name, (150_007,))
    if issubclass(loss, Classes):
        return Case(name, (1500, 100))
    if issubclass(loss, Vectors) and {len(s) for s in ENTRIES[name].shapes} == {1, 2}:
        return Case(name, (1500, 100))
    return Case(name, max(ENTRIES[name].shapes, key=np.prod))


def main() -> None:
    warnings.simplefilter("ignore")
    print(runtime.get_threads(), runtime.MAX_THREADS)
    runtime.set_threads(runtime.MAX_THREADS)
    for name in sorted(registry):
        case = large(name)
        tensors = case.tensors(np.float32)
        made = evaluate(name, tensors, gradients=gradients_of(name, tensors))
        digest = hashlib.sha256(made.loss.tobytes())
        for gradient in made.gradients.values():
            digest.update(gradient.tobytes())
        print(name, digest.hexdigest())


if __name__ == "__main__":
    main()
