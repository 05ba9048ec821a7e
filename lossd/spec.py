"""What a loss declaration is made of: tensors, parameters, families and the registry.

A loss is a class. Its attributes declare its tensors and parameters, its docstring is its
documentation, and its static methods are its mathematics, written for one element or one component
of a row. Everything else (validation, kernels, wire schema, client class, docs, tests, benchmark)
is derived from the declaration. docs/design.md tells how; CONTRIBUTING.md shows a loss being added.
"""

import difflib
import inspect
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final, Literal, NamedTuple

import numpy as np
from lossd_client.dtypes import widened
from lossd_client.errors import DTypeError, ParameterError, ShapeError, UnknownLossError
from lossd_client.limits import Limits

Shape = tuple[int, ...]
Role = Literal["element", "multiplier", "vector", "scalar", "label", "class", "whole", "index"]
Predicts = Literal["", "value", "probability", "logit", "logits", "log-probabilities", "scores"]
Pieces = Callable[..., Any]

FLOATS: Final = (np.dtype(np.float32), np.dtype(np.float64))
"""The types that losses are computed in."""


@dataclass(frozen=True)
class Tensor:
    """One tensor of a loss.

    role says how many values there are and which of them the mathematics sees at once:
        element      one per element of the broadcast shape
        multiplier   one per element; multiplies the loss, never seen by the mathematics
        vector       a row of components
        scalar       one per row
        label        one class index per row
        class        one per class, the same for all rows
        whole, index  an array, or an array of integers, that a loss of samples sees as it is
    """

    role: Role
    doc: str
    grad: bool = False  # PyTorch gives a gradient with respect to it
    optional: bool = False  # a constructor argument, None by default
    within: tuple[float, float] | None = None  # closed interval of accepted values, without NaN
    nan: bool = False  # NaN is accepted beside what is within
    constant: bool = False  # PyTorch takes it as it is, though it requires a gradient
    soft: bool = False  # a label tensor that may hold floating-point probabilities instead
    cut: bool = False  # an index tensor that may be of any type: fractions are cut off


@dataclass(frozen=True)
class Param:
    """One hyper-parameter of a loss; its default gives its type."""

    default: float | int | bool | str
    doc: str
    ge: float | None = None
    gt: float | None = None
    le: float | None = None
    lt: float | None = None
    choices: tuple[Any, ...] = ()

    @property
    def type(self) -> type[float] | type[int] | type[bool] | type[str]:
        """Its type, that of the default."""
        return type(self.default)

    @property
    def limits(self) -> Limits:
        """The accepted values."""
        return Limits(self.gt, self.ge, self.le, self.lt, self.choices)

    @property
    def domain(self) -> str:
        """The accepted values in words, "" if all are."""
        return self.limits.domain

    def check(self, loss: str, name: str, value: Any) -> float | int | bool | str:
        """`value` in the parameter's type.

        Raises:
            DTypeError: of another type than the default (numbers may be of any).
            ParameterError: outside the domain.
        """
        kind: Any = self.type
        numbers = (int, float, np.integer, np.floating)
        accepted: Any = {bool: (bool, np.bool_), int: (int, np.integer), str: str}.get(
            kind, numbers
        )
        if not isinstance(value, accepted):
            raise DTypeError(
                f"{loss}: {name} = {value!r} must be {kind.__name__}, not {type(value).__name__}",
                field=name,
            )
        if kind is int and not -(1 << 63) <= value < 1 << 63:
            raise ParameterError(f"{loss}: {name} = {value} does not fit 64 bits", field=name)
        self.limits.check(loss, name, value)
        converted: float | int | bool | str = kind(value)
        return converted


def param(default: Any, doc: str, **domain: Any) -> Any:
    """Declare a hyper-parameter: default, meaning, range (`gt`, `ge`, `le`, `lt`) or `choices`."""
    return Param(default, doc, **domain)


def tensor(
    role: Role,
    doc: str,
    *,
    grad: bool = False,
    optional: bool = False,
    within: tuple[float, float] | None = None,
    nan: bool = False,
    constant: bool = False,
    soft: bool = False,
    cut: bool = False,
) -> Any:
    """Declare a tensor."""
    return Tensor(role, doc, grad, optional, within, nan, constant, soft, cut)


