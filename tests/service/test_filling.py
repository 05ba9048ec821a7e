"""Tensors that are written to shared memory while the server computes them."""

import asyncio
import itertools
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from google.rpc import status_pb2
from lossd_client import AsyncClient, Client, connect, errors, filling, nn, wire
from lossd_client._gen.lossd.v1 import loss_service_pb2, tensor_pb2
from lossd_client.dtypes import BFLOAT16
from lossd_client.filling import Filling
from lossd_client.stream import Stream
from lossd_client.wire import Response

from lossd.engine import evaluate
from lossd.plan import Result

from .conftest import StartServer, answers
from .servers import PATIENCE, Server, eventually
from .stubs import Conversation, Stub, begin, cancel, chunk, reason_of, request, tensor
from .test_pipes import check
from .test_shared import await_no_segments, leased, segments, there

pytestmark = pytest.mark.thorough

MIB = 1 << 20
RNG = np.random.default_rng(17)


@pytest.fixture
def client(unix: tuple[Server, str]) -> Iterator[Client]:
    with connect(unix[1], timeout=PATIENCE) as client:
        yield client


class Seen:
    """The fillings that were begun: how many bytes a lane had, of how many."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.lanes: list[tuple[int, int]] = []
        begun = Filling.begin

        def begin(self: Filling, room: Any, lanes: Any) -> Any:
            seen.lanes.append((self.capacity, self._total))
            return begun(self, room, lanes)

        seen = self
        monkeypatch.setattr(Filling, "begin", begin)

    @property
    def round(self) -> int:
        """How many tensors went round."""
        return sum(capacity < total for capacity, total in self.lanes)


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> Seen:
    monkeypatch.setattr(filling, "_slow", {})
    return Seen(monkeypatch)


@pytest.fixture(params=["whole", "round"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both ways of writing, whatever the size."""
    if request.param == "round":
        monkeypatch.setattr(filling, "ROUND_FROM", 0)
        monkeypatch.setattr(filling, "_ROOM", 1 << 20)
        monkeypatch.setattr(filling, "_SLOW", 2.0)
    else:
        monkeypatch.setattr(filling, "ROUND_FROM", 1 << 60)
    way: str = request.param
    return way


def same(
    client: Client,
    loss: str,
    tensors: dict[str, Any],
    of: tuple[str, ...] = ("input",),
    **more: Any,
) -> None:
    """A call has the bits of the engine."""
    answer = client.evaluate(loss, tensors, gradients=of, **more)
    check(answer, evaluate(loss, tensors, gradients=of, **more))


def pair(*shape: int, dtype: Any = np.float32) -> dict[str, Any]:
    x, y = RNG.random((2, *shape), np.float32)
    return {"input": x.astype(dtype), "target": y.astype(dtype)}


def labelled(rows: int, classes: int, dtype: Any = np.float32) -> dict[str, Any]:
    x = RNG.standard_normal((rows, classes), np.float32)
    return {"input": x.astype(dtype), "target": RNG.integers(0, classes, rows)}


