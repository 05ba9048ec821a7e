"""Where evaluations are computed: on the event loop, or in the pool."""

import asyncio
import math
import threading
from typing import Any

import numpy as np
import pytest
from lossd_client.errors import ResourceError
from lossd_client.wire import Request

from lossd import engine
from lossd.plan import Newest
from lossd.server import compute
from lossd.server.compute import Computer
from lossd.server.limits import Budget
from lossd.server.traffic import QUIET, Traffic

X = np.linspace(0, 1, 1 << 20, dtype=np.float32)  # too large to be computed as it is read
LARGE = Request("l1_loss", {"input": X, "target": -X}, {}, "mean", ["input"])


@pytest.mark.parametrize(
    ("brief", "most", "alone", "on_loop"),
    [
        (math.inf, math.inf, False, True),  # it took less than the hop to the pool
        (0.0, math.inf, True, True),
        (0.0, math.inf, False, False),  # somebody may wait for the loop
        (0.0, 0.0, True, False),
    ],
)
def test_where(
    monkeypatch: pytest.MonkeyPatch, brief: float, most: float, alone: bool, on_loop: bool
) -> None:
    monkeypatch.setattr(compute, "BRIEF", brief)
    monkeypatch.setattr(compute, "BRIEF_SIZE", 64 << 20)
    monkeypatch.setattr(compute, "ALONE", most)
    expected = engine.evaluate("l1_loss", dict(LARGE.tensors), gradients=["input"])
    threads = list[int]()
    run = engine.run

    def seen(*given: Any) -> Any:
        threads.append(threading.get_ident())
        return run(*given)

    monkeypatch.setattr(engine, "run", seen)

    async def ask() -> None:
        computer = Computer(1)
        for _ in range(2):
            response = await computer.evaluate(LARGE, alone=alone)
            loss, gradient = (response.tensors[name] for name in ("loss", "grad.input"))
            assert loss == expected.loss
            np.testing.assert_array_equal(np.asarray(gradient), expected.gradients["input"])
            assert (response.seconds > 0) == (brief == 0), "how long it took is told"
        computer.close()

    asyncio.run(ask())
    assert [thread == threading.get_ident() for thread in threads] == [on_loop] * 2


def test_who_is_alone() -> None:
    traffic, one, other = Traffic(), object(), object()
    assert not traffic.alone(one, 0)
    traffic.hear(one, 0)
    assert traffic.alone(one, 0)
    traffic.hear(other, 1)
    assert traffic.alone(other, 1)
    assert not traffic.alone(one, 1)
    traffic.hear(one, 1 + QUIET / 2)
    assert not traffic.alone(one, 1 + QUIET / 2)
    traffic.hear(one, 1 + 2 * QUIET)
    assert traffic.alone(one, 1 + 2 * QUIET)
    traffic.hear(other, 1 + 2.5 * QUIET)
    assert not traffic.alone(other, 1 + 2.5 * QUIET)


def test_what_is_computed_as_soon_as_it_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compute, "ALONE", math.inf)
    expected = engine.evaluate("l1_loss", dict(LARGE.tensors), gradients=["input"])
    room = {"input": np.empty_like(X)}
    asked = list[int]()

    async def ask() -> None:
        computer = Computer(1)

        def now(out: dict[str, Any], *, alone: bool, require: Any = asked.append) -> Any:
            return computer.evaluate_now(LARGE, out, alone=alone, require=require)

        monkeypatch.setattr(engine, "_plans", Newest(16))
        assert now(room, alone=True) is None, "its kernel is not at hand"
        await computer.evaluate(LARGE)
        assert now(room, alone=False) is None, "others may wait"
        assert now({}, alone=True) is None, "its answer is of several messages"
        asked.clear()
        response = now(room, alone=True)
        assert response.tensors["loss"] == expected.loss
        np.testing.assert_array_equal(room["input"], expected.gradients["input"])
        assert asked == [3 * X.nbytes], "tensors and gradient"
        with pytest.raises(ResourceError):
            now(room, alone=True, require=Budget(X.nbytes, "--flag").require)
        computer.close()

    asyncio.run(ask())