@dataclass(frozen=True)
class TensorType:
    """The type of a tensor that was given."""

    dtype: np.dtype[Any]
    shape: Shape


Given = Mapping[str, TensorType]


@dataclass(frozen=True)
class Layout:
    """How the tensors of one call are walked.

    output: shape of the losses under reduction='none'.
    shapes: the shape that each tensor is broadcast to.
    rows:   losses in all; row r = (n, d) has its components at n·width·inner + c·inner + d.
    width:  components of a row (1 for element-wise losses).
    inner:  distance between components; losses of a sample (`Samples.several`).
    views:  tensors that are taken in another shape before they are broadcast, with that shape.
    batch:  what reduction='batchmean' and normalizer='batch' divide by.
    warning: what the caller should be told, or "".
    """

    output: Shape
    shapes: Mapping[str, Shape]
    rows: int
    width: int = 1
    inner: int = 1
    batch: int = 1
    warning: str = ""
    views: Mapping[str, Shape] = field(default_factory=dict)


class Loss:
    """Base of all declarations.

    Class attributes:
        name: functional name, torch.nn.functional's; private variants have none.
        library: where PyTorch's users find it: "torch.nn", or another library.
        signature: the constructor's arguments in torch.nn's order, "*" before those that are given
            by keyword; optional tensors that are not among them can be given by keyword.
        functional: the function's arguments after the tensors, where they differ from those.
        unused: arguments among those that PyTorch needs and lossd does not.
        unset: parameters among those that are None by default in PyTorch, which means the default.
        early: what the constructor of PyTorch's class checks of its arguments, by name.
        integers: whether the first tensor may be of integers too, as in PyTorch: "beside" a
            floating tensor, or "alone".
        reductions: the accepted reductions.
        aliases: older names of the class in torch.nn, deprecated there.
        called: names of the class's call, where torch.nn's differ from the tensors'.
        divisor: the tensor whose sum the mean divides by; "" for the number of losses.
        weighing: the tensor of elements that each loss is multiplied by, "" for none.
        formula, gradient: LaTeX of a loss before it is reduced, and of its derivatives.
        reference: where the definition stands.
        advice: what a client warns of, by reduction.
        counted: tensors whose values `count` looks at.
        masked: the tensor, among `counted`, that is 0 where nothing counts; see `units`.
        predicts: what the first tensor foretells: "value", of the kind that the target is;
            "probability" or "logit" of class 1; "logits", "log-probabilities" or "scores" of
            classes; "" for anything else.
        plain_mean: whether the mean of labelled losses divides by their number, not by the sum of
            the weights at the labels.
        owned: tensors that the client's class holds, as torch.nn's holds its parameters; such a
            class is written by hand (lossd_client/owning.py).
    """

    name: ClassVar[str] = ""
    library: ClassVar[str] = "torch.nn"
    signature: ClassVar[tuple[str, ...]] = ()
    functional: ClassVar[tuple[str, ...]] = ()
    called: ClassVar[tuple[str, ...]] = ()
    unused: ClassVar[tuple[str, ...]] = ()
    unset: ClassVar[tuple[str, ...]] = ()
    early: ClassVar[dict[str, Limits]] = {}
    integers: ClassVar[Literal["", "beside", "alone"]] = ""
    aliases: ClassVar[tuple[str, ...]] = ()
    divisor: ClassVar[str] = ""
    weighing: ClassVar[str] = ""
    counted: ClassVar[tuple[str, ...]] = ()
    masked: ClassVar[str] = ""
    predicts: ClassVar[Predicts] = ""
    reductions: ClassVar[tuple[str, ...]] = ("none", "mean", "sum")
    reference: ClassVar[str] = ""
    formula: ClassVar[str] = ""
    gradient: ClassVar[tuple[str, ...]] = ()
    advice: ClassVar[dict[str, str]] = {}
    owned: ClassVar[tuple[str, ...]] = ()
    plain_mean: ClassVar[bool] = False
    tensors: ClassVar[dict[str, Tensor]] = {}
    params: ClassVar[dict[str, Param]] = {}

    def __init_subclass__(cls) -> None:
        declared = vars(cls)
        cls.tensors = cls.tensors | {k: v for k, v in declared.items() if isinstance(v, Tensor)}
        cls.params = cls.params | {k: v for k, v in declared.items() if isinstance(v, Param)}
        if "name" in declared:
            registry[cls.name] = cls

    def __init__(self, /, **given: Any) -> None:
        unknown = given.keys() - self.params.keys()
        if unknown:
            name = min(unknown)
            known = ", ".join([*self.params, *self.optional(), "reduction"])
            message = f"{self.name} has no parameter {name!r}; it has: {known}"
            if name == "reduction" or name in self.optional():
                message = f"{self.name}: {name!r} is given beside the parameters, not among them"
            raise ParameterError(message, field=name)
        self.values: dict[str, float | int | bool | str] = {}
        for key, declared in self.params.items():
            value = declared.check(self.name, key, given[key]) if key in given else declared.default
            self.values[key] = value
            setattr(self, key, value)

    @classmethod
    def optional(cls) -> list[str]:
        """Names of the tensors that are constructor arguments."""
        return [name for name, t in cls.tensors.items() if t.optional]

    @classmethod
    def required(cls) -> list[str]:
        """Names of the tensors of a call, in order."""
        return [name for name, t in cls.tensors.items() if not t.optional]

    @classmethod
    def computed_in(cls, given: Given) -> np.dtype[Any]:
        """The type that a call is computed in: float64 if a tensor with floats is, else float32."""
        floats = [
            tensor.dtype
            for name, tensor in given.items()
            if tensor.dtype.kind == "f" and cls.tensors[name].role not in ("label", "index")
        ]
        return np.result_type(FLOATS[0], *floats)

    @classmethod
    def smallest(cls) -> dict[str, Any]:
        """Tensors of a call, as few as can be: kernels are compiled with them."""
        shapes = {"element": (1,), "vector": (1, 2), "scalar": (1,), "label": (1,)}
        return {
            n: np.zeros(shapes[t.role], np.int64 if t.role == "label" else np.float32)
            for n, t in cls.tensors.items()
            if not t.optional
        }

    @classmethod
    def limits(cls) -> dict[str, Limits]:
        """What a constructor checks, by argument: as torch.nn's does, else all that can be told."""
        if cls.library == "torch.nn":
            return cls.early
        bounded = {name: p for name, p in cls.params.items() if p.domain and p.type is not str}
        return {name: p.limits for name, p in bounded.items()}

    @classmethod
    def doc(cls) -> str:
        """The docstring, unindented."""
        return inspect.cleandoc(cls.__doc__ or "")

    def lower(self, given: Given) -> "Loss":
        """The loss to compute instead, chosen by parameters and tensors; by default itself.

        Special values become another declaration here, so that no kernel asks for them.
        """
        return self

    def constants(self, layout: Layout) -> tuple[float, ...]:
        """The last arguments of the mathematics: by default every parameter but the indices."""
        return tuple(float(v) for v in self.values.values() if isinstance(v, bool | float))

    def layout(self, given: Given) -> Layout:
        """How the given tensors fit together.

        Raises:
            ShapeError: they do not.
        """
        raise NotImplementedError

    def count(self, arrays: Mapping[str, Any], layout: Layout) -> float:
        """What the mean divides by: the sum of the tensor `divisor`, or the number of losses."""
        if not self.divisor:
            return float(layout.rows)
        return sum_of(arrays[self.divisor])

    def units(self, arrays: Mapping[str, Any], layout: Layout, weighed: bool) -> Any:
        """How many of what the mask masks each loss is made of, or the sum of their weights.

        None without a mask: each loss is one, of weight 1.
        """
        if self.masked not in arrays:
            return None
        mask = widened(arrays[self.masked]).reshape(layout.rows, layout.width)
        return (mask if weighed else mask != 0).sum(1, dtype=np.float64)

    def differentiable(self, given: Given) -> frozenset[str]:
        """Names of the tensors for which PyTorch gives a gradient."""
        return frozenset(name for name, t in self.tensors.items() if t.grad)


