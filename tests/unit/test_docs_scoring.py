"""docs/scoring.md: its commands and its Python run, in their order, in one folder."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.thorough

pytest.importorskip("pyarrow", reason="lossd[score] is not installed")

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "scoring.md"

Block = tuple[str, str]
"""Language and content."""


def blocks() -> list[Block]:
    """All fenced blocks of the page."""
    return re.findall(r"^```(\w*)\n(.*?)^```$", PAGE.read_text(), re.DOTALL | re.MULTILINE)


def of_ray(block: Block) -> bool:
    return block[0] == "bash" and "--engine ray" in block[1]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where the blocks run."""
    made = tmp_path_factory.mktemp("guide")
    before = Path.cwd()
    os.chdir(made)
    yield made
    os.chdir(before)


def run_bash(content: str, folder: Path) -> None:
    """Run commands; `lossd` is this Python's, of these sources."""
    script = folder / "bin" / "lossd"
    script.parent.mkdir(exist_ok=True)
    script.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m lossd.cli "$@"\n')
    script.chmod(0o755)
    environment = os.environ | {
        "PATH": f"{script.parent}:{os.environ['PATH']}",
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        "RAY_USAGE_STATS_ENABLED": "0",
    }
    done = subprocess.run(
        ["bash", "-euc", content], cwd=folder, env=environment, timeout=120, check=False,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    assert done.returncode == 0, f"{content}\n{done.stdout}"


def test_each_block_has_a_language() -> None:
    found = blocks()
    assert {language for language, _ in found} == {"bash", "python", "text"}
    assert PAGE.read_text().count("```") == 2 * len(found)
    assert sum(map(of_ray, found)) == 1


def test_the_page_runs(folder: Path) -> None:
    names: dict[str, Any] = {}
    for block in blocks():
        language, content = block
        if language == "python":
            exec(compile(content, str(PAGE), "exec"), names)
        elif language == "bash" and not of_ray(block):
            run_bash(content, folder)


@pytest.mark.timeout(120)
def test_the_command_for_ray_runs(folder: Path) -> None:
    """After the page; by itself it makes the data first."""
    pytest.importorskip("ray", reason="lossd[ray] is not installed")
    if not (folder / "old.npy").exists():
        exec(compile(next(c for n, c in blocks() if n == "python"), str(PAGE), "exec"), {})
    [[_, content]] = filter(of_ray, blocks())
    run_bash(content, folder)
