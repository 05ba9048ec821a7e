"""The pages in a real browser: on a desk, in the dark, on a telephone. By `make test-browser`.

Screenshots go to build/browser/: look at them.
"""

import base64
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lossd.scoring.comparison import compare
from lossd.scoring.figures import figure
from lossd.scoring.report import write_report
from tests.scoring.runs import two_models
from tests.scoring.summaries import HOSTILE, NAMES, SUMMARIES, TIMING

webdriver = pytest.importorskip("selenium.webdriver")

SHOTS = Path(__file__).resolve().parents[2] / "build" / "browser"
VIEWS = {
    "light": (1280, 900, "light", "screen"),
    "dark": (1280, 900, "dark", "screen"),
    "phone": (390, 844, "light", "screen"),
    "paper": (794, 1123, "light", "print"),
}
IDLE = "return [document.scrollingElement.scrollWidth, innerWidth]"
SIZES = """return [...document.querySelectorAll('.chart svg')].map(svg => {
  const box = svg.getBoundingClientRect(); return [box.width, box.height]; })"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or pytest.skip("scripts/browser-base")
    for flag in ("headless=new", "no-sandbox", "disable-dev-shm-usage", "hide-scrollbars"):
        options.add_argument(f"--{flag}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    service = webdriver.ChromeService(shutil.which("chromedriver"))
    driver = webdriver.Chrome(options, service)
    driver.set_page_load_timeout(60)
    yield driver
    driver.quit()


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The page of every kind of run."""
    made = {}
    for name, summary in SUMMARIES.items():
        folder = tmp_path_factory.mktemp(name)
        made[name] = write_report(folder, summary(), TIMING if name != "other" else None)
    return made


def open_page(browser: Any, page: Path, view: str) -> None:
    width, height, scheme, media = VIEWS[view]
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": media, "features": features})
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": view == "phone"}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    for log in ("browser", "performance"):
        browser.get_log(log)
    browser.get(page.as_uri())


def requests(browser: Any) -> set[str]:
    """What the page has asked for since it was opened."""
    events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    sent = [e["params"] for e in events if e["method"] == "Network.requestWillBeSent"]
    urls = {one["request"]["url"] for one in sent}
    return {url for url in urls if not url.startswith("data:")}  # those lie in the page


def shoot(browser: Any, name: str) -> None:
    """A picture of the whole page."""
    SHOTS.mkdir(parents=True, exist_ok=True)
    given = {"captureBeyondViewport": True, "format": "png"}
    shot = browser.execute_cdp_cmd("Page.captureScreenshot", given)
    (SHOTS / f"{name}.png").write_bytes(base64.b64decode(shot["data"]))


def check_page(browser: Any, page: Path, charts: int) -> None:
    """What holds of every page in every view."""
    assert requests(browser) == {page.as_uri()}
    assert [e for e in browser.get_log("browser") if e["level"] in ("SEVERE", "WARNING")] == []
    wide, window = browser.execute_script(IDLE)
    assert wide <= window
    sizes = browser.execute_script(SIZES)
    assert len(sizes) == charts
    assert all(w > 200 and h > 100 for w, h in sizes)


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("name", SUMMARIES)
def test_report(browser: Any, pages: dict[str, Path], name: str, view: str) -> None:
    open_page(browser, pages[name], view)
    shoot(browser, f"{name}-{view}")
    check_page(browser, pages[name], len(list((pages[name].parent / "charts").glob("*.png"))))
    summary, text = SUMMARIES[name](), browser.find_element("tag name", "main").text
    assert browser.find_element("tag name", "h1").text.startswith(summary["loss"])
    table = browser.find_element("css selector", "#table-reductions").text
    assert figure(summary["reductions"]["mean"]) in table
    worst = browser.find_elements("css selector", "#table-worst tbody tr")
    assert len(worst) == len(summary["worst"])
    assert figure(summary["worst"][0]["loss"]) in worst[0].text
    assert ("ignored" in text) == bool(summary["counts"]["ignored"])
    assert bool(browser.find_elements("css selector", "#table-classes")) == ("classes" in summary)


def test_what_users_wrote_does_nothing(browser: Any, pages: dict[str, Path]) -> None:
    open_page(browser, pages["hostile"], "light")
    text = browser.find_element("tag name", "main").text
    assert HOSTILE in text
    assert len(browser.find_elements("tag name", "script")) == 1
    assert browser.find_elements("css selector", "img, [onerror]") == []
    drawn = browser.execute_script(
        "return [...document.querySelectorAll('#chart-groups text')].map(t => t.textContent)"
    )
    for name in NAMES:
        assert any(name[:5] in one or "a\N{REPLACEMENT CHARACTER}" in one for one in drawn), name
    with pytest.raises(Exception, match="no such alert"):
        browser.switch_to.alert  # noqa: B018


@pytest.fixture(scope="module")
def comparison(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("comparison")
    compare(*two_models(folder), folder / "out", resamples=2_000)
    return folder / "out" / "comparison.html"


@pytest.mark.parametrize("view", VIEWS)
def test_comparison(browser: Any, comparison: Path, view: str) -> None:
    open_page(browser, comparison, view)
    shoot(browser, f"comparison-{view}")
    check_page(browser, comparison, 4)
    made = json.loads((comparison.parent / "comparison.json").read_text())
    text = browser.find_element("tag name", "main").text
    assert "B is better" in text
    assert "label_smoothing: 0.0 in A, 0.1 in B" in text
    assert "50 of 40,000 rows left out" in text
    assert figure(made["means"]["difference"]) in text
    worst = browser.find_element("css selector", "#table-worsened tbody tr").text
    assert "<img src=x onerror=alert(1)>" in worst
    assert browser.find_elements("css selector", "img, [onerror]") == []


def test_tables_sort(browser: Any, pages: dict[str, Path]) -> None:
    open_page(browser, pages["ten-classes"], "light")
    head = browser.find_element("css selector", "#table-classes thead th:nth-child(2) button")
    cells = "#table-classes tbody td:nth-child(2)"
    for order in ("ascending", "descending"):
        head.click()
        shown = [e.text for e in browser.find_elements("css selector", cells)]
        counts = [int(s.replace(",", "")) for s in shown]
        assert counts == sorted(counts, reverse=order == "descending")
