"""Validate, plan, run the kernel, reduce: one call of one loss.

>>> import numpy as np
>>> from lossd.engine import evaluate
>>> result = evaluate("mse_loss", {"input": np.float32([1, 2]), "target": np.float32([0, 0])},
...                   gradients=["input"])
>>> float(result.loss), result.gradients["input"].tolist()
(2.5, [1.0, 2.0])
"""

import functools
import time
import warnings
from collections.abc import Collection, Mapping
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
from lossd_client.arrays import as_array
from lossd_client.dtypes import is_float, named
from lossd_client.errors import DTypeError, ParameterError

import lossd.losses  # noqa: F401  fills the registry
from lossd.filling import Filling, Lanes, begun
from lossd.plan import (
    NOWHERE,
    SAMPLE_WEIGHT,
    Form,
    KernelPlan,
    Newest,
    Plan,
    Result,
    footprint,
    plan,
    streamed,
)  # fmt: skip
from lossd.spec import (
    NORMALIZERS,
    Given,
    Loss,
    Shape,
    TensorType,
    find,
)  # fmt: skip
from lossd.steps import Arriving, Steps

Array = npt.NDArray[Any]

_PLANS: Final = 1024  # plans kept for calls of the same form


def evaluate(
    loss: str,
    tensors: Mapping[str, npt.ArrayLike],
    *,
    parameters: Mapping[str, Any] | None = None,
    reduction: str = "mean",
    gradients: Collection[str] = (),
    grad_output: npt.ArrayLike | None = None,
    sample_weight: npt.ArrayLike | None = None,
    normalizer: str | float | None = None,
    zero_if_empty: bool = False,
) -> Result:
    """Compute a loss and the gradients that are asked for, in one pass.

    Warns where shapes differ and PyTorch warns too.

    Args:
        loss: functional name, such as "cross_entropy".
        tensors: arrays by name; optional ones (weight, pos_weight) may be left out.
        parameters: hyper-parameters by name.
        reduction: "mean", "sum", "none"; "sample" for element-wise losses, the mean of all but
            the first dimension; "batchmean" for kl_div.
        gradients: names of the tensors whose gradient is wanted.
        grad_output: gradient of what follows with respect to the loss, of the loss's shape;
            1 where it is left out.
        sample_weight: factor of each sample's losses and gradients; its shape is the first
            dimensions of the losses' shape.
        normalizer: what reduction='mean' divides the sum by: a number; "batch", the batch's size;
            "weights", the sum of all weights of the losses that count (sample_weight, weight, the
            class weights at the labels, a mask); "valid", how many count: not ignored, not masked,
            and of a weight other than 0. By default what PyTorch divides by.
        zero_if_empty: whether a mean that divides by 0 is 0, with gradients of 0, not NaN.

    Raises:
        UnknownLossError, ParameterError, ShapeError, DomainError: all ValueError.
        LabelError: a class index out of range; an IndexError.
        DTypeError: a type that the tensor cannot have; a TypeError.
    """
    arrays = {name: as_array(value, name, loss) for name, value in tensors.items()}
    if sample_weight is not None:
        arrays[SAMPLE_WEIGHT] = as_array(sample_weight, SAMPLE_WEIGHT, loss)
    values = dict(parameters or {})
    if normalizer is not None:
        values["normalizer"] = normalizer
    if zero_if_empty:
        values["zero_if_empty"] = zero_if_empty
    result = compute(Call(loss, arrays, values, reduction, gradients, grad_output))
    if result.warning:
        warnings.warn(result.warning, UserWarning, stacklevel=2)
    return result


class Call(NamedTuple):
    """The arguments of `evaluate`, its tensors as arrays.

    sample_weight is among the arrays, normalizer and zero_if_empty are among the parameters. `out`
    has arrays that gradients go to, of their shape and type.
    """

    loss: str
    arrays: Mapping[str, Array]
    parameters: Mapping[str, Any]
    reduction: str
    gradients: Collection[str]
    grad_output: npt.ArrayLike | None = None
    out: Mapping[str, Array] = NOWHERE

    def key(self) -> "_Key":
        """What a plan depends on."""
        types = tuple([(name, a.dtype, a.shape) for name, a in self.arrays.items()])
        upstream = self.grad_output is not None and self.reduction in ("none", "sample")
        parameters = _typed(self.loss, self.parameters)
        return self.loss, types, parameters, self.reduction, tuple(self.gradients), upstream


