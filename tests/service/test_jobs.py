"""Scoring jobs of a server: from submission to results, restarts, and what is refused."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from lossd_client.errors import LossdError, ParameterError, UnavailableError, UnknownLossError
from lossd_client.jobs import ScoringJob, ScoringJobs

from lossd.cli import main
from lossd.scoring import score
from lossd.scoring.task import Task
from lossd.server.jobs import Jobs
from lossd.server.runner import Runner
from tests.scoring.test_resume import everything
from tests.service.servers import PATIENCE, Server, environment, eventually, running

pytestmark = pytest.mark.thorough

ROWS, SHARD = 30_000, 300
COMMAND = [sys.executable, "-m", "lossd.cli", "jobs"]
MARK = ".lossd-job.json"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a server reads, beside something that it must not read."""
    folder = tmp_path_factory.mktemp("jobs")
    root = folder / "root"
    root.mkdir()
    numbers = np.random.default_rng(0)
    x, y = numbers.standard_normal((ROWS, 10), np.float32), numbers.integers(0, 10, ROWS)
    np.save(root / "x.npy", x)
    np.save(root / "y.npy", y)
    np.save(root / "wrong.npy", np.full(ROWS, 10))
    np.save(folder / "secret.npy", x)
    (root / "link.npy").symlink_to(folder / "secret.npy")
    (root / "shards").mkdir()
    (root / "shards/a.npy").symlink_to(folder / "secret.npy")
    # hours of work for a server that is to be stopped: holes cost nothing on disk
    shape = (20_000_000, 500)
    with (root / "large.npy").open("wb") as file:
        header = {"descr": "<f4", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_2_0(file, header)
        file.truncate(file.tell() + shape[0] * shape[1] * 4)
    np.save(root / "zeros.npy", np.zeros(shape[0], np.int64))
    return root


@pytest.fixture(scope="module")
def here(data: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    out = tmp_path_factory.mktemp("here")
    score(
        "cross_entropy", data / "x.npy", data / "y.npy", out=out, shard_rows=SHARD,
        parameters={"label_smoothing": 0.1}, gradients=True,
    )  # fmt: skip
    return everything(out)


def flags(data: Path, folder: Path) -> list[str]:
    return ["--scoring-roots", str(data), "--scoring-dir", str(folder / "jobs")]


@pytest.fixture
def server(data: Path, tmp_path: Path) -> Iterator[Server]:
    with running(*flags(data, tmp_path)) as server:
        yield server


@pytest.fixture
def jobs(server: Server) -> Iterator[ScoringJobs]:
    with ScoringJobs(server.addresses()[0]) as jobs:
        yield jobs


def submitted(jobs: ScoringJobs, name: str = "", **how: object) -> ScoringJob:
    given: dict[str, object] = {"parameters": {"label_smoothing": 0.1}, "gradients": True}
    given |= {"shard_rows": SHARD, "name": name} | how
    return jobs.submit("cross_entropy", "x.npy", "y.npy", **given)  # type: ignore[arg-type]


def long_job(jobs: ScoringJobs, name: str) -> ScoringJob:
    return jobs.submit("cross_entropy", "large.npy", "zeros.npy", name=name)


def begun(jobs: ScoringJobs, name: str) -> None:
    """Wait until some rows of a job are done."""
    eventually(lambda: jobs.get(name).rows_done > 0)


def process_of_job(server: int) -> int:
    """The process of the one job that a server's has computed."""
    threads = Path(f"/proc/{server}/task").iterdir()
    children = " ".join((thread / "children").read_text() for thread in threads).split()
    (child,) = (
        int(pid)
        for pid in children
        if b"lossd.scoring.job" in Path(f"/proc/{pid}/cmdline").read_bytes()
    )
    return child


def test_a_job_gives_what_a_run_gives(
    jobs: ScoringJobs, here: dict[str, bytes], tmp_path: Path
) -> None:
    job = submitted(jobs)
    assert job.state in ("QUEUED", "RUNNING")
    states = list(jobs.watch(job.name))
    assert states[-1].state == "SUCCEEDED", states[-1].error
    assert states[-1].rows_done == states[-1].rows == ROWS
    assert [state.rows_done for state in states] == sorted(state.rows_done for state in states)
    assert next(iter(states[-1].files)) == "summary.json"
    jobs.fetch(job.name, tmp_path / "out")
    found = everything(tmp_path / "out")
    assert found.keys() == here.keys() | {MARK}
    for name, content in here.items():
        if name != "report.html":  # it tells times
            assert found[name] == content, name
    assert [told.name for told in jobs.all()] == [job.name]
    jobs.delete(job.name)
    assert jobs.all() == []


def fetched(folder: Path) -> dict[str, bytes]:
    return {name: content for name, content in everything(folder).items() if name != MARK}


def test_what_was_fetched_is_not_fetched_again(jobs: ScoringJobs, tmp_path: Path) -> None:
    job, out = jobs.wait(submitted(jobs).name), tmp_path / "out"
    jobs.fetch(job.name, out)
    whole = fetched(out)
    kept = (out / "run.json").stat().st_mtime_ns
    gradients, part = out / "gradients.npy", out / "gradients.npy.part"
    content = gradients.read_bytes()
    gradients.unlink()
    part.write_bytes(b"?" * 1000 + content[1000:2000])  # what is there is left as it is
    asked: list[tuple[str, int]] = []

    def read(name: str, file: str, *, offset: int = 0) -> Iterator[bytes]:
        asked.append((file, offset))
        return ScoringJobs.read(jobs, name, file, offset=offset)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jobs, "read", read)
        jobs.fetch(job.name, out)
    assert asked == [("gradients.npy", 2000)]
    assert fetched(out) == whole | {"gradients.npy": b"?" * 1000 + content[1000:]}
    assert (out / "run.json").stat().st_mtime_ns == kept
    gradients.unlink()
    part.write_bytes(content + b"more")
    jobs.fetch(job.name, out)
    assert fetched(out) == whole


def test_files_of_two_jobs_are_not_mixed(jobs: ScoringJobs, tmp_path: Path) -> None:
    """Neither those of another name, nor those of another job that has the name now."""
    submitted(jobs, "one", parameters={})
    submitted(jobs, "other", gradients=False, shard_rows=ROWS)
    for name in ("one", "other"):
        assert jobs.wait(name).state == "SUCCEEDED"
        jobs.fetch(name, tmp_path / name)
        jobs.fetch(name, tmp_path / "same")
        assert fetched(tmp_path / "same") == fetched(tmp_path / name)
    (tmp_path / "same/losses/part-000000.parquet").replace(tmp_path / "same/summary.json.part")
    jobs.delete("one")
    submitted(jobs, "one", parameters={"label_smoothing": 0.2})
    jobs.wait("one")
    for folder in ("one", "same"):
        jobs.fetch("one", tmp_path / folder)
    assert fetched(tmp_path / "same") == fetched(tmp_path / "one")
    for name, content in fetched(tmp_path / "one").items():
        assert content == b"".join(jobs.read("one", name)), name


def test_a_folder_with_files_of_ones_own_is_left_alone(jobs: ScoringJobs, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "summary.json").write_text("mine")
    job = jobs.wait(submitted(jobs).name)
    with pytest.raises(LossdError, match=r"has a summary\.json that was not fetched: take another"):
        jobs.fetch(job.name, out)
    assert everything(out) == {"summary.json": b"mine"}
    (out / MARK).write_text("[1")
    with pytest.raises(LossdError, match="is damaged: take another folder"):
        jobs.fetch(job.name, out)


def test_a_job_that_is_replaced_while_it_is_fetched(jobs: ScoringJobs, tmp_path: Path) -> None:
    submitted(jobs, "mine", gradients=False)
    jobs.wait("mine")

    def read(name: str, file: str, *, offset: int = 0) -> Iterator[bytes]:
        if file == "run.json":  # the last one
            jobs.delete(name)
            submitted(jobs, name, gradients=False)
            jobs.wait(name)
        return ScoringJobs.read(jobs, name, file, offset=offset)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jobs, "read", read)
        with pytest.raises(LossdError, match="'mine' is another one than when it began"):
            jobs.fetch("mine", tmp_path / "out")
    jobs.fetch("mine", tmp_path / "out")
    for name, content in fetched(tmp_path / "out").items():
        assert content == b"".join(jobs.read("mine", name)), name


