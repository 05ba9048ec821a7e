"""Who computes shards: threads of this process, servers, or a Ray cluster."""

import contextlib
import logging
import queue
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final, Protocol, cast

import numpy.typing as npt
from lossd_client.client import Client, connect
from lossd_client.errors import DeadlineError, ParameterError, ResourceError, UnavailableError

from lossd.scoring.errors import InterruptedRunError
from lossd.scoring.folder import Folder, Kept
from lossd.scoring.inputs import Inputs, Shard
from lossd.scoring.scorer import HERE, Evaluated, Evaluator, Scored, Scorer

Array = npt.NDArray[Any]

_log: Final = logging.getLogger(__name__)

TRANSIENT: Final = (UnavailableError, DeadlineError, ResourceError)
"""What may be otherwise when a server is asked again: it is not there, too slow, or has no room."""

TRIES: Final = 5
"""How often in a row a server may fail to answer before it is given up."""

SENT: Final = 16 << 20
"""Bytes of predictions that a server is asked about at a time: the way there and back costs half a
millisecond of processors, whatever it is asked."""

_FIRST_PAUSE: Final = 0.2  # seconds before a server is asked again; twice as long each time


class Engine(Protocol):
    """Computes shards in any order; asks servers, if there are targets."""

    targets: Sequence[str]

    def run(self, inputs: Inputs, folder: Folder, shards: Sequence[Shard]) -> Iterator[Kept]:
        """Compute shards and keep what they give in the folder.

        Raises:
            LossdError: what went wrong first; nothing is computed any more then.
        """


@dataclass
class Threads:
    """Threads that compute here, or that ask servers.

    Attributes:
        workers: how many; with targets, for each of them.
        targets: addresses of servers; none: compute in this process.
        timeout: seconds that a server has for a block, None for ever.
    """

    workers: int = 1
    targets: Sequence[str] = ()
    timeout: float | None = None

    def __post_init__(self) -> None:
        check_workers(self.workers)
        if self.timeout is not None and not self.timeout > 0:
            message = f"timeout = {self.timeout!r} must be more than 0 seconds, or None"
            raise ParameterError(message, field="timeout")
        if isinstance(self.targets, str):
            message = f"targets = {self.targets!r} must be a list of addresses"
            raise ParameterError(message, field="targets")

    def run(self, inputs: Inputs, folder: Folder, shards: Sequence[Shard]) -> Iterator[Kept]:
        """See `Engine`."""
        work = _Work(shards)
        with contextlib.ExitStack() as opened:
            keep = opened.enter_context(folder.keeping(inputs))
            evaluators = [HERE] * (0 if self.targets else self.workers)
            for target in self.targets:
                client = opened.enter_context(connect(target, timeout=self.timeout))
                evaluators += [remote(client)] * self.workers
            threads = opened.enter_context(ThreadPoolExecutor(len(evaluators), "lossd-score"))
            opened.callback(work.end, len(evaluators))  # before the threads are waited for
            yield from work.results(
                [threads.submit(work.do, inputs, each, keep) for each in evaluators]
            )


def check_workers(workers: int) -> None:
    """Raise if there is nobody to compute.

    Raises:
        ParameterError: there is not.
    """
    if workers < 1:
        raise ParameterError(f"workers = {workers} must be 1 or more", field="workers")


class _Work:
    """Shards that wait and what came of others, between the threads of a run."""

    def __init__(self, shards: Sequence[Shard]) -> None:
        self.stop = threading.Event()
        self._count = len(shards)
        self._waiting: queue.SimpleQueue[Shard | None] = queue.SimpleQueue()
        for shard in shards:
            self._waiting.put(shard)
        self._done: queue.SimpleQueue[Kept | None] = queue.SimpleQueue()  # None: a worker ended

    def end(self, workers: int) -> None:
        """Have all workers end."""
        self.stop.set()
        for _ in range(workers):
            self._waiting.put(None)

    def results(self, workers: Sequence[Future[None]]) -> Iterator[Kept]:
        """What comes of all shards; the first worker's error is raised."""
        for worker in workers:
            worker.add_done_callback(lambda _: self._done.put(None))
        left = self._count
        while left:
            kept = self._done.get()
            if kept is None:
                _raise_failure(workers)
            else:
                left -= 1
                yield kept

    def do(self, inputs: Inputs, evaluator: Evaluator, keep: Callable[[Scored], Kept]) -> None:
        """Compute shards until all is stopped.

        Raises:
            LossdError: the server does not answer any more, not in time, or has no room again
                and again.
        """
        scorer = Scorer(inputs, evaluator, self.stop)
        failures = 0
        while (shard := self._waiting.get()) and not self.stop.is_set():
            try:
                scored = scorer.shard(shard)
            except TRANSIENT as error:
                self._waiting.put(shard)
                failures += 1
                if failures == TRIES:
                    raise
                _log.warning("%s: asked again", str(error).partition(" (")[0])
                self.stop.wait(_FIRST_PAUSE * 2 ** (failures - 1))
            except InterruptedRunError:
                return
            else:
                failures = 0
                self._done.put(keep(scored))


def _raise_failure(workers: Sequence[Future[None]]) -> None:
    """Raise what ended a worker; servers that are gone only when there is no other."""
    failures = [error for worker in workers if worker.done() and (error := worker.exception())]
    for error in failures:
        if not isinstance(error, TRANSIENT):
            raise error
    if len(failures) == len(workers):
        raise InterruptedRunError(
            f"no server answers any more: {failures[0]}. What is done stays: run it again to go on"
        ) from failures[0]


def remote(client: Client) -> Evaluator:
    """Has a server compute."""

    def evaluate(
        loss: str,
        arrays: Mapping[str, Array],
        parameters: Mapping[str, Any],
        gradients: Sequence[str],
    ) -> Evaluated:
        response = client.evaluate(
            loss, arrays, parameters=parameters, reduction="none", gradients=gradients
        )
        tensors = cast(Mapping[str, Array], response.tensors)
        made = {name: tensors[f"grad.{name}"] for name in gradients}
        return Evaluated(tensors["loss"], made, response.seconds)

    return Evaluator(evaluate, client.empty, SENT)
