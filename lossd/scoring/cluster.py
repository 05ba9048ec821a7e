"""Shards on a Ray cluster: Ray Data hands them to actors that read, compute and keep them.

Every node must see the sources and the results' folder under the same paths, as on a network file
system.
"""

import json
import logging
import os
import pickle
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import ray
import ray.data
from lossd_client.client import connect
from lossd_client.errors import LossdError, UnavailableError

from lossd.scoring.engines import check_workers, remote
from lossd.scoring.exact import ExactSum
from lossd.scoring.folder import Folder, Kept, Part
from lossd.scoring.inputs import Inputs, Shard
from lossd.scoring.scorer import HERE, Scorer, Spent
from lossd.scoring.task import Task

_PATIENCE: Final = 10.0
"""Seconds that a cluster has to take a connection."""


@dataclass
class Ray:
    """Actors of a Ray cluster that compute, or that ask servers.

    Attributes:
        workers: how many actors, each on a processor of its own.
        address: the cluster's; None: that of $RAY_ADDRESS, or one of this machine's own that ends
            with this process.
        targets: addresses of servers that actors ask, in turn; none: they compute themselves.
        timeout: seconds that a server has for a block, None for ever.
    """

    workers: int = 2
    address: str | None = None
    targets: Sequence[str] = ()
    timeout: float | None = None

    def __post_init__(self) -> None:
        check_workers(self.workers)

    def run(self, inputs: Inputs, folder: Folder, shards: Sequence[Shard]) -> Iterator[Kept]:
        """See `engines.Engine`."""
        if not shards:
            return
        self._join()
        rows = [{"number": s.number, "start": s.start, "stop": s.stop} for s in shards]
        parts = ray.data.from_items(rows, override_num_blocks=len(rows)).map(
            _Actor,
            fn_constructor_args=(
                inputs.task.to_json(),
                str(folder.path.absolute()),
                folder.identity,
                list(self.targets),
                self.timeout,
            ),
            compute=ray.data.ActorPoolStrategy(size=min(self.workers, len(rows))),
            num_cpus=1,
        )
        for row in parts.iter_rows():
            if row["error"]:
                raise pickle.loads(row["error"])
            yield _kept(row["kept"])

    def _join(self) -> None:
        if ray.is_initialized():
            return
        _check_answers(self.address or os.environ.get("RAY_ADDRESS", ""))
        ray.init(address=self.address, log_to_driver=False, logging_level=logging.ERROR)
        ray.data.DataContext.get_current().enable_progress_bars = False
        logging.getLogger("ray.data").setLevel(logging.ERROR)


def _check_answers(address: str) -> None:
    """Raise if nobody answers at a cluster's address: Ray itself would ask for ever.

    Raises:
        UnavailableError: nobody does.
    """
    host, colon, port = address.rpartition("://")[2].rpartition(":")
    if not (colon and port.isdecimal()):  # "auto", "local" or none
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_PATIENCE).close()
    except OSError as error:
        raise UnavailableError(f"no Ray cluster answers at {address}: {error}") from error


class _Actor:
    """Computes shards on a node, keeps them and tells what they gave."""

    def __init__(
        self,
        task: Mapping[str, Any],
        out: str,
        identity: str,
        targets: Sequence[str],
        timeout: float | None,
    ) -> None:
        self._opened = ExitStack()
        inputs = Inputs(Task.from_json(task))
        self._opened.callback(inputs.close)
        evaluator = HERE
        if targets:
            turn = int(ray.get_runtime_context().get_actor_id(), 16) % len(targets)
            evaluator = remote(self._opened.enter_context(connect(targets[turn], timeout=timeout)))
        self._scorer = Scorer(inputs, evaluator)
        self._keep = self._opened.enter_context(Folder(Path(out), identity).keeping(inputs))

    def __call__(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """What became of a shard; an error as a value, since Ray keeps only an exception's text."""
        shard = Shard(int(row["number"]), int(row["start"]), int(row["stop"]))
        try:
            kept = self._keep(self._scorer.shard(shard))
        except LossdError as error:
            return {"kept": "", "error": pickle.dumps(error)}
        told = {"shard": list(shard), "spent": asdict(kept.spent)}
        sums = {"total": kept.part.total.dump(), "divisor": kept.part.divisor.dump()}
        return {"kept": json.dumps(told | sums), "error": b""}


def _kept(content: str) -> Kept:
    told = json.loads(content)
    total, divisor = ExactSum.load(told["total"]), ExactSum.load(told["divisor"])
    return Kept(Part(Shard(*told["shard"]), total, divisor), Spent(**told["spent"]))
