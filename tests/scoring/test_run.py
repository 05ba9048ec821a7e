"""Runs over files: what they tell against PyTorch, and equal bits however they are computed."""

import json
import re
import statistics
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq
import pytest
import safetensors.torch
import torch
from lossd_client.errors import DomainError, LabelError, ParameterError, ShapeError
from scipy import special
from sklearn.metrics import confusion_matrix
from torch.nn import functional

from lossd.engine import evaluate
from lossd.scoring import (
    Result,
    ScoringError,
    SourceError,
    Threads,
    compare,
    engines,
    inputs,
    resume,
    score,
)  # fmt: skip
from lossd.scoring.exact import root
from lossd.scoring.scorer import HERE, Scorer
from lossd.scoring.task import Task
from tests.scoring import files

Array = npt.NDArray[Any]
ROWS, CLASSES = 1500, 7


@pytest.fixture(scope="module")
def classified(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Logits, labels with some to ignore, weights, groups, ids."""
    folder = tmp_path_factory.mktemp("classified")
    random = np.random.default_rng(0)
    x = random.standard_normal((ROWS, CLASSES), np.float32) * 2
    y = random.integers(0, CLASSES, ROWS)
    x[np.arange(ROWS), y] += 2
    y[::50] = -100
    np.save(folder / "x.npy", x)
    np.save(folder / "y.npy", y)
    np.save(folder / "w.npy", random.random(ROWS, np.float32))
    np.save(folder / "classes.npy", random.random(CLASSES, np.float32) + 0.5)
    np.save(folder / "groups.npy", np.array(["north", "south", "<b>"])[np.arange(ROWS) % 3])
    np.save(folder / "ids.npy", np.arange(ROWS)[::-1])
    return folder


def tensors(folder: Path, *names: str) -> list[torch.Tensor]:
    return [torch.from_numpy(np.load(folder / f"{name}.npy")) for name in names]


def rows(result: Result) -> dict[str, list[Any]]:
    table = result.losses().to_table()
    found: dict[str, list[Any]] = table.to_pydict()
    return found


def near(found: float, expected: float | torch.Tensor) -> None:
    np.testing.assert_allclose(found, float(expected), rtol=3e-7)


def test_classification(classified: Path, tmp_path: Path) -> None:
    result = score(
        "cross_entropy",
        classified / "x.npy",
        classified / "y.npy",
        out=tmp_path / "run",
        parameters={"label_smoothing": 0.1},
        tensors={"weight": classified / "classes.npy"},
        ids=classified / "ids.npy",
        group_by=classified / "groups.npy",
        shard_rows=400,
        worst=5,
    )
    x, y, weight = tensors(classified, "x", "y", "classes")
    x, weight = x.double(), weight.double()
    settings: dict[str, Any] = {"weight": weight, "label_smoothing": 0.1}
    each = functional.cross_entropy(x, y, reduction="none", **settings)
    kept = y >= 0
    summary, found = result.summary, rows(result)

    near(result.loss, functional.cross_entropy(x, y, **settings))
    near(summary["reductions"]["sum"], each.sum())
    assert summary["counts"] == {"scored": int(kept.sum()), "ignored": 30, "nan": 0, "inf": 0}
    assert [part["rows"] for part in summary["parts"]] == [375] * 4
    told = summary["distribution"]
    near(told["mean"], each[kept].mean())
    near(told["std"], each[kept].std())
    near(told["min"], each[kept].min())
    near(told["max"], each[kept].max())
    for p, value in told["quantiles"].items():
        near(value, torch.quantile(each[kept], float(p)))
    assert sum(told["histogram"]["counts"]) + told["histogram"]["above"] == kept.sum()

    missing = [i for i, loss in enumerate(found["loss"]) if loss is None]
    assert missing == list(range(0, ROWS, 50))
    assert [i for i, label in enumerate(found["class"]) if label is None] == missing
    np.testing.assert_allclose(
        [loss for loss in found["loss"] if loss is not None], each[kept], rtol=2e-6
    )
    assert found["row"] == list(range(ROWS))
    assert found["id"] == list(range(ROWS))[::-1]
    assert found["prediction"] == x.argmax(1).tolist()
    sure = torch.softmax(x, 1).max(1).values
    told_sure = [value for value in found["confidence"] if value is not None]
    np.testing.assert_allclose(told_sure, sure[kept], rtol=1e-5)

    hit = x.argmax(1) == y
    near(summary["classification"]["accuracy"], hit[kept].double().mean())
    for row in summary["classes"]:
        mine = y == row["class"]
        assert row["count"] == mine.sum()
        near(row["mean"], each[mine].mean())
        near(row["accuracy"], hit[mine].double().mean())
    groups = np.load(classified / "groups.npy")
    assert [row["group"] for row in summary["groups"]] == ["<b>", "north", "south"]
    for row in summary["groups"]:
        mine = torch.from_numpy(groups == row["group"]) & kept
        near(row["mean"], each[mine].mean())
    order = torch.argsort(each, descending=True)[:5].tolist()
    assert [row["row"] for row in summary["worst"]] == order
    assert summary["worst"][0]["id"] == ROWS - 1 - order[0]
    assert summary["worst"][0]["place"].endswith(f"x.npy, row {order[0]}")
    matrix = torch.zeros(CLASSES, CLASSES, dtype=torch.int64)
    for a, b in zip(y[kept], x.argmax(1)[kept], strict=True):
        matrix[a, b] += 1
    assert summary["classification"]["confusion"] == matrix.tolist()
    reliability = summary["classification"]["reliability"]
    assert sum(reliability["counts"]) == kept.sum()
    assert json.loads((tmp_path / "run/summary.json").read_text()) == summary


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_confidence_of_hard_rows(
    tmp_path: Path, dtype: type[np.floating[Any]], smoothing: float
) -> None:
    """Large logits, whose losses are rounded; classes that are impossible, the label's too."""
    random = np.random.default_rng(9)
    scale = 10.0 ** random.integers(0, 4 if dtype == np.float16 else 7, (8000, 1))
    x = (random.standard_normal((8000, 10)) * scale).astype(dtype)
    y = random.integers(0, 10, 8000).astype(np.uint8)
    x[np.arange(0, 8000, 4), y[::4]] = -np.inf
    x[1::5, 3] = -np.inf
    x[7], x[9, 2] = -np.inf, np.inf
    y[6::50] = 255
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "y.npy", y)
    result = score(
        "cross_entropy", tmp_path / "x.npy", tmp_path / "y.npy", out=tmp_path / "run",
        parameters={"ignore_index": 255, "label_smoothing": smoothing}, report=False,
    )  # fmt: skip
    found = rows(result)
    kept = y != 255
    with np.errstate(invalid="ignore"):
        sure = special.softmax(x.astype(np.float64), 1).max(1)
    told = np.array(found["confidence"], float)
    np.testing.assert_array_equal(np.isnan(told), np.isnan(sure) | ~kept)
    np.testing.assert_allclose(told[kept], sure[kept], rtol=2e-6)
    assert np.nanmax(told) <= 1
    assert found["prediction"] == x.argmax(1).tolist()
    reliability = result.summary["classification"]["reliability"]
    assert reliability["left_out"] == 2
    assert sum(reliability["counts"]) == kept.sum() - 2
    counts = np.histogram(sure[kept & np.isfinite(sure)], 10, (0, 1))[0]
    np.testing.assert_allclose(reliability["counts"], counts, atol=2)  # rounding at the edges


