"""Runs that were stopped: killed at random moments, interrupted, refused, begun anew."""

import contextlib
import errno
import json
import os
import random
import signal
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lossd.scoring import (
    InterruptedRunError,
    OutputError,
    Progress,
    ScoringError,
    SourceError,
    resume,
    score,
)  # fmt: skip
from lossd.scoring.disk import replacing
from lossd.scoring.folder import Folder
from lossd.scoring.inputs import Inputs
from lossd.scoring.task import Task

pytestmark = pytest.mark.thorough

ROWS, SHARD = 60_000, 500
PATIENCE = 120.0


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    numbers = np.random.default_rng(0)
    np.save(folder / "x.npy", numbers.standard_normal((ROWS, 10), np.float32))
    np.save(folder / "y.npy", numbers.integers(0, 10, ROWS))
    return folder


@pytest.fixture(scope="module")
def undisturbed(data: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    out = tmp_path_factory.mktemp("undisturbed") / "run"
    score("cross_entropy", *files(data), out=out, shard_rows=SHARD, gradients=True, report=False)
    return everything(out)


def files(folder: Path) -> tuple[Path, Path]:
    return folder / "x.npy", folder / "y.npy"


def everything(out: Path) -> dict[str, bytes]:
    """The bytes of all that a run keeps, but for its times."""
    return {
        str(path.relative_to(out)): path.read_bytes()
        for path in sorted(out.rglob("*"))
        if path.is_file() and path.name not in ("timing.json", ".lock")
    }


def assert_same(found: dict[str, bytes], expected: dict[str, bytes]) -> None:
    """The same files of the same content; what is not is named, not printed."""
    assert found.keys() == expected.keys()
    assert [name for name in found if found[name] != expected[name]] == []


def command(data: Path, out: Path, *flags: str) -> list[str]:
    x, y = map(str, files(data))
    given = [x, y, "--out", str(out), "--shard-rows", str(SHARD), "--gradients", "--no-report"]
    return [sys.executable, "-m", "lossd.cli", "score", "cross_entropy", *given, *flags]


def parts(out: Path) -> int:
    return len(list(out.glob("losses/part-*.parquet")))


def started(given: list[str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        given, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )


def await_parts(process: subprocess.Popen[str], out: Path, count: int) -> None:
    deadline = time.monotonic() + PATIENCE
    while parts(out) < count and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.002)


def killed_again_and_again(data: Path, out: Path, kills: int, seed: int) -> int:
    """Kill runs until one ends; how often it took."""
    chance = random.Random(seed)
    done = 0
    while done < kills:
        before = parts(out)
        process = started(command(data, out))
        await_parts(process, out, before + chance.randint(0, 3))
        time.sleep(chance.random() * 0.02)
        process.kill()
        process.communicate(timeout=PATIENCE)
        done += 1
        if process.returncode == 0:
            break
    return done


def finished(data: Path, out: Path) -> dict[str, bytes]:
    process = started(command(data, out, "--quiet"))
    told, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, told + errors
    return everything(out)


def test_kills_leave_no_trace(data: Path, undisturbed: dict[str, bytes], tmp_path: Path) -> None:
    killed_again_and_again(data, tmp_path / "run", kills=5, seed=1)
    assert 0 < parts(tmp_path / "run") < ROWS // SHARD
    assert_same(finished(data, tmp_path / "run"), undisturbed)


@pytest.mark.slow
def test_a_hundred_kills_leave_no_trace(
    data: Path, undisturbed: dict[str, bytes], tmp_path: Path
) -> None:
    kills = 0
    for seed in range(100):
        kills += killed_again_and_again(data, tmp_path / f"{seed}", kills=10, seed=seed)
        assert_same(finished(data, tmp_path / f"{seed}"), undisturbed)
        if kills >= 100:
            break
    assert kills >= 100


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_runs_say_how_to_go_on(
    data: Path, undisturbed: dict[str, bytes], tmp_path: Path, number: signal.Signals
) -> None:
    out = tmp_path / "run"
    process = started(command(data, out))
    await_parts(process, out, 5)
    process.send_signal(number)
    _, told = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130, told
    assert "of 60,000 rows are done" in told
    assert f"`lossd score --resume --out {out} --no-report` goes on" in told
    assert not list(out.rglob("*.tmp"))
    resume(out, report=False)
    assert_same(everything(out), undisturbed)


class StoppedError(Exception):
    """Raised by a watcher."""


def stopping_after(shards: int) -> Any:
    def watch(progress: Progress) -> None:
        if progress.rows - progress.resumed >= shards * SHARD:
            raise StoppedError

    return watch


def begun(data: Path, out: Path, **how: Any) -> None:
    with pytest.raises(StoppedError):
        score(
            "cross_entropy", *files(data), out=out, shard_rows=SHARD, gradients=True,
            watch=stopping_after(20), report=False, **how,
        )  # fmt: skip


def test_what_is_done_is_not_done_again(
    data: Path, undisturbed: dict[str, bytes], tmp_path: Path
) -> None:
    out = tmp_path / "run"
    begun(data, out)
    times = {path.name: path.stat().st_mtime_ns for path in out.glob("losses/*.parquet")}
    told: list[Progress] = []
    result = resume(out, report=False, watch=told.append)
    assert told[0].resumed == told[0].rows == len(times) * SHARD
    assert result.timing["rows"] == ROWS - len(times) * SHARD
    for name, changed in times.items():
        assert (out / "losses" / name).stat().st_mtime_ns == changed
    assert_same(everything(out), undisturbed)


@pytest.mark.parametrize("how", ["cut", "flipped", "foreign", "renamed"])
def test_damaged_parts_are_computed_again(
    data: Path, undisturbed: dict[str, bytes], tmp_path: Path, how: str
) -> None:
    out = tmp_path / "run"
    begun(data, out)
    damaged, other = sorted(out.glob("losses/part-*.parquet"))[:2]
    content = bytearray(damaged.read_bytes())
    if how == "cut":
        damaged.write_bytes(content[: len(content) // 2])
    elif how == "flipped":
        content[100] ^= 1
        damaged.write_bytes(content)
    elif how == "foreign":
        elsewhere = tmp_path / "other"
        score("cross_entropy", *files(data), out=elsewhere, shard_rows=SHARD, report=False,
              parameters={"label_smoothing": 0.5})  # fmt: skip
        damaged.write_bytes((elsewhere / "losses" / damaged.name).read_bytes())
    else:
        damaged.write_bytes(other.read_bytes())
    resume(out, report=False)
    assert_same(everything(out), undisturbed)


def test_every_bit_of_a_part_counts(tmp_path: Path) -> None:
    """Those of its sums too, and of whatever else tells how it is to be read."""
    np.save(tmp_path / "x.npy", np.arange(40.0))
    np.save(tmp_path / "y.npy", np.zeros(40))
    score("l1_loss", *files(tmp_path), out=tmp_path / "run", report=False)
    task = Task.from_json(json.loads((tmp_path / "run/run.json").read_text())["task"])
    with closing(Inputs(task)) as inputs, Folder.held(tmp_path / "run") as folder:
        folder.begin(inputs)
        (shard,) = inputs.shards
        path = folder.part_path(0)
        content = path.read_bytes()
        part = folder.read_part(shard)
        assert part
        assert float(part.total) == sum(range(40))
        for place in range(0, len(content), 7):
            damaged = bytearray(content)
            damaged[place] ^= 1 << place % 8
            path.write_bytes(damaged)
            assert folder.read_part(shard) is None, place
        path.write_bytes(content[:-1])
        assert folder.read_part(shard) is None


@pytest.mark.parametrize("how", ["gone", "cut", "long", "flipped", "of a foreign header"])
@pytest.mark.parametrize("whole", [False, True])
def test_damaged_gradients_are_computed_again(
    data: Path, undisturbed: dict[str, bytes], tmp_path: Path, how: str, *, whole: bool
) -> None:
    """Those that are damaged, and no others."""
    out = tmp_path / "run"
    begun(data, out)
    if whole:
        resume(out, report=False)
    done = {int(path.stem[5:]) for path in out.glob("losses/part-*.parquet")}
    path = out / "gradients.npy"
    content = bytearray(path.read_bytes())
    cut = len(content) - (ROWS - 5 * SHARD) * 40
    lost = set[int]()
    if how == "gone":
        path.unlink()
        lost = done
    elif how == "cut":
        path.write_bytes(content[:cut])
        lost = done - set(range(5))
    elif how == "long":
        path.write_bytes(content + b"more")
    else:
        content[cut if how == "flipped" else 20] ^= 1
        path.write_bytes(content)
        lost = {5} if how == "flipped" else lost
    told: list[Progress] = []
    resume(out, report=False, watch=told.append)
    assert told[0].resumed == len(done - lost) * SHARD
    assert_same(everything(out), undisturbed)


def test_another_run_is_not_touched(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "a run"
    score("cross_entropy", *files(data), out=out, report=False)
    before = everything(out)
    with pytest.raises(
        OutputError,
        match=r"holds another run: label_smoothing is 0\.1 here and not given there\. "
        r"`lossd score --resume --out '.*/a run'` goes on with that one, --overwrite begins",
    ):
        score("cross_entropy", *files(data), out=out, parameters={"label_smoothing": 0.1})
    assert_same(everything(out), before)
    result = score(
        "cross_entropy", *files(data), out=out, parameters={"label_smoothing": 0.1},
        overwrite=True, report=False,
    )  # fmt: skip
    assert result.summary["parameters"] == {"label_smoothing": 0.1}


def test_overwriting_removes_only_what_a_run_wrote(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    score("cross_entropy", *files(data), out=out, shard_rows=SHARD)
    (out / "notes.txt").write_text("mine")
    score("cross_entropy", *files(data), out=out, report=False, overwrite=True)
    assert (out / "notes.txt").read_text() == "mine"
    assert parts(out) == 1
    assert not (out / "report.html").exists()


def half_written(path: Path) -> Path:
    """What is left of a file whose writer was killed."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Path, "unlink", lambda path, missing_ok: None)
        with contextlib.suppress(StoppedError), replacing(path) as file:
            file.write(b"{")
            raise StoppedError
    (left,) = path.parent.glob(f"{path.name}.*")
    return left


@pytest.mark.parametrize("left", ["losses", "run.json"])
def test_a_run_that_was_killed_as_it_began(data: Path, tmp_path: Path, left: str) -> None:
    out = tmp_path / "run"
    out.mkdir()
    (out / left).mkdir() if left == "losses" else half_written(out / left)
    score("cross_entropy", *files(data), out=out, report=False)
    assert sorted(path.name for path in out.iterdir()) == [
        ".lock", "losses", "run.json", "summary.json", "timing.json",
    ]  # fmt: skip


def test_the_manifest_is_made_first(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever is killed right after it goes on, and so does who is killed while it is replaced."""
    out, make = tmp_path / "run", Path.mkdir

    def killed(path: Path, *given: Any, **how: Any) -> None:
        if path.name == "losses":
            raise StoppedError
        make(path, *given, **how)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "mkdir", killed)
        with pytest.raises(StoppedError):
            score("cross_entropy", *files(data), out=out, report=False)
    assert resume(out, report=False).summary["rows"] == ROWS

    def removed(path: Path, *given: Any, **how: Any) -> None:
        path.rename(tmp_path / path.name)
        raise StoppedError

    with monkeypatch.context() as patched:
        patched.setattr(Path, "unlink", removed)
        with pytest.raises(StoppedError):
            score("cross_entropy", *files(data), out=out, report=False, overwrite=True)
    assert resume(out, report=False).summary["rows"] == ROWS


def test_files_of_others_stay(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    score("cross_entropy", *files(data), out=out, shard_rows=SHARD)
    mine = [
        out / name
        for name in ("notes.tmp", "deep/er/draft.tmp", "charts/mine.png", "losses/part-a.parquet")
    ]
    for path in mine:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("mine")
    killed = [half_written(out / name) for name in ("run.json", "losses/part-000003.parquet")]
    resume(out, report=False)
    assert not any(path.exists() for path in killed)
    score("cross_entropy", *files(data), out=out, report=False, overwrite=True)
    assert [path.read_text() for path in mine] == ["mine"] * len(mine)
    assert sorted(path.name for path in (out / "charts").iterdir()) == ["mine.png"]


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_folder_of_other_things_is_refused(
    data: Path, tmp_path: Path, *, overwrite: bool
) -> None:
    (tmp_path / "thesis.tex").write_text("important")
    with pytest.raises(OutputError, match=r"holds other things \(thesis\.tex\)"):
        score("cross_entropy", *files(data), out=tmp_path, overwrite=overwrite)
    assert (tmp_path / "thesis.tex").read_text() == "important"


def test_a_file_that_changed_is_noticed(data: Path, tmp_path: Path) -> None:
    x, y = np.load(data / "x.npy")[:5000], np.load(data / "y.npy")[:5000]
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "y.npy", y)
    out = tmp_path / "run"
    score("cross_entropy", *files(tmp_path), out=out, report=False)
    x[77] += 1
    np.save(tmp_path / "x.npy", x)
    with pytest.raises(OutputError, match=r"input has changed .* began: .*x\.npy \(.*--overwrite"):
        score("cross_entropy", *files(tmp_path), out=out)
    np.save(tmp_path / "x.npy", x[:4000])
    np.save(tmp_path / "y.npy", y[:4000])
    with pytest.raises(OutputError, match=r"rows was 5000, is 4000"):
        resume(out)


def test_a_file_that_changes_meanwhile_is_noticed(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.zeros((5000, 4), np.float32))
    np.save(tmp_path / "y.npy", np.zeros(5000, np.int64))

    def change(progress: Progress) -> None:
        with (tmp_path / "x.npy").open("r+b") as file:
            file.seek(-1, os.SEEK_END)
            file.write(b"\x01")

    with pytest.raises(ScoringError, match="has changed while it was scored"):
        score("cross_entropy", *files(tmp_path), out=tmp_path / "run", watch=change)
    assert not (tmp_path / "run/summary.json").exists()


def test_a_glob_does_not_find_what_runs_write(tmp_path: Path) -> None:
    """Neither this run's nor others', unless the pattern names their folder."""
    table = pa.table({"input": np.arange(5.0), "target": np.zeros(5)})
    (tmp_path / "deep").mkdir()
    for name in ("a", "deep/b"):
        pq.write_table(table, tmp_path / f"{name}.parquet")
    source, out = f"{tmp_path}/**/*.parquet::input", tmp_path / "run"
    for overwrite in (False, False, True):
        made = score("l1_loss", source, "::target", out=out, overwrite=overwrite, report=False)
        assert made.summary["rows"] == 10
    assert score("l1_loss", source, "::target", out=tmp_path / "b", report=False).loss == made.loss
    named = f"{out}/losses/*.parquet::loss"
    assert score("l1_loss", named, "::target", out=tmp_path / "c", report=False).loss == made.loss
    with pytest.raises(SourceError, match=r"no file matches \(folders of runs are left out"):
        score("l1_loss", f"{tmp_path}/*/losses/*.parquet::loss", "::target", out=tmp_path / "d")


def test_one_run_at_a_time(data: Path, tmp_path: Path) -> None:
    with Folder.held(tmp_path), pytest.raises(OutputError, match="is in use by another run"):
        score("cross_entropy", *files(data), out=tmp_path)


def test_nothing_to_go_on_with(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="holds no run to go on with"):
        resume(tmp_path)


def test_a_damaged_manifest(data: Path, tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text('{"format": 1, "ta')
    with pytest.raises(OutputError, match=r"run\.json cannot be read.*--overwrite begins anew"):
        score("cross_entropy", *files(data), out=tmp_path)
    score("cross_entropy", *files(data), out=tmp_path, overwrite=True, report=False)
    manifest = json.loads((tmp_path / "run.json").read_text())
    for key in ("task", "inputs"):
        less = {k: v for k, v in manifest.items() if k != key}
        (tmp_path / "run.json").write_text(json.dumps(less))
        for again in (resume, lambda out: score("cross_entropy", *files(data), out=out)):
            with pytest.raises(OutputError, match=f"has no '{key}': .*--overwrite begins anew"):
                again(tmp_path)


def test_a_run_of_another_version(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    score("cross_entropy", *files(data), out=out, report=False)
    manifest = json.loads((out / "run.json").read_text())
    task = manifest["task"] | {"of_that_version": 1}
    (out / "run.json").write_text(json.dumps(manifest | {"lossd": "0.0.1", "task": task}))
    for again in (resume, lambda out: score("cross_entropy", *files(data), out=out)):
        with pytest.raises(OutputError, match=r"holds a run of lossd 0\.0\.1, this is"):
            again(out)


# --- what file systems refuse ---------------------------------------------------------------------


def test_a_full_disk_and_then_room(
    data: Path, undisturbed: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    renamed, left = os.replace, [30]

    def replace(one: str, other: str) -> None:  # there is no disk to be filled without rights
        left[0] -= 1
        if left[0] < 0:
            raise OSError(errno.ENOSPC, "No space left on device", "losses")
        renamed(one, other)

    out = tmp_path / "run"
    monkeypatch.setattr(os, "replace", replace)
    with pytest.raises(OutputError, match="the disk is full; what is done stays: make room"):
        score(
            "cross_entropy", *files(data), out=out, shard_rows=SHARD, gradients=True, report=False
        )
    assert 0 < parts(out) < ROWS // SHARD
    assert not list(out.rglob("*.tmp"))
    left[0] = 1 << 30
    resume(out, report=False)
    assert_same(everything(out), undisturbed)


def test_a_file_in_the_folders_place(data: Path, tmp_path: Path) -> None:
    (tmp_path / "run").write_text("")
    with pytest.raises(OutputError, match="it is not a folder"):
        score("cross_entropy", *files(data), out=tmp_path / "run")


def test_no_permission(data: Path, tmp_path: Path) -> None:
    """In a process of a user without rights, as tests may run as root."""
    (tmp_path / "locked").mkdir(mode=0o555)
    script = f"""
import os
from lossd.scoring import OutputError
from lossd.scoring.folder import Folder
from lossd.scoring.inputs import Inputs
from lossd.scoring.task import Task
from pathlib import Path
if os.getuid() == 0:
    os.setuid(65534)
try:
    with Folder.held(Path({str(tmp_path / "locked/run")!r})):
        pass
except OutputError as error:
    print(error)
"""
    for folder in [tmp_path, *tmp_path.parents][:3]:
        folder.chmod(0o755)
    told = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True
    )
    assert "no permission to write there" in told.stdout, told.stderr


def test_stopped_errors_are_errors_of_runs() -> None:
    assert issubclass(InterruptedRunError, ScoringError)
