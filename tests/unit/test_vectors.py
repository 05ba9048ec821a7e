"""Kernels for processors with vectors of other lengths: the same bits."""

import json
import os
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from numba import float32, njit, types

from lossd.compiled.vectors import whole_vectors

PROGRAM = """
import hashlib, json, sys
import numpy as np
from numba.core.registry import cpu_target
from lossd.engine import evaluate

rng = np.random.default_rng(5)

def some(*shape, dtype="float32"):
    return rng.standard_normal(shape).astype(dtype)

def inside(*shape):
    return rng.random(shape, np.float32)

def boxes(n):
    corner = inside(n, 2)
    return np.concatenate([corner, corner + inside(n, 2)], axis=1)

labels, marks = rng.integers(0, 300, 70), rng.integers(0, 7, (3, 150))
cases = {
    "binary_cross_entropy": {"input": inside(20_001), "target": inside(20_001)},
    "sigmoid_focal_loss": {"input": some(5_003), "target": inside(5_003)},
    "log_cosh_loss": {"input": some(999, dtype="float64"), "target": some(999, dtype="float64")},
    "mse_loss": {"input": some(10_007), "target": some(10_007)},
    "complete_box_iou_loss": {"boxes1": boxes(700), "boxes2": boxes(700)},
    "cross_entropy": {"input": some(70, 300), "target": labels},  # along rows
    "poly1_cross_entropy_loss": {"input": some(3, 7, 150), "target": marks},  # rows side by side
    "cosine_embedding_loss": {
        "input1": some(64, 130), "input2": some(64, 130), "target": np.ones(64, np.float32)
    },
    "dice_loss": {"input": some(2, 3, 40, 40), "target": inside(2, 3, 40, 40)},
}
digests = {}
for name, tensors in cases.items():
    first = next(iter(tensors))
    result = evaluate(name, tensors, gradients=[first])
    bits = result.loss.tobytes() + result.gradients[first].tobytes()
    digests[name] = hashlib.sha256(bits).hexdigest()
json.dump([cpu_target.target_context.codegen().magic_tuple()[1:], digests], sys.stdout)
"""


def processor_and_digests(**settings: str) -> Any:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env=os.environ | settings,
        capture_output=True,
        text=True,
        check=False,
    )
    assert not done.stderr
    return json.loads(done.stdout)


@pytest.mark.thorough
def test_the_same_bits() -> None:
    """On this processor, and with nothing that only some of its kind have."""
    processor, digests = processor_and_digests()
    plainest, same = processor_and_digests(NUMBA_CPU_NAME="generic", NUMBA_CPU_FEATURES="")
    assert plainest == ["generic", ""] != processor
    assert digests == same


def test_vectors_are_whole() -> None:
    @njit(types.void(float32[::1]))
    def double(x: Any) -> None:
        whole_vectors()
        for j in range(x.size):
            x[j] *= 2

    x = np.arange(5, dtype=np.float32)
    double(x)
    assert x.tolist() == [0, 2, 4, 6, 8]
    (compiled,) = double.inspect_llvm().values()
    assert '"prefer-vector-width"="512"' in compiled