def test_rows_whose_predictions_hold_nan(tmp_path: Path) -> None:
    """They have no prediction, count as wrong, and are in no table of predictions."""
    random = np.random.default_rng(10)
    x = random.standard_normal((400, 4)).astype(np.float32)
    y = x.argmax(1)
    wrong = np.arange(0, 400, 10)
    x[wrong, y[wrong]] = np.nan
    group = np.arange(400) % 2
    for name, array in {"x": x, "y": y, "g": group}.items():
        np.save(tmp_path / f"{name}.npy", array)
    for loss, sure in (("cross_entropy", True), ("multi_margin_loss", False)):
        result = score(
            loss, tmp_path / "x.npy", tmp_path / "y.npy", group_by=tmp_path / "g.npy",
            out=tmp_path / loss,
        )  # fmt: skip
        found, told = rows(result), result.summary["classification"]
        assert [k for k, one in enumerate(found["prediction"]) if one is None] == wrong.tolist()
        assert told["unpredicted"] == len(wrong)
        near(told["accuracy"], 0.9)
        assert np.sum(told["confusion"]) == np.trace(told["confusion"]) == 360
        assert [row["accuracy"] for row in result.summary["groups"]] == [0.8, 1.0]
        page = (tmp_path / loss / "report.html").read_text()
        assert "40 rows without a prediction" in page
        assert ("reliability" in told) == sure
        if sure:
            assert [k for k, p in enumerate(found["confidence"]) if p is None] == wrong.tolist()
            assert told["reliability"]["left_out"] == len(wrong)
            assert sum(told["reliability"]["counts"]) == 360


def test_binary_rows_with_nan(tmp_path: Path) -> None:
    """Of a prediction, and of a target, which is of no class then: it counts nowhere."""
    x = np.tile(np.float32([3, -3]), 50)
    y = (x > 0).astype(np.float32)
    x[:10], y[10:20], group = np.nan, np.nan, np.arange(100) // 50
    for name, array in {"x": x, "y": y, "g": group}.items():
        np.save(tmp_path / f"{name}.npy", array)
    result = score(
        "binary_cross_entropy_with_logits", tmp_path / "x.npy", tmp_path / "y.npy",
        group_by=tmp_path / "g.npy", out=tmp_path / "run",
    )  # fmt: skip
    found, told = rows(result), result.summary["classification"]
    assert found["prediction"] == [None] * 10 + [1, 0] * 45
    assert found["class"] == [1, 0] * 5 + [None] * 10 + [1, 0] * 40
    assert [p is None for p in found["probability"]] == [True] * 10 + [False] * 90
    assert told["unpredicted"] == 10
    near(told["accuracy"], 80 / 90)
    assert told["confusion"] == [[40, 0], [0, 40]]
    assert sum(told["reliability"]["counts"]) == 80
    assert [row["accuracy"] for row in result.summary["classes"]] == [40 / 45, 40 / 45]
    assert [row["accuracy"] for row in result.summary["groups"]] == [30 / 40, 1.0]
    assert [row["count"] for row in result.summary["groups"]] == [50, 50]