def _typed(loss: str, parameters: Mapping[str, Any]) -> "_Parameters":
    """Parameters to tell calls apart by: True and 1 are equal, and yet one may be an error.

    Raises:
        DTypeError: one that is neither a number nor a name.
    """
    for name, value in parameters.items():
        if not isinstance(value, int | float | str | np.number | np.bool_):
            raise DTypeError(
                f"{loss}: {name} = {value!r} must be a number or a name, not "
                f"{type(value).__name__}",
                field=name,
            )
    return tuple([(name, value, type(value)) for name, value in parameters.items()])


def compute(call: Call) -> Result:
    """What `evaluate` does, on arrays; what there is to warn of is in the result."""
    return run(plan_of(call), call)


def plan_of(call: Call) -> Plan:
    """The plan of a call, made if there is none of an earlier one like it."""
    key = call.key()
    return _plans.get(key) or _plan(*key)


def planned(call: Call) -> Plan | None:
    """The plan of an earlier call like this one, its kernel at hand: `run` computes at once."""
    return _plans.get(call.key())


def run(plan: Plan, call: Call) -> Result:
    """Compute a call whose plan this is, and note there how long it took."""
    begun = time.perf_counter()
    result = plan.run(call.arrays, call.grad_output, call.out)
    plan.took(time.perf_counter() - begun)
    return result


def steps(call: Call, arriving: Mapping[str, Arriving]) -> Steps:
    """A call of which some tensors come in pieces; in `call.arrays` anything of their type.

    Raises:
        LossdError: what is wrong with those that are there.
    """
    plan = plan_of(call)
    assert isinstance(plan, KernelPlan)
    there = {name: array for name, array in call.arrays.items() if name not in arriving}
    return Steps(plan, there, arriving, call.grad_output)


def filling(plan: Plan, call: Call, lanes: Lanes) -> Filling:
    """A call of which some tensors are being written; in `call.arrays` anything of their type.

    Args:
        plan: the call's.
        call: what is computed.
        lanes: those tensors.

    Raises:
        LossdError: what is wrong with those that are there.
    """
    there = {name: array for name, array in call.arrays.items() if name not in lanes.memory}
    return begun(plan, there, lanes, call.grad_output, call.out)


def compile_kernels(name: str) -> None:
    """Make a loss's float32 kernels ready: reduced to a number, with and without gradient."""
    loss = find(name)
    tensors = loss.smallest()
    for gradients in ((), loss.required()[:1]):
        compute(Call(name, tensors, {}, "mean", gradients))


_Types = tuple[tuple[str, np.dtype[Any], Shape], ...]
_Parameters = tuple[tuple[str, Any, type], ...]
_Key = tuple[str, _Types, _Parameters, str, tuple[str, ...], bool]
_plans: Final = Newest[_Key, Plan](_PLANS)


def _plan(
    name: str,
    types: _Types,
    parameters: _Parameters,
    reduction: str,
    gradients: tuple[str, ...],
    upstream: bool,
) -> Plan:
    given = {key: TensorType(dtype, shape) for key, dtype, shape in types}
    values = {key: value for key, value, _ in parameters}
    made = plan(_form(name, given, values, reduction, gradients, upstream))
    _plans.keep((name, types, parameters, reduction, gradients, upstream), made)
    return made


def needed(
    loss: str,
    types: Mapping[str, tuple[np.dtype[Any], Shape]],
    parameters: Mapping[str, Any],
    reduction: str,
    gradients: Collection[str],
) -> tuple[int, dict[str, int], int]:
    """What a call takes beside its tensors, told by its types.

    Returns:
        Bytes of broadcast operands, gradients and losses; tensors that may come in pieces, with
        the bytes of a row of each; and the first if all of these do.

    Raises:
        LossdError: as `evaluate`, for names, types, shapes and parameters.
    """
    kinds = tuple([(name, *kind) for name, kind in types.items()])
    return _needed(loss, kinds, _typed(loss, parameters), reduction, tuple(gradients))


def outline(
    loss: str,
    types: Mapping[str, tuple[np.dtype[Any], Shape]],
    parameters: Mapping[str, Any],
    reduction: str = "mean",
) -> Plan:
    """What the types of a call tell: its declaration, its layout, its divisor. It cannot be run.

    Raises:
        LossdError: as `evaluate`, for names, types, shapes and parameters.
    """
    given = {name: TensorType(dtype, shape) for name, (dtype, shape) in types.items()}
    return Plan(_form(loss, given, parameters, reduction, ()))


@functools.lru_cache(_PLANS)
def _needed(
    loss: str, types: _Types, parameters: _Parameters, reduction: str, gradients: tuple[str, ...]
) -> tuple[int, dict[str, int], int]:
    given = {name: TensorType(dtype, shape) for name, dtype, shape in types}
    values = {name: value for name, value, _ in parameters}
    form = _form(loss, given, values, reduction, gradients)
    return footprint(form), streamed(form), footprint(form, in_pieces=True)