def sent(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The losses of what goes over gRPC from now on, not through pipes."""
    found = list[str]()
    submit = Stream.submit

    def noted(self: Stream, request: Any, *more: Any) -> Any:
        found.append(request.loss)
        return submit(self, request, *more)

    monkeypatch.setattr(Stream, "submit", noted)
    return found


def test_from_the_first_call_on(
    client: Client, seen: Seen, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What large calls need is asked for before they go anywhere."""
    monkeypatch.setattr(filling, "_SLOW", 2.0)
    found = sent(monkeypatch)
    for _ in range(4):
        same(client, "mse_loss", pair(MIB))
    for _ in range(4):
        same(client, "mse_loss", pair(5 * MIB))
    same(client, "mse_loss", pair(1000))
    assert not found
    assert len(seen.lanes) == 8
    assert seen.round == 4


def test_what_is_refused_is_waited_for_once(
    start_server: StartServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited, settle = list[Stream](), Stream.settle

    def noted(self: Stream, left: Any) -> None:
        waited.append(self)
        settle(self, left)

    monkeypatch.setattr(Stream, "settle", noted)
    address = f"unix:{tmp_path}/lossd.sock"
    start_server("--share-memory", "none", listen=(address,))
    with connect(address, timeout=PATIENCE) as client:
        for _ in range(4):
            same(client, "mse_loss", pair(MIB))
    assert len(waited) == 1


def test_results_that_are_kept(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """A call whose last result is still held needs memory for another one."""
    monkeypatch.setattr(filling, "_SLOW", 2.0)
    tensors, found = pair(5 * MIB), sent(monkeypatch)
    kept = [client.evaluate("mse_loss", tensors, gradients=["input"]) for _ in range(3)]
    for answer in kept:
        check(answer, evaluate("mse_loss", tensors, gradients=["input"]))
    assert not found


def test_a_first_call_that_is_awaited(
    unix: tuple[Server, str], seen: Seen, monkeypatch: pytest.MonkeyPatch
) -> None:
    tensors, found = pair(5 * MIB), sent(monkeypatch)

    async def first() -> Response:
        async with AsyncClient(unix[1], timeout=PATIENCE) as client:
            return await client.evaluate("mse_loss", tensors, gradients=["input"])

    check(asyncio.run(first()), evaluate("mse_loss", tensors, gradients=["input"]))
    assert not found
    assert seen.round == 1


def test_a_first_call_with_a_deadline(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Stream, "_read_one", lambda self: time.sleep(0.01) or True)
    with pytest.raises(errors.DeadlineError, match="mse_loss: no answer"):
        client.evaluate("mse_loss", pair(MIB), timeout=0.2)


@pytest.mark.filterwarnings("ignore:mse_loss")
def test_any_tensors(client: Client, seen: Seen, way: str) -> None:
    """Losses whose rows can be computed as they come, and others."""
    calls: list[tuple[str, dict[str, Any], tuple[str, ...], dict[str, Any]]] = [
        ("mse_loss", pair(700, 500), ("input", "target"), {"reduction": "sum"}),
        ("l1_loss", pair(700, 1000, dtype=np.float16), ("input",), {}),
        ("kl_div", pair(700, 1000, dtype=BFLOAT16), ("input",), {"reduction": "batchmean"}),
        ("huber_loss", pair(300, 500, dtype=np.float64), ("input",), {}),
        ("binary_cross_entropy", pair(700, 500), ("input",), {"reduction": "none"}),
        ("binary_cross_entropy", pair(700, 500) | {"weight": pair(700, 500)["input"]},
         ("input",), {}),
        ("mse_loss", pair(700, 500), ("input",), {"reduction": "sample"}),
        ("cross_entropy", labelled(700, 1000), ("input",),
         {"parameters": {"label_smoothing": 0.2, "ignore_index": 5}}),
        ("cross_entropy", labelled(90_000, 4), ("input",), {"reduction": "sum"}),
        ("cross_entropy", pair(700, 500), ("input",), {}),
        ("cross_entropy",
         {"input": RNG.random((70, 10, 500), np.float32),
          "target": RNG.integers(0, 10, (70, 500))}, ("input",), {}),
        ("cosine_embedding_loss",
         {"input1": pair(700, 500)["input"], "input2": pair(700, 500)["input"],
          "target": np.where(RNG.random(700) < 0.5, 1, -1)}, ("input1", "input2"), {}),
        ("mse_loss", {"input": pair(700, 500)["input"], "target": pair(1, 500)["target"]},
         ("input", "target"), {}),
    ]  # fmt: skip
    for loss, tensors, of, more in calls:
        before = len(seen.lanes)
        for _ in range(4):
            same(client, loss, tensors, of, **more)
        assert len(seen.lanes) > before, (loss, more)
    assert seen.round == (len(seen.lanes) if way == "round" else 0)


def test_layouts(client: Client, seen: Seen, way: str) -> None:
    """Only what lies as it is sent; one tensor beside one that is in shared memory."""
    both = pair(800, 900)
    for given in (both["input"].T, both["input"][::2], np.asfortranarray(both["input"])):
        like = np.ascontiguousarray(given) + 1
        for _ in range(3):
            same(client, "l1_loss", {"input": given, "target": like})
    before = len(seen.lanes)
    x = client.empty((800, 900))
    x[...] = both["input"]
    for _ in range(3):
        same(client, "mse_loss", {"input": x, "target": both["target"]})
    assert len(seen.lanes) > before


def test_gradients_are_the_callers_own(client: Client, way: str) -> None:
    x = [np.full(MIB, k, np.float32) for k in range(6)]
    zero = np.zeros(MIB, np.float32)
    kept = [
        client.evaluate("mse_loss", {"input": a, "target": zero}, gradients=["input"]) for a in x
    ]
    for k, answer in enumerate(kept):
        assert (np.asarray(answer.tensors["grad.input"]) == np.float32(2 * k) / MIB).all()


def test_from_several_threads(unix: tuple[Server, str], seen: Seen, way: str) -> None:
    """One client for all, and clients of their own."""
    failures = list[BaseException]()
    cases = [pair(MIB // 2), pair(900, 700), pair(2 * MIB)]

    def run(client: Client) -> None:
        try:
            for tensors in cases * 3:
                same(client, "smooth_l1_loss", tensors)
        except BaseException as error:  # noqa: BLE001  it is told below
            failures.append(error)

    with connect(unix[1], timeout=PATIENCE) as one, connect(unix[1], timeout=PATIENCE) as two:
        threads = [threading.Thread(target=run, args=(c,)) for c in (one, one, two, two)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert not failures
    assert seen.lanes


def test_awaited_calls(
    unix: tuple[Server, str], seen: Seen, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    """Others have their turn while tensors are written."""

    async def main() -> None:
        async with AsyncClient(unix[1], timeout=PATIENCE) as client:
            tensors, turns = pair(4 * MIB), 0
            whole = evaluate("mse_loss", tensors, gradients=["input"])

            async def count() -> None:
                nonlocal turns
                while True:
                    turns += 1
                    await asyncio.sleep(0)

            for k in range(5):
                counting = asyncio.create_task(count())
                answer = await client.evaluate("mse_loss", tensors, gradients=["input"])
                counting.cancel()
                check(answer, whole)
                if k and seen.lanes:
                    assert turns >= 30
                turns = 0
            held = Held(monkeypatch, 2)
            with pytest.raises(errors.DeadlineError):
                await client.evaluate("mse_loss", tensors, gradients=["input"], timeout=0.1)
            for _ in range(3):
                held.reached.clear()
                call = asyncio.create_task(client.evaluate("mse_loss", tensors))
                async with asyncio.timeout(PATIENCE):
                    while not held.reached.is_set():
                        await asyncio.sleep(1e-3)
                call.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await call
                held.go.set()
                check(await client.evaluate("mse_loss", tensors, gradients=["input"]), whole)
                held.go.clear()

    asyncio.run(main())
    assert len(seen.lanes) >= 5


def test_what_takes_longer_to_compute(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three calls in a row that wait for the server tell that it does."""
    monkeypatch.setattr(filling, "_slow", {})
    tensors = pair(5 * MIB)
    room = np.zeros(filling._ROOM, np.uint8)

    def write(slow: bool) -> bool:
        """Write tensors; whether the next are better written whole."""
        found = Filling.of("mse_loss", tensors)
        assert found is not None
        words = found.begin(room, found.lanes(room))
        for wrote in found.go_on():
            if not wrote:
                time.sleep(2e-3 if slow else 0)
            if not (wrote and slow):
                words[8] = words[0]
        another = Filling.of("mse_loss", tensors)
        assert another is not None
        return another.slow

    assert [write(slow=True) for _ in range(2)] == [False] * 2
    assert not write(slow=False)
    assert [write(slow=True) for _ in range(3)] == [False, False, True]
    assert not write(slow=False)
    for k in range(2 * filling._KINDS):
        filling._slow[k,] = 3  # as those of other calls
    write(slow=True)
    assert len(filling._slow) == 1


def test_what_is_slow_is_written_whole_where_there_is_memory(
    client: Client, seen: Seen, monkeypatch: pytest.MonkeyPatch
) -> None:
    tensors = pair(5 * MIB)
    monkeypatch.setattr(filling, "_SLOW", 2.0)
    for _ in range(4):
        same(client, "mse_loss", tensors)
    assert seen.round == len(seen.lanes) == 4
    monkeypatch.setattr(Filling, "slow", True)
    for _ in range(2):
        same(client, "mse_loss", tensors)
    assert seen.lanes[-2:] == [(20 * MIB, 20 * MIB)] * 2
    shared = client._transport.connected()._shared  # type: ignore[attr-defined]
    kept, found = shared._free, sent(monkeypatch)
    taken = [kept.pop(segment) for segment in list(kept) if kept[segment][0].memory.size > 8 * MIB]
    monkeypatch.setattr(shared, "_limit", 0)
    for _ in range(2):
        check(client.evaluate("mse_loss", tensors), evaluate("mse_loss", tensors))
        assert seen.lanes[-1][0] < 8 * MIB
    assert len(taken) == 3
    assert not found


# --- what goes wrong ---------------------------------------------------------------------------


def test_errors_come_before_all_is_written(client: Client, seen: Seen, way: str) -> None:
    tensors = labelled(2000, 2000)
    for _ in range(3):
        same(client, "cross_entropy", tensors)
    wrong = tensors | {"target": tensors["target"].copy()}
    wrong["target"][1234] = 2000
    bad = pair(MIB)
    for _ in range(3):
        same(client, "binary_cross_entropy", bad)
    for place in (0, 500_000, MIB - 1):
        bad = pair(MIB)
        bad["target"][place] = 7
        for _ in range(2):
            with pytest.raises(errors.LabelError, match=r"target\[1234\] = 2000 is outside"):
                client.evaluate("cross_entropy", wrong, gradients=["input"])
            same(client, "cross_entropy", tensors)
            with pytest.raises(errors.DomainError, match=rf"target\[{place}\] = 7 is outside"):
                client.evaluate("binary_cross_entropy", bad, gradients=["input"])
            same(client, "binary_cross_entropy", pair(MIB))
    assert len(seen.lanes) > 10


class Held:
    """Holds the client up after some pieces."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, after: int) -> None:
        self.reached, self.go = threading.Event(), threading.Event()
        go_on = Filling.go_on

        def held(self: Filling) -> Iterator[bool]:
            for k, wrote in enumerate(go_on(self)):
                if k == after:
                    outer.reached.set()
                    while not outer.go.is_set():
                        time.sleep(1e-3)
                        yield False
                yield wrote

        outer = self
        monkeypatch.setattr(Filling, "go_on", held)


def prepared(client: Client, tensors: dict[str, Any]) -> Result:
    """The engine's result, once the client's calls like this one are filled."""
    for _ in range(3):
        same(client, "mse_loss", tensors)
    return evaluate("mse_loss", tensors, gradients=["input"])


@pytest.mark.parametrize("after", [0, 3])
def test_deadlines(client: Client, monkeypatch: pytest.MonkeyPatch, way: str, after: int) -> None:
    tensors = pair(MIB)
    whole = prepared(client, tensors)
    held = Held(monkeypatch, after)
    for _ in range(3):
        begun = time.monotonic()
        with pytest.raises(errors.DeadlineError, match="mse_loss: no answer"):
            client.evaluate("mse_loss", tensors, gradients=["input"], timeout=0.2)
        assert time.monotonic() - begun < 30
        held.go.set()
        for _ in range(3):
            check(client.evaluate("mse_loss", tensors, gradients=["input"]), whole)
        held.go.clear()
    assert held.reached.is_set()


def test_a_slow_client_holds_nobody_up(
    unix: tuple[Server, str], client: Client, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    tensors = pair(MIB)
    whole = prepared(client, tensors)
    with connect(unix[1], timeout=PATIENCE) as other:
        expected = prepared(other, tensors)
        held = Held(monkeypatch, 2)
        found = list[Response]()
        thread = threading.Thread(
            target=lambda: found.append(client.evaluate("mse_loss", tensors, gradients=["input"]))
        )
        thread.start()
        assert held.reached.wait(PATIENCE)
        x = RNG.standard_normal((64, 10), np.float32)
        for _ in range(20):
            same(other, "cross_entropy", {"input": x, "target": np.zeros(64, int)})
        large = {name: np.concatenate([value, value])[::2] for name, value in tensors.items()}
        answer = other.evaluate("mse_loss", large, gradients=["input"])  # not filled
        check(answer, evaluate("mse_loss", large, gradients=["input"]))
        assert not found
        held.go.set()
        thread.join()
        check(found[0], whole)
        check(other.evaluate("mse_loss", tensors, gradients=["input"]), expected)


def test_a_server_that_is_killed(
    start_server: StartServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    """The call is made again."""
    address = f"unix:{tmp_path}/lossd.sock"
    server = start_server(listen=(address,))
    tensors = pair(MIB)
    with connect(address, timeout=PATIENCE, retries=10) as client:
        whole = prepared(client, tensors)
        held = Held(monkeypatch, 2)
        found = list[Response]()
        thread = threading.Thread(
            target=lambda: found.append(client.evaluate("mse_loss", tensors, gradients=["input"]))
        )
        thread.start()
        assert held.reached.wait(PATIENCE)
        server.kill()
        start_server(listen=(address,))
        thread.join()
        check(found[0], whole)
        held.go.set()
        for _ in range(3):
            check(client.evaluate("mse_loss", tensors, gradients=["input"]), whole)


def test_closing_a_client_ends_its_call(
    unix: tuple[Server, str], monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    server, address = unix
    tensors, client = pair(MIB), connect(address)
    prepared(client, tensors)
    held = Held(monkeypatch, 2)
    found = list[BaseException]()

    def run() -> None:
        try:
            client.evaluate("mse_loss", tensors, gradients=["input"])
        except errors.LossdError as error:
            found.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    assert held.reached.wait(PATIENCE)
    client.close()
    thread.join(PATIENCE)
    assert isinstance(found[0], errors.CancelledError)
    await_no_segments(server)
    held.go.set()
    answers(address)


CLIENT = """
import sys
import numpy as np
from lossd_client import connect, filling, nn
filling.ROUND_FROM = int(sys.argv[2])
x, y = np.ones((2, 4 << 20), np.float32)
criterion = nn.MSELoss(client=connect(sys.argv[1]))
for _ in range(3):
    criterion.value_and_grad(x, y)
go_on = filling.Filling.go_on
def held(self):
    for k, wrote in enumerate(go_on(self)):
        if k == 3:
            print("begun", flush=True)
            while True:
                yield False
        yield wrote
filling.Filling.go_on = held
criterion.value_and_grad(x, y)
"""


@pytest.mark.parametrize("size", [0, 1 << 60])
def test_a_client_that_is_killed(unix: tuple[Server, str], size: int) -> None:
    server, address = unix
    for how in (signal.SIGKILL, signal.SIGINT):
        process = subprocess.Popen(
            [sys.executable, "-c", CLIENT, address, str(size)],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )  # fmt: skip
        assert process.stdout is not None
        with process.stdout as lines:
            assert lines.readline() == "begun\n"
            process.send_signal(how)
            process.wait()
        await_no_segments(server)
    answers(address)


def test_an_interrupt_leaves_the_client_as_it_was(
    client: Client, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    tensors = pair(MIB)
    whole = prepared(client, tensors)
    held = Held(monkeypatch, 2)
    timer = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        client.evaluate("mse_loss", tensors, gradients=["input"])
    timer.join()
    held.go.set()
    for _ in range(4):
        check(client.evaluate("mse_loss", tensors, gradients=["input"]), whole)


# --- by the protocol alone ---------------------------------------------------------------------

X = RNG.standard_normal((300, 1000), np.float32)
LABELS = RNG.integers(0, 1000, 300)
CAPACITY = 65_536


class Ring:
    """A call of cross entropy whose input is still to be written."""

    def __init__(self, stream: Conversation, capacity: int = X.nbytes) -> None:
        self.segment, self.memory = leased(stream, 1, 4 * MIB)
        self.words = self.memory[:128].view(np.int64)
        self.words[:] = 0
        self.lane = self.memory[4096 : 4096 + capacity]
        self.capacity = capacity

    def message(self, **changed: Any) -> loss_service_pb2.EvaluateRequest:
        """The request; some of its ring may be changed."""
        message = request("cross_entropy", ["input"], target=LABELS)
        message.tensors.append(there("input", X, self.segment, 4096))
        place = tensor_pb2.MemoryPlace(segment=self.segment, offset=0)
        told = {"names": ["input"], "progress": place, "capacity": self.capacity} | changed
        message.ring.CopyFrom(loss_service_pb2.Ring(**told))
        return message

    def write(self, start: int, end: int) -> None:
        """Write some bytes of it, where there is room."""
        data = X.reshape(-1).view(np.uint8)
        step = min(4000, self.capacity)
        for at in range(start, end, step):
            stop = min(at + step, end)
            eventually(lambda stop=stop: stop - self.words[8] <= self.capacity)
            places = np.arange(at, stop) % self.capacity
            self.lane[places] = data[at:stop]
            self.words[0] = stop


def is_right(found: dict[str, Any]) -> None:
    whole = evaluate("cross_entropy", {"input": X, "target": LABELS}, gradients=["input"])
    assert found["loss"].tobytes() == whole.loss.tobytes()
    assert found["grad.input"].tobytes() == whole.gradients["input"].tobytes()


@pytest.mark.parametrize("capacity", [X.nbytes, CAPACITY, 70_016, 6400])
def test_any_program_can_do_it(conversation: Conversation, capacity: int) -> None:
    ring = Ring(conversation, capacity)
    for id in (2, 3):
        ring.words[:] = 0
        conversation.say(begin(id, ring.message()))
        ring.write(0, X.nbytes)
        is_right(conversation.hear_result(id))


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"names": []}, "a ring of nothing"),
        ({"names": ["other"]}, "a ring of other: it must be of different tensors in shared"),
        ({"names": ["input", "input"]}, "a ring of input, input"),
        ({"names": ["input", "target"]}, "a ring of input, target"),
        ({"names": ["target"]}, "a ring of target"),
        ({"names": ["grad_output"]}, "a ring of grad_output"),
        ({"capacity": 0}, "a ring of 0 bytes for tensors of 1200000"),
        ({"capacity": 1000}, "a ring of 1000 bytes"),
        ({"capacity": X.nbytes + 64}, "a ring of 1200064 bytes"),
        ({"capacity": 1 << 63}, "a ring of 9223372036854775808 bytes"),
        ({"progress": tensor_pb2.MemoryPlace(segment=9)}, "segment 9, which is not leased"),
        ({"progress": tensor_pb2.MemoryPlace(segment=1, offset=4)}, "at a multiple of 8"),
        ({"progress": tensor_pb2.MemoryPlace(segment=1, offset=4 * MIB - 64)}, "must be within"),
        ({"progress": None}, "segment 0, which is not leased"),
    ],
)
def test_rings_that_are_none(
    conversation: Conversation, changed: dict[str, Any], says: str
) -> None:
    ring = Ring(conversation)
    conversation.say(begin(2, ring.message(**changed)))
    status = conversation.hear_error(2)
    assert says in status.message
    assert reason_of(status) == "MALFORMED_MESSAGE"
    conversation.say(begin(2, ring.message()))
    ring.write(0, X.nbytes)
    is_right(conversation.hear_result(2))


def test_a_lane_beyond_its_segment(conversation: Conversation) -> None:
    ring = Ring(conversation)
    for capacity, offset in ((X.nbytes, 4 * MIB - 64), (CAPACITY, 4 * MIB - CAPACITY + 64)):
        message = ring.message(capacity=capacity)
        message.tensors[-1].place.offset = offset
        conversation.say(begin(2, message))
        assert "must be within" in conversation.hear_error(2).message


def test_beside_chunks(conversation: Conversation) -> None:
    ring = Ring(conversation)
    message = ring.message()
    del message.tensors[0]
    message.tensors.append(tensor("target", LABELS, chunked=True))
    conversation.say(begin(2, message))
    assert "chunks beside a ring" in conversation.hear_error(2).message
    conversation.say(chunk(2, "target", 0, LABELS.tobytes()))  # was on its way
    conversation.say(begin(3, ring.message()))
    ring.write(0, X.nbytes)
    is_right(conversation.hear_result(3))


def test_not_on_a_call_of_its_own(unix: tuple[Server, str], conversation: Conversation) -> None:
    ring = Ring(conversation)
    with Stub(unix[1]) as stub:
        assert reason_of(stub.refused(ring.message())) == "MALFORMED_MESSAGE"


@pytest.mark.parametrize("capacity", [X.nbytes, CAPACITY])
@pytest.mark.parametrize("written", [0, 40_000])
def test_what_is_given_up(conversation: Conversation, capacity: int, written: int) -> None:
    ring = Ring(conversation, capacity)
    for id in range(2, 6):
        ring.words[:] = 0
        conversation.say(begin(id, ring.message()))
        ring.write(0, written)
        conversation.say(cancel(id))
    conversation.say(begin(2, request("l1_loss", input=X, target=X)))
    assert conversation.hear_result(2)["loss"] == 0
    ring.words[:] = 0
    conversation.say(begin(3, ring.message()))
    ring.write(0, X.nbytes)
    is_right(conversation.hear_result(3))


@pytest.mark.parametrize("capacity", [X.nbytes, CAPACITY])
@pytest.mark.parametrize("written", [0, 40_000])
def test_the_end_of_the_stream(
    unix: tuple[Server, str], conversation: Conversation, capacity: int, written: int
) -> None:
    ring = Ring(conversation, capacity)
    conversation.say(begin(2, ring.message()))
    ring.write(0, written)
    (answer,) = conversation.end()
    assert f"the stream ended after {written} of 'input''s 1200000 bytes" in answer.error.message
    await_no_segments(unix[0])
    answers(unix[1])


@pytest.mark.parametrize("capacity", [X.nbytes, CAPACITY])
def test_one_that_is_written_no_more(
    start_server: StartServer, tmp_path: Path, capacity: int
) -> None:
    address = f"unix:{tmp_path}/lossd.sock"
    server = start_server("--stall-seconds", "0.5", listen=(address,))
    with Stub(address) as stub, stub.stream() as stream:
        ring = Ring(stream, capacity)
        for id, written in itertools.product((2, 3), (0, 40_000)):
            ring.words[:] = 0
            begun = time.monotonic()
            stream.say(begin(id, ring.message()))
            ring.write(0, written)
            status: status_pb2.Status = stream.hear_error(id)
            assert reason_of(status) == "DEADLINE_EXCEEDED"
            assert "nothing of 'input' has come for 0.5 s" in status.message
            assert time.monotonic() - begun < 30
        ring.words[:] = 0
        stream.say(begin(2, ring.message()))
        for at in range(9):  # slower than that in all, and not stalled
            ring.write(at * 40_000, (at + 1) * 40_000)
            time.sleep(0.1)
        ring.write(360_000, X.nbytes)
        is_right(stream.hear_result(2))
        assert segments(server) > 0


@pytest.mark.parametrize("names", [["grad_output"], ["input", "target", "grad_output"]])
def test_the_upstream_gradient_is_written_first(
    conversation: Conversation, names: list[str]
) -> None:
    """It is looked at before anything is computed."""
    segment, memory = leased(conversation, 1, 8 * MIB)
    message = loss_service_pb2.EvaluateRequest(
        loss="mse_loss", reduction="none", gradients=["input"]
    )
    for k, name in enumerate(("input", "target", "grad_output")):
        message.tensors.append(there(name, X, segment, (2 * k + 1) * MIB))
    place = tensor_pb2.MemoryPlace(segment=segment)
    ring = loss_service_pb2.Ring(names=names, progress=place, capacity=X.nbytes)
    message.ring.CopyFrom(ring)
    memory[:128].view(np.int64)[0] = X.nbytes
    conversation.say(begin(2, message))
    assert "grad_output not among them" in conversation.hear_error(2).message


def test_large_answers_come_in_chunks(conversation: Conversation) -> None:
    """No message is larger than others are, whoever is alone."""
    segment, memory = leased(conversation, 1, 8 * MIB)
    for id in range(2, 8):
        message = loss_service_pb2.EvaluateRequest(loss="mse_loss", gradients=["input"])
        for k, name in enumerate(("input", "target")):
            message.tensors.append(there(name, X, segment, (2 * k + 1) * MIB))
        place = tensor_pb2.MemoryPlace(segment=segment)
        names = ["input", "target"]
        ring = loss_service_pb2.Ring(names=names, progress=place, capacity=X.nbytes)
        message.ring.CopyFrom(ring)
        memory[:128].view(np.int64)[0] = X.nbytes
        conversation.say(begin(id, message))
        answer = conversation.hear()
        assert answer.ByteSize() < 1000
        size = 0
        while size < X.nbytes:
            piece = conversation.hear().chunk
            assert len(piece.data) <= MIB
            size += len(piece.data)


def test_many_that_are_given_up_as_they_begin(
    unix: tuple[Server, str], conversation: Conversation
) -> None:
    ring = Ring(conversation)
    for id in (2, 3):
        ring.words[:] = 0
        conversation.say(begin(id, ring.message()))
        ring.write(0, X.nbytes)
        is_right(conversation.hear_result(id))
    ring.words[:] = 0
    parts = [part for id in range(4, 1004) for part in (begin(id, small(ring)), cancel(id))]
    together = loss_service_pb2.EvaluateStreamRequests(messages=parts)
    conversation.say(loss_service_pb2.EvaluateStreamRequest(together=together))
    answers(unix[1])
    conversation.say(begin(2, request("l1_loss", input=X, target=X)))
    assert conversation.hear_result(2)["loss"] == 0


def small(ring: Ring) -> loss_service_pb2.EvaluateRequest:
    """A ring of few other bytes."""
    message = ring.message()
    message.tensors[0].CopyFrom(tensor("target", LABELS.astype(np.int16)))
    return message


def test_a_server_that_is_busy_is_no_stall(start_server: StartServer, tmp_path: Path) -> None:
    """The client cannot write where nothing is read."""
    address = f"unix:{tmp_path}/lossd.sock"
    start_server("--concurrency", "1", "--stall-seconds", "0.3", listen=(address,))
    x = RNG.standard_normal((6000, 256), np.float32)
    tensors = pair(8 * MIB)
    whole = evaluate("mse_loss", tensors, gradients=["input"])
    ended = threading.Event()

    def keep_busy() -> None:
        with connect(address, timeout=PATIENCE) as other:
            while not ended.is_set():
                other.evaluate("info_nce_loss", {"query": x, "key": x}, gradients=["query"])

    with connect(address, timeout=PATIENCE) as client:
        prepared(client, tensors)
        thread = threading.Thread(target=keep_busy)
        thread.start()
        try:
            for _ in range(4):
                check(client.evaluate("mse_loss", tensors, gradients=["input"]), whole)
        finally:
            ended.set()
            thread.join()


def test_a_client_that_stalls_is_told(
    start_server: StartServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    address = f"unix:{tmp_path}/lossd.sock"
    start_server("--stall-seconds", "0.3", listen=(address,))
    tensors = pair(MIB)
    with connect(address, timeout=PATIENCE) as client:
        whole = prepared(client, tensors)
        held = Held(monkeypatch, 2)
        with pytest.raises(errors.DeadlineError, match=r"nothing of 'input' has come for 0\.3 s"):
            client.evaluate("mse_loss", tensors, gradients=["input"])
        held.go.set()
        for _ in range(3):
            check(client.evaluate("mse_loss", tensors, gradients=["input"]), whole)

    async def main() -> None:
        async with AsyncClient(address, timeout=PATIENCE) as client:
            for _ in range(3):
                await client.evaluate("mse_loss", tensors, gradients=["input"])
            held.go.clear()
            with pytest.raises(errors.DeadlineError, match="nothing of 'input' has come for"):
                await client.evaluate("mse_loss", tensors, gradients=["input"])
            held.go.set()
            check(await client.evaluate("mse_loss", tensors, gradients=["input"]), whole)

    asyncio.run(main())


@pytest.mark.parametrize("told", [(1 << 62), -1, 1 << 40])
@pytest.mark.parametrize("capacity", [X.nbytes, CAPACITY])
def test_who_tells_what_is_not_so(
    unix: tuple[Server, str], conversation: Conversation, told: int, capacity: int
) -> None:
    ring = Ring(conversation, capacity)
    ring.words[0] = told
    conversation.say(begin(2, ring.message()))
    if told > 0:
        assert np.isfinite(conversation.hear_result(2)["loss"])
    else:
        conversation.say(cancel(2))
    answers(unix[1])


def test_messages_are_protobufs() -> None:
    """The client's own writer and reader agree with protobuf's."""
    place = wire.Place(7, 1 << 40)
    asked = wire.Request(
        "mse_loss",
        {"input": wire.Shared(np.dtype("<f4"), (3, 5), wire.Place(1, 64))},
        ring=wire.Ring(("input", "target"), place, 1 << 33),
    )
    written = loss_service_pb2.EvaluateRequest.FromString(wire.write_request(asked))
    assert list(written.ring.names) == ["input", "target"]
    assert (written.ring.progress.segment, written.ring.progress.offset) == place
    assert written.ring.capacity == 1 << 33
    for _ in range(3):  # taken apart, and by its form
        stream = loss_service_pb2.EvaluateStreamRequest(id=3, evaluate=written)
        _, read = wire.read_stream_request(wire.write_stream(3, asked))
        assert isinstance(read, wire.Request)
        assert read.ring == asked.ring
        _, read = wire.read_stream_request(stream.SerializeToString())
        assert isinstance(read, wire.Request)
        assert read.ring == asked.ring


def test_the_class_interface(client: Client, seen: Seen) -> None:
    """As people call it."""
    x, y = RNG.random((2, 3000, 700), np.float32)
    for _ in range(4):
        value, gradient = nn.MSELoss(client=client).value_and_grad(x, y)
        whole = evaluate("mse_loss", {"input": x, "target": y}, gradients=["input"])
        assert value == whole.loss
        assert gradient.tobytes() == whole.gradients["input"].tobytes()
    assert len(seen.lanes) == 4
