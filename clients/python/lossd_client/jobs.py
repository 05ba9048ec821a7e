"""Scoring jobs of a server: losses of all rows of files that the server can read.

```python
with ScoringJobs("localhost:50051") as jobs:
    job = jobs.submit("cross_entropy", "eval/logits.npy", "eval/labels.npy")
    for job in jobs.watch(job.name):
        print(job.state, job.rows_done, job.rows)
    jobs.fetch(job.name, "results")
```
"""

import datetime
import json
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Self

from lossd_client import wire
from lossd_client._gen.lossd.v1 import scoring_service_pb2 as pb2
from lossd_client._gen.lossd.v1.tensor_pb2 import ParameterValue
from lossd_client.errors import CancelledError, LossdError, UnavailableError
from lossd_client.stream import unavailable
from lossd_client.transports import OPTIONS
from lossd_client.wire import Parameter

__all__ = ["ScoringJob", "ScoringJobs"]

_SERVICE: Final = "/lossd.v1.ScoringService/"
_PREFIX: Final = "SCORING_STATE_"
_UNIMPLEMENTED: Final = 12
_MARK: Final = ".lossd-job.json"
_PART: Final = ".part"


@dataclass(frozen=True)
class ScoringJob:
    """A job as it stood when the server told of it.

    Attributes:
        name: what it is called.
        loss: functional name of the loss; tensors: its sources by tensor.
        state: "QUEUED", "RUNNING", "SUCCEEDED", "FAILED" or "CANCELLED".
        created: when.
        rows_done: rows whose losses are there; rows: in all, 0 until its files are open.
        error: of one that has failed: what is wrong; reason: an UPPER_SNAKE name of its kind.
        files: of one that has succeeded: the sizes of its files by name, in bytes.
    """

    name: str
    loss: str
    tensors: Mapping[str, str]
    state: str
    created: datetime.datetime
    rows_done: int = 0
    rows: int = 0
    error: str = ""
    reason: str = ""
    files: Mapping[str, int] = field(default_factory=dict)

    @property
    def ended(self) -> bool:
        """Whether nothing will change any more."""
        return self.state not in ("QUEUED", "RUNNING")


