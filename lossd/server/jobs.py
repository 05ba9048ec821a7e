"""Scoring jobs: a folder for each, in which whoever serves, computes or starts again finds it.

The folder is the queue. Any of a server's processes answers calls from it; the one that holds its
lock has jobs computed, each in a process of its own (lossd.scoring.job tells the files).
"""

import asyncio
import contextlib
import fcntl
import re
import shutil
import sys
import time
import uuid
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

from lossd_client.errors import LossdError

from lossd.scoring.disk import read_json, write_json, writing
from lossd.scoring.errors import ScoringError
from lossd.scoring.task import Task
from lossd.server.logs import log

PAUSE: Final = 0.25
"""Seconds between two looks at the folder."""

_NAME: Final = re.compile(r"[a-z0-9-]{1,63}")
_FILES: Final = ("summary.json", "timing.json", "report.html", "charts/*.png", "losses/*.parquet",
                 "gradients.npy", "run.json")  # fmt: skip
_DELETED: Final = ".deleted-"
_STOPPED: Final = 130


class UnknownJobError(ScoringError, LookupError):
    """No job of that name, or no file of that name in it."""

    reason, code = "UNKNOWN_JOB", 5


class JobStateError(ScoringError, RuntimeError):
    """A job that is in another state than it must be."""

    reason, code = "WRONG_JOB_STATE", 9


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
        return self.state not in ("QUEUED", "RUNNING")


class Jobs:
    """Jobs in a folder."""

    def __init__(self, folder: Path) -> None:
        """Jobs of a folder, made if it is not there.

        Raises:
            OutputError: it cannot be made.
        """
        self.folder = folder
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)

    def create(self, task: Task, name: str = "") -> Job:
        """Begin a job; one of that name that asks for the same is answered as it stands.

        Raises:
            JobStateError: there is one of that name that asks for something else.
            ScoringError: a name that is none.
        """
        name = name or uuid.uuid4().hex[:12]
        if not _NAME.fullmatch(name):
            raise ScoringError(f"job name {name!r} must be 1 to 63 of a-z, 0-9 and -", field="name")
        place, asked = self.folder / name, {"task": task.to_json(), "created": time.time()}
        with writing(place):
            place.mkdir(exist_ok=True)
            if not (place / "job.json").exists():
                write_json(place / "job.json", asked)
        job = self.get(name)
        if job.task != task:
            raise JobStateError(f"there is a job {name!r} that asks for something else")
        return job

    def get(self, name: str) -> Job:
        """A job as it stands.

        Raises:
            UnknownJobError: there is none.
        """
        place = self._place(name)
        asked = read_json(place / "job.json")
        if asked is None:
            raise UnknownJobError(f"there is no job {name!r}", field="name")
        progress, outcome = read_json(place / "progress.json"), read_json(place / "outcome.json")
        state = "RUNNING" if progress else "QUEUED"
        told = outcome or {}
        return Job(
            name=name,
            task=Task.from_json(asked["task"]),
            created=asked["created"],
            state=told.get("state", state),
            rows=(progress or {}).get("rows", 0),
            of=(progress or {}).get("of", 0),
            error=told.get("message", ""),
            reason=told.get("reason", ""),
        )

    def all(self) -> list[Job]:
        """All jobs, the latest first."""
        found = []
        for place in self.folder.iterdir():
            with contextlib.suppress(UnknownJobError):  # half made, or deleted meanwhile
                found.append(self.get(place.name))
        return sorted(found, key=lambda job: -job.created)

    def cancel(self, name: str) -> None:
        """Have a job end, if it has not."""
        if not self.get(name).ended:
            (self._place(name) / "cancel").touch()

    def cancelled(self, name: str) -> bool:
        """Whether a job is to end."""
        return (self._place(name) / "cancel").exists()

    def end(self, name: str, outcome: dict[str, Any]) -> None:
        """Note how a job ended."""
        write_json(self._place(name) / "outcome.json", outcome)

    def delete(self, name: str) -> None:
        """Remove a job that has ended.

        Raises:
            JobStateError: it has not.
        """
        job = self.get(name)
        if not job.ended:
            raise JobStateError(f"job {name!r} is {job.state}: cancel it first", field="name")
        deleted = self.folder / f"{_DELETED}{uuid.uuid4().hex}"
        with writing(self.folder):
            try:
                self._place(name).rename(deleted)  # at once: half a job would be a job to do
            except FileNotFoundError:
                raise UnknownJobError(f"there is no job {name!r}", field="name") from None
            shutil.rmtree(deleted)

    def tidy(self) -> None:
        """Remove what is left of jobs that were being deleted when a server was killed."""
        for left in self.folder.glob(f"{_DELETED}*"):
            shutil.rmtree(left, ignore_errors=True)  # whoever deletes it may be at it

    def files(self, name: str) -> dict[str, Path]:
        """The files of a job that has succeeded, by name."""
        if self.get(name).state != "SUCCEEDED":
            return {}
        run = self._place(name) / "run"
        found = [path for pattern in _FILES for path in sorted(run.glob(pattern))]
        return {str(path.relative_to(run)): path for path in found}

    def file(self, name: str, file: str) -> Path:
        """Where a file of a job is.

        Raises:
            UnknownJobError: there is no such job, or it has no such file (yet).
        """
        files = self.files(name)
        if file not in files:
            state = self.get(name).state
            raise UnknownJobError(f"job {name!r} ({state}) has no file {file!r}", field="file")
        return files[file]

    def _place(self, name: str) -> Path:
        if not _NAME.fullmatch(name):
            raise UnknownJobError(f"there is no job {name[:63]!r}", field="name")
        return self.folder / name


