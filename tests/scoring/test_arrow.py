"""Numbers between NumPy and Arrow."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from lossd.scoring import arrow

KINDS = ("int8", "uint16", "int64", "uint64", "float16", "float32", "float64", "bool")


@pytest.mark.parametrize("kind", KINDS)
def test_numbers_come_back(kind: str) -> None:
    values: Any = np.arange(21).astype(kind)
    there = arrow.column(values)
    assert there.type == pa.from_numpy_dtype(values.dtype)
    assert there.to_pylist() == values.tolist()
    for part in (there, there[3:], there[9:17], there[21:]):
        found = arrow.numbers(part)
        assert found.dtype == values.dtype
        assert found.tolist() == part.to_pylist()


def test_strides_do_not_matter() -> None:
    values = np.arange(12.0)[::-3]
    assert arrow.column(values).to_pylist() == values.tolist()


def test_what_is_missing_is_null_and_comes_back_as_nan() -> None:
    missing = np.arange(19) % 5 == 2
    there = arrow.column(np.arange(19.0, dtype=np.float32), missing)
    assert there.null_count == missing.sum()
    for start, stop in ((0, 19), (1, 19), (7, 8), (9, 18)):
        found = arrow.numbers(there[start:stop])
        assert found.dtype == np.float32
        expected = np.where(missing, np.nan, np.arange(19.0))[start:stop]
        np.testing.assert_array_equal(found, expected)


def test_nan_is_not_missing() -> None:
    there = arrow.column(np.array([np.nan, 1.0]), np.array([False, False]))
    assert there.null_count == 0
    assert np.isnan(arrow.numbers(there)[0])


def test_missing_integers_are_no_nan() -> None:
    with pytest.raises(ValueError, match="1 of 3 values are missing"):
        arrow.numbers(pa.array([1, None, 3]))


def test_missing_integers_can_be_told() -> None:
    assert arrow.numbers(pa.array([1, None, 3]), -1).tolist() == [1, -1, 3]


RUN = """
import sys
import numpy as np
from lossd import scoring
np.save("x.npy", np.arange(12.0).reshape(4, 3))
np.save("y.npy", np.array([0, 1, 2, -100]))
scoring.score("cross_entropy", "x.npy", "y.npy", out="run")
scoring.score("cross_entropy", "x.npy", "y.npy", out="again")
scoring.compare("run", "again", out="both")
assert "pandas" not in sys.modules
"""


def test_a_run_does_not_load_pandas(tmp_path: Path) -> None:
    """It takes half a second, and is none of our packages."""
    (tmp_path / "pandas.py").write_text("raise RuntimeError('pandas is loaded')")
    command = [sys.executable, "-W", "error", "-c", RUN]
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
