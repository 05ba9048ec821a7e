"""Calls whose tensors are still being written: the bits of those whose tensors are there."""

import contextlib
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from lossd_client.dtypes import BFLOAT16
from lossd_client.errors import DomainError, LabelError

from lossd import engine
from lossd.engine import Call
from lossd.filling import Filling, Lanes
from lossd.kernels import runtime
from lossd.kernels.stopping import Stop, Stopped, stopped_by
from lossd.plan import Result

pytestmark = pytest.mark.thorough

Array = npt.NDArray[Any]

RNG = np.random.default_rng(33)
ROWS, WIDTH = 700, 333
WHOLE = 1 << 30
CAPACITIES = (WHOLE, 1 << 18, 128 * WIDTH * 4, 70016)


class Writer:
    """Writes tensors to lanes, a piece at a time.

    Args:
        tensors: what is written.
        capacity: bytes of a lane at most.
        piece: bytes that are written at a time.
    """

    def __init__(self, tensors: Sequence[Array], capacity: int, piece: int) -> None:
        self._sources = [tensor.reshape(-1).view(np.uint8) for tensor in tensors]
        self._total = self._sources[0].size
        self._capacity, self._piece = min(capacity, self._total), piece
        self.memory = [np.zeros(self._capacity, np.uint8) for _ in tensors]
        self.filled, self.taken = np.zeros(1, np.int64), np.zeros(1, np.int64)
        self._lock = threading.Lock()

    def write(self, pause: float = 0.0) -> None:
        """Write all, as the other side gets on."""
        at, capacity = 0, self._capacity
        deadline = time.monotonic() + 60
        while at < self._total:
            length = min(self._piece, self._total - at, capacity - at % capacity)
            free = capacity - at + self.taken[0] if capacity < self._total else self._total
            if free < min(length, capacity // 2):
                assert time.monotonic() < deadline
                time.sleep(1e-5)
                continue
            length = min(length, free)
            for source, lane in zip(self._sources, self.memory, strict=True):
                lane[at % capacity :][:length] = source[at : at + length]
            at += length
            with self._lock:
                self.filled[0] = at
            time.sleep(pause)

    @contextlib.contextmanager
    def writing(self, pause: float = 0.0) -> Iterator[None]:
        thread = threading.Thread(target=self.write, args=(pause,))
        thread.start()
        try:
            yield
        finally:
            self.taken[0] = self._total  # it ends, whatever happened
            thread.join()


def began(call: Call, names: Sequence[str], writer: Writer) -> Filling:
    first = call.arrays[names[0]]
    memory = dict(zip(names, writer.memory, strict=True))
    stand_ins = {name: np.broadcast_to(np.empty((), first.dtype), first.shape) for name in names}
    lanes = Lanes(first.dtype, first.shape, memory, writer.filled, writer.taken)
    call = call._replace(arrays={**call.arrays, **stand_ins})
    return engine.filling(engine.plan_of(call), call, lanes)


def ended(filling: Filling, patience: int = 5) -> Result:
    deadline = time.monotonic() + 60
    while filling.result is None:
        filling.go_on(patience)
        assert time.monotonic() < deadline
    return filling.result


def computed(call: Call, names: Sequence[str], capacity: int, piece: int = 50_000) -> Result:
    writer = Writer([call.arrays[name] for name in names], capacity, piece)
    filling = began(call, names, writer)
    with writer.writing():
        return ended(filling)


def check(result: Result, expected: Result) -> None:
    assert result.loss.tobytes() == expected.loss.tobytes()
    assert result.gradients.keys() == expected.gradients.keys()
    for name, gradient in expected.gradients.items():
        assert result.gradients[name].dtype == gradient.dtype
        assert result.gradients[name].tobytes() == gradient.tobytes()


def pair(dtype: Any = np.float32) -> dict[str, Array]:
    x, y = RNG.random((2, ROWS, WIDTH))
    return {"input": x.astype(dtype), "target": y.astype(dtype)}


def labelled(dtype: Any = np.float32) -> dict[str, Array]:
    x = RNG.standard_normal((ROWS, WIDTH))
    return {"input": x.astype(dtype), "target": RNG.integers(0, WIDTH, ROWS)}


BOTH, INPUT = ("input", "target"), ("input",)
CASES: dict[str, tuple[Call, tuple[str, ...]]] = {
    "mse": (Call("mse_loss", pair(), {}, "mean", ["input"]), BOTH),
    "both gradients": (Call("mse_loss", pair(), {}, "sum", ["input", "target"]), BOTH),
    "each": (Call("smooth_l1_loss", pair(), {}, "none", ["input"]), BOTH),
    "no gradient": (Call("l1_loss", pair(), {}, "mean", []), BOTH),
    "float64": (Call("huber_loss", pair(np.float64), {}, "mean", ["input"]), BOTH),
    "float16": (Call("mse_loss", pair(np.float16), {}, "mean", ["input"]), BOTH),
    "bfloat16": (Call("mse_loss", pair(BFLOAT16), {}, "none", ["input", "target"]), BOTH),
    "bounded": (Call("binary_cross_entropy", pair(), {}, "mean", ["input"]), BOTH),
    "one of two": (Call("mse_loss", pair(), {}, "mean", ["input"]), INPUT),
    "weight": (
        Call("binary_cross_entropy", pair() | {"weight": pair()["input"]}, {}, "mean", ["input"]),
        BOTH,
    ),
    "sample_weight": (
        Call(
            "mse_loss",
            pair() | {"sample_weight": RNG.random(ROWS, np.float32)},
            {"normalizer": "weights"},
            "mean",
            ["input"],
        ),
        BOTH,
    ),
    "grad_output": (
        Call("mse_loss", pair(), {}, "none", ["input"], pair()["input"]),
        BOTH,
    ),
    "cross entropy": (
        Call("cross_entropy", labelled(), {"label_smoothing": 0.1}, "mean", ["input"]),
        INPUT,
    ),
    "class weights": (
        Call(
            "cross_entropy",
            labelled() | {"weight": RNG.random(WIDTH, np.float32)},
            {"ignore_index": 3},
            "none",
            ["input"],
        ),
        INPUT,
    ),
    "cross entropy of halves": (
        Call("cross_entropy", labelled(np.float16), {}, "mean", ["input"]),
        INPUT,
    ),
    "probabilities": (
        Call("cross_entropy", pair(), {}, "mean", ["input"]),
        BOTH,
    ),
    "columns": (
        Call(
            "cross_entropy",
            {
                "input": RNG.standard_normal((60_000, 3), np.float32),
                "target": RNG.integers(0, 3, 60_000),
            },
            {},
            "mean",
            ["input"],
        ),
        INPUT,
    ),
    "cosine": (
        Call(
            "cosine_embedding_loss",
            {
                "input1": pair()["input"],
                "input2": pair()["input"],
                "target": np.where(RNG.random(ROWS) < 0.5, 1, -1),
            },
            {},
            "mean",
            ["input1", "input2"],
        ),
        ("input1", "input2"),
    ),
}
GATHERED: dict[str, tuple[Call, tuple[str, ...]]] = {
    "composed": (
        Call(
            "info_nce_loss",
            {"query": pair()["input"], "key": pair()["input"]},
            {},
            "mean",
            ["query"],
        ),
        ("query", "key"),
    ),
    "regions": (
        Call(
            "dice_loss",
            {
                "input": RNG.random((50, 4, 300), np.float32),
                "target": RNG.random((50, 4, 300), np.float32),
            },
            {},
            "mean",
            ["input"],
        ),
        BOTH,
    ),
    "not next to each other": (
        Call(
            "cross_entropy",
            {
                "input": RNG.standard_normal((40, 10, 200), np.float32),
                "target": RNG.integers(0, 10, (40, 200)),
            },
            {},
            "mean",
            ["input"],
        ),
        INPUT,
    ),
    "means of samples": (Call("mse_loss", pair(), {}, "sample", ["input"]), BOTH),
    "a factor": (
        Call(
            "binary_cross_entropy", pair() | {"weight": pair()["input"]}, {}, "mean", ["input"]
        ),
        ("input", "weight"),
    ),
    "a divisor": (Call("mse_loss", pair() | {"weight": pair()["input"]}, {}, "mean", ["input"]),
                  ("input", "target", "weight")),
}  # fmt: skip


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("capacity", CAPACITIES)
@pytest.mark.parametrize("case", CASES)
def test_the_same_bits(case: str, capacity: int, threads: int) -> None:
    call, names = CASES[case]
    before = runtime.get_threads()
    runtime.set_threads(min(threads, runtime.MAX_THREADS))
    try:
        check(computed(call, names, capacity), engine.compute(call))
    finally:
        runtime.set_threads(before)


@pytest.mark.parametrize("capacity", [WHOLE, 70016, 1024])
@pytest.mark.parametrize("case", GATHERED)
def test_what_needs_all_of_it(case: str, capacity: int) -> None:
    call, names = GATHERED[case]
    check(computed(call, names, capacity), engine.compute(call))


@pytest.mark.parametrize("piece", [1, 7, 4096, 1 << 20])
def test_pieces_of_any_size(piece: int) -> None:
    x, y = RNG.random((2, 20_011), np.float32)
    call = Call("mse_loss", {"input": x, "target": y}, {}, "mean", ["input"])
    check(computed(call, BOTH, WHOLE, piece), engine.compute(call))
    check(computed(call, BOTH, 70_400, piece), engine.compute(call))


def test_lanes_that_hold_no_two_blocks() -> None:
    """They are gone round all the same: it is computed once all is there."""
    call, names = CASES["mse"]
    check(computed(call, names, 4096), engine.compute(call))


def test_what_is_there_is_computed_first() -> None:
    call, names = CASES["mse"]
    writer = Writer([call.arrays[name] for name in names], WHOLE, 1 << 20)
    filling = began(call, names, writer)
    assert not filling.go_on(0)
    for lane, name in zip(writer.memory, names, strict=True):
        lane[:] = call.arrays[name].reshape(-1).view(np.uint8)
    writer.filled[0] = 100_000
    assert filling.go_on(0)
    assert filling.result is None
    assert writer.taken[0] == 3 * 32_768
    assert not filling.go_on(3)
    writer.filled[0] = call.arrays["input"].nbytes
    assert filling.go_on(0)
    assert filling.result is not None
    check(filling.result, engine.compute(call))


def test_gradients_go_where_they_should() -> None:
    call, names = CASES["mse"]
    room = np.zeros((ROWS, WIDTH), np.float32)
    result = computed(call._replace(out={"input": room}), names, 70_016)
    assert result.gradients["input"] is room
    check(result, engine.compute(call))


@pytest.mark.parametrize("capacity", CAPACITIES)
@pytest.mark.parametrize("place", [0, 8191, 17_400, 17_600, ROWS * WIDTH - 1])
@pytest.mark.parametrize("name", BOTH)
def test_values_outside_their_domain(capacity: int, place: int, name: str) -> None:
    tensors = pair()
    tensors[name].reshape(-1)[place] = 1.5
    call = Call("binary_cross_entropy", tensors, {}, "mean", ["input"])
    with pytest.raises(DomainError) as expected:
        engine.compute(call)
    with pytest.raises(DomainError) as found:
        computed(call, BOTH, capacity)
    assert str(found.value) == str(expected.value)


def test_labels_are_checked_first() -> None:
    tensors = labelled()
    tensors["target"][5] = WIDTH
    call = Call("cross_entropy", tensors, {}, "mean", ["input"])
    writer = Writer([tensors["input"]], WHOLE, 1 << 20)
    with pytest.raises(LabelError, match=r"target\[5\] = 333 is outside"):
        began(call, INPUT, writer)


@pytest.mark.parametrize("case", ["mse", "composed"])
def test_it_can_be_stopped(case: str) -> None:
    call, names = (CASES | GATHERED)[case]
    writer = Writer([call.arrays[name] for name in names], WHOLE, 1 << 20)
    filling, stop = began(call, names, writer), Stop()
    timer = threading.Timer(0.1, stop.ask)
    timer.start()
    begun = time.monotonic()
    with stopped_by(stop), pytest.raises(Stopped):
        filling.go_on(1_000_000)
    assert time.monotonic() - begun < 30
    timer.join()


@pytest.mark.parametrize("told", [1 << 62, -1, -(1 << 63)])
@pytest.mark.parametrize("capacity", CAPACITIES)
@pytest.mark.parametrize("case", ["mse", "composed"])
def test_who_tells_what_is_not_so(case: str, capacity: int, told: int) -> None:
    """It gets some result, or waits: nothing is read that is not its own."""
    call, names = (CASES | GATHERED)[case]
    writer = Writer([call.arrays[name] for name in names], capacity, 1 << 20)
    filling = began(call, names, writer)
    writer.filled[0] = told
    filling.go_on(2)
    assert (filling.result is not None) == (told > 0)


@pytest.mark.parametrize("capacity", [WHOLE, 70_016])
def test_bytes_that_come_one_by_one_keep_nobody(capacity: int) -> None:
    call, names = GATHERED["composed"]
    writer = Writer([call.arrays[name] for name in names], capacity, 1)
    filling = began(call, names, writer)
    rounds = 0

    class Creeping(np.ndarray[Any, Any]):
        """Tells of one more byte each time that it is asked."""

        def __getitem__(self, index: Any) -> Any:
            nonlocal rounds
            rounds += 1
            return rounds

    object.__setattr__(filling._lanes, "filled", writer.filled.view(Creeping))
    filling.go_on(30)
    assert filling.result is None
    assert rounds <= 40
