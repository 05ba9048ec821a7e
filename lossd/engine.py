"""Validate, plan, run the kernel, reduce: one call of one loss.

>>> import numpy as np
>>> from lossd.engine import evaluate
>>> result = evaluate("mse_loss", {"input": np.float32([1, 2]), "target": np.float32([0, 0])},
...                   gradients=["input"])
>>> float(result.loss), result.gradients["input"].tolist()
(2.5, [1.0, 2.0])
"""

import functools
import math
import os
import warnings
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
from lossd_client.buffers import Pool
from lossd_client.errors import DomainError, DTypeError, LabelError, ParameterError, ShapeError

import lossd.losses  # noqa: F401  fills the registry
from lossd.kernels import columns, labels, rowwise, runtime, slots
from lossd.kernels.variant import Variant
from lossd.spec import (
    FLOATS,
    Classes,
    Given,
    Layout,
    Loss,
    Rowwise,
    Samples,
    Shape,
    TensorType,
    find,
)  # fmt: skip

Array = npt.NDArray[Any]

PARALLEL_FROM: Final = 65_536
"""Elements from which a kernel runs on several threads: below, starting them costs more than it
saves (benchmarks/thresholds.py measures it)."""

PADDING: Final = rowwise.TILE
"""Arrays with one value for each class are this much longer, for tiles that read beyond a row."""

_INT64_MAX: Final = np.iinfo(np.int64).max
_NO_LABEL: Final = np.iinfo(np.int64).min  # stands for the ignore_index of a loss without one
_SCALE: Final = slots.COUNT  # where it stands in a call's memory
_PARTIAL: Final = slots.COUNT + 1
_PLANS: Final = 1024  # plans kept for calls of the same form
_SPARE: Final = 2  # argument blocks that a plan keeps
_SPARE_BLOCKS: Final = 512  # blocks of a kernel up to which it keeps them: 8 KiB

pool: Final = Pool()
"""Where large gradients and losses come from."""


@dataclass(frozen=True)
class Result:
    """What a call gives.

    loss: () for 'mean', 'sum' and 'batchmean'; the losses' shape for 'none'.
    gradients: one for each tensor that was asked for, of its shape and type.
    warning: what the caller should be told, or "".
    """

    loss: Array
    gradients: dict[str, Array] = field(default_factory=dict)
    warning: str = ""


def set_threads(count: int) -> None:
    """Run large kernels on `count` threads. Results do not depend on it.

    Raises:
        ParameterError: not between 1 and the threads that were started (the processors, or
            `NUMBA_NUM_THREADS`).
    """
    global _threads  # noqa: PLW0603  one number for the process, as Numba's threads are
    if not 1 <= count <= runtime.MAX_THREADS:
        raise ParameterError(
            f"threads = {count} must be between 1 and {runtime.MAX_THREADS}", field="threads"
        )
    _threads = count


def get_threads() -> int:
    """How many threads large kernels run on."""
    return _threads


_threads = min(runtime.MAX_THREADS, len(os.sched_getaffinity(0)))


def evaluate(
    loss: str,
    tensors: Mapping[str, npt.ArrayLike],
    *,
    parameters: Mapping[str, Any] | None = None,
    reduction: str = "mean",
    gradients: Collection[str] = (),
    grad_output: npt.ArrayLike | None = None,
) -> Result:
    """Compute a loss and the gradients that are asked for, in one pass.

    Warns where shapes differ and PyTorch warns too.

    Args:
        loss: functional name, such as "cross_entropy".
        tensors: arrays by name; optional ones (weight, pos_weight) may be left out.
        parameters: hyper-parameters by name.
        reduction: "mean", "sum", "none" (and "batchmean" for kl_div).
        gradients: names of the tensors whose gradient is wanted.
        grad_output: gradient of what follows with respect to the loss, of the loss's shape;
            1 where it is left out.

    Raises:
        UnknownLossError, ParameterError, ShapeError, DomainError: all ValueError.
        LabelError: a class index out of range; an IndexError.
        DTypeError: a type that the tensor cannot have; a TypeError.
    """
    arrays = {name: _array(loss, name, value) for name, value in tensors.items()}
    result = compute(Call(loss, arrays, parameters or {}, reduction, gradients, grad_output))
    if result.warning:
        warnings.warn(result.warning, UserWarning, stacklevel=2)
    return result


