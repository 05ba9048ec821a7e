"""A linear layer's cross entropy, against both of PyTorch's: python -m benchmarks.linear.

PyTorch has a reference (the layer, then cross entropy) and, with LinearCrossEntropyOptions, a
version in chunks that never holds all logits, as lossd's does not.
"""

import statistics
import time
from collections.abc import Callable
from typing import Any, Final

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from lossd.engine import evaluate
from lossd.kernels import runtime

SIZES: Final = ((512, 256, 32_000), (2048, 512, 32_000), (4096, 1024, 32_000))
"""Rows, features and classes."""

ROUNDS: Final = 5


def contenders(rows: int, features: int, classes: int) -> dict[str, Callable[[], object]]:
    """Loss, and gradients of input and layer, by each."""
    random = np.random.default_rng(0)
    x = random.standard_normal((rows, features), np.float32)
    w = random.standard_normal((classes, features), np.float32) / np.float32(features**0.5)
    y = random.integers(0, classes, rows)
    tensors = {"input": x, "linear_weight": w, "target": y}
    leaves = [torch.from_numpy(array).requires_grad_() for array in (x, w)]
    target = torch.from_numpy(y)

    def by_torch(options: Any) -> object:
        loss = torch.nn.functional.linear_cross_entropy(*leaves, target, options=options)
        return torch.autograd.grad(loss, leaves)

    return {
        "torch, layer and loss": lambda: by_torch(None),
        "torch, in chunks": lambda: by_torch(torch.nn.LinearCrossEntropyOptions()),
        "lossd": lambda: evaluate(
            "linear_cross_entropy", tensors, gradients=["input", "linear_weight"]
        ),
    }


def main() -> None:
    """Print a table."""
    torch.set_num_threads(runtime.get_threads())
    table = Table(title=f"Loss and gradients, ms: median of {ROUNDS}, in turns")
    table.add_column("rows x features, classes", no_wrap=True)
    for size in SIZES:
        calls = contenders(*size)
        times: dict[str, list[float]] = {name: [] for name in calls}
        if not table.rows:
            for name in calls:
                table.add_column(name, justify="right", no_wrap=True)
        for turn in range(ROUNDS + 1):
            for name, call in calls.items():
                begun = time.perf_counter()
                call()
                if turn:  # the first one warms up
                    times[name].append(time.perf_counter() - begun)
        rows, features, classes = size
        medians = [f"{1000 * statistics.median(each):,.0f}" for each in times.values()]
        table.add_row(f"{rows}x{features}, {classes:,}", *medians)
    Console(highlight=False).print(table)


if __name__ == "__main__":
    main()
