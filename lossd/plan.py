"""Calls of one form, made ready: the kernel, what it reads and writes, what the mean divides by."""

import functools
import math
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt
from lossd_client.dtypes import is_float, is_half, named, narrowed, widened
from lossd_client.errors import DomainError, DTypeError, LabelError, ParameterError, ShapeError

from lossd.compiled.streaming import VECTOR
from lossd.kernels import (
    columns,
    courtesy,
    halves,
    labels,
    products,
    rowwise,
    runtime,
    slots,
    stopping,
    totals,
    units,
)  # fmt: skip
from lossd.kernels.memory import pool
from lossd.kernels.variant import Variant
from lossd.spec import (
    FLOATS,
    Composed,
    Elementwise,
    Given,
    Layout,
    Loss,
    Rowwise,
    Samples,
    Shape,
    TensorType,
    Work,
    index_text,
    tuple_text,
)  # fmt: skip

Array = npt.NDArray[Any]

PARALLEL_FROM: Final = 65_536
"""Elements from which a kernel runs on several threads: below, starting them costs more than it
saves (benchmarks/thresholds.py measures it)."""

STREAMED_FROM: Final = 3 * runtime.CACHE // 2
"""Bytes of a call from which gradients of elements may be written past the caches: they would not
stay there, and what they are written over need not be brought. Processors differ in which losses
are faster so (`Stores`)."""

PADDING: Final = rowwise.TILE
"""Arrays with one value for each class are this much longer, for tiles that read beyond a row."""

SAMPLE_WEIGHT: Final = "sample_weight"
"""Name of the tensor that every loss takes beside its own."""

_INT64_MAX: Final = np.iinfo(np.int64).max
_NO_LABEL: Final = np.iinfo(np.int64).min  # stands for the ignore_index of a loss without one
_TRIES: Final = 3  # calls that try either kind of stores
_AGAIN: Final = 64  # calls after which one tries the other kind again
_SCALE: Final = slots.COUNT  # where it stands in a call's memory
_PARTIAL: Final = slots.COUNT + 1
_SPARE: Final = 2  # argument blocks that a plan keeps
_OTHERS: Final = 8  # plans of other losses that the plan of a composed one keeps
_SPARE_BLOCKS: Final = 512  # blocks of a kernel up to which it keeps them: 8 KiB

_BLOCK_BYTES: Final = 16  # what a kernel's arguments take for each block
_BLOCK_LEAST: Final = 4096  # elements that a block of a streamed kernel has at least on average

NOWHERE: Final[Mapping[str, Array]] = MappingProxyType({})
"""What stands for arrays that gradients go to where there are none."""


class Result(NamedTuple):
    """What a call gives.

    loss: () for 'mean', 'sum' and 'batchmean'; the losses' shape for 'none'; (N) for 'sample'.
    gradients: one for each tensor that was asked for, of its shape and type.
    warning: what the caller should be told, or "".
    """

    loss: Array
    gradients: dict[str, Array]
    warning: str


@dataclass(frozen=True)
class Form:
    """Everything about a call but its values.

    name: the loss that was asked for; loss: the one to compute.
    given: types of the loss's tensors; sample_weight: that of the samples' weight.
    upstream: whether a gradient comes in for each loss, or sample.
    normalizer: what the mean divides by: a number, a name of `spec.NORMALIZERS`, or None for what
        is the loss's own.
    zero_if_empty: whether a mean that divides by 0 is 0 instead of NaN.
    """

    name: str
    loss: Loss
    given: Given
    reduction: str
    gradients: tuple[str, ...] = ()
    upstream: bool = False
    sample_weight: TensorType | None = None
    normalizer: str | float | None = None
    zero_if_empty: bool = False


