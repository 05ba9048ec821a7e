"""Where the time of one call goes: what each part takes in the client and in the server.

Functions of both are wrapped in timers; a part's time is without that of parts within it. What is
left of the whole is gRPC, the operating system, and waiting. Over TCP, where processors are the
limit: what client and server take of them, beside raw gRPC that carries the same bytes, and what
share of raw gRPC's speed would be left if they took no more than that and the kernel.

    python -m benchmarks.breakdown
"""

import atexit
import functools
import inspect
import json
import os
import statistics
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from lossd_client import connect, filling, pending, shared, wire
from rich.console import Console
from rich.table import Table

from benchmarks.contenders import lossd_call, wire_bytes
from benchmarks.processes import Addresses, beside_raw, lossd_server, processor_seconds
from benchmarks.raw import Exchange
from benchmarks.workloads import Workload, evaluation

FILE: Final = "BREAKDOWN_FILE"
WARM: Final = 100

CLIENT: Final[dict[str, list[tuple[Any, str]]]] = {
    "encode": [(wire, "write_stream")],
    "decode": [(wire, "read_stream_response"), (pending.Pending, "take")],
    "copy to shared memory": [(shared.SharedPool, "place"), (filling.Filling, "go_on")],
}


def server_parts() -> dict[str, list[tuple[Any, str]]]:
    """What is timed in a server."""
    from lossd import filling, plan, steps
    from lossd.kernels import rings, runtime
    from lossd.server import streams

    return {
        "decode": [(wire, "read_stream_request")],
        "receive": [(streams.Stream, "_receive"), (streams.Stream, "_take_piped")],
        "engine": [
            (plan.KernelPlan, "run"),
            (steps.Steps, "step"),
            (filling.Filling, "__init__"),
            (filling.Filling, "go_on"),
        ],
        "kernel": [(runtime, "run_serial"), (runtime, "run_parallel")],
        "kernel, while tensors are written": [(rings, "run")],
        "encode": [(wire, "write_stream")],
    }


class Timers:
    """Time spent in parts, each without those within it."""

    def __init__(self, parts: Mapping[str, list[tuple[Any, str]]]) -> None:
        self.total: defaultdict[str, float] = defaultdict(float)
        self._local = threading.local()
        for part, functions in parts.items():
            for owner, name in functions:
                setattr(owner, name, self._timed(part, getattr(owner, name)))

    def _timed(self, part: str, function: Callable[..., Any]) -> Callable[..., Any]:
        if inspect.isgeneratorfunction(function):

            @functools.wraps(function)
            def each(*args: Any, **more: Any) -> Iterator[Any]:
                steps, nothing = function(*args, **more), object()
                step = self._timed(part, lambda: next(steps, nothing))
                return iter(step, nothing)

            return each

        @functools.wraps(function)
        def timed(*args: Any, **more: Any) -> Any:
            within = vars(self._local).setdefault("within", [])
            within.append(0.0)
            start = time.perf_counter()
            try:
                return function(*args, **more)
            finally:
                took = time.perf_counter() - start
                self.total[part] += took - within.pop()
                if within:
                    within[-1] += took

        return timed


SMALL: Final = Workload("cross_entropy", (64, 10))
LARGE: Final = Workload("cross_entropy", (4096, 1000))
LARGER: Final = Workload("cross_entropy", (512, 32_000))

PATHS: Final[dict[str, tuple[str, Workload, bool, int]]] = {
    "64x10, unix socket": ("unix", SMALL, False, 3000),
    "64x10, TCP": ("tcp", SMALL, False, 3000),
    "4096x1000, shared memory": ("unix", LARGE, False, 400),
    "4096x1000, in place": ("unix", LARGE, True, 400),
    "4096x1000, TCP": ("tcp", LARGE, False, 100),
    "512x32000, shared memory": ("unix", LARGER, False, 100),
    "512x32000, in place": ("unix", LARGER, True, 100),
}


def measure(path: str, timers: Timers) -> dict[str, float]:
    """Parts of a call in µs, by "client PART" and "server PART"; "whole" is the median call."""
    kind, workload, in_place, count = PATHS[path]
    with tempfile.TemporaryDirectory(prefix="lossd-breakdown-") as name:
        file = Path(name) / "totals"
        os.environ[FILE] = str(file)
        server = lossd_server(["cross_entropy"], 2, Path(name) / "log", "benchmarks.breakdown")
        with server as addresses, connect(_target(addresses, kind)) as client:
            call = evaluation(workload, client, in_place=in_place)
            for _ in range(WARM):
                call()
            timers.total.clear()
            times = []
            for _ in range(count):
                start = time.perf_counter()
                call()
                times.append(time.perf_counter() - start)
            found = {f"client {part}": t / count for part, t in timers.total.items()}
        totals = json.loads(file.read_text())
    found |= {f"server {part}": t / (count + WARM) for part, t in totals.items()}
    return {"whole": statistics.median(times)} | found