@pytest.mark.parametrize("classes", [120, 2500])  # a count of each pair, and of those that are met
@pytest.mark.parametrize("met", [30, 110])  # classes
def test_confusion_of_many_classes(tmp_path: Path, classes: int, met: int) -> None:
    random = np.random.default_rng(classes + met)
    names = np.sort(random.choice(classes, met, replace=False))
    x = np.full((ROWS, classes), -9, np.float32)
    x[:, names] = random.standard_normal((ROWS, met))
    y = random.choice(names, ROWS)
    x[np.arange(ROWS), y] += 1
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "y.npy", y)
    result = score(
        "cross_entropy", tmp_path / "x.npy", tmp_path / "y.npy", out=tmp_path / "run",
        shard_rows=400, report=False,
    )  # fmt: skip
    expected = confusion_matrix(y, x.argmax(1), labels=names)
    told = result.summary["classification"]
    assert told["accuracy"] == expected.trace() / ROWS
    if met == 30:
        assert told["classes"] == names.tolist()
        assert told["confusion"] == expected.tolist()
        return
    assert "confusion" not in told
    np.fill_diagonal(expected, 0)
    order = np.argsort(-expected, axis=None, kind="stable")[:50]
    pairs = zip(*np.unravel_index(order, expected.shape), strict=True)
    assert told["confused"] == [
        {"class": names[a], "prediction": names[b], "count": expected[a, b]} for a, b in pairs
    ]


def test_few_mistakes_among_many_classes(tmp_path: Path) -> None:
    y = np.arange(60)
    np.save(tmp_path / "x.npy", np.eye(60, dtype=np.float32)[[*range(59), 3]])
    np.save(tmp_path / "y.npy", y)
    result = score(
        "cross_entropy", tmp_path / "x.npy", tmp_path / "y.npy", out=tmp_path / "run", report=False
    )
    told = result.summary["classification"]["confused"]
    assert told == [{"class": 59, "prediction": 3, "count": 1}]


def test_spatial_classification(tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    x = random.standard_normal((40, 3, 5, 6), np.float32)
    y = random.integers(0, 3, (40, 5, 6))
    y[0], y[1, :2] = 255, 255
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "y.npy", y)
    result = score(
        "cross_entropy", tmp_path / "x.npy", tmp_path / "y.npy", out=tmp_path / "run",
        parameters={"ignore_index": 255}, report=False,
    )  # fmt: skip
    wide, labels = torch.from_numpy(x).double(), torch.from_numpy(y)
    each = functional.cross_entropy(wide, labels, ignore_index=255, reduction="none")
    near(result.loss, functional.cross_entropy(wide, labels, ignore_index=255))
    found = rows(result)["loss"]
    assert found[0] is None
    near(found[1], each[1, 2:].mean())
    near(found[7], each[7].mean())
    assert result.summary["kind"] == "other"
    assert result.summary["counts"]["ignored"] == 1


def test_binary(tmp_path: Path) -> None:
    random = np.random.default_rng(2)
    x = random.standard_normal(900).astype(np.float32) * 3
    y = (random.random(900) < 0.4).astype(np.float32)
    np.savez(tmp_path / "both.npz", logit=x, label=y)
    weight = np.float32(2.5)
    np.save(tmp_path / "positive.npy", np.full(1, weight))
    result = score(
        "binary_cross_entropy_with_logits", f"{tmp_path / 'both.npz'}::logit", "::label",
        out=tmp_path / "run", tensors={"pos_weight": tmp_path / "positive.npy"},
    )  # fmt: skip
    wide, target = torch.from_numpy(x).double(), torch.from_numpy(y).double()
    near(
        result.loss,
        functional.binary_cross_entropy_with_logits(
            wide, target, pos_weight=torch.tensor([2.5]).double()
        ),
    )
    assert result.summary["classification"]["classes"] == [0, 1]
    hit = (wide >= 0) == (target >= 0.5)
    near(result.summary["classification"]["accuracy"], hit.double().mean())
    np.testing.assert_allclose(rows(result)["probability"], torch.sigmoid(wide), rtol=1e-6)


@pytest.mark.parametrize("loss", ["mse_loss", "l1_loss", "huber_loss", "quantile_loss"])
def test_one_prediction_against_several_targets(loss: str, tmp_path: Path) -> None:
    """Rows have several losses, as where predictions are several and the target is one."""
    random = np.random.default_rng(12)
    np.save(tmp_path / "one.npy", random.standard_normal((10, 1)))
    np.save(tmp_path / "five.npy", random.standard_normal((10, 5)))
    one, five = tmp_path / "one.npy", tmp_path / "five.npy"
    for given in ((one, five), (five, one)):
        result = score(loss, *given, out=tmp_path / given[0].stem)
        x, y = np.broadcast_arrays(*map(np.load, given))
        each = evaluate(loss, {"input": x, "target": y}, reduction="none").loss
        assert result.summary["kind"] == "other"
        np.testing.assert_allclose(rows(result)["loss"], each.mean(1), rtol=1e-12)
        near(result.loss, each.mean())


