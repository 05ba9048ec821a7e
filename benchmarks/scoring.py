"""`lossd score` beside a torch script, the bytes' own rate, pyarrow's scan, servers and Ray.

Every contender is a process of its own over the same files in the page cache; the rate is that of
its own clock from the first file opened to the last result, so that imports do not count. They
take turns, and medians are told.

    python -m benchmarks.scoring [--rounds N] [--large GB] [--markdown docs/benchmarks-scoring.md]
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from rich.console import Console

from benchmarks import machine
from benchmarks.arguments import positive
from benchmarks.processes import Addresses, lossd_server, most_resident

CLASSES: Final = 1000
ROWS: Final = 2_000_000  # 8 GB of float32
TABLE_ROWS: Final = 125_000
GROUP: Final = 25_000  # rows of a Parquet row group: 100 MB
WORKERS: Final = 2
PATIENCE: Final = 1800.0


@dataclass(frozen=True)
class Files:
    """What is scored."""

    folder: Path

    @property
    def x(self) -> Path:
        """Logits, float32[ROWS, CLASSES]."""
        return self.folder / "x.npy"

    @property
    def y(self) -> Path:
        """Labels, int64[ROWS]."""
        return self.folder / "y.npy"

    @property
    def table(self) -> Path:
        """The first of them as a Parquet file of lists and numbers."""
        return self.folder / "both.parquet"

    @property
    def large(self) -> tuple[Path, Path]:
        """Zeros that take no room on disk, and their labels."""
        return self.folder / "large.npy", self.folder / "zeros.npy"


def make(files: Files, large: int) -> None:
    """Write the files; what is large has holes, which are read as zeros."""
    random = np.random.default_rng(0)
    y = random.integers(0, CLASSES, ROWS)
    np.save(files.y, y)
    with files.x.open("wb") as file:
        _header(file, (ROWS, CLASSES))
        for _ in range(0, ROWS, 10_000):
            (random.standard_normal((10_000, CLASSES), np.float32) * 2).tofile(file)
    flat = pa.array(np.asarray(np.load(files.x, mmap_mode="r")[:TABLE_ROWS]).reshape(-1))
    columns = {"x": pa.FixedSizeListArray.from_arrays(flat, CLASSES), "y": pa.array(y[:TABLE_ROWS])}
    pq.write_table(
        pa.table(columns), files.table, row_group_size=GROUP, use_dictionary=False,
        compression="none",
    )  # fmt: skip
    if large:
        shape = (large * 10**9 // (4 * CLASSES), CLASSES)
        path, labels = files.large
        with path.open("wb") as file:
            _header(file, shape)
            file.truncate(file.tell() + shape[0] * shape[1] * 4)
        np.save(labels, np.zeros(shape[0], np.int64))
    os.sync()  # or what is measured waits for these to be on disk


def _header(file: BinaryIO, shape: tuple[int, ...]) -> None:
    header = {"descr": "<f4", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_2_0(file, header)


# --- contenders, each of which tells bytes per second ---------------------------------------------

READ = """
import os, sys, time
import numpy as np
buffer, file = np.empty(1 << 20, np.uint8), os.open(sys.argv[1], os.O_RDONLY)
start, place = time.perf_counter(), 0
while count := os.preadv(file, [buffer], place):
    place += count
print(place / (time.perf_counter() - start))
"""

TORCH = """
import sys, time, warnings
import numpy as np
import torch
warnings.simplefilter("ignore")  # of arrays that cannot be written to
torch.set_num_threads(int(sys.argv[3]))
batch = int(sys.argv[4])
start = time.perf_counter()
x = torch.from_numpy(np.load(sys.argv[1], mmap_mode="r"))
y = torch.from_numpy(np.load(sys.argv[2], mmap_mode="r"))
losses = []
with torch.no_grad():
    for k in range(0, len(x), batch):
        logits, labels = x[k:k + batch], y[k:k + batch]
        losses.append(torch.nn.functional.cross_entropy(logits, labels, reduction="none"))
each = torch.cat(losses).double()
each.mean().item(), each.std().item(), each.min().item(), each.max().item()
print(x.nbytes / (time.perf_counter() - start))
"""

SCAN = """
import sys, time
import pyarrow.parquet as pq
start, size = time.perf_counter(), 0
with pq.ParquetFile(sys.argv[1]) as file:
    for group in range(file.num_row_groups):
        size += file.read_row_group(group, columns=["x", "y"], use_threads=True).nbytes
