"""Scoring jobs: a folder for each, in which whoever serves, computes or starts again finds it.

The folder is the queue. Any of a server's processes answers calls from it; the one that holds its
lock has jobs computed (lossd.server.runner). lossd.scoring.job_files tells what is in a job.
"""

import contextlib
import errno
import math
import os
import re
import shutil
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

from lossd_client.errors import (
    JobExistsError,
    JobStateError,
    ParameterError,
    ResourceError,
    UnknownJobError,
)

from lossd.scoring.disk import read_json, reading, synchronise, write_json, writing
from lossd.scoring.errors import OutputError, ScoringError, SourceError
from lossd.scoring.job_files import CANCEL, JOB, OUTCOME, PROGRESS, RUN
from lossd.scoring.task import Task
from lossd.server.logs import log

PAUSE: Final = 0.25
"""Seconds between two looks at the folder."""

MOST: Final = 10_000
"""Jobs that are kept, ended ones too."""

_ENDED: Final = ("SUCCEEDED", "FAILED", "CANCELLED")
_STATES: Final = ("QUEUED", "RUNNING", *_ENDED)

_NAME: Final = re.compile(r"[a-z0-9-]{1,63}")
_POSITION: Final = re.compile(r"([0-9]{1,20})-([a-z0-9-]{1,63})")
_FILES: Final = ("summary.json", "timing.json", "report.html", "charts/*.png", "losses/*.parquet",
                 "gradients.npy", "run.json")  # fmt: skip
_NEW: Final = ".new-"
_DELETED: Final = ".deleted-"
_LEFT: Final = 60.0  # seconds after which what is named so is nobody's
_TRIES: Final = 10
_LAST: Final = 1 << 37  # seconds: what a protobuf Timestamp can tell


class UnreadableJobError(ScoringError, RuntimeError):
    """A job whose files are damaged, may not be read, or are of another version of lossd."""

    reason, code = "UNREADABLE_JOB", 9


@dataclass(frozen=True)
class Job:
    """A job as it stands.

    state: QUEUED, RUNNING, SUCCEEDED, FAILED or CANCELLED; created: seconds since 1970.
    rows: how many are done; of: how many there are, 0 until its files are open.
    error, reason: what is wrong with one that has failed.
    """

    name: str
    task: Task
    created: float
    state: str
    rows: int = 0
    of: int = 0
    error: str = ""
    reason: str = ""

    @property
    def ended(self) -> bool:
        """Whether nothing will change any more."""
        return self.state in _ENDED


class Complaints:
    """Logs what is wrong with jobs once, not whenever they are looked at."""

    def __init__(self) -> None:
        self._told: dict[str, str] = {}

    def add(self, name: str, error: Exception) -> None:
        """Log what is wrong with a job, unless that was the last that was."""
        if self._told.get(name) != str(error):
            self._told[name] = str(error)
            log.error("%s", error, extra={"job": name})

    def drop(self, name: str) -> None:
        """Nothing is wrong with a job."""
        self._told.pop(name, None)


