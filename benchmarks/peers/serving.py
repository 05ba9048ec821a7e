"""A peer's worker: it takes orders from the driver and answers them, one JSON object a line.

It runs in the peer's environment, so that it needs the standard library only.
"""

import gc
import json
import os
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Protocol, TextIO

Call = Callable[[], Any]
"""Gives the bytes that came back, or a loss and its gradient, a NumPy array."""


class Peer(Protocol):
    """What a worker measures."""

    @property
    def versions(self) -> Mapping[str, str]:
        """Of what is measured, by package."""

    def contenders(
        self, folder: Path, loss: str, answer: int
    ) -> AbstractContextManager[dict[str, Call]]:
        """The calls to time.

        Args:
            folder: has the request as lossd sends it in `request`, and each tensor in NAME.npy.
            loss: which one.
            answer: bytes of an answer.
        """


def serve(peer: AbstractContextManager[Peer]) -> None:
    """Take orders until there are no more."""
    with _orders() as (orders, answers):

        def say(**answer: Any) -> None:
            print(json.dumps(answer), file=answers, flush=True)

        try:
            with peer as ready:
                say(versions=dict(ready.versions))
                for order in orders:
                    _workload(ready, json.loads(order), orders, say)
        except Exception:  # noqa: BLE001  the driver raises it
            say(error=traceback.format_exc())


def _workload(
    peer: Peer, given: dict[str, Any], orders: Iterator[str], say: Callable[..., None]
) -> None:
    """Orders for one workload, from `begin` to `end`."""
    folder = Path(given["folder"])
    with peer.contenders(folder, given["loss"], given["answer"]) as calls:
        say(contenders=list(calls))
        for line in orders:
            match json.loads(line):
                case {"do": "end"}:
                    break
                case {"do": "answer", "contender": name}:
                    say(**_answer(calls[name](), folder))
                case {"do": "time", "contender": name, "calls": count}:
                    say(seconds=_seconds(calls[name], count))
    say(ended=True)


def _answer(made: Any, folder: Path) -> dict[str, Any]:
    if isinstance(made, int):
        return {"bytes": made}
    import numpy as np

    loss, gradient = made
    np.save(folder / "gradient.npy", gradient)
    return {"loss": loss, "gradient": "gradient.npy"}


def _seconds(call: Call, count: int) -> float:
    gc.collect()
    gc.disable()
    try:
        start = time.perf_counter()
        for _ in range(count):
            call()
        return time.perf_counter() - start
    finally:
        gc.enable()


@contextmanager
def _orders() -> Iterator[tuple[Iterator[str], TextIO]]:
    """Orders come by standard input; what libraries print goes to the log, not into answers."""
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as answers:
        os.dup2(2, 1)
        yield iter(sys.stdin.readline, ""), answers
