"""Computing that is asked to end ends between blocks and between tiles, and harms nothing."""

import threading
from typing import Any

import ml_dtypes
import numba as nb
import numpy as np
import pytest

from lossd.engine import evaluate
from lossd.kernels import runtime
from lossd.kernels.slots import pointer
from lossd.kernels.stopping import Stop, Stopped, current, stopped_by

RNG = np.random.default_rng(3)
CALLS: dict[str, tuple[str, dict[str, Any]]] = {
    "serial": ("mse_loss", {n: RNG.random(100, np.float32) for n in ("input", "target")}),
    "parallel": ("mse_loss", {n: RNG.random(1 << 20, np.float32) for n in ("input", "target")}),
    "halves": (
        "mse_loss",
        {n: RNG.random(1 << 20).astype(ml_dtypes.bfloat16) for n in ("input", "target")},
    ),
    "samples": (
        "ctc_loss",
        {
            "log_probs": np.log(np.full((5, 2, 3), 1 / 3, np.float32)),
            "targets": np.ones((2, 2), np.int64),
            "input_lengths": np.array([5, 5]),
            "target_lengths": np.array([2, 1]),
        },
    ),
    "long samples": (
        "multilabel_margin_loss",
        {"input": RNG.random((9, 30), np.float32), "target": np.tile(np.arange(30), (9, 1))},
    ),
    "composed": (
        "linear_cross_entropy",
        {
            "input": RNG.random((600, 40), np.float32),
            "linear_weight": RNG.random((1000, 40), np.float32),
            "target": RNG.integers(0, 1000, 600),
        },
    ),
}


@pytest.mark.parametrize("kind", CALLS)
def test_a_call_that_is_asked_to_end(kind: str) -> None:
    name, tensors = CALLS[kind]
    wanted = [next(iter(tensors))]
    expected = evaluate(name, tensors, gradients=wanted)
    stop = Stop()
    with stopped_by(stop):
        before = evaluate(name, tensors, gradients=wanted)
        stop.ask()
        with pytest.raises(Stopped):
            evaluate(name, tensors, gradients=wanted)
    after = evaluate(name, tensors, gradients=wanted)
    for found in (before, after):
        np.testing.assert_array_equal(found.loss, expected.loss)
        np.testing.assert_array_equal(found.gradients[wanted[0]], expected.gradients[wanted[0]])


@nb.cfunc("void(intp, intp)")
def ask_at_the_fourth(args: int, index: int) -> None:
    """A kernel that counts its blocks, and asks itself to end."""
    words = pointer(args, nb.int64)
    words[0] += 1  # type: ignore[index]
    if words[0] == 4:  # type: ignore[index]
        pointer(words[1], nb.int64)[0] = 1  # type: ignore[index]


@pytest.mark.parametrize("threads", [None, 1])
def test_kernels_end_between_blocks(threads: int | None) -> None:
    stop = Stop()
    words = np.array([0, stop.address], np.int64)
    with stopped_by(stop):
        if threads is None:
            runtime.run_serial(ask_at_the_fourth.address, words.ctypes.data, 0, 1000)
        else:
            runtime.run_parallel(ask_at_the_fourth.address, words.ctypes.data, 0, 1000, threads)
    assert words[0] == 4


def test_other_threads_go_on() -> None:
    stop = Stop()
    stop.ask()
    found = list[Any]()
    with stopped_by(stop):
        thread = threading.Thread(target=lambda: found.append(evaluate(*CALLS["parallel"]).loss))
        thread.start()
        thread.join()
    assert found == [evaluate(*CALLS["parallel"]).loss]
    assert not current().asked