class Jobs:
    """Jobs in a folder."""

    def __init__(self, folder: Path, most: int = MOST) -> None:
        """Jobs of a folder, made if it is not there; no more than `most` are created.

        Raises:
            OutputError: it cannot be made.
        """
        self.folder, self._most = folder, most
        self._complaints = Complaints()
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)

    def create(self, task: Task, name: str = "") -> Job:
        """Begin a job; one of that name that asks for the same is answered as it stands.

        Raises:
            JobExistsError: there is one of that name that asks for something else, or that is done
                and of files that have changed since.
            JobStateError: there is something else of that name.
            ResourceError: there are as many jobs as may be.
            ScoringError: a name that is none.
        """
        name = name or uuid.uuid4().hex[:12]
        if not _NAME.fullmatch(name):
            raise ScoringError(f"job name {name!r} must be 1 to 63 of a-z, 0-9 and -", field="name")
        for _ in range(_TRIES):
            if not self._created(name):
                self._publish(task, name)
            with contextlib.suppress(UnknownJobError):  # deleted at once
                job = self.get(name)
                if job.task != task:
                    raise JobExistsError(f"there is a job {name!r} that asks for something else")
                if job.state == "SUCCEEDED" and (path := self._changed(name)):
                    raise JobExistsError(
                        f"job {name!r} is done, and {path} has changed since: delete the job, or "
                        "choose another name"
                    )
                return job
        raise JobStateError(
            f"{self.folder / name} is there and is no job: choose another name", field="name"
        )

    def _changed(self, name: str) -> str:
        """A file that a job has read and that is another one by now, "" if there is none."""
        from lossd.scoring.folder import MANIFEST  # with pyarrow, which a server may lack
        from lossd.scoring.readers.fingerprint import fingerprint

        manifest = read_json(self._place(name) / RUN / MANIFEST) or {}
        for source in manifest.get("inputs", {}).values():
            for known in source["files"]:
                try:
                    same = fingerprint(Path(known["path"])) == known
                except SourceError:  # not there any more
                    same = False
                if not same:
                    return str(known["path"])
        return ""

    def _publish(self, task: Task, name: str) -> None:
        """Make a job's folder, at once and with its job.json, unless there is one."""
        count = len(self.names())
        if count >= self._most:
            raise ResourceError(f"the server keeps {count} scoring jobs: delete some of them")
        place, new = self.folder / name, self.folder / f"{_NEW}{uuid.uuid4().hex}"
        created = time.time()
        with writing(place):
            try:
                new.mkdir()
                write_json(new / JOB, {"task": task.to_json(), "created": created})
                os.utime(new / JOB, (created, created))  # `latest` goes by it
                new.rename(place)  # of two who do this at a time one gets on
                synchronise(self.folder)
            except OSError as error:
                if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                    raise
            finally:
                shutil.rmtree(new, ignore_errors=True)

    def get(self, name: str) -> Job:
        """A job as it stands.

        Raises:
            UnknownJobError: there is none.
            UnreadableJobError: there is one that cannot be read.
        """
        place = self._place(name)
        try:
            asked = read_json(place / JOB)
            if asked is None:
                raise UnknownJobError(f"there is no job {name!r}", field="name")
            return _job(name, asked, read_json(place / PROGRESS), read_json(place / OUTCOME))
        except (OutputError, ValueError) as error:
            raise UnreadableJobError(
                f"job {name!r} cannot be read: {error}", field="name"
            ) from error

    def readable(self, name: str) -> Job | None:
        """A job as it stands; None if there is none, or one that cannot be read: that is logged."""
        try:
            job = self.get(name)
        except UnknownJobError:
            return None
        except UnreadableJobError as error:
            self._complaints.add(name, error)
            return None
        self._complaints.drop(name)
        return job

    def names(self) -> list[str]:
        """The names of all jobs, and of what may be one by its name.

        Raises:
            OutputError: the folder cannot be read.
        """
        try:
            names = os.listdir(self.folder)  # noqa: PTH208  names are all that is asked for
        except OSError as error:
            raise OutputError(f"{self.folder} cannot be read: {error.strerror}") from error
        return [name for name in names if _NAME.fullmatch(name)]

    def latest(self, after: str = "") -> Iterator[tuple[str, Job]]:
        """Jobs, the latest first, each after its position; those that cannot be read are left out.

        Args:
            after: the position of the last one that the caller had; it may be gone.

        Raises:
            ParameterError: `after` is no position.
        """
        found = _POSITION.fullmatch(after)
        if after and not found:
            raise ParameterError(f"{after[:80]!r} is not where a list goes on", field="page_token")
        first = (-int(found[1]), found[2]) if found else (-math.inf, "")
        for when, name in sorted((-self._created(name), name) for name in self.names()):
            if (when, name) > first and (job := self.readable(name)) is not None:
                yield f"{-when}-{name}", job

    def _created(self, name: str) -> int:
        """When a job was created, in nanoseconds since 1970; 0 of what is none."""
        try:
            return (self.folder / name / JOB).stat().st_mtime_ns
        except OSError:
            return 0

    def cancel(self, name: str) -> None:
        """Have a job end, if it has not."""
        if not self.get(name).ended:
            place = self._place(name)
            with writing(place), _there(name):
                (place / CANCEL).touch()

    def cancelled(self, name: str) -> bool:
        """Whether a job is to end."""
        return os.path.exists(self._place(name) / CANCEL)  # noqa: PTH110  where not permitted, too

    def end(self, name: str, outcome: dict[str, Any]) -> None:
        """Note how a job ended."""
        write_json(self._place(name) / OUTCOME, outcome)

    def delete(self, name: str) -> None:
        """Remove a job that has ended, or that cannot be read.

        Raises:
            JobStateError: it has not.
        """
        with contextlib.suppress(UnreadableJobError):
            job = self.get(name)
            if not job.ended:
                raise JobStateError(f"job {name!r} is {job.state}: cancel it first", field="name")
        deleted = self.folder / f"{_DELETED}{uuid.uuid4().hex}"
        with writing(self.folder):
            with _there(name):
                self._place(name).rename(deleted)  # at once: half a job would be a job to do
            shutil.rmtree(deleted)

    def tidy(self) -> None:
        """Remove what was being created or deleted when a server was killed."""
        for left in self.folder.glob(f"{_DELETED}*"):
            shutil.rmtree(left, ignore_errors=True)  # whoever deletes it may be at it
        for left in self.folder.glob(f"{_NEW}*"):
            with contextlib.suppress(FileNotFoundError):
                if left.stat().st_mtime < time.time() - _LEFT:
                    shutil.rmtree(left, ignore_errors=True)

    def files(self, name: str) -> dict[str, int]:
        """The files of a job that has succeeded, by name, and their sizes."""
        if self.get(name).state != "SUCCEEDED":
            return {}
        run = self._place(name) / RUN
        with reading(run), _there(name):
            found = [path for pattern in _FILES for path in sorted(run.glob(pattern))]
            return {str(path.relative_to(run)): path.stat().st_size for path in found}

    def opened(self, name: str, file: str) -> IO[bytes]:
        """A file of a job, to be read.

        Raises:
            UnknownJobError: there is no such job, or it has no such file (yet).
        """
        if file not in self.files(name):
            state = self.get(name).state
            raise UnknownJobError(f"job {name!r} ({state}) has no file {file!r}", field="file")
        place = self._place(name) / RUN / file
        with reading(place), _there(name):
            return place.open("rb")

    def _place(self, name: str) -> Path:
        if not _NAME.fullmatch(name):
            raise UnknownJobError(f"there is no job {name[:63]!r}", field="name")
        return self.folder / name


