"""Folders of finished runs, for the tests of comparisons."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

Array = npt.NDArray[Any]


def write_run(
    folder: Path,
    losses: Array,
    *,
    shard: int = 10_000,
    loss: str = "cross_entropy",
    parameters: dict[str, Any] | None = None,
    missing: Array | None = None,
    **columns: Array,
) -> Path:
    """A run's summary.json and losses/*.parquet; rows of `missing` have null for a loss."""
    rows = len(losses)
    (folder / "losses").mkdir(parents=True)
    table = {"row": pa.array(np.arange(rows)), "loss": pa.array(losses, mask=missing)}
    table |= {
        key.strip("_"): pa.array(v, mask=missing if key == "class_" else None)
        for key, v in columns.items()
    }
    whole = pa.table(table)
    for k, start in enumerate(range(0, rows, shard)):
        pq.write_table(whole.slice(start, shard), folder / "losses" / f"part-{k:06d}.parquet")
    summary = {"format": 1, "loss": loss, "parameters": parameters or {}, "rows": rows}
    (folder / "summary.json").write_text(json.dumps(summary))
    return folder


def two_models(folder: Path, rows: int = 40_000) -> tuple[Path, Path]:
    """Two classifiers; the second is better, but for two classes, and was run otherwise."""
    rng = np.random.default_rng(9)
    classes = rng.integers(0, 10, rows)
    names = np.array(["eu-west", "us-east", "<script>alert(1)</script>", "$x^{"])
    groups = names[rng.integers(0, 4, rows)]
    a = rng.gamma(0.7, 0.9, rows) * (1 + classes / 12)
    shift = np.where(np.isin(classes, [2, 7]), 1.0, np.where(classes == 5, 0.97, 0.85))
    b = a * shift * np.exp(rng.normal(0, 0.25, rows)) + (rng.random(rows) < 0.002) * 3
    b[:50] = np.nan
    ids = np.array([f"img_{k:06d}.jpg" for k in range(rows)], dtype="<U40")
    ids[np.argmax(b[50:] - a[50:]) + 50] = "<img src=x onerror=alert(1)>"
    common: dict[str, Any] = {"class_": classes, "group": groups, "id": ids}
    first = write_run(folder / "base", a, parameters={"label_smoothing": 0.0}, **common)
    second = write_run(
        folder / "new",
        b.astype(np.float32),
        shard=7_777,
        parameters={"label_smoothing": 0.1},
        **common,
    )
    return first, second
