"""Arrays that carry a gradient, as the tutorials write them."""

from collections.abc import Callable, Mapping
from typing import Any, SupportsFloat

import numpy as np
import numpy.typing as npt

from lossd_client.dtypes import is_float, narrowed, widened
from lossd_client.errors import ShapeError
from lossd_client.handles import Handle

Array = npt.NDArray[Any]
ArrayLike = npt.ArrayLike | Handle
"""What losses take: arrays and what becomes one, and tensors that the server keeps."""


class Tensor:
    """A NumPy array with `requires_grad` and, after `backward`, `grad`.

    Args:
        data: any array-like; Python floats become float32, as in PyTorch.
        requires_grad: whether losses of it fill `grad`.

    Attributes:
        data: the array, not copied.
        grad: None, or the sum of the gradients of all `backward` calls, of data's shape and type.

    >>> x = tensor([0.5, 2.0], requires_grad=True)
    >>> x
    tensor([0.5, 2. ], dtype=float32, requires_grad=True)
    """

    __slots__ = ("_backward", "data", "grad", "requires_grad")
    __array_priority__ = 100.0

    def __init__(
        self,
        data: ArrayLike,
        requires_grad: bool = False,
        *,
        backward: Callable[[Array | None], None] | None = None,
    ) -> None:
        self.data = as_array(data)
        if requires_grad and not is_float(self.data.dtype):
            message = f"only floating-point tensors can require gradients, not {self.data.dtype}"
            raise TypeError(message)
        self.requires_grad = requires_grad
        self.grad: Array | None = None
        self._backward = backward

    @property
    def shape(self) -> tuple[int, ...]:
        """Length of each dimension."""
        return self.data.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the elements."""
        return self.data.dtype

    @property
    def ndim(self) -> int:
        """How many dimensions."""
        return self.data.ndim

    @property
    def size(self) -> int:
        """How many elements."""
        return self.data.size

    def numpy(self) -> Array:
        """The array."""
        return self.data

    def item(self) -> float:
        """The value of a tensor with one element."""
        return self.data.item()  # type: ignore[no-any-return]

    def backward(self, gradient: ArrayLike | None = None) -> None:
        """Add the gradients of this loss to the `grad` of its inputs that require one.

        Args:
            gradient: gradient of what follows with respect to this loss, of its shape; may be
                left out for a scalar.

        Raises:
            RuntimeError: nothing that this was computed from requires a gradient, or it was
                called before; or this is not a scalar and `gradient` is missing.
            ValueError: `gradient` has another shape than this.
        """
        if self._backward is None:
            message = (
                "this tensor has no gradient to propagate: none of its inputs requires one, or "
                "backward was called before"
            )
            raise RuntimeError(message)
        if gradient is None and self.data.ndim:
            message = (
                f"backward needs a gradient of shape {self.shape} for a loss that is no scalar"
            )
            raise RuntimeError(message)
        upstream = None if gradient is None else np.asarray(gradient)
        if upstream is not None and upstream.shape != self.shape:
            message = f"the gradient has shape {upstream.shape}, the loss {self.shape}"
            raise ValueError(message)
        backward, self._backward = self._backward, None
        backward(upstream)

    def zero_grad(self) -> None:
        """Forget the gradient."""
        self.grad = None

    def detach(self) -> "Tensor":
        """The same array without a gradient."""
        return Tensor(self.data)

    def accumulate(self, gradient: Array) -> None:
        """Add to `grad`."""
        if self.grad is None:
            self.grad = gradient
        else:
            self.grad = narrowed(widened(self.grad) + widened(gradient), self.grad.dtype)

    def __array__(self, dtype: npt.DTypeLike | None = None, copy: bool | None = None) -> Array:
        if dtype is not None and np.dtype(dtype) != self.data.dtype:
            return self.data.astype(dtype)
        return self.data.copy() if copy else self.data

    def __getstate__(self) -> tuple[None, dict[str, Any]]:
        """Without the way back, which neither travels nor is copied."""
        return None, {
            "data": self.data,
            "grad": self.grad,
            "requires_grad": self.requires_grad,
            "_backward": None,
        }

    def __float__(self) -> float:
        value: SupportsFloat = self.data
        return float(value)

    def __int__(self) -> int:
        return int(float(self))

    # compared by what they hold, as arrays are: `if loss < best`
    __hash__ = object.__hash__

    def __eq__(self, other: object) -> Any:
        return self.data == _held(other)

    def __ne__(self, other: object) -> Any:
        return self.data != _held(other)

    def __lt__(self, other: Any) -> Any:
        return self.data < _held(other)

    def __le__(self, other: Any) -> Any:
        return self.data <= _held(other)

    def __gt__(self, other: Any) -> Any:
        return self.data > _held(other)

    def __ge__(self, other: Any) -> Any:
        return self.data >= _held(other)

    def __bool__(self) -> bool:
        return bool(self.data)

    def __format__(self, spec: str) -> str:
        return super().__format__(spec) if self.data.ndim else format(self.item(), spec)

    def __len__(self) -> int:
        return len(self.data)

    def __repr__(self) -> str:
        text = np.array2string(self.data, separator=", ", prefix="tensor(")
        grad = ", requires_grad=True" if self.requires_grad else ""
        grad = ", backward=True" if self._backward is not None else grad
        return f"tensor({text}, dtype={self.data.dtype}{grad})"


def _held(value: Any) -> Any:
    return value.data if isinstance(value, Tensor) else value


def tensor(data: ArrayLike, *, requires_grad: bool = False) -> Tensor:
    """A `Tensor` over `data`: `tensor(logits, requires_grad=True)`."""
    return Tensor(data, requires_grad)


def as_array(data: Any, name: str = "value", loss: str = "") -> Array:
    """`data` as an array: arrays as they are, Python floats as float32.

    Raises:
        TypeError: a masked array.
        ShapeError: lists of different lengths.
    """
    if isinstance(data, np.ndarray):
        if type(data) is not np.ndarray:
            return as_array(_plain(data, name))
        return data if data.dtype.isnative else data.astype(data.dtype.newbyteorder("="))
    if isinstance(data, Tensor):
        return data.data
    try:
        array = np.asarray(data)
    except ValueError as error:
        where = f"{loss}: {name}" if loss else name
        message = f"{where} is not an array: {error}"
        raise ShapeError(message, field=name) from error
    return array if array.dtype != np.float64 or _is_typed(data) else array.astype(np.float32)


def widen_numbers(arrays: dict[str, Any], given: Mapping[str, Any]) -> None:
    """Have Python's floats in float64 where another tensor is: a variance of 0.1 is 0.1 there."""
    for name, value in given.items():
        if type(value) is float and any(a.dtype == np.float64 for a in arrays.values()):
            arrays[name] = np.array(value)


def _is_typed(data: Any) -> bool:
    """Whether what becomes an array has a type of its own, as Python floats have not."""
    if hasattr(data, "dtype") or hasattr(data, "__array__"):
        return True
    try:
        memoryview(data)
    except TypeError:
        return False
    return True


def _plain(array: Array, name: str) -> Array:
    """An array of a class of its own, as matrices and mapped files have, as what it holds."""
    if isinstance(array, np.ma.MaskedArray):
        message = (
            f"{name} is a masked array, whose mask no loss knows: fill it, and leave elements out "
            "by a weight of 0, a mask or ignore_index"
        )
        raise TypeError(message)
    return np.asarray(array)
