"""`lossd score` and `lossd compare` as they are typed."""

import json
import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from lossd_client.errors import ParameterError

from lossd.cli import main
from lossd.scoring import OutputError, SourceError, Threads, compare, resume, score

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


def unread(folder: Path, *given: str) -> tuple[int, str]:
    """Status and errors of a command whose output nobody reads."""
    process = subprocess.Popen(
        [sys.executable, "-m", "lossd.cli", *given],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=folder,
    )  # fmt: skip
    assert process.stdout
    assert process.stderr
    process.stdout.close()
    with process.stderr:
        return process.wait(PATIENCE), process.stderr.read()


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
    assert "label_smoothing is 0.5 here and not given there" in event["message"]


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
    assert "source of input: " in told
    told, _ = lossd(data, "score", "--help")
    assert "--delta" not in told
    told, _ = lossd(data, "score", "gaussian_nll_loss", "--help")
    assert "further tensors of gaussian_nll_loss, which it needs" in told
    assert "--tensor var=SOURCE: Variances" in told


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
    assert "left out" not in told
    _, errors = lossd(tmp_path, "compare", "x", str(data / "x.npy"), status=2)
    assert "x.npy holds no run: name the folder" in errors
    _, errors = lossd(tmp_path, "compare", "x", "nowhere", status=1)
    assert "nowhere has no summary.json" in errors


def test_a_reader_that_has_enough_ends_a_command_quietly(data: Path, tmp_path: Path) -> None:
    given = f"score cross_entropy x.npy y.npy --out {tmp_path}/run --no-report --json"
    assert unread(data, *given.split()) == (1, "")
    lossd(data, "score", "--resume", "--out", f"{tmp_path}/run", "--no-report")
    for flags in (["--json"], []):
        assert unread(tmp_path, "compare", "run", "run", "--resamples", "50", *flags) == (1, "")
    assert unread(tmp_path, "losses") == (1, "")


# --- in this process -----------------------------------------------------------------------------


