"""Write docs/conformance.md: how far results are from the oracle's, over the tests' cases.

python -m scripts.conformance              write the page
python -m scripts.conformance mse_loss     print these losses' rows, write nothing
"""

import argparse
import importlib
import inspect
import platform
import sys
import warnings
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from lossd_client.dtypes import is_half, named, widened
from ml_dtypes import finfo

from lossd.engine import evaluate
from lossd.spec import find, registry
from tests.conformance.cases import CASES, gradients_of
from tests.conformance.compare import (
    HALVES,
    TOLERANCES,
    difference,
    halved,
    upstream_for,
)
from tests.conformance.model import Case, Number
from tests.conformance.oracles import oracle
from tests.conformance.test_corners import DTYPES, Corner, arrays

PAGE = Path(__file__).resolve().parents[1] / "docs" / "conformance.md"
TESTS = Path(__file__).resolve().parents[1] / "tests" / "conformance"
TEXT = """\
Each loss against an oracle that computes its formula in the widest type there is, on the cases of
the tests: every shape, option and parameter there, upstream gradients included. A cell has the
largest error seen, in units of eps times the magnitude of the terms that were added (a rounding of
one term is half a unit), and in brackets in ulp of the result, which is large where terms cancel.
The tests allow {single.loss:g} units; of gradients in float64, whose sums over classes or pixels
are kept in nothing wider, {double.slope:g}.

float16 and bfloat16 are computed in float32, and losses are answered in it: their errors are in its
units. Gradients are rounded once to the tensors' type: the tests allow {half.slope:g} of its units
(tests/conformance/test_half.py holds them to float32's, rounded, bit by bit).

'sample' is the mean of each sample of an element-wise loss, 'batchmean' KLDiv's; a cell is empty
where a loss does not have it.

Corner cases are those of tests/conformance/test_corners*.py whose answers are written out there:
how many are held to PyTorch's answer, or to that of the library that has the loss, and after the +
how many are other on purpose; then the largest error seen, in eps of the result.
"""
REDUCTIONS = ("none", "mean", "sum", "sample", "batchmean")
OF_HALVES = ("none", "mean", "sum")
WIDE = ("float32", "float64")
Array = npt.NDArray[Any]
Seen = dict[tuple[str, str, str], tuple[float, float]]


def errors(got: Array, expected: Number) -> tuple[float, float]:
    """The largest error in ulp of the result, and in eps times the terms' magnitude."""
    off, unit = difference(got, expected)
    info: Any = finfo(got.dtype)  # type: ignore[no-untyped-call]
    with np.errstate(all="ignore"):
        least = float(info.smallest_subnormal)
        exponent = np.floor(np.log2(abs(np.asarray(expected[0]))))
        ulp = np.maximum(float(info.eps) * np.exp2(exponent), least)
        found = [np.where(off == 0, 0, off / np.maximum(size, least)) for size in (ulp, unit)]
    return float(np.max(found[0], initial=0)), float(np.max(found[1], initial=0))


def measure(case: Case, dtype: np.dtype[Any], reductions: Iterable[str], seen: Seen) -> None:
    """Take a case's errors into `seen`: by loss, what, and type, the largest of each kind."""
    tensors = halved(case.tensors(np.float32), dtype) if is_half(dtype) else case.tensors(dtype)
    wide = {name: widened(array) for name, array in tensors.items()}
    gradients = gradients_of(case.loss, wide)
    for reduction in reductions:
        alone = oracle(case.loss, wide, case.parameters, reduction, None)
        kind = np.float32 if is_half(dtype) else dtype
        upstream = upstream_for(case, alone.loss[0].shape, kind)
        expected = oracle(case.loss, wide, case.parameters, reduction, upstream)
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
            key = case.loss, what, named(dtype)
            seen[key] = tuple(map(max, seen[key], errors(array, number)))  # type: ignore[assignment]


def corners() -> dict[str, list[Corner]]:
    """The corner cases of each loss."""
    found: dict[str, list[Corner]] = defaultdict(list)
    for path in sorted(TESTS.glob("test_corners*.py")):
        module = importlib.import_module(f"tests.conformance.{path.stem}")
        for value in vars(module).values():
            for corner in value if isinstance(value, list) else []:
                if isinstance(corner, Corner):
                    found[corner.loss].append(corner)
    return found


def corner_error(corner: Corner) -> float:
    """The largest error of a corner case in eps of the result."""
    most = 0.0
    for dtype in DTYPES:
        got = evaluate(
            corner.loss,
            arrays(corner.tensors, dtype),
            parameters=corner.parameters,
            reduction=corner.reduction,
            gradients=list(corner.gradients),
        )
        known = [(got.loss, corner.expected)]
        known += [(got.gradients[n], value) for n, value in corner.gradients.items()]
        for array, value in known:
            expected = np.asarray(value, array.dtype)
            most = max(most, errors(array, (expected, abs(expected)))[1])
    return most


def corner_cell(cases: list[Corner]) -> str:
    held = sum(corner.torch for corner in cases)
    other = f"+{len(cases) - held}" if held < len(cases) else ""
    most = max((corner_error(corner) for corner in cases), default=0.0)
    return f"{held}{other} ({most:.2f})" if cases else "none"


def cell(kind: tuple[float, float]) -> str:
    ulp, eps = kind
    return f"{eps:.2f} ({ulp:.1f})" if ulp < 1000 else f"{eps:.2f} ({ulp:.0e})"


def row(name: str, columns: list[tuple[str, str]], found: list[Corner]) -> str:
    """A loss's row of the table."""
    seen: Seen = defaultdict(lambda: (0.0, 0.0))
    cases = [case for case in CASES if case.loss == name]
    for case in cases:
        for kind in WIDE:
            measure(case, np.dtype(kind), registry[name].reductions, seen)
        for half in HALVES.values():
            measure(case, half, OF_HALVES, seen)
    cells = [f"[{name}](losses/{name}.md)", str(len(cases))]
    known = (*registry[name].reductions, "gradient")
    cells += [cell(seen[name, what, kind]) if what in known else "" for what, kind in columns]
    return "| " + " | ".join([*cells, corner_cell(found)]) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(description=inspect.getdoc(sys.modules[__name__]))
    parser.add_argument("losses", nargs="*", metavar="LOSS", help="print these losses' rows")
    asked = [find(name).name for name in parser.parse_args().losses]
    columns = [(what, kind) for kind in WIDE for what in (*REDUCTIONS, "gradient")]
    columns += [(what, kind) for kind in HALVES for what in (*OF_HALVES, "gradient")]
    head = ["loss", "cases", *(f"{what}, {kind}" for what, kind in columns), "corner cases"]
    known = corners()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        rows = [row(name, columns, known[name]) for name in asked or sorted(registry)]
    table = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head), *rows]
    if asked:
        print(*table, sep="\n")
        return
    single, double = (TOLERANCES[np.dtype(kind)] for kind in WIDE)
    text = TEXT.format(single=single, double=double, half=TOLERANCES[HALVES["float16"]])
    lines = [
        "<!-- Made by `make conformance` (scripts/conformance.py). Do not edit. -->",
        "",
        "# How exact",
        "",
        *text.splitlines(),
        "",
        f"Python {platform.python_version()}, {platform.machine()}, NumPy {np.__version__}.",
        "",
        *table,
        "",
    ]
    PAGE.write_text("\n".join(lines))
    print(f"written: {PAGE.name}")


if __name__ == "__main__":
    main()