def test_a_name_is_taken_once(jobs: ScoringJobs) -> None:
    one = submitted(jobs, "nightly")
    assert submitted(jobs, "nightly").created == one.created
    with pytest.raises(LossdError, match="there is a job 'nightly' that asks for something else"):
        submitted(jobs, "nightly", gradients=False)


def test_a_name_is_not_answered_with_what_other_files_gave(
    jobs: ScoringJobs, data: Path, tmp_path: Path
) -> None:
    """A job that is done is not what a file asks for that has changed since."""
    y = data / "changing.npy"
    np.save(y, np.load(data / "y.npy"))
    files = str(data / "x.npy"), str(y)
    one = jobs.submit("cross_entropy", *files, name="changing")
    jobs.wait("changing")
    assert jobs.submit("cross_entropy", *files, name="changing").created == one.created
    np.save(y, np.roll(np.load(y), 1))
    with pytest.raises(LossdError, match=r"'changing' is done, and .*changing\.npy has changed"):
        jobs.submit("cross_entropy", *files, name="changing")
    y.unlink()
    with pytest.raises(LossdError, match="has changed since: delete the job"):
        jobs.submit("cross_entropy", *files, name="changing")


def test_a_name_is_free_once_its_job_is_deleted(server: Server, jobs: ScoringJobs) -> None:
    """Even while the process of the job that had it is still ending."""
    for turn in range(3):
        smoothing = {"label_smoothing": turn / 10}
        submitted(jobs, "again", parameters=smoothing, gradients=False, shard_rows=ROWS)
        while (told := jobs.get("again")).state in ("QUEUED", "RUNNING"):
            time.sleep(0.001)
        assert told.state == "SUCCEEDED", told.error
        jobs.delete("again")
        assert jobs.all() == []
    assert " error " not in server.text