print(size / (time.perf_counter() - start))
"""


def script(text: str, *given: object) -> float:
    """What a Python script prints."""
    command = [sys.executable, "-c", text, *map(str, given)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=True)
    return float(done.stdout)


def scored(x: object, y: object, *flags: str) -> dict[str, Any]:
    """The timing and result of `lossd score`, and its greatest resident memory in bytes."""
    with tempfile.TemporaryDirectory(prefix="lossd-bench-") as out:
        command = [sys.executable, "-m", "lossd.cli", "score", "cross_entropy", str(x), str(y)]
        command += ["--out", f"{out}/run", "--json", "--no-report", *flags]
        environment = os.environ | {"RAY_USAGE_STATS_ENABLED": "0"}
        start = time.perf_counter()
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment
        )
        assert process.stdout is not None
        memory, lines = 0, []
        for line in process.stdout:  # a line for each shard
            memory = max(memory, most_resident(process.pid))
            lines.append(line)
        if process.wait():
            raise RuntimeError(f"{' '.join(command)}: {lines[-1:]}")
        found: dict[str, Any] = json.loads(lines[-1])
        summary = json.loads(Path(out, "run/summary.json").read_text())
    timing = found["timing"]
    return {
        "rate": timing["bytes"] / timing["seconds"],
        "memory": memory,
        "wall": time.perf_counter() - start,
        "bits": summary["exact"],
        "timing": timing,
    }


def contenders(files: Files, addresses: Addresses) -> dict[str, Callable[[], float]]:
    """What is measured, by name."""
    bits: dict[str, Any] = {}

    def run(x: object, y: object, *flags: str) -> float:
        found = scored(x, y, *flags)
        same = bits.setdefault(str(x), found["bits"])
        assert same == found["bits"], "the same bits, whoever computes them"
        return float(found["rate"])

    table = f"{files.table}::x", f"{files.table}::y"
    many = ["--workers", str(WORKERS)]
    ray = ["--engine", "ray", *many]
    return {
        "reading the bytes, one thread": lambda: script(READ, files.x),
        "torch script, batches of 1,024": lambda: script(TORCH, files.x, files.y, WORKERS, 1024),
        "torch script, batches of 4,096": lambda: script(TORCH, files.x, files.y, WORKERS, 4096),
        "lossd score": lambda: run(files.x, files.y, *many),
        "lossd score, a server on shared memory": lambda: run(
            files.x, files.y, "--target", addresses.unix, *many
        ),
        "lossd score, a server on TCP": lambda: run(
            files.x, files.y, "--target", addresses.tcp, *many
        ),
        "lossd score, Ray with 2 actors": lambda: run(files.x, files.y, *ray),
        "pyarrow's scan of Parquet": lambda: script(SCAN, files.table),
        "lossd score of Parquet": lambda: run(*table, *many),
    }


TARGETS: Final = (
    ("lossd score", "torch script, batches of 1,024", 3.0),
    ("lossd score", "torch script, batches of 4,096", 3.0),
    ("lossd score", "reading the bytes, one thread", 0.6),
    ("lossd score, a server on shared memory", "lossd score", 0.8),
    ("lossd score of Parquet", "pyarrow's scan of Parquet", 1 / 1.3),
)
"""What is to be at least so many times as fast as what."""


def markdown(about: dict[str, str], medians: dict[str, float], large: dict[str, Any] | None) -> str:
    """The results as a page."""
    size = ROWS * CLASSES * 4 / 1e9
    lines = [
        "# Batch scoring, measured",
        "",
        f"Cross entropy of {ROWS:,} x {CLASSES} float32 in a .npy file ({size:.0f} GB) and of its "
        f"first {TABLE_ROWS:,} rows in a Parquet file, all in the page cache; losses of each row "
        "are written, no gradients. Medians.",
        "",
        "| what | GB/s |",
        "|---|---|",
        *(f"| {name} | {rate / 1e9:.2f} |" for name, rate in medians.items()),
        "",
        "| ratio | measured | wanted |",
        "|---|---|---|",
    ]
    for one, other, wanted in TARGETS:
        ratio = medians[one] / medians[other]
        lines.append(f"| {one} / {other} | {ratio:.2f} | ≥ {wanted:.2f} |")
    if large:
        timing = large["timing"]
        lines += [
            "",
            f"{timing['bytes'] / 1e9:.0f} GB (a file with holes): {timing['seconds']:.0f} s, "
            f"{large['rate'] / 1e9:.2f} GB/s, at most {large['memory'] / 1e6:.0f} MB resident.",
        ]
    lines += ["", *(f"- {name}: {value}" for name, value in about.items())]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure and tell."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=positive, default=5)
    parser.add_argument("--large", type=int, default=40, metavar="GB", help="0 for none")
    parser.add_argument("--markdown", type=Path)
    options = parser.parse_args()
    log = Console(stderr=True)
    about = machine.description(WORKERS, options.rounds, "benchmarks.scoring")
    machine.warn(about, log)
    found: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory(prefix="lossd-bench-") as name:
        files = Files(Path(name))
        make(files, options.large)
        with lossd_server(["cross_entropy"], WORKERS, Path(name) / "log") as addresses:
            measured = contenders(files, addresses)
            for number in range(options.rounds + 1):  # the first fills caches
                for what, measure in measured.items():
                    rate = measure()
                    if number:
                        found.setdefault(what, []).append(rate)
                    log.print(f"{number}  {what}: {rate / 1e9:.2f} GB/s", highlight=False)
        large = scored(*files.large, "--workers", str(WORKERS)) if options.large else None
    page = markdown(about, {what: statistics.median(rates) for what, rates in found.items()}, large)
    Console().print(page, markup=False, soft_wrap=True)
    if options.markdown:
        options.markdown.write_text(page)


if __name__ == "__main__":
    main()
