"""Compiled kernels are found on disk by a second process, and never after an edit of a source."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import lossd

pytestmark = pytest.mark.thorough

PROGRAM = """
import json, sys
from numba.core.event import install_recorder
with install_recorder("numba:run_pass") as passes:  # a pass of the compiler
    import numpy as np
    import lossd
    from lossd.engine import evaluate
    x, y = np.float32([1, 2, -4]), np.float32([0, 0, 0])
    found = {
        name: evaluate(name, {"input": x, "target": y}, gradients=["input"])
        for name in ("l1_loss", "mse_loss")
    }
    found["nll_loss"] = evaluate(
        "nll_loss", {"input": x.reshape(1, 3), "target": np.array([1])}, reduction="sum"
    )
json.dump({
    "package": lossd.__file__,
    "passes": len(passes.buffer),
    "compiler": "numba.np.arraymath" in sys.modules,  # one of many that compiling takes
    "values": {name: float(result.loss) for name, result in found.items()},
    "gradients": {
        name: result.gradients["input"].tolist()
        for name, result in found.items() if result.gradients
    },
}, sys.stdout)
"""


@dataclass
class Copy:
    """A copy of lossd's sources, and a folder for what is compiled from them."""

    folder: Path

    @property
    def cache(self) -> Path:
        return self.folder / "cache"

    def run(self) -> dict[str, Any]:
        """What a fresh process computes and compiles."""
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            cwd=self.folder,
            env={
                **os.environ,
                "PYTHONPATH": str(self.folder),
                "PYTHONDONTWRITEBYTECODE": "1",
                "NUMBA_CACHE_DIR": str(self.cache),
            },
        )
        assert done.returncode == 0, done.stderr
        report: dict[str, Any] = json.loads(done.stdout)
        assert Path(report["package"]).parent == self.folder / "lossd"
        return report

    def files(self) -> dict[str, tuple[int, int]]:
        """Size and time of everything that was compiled."""
        return {
            path.name: (path.stat().st_size, path.stat().st_mtime_ns)
            for path in self.cache.rglob("*.nb*")
        }

    def edit(self, source: str, old: str, new: str) -> None:
        path = self.folder / "lossd" / source
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Copy:
    """A copy whose kernels one process has compiled."""
    copy = Copy(tmp_path_factory.mktemp("compiled"))
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(Path(lossd.__file__).parent, copy.folder / "lossd", ignore=ignored)
    report = copy.run()
    assert report["passes"] > 0
    assert report["compiler"]
    assert report["values"] == {"l1_loss": pytest.approx(7 / 3), "mse_loss": 7, "nll_loss": -2}
    assert copy.files()
    return copy


@pytest.fixture
def copy(compiled: Copy, tmp_path: Path) -> Copy:
    """A copy of one's own, with everything that is compiled."""
    shutil.copytree(compiled.folder, tmp_path / "copy")
    return Copy(tmp_path / "copy")


def test_a_second_process_compiles_nothing(compiled: Copy) -> None:
    before = compiled.files()
    report = compiled.run()
    assert report["passes"] == 0
    assert not report["compiler"]
    assert compiled.files() == before
    assert report["values"] == {"l1_loss": pytest.approx(7 / 3), "mse_loss": 7, "nll_loss": -2}


def test_what_is_compiled_serves_another_folder(copy: Copy) -> None:
    """An image is built in one place and run in another."""
    copy.edit("server/app.py", '"""The server\'s life', '"""The life of a server')
    assert copy.run()["passes"] == 0


EDITS = {
    "a function of mathfns": (
        "mathfns.py", "return 1 if x > 0 else", "return 2 if x > 0 else",
        {"gradients": {"l1_loss": pytest.approx([2 / 3, 2 / 3, -1 / 3]),
                       "mse_loss": pytest.approx([2 / 3, 4 / 3, -8 / 3])}},
    ),
    "a loss": (
        "losses/regression.py", "return d * d,", "return 3 * d * d,",
        {"values": {"l1_loss": pytest.approx(7 / 3), "mse_loss": 21, "nll_loss": -2}},
    ),
    "a driver": (
        "kernels/elementwise.py", "= added(lanes)", "= 2 * added(lanes)",
        {"values": {"l1_loss": pytest.approx(14 / 3), "mse_loss": 14, "nll_loss": -2}},
    ),
    "how kernels are called": (
        "kernels/slots.py", "values[1:]", "[values[1], builder.mul(values[2], values[2])]",
        {"values": {"l1_loss": pytest.approx(7 / 3), "mse_loss": 7, "nll_loss": -2}},
    ),
}  # fmt: skip


@pytest.mark.parametrize(("source", "old", "new", "expected"), EDITS.values(), ids=EDITS.keys())
def test_an_edit_compiles_again(
    copy: Copy, source: str, old: str, new: str, expected: dict[str, Any]
) -> None:
    copy.edit(source, old, new)
    report = copy.run()
    assert report["passes"] > 0
    assert report["compiler"]
    for key, values in expected.items():
        assert report[key] == values


def test_a_damaged_cache_compiles_again(copy: Copy) -> None:
    """A full disk or a lost machine must not stand in the way of the next start."""
    for path in copy.cache.rglob("*.nb*"):
        path.write_bytes(path.read_bytes()[:-40])
    report = copy.run()
    assert report["values"] == {"l1_loss": pytest.approx(7 / 3), "mse_loss": 7, "nll_loss": -2}


def test_a_cache_that_cannot_be_written_to_is_read(copy: Copy) -> None:
    for path in [copy.cache, *copy.cache.rglob("*")]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    try:
        assert copy.run()["passes"] == 0
    finally:
        for path in [copy.cache, *copy.cache.rglob("*")]:
            path.chmod(0o755 if path.is_dir() else 0o644)


def test_an_edited_module_is_compiled_again(tmp_path: Path) -> None:
    """Also where it is none of those that losses are made of, and only a constant is another."""
    module = """
from lossd.kernels import cache
SIZE = {size}

@cache.compiled("int64()")
def told():
    return SIZE
"""
    for size in (1, 2):
        (tmp_path / "edited.py").write_text(module.format(size=size))
        done = subprocess.run(
            [sys.executable, "-B", "-c", "import edited; print(edited.told())"],
            capture_output=True, text=True, timeout=120, check=True, cwd=tmp_path,
            env=os.environ | {"NUMBA_CACHE_DIR": str(tmp_path)},
        )  # fmt: skip
        assert done.stdout == f"{size}\n"
