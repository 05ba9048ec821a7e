"""Scoring jobs where something is amiss: their folder, requests, files, the server that answers."""

import json
import os
import re
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent import futures
from pathlib import Path
from typing import Any

import grpc
import h5py
import numpy as np
import pytest
from lossd_client._gen.lossd.v1 import scoring_service_pb2 as pb2
from lossd_client._gen.lossd.v1.tensor_pb2 import ParameterValue
from lossd_client.errors import (
    DTypeError,
    JobExistsError,
    JobStateError,
    LossdError,
    ParameterError,
    ResourceError,
    UnknownJobError,
)
from lossd_client.jobs import ScoringJob, ScoringJobs

from lossd.scoring import job as process
from lossd.scoring.disk import read_json, write_json
from lossd.scoring.job_files import JOB, OUTCOME
from lossd.scoring.roots import check_inside
from lossd.scoring.task import Task
from lossd.server.jobs import Jobs
from lossd.server.runner import _Queue
from tests.service.servers import PATIENCE, Server, running

pytestmark = pytest.mark.thorough

SERVICE = "/lossd.v1.ScoringService/"
TASK = Task("mse_loss", {"input": "/x.npy", "target": "/y.npy"})


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a server reads, beside something that it must not read."""
    folder = tmp_path_factory.mktemp("jobs")
    root, secret = folder / "root", folder / "secret"
    root.mkdir()
    secret.mkdir()
    for name in ("x.npy", "y.npy"):
        np.save(root / name, np.arange(10.0))
    np.save(secret / "known.npy", np.arange(10.0))
    (root / "ln").symlink_to(secret)
    (folder / "alias").symlink_to(root)
    return root


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("kept") / "jobs"


@pytest.fixture(scope="module")
def server(data: Path, folder: Path) -> Iterator[Server]:
    with running("--scoring-roots", str(data), "--scoring-dir", str(folder)) as server:
        yield server


@pytest.fixture(scope="module")
def jobs(server: Server) -> Iterator[ScoringJobs]:
    with ScoringJobs(server.addresses()[0]) as jobs:
        yield jobs


def listed(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def done(jobs: ScoringJobs, predictions: str = "x.npy", **how: Any) -> ScoringJob:
    return jobs.wait(jobs.submit("mse_loss", predictions, "y.npy", **how).name)


def call(server: Server, method: str, request: Any, answer: type[Any]) -> Any:
    """What a client of another make gets."""
    with grpc.insecure_channel(server.addresses()[0]) as channel:
        ask = channel.unary_unary(
            SERVICE + method, type(request).SerializeToString, answer.FromString
        )
        return ask(request, timeout=PATIENCE)


# --- a job's folder ----------------------------------------------------------------------------


def damaged(folder: Path, content: str, file: str = JOB) -> None:
    """Something that has the name of a job and is none that can be read."""
    folder.mkdir()
    kept = json.dumps({"task": TASK.to_json(), "created": time.time()})
    (folder / JOB).write_text(kept)
    (folder / file).write_text(content)


DAMAGED = (
    ('{"task": {"loss": "x", "tensors": {}, "newer": 1}, "created": 1}', JOB),
    ('{"task": {"loss": "x"}, "created": 1}', JOB),
    ('{"created": 1}', JOB),
    ('{"task": {"loss": 1, "tensors": {}}, "created": 1}', JOB),
    ('{"task": {"loss": "x", "tensors": {"a": null}}, "created": 1}', JOB),
    ('{"task": {"loss": "x", "tensors": {}, "parameters": {"a": null}}, "created": 1}', JOB),
    ('{"task": {"loss": "x", "tensors": {}}, "created": "yesterday"}', JOB),
    ('{"task": {"loss": "x", "tensors": {}}, "created": 1e300}', JOB),
    ('{"task": ', JOB),
    ("[1]", JOB),
    ('{"a":' * 100_000, JOB),
    ('{"state": "NEW"}', OUTCOME),
    ('{"state": "FAILED", "message": 1}', OUTCOME),
    ("{", OUTCOME),
    ('{"rows": "many"}', "progress.json"),
)
"""What is in a file of a job that cannot be read."""


def test_a_job_that_cannot_be_read_is_left_out(
    server: Server, folder: Path, jobs: ScoringJobs
) -> None:
    """It is in nobody's way, is told of once, and can be deleted."""
    for k, (content, file) in enumerate(DAMAGED):
        damaged(folder / f"broken-{k}", content, file)
    (folder / "forbidden" / JOB).mkdir(parents=True)  # as wrong as no permission, for root too
    for _ in range(2):  # each is begun by a look at the folder
        assert done(jobs, name="whole").state == "SUCCEEDED"
        assert [job.name for job in jobs.all()] == ["whole"]
        jobs.delete("whole")
    for name in (*(f"broken-{k}" for k in range(len(DAMAGED))), "forbidden"):
        assert len(re.findall(f"job '{name}' cannot be read: ", server.text)) == 1
        with pytest.raises(LossdError, match=f"job '{name}' cannot be read: "):
            jobs.get(name)
        jobs.delete(name)
    assert jobs.all() == []