NORMALIZERS: Final = ("batch", "weights", "valid")
"""What the mean of any loss may divide by, beside a number and what is the loss's own."""

registry: dict[str, type[Loss]] = {}
"""Every public loss by name."""


def find(name: str) -> type[Loss]:
    """The declaration of a public loss.

    Raises:
        UnknownLossError: no such loss; the message names those that are spelled alike, and all.
    """
    try:
        return registry[name]
    except KeyError:
        shown = name if len(name) <= 64 else name[:63] + "…"
        begun = [known for known in registry if shown and known.startswith(shown)]
        near = difflib.get_close_matches(shown, registry, n=3) or begun[:3]
        meant = f"did you mean {' or '.join(map(repr, near))}? There" if near else "there"
        raise UnknownLossError(
            f"unknown loss {shown!r}; {meant} are: {', '.join(sorted(registry))}",
            field="loss",
        ) from None


def sum_of(array: Any) -> float:
    """The sum of an array's values."""
    return float(widened(array).sum(dtype=np.float64))


def place_text(wrong: Any) -> str:
    """Where the first True of an array is, as an index is written: "[1, 2]", "" of a scalar."""
    return index_text(int(np.argmax(wrong)), np.shape(wrong))


def index_text(position: int, shape: Shape) -> str:
    """The index of an element in C order, as it is written: "[1, 2]", "" of a scalar."""
    where = np.unravel_index(position, shape or (1,))
    return f"[{', '.join(map(str, where))}]" if shape else ""