class Call(NamedTuple):
    """The arguments of `evaluate`, its tensors as arrays."""

    loss: str
    arrays: Mapping[str, Array]
    parameters: Mapping[str, Any]
    reduction: str
    gradients: Collection[str]
    grad_output: npt.ArrayLike | None = None

    def key(self) -> "_Key":
        """What a plan depends on."""
        types = tuple([(name, a.dtype, a.shape) for name, a in self.arrays.items()])
        for name, value in self.parameters.items():
            if not isinstance(value, int | float | str | np.number | np.bool_):
                raise DTypeError(
                    f"{self.loss}: {name} = {value!r} must be a number or a name, not "
                    f"{type(value).__name__}",
                    field=name,
                )
        upstream = self.grad_output is not None and self.reduction == "none"
        # True and 1 are equal, and yet one of them may be an error
        parameters = tuple([(name, value, type(value)) for name, value in self.parameters.items()])
        return self.loss, types, parameters, self.reduction, tuple(self.gradients), upstream


def compute(call: Call) -> Result:
    """What `evaluate` does, on arrays; what there is to warn of is in the result."""
    key = call.key()
    plan = _plans.get(key) or _plan(*key)
    return plan.run(call.arrays, call.grad_output)


def planned(call: Call) -> "Plan | None":
    """The plan of an earlier call like this one, its kernel at hand: `run` computes at once."""
    return _plans.get(call.key())


def compile_kernels(name: str) -> None:
    """Make a loss's float32 kernels ready: reduced to a number, with and without gradient."""
    shapes: dict[str, Shape] = {"element": (1,), "vector": (1, 2), "scalar": (1,), "label": (1,)}
    loss = find(name)
    if issubclass(loss, Samples):
        tensors = loss.smallest()
    else:
        tensors = {
            n: np.zeros(shapes[t.role], np.int64 if t.role == "label" else np.float32)
            for n, t in loss.tensors.items()
            if not t.optional
        }
    for gradients in ((), loss.required()[:1]):
        compute(Call(name, tensors, {}, "mean", gradients))


_Key = tuple[
    str,
    tuple[tuple[str, np.dtype[Any], Shape], ...],
    tuple[tuple[str, Any, type], ...],
    str,
    tuple[str, ...],
    bool,
]
_plans: Final[dict[_Key, "Plan"]] = {}


def _array(loss: str, name: str, value: npt.ArrayLike) -> Array:
    if isinstance(value, np.ndarray):
        return value
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise ShapeError(f"{loss}: {name} is not an array: {error}", field=name) from error
    return array.astype(np.float32) if array.dtype == np.float64 else array


def _plan(
    name: str,
    types: tuple[tuple[str, np.dtype[Any], Shape], ...],
    parameters: tuple[tuple[str, Any, type], ...],
    reduction: str,
    gradients: tuple[str, ...],
    upstream: bool,
) -> "Plan":
    given = {key: TensorType(dtype, shape) for key, dtype, shape in types}
    loss = _checked(name, given, {key: value for key, value, _ in parameters}, reduction)
    plan = Plan(name, loss, given, reduction, gradients, upstream)
    while len(_plans) >= _PLANS:
        _plans.pop(next(iter(_plans)), None)
    _plans[name, types, parameters, reduction, gradients, upstream] = plan
    return plan


def footprint(
    loss: str,
    types: Mapping[str, tuple[np.dtype[Any], Shape]],
    parameters: Mapping[str, Any],
    reduction: str,
    gradients: Collection[str],
) -> int:
    """Bytes that a call takes beside its tensors: broadcast operands, gradients, losses.

    Raises:
        LossdError: as `evaluate`, for names, types, shapes and parameters.
    """
    given = {name: TensorType(*kind) for name, kind in types.items()}
    lowered = _checked(loss, given, parameters, reduction)
    layout = lowered.layout(given)
    return _footprint(lowered, given, layout, reduction, gradients)


