"""Two runs, row by row: numbers that are known otherwise, and refusals."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from lossd_client.errors import ParameterError

from lossd.cli import main
from lossd.scoring.comparison import UNITS, Comparison, buckets, compare
from lossd.scoring.errors import OutputError, ScoringError, SourceError
from lossd.scoring.inference import bootstrap, sign_test, student, theory
from lossd.scoring.run import resume, score
from tests.scoring.runs import two_models, write_run


def numbers(made: Comparison) -> dict[str, Any]:
    found = json.loads(made.to_json())
    return {k: v for k, v in found.items() if k not in ("a", "b")}


def drawn(rows: int, seed: int = 1) -> tuple[Any, Any]:
    rng = np.random.default_rng(seed)
    a = rng.gamma(2, 1, rows)
    return a, a + rng.normal(0.05, 0.5, rows)


@pytest.mark.parametrize("rows", [1_000, 50_000])
def test_numbers_against_numpy(tmp_path: Path, rows: int) -> None:
    a, b = drawn(rows)
    kind = np.arange(rows) % 3
    made = compare(
        write_run(tmp_path / "a", a, class_=kind),
        write_run(tmp_path / "b", b, class_=kind, shard=777),
        resamples=4_000,
    )
    d = b - a
    assert made.counts == {"paired": rows, "a": 0, "b": 0}
    assert made.means["difference"] == pytest.approx(d.mean(), rel=1e-12)
    assert made.means["std"] == pytest.approx(d.std(ddof=1), rel=1e-12)
    assert made.means["a"] == pytest.approx(a.mean(), rel=1e-12)
    assert made.signs["better"] == (d < 0).sum()
    assert made.units == (rows if rows <= UNITS else len(np.unique(buckets(np.arange(rows)))))
    half = 1.959964 * d.std(ddof=1) / math.sqrt(rows)
    for low, high in (made.bootstrap.values(), made.theory.values()):
        # Of 4,000 draws a quantile's own error is about 4 % of the half width.
        assert low == pytest.approx(d.mean() - half, abs=0.08 * half)
        assert high == pytest.approx(d.mean() + half, abs=0.08 * half)
    for entry in made.classes:
        mine = d[kind == entry["class"]]
        assert entry["count"] == len(mine)
        assert entry["difference"] == pytest.approx(mine.mean(), rel=1e-10)
    assert [e["row"] for e in made.improved] == np.argsort(d)[:20].tolist()
    assert [e["row"] for e in made.worsened] == np.argsort(-d)[:20].tolist()
    block = made.differences
    assert sum(block["counts"]) + block["below"] + block["above"] == rows
    assert np.sum(made.plane["counts"]) + made.plane["outside"] == rows


def test_how_files_are_cut_changes_no_bit(tmp_path: Path) -> None:
    a, b = drawn(30_000)
    group = np.array(["x", "y", "z"])[np.arange(30_000) % 3]
    found = []
    for k, shards in enumerate([(10_000, 10_000), (30_000, 1_001), (70_000, 9_999)]):
        runs = [
            write_run(tmp_path / f"{name}{k}", v, shard=shard, group=group)
            for name, v, shard in zip("ab", (a, b), shards, strict=True)
        ]
        found.append(numbers(compare(*runs, resamples=100)))
    assert found[0] == found[1] == found[2]


def test_rows_without_two_finite_losses_are_counted(tmp_path: Path) -> None:
    a, b = drawn(1_000)
    a[:3], b[2:7], b[10] = np.nan, np.inf, np.nan
    missing = np.arange(1_000) >= 990
    kind = np.zeros(1_000, dtype=np.int64)
    made = compare(
        write_run(tmp_path / "a", a, missing=missing, class_=kind),
        write_run(tmp_path / "b", b, missing=missing, class_=kind),
        resamples=50,
    )
    assert made.counts == {"paired": 982, "a": 13, "b": 16}
    assert made.classes[0]["count"] == 982


def test_a_row_that_is_far_away_spoils_no_other_class(tmp_path: Path) -> None:
    a, b = drawn(1_000)
    b[0] += 1e13
    kind = np.minimum(np.arange(1_000), 1)
    made = compare(
        write_run(tmp_path / "a", a, class_=kind),
        write_run(tmp_path / "b", b, class_=kind),
        resamples=50,
    )
    entry = next(e for e in made.classes if e["class"] == 1)
    assert entry["std"] == pytest.approx((b - a)[1:].std(ddof=1), rel=1e-10)
    assert entry["difference"] == pytest.approx((b - a)[1:].mean(), rel=1e-10)


@pytest.mark.parametrize("far", [1e200, 1.7e308])
def test_losses_that_are_as_large_as_can_be(tmp_path: Path, far: float) -> None:
    a, b = drawn(1_000)
    a[[0, 500]], b[[0, 500]] = far, -far
    a[[1, 501]], b[[2, 502]] = -far, far
    kind = np.minimum(np.arange(1_000) % 500, 3)
    runs = [write_run(tmp_path / n, v, class_=kind) for n, v in (("a", a), ("b", b))]
    made = compare(*runs, tmp_path / "out", resamples=50)
    assert (made.counts["paired"], made.verdict) == (1_000, "")
    assert sum(made.differences["counts"]) + made.differences["below"] + made.differences["above"]
    assert made.improved[0]["row"] == 0
    entry = next(e for e in made.classes if e["class"] == 3)
    d = b[kind == 3] - a[kind == 3]
    assert entry["std"] == pytest.approx(d.std(ddof=1), rel=1e-10)
    assert (tmp_path / "out" / "comparison.html").exists()


@pytest.mark.parametrize("which", ["a", "b"])
def test_groups_that_one_run_has(tmp_path: Path, which: str) -> None:
    a, b = drawn(100)
    b[3] = np.nan
    group = np.array(["x", "y"])[np.arange(100) % 2]
    runs = [
        write_run(tmp_path / name, v, **({"group": group} if name == which else {}))
        for name, v in (("a", a), ("b", b))
    ]
    made = compare(*runs, resamples=50)
    assert {e["group"]: e["count"] for e in made.groups} == {"x": 50, "y": 49}
    assert made.worsened[0]["group"] == group[made.worsened[0]["row"]]


def test_the_same_run_twice(tmp_path: Path) -> None:
    run = write_run(tmp_path / "a", drawn(500)[0])
    made = compare(run, run, tmp_path / "out", resamples=50)
    assert made.means["difference"] == made.bootstrap["low"] == made.bootstrap["high"] == 0
    assert made.signs == {"better": 0, "worse": 0, "equal": 500, "p": 1.0}
    assert made.improved == made.worsened == []
    assert "The rows show no difference" in (tmp_path / "out" / "comparison.html").read_text()


def test_one_row(tmp_path: Path) -> None:
    runs = [write_run(tmp_path / n, np.array([v])) for n, v in (("a", 1.0), ("b", 2.0))]
    made = compare(*runs, tmp_path / "out", resamples=50)
    assert math.isnan(made.bootstrap["low"])
    assert json.loads((tmp_path / "out" / "comparison.json").read_text())["theory"] == {
        "low": "NaN",
        "high": "NaN",
    }
    assert made.verdict == ""


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (1, "one row tells nothing of a difference"),
        (2, "2 rows are too few to tell a difference: 8 are the fewest"),
        (7, "7 rows are too few to tell a difference: 8 are the fewest"),
        (8, "A is better: the interval lies above 0"),
    ],
)
def test_few_rows_have_no_verdict(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], rows: int, words: str
) -> None:
    a = np.zeros(9)
    a[rows:] = np.nan
    for name, losses in (("a", a), ("b", a + 1)):
        write_run(tmp_path / name, losses)
    main(["compare", str(tmp_path / "a"), str(tmp_path / "b"), "--resamples", "50"])
    assert words in capsys.readouterr().out.splitlines()
    made = compare(tmp_path / "a", tmp_path / "b", tmp_path / "out", resamples=50)
    assert made.verdict == ("a" if rows == 8 else "")
    page = (tmp_path / "out" / "comparison.html").read_text()
    assert ("Too few rows to tell a difference" in page) == (rows < 8)


def test_page(tmp_path: Path) -> None:
    runs = two_models(tmp_path, 5_000)
    made = compare(*runs, tmp_path / "out", resamples=200)
    assert made.verdict == "b"
    assert made.parameters == {"label_smoothing": {"a": 0.0, "b": 0.1}}
    text = (tmp_path / "out" / "comparison.html").read_text()
    assert "B is better" in text
    assert "<script>alert" not in text
    assert "<img" not in text
    names = {p.stem for p in (tmp_path / "out" / "charts").iterdir()}
    assert names == {"differences", "plane", "classes", "groups"}
    again = tmp_path / "again"
    compare(*runs, again, resamples=200)
    for name in ("comparison.html", "comparison.json", "charts/plane.png", "charts/classes.png"):
        assert (again / name).read_bytes() == (tmp_path / "out" / name).read_bytes()
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError):
        compare(*runs, tmp_path / "file", resamples=10)
    compare(*runs, resamples=40)
    with pytest.raises(
        ParameterError, match=r"resamples = 39 .* intervals of 0\.95: it must be >= 40"
    ):
        compare(*runs, resamples=39)


TARGETS = np.array([0, np.nan, *range(1, 9)], np.float64)


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ({"loss": "mse_loss"}, "two losses: cross_entropy and mse_loss"),
        ({"losses": np.ones(9)}, "over 10 and 9 rows"),
        ({"id": np.arange(10) + 5}, "the id of row 0 is 0 in one and 5 in the other"),
        ({"class_": np.arange(10) // 9}, "the class of row 9 is 0 in one and 1 in the other"),
        ({"target": TARGETS * 2}, "the target of row 2 is 1.0 in one and 2.0 in the other"),
    ],
)
def test_refusals(tmp_path: Path, other: dict[str, Any], words: str) -> None:
    given = {"losses": np.ones(10), "id": np.arange(10), "class_": np.zeros(10, dtype=np.int64)}
    given["target"] = TARGETS
    one = write_run(tmp_path / "a", **given)
    two = {k: v[: len(other.get("losses", v))] for k, v in given.items()} | other
    with pytest.raises(ScoringError, match=words):
        compare(one, write_run(tmp_path / "b", **two))


def test_runs_that_cannot_be_read(tmp_path: Path) -> None:
    one = write_run(tmp_path / "a", np.ones(10))
    with pytest.raises(ScoringError, match="not there"):
        compare(one, tmp_path / "b")
    (tmp_path / "b").mkdir()
    for other in ("b", "a/summary.json"):
        with pytest.raises(SourceError, match="holds no run: name the folder"):
            compare(one, tmp_path / other)
    (tmp_path / "b" / "run.json").write_text("{}")
    (tmp_path / "b" / "losses").mkdir()
    with pytest.raises(ScoringError, match="not finished"):
        compare(one, tmp_path / "b")
    (tmp_path / "b" / "summary.json").write_text("{")
    with pytest.raises(SourceError, match=r"summary\.json cannot be read"):
        compare(one, tmp_path / "b")
    (tmp_path / "b" / "summary.json").write_bytes((one / "summary.json").read_bytes())
    with pytest.raises(SourceError, match="has no part"):
        compare(one, tmp_path / "b")
    part = tmp_path / "b" / "losses" / "part-000000.parquet"
    part.write_bytes((one / "losses" / "part-000000.parquet").read_bytes()[:-9])
    with pytest.raises(SourceError, match="cannot be read"):
        compare(one, tmp_path / "b")
    pq.write_table(pq.read_table(one / "losses").slice(0, 6), part)
    with pytest.raises(ScoringError, match="more rows"):
        compare(one, tmp_path / "b")
    with pytest.raises(SourceError, match=r"6 rows, summary\.json speaks of 10"):
        compare(tmp_path / "b", tmp_path / "b")
    nothing = write_run(tmp_path / "c", np.full(10, np.nan))
    with pytest.raises(ScoringError, match="no row has a finite loss in both"):
        compare(one, nothing)
    with pytest.raises(ParameterError, match="confidence = 2"):
        compare(one, one, confidence=2)


def test_damaged_losses_are_not_compared(tmp_path: Path) -> None:
    """Not those of a real run either, whose bytes changed and can still be read."""
    random = np.random.default_rng(4)
    np.save(tmp_path / "y.npy", random.normal(size=100))
    for name in ("a", "b b"):
        np.save(tmp_path / f"{name}.npy", random.normal(size=100))
        score("mse_loss", tmp_path / f"{name}.npy", tmp_path / "y.npy", out=tmp_path / name)
    compare(tmp_path / "a", tmp_path / "b b")
    part = tmp_path / "b b" / "losses" / "part-000000.parquet"
    table = pq.read_table(part)
    losses = table.column("loss").to_numpy().copy()
    losses[7] += 1
    pq.write_table(table.set_column(1, "loss", pa.array(losses)), part)
    with pytest.raises(
        SourceError, match=r"part-000000\.parquet is damaged.*--out '.*b b'` computes"
    ):
        compare(tmp_path / "a", tmp_path / "b b")
    resume(tmp_path / "b b")
    compare(tmp_path / "a", tmp_path / "b b", overwrite=True)


def test_a_runs_charts_are_not_replaced(tmp_path: Path) -> None:
    run = write_run(tmp_path / "a", np.ones(10))
    with pytest.raises(OutputError, match=r"holds a run: take another folder"):
        compare(run, run, run)
    assert not (run / "charts").exists()


def test_sign_test() -> None:
    assert sign_test(8, 2) == pytest.approx(2 * (1 + 10 + 45) / 1024)
    whole = 2 * sum(math.comb(1_000, k) for k in range(481))
    assert sign_test(480, 520) == pytest.approx(whole / 2**1_000, rel=1e-10)
    assert sign_test(0, 0) == sign_test(7, 7) == 1
    assert sign_test(0, 3) == pytest.approx(0.25)
    exact = sign_test(2_450, 2_550)
    assert math.erfc(99 / math.sqrt(10_000)) == pytest.approx(exact, rel=2e-3)
    assert sign_test(9_000, 9_400) == pytest.approx(math.erfc(399 / math.sqrt(36_800)))


@pytest.mark.parametrize(
    ("freedom", "quantile"),
    [(1, 12.706), (2, 4.303), (3, 3.182), (4, 2.776), (5, 2.571), (30, 2.042), (10**6, 1.960)],
)
def test_student(freedom: int, quantile: float) -> None:
    assert student(0.975, freedom) == pytest.approx(quantile, abs=5.1e-4)  # every book's table


def test_student_has_no_step_where_its_method_changes() -> None:
    for p in (0.9, 0.975, 0.9995):
        some = [student(p, n) for n in (38, 39, 40, 41)]
        steps = -np.diff(some)
        assert (steps > 0).all()
        assert steps[1] == pytest.approx((steps[0] + steps[2]) / 2, rel=0.01)


def test_buckets_are_even_and_stay() -> None:
    found = np.bincount(buckets(np.arange(UNITS * 100)), minlength=UNITS)
    assert abs(found.mean() - 100) < 1e-9
    assert abs(found.std() - 10) < 0.3, "as of independent draws"
    assert buckets(np.arange(3)).tolist() == buckets(np.arange(3)).tolist()


def test_bootstrap_is_the_same_each_time() -> None:
    values = np.random.default_rng(0).normal(size=999)
    ones = np.ones(999)
    found = [bootstrap(values, ones, resamples=300, confidence=0.9) for _ in range(2)]
    assert found[0] == found[1]
    assert found[0] != bootstrap(values, ones, resamples=300, confidence=0.9, seed=1)


@pytest.mark.slow
@pytest.mark.parametrize(("rows", "slack"), [(10, 0.06), (200, 0.01), (100_000, 0)])
def test_intervals_hold_as_often_as_they_say(rows: int, slack: float) -> None:
    """95 % hold the mean, within 3 sigma; of few skewed values a little fewer, as is known.

    The many are in sorted order and in buckets: the order of rows must not matter.
    """
    rng, held = np.random.default_rng(5), np.zeros(2)
    times, units = 1_000, 500
    place = np.arange(rows) if rows <= units else buckets(np.arange(rows)) % units
    for k in range(times):
        d = np.sort(rng.gamma(2, 1, rows)) - 2
        sums, counts = np.bincount(place, d), np.bincount(place)
        drawn = bootstrap(sums, counts, resamples=1_000, confidence=0.95, seed=k)
        normal = theory(float(d.mean()), float(d.var(ddof=1)), rows, 0.95)
        held += [one.low < 0 < one.high for one in (drawn, normal)]
    assert (abs(held / times - 0.95) < 3 * math.sqrt(0.95 * 0.05 / times) + slack).all()