def test_jobs_outlive_servers(data: Path, here: dict[str, bytes], tmp_path: Path) -> None:
    """Killed, then ended, then left alone: the job goes on each time."""
    for end in (Server.kill, Server.stop):
        with running(*flags(data, tmp_path)) as server:
            with ScoringJobs(server.addresses()[0]) as jobs:
                long_job(jobs, "long")
                begun(jobs, "long")
                submitted(jobs, "short")
                done = jobs.get("long").rows_done
            end(server)
    with running(*flags(data, tmp_path)) as server, ScoringJobs(server.addresses()[0]) as jobs:
        eventually(lambda: jobs.get("long").rows_done > done)
        jobs.cancel("long")
        assert jobs.wait("long").state == "CANCELLED"
        assert jobs.wait("short").state == "SUCCEEDED"
        jobs.fetch("short", tmp_path / "out")
    assert everything(tmp_path / "out")["summary.json"] == here["summary.json"]


def test_a_job_is_cancelled_while_it_runs_and_while_it_waits(jobs: ScoringJobs) -> None:
    long_job(jobs, "one")
    begun(jobs, "one")
    submitted(jobs, "two")
    assert jobs.get("two").state == "QUEUED"
    with pytest.raises(LossdError, match=r"job 'one' is RUNNING: cancel it first"):
        jobs.delete("one")
    jobs.cancel("two")
    assert jobs.wait("two").state == "CANCELLED"
    jobs.cancel("one")
    start = time.monotonic()
    assert jobs.wait("one").state == "CANCELLED"
    assert time.monotonic() - start < PATIENCE / 2
    with pytest.raises(LossdError, match="job 'one' is CANCELLED: it has no results"):
        jobs.fetch("one", "nowhere")
    jobs.delete("one")
    jobs.cancel("two")  # nothing to do


def test_a_job_that_fails_says_why(jobs: ScoringJobs) -> None:
    job = jobs.wait(jobs.submit("cross_entropy", "x.npy", "wrong.npy").name)
    assert job.state == "FAILED"
    assert job.reason == "LABEL_OUT_OF_RANGE"
    assert "target[0] = 10 is outside [0, 10)" in job.error
    assert jobs.wait(submitted(jobs).name).state == "SUCCEEDED"


def test_a_job_whose_process_dies_has_failed(server: Server, jobs: ScoringJobs) -> None:
    long_job(jobs, "victim")
    begun(jobs, "victim")
    os.kill(process_of_job(server.process.pid), signal.SIGKILL)
    job = jobs.wait("victim")
    assert job.state == "FAILED"
    assert "ended with status -9" in job.error


def test_a_process_that_does_not_stop_is_killed(server: Server, jobs: ScoringJobs) -> None:
    """Stopped as one is that is stuck in a library: it holds up neither its end nor the queue."""
    long_job(jobs, "stuck")
    begun(jobs, "stuck")
    submitted(jobs, "next")
    os.kill(process_of_job(server.process.pid), signal.SIGSTOP)
    jobs.cancel("stuck")
    assert jobs.wait("stuck").state == "CANCELLED"
    assert jobs.wait("next").state == "SUCCEEDED"
    server.await_log("job's process does not stop, is killed")


