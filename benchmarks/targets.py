"""What must be reached, against what was measured."""

import math
from collections.abc import Callable, Sequence
from typing import Final

from benchmarks.suite import Row
from benchmarks.verdicts import Verdict
from lossd.spec import Composed, registry

MILLION: Final = 1 << 20
FROM_ELEMENTS: Final = 4096  # below, a call is all overhead
CHUNKED: Final = 1 << 20  # bytes of a request from which throughput counts, and not latency
SHARED: Final = 16_000_000  # bytes of tensors and gradient

IN_SHARED_MEMORY: Final = {
    "unix": "Over unix with shared memory",
    "place": "Over unix, tensors made in shared memory",
}


def verdicts(rows: Sequence[Row]) -> list[Verdict]:
    """Each target."""
    large = [r for r in rows if r.workload.elementwise and r.workload.elements >= MILLION]
    middle = [r for r in rows if MILLION <= r.workload.elements <= 16 * MILLION]
    small = [r for r in rows if _is(r, "cross_entropy", "64x10")]
    # composed losses compute for longer than their tensors travel
    chunked = [r for r in rows if r.sent > CHUNKED and not _composed(r)]
    calls = [r for r in rows if r.workload.elements >= FROM_ELEMENTS]
    return [
        _mean("All losses, 1M to 16M elements: torch / lossd, geometric mean ≥ 4", middle, 4.0),
        _mean("Element-wise, ≥ 1M elements: torch / lossd, geometric mean ≥ 4", large, 4.0),
        _worst(
            "Element-wise, ≥ 1M elements: lossd / copy limit, worst ≤ 1.5",
            large,
            _ratio("lossd", "copy"),
            most=1.5,
        ),
        *(
            _worst(
                f"Cross entropy {size}: torch / lossd ≥ {least}",
                [r for r in rows if _is(r, "cross_entropy", size)],
                _ratio("torch", "lossd"),
                least=least,
            )
            for size, least in (("4096x1000", 3), ("512x32000", 6), ("128x128000", 8))
        ),
        _worst(
            "Linear cross entropy 2048x512, 32000 classes: torch / lossd ≥ 1",
            [r for r in rows if _is(r, "linear_cross_entropy", "2048x512")],
            _ratio("torch", "lossd"),
            least=1,
        ),
        _worst(
            "CTC 500x32x100: torch / lossd ≥ 3",
            [r for r in rows if _is(r, "ctc_loss", "500x32x100")],
            _ratio("torch", "lossd"),
            least=3,
        ),
        _worst(
            f"From {FROM_ELEMENTS:,} elements on: torch / lossd, worst ≥ 1",
            calls,
            _ratio("torch", "lossd"),
            least=1,
        ),
        _worst(
            "Small call in-process (cross entropy 64x10 through nn): < 60 µs",
            small,
            lambda r: r.seconds("lossd") * 1e6,
            most=60,
            unit=" µs",
        ),
        *(
            _worst(
                f"Small call over unix / raw grpcio ping-pong ≤ {most}",
                small,
                _ratio("unix", "raw_unix"),
                most=most,
            )
            for most in (1.5, 1.15)
        ),
        *(
            _worst(
                f"{title}, {loss} {size}: torch in-process / lossd ≥ {least}",
                [r for r in rows if _is(r, loss, size)],
                _ratio("torch", contender),
                least=least,
            )
            for contender, title in IN_SHARED_MEMORY.items()
            for loss, size, least in (
                ("cross_entropy", "4096x1000", 1.5),
                ("cross_entropy", "512x32000", 4),
                ("mse_loss", "16M", 4),
                ("binary_cross_entropy_with_logits", "16M", 4),
            )
        ),
        *(
            _worst(
                f"{title}, ≥ 16 MB / in-process ≤ 1.6",
                [r for r in rows if r.moved >= SHARED],
                _ratio(contender, "lossd"),
                most=1.6,
            )
            for contender, title in IN_SHARED_MEMORY.items()
        ),
        *(
            _worst(
                "Over TCP with gradients (requests > 1 MiB): share of raw grpcio echo, worst "
                f"≥ {least} %",
                chunked,
                lambda r: 100 * r.ratio("raw_tcp", "tcp"),
                least=least,
                unit=" %",
            )
            for least in (60, 90)
        ),
    ]


def geometric_mean(values: Sequence[float]) -> float:
    """NaN where there are none."""
    return math.exp(math.fsum(map(math.log, values)) / len(values)) if values else math.nan


def _ratio(contender: str, other: str) -> Callable[[Row], float]:
    return lambda row: row.ratio(contender, other)


def _is(row: Row, loss: str, size: str) -> bool:
    return row.workload.loss == loss and row.workload.size == size


def _composed(row: Row) -> bool:
    return issubclass(registry[row.workload.loss], Composed)


def _name(row: Row) -> str:
    return f"{row.workload.loss} {row.workload.size}"


def _mean(target: str, rows: Sequence[Row], least: float) -> Verdict:
    ratios = [x for r in rows if not math.isnan(x := r.ratio("torch", "lossd"))]
    if not ratios:
        return Verdict(target, "not measured", None)
    mean = geometric_mean(ratios)
    return Verdict(target, f"{mean:.2f} over {len(ratios)} rows", mean >= least)


def _worst(
    target: str,
    rows: Sequence[Row],
    figure: Callable[[Row], float],
    *,
    least: float = -math.inf,
    most: float = math.inf,
    unit: str = "",
) -> Verdict:
    """A target that each row must reach: the worst is named, the geometric mean beside it."""
    measured = [(x, r) for r in rows if not math.isnan(x := figure(r))]
    if not measured:
        return Verdict(target, "not measured", None)
    pick = min if least > -math.inf else max
    value, row = pick(measured, key=lambda pair: pair[0])
    text = f"{value:.3g}{unit}"
    if len(measured) > 1:
        mean = geometric_mean([x for x, _ in measured])
        text += f" ({_name(row)}; geometric mean {mean:.3g}{unit})"
        missed = sum(not least <= x <= most for x, _ in measured)
        text += f", missed by {missed} of {len(measured)} rows" * (missed > 0)
    return Verdict(target, text, least <= value <= most)
