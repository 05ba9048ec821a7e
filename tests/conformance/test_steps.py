"""Tensors that come in pieces of any size: the bits of those that are there at once."""

import itertools
import math
from typing import Any

import numpy as np
import pytest
from lossd_client.errors import DomainError

from lossd.engine import Call, evaluate, needed, steps
from lossd.spec import Elementwise, Rowwise, registry
from lossd.steps import Arriving

from .cases import MIDDLE, gradients_of
from .compare import upstream_for
from .model import Array, Case, Tensors

# of a chunk, of what is no whole row, of what is no whole element, and all at once
CUTS = {"even": (4096,), "odd": (1001, 52), "single bytes": (1, 3, 7, 97), "whole": (1 << 30,)}

ROWS = {n for n, k in registry.items() if issubclass(k, Rowwise)}
WALKED = {n: k for n, k in registry.items() if issubclass(k, Elementwise | Rowwise)}

# several blocks of every such loss, and one of every parameter
IN_ORDER = [
    *(Case(n, (20_011,) if issubclass(k, Elementwise) else (300, 101)) for n, k in WALKED.items()),
    *(c for c in MIDDLE if c.loss in WALKED and (len(c.shape) == 2 or c.loss not in ROWS)),
]


def in_pieces(call: Call, names: list[str], cuts: tuple[int, ...]) -> dict[str, Array]:
    """Loss and gradients of a call whose tensors `names` come in turn, `cuts` bytes at a time."""
    arriving = {n: Arriving(call.arrays[n].dtype, call.arrays[n].nbytes) for n in names}
    made = steps(call, arriving)
    data = {n: np.frombuffer(call.arrays[n].tobytes(), np.uint8) for n in names}
    answers = {n: bytearray(math.prod(s) * t.itemsize) for n, (t, s) in made.announced().items()}
    sizes = itertools.cycle(cuts)
    while not made.finished:
        for name, tensor in arriving.items():
            if tensor.received < tensor.size:
                start = tensor.received
                tensor.add(data[name][start : start + next(sizes)])
        while made.ready:
            for piece in made.step():
                found = piece.data.tobytes()
                answers[piece.name][piece.offset : piece.offset + len(found)] = found
    assert all(tensor.held == 0 for tensor in arriving.values())
    kinds = made.announced()
    return {n: np.frombuffer(a, kinds[n][0]).reshape(kinds[n][1]) for n, a in answers.items()}


def types(tensors: Tensors) -> dict[str, Any]:
    return {name: (array.dtype, array.shape) for name, array in tensors.items()}


@pytest.mark.filterwarnings("ignore:.*are broadcast")
@pytest.mark.parametrize("cuts", CUTS.values(), ids=CUTS.keys())
@pytest.mark.parametrize("case", IN_ORDER, ids=str)
def test_pieces_give_the_same_bits(case: Case, cuts: tuple[int, ...]) -> None:
    tensors = case.tensors(np.float32)
    for reduction in ("none", "mean"):
        _, possible, _ = needed(case.loss, types(tensors), case.parameters, reduction, ())
        assert next(iter(tensors)) in possible
        gradients = [name for name in gradients_of(case.loss, tensors) if name in possible]
        shape = evaluate(
            case.loss, tensors, parameters=case.parameters, reduction=reduction
        ).loss.shape
        upstream = upstream_for(case, shape, np.float32)
        form: dict[str, Any] = {"reduction": reduction, "gradients": gradients}
        whole = evaluate(
            case.loss, tensors, parameters=case.parameters, grad_output=upstream, **form
        )
        call = Call(case.loss, tensors, case.parameters, grad_output=upstream, **form)
        for names in (list(possible), [next(iter(tensors))]):
            found = in_pieces(call, names, cuts)
            assert found["loss"].tobytes() == whole.loss.tobytes()
            for name, gradient in whole.gradients.items():
                assert found[f"grad.{name}"].tobytes() == gradient.tobytes(), name


def test_halves_in_pieces() -> None:
    rng = np.random.default_rng(3)
    x = rng.normal(size=(300, 101)).astype(np.float16)
    tensors = {"input": x, "target": rng.integers(0, 101, 300)}
    whole = evaluate("cross_entropy", tensors, gradients=["input"])
    call = Call("cross_entropy", tensors, {}, "mean", ["input"])
    for cuts in CUTS.values():
        found = in_pieces(call, ["input"], cuts)
        assert found["grad.input"].dtype == np.float16
        assert found["loss"].tobytes() == whole.loss.tobytes()
        assert found["grad.input"].tobytes() == whole.gradients["input"].tobytes()


@pytest.mark.parametrize(
    ("loss", "shape", "reduction", "other"),
    [
        ("cross_entropy", (4, 3, 5), "mean", None),  # components that are not next to each other
        ("mse_loss", (8, 3), "sample", None),
        ("mse_loss", (8, 3), "mean", (3,)),  # a gradient that is summed over where it is broadcast
        ("dice_loss", (2, 3, 4), "mean", None),
    ],
)
def test_what_needs_all_of_it_does_not_come_in_pieces(
    loss: str, shape: tuple[int, ...], reduction: str, other: tuple[int, ...] | None
) -> None:
    kind = np.dtype(np.float32)
    label = np.dtype(np.int64), (4, 5)
    given = {"input": (kind, shape), "target": (kind, other or shape)}
    if loss == "cross_entropy":
        given["target"] = label
    gradients = ["input", "target"] if other else ["input"]
    assert needed(loss, given, {}, reduction, gradients)[1] == {}


def test_a_wrong_box_is_named_by_its_place() -> None:
    boxes = np.tile(np.float32([0, 0, 1, 1]), (5, 3001, 1))
    boxes[4, 2500, 3] = -1
    call = Call("box_iou_loss", {"boxes1": boxes, "boxes2": np.zeros_like(boxes)}, {}, "mean", ())
    for cuts in CUTS.values():
        with pytest.raises(DomainError, match=r"boxes1\[4, 2500\] = \(0, 0, 1, -1\) is not a box"):
            in_pieces(call, ["boxes1", "boxes2"], cuts)