class Plan:
    """Everything about a call that its values do not change.

    Attributes:
        size: bytes that the call takes, its tensors included.
        seconds: how long it takes, as of late; infinite until it has run.
        fastest: how long it took at least.
        pace: seconds that a block of it takes where its tensors come in pieces, as of late.
        divides_by: the tensor of elements whose values tell what the mean divides by, "" for none.
    """

    def __init__(self, form: Form) -> None:
        self.form, self.loss = form, form.loss
        self.dtype = form.loss.computed_in(form.given)
        self.layout: Layout = form.loss.layout(form.given)
        self._check_sample_weight()
        self.gradients = self._checked(form.gradients)
        loss = form.loss
        self._classes = frozenset(n for n, t in loss.tensors.items() if t.role == "class")
        self.labelled = "target" in loss.tensors and loss.tensors["target"].role == "label"
        self.own_counts = self.labelled and not loss.plain_mean
        self.weighted = any(loss.tensors[n].role == "multiplier" for n in form.given)
        given = [*form.given.values(), *([form.sample_weight] if form.sample_weight else [])]
        self.size = sum(math.prod(t.shape) * t.dtype.itemsize for t in given)
        self.size += _footprint(form, self.layout)
        self.seconds = self.fastest = self.pace = math.inf
        self.divisor = self._fixed_divisor()
        self.divides_by = _divides_by(form)

    def run(
        self,
        arrays: Mapping[str, Array],
        grad_output: npt.ArrayLike | None,
        out: Mapping[str, Array] = NOWHERE,
    ) -> Result:
        """Compute the call on these arrays.

        Args:
            arrays: its tensors.
            grad_output: gradient of what follows.
            out: arrays that gradients go to, of their shape and type.
        """
        raise NotImplementedError

    def took(self, seconds: float) -> None:
        """Note how long a call took.

        At most twice what it took before: a thread that lost its processor once is no measure.
        """
        self.seconds, self.fastest = min(seconds, 2 * self.seconds), min(seconds, self.fastest)

    def divided_by(self, arrays: Mapping[str, Array]) -> Array:
        """Numbers whose sum the reduction divides the losses' sum by: as many as can be told apart.

        Args:
            arrays: the call's tensors; the first may be left out unless the divisor depends on it.

        Raises:
            LabelError: a class index out of range.
        """
        if self.divisor is not None:
            return np.array([self.divisor])
        rows, kept = self._labels(arrays["target"]) if self.labelled else (None, 0)
        factors = self._factors(arrays)
        if self.form.normalizer is not None:
            return self._weights(arrays, rows, factors)
        if self.own_counts and rows is not None and "weight" in arrays:
            return _doubles(arrays["weight"])[rows[rows >= 0]]
        if self.loss.divisor and type(self.loss).count is Loss.count:
            return widened(arrays[self.loss.divisor]).reshape(-1)
        return np.array([self._sum_divided_by(arrays, rows, kept, factors)])

    def _check_sample_weight(self) -> None:
        kind, output = self.form.sample_weight, self.layout.output
        if kind is None:
            return
        if kind.shape != output[: len(kind.shape)]:
            raise ShapeError(
                f"{self.form.name}: sample_weight {tuple_text(kind.shape)} must be the first "
                f"dimensions of the losses' shape {tuple_text(output)}",
                field=SAMPLE_WEIGHT,
            )
        if not (is_float(kind.dtype) or kind.dtype.kind in "iub"):
            raise DTypeError(
                f"{self.form.name}: sample_weight has type {named(kind.dtype)}; it must be real",
                field=SAMPLE_WEIGHT,
            )

    def _checked(self, gradients: tuple[str, ...]) -> tuple[str, ...]:
        given = self.form.given
        possible = self.loss.differentiable(given)
        for name in gradients:
            if name not in possible or name not in given:
                known = ", ".join(n for n in self.loss.tensors if n in possible and n in given)
                raise ParameterError(
                    f"{self.form.name} has no gradient with respect to {name!r}; it has: {known}",
                    field="gradients",
                )
        return tuple(n for n in self.loss.tensors if n in gradients)

    # --- what multiplies and divides losses ----------------------------------------------------

    def _fixed_divisor(self) -> float | None:
        """What the losses' sum is divided by, None where values tell."""
        form, layout = self.form, self.layout
        if form.reduction == "sample":
            return float(math.prod(layout.output[1:]))
        if form.reduction == "batchmean" or form.normalizer == "batch":
            return float(layout.batch)
        if form.reduction != "mean":
            return 1.0
        if isinstance(form.normalizer, float):
            return form.normalizer
        return None

    def _factors(self, arrays: Mapping[str, Array]) -> Array | None:
        """What each loss is multiplied by, of the losses' shape, None if that is 1."""
        output = self.layout.output
        given: list[Array] = [arrays["weight"]] if self.weighted else []
        if self.form.sample_weight:
            each = arrays[SAMPLE_WEIGHT]
            given.append(each.reshape(each.shape + (1,) * (len(output) - each.ndim)))
        if not given:
            return None
        if len(given) == 1:
            return self._broadcast(given[0], output)
        one, two = (widened(factor).astype(self.dtype, copy=False) for factor in given)
        return self._broadcast(one * two, output)

    def _sum_divided_by(
        self,
        arrays: Mapping[str, Array],
        rows: Array | None,
        kept: int,
        factors: Array | None,
    ) -> float:
        """What the mean divides by, where values tell.

        Args:
            arrays: the call's tensors.
            rows: labels, -1 where ignored.
            kept: how many labels are not ignored.
            factors: what each loss is multiplied by.
        """
        if self.form.normalizer is None:
            if not self.own_counts:
                return self.loss.count(arrays, self.layout)
            if rows is not None and "weight" in arrays:
                return float(labels.weight_sum(rows, _doubles(arrays["weight"])))
            return float(kept)
        return float(self._weights(arrays, rows, factors).sum(dtype=np.float64))

    def _weights(
        self, arrays: Mapping[str, Array], rows: Array | None, factors: Array | None
    ) -> Array:
        """What each loss adds to the divisor that `normalizer` names; see `_sum_divided_by`."""
        valid = self.form.normalizer == "valid"
        weight = arrays.get("weight") if rows is not None else None
        counted = rows >= 0 if rows is not None else np.ones(self.layout.rows, bool)
        each = np.ones(self.layout.rows) if factors is None else _doubles(factors).reshape(-1)
        if weight is not None and rows is not None:
            each = each * np.where(counted, _doubles(weight)[np.maximum(rows, 0)], 0)
        if self.loss.weighing:
            over = np.broadcast_to(widened(arrays[self.loss.weighing]), self.layout.output)
            each = each * over.reshape(-1)
        if valid:
            each = counted & (each != 0)
        units = self.loss.units(arrays, self.layout, weighed=not valid)
        if units is not None:
            each = np.where(each, units, 0) if valid else each * units
        return each[counted]

    def _scale(self, divisor: float, grad_output: Array | None) -> float:
        """What every gradient is multiplied by."""
        if not divisor and self.form.zero_if_empty:
            return 0.0
        scale = 1 / divisor if divisor else self._over_nothing
        return scale if grad_output is None else scale * float(grad_output)

    def _reduced(self, total: float, divisor: float) -> Array:
        if not divisor:
            total = abs(0 * total) if self.form.zero_if_empty else total * self._over_nothing
            return np.array(total, self.dtype)
        return np.array(total / divisor, self.dtype)

    @property
    def _over_nothing(self) -> float:
        """1 / 0; NaN where PyTorch adds a quotient 0 / 0, of the labels, to one that is not."""
        return math.nan if self.loss.values.get("label_smoothing") else math.inf

    def _means(self, losses: Array) -> Array:
        """The mean of each sample's losses."""
        count = self.divisor or 0
        shape = self.layout.output[:1]
        totals = losses.reshape(*shape, -1 if losses.size else 0).sum(-1, dtype=np.float64)
        with np.errstate(invalid="ignore"):
            means = totals / count if count or not self.form.zero_if_empty else abs(0 * totals)
        return np.asarray(means, self.dtype)

    # --- labels --------------------------------------------------------------------------------

    def _labels(self, target: Array) -> tuple[Array, int]:
        """Labels as int64 with -1 where ignored, and how many are not."""
        if target.ndim != 1 or not target.flags.c_contiguous:
            target = np.ascontiguousarray(target).reshape(-1)
        indices = target
        if target.dtype != np.int64 or not target.flags.aligned:
            if target.dtype == np.uint64 and target.size and target.max() > _INT64_MAX:
                self._report_label(target, int(np.argmax(target > _INT64_MAX)))
            indices = target.astype(np.int64)
        rows = np.empty(target.size, np.int64)
        ignored = self.loss.values.get("ignore_index", _NO_LABEL)
        ignores = "ignore_index" in self.loss.values
        bad, kept = labels.prepare(indices, rows, self.layout.width, ignored)
        if bad < 0 and not ignores and kept < rows.size:
            bad = int(np.argmax(indices == _NO_LABEL))
        if bad >= 0:
            self._report_label(target, bad)
        return rows, kept

    def _report_label(self, target: Array, bad: int) -> None:
        place = index_text(bad, self.form.given["target"].shape)
        ignored = self.loss.values.get("ignore_index")
        also = "" if ignored is None else f" (and is not ignore_index = {ignored})"
        raise LabelError(
            f"{self.form.name}: target{place} = {target[bad]} is outside "
            f"[0, {self.layout.width}){also}",
            field="target",
        )

    # --- arrays --------------------------------------------------------------------------------

    def _broadcast(self, array: Array, shape: Shape) -> Array:
        """An array in the shape and type of the kernel, itself if it has them."""
        if array.shape != shape:
            array = np.broadcast_to(array, shape)
        flags = array.flags
        if array.dtype != self.dtype or not (flags.c_contiguous and flags.aligned):
            array = np.require(self._wide(array), self.dtype, ["C", "A"])
        return array

    @staticmethod
    def _wide(array: Array) -> Array:
        """The same values in float32, others as they are: `widened`, on all threads."""
        if not is_half(array.dtype):
            return array
        wide = pool.empty(array.shape, FLOATS[0])
        halves.widen(np.ascontiguousarray(array), wide)
        return wide

    def _upstream(self, grad_output: npt.ArrayLike) -> Array:
        array = np.asarray(grad_output)
        each = self.layout.output
        expected = {"none": each, "sample": each[:1]}.get(self.form.reduction, ())
        if array.shape != expected:
            raise ShapeError(
                f"{self.form.name}: grad_output {array.shape} must have the loss's shape "
                f"{expected}",
                field="grad_output",
            )
        if not (is_float(array.dtype) or array.dtype.kind in "iu"):
            raise DTypeError(
                f"{self.form.name}: grad_output has type {array.dtype}; it must be real",
                field="grad_output",
            )
        if self.form.reduction == "sample":
            return self._broadcast(array.reshape(expected + (1,) * (len(each) - 1)), each)
        return self._broadcast(array, expected)

    def _is_class(self, name: str) -> bool:
        return name in self._classes

    def _shaped(self, name: str, gradient: Array) -> Array:
        """A gradient in the shape of its tensor, summed where that was broadcast."""
        if self._is_class(name):
            width, inner = self.layout.width, self.layout.inner
            outer = self.layout.rows // max(inner, 1)
            summed: Array = gradient.reshape(outer, width, inner).sum((0, 2), dtype=np.float64)
            return summed
        if gradient.shape != self.form.given[name].shape:
            return self._summed(name, gradient)
        return gradient

    def _typed(self, name: str, gradient: Array) -> Array:
        """A gradient in the type of its tensor, or the kernel's for integers."""
        kind = self.form.given[name].dtype
        if gradient.dtype == kind:
            return gradient
        if is_half(kind) and gradient.dtype == FLOATS[0]:
            rounded = pool.empty(gradient.shape, kind)
            halves.narrow(np.ascontiguousarray(gradient), rounded)
            return rounded
        return narrowed(gradient, kind if is_float(kind) else self.dtype)

    def _finished(
        self, gradients: Mapping[str, Array], out: Mapping[str, Array]
    ) -> dict[str, Array]:
        """Gradients in the types and the places that they should have."""
        found = {name: self._typed(name, gradient) for name, gradient in gradients.items()}
        return self._placed(found, out)

    @staticmethod
    def _placed(gradients: dict[str, Array], out: Mapping[str, Array]) -> dict[str, Array]:
        """Gradients in the places that they should have."""
        for name, place in out.items():
            if gradients[name] is not place:
                np.copyto(place, gradients[name])
                gradients[name] = place
        return gradients

    def _summed(self, name: str, values: Array) -> Array:
        """One value for each element of a tensor, of values for each place it was broadcast to."""
        given = self.form.given[name].shape
        shape = self.layout.views.get(name, given)
        extra = values.ndim - len(shape)
        stretched = tuple(
            i
            for i in range(values.ndim)
            if i < extra or (shape[i - extra] == 1 and values.shape[i] != 1)
        )
        summed: Array = values.sum(axis=stretched, dtype=np.float64)
        return summed.reshape(given)