def test_the_queue_does_not_read_what_has_ended(tmp_path: Path) -> None:
    kept = Jobs(tmp_path)
    for name in ("one", "other"):
        kept.create(TASK, name)
    queue = _Queue(kept)
    assert [job.name for job in queue.jobs()] == ["one", "other"]
    kept.end("one", {"state": "CANCELLED"})
    assert [job.name for job in queue.jobs()] == ["other"]
    (tmp_path / "one" / JOB).write_text("not looked at")
    assert [job.name for job in queue.jobs()] == ["other"]
    kept.create(TASK, "third")
    assert [job.name for job in queue.jobs()] == ["other", "third"]
    kept.delete("one")
    kept.create(TASK, "one")
    assert [job.name for job in queue.jobs()] == ["other", "third", "one"]


def at_once(count: int, act: Callable[[int], object]) -> list[object]:
    """What threads give who do the same at the same moment."""
    ready = threading.Barrier(count)

    def one(number: int) -> object:
        ready.wait()
        try:
            return act(number)
        except LossdError as error:
            return error

    with futures.ThreadPoolExecutor(count) as threads:
        return list(threads.map(one, range(count)))


def test_of_two_who_create_a_job_one_does(tmp_path: Path) -> None:
    for turn in range(20):
        kept = Jobs(tmp_path / str(turn))
        told = at_once(4, lambda _, kept=kept: kept.create(TASK, "same"))
        assert len(set(map(repr, told))) == 1, told
        assert listed(kept.folder) == ["same"]
    for turn in range(20):
        kept = Jobs(tmp_path / f"other-{turn}")
        tasks = [Task("mse_loss", TASK.tensors, shard_rows=100 + k) for k in range(4)]
        told = at_once(4, lambda k, kept=kept, tasks=tasks: kept.create(tasks[k], "same").task)
        (kept_task,) = (one for one in told if isinstance(one, Task))
        assert kept.get("same").task == kept_task
        assert sum(isinstance(one, JobExistsError) for one in told) == 3


def test_a_job_is_cancelled_while_it_is_deleted(tmp_path: Path) -> None:
    kept = Jobs(tmp_path)
    acts = (kept.cancel, kept.delete, kept.files, kept.create)
    for _ in range(50):
        kept.create(TASK, "one")
        kept.end("one", {"state": "CANCELLED"})
        told = at_once(3, lambda k: acts[k]("one"))
        assert all(isinstance(one, UnknownJobError | dict | None) for one in told), told


def test_threads_keep_a_file_at_the_same_moment(tmp_path: Path) -> None:
    contents: list[dict[str, Any]] = [{"number": k} for k in range(4)]
    for _ in range(50):
        told = at_once(4, lambda k: write_json(tmp_path / "kept.json", contents[k]))
        assert told == [None] * 4
        assert read_json(tmp_path / "kept.json") in contents
    assert listed(tmp_path) == ["kept.json"]


def test_a_name_that_something_else_has(tmp_path: Path) -> None:
    kept = Jobs(tmp_path)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    with pytest.raises(JobStateError, match="mine is there and is no job: choose another name"):
        kept.create(TASK, "mine")
    assert listed(tmp_path) == ["mine"]


# --- what is asked for -------------------------------------------------------------------------


def creation(**task: Any) -> pb2.CreateScoringJobRequest:
    given: dict[str, Any] = {"loss": "mse_loss", "tensors": {"input": "x.npy", "target": "y.npy"}}
    return pb2.CreateScoringJobRequest(name="asked", task=pb2.ScoringTask(**given | task))