SENT: Final = (
    Workload("mse_loss", (1 << 16,)),
    Workload("kl_div", (1 << 16,)),
    Workload("mse_loss", (1 << 20,)),
    Workload("cross_entropy", (4096, 100)),
    LARGE,
    LARGER,
    Workload("mse_loss", (1 << 24,)),
)
SECONDS: Final = 1.0
ROUNDS: Final = 3


class Taken(NamedTuple):
    """Seconds of a call: the whole, and processors' time of its client and its server."""

    whole: float
    client: float
    server: float


def taken(call: Callable[[], object], server: int) -> Taken:
    """What a call takes, the mean of many.

    Args:
        call: the client's, in this process.
        server: the process that serves it.
    """
    for _ in range(5):
        call()
    count, began = 0, time.perf_counter()
    own, others = time.process_time(), processor_seconds(server)
    while time.perf_counter() - began < SECONDS:
        call()
        count += 1
    spent = processor_seconds(server) - others
    whole, client = time.perf_counter() - began, time.process_time() - own
    return Taken(whole / count, client / count, spent / count)


def medians(rounds: Sequence[Taken]) -> Taken:
    """Of several rounds."""
    return Taken(*map(statistics.median, zip(*rounds, strict=True)))


def over_tcp() -> Table:
    """What calls take of processors over TCP, in turns with raw gRPC."""
    title = (
        "Time and processors' time of a call over TCP: lossd, raw gRPC, what lossd takes more, of "
        "which the kernel; shares of raw gRPC's speed, measured and with the kernel alone"
    )
    heads = [f"{who}: {what}" for who in ("lossd", "raw") for what in ("whole", "client", "server")]
    heads += ["more", "kernel", "share", "limit"]
    table = Table("ms", *heads, title=title, box=None, pad_edge=False)
    names = sorted({workload.loss for workload in SENT})
    with (
        beside_raw(names) as (server, echo),
        connect(server.tcp) as client,
        connect("inproc:") as here,
    ):
        for workload in SENT:
            tensors = workload.tensors()
            ours = lossd_call(workload, tensors, client)
            exchange = Exchange(echo.tcp, *wire_bytes(workload, tensors, ours()))
            rounds = [
                (taken(ours, server.process), taken(exchange, echo.process)) for _ in range(ROUNDS)
            ]
            exchange.close()
            lossd, raw = map(medians, zip(*rounds, strict=True))
            kernel = taken(lossd_call(workload, tensors, here), server.process).client
            carried = raw.client + raw.server
            more = lossd.client + lossd.server - carried
            numbers = [f"{seconds * 1e3:,.2f}" for seconds in (*lossd, *raw, more, kernel)]
            shares = [raw.whole / lossd.whole, carried / (carried + kernel)]
            numbers += [f"{share:.0%}" for share in shares]
            table.add_row(f"{workload.loss} {workload.size}", *numbers)
    return table


def _target(addresses: Addresses, kind: str) -> str:
    return addresses.unix if kind == "unix" else addresses.tcp


def _serve() -> None:
    """`lossd serve` with timers, which are written to a file in the end."""
    from lossd.cli import main as cli

    timers = Timers(server_parts())
    atexit.register(lambda: Path(os.environ[FILE]).write_text(json.dumps(timers.total)))
    cli(sys.argv[1:])


def main() -> None:
    """Measure and print."""
    if sys.argv[1:2] == ["serve"]:
        _serve()
        return
    processors = over_tcp()  # before there are timers
    timers = Timers(CLIENT)
    found = {path: measure(path, timers) for path in PATHS}
    names = list(dict.fromkeys(name for row in found.values() for name in row))
    table = Table("part, µs", *found, box=None, pad_edge=False)
    for name in [*names[:1], *sorted(names[1:])]:
        table.add_row(name, *[_text(row.get(name)) for row in found.values()])
    rest = [row["whole"] - sum(t for n, t in row.items() if n != "whole") for row in found.values()]
    table.add_row("the rest", *map(_text, rest))
    console = Console(width=160)
    console.print(table)
    console.print(processors)


def _text(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds * 1e6:,.0f}"


if __name__ == "__main__":
    main()
