"""Evaluations that go through pipes: the same answers, and nothing is lost when anything ends."""

import asyncio
import contextlib
import gc
import os
import random
import select
import signal
import stat
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from lossd_client import AsyncClient, Client, Pieces, connect, errors, nn, pipes
from lossd_client._gen.lossd.v1 import loss_service_pb2, tensor_pb2
from lossd_client.pipes import MOST, LostError, Pipes, framed, unframed
from lossd_client.stream import Stream
from lossd_client.wire import Opened, Response

from lossd.engine import evaluate
from lossd.plan import Result

from .conftest import StartServer
from .servers import PATIENCE, Server, eventually
from .stubs import Conversation, Stub, array, begin, cancel, chunk, request, tensor

pytestmark = pytest.mark.thorough

KIB = 1 << 10
MIB = 1 << 20
RNG = np.random.default_rng(5)


@pytest.fixture
def client(unix: tuple[Server, str]) -> Iterator[Client]:
    with connect(unix[1], timeout=PATIENCE) as client:
        yield client


class Count:
    """How many evaluations went through pipes, and what became of them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.answers: list[bytes | str] = []
        exchange = Pipes.exchange

        def counted(self: Pipes, *args: Any) -> bytes:
            try:
                answer = exchange(self, *args)
            except (LostError, TimeoutError) as error:
                count.answers.append(type(error).__name__)
                raise
            count.answers.append(answer)
            return answer

        count = self
        monkeypatch.setattr(Pipes, "exchange", counted)


@pytest.fixture
def count(monkeypatch: pytest.MonkeyPatch) -> Count:
    return Count(monkeypatch)


def fifos(pid: int | str) -> int:
    """Ends of pipes that a process has, beside its standard streams."""
    found = 0
    for file in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            found += int(file.name) > 2 and str(file.readlink()).startswith("pipe:")
    return found


def check(answer: Response, whole: Result) -> None:
    """An answer has the bits of the engine's."""
    assert np.asarray(answer.tensors["loss"]).tobytes() == whole.loss.tobytes()
    assert list(answer.tensors) == ["loss", *[f"grad.{name}" for name in whole.gradients]]
    for name, gradient in whole.gradients.items():
        assert np.asarray(answer.tensors[f"grad.{name}"]).tobytes() == gradient.tobytes()


def same(client: Client, loss: str, tensors: dict[str, Any], **more: Any) -> None:
    """A call has the bits of the engine."""
    names = [name for name in ("input", "x1") if name in tensors]
    answer = client.evaluate(loss, tensors, gradients=names, **more)
    check(answer, evaluate(loss, tensors, gradients=names, **more))


def small(client: Client) -> None:
    x = RNG.standard_normal((64, 10)).astype(np.float32)
    same(client, "cross_entropy", {"input": x, "target": RNG.integers(0, 10, 64)})


def test_from_the_second_call_on(client: Client, count: Count) -> None:
    for _ in range(5):
        small(client)
    assert len(count.answers) == 4
    assert all(isinstance(answer, bytes) and answer for answer in count.answers)


@pytest.mark.parametrize(
    "size",
    [0, 1, 1000, 4 * KIB, 15 * KIB, 16 * KIB, 17 * KIB, 64 * KIB, 65 * KIB, 300 * KIB, 2 * MIB],
)
def test_tensors_of_any_size(client: Client, count: Count, size: int) -> None:
    """In the message, in memory for what is small, or in memory of their own."""
    x, y = RNG.standard_normal((2, size), np.float32)
    for k in range(6):
        same(client, "mse_loss", {"input": x + np.float32(k), "target": y}, reduction="sum")
    assert len(count.answers) >= 2
    assert b"" not in count.answers


@pytest.mark.parametrize("rows", [100, 3000, 4096, 9000, 70_000])
def test_small_beside_large(client: Client, count: Count, rows: int) -> None:
    x = RNG.standard_normal((rows, 20), np.float32)
    for _ in range(6):
        same(client, "cross_entropy", {"input": x, "target": RNG.integers(0, 20, rows)})
    assert len(count.answers) >= 1