def _form(
    name: str,
    types: Mapping[str, TensorType],
    parameters: Mapping[str, Any],
    reduction: str,
    gradients: tuple[str, ...],
    upstream: bool = False,
) -> Form:
    """A call without its values, names and types checked."""
    given, values = dict(types), dict(parameters)
    sample_weight = given.pop(SAMPLE_WEIGHT, None)
    normalizer = values.pop("normalizer", None)
    zero_if_empty = values.pop("zero_if_empty", False)
    declared = find(name)(**values)
    _check_names(declared, given)
    if reduction not in declared.reductions:
        raise ParameterError(
            f"{name}: reduction = {reduction!r} must be one of {', '.join(declared.reductions)}",
            field="reduction",
        )
    for key in given:
        _check_dtype(declared, key, given)
    normalizer = _checked_normalizer(name, normalizer, reduction)
    zero_if_empty = _checked_zero_if_empty(name, zero_if_empty)
    return Form(
        name,
        declared.lower(given),
        given,
        reduction,
        gradients,
        upstream,
        sample_weight,
        normalizer,
        zero_if_empty,
    )


def check_names(name: str, parameters: Mapping[str, Any], tensors: Collection[str]) -> None:
    """Raise if a mean of a loss cannot have these parameters, or these tensors.

    Args:
        name: the loss.
        parameters: its own, and normalizer and zero_if_empty.
        tensors: names of its own.

    Raises:
        UnknownLossError: there is no such loss.
        ParameterError: a parameter outside its range, or one or a tensor that it does not have.
        DTypeError: a parameter of another type.
    """
    declared, own = find(name), dict(parameters)
    _checked_normalizer(name, own.pop("normalizer", None), "mean")
    _checked_zero_if_empty(name, own.pop("zero_if_empty", False))
    _check_names(declared(**own), tensors)


def _checked_zero_if_empty(loss: str, value: Any) -> bool:
    if not isinstance(value, bool | np.bool_):
        raise DTypeError(f"{loss}: zero_if_empty = {value!r} must be bool", field="zero_if_empty")
    return bool(value)


def _checked_normalizer(loss: str, value: Any, reduction: str) -> str | float | None:
    if value is None:
        return None
    if reduction != "mean":
        raise ParameterError(
            f"{loss}: normalizer = {value!r} is what reduction='mean' divides by; the reduction is "
            f"{reduction!r}",
            field="normalizer",
        )
    if isinstance(value, int | float | np.number) and not isinstance(value, bool):
        if 0 < value < np.inf:
            return float(value)
    elif isinstance(value, str) and value in NORMALIZERS:
        return value
    raise ParameterError(
        f"{loss}: normalizer = {value!r} must be a finite number > 0 or one of "
        f"{', '.join(map(repr, NORMALIZERS))}",
        field="normalizer",
    )


def _check_names(loss: Loss, given: Collection[str]) -> None:
    missing = [n for n in loss.required() if n not in given]
    if missing:
        raise ParameterError(f"{loss.name}: the tensor {missing[0]!r} is missing", field=missing[0])
    unknown = sorted(set(given) - loss.tensors.keys())
    if unknown:
        raise ParameterError(
            f"{loss.name} has no tensor {unknown[0]!r}; it has: {', '.join(loss.tensors)}",
            field=unknown[0],
        )


def _check_dtype(loss: Loss, name: str, given: Given) -> None:
    tensor, dtype = loss.tensors[name], given[name].dtype
    floats = "float16, bfloat16, float32 or float64"
    numbers = f"{floats.replace(' or', ',')} or an integer type"
    if tensor.role in ("label", "index"):
        kinds, wanted = "iu", "an integer type"
    elif name != loss.required()[0] or _may_be_integers(loss, given):
        kinds, wanted = "fiub", numbers
    else:
        kinds, wanted = "f", floats
        if loss.integers:
            wanted += " where no other tensor has"
    if tensor.cut:
        kinds, wanted = "fiub", numbers
    if tensor.soft:
        kinds += "f"
        wanted = f"an integer type (class indices), {floats} (probabilities)"
    known = is_float(dtype) and dtype.itemsize <= 8
    if not ((known and "f" in kinds) or dtype.kind in kinds.replace("f", "")):
        raise DTypeError(
            f"{loss.name}: {name} has type {named(dtype)}; it must have {wanted}", field=name
        )


def _may_be_integers(loss: Loss, given: Given) -> bool:
    """Whether the first tensor may be of integers, as PyTorch takes them."""
    others = (given[name].dtype for name in loss.required()[1:])
    return loss.integers == "alone" or (loss.integers == "beside" and any(map(is_float, others)))