@pytest.fixture
def current(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with logits, labels and groups, which is the current one."""
    random = np.random.default_rng(0)
    np.save(tmp_path / "x.npy", random.standard_normal((60, 3), np.float32))
    np.save(tmp_path / "y.npy", np.where(np.arange(60) % 4, random.integers(0, 3, 60), -100))
    np.save(tmp_path / "floats.npy", np.zeros(60))
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
        (
            "cross_entropy x.npy y.npy --group-by region --out r",
            "region: does not exist; a column of the predictions' files is named '::region'",
        ),
        ("cross_entropy ::a y.npy --out r", "no file is named: a source is PATH or PATH::KEY"),
        ("cross_entropy x.npy x.npy --out r --workers 0", "--workers: 0 must be 1 or more"),
        ("cross_entropy x.npy y.npy --out r --worst -1", "argument --worst: -1 must be 0 or more"),
        ("cross_entropy x.npy y.npy --out r --tensor weight", "'weight' must be NAME=SOURCE"),
        ("cross_entropy x.npy y.npy --out r --timeout nan", "--timeout: nan must be > 0 seconds"),
        ("cross_entropy x.npy y.npy --out r --timeout -1", "--timeout: -1 must be > 0 seconds"),
        ("mse_loss x.npy y.npy --out r", "input (60, 3) and target (60,) cannot be"),
        ("cross_entropy x.npy --out r", "LOSS, PREDICTIONS and TARGETS are needed"),
        ("--resume cross_entropy x.npy y.npy --out r", "leave LOSS and sources out"),
        ("--resume --out r --gradients --ids y.npy", "leave --ids, --gradients out"),
        ("--resume --out r", "r holds no run to go on with"),
        ("--resume --label-smoothing 0.1 --out r", "from the folder: leave --label-smoothing out"),
        ("--resume --quite --out r", "unknown arguments: --quite; did you mean --quiet?"),
        (
            "cross_entropy x.npy y.npy --out r --label-smothing 0.1",
            "did you mean --label-smoothing? `lossd score cross_entropy --help` tells more",
        ),
        ("cross_entropi x.npy y.npy --out r --label-smoothing 1", "did you mean 'cross_entropy'"),
        ("cross_entropy x.npy y.npy --out=", "--out: no folder is named"),
        (
            "gaussian_nll_loss x.npy x.npy --out r",
            "needs the tensor 'var' too: --tensor var=SOURCE",
        ),
        (
            "gaussian_nll_loss x.npy x.npy --out r --tensor vra=x.npy",
            "gaussian_nll_loss has no tensor 'vra'; it has: input, target, var",
        ),
        (
            "gaussian_nll_loss x.npy x.npy --out r --tensor var=x.npy --tensor var=y.npy",
            "tensor 'var' is given twice",
        ),
        ("mse_loss x.npy x.npy --out r --tensor target=x.npy", "tensor 'target' is given twice"),
        (
            "cross_entropy x.npy floats.npy --out r",
            "target has dtype float64, and labels must be integers: ",
        ),
    ],
)
def test_bad_input_is_status_2(
    given: str, words: str, current: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert failed(*given.split()) == 2
    said = capfd.readouterr().err
    assert words in " ".join(said.split())
    assert len(said.splitlines()) <= 2


def test_errors_as_lines_name_the_argument(
    current: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert failed("cross_entropy", "x.npy", "z.npy", "--out", "r", "--json") == 2
    told = json.loads(capsys.readouterr().out)
    assert (told["event"], told["reason"], told["field"]) == (
        "error", "UNREADABLE_SOURCE", "target"
    )  # fmt: skip


def test_servers_that_are_not_there_are_status_1(
    current: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lossd.scoring.engines.TRIES", 2)
    monkeypatch.setattr("lossd_client.transports._pause", lambda attempt: 0.01)
    given = ("cross_entropy", "x.npy", "y.npy", "--out", "a run", "--quiet")
    assert failed(*given, "--target", "unix:/nobody.sock") == 1
    said = capsys.readouterr().err
    assert said.count("no lossd server answers at unix:/nobody.sock: asked again") == 1
    assert "or leave --target out to compute here" in said
    assert "What is done stays: run it again to go on" in said
    assert said.endswith(
        "`lossd score --resume --out 'a run' --target unix:/nobody.sock` goes on\n"
    )
    assert failed(*given, "--target", "unix:/nobody.sock", "--json") == 1
    events = [json.loads(line)["event"] for line in capsys.readouterr().out.splitlines()]
    assert events == ["progress", "warning", "error"]


@pytest.mark.parametrize("command", ["score", "compare"])
def test_ctrl_c_is_a_line_and_status_130(
    command: str,
    current: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Even where it comes in the middle of an import, which makes another error of it."""

    def pressed(*given: object, **more: object) -> None:
        try:
            os.kill(os.getpid(), signal.SIGINT)
        except KeyboardInterrupt:
            raise AttributeError("a module is half imported") from None

    before = signal.getsignal(signal.SIGINT)
    given = {"score": ["cross_entropy", "x.npy", "y.npy", "--out", "r"], "compare": ["a", "b"]}
    monkeypatch.setattr(f"lossd.scoring.commands.{command}.{command}", pressed)
    with pytest.raises(SystemExit) as ended:
        main([command, *given[command]])
    assert ended.value.code == 130
    assert capsys.readouterr().err == f"lossd {command}: stopped\n"
    assert signal.getsignal(signal.SIGINT) == before


def test_rows_without_a_finite_loss_and_groups_are_told(
    current: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    x = np.load("x.npy")
    x[5] = x[9, 1] = np.nan
    np.save("broken.npy", x)
    for name in ("x", "broken"):
        given = f"cross_entropy {name}.npy y.npy --group-by groups.npy --out run-{name} --no-report"
        main(["score", *given.split()])
    said = capsys.readouterr()
    assert "60 of 60 rows" in said.err
    assert f"{current}/broken.npy, row 5; {current}/broken.npy, row 9\nstd, min, max" in said.out
    lines = [line.split() for line in said.out.splitlines()]
    assert ["group", "rows", "mean", "loss", "accuracy"] in lines
    assert ["group", "rows", "not", "finite", "mean", "loss", "accuracy"] in lines
    assert next(line for line in lines if line[:3] == ["b", "30", "2"])
    main(["compare", "run-x", "run-broken"])
    told = capsys.readouterr().out
    assert "17 of 60 rows left out: 15 have no finite loss in A, 17 in B" in told
    assert f"the first in B: {current}/broken.npy, row 5; {current}/broken.npy, row 9" in told


def test_a_comparison_has_a_folder_of_its_own(
    current: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["score", "cross_entropy", "x.npy", "y.npy", "--out", "run", "--no-report"])
    (current / "other").mkdir()
    (current / "other/notes.txt").write_text("mine")

    def status(*more: str) -> int:
        with pytest.raises(SystemExit) as ended:
            main(["compare", "run", "run", "--resamples", "50", *more])
        assert isinstance(ended.value.code, int)
        return ended.value.code

    for more in ([], ["--overwrite"]):
        assert status("--out", "run", *more) == 2
        assert "run holds a run: take another folder" in capsys.readouterr().err
        assert status("--out", "other", *more) == 2
        assert "other holds other things (notes.txt)" in capsys.readouterr().err
    assert sorted(path.name for path in (current / "run").iterdir()) == [
        ".lock", "losses", "run.json", "summary.json", "timing.json",
    ]  # fmt: skip
    main(["compare", "run", "run", "--resamples", "50", "--out", "both"])
    assert status("--out", "both") == 2
    assert "both holds a comparison: --overwrite begins anew" in capsys.readouterr().err
    main(["compare", "run", "run", "--resamples", "60", "--out", "both", "--overwrite"])
    assert json.loads((current / "both/comparison.json").read_text())["resamples"] == 60
    for flags, words in {
        "--confidence 95": "95 must be > 0 and < 1: 0.95 for 95 %",
        "--worst -1": "-1 must be 0 or more",
        "--out=": "no folder is named",
        "--resamples 10": "resamples = 10 are too few to tell the ends of intervals of 0.95",
        "--confidence 0.9999": "resamples = 50 are too few to tell the ends of intervals of 0.9999",
    }.items():
        assert status(*flags.split()) == 2
        assert words in capsys.readouterr().err


def test_settings_of_python_are_checked_too(current: Path) -> None:
    with pytest.raises(ParameterError, match="shard_rows = -1 must be 0 or more"):
        score("cross_entropy", "x.npy", "y.npy", out="r", shard_rows=-1)
    with pytest.raises(SourceError, match="no file is named"):
        score("cross_entropy", "", "y.npy", out="r")
    with pytest.raises(SourceError, match=r"not ndarray: save arrays first, with np\.save"):
        score("cross_entropy", np.zeros((2, 3)), "y.npy", out="r")  # type: ignore[arg-type]
    with pytest.raises(ParameterError, match="mse_loss: tensor 'input' is given twice"):
        score("mse_loss", "x.npy", "y.npy", tensors={"input": "y.npy"}, out="r")
    for engine in ("threads", Threads):
        with pytest.raises(ParameterError, match=r"is no engine: give Threads\(workers\)"):
            score("cross_entropy", "x.npy", "y.npy", out="r", engine=engine)  # type: ignore[arg-type]
    with pytest.raises(ParameterError, match="workers = 0 must be 1 or more"):
        Threads(workers=0)
    for timeout in (0, -1.0, float("nan")):
        with pytest.raises(ParameterError, match=r"timeout = .* must be more than 0 seconds"):
            Threads(1, ["unix:/x"], timeout)
    with pytest.raises(ParameterError, match="targets = 'unix:/x' must be a list of addresses"):
        Threads(1, "unix:/x")
    for act in (resume, partial(compare, "a", "b"), partial(score, "mse_loss", "x", "y")):
        with pytest.raises(OutputError, match="out = '' names no folder"):
            act(out="")


def test_a_sum_beyond_the_losses_type_is_infinite(current: Path) -> None:
    np.save("large.npy", np.full(5, 3e38, np.float32))
    np.save("zeros.npy", np.zeros(5, np.float32))
    result = score("l1_loss", "large.npy", "zeros.npy", out="r", report=False)  # no warning
    assert result.summary["reductions"] == {"mean": result.loss, "sum": "Infinity"}
    assert result.loss == np.float32(3e38)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"shard_rows": "3"}, "shard_rows = '3' must be a whole number"),
        ({"shard_rows": 1.5}, "shard_rows = 1.5 must be a whole number"),
        ({"worst": 1.5}, "worst = 1.5 must be a whole number"),
        ({"worst": -1}, "worst = -1 must be 0 or more"),
        ({"gradients": 1}, "gradients = 1 must be True or False"),
        ({"parameters": None}, "parameters = None must be a mapping by name"),
        ({"tensors": ["x.npy"]}, r"tensors = \['x.npy'\] must be a mapping by name"),
    ],
)
def test_arguments_of_other_types_are_refused(
    current: Path, given: dict[str, Any], words: str
) -> None:
    with pytest.raises(ParameterError, match=words) as raised:
        score("cross_entropy", "x.npy", "y.npy", out="r", **given)
    assert raised.value.field == next(iter(given))
    assert not (current / "r").exists()


