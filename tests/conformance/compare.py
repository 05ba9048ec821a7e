"""Calling lossd, PyTorch and the oracle alike, and the tolerances of their comparison."""

import math
import warnings
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final

import ml_dtypes
import numpy as np
import numpy.typing as npt
import torch
from lossd_client.dtypes import is_half, narrowed, widened

from lossd.plan import Result

from .catalogue import PEERS
from .model import Case, Number
from .oracles import Answer

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Tolerance:
    """How far a result may be off, in units of eps · scale (see catalogue/__init__.py).

    loss:  against the oracle, in units of its own type: float32 for tensors of two bytes.
    slope: against the oracle, for each element of a gradient.
    torch: against PyTorch, which rounds as often as lossd does, on its own way there, and which
        adds the classes of (N, C, d1) one after another in float32: up to C / 2 · eps, in
        practice half the root of C.
    weighed: against PyTorch with losses that are weighed, summed and divided by hand.

    NaN where nothing is compared.
    """

    loss: float
    slope: float
    torch: float = math.nan
    weighed: float = math.nan


HALVES: Final = {"float16": np.dtype(np.float16), "bfloat16": np.dtype(ml_dtypes.bfloat16)}

TOLERANCES: Final[dict[Any, Tolerance]] = {
    np.dtype(np.float32): Tolerance(loss=4, slope=4, torch=16, weighed=20),
    # what a gradient's elements share, as the sums of a softmax, is kept in nothing wider
    np.dtype(np.float64): Tolerance(loss=4, slope=8, torch=16, weighed=20),
    # computed in float32, gradients rounded once: half a unit, beside which float32's are nothing
    HALVES["float16"]: Tolerance(loss=4, slope=0.51),
    HALVES["bfloat16"]: Tolerance(loss=4, slope=0.51),
}


def halved(tensors: Mapping[str, Array], dtype: np.dtype[Any]) -> dict[str, Array]:
    """Tensors with every floating one in `dtype`."""
    return {n: narrowed(a, dtype) if a.dtype.kind == "f" else a for n, a in tensors.items()}


def upstream_for(case: Case, shape: tuple[int, ...], dtype: npt.DTypeLike) -> Array:
    """A gradient of what follows the loss; 1 and 0 are among its values."""
    drawn = np.asarray(case.rng().normal(size=shape))
    if drawn.size > 4:
        drawn.flat[0], drawn.flat[1] = 1.0, 0.0
    return drawn.astype(dtype)


@dataclass(frozen=True)
class Reference:
    """What PyTorch answers, and the type it computed in where that is not the tensors'."""

    loss: Array
    gradients: dict[str, Array]
    precision: npt.DTypeLike | None = None


# lossd's names of distances, as functions
DISTANCES: Final[dict[Any, Any]] = {
    "pairwise": torch.nn.functional.pairwise_distance,
    "cosine": lambda x, y: 1 - torch.nn.functional.cosine_similarity(x, y, dim=-1),
    "squared_euclidean": lambda x, y: ((x - y) ** 2).sum(-1),
    "manhattan": lambda x, y: (x - y).abs().sum(-1),
}


def by_torch(
    name: str,
    tensors: Mapping[str, Array],
    *,
    parameters: Mapping[str, Any] | None = None,
    reduction: str = "mean",
    gradients: Collection[str] = (),
    grad_output: Array | None = None,
) -> Reference:
    """`evaluate` by torch.nn.functional or another library, warnings left out."""
    given = {}
    parameters = dict(parameters or {})
    for key, array in tensors.items():
        copy = np.array(array, np.int64 if array.dtype.kind in "iu" else array.dtype, order="C")
        given[key] = torch.from_numpy(copy).requires_grad_(key in gradients)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if name in PEERS:
            peer = PEERS[name]
            loss = peer.function(*given.values(), **parameters)
            if reduction == "mean" and peer.divisor:
                loss = loss.sum() / peer.divisor(*given.values(), **parameters)
            elif reduction != "none":
                loss = getattr(loss, reduction)()
        else:
            parameters = {k: DISTANCES.get(v, v) for k, v in parameters.items()}
            loss = getattr(torch.nn.functional, name)(**given, **parameters, reduction=reduction)
    if loss.requires_grad:
        upstream = torch.ones_like(loss) if grad_output is None else torch.tensor(grad_output)
        loss.backward(upstream)
    made = {}
    for key in gradients:
        # no gradient at all (p = 0) is a gradient of 0
        grad = given[key].grad
        made[key] = np.zeros_like(tensors[key]) if grad is None else grad.numpy()
    return Reference(
        loss.detach().numpy(), made, np.float32 if name in PEERS and PEERS[name].single else None
    )


