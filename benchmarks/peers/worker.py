"""The driver's side of a peer's worker: start it, give it orders, time it where it runs."""

import json
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks.workloads import Array, Workload

REPOSITORY: Final = Path(__file__).resolve().parents[2]
STOP: Final = 30.0  # seconds that a worker may take to end, with its server


class PeerError(Exception):
    """A peer does not do what it is asked to."""


class Worker:
    """A running worker.

    Attributes:
        versions: of what it measures, by package.
    """

    def __init__(self, process: subprocess.Popen[str], log: Path) -> None:
        self._process, self._log = process, log
        self.versions: dict[str, str] = self._take()["versions"]

    def order(self, **order: Any) -> dict[str, Any]:
        """Give an order and take its answer.

        Raises:
            PeerError: it failed.
        """
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # it ended: what it said last tells why
            print(json.dumps(order), file=self._process.stdin, flush=True)
        return self._take()

    def _take(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            tail = self._log.read_text(errors="replace")[-2000:]
            raise PeerError(f"a worker ended; {self._log} says:\n{tail}")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise PeerError(answer["error"])
        return answer


@dataclass(frozen=True)
class Remote:
    """A contender in a worker."""

    worker: Worker
    name: str
    folder: Path

    def seconds(self, calls: int) -> float:
        """How long this many calls take, by the worker's clock."""
        answer = self.worker.order(do="time", contender=self.name, calls=calls)
        return float(answer["seconds"])

    def answer(self) -> int | tuple[float, Array]:
        """What a call gives: how many bytes, or a loss and its gradient."""
        answer = self.worker.order(do="answer", contender=self.name)
        if "bytes" in answer:
            return int(answer["bytes"])
        return float(answer["loss"]), np.load(self.folder / answer["gradient"])


@contextmanager
def started(module: str, python: Path, arguments: Sequence[str], log: Path) -> Iterator[Worker]:
    """A worker process in a peer's environment.

    Raises:
        PeerError: it does not start.
    """
    if not python.exists():
        raise PeerError(f"there is no {python}: `make bench-peers` sets up the peers' environments")
    with log.open("w") as output:
        process = subprocess.Popen(
            [python, "-m", module, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=output,
            text=True,
            cwd=REPOSITORY,
            start_new_session=True,  # Ctrl-C is for the driver, which ends its workers
        )
    try:
        yield Worker(process, log)
    finally:
        assert process.stdin is not None
        process.stdin.close()  # no more orders
        try:
            process.wait(STOP)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextmanager
def contenders(
    worker: Worker, workload: Workload, folder: Path, answer: int
) -> Iterator[dict[str, Remote]]:
    """A worker's contenders for a workload whose tensors and request are in a folder."""
    order = {"folder": str(folder), "loss": workload.loss, "answer": answer}
    names = worker.order(do="begin", **order)["contenders"]
    yield {name: Remote(worker, name, folder) for name in names}
    worker.order(do="end")  # after an error the worker is not asked for more