def test_layouts(client: Client, count: Count) -> None:
    x, y = RNG.standard_normal((2, 200, 300), np.float32)
    for given in (x, x.T, x[::2], np.asfortranarray(x), x.astype(np.float16), np.float64(x)):
        like = y.reshape(-1)[: given.size].reshape(given.shape).astype(given.dtype)
        for _ in range(2):
            same(client, "l1_loss", {"input": given, "target": like})
    assert len(count.answers) >= 6


def test_gradients_are_the_callers_own(client: Client) -> None:
    """Memory for what is small is used again: nobody's gradient changes with it."""
    criterion = nn.MSELoss(client=client, reduction="sum")
    x = [np.full(20 * KIB, k, np.float32) for k in range(6)]
    gradients = [criterion.value_and_grad(a, 0 * a)[1] for a in x]
    for k, gradient in enumerate(gradients):
        np.testing.assert_array_equal(gradient, np.float32(2 * k))


@pytest.mark.filterwarnings("ignore:mse_loss")
def test_an_answer_that_does_not_fit_comes_on_the_stream(client: Client, count: Count) -> None:
    small(client)
    for n in (300, 2000):  # the losses of all pairs: in a message of the stream, and in chunks
        x, y = RNG.standard_normal((n, 1), np.float32), RNG.standard_normal((1, n), np.float32)
        same(client, "mse_loss", {"input": x, "target": y}, reduction="none")
    small(client)
    assert [bool(answer) for answer in count.answers] == [False, False, True]


@pytest.mark.parametrize("rows", [100, 3000, 100_000])
def test_pieces_go_by_the_stream(client: Client, count: Count, rows: int) -> None:
    x, y = RNG.standard_normal((rows, 10)).astype(np.float32), RNG.integers(0, 10, rows)
    for _ in range(2):
        small(client)
    pieces = Pieces(x.shape, np.float32, [x[:50], x[50:]])
    answer = client.evaluate("cross_entropy", {"input": pieces, "target": y})
    whole = evaluate("cross_entropy", {"input": x, "target": y})
    assert answer.tensors["loss"] == whole.loss
    small(client)
    assert len(count.answers) == 2


def test_errors_are_those_of_the_stream(client: Client, count: Count) -> None:
    small(client)
    x = np.zeros((2, 3), np.float32)
    for kind, loss, tensors in (
        (errors.LabelError, "cross_entropy", {"input": x, "target": np.array([0, 3])}),
        (errors.ShapeError, "cross_entropy", {"input": x, "target": np.array([0, 1, 2])}),
        (errors.UnknownLossError, "no_loss", {"input": x, "target": x}),
    ):
        with pytest.raises(kind) as told:
            client.evaluate(loss, tensors)
        with connect("inproc:") as here, pytest.raises(kind, match=r".") as expected:
            here.evaluate(loss, tensors)
        assert str(told.value) == str(expected.value)
        small(client)
    assert len(count.answers) == 6


def test_several_threads(client: Client, count: Count) -> None:
    """One at a time has the pipes, the others the stream."""
    failed = list[BaseException]()

    def work() -> None:
        try:
            rng = np.random.default_rng(threading.get_ident() % 1000)
            for size in (10, 20_000, 100, 100_000) * 10:
                x, y = rng.standard_normal((2, size), np.float32)
                same(client, "mse_loss", {"input": x, "target": y})
        except (errors.LossdError, AssertionError) as error:
            failed.append(error)

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    assert 0 < len(count.answers) < 240


@pytest.mark.parametrize("share", ["none", "unix", "local", "any"])
def test_where_the_server_shares_nothing(
    start_server: StartServer, tmp_path: Path, count: Count, share: str
) -> None:
    listen = ("127.0.0.1:0", f"unix:{tmp_path}/lossd.sock")
    server = start_server("--share-memory", share, listen=listen)
    over_tcp = share in ("local", "any")
    for address, piped in ((server.addresses()[0], over_tcp), (listen[1], share != "none")):
        count.answers.clear()
        with connect(address, timeout=PATIENCE) as client:
            for _ in range(4):
                small(client)
        assert len(count.answers) == 3 * piped


# --- what ends in the middle -------------------------------------------------------------------


