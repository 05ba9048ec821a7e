"""Chunks over a slow connection: their size is adapted, results stay as they are."""

import contextlib
import socket
import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest
from lossd_client import connect
from lossd_client.pace import SMALL, Pace, Sent
from lossd_client.wire import CHUNK, GRADIENT, Request

from lossd.engine import evaluate

from .conftest import StartServer
from .servers import PATIENCE
from .test_pipes import check

RATE = 20e6
"""Bytes a second that go each way: what comes back of a large chunk takes as long again."""

RNG = np.random.default_rng(23)


def carry(source: socket.socket, target: socket.socket) -> None:
    """Bytes of one direction, until an end is closed."""
    free = 0.0
    with contextlib.suppress(OSError):
        while block := source.recv(1 << 15):
            free = max(free, time.monotonic()) + len(block) / RATE
            time.sleep(max(free - time.monotonic(), 0))
            target.sendall(block)
    for end in (source, target):
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def slow_link(target: str) -> Iterator[str]:
    """An address at which a server answers through a slow link."""
    host, _, port = target.rpartition(":")
    carriers, ends = list[threading.Thread](), list[socket.socket]()

    def accept() -> None:
        with contextlib.suppress(OSError):  # it is closed
            while True:
                near, _ = listener.accept()
                far = socket.create_connection((host, int(port)))
                for end in (near, far):
                    end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    ends.append(end)
                for pair in ((near, far), (far, near)):
                    carriers.append(threading.Thread(target=carry, args=pair))
                    carriers[-1].start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        accepting = threading.Thread(target=accept)
        accepting.start()
        yield f"127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)
    accepting.join(PATIENCE)
    for end in ends:
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
    for carrier in carriers:
        carrier.join(PATIENCE)
    for end in ends:
        end.close()


@pytest.fixture
def slow(start_server: StartServer) -> Iterator[str]:
    server = start_server("--share-memory", "none")
    with slow_link(server.addresses()[0]) as address:
        yield address


@pytest.fixture
def chosen(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The sizes that chunks have from now on."""
    found = list[int]()
    choose = Pace.choose

    def noted(self: Pace, request: Request, alone: bool) -> Sent | None:
        sent = choose(self, request, alone)
        if sent is not None:
            found.append(sent.size)
        return sent

    monkeypatch.setattr(Pace, "choose", noted)
    return found


def pair(count: int) -> dict[str, np.ndarray]:
    x, y = RNG.random((2, count), np.float32)
    return {"input": x, "target": y}


def test_small_ones_over_a_slow_link(slow: str, chosen: list[int]) -> None:
    tensors = pair(1 << 17)
    whole = evaluate("mse_loss", tensors, gradients=["input"])
    with connect(slow, timeout=PATIENCE) as client:
        for _ in range(8):
            check(client.evaluate("mse_loss", tensors, gradients=["input"]), whole)
    assert chosen == [CHUNK, CHUNK, *[SMALL] * 6]


def test_halves_have_the_same_bits(slow: str, chosen: list[int]) -> None:
    """Rounded chunk by chunk."""
    tensors = pair(1 << 18) | {"weight": RNG.random(1 << 18, np.float32)}
    with connect(slow, timeout=PATIENCE, wire_dtype="bfloat16") as client:
        answers = [client.evaluate("mse_loss", tensors, gradients=["input"]) for _ in range(4)]
    assert {*chosen} == {CHUNK, SMALL}
    first, *others = (answer.tensors for answer in answers)
    for other in others:
        for name in ("loss", f"{GRADIENT}input"):
            assert np.asarray(other[name]).tobytes() == np.asarray(first[name]).tobytes()


def test_what_is_under_way_together_tells_nothing(
    slow: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    took = list[Sent]()
    monkeypatch.setattr(Pace, "took", lambda self, sent, seconds: took.append(sent))
    tensors = pair(1 << 17)
    whole = evaluate("mse_loss", tensors)
    asked = Request("mse_loss", tensors)
    with connect(slow, timeout=PATIENCE) as client:
        for ongoing in [client._transport.begin(asked, PATIENCE) for _ in range(3)]:
            check(ongoing.result(), whole)
        assert not took
        check(client.evaluate("mse_loss", tensors), whole)
    assert len(took) == 1