class ScoringJobs:
    """The jobs of a server. Threads may share it."""

    def __init__(self, target: str, *, timeout: float = 60.0) -> None:
        """Reach a server.

        Args:
            target: host:port or unix:/path.
            timeout: seconds that it has for an answer; watching and fetching have no end.
        """
        import grpc

        self.target, self.timeout = target, timeout
        self._channel = grpc.insecure_channel(target, OPTIONS)

    def submit(
        self,
        loss: str,
        predictions: str,
        targets: str,
        *,
        name: str = "",
        parameters: Mapping[str, Parameter] = MappingProxyType({}),
        tensors: Mapping[str, str] = MappingProxyType({}),
        sample_weight: str = "",
        ids: str = "",
        group_by: str = "",
        gradients: bool = False,
        shard_rows: int = 0,
    ) -> ScoringJob:
        """Begin a job; one of the same name that asks for the same is answered as it stands.

        Sources are PATH or PATH::KEY, as `lossd score` has them, of the server's files: paths
        without a leading / are in the first folder that it reads.

        Args:
            loss: functional name, such as "cross_entropy".
            predictions: source of the loss's first tensor, "input".
            targets: source of "target".
            name: 1 to 63 of a-z, 0-9 and -; one of the server's choice if empty.
            parameters: hyper-parameters by name; "normalizer" and "zero_if_empty" for any loss.
            tensors: sources of further tensors by name; of "input" and "target" for losses whose
                tensors are called otherwise.
            sample_weight: source of a factor for each row.
            ids: source of a name for each row.
            group_by: source of a group for each row.
            gradients: whether gradients.npy is written.
            shard_rows: rows that are computed and kept as one, 100 to 1048576; 0 for what suits
                the files.

        Raises:
            LossdError: a loss, parameter or tensor that there is not, a path that the server does
                not read, a name that is taken by another job, more jobs than the server keeps.
            UnavailableError: no server there.
        """
        given = {"input": predictions, "target": targets} | dict(tensors)
        task = pb2.ScoringTask(
            loss=loss,
            parameters={key: _parameter(value) for key, value in parameters.items()},
            tensors={key: source for key, source in given.items() if source},
            sample_weight=sample_weight,
            ids=ids,
            group_by=group_by,
            gradients=gradients,
            shard_rows=shard_rows,
        )
        request = pb2.CreateScoringJobRequest(name=name, task=task)
        return _job(self._call("CreateScoringJob", request, pb2.CreateScoringJobResponse).job)

    def get(self, name: str) -> ScoringJob:
        """A job as it stands.

        Raises:
            LossdError: there is none of that name.
        """
        request = pb2.GetScoringJobRequest(name=name)
        return _job(self._call("GetScoringJob", request, pb2.GetScoringJobResponse).job)

    def all(self) -> list[ScoringJob]:
        """All jobs, the latest first, without their files; not those that it cannot read."""
        found: list[ScoringJob] = []
        request = pb2.ListScoringJobsRequest()
        while True:
            page = self._call("ListScoringJobs", request, pb2.ListScoringJobsResponse)
            found += map(_job, page.jobs)
            if not page.next_page_token:
                return found
            request.page_token = page.next_page_token

    def watch(self, name: str) -> Iterator[ScoringJob]:
        """A job whenever it gets on, until it has ended.

        Raises:
            LossdError: there is none of that name.
            UnavailableError: the connection was lost; the job goes on.
        """
        request = pb2.WatchScoringJobRequest(name=name)
        for answer in self._stream("WatchScoringJob", request, pb2.WatchScoringJobResponse):
            yield _job(answer.job)

    def wait(self, name: str) -> ScoringJob:
        """A job once it has ended; see `watch`."""
        return list(self.watch(name))[-1]

    def cancel(self, name: str) -> None:
        """Have a job stopped for good, if it has not ended."""
        request = pb2.CancelScoringJobRequest(name=name)
        self._call("CancelScoringJob", request, pb2.CancelScoringJobResponse)

    def delete(self, name: str) -> None:
        """Remove a job that has ended, and its results.

        Raises:
            LossdError: it has not ended.
        """
        request = pb2.DeleteScoringJobRequest(name=name)
        self._call("DeleteScoringJob", request, pb2.DeleteScoringJobResponse)

    def read(self, name: str, file: str, *, offset: int = 0) -> Iterator[bytes]:
        """A file of a job that has succeeded, in pieces, from a byte on."""
        request = pb2.ReadScoringResultRequest(name=name, file=file, offset=offset)
        for answer in self._stream("ReadScoringResult", request, pb2.ReadScoringResultResponse):
            yield answer.data

    def fetch(self, name: str, folder: str | os.PathLike[str]) -> list[Path]:
        """Copy all files of a job that has succeeded to a folder, made if it is not there.

        What is there of the same job is not fetched again, and what is there in part (as FILE.part)
        is gone on with. Files that were fetched of another job are removed.

        Raises:
            LossdError: the job has not succeeded, its name became another job's meanwhile, or the
                folder has files of these names that were not fetched.
        """
        job = self.get(name)
        if job.state != "SUCCEEDED":
            raise LossdError(f"job {name!r} is {job.state}: {job.error or 'it has no results'}")
        for file in job.files:
            _check_name(file)
        _make_ready(Path(folder), job)
        copied = [self._fetched(job, file, Path(folder)) for file in job.files]
        if self.get(name).created != job.created:
            raise _another(job)
        return copied

    def _fetched(self, job: ScoringJob, file: str, folder: Path) -> Path:
        """A file of a job, once it is whole."""
        path, size = folder / file, job.files[file]
        if path.is_file() and path.stat().st_size == size:
            return path
        part = path.with_name(path.name + _PART)
        part.parent.mkdir(parents=True, exist_ok=True)
        if part.exists() and part.stat().st_size > size:
            part.unlink()
        with part.open("ab") as there:
            for piece in self.read(job.name, file, offset=there.tell()):
                there.write(piece)
            if there.tell() != size:
                raise _another(job)
        return part.replace(path)

    def close(self) -> None:
        """Close the connection; jobs go on."""
        self._channel.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    # --- calls ----------------------------------------------------------------------------------

    def _call(self, method: str, request: Any, answer: type[Any]) -> Any:
        call = self._channel.unary_unary(
            _SERVICE + method, type(request).SerializeToString, answer.FromString
        )
        return self._translating(lambda: call(request, timeout=self.timeout))

    def _stream(self, method: str, request: Any, answer: type[Any]) -> Iterator[Any]:
        open_call = self._channel.unary_stream(
            _SERVICE + method, type(request).SerializeToString, answer.FromString
        )
        call = open_call(request)
        try:
            while (found := self._translating(lambda: next(call, None))) is not None:
                yield found
        finally:
            call.cancel()

    def _translating(self, act: Callable[[], Any]) -> Any:
        """Do something with gRPC; its errors become ours."""
        import grpc

        try:
            return act()
        except grpc.RpcError as error:
            raise self._translated(error) from error

    def _translated(self, error: Any) -> LossdError:
        for key, value in error.trailing_metadata() or ():
            if key == "grpc-status-details-bin":
                return wire.read_status(value)
        code, details = error.code().value[0], error.details()
        if code in (UnavailableError.code, CancelledError.code):
            return unavailable(self.target, details)
        if code == _UNIMPLEMENTED:
            return LossdError(
                f"{self.target} has no scoring jobs: it is to be started with --scoring-dir and "
                "--scoring-roots"
            )
        return wire.error_for(code, f"{self.target}: {details}")