def tuple_text(shape: Shape) -> str:
    """A shape as NumPy prints it."""
    return str(tuple(shape))


class Elementwise(Loss):
    """One loss per element of the broadcast shape.

    `math(*elements, *params)` returns the loss and its derivative with respect to each tensor
    that is declared with `grad=True`, in order.
    `parts`: an element is so many numbers of each tensor that lie next to each other, its width;
    `math` takes each number and returns the derivative with respect to each.
    `wide`: `math` computes in float64, whatever the tensors' type.
    `misfit(*numbers)` tells whether an element's numbers do not go together, `fitting` how they
    should; it is called with numbers and with arrays.
    """

    reductions: ClassVar[tuple[str, ...]] = ("none", "mean", "sum", "sample")
    broadcast: ClassVar[Literal["warn", "silent", "refuse", "same rank"]] = "silent"
    math: ClassVar[Pieces]
    parts: ClassVar[int] = 1
    wide: ClassVar[bool] = False
    misfit: ClassVar[Pieces | None] = None
    fitting: ClassVar[str] = ""

    def layout(self, given: Given) -> Layout:
        """One row for each element."""
        names = self.required()
        shapes = [given[name].shape for name in names]
        first = shapes[0]
        warning = ""
        if any(shape != first for shape in shapes):
            warning = self._check_broadcast(names, shapes)
        try:
            output = np.broadcast_shapes(*shapes)
        except ValueError:
            raise ShapeError(
                f"{self.name}: {_named(names, shapes)} cannot be broadcast together",
                field=names[-1],
            ) from None
        for name in self.optional():
            if name in given and not _fits(given[name].shape, output):
                raise ShapeError(
                    f"{self.name}: {name} {tuple_text(given[name].shape)} cannot be broadcast to "
                    f"{names[0]} {tuple_text(output)}",
                    field=name,
                )
        return Layout(
            output=output,
            shapes=dict.fromkeys(given, output),
            rows=math.prod(output),
            batch=output[0] if output else 1,
            warning=warning,
        )

    def _check_broadcast(self, names: list[str], shapes: list[Shape]) -> str:
        if self.broadcast == "refuse":
            raise ShapeError(
                f"{self.name}: {_named(names, shapes)} must have the same shape", field=names[-1]
            )
        if self.broadcast == "same rank" and len({len(shape) for shape in shapes}) > 1:
            raise ShapeError(
                f"{self.name}: {_named(names, shapes)} must have the same number of dimensions",
                field=names[-1],
            )
        if self.broadcast == "warn":
            return (
                f"{self.name}: {_named(names, shapes)} differ and are broadcast, which is likely "
                "not what is meant; give them the same shape"
            )
        return ""