def test_regression(tmp_path: Path) -> None:
    random = np.random.default_rng(3)
    y = random.standard_normal(2000)
    x = y + random.standard_normal(2000) * 0.1 + 0.05
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "y.npy", y)
    np.save(tmp_path / "w.npy", random.random(2000))
    result = score(
        "mse_loss", tmp_path / "x.npy", tmp_path / "y.npy", out=tmp_path / "run",
        sample_weight=tmp_path / "w.npy", parameters={"normalizer": "weights"}, shard_rows=300,
    )  # fmt: skip
    weight = np.load(tmp_path / "w.npy")
    near(result.loss, np.sum((x - y) ** 2 * weight) / weight.sum())
    told = result.summary["regression"]
    near(told["rmse"], np.sqrt(np.mean((x - y) ** 2)))
    near(told["mae"], np.abs(x - y).mean())
    near(told["bias"], (x - y).mean())
    near(told["r2"], 1 - np.sum((x - y) ** 2) / np.sum((y - y.mean()) ** 2))
    assert sum(told["residuals"]["counts"]) + told["residuals"]["beyond"] == 2000


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [({"normalizer": 4.0}, 4.0), ({"normalizer": "batch"}, 30.0), ({}, 120.0)],
)
def test_normalizers(parameters: dict[str, Any], expected: float, tmp_path: Path) -> None:
    x = np.random.default_rng(4).standard_normal((30, 4), np.float32)
    np.save(tmp_path / "x.npy", x)
    result = score(
        "l1_loss", tmp_path / "x.npy", tmp_path / "x.npy", out=tmp_path / "run",
        parameters=parameters, shard_rows=7, report=False,
    )  # fmt: skip
    assert result.summary["divisor"] == expected
    assert result.loss == 0


def test_batchmean_and_gradients(tmp_path: Path) -> None:
    random = np.random.default_rng(5)
    x, y = torch.from_numpy(random.standard_normal((2, 50, 8), np.float32))
    x, y = torch.log_softmax(x, 1), torch.softmax(y, 1)
    np.save(tmp_path / "x.npy", x.numpy())
    np.save(tmp_path / "y.npy", y.numpy())
    result = score(
        "kl_div", tmp_path / "x.npy", tmp_path / "y.npy", out=tmp_path / "run", gradients=True,
        shard_rows=9, report=False,
    )  # fmt: skip
    near(
        result.summary["reductions"]["batchmean"],
        functional.kl_div(x.double(), y.double(), reduction="batchmean"),
    )
    x.requires_grad_()
    functional.kl_div(x, y, reduction="sum").backward()
    gradients = np.load(tmp_path / "run/gradients.npy", mmap_mode="r")
    assert x.grad is not None
    np.testing.assert_array_equal(gradients, x.grad.numpy())


def test_rows_without_a_finite_loss_are_told(tmp_path: Path) -> None:
    x, y = np.arange(100, dtype=np.float32), np.zeros(100, np.float32)
    x[[3, 50]], x[70] = np.nan, np.inf
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "y.npy", y)
    result = score("l1_loss", tmp_path / "x.npy", tmp_path / "y.npy", out=tmp_path / "run")
    summary = result.summary
    assert summary["counts"] == {"scored": 100, "ignored": 0, "nan": 2, "inf": 1}
    assert [row["row"] for row in summary["nans"]] == [3, 50, 70]
    assert summary["reductions"] == {"mean": "NaN", "sum": "NaN"}
    good = np.isfinite(x)
    near(summary["distribution"]["mean"], x[good].mean())
    assert summary["worst"][0]["row"] == 99


@pytest.mark.parametrize(
    "losses",
    [
        np.array([0, 1, 2, 1e300, 1e308]),
        np.array([0, 1, 2, 4, 7]) * 1e-200,
        np.array([0.0, 0.1, 0.2, 0.4, 0.7]) + 1e9,
        np.full(7, 0.1),
    ],
    ids=["large", "small", "near each other", "equal"],
)
def test_what_is_told_of_numbers_of_any_size(tmp_path: Path, losses: Array) -> None:
    np.save(tmp_path / "x.npy", losses)
    np.save(tmp_path / "y.npy", np.zeros_like(losses))
    result = score("l1_loss", tmp_path / "x.npy", tmp_path / "y.npy", out=tmp_path / "run")
    exact = [Fraction(value) for value in losses.tolist()]
    mean, squares = statistics.mean(exact), sum(value**2 for value in exact)
    std = root(sum((value - mean) ** 2 for value in exact) / (len(exact) - 1))
    told, errors = result.summary["distribution"], result.summary["regression"]
    assert told["std"] == std
    assert errors["rmse"] == root(squares / len(exact))
    assert errors["r2"] == "NaN"
    quantile = np.quantile(losses, [0.01, 0.5, 0.99]).tolist()
    assert [told["quantiles"][p] for p in ("0.01", "0.5", "0.99")] == pytest.approx(quantile)


def test_the_targets_of_a_regression_are_all_equal(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.arange(7.0))
    np.save(tmp_path / "y.npy", np.full(7, 0.1))
    given = (tmp_path / "x.npy", tmp_path / "y.npy")
    told = score("mse_loss", *given, out=tmp_path / "run", report=False).summary["regression"]
    assert told["r2"] == "NaN", "not what is left of rounded squares"
    near(told["rmse"], np.sqrt(np.mean((np.arange(7.0) - 0.1) ** 2)))


def test_losses_of_both_ends(tmp_path: Path) -> None:
    x = np.repeat(np.linspace(-1.7, 1.7, 9)[:, None] * 1e308, 2, 1)
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "y.npy", np.zeros(9, np.int64))
    result = score("nll_loss", tmp_path / "x.npy", tmp_path / "y.npy", out=tmp_path / "run")
    told = result.summary["distribution"]
    assert (told["min"], told["max"]) == (-1.7e308, 1.7e308)
    assert abs(told["mean"]) < 1e293
    near(told["std"], np.std(x[:, 0] / 1e300, ddof=1) * 1e300)
    assert sum(told["histogram"]["counts"]) == 9


