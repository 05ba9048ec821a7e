"""Where and with what a run was made."""

import datetime
import os
import platform
import sys
import time
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Final

import llvmlite.binding
from rich.console import Console

BUSY: Final = 0.15  # cores that others use, from which figures are noise
PACKAGES = ("numpy", "numba", "torch", "grpcio", "lossd", "lossd-client")


def description(threads: int, rounds: int, module: str = "benchmarks") -> dict[str, str]:
    """Machine, versions and circumstances, by name."""
    return {
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "command": " ".join(["python -m", module, *sys.argv[1:]]),
        "cpu": _field("/proc/cpuinfo", "model name") or platform.processor(),
        "cores": str(len(os.sched_getaffinity(0))),
        "memory": _memory(),
        "kernel": f"{platform.system()} {platform.release()}",
        "busy before": f"{busy_cores():.2f} cores",
        "threads": str(threads),
        "rounds": str(rounds),
        "python": platform.python_version(),
        "llvm": ".".join(map(str, llvmlite.binding.llvm_version_info)),
    } | {name: version(name) for name in PACKAGES}


def warn(about: Mapping[str, str], log: Console) -> None:
    """Say when the machine is busy."""
    busy = about["busy before"]
    if float(busy.split()[0]) > BUSY:
        log.print(f"[yellow]{busy} are busy with something else: torch suffers most from that[/]")


def busy_cores() -> float:
    """How many cores others keep busy just now: half a second's sample, NaN where unknown."""
    before, start = _busy_ticks(), time.perf_counter()
    time.sleep(0.5)
    ticks = (_busy_ticks() - before) / (time.perf_counter() - start)
    return ticks / os.sysconf("SC_CLK_TCK")


def _busy_ticks() -> float:
    try:
        times = Path("/proc/stat").read_text().split("\n", 1)[0].split()
    except OSError:
        return float("nan")
    user, nice, system, _idle, _waiting, interrupts, soft = map(int, times[1:8])
    return user + nice + system + interrupts + soft


def _memory() -> str:
    kibibytes = (_field("/proc/meminfo", "MemTotal") or "0").split()[0]
    return f"{int(kibibytes) / (1 << 20):.1f} GiB"


def _field(path: str, name: str) -> str:
    """The first value of `name : value` in a file of /proc, "" where there is none."""
    try:
        lines = Path(path).read_text().splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(name)), "")
