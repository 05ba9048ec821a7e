"""The main job, shown: a real server, the tutorials' examples, a classifier trained through it."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
from lossd_client import Client, connect, nn, selfcheck
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

Array = npt.NDArray[np.float32]

LOSSES: Final = (
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "cross_entropy",
    "hinge_embedding_loss",
    "kl_div",
    "l1_loss",
    "mse_loss",
)
"""Those that are shown: the first time, only their kernels need be compiled."""

EPOCHS: Final = 30
BATCH: Final = 64
HIDDEN: Final = 64
LEARNING_RATE: Final = 0.1
MOMENTUM: Final = 0.9


class DemoError(Exception):
    """The demo did not show what it should."""


@contextlib.contextmanager
def running_server(*flags: str) -> Iterator[str]:
    """A server process on a free port of this machine; gives its address.

    Raises:
        DemoError: it does not come up, or does not end cleanly.
    """
    command = [sys.executable, "-m", "lossd.cli", "serve", "--listen", "127.0.0.1:0", *flags]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    address, seen = "", []
    for line in process.stderr:
        seen.append(line)
        if "listening on " in line:
            address = line.rpartition("listening on ")[2].strip()
        if " serving " in line:
            break
    else:
        raise DemoError("the server did not start:\n" + "".join(seen))
    try:
        yield address
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate()
    if process.returncode != 0:
        raise DemoError(f"the server ended with status {process.returncode}")


class Classifier:
    """Two linear layers with a ReLU between, in NumPy: everything but the loss.

    Args:
        rng: where the first weights come from.
    """

    def __init__(self, rng: np.random.Generator) -> None:
        self.w1 = rng.normal(0, 64**-0.5, (64, HIDDEN)).astype(np.float32)
        self.w2 = rng.normal(0, HIDDEN**-0.5, (HIDDEN, 10)).astype(np.float32)
        self._speed = [np.zeros_like(self.w1), np.zeros_like(self.w2)]

    def logits(self, images: Array) -> tuple[Array, Array]:
        """(N, 64) images to (N, 10) logits, and the (N, HIDDEN) activations between."""
        hidden = np.maximum(images @ self.w1, 0)
        return hidden @ self.w2, hidden

    def step(self, images: Array, hidden: Array, grad: Array) -> None:
        """Descend along the loss's gradient with respect to the logits, (N, 10)."""
        below = (grad @ self.w2.T) * (hidden > 0)
        slopes = (images.T @ below, hidden.T @ grad)
        for weight, speed, slope in zip((self.w1, self.w2), self._speed, slopes, strict=True):
            np.subtract(MOMENTUM * speed, LEARNING_RATE * slope, out=speed)
            np.add(weight, speed, out=weight)

    def accuracy(self, images: Array, labels: npt.NDArray[np.int64]) -> float:
        """Share of images whose largest logit is their label's."""
        return float((self.logits(images)[0].argmax(1) == labels).mean())


def digits() -> tuple[Array, npt.NDArray[np.int64], Array, npt.NDArray[np.int64]]:
    """scikit-learn's 1,797 handwritten digits: training and held-out images and labels."""
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(images))
    x, y = (images[order] / 16).astype(np.float32), labels[order].astype(np.int64)
    held_out = len(x) // 5
    return x[held_out:], y[held_out:], x[:held_out], y[:held_out]