@pytest.mark.parametrize(
    ("task", "told"),
    [
        ({"parameters": {"normalizer": ParameterValue()}}, "'normalizer' has no value"),
        ({"parameters": {"zero_if_empty": ParameterValue()}}, "'zero_if_empty' has no value"),
        (
            {"loss": "huber_loss", "parameters": {"delta": ParameterValue(number=np.inf)}},
            "delta = inf must be finite in a job",
        ),
    ],
)
def test_parameters_that_no_job_can_have(
    server: Server, folder: Path, task: dict[str, Any], told: str
) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        call(server, "CreateScoringJob", creation(**task), pb2.CreateScoringJobResponse)
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert told in caught.value.details()
    assert not (folder / "asked").exists()


@pytest.mark.parametrize(
    ("how", "error", "told"),
    [
        ({"parameters": {"normalizer": np.nan}}, ParameterError, "normalizer = nan must be a fini"),
        ({"parameters": {"normalizer": "rows"}}, ParameterError, "normalizer = 'rows' must be"),
        ({"parameters": {"zero_if_empty": 1}}, DTypeError, "zero_if_empty = 1 must be bool"),
        ({"tensors": {"nope": "x.npy"}}, ParameterError, "has no tensor 'nope'; it has: input"),
        ({"tensors": {"target": ""}}, ParameterError, "the tensor 'target' is missing"),
        ({"shard_rows": 99}, ParameterError, "shard_rows = 99 must be 100 to 1048576, or 0"),
        ({"shard_rows": 1 << 62}, ParameterError, "must be 100 to 1048576, or 0"),
        ({"ids": "x" * 5_000_000}, ParameterError, "ids has 5000000 characters: there may be 4096"),
        ({"tensors": {"input": "x" * 4097}}, ParameterError, "source of input has 4097 characters"),
        ({"ids": "x\0.npy"}, LossdError, "is no path: it has a zero in it"),
    ],
)
def test_what_no_job_can_be_asked(
    jobs: ScoringJobs, how: dict[str, Any], error: type[LossdError], told: str
) -> None:
    with pytest.raises(error, match=re.escape(told)):
        jobs.submit("mse_loss", "x.npy", "y.npy", **how)
    assert jobs.all() == []


def test_a_key_alone_is_in_the_files_of_the_predictions(data: Path, jobs: ScoringJobs) -> None:
    np.savez(data / "both.npz", x=np.arange(5.0), y=np.zeros(5))
    job = jobs.wait(jobs.submit("mse_loss", "both.npz::x", "::y").name)
    assert job.state == "SUCCEEDED", job.error
    assert job.tensors["target"] == f"{data}/both.npz::y"
    jobs.delete(job.name)


def test_as_many_jobs_as_are_kept(data: Path, tmp_path: Path) -> None:
    flags = ["--scoring-roots", str(data), "--scoring-dir", str(tmp_path), "--scoring-kept", "2"]
    with running(*flags) as server, ScoringJobs(server.addresses()[0]) as jobs:
        for name in ("one", "two"):
            done(jobs, name=name)
        with pytest.raises(ResourceError, match="keeps 2 scoring jobs: delete some of them"):
            done(jobs)
        assert done(jobs, name="one").state == "SUCCEEDED"  # is there
        jobs.delete("two")
        assert done(jobs).state == "SUCCEEDED"


def ended(folder: Path, count: int, message: str) -> list[str]:
    """Jobs that have failed, the latest first."""
    kept = Jobs(folder)
    for k in range(count):
        kept.create(TASK, f"failed-{k:04}")
        kept.end(f"failed-{k:04}", {"state": "FAILED", "message": message})
    return [f"failed-{k:04}" for k in reversed(range(count))]


def test_a_list_comes_in_pages(data: Path, tmp_path: Path) -> None:
    """However many jobs there are, and whatever their messages, an answer is of a size."""
    names = ended(tmp_path, 250, "x" * 20_000)
    with (
        running("--scoring-roots", str(data), "--scoring-dir", str(tmp_path)) as server,
        ScoringJobs(server.addresses()[0]) as jobs,
    ):
        assert [job.name for job in jobs.all()] == names

        def page(**how: Any) -> Any:
            request = pb2.ListScoringJobsRequest(**how)
            return call(server, "ListScoringJobs", request, pb2.ListScoringJobsResponse)

        assert page().ByteSize() < 2 << 20
        first = page(page_size=3)
        assert [job.name for job in first.jobs] == names[:3]
        for name in (names[0], names[2], names[4]):
            jobs.delete(name)
        done(jobs, name="latest")
        second = page(page_size=2, page_token=first.next_page_token)
        assert [job.name for job in second.jobs] == [names[3], names[5]]
        for wrong in ({"page_size": -1}, {"page_token": "?"}, {"page_token": "9" * 5000 + "-a"}):
            with pytest.raises(grpc.RpcError) as caught:
                page(**wrong)
            assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
            assert next(iter(wrong)) in caught.value.details() or "list goes on" in str(
                caught.value
            )