def test_deadlines(client: Client, count: Count) -> None:
    """What misses its deadline is given up, and pipes are there again for the next."""
    for _ in range(3):
        small(client)
    x = client.empty(16 * MIB)
    y = client.empty(16 * MIB)
    x[...] = y[...] = 0.5
    tensors = {"input": x, "target": y}
    whole = client.evaluate("binary_cross_entropy", tensors).tensors["loss"]
    count.answers.clear()
    for _ in range(3):
        with pytest.raises(errors.DeadlineError, match="binary_cross_entropy: no answer"):
            client.evaluate("binary_cross_entropy", tensors, timeout=1e-3)
        for _ in range(3):
            small(client)
        assert client.evaluate("binary_cross_entropy", tensors).tensors["loss"] == whole
    assert count.answers.count("TimeoutError") >= 2
    assert sum(isinstance(answer, bytes) for answer in count.answers) >= 6


def test_a_server_that_is_killed(start_server: StartServer, tmp_path: Path, count: Count) -> None:
    address = f"unix:{tmp_path}/lossd.sock"
    server = start_server(listen=(address,))
    with connect(address, retries=0) as client:
        small(client)
        small(client)
        server.kill()
        with pytest.raises(errors.UnavailableError, match="lossd serve"):
            small(client)
    assert count.answers[-1] == "LostError"


def test_a_server_that_is_killed_while_it_computes(
    start_server: StartServer, tmp_path: Path, count: Count
) -> None:
    """The call is made again, and the next server has pipes, too."""
    address = f"unix:{tmp_path}/lossd.sock"
    server = start_server(listen=(address,))
    with connect(address, timeout=PATIENCE, retries=10) as client:
        small(client)
        tensors = {"input": np.full(MIB, 0.5, np.float32), "target": np.ones(MIB, np.float32)}
        expected = client.evaluate("binary_cross_entropy", tensors).tensors["loss"]
        client.evaluate("binary_cross_entropy", tensors)
        os.kill(server.process.pid, signal.SIGSTOP)
        found = list[Any]()
        thread = threading.Thread(
            target=lambda: found.append(client.evaluate("binary_cross_entropy", tensors))
        )
        thread.start()
        time.sleep(0.3)
        assert not found
        server.kill()
        start_server(listen=(address,))
        thread.join()
        assert found[0].tensors["loss"] == expected
        assert count.answers[-1] == "LostError"
        for _ in range(3):
            small(client)
        assert isinstance(count.answers[-1], bytes)


@pytest.mark.filterwarnings("ignore:mse_loss")
@pytest.mark.parametrize("timeout", [None, PATIENCE])
def test_a_server_that_is_killed_before_an_answer_on_the_stream(
    start_server: StartServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    timeout: float | None,
) -> None:
    address = f"unix:{tmp_path}/lossd.sock"
    servers = [start_server(listen=(address,))]
    exchange = Pipes.exchange

    def killing(self: Pipes, *args: Any) -> bytes:
        answer = exchange(self, *args)
        if answer == b"" and len(servers) == 1:
            servers[0].kill()
            servers.append(start_server(listen=(address,)))
        return answer

    monkeypatch.setattr(Pipes, "exchange", killing)
    with connect(address, timeout=timeout, retries=10) as client:
        small(client)
        n = 3000
        x, y = RNG.standard_normal((n, 1), np.float32), RNG.standard_normal((1, n), np.float32)
        same(client, "mse_loss", {"input": x, "target": y}, reduction="none")
    assert len(servers) == 2


def test_connections_that_are_over_leave_nothing(start_server: StartServer, tmp_path: Path) -> None:
    """Neither closed ones nor those whose server is gone: no memory, no pipes, no threads."""
    address = f"unix:{tmp_path}/lossd.sock"
    server = start_server(listen=(address,))
    streams, before = weakref.WeakSet[Stream](), fifos("self")
    tensors = pair(30_000)

    def calls(client: Client) -> None:
        for _ in range(3):
            same(client, "mse_loss", tensors)
        transport: Any = client._transport
        streams.add(transport.connected())

    for _ in range(3):
        with connect(address, timeout=PATIENCE) as client:
            calls(client)
    with connect(address, timeout=PATIENCE, retries=10) as client:
        for _ in range(3):
            calls(client)
            server.kill()
            server = start_server(listen=(address,))
        calls(client)
        eventually(lambda: gc.collect() >= 0 and len(streams) == 1)
        assert fifos("self") == before + 2


