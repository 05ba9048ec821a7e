"""README.md: its Python runs, in its order, and its errors are those that are raised."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lossd_client import connect, errors

from .servers import Server

PAGE = (Path(__file__).parents[2] / "README.md").read_text()
RNG = np.random.default_rng(0)


def given() -> dict[str, Any]:
    """What the page takes as there: 200 samples of 10 classes."""
    logits, labels = RNG.standard_normal((200, 10), np.float32), RNG.integers(0, 10, 200)
    model = torch.nn.Sequential(torch.nn.Linear(12, 10))
    return {
        "logits": logits, "labels": labels, "weights": RNG.random(200),
        "pred": logits, "target": 0 * logits, "model": model,
        "images": torch.randn(200, 12), "originals": torch.randn(200, 12),
        "batches": np.split(logits, 10), "batches_of_labels": np.split(labels, 10),
    }  # fmt: skip


def test_its_python_runs(server: Server, socket_path: Path) -> None:
    blocks = re.findall(r"^```python\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    assert len(blocks) == 4
    code = "".join(blocks).replace("/tmp/lossd.sock", str(socket_path))
    code = code.replace('connect("far-away:50051"', f'far = connect("{server.addresses()[0]}"')
    assert str(socket_path) in code
    assert "far = " in code
    names = given()
    exec(compile(code, "README.md", "exec"), names)
    assert names["x"].grad.shape == names["logits"].shape
    assert names["model"][0].weight.grad.abs().sum() > 0
    assert isinstance(names["model"].head, torch.nn.Module)
    names["client"].close()
    names["far"].close()


@pytest.mark.parametrize(
    ("loss", "input", "target"),
    [
        ("cross_entropy", np.zeros((20, 10), np.float32), np.where(np.arange(20) == 17, 12, 0)),
        ("mse_loss", np.zeros(3, np.float32), np.zeros(4, np.float32)),
    ],
)
def test_its_errors_are_raised(
    socket_path: Path, server: Server, loss: str, input: Any, target: Any
) -> None:
    kind, python, message = re.findall(rf"^(\w+) \(an? (\w+)\) +({loss}: .*)$", PAGE, re.MULTILINE)[
        0
    ]
    with connect(f"unix:{socket_path}") as client, pytest.raises(errors.LossdError) as caught:
        client.evaluate(loss, {"input": input, "target": target})
    assert type(caught.value).__name__ == kind
    assert python in {each.__name__ for each in type(caught.value).__mro__}
    assert str(caught.value) == message
