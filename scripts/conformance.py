"""Write docs/conformance.md: how far results are from the oracle's, over the tests' cases.

python -m scripts.conformance
"""

import argparse
import inspect
import platform
import sys
import warnings
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lossd.engine import evaluate
from lossd.spec import registry
from tests.conformance.cases import CASES, gradients_of
from tests.conformance.compare import TOLERANCES, difference, upstream_for
from tests.conformance.model import Case, Number
from tests.conformance.oracles import oracle

PAGE = Path(__file__).resolve().parents[1] / "docs" / "conformance.md"
TEXT = """\
Each loss against an oracle that computes its formula in the widest type there is, on the cases of
the tests: every shape, option and parameter there, upstream gradients included. A cell has the
largest error seen, in units of eps times the magnitude of the terms that were added (a rounding of
one term is half a unit), and in brackets in ulp of the result, which is large where terms cancel.
The tests allow {single:g} units in float32 and {double:g} in float64, whose sums are kept in
nothing wider. float16 and bfloat16 give the bits of float32, gradients rounded once (tests in
tests/conformance/test_half.py). PyTorch's corner cases are in tests/conformance/test_corners*.py.
"""
REDUCTIONS = ("none", "mean", "sum")
Array = npt.NDArray[Any]


def errors(got: Array, expected: Number) -> tuple[float, float]:
    """The largest error in ulp of the result, and in eps times the terms' magnitude."""
    off, unit = difference(got, expected)
    with np.errstate(all="ignore"):
        ulp = np.spacing(abs(np.asarray(expected[0]).astype(got.dtype)))
        found = [
            np.where(off == 0, 0, off / np.maximum(size, np.finfo(got.dtype).smallest_subnormal))
            for size in (ulp, unit)
        ]
    return float(np.max(found[0], initial=0)), float(np.max(found[1], initial=0))


def measure(case: Case, dtype: npt.DTypeLike, seen: dict[Any, Any]) -> None:
    """Take a case's errors into `seen`: by loss, what, and type, the largest of each kind."""
    tensors = case.tensors(dtype)
    gradients = gradients_of(case.loss, tensors)
    for reduction in REDUCTIONS:
        alone = oracle(case.loss, tensors, case.parameters, reduction, None)
        upstream = upstream_for(case, alone.loss[0].shape, dtype)
        expected = oracle(case.loss, tensors, case.parameters, reduction, upstream)
        got = evaluate(
            case.loss,
            tensors,
            parameters=case.parameters,
            reduction=reduction,
            gradients=gradients,
            grad_output=upstream,
        )
        found = [(reduction, got.loss, expected.loss)]
        found += [("gradient", g, expected.gradients[n]) for n, g in got.gradients.items()]
        for what, array, number in found:
            key = case.loss, what, np.dtype(dtype).name
            seen[key] = tuple(map(max, seen[key], errors(array, number)))


def cell(kind: tuple[float, float]) -> str:
    ulp, eps = kind
    return f"{eps:.2f} ({ulp:.1f})" if ulp < 1000 else f"{eps:.2f} ({ulp:.0e})"


def main() -> None:
    argparse.ArgumentParser(description=inspect.getdoc(sys.modules[__name__])).parse_args()
    seen: dict[Any, Any] = defaultdict(lambda: (0.0, 0.0))
    counts: dict[str, int] = defaultdict(int)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for case in CASES:
            for dtype in (np.float32, np.float64):
                measure(case, dtype, seen)
            counts[case.loss] += 1
    columns = [
        (what, kind) for kind in ("float32", "float64") for what in (*REDUCTIONS, "gradient")
    ]
    head = ["loss", "cases", *(f"{what}, {kind}" for what, kind in columns)]
    single, double = (TOLERANCES[np.dtype(kind)] for kind in ("float32", "float64"))
    lines = [
        "<!-- Made by `make conformance` (scripts/conformance.py). Do not edit. -->",
        "",
        "# How exact",
        "",
        *TEXT.format(single=single.loss, double=double.loss).splitlines(),
        "",
        f"Python {platform.python_version()}, {platform.machine()}, NumPy {np.__version__}.",
        "",
        "| " + " | ".join(head) + " |",
        "|" + "---|" * len(head),
    ]
    lines += [
        f"| [{name}](losses/{name}.md) | {counts[name]} | "
        + " | ".join(cell(seen[name, what, kind]) for what, kind in columns)
        + " |"
        for name in sorted(registry)
    ]
    PAGE.write_text("\n".join([*lines, ""]))
    print(f"written: {PAGE.name}")


if __name__ == "__main__":
    main()