def test_losses_of_a_row_whose_sum_is_too_large(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.full((3, 2), 1.7e308))
    np.save(tmp_path / "y.npy", np.zeros((3, 2)))
    result = score("l1_loss", tmp_path / "x.npy", tmp_path / "y.npy", out=tmp_path / "run")
    assert result.summary["counts"]["inf"] == 3


def test_nothing_valid(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.zeros((5, 3), np.float32))
    np.save(tmp_path / "y.npy", np.full(5, -100))
    given = (tmp_path / "x.npy", tmp_path / "y.npy")
    result = score("cross_entropy", *given, out=tmp_path / "run")
    assert result.summary["reductions"]["mean"] == "NaN"
    assert result.summary["counts"]["ignored"] == 5
    result = score(
        "cross_entropy", *given, out=tmp_path / "zero", parameters={"zero_if_empty": True}
    )
    assert result.loss == 0


# --- equal bits -----------------------------------------------------------------------------------


def bits(folder: Path) -> tuple[dict[str, Any], list[bytes]]:
    """What a run tells, without where its files are, and the files of its losses."""
    summary = json.loads((folder / "summary.json").read_text())
    for part in summary["parts"]:
        del part["sha256"]  # of files that name their run
    summary["inputs"] = {}
    for row in [*summary["worst"], *summary["nans"]]:
        del row["place"]
    losses = [
        pq.read_table(path).replace_schema_metadata().to_pydict()
        for path in sorted(folder.glob("losses/*.parquet"))
    ]
    return summary, [json.dumps(table).encode() for table in losses]


def scored(folder: Path, out: Path, **how: Any) -> tuple[dict[str, Any], list[bytes]]:
    score(
        "cross_entropy", folder / "x.npy", folder / "y.npy", out=out, report=False,
        sample_weight=folder / "w.npy", parameters={"normalizer": "weights"}, shard_rows=100, **how,
    )  # fmt: skip
    return bits(out)


@pytest.mark.parametrize("workers", [2, 8])
def test_bits_do_not_depend_on_workers(classified: Path, tmp_path: Path, workers: int) -> None:
    one = scored(classified, tmp_path / "one", engine=Threads(1))
    assert scored(classified, tmp_path / "more", engine=Threads(workers)) == one


