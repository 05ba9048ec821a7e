"""The documentation: every loss has its page and picture, and links lead somewhere."""

import doctest
import re
from pathlib import Path

import pytest

import lossd.losses  # noqa: F401  fills the registry
from lossd.spec import registry
from scripts import plots

ROOT = Path(__file__).resolve().parents[2]
PAGES = [
    *(p for p in ROOT.glob("*.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
]


@pytest.mark.filterwarnings("ignore:.*are broadcast")
@pytest.mark.parametrize("name", sorted(registry))
def test_every_loss_has_a_picture_of_what_is_computed(name: str) -> None:
    """`make plots` draws those that are missing or old."""
    assert plots.is_current(name), f"python -m scripts.plots {name}"


def test_a_picture_of_other_mathematics_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    assert plots.is_current("mse_loss")
    moved = plots.drawn("mse_loss") * [[1], [1.01], [1]]
    monkeypatch.setattr(plots, "drawn", lambda name: moved)
    assert not plots.is_current("mse_loss")


@pytest.mark.parametrize("name", sorted(registry))
def test_every_page_has_equations_and_corner_cases(name: str) -> None:
    text = (ROOT / "docs" / "losses" / f"{name}.md").read_text()
    equations = re.findall(r"```math\n(.*?)\n```", text, flags=re.DOTALL)
    assert equations == [registry[name].formula, *registry[name].gradient]
    assert len(equations) > 1
    for equation in equations:
        assert equation.count("{") == equation.count("}")
        assert equation.count(r"\left") == equation.count(r"\right")
        assert r"\operatorname" not in equation, "GitHub does not render it"
    assert "\n## Corner cases\n\n| given |" in text


def test_there_are_no_pages_and_pictures_of_nothing() -> None:
    folder = ROOT / "docs" / "losses"
    assert {p.stem for p in folder.glob("*.md")} == set(registry)
    assert {p.stem for p in (folder / "img").iterdir()} == set(registry)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", text):
        if "://" not in target:
            assert (page.parent / target).exists(), target


def test_the_page_of_weights_says_what_comes_out() -> None:
    text = (ROOT / "docs" / "weights.md").read_text()
    blocks = re.findall(r"^```python\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    assert len(blocks) == text.count("```") // 2 > 3
    test = doctest.DocTestParser().get_doctest("\n".join(blocks), {}, "weights.md", None, 0)
    said: list[str] = []
    result = doctest.DocTestRunner().run(test, out=said.append)
    assert result.attempted > 5
    assert not result.failed, "".join(said)


def test_the_guide_names_losses_that_there_are() -> None:
    text = (ROOT / "docs" / "which-loss.md").read_text()
    named = set(re.findall(r"losses/(\w+)\.md", text))
    assert named == set(registry), "docs/which-loss.md leads to every loss"