def test_what_was_begun_is_answered_before_the_end(
    start_server: StartServer, tmp_path: Path, count: Count
) -> None:
    address = f"unix:{tmp_path}/lossd.sock"
    server = start_server(listen=(address,))
    with connect(address, timeout=PATIENCE, retries=0) as client:
        names = "policy_chosen_logps", "policy_rejected_logps"
        tensors = {name: client.empty(32 * MIB) for name in names}
        for log_p in tensors.values():
            log_p[...] = -0.5
        client.evaluate("orpo_loss", tensors)
        found = list[Any]()
        thread = threading.Thread(
            target=lambda: found.append(client.evaluate("orpo_loss", tensors))
        )
        thread.start()
        time.sleep(0.02)
        server.process.send_signal(signal.SIGTERM)
        thread.join()
        assert found
        assert server.process.wait(PATIENCE) == 0


CLIENT = """
import sys
import numpy as np
from lossd_client import connect, nn
x = np.ones(int(sys.argv[2]), np.float32)
criterion = nn.BCELoss(client=connect(sys.argv[1]))
for _ in range(3):
    criterion.value_and_grad(x, x)
print("begun", flush=True)
while True:
    criterion.value_and_grad(x, x)
"""


@pytest.mark.parametrize("size", [100, 30_000, 4 * MIB])
def test_clients_that_are_killed_leave_no_pipes(unix: tuple[Server, str], size: int) -> None:
    server, address = unix
    with connect(address, timeout=PATIENCE) as client:
        small(client)
    eventually(lambda: fifos(server.process.pid) == 0)
    chance = random.Random(4)
    for _ in range(5):
        process = subprocess.Popen(
            [sys.executable, "-c", CLIENT, address, str(size)], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        with process.stdout as lines:
            assert lines.readline() == "begun\n"
            assert fifos(server.process.pid) == 2
            time.sleep(chance.random() / 20)
            process.send_signal(signal.SIGKILL)
            process.wait()
    eventually(lambda: fifos(server.process.pid) == 0)
    with connect(address, timeout=PATIENCE) as client:
        small(client)


def test_clients_leave_no_pipes_here(unix: tuple[Server, str]) -> None:
    before = fifos("self")
    for _ in range(5):
        with connect(unix[1], timeout=PATIENCE) as client:
            small(client)
            small(client)
    assert fifos("self") == before
    eventually(lambda: fifos(unix[0].process.pid) == 0)


def test_closing_a_client_ends_its_call(unix: tuple[Server, str], count: Count) -> None:
    server, address = unix
    client = connect(address, timeout=PATIENCE, retries=0)
    small(client)
    os.kill(server.process.pid, signal.SIGSTOP)
    failed = list[BaseException]()

    def work() -> None:
        try:
            small(client)
        except errors.LossdError as error:
            failed.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    time.sleep(0.2)
    try:
        client.close()
        thread.join(PATIENCE)
        assert isinstance(failed[0], errors.CancelledError), failed
    finally:
        os.kill(server.process.pid, signal.SIGCONT)
    assert count.answers == ["LostError"]


SIGNALLED = """
import signal, sys, time
import numpy as np
from lossd_client import connect, nn

class Late(Exception):
    pass

def ring(number, frame):
    raise Late

signal.signal(signal.SIGALRM, ring)
client = connect(sys.argv[1])
x = np.random.default_rng(0).uniform(0.1, 0.9, (2, int(sys.argv[2]))).astype(np.float32)
criterion = nn.BCELoss(client=client)
expected = criterion.value_and_grad(*x)
late = 0
for k in range(60):
    try:
        signal.setitimer(signal.ITIMER_REAL, 1e-5 + k * float(sys.argv[3]))
        for _ in range(20):
            criterion.value_and_grad(*x)
        signal.setitimer(signal.ITIMER_REAL, 0)
    except Late:
        late += 1
    value, gradient = criterion.value_and_grad(*x)
    assert value == expected[0]
    assert (gradient == expected[1]).all()
print(late)
"""


@pytest.mark.parametrize(("size", "step"), [(200, 2e-5), (MIB, 3e-4)])
def test_a_signal_that_raises(unix: tuple[Server, str], size: int, step: float) -> None:
    """Wherever the main thread is: the next call is right."""
    done = subprocess.run(
        [sys.executable, "-c", SIGNALLED, unix[1], str(size), str(step)],
        capture_output=True, text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 30


FORKED = """
import os, sys
import numpy as np
from lossd_client import connect, nn
client = connect(sys.argv[1])
x = np.arange(20000, dtype=np.float32)
criterion = nn.MSELoss(client=client)
expected = [criterion(x, 0 * x) for _ in range(3)]
child = os.fork()
if child == 0:
    for _ in range(5):
        assert criterion(x, 0 * x) == expected[0]
    os._exit(0)
for _ in range(50):
    assert criterion(x, 0 * x) == expected[0]
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def test_a_child_has_pipes_of_its_own(unix: tuple[Server, str]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FORKED, unix[1]],
        capture_output=True, text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip
    assert done.stdout == "0\n", done.stderr


# --- awaited -----------------------------------------------------------------------------------


@pytest.fixture
def awaited(monkeypatch: pytest.MonkeyPatch) -> list[bytes | str]:
    """What became of evaluations that went through pipes."""
    answers: list[bytes | str] = []
    exchange = Pipes.exchange_async

    async def counted(self: Pipes, *args: Any) -> bytes:
        try:
            answer = await exchange(self, *args)
        except (LostError, TimeoutError, asyncio.CancelledError) as error:
            answers.append(type(error).__name__)
            raise
        answers.append(answer)
        return answer

    monkeypatch.setattr(Pipes, "exchange_async", counted)
    return answers


async def same_awaited(
    client: AsyncClient, loss: str, tensors: dict[str, Any], **more: Any
) -> None:
    answer = await client.evaluate(loss, tensors, gradients=["input"], **more)
    check(answer, evaluate(loss, tensors, gradients=["input"], **more))


def pair(*shape: int) -> dict[str, Any]:
    return dict(zip(("input", "target"), RNG.standard_normal((2, *shape), np.float32), strict=True))


@pytest.mark.filterwarnings("ignore:mse_loss")
def test_awaited_calls(unix: tuple[Server, str], awaited: list[bytes | str]) -> None:
    async def main() -> None:
        async with AsyncClient(unix[1], timeout=PATIENCE) as client:
            for size in (1, 1000, 20_000, 300_000, 2 * MIB):
                for _ in range(6):
                    await same_awaited(client, "mse_loss", pair(size))
            assert len(awaited) >= 12
            assert b"" not in awaited
            for n in (300, 2000):  # answers that come on the stream
                tensors = {"input": pair(n, 1)["input"], "target": pair(1, n)["target"]}
                await same_awaited(client, "mse_loss", tensors, reduction="none")
            assert awaited[-2:] == [b"", b""]
            await asyncio.gather(
                *[same_awaited(client, "l1_loss", pair(1000 * k)) for k in range(1, 30)]
            )
            with pytest.raises(errors.LabelError):
                await client.evaluate(
                    "cross_entropy", {"input": np.zeros((1, 3), "f4"), "target": np.array([3])}
                )
            assert isinstance(awaited[-1], bytes)

    asyncio.run(main())


def test_awaited_calls_that_are_given_up(
    unix: tuple[Server, str], awaited: list[bytes | str]
) -> None:
    async def main() -> None:
        chance = random.Random(5)
        async with AsyncClient(unix[1]) as client:
            for size in (100, 20_000, 300_000) * 20:
                call = asyncio.create_task(same_awaited(client, "mse_loss", pair(size)))
                await asyncio.sleep(chance.random() * 1e-3)
                call.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await call
                await same_awaited(client, "mse_loss", pair(size))
            assert awaited.count("CancelledError") >= 5
            large = {name: await client.empty(16 * MIB) for name in ("input", "target")}
            for array_ in large.values():
                array_[...] = 0.5
            await client.evaluate("binary_cross_entropy", large)
            for _ in range(3):
                await same_awaited(client, "mse_loss", pair(100))
                with pytest.raises(errors.DeadlineError):
                    await client.evaluate("binary_cross_entropy", large, timeout=1e-3)
            assert "TimeoutError" in awaited
        assert fifos("self") == before

    before = fifos("self")
    asyncio.run(main())


def test_awaited_of_a_server_that_is_killed(
    start_server: StartServer, tmp_path: Path, awaited: list[bytes | str]
) -> None:
    address = f"unix:{tmp_path}/lossd.sock"
    server = start_server(listen=(address,))

    async def main() -> None:
        async with AsyncClient(address, retries=10) as client:
            for _ in range(3):
                await same_awaited(client, "mse_loss", pair(100))
            os.kill(server.process.pid, signal.SIGSTOP)
            call = asyncio.create_task(same_awaited(client, "mse_loss", pair(100)))
            await asyncio.sleep(0.2)
            assert not call.done()
            await asyncio.to_thread(server.kill)
            await asyncio.to_thread(lambda: start_server(listen=(address,)))
            await call
            assert awaited[-1] == "LostError"
            for _ in range(3):
                await same_awaited(client, "mse_loss", pair(100))
            assert isinstance(awaited[-1], bytes)

    asyncio.run(main())


# --- any program's pipes -----------------------------------------------------------------------


class Ends:
    """The ends of pipes that were asked for."""

    def __init__(self, conversation: Conversation, id: int = 1) -> None:
        asked = loss_service_pb2.OpenPipes()
        conversation.say(loss_service_pb2.EvaluateStreamRequest(id=id, open_pipes=asked))
        answer = conversation.hear()
        assert answer.id == id
        self.requests = os.open(answer.pipes.requests.path, os.O_WRONLY)
        self.responses = os.open(answer.pipes.responses.path, os.O_RDONLY)
        for file, told in ((self.requests, "requests"), (self.responses, "responses")):
            assert os.fstat(file).st_ino == getattr(answer.pipes, told).inode

    def say(self, message: Any) -> None:
        os.write(self.requests, framed(message.SerializeToString()))

    def hear(self) -> bytes:
        """A message of the server's; raises EOFError at the end of the pipe."""
        found = b""
        while (message := unframed(found)) is None:
            assert select.select([self.responses], [], [], PATIENCE)[0]
            part = os.read(self.responses, 1 << 16)
            if not part:
                raise EOFError
            found += part
        return message

    def answer(self) -> loss_service_pb2.EvaluateStreamResponse:
        return loss_service_pb2.EvaluateStreamResponse.FromString(self.hear())

    def close(self) -> None:
        os.close(self.requests)
        os.close(self.responses)


@pytest.fixture
def ends(conversation: Conversation) -> Iterator[Ends]:
    ends = Ends(conversation)
    yield ends
    ends.close()


def three(id: int) -> Any:
    one, four = np.ones(3, np.float32), np.full(3, 4, np.float32)
    return begin(id, request("l1_loss", ["input"], input=four, target=one))


def test_any_program_can_use_them(ends: Ends) -> None:
    for id in (7, 8, 7):
        ends.say(three(id))
        answer = ends.answer()
        assert answer.id == id
        assert [array(t).tolist() for t in answer.result.tensors] == [3.0, [np.float32(1) / 3] * 3]


def test_a_message_may_come_in_parts(ends: Ends) -> None:
    whole = framed(three(3).SerializeToString())
    for at in range(len(whole)):
        os.write(ends.requests, whole[at : at + 1])
        if at % 16 == 0:
            time.sleep(0.001)
    assert ends.answer().id == 3


def test_evaluations_of_the_stream_go_on_beside(conversation: Conversation, ends: Ends) -> None:
    data = np.ones(MIB, np.float32)
    message = request("l1_loss", target=data)
    message.tensors.append(tensor("input", data, chunked=True))
    conversation.say(begin(5, message))
    ends.say(three(6))
    assert ends.answer().id == 6
    for at in range(0, data.nbytes, MIB):
        conversation.say(chunk(5, "input", at, data.tobytes()[at : at + MIB]))
    assert conversation.hear_result(5)["loss"] == 0


def test_tensors_in_chunks_may_follow_on_the_stream(conversation: Conversation, ends: Ends) -> None:
    data = np.full(1000, 2, np.float32)
    message = request("l1_loss", target=np.zeros(1000, np.float32))
    message.tensors.append(tensor("input", data, chunked=True))
    ends.say(begin(9, message))
    time.sleep(0.05)
    conversation.say(chunk(9, "input", 0, data.tobytes()))
    answer = ends.answer()
    assert answer.id == 9
    assert array(answer.result.tensors[0]) == 2


def test_what_is_given_up_on_the_stream_is_not_answered(
    conversation: Conversation, ends: Ends
) -> None:
    message = request("l1_loss", target=np.zeros(10, np.float32))
    message.tensors.append(tensor("input", np.zeros(10, np.float32), chunked=True))
    ends.say(begin(9, message))
    time.sleep(0.05)
    conversation.say(cancel(9), three(10))
    conversation.hear_result(10)
    assert not select.select([ends.responses], [], [], 0.05)[0]
    other = Ends(conversation, 11)
    with pytest.raises(EOFError):
        ends.hear()
    other.say(three(9))
    assert other.answer().id == 9
    other.close()


@pytest.mark.parametrize(
    ("item", "says"),
    [
        ({"cancel": loss_service_pb2.CancelEvaluation()}, "only evaluations"),
        ({"lease": loss_service_pb2.LeaseMemory(size=MIB)}, "only evaluations"),
        ({"chunk": tensor_pb2.TensorChunk(name="input")}, "only evaluations"),
        ({}, "neither an evaluation"),
    ],
)
def test_other_messages_are_refused(ends: Ends, item: Any, says: str) -> None:
    ends.say(loss_service_pb2.EvaluateStreamRequest(id=4, **item))
    answer = ends.answer()
    assert answer.id == 4
    assert says in answer.error.message
    ends.say(three(5))
    assert ends.answer().id == 5


def test_what_is_no_message(ends: Ends) -> None:
    chance = random.Random(8)
    for k in range(200):
        os.write(ends.requests, framed(chance.randbytes(1 + k)))
        answer = ends.answer()
        assert answer.WhichOneof("message") in ("error", "result")
    ends.say(three(5))
    assert ends.answer().id == 5


@pytest.mark.parametrize(
    "wrong",
    [
        framed(b"") + b"x",
        (MOST + 1).to_bytes(4, "little"),
        b"\xff" * 4,
        framed(three(2).SerializeToString()) * 2,
        b"\xff" * 5000,
    ],
)
def test_misuse_closes_them_and_nothing_else(
    conversation: Conversation, ends: Ends, unix: tuple[Server, str], wrong: bytes
) -> None:
    ends.say(three(1))
    ends.answer()
    os.write(ends.requests, wrong)
    with pytest.raises(EOFError):
        ends.hear()
    with pytest.raises(BrokenPipeError):
        os.write(ends.requests, b"more")
    conversation.say(three(2))
    assert conversation.hear_result(2)["loss"] == 3
    eventually(lambda: fifos(unix[0].process.pid) == 0)
    again = Ends(conversation, 3)
    again.say(three(4))
    assert again.answer().id == 4
    again.close()


def test_who_does_not_wait_for_an_answer(conversation: Conversation, ends: Ends) -> None:
    message = request("l1_loss", target=np.zeros(10, np.float32))
    message.tensors.append(tensor("input", np.zeros(10, np.float32), chunked=True))
    ends.say(begin(9, message))
    time.sleep(0.05)
    ends.say(three(10))
    with pytest.raises(EOFError):
        ends.hear()
    conversation.say(chunk(9, "input", 0, bytes(40)))
    assert conversation.hear_result(9)["loss"] == 0


def test_who_does_not_read_answers(conversation: Conversation, ends: Ends) -> None:
    """A pipe that is full is closed: nobody waits for it."""
    x = np.ones(10_000, np.float32)
    asked = request("l1_loss", ["input"], input=x[:9000], target=x[:1])
    large = framed(begin(1, asked).SerializeToString())
    with contextlib.suppress(BrokenPipeError):
        for _ in range(3):
            os.write(ends.requests, large)
            time.sleep(0.1)
    found = b""
    while part := os.read(ends.responses, 1 << 16):
        found += part
    assert 36_000 < len(found) < 72_000
    conversation.say(three(2))
    assert conversation.hear_result(2)["loss"] == 3


def test_an_answer_that_is_not_taken_holds_up_the_next(
    conversation: Conversation, ends: Ends
) -> None:
    """Else answers to a client that reads none would pile up in the server."""
    x = np.zeros((250, 1), np.float32)
    asked = begin(3, request("mse_loss", reduction="none", input=x, target=x.reshape(1, 250)))
    given = 0
    while given < 300:
        ends.say(asked)
        if not select.select([ends.responses], [], [], 1.0)[0]:
            break
        assert ends.hear() == b""
        given += 1
    assert 1 <= given < 200
    for _ in range(given):
        assert conversation.hear_result(3)["loss"].shape == (250, 250)
    assert ends.hear() == b""
    assert conversation.hear_result(3)["loss"].shape == (250, 250)
    ends.say(three(4))
    assert ends.answer().id == 4


def test_they_end_with_the_stream(unix: tuple[Server, str]) -> None:
    with Stub(unix[1]) as stub, stub.stream() as stream:
        ends = Ends(stream)
        ends.say(three(1))
        ends.answer()
        stream.end()
        with pytest.raises(EOFError):
            ends.hear()
        ends.close()
    eventually(lambda: fifos(unix[0].process.pid) == 0)


# --- what a client makes of them ---------------------------------------------------------------


def test_a_pipe_is_what_it_says(tmp_path: Path) -> None:
    """No other file is opened, and nothing is read from a pipe of somebody else's."""
    out, into = os.pipe()
    os.write(into, b"another's")
    right = f"/proc/{os.getpid()}/fd/{out}", os.fstat(out).st_ino
    writing = f"/proc/{os.getpid()}/fd/{into}", os.fstat(into).st_ino
    file = tmp_path / "file"
    file.write_text("a file")
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    before = fifos("self")
    for wrong in (
        (right[0], right[1] + 1),
        (f"/proc/{os.getpid()}/fd/9999", right[1]),
        (str(file), file.stat().st_ino),
        (str(fifo), fifo.stat().st_ino),
        ("", 0),
        (f"/proc/{os.getpid()}/fd/../fd/{out}", right[1]),
    ):
        for opened in (Opened(wrong, right), Opened(writing, wrong)):
            with pytest.raises((OSError, ValueError)):
                Pipes(opened)
    assert fifos("self") == before
    assert os.read(out, 100) == b"another's"
    os.close(out)
    os.close(into)


class Answering:
    """The other end of a client's pipes, in this process."""

    def __init__(self) -> None:
        self.out, into = os.pipe()
        back, self.into = os.pipe()
        assert stat.S_ISFIFO(os.fstat(into).st_mode)
        here = [(f"/proc/{os.getpid()}/fd/{end}", os.fstat(end).st_ino) for end in (into, back)]
        self.pipes = Pipes(Opened(*here))
        os.close(into)
        os.close(back)

    def exchange(self, *parts: bytes, there: bool = True, left: float | None = None) -> bytes:
        for part in parts:
            os.write(self.into, part)
        assert self.pipes.take()
        try:
            return self.pipes.exchange(b"asked", lambda: left, lambda: there)
        finally:
            self.pipes.give_back()


@pytest.fixture
def answering() -> Iterator[Answering]:
    answering = Answering()
    yield answering
    answering.pipes.close()
    os.close(answering.out)
    with contextlib.suppress(OSError):
        os.close(answering.into)


def test_an_answer_may_come_in_parts(answering: Answering) -> None:
    assert answering.exchange(framed(b"told")) == b"told"
    assert os.read(answering.out, 100) == framed(b"asked")
    whole = framed(b"a longer answer")
    assert answering.exchange(*[whole[k : k + 1] for k in range(len(whole))]) == b"a longer answer"
    assert answering.exchange(framed(b"")) == b""


@pytest.mark.parametrize(
    "wrong", [b"\xff" * 8, framed(b"one") * 2, (1 << 17).to_bytes(4, "little")]
)
def test_answers_that_are_none(answering: Answering, wrong: bytes) -> None:
    with pytest.raises(LostError):
        answering.exchange(wrong)


def test_nobody_there(answering: Answering, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(TimeoutError):
        answering.exchange(left=0.0)
    monkeypatch.setattr(pipes, "_LOOK", 0.01)
    with pytest.raises(LostError):
        answering.exchange(there=False)
    os.close(answering.into)
    assert answering.pipes.take()
    with pytest.raises(LostError):
        answering.pipes.exchange(b"asked", lambda: None, lambda: True)


def test_closed_while_they_are_used(answering: Answering) -> None:
    before = fifos("self")
    assert answering.pipes.take()
    assert not answering.pipes.take()
    answering.pipes.close()
    assert fifos("self") == before
    answering.pipes.give_back()
    assert fifos("self") == before - 2
    assert not answering.pipes.take()