class Rowwise(Loss):
    """One loss per row of components.

    The mathematics of a row, each piece for one component or one row:
        peaks(*vectors)                          -> values whose maximum over the row is wanted
        terms(*vectors, *peaks, *params)         -> values to be summed over the row
        combine(*scalars, *peaks, *sums, *params) -> loss, then coefficients      (in float64)
        slopes(*vectors, *coefficients, *params) -> derivative for each tensor with grad=True
    `keep`: the first term is kept and is the first argument of slopes, instead of computed twice.
    `versus`: see `Classes`.
    """

    peaks: ClassVar[Pieces | None] = None
    terms: ClassVar[Pieces | None] = None
    combine: ClassVar[Pieces]
    slopes: ClassVar[Pieces | None] = None
    keep: ClassVar[bool] = False
    versus: ClassVar[bool] = False

    def check_class_weight(self, given: Given, width: int) -> None:
        """Refuse a weight that has not one value for each of `width` classes.

        Raises:
            ShapeError: it has not.
        """
        weight = given.get("weight")
        if weight is not None and weight.shape != (width,):
            raise ShapeError(
                f"{self.name}: weight {tuple_text(weight.shape)} must be {tuple_text((width,))}, "
                f"one for each class of input {tuple_text(given['input'].shape)}",
                field="weight",
            )


class Vectors(Rowwise):
    """Rows along the last dimension; `combine` sees the row's scalars.

    Subclasses check their ranks and then call `rows_of`.
    """

    def rows_of(self, given: Given) -> Layout:
        """The layout of vectors and scalars that are broadcast together; class tensors beside."""
        vectors = [n for n, t in self.tensors.items() if t.role == "vector"]
        scalars = [n for n, t in self.tensors.items() if t.role == "scalar"]
        shapes = [given[n].shape for n in vectors]
        try:
            common = np.broadcast_shapes(*shapes)
            output = np.broadcast_shapes(common[:-1], *(given[n].shape for n in scalars))
        except ValueError:
            names = vectors + scalars
            given_shapes = _named(names, [given[n].shape for n in names])
            raise ShapeError(
                f"{self.name}: {given_shapes} do not fit together",
                field=names[-1],
            ) from None
        full = (*output, common[-1])
        return Layout(
            output=output,
            shapes=dict.fromkeys(vectors, full) | dict.fromkeys(scalars, output),
            rows=math.prod(output),
            width=common[-1],
            batch=output[0] if output else 1,
        )


class Classes(Rowwise):
    """Rows along the class dimension: (C), (N, C) or (N, C, d1, …, dK).

    With index targets, `combine` sees the row's components at the label, and the first
    coefficient is subtracted from the first tensor's slope there. Rows whose label is
    `ignore_index` give 0. The mean divides by the sum of the weights at the labels.
    With probabilities, or with `plain_mean`, the mean divides by the number of rows.
    With `versus`, peaks, terms and slopes take two more values before the parameters: whether
    this component is another than the label's, and the first tensor's component at the label.
    """

    def layout(self, given: Given) -> Layout:
        """One row for each class index or distribution."""
        shape, target = given["input"].shape, given["target"].shape
        if not shape:
            raise ShapeError(
                f"{self.name}: input () must be (C), (N, C) or (N, C, d1, …, dK)", field="input"
            )
        axis = 0 if len(shape) == 1 else 1
        width = shape[axis]
        output = shape[:axis] + shape[axis + 1 :]
        indexed = self.tensors["target"].role == "label"
        expected = output if indexed else shape
        if target != expected and not self._lone(given):
            also = "" if indexed else "; index targets must have an integer type"
            raise ShapeError(
                f"{self.name}: target {tuple_text(target)} does not fit input {tuple_text(shape)}: "
                f"it must be {tuple_text(expected)}{also}",
                field="target",
            )
        self.check_class_weight(given, width)
        return Layout(
            output=output,
            shapes={name: given[name].shape for name in given},
            rows=math.prod(output),
            width=width,
            inner=math.prod(shape[2:]),
            batch=output[0] if output else 1,
        )

    def differentiable(self, given: Given) -> frozenset[str]:
        """None of a row without a batch whose target has one: PyTorch's backward refuses it."""
        return frozenset() if self._lone(given) else super().differentiable(given)

    def _lone(self, given: Given) -> bool:
        """Whether a row without a batch has a target of shape (1)."""
        indexed = self.tensors["target"].role == "label"
        return indexed and len(given["input"].shape) == 1 and given["target"].shape == (1,)


class Operand(NamedTuple):
    """An array that a loss of samples is computed from."""

    rank: int
    integer: bool = False


class Prepared(NamedTuple):
    """What a call of a loss of samples is computed from.

    operands: by the names in `Samples.operands`, of the rank and kind declared there.
    factors: float64[rows], what each loss and its gradient are multiplied by.
    """

    operands: Mapping[str, Any]
    factors: Any