def _footprint(
    loss: Loss, given: Given, layout: Layout, reduction: str, gradients: Collection[str]
) -> int:
    size = _compute_type(loss, given).itemsize
    full = {n: math.prod(layout.shapes.get(n, ())) * size for n in given}
    copied = sum(full[n] for n, t in given.items() if layout.shapes.get(n, t.shape) != t.shape)
    losses = layout.rows * size if reduction == "none" else 0
    return copied + losses + sum(full.get(n, 0) for n in gradients)


def _checked(name: str, given: Given, parameters: Mapping[str, Any], reduction: str) -> Loss:
    """The loss to compute for tensors of these types, names and types checked."""
    declared = find(name)(**parameters)
    _check_names(declared, given)
    if reduction not in declared.reductions:
        raise ParameterError(
            f"{name}: reduction = {reduction!r} must be one of {', '.join(declared.reductions)}",
            field="reduction",
        )
    for key, tensor in given.items():
        _check_dtype(declared, key, tensor.dtype)
    return declared.lower(given)


def _check_names(loss: Loss, given: Given) -> None:
    missing = [n for n in loss.required() if n not in given]
    if missing:
        raise ParameterError(f"{loss.name}: the tensor {missing[0]!r} is missing", field=missing[0])
    unknown = sorted(given.keys() - loss.tensors.keys())
    if unknown:
        raise ParameterError(
            f"{loss.name} has no tensor {unknown[0]!r}; it has: {', '.join(loss.tensors)}",
            field=unknown[0],
        )


def _check_dtype(loss: Loss, name: str, dtype: np.dtype[Any]) -> None:
    tensor = loss.tensors[name]
    if tensor.role in ("label", "index"):
        kinds, wanted = "iu", "an integer type"
    elif name == loss.required()[0]:
        kinds, wanted = "f", "float32 or float64"
    else:
        kinds, wanted = "fiub", "float32, float64 or an integer type"
    if tensor.soft:
        kinds += "f"
        wanted = "an integer type (class indices), float32 or float64 (probabilities)"
    if dtype.kind not in kinds or (dtype.kind == "f" and dtype not in FLOATS):
        raise DTypeError(f"{loss.name}: {name} has type {dtype}; it must have {wanted}", field=name)


