"""Timing: contenders take turns, so that whatever drifts hits them all alike."""

import gc
import math
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, Protocol

Contender = Callable[[], object]


class Elsewhere(Protocol):
    """A contender in a process of its own, which takes the time there."""

    def seconds(self, calls: int) -> float:
        """How long this many calls take."""


SAMPLE: Final = 2e-3  # seconds that a sample lasts at least: a call is repeated until then
CHEAP: Final = 1.0  # seconds: rows that take less get more rounds, up to MORE times as many
MORE: Final = 6
PAUSE: Final = 3e-3  # seconds before a sample: the worker threads of the one before spin that long
LONG: Final = 50e-3  # seconds of a call from which what ran before it does not matter


@dataclass(frozen=True)
class Timing:
    """Seconds of one call.

    median, best, spread: over the rounds; the spread is the distance between the quartiles.
    rounds: samples taken.
    calls: calls in each.
    """

    median: float
    best: float
    spread: float
    rounds: int
    calls: int


def interleaved(contenders: Mapping[str, Contender | Elsewhere], rounds: int) -> dict[str, Timing]:
    """Time contenders in turns, A B C A B C …, after a warm-up.

    There are at least `rounds` rounds, more where they are cheap; 1 means exactly one.
    """
    with _collected():
        single = {name: _estimate(call) for name, call in contenders.items()}
        calls = {name: math.ceil(SAMPLE / seconds) for name, seconds in single.items()}
        round_time = sum(max(SAMPLE, seconds) + PAUSE for seconds in single.values())
        if rounds > 1:
            rounds = min(max(rounds, int(CHEAP / round_time)), MORE * rounds)
        samples: dict[str, list[float]] = {name: [] for name in contenders}
        for _ in range(rounds):
            for name, call in contenders.items():
                if single[name] < LONG:
                    time.sleep(PAUSE)
                    _repeated(call, max(1, calls[name] // 4))  # its data is in cache again
                samples[name].append(_repeated(call, calls[name]) / calls[name])
    return {name: _timing(samples[name], calls[name]) for name in contenders}


def _estimate(call: Contender | Elsewhere) -> float:
    """Seconds of a call, when warm."""
    _repeated(call, 1)
    best, spent = math.inf, 0.0
    for _ in range(5):
        seconds = _repeated(call, 1)
        best, spent = min(best, seconds), spent + seconds
        if spent > LONG:
            break
    return best


def _repeated(call: Contender | Elsewhere, times: int) -> float:
    if not callable(call):
        return call.seconds(times)
    start = time.perf_counter()
    for _ in range(times):
        call()
    return time.perf_counter() - start


def _timing(samples: list[float], calls: int) -> Timing:
    spread = 0.0
    if len(samples) > 1:
        low, _, high = statistics.quantiles(samples, n=4, method="inclusive")
        spread = high - low
    return Timing(statistics.median(samples), min(samples), spread, len(samples), calls)


@contextmanager
def _collected() -> Iterator[None]:
    """No garbage collection within, as timeit does it."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
