"""Memory that a call takes beside its tensors, as the operating system counts it."""

import subprocess
import sys

import numpy as np
import pytest

from lossd.engine import needed

MEASURE = """
import numpy as np
from lossd.engine import evaluate

def resident(kind):
    lines = open("/proc/self/status").read().splitlines()
    return int(next(line for line in lines if line.startswith(kind)).split()[1]) / 1024

def call(count, classes):
    tensors = {
        "input": x[:count], "linear_weight": w[:classes], "target": np.arange(count) % classes
    }
    return evaluate("linear_cross_entropy", tensors, gradients=["input", "linear_weight"])

rng = np.random.default_rng(0)
x = rng.standard_normal((2048, 512), np.float32)
w = rng.standard_normal((32000, 512), np.float32) / 22
call(64, 3000)  # kernels are there from here on
before = resident("VmRSS")
open("/proc/self/clear_refs", "w").write("5")  # the peak starts again
made = call(2048, 32000)
gradients = sum(g.nbytes for g in made.gradients.values()) / 2**20
print(resident("VmHWM") - before - gradients)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the peak is read from Linux's /proc")
def test_linear_cross_entropy_never_holds_its_logits() -> None:
    """Those of 2048 samples and 32,000 classes take 250 MiB, and their gradient as much again."""
    command = [sys.executable, "-c", MEASURE]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert 0 < float(run.stdout) <= 64


@pytest.mark.parametrize("classes", [1 << 10, 1 << 26])
def test_linear_cross_entropy_asks_for_a_row_and_its_gradient_however_long(classes: int) -> None:
    kind = np.dtype(np.float32)
    types = {
        "input": (kind, (1, 1)),
        "linear_weight": (kind, (classes, 1)),
        "target": (np.dtype(np.int64), (1,)),
    }
    size, _, _ = needed("linear_cross_entropy", types, {}, "mean", ["input"])
    assert size == 4 + max(32 << 20, 2 * 4 * classes)