def _check_name(file: str) -> None:
    """Raise if a file's name, as a server tells it, leads out of the folder that it is for.

    Raises:
        LossdError: it does.
    """
    path = Path(file)
    if path.is_absolute() or ".." in path.parts or not path.parts or set(file) & set("\\:\0"):
        raise LossdError(f"the server names a file {file!r}, which is no name in a folder")


def _make_ready(folder: Path, job: ScoringJob) -> None:
    """Note in a folder which job its files are of; remove those of another.

    Raises:
        LossdError: it has files of such names that are of no job.
    """
    identity = {"name": job.name, "created": job.created.isoformat()}
    mark = folder / _MARK
    before = _marked(mark)
    taken = [file for file in job.files if (folder / file).exists()]
    if not before and taken:
        raise LossdError(f"{folder} has a {taken[0]} that was not fetched: take another folder")
    if {key: before.get(key) for key in identity} == identity:
        return
    for file in before.get("files", ()):
        _check_name(file)
        for path in (folder / file, folder / (file + _PART)):
            path.unlink(missing_ok=True)
    folder.mkdir(parents=True, exist_ok=True)
    made = folder / (_MARK + _PART)
    made.write_text(json.dumps(identity | {"files": list(job.files)}))
    made.replace(mark)


def _marked(mark: Path) -> dict[str, Any]:
    """What a folder has of which job, {} if nothing was fetched to it.

    Raises:
        LossdError: the note is damaged.
    """
    try:
        return dict(json.loads(mark.read_bytes()))
    except FileNotFoundError:
        return {}
    except (TypeError, ValueError) as error:
        raise LossdError(f"{mark} is damaged: take another folder") from error


def _another(job: ScoringJob) -> LossdError:
    return LossdError(
        f"job {job.name!r} is another one than when it began to be fetched: do so again"
    )


def _parameter(value: Parameter) -> ParameterValue:
    if isinstance(value, bool):
        return ParameterValue(boolean=value)
    if isinstance(value, int):
        return ParameterValue(integer=value)
    return ParameterValue(text=value) if isinstance(value, str) else ParameterValue(number=value)


def _job(told: pb2.ScoringJob) -> ScoringJob:
    return ScoringJob(
        name=told.name,
        loss=told.task.loss,
        tensors=dict(told.task.tensors),
        state=pb2.ScoringState.Name(told.state).removeprefix(_PREFIX),
        created=told.create_time.ToDatetime(datetime.UTC),
        rows_done=told.rows_done,
        rows=told.rows,
        error=told.error_message,
        reason=told.error_reason,
        files={file.name: file.size for file in told.files},
    )