def test_a_process_that_does_not_stop_does_not_hold_up_the_end(data: Path, tmp_path: Path) -> None:
    kept = Jobs(tmp_path)
    kept.create(
        Task("cross_entropy", {"input": f"{data}/large.npy", "target": f"{data}/zeros.npy"}), "long"
    )

    async def stuck() -> None:
        running = asyncio.create_task(
            Runner(kept, [data], at_once=1, workers=1, patience=0.2).run()
        )
        await asyncio.to_thread(eventually, lambda: kept.get("long").rows > 0)
        os.kill(process_of_job(os.getpid()), signal.SIGSTOP)
        running.cancel()
        await asyncio.wait_for(asyncio.wait({running}), PATIENCE)
        assert running.cancelled()

    asyncio.run(stuck())
    assert kept.get("long").state == "RUNNING"  # it goes on later


@pytest.mark.parametrize("source", ["/etc/passwd", "../secret.npy", "x.npy/../../secret.npy"])
def test_paths_out_of_the_roots_are_refused(jobs: ScoringJobs, source: str) -> None:
    with pytest.raises(LossdError, match="outside of the folders that this server reads: "):
        jobs.submit("cross_entropy", source, "y.npy")
    assert jobs.all() == []


@pytest.mark.parametrize("source", ["link.npy", "shards", "shards/*.npy", "l*.npy"])
def test_links_out_of_the_roots_are_refused(data: Path, jobs: ScoringJobs, source: str) -> None:
    job = jobs.wait(jobs.submit("cross_entropy", source, "y.npy").name)
    assert job.state == "FAILED"
    assert job.error.startswith(f"{data / source} is, or leads, outside of the folders that")


def test_what_can_be_checked_at_once_is(jobs: ScoringJobs) -> None:
    with pytest.raises(UnknownLossError, match="did you mean 'cross_entropy'"):
        jobs.submit("cross_entropi", "x.npy", "y.npy")
    with pytest.raises(ParameterError, match="label_smoothing = 3"):
        submitted(jobs, parameters={"label_smoothing": 3})
    for name in ("A", "../x", "a" * 64):
        with pytest.raises(LossdError, match="must be 1 to 63 of a-z, 0-9 and -"):
            submitted(jobs, name)


def test_jobs_and_files_that_there_are_not(jobs: ScoringJobs) -> None:
    for name in ("none", "..", "../jobs", ""):
        with pytest.raises(LossdError, match=f"there is no job '{name}'"):
            jobs.get(name)
        with pytest.raises(LossdError, match="there is no job"):
            list(jobs.watch(name))
    job = jobs.wait(submitted(jobs).name)
    for file in ("../job.json", "losses", "/etc/passwd", ""):
        with pytest.raises(LossdError, match="has no file"):
            list(jobs.read(job.name, file))


def test_several_workers_share_the_jobs(data: Path, tmp_path: Path) -> None:
    """Whichever process answers, one computes; when that one dies, another goes on."""
    with running(*flags(data, tmp_path), "--workers", "2") as server:
        target = server.addresses()[0]
        with ScoringJobs(target) as jobs:
            names = [submitted(jobs).name for _ in range(3)]
            for name in names:
                assert jobs.wait(name).state == "SUCCEEDED"


def test_a_server_without_jobs_says_so() -> None:
    with (
        running() as server,
        ScoringJobs(server.addresses()[0]) as jobs,
        pytest.raises(LossdError, match=r"has no scoring jobs: .* --scoring-dir and"),
    ):
        jobs.all()
    with ScoringJobs("localhost:1") as jobs, pytest.raises(UnavailableError, match="localhost:1"):
        jobs.all()


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (["--scoring-dir", "/tmp"], "need both scoring_dir and scoring_roots"),
        (["--scoring-roots", "/nowhere"], "'/nowhere' is not a folder"),
    ],
)
def test_settings_that_do_not_fit(given: list[str], told: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "lossd.cli", "serve", *given],
        capture_output=True, text=True, timeout=PATIENCE, env=environment(), check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert told in done.stderr


