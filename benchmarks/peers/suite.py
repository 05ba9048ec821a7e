"""The loop over workloads: set up, check everybody's results, time them in turns."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import numpy as np
import torch
from lossd_client import connect
from lossd_client.client import Client

from benchmarks import contenders, processes
from benchmarks.peers import worker
from benchmarks.peers.worker import Worker
from benchmarks.raw import Exchange
from benchmarks.suite import Row, WrongResultError, checked, compare
from benchmarks.timing import Contender, Elsewhere, interleaved
from benchmarks.workloads import Array, Workload, in_shared_memory
from lossd.kernels import runtime

WORKLOADS: Final = (
    Workload("cross_entropy", (64, 10)),
    Workload("cross_entropy", (4096, 1000)),
    Workload("cross_entropy", (512, 32000)),
    Workload("mse_loss", (1 << 20,)),
    Workload("mse_loss", (1 << 24,)),
    Workload("binary_cross_entropy_with_logits", (1 << 24,)),
)
PEERS: Final = ("flight", "triton")


@dataclass(frozen=True)
class Setting:
    """What a run needs besides its workloads.

    environments: folder with an environment for each peer.
    out: folder for logs and Triton's models.
    """

    threads: int
    rounds: int
    peers: Sequence[str]
    environments: Path
    out: Path


@dataclass(frozen=True)
class _Parties:
    """Everybody whom the driver calls: lossd's clients by contender, the echo, workers."""

    clients: Mapping[str, Client]
    echo: processes.Addresses
    workers: Sequence[Worker]


def run(
    workloads: Sequence[Workload], setting: Setting, done: Callable[[Row], None]
) -> tuple[list[Row], dict[str, str]]:
    """Measure workloads one after the other; `done` is called with each row when it is there.

    Returns:
        The rows, and the versions of the peers.

    Raises:
        PeerError: a peer does not start, or fails.
        WrongResultError: a result is not torch's, or an echo not as long as an answer.
    """
    torch.set_num_threads(setting.threads)
    runtime.set_threads(setting.threads)
    setting.out.mkdir(parents=True, exist_ok=True)
    rows: list[Row] = []
    losses = sorted({workload.loss for workload in workloads})
    with ExitStack() as stack:
        parties = _parties(stack, losses, setting)
        for workload in workloads:
            rows.append(_measure(workload, setting.rounds, parties))
            done(rows[-1])
        versions = [party.versions for party in parties.workers]
    return rows, {name: text for found in versions for name, text in found.items()}


def _parties(stack: ExitStack, losses: list[str], setting: Setting) -> _Parties:
    out, enter = setting.out, stack.enter_context
    arguments = {"triton": [str((out / "triton").resolve()), str(setting.threads), *losses]}
    workers = [
        enter(
            worker.started(
                f"benchmarks.peers.{peer}",
                setting.environments.absolute() / peer / "bin" / "python",
                arguments.get(peer, []),
                out / f"{peer}.log",
            )
        )
        for peer in setting.peers
    ]
    server = enter(processes.lossd_server(losses, setting.threads, out / "server.log"))
    unix = enter(connect(server.unix))
    clients = {
        "lossd": enter(connect("inproc:")),  # for the comparison with torch, not timed
        "tcp": enter(connect(server.tcp)),
        "shared": unix,
        "place": unix,
    }
    return _Parties(clients, enter(processes.echo_server(out / "echo.log")), workers)


def _measure(workload: Workload, rounds: int, parties: _Parties) -> Row:
    tensors = workload.tensors()
    placed = in_shared_memory(tensors, parties.clients["place"])
    calls = {
        name: contenders.lossd_call(workload, placed if name == "place" else tensors, client)
        for name, client in parties.clients.items()
    }
    in_torch = contenders.torch_call(workload, tensors)
    answer = checked(workload, calls, in_torch)
    moved = sum(array.nbytes for array in tensors.values()) + answer[1].nbytes
    request, returned = contenders.wire_bytes(workload, tensors, answer)
    del answer, calls["lossd"]  # the answer's memory goes back to the pool
    with TemporaryDirectory(prefix="lossd-bench-") as name, ExitStack() as stack:
        folder = Path(name)
        for tensor, array in tensors.items():
            np.save(folder / f"{tensor}.npy", array)
        (folder / "request").write_bytes(request)
        turns: dict[str, Contender | Elsewhere] = {"torch": in_torch, **calls}
        turns["raw_tcp"] = stack.enter_context(_exchange(workload, parties, request, returned))
        for party in parties.workers:
            remote = stack.enter_context(worker.contenders(party, workload, folder, returned))
            for contender in remote.values():
                _agree(workload, contender, in_torch, returned)
            turns |= remote
        timings = interleaved(turns, rounds)
    return Row(workload, moved, len(request), returned, timings)


@contextmanager
def _exchange(
    workload: Workload, parties: _Parties, request: bytes, returned: int
) -> Iterator[Exchange]:
    exchange = Exchange(parties.echo.tcp, request, returned)
    try:
        _echoes(workload, "raw_tcp", exchange(), returned)
        yield exchange
    finally:
        exchange.close()


def _agree(
    workload: Workload, contender: worker.Remote, in_torch: Contender, returned: int
) -> None:
    answer = contender.answer()
    if isinstance(answer, int):
        _echoes(workload, contender.name, answer, returned)
    else:
        expected: tuple[float, Array] = in_torch()  # type: ignore[assignment]
        compare(workload, contender.name, answer, expected)


def _echoes(workload: Workload, who: str, count: int, returned: int) -> None:
    if count != returned:
        raise WrongResultError(
            f"{workload.loss} {workload.size}: {who} gave {count} bytes, an answer has {returned}"
        )
