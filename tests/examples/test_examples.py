"""The examples do what they say."""

import dataclasses
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from lossd_client import connect, nn, selfcheck

from lossd import demo

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_torch_training_matches_pure_torch() -> None:
    with demo.running_server("--warm", "none") as address, connect(address) as client:
        steps = np.array(load("train_torch").compare(client, epochs=5))
    assert len(steps) == 75
    assert steps[-1, 0] < 0.8 * steps[0, 0]
    # Rounding differences of single steps grow while training; they start at one ulp
    np.testing.assert_allclose(steps[0, 0], steps[0, 1], rtol=3e-7)
    np.testing.assert_allclose(steps[:, 0], steps[:, 1], rtol=1e-4)


def test_models_are_scored_and_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    example = load("score_models")
    made = example.run(tmp_path, report=False)
    example.tell(made)
    assert made.verdict == "b"
    all_rows, seen, unseen = capsys.readouterr().out.splitlines()[2:]
    assert all_rows.strip().startswith("all: new - old -0.05")
    assert seen.endswith("new is better")
    assert unseen.endswith("cannot be told")


def test_demo_runs_to_its_end(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    demo.main(tmp_path)
    out = capsys.readouterr().out
    assert "held-out accuracy" in out
    assert "server stopped" in out
    assert (tmp_path / "loss-curve.png").read_bytes()[:4] == b"\x89PNG"


def test_worked_examples_are_pytorchs_values() -> None:
    with connect("inproc:") as client:
        rows = list(selfcheck.run(client))
    assert len(rows) == 14
    assert [row.call for row in rows if not row.equal] == []


@pytest.mark.parametrize("example", selfcheck.EXAMPLES, ids=lambda example: example.call)
def test_worked_examples_are_what_pytorch_gives(example: selfcheck.Example) -> None:
    with connect("inproc:") as client:
        criterion = example.criterion(client)
    given: dict[str, Any] = {"reduction": criterion.reduction}
    if getattr(criterion, "pos_weight", None) is not None:
        given["pos_weight"] = torch.from_numpy(criterion.pos_weight)
    x = torch.tensor(np.float32(example.inputs[0]), requires_grad=True)
    y = torch.from_numpy(np.asarray(example.inputs[1]))
    if type(criterion) is not nn.CrossEntropyLoss:
        y = y.float()
    loss = getattr(torch.nn, type(criterion).__name__)(**given)(x, y)
    loss.backward()
    assert loss.item() == pytest.approx(example.expected, rel=1e-7)
    assert x.grad is not None
    expected = np.broadcast_to(np.asarray(example.gradient), x.shape)
    np.testing.assert_allclose(x.grad.numpy(), expected, rtol=1e-7)


@pytest.mark.parametrize("change", [{"expected": 0.0833}, {"gradient": [-0.3333, 0, 0.3333]}])
def test_selfcheck_tells_what_is_wrong(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], change: dict[str, Any]
) -> None:
    wrong = dataclasses.replace(selfcheck.EXAMPLES[0], **change)
    monkeypatch.setattr(selfcheck, "EXAMPLES", (wrong,))
    monkeypatch.setattr(sys, "argv", ["selfcheck", "--target", "inproc:"])
    with pytest.raises(SystemExit) as ended:
        selfcheck.main()
    assert ended.value.code == 1
    assert "DIFFERENT" in capsys.readouterr().out
