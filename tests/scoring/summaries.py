"""Summaries as runs write them, from drawn predictions: for the tests of pages."""

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

HOSTILE = "<script>alert(1)</script>"
NAMES = [
    HOSTILE,
    '"><img src=x onerror=alert(1)>',
    "$5 to $10^{",
    "Größe 東京",
    "a\x1b[31m\nb",
    "&amp;",
]

TIMING = {
    "seconds": 93.4,
    "rows": 10_000_000,
    "rows_per_second": 107_066.4,
    "bytes": 392_000_000_000,
    "bytes_per_second": 4.2e9,
    "worker_seconds": {"reading": 71.2, "network": 15.1, "computing": 0.0, "writing": 0.0},
    "shares": {"reading": 0.825, "network": 0.175, "computing": 0.0, "writing": 0.0},
    "worker_bytes_per_second": {
        "reading": 5.5e9,
        "network": 26e9,
        "computing": 0.0,
        "writing": 0.0,
    },
    "bottleneck": "reading",
}


def histogram(values: Array, bins: int = 60) -> dict[str, Any]:
    counts, edges = np.histogram(values, bins)
    return {"edges": edges.tolist(), "counts": counts.tolist()}


def common(loss: str, kind: str, losses: Array, shape: list[int], names: tuple[str, str]) -> Any:
    """The blocks of every run."""
    fine = losses[np.isfinite(losses)]
    at = ["0.01", "0.05", "0.25", "0.5", "0.75", "0.95", "0.99"]
    quantiles = dict(zip(at, np.quantile(fine, [float(q) for q in at]).tolist(), strict=True))
    order = np.argsort(-fine, kind="stable")[:20]
    broken = np.flatnonzero(~np.isfinite(losses))
    clean = len(broken) == 0
    return {
        "format": 1,
        "lossd": "0.1.0",
        "versions": {"numpy": "2.4.0", "pyarrow": "26.0.1", "numba": "0.63.1", "python": "3.11.14"},
        "loss": loss,
        "parameters": {},
        "inputs": {
            "input": {
                "name": names[0],
                "rows": len(losses),
                "shape": shape,
                "dtype": "float32",
                "files": [
                    {"path": names[0], "size": 41_943_168, "modified": 1, "digest": "9f" * 32}
                ],
            },
            "target": {
                "name": names[1],
                "rows": len(losses),
                "shape": [],
                "dtype": "int64",
                "files": [
                    {"path": names[1], "size": 8_000_128, "modified": 1, "digest": "a0" * 32}
                ],
            },
        },
        "rows": len(losses),
        "kind": kind,
        "counts": {
            "scored": len(fine),
            "ignored": 0,
            "nan": int(np.isnan(losses).sum()),
            "inf": int(np.isinf(losses).sum()),
        },
        "reductions": {
            "mean": float(fine.mean()) if clean else "NaN",
            "sum": float(fine.sum()) if clean else "NaN",
        },
        "divisor": float(len(losses)),
        "distribution": {
            "mean": float(fine.mean()),
            "std": float(fine.std()),
            "min": float(fine.min()),
            "max": float(fine.max()),
            "quantiles": quantiles,
            "histogram": histogram(fine),
        },
        "worst": [
            {"row": int(k), "loss": float(fine[k]), "place": f"{names[0]}, row {k}"} for k in order
        ],
        **(
            {}
            if clean
            else {"nans": [{"row": int(k), "place": f"{names[0]}, row {k}"} for k in broken[:5]]}
        ),
        "parts": [
            {"file": f"losses/part-{k:06d}.parquet", "rows": len(losses) // 4, "sha256": "5e" * 32}
            for k in range(4)
        ],
    }


def by(values: Array, losses: Array, key: str, right: Array | None = None) -> list[dict[str, Any]]:
    """The block of classes or groups."""
    found = []
    for one in np.unique(values):
        mine = values == one
        entry: dict[str, Any] = {
            key: one.item(),
            "count": int(mine.sum()),
            "mean": float(losses[mine].mean()),
            "sum": float(losses[mine].sum()),
        }
        if right is not None:
            entry["accuracy"] = float(right[mine].mean())
        found.append(entry)
    return found


def reliability(sure: Array, right: Array) -> dict[str, Any]:
    edges = np.linspace(0, 1, 11)
    place = np.clip(np.digitize(sure, edges) - 1, 0, 9)
    counts = np.bincount(place, minlength=10)
    means: list[list[float | None]] = [
        [float(v[place == k].mean()) if counts[k] else None for k in range(10)]
        for v in (sure, right.astype(float))
    ]
    gaps = [
        n * abs(a - b)
        for n, a, b in zip(counts, *means, strict=True)
        if a is not None and b is not None
    ]
    return {
        "edges": edges.tolist(),
        "counts": counts.tolist(),
        "confidence": means[0],
        "accuracy": means[1],
        "error": float(sum(gaps) / len(sure)),
    }


def classification(classes: int = 10, rows: int = 20_000, *, groups: bool = False) -> Any:
    rng = np.random.default_rng(classes)
    target = rng.integers(0, classes, rows)
    hard = rng.uniform(0.3, 1.6, classes)
    logits = rng.normal(0, 1.2, (rows, classes))
    logits[np.arange(rows), target] += 4.5 / hard[target]
    near = (target + 1) % classes
    logits[np.arange(rows), near] += 1.2 * hard[target]
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    p = shifted / shifted.sum(axis=1, keepdims=True)
    losses = -np.log(p[np.arange(rows), target])
    prediction, sure = p.argmax(axis=1), p.max(axis=1)
    right = prediction == target
    names = ("preds.npy", "labels.npy")
    made = common("cross_entropy", "classification", losses, [classes], names)
    made["parameters"] = {"label_smoothing": 0.1, "ignore_index": -100}
    made["classes"] = by(target, losses, "class", right)
    for entry in made["worst"]:
        k = entry["row"]
        entry |= {"id": f"img_{k:07d}.jpg", "class": int(target[k])}
        entry |= {"prediction": int(prediction[k]), "confidence": float(sure[k])}
    table = np.zeros((classes, classes), dtype=int)
    np.add.at(table, (target, prediction), 1)
    block: dict[str, Any] = {"accuracy": float(right.mean()), "classes": list(range(classes))}
    if classes <= 50:
        block["confusion"] = table.tolist()
    else:
        np.fill_diagonal(table, 0)
        first = np.argsort(-table, axis=None, kind="stable")[:50]
        block["confused"] = [
            {
                "class": int(k // classes),
                "prediction": int(k % classes),
                "count": int(table.flat[k]),
            }
            for k in first
        ]
    block["reliability"] = reliability(sure, right)
    made["classification"] = block
    if groups:
        where = rng.choice(["eu-west", "eu-north", "us-east", "us-west", "ap-south"], rows)
        made["groups"] = by(where, losses, "group", right)
    return made


def binary(rows: int = 20_000) -> Any:
    rng = np.random.default_rng(2)
    logit = rng.normal(-1.5, 2.2, rows)
    target = (rng.random(rows) < 1 / (1 + np.exp(-0.7 * logit))).astype(int)
    p = 1 / (1 + np.exp(-logit))
    losses = np.logaddexp(0, np.where(target == 1, -logit, logit))
    right = (p >= 0.5) == target
    names = ("scores.parquet", "clicked.parquet")
    made = common("binary_cross_entropy_with_logits", "binary", losses, [], names)
    made["counts"] |= {"ignored": 137}
    made["classes"] = by(target, losses, "class", right)
    table = np.zeros((2, 2), dtype=int)
    np.add.at(table, (target, (p >= 0.5).astype(int)), 1)
    made["classification"] = {
        "accuracy": float(right.mean()),
        "classes": [0, 1],
        "confusion": table.tolist(),
        "reliability": reliability(p, target),
    }
    return made


def regression(rows: int = 20_000, *, broken: bool = False) -> Any:
    rng = np.random.default_rng(3)
    target = rng.gamma(3, 40_000, rows)
    residual = rng.standard_t(4, rows) * 9_000 + 1_500
    losses = residual**2
    if broken:
        losses[[17, 4_711, 19_998]] = np.nan
        losses[5] = np.inf
    made = common("mse_loss", "regression", losses, [], ("prices.csv", "sold.csv"))
    made["regression"] = {
        "bias": float(residual.mean()),
        "mae": float(abs(residual).mean()),
        "rmse": float(np.sqrt((residual**2).mean())),
        "r2": float(1 - (residual**2).mean() / target.var()),
        "residuals": histogram(residual),
    }
    return made


def other(rows: int = 5_000) -> Any:
    rng = np.random.default_rng(4)
    losses = np.maximum(rng.normal(0.6, 0.5, rows), 0)
    made = common("triplet_margin_loss", "other", losses, [128], ("anchors.npz", "positives.npz"))
    made["parameters"] = {"margin": 1.0, "p": 2.0}
    made["reductions"]["batchmean"] = float(losses.mean())
    return made


def hostile() -> Any:
    """Every string that a user can give means harm, or is merely hard to draw."""
    made = classification(groups=True)
    made["inputs"]["input"]["name"] = HOSTILE
    made["inputs"]["input"]["files"][0]["path"] = "x" * 300 + HOSTILE
    made["parameters"]["reference"] = HOSTILE
    rng = np.random.default_rng(5)
    losses = rng.gamma(1, 1, 3_000)
    made["groups"] = by(rng.choice(np.array(NAMES), 3_000), losses, "group")
    for entry, name in zip(made["worst"], NAMES, strict=False):
        entry |= {"id": name, "group": name, "place": name}
    made["counts"] |= {"nan": 2}
    made["nans"] = [{"row": 1, "id": HOSTILE, "place": HOSTILE}, {"row": 2, "place": "b" * 200}]
    return made


SUMMARIES = {
    "ten-classes": lambda: classification(10),
    "thirty-classes": lambda: classification(30),
    "many-classes": lambda: classification(200, groups=True),
    "binary": binary,
    "regression": regression,
    "broken": lambda: regression(broken=True),
    "other": other,
    "hostile": hostile,
}
"""Each kind of run, by the name of its test."""
