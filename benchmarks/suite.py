"""The loop over losses and sizes: set up, check the results, time."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import torch
from lossd_client import connect
from lossd_client.client import Client

from benchmarks import contenders, processes
from benchmarks.raw import Exchange
from benchmarks.timing import Contender, Timing, interleaved
from benchmarks.workloads import INEXACT, Array, Workload, in_shared_memory
from lossd.kernels import runtime

Group = Literal["inprocess", "service", "raw"]
GROUPS: Final[tuple[Group, ...]] = ("inprocess", "service", "raw")

PING: Final = 1 << 20  # bytes of a request up to which raw gRPC is measured over unix too


class WrongResultError(Exception):
    """lossd and torch do not agree: there is nothing to time."""


@dataclass(frozen=True)
class Row:
    """One loss at one size.

    moved: bytes that a call reads and writes: its tensors and the gradient.
    sent, returned: bytes that it sends and gets over gRPC.
    timings: by contender: lossd, torch, copy, unix, place (a unix socket with tensors that are in
        shared memory), tcp, raw_unix, raw_tcp.
    """

    workload: Workload
    moved: int
    sent: int
    returned: int
    timings: Mapping[str, Timing]

    def seconds(self, contender: str) -> float:
        """The median; NaN for who was not measured."""
        timing = self.timings.get(contender)
        return timing.median if timing else math.nan

    def ratio(self, contender: str, other: str) -> float:
        """How many times the time of `other` a contender takes."""
        return self.seconds(contender) / self.seconds(other)


@dataclass(frozen=True)
class Setting:
    """What a run needs besides its workloads."""

    threads: int
    rounds: int
    groups: Sequence[Group]
    logs: Path


def run(workloads: Sequence[Workload], setting: Setting, done: Callable[[Row], None]) -> list[Row]:
    """Measure workloads one after the other; `done` is called with each row when it is there.

    Raises:
        WrongResultError: a result is not torch's.
    """
    torch.set_num_threads(setting.threads)
    runtime.set_threads(setting.threads)
    setting.logs.mkdir(parents=True, exist_ok=True)
    rows = []
    with ExitStack() as stack:
        clients: dict[str, Client] = {"lossd": stack.enter_context(connect("inproc:"))}
        echo: processes.Addresses | None = None
        if "service" in setting.groups:
            names = sorted({w.loss for w in workloads})
            log = setting.logs / "server.log"
            server = stack.enter_context(processes.lossd_server(names, setting.threads, log))
            clients["unix"] = stack.enter_context(connect(server.unix))
            clients["tcp"] = stack.enter_context(connect(server.tcp))
        if "raw" in setting.groups:
            echo = stack.enter_context(processes.echo_server(setting.logs / "echo.log"))
        for workload in workloads:
            rows.append(_measure(workload, setting, clients, echo))
            done(rows[-1])
    return rows


def _measure(
    workload: Workload,
    setting: Setting,
    clients: Mapping[str, Client],
    echo: processes.Addresses | None,
) -> Row:
    tensors = workload.tensors()
    calls = {name: contenders.lossd_call(workload, tensors, c) for name, c in clients.items()}
    if "unix" in clients:
        placed = in_shared_memory(tensors, clients["unix"])
        calls["place"] = contenders.lossd_call(workload, placed, clients["unix"])
    in_torch = contenders.torch_call(workload, tensors)
    answer = checked(workload, calls, in_torch)
    moved = sum(array.nbytes for array in tensors.values()) + answer[1].nbytes
    request, returned = contenders.wire_bytes(workload, tensors, answer)
    del answer  # its memory goes back to the pool
    turns: dict[str, Contender] = {}
    if "inprocess" in setting.groups:
        turns["lossd"] = calls["lossd"]
        turns["torch"] = in_torch
        turns["copy"] = contenders.copy_call(tensors, setting.threads)
    with _exchanges(echo, request, returned) as raw:
        for name in ("unix", "place", "tcp"):
            if name in calls:
                turns[name] = calls[name]
            if name in raw:
                turns[f"raw_{name}"] = raw[name]
        timings = interleaved(turns, setting.rounds)
    return Row(workload, moved, len(request), returned, timings)


@contextmanager
def _exchanges(
    echo: processes.Addresses | None, request: bytes, returned: int
) -> Iterator[dict[str, Exchange]]:
    if echo is None:
        yield {}
        return
    found = {"tcp": Exchange(echo.tcp, request, returned)}
    if len(request) <= PING:
        found["unix"] = Exchange(echo.unix, request, returned)
    try:
        yield found
    finally:
        for exchange in found.values():
            exchange.close()


def checked(
    workload: Workload, calls: Mapping[str, Contender], in_torch: Contender
) -> tuple[float, Array]:
    """The answer, once it is torch's in-process and the same bits over gRPC.

    Raises:
        WrongResultError: it is not.
    """
    value, gradient = _answer(calls["lossd"])
    compare(workload, "lossd", (value, gradient), _answer(in_torch))
    for name in calls.keys() - {"lossd"}:
        served, served_gradient = _answer(calls[name])
        if served != value or not np.array_equal(served_gradient, gradient):
            where = f"{workload.loss} {workload.size}"
            raise WrongResultError(f"{where}: over {name} the answer has other bits than inproc:")
    return value, gradient


def compare(
    workload: Workload, who: str, answer: tuple[float, Array], torchs: tuple[float, Array]
) -> None:
    """Hold a loss and its gradient against torch's.

    Raises:
        WrongResultError: they are not torch's.
    """
    (value, gradient), (expected, expected_gradient) = answer, torchs
    where = f"{workload.loss} {workload.size}"
    times = INEXACT.get(workload.loss, 1)
    if not math.isclose(value, expected, rel_tol=2e-5 * times, abs_tol=1e-7):
        raise WrongResultError(f"{where}: {who}'s loss is {value}, torch's {expected}")
    step = max(1, gradient.size >> 22 | 1)  # at most 4M of the gradient's elements
    ours, theirs = gradient.reshape(-1)[::step], expected_gradient.reshape(-1)[::step]
    largest = float(np.abs(theirs).max())
    if not np.allclose(ours, theirs, rtol=1e-4 * times, atol=1e-5 * times * largest):
        worst = int(np.nanargmax(np.abs(ours - theirs)))
        raise WrongResultError(
            f"{where}: {who}'s gradient at {worst * step} is {ours[worst]}, torch's {theirs[worst]}"
        )


def _answer(call: Contender) -> tuple[float, Array]:
    answer: Any = call()
    value, gradient = answer
    return float(value), gradient
