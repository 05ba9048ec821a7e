"""What a call should answer: the catalogue's formulas, weighed and reduced."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from .catalogue import FORMULAS
from .model import WIDE, Array, Number


@dataclass(frozen=True)
class Answer:
    """What `oracle` expects: values and scales; the last two are scales of PyTorch's."""

    loss: Number
    gradients: Mapping[str, Number]
    torch_scale: Array
    torch_slopes: Mapping[str, Array]


def oracle(
    name: str,
    tensors: Mapping[str, Array],
    parameters: Mapping[str, Any],
    reduction: str,
    upstream: Array | None,
) -> Answer:
    """Loss and gradients of the functional loss `name`."""
    wide = {k: v.astype(WIDE) if v.dtype.kind == "f" else v for k, v in tensors.items()}
    with np.errstate(all="ignore"):
        rows = FORMULAS[name](**wide, **parameters)
        losses, scale, cancelled = np.broadcast_arrays(*rows.losses, rows.cancelled)
        divisor: Any = 1
        factors = np.broadcast_to(rows.factors if reduction == "mean" else WIDE(1), losses.shape)
        losses, scale, cancelled = losses * factors, scale * factors, cancelled * factors
        if reduction == "mean":
            divisor = losses.size if rows.divisor is None else rows.divisor
            divisor = wide[rows.over].sum() if rows.over in wide else divisor
        if reduction == "batchmean":
            divisor = wide["input"].shape[0] if wide["input"].ndim else 1
        each = losses.shape
        if reduction == "sample":
            divisor = np.prod(each[1:], dtype=np.int64)
            axes = tuple(range(1, len(each)))
            losses, scale, cancelled = (a.sum(axes) for a in (losses, scale, cancelled))
        divisor = WIDE(divisor)
        if reduction not in ("none", "sample"):
            losses, scale, cancelled = losses.sum(), scale.sum(), cancelled.sum()
        given = WIDE(1) if upstream is None else upstream.astype(WIDE)
        if reduction == "sample":
            given = np.reshape(given, np.shape(given) + (1,) * max(len(each) - np.ndim(given), 0))
        factor = np.broadcast_to(given / divisor, rows.losses[0].shape) * factors

        def gradient(n: str, slope: Array, by: Array) -> Array:
            """Slopes times their row's factor, in the shape of tensor `n`."""
            seen = rows.views.get(n, wide[n].shape)
            made = _summed_to(rows.layout, slope * _spread(by, slope), seen)
            return made.reshape(wide[n].shape) if n in rows.views else made

        gradients, torch_slopes = {}, {}
        for n, number in rows.slopes.items():
            if n in tensors:
                slope, slope_scale = np.broadcast_arrays(*number)
                gradients[n] = gradient(n, slope, factor), gradient(n, slope_scale, abs(factor))
                more = np.broadcast_to(rows.torch.get(n, 0), slope.shape)
                torch_slopes[n] = gradients[n][1] + gradient(n, more, abs(factor))
        if rows.over in gradients and reduction == "mean":
            slope, slope_scale = gradients[rows.over]
            mean = losses / divisor * given / divisor
            slope_scale = slope_scale + scale / divisor**2 * abs(given)
            gradients[rows.over] = slope - mean, slope_scale
            torch_slopes[rows.over] = slope_scale
        scale, cancelled = scale / abs(divisor), cancelled / abs(divisor)
        return Answer((losses / divisor, scale), gradients, scale + cancelled, torch_slopes)


def _spread(factor: Array, slope: Array) -> Array:
    """One factor per row, for slopes that have components."""
    return factor.reshape(factor.shape + (1,) * (slope.ndim - factor.ndim))


def _summed_to(layout: Callable[[Array], Array], slope: Array, shape: tuple[int, ...]) -> Array:
    """The gradient of a tensor that was broadcast: summed over what it was repeated along."""
    if len(shape) == 1 < slope.ndim and shape == slope.shape[-1:]:
        return slope.sum(tuple(range(slope.ndim - 1)))  # one value per component
    slope = layout(slope)
    slope = slope.sum(tuple(range(slope.ndim - len(shape))))
    repeated = tuple(axis for axis, n in enumerate(shape) if n == 1 and slope.shape[axis] != 1)
    return slope.sum(repeated, keepdims=True)
