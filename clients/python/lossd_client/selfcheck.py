"""Check a server against PyTorch's values of the tutorials' worked examples.

    python -m lossd_client.selfcheck --target localhost:50051

Prints each loss beside PyTorch's and exits with 1 if one, or its gradient, differs.
"""

import argparse
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from lossd_client import nn
from lossd_client.client import Client, connect
from lossd_client.errors import LossdError

TOLERANCE: Final = 1e-6  # relative; about 8 units in the last place of float32


@dataclass(frozen=True)
class Example:
    """A call of which PyTorch 2.13.0 gives the loss and the gradient.

    criterion: the loss, computed by a client; inputs: its arguments.
    expected: the loss; gradient: its gradient in the first input, one number if all are alike.
    misprint: the wrong loss that a tutorial prints, where one does.
    """

    call: str
    criterion: Callable[[Client], Any]
    inputs: tuple[Any, Any]
    expected: float
    gradient: Any
    misprint: str = ""


@dataclass(frozen=True)
class Row:
    """What a server answered to an example.

    off: how far the gradient is from PyTorch's, relative to its largest element.
    """

    call: str
    value: float
    expected: float
    off: float
    misprint: str

    @property
    def equal(self) -> bool:
        """Whether loss and gradient are PyTorch's."""
        near = abs(self.value - self.expected) <= TOLERANCE * abs(self.expected)
        return near and self.off <= TOLERANCE


def _f32(values: Any) -> Any:
    return np.asarray(values, np.float32)


def _log_softmax(values: Any) -> Any:
    x = _f32(values)
    return x - np.log(np.exp(x).sum())


_X, _Y = _f32([2.5, 5, 3]), _f32([3, 5, 2.5])
_COLUMN = _f32([[1], [0], [1], [0]])

