"""`lossd score` and `lossd compare` as they are typed."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

PATIENCE = 120
ROWS = 2000


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    numbers = np.random.default_rng(0)
    np.save(folder / "x.npy", numbers.standard_normal((ROWS, 4), np.float32))
    np.save(folder / "better.npy", np.eye(4, dtype=np.float32)[np.arange(ROWS) % 4] * 3)
    np.save(folder / "y.npy", np.arange(ROWS) % 4)
    np.save(folder / "weights.npy", np.float32([1, 2, 3, 4]))
    return folder


def lossd(folder: Path, *given: str, status: int = 0) -> tuple[str, str]:
    """Output and errors of a command in a folder."""
    done = subprocess.run(
        [sys.executable, "-m", "lossd.cli", *given],
        capture_output=True, text=True, timeout=PATIENCE, cwd=folder, check=False,
    )  # fmt: skip
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout, done.stderr


def test_a_run_as_people_type_it(data: Path, tmp_path: Path) -> None:
    out = str(tmp_path / "run")
    told, progress = lossd(
        data, "score", "cross_entropy", "x.npy", "y.npy", "--out", out, "--weight", "weights.npy",
        "--label-smoothing", "0.1", "--normalizer", "batch", "--ignore-index", "3",
    )  # fmt: skip
    summary = json.loads((tmp_path / "run/summary.json").read_text())
    assert summary["parameters"] == {
        "ignore_index": 3, "label_smoothing": 0.1, "normalizer": "batch",
    }  # fmt: skip
    assert f"{summary['reductions']['mean']:.7g}" in told
    assert "bottleneck: " in told
    assert told.splitlines()[-1] == f"{out}/report.html"
    assert "2,000 rows" in progress
    told, progress = lossd(data, "score", "--resume", "--out", out)
    assert "nothing was left to compute" in told
    assert "going on: 2,000 of 2,000 rows are there" in progress


def test_a_run_as_machines_read_it(data: Path, tmp_path: Path) -> None:
    given = ("score", "cross_entropy", "x.npy", "y.npy", "--out", str(tmp_path / "run"), "--json")
    told, errors = lossd(data, *given, "--shard-rows", "500", "--no-report")
    events: list[dict[str, Any]] = [json.loads(line) for line in told.splitlines()]
    assert errors == ""
    assert [event["event"] for event in events] == ["progress"] * 5 + ["finished"]
    assert [event["rows"] for event in events[:5]] == [0, 500, 1000, 1500, 2000]
    assert events[0]["seconds_left"] is None
    assert events[4]["seconds_left"] == 0
    assert events[5]["counts"]["scored"] == ROWS
    assert events[5]["timing"]["rows"] == ROWS
    told, _ = lossd(data, *given, "--label-smoothing", "0.5", status=2)
    (event,) = map(json.loads, told.splitlines())
    assert (event["event"], event["reason"], event["field"]) == ("error", "UNUSABLE_OUTPUT", "out")
    assert "label_smoothing is 0.5 here and null there" in event["message"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["score", "cross_entropy", "x.npy"], "LOSS, PREDICTIONS and TARGETS are needed"),
        (["score", "--resume", "mse_loss"], "--resume takes what is scored from the folder"),
        (["score", "cross_entropi", "x.npy", "y.npy"], "did you mean 'cross_entropy'"),
        (["score", "cross_entropy", "x.npy", "none.npy"], "none.npy: does not exist"),
        (["score", "cross_entropy", "x.npy", "y.npy::k"], "y.npy"),
        (["score", "cross_entropy", "x.npy", "y.npy", "--smoothing", "1"], "--smoothing"),
        (["score", "mse_loss", "x.npy", "x.npy", "--label-smoothing", "1"], "--label-smoothing"),
        (
            ["score", "cross_entropy", "x.npy", "y.npy", "--label-smoothing", "2"],
            "label_smoothing = 2.0 is outside its range: it must be >= 0 and <= 1",
        ),
        (["score", "cross_entropy", "x.npy", "y.npy", "--workers", "0"], "0 must be 1 or more"),
    ],
)
def test_what_is_wrong_is_said(data: Path, tmp_path: Path, given: list[str], message: str) -> None:
    _, errors = lossd(data, *given, "--out", str(tmp_path / "run"), status=2)
    assert message in errors
    assert "Traceback" not in errors


def test_help_tells_a_losss_parameters(data: Path) -> None:
    told, _ = lossd(data, "score", "huber_loss", "--help")
    assert "parameters of huber_loss" in told
    assert "--delta FLOAT" in told
    told, _ = lossd(data, "score", "--help")
    assert "--delta" not in told


def test_two_runs_are_compared(data: Path, tmp_path: Path) -> None:
    for name in ("x", "better"):
        out = str(tmp_path / name)
        lossd(data, "score", "cross_entropy", f"{name}.npy", "y.npy", "--out", out, "--no-report")
    told, _ = lossd(tmp_path, "compare", "x", "better", "--out", "both")
    assert "B is better: the interval lies below 0" in told
    assert told.splitlines()[-1] == "both/comparison.html"
    found = json.loads(lossd(tmp_path, "compare", "x", "better", "--json")[0])
    assert found == json.loads((tmp_path / "both/comparison.json").read_text())
    assert found["bootstrap"]["high"] < 0
    told, _ = lossd(tmp_path, "compare", "x", "x")
    assert "no difference can be told" in told
    _, errors = lossd(tmp_path, "compare", "x", "nowhere", status=1)
    assert "nowhere has no summary.json" in errors