def test_the_command(server: Server, here: dict[str, bytes], tmp_path: Path) -> None:
    def jobs(*given: str, status: int = 0) -> str:
        done = subprocess.run(
            [*COMMAND, "--target", server.addresses()[0], *given],
            capture_output=True, text=True, timeout=PATIENCE, env=environment(), check=False,
        )  # fmt: skip
        assert done.returncode == status, done.stderr
        return done.stdout + done.stderr

    task = ["cross_entropy", "x.npy", "y.npy", "--label-smoothing", "0.1", "--gradients"]
    jobs("submit", *task, "--shard-rows", str(SHARD), "--name", "mine", "--wait")
    assert "SUCCEEDED" in jobs("list")
    jobs("submit", *task, "--shard-rows", str(SHARD), "--name", "mine")
    advice = "choose another --name, or remove that one first, with `lossd jobs --target {} delete"
    assert f"{advice.format(server.addresses()[0])} mine`" in jobs(
        "submit", *task, "--name", "mine", status=1
    )
    assert "job 'mine' has ended, SUCCEEDED" in jobs("cancel", "mine", status=1)
    jobs("fetch", "mine", "--out", str(tmp_path / "out"))
    assert everything(tmp_path / "out")["summary.json"] == here["summary.json"]
    jobs("delete", "mine")
    assert jobs("watch", "mine", status=1) == "lossd jobs: there is no job 'mine'\n"


def test_the_command_tells_of_jobs_in_lines(
    server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    def told(*given: str, status: int | None = None) -> list[str]:
        given = ("jobs", *given, "--target", server.addresses()[0])
        if status is None:
            main(given)
        else:
            with pytest.raises(SystemExit) as ended:
                main(given)
            assert ended.value.code == status
        return "".join(capsys.readouterr()).splitlines()

    wrong = ("submit", "cross_entropy", "x.npy", "wrong.npy", "--name", "wrong")
    assert (
        "job 'wrong' is FAILED: cross_entropy: target[0] = 10"
        in told(*wrong, "--wait", status=1)[-1]
    )
    (again,) = told(*wrong, status=1)
    assert "job 'wrong' is there and is FAILED, it will not run again" in again
    told("submit", "cross_entropy", "x.npy", "y.npy", "--name", "a", "--wait")
    head, one, other = told("list")
    assert head.split() == ["NAME", "STATE", "ROWS", "CREATED", "LOSS"]
    assert one.split()[:3] == ["a", "SUCCEEDED", f"{ROWS:,}"]
    assert "target[0] = 10 is outside [0, 10)" in other
    found = [json.loads(line) for line in told("list", "--json")]
    assert [(one["event"], one["name"], one["state"]) for one in found] == [
        ("job", "a", "SUCCEEDED"), ("job", "wrong", "FAILED"),
    ]  # fmt: skip
    assert json.loads(told("watch", "a", "--json")[-1])["files"]["summary.json"] > 0
    assert json.loads(told("delete", "a", "--json")[0]) == {"event": "deleted", "name": "a"}
    (error,) = told("delete", "a", "--json", status=1)
    assert json.loads(error)["message"] == "there is no job 'a'"
    for given in (
        ("submit", "cross_entropi", "x.npy", "y.npy"),
        ("submit", "cross_entropy", "x.npy", "y.npy", "--label-smoothing", "3"),
        ("submit", "cross_entropy", "x.npy", "y.npy", "--tensor", "wight=y.npy"),
        ("submit", "cross_entropy", "x.npy", "y.npy", "--label-smothing", "0.3"),
        ("lst",),
    ):
        assert len(told(*given, status=2)) <= 2


def test_ctrl_c_leaves_a_job(
    server: Server,
    jobs: ScoringJobs,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    long_job(jobs, "long")
    given = ["watch", "long", "--target", server.addresses()[0]]
    with subprocess.Popen(
        [*COMMAND, *given, "--json"],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment(),
    ) as watching:  # fmt: skip
        assert watching.stdout is not None
        watching.stdout.readline()
        watching.send_signal(signal.SIGINT)
        said = watching.stdout.read().splitlines()
    assert watching.returncode == 130, said
    assert json.loads(said[-1]) == {
        "event": "stopped", "name": "long", "message": "the job goes on",
    }  # fmt: skip

    def pressed(self: ScoringJobs, name: str) -> Iterator[ScoringJob]:
        yield self.get(name)
        raise KeyboardInterrupt

    monkeypatch.setattr(ScoringJobs, "watch", pressed)
    with pytest.raises(SystemExit) as ended:
        main(["jobs", *given])
    assert ended.value.code == 130
    told = capsys.readouterr().err
    assert "job 'long' goes on: `lossd jobs --target" in told
    assert "cancel long` ends it" in told
    assert not jobs.get("long").ended


def test_no_server_is_told_as_it_is_typed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["jobs", "list", "--target", "localhost:1"])
    assert ended.value.code == 1
    said = capsys.readouterr().err
    assert said.endswith("or name another server with --target\n")