class Plan:
    """Everything about a call that its values do not change.

    Attributes:
        size: bytes that the call takes, its tensors included.
    """

    def __init__(
        self,
        name: str,
        loss: Loss,
        given: Mapping[str, TensorType],
        reduction: str,
        gradients: tuple[str, ...],
        upstream: bool,
    ) -> None:
        self.name, self.loss, self.given, self.reduction = name, loss, given, reduction
        self.dtype = _compute_type(loss, given)
        self.layout: Layout = loss.layout(given)
        self.operands = tuple(
            n
            for n, t in loss.tensors.items()
            if t.role not in ("label", "multiplier") and (n in given or t.role == "class")
        )
        if isinstance(loss, Samples):
            self.operands = tuple(n for n, _ in loss.operands)
        self.gradients = self._checked(gradients)
        constants = loss.constants(self.layout)
        self.variant = Variant(
            dtype=self.dtype,
            operands=self.operands,
            gradients=self.gradients,
            constants=len(constants),
            each=reduction == "none",
            upstream=upstream,
            multiplier=any(loss.tensors[n].role == "multiplier" for n in given),
            columns=isinstance(loss, Rowwise) and _side_by_side(loss, self.layout),
        )
        self.kernel = runtime.kernel(type(loss), self.variant)  # type: ignore[arg-type]
        layout = self.layout
        driver = runtime.driver_of(type(loss), self.variant)
        self.block_rows = driver.block_rows(layout.width, layout.inner)
        self.blocks = -(-layout.rows // self.block_rows)
        self.parallel = self.blocks > 1 and layout.rows * layout.width >= PARALLEL_FROM
        self.labelled = isinstance(loss, Classes) and loss.tensors["target"].role == "label"
        plain = isinstance(loss, Classes) and loss.plain_mean
        self.counts = self.labelled and not plain and reduction == "mean"
        self.constants = np.zeros(slots.CONSTANTS_MAX)
        self.constants[: len(constants)] = constants
        self.divisor = float({"mean": layout.rows, "batchmean": layout.batch}.get(reduction, 1))
        self.bounded = any(t.within for n, t in loss.tensors.items() if n in self.operands)
        self.template = np.zeros(_PARTIAL + 2 * self.blocks, np.int64)
        self.template[slots.ROWS] = layout.rows
        self.template[slots.WIDTH] = layout.width
        self.template[slots.INNER] = layout.inner
        self.template[slots.BLOCK_ROWS] = self.block_rows
        self.template[slots.CONSTANTS] = self.constants.ctypes.data
        self.size = sum(math.prod(t.shape) * t.dtype.itemsize for t in given.values())
        self.size += _footprint(loss, given, layout, reduction, gradients)
        self.reads: list[tuple[int, str, Shape]] = []
        for position, operand in enumerate(self.operands):
            if isinstance(loss, Samples):
                pass  # see _prepare
            elif operand in given:
                shape = layout.shapes.get(operand, ())
                self.reads.append((slots.OPERANDS + position, operand, shape))
            else:
                self.ones = _unit_weights(layout.width, self.dtype)
                self.template[slots.OPERANDS + position] = _address(self.ones)
        if self.variant.multiplier:
            self.reads.append((slots.MULTIPLIER, "weight", layout.output))
        self.writes = [
            (slots.GRADIENTS + position, gradient, self._gradient_shape(gradient))
            for position, gradient in enumerate(self.gradients)
        ]
        self._spare: list[_Arguments] = []

    def _checked(self, gradients: tuple[str, ...]) -> tuple[str, ...]:
        possible = self.loss.differentiable(self.given)
        for name in gradients:
            if name not in possible or name not in self.given:
                known = ", ".join(n for n in self.loss.tensors if n in possible and n in self.given)
                raise ParameterError(
                    f"{self.name} has no gradient with respect to {name!r}; it has: {known}",
                    field="gradients",
                )
        return tuple(n for n in self.loss.tensors if n in gradients)

    def run(self, arrays: Mapping[str, Array], grad_output: npt.ArrayLike | None) -> Result:
        """Compute the call on these arrays."""
        try:
            call = self._spare.pop()
        except IndexError:
            call = _Arguments(self.template, self.blocks)
        try:
            return self._run(call, arrays, grad_output)
        finally:
            if len(self._spare) < _SPARE and self.blocks <= _SPARE_BLOCKS:
                self._spare.append(call)

    def _run(
        self, call: "_Arguments", arrays: Mapping[str, Array], grad_output: npt.ArrayLike | None
    ) -> Result:
        args = call.words
        alive: list[Array] = []  # whatever else the kernel reads through an address
        divisor = self.divisor
        if self.reduction == "mean":
            divisor = self.loss.count(arrays, self.layout)
        if self.labelled:
            rows, counted = self._labels(arrays["target"], arrays.get("weight"))
            args[slots.LABELS] = _address(rows)
            alive.append(rows)
            divisor = counted if self.counts else divisor
        if isinstance(self.loss, Samples):
            alive += self._prepare(args, arrays)
        for slot, name, shape in self.reads:
            array = arrays[name]
            if name in self.layout.views:
                array = array.reshape(self.layout.views[name])
            operand = self._operand(name, array, shape)
            args[slot] = _address(operand)
            alive.append(operand)

        scale = 1 / divisor if divisor else math.inf
        if grad_output is not None:
            upstream = self._upstream(grad_output)
            if self.variant.upstream:
                args[slots.UPSTREAM] = _address(upstream)
                alive.append(upstream)
            else:
                scale *= float(upstream)
        call.floats[_SCALE] = scale
        losses = None
        if self.variant.each:
            losses = pool.empty(self.layout.output, self.dtype)
            args[slots.LOSSES] = _address(losses)
        made = {}
        for slot, name, shape in self.writes:
            made[name] = gradient = pool.empty(shape, self.dtype)
            args[slot] = _address(gradient)

        if self.parallel and _threads > 1:
            runtime.run_parallel(self.kernel.entry, call.address, self.blocks, _threads)
        else:
            runtime.run_serial(self.kernel.entry, call.address, self.blocks)

        if self.bounded and args[_PARTIAL + self.blocks :].any():
            self._report_outside(arrays)
        if losses is None:
            total = float(call.partial[0] if self.blocks == 1 else call.partial.sum())
            losses = np.array(_quotient(total, divisor), self.dtype)
        gradients = {n: self._shaped(n, g) for n, g in made.items()}
        if self.loss.divisor in gradients and self.reduction == "mean":
            gradients[self.loss.divisor] -= self.dtype.type(losses * scale)  # it is in the divisor
        return Result(losses, gradients, self.layout.warning)

    def _prepare(self, args: Array, tensors: Mapping[str, Array]) -> list[Array]:
        """Put the operands of a loss of samples in their slots; what must stay alive."""
        assert isinstance(self.loss, Samples)
        prepared = self.loss.prepare(tensors, self.layout, self.reduction)
        kinds = [
            np.dtype(np.int64) if kind.integer else self.dtype for _, kind in self.loss.operands
        ]
        arrays = [
            np.require(prepared.operands[name], dtype, ["C", "A"])
            for name, dtype in zip(self.operands, kinds, strict=True)
        ]
        for position, array in enumerate(arrays):
            args[slots.OPERANDS + position] = _address(array)
        sizes = np.array([n for array in arrays for n in array.shape], np.int64)
        factors = np.ascontiguousarray(prepared.factors, np.float64)
        args[slots.SIZES], args[slots.FACTORS] = _address(sizes), _address(factors)
        return [*arrays, sizes, factors]

    def _labels(self, target: Array, weight: Array | None) -> tuple[Array, float]:
        """Labels as int64 with -1 where ignored, and what the mean divides by."""
        target = np.ascontiguousarray(target).reshape(-1)
        indices = target
        if target.dtype != np.int64 or not target.flags.aligned:
            if target.dtype == np.uint64 and target.size and target.max() > _INT64_MAX:
                self._report_label(target, int(np.argmax(target > _INT64_MAX)))
            indices = target.astype(np.int64)
        rows = np.empty(target.size, np.int64)
        ignored = self.loss.values.get("ignore_index", _NO_LABEL)
        bad, kept = labels.prepare(indices, rows, self.layout.width, ignored)
        if bad < 0 and ignored == _NO_LABEL and kept < rows.size:
            bad = int(np.argmax(indices == _NO_LABEL))
        if bad >= 0:
            self._report_label(target, bad)
        if weight is None:
            return rows, float(kept)
        return rows, labels.weight_sum(rows, np.ascontiguousarray(weight, np.float64))

    def _report_label(self, target: Array, bad: int) -> None:
        where = np.unravel_index(bad, self.given["target"].shape or (1,))
        place = f"[{', '.join(map(str, where))}]" if self.given["target"].shape else ""
        ignored = self.loss.values.get("ignore_index")
        also = "" if ignored is None else f" (and is not ignore_index = {ignored})"
        raise LabelError(
            f"{self.name}: target{place} = {target[bad]} is outside [0, {self.layout.width}){also}",
            field="target",
        )

    def _operand(self, name: str, array: Array, shape: Shape) -> Array:
        if not self._is_class(name):
            return self._broadcast(array, shape)
        padded = np.ones(self.layout.width + PADDING, self.dtype)
        padded[: self.layout.width] = array
        return padded

    def _broadcast(self, array: Array, shape: Shape) -> Array:
        """An array in the shape and type of the kernel, itself if it has them."""
        if array.shape != shape:
            array = np.broadcast_to(array, shape)
        flags = array.flags
        if array.dtype != self.dtype or not (flags.c_contiguous and flags.aligned):
            array = np.array(array, self.dtype, order="C")
        return array

    def _upstream(self, grad_output: npt.ArrayLike) -> Array:
        array = np.asarray(grad_output)
        expected = self.layout.output if self.reduction == "none" else ()
        if array.shape != expected:
            raise ShapeError(
                f"{self.name}: grad_output {array.shape} must have the loss's shape {expected}",
                field="grad_output",
            )
        if array.dtype.kind not in "fiu":
            raise DTypeError(
                f"{self.name}: grad_output has type {array.dtype}; it must be real",
                field="grad_output",
            )
        return self._broadcast(array, expected)

    def _gradient_shape(self, name: str) -> Shape:
        return self.given["input"].shape if self._is_class(name) else self.layout.shapes[name]

    def _is_class(self, name: str) -> bool:
        return self.loss.tensors[name].role == "class"

    def _shaped(self, name: str, gradient: Array) -> Array:
        """A gradient in the shape and type of its tensor, summed where that was broadcast."""
        given = self.given[name]
        if gradient.shape == given.shape and gradient.dtype == given.dtype:
            return gradient
        if self._is_class(name):
            axis = 0 if gradient.ndim == 1 else 1
            others = tuple(i for i in range(gradient.ndim) if i != axis)
            gradient = gradient.sum(axis=others, dtype=np.float64)
        elif gradient.shape != given.shape:
            shape = self.layout.views.get(name, given.shape)
            extra = gradient.ndim - len(shape)
            stretched = tuple(
                i
                for i in range(gradient.ndim)
                if i < extra or (shape[i - extra] == 1 and gradient.shape[i] != 1)
            )
            gradient = gradient.sum(axis=stretched, dtype=np.float64).reshape(given.shape)
        return gradient.astype(given.dtype if given.dtype.kind == "f" else self.dtype, copy=False)

    def _report_outside(self, arrays: Mapping[str, Array]) -> None:
        for name in self.operands:
            within = self.loss.tensors[name].within
            if within is None:
                continue
            low, high = within
            array = arrays[name]
            bad = ~((array >= low) & (array <= high))
            if self.loss.tensors[name].nan:
                bad &= array == array  # noqa: PLR0124  NaN
            if bad.any():
                where = np.unravel_index(int(np.argmax(bad)), array.shape or (1,))
                place = f"[{', '.join(map(str, where))}]" if array.shape else ""
                value = array[where] if array.shape else array[()]
                raise DomainError(
                    f"{self.name}: {name}{place} = {value:g} is outside [{low:g}, {high:g}]",
                    field=name,
                )


class _Arguments:
    """What a kernel is called with (kernels/slots.py): slots, the scale, what each block gives.

    Attributes:
        words: all of it; `floats`: the same memory as float64; `partial`: the blocks' sums in it.
        address: where it is.
    """

    def __init__(self, template: Array, blocks: int) -> None:
        self.words = template.copy()
        self.floats = self.words.view(np.float64)
        self.partial = self.floats[_PARTIAL : _PARTIAL + blocks]
        self.address = here = _address(self.words)
        self.words[slots.SCALE] = here + 8 * _SCALE
        self.words[slots.PARTIAL] = here + 8 * _PARTIAL
        self.words[slots.OUTSIDE] = here + 8 * (_PARTIAL + blocks)


def _side_by_side(loss: Rowwise, layout: Layout) -> bool:
    """Whether lanes hold rows, and not components of one row."""
    walks = loss.peaks or loss.terms or loss.slopes
    return layout.inner > 1 or bool(walks and layout.width <= columns.NARROW)


def _compute_type(loss: Loss, given: Mapping[str, TensorType]) -> np.dtype[Any]:
    floats = [
        t.dtype for n, t in given.items() if t.dtype.kind == "f" and loss.tensors[n].role != "label"
    ]
    return np.result_type(*floats)


def _quotient(total: float, divisor: float) -> float:
    """A division as IEEE 754 has it: 0 / 0 is NaN."""
    if divisor:
        return total / divisor
    return math.nan if total == 0 or math.isnan(total) else math.copysign(math.inf, total)


@functools.lru_cache(64)
def _unit_weights(classes: int, dtype: np.dtype[Any]) -> Array:
    return np.ones(classes + PADDING, dtype)


def _address(array: Array) -> int:
    address: int = runtime.address(array.reshape(-1))
    return address
