"""The values that a loss's arguments may have."""

from typing import Any, NamedTuple

import numpy as np

from lossd_client.errors import DTypeError, ParameterError, ShapeError
from lossd_client.handles import Handle


class Limits(NamedTuple):
    """A number's bounds or choices, or a tensor's number of dimensions.

    gt, ge, le, lt: what it must be above, at least, at most, below.
    choices: the values that it may have, all if there are none.
    rank: dimensions of a tensor.
    """

    gt: float | None = None
    ge: float | None = None
    le: float | None = None
    lt: float | None = None
    choices: tuple[Any, ...] = ()
    rank: int | None = None

    @property
    def domain(self) -> str:
        """The accepted numbers in words, "" if all are."""
        if self.choices:
            return "one of " + ", ".join(map(repr, self.choices))
        bounds = {">": self.gt, ">=": self.ge, "<=": self.le, "<": self.lt}.items()
        return " and ".join(f"{sign} {bound:g}" for sign, bound in bounds if bound is not None)

    def check(self, loss: str, name: str, value: Any) -> None:
        """Refuse what a parameter cannot be.

        Raises:
            ParameterError: outside the domain.
        """
        good = (
            (self.gt is None or value > self.gt)
            and (self.ge is None or value >= self.ge)
            and (self.le is None or value <= self.le)
            and (self.lt is None or value < self.lt)
            and (not self.choices or value in self.choices)
        )
        if not good:
            raise ParameterError(
                f"{loss}: {name} = {value!r} is outside its range: it must be {self.domain}",
                field=name,
            )

    def check_argument(self, loss: str, name: str, value: Any) -> None:
        """Refuse what a constructor's argument cannot be.

        Tensors that are left out, and those that a server keeps, pass.

        Raises:
            DTypeError: no number.
            ParameterError: outside the domain.
            ShapeError: a tensor of other dimensions.
        """
        if self.rank is None:
            if not isinstance(value, int | float | np.number | np.bool_):
                kind = type(value).__name__
                message = f"{loss}: {name} = {value!r} must be a number, not {kind}"
                raise DTypeError(message, field=name)
            self.check(loss, name, value)
        elif not (value is None or isinstance(value, Handle) or _rank(value) == self.rank):
            message = f"{loss}: {name} has {_rank(value)} dimensions; it must have {self.rank}"
            raise ShapeError(message, field=name)


def _rank(value: Any) -> int:
    return len(value.shape if hasattr(value, "shape") else np.shape(value))
