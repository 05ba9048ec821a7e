"""Clients and servers that die, lie, dawdle or change their mind: nothing is lost to others."""

import asyncio
import contextlib
import gc
import math
import random
import resource
import signal
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from lossd_client import AsyncClient, Client, connect, errors, nn, transports
from lossd_client._gen.lossd.v1 import loss_service_pb2, tensor_pb2
from lossd_client.shared import loan_of

from lossd.engine import evaluate

from .conftest import StartServer, answers
from .servers import PATIENCE, Relay, Server, environment, eventually
from .stubs import (
    Conversation,
    Message,
    Stub,
    begin,
    cancel,
    chunk,
    chunks,
    reason_of,
    request,
    status_of,
)
from .stubs import tensor as described
from .test_errors import WRONG, Wrong
from .test_pipelining import all_of, together
from .test_pipelining import heard as heard_all
from .test_registered import kept, registration
from .test_shared import await_no_segments, call, leased, segments, there
from .test_streaming import forget_peak, resident

pytestmark = pytest.mark.thorough

MIB = 1 << 20
RNG = np.random.default_rng(47)
X = np.float32([[0.1, 0.2, 0.7], [0.6, 0.3, 0.1]])

Asked = loss_service_pb2.EvaluateStreamRequest


def lease(id: int, size: int) -> Message:
    return Asked(id=id, lease=loss_service_pb2.LeaseMemory(size=size))


def small(id: int) -> Message:
    return begin(id, request("l1_loss", input=X, target=X))


def awaiting(id: int) -> Asked:
    """An evaluation that awaits 24 bytes of input."""
    message = request("l1_loss", target=0 * X)
    message.tensors.append(described("input", X, chunked=True))
    return Asked(id=id, evaluate=message)


def opened(server: Server) -> int:
    """Files that a server has open."""
    return len(list(Path(f"/proc/{server.process.pid}/fd").iterdir()))


def unharmed(server: Server, address: str) -> None:
    """The server goes on serving, and nothing went wrong that it did not foresee."""
    answers(address)
    assert server.process.poll() is None
    assert "Traceback" not in server.text, server.text


# --- what there is, is there again -------------------------------------------------------------

LIMITS = {"shared": 16 * MIB, "inflight": 24 * MIB, "registered": 8 * MIB}
FLAGS = [part for name, size in LIMITS.items() for part in (f"--max-{name}-bytes", str(size))]