def difference(got: Array, expected: Number, least: float = 1) -> tuple[Array, Array]:
    """How far off each element is (0 for what is not finite and the same), and eps · scale.

    That is at least `least` times the smallest number.
    """
    value, scale = (np.asarray(part) for part in expected)
    info = ml_dtypes.finfo(got.dtype)
    with np.errstate(all="ignore"):
        rounded, got = widened(narrowed(value, got.dtype)), widened(got)
        same = (got == rounded) | (np.isnan(got) & np.isnan(rounded))
        off = np.where(same, 0, abs(got - value))
        unit = np.maximum(float(info.eps) * scale, least * float(info.smallest_subnormal))
    return np.where(np.isnan(off), np.inf, off), unit


def assert_near(got: Array, expected: Number, units: float, what: str, least: float = 1) -> None:
    """Compare with an expected value and its scale; what is not finite must be the same."""
    value = np.asarray(expected[0])
    assert got.shape == value.shape, what
    off, unit = difference(got, expected, least)
    with np.errstate(all="ignore"):
        good = (off == 0) | (off <= units * unit)
    if not np.all(good):
        at = np.unravel_index(int(np.argmin(good)), good.shape)
        raise AssertionError(
            f"{what}[{', '.join(map(str, at))}] = {got[at]!r}, expected {value[at]!r}: off by "
            f"{off[at] / unit[at]:.3g} eps·scale, allowed are {units:g} "
            f"({int(np.sum(~good))} of {good.size} are off)"
        )


def assert_conforms(got: Result, expected: Answer, dtype: npt.DTypeLike) -> None:
    """Compare a result with the oracle's answer."""
    tolerance = TOLERANCES[np.dtype(dtype)]
    assert got.loss.dtype == (np.float32 if is_half(np.dtype(dtype)) else dtype)
    assert_near(got.loss, expected.loss, tolerance.loss, "loss")
    for name, gradient in got.gradients.items():
        assert gradient.dtype == dtype
        assert_near(gradient, expected.gradients[name], tolerance.slope, f"gradient of {name}")


def assert_agrees(
    got: Result,
    reference: Reference,
    scales: Answer,
    dtype: npt.DTypeLike,
    alike: int = 0,
    multiplied: float = 1,
) -> None:
    """Compare a result with PyTorch's, in units of the oracle's scales.

    Of tensors of two bytes PyTorch's result must be that of the same values in float64.

    alike: how many terms may be so equal that all of PyTorch's additions round the same way.
    multiplied: by what PyTorch multiplies gradients after it has rounded them, which counts where
        they are below the normal numbers.
    """
    if is_half(np.dtype(dtype)):
        assert_rounds(got, reference, scales, dtype)
        return
    units = max(TOLERANCES[np.dtype(dtype)].torch, alike / 2)
    kind = reference.precision or dtype
    assert_near(got.loss.astype(kind), (reference.loss, scales.torch_scale), units, "torch: loss")
    assert got.gradients.keys() == reference.gradients.keys()
    for name, gradient in got.gradients.items():
        expected = reference.gradients[name], scales.torch_slopes[name]
        what = f"torch: gradient of {name}"
        assert_near(gradient.astype(kind), expected, units, what, multiplied)


def assert_rounds(got: Result, reference: Reference, scales: Answer, dtype: npt.DTypeLike) -> None:
    """Compare a result of tensors of two bytes with PyTorch's of the same values in float64.

    What is allowed is lossd's tolerance, and what PyTorch's own roundings may add.
    """
    tolerance, kind = TOLERANCES[np.dtype(dtype)], np.dtype(reference.precision or np.float64)
    theirs = TOLERANCES[kind].torch * float(np.finfo(kind).eps)

    def scale(array: Array, units: float, own: Array, of_torch: Array) -> Array:
        return own + theirs / (units * float(ml_dtypes.finfo(array.dtype).eps)) * of_torch

    assert got.loss.dtype == np.float32
    loss = scale(got.loss, tolerance.loss, scales.loss[1], scales.torch_scale)
    assert_near(got.loss, (reference.loss, loss), tolerance.loss, "torch: loss")
    assert got.gradients.keys() == reference.gradients.keys()
    for name, gradient in got.gradients.items():
        assert gradient.dtype == dtype
        own, of_torch = scales.gradients[name][1], scales.torch_slopes[name]
        size = scale(gradient, tolerance.slope, own, of_torch)
        what = f"torch: gradient of {name}"
        assert_near(gradient, (reference.gradients[name], size), tolerance.slope, what)