@contextlib.contextmanager
def _there(name: str) -> Iterator[None]:
    """What is not there any more was a job's that is deleted."""
    try:
        yield
    except FileNotFoundError:
        raise UnknownJobError(f"there is no job {name!r}", field="name") from None


def _job(
    name: str,
    asked: Mapping[str, Any],
    progress: Mapping[str, Any] | None,
    outcome: Mapping[str, Any] | None,
) -> Job:
    """A job as its files tell of it.

    Raises:
        ValueError: they tell what no job has.
    """
    task, told = Task.from_json(asked.get("task")), outcome or {}
    _check_task(task)
    state = told.get("state", "RUNNING" if progress else "QUEUED")
    if state not in _STATES:
        raise ValueError(f"state is {state!r}")
    return Job(
        name=name,
        task=task,
        created=_number(asked, "created", _LAST),
        state=state,
        rows=int(_number(progress or {}, "rows")),
        of=int(_number(progress or {}, "of")),
        error=_text(told, "message"),
        reason=_text(told, "reason"),
    )


def _check_task(task: Task) -> None:
    """Raise if a task has what no message can tell.

    Raises:
        ValueError: it has.
    """
    for source in task.tensors.values():
        if not isinstance(source, str):
            raise ValueError(f"a source is {source!r}")
    for name, value in task.parameters.items():
        if not isinstance(value, bool | int | float | str):
            raise ValueError(f"{name} is {value!r}")


def _text(found: Mapping[str, Any], key: str) -> str:
    """A text of what was found, "" if it has none; files' names in it may be of other bytes."""
    value = found.get(key, "")
    if not isinstance(value, str):
        raise ValueError(f"{key} is {value!r}")
    return value.encode(errors="replace").decode()


def _number(found: Mapping[str, Any], key: str, most: int = 1 << 62) -> float:
    """A number of what was found, 0 if it has none."""
    value = found.get(key, 0)
    if not (isinstance(value, int | float) and 0 <= value < most):
        raise ValueError(f"{key} is {value!r}")
    return value
