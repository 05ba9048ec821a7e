"""What can go wrong, as Python's own kinds of error.

```
LossdError
├── UnknownLossError      (ValueError)       no loss of that name
├── ParameterError        (ValueError)       a parameter that is unknown or outside its range
├── ShapeError            (ValueError)       a rank or a shape that does not fit
├── DomainError           (ValueError)       a value outside a tensor's domain
├── LabelError            (IndexError)       a class index out of range
├── DTypeError            (TypeError)        a type that the tensor cannot have
├── ProtocolError         (ValueError)       a message that cannot be read
├── HandleError           (LookupError)      no tensor is registered under that handle
├── ResourceError         (MemoryError)      larger than the server's limits
├── UnavailableError      (ConnectionError)  no server there, or the connection was lost
├── DeadlineError         (TimeoutError)     not answered in time
├── CancelledError        (RuntimeError)     the call was cancelled, or its client was closed
└── InternalError         (RuntimeError)     a fault of the server
```

On the wire each is a canonical gRPC code with a `google.rpc.ErrorInfo` whose reason is the
UPPER_SNAKE name below; `field` becomes a `google.rpc.BadRequest` field path.
"""

from typing import ClassVar

__all__ = [
    "CancelledError",
    "DTypeError",
    "DeadlineError",
    "DomainError",
    "HandleError",
    "InternalError",
    "JobExistsError",
    "JobStateError",
    "LabelError",
    "LossdError",
    "ParameterError",
    "ProtocolError",
    "ResourceError",
    "ShapeError",
    "UnavailableError",
    "UnknownJobError",
    "UnknownLossError",
]


class LossdError(Exception):
    """Any error of lossd's.

    Attributes:
        reason: UPPER_SNAKE name, stable across versions.
        field: the argument that is at fault (`target`, `label_smoothing`), or "".
    """

    reason: ClassVar[str] = "ERROR"
    code: ClassVar[int] = 2  # google.rpc.Code

    def __init__(self, message: str, *, field: str = "") -> None:
        super().__init__(message)
        self.field = field

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (str(self),), {"field": self.field}


class UnknownLossError(LossdError, ValueError):
    """No loss of that name."""

    reason, code = "UNKNOWN_LOSS", 5


class ParameterError(LossdError, ValueError):
    """A parameter that is unknown or outside its range."""

    reason, code = "INVALID_PARAMETER", 3


class ShapeError(LossdError, ValueError):
    """A rank or a shape that does not fit."""

    reason, code = "INVALID_SHAPE", 3


class DomainError(LossdError, ValueError):
    """A value outside a tensor's domain."""

    reason, code = "OUT_OF_DOMAIN", 3


class LabelError(LossdError, IndexError):
    """A class index out of range."""

    reason, code = "LABEL_OUT_OF_RANGE", 11


class DTypeError(LossdError, TypeError):
    """A type that the tensor cannot have."""

    reason, code = "INVALID_DTYPE", 3


class ProtocolError(LossdError, ValueError):
    """A message that cannot be read, or bytes that contradict their shape."""

    reason, code = "MALFORMED_MESSAGE", 3


class HandleError(LossdError, LookupError):
    """No tensor is registered under that handle, or not any more."""

    reason, code = "UNKNOWN_HANDLE", 5


class UnknownJobError(LossdError, LookupError):
    """No scoring job of that name, or no file of that name in it."""

    reason, code = "UNKNOWN_JOB", 5


class JobStateError(LossdError, RuntimeError):
    """A scoring job that is in another state than it must be."""

    reason, code = "WRONG_JOB_STATE", 9


class JobExistsError(LossdError, RuntimeError):
    """A scoring job of that name that asks for something else."""

    reason, code = "JOB_EXISTS", 6


class ResourceError(LossdError, MemoryError):
    """Larger than the server's limits."""

    reason, code = "LIMIT_EXCEEDED", 8


class UnavailableError(LossdError, ConnectionError):
    """No server there, or the connection was lost."""

    reason, code = "UNAVAILABLE", 14


class DeadlineError(LossdError, TimeoutError):
    """Not answered in time."""

    reason, code = "DEADLINE_EXCEEDED", 4


class CancelledError(LossdError, RuntimeError):
    """The call was cancelled, or its client was closed."""

    reason, code = "CANCELLED", 1


class InternalError(LossdError, RuntimeError):
    """A fault of the server."""

    reason, code = "INTERNAL", 13
