"""How often the bytes of tensors are copied on each path, and what is allocated for a call.

A library that counts (copies.c, built with the system's C compiler) is loaded before the C library
into a client and a server, and a call that has been made often is made some times more.

    python -m benchmarks.copies
"""

import mmap
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
from lossd_client import connect
from rich.console import Console
from rich.table import Table

from benchmarks.processes import Addresses, lossd_server
from benchmarks.workloads import Workload, evaluation

WARM: Final = 20
CALLS: Final = 20
WORKLOAD: Final = Workload("cross_entropy", (4096, 1000))
COUNTS: Final = "COPIES_COUNTS"
SERVER: Final = "COPIES_SERVERS_COUNTS"
KINDS: Final = ("copied", "sent", "received")


class Counts:
    """What the library counted in a process, as it goes on.

    Args:
        path: the file that it counts in.
    """

    def __init__(self, path: str) -> None:
        with Path(path).open("r+b") as file:
            self._numbers = np.frombuffer(mmap.mmap(file.fileno(), 8 * len(KINDS)), np.int64)

    def read(self) -> npt.NDArray[np.int64]:
        """Bytes of each kind so far."""
        return self._numbers.copy()


def _faults(process: int | str) -> int:
    """Pages that were new to a process so far."""
    return int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[7])


def measure(call: Callable[[], object], server: int) -> dict[str, float]:
    """Of one call: bytes that client and server copy, send and receive, and pages new to them."""
    for _ in range(WARM):
        call()
    counts = [Counts(os.environ[COUNTS]), Counts(os.environ[SERVER])]
    processes: list[int | str] = ["self", server]
    before = [c.read() for c in counts], [_faults(p) for p in processes]
    for _ in range(CALLS):
        call()
    found: dict[str, float] = {}
    for who, count, start, process, pages in zip(
        ("client", "server"), counts, before[0], processes, before[1], strict=True
    ):
        moved = (count.read() - start) / CALLS
        found |= {f"{who} {kind}": float(size) for kind, size in zip(KINDS, moved, strict=True)}
        found[f"{who} new pages"] = (_faults(process) - pages) / CALLS * mmap.PAGESIZE
    return found


def run(addresses: Addresses, server: int) -> dict[str, dict[str, float]]:
    """Measure every path."""
    paths = {
        "in this process": ("inproc:", False),
        "shared memory, in place": (addresses.unix, True),
        "shared memory": (addresses.unix, False),
        "TCP": (addresses.tcp, False),
    }
    found = {}
    for name, (target, in_place) in paths.items():
        with connect(target) as client:
            found[name] = measure(evaluation(WORKLOAD, client, in_place=in_place), server)
    return found


def show(found: dict[str, dict[str, float]]) -> None:
    """Print a table: bytes in multiples of the predictions' and gradients'."""
    rows, classes = WORKLOAD.shape
    size = 2 * 4 * rows * classes
    columns = list(next(iter(found.values())))
    table = Table("path", *columns, box=None, pad_edge=False)
    for path, row in found.items():
        table.add_row(path, *[f"{row[column] / size:.2f}" for column in columns])
    console = Console(width=160)
    console.print(
        f"Cross entropy with gradient on {rows} x {classes} float32, in multiples of the "
        f"{size / 1e6:.0f} MB of predictions and gradient:\n"
    )
    console.print(table)


@contextmanager
def _counted(folder: Path) -> Iterator[None]:
    """Build the library and have processes that are started from here on count."""
    compiler = shutil.which(os.environ.get("CC", "cc"))
    if compiler is None:
        raise SystemExit("benchmarks.copies needs a C compiler: set CC")
    library = folder / "copies.so"
    source = Path(__file__).with_suffix(".c")
    flags = ["-O2", "-shared", "-fPIC", "-fno-builtin", "-ldl"]
    subprocess.run([compiler, str(source), "-o", str(library), *flags], check=True)
    for variable, name in ((COUNTS, "client"), (SERVER, "server")):
        file = folder / name
        file.write_bytes(bytes(8 * len(KINDS)))
        os.environ[variable] = str(file)
    os.environ["LD_PRELOAD"] = str(library)
    yield


def main() -> None:
    """Start a server and a client that count."""
    if len(sys.argv) > 1 and sys.argv[1] == "client":
        unix, tcp, server = sys.argv[2:]
        show(run(Addresses(unix, tcp), int(server)))
        return
    if len(sys.argv) > 1:
        raise SystemExit(__doc__)
    with tempfile.TemporaryDirectory(prefix="lossd-copies-") as name, _counted(Path(name)):
        folder, client = Path(name), os.environ[COUNTS]
        os.environ[COUNTS] = os.environ[SERVER]
        with lossd_server(["cross_entropy"], 2, folder / "log") as addresses:
            os.environ[COUNTS] = client
            command = [sys.executable, "-m", "benchmarks.copies", "client"]
            subprocess.run(
                [*command, addresses.unix, addresses.tcp, str(addresses.process)], check=True
            )


if __name__ == "__main__":
    main()
