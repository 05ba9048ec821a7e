"""A run as a job in a folder of its own, in a process of its own.

```
job.json        what is asked for; written once, by whoever creates the job
cancel          is there once the job is to end
progress.json   how far it is
outcome.json    how it ended: the job is over
run/            the run (lossd.scoring.folder)
```
A job without an outcome goes on when it is run again.

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
from lossd.scoring.roots import check_inside
from lossd.scoring.run import Progress, run
from lossd.scoring.task import Task

STOPPED: Final = 130
"""Exit status of a job that was stopped before its end, and can go on."""

_STDIN: Final = 0
_PAUSE: Final = 0.25  # seconds between two notes of progress


def do(folder: Path, workers: int, roots: Sequence[Path]) -> None:
    """Do a job, or what is left of it.

    Raises:
        KeyboardInterrupt: it was stopped, and not cancelled.
    """
    try:
        asked = read_json(folder / "job.json")
        assert asked is not None, f"{folder} has no job.json"
        task = Task.from_json(asked["task"])
        for name in task.sources():
            check_inside(name, roots)
        result = run(task, folder / "run", engine=Threads(workers), watch=_Notes(folder).watch)
    except LossdError as error:
        told = {"reason": error.reason, "field": error.field, "message": str(error)}
        return write_json(folder / "outcome.json", {"state": "FAILED", **told})
    except KeyboardInterrupt:
        if not (folder / "cancel").exists():
            raise
        return write_json(folder / "outcome.json", {"state": "CANCELLED"})
    return write_json(folder / "outcome.json", {"state": "SUCCEEDED", "loss": str(result.loss)})


class _Notes:
    """Notes how far a job is, now and then."""

    def __init__(self, folder: Path) -> None:
        self._path, self._next = folder / "progress.json", 0.0

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
        with (Path(folder) / ".lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # the process of a killed server may still be ending
            do(Path(folder), int(workers), [Path(root) for root in roots])
    except KeyboardInterrupt:
        raise SystemExit(STOPPED) from None


if __name__ == "__main__":
    main()
