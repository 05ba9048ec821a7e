"""Draw docs/losses/img/NAME.svg: each loss and its gradient along one element, by our own kernels.

python -m scripts.plots            draw those that are missing, or old
python -m scripts.plots NAME ...   draw these again

The tests' catalogue knows how to draw every loss's tensors. A picture's metadata has some of its
points, so that a test can tell whether it is current.
"""

import argparse
import inspect
import json
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lossd.engine import evaluate
from lossd.spec import Elementwise, Loss, registry
from tests.conformance.cases import gradients_of
from tests.conformance.catalogue import ENTRIES

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "losses" / "img"
POINTS = 161
TOLD = 8
"""Of how many points one is told in a picture's metadata."""
Array = npt.NDArray[Any]


def span(loss: type[Loss], name: str, values: Array) -> Array:
    """Where one element of a tensor goes: its domain, or three to each side."""
    within = loss.tensors[name].within
    if within is not None and np.isfinite(within).all():
        low, high = within
        return np.linspace(low + 0.002, high - 0.002, POINTS)
    if within == (-np.inf, 0) or (values <= 0).all():
        return np.linspace(-6, -0.01, POINTS)
    if (values > 0).all():
        return np.linspace(0.02, 4, POINTS)
    return np.linspace(-4, 4, POINTS)


def curves(name: str) -> tuple[str, Array, list[tuple[str, Array, Array]]]:
    """What moves, where to, and for each curve its label, losses and gradients."""
    loss, entry = registry[name], ENTRIES[name]
    rng = np.random.default_rng(1)
    if issubclass(loss, Elementwise) and loss.parts == 1:
        tensors = entry.draw(rng, (POINTS,))
        first = gradients_of(name, tensors)[0]
        x = span(loss, first, tensors[first])
        kinds = sorted(set(tensors.get("target", np.zeros(1)).tolist()))
        unit = 0 <= kinds[0] <= kinds[-1] <= 1
        targets = [0, 1] if unit else kinds if len(kinds) == 2 else [np.median(kinds)]
        found = []
        for target in targets:
            given = {k: np.full(POINTS, np.median(v)) for k, v in tensors.items()}
            given |= {first: x} | ({"target": np.full(POINTS, target)} if "target" in given else {})
            made = evaluate(name, given, reduction="none", gradients=[first])
            label = f"target {target:.3g}" if "target" in given else ""
            found.append((label, made.loss, made.gradients[first]))
        return first, x, found
    shape = min((s for s in entry.shapes if np.prod(s) > 2), key=lambda s: (len(s) < 2, np.prod(s)))
    tensors = entry.draw(rng, entry.middle if len(entry.middle) > 1 else shape)
    first = gradients_of(name, tensors)[0]
    at = (0,) * tensors[first].ndim
    if "target" in tensors and loss.tensors["target"].role == "label":
        at = (0, int(tensors["target"].reshape(-1)[0]), *at[2:])[: tensors[first].ndim]
    x = span(loss, first, tensors[first])
    if "boxes" in first:
        near = np.flatnonzero(abs(evaluate(name, tensors, gradients=[first]).gradients[first]) > 0)
        at = tuple(map(int, np.unravel_index(near[0] // 4 * 4, tensors[first].shape)))
        left, _, right, _ = tensors[first][at[:-1]]
        x = left + np.linspace(-3, 0.9, POINTS) * (right - left)
    losses, gradients = [], []
    for value in x:
        moved = tensors[first].copy()
        moved[at] = value
        made = evaluate(name, tensors | {first: moved}, reduction="sum", gradients=[first])
        losses.append(made.loss)
        gradients.append(made.gradients[first][at])
    what = f"{first}[{', '.join(map(str, at))}]"
    return what, x, [("", np.array(losses), np.array(gradients))]


def points(name: str) -> Array:
    """Some points of the picture as it should be: where, then each curve's losses and slopes."""
    _, x, found = curves(name)
    rows = [x, *(column for _, losses, slopes in found for column in (losses, slopes))]
    return np.array(rows, np.float64)[:, ::TOLD]


def drawn(name: str) -> Array:
    """The same of the picture that there is; nothing without one."""
    picture = FOLDER / f"{name}.svg"
    text = picture.read_text() if picture.exists() else ""
    told = re.search(r"<dc:description>points (.*?)</dc:description>", text, re.DOTALL)
    return np.array(json.loads(told[1]) if told else [], np.float64)


def is_current(name: str) -> bool:
    """Whether a picture shows what kernels compute, as far as an eye can tell."""
    expected, there = points(name), drawn(name)
    if expected.shape != there.shape:
        return False
    sizes = np.max(abs(expected), axis=1, keepdims=True, initial=0, where=np.isfinite(expected))
    near = np.isclose(there, expected, rtol=1e-4, atol=0, equal_nan=True)
    with np.errstate(invalid="ignore"):
        return bool((near | (abs(there - expected) <= 1e-4 * sizes)).all())


def draw(name: str) -> None:
    """Write one picture."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams |= {"svg.hashsalt": name, "svg.fonttype": "none"}  # the same small file each time
    import matplotlib.pyplot as plt

    what, x, found = curves(name)
    figure, axes = plt.subplots(1, 2, figsize=(7.2, 2.7), layout="constrained")
    for axis, title, column in zip(axes, ("loss", "gradient"), (1, 2), strict=True):
        for curve in found:
            axis.plot(x, curve[column], linewidth=1.4, label=curve[0])
        axis.set_title(title, fontsize=10)
        axis.set_xlabel(what, fontsize=9)
        axis.grid(alpha=0.3)
        axis.tick_params(labelsize=8)
    if found[0][0]:
        axes[0].legend(fontsize=8)
    told = json.dumps([[float(f"{value:.6g}") for value in row] for row in points(name)])
    metadata = {"Date": None, "Description": f"points {told}"}
    figure.savefig(FOLDER / f"{name}.svg", metadata=metadata)
    plt.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(description=inspect.getdoc(sys.modules[__name__]))
    parser.add_argument("names", nargs="*", choices=[*sorted(registry), []], metavar="NAME")
    given = parser.parse_args().names
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name in given or [n for n in registry if not is_current(n)]:
        draw(name)
        print(f"docs/losses/img/{name}.svg")


if __name__ == "__main__":
    main()