class KernelPlan(Plan):
    """The plan of a loss that is one kernel."""

    def __init__(self, form: Form) -> None:
        super().__init__(form)
        loss, layout = self.loss, self.layout
        self.operands = self._operands()
        self.each = form.reduction in ("none", "sample")  # whether every loss is told
        constants = loss.constants(layout)
        self.variant = Variant(
            dtype=self.dtype,
            operands=self.operands,
            gradients=self.gradients,
            constants=len(constants),
            columns=isinstance(loss, Rowwise) and _side_by_side(loss, layout),
            plain=self._plain(),
        )
        self.kernel = runtime.kernel(type(loss), self.variant)  # type: ignore[arg-type]
        driver = runtime.driver_of(type(loss), self.variant)
        self.block_rows = driver.block_rows(layout.width, layout.inner)
        self.blocks = -(-layout.rows // self.block_rows)
        self.parallel = self.blocks > 1 and layout.rows * layout.width >= PARALLEL_FROM
        large = isinstance(loss, Elementwise) and self.size >= STREAMED_FROM
        self.stores = Stores() if large and self.gradients else None
        self.constants = np.zeros(slots.CONSTANTS_MAX)
        self.constants[: len(constants)] = constants
        self.bounded = any(t.within for n, t in loss.tensors.items() if n in self.operands)
        self.bounded |= isinstance(loss, Elementwise) and loss.misfit is not None
        self.template = np.zeros(_PARTIAL + 2 * self.blocks, np.int64)
        self.template[slots.ROWS] = layout.rows
        self.template[slots.WIDTH] = layout.width
        self.template[slots.INNER] = layout.inner
        self.template[slots.BLOCK_ROWS] = self.block_rows
        self.template[slots.CONSTANTS] = self.constants.ctypes.data
        self.reads = self._reads()
        self.halves = _halves(loss, form.given, layout)
        self.writes = [
            (slots.GRADIENTS + position, gradient, self._gradient_shape(gradient))
            for position, gradient in enumerate(self.gradients)
        ]
        # a gradient that is not as it is written, but summed, rounded or part of the divisor's
        self._changed = any(
            name == self.divides_by
            or shape != form.given[name].shape
            or not (name in self.halves or form.given[name].dtype == self.dtype)
            for _, name, shape in self.writes
        )
        self._spare: list[Arguments] = []

    @functools.cached_property
    def streamed(self) -> dict[str, int]:
        """Tensors that may come in pieces: see the function."""
        return streamed(self.form)

    def _operands(self) -> tuple[str, ...]:
        """What the mathematics sees."""
        return tuple(
            n
            for n, t in self.loss.tensors.items()
            if t.role not in ("label", "multiplier") and (n in self.form.given or t.role == "class")
        )

    def _plain(self) -> bool:
        """Whether an element-wise kernel sums losses and nothing else (kernels/variant.py)."""
        more = self.each or self.form.upstream or self.weighted or self.form.sample_weight
        return isinstance(self.loss, Elementwise) and not more

    def _reads(self) -> list[tuple[int, str, Shape]]:
        """Slot, name and shape of every tensor that the kernel reads."""
        reads: list[tuple[int, str, Shape]] = []
        for position, operand in enumerate(self.operands):
            if operand in self.form.given:
                shape = self.layout.shapes.get(operand, ())
                reads.append((slots.OPERANDS + position, operand, shape))
            else:
                self.ones = _unit_weights(self.layout.width, self.dtype)
                self.template[slots.OPERANDS + position] = _address(self.ones)
        return reads

    def run(
        self,
        arrays: Mapping[str, Array],
        grad_output: npt.ArrayLike | None,
        out: Mapping[str, Array] = NOWHERE,
    ) -> Result:
        """Compute the call on these arrays."""
        try:
            call = self._spare.pop()
        except IndexError:
            call = Arguments(self.template, self.blocks)
        try:
            started = self.start(call, arrays, grad_output, out)
            began = time.perf_counter() if self.stores else 0.0
            self.run_from(0, started)
            if self.stores:
                self.stores.learn(bool(call.words[slots.STREAMED]), time.perf_counter() - began)
            self.check_domains(call, arrays)
            return self.result(call, started, out)
        finally:
            if len(self._spare) < _SPARE and self.blocks <= _SPARE_BLOCKS:
                self._spare.append(call)

    def start(
        self,
        call: "Arguments",
        arrays: Mapping[str, Array],
        grad_output: npt.ArrayLike | None,
        out: Mapping[str, Array],
        coming: Sequence[str] = (),
    ) -> "Started":
        """Make all ready for the kernel.

        Args:
            call: its arguments, which are filled.
            arrays: the call's tensors, or all but those that are `coming`.
            grad_output: gradient of what follows.
            out: arrays that gradients go to.
            coming: tensors that the kernel will be told of block by block.
        """
        args = call.words
        begun = self.begin(call, arrays, grad_output)
        losses, written = None, []
        if self.each:
            losses = pool.empty(self.layout.output, self.dtype)
            args[slots.LOSSES] = _address(losses)
        made, past = {}, self.stores is not None and self.stores.past(learning=not coming)
        for slot, name, shape in self.writes:
            if name in self.halves and name != self.divides_by:
                made[name] = gradient = _room(out, name, shape, self.form.given[name].dtype)
                written.append((slot, gradient.dtype, gradient.ctypes.data))
                past = False  # the kernel writes to what is narrowed while it is in cache
            else:
                made[name] = gradient = _room(out, name, shape, self.dtype)
                args[slot] = address = _address(gradient)
                past &= address % VECTOR == 0
        args[slots.STREAMED] = past
        read = begun.read
        places: dict[str, int] = {}
        halved: list[str] = []
        for slot, name, _ in self.reads if coming else ():
            if name in coming and name in self.halves:
                halved.append(name)
                read = [*read, (slot, self.form.given[name].dtype, 0)]
            elif name in coming:
                places[name] = call.address + 8 * slot
        entry, words = self.entered(call, read, written)
        address = call.address if words is args else _address(words)
        for k, name in enumerate(halved, len(begun.read)):
            places[name] = address + halves.place_of(k)
        return Started(begun, losses, made, entry, address, words, places)

    def run_from(self, first: int, started: "Started") -> None:
        """Compute the blocks from `first` on."""
        entry, words = started.entry, started.address
        threads = runtime.get_threads() if self.parallel else 1
        every = courtesy.blocks_between(self.blocks, self.fastest, threads)
        if threads > 1:
            runtime.run_parallel(entry, words, first, self.blocks, threads, every)
        else:
            runtime.run_serial(entry, words, first, self.blocks, every)

    def result(self, call: "Arguments", started: "Started", out: Mapping[str, Array]) -> Result:
        """What comes of it, once all blocks are computed."""
        begun, losses = started.begun, started.losses
        if losses is None:
            losses = self.reduced(call, begun.divisor)
        elif self.form.reduction == "sample":
            losses = self._means(losses)
        if not self._changed:
            return Result(losses, self._placed(started.gradients, out), self.layout.warning)
        gradients = {}
        for name, gradient in started.gradients.items():
            gradients[name] = self._shaped(name, gradient)
            if name == self.divides_by:
                share = losses * begun.scale
                gradients[name] = gradients[name] - self._owed(share, begun.factors)
        return Result(losses, self._finished(gradients, out), self.layout.warning)

    def _owed(self, share: Array, factors: Array | None) -> Array | float:
        """What the divisor's tensor takes off its gradient for each unit that it adds there."""
        if self.form.normalizer is None:
            return share
        if self.form.normalizer != "weights":
            return 0.0
        each = np.ones(self.layout.output) if factors is None else factors
        return share * self._summed(self.divides_by, each)

    def begin(
        self, call: "Arguments", arrays: Mapping[str, Array], grad_output: npt.ArrayLike | None
    ) -> "Begun":
        """Check values and fill a kernel's arguments: with all that it reads of `arrays`."""
        args, alive = call.words, []
        rows, kept = None, 0
        if self.labelled:
            rows, kept = self._labels(arrays["target"])
            args[slots.LABELS] = _address(rows)
            alive.append(rows)
        factors = None
        if self.weighted or self.form.sample_weight:
            factors = self._factors(arrays)
        divisor = self.divisor
        if divisor is None:
            divisor = self._sum_divided_by(arrays, rows, kept, factors)
        read = self._fill(args, arrays, factors, alive)
        upstream = None
        if grad_output is not None:
            upstream = self._upstream(grad_output)
            if self.form.upstream:
                args[slots.UPSTREAM] = _address(upstream)
                alive.append(upstream)
        scale = self._scale(divisor, None if self.form.upstream else upstream)
        call.floats[_SCALE] = scale
        return Begun(divisor, scale, factors, read, alive)

    def entered(
        self, call: "Arguments", read: list[halves.Place], write: list[halves.Place]
    ) -> tuple[int, Array]:
        """What is called for each block, and with what: the kernel, or one around it for halves."""
        if not (read or write):
            return self.kernel.entry, call.words
        return halves.ENTRY, halves.arguments(self.kernel.entry, call.address, read, write)

    def reduced(self, call: "Arguments", divisor: float) -> Array:
        """The loss, once all blocks are computed."""
        return self._reduced(totals.total(call.partial), divisor)

    def _fill(
        self,
        args: Array,
        arrays: Mapping[str, Array],
        factors: Array | None,
        alive: list[Array],
    ) -> list[halves.Place]:
        """Put what the kernel reads in its slots, and into `alive` what must live as long.

        Returns:
            Where tensors are that are read as halves.
        """
        read: list[halves.Place] = []
        if factors is not None:
            args[slots.MULTIPLIER] = _address(factors)
            alive.append(factors)
        for slot, name, shape in self.reads:
            if name not in arrays:
                continue  # it comes in pieces
            array = arrays[name]
            if name in self.halves:
                half = np.require(array, requirements=["C", "A"])
                read.append((slot, half.dtype, half.ctypes.data))
                alive.append(half)
                continue
            if name in self.layout.views:
                array = array.reshape(self.layout.views[name])
            operand = self._operand(name, array, shape)
            args[slot] = _address(operand)
            alive.append(operand)
        return read

    def _operand(self, name: str, array: Array, shape: Shape) -> Array:
        if not self._is_class(name):
            return self._broadcast(array, shape)
        padded = np.ones(self.layout.width + PADDING, self.dtype)
        padded[: self.layout.width] = widened(array)
        return padded

    def _gradient_shape(self, name: str) -> Shape:
        return self.layout.shapes["input" if self._is_class(name) else name]

    def check_domains(
        self,
        call: "Arguments",
        arrays: Mapping[str, Array],
        first: Mapping[str, int] | None = None,
    ) -> None:
        """Raise if the kernel met a value outside its domain.

        Args:
            call: the kernel's arguments, blocks computed.
            arrays: tensors, or pieces of them in one dimension.
            first: of each piece, the position of its first element.

        Raises:
            DomainError: names the first such value and its place.
        """
        if not (self.bounded and call.outside.any()):
            return
        for name in self.operands:
            values = widened(arrays[name]).reshape(-1)
            begin = (first or {}).get(name, 0)
            self._check_within(name, values, begin)
            if isinstance(self.loss, Elementwise):
                self._check_fit(self.loss, name, values, begin)

    def _check_within(self, name: str, values: Array, first: int) -> None:
        within = self.loss.tensors[name].within
        if within is None:
            return
        low, high = within
        bad = ~((values >= low) & (values <= high))
        if self.loss.tensors[name].nan:
            bad &= values == values  # noqa: PLR0124  NaN
        if bad.any():
            at = int(np.argmax(bad))
            place = index_text(first + at, self.form.given[name].shape)
            raise DomainError(
                f"{self.form.name}: {name}{place} = {values[at]:g} is outside [{low:g}, {high:g}]",
                field=name,
            )

    def _check_fit(self, loss: Elementwise, name: str, values: Array, first: int) -> None:
        if loss.misfit is None:
            return
        elements = values.reshape(-1, loss.parts)
        bad = loss.misfit(*elements.T)
        if bad.any():
            at = int(np.argmax(bad))
            place = index_text(first // loss.parts + at, self.form.given[name].shape[:-1])
            numbers = ", ".join(f"{number:g}" for number in elements[at])
            raise DomainError(
                f"{self.form.name}: {name}{place} = ({numbers}) {loss.fitting}", field=name
            )


class SamplesPlan(KernelPlan):
    """The plan of a loss that sees a sample as a whole."""

    loss: Samples

    def _operands(self) -> tuple[str, ...]:
        return tuple(n for n, _ in self.loss.operands)

    def _reads(self) -> list[tuple[int, str, Shape]]:
        return []

    def _fill(
        self,
        args: Array,
        arrays: Mapping[str, Array],
        factors: Array | None,
        alive: list[Array],
    ) -> list[halves.Place]:
        wide = {name: self._wide(array) for name, array in arrays.items()}
        prepared = self.loss.prepare(wide, self.layout, self.form.reduction)
        kinds = [
            np.dtype(np.int64) if kind.integer else self.dtype for _, kind in self.loss.operands
        ]
        operands = [
            np.require(prepared.operands[name], dtype, ["C", "A"])
            for name, dtype in zip(self.operands, kinds, strict=True)
        ]
        for position, array in enumerate(operands):
            args[slots.OPERANDS + position] = _address(array)
        sizes = np.array([n for array in operands for n in array.shape], np.int64)
        each = np.ascontiguousarray(prepared.factors, np.float64)
        if factors is not None:
            each = each * factors.reshape(-1)
        args[slots.SIZES], args[slots.FACTORS] = _address(sizes), _address(each)
        args[slots.STOP] = stopping.current().address
        alive += [*operands, sizes, each]
        return []


class ComposedPlan(Plan):
    """The plan of a loss that is made of products and of other losses."""

    loss: Composed

    def __init__(self, form: Form) -> None:
        super().__init__(form)
        self._others = Newest[tuple[Any, ...], Plan](_OTHERS)  # plans of these losses

    def run(
        self,
        arrays: Mapping[str, Array],
        grad_output: npt.ArrayLike | None,
        out: Mapping[str, Array] = NOWHERE,
    ) -> Result:
        """Compute the call on these arrays."""
        rows, kept = None, 0
        if self.labelled:
            rows, kept = self._labels(arrays["target"])
        factors = None
        if self.weighted or self.form.sample_weight:
            factors = self._factors(arrays)
        divisor = self.divisor
        if divisor is None:
            divisor = self._sum_divided_by(arrays, rows, kept, factors)
        each = np.ones(self.layout.rows) if factors is None else _doubles(factors).reshape(-1)
        upstream = None if grad_output is None else self._upstream(grad_output)
        scale = self._scale(divisor, None if self.form.upstream else upstream)
        with np.errstate(invalid="ignore"):  # a mean of nothing: 0 times infinity
            slopes = each * scale
        if self.form.upstream and upstream is not None:
            slopes = slopes * upstream.reshape(-1)
        given = {
            name: array if self._indexed(name) else self._broadcast(array, array.shape)
            for name, array in arrays.items()
            if name in self.loss.tensors
        }
        work = Work(
            given,
            self.layout,
            self.gradients,
            slopes,
            self._rows,
            products.product,
            units.Unit,
            pool.empty,
        )
        with products.one_thread_each(), np.errstate(all="ignore"):  # PyTorch does not warn
            losses, made = self.loss.compute(work)
        weighed = np.asarray(losses, np.float64) * each
        if self.form.reduction == "none":
            result = weighed.reshape(self.layout.output).astype(self.dtype)
        elif self.form.reduction == "sample":
            result = self._means(weighed)
        else:
            result = self._reduced(float(weighed.sum()), divisor)
        gradients = {n: self._fitted(n, made[n]) for n in self.gradients}
        return Result(result, self._finished(gradients, out), self.layout.warning)

    def _fitted(self, name: str, gradient: Array) -> Array:
        """A gradient in the shape of its tensor, summed where that was broadcast."""
        same = gradient.shape == self.form.given[name].shape
        return gradient if same else self._summed(name, gradient)

    def _indexed(self, name: str) -> bool:
        return self.loss.tensors[name].role in ("label", "index")

    def _rows(
        self,
        loss: Loss,
        tensors: Mapping[str, Array],
        wanted: tuple[str, ...],
        slopes: Array,
        out: Mapping[str, Array] = NOWHERE,
    ) -> tuple[Array, dict[str, Array]]:
        """See `spec.Work`."""
        types = tuple([(name, array.dtype, array.shape) for name, array in tensors.items()])
        key = type(loss), tuple(loss.values.items()), types, wanted
        made = self._others.get(key)
        if made is None:
            given = {name: TensorType(dtype, shape) for name, dtype, shape in types}
            form = Form(self.form.name, loss.lower(given), given, "none", wanted, bool(wanted))
            made = plan(form)
            self._others.keep(key, made)
        upstream = slopes.reshape(made.layout.output) if wanted else None
        result = made.run(tensors, upstream, out)
        return result.loss.reshape(-1), result.gradients


def plan(form: Form) -> Plan:
    """The plan of a form.

    Raises:
        LossdError: shapes that do not fit, gradients that there are not.
    """
    if isinstance(form.loss, Composed):
        return ComposedPlan(form)
    return (SamplesPlan if isinstance(form.loss, Samples) else KernelPlan)(form)


def _divides_by(form: Form) -> str:
    """The tensor of elements whose values tell what the mean divides by, "" if none does."""
    if form.reduction != "mean":
        return ""
    if form.normalizer is None:
        return form.loss.divisor
    return form.loss.weighing if form.normalizer in ("weights", "valid") else ""


def streamed(form: Form) -> dict[str, int]:
    """Tensors that may come in pieces, gradients going back in pieces, and the bytes of their rows.

    Kernels must walk them in memory's order, and what the mean divides by must not depend on them.
    None may if a gradient cannot go back in pieces.

    Raises:
        ShapeError: shapes that do not fit.
    """
    loss, given = form.loss, form.given
    layout = loss.layout(given)
    walked = isinstance(loss, Elementwise | Rowwise) and layout.inner == 1
    if not (walked and layout.rows and layout.width) or form.reduction == "sample":
        return {}
    kind, direct = loss.computed_in(given), _halves(loss, given, layout)
    found = {
        name: layout.width * tensor.dtype.itemsize
        for name, tensor in given.items()
        if loss.tensors[name].role in ("element", "vector")
        and tensor.shape == layout.shapes.get(name)
        and (tensor.dtype == kind or name in direct)
        and name != _divides_by(form)
        and name not in loss.counted
    }
    return found if found.keys() >= set(form.gradients) else {}


def footprint(form: Form, *, in_pieces: bool = False) -> int:
    """Bytes that a call takes beside its tensors: broadcast operands, gradients, losses.

    Args:
        form: the call.
        in_pieces: whether gradients and losses leave in pieces.

    Raises:
        ShapeError: shapes that do not fit.
    """
    return _footprint(form, form.loss.layout(form.given), in_pieces)


def _footprint(form: Form, layout: Layout, in_pieces: bool = False) -> int:
    loss, given = form.loss, form.given
    size = loss.computed_in(given).itemsize
    direct = _halves(loss, given, layout)
    full = {n: math.prod(layout.shapes.get(n, ())) * size for n in given}
    total = layout.rows * size * (form.reduction in ("none", "sample") and not in_pieces)
    total += layout.rows * size * (form.sample_weight is not None)
    if in_pieces:  # a shape alone makes these, before anything has come
        total += _BLOCK_BYTES * (layout.rows * layout.width // _BLOCK_LEAST + 1)
    if isinstance(loss, Composed):  # a row and its gradient, however long, are there at once
        total += max(loss.scratch, 2 * layout.width * size)
    for name, kind in given.items():
        half = is_half(kind.dtype)
        if name not in direct and (half or kind.shape != layout.shapes.get(name, kind.shape)):
            total += full[name]
        if name in form.gradients and not in_pieces:
            of_classes = isinstance(loss, Rowwise) and loss.tensors[name].role == "class"
            written = layout.rows * layout.width * size if of_classes else full[name]
            total += written * (name not in direct)
            total += math.prod(kind.shape) * kind.dtype.itemsize * half
    return total


def _halves(loss: Loss, given: Given, layout: Layout) -> frozenset[str]:
    """Tensors of two bytes that are read and written block by block, not copied as a whole.

    Their elements must be in the order of the losses.
    """
    if layout.inner > 1 or not isinstance(loss, Elementwise | Rowwise):
        return frozenset()
    if loss.computed_in(given) != FLOATS[0]:
        return frozenset()
    return frozenset(
        name
        for name, kind in given.items()
        if is_half(kind.dtype)
        and loss.tensors[name].role in ("element", "vector")
        and kind.shape == layout.shapes.get(name)
    )


K = TypeVar("K")
V = TypeVar("V")


class Newest(dict[K, V]):
    """The newest of what was kept; any thread may read it while others keep something.

    Args:
        limit: how many there are at most.
    """

    def __init__(self, limit: int) -> None:
        super().__init__()
        self._limit, self._lock = limit, threading.Lock()

    def keep(self, key: K, value: V) -> None:
        """Keep a value, in place of the oldest if there are as many as may be."""
        with self._lock:  # what looks for the oldest must not meet a dict that grows
            if key not in self and len(self) >= self._limit:
                del self[next(iter(self))]
            self[key] = value


class Begun(NamedTuple):
    """A call whose values are checked and whose arguments are filled.

    divisor: what the losses' sum is divided by; scale: what every gradient is multiplied by.
    factors: what each loss is multiplied by, None if that is 1.
    read: where tensors are that are read as halves.
    alive: what the kernel reads through an address.
    """

    divisor: float
    scale: float
    factors: Array | None
    read: list[halves.Place]
    alive: list[Array]


class Stores:
    """Whether large gradients are written past the caches: as was faster, which calls find out.

    A loss that waits for memory gains by it; on some processors, one that waits for arithmetic
    loses.
    """

    def __init__(self) -> None:
        self._best = {True: math.inf, False: math.inf}  # seconds, at least
        self._calls = 0

    def past(self, *, learning: bool) -> bool:
        """Whether the next call's are; of calls that are `learning`, some try either kind."""
        faster = self._best[True] <= self._best[False]
        if not learning:
            return faster
        self._calls += 1
        if self._calls <= 2 * _TRIES:
            return self._calls % 2 == 1
        return faster ^ (self._calls % _AGAIN == 0)

    def learn(self, past: bool, seconds: float) -> None:
        """Note how long a call took."""
        self._best[past] = min(seconds, self._best[past])


class Started(NamedTuple):
    """A call whose kernel can be run.

    begun: its values.
    losses: where they go, None if they are added alone; gradients: where these do.
    entry: what is called for each block; address: of what it is called with; words: that.
    places: addresses of the words in which it finds where those begin that are coming.
    """

    begun: Begun
    losses: Array | None
    gradients: dict[str, Array]
    entry: int
    address: int
    words: Array
    places: dict[str, int]


def _room(out: Mapping[str, Array], name: str, shape: Shape, dtype: np.dtype[Any]) -> Array:
    """Where a gradient is written: where it goes, if a kernel can write there."""
    place = out.get(name)
    if place is None or place.shape != shape or place.dtype != dtype:
        return pool.empty(shape, dtype)
    return place


class Arguments:
    """What a kernel is called with (kernels/slots.py): slots, the scale, what each block gives.

    Attributes:
        words: all of it; `floats`: the same memory as float64.
        partial: the blocks' sums in it; `outside`: which blocks met a value outside its domain.
        address: where it is.
    """

    def __init__(self, template: Array, blocks: int) -> None:
        self.words = template.copy()
        self.floats = self.words.view(np.float64)
        self.partial = self.floats[_PARTIAL : _PARTIAL + blocks]
        self.outside = self.words[_PARTIAL + blocks :]
        self.address = here = _address(self.words)
        self.words[slots.SCALE] = here + 8 * _SCALE
        self.words[slots.PARTIAL] = here + 8 * _PARTIAL
        self.words[slots.OUTSIDE] = here + 8 * (_PARTIAL + blocks)


def _side_by_side(loss: Rowwise, layout: Layout) -> bool:
    """Whether lanes hold rows, and not components of one row."""
    walks = loss.peaks or loss.terms or loss.slopes
    narrow = columns.NARROW_WITH_PEAKS if loss.peaks else columns.NARROW
    return layout.inner > 1 or bool(walks and layout.width <= narrow)


def _doubles(array: Array) -> Array:
    return np.ascontiguousarray(widened(array), np.float64)


@functools.lru_cache(64)
def _unit_weights(classes: int, dtype: np.dtype[Any]) -> Array:
    return np.ones(classes + PADDING, dtype)


def _address(array: Array) -> int:
    address: int = runtime.address(array if array.ndim == 1 else array.reshape(-1))
    return address