def test_a_page_ends_with_its_last_job(tmp_path: Path) -> None:
    names = ended(tmp_path, 3, "")
    kept = list(Jobs(tmp_path).latest())
    assert [job.name for _, job in kept] == names
    assert [job.name for _, job in Jobs(tmp_path).latest(kept[0][0])] == names[1:]
    assert list(Jobs(tmp_path).latest(kept[-1][0])) == []


def test_a_place_beyond_a_files_end(jobs: ScoringJobs) -> None:
    job = done(jobs)
    size = job.files["summary.json"]
    assert list(jobs.read(job.name, "summary.json", offset=size)) == []
    for offset in (size + 1, 1 << 63, (1 << 64) - 1):
        with pytest.raises(ParameterError, match=f"offset = {offset} is beyond the {size} bytes"):
            list(jobs.read(job.name, "summary.json", offset=offset))
    jobs.delete(job.name)


# --- files outside of the roots ----------------------------------------------------------------


@pytest.mark.parametrize(
    "asked", ["ln/known.npy", "ln/know", "ln/none/x", "ln", "ln/*", "l*/kn*", "l*/no*", "**/kn*"]
)
def test_of_files_elsewhere_nothing_is_told(data: Path, jobs: ScoringJobs, asked: str) -> None:
    """Not even whether they are there."""
    job = done(jobs, asked)
    assert job.error == (
        f"{data / asked} is, or leads, outside of the folders that this server reads: {data}"
    )
    jobs.delete(job.name)


@pytest.mark.parametrize("swapped", ["x.npy", "weight.npy"])
def test_a_link_that_changes_before_its_file_is_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, swapped: str
) -> None:
    """Between the look at it and the opening: what was opened is looked at too."""
    root, folder = tmp_path / "root", tmp_path / "job"
    root.mkdir()
    folder.mkdir()
    np.save(root / "x.npy", np.zeros((5, 3), np.float32))
    np.save(root / "y.npy", np.zeros(5, np.int64))
    np.save(root / "weight.npy", np.ones(3, np.float32))
    names = {"input": "x.npy", "target": "y.npy", "weight": "weight.npy"}
    task = Task("cross_entropy", {key: str(root / name) for key, name in names.items()})
    write_json(folder / JOB, {"task": task.to_json(), "created": 1.0})

    def checked(name: str, roots: Sequence[Path]) -> None:
        check_inside(name, roots)
        if name == str(root / "weight.npy") and not (tmp_path / swapped).exists():  # the last one
            (root / swapped).rename(tmp_path / swapped)
            (root / swapped).symlink_to(tmp_path / swapped)

    monkeypatch.setattr(process, "check_inside", checked)
    process.do(folder, 1, [root])
    told = read_json(folder / OUTCOME)
    assert told is not None
    assert told["state"] == "FAILED"
    assert told["message"].startswith(f"{root / swapped} is, or leads, outside of the folders")
    assert not list((folder / "run").glob("losses/*"))


def test_links_in_stores_are_followed(tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "a.zarr").mkdir(parents=True)
    (root / "chunks").mkdir()
    (tmp_path / "secret").write_text("")
    (root / "a.zarr" / "zarr.json").write_text("{}")
    (root / "a.zarr" / "c").symlink_to(root / "chunks")
    (root / "chunks" / "again").symlink_to(root / "a.zarr")
    check_inside(str(root / "a.zarr"), [root])
    (root / "chunks" / "0").symlink_to(tmp_path / "secret")
    with pytest.raises(LossdError, match="leads, outside of the folders"):
        check_inside(str(root / "a.zarr"), [root])


def test_hdf5_leads_nowhere_else(data: Path, jobs: ScoringJobs) -> None:
    secret = data.parent / "secret" / "s.h5"
    with h5py.File(secret, "w") as file:
        file["x"] = np.arange(10.0)
    with h5py.File(data / "link.h5", "w") as file:
        file["x"] = h5py.ExternalLink(str(secret), "x")
    job = done(jobs, "link.h5::x")
    assert job.error == f"{data}/link.h5::x: leads into another file; name that file itself"
    jobs.delete(job.name)