class Runner:
    """Has jobs computed, if no other process does."""

    def __init__(self, jobs: Jobs, roots: Sequence[Path], *, at_once: int, workers: int) -> None:
        """Have `at_once` jobs computed at a time, each on so many threads."""
        self._jobs, self._roots = jobs, roots
        self._at_once, self._workers = at_once, workers
        self._running: dict[str, asyncio.Task[None]] = {}
        self._processes: dict[str, Process] = {}
        self._ending = False

    async def run(self) -> None:
        """Compute jobs until this is cancelled; those under way go on when it is run again."""
        lock = await self._lock()
        try:
            await asyncio.to_thread(self._jobs.tidy)
            while True:
                await self._look()
                await asyncio.sleep(PAUSE)
        finally:
            self._ending = True
            for process in self._processes.values():
                with contextlib.suppress(ProcessLookupError):
                    process.terminate()
            await asyncio.gather(*self._running.values(), return_exceptions=True)
            lock.close()

    async def _lock(self) -> IO[str]:
        """Wait to be the one."""
        lock = (self._jobs.folder / ".lock").open("a")
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                await asyncio.sleep(PAUSE)
            else:
                return lock

    async def _look(self) -> None:
        """Begin what waits, stop what is cancelled."""
        jobs = await asyncio.to_thread(self._jobs.all)
        for job in reversed(jobs):
            if job.ended:
                continue
            if self._jobs.cancelled(job.name):
                self._stop(job.name)
            elif job.name not in self._running and len(self._running) < self._at_once:
                task = asyncio.create_task(self._compute(job))
                self._running[job.name] = task

    def _stop(self, name: str) -> None:
        process = self._processes.get(name)
        if process is not None and process.returncode is None:
            process.terminate()
        elif name not in self._running:
            self._jobs.end(name, {"state": "CANCELLED"})

    async def _compute(self, job: Job) -> None:
        """Have a job computed to its end, in a process that ends with this one."""
        name = job.name
        log.info("job begins", extra={"job": name})
        try:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "lossd.scoring.job", str(self._jobs.folder / name),
                str(self._workers), *map(str, self._roots),
                stdin=PIPE, stdout=DEVNULL, stderr=PIPE,
            )  # fmt: skip
            self._processes[name] = process
            assert process.stderr is not None
            said = await process.stderr.read()
            status = await process.wait()
            self._conclude(job, status, said)
        finally:
            del self._running[name]
            self._processes.pop(name, None)

    def _conclude(self, begun: Job, status: int, said: bytes) -> None:
        name = begun.name
        try:
            job = self._jobs.get(name)
            if job.ended:
                log.info("job ended", extra={"job": name, "state": job.state})
            elif job.created != begun.created:
                log.info("job deleted, there is a new one", extra={"job": name})
            elif self._jobs.cancelled(name):
                self._jobs.end(name, {"state": "CANCELLED"})
            elif status == _STOPPED or self._ending:  # maybe before it could say so
                log.info("job stopped, goes on later", extra={"job": name})
            else:
                log.error("job's process failed", extra={"job": name, "status": status})
                log.error("%s", said.decode(errors="replace"))
                told = f"the job's process ended with status {status}; the server's log tells more"
                self._jobs.end(name, {"state": "FAILED", "reason": "INTERNAL", "message": told})
        except UnknownJobError:
            log.info("job deleted", extra={"job": name})
        except LossdError as error:
            log.error("%s", error)