def memory_is_free(stub: Stub, limit: int = LIMITS["inflight"]) -> bool:
    """Whether a client can have all that tensors under way may take."""
    vector = np.ones(limit // 12, np.float32)
    try:
        answer = stub.evaluate(request("l1_loss", ["input"], input=vector, target=0 * vector))
    except grpc.RpcError as error:
        if error.code() != grpc.StatusCode.RESOURCE_EXHAUSTED:
            raise
        return False
    assert np.frombuffer(answer.tensors[0].data, np.float32) == 1
    return True


def room_to_register(stub: Stub) -> bool:
    """Whether a client can register all that may be registered."""
    with stub.stream() as stream:
        vector = np.zeros(LIMITS["registered"], np.uint8)
        stream.say(registration(1, described("a", vector), stream_only=True))
        return stream.hear().WhichOneof("message") == "registered"


def all_can_be_leased(stub: Stub) -> bool:
    """Whether a client can have all memory that may be shared."""
    with stub.stream() as stream:
        stream.say(lease(1, LIMITS["shared"]))
        return stream.hear().WhichOneof("message") == "leased"


def all_came_back(server: Server, tcp: str, unix: str) -> None:
    await_no_segments(server)
    with Stub(tcp) as stub:
        eventually(lambda: memory_is_free(stub))
        eventually(lambda: room_to_register(stub))
    with Stub(unix) as stub:
        eventually(lambda: all_can_be_leased(stub))
    unharmed(server, tcp)
    unharmed(server, unix)
    await_no_segments(server)


@pytest.fixture
def limited(start_server: StartServer, tmp_path: Path) -> tuple[Server, str, str]:
    """A server with little memory, and its addresses."""
    unix = f"unix:{tmp_path}/lossd.sock"
    server = start_server(*FLAGS, listen=("127.0.0.1:0", unix))
    return server, server.addresses(2)[0], unix


# --- clients that are killed -------------------------------------------------------------------

MORTALS = """
import os, random, select, signal, sys, time
import grpc, numpy as np
from lossd_client import connect, nn

def live(address, number, begun):
    x = np.ones((1000, 700), np.float32)
    client = connect(address)
    criterion = nn.CrossEntropyLoss(client=client)
    if number % 2:
        client.register(np.zeros(100_000, np.uint8), stream_only=True)
        criterion(x[:1], np.zeros(1, int))
    os.write(begun, b"!")
    while True:
        try:
            criterion.value_and_grad(x, np.zeros(1000, int))
        except MemoryError:
            pass  # others have it all

count, side_by_side, *addresses = sys.argv[1:]
chance = random.Random(5)
alive = {}
for number in range(int(count)):
    if len(alive) == int(side_by_side):
        due, child = min((due, child) for child, due in alive.items())
        time.sleep(max(0, due - time.monotonic()))
        del alive[child]
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    begun, told = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(begun)
        live(addresses[number % len(addresses)], number // len(addresses), told)
    os.close(told)
    if os.read(begun, 1) != b"!":
        sys.exit("a client ended by itself")
    os.close(begun)
    alive[child] = time.monotonic() + chance.random() / 8
for child in alive:
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
print("all dead")
"""
"""Clients that are forked before gRPC is used, and killed at random points of evaluations."""


def kill_clients(count: int, *addresses: str) -> None:
    script = [sys.executable, "-c", MORTALS, str(count), "3", *addresses]
    done = subprocess.run(
        script,
        capture_output=True,
        text=True,
        timeout=PATIENCE + count,
        env=environment({"OPENBLAS_NUM_THREADS": "1"}),
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "all dead\n"), done.stderr


def test_sixty_clients_are_killed(limited: tuple[Server, str, str]) -> None:
    server, tcp, unix = limited
    all_came_back(server, tcp, unix)
    files, held = opened(server), resident(server)
    kill_clients(60, tcp, unix)
    all_came_back(server, tcp, unix)
    eventually(lambda: opened(server) <= files + 3)
    assert resident(server) - held < 150


@pytest.mark.slow
def test_a_thousand_clients_are_killed(limited: tuple[Server, str, str]) -> None:
    server, tcp, unix = limited
    kill_clients(200, tcp, unix)
    all_came_back(server, tcp, unix)
    files, held = opened(server), resident(server)
    for _ in range(4):
        kill_clients(200, tcp, unix)
        all_came_back(server, tcp, unix)
    eventually(lambda: opened(server) <= files + 3)
    assert resident(server) - held < 50


# --- a server that is killed -------------------------------------------------------------------


def test_memory_of_a_killed_server_can_still_be_used(
    start_server: StartServer, tmp_path: Path
) -> None:
    """What was shared with it stays the client's: also as the input of calls of the next server."""
    address = f"unix:{tmp_path}/lossd.sock"
    before = set(Path("/dev/shm").iterdir())
    server = start_server(listen=(address,))
    with connect(address, timeout=PATIENCE, retries=8) as client:
        x = client.empty((1000, 400))
        assert loan_of(x) is not None
        x[...] = RNG.standard_normal(x.shape, np.float32)
        copy = x.copy()
        labels = np.arange(1000) % 400
        expected = evaluate("cross_entropy", {"input": x, "target": labels}, gradients=["input"])
        tensors = {"input": x, "target": labels}
        gradients = [
            client.evaluate("cross_entropy", tensors, gradients=["input"]).tensors["grad.input"]
            for _ in range(3)
        ]
        server.kill()
        assert set(Path("/dev/shm").iterdir()) <= before
        start_server(listen=(address,))
        for _ in range(3):
            answer = client.evaluate("cross_entropy", tensors, gradients=["input"])
            assert answer.tensors["loss"] == expected.loss
            gradients.append(answer.tensors["grad.input"])
        for some in (gradients[:3], gradients[3:]):
            assert any(loan_of(gradient) for gradient in some)
        for gradient in gradients:
            np.testing.assert_array_equal(gradient, expected.gradients["input"])
        np.testing.assert_array_equal(x, copy)
        x[...] = 0  # nobody's but the client's
        del x, tensors, gradients, gradient, answer
        gc.collect()
        call(client)
    answers(address)


# --- clients that dawdle -----------------------------------------------------------------------


def test_two_hundred_that_dawdle(start_server: StartServer) -> None:
    """They hold what they began until others need it; who gets on with it keeps it."""
    whole = np.zeros((90, 1000), np.float32)  # what each awaits, 360 KB
    message = request("cross_entropy", ["input"], target=np.zeros(90, np.int64))
    message.tensors.append(described("input", whole, chunked=True))
    limit = 80 * MIB
    server = start_server("--max-inflight-bytes", str(limit))
    address = server.addresses()[0]
    answers(address)
    files = opened(server)
    with contextlib.ExitStack() as stack:
        stubs = [stack.enter_context(Stub(address)) for _ in range(10)]
        streams = [stack.enter_context(stubs[k % 10].stream()) for k in range(200)]
        for stream in streams:
            stream.say(begin(1, message), small(2))
            assert stream.hear_result(2)["loss"] == 0
        streams[0].say(chunk(1, "input", 0, bytes(whole.nbytes // 2)))
        with connect(address, timeout=10) as client:
            for k in range(3):
                for stream in streams[2::2]:
                    stream.say(chunk(1, "input", 8 * k, bytes(8)))
                value = client.evaluate("mse_loss", {"input": X, "target": 0 * X}).tensors["loss"]
                assert value == np.square(X).mean()
        streams[2].say(cancel(1), small(3))
        assert streams[2].hear_result(3)["loss"] == 0
        needed = limit - (1 << 20)  # all but what the one that gets on holds
        eventually(lambda: memory_is_free(stubs[0], needed))
        for k, stream in enumerate(streams[3:], 3):
            status = stream.hear_error(1)
            assert reason_of(status) == "DEADLINE_EXCEEDED"
            told = f"{8 * 3 * (k % 2 == 0)} of 360,000 bytes"
            assert "comes too slowly" in status.message
            assert told in status.message
            stream.say(small(4))
            assert stream.hear_result(4)["loss"] == 0
        streams[0].say(chunk(1, "input", whole.nbytes // 2, bytes(whole.nbytes // 2)))
        assert streams[0].hear_result(1)["loss"] == pytest.approx(np.log(1000))
    with Stub(address) as last:
        eventually(lambda: memory_is_free(last, limit))
    eventually(lambda: opened(server) <= files + 3)
    unharmed(server, address)


def test_few_that_dawdle_with_all_there_is(start_server: StartServer) -> None:
    """Small evaluations find room at once, large ones as soon as it is seen who dawdles."""
    server = start_server("--max-inflight-bytes", str(24 * MIB), "--stall-seconds", "2")
    address = server.addresses()[0]
    whole = np.zeros((1, 1, MIB), np.float32)
    message = request("dice_loss", target=whole)
    message.tensors.append(described("input", whole, chunked=True))
    large = np.ones(MIB, np.float32)
    with Stub(address) as stub, Stub(address) as other, stub.stream() as stream:
        for id in range(1, 5):  # there is room for three
            stream.say(begin(id, message))
        assert reason_of(stream.hear_error(4)) == "LIMIT_EXCEEDED"
        assert not memory_is_free(other, 12 * MIB)
        for _ in range(100):
            loss = other.evaluate(request("l1_loss", input=X, target=0 * X))
            assert np.frombuffer(loss.tensors[0].data, np.float32) == np.abs(X).mean()

        def fits() -> bool:
            stream.say(*(chunk(id, "input", next(offsets[id]), b"\0") for id in (1, 2, 3)))
            try:
                other.evaluate(request("l1_loss", ["input"], input=large, target=0 * large))
            except grpc.RpcError:
                return False
            return True

        offsets = {id: iter(range(1000)) for id in (1, 2, 3)}
        eventually(fits)
        assert reason_of(stream.hear_error(1)) == "DEADLINE_EXCEEDED"
    unharmed(server, address)


def test_who_dawdles_and_asks_for_more_goes_on(start_server: StartServer) -> None:
    """The room is another's that gets on still less."""
    limit = 44 * MIB
    server = start_server("--max-inflight-bytes", str(limit), "--stall-seconds", "1.5")
    address = server.addresses()[0]
    x, whole = np.arange(6 * MIB, dtype=np.float32), np.zeros((1, 1, 3 * MIB), np.float32)
    slow, still = request("l1_loss"), request("dice_loss")
    for name in ("input", "target"):
        slow.tensors.append(described(name, x, chunked=True))  # room for 9 MiB of each
        still.tensors.append(described(name, whole, chunked=True))  # and for all, 24 MiB
    parts = list(chunks(1, "input", x.tobytes()))
    with Stub(address) as stub, stub.stream() as stream, stub.stream() as other:
        other.say(begin(1, still))
        stream.say(begin(1, slow))
        for k, part in enumerate(parts[:22]):  # of one tensor alone, so that its chunks wait
            stream.say(part)
            other.say(chunk(1, "input", k, b"\0"))
            time.sleep(0.25)
        assert reason_of(other.hear_error(1)) == "DEADLINE_EXCEEDED"
        stream.say(*chunks(1, "target", x.tobytes()), *parts[22:])
        assert stream.hear_result(1)["loss"] == 0
    with Stub(address) as last:
        eventually(lambda: memory_is_free(last, limit))
    unharmed(server, address)


@pytest.mark.parametrize("first", [True, False], ids=["begun", "not begun"])
def test_a_hundred_thousand_tiny_chunks(start_server: StartServer, first: bool) -> None:
    """Each takes hundreds of times its bytes, if it is kept by itself."""
    server = start_server()
    address = server.addresses()[0]
    x = RNG.integers(0, 9, 25_000).astype(np.float32)
    message = request("mse_loss", ["input"])
    names = ("input", "target") if first else ("input", "target", "weight")
    message.tensors.extend(described(n, x, chunked=True) for n in names)
    data = x.tobytes()
    with Stub(address) as stub, stub.stream() as stream:
        stream.say(small(2))
        stream.hear_result(2)
        forget_peak(server)
        before = resident(server)
        stream.say(begin(1, message))
        for start in range(0, len(data), 1000):
            ones = [chunk(1, "input", k, data[k : k + 1]) for k in range(start, start + 1000)]
            stream.say(together(*[chunk(1, "input", start, b"")] * 10, *ones))
        stream.say(small(3))
        stream.hear_result(3)
        assert resident(server, "VmHWM") - before < 16
        if not first:
            stream.say(*chunks(1, "weight", np.ones_like(x).tobytes()))
        stream.say(*chunks(1, "target", bytes(len(data)), 777))
        found = stream.hear_result(1)
    expected = evaluate("mse_loss", {"input": x, "target": 0 * x}, gradients=["input"])
    assert found["loss"] == expected.loss
    np.testing.assert_array_equal(found["grad.input"], expected.gradients["input"])
    unharmed(server, address)


@pytest.fixture
def relayed(server: Server) -> Iterator[Relay]:
    """A network to a server."""
    with contextlib.closing(Relay(server.addresses()[0])) as relay:
        yield relay


def test_a_server_that_vanished_is_not_waited_for(
    relayed: Relay, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a word, as a machine without power: no timeout is set, and yet the call ends."""
    at_once = dict(transports.OPTIONS) | dict(transports.options(keepalive=0.5))
    monkeypatch.setattr(transports, "OPTIONS", tuple(at_once.items()))
    with connect(relayed.address, retries=0) as client:
        tensors = {"input": X, "target": 0 * X}
        client.evaluate("mse_loss", tensors)
        time.sleep(2.5)  # silence alone ends nothing
        client.evaluate("mse_loss", tensors)
        assert relayed.connections == 1
        relayed.cut()
        with pytest.raises(errors.UnavailableError, match="ping"):
            client.evaluate("mse_loss", tensors)
        relayed.mend()
        # while the first connection ends gRPC still gives calls to it
        eventually(lambda: relayed.ended == 1)
        client.evaluate("mse_loss", tensors)
        assert relayed.connections == 2


def test_what_a_client_that_vanished_held_is_freed(start_server: StartServer) -> None:
    server = start_server("--keepalive-seconds", "1", "--share-memory", "any")
    with (
        contextlib.closing(Relay(server.addresses()[0])) as relay,
        connect(relay.address, timeout=PATIENCE) as client,
    ):
        call(client)
        call(client)
        assert segments(server) > 0
        time.sleep(4)  # silence alone ends nothing
        assert segments(server) > 0
        relay.cut()
        await_no_segments(server)


INTERRUPTED = """
import os, random, signal, sys, threading
import numpy as np
from lossd_client import connect, nn

class Late(Exception): pass

def late(number, frame):
    raise Late

signal.signal(signal.SIGALRM, late)
x, y = np.zeros((200, 500), np.float32), np.zeros(200, np.int64)
for trial in range(12):
    with connect(sys.argv[1]) as client:
        criterion = nn.CrossEntropyLoss(client=client)
        expected = criterion.value_and_grad(x, y)[0]
        number = (signal.SIGINT, signal.SIGALRM)[trial % 4 == 3]
        wait = 0.02 + 0.05 * random.random()
        threading.Timer(wait, os.kill, (os.getpid(), number)).start()
        try:
            while True:
                criterion.value_and_grad(x, y)
        except (KeyboardInterrupt, Late):
            pass
        assert criterion.value_and_grad(x, y)[0] == expected
        print(signal.getsignal(signal.SIGINT) is signal.default_int_handler)
"""


@pytest.mark.parametrize("kind", ["unix", "tcp"])
def test_ctrl_c_ends_a_call_and_nothing_else(kind: str, server: Server, socket_path: Path) -> None:
    """Wherever the main thread is just then, in gRPC or out of it."""
    target = f"unix:{socket_path}" if kind == "unix" else server.addresses()[0]
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED, target],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        env=environment(),
        check=False,
    )
    assert done.stdout.split() == ["True"] * 12, done.stderr
    assert done.returncode == 0


def test_a_loop_that_was_closed_leaves_an_async_client_whole(server: Server) -> None:
    """Answers come for a loop that is closed: nobody waits for them there."""
    client = AsyncClient(server.addresses()[0])
    criterion = nn.CrossEntropyLoss(client=client)
    x, y = np.zeros((4096, 1000), np.float32), np.zeros(4096, np.int64)
    tasks = []

    async def begun() -> None:
        tasks.append(asyncio.ensure_future(criterion(x, y)))
        await asyncio.sleep(0.01)
        assert not tasks[0].done()

    async def whole() -> float:
        loss = await asyncio.wait_for(criterion(x[:4], y[:4]), PATIENCE)
        await client.aclose()
        return float(loss.item())

    loop = asyncio.new_event_loop()
    loop.run_until_complete(begun())
    loop.close()
    assert asyncio.run(whole()) == pytest.approx(np.log(1000))
    tasks[0]._log_destroy_pending = False  # type: ignore[attr-defined]  # as it is meant to be


def test_a_sink_cannot_wait_for_what_waits_for_it(server: Server) -> None:
    x, y = np.zeros((2000, 500), np.float32), np.zeros(2000, np.int64)
    tensors = {"input": x, "target": y}
    for timeout in (None, PATIENCE):
        with connect(server.addresses()[0], timeout=timeout) as client:

            def call(name: str, start: int, values: Any, client: Client = client) -> None:
                client.evaluate("cross_entropy", {"input": x[:2], "target": y[:2]})

            with pytest.raises(RuntimeError, match="call another client"):
                client.evaluate("cross_entropy", tensors, gradients=["input"], sink=call)
            client.evaluate("cross_entropy", tensors)


def test_clients_that_are_dropped_are_closed(start_server: StartServer, tmp_path: Path) -> None:
    server = start_server(listen=(f"unix:{tmp_path}/lossd.sock",))
    x, y = np.zeros((300, 500), np.float32), np.zeros(300, np.int64)

    def use() -> None:
        for _ in range(3):
            nn.CrossEntropyLoss(client=connect(f"unix:{tmp_path}/lossd.sock"))(x, y)

    use()
    gc.collect()
    await_no_segments(server)
    before, files = threading.active_count(), opened(server)
    for _ in range(10):
        use()
    gc.collect()
    eventually(lambda: threading.active_count() <= before and opened(server) <= files)


def test_a_server_may_be_far_away(server: Server) -> None:
    """Half a second for each way, and for the handshake."""
    with (
        contextlib.closing(Relay(server.addresses()[0], delay=0.5)) as relay,
        connect(relay.address, retries=0) as client,
    ):
        client.evaluate("mse_loss", {"input": X, "target": 0 * X})
        assert relay.connections == 1


def test_what_does_not_come_is_not_waited_for(start_server: StartServer) -> None:
    """An evaluation whose chunks stop coming gives its memory back, and the rest goes on."""
    server = start_server(*FLAGS, "--stall-seconds", "2")
    address = server.addresses()[0]
    with Stub(address) as stub, stub.stream() as stream:
        large = request("dice_loss", target=np.zeros((1, 1, 1 << 20), np.float32))
        large.tensors.append(
            described("input", np.zeros((1, 1, 1 << 20), np.float32), chunked=True)
        )
        stream.say(small(2))  # compiles
        assert stream.hear_result(2)["loss"] == 0
        assert memory_is_free(stub)
        stream.say(begin(1, large), chunk(1, "input", 0, bytes(1000)), small(2))
        assert stream.hear_result(2)["loss"] == 0
        assert not memory_is_free(stub)
        registering = registration(3, described("a", np.zeros(1000), chunked=True))
        stream.say(registering)
        for start in range(60):  # slow, and yet in time; chunks of nothing are no progress
            stream.say(chunk(3, "a", start, b"\0"), chunk(1, "input", 1000, b""))
            time.sleep(0.05)
        failure = stream.hear_error(1)
        assert failure.message == "nothing of 'input' has come for 2 s (--stall-seconds)"
        assert reason_of(failure) == "DEADLINE_EXCEEDED"
        stream.say(chunk(3, "a", 60, bytes(7940)))
        assert stream.hear().WhichOneof("message") == "registered"
        eventually(lambda: memory_is_free(stub))
        stream.say(small(1))
        assert stream.hear_result(1)["loss"] == 0
        assert stream.end() == []
    unharmed(server, address)


# --- clients that change their mind ------------------------------------------------------------

ROWS, CLASSES, WIDTH = 6000, 16384, 256
LABELS = RNG.integers(0, CLASSES, ROWS)
HIDDEN = RNG.standard_normal((ROWS, WIDTH), np.float32)
WEIGHT = RNG.standard_normal((CLASSES, WIDTH), np.float32)
LONG = {"input": HIDDEN, "linear_weight": WEIGHT, "target": LABELS}  # takes about a second


def long(id: int) -> Iterator[Message]:
    message = request("linear_cross_entropy", ["input"], target=LABELS)
    for name in ("input", "linear_weight"):
        message.tensors.append(described(name, LONG[name], chunked=True))
    yield begin(id, message)
    for name in ("input", "linear_weight"):
        yield from chunks(id, name, LONG[name].tobytes())


def test_given_up_while_it_is_computed(start_server: StartServer) -> None:
    """The id is free at once, and what comes of the first does not end what has it next."""
    server = start_server("--concurrency", "1")
    address = server.addresses()[0]
    messages = list(long(1))
    with Stub(address) as stub, stub.stream() as stream:
        for _ in range(2):
            stream.say(*messages, cancel(1), awaiting(1), small(2))
            assert stream.hear_result(2)["loss"] == 0
            # in its turn once the first is done with
            other = request("linear_cross_entropy", input=X, linear_weight=X, target=[0, 1])
            stream.say(begin(3, other))
            expected = evaluate("linear_cross_entropy", {
                "input": X, "linear_weight": X, "target": np.array([0, 1])})  # fmt: skip
            assert stream.hear_result(3)["loss"] == expected.loss
            stream.say(chunk(1, "input", 0, X.tobytes()))
            assert stream.hear_result(1)["loss"] == pytest.approx(X.mean(dtype=np.float64))
        assert stream.end() == []
    unharmed(server, address)


SOON = 0.1
"""Seconds until a thread is free again after what it computed was given up."""

SLOW = 1 / 20
"""The same as a share of what takes 2 s or more, as everything does where others compute, too."""

WAITS = request("linear_cross_entropy", input=X, linear_weight=X, target=[0, 1])
"""Too small to take long, and yet not computed on the event loop: it waits for a thread."""

Begin = Callable[[float], Callable[[], float]]
"""Begins an evaluation that is given up after so many seconds; what it returns does that, and tells
when it was."""


def lasting(evaluate: Callable[[int], object], most: int = 1 << 10) -> tuple[int, float]:
    """How many times as large an evaluation takes a second or more, and how long that takes."""
    times = 1
    while True:
        evaluate(times)  # compiled, and its memory there
        whole = math.inf
        for _ in range(2):
            start = time.monotonic()
            evaluate(times)
            whole = min(whole, time.monotonic() - start)
        if whole >= 1 or times == most:
            return times, whole
        times = min(most, times * max(2, math.ceil(1.2 / whole)))


def ends_soon(address: str, begin: Begin, whole: float) -> None:
    """Give an evaluation up at a third of its time; another waits for the only thread meanwhile.

    Each of several times is taken by itself. Those count in which it did have to wait.
    """
    waits = []
    with Stub(address) as stub:
        stub.evaluate(WAITS)
        for _ in range(7):
            start = time.monotonic()
            give_up = begin(whole / 3)
            time.sleep(whole / 6)
            following = stub.evaluate_later(WAITS)
            time.sleep(max(0.0, start + 0.3 * whole - time.monotonic()))
            waited = not following.done()
            time.sleep(max(0.0, start + whole / 3 - time.monotonic()))
            given_up = give_up()
            following.result()
            waits.append(time.monotonic() - given_up if waited else math.inf)
    assert statistics.median(waits) < max(SOON, SLOW * whole), (waits, whole)


def beginning(address: str, message: Message, how: str, stack: contextlib.ExitStack) -> Begin:
    """Begin an evaluation whose message has all its tensors, as a client of its own."""

    def begin_it(seconds: float) -> Callable[[], float]:
        stub = stack.enter_context(Stub(address))
        start = time.monotonic()
        stream, unary = stub.stream(), None
        if how == "deadline":
            unary = stub.evaluate_later(message, timeout=seconds)
        else:
            stream.say(begin(1, message))

        def give_up() -> float:
            if unary is not None:
                assert unary.code() in (grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.OK)
                return start + seconds
            now = time.monotonic()
            if how == "cancel":
                stream.say(cancel(1))
            elif how == "end of the stream":
                stream.call.cancel()
            else:
                stub.channel.close()
            return now

        return give_up

    return begin_it


def of_a_layer(times: int) -> Any:
    """Products of matrices: `times` as many rows."""
    rows, weight = np.tile(HIDDEN[:, :16], (times, 1)), WEIGHT[:, :16]
    labels = np.tile(LABELS, times)
    return request("linear_cross_entropy", ["input"], input=rows, linear_weight=weight,
                   target=labels)  # fmt: skip


@pytest.mark.parametrize("how", ["cancel", "end of the stream", "disconnect", "deadline"])
def test_what_is_given_up_ends_soon(start_server: StartServer, how: str) -> None:
    """What waits for its thread does not wait until it would have ended by itself."""
    server = start_server("--concurrency", "1", "--threads", "2")
    address = server.addresses()[0]
    with contextlib.ExitStack() as stack:
        stub = stack.enter_context(Stub(address))
        times, whole = lasting(lambda times: stub.evaluate(of_a_layer(times)))
        ends_soon(address, beginning(address, of_a_layer(times), how, stack), whole)
    unharmed(server, address)


def of_a_path(times: int) -> dict[str, Any]:
    """One sample: `times` as many points in time."""
    points = 6000 * times
    return {
        "log_probs": RNG.standard_normal((points, 1, 8), np.float32) - 3,
        "targets": 1 + np.arange(2500)[None] % 7,
        "input_lengths": np.array([points]),
        "target_lengths": np.array([2500]),
    }


def of_margins(times: int) -> dict[str, Any]:
    """One sample: `times` as many classes."""
    classes = 30_000 * times
    return {
        "input": RNG.standard_normal(classes, np.float32),
        "target": np.where(np.arange(classes) < 15_000, RNG.permutation(classes), -1),
    }


LONG_SAMPLES = {
    "ctc_loss": ("log_probs", of_a_path, 1),  # takes memory: three times as long is refused
    "multilabel_margin_loss": ("input", of_margins, 3),
}


@pytest.mark.parametrize("gradients", [False, True])
@pytest.mark.parametrize("loss", LONG_SAMPLES)
def test_a_long_sample_that_is_given_up_ends_soon(
    start_server: StartServer, loss: str, gradients: bool
) -> None:
    """It is not computed to its end, though it is the only one."""
    server = start_server("--concurrency", "1", "--threads", "1")
    address = server.addresses()[0]
    wanted, drawn, most = LONG_SAMPLES[loss]

    def message(times: int) -> Any:
        return request(loss, [wanted] if gradients else [], **drawn(times))

    with contextlib.ExitStack() as stack:
        stub = stack.enter_context(Stub(address))
        times, whole = lasting(lambda times: stub.evaluate(message(times)), most)
        ends_soon(address, beginning(address, message(times), "cancel", stack), whole)
    unharmed(server, address)


OF_ONE_PLACE = ("input", "target", "var")
"""Tensors of a loss that is computed element by element; all may be the same memory."""


@pytest.fixture
def roomy(start_server: StartServer, tmp_path: Path) -> tuple[Server, str]:
    """A server of one thread, and its unix socket, with room for what takes a second."""
    address = f"unix:{tmp_path}/lossd.sock"
    flags = ("--max-shared-bytes", str(16 << 30), "--max-inflight-bytes", str(64 << 30))
    one = ("--concurrency", "1", "--threads", "1")
    return start_server(*one, *flags, listen=(address,)), address


def test_a_deadline_in_shared_memory_ends_soon(roomy: tuple[Server, str]) -> None:
    """Of tensors that nobody copies."""
    server, address = roomy
    with connect(address) as client, ThreadPoolExecutor(1) as threads:
        x = np.empty(0, np.float16)

        def evaluate(times: int, timeout: float = PATIENCE) -> None:
            nonlocal x
            if x.size != times << 27:
                x = client.empty((times << 27,), np.float16)
                x[:] = 1
            tensors = dict.fromkeys(OF_ONE_PLACE, x)
            client.evaluate("gaussian_nll_loss", tensors, timeout=timeout)

        def begin_it(seconds: float) -> Callable[[], float]:
            start = time.monotonic()
            call = threads.submit(evaluate, times, seconds)

            def give_up() -> float:
                with contextlib.suppress(errors.DeadlineError):
                    call.result()
                return start + seconds

            return give_up

        times, whole = lasting(evaluate)
        assert loan_of(x) is not None
        ends_soon(address, begin_it, whole)
    unharmed(server, address)


def test_what_is_cancelled_in_shared_memory_ends_soon(roomy: tuple[Server, str]) -> None:
    """The same on the wire."""
    server, address = roomy
    with Stub(address) as stub, stub.stream() as stream:
        message = request("gaussian_nll_loss")

        def evaluate(times: int) -> None:
            size = times << 27
            if not message.tensors or message.tensors[0].shape != [size]:
                segment, memory = leased(stream, 1, 2 * size)
                memory.view(np.float16)[:size] = 1
                place = tensor_pb2.MemoryPlace(segment=segment)
                del message.tensors[:]
                for name in OF_ONE_PLACE:
                    kind = {"dtype": tensor_pb2.DTYPE_FLOAT16, "shape": [size], "place": place}
                    message.tensors.append(tensor_pb2.Tensor(name=name, **kind))
            stream.say(begin(2, message))
            assert stream.hear_result(2)["loss"] == 0

        def begin_it(seconds: float) -> Callable[[], float]:
            stream.say(begin(3, message))

            def give_up() -> float:
                stream.say(cancel(3))
                return time.monotonic()

            return give_up

        ends_soon(address, begin_it, lasting(evaluate)[1])
        stream.end()
    unharmed(server, address)


def test_an_id_that_is_used_again_while_chunks_are_computed(stub: Stub) -> None:
    x, target = np.zeros((1 << 20, 2), np.float32), np.zeros(1 << 20, np.int64)
    message = request("cross_entropy")
    message.tensors.extend([described("target", target, chunked=True),
                            described("input", x, chunked=True)])  # fmt: skip
    pieces = [*chunks(1, "target", target.tobytes()), *chunks(1, "input", x.tobytes())]
    with stub.stream() as stream:
        for end in (len(pieces), len(pieces) - 1, len(pieces) - 3):
            stream.say(begin(1, message), *pieces[:end], cancel(1), awaiting(1))
            # in the threads' queue behind whatever is left of the first
            stream.say(begin(2, message))
            stream.say(*chunks(2, "target", target.tobytes()), *chunks(2, "input", x.tobytes()))
            answer = stream.hear()
            while answer.id == 1:  # begun before it was given up
                assert answer.WhichOneof("message") != "error", answer
                answer = stream.hear()
            assert answer.id == 2
            stream.say(chunk(1, "input", 0, X.tobytes()))
            assert stream.hear_result(1)["loss"] == pytest.approx(X.mean(dtype=np.float64))
        assert stream.end() == []


@pytest.mark.parametrize("how", ["cancel", "disconnect"])
def test_what_is_given_up_counts_as_long_as_it_is_held(start_server: StartServer, how: str) -> None:
    """Evaluations that wait for a thread hold their tensors: not without end."""
    limit = 80 * MIB  # for three of 25 MB
    server = start_server("--concurrency", "1", "--max-inflight-bytes", str(limit))
    address = server.addresses()[0]
    with connect(address, timeout=PATIENCE) as client:
        expected = client.evaluate("linear_cross_entropy", LONG, gradients=["input"]).tensors
        forget_peak(server)
        before = resident(server)
        with contextlib.ExitStack() as stack:
            stub = stack.enter_context(Stub(address))
            stream = stack.enter_context(stub.stream())
            for k in range(10):  # of 25 MB each
                stream.say(*long(k), small(100))
                while (answer := stream.hear()).id != 100:  # refused, or chunks of an answer
                    if answer.WhichOneof("message") == "error":
                        assert reason_of(answer.error) == "LIMIT_EXCEEDED"
                if how == "cancel":
                    stream.say(cancel(k))
                else:
                    stream.call.cancel()
                    stream = stack.enter_context(stub.stream())
        assert resident(server, "VmHWM") - before < 2 * limit / MIB

        def fits() -> bool:
            try:
                found = client.evaluate("linear_cross_entropy", LONG, gradients=["input"]).tensors
            except errors.ResourceError:
                return False
            for name, array in expected.items():
                np.testing.assert_array_equal(found[name], array)
            return True

        eventually(fits)
    unharmed(server, address)


def test_deadlines_in_the_middle(limited: tuple[Server, str, str]) -> None:
    server, tcp, unix = limited
    x = np.ones((1000, 1000), np.float32)
    for address in (tcp, unix):
        with connect(address, timeout=PATIENCE) as client:
            late = 0
            for k in range(30):
                with contextlib.suppress(errors.ResourceError):
                    try:
                        client.evaluate(
                            "mse_loss", {"input": x, "target": x[:1]}, gradients=["input"],
                            timeout=2e-4 * (k % 10 + 1),
                        )  # fmt: skip
                    except errors.DeadlineError:
                        late += 1
                value = client.evaluate("l1_loss", {"input": X, "target": 0 * X}).tensors["loss"]
                assert value == pytest.approx(X.mean())
            assert late > 0
    all_came_back(server, tcp, unix)


# --- messages that are wrong -------------------------------------------------------------------


def heard(stream: Conversation, id: int) -> Any:
    """The next answer, which must be one of an evaluation, also if it came among others."""
    found = all_of(stream.hear())
    assert [a.id for a in found] == [id]
    return found[0]


@pytest.mark.parametrize("wrong", WRONG, ids=str)
def test_wrong_order_together(stub: Stub, wrong: Wrong) -> None:
    """As if the messages were sent one by one."""
    messages = [m for m in wrong.messages() if isinstance(m, Asked)]
    with stub.stream() as stream:
        stream.say(together(*messages))
        status = heard(stream, 1).error
        for words in wrong.says:
            assert words in status.message
        stream.say(together(awaiting(1), chunk(1, "input", 0, X.tobytes())))
        assert stream.hear_result(1)["loss"] == pytest.approx(X.mean(dtype=np.float64))
        assert stream.end() == []


def test_a_chunk_after_the_evaluation_was_given_up(stub: Stub) -> None:
    with stub.stream() as stream:
        stream.say(awaiting(1), cancel(1), chunk(1, "input", 0, X.tobytes()))
        assert "not begun" in stream.hear_error(1).message
        stream.say(cancel(1), cancel(99), small(2))
        assert stream.hear_result(2)["loss"] == 0
        assert stream.end() == []


def test_chunks_without_bytes(stub: Stub) -> None:
    with stub.stream() as stream:
        nothing = [chunk(1, "input", 8, b"")] * 100
        stream.say(awaiting(1), chunk(1, "input", 0, b""), chunk(1, "input", 0, X.tobytes()[:8]))
        stream.say(*nothing, chunk(1, "input", 8, X.tobytes()[8:]))
        assert stream.hear_result(1)["loss"] == pytest.approx(X.mean(dtype=np.float64))
        message = request("l1_loss", target=X[:0])
        message.tensors.append(described("input", X[:0], chunked=True))
        stream.say(begin(2, message))
        assert np.isnan(stream.hear_result(2)["loss"])


IMPOSSIBLE = [[-1], [2, -3], [-(1 << 63)], [1 << 32, 1 << 32], [(1 << 31) + 1] * 3, [1 << 62],
              [(1 << 63) - 1], [1] * 33, [1 << 61, 0, 8]]  # fmt: skip


def lying(name: str, shape: list[int], **given: Any) -> tensor_pb2.Tensor:
    return tensor_pb2.Tensor(name=name, dtype="DTYPE_FLOAT32", shape=shape, **given)


@pytest.mark.parametrize("shape", IMPOSSIBLE, ids=lambda shape: str(shape)[:40])
def test_shapes_that_cannot_be(stub: Stub, shape: list[int]) -> None:
    with stub.stream() as stream:
        for given in ({"chunked": True}, {"place": tensor_pb2.MemoryPlace(segment=1)}, {}):
            message = request("l1_loss")
            message.tensors.extend(lying(name, shape, **given) for name in ("input", "target"))
            for wrong in (begin(1, message), registration(1, lying("a", shape, **given))):
                stream.say(wrong)
                assert reason_of(stream.hear_error(1)) == "MALFORMED_MESSAGE"
        stream.say(small(2))
        assert stream.hear_result(2)["loss"] == 0


@pytest.mark.parametrize("where", ["chunks", "tensors"])
def test_messages_that_are_mostly_something_else(start_server: StartServer, where: str) -> None:
    """A tensor of 4 KiB must not keep the 30 MiB of padding that it came in."""
    server = start_server("--max-inflight-bytes", str(64 * MIB))
    address = server.addresses()[0]
    padding, x = bytes(30 * MIB), RNG.random(1 << 20, np.float32)
    with Stub(address) as stub, stub.stream() as stream:
        stream.say(small(100))
        stream.hear_result(100)
        before = resident(server)
        message = request("mse_loss")
        message.tensors.extend(described(n, x, chunked=True) for n in ("input", "target"))
        if where == "chunks":
            stream.say(begin(1, message))
        for k in range(20):
            part = x[k << 10 : (k + 1) << 10]
            if where == "chunks":
                held = chunk(1, "input", k << 12, part.tobytes())
                held.chunk.padding = padding
            else:
                held = begin(k + 1, request("mse_loss", target=part))
                held.evaluate.tensors[0].padding = padding
                held.evaluate.tensors.append(described("input", part, chunked=True))
            stream.say(held)
        stream.say(small(100))
        stream.hear_result(100)
        # the last messages may be on their way out still; 20 that are kept are 600
        eventually(lambda: resident(server) - before < 200)
    unharmed(server, address)


def test_evaluations_that_wait_count_though_they_are_small(start_server: StartServer) -> None:
    server = start_server("--max-inflight-bytes", str(16 * MIB))
    address = server.addresses()[0]
    with Stub(address) as stub, stub.stream() as stream:
        stream.say(together(*map(awaiting, range(1, 1101))))
        refused = heard_all(stream, 1100 - 1024 - 1024 // 16)  # with what small ones have beside
        assert {m.WhichOneof("message") for m in refused} == {"error"}
        stream.say(*chunks(1, "input", X.tobytes()))
        assert stream.hear_result(1)["loss"] == pytest.approx(np.abs(X).mean())
    unharmed(server, address)


def test_an_error_of_a_very_long_name(stub: Stub) -> None:
    message = request("l1_loss", input=X, target=X)
    message.parameters["n" * (20 * MIB)].number = 1
    status = stub.refused(message)
    assert reason_of(status) == "INVALID_PARAMETER"
    assert len(status.message) < 2000


def test_a_request_that_is_none(server: Server) -> None:
    with grpc.insecure_channel(server.addresses()[0]) as channel:
        call = channel.unary_unary("/lossd.v1.LossService/ListLosses")
        with pytest.raises(grpc.RpcError) as caught:
            call(b"\xff\xff", timeout=PATIENCE)
    assert reason_of(status_of(caught.value)) == "MALFORMED_MESSAGE"


def test_what_was_begun_is_answered_before_the_end(start_server: StartServer) -> None:
    """Of many evaluations in one message, though nobody takes the answers for a while."""
    server, count = start_server("--drain-seconds", "60"), 400
    x = np.ones(1 << 13, np.float32)
    with Stub(server.addresses()[0]) as stub, stub.stream() as stream:
        stream.say(registration(1, described("x", x)))
        token = stream.hear().registered.token
        message = request("mse_loss", ["input"], "none")
        message.tensors.extend([kept("input", token), kept("target", token)])
        for _ in range(10):  # brief by now: computed as they are read
            stream.say(begin(1, message))
            stream.hear_result(1)
        stream.say(together(*[Asked(id=k + 1, evaluate=message) for k in range(count)]))
        found = all_of(stream.hear())
        server.process.send_signal(signal.SIGTERM)
        server.await_log("draining")
        time.sleep(0.5)  # time to end in
        while len(found) < count:
            found += all_of(stream.hear())
        assert {answer.WhichOneof("message") for answer in found} == {"result"}
        assert stream.end() == []
        assert server.wait() == 0


def test_announcements_of_more_than_there_is(start_server: StartServer) -> None:
    """Of what is computed as it comes little is held; what a shape alone makes is counted."""
    server = start_server("--max-inflight-bytes", str(64 * MIB))
    address = server.addresses()[0]
    before = resident(server)
    with Stub(address) as stub, stub.stream() as stream:
        for shape in ([1 << 59], [1 << 29, 1 << 30], [1 << 44], [1 << 38, 1]):
            for loss, kind in (("l1_loss", "mean"), ("kl_div", "none"), ("l1_loss", "sample")):
                message = request(loss, ["input"], kind)
                message.tensors.extend(lying(n, shape, chunked=True) for n in ("input", "target"))
                stream.say(begin(1, message))
                assert reason_of(stream.hear_error(1)) == "LIMIT_EXCEEDED"
            stream.say(registration(1, lying("a", shape, chunked=True)))
            assert reason_of(stream.hear_error(1)) == "LIMIT_EXCEEDED"
        column, row = lying("input", [1 << 40, 1]), lying("target", [1, 1 << 40])
        message = request("l1_loss")
        for tensor in (column, row):
            tensor.chunked = True
            message.tensors.append(tensor)
        stream.say(begin(1, message))
        assert reason_of(stream.hear_error(1)) in ("LIMIT_EXCEEDED", "INVALID_SHAPE")
        stream.say(small(2))
        assert stream.hear_result(2)["loss"] == 0
    assert resident(server) - before < 50
    unharmed(server, address)


def registering(id: int) -> Asked:
    """A registration that awaits 24 bytes."""
    message = registration(id, described("a", X, chunked=True))
    assert isinstance(message, Asked)
    return message


WRONG_REGISTRATIONS: dict[str, tuple[list[str], list[Message]]] = {
    "gap": (["byte 12", "at 8"],
            [registering(1), chunk(1, "a", 0, bytes(8)), chunk(1, "a", 12, bytes(4))]),
    "again": (["byte 0", "at 8"],
              [registering(1), chunk(1, "a", 0, bytes(8)), chunk(1, "a", 0, bytes(8))]),
    "too many bytes": (["28 bytes", "24"],
                       [registering(1), chunk(1, "a", 0, bytes(28))]),
    "of another": (["'b'", "awaits none"],
                   [registering(1), chunk(1, "b", 0, bytes(8))]),
    "begun twice": (["under way"], [registering(1), registering(1)]),
    "evaluated under its id": (["under way"], [registering(1), awaiting(1)]),
    "registered under an evaluation's id": (["under way"], [awaiting(1), registering(1)]),
    "given up": (["not begun"],
                 [registering(1), chunk(1, "a", 0, bytes(8)), cancel(1),
                  chunk(1, "a", 8, bytes(16))]),
}  # fmt: skip


@pytest.mark.parametrize("at_once", [False, True], ids=["one by one", "together"])
@pytest.mark.parametrize("name", WRONG_REGISTRATIONS)
def test_wrong_order_of_a_registration(stub: Stub, name: str, at_once: bool) -> None:
    says, messages = WRONG_REGISTRATIONS[name]
    asked = [m for m in messages if isinstance(m, Asked)]
    with stub.stream() as stream:
        stream.say(*([together(*asked)] if at_once else asked))
        status = heard(stream, 1).error
        assert reason_of(status) == "MALFORMED_MESSAGE"
        for words in says:
            assert words in status.message
        stream.say(registering(1), chunk(1, "a", 0, X.tobytes()))
        assert heard(stream, 1).registered.token
        stream.say(registering(5), chunk(5, "a", 0, X.tobytes()))
        token = heard(stream, 5).registered.token
        stream.say(chunk(5, "a", 24, bytes(4)))
        assert "not begun" in stream.hear_error(5).message
        message = request("l1_loss", input=0 * X)
        message.tensors.append(kept("target", token))
        stream.say(begin(2, message))
        assert stream.hear_result(2)["loss"] == pytest.approx(X.mean(dtype=np.float64))


def test_a_registration_whose_chunks_are_missing(stub: Stub) -> None:
    with stub.stream() as stream:
        stream.say(registering(1), chunk(1, "a", 0, bytes(8)), small(2))
        assert stream.hear_result(2)["loss"] == 0
        (rest,) = stream.end()
    assert rest.id == 1
    assert "after 8 of 'a's 24 bytes" in rest.error.message.replace("''", "'")
    with stub.stream() as stream:
        stream.say(small(1))
        assert stream.hear_result(1)["loss"] == 0


# --- handles and parameters --------------------------------------------------------------------


@pytest.mark.parametrize("rows", [{"start": 0, "stop": 0}, {"rows": b""}, {"rows": bytes(8)}])
def test_rows_of_a_scalar(stub: Stub, server: Server, rows: dict[str, Any]) -> None:
    with stub.stream() as stream:
        stream.say(registration(1, described("a", np.float32(3))))
        token = stream.hear().registered.token
        message = request("l1_loss", input=X)
        message.tensors.append(kept("target", token, **rows))
        stream.say(begin(2, message))
        assert reason_of(stream.hear_error(2)) == "INVALID_SHAPE"
        stream.say(small(3))
        assert stream.hear_result(3)["loss"] == 0
    assert reason_of(stub.refused(message)) == "INVALID_SHAPE"
    assert "Traceback" not in server.text


def test_rows_that_take_more_than_there_is(start_server: StartServer) -> None:
    """A row of 4 MiB, a thousand times: refused before it is copied."""
    server = start_server("--max-inflight-bytes", str(64 * MIB))
    address = server.addresses()[0]
    with Stub(address) as stub, stub.stream() as stream:
        stream.say(registration(1, described("a", np.ones((1, MIB), np.float32))))
        token = stream.hear().registered.token
        forget_peak(server)
        before = resident(server)
        every = request("l1_loss", input=X)
        every.tensors.append(kept("target", token, rows=bytes(8 * 1000)))
        several = request("l1_loss", input=X)
        several.tensors.extend(kept(f"a{k}", token, rows=bytes(80)) for k in range(100))
        for message in (every, several):
            stream.say(begin(2, message))
            assert reason_of(stream.hear_error(2)) == "LIMIT_EXCEEDED"
            assert reason_of(stub.refused(message)) == "LIMIT_EXCEEDED"
        assert resident(server, "VmHWM") - before < 30
    unharmed(server, address)


@pytest.mark.parametrize("name", ["self", "given", "loss", "", "__init__", "input", "x" * 20_000])
def test_names_of_parameters(stub: Stub, server: Server, name: str) -> None:
    message = request("l1_loss", input=X, target=X)
    message.parameters[name].number = 1
    with stub.stream() as stream:
        stream.say(begin(1, message), small(2))
        assert reason_of(stream.hear_error(1)) == "INVALID_PARAMETER"
        assert stream.hear_result(2)["loss"] == 0
    assert reason_of(stub.refused(message)) == "INVALID_PARAMETER"
    assert "Traceback" not in server.text


# --- shared memory -----------------------------------------------------------------------------


def test_a_lease_is_its_streams_alone(limited: tuple[Server, str, str]) -> None:
    server, tcp, unix = limited
    message = request("l1_loss", target=X)
    message.tensors.append(there("input", X, 2, 0))
    release = Asked(id=9, release=loss_service_pb2.ReleaseMemory(segment=2))
    with Stub(unix) as stub, stub.stream() as other:
        with stub.stream() as holder:
            leased(holder, 1, MIB)
            _, memory = leased(holder, 2, MIB)
            memory[: X.nbytes] = X.reshape(-1).view(np.uint8)
            leased(other, 1, MIB)
            other.say(begin(3, message), release)
            assert "segment 2, which is not leased" in other.hear_error(3).message
            assert "not leased" in other.hear_error(9).message
            holder.say(begin(3, message))
            assert holder.hear_result(3)["loss"] == 0
            holder.end()
        other.say(begin(4, message))
        assert "not leased" in other.hear_error(4).message
    all_came_back(server, tcp, unix)


def test_one_place_many_times(start_server: StartServer, tmp_path: Path) -> None:
    """Whole numbers are copied: not more of them than may be under way."""
    address = f"unix:{tmp_path}/lossd.sock"
    server = start_server("--max-inflight-bytes", str(32 * MIB), listen=(address,))
    labels = np.zeros(MIB, np.int64)
    with Stub(address) as stub, stub.stream() as stream:
        segment, _ = leased(stream, 1, labels.nbytes)
        forget_peak(server)
        before = resident(server)
        message = request("l1_loss", input=X)
        message.tensors.extend(there(f"a{k}", labels, segment, 0) for k in range(100))
        stream.say(begin(2, message))
        assert reason_of(stream.hear_error(2)) == "LIMIT_EXCEEDED"
        assert resident(server, "VmHWM") - before < 60
        stream.say(small(3))
        assert stream.hear_result(3)["loss"] == 0
    unharmed(server, address)


def test_gradients_that_overlap(limited: tuple[Server, str, str]) -> None:
    """Whatever is written where: the loss is right where its inputs stay, and nothing breaks."""
    server, tcp, unix = limited
    x = RNG.standard_normal(MIB // 4, np.float32)
    with Stub(unix) as stub, stub.stream() as stream:
        segment, memory = leased(stream, 1, 4 * MIB)
        message = request("mse_loss", ["input", "target"])
        for k, name in enumerate(("input", "target")):
            message.tensors.append(there(name, x, segment, k * MIB))
        for places in ((2 * MIB, 2 * MIB), (2 * MIB, 2 * MIB + 4), (0, MIB), (MIB - 4, 8)):
            flat = memory.view(np.float32)
            flat[: x.size], flat[x.size : 2 * x.size] = x, 0
            del message.places[:]
            for name, offset in zip(("input", "target"), places, strict=True):
                place = tensor_pb2.MemoryPlace(segment=segment, offset=offset)
                message.places.append(loss_service_pb2.GradientPlace(name=name, place=place))
            stream.say(begin(2, message))
            answer = stream.hear()
            assert answer.WhichOneof("message") == "result", answer
            if places[0] >= 2 * MIB:
                loss = np.frombuffer(answer.result.tensors[0].data, np.float32)
                assert loss == evaluate("mse_loss", {"input": x, "target": 0 * x}).loss
    all_came_back(server, tcp, unix)


def test_values_that_change_while_they_are_used(limited: tuple[Server, str, str]) -> None:
    """Unlike labels they are not copied: they are in their domain or they are not."""
    server, tcp, unix = limited
    x = np.full(MIB, 0.5, np.float32)
    with Stub(unix) as stub, stub.stream() as stream:
        segment, memory = leased(stream, 1, x.nbytes)
        view = memory.view(np.float32)
        message = request("binary_cross_entropy_with_logits")
        message.tensors.extend(there(n, x, segment, 0) for n in ("input", "target"))
        bounded = request("binary_cross_entropy")
        bounded.tensors.extend(there(n, x, segment, 0) for n in ("input", "target"))
        over = threading.Event()

        def change() -> None:
            while not over.is_set():
                for value in (7, np.nan, -np.inf, 0.5):
                    view[:] = value

        thread = threading.Thread(target=change)
        thread.start()
        try:
            for id in range(2, 22):
                stream.say(begin(id, message if id % 2 else bounded))
                answer = stream.hear()
                if answer.WhichOneof("message") == "error":
                    assert reason_of(answer.error) == "OUT_OF_DOMAIN"
        finally:
            over.set()
            thread.join()
        view[:] = 0.5
        stream.say(begin(30, bounded))
        assert stream.hear_result(30)["loss"] == pytest.approx(np.log(2))
    all_came_back(server, tcp, unix)


def test_leases_that_take_all_files(tmp_path: Path, start_server: StartServer) -> None:
    """A segment is a file: some are left for connections, and none is no fault."""
    address = f"unix:{tmp_path}/lossd.sock"
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (160, hard))
    try:
        server = start_server("--max-shared-bytes", str(MIB), listen=(address,))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    with Stub(address) as stub, stub.stream() as stream:
        stream.say(small(300))
        stream.hear_result(300)
        for id in range(1, 201):
            stream.say(lease(id, 4096))
        kinds = [stream.hear().WhichOneof("message") for _ in range(200)]
        assert {"leased", "error"} == set(kinds)
        assert kinds == sorted(kinds, reverse=True)
        answers(address)
        process = server.process.pid
        resource.prlimit(process, resource.RLIMIT_NOFILE, (opened(server), hard))  # none is left
        stream.say(lease(201, 4096), small(202))
        assert reason_of(stream.hear_error(201)) == "LIMIT_EXCEEDED"
        assert stream.hear_result(202)["loss"] == 0
        resource.prlimit(process, resource.RLIMIT_NOFILE, (160, hard))
    await_no_segments(server)
    with Stub(address) as stub, stub.stream() as stream:
        stream.say(lease(1, MIB))  # what was refused is not counted
        assert stream.hear().WhichOneof("message") == "leased"
    unharmed(server, address)


# --- messages that are nearly right ------------------------------------------------------------


def seeds(token: str, segment: int) -> list[Asked]:
    """Messages of every kind that mean something."""
    place = tensor_pb2.MemoryPlace(segment=segment, offset=64)
    shared = request("mse_loss", ["input"], "none")
    for name in ("input", "target"):
        shared.tensors.append(there(name, X, segment, 0))
    shared.places.append(loss_service_pb2.GradientPlace(name="input", place=place))
    by_handle = request("cross_entropy", ["input"], input=X)
    by_handle.tensors.append(kept("target", token, start=1, stop=3))
    by_rows = request("cross_entropy", ["input"], input=X)
    by_rows.tensors.append(kept("target", token, rows=np.array([2, 0], "<i8").tobytes()))
    given = request("smooth_l1_loss", ["input"], "sum", input=X, target=0 * X)
    given.parameters["beta"].number = 0.5
    given.parameters["normalizer"].text = "batch"
    labelled = request("cross_entropy", ["input"], input=X, target=[0, 2], weight=X[0])
    labelled.parameters["ignore_index"].integer = 1
    margins = request("multi_margin_loss", ["input"], input=X, target=[2, 1])
    paths = request(
        "ctc_loss", ["log_probs"], log_probs=np.zeros((4, 2, 3), np.float32), targets=[[1], [2]],
        input_lengths=[4, 3], target_lengths=[1, 1],
    )  # fmt: skip
    halves = request("kl_div", ["input"], input=X.astype(np.float16), target=X)
    messages = [
        *[begin(k, m) for k, m in enumerate(
            (shared, by_handle, by_rows, given, labelled, margins, paths, halves), 2)],
        awaiting(20), chunk(20, "input", 0, X.tobytes()[:8]), chunk(20, "input", 8, bytes(16)),
        registering(21), chunk(21, "a", 0, X.tobytes()), cancel(20), cancel(21),
        registration(22, described("a", X), seconds=2.5, stream_only=True),
        lease(23, 4096), Asked(id=24, release=loss_service_pb2.ReleaseMemory(segment=segment + 1)),
        Asked(id=25, unregister=loss_service_pb2.UnregisterTensor(token="nobody's")),
    ]  # fmt: skip
    found = [m for m in messages if isinstance(m, Asked)]
    return [*found, together(*found[:4]), together(*found[8:13])]


def spliced(chance: random.Random, one: Any, other: Any) -> None:
    """Put some of a message's fields into another of its type."""
    for field, value in other.ListFields():
        if chance.random() < 0.5:
            continue
        nested = field.message_type is not None and not field.is_repeated
        if nested and one.HasField(field.name) and chance.random() < 0.7:
            spliced(chance, getattr(one, field.name), value)
        elif field.is_repeated and chance.random() < 0.5:
            one.MergeFrom(type(one)(**{field.name: value}))
        else:
            one.ClearField(field.name)
            one.MergeFrom(type(one)(**{field.name: value}))


def mutated(chance: random.Random, messages: list[Asked]) -> bytes:
    """A message of which something is changed."""
    message = Asked.FromString(chance.choice(messages).SerializeToString())
    way = chance.randrange(5)
    if way < 2:
        spliced(chance, message, chance.choice(messages))
    data = bytearray(message.SerializeToString())
    if way == 0 or not data:
        return bytes(data)
    for _ in range(chance.choice((1, 1, 2, 5))):
        at = chance.randrange(len(data))
        kind = chance.randrange(5)
        if kind == 0:
            data[at] ^= 1 << chance.randrange(8)
        elif kind == 1:
            data[at] = chance.choice((0, 1, 127, 128, 255))
        elif kind == 2:
            del data[at:]
            break
        elif kind == 3:
            data[at:at] = data[at : at + chance.randrange(1, 9)]
        elif len(data) > 1:
            del data[at : at + chance.randrange(1, 4)]
            if not data:
                break
    return bytes(data)


@pytest.mark.parametrize("seed", range(3))
def test_mutated_messages(start_server: StartServer, tmp_path: Path, seed: int) -> None:
    """A thousand on a stream, several streams: each answered or not, and nothing breaks."""
    unix = f"unix:{tmp_path}/lossd.sock"
    server = start_server(*FLAGS, "--registered-seconds", "3", listen=("127.0.0.1:0", unix))
    tcp = server.addresses(2)[0]
    chance = random.Random(seed)
    for _ in range(3):
        with Stub(unix) as stub, stub.stream() as stream:
            stream.say(registration(1, described("labels", np.arange(3))))
            token = stream.hear().registered.token
            segment, memory = leased(stream, 2, 4096)
            memory[: X.nbytes] = X.reshape(-1).view(np.uint8)
            messages = seeds(token, segment)
            for id in range(1 << 40, (1 << 40) + 20):
                stream.say(*(mutated(chance, messages) for _ in range(50)), small(id))
                found: list[Any] = []
                while not any(a.id == id for a in found):
                    found = all_of(stream.hear())
                    for answer in found:
                        if answer.WhichOneof("message") == "error":
                            assert reason_of(answer.error) != "INTERNAL", answer
                (result,) = [a for a in found if a.id == id]
                assert np.frombuffer(result.result.tensors[0].data, np.float32) == 0
            for answer in stream.end():
                assert answer.WhichOneof("message") != "error" or (
                    reason_of(answer.error) != "INTERNAL"), answer  # fmt: skip
    all_came_back(server, tcp, unix)
