"""`lossd score`'s command line: exit statuses, and words that help."""

import json
from pathlib import Path

import numpy as np
import pytest
from lossd_client.errors import ParameterError

from lossd.cli import main
from lossd.scoring import SourceError, score


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with logits, labels and groups, which is the current one."""
    random = np.random.default_rng(0)
    np.save(tmp_path / "x.npy", random.standard_normal((60, 3), np.float32))
    np.save(tmp_path / "y.npy", np.where(np.arange(60) % 4, random.integers(0, 3, 60), -100))
    np.save(tmp_path / "groups.npy", np.array(["a", "b"])[np.arange(60) % 2])
    monkeypatch.chdir(tmp_path)
    return tmp_path


def failed(*given: str) -> int | str | None:
    """The exit status of a command that fails."""
    with pytest.raises(SystemExit) as ended:
        main(["score", *given])
    return ended.value.code


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("cross_entropy z.npy y.npy --out r", "z.npy: does not exist; there is"),
        ("cross_entropy x.npy y.npy --ids z.npy --out r", "z.npy: does not exist"),
        ("cross_entropy ::a y.npy --out r", "no file is named: a source is PATH or PATH::KEY"),
        ("cross_entropy x.npy x.npy --out r --workers 0", "--workers: 0 must be 1 or more"),
        ("cross_entropy x.npy y.npy --out r --worst -1", "worst = -1 must be 0 or more"),
        ("cross_entropy x.npy y.npy --out r --tensor weight", "'weight' must be NAME=SOURCE"),
        ("mse_loss x.npy y.npy --out r", "input (60, 3) and target (60,) cannot be"),
        ("cross_entropy x.npy --out r", "LOSS, PREDICTIONS and TARGETS are needed"),
        ("--resume cross_entropy x.npy y.npy --out r", "leave LOSS and sources out"),
        ("--resume --out r --gradients --ids y.npy", "leave --ids, --gradients out"),
        ("--resume --out r", "r holds no run to go on with"),
    ],
)
def test_bad_input_is_status_2(
    given: str, words: str, data: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert failed(*given.split()) == 2
    assert words in " ".join(capfd.readouterr().err.split())


def test_errors_as_lines_name_the_argument(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert failed("cross_entropy", "x.npy", "z.npy", "--out", "r", "--json") == 2
    told = json.loads(capsys.readouterr().out)
    assert (told["event"], told["reason"], told["field"]) == (
        "error", "UNREADABLE_SOURCE", "target"
    )  # fmt: skip


def test_servers_that_are_not_there_are_status_1(
    data: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lossd.scoring.engines.TRIES", 1)
    given = ("cross_entropy", "x.npy", "y.npy", "--out", "r", "--quiet")
    assert failed(*given, "--target", "unix:/nobody.sock") == 1
    assert "What is done stays: run it again to go on" in capsys.readouterr().err


def test_settings_of_python_are_checked_too(data: Path) -> None:
    with pytest.raises(ParameterError, match="shard_rows = -1 must be 0 or more"):
        score("cross_entropy", "x.npy", "y.npy", out="r", shard_rows=-1)
    with pytest.raises(SourceError, match="no file is named"):
        score("cross_entropy", "", "y.npy", out="r")


def test_groups_count_what_is_scored(data: Path) -> None:
    """A quarter of the labels, all of them of group a, is ignored: no mistakes of the group."""
    summary = score(
        "cross_entropy", "x.npy", "y.npy", group_by="groups.npy", out="r", report=False
    ).summary
    y = np.load("y.npy")
    right = np.load("x.npy").argmax(1) == y
    for entry, kept in zip(summary["groups"], (slice(0, 60, 2), slice(1, 60, 2)), strict=True):
        scored = y[kept] != -100
        assert entry["count"] == scored.sum()
        assert entry["accuracy"] == pytest.approx(right[kept][scored].mean())