EXAMPLES: Final = (
    Example("MSELoss([2.5, 5, 3], [3, 5, 2.5])", lambda c: nn.MSELoss(client=c), (_X, _Y),
            0.16666667, [-0.33333334, 0, 0.33333334], "0.0833"),
    Example("L1Loss([2.5, 5, 3], [3, 5, 2.5])", lambda c: nn.L1Loss(client=c), (_X, _Y),
            0.33333334, [-0.33333334, 0, 0.33333334], "0.25"),
    Example("CrossEntropyLoss([[1.5, 2, .5], [.5, 1, 1.5]], [1, 2])",
            lambda c: nn.CrossEntropyLoss(client=c), ([[1.5, 2, 0.5], [0.5, 1, 1.5]], [1, 2]),
            0.6422001, [[0.16574948, -0.22672531, 0.060975816],
                        [0.093161859, 0.15359794, -0.2467598]]),
    Example("BCELoss([[.7], [.2], [.9], [.7]], [[1], [0], [1], [0]])",
            lambda c: nn.BCELoss(client=c), ([[0.7], [0.2], [0.9], [0.7]], _COLUMN),
            0.47228798, [[-0.35714287], [0.31249997], [-0.27777779], [0.83333331]]),
    Example("BCEWithLogitsLoss([[.8], [-.5], [1.2], [.6]], same)",
            lambda c: nn.BCEWithLogitsLoss(client=c), ([[0.8], [-0.5], [1.2], [0.6]], _COLUMN),
            0.53648698, [[-0.077506378], [0.094385169], [-0.057868794], [0.16141407]]),
    Example("MSELoss([.9, 2.1, 3.3], [1.2, 2.3, 3.4])",
            lambda c: nn.MSELoss(client=c), ([0.9, 2.1, 3.3], [1.2, 2.3, 3.4]),
            0.046666697, [-0.20000005, -0.13333337, -0.066666767]),
    Example("CrossEntropyLoss([[4, 1, 2], [1, 2, 3], [0, 3, 2]], [0, 1, 2])",
            lambda c: nn.CrossEntropyLoss(client=c),
            (_f32([[4, 1, 2], [1, 2, 3], [0, 3, 2]]), [0, 1, 2]),
            0.97548801, [[-0.052068435, 0.014003355, 0.038065068],
                         [0.030010194, -0.25175717, 0.22174701],
                         [0.011706344, 0.23512819, -0.24683452]]),
    Example("BCELoss([.3, .9, .6, .1], [0, 1, 1, 0])",
            lambda c: nn.BCELoss(client=c), ([0.3, 0.9, 0.6, 0.1], [0, 1, 1, 0]),
            0.26955539, [0.35714287, -0.27777779, -0.41666666, 0.27777779]),
    Example("KLDivLoss('batchmean')(log_softmax([.3, .3, .4]), [.2, .3, .5])",
            lambda c: nn.KLDivLoss(reduction="batchmean", client=c),
            (_log_softmax([0.3, 0.3, 0.4]), [0.2, 0.3, 0.5]),
            0.017805248, [-0.06666667, -0.1, -0.16666667]),
    Example("HingeEmbeddingLoss([-.3, .8, .6, -.1], [-1, 1, 1, -1])",
            lambda c: nn.HingeEmbeddingLoss(client=c), ([-0.3, 0.8, 0.6, -0.1], [-1, 1, 1, -1]),
            0.94999993, [-0.25, 0.25, 0.25, -0.25]),
    Example("L1Loss([1, 2, 3], [1, 2, 5])",
            lambda c: nn.L1Loss(client=c), ([1.0, 2, 3], [1, 2, 5]),
            0.66666669, [0, 0, -0.33333334]),
    Example("MSELoss([1, 2, 3], [1, 2, 5])",
            lambda c: nn.MSELoss(client=c), ([1.0, 2, 3], [1, 2, 5]),
            1.3333334, [0, 0, -1.3333334]),
    Example("CrossEntropyLoss([[.1, .2, .3]], [1])",
            lambda c: nn.CrossEntropyLoss(client=c), ([[0.1, 0.2, 0.3]], [1]),
            1.1019429, [[0.30060959, -0.66777503, 0.36716539]]),
    Example("BCEWithLogitsLoss(pos_weight=ones(64))(full([10, 64], 1.5), ones)",
            lambda c: nn.BCEWithLogitsLoss(pos_weight=np.ones(64, np.float32), client=c),
            (np.full((10, 64), 1.5, np.float32), np.ones((10, 64), np.float32)),
            0.20141332, -0.00028503995),
)  # fmt: skip


def run(client: Client) -> Iterator[Row]:
    """Compute every example at a client's target."""
    for example in EXAMPLES:
        value, gradient = example.criterion(client).value_and_grad(*example.inputs)
        expected = np.broadcast_to(np.asarray(example.gradient), gradient.shape)
        off = float(abs(gradient - expected).max() / abs(expected).max())
        yield Row(example.call, float(value), example.expected, off, example.misprint)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m lossd_client.selfcheck",
        description="Check a lossd server against PyTorch's values of the tutorials' examples.",
    )
    parser.add_argument(
        "--target", help="host:port, unix:/path or inproc: (default: $LOSSD_TARGET, else :50051)"
    )
    target = parser.parse_args().target
    different = 0
    try:
        with connect(target) as client:
            print(f"{'':9} {'lossd':>11} {'PyTorch':>11}  losses and gradients of {client.target}")  # noqa: T201
            for row in run(client):
                different += not row.equal
                mark = "equal" if row.equal else "DIFFERENT"
                note = f"  (a tutorial prints {row.misprint})" if row.misprint else ""
                note += f"  (the gradient is off by {row.off:.1e})" if row.off > TOLERANCE else ""
                print(f"{mark:9} {row.value:11.8f} {row.expected:11.8f}  {row.call}{note}")  # noqa: T201
    except LossdError as error:
        raise SystemExit(f"selfcheck: {error}") from error
    sys.exit(1 if different else 0)


if __name__ == "__main__":
    main()