class Samples(Loss):
    """One loss per sample, computed from all of the sample at once.

    `operands` declares the arrays that `prepare` makes of a call's tensors; tensors with a
    gradient are among them, and their layout is the gradient's.
    `sample(n, *operands, *gradients, *wanted, slope, params)` answers the loss of sample n in
    float64 and writes each gradient that is `wanted`, times `slope`; it is compiled.
    `several`: a sample has `layout.inner` losses. Then `sample(n, *operands, *gradients, *wanted,
    slopes, losses, params)` writes them, and the gradients of their sum weighed with `slopes`.
    `long`: a sample may take long. Then the last argument is the address of a word that says that
    nobody waits any more (compiled/signs.py): it looks now and then, and may end with anything.
    """

    operands: ClassVar[tuple[tuple[str, Operand], ...]]
    several: ClassVar[bool] = False
    long: ClassVar[bool] = False
    sample: ClassVar[Pieces]

    def prepare(self, arrays: Mapping[str, Any], layout: Layout, reduction: str) -> Prepared:
        """Check what types and shapes do not tell, and bring the tensors into their form.

        Raises:
            LossdError: values that the loss is not defined for.
        """
        raise NotImplementedError


@dataclass(frozen=True)
class Work:
    """One call of a composed loss.

    arrays: its tensors in the type that it is computed in, labels as they are.
    layout: its layout.
    wanted: names of the tensors whose gradient is wanted.
    slopes: float64[rows], what each row's gradient is multiplied by.
    rows: computes the rows of another loss: rows(loss, tensors, wanted, slopes, out={}) gives their
        losses and the gradients of their sum, each row's times its slope; tensors are those of that
        loss, out has arrays that gradients go to.
    product: product(a, b, out=None, add=False) is the matrix product a @ b.
    unit: unit(x).rows are rows of norm 1, unit(x).back(gradient, factor=1) is `factor` times the
        gradient of x that one of these rows makes, in that one's memory.
    empty: empty(shape, dtype) is an array with undefined values; large ones are made of memory that
        was used before, which costs no page faults.
    """

    arrays: Mapping[str, Any]
    layout: Layout
    wanted: tuple[str, ...]
    slopes: Any
    rows: Callable[..., tuple[Any, dict[str, Any]]]
    product: Callable[..., Any]
    unit: Callable[[Any], Any]
    empty: Callable[..., Any]

    def zeros_like(self, array: Any) -> Any:
        """An array of zeros, of another one's shape and type."""
        made = self.empty(array.shape, array.dtype)
        made.fill(0)
        return made


class Composed(Loss):
    """One loss per row, made of matrix products and of the kernels of other losses.

    The result must not depend on anything but shapes and values: products go through `Work`.
    `scratch` is the memory that it may take beside its tensors and results, in bytes.
    """

    scratch: ClassVar[int] = 32 << 20

    def chunks(self, rows: int, each: int, beside: int = 0) -> Iterator[slice]:
        """Rows in chunks that fit in `scratch`, of about one length, at least one row.

        Args:
            rows: how many there are.
            each: bytes that each takes.
            beside: bytes that all of a chunk's together take beside these.
        """
        parts = math.ceil(rows / max(1, (self.scratch - beside) // max(each, 1)))
        step = math.ceil(rows / max(parts, 1))
        return (slice(start, min(start + step, rows)) for start in range(0, rows, max(step, 1)))

    def compute(self, work: Work) -> tuple[Any, dict[str, Any]]:
        """The losses, float64 or of the tensors' type, and the gradients that are wanted.

        Raises:
            LossdError: values that the loss is not defined for.
        """
        raise NotImplementedError


def _named(names: list[str], shapes: list[Shape]) -> str:
    parts = [f"{name} {tuple_text(shape)}" for name, shape in zip(names, shapes, strict=True)]
    return ", ".join(parts[:-1]) + " and " + parts[-1]


def _fits(shape: Shape, output: Shape) -> bool:
    """Whether `shape` broadcasts to `output` without enlarging it."""
    return len(shape) <= len(output) and all(
        a in (1, b) for a, b in zip(reversed(shape), reversed(output), strict=False)
    )