def test_bits_do_not_depend_on_blocks(
    classified: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = scored(classified, tmp_path / "whole")
    monkeypatch.setattr(engines, "HERE", HERE._replace(block=13 * CLASSES * 4))
    assert scored(classified, tmp_path / "small") == whole


def test_what_is_told_does_not_depend_on_shards(classified: Path, tmp_path: Path) -> None:
    random = np.random.default_rng(7)
    np.save(tmp_path / "w.npy", random.random(ROWS) * 10.0 ** random.integers(-9, 9, ROWS))
    found = []
    for n in (0, 17, 400):
        summary = dict(
            score(
                "cross_entropy", classified / "x.npy", classified / "y.npy", out=tmp_path / f"{n}",
                sample_weight=tmp_path / "w.npy", parameters={"normalizer": "weights"},
                group_by=classified / "groups.npy", shard_rows=n, report=False,
            ).summary
        )  # fmt: skip
        found.append({k: v for k, v in summary.items() if k != "parts"})
    assert found[0] == found[1] == found[2]


@pytest.mark.parametrize("write", files.BINARY + files.MATRICES, ids=lambda write: write.__name__)
def test_every_format_gives_the_same(classified: Path, tmp_path: Path, write: files.Write) -> None:
    x, y = np.load(classified / "x.npy"), np.load(classified / "y.npy")
    (tmp_path / "x").mkdir()
    (tmp_path / "y").mkdir()
    result = score(
        "cross_entropy", write(tmp_path / "x", x), files.hdf5(tmp_path / "y", y),
        out=tmp_path / "run", report=False,
    )  # fmt: skip
    plain = score(
        "cross_entropy", classified / "x.npy", classified / "y.npy", out=tmp_path / "plain",
        report=False,
    )  # fmt: skip
    assert result.summary["exact"] == plain.summary["exact"]
    assert rows(result) == rows(plain)


# --- names of rows ---


@pytest.mark.parametrize(
    ("ids", "kind"),
    [
        (np.arange(20, dtype=np.uint64) + np.uint64(2**63), "uint64"),
        (np.arange(20, dtype=np.uint8), "int64"),
        (np.array(["Größe", "a\0b"] * 10), "string"),
    ],
)
def test_ids_and_groups_stay_as_they_are(tmp_path: Path, ids: Array, kind: str) -> None:
    np.save(tmp_path / "x.npy", np.zeros(20))
    np.save(tmp_path / "ids.npy", ids)
    result = score(
        "l1_loss", tmp_path / "x.npy", tmp_path / "x.npy", ids=tmp_path / "ids.npy",
        group_by=tmp_path / "ids.npy", out=tmp_path / "run", shard_rows=7,
    )  # fmt: skip
    table = result.losses().to_table()
    assert str(table["id"].type) == kind
    assert table["id"].to_pylist() == ids.tolist()
    assert table["group"].to_pylist() == [str(one) for one in ids.tolist()]
    assert result.summary["worst"][3]["id"] == ids[3]
    assert compare(tmp_path / "run", tmp_path / "run").counts["paired"] == 20


@pytest.fixture(params=[True, False], ids=["ml_dtypes", "without"])
def halves(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> dict[str, Path]:
    """Sources of bfloat16, where NumPy has the type and where it has not."""
    monkeypatch.setitem(sys.modules, "ml_dtypes", ml_dtypes)
    if not request.param:
        monkeypatch.delitem(sys.modules, "ml_dtypes")
    tensors = {"x": torch.linspace(-1, 1, 20), "g": torch.arange(20) % 4}
    for name, tensor in tensors.items():
        path = tmp_path / f"{name}.safetensors"
        safetensors.torch.save_file({name: tensor.bfloat16()}, path)
    return {name: tmp_path / f"{name}.safetensors" for name in tensors}


def test_groups_of_bfloat16(halves: dict[str, Path], tmp_path: Path) -> None:
    x, g = halves["x"], halves["g"]
    result = score("l1_loss", x, x, group_by=g, out=tmp_path / "run")
    assert rows(result)["group"] == [f"{k % 4}.0" for k in range(20)]
    assert [row["count"] for row in result.summary["groups"]] == [5] * 4
    assert result.summary["inputs"]["groups"]["dtype"] == "bfloat16"
    with pytest.raises(SourceError, match="ids must be whole numbers or text, not bfloat16"):
        score("l1_loss", x, x, ids=g, out=tmp_path / "other")


def test_bfloat16_goes_on_in_another_process(
    halves: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whose NumPy has the type, or has it not."""
    x, loaded = halves["x"], "ml_dtypes" in sys.modules
    summary = score("l1_loss", x, x, out=tmp_path / "run", report=False).summary
    monkeypatch.setitem(sys.modules, "ml_dtypes", ml_dtypes)
    if loaded:
        monkeypatch.delitem(sys.modules, "ml_dtypes")
    assert resume(tmp_path / "run", report=False).summary == summary


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl"])
def test_predictions_of_text_that_are_whole_numbers(name: str, tmp_path: Path) -> None:
    x, y = [3.0, 0.0, -2.0], [2.5, 0.0, 1.0]
    if name == "a.csv":
        lines = ["price,paid", *(f"{a:.0f},{b}" for a, b in zip(x, y, strict=True))]
    else:
        lines = [json.dumps({"price": int(a), "paid": b}) for a, b in zip(x, y, strict=True)]
    (tmp_path / name).write_text("\n".join(lines))
    given = [f"{tmp_path / name}::price", f"{tmp_path / name}::paid"]
    result = score("l1_loss", *given, out=tmp_path / "run")
    assert result.losses().to_table()["loss"].to_pylist() == [0.5, 0.0, 3.0]


@pytest.mark.parametrize(
    ("cells", "kind"),
    [
        (["001", "01", "1"], "string"),
        (["18446744073709551615", "18446744073709551614", "7"], "string"),
        (["2024-01-01", "12:30:00", "true"], "string"),
        (["3", "1", "-2"], "int64"),
    ],
)
def test_ids_and_groups_of_csv(cells: list[str], kind: str, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.zeros(3))
    (tmp_path / "k.csv").write_text("\n".join(["key", *cells]))
    x, keys = tmp_path / "x.npy", tmp_path / "k.csv"
    result = score("l1_loss", x, x, ids=keys, group_by=keys, out=tmp_path / "run", shard_rows=2)
    table = result.losses().to_table()
    assert str(table["id"].type) == kind
    assert [str(one) for one in table["id"].to_pylist()] == cells
    assert table["group"].to_pylist() == cells
    assert sorted(row["group"] for row in result.summary["groups"]) == sorted(cells)
    assert [str(row["id"]) for row in result.summary["worst"]] == cells
    assert compare(tmp_path / "run", tmp_path / "run").counts["paired"] == 3


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        (np.arange(20) + 0.5, r"ids must be whole numbers or text, not float64: .*ids\.npy"),
        (np.arange(20) > 3, "ids must be whole numbers or text, not bool"),
        (np.array(["a\ud800"] * 20), r"ids\.npy, rows 0 to 19: .* not in Unicode"),
    ],
)
def test_what_cannot_be_an_id(tmp_path: Path, ids: Array, message: str) -> None:
    np.save(tmp_path / "x.npy", np.zeros(20))
    np.save(tmp_path / "ids.npy", ids)
    given = (tmp_path / "x.npy", tmp_path / "x.npy")
    with pytest.raises(SourceError, match=message) as raised:
        score("l1_loss", *given, ids=tmp_path / "ids.npy", out=tmp_path / "run")
    assert raised.value.field == ("ids" if ids.dtype.kind in "fb" else "")


# --- bad input ------------------------------------------------------------------------------------


def test_rows_that_differ(classified: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "y.npy", np.zeros(9, np.int64))
    with pytest.raises(ShapeError, match=rf"input has {ROWS} rows and target has 9: .*y\.npy"):
        score("cross_entropy", classified / "x.npy", tmp_path / "y.npy", out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_label_out_of_range_is_named_with_its_file_and_row(
    classified: Path, tmp_path: Path
) -> None:
    y = np.load(classified / "y.npy")
    y[1234] = 99
    for k, piece in enumerate(np.array_split(y, 3)):
        np.save(tmp_path / f"y-{k}.npy", piece)
    with pytest.raises(
        LabelError, match=r"target\[1234\] = 99 is outside \[0, 7\).*y-2\.npy, row 234\)"
    ):
        score(
            "cross_entropy", classified / "x.npy", tmp_path / "y-*.npy", out=tmp_path / "run",
            shard_rows=200,
        )  # fmt: skip


def test_an_error_is_told_at_once(tmp_path: Path) -> None:
    """However busy the other workers are."""
    y = np.arange(60_000) % CLASSES
    y[10_000] = 99
    np.save(tmp_path / "x.npy", np.zeros((60_000, CLASSES), np.float32))
    np.save(tmp_path / "y.npy", y)
    with pytest.raises(LabelError, match=r"target\[10000\] = 99"):
        score(
            "cross_entropy", tmp_path / "x.npy", tmp_path / "y.npy", out=tmp_path / "run",
            shard_rows=500, engine=Threads(2),
        )  # fmt: skip
    assert len(list(tmp_path.glob("run/losses/*.parquet"))) < 60, "of 119 that are good"


def test_a_probability_out_of_range_is_named_with_its_file_and_row(tmp_path: Path) -> None:
    x = np.full((300, 2), 0.5, np.float32)
    x[250, 1] = 1.5
    np.save(tmp_path / "x.npy", x)
    with pytest.raises(DomainError, match=r"input\[250, 1\] = 1\.5 is .*x\.npy, row 250\)"):
        score(
            "binary_cross_entropy", tmp_path / "x.npy", tmp_path / "x.npy", out=tmp_path / "run",
            shard_rows=120,
        )  # fmt: skip


@pytest.mark.parametrize("damaged", ["b.npz", "labels.npz"])
def test_a_checksum_that_differs_ends_a_run(damaged: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(8)
    for name in ("shards/a.npz", "shards/b.npz"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        np.savez(tmp_path / name, logits=rng.normal(size=(500, 8)))
    np.savez(tmp_path / "labels.npz", labels=rng.integers(0, 8, 1000, np.uint8))
    [path] = tmp_path.rglob(damaged)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] &= 0xF8  # still a label
    assert content != path.read_bytes()
    path.write_bytes(content)
    sources = [str(tmp_path / "shards/*.npz"), str(tmp_path / "labels.npz")]
    with pytest.raises(SourceError, match=f"{damaged}.*Bad CRC-32") as caught:
        score("cross_entropy", *sources, out=tmp_path / "run", report=False)
    assert caught.value.field == ("target" if damaged == "labels.npz" else "input")
    assert not (tmp_path / "run" / "summary.json").exists()


@pytest.mark.parametrize("each", [(), (3,)], ids=["a box", "three boxes"])
def test_boxes_of_a_row(each: tuple[int, ...], tmp_path: Path) -> None:
    corners = np.random.default_rng(9).random((2, 400, *each, 2, 2), np.float32)
    boxes = np.concatenate([corners[..., 0, :], corners.sum(-2)], -1)
    for name, array in zip("xy", boxes, strict=True):
        np.save(tmp_path / f"{name}.npy", array)
    given = tmp_path / "x.npy", tmp_path / "y.npy"
    how: dict[str, Any] = {"shard_rows": 150, "gradients": True}
    made = score("generalized_box_iou_loss", *given, out=tmp_path / "run", **how)
    tensors = {"boxes1": boxes[0], "boxes2": boxes[1]}
    losses = evaluate("generalized_box_iou_loss", tensors, reduction="sample").loss
    near(made.loss, losses.mean(dtype=float))
    np.testing.assert_allclose(rows(made)["loss"], losses, rtol=1e-6)
    whole = evaluate("generalized_box_iou_loss", tensors, reduction="sum", gradients=["boxes1"])
    found = np.load(tmp_path / "run" / "gradients.npy")
    np.testing.assert_allclose(found, whole.gradients["boxes1"], rtol=1e-6)

    boxes[0, 250, ..., 3] = -1
    np.save(tmp_path / "x.npy", boxes[0])
    place = f"[{', '.join(['250', *('0' for _ in each)])}]"
    with pytest.raises(DomainError, match=f"boxes1{re.escape(place)} = .*is not a box.*row 250"):
        score("generalized_box_iou_loss", *given, out=tmp_path / "other", **how)


def test_no_rows(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.zeros((0, 3), np.float32))
    with pytest.raises(SourceError, match=r"x\.npy has no rows"):
        score("mse_loss", tmp_path / "x.npy", tmp_path / "x.npy", out=tmp_path / "run")


def test_rows_that_would_be_broadcast_against_each_other(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.zeros((30, 1), np.float32))
    np.save(tmp_path / "y.npy", np.zeros(30, np.float32))
    with pytest.raises(ShapeError, match="do not have losses of their own"):
        score("mse_loss", tmp_path / "x.npy", tmp_path / "y.npy", out=tmp_path / "run")


def test_losses_of_more_than_a_row_are_refused(classified: Path, tmp_path: Path) -> None:
    with pytest.raises(ScoringError, match=r"info_nce_loss is not a loss of one row at a time"):
        score("info_nce_loss", classified / "x.npy", classified / "x.npy", out=tmp_path / "run")


def test_parameters_that_compare_rows_are_refused(tmp_path: Path) -> None:
    x = tmp_path / "x.npy"
    np.save(x, np.zeros(30, np.float32))
    references = dict.fromkeys(("reference_chosen_logps", "reference_rejected_logps"), x)
    how: dict[str, Any] = {"tensors": references, "out": tmp_path / "run"}
    with pytest.raises(ScoringError, match=r"dpo_loss is not a loss of one row at a time"):
        score("dpo_loss", x, x, parameters={"loss_type": "aot"}, **how)


def test_parameters_are_checked_as_everywhere(classified: Path, tmp_path: Path) -> None:
    given = (classified / "x.npy", classified / "y.npy")
    with pytest.raises(ParameterError, match=r"label_smoothing = 2 is outside"):
        score("cross_entropy", *given, out=tmp_path / "a", parameters={"label_smoothing": 2})
    with pytest.raises(ParameterError, match="has no parameter 'smooth'; it has: "):
        score("cross_entropy", *given, out=tmp_path / "b", parameters={"smooth": 2})
    with pytest.raises(ParameterError, match="has no tensor 'weights'; it has: input, target"):
        score("cross_entropy", *given, out=tmp_path / "c", tensors={"weights": given[0]})
    with pytest.raises(ParameterError, match="needs the tensor 'negative' too"):
        score("triplet_margin_loss", given[0], given[0], out=tmp_path / "d")


def test_bits_do_not_depend_on_how_much_is_computed_at_once(tmp_path: Path) -> None:
    """Also of a divisor that is summed over rows too wide to be read for a shard at once."""
    random = np.random.default_rng(6)
    x, y, w = (random.random((4000, 50), np.float32) for _ in range(3))
    for name, array in {"x": x, "y": y, "w": w}.items():
        np.save(tmp_path / f"{name}.npy", array)
    task = Task(
        "mse_loss", {n: str(tmp_path / f"{m}.npy") for n, m in
                     {"input": "x", "target": "y", "weight": "w"}.items()},
    )  # fmt: skip
    found = []
    for block in (100, 300):
        opened = inputs.Inputs(task)
        few = HERE._replace(block=block * 50 * 4)
        scored = Scorer(opened, few).shard(opened.shards[0])
        found.append((scored.total, scored.divisor, scored.table))
    assert found[0] == found[1]
    near(float(found[0][1]), w.sum(dtype=np.float64))


def test_confidences_do_not_depend_on_how_much_is_computed_at_once(tmp_path: Path) -> None:
    random = np.random.default_rng(11)
    np.save(tmp_path / "x.npy", random.standard_normal((1000, 37), np.float32) * 9)
    np.save(tmp_path / "y.npy", random.integers(0, 37, 1000))
    tensors = {"input": str(tmp_path / "x.npy"), "target": str(tmp_path / "y.npy")}
    found = []
    for block in (1, 7, 1000):
        opened = inputs.Inputs(Task("cross_entropy", tensors))
        few = HERE._replace(block=block * 37 * 4)
        found.append(Scorer(opened, few).shard(opened.shards[0]).table)
    assert found[0] == found[1] == found[2]


@pytest.mark.parametrize(
    ("parameters", "kept"),
    [
        ({"delta": np.float32(0.5)}, {"delta": 0.5}),
        ({"delta": np.inf}, {"delta": "Infinity"}),
        ({"normalizer": np.int64(3)}, {"normalizer": 3}),
        ({"zero_if_empty": np.True_}, {"zero_if_empty": True}),
    ],
)
def test_parameters_are_kept_whatever_json_has(
    tmp_path: Path, parameters: dict[str, Any], kept: dict[str, Any]
) -> None:
    np.save(tmp_path / "x.npy", np.arange(6.0))
    np.save(tmp_path / "y.npy", np.zeros(6))
    given = (tmp_path / "x.npy", tmp_path / "y.npy")
    how: dict[str, Any] = {"out": tmp_path / "run", "parameters": parameters, "report": False}
    result = score("huber_loss", *given, **how)
    assert result.summary["parameters"] == kept
    delta = min(1e300, float(parameters.get("delta", 1)))
    total = functional.huber_loss(*tensors(tmp_path, "x", "y"), reduction="sum", delta=delta)
    near(result.loss, total / parameters.get("normalizer", 6))
    assert score("huber_loss", *given, **how).summary == result.summary
    assert resume(tmp_path / "run", report=False).summary == result.summary


def test_weights_of_classes_are_not_taken_for_weights_of_rows(tmp_path: Path) -> None:
    """As many rows as classes: what has a value for each class is the same for all rows."""
    random = np.random.default_rng(8)
    x = random.standard_normal((5, 5)).astype(np.float32)
    y = (random.random((5, 5)) < 0.5).astype(np.float32)
    weight = random.random(5).astype(np.float32) + 1
    for name, array in {"x": x, "y": y, "w": weight}.items():
        np.save(tmp_path / f"{name}.npy", array)
    result = score(
        "binary_cross_entropy_with_logits", tmp_path / "x.npy", tmp_path / "y.npy",
        tensors={"pos_weight": tmp_path / "w.npy"}, out=tmp_path / "run", report=False,
    )  # fmt: skip
    wide, target, positive = (torch.from_numpy(a).double() for a in (x, y, weight))
    near(
        result.loss,
        functional.binary_cross_entropy_with_logits(wide, target, pos_weight=positive),
    )
