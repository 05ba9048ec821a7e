"""No call in steady state allocates memory of a tensor's size: pages are not new to anybody."""

import contextlib
import ctypes
import statistics
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from .conftest import StartServer, answers
from .servers import PATIENCE, environment

pytestmark = pytest.mark.thorough

PAGES = 3 << 12
"""Pages of 4 KiB that each of a call's tensors has: predictions, targets and gradient.

They are 48 MiB. What is larger than 32 MiB no C library keeps when it is freed: each page of an
array that is made anew is a fault.
"""

SET_THP_DISABLE = 41  # of prctl(2)

CLIENT = """
import sys
from pathlib import Path
import numpy as np
from lossd_client import connect, nn

address, server, way, pages = sys.argv[1:]

def faults(process):
    stat = Path(f"/proc/{process}/stat").read_text()
    return int(stat.rpartition(")")[2].split()[7])

with connect(address) as client:
    criterion = nn.MSELoss(client=client)
    size = int(pages) << 10
    x, y = (client.empty(size) if way == "in place" else np.empty(size, "f") for _ in "xy")
    x[:], y[:] = 3, 1
    for call in range(40):
        before = [faults(process) for process in (server, "self")]
        value, gradient = criterion.value_and_grad(x, y)
        after = [faults(process) for process in (server, "self")]
        assert value == 4 and abs(gradient[-1] * size - 4) < 1e-5
        if call >= 15:
            print(*(b - a for a, b in zip(before, after)))
"""
"""Calls, and the page faults of server and client in each of the later ones."""


@contextlib.contextmanager
def small_pages() -> Iterator[None]:
    """Processes that are started within have pages of 4 KiB alone: a fault for each that is new."""
    prctl = ctypes.CDLL(None).prctl
    assert prctl(SET_THP_DISABLE, 1, 0, 0, 0) == 0
    try:
        yield
    finally:
        prctl(SET_THP_DISABLE, 0, 0, 0, 0)


KEPT = {"MALLOC_TRIM_THRESHOLD_": str(64 << 20), "MALLOC_MMAP_THRESHOLD_": str(32 << 20)}
"""Has glibc keep the memory that is freed, as lossd's servers do (server/malloc.py)."""


@pytest.mark.parametrize(
    ("way", "of_server", "of_client", "settings"),
    [
        ("in place", PAGES / 32, PAGES / 32, {}),
        ("copied", PAGES / 32, PAGES / 32, {}),
        ("TCP", PAGES / 8, PAGES / 8, KEPT),
        # a client leaves its program's allocator as it is: some messages' memory is given back
        ("TCP", PAGES / 8, PAGES * 3 / 4, {}),
    ],
    ids=["in place", "copied", "TCP, freed memory is kept", "TCP"],
)
def test_a_call_in_steady_state_has_hardly_a_new_page(
    start_server: StartServer,
    tmp_path: Path,
    way: str,
    of_server: float,
    of_client: float,
    settings: dict[str, str],
) -> None:
    """Most of the calls: over TCP gRPC's buffers grow now and then."""
    unix = f"unix:{tmp_path}/lossd.sock"
    with small_pages():
        server = start_server(listen=("127.0.0.1:0", unix))
        address = server.addresses(2)[0] if way == "TCP" else unix
        done = subprocess.run(
            [sys.executable, "-c", CLIENT, address, str(server.process.pid), way, str(PAGES)],
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            env=environment(settings),
            check=False,
        )
    assert done.returncode == 0, done.stderr
    calls = [[int(number) for number in line.split()] for line in done.stdout.splitlines()]
    assert len(calls) == 25
    servers, clients = zip(*calls, strict=True)
    assert statistics.median(servers) < of_server, servers
    assert statistics.median(clients) < of_client, clients
    answers(address)