def test_numbers_of_numpy_are_numbers(current: Path) -> None:
    given: dict[str, Any] = {"shard_rows": np.int64(30), "worst": np.int8(2)}
    given |= {"gradients": np.bool(True)}
    made = score("cross_entropy", "x.npy", "y.npy", out="r", report=False, **given)
    assert (len(made.summary["parts"]), len(made.summary["worst"])) == (2, 2)
    assert resume("r", report=False).timing["rows"] == 0


def test_results_stay_where_they_are(current: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = score("cross_entropy", "x.npy", "y.npy", out="r", report=False)
    monkeypatch.chdir("/")
    assert made.losses().count_rows() == 60


def test_a_folder_whose_name_is_not_utf_8(
    current: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    np.save("p.npy", np.arange(5.0))
    np.save("q.npy", np.zeros(5))
    out = os.fsdecode(b"o\xff")
    main(["score", "l1_loss", "p.npy", "q.npy", "--out", out])
    assert capsys.readouterr().out.splitlines()[-1] == "o\N{REPLACEMENT CHARACTER}/report.html"
    main(["compare", out, out, "--resamples", "50", "--out", f"{out}c"])
    assert (current / f"{out}c/comparison.html").exists()


def test_representations_are_short(current: Path) -> None:
    result = score("cross_entropy", "x.npy", "y.npy", out="r", report=False)
    assert repr(result) == f"Result(folder='{current}/r', loss={result.loss!r}, rows=60)"
    assert len(repr(compare("r", "r", resamples=50))) < 400


def test_groups_count_what_is_scored(current: Path) -> None:
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
