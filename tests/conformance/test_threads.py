"""Every loss has the same bits in processes of 1, 2 and 7 threads."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import lossd.losses  # noqa: F401  fills the registry
from lossd.spec import registry

pytestmark = pytest.mark.thorough

ROOT = Path(__file__).resolve().parents[2]


def digests(threads: int) -> list[str]:
    """A line for each form of each loss, computed by a process with so many threads."""
    environment = os.environ | {"NUMBA_NUM_THREADS": str(threads)}
    command = [sys.executable, "-m", "tests.conformance.threads"]
    done = subprocess.run(
        command, env=environment, cwd=ROOT, capture_output=True, text=True, check=True, timeout=600
    )
    first, *lines = done.stdout.splitlines()
    assert first.split()[1] == str(threads)
    return lines


@pytest.mark.timeout(900)
def test_the_same_bits_with_1_2_and_7_threads() -> None:
    alone = digests(1)
    assert {line.split()[0] for line in alone} == set(registry)
    assert len(alone) > 4 * len(registry)
    for threads in (2, 7):
        assert digests(threads) == alone