def train(client: Client, console: Console) -> tuple[list[float], list[float], list[float]]:
    """Train on the digits; losses of every step, held-out accuracies, seconds of every call."""
    x, y, test_x, test_y = digits()
    rng = np.random.default_rng(1)
    model, criterion = Classifier(rng), nn.CrossEntropyLoss(client=client)
    losses, accuracies, seconds = [], [], []
    columns = (
        TextColumn("training on {task.description}"), BarColumn(), MofNCompleteColumn(),
        TextColumn("loss {task.fields[loss]:.4f}  held-out {task.fields[accuracy]:.1%}"),
        TimeElapsedColumn(),
    )  # fmt: skip
    with Progress(*columns, console=console) as progress:
        task = progress.add_task(f"{len(x)} digits", total=EPOCHS, loss=np.nan, accuracy=0.0)
        for _ in range(EPOCHS):
            for batch in np.array_split(rng.permutation(len(x)), len(x) // BATCH):
                logits, hidden = model.logits(x[batch])
                start = time.perf_counter()
                loss, grad = criterion.value_and_grad(logits, y[batch])
                seconds.append(time.perf_counter() - start)
                model.step(x[batch], hidden, grad)
                losses.append(loss)
            accuracies.append(model.accuracy(test_x, test_y))
            progress.update(task, advance=1, loss=losses[-1], accuracy=accuracies[-1])
    return losses, accuracies, seconds


def plot(losses: list[float], accuracies: list[float], path: Path) -> None:
    """The loss of every step and the accuracy of every epoch, as a PNG."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, left = plt.subplots(figsize=(8, 4.5), layout="constrained")
    left.plot(losses, color="tab:blue", linewidth=0.8, label="training loss")
    left.set(xlabel="step", ylabel="cross entropy", yscale="log")
    left.yaxis.label.set_color("tab:blue")
    right = left.twinx()
    steps = np.linspace(0, len(losses), len(accuracies) + 1)[1:]
    right.plot(steps, accuracies, color="tab:orange", marker=".", label="held-out accuracy")
    right.set(ylabel="held-out accuracy", ylim=(0.5, 1))
    right.yaxis.label.set_color("tab:orange")
    left.set_title("Handwritten digits: cross entropy and its gradient computed by lossd")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
    plt.close(figure)


def show_examples(client: Client, console: Console) -> None:
    """The tutorials' worked examples beside PyTorch's values, gradients too."""
    console.print("[bold]the tutorials' worked examples[/]")
    table = Table(box=None, pad_edge=False)
    table.add_column("call", no_wrap=True)
    for column in ("lossd", "PyTorch"):
        table.add_column(column, justify="right")
    table.add_column("loss and gradient")
    wrong = 0
    for row in selfcheck.run(client):
        wrong += not row.equal
        mark = "[green]equal[/]" if row.equal else "[red]different[/]"
        note = f", not a tutorial's {row.misprint}" if row.misprint else ""
        table.add_row(row.call, f"{row.value:.8f}", f"{row.expected:.8f}", mark + note)
    console.print(table)
    if wrong:
        raise DemoError(f"{wrong} of the worked examples differ from PyTorch's values")


def show_speed(client: Client, seconds: list[float], console: Console) -> None:
    """Latency of the training's calls and throughput of a large one."""
    small = np.sort(seconds) * 1e3
    x = np.random.default_rng(2).standard_normal((4096, 1000), np.float32)
    y = np.random.default_rng(3).integers(0, 1000, 4096)
    criterion = nn.CrossEntropyLoss(client=client)
    times = []
    for _ in range(6):
        start = time.perf_counter()
        criterion.value_and_grad(x, y)
        times.append(time.perf_counter() - start)
    large = float(np.median(times[1:]))
    console.print(
        f"{len(small)} calls of {BATCH}x10 with gradient: median {np.median(small):.2f} ms, "
        f"99th percentile {small[int(len(small) * 0.99)]:.2f} ms"
    )
    rate = (2 * x.nbytes + y.nbytes) / large / 1e6
    console.print(
        f"one call of 4096x1000 with gradient: {large * 1e3:.1f} ms, "
        f"{rate:.0f} MB/s there and back through memory that both share"
    )


def main(out: Path) -> None:
    """Run the demo; write the loss curve into `out`.

    Raises:
        DemoError: something is not as it should be.
    """
    console = Console(width=None if sys.stdout.isatty() else 110, highlight=False)
    start = time.perf_counter()
    console.print("starting a server (the first time, kernels are compiled) …")
    with running_server("--warm", ",".join(LOSSES)) as address, connect(address) as client:
        console.print(f"[bold]lossd serves on {address}[/], process {os.getpid()} is its client\n")
        show_examples(client, console)
        console.print()
        losses, accuracies, seconds = train(client, console)
        path = out / "loss-curve.png"
        plot(losses, accuracies, path)
        console.print(f"held-out accuracy [bold]{accuracies[-1]:.1%}[/], loss curve in {path}")
        show_speed(client, seconds, console)
    console.print(f"server stopped; {time.perf_counter() - start:.0f} s in all")
    if accuracies[-1] < 0.95:
        raise DemoError(f"held-out accuracy {accuracies[-1]:.1%} is below 95 %")
