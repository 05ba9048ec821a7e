"""Pages and charts of runs, without a browser; tests/browser opens them in one."""

import copy
import datetime
import doctest
import re
import xml.etree.ElementTree as ET
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import matplotlib as mpl
import pytest

from lossd.scoring import charts, figures
from lossd.scoring.errors import OutputError
from lossd.scoring.report import flat, write_report
from tests.scoring.summaries import HOSTILE, NAMES, SUMMARIES, TIMING

VOID = {"meta", "img", "br", "hr", "input", "link", "wbr"}


class Page(HTMLParser):
    """Elements that close in order; the text of tables by their ids."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: Counter[str] = Counter()
        self.ids: Counter[str] = Counter()
        self.tables: dict[str, str] = {}
        self.table = ""
        self.text = ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        assert not any(name.startswith("on") for name in given)
        self.seen[tag] += 1
        self.ids.update([given["id"]] if given.get("id") else [])
        if tag == "table":
            self.table = str(given["id"])
            self.tables[self.table] = ""
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: Any) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag
        self.table = "" if tag == "table" else self.table

    def handle_data(self, data: str) -> None:
        self.text += data
        if self.table:
            self.tables[self.table] += f"{data} "


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {
        name: write_report(tmp_path_factory.mktemp(name), make(), TIMING)
        for name, make in SUMMARIES.items()
    }


@pytest.mark.parametrize("name", SUMMARIES)
def test_pages_are_whole_and_alone(written: dict[str, Path], name: str) -> None:
    text = written[name].read_text()
    page, summary = Page(text), SUMMARIES[name]()
    assert page.seen["script"] == 1
    assert max(page.ids.values()) == 1, "ids are one element's"
    assert set(re.findall(r"https?://[^\"' <)]+", text)) <= {
        "http://www.w3.org/2000/svg",
        "http://www.w3.org/1999/xlink",
        "http://purl.org/dc/elements/1.1/",
        "http://creativecommons.org/ns#",
        "http://www.w3.org/1999/02/22-rdf-syntax-ns#",
        "http://purl.org/dc/dcmitype/StillImage",
    }, "names of vocabularies, nothing to fetch"
    assert sorted(p.name for p in written[name].parent.iterdir()) == ["charts", "report.html"]
    mean = figures.figure(summary["reductions"]["mean"])
    assert mean in page.tables["table-reductions"]
    assert figures.figure(summary["worst"][-1]["loss"]) in page.tables["table-worst"]
    assert str(written[name].parent) in page.text
    timing = page.tables["table-timing"].replace("\N{NO-BREAK SPACE}", " ")
    assert "What held the run back: reading." in timing
    assert "1 min 33 s" in timing
    assert "workers, to servers and back 15.1 s (17.50 %), 24.21 GiB a second" in timing


@pytest.mark.parametrize(
    ("name", "drawn"),
    [
        ("ten-classes", {"distribution", "classes", "confusion", "reliability"}),
        ("many-classes", {"distribution", "classes", "groups", "reliability"}),
        ("binary", {"distribution", "classes", "confusion", "reliability"}),
        ("regression", {"distribution", "residuals"}),
        ("other", {"distribution"}),
    ],
)
def test_charts_that_the_summary_has_numbers_for(
    written: dict[str, Path], name: str, drawn: set[str]
) -> None:
    assert {p.stem for p in (written[name].parent / "charts").iterdir()} == drawn
    text = written[name].read_text()
    assert set(re.findall(r'id="chart-(\w+)"', text)) == drawn


def test_the_same_bits_twice(written: dict[str, Path], tmp_path: Path) -> None:
    again = write_report(tmp_path, SUMMARIES["ten-classes"](), TIMING)
    first = written["ten-classes"]
    assert again.read_text().replace(str(tmp_path), str(first.parent)) == first.read_text()
    for chart in (tmp_path / "charts").iterdir():
        before = written["ten-classes"].parent / "charts" / chart.name
        assert chart.read_bytes() == before.read_bytes()


def test_drawing_leaves_no_trace(tmp_path: Path) -> None:
    before = copy.deepcopy(dict(mpl.rcParams))
    charts.write_charts(SUMMARIES["hostile"](), tmp_path)
    assert dict(mpl.rcParams) == before


def test_what_users_wrote_is_text(written: dict[str, Path]) -> None:
    text = written["hostile"].read_text()
    page = Page(text)
    assert HOSTILE not in text
    assert HOSTILE in page.text
    assert page.seen["img"] == 0
    for name in NAMES:
        assert name.replace("\n", "").replace("\x1b", "")[:1] in page.tables["table-groups"]


def test_svgs_are_well_formed(tmp_path: Path) -> None:
    for chart in charts.write_charts(SUMMARIES["hostile"](), tmp_path):
        root = ET.fromstring(chart.svg)
        assert root.attrib["role"] == "img"
        assert root.attrib["aria-label"] == chart.words
        ids = {e.attrib["id"] for e in root.iter() if "id" in e.attrib}
        assert all(one.startswith(f"{chart.name}-") for one in ids)
        assert set(re.findall(r"url\(#([^)]+)\)", chart.svg)) <= ids


def test_warnings(written: dict[str, Path]) -> None:
    broken = Page(written["broken"].read_text()).text
    assert "3 NaN and 1 infinite losses" in broken
    assert "row 4,711: prices.csv, row 4711" in broken
    ignored = Page(written["binary"].read_text()).text
    assert "137 of 20,000 rows ignored" in ignored
    assert 'class="band"' not in written["regression"].read_text()


def test_no_finite_loss_at_all(tmp_path: Path) -> None:
    summary = SUMMARIES["other"]()
    nothing = dict.fromkeys(("mean", "std", "min", "max"), "NaN")
    quantiles = dict.fromkeys(summary["distribution"]["quantiles"], "NaN")
    summary["distribution"] = {**nothing, "quantiles": quantiles}
    summary["distribution"]["histogram"] = {"edges": [], "counts": []}
    summary["worst"] = []
    summary["counts"] = {"scored": 0, "ignored": 0, "nan": 5_000, "inf": 0}
    page = Page(write_report(tmp_path, summary, None).read_text())
    assert "5,000 NaN losses" in page.text
    assert "table-timing" not in page.tables
    assert not (tmp_path / "charts").exists()


def test_the_page_tells_when(tmp_path: Path) -> None:
    made = datetime.datetime(2026, 3, 4, 17, 30, tzinfo=datetime.UTC)
    text = write_report(tmp_path, SUMMARIES["other"](), None, made).read_text()
    assert f"{tmp_path} · 2026-03-04 17:30 UTC" in text


def test_rows_without_a_finite_loss_are_told_apart(tmp_path: Path) -> None:
    summary = SUMMARIES["ten-classes"]()
    assert "not finite" not in Page(write_report(tmp_path, summary, None).read_text()).text
    summary["classes"][3] |= {"not_finite": 7}
    table = Page(write_report(tmp_path, summary, None).read_text()).tables["table-classes"]
    assert "not finite" in table
    assert "Mean and sum are of finite losses." in table


def test_no_labels_are_calibrated_in_no_way(tmp_path: Path) -> None:
    summary = SUMMARIES["ten-classes"]()
    summary["classification"]["reliability"] |= {"counts": [0] * 10, "error": 0.0}
    text = Page(write_report(tmp_path, summary, None).read_text()).text
    assert "calibration error\N{EN DASH}expected" in text


def test_equal_losses_have_a_chart() -> None:
    summary = SUMMARIES["other"]()
    summary["distribution"]["histogram"] = {"edges": [0.5, 0.5], "counts": [5_000]}
    with charts.styled():
        assert charts.png(charts.distribution(summary) or pytest.fail("none")).startswith(
            b"\x89PNG"
        )


def test_bars_leave_out_what_has_no_mean() -> None:
    summary = SUMMARIES["ten-classes"]()
    summary["classes"][3] |= {"mean": "NaN", "count": 0}
    summary["classes"][4] |= {"mean": "Infinity"}
    with charts.styled():
        made = charts.classes(summary)
        assert made is not None
        names = [label.get_text() for label in made.axes[0].get_yticklabels()]
    assert len(names) == 8
    assert not {"3", "4"} & set(names)


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "charts").write_text("in the way")
    with pytest.raises(OutputError, match=r"cannot write to .*/charts: it is not a folder"):
        write_report(tmp_path, SUMMARIES["other"](), None)
    (tmp_path / "charts").unlink()
    (tmp_path / "charts/distribution.png").mkdir(parents=True)
    with pytest.raises(OutputError, match=r"cannot write to .*distribution\.png: Is a directory"):
        write_report(tmp_path, SUMMARIES["other"](), None)
    assert [p.name for p in (tmp_path / "charts").iterdir()] == ["distribution.png"], "no half file"
    (tmp_path / "charts/distribution.png").rmdir()
    (tmp_path / "report.html").mkdir()
    with pytest.raises(OutputError, match=r"cannot write to .*report\.html: Is a directory"):
        write_report(tmp_path, SUMMARIES["other"](), None)
    assert [p.name for p in tmp_path.glob(".*")] == []


def test_figures() -> None:
    assert doctest.testmod(figures).failed == 0
    assert figures.figure(-2.5e-9) == "\N{MINUS SIGN}2.5e\N{MINUS SIGN}9"
    assert figures.figure("-Infinity") == "\N{MINUS SIGN}\N{INFINITY}"
    assert figures.figure(None) == figures.share(None) == "\N{EN DASH}"
    assert figures.plain("a\nb" + "c" * 50, 8) == "a\N{REPLACEMENT CHARACTER}bcccc…"
    assert [figures.short(n) for n in (9876, 12_345, 3_456_789)] == ["9876", "12k", "3.5M"]


def test_nested_numbers_are_named_by_their_path() -> None:
    nested = {"a_b": {"c": 1}, "d": [{"e": 2.5}, {"e": 3}], "f": [0.5, "x"]}
    assert dict(flat(nested)) == {"a b c": 1, "d 0 e": 2.5, "d 1 e": 3, "f": "0.5, x"}