def test_names_that_are_no_unicode(data: Path, jobs: ScoringJobs) -> None:
    """An error tells of such a file; a message cannot have its name as it is."""
    odd = data / "odd"
    odd.mkdir()
    Path(os.fsdecode(os.fsencode(odd) + b"/\xff.npy")).write_bytes(b"none")
    job = done(jobs, "odd", name="odd")
    assert job.state == "FAILED"
    assert "odd/?.npy: damaged" in job.error
    assert [one.error for one in jobs.all()] == [job.error]
    jobs.delete("odd")


# --- settings ----------------------------------------------------------------------------------


def test_roots_may_be_named_by_any_path(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Relative, with links and '..' in it; what is asked for may have the link's name too."""
    (tmp_path / "here").mkdir()
    alias, paths = data.parent / "alias", [os.path.abspath(path) for path in sys.path]  # noqa: PTH100
    monkeypatch.chdir(tmp_path / "here")
    flags = ["--scoring-roots", os.path.relpath(alias), "--scoring-dir", "../jobs"]
    path = {"PYTHONPATH": os.pathsep.join(paths)}
    with running(*flags, env=path) as server, ScoringJobs(server.addresses()[0]) as jobs:
        for asked in ("x.npy", f"{data}/x.npy", f"{alias}/x.npy"):
            job = done(jobs, asked)
            assert job.state == "SUCCEEDED", job.error
    assert len(listed(tmp_path / "jobs")) == 3 + 1  # and the lock


# --- a server that is not to be trusted --------------------------------------------------------


@pytest.fixture
def liar() -> Iterator[tuple[ScoringJobs, list[str]]]:
    """Jobs of a server that tells any names of files."""
    names: list[str] = []

    def get(request: bytes, context: grpc.ServicerContext) -> bytes:
        job = pb2.ScoringJob(name="a", state=pb2.SCORING_STATE_SUCCEEDED)
        for name in names:
            job.files.add(name=name, size=4)
        return pb2.GetScoringJobResponse(job=job).SerializeToString()

    def read(request: bytes, context: grpc.ServicerContext) -> Iterator[bytes]:
        yield pb2.ReadScoringResultResponse(data=b"evil").SerializeToString()

    methods = {
        "GetScoringJob": grpc.unary_unary_rpc_method_handler(get),
        "ReadScoringResult": grpc.unary_stream_rpc_method_handler(read),
    }
    server = grpc.server(futures.ThreadPoolExecutor(2))
    handler = grpc.method_handlers_generic_handler(SERVICE.strip("/"), methods)
    server.add_generic_rpc_handlers((handler,))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    with ScoringJobs(f"127.0.0.1:{port}") as jobs:
        yield jobs, names
    server.stop(None).wait()


@pytest.mark.parametrize(
    "name", ["../out.txt", "a/../../out.txt", "/{}/out.txt", "", ".", "..", "a\\b", "c:x", "a\0b"]
)
def test_fetched_files_stay_in_their_folder(
    liar: tuple[ScoringJobs, list[str]], tmp_path: Path, name: str
) -> None:
    jobs, names = liar
    names[:] = ["good.txt", name.replace("{}", str(tmp_path))]
    with pytest.raises(LossdError, match="which is no name in a folder"):
        jobs.fetch("a", tmp_path / "in" / "here")
    assert listed(tmp_path) == []
    names[:] = ["good.txt", "losses/good.txt"]
    assert jobs.fetch("a", tmp_path / "in") == [tmp_path / "in" / name for name in names]


def test_what_has_ended_is_not_done_again(tmp_path: Path) -> None:
    """A server that looked before a job's end begins it again after."""
    jobs = Jobs(tmp_path / "jobs")
    task = Task("mse_loss", {"input": str(tmp_path / "x.npy"), "target": str(tmp_path / "x.npy")})
    np.save(tmp_path / "x.npy", np.ones(3, np.float32))
    name = jobs.create(task).name
    jobs.end(name, {"state": "SUCCEEDED"})
    process.do(tmp_path / "jobs" / name, 1, [tmp_path])
    assert jobs.get(name).state == "SUCCEEDED"
    assert not (tmp_path / "jobs" / name / "run").exists()
