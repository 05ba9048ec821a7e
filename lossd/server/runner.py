"""Has scoring jobs computed, each in a process of its own (lossd.scoring.job)."""

import asyncio
import contextlib
import fcntl
import os
import sys
import time
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Final

from lossd_client.errors import LossdError, UnknownJobError

from lossd.scoring.job_files import OUTCOME, STOPPED
from lossd.server.jobs import PAUSE, Complaints, Job, Jobs
from lossd.server.logs import log

PATIENCE: Final = 10.0
"""Seconds that a job's process has to stop before it is killed."""

_RESCAN: Final = 5.0  # seconds after which all jobs are looked at even if nothing tells of new ones


class Runner:
    """Has jobs computed, if no other process does."""

    def __init__(
        self,
        jobs: Jobs,
        roots: Sequence[Path],
        *,
        at_once: int,
        workers: int,
        patience: float = PATIENCE,
    ) -> None:
        """Have `at_once` jobs computed at a time, each on so many threads.

        Args:
            jobs: those.
            roots: folders that they may read.
            at_once: processes at a time.
            workers: threads of each.
            patience: seconds that a process has to stop before it is killed.
        """
        self._jobs, self._roots = jobs, roots
        self._at_once, self._workers, self._patience = at_once, workers, patience
        self._queue = _Queue(jobs)
        self._running: dict[str, asyncio.Task[None]] = {}
        self._processes: dict[str, Process] = {}
        self._stopped: set[Process] = set()
        self._complaints = Complaints()
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
            for process in list(self._processes.values()):
                self._end(process)
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
        """Begin what waits, stop what is cancelled; nothing in a job's folder ends this."""
        try:
            jobs = await asyncio.to_thread(self._queue.jobs)
        except LossdError as error:
            return self._complaints.add("", error)
        self._complaints.drop("")
        for job in jobs:
            try:
                self._attend(job)
            except LossdError as error:
                self._complaints.add(job.name, error)
        return None

    def _attend(self, job: Job) -> None:
        """Begin a job if it is its turn, stop it if it is cancelled.

        Raises:
            OutputError: its end cannot be noted.
        """
        if self._jobs.cancelled(job.name):
            self._stop(job.name)
        elif job.name not in self._running and len(self._running) < self._at_once:
            self._running[job.name] = asyncio.create_task(self._compute(job))

    def _stop(self, name: str) -> None:
        process = self._processes.get(name)
        if process is not None:
            self._end(process)
        elif name not in self._running:
            self._jobs.end(name, {"state": "CANCELLED"})

    def _end(self, process: Process) -> None:
        """Ask a process to stop, and kill it if it does not: it may be stuck where it cannot."""
        if process in self._stopped or process.returncode is not None:
            return
        self._stopped.add(process)
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        asyncio.get_running_loop().call_later(self._patience, _kill, process)

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
            self._complaints.drop(name)
            if self._ending:
                self._end(process)
            assert process.stderr is not None
            said = await process.stderr.read()
            status = await process.wait()
            self._stopped.discard(process)
            self._conclude(job, status, said)
        except OSError as error:  # no memory, no more processes: it is tried again
            self._complaints.add(name, error)
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
            elif status == STOPPED or self._ending:  # maybe before it could say so
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


def _kill(process: Process) -> None:
    if process.returncode is None:
        log.warning("job's process does not stop, is killed", extra={"pid": process.pid})
        process.kill()


class _Queue:
    """The jobs that have not ended. Of those that have nothing is read again."""

    def __init__(self, jobs: Jobs) -> None:
        self._all = jobs
        self._names: set[str] = set()
        self._changed, self._until = -1, 0.0

    def jobs(self) -> list[Job]:
        """The jobs that have not ended, the earliest first.

        Raises:
            OutputError: their folder cannot be read.
        """
        self._scan()
        found = [self._all.readable(name) for name in self._names]
        self._names -= {job.name for job in found if job and job.ended}
        return sorted((job for job in found if job and not job.ended), key=lambda job: job.created)

    def _scan(self) -> None:
        """Look which jobs there are, if there may be other ones."""
        folder, changed = self._all.folder, -1
        with contextlib.suppress(OSError):
            changed = folder.stat().st_mtime_ns
        if changed == self._changed and time.monotonic() < self._until:
            return
        self._names = {
            name
            for name in self._all.names()
            if not os.path.exists(folder / name / OUTCOME)  # noqa: PTH110  where not permitted, too
        }
        self._changed, self._until = changed, time.monotonic() + _RESCAN
