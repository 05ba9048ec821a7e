"""A run as a job in a folder of its own (lossd.scoring.job_files), in a process of its own.

python -m lossd.scoring.job FOLDER WORKERS ROOT...
"""

import fcntl
import os
import signal
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from lossd_client.errors import LossdError

from lossd.scoring.disk import read_json, write_json
from lossd.scoring.engines import Threads
from lossd.scoring.inputs import Inputs
from lossd.scoring.job_files import CANCEL, JOB, LOCK, OUTCOME, PROGRESS, RUN, STOPPED
from lossd.scoring.roots import check_files, check_inside
from lossd.scoring.run import Progress, run
from lossd.scoring.task import Task

_STDIN: Final = 0
_PAUSE: Final = 0.25  # seconds between two notes of progress
_LONGEST: Final = 4000  # characters that are told of an error


def do(folder: Path, workers: int, roots: Sequence[Path]) -> None:
    """Do a job, or what is left of it; nothing if it has ended.

    Raises:
        KeyboardInterrupt: it was stopped, and not cancelled.
    """
    if (folder / OUTCOME).exists():  # a server may have looked before that
        return None
    try:
        asked = read_json(folder / JOB)
        assert asked is not None, f"{folder} has no {JOB}"
        task = Task.from_json(asked.get("task"))
        for name in task.sources():
            check_inside(name, roots)
        run(
            task,
            folder / RUN,
            engine=Threads(workers),
            watch=_Notes(folder).watch,
            check=lambda inputs: _check_opened(inputs, roots),
        )
    except LossdError as error:
        told = {"reason": error.reason, "message": str(error)[:_LONGEST]}
        return write_json(folder / OUTCOME, {"state": "FAILED", **told})
    except KeyboardInterrupt:
        if not (folder / CANCEL).exists():
            raise
        return write_json(folder / OUTCOME, {"state": "CANCELLED"})
    return write_json(folder / OUTCOME, {"state": "SUCCEEDED"})


def _check_opened(inputs: Inputs, roots: Sequence[Path]) -> None:
    """Raise if what is open now is elsewhere: a link may have changed since it was looked at.

    Raises:
        SourceError: it is.
    """
    opened = inputs.everything()
    for key, name in inputs.names().items():
        if key in opened:
            check_files(name, opened[key].files, roots)
        else:
            check_inside(name, roots)  # was taken whole


class _Notes:
    """Notes how far a job is, now and then."""

    def __init__(self, folder: Path) -> None:
        self._path, self._next = folder / PROGRESS, 0.0

    def watch(self, progress: Progress) -> None:
        if time.monotonic() >= self._next or progress.rows == progress.of:
            write_json(self._path, {"rows": progress.rows, "of": progress.of})
            self._next = time.monotonic() + _PAUSE


def _end_with_parent() -> None:
    """Stop when whoever holds the other end of the standard input has ended."""
    os.read(_STDIN, 1)
    os.kill(os.getpid(), signal.SIGINT)


def main() -> None:
    """Do the job that the arguments name."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    folder, workers, *roots = sys.argv[1:]
    try:
        with (Path(folder) / LOCK).open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # the process of a killed server may still be ending
            do(Path(folder), int(workers), [Path(root) for root in roots])
    except KeyboardInterrupt:
        raise SystemExit(STOPPED) from None


if __name__ == "__main__":
    main()
