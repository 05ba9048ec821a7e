"""Tensors in memory that client and server share: faster, and otherwise as if they were sent."""

import gc
import itertools
import mmap
import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from lossd_client import Client, connect, errors, nn, shared, wire
from lossd_client._gen.lossd.v1 import loss_service_pb2, tensor_pb2
from lossd_client.shared import Block, loan_of, mapped
from lossd_client.wire import Leased

from lossd.engine import evaluate
from lossd.server.limits import Budget
from lossd.server.service import kind_of
from lossd.server.settings import Settings
from lossd.server.shared import Segments

from .conftest import StartServer
from .servers import PATIENCE, Server
from .stubs import Conversation, Stub, array, begin, reason_of, request

pytestmark = pytest.mark.thorough

MIB = 1 << 20
RNG = np.random.default_rng(11)
X = RNG.standard_normal((1000, 400), np.float32)
LABELS = RNG.integers(0, 400, 1000)


def is_shared(array: Any) -> bool:
    return loan_of(array) is not None


def expected() -> Any:
    return evaluate("cross_entropy", {"input": X, "target": LABELS}, gradients=["input"])


def call(client: Client, x: Any = X, labels: Any = LABELS) -> Any:
    """The gradient of a call, checked."""
    value, gradient = nn.CrossEntropyLoss(client=client).value_and_grad(x, labels)
    whole = expected()
    assert value == whole.loss
    assert gradient.tobytes() == whole.gradients["input"].tobytes()
    return gradient


def segments(server: Server) -> int:
    """Segments that a server holds."""
    files = Path(f"/proc/{server.process.pid}/fd").iterdir()
    found = 0
    for file in files:
        try:
            found += "memfd:lossd" in str(file.readlink())
        except FileNotFoundError:
            continue  # closed meanwhile
    return found


def await_no_segments(server: Server) -> None:
    deadline = time.monotonic() + PATIENCE
    while segments(server):
        assert time.monotonic() < deadline, f"{segments(server)} segments are left"
        time.sleep(0.05)


def test_a_client_chooses_it_by_itself(unix: tuple[Server, str]) -> None:
    server, address = unix
    with connect(address, timeout=PATIENCE) as client:
        kinds = [is_shared(call(client)) for _ in range(3)]
        assert kinds == [False, True, True], "the first call asks for memory, the next have it"
        assert segments(server) > 0
    await_no_segments(server)


def test_results_keep_their_values(unix: tuple[Server, str]) -> None:
    criterion = nn.MSELoss(client=(client := connect(unix[1], timeout=PATIENCE)))
    x = [np.full(MIB // 4, k, np.float32) for k in range(8)]
    kept = [criterion.value_and_grad(a, 0 * a)[1] for a in x]
    assert any(map(is_shared, kept))
    client.close()
    gc.collect()
    for k, gradient in enumerate(kept):
        np.testing.assert_array_equal(gradient, np.float32(2 * k) / np.float32(MIB // 4))


def test_tensors_that_are_there_are_not_copied(unix: tuple[Server, str]) -> None:
    with connect(unix[1], timeout=PATIENCE) as client:
        x = client.empty(X.shape)
        assert is_shared(x)
        x[...] = X
        call(client, x)
        x[...] = 0  # the server sees what is there when it is called
        value, _ = nn.CrossEntropyLoss(client=client).value_and_grad(x, LABELS)
        assert value == pytest.approx(np.log(400))
        x[...] = X
        call(client, x[:])
        call(client, np.asfortranarray(x))
        assert not is_shared(client.empty(3, np.int8))


def test_inproc_and_tcp_give_ordinary_arrays(target: str) -> None:
    with connect(target, timeout=PATIENCE) as client:
        x = client.empty((1000, 400))
        assert x.shape == (1000, 400)
        assert is_shared(x) == target.startswith("unix:")
        x[...] = X
        call(client, x)


@pytest.mark.parametrize(
    ("flags", "over_unix", "over_tcp"),
    [(("--share-memory", "local"), True, True), (("--share-memory", "unix"), True, False),
     (("--share-memory", "any"), True, True),
     (("--share-memory", "none"), False, False), (("--max-shared-bytes", "100000"), False, False)],
)  # fmt: skip
def test_the_server_decides(
    start_server: StartServer, tmp_path: Path, flags: Any, over_unix: bool, over_tcp: bool
) -> None:
    listen = ("127.0.0.1:0", f"unix:{tmp_path}/lossd.sock")
    server = start_server(*flags, listen=listen)
    tcp = server.addresses()[0]
    for address, wanted in ((tcp, over_tcp), (listen[1], over_unix)):
        with connect(address, timeout=PATIENCE) as client:
            found = [is_shared(call(client)) for _ in range(3)]
        assert found[-1] == wanted


def test_what_is_local() -> None:
    assert Settings().share_memory == "local"
    local = ("127.0.0.1:4711", "127.8.0.1:1", "%5B::1%5D:4711", "[::1]:80", "[::ffff:127.0.0.1]:9")
    for address in local:
        assert kind_of(f"ipv{4 if address[0] == '1' else 6}:{address}") == "loopback"
    for peer in ("ipv4:10.0.0.1:4711", "ipv6:%5B2001:db8::1%5D:1", "ipv4:", "", "vsock:3:99"):
        assert kind_of(peer) == "network"
    assert kind_of("unix:") == kind_of("unix:/run/lossd.sock") == "unix"


def test_more_than_the_server_leases(start_server: StartServer, tmp_path: Path) -> None:
    """What does not fit is sent, with the same results."""
    address = f"unix:{tmp_path}/lossd.sock"
    start_server("--max-shared-bytes", str(8 * MIB), listen=(address,))
    with connect(address, timeout=PATIENCE) as client:
        kept = [call(client) for _ in range(12)]
    assert not is_shared(kept[-1])
    assert sum(map(is_shared, kept)) >= 1


def test_what_is_too_large_once_does_not_end_sharing(
    start_server: StartServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Blocks that are there are used on, and more is asked for again later."""
    address = f"unix:{tmp_path}/lossd.sock"
    start_server("--max-shared-bytes", str(64 * MIB), listen=(address,))
    large = RNG.standard_normal(30 * MIB, np.float32)
    with connect(address, timeout=PATIENCE) as client:

        def of(x: Any) -> Any:
            tensors = {"input": x, "target": x}
            return client.evaluate("l1_loss", tensors, gradients=["input"]).tensors["grad.input"]

        def comes_to_be_shared(x: Any) -> bool:
            return any(is_shared(of(x)) for _ in range(5))

        assert comes_to_be_shared(large[: 1 * MIB])
        assert not comes_to_be_shared(large)
        assert is_shared(of(large[: 1 * MIB]))
        assert comes_to_be_shared(large[: 2 * MIB])  # less than what was refused
        monkeypatch.setattr(shared, "AGAIN", 0.0)
        assert not comes_to_be_shared(large)
        assert comes_to_be_shared(large[: 3 * MIB // 2])


def test_memory_of_other_sizes_goes_back_for_more(
    start_server: StartServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the server leases is enough for either size, and not for both."""
    address = f"unix:{tmp_path}/lossd.sock"
    server = start_server("--max-shared-bytes", str(24 * MIB), listen=(address,))
    monkeypatch.setattr(shared, "AGAIN", 0.1)
    large = RNG.standard_normal(2 * MIB, np.float32)
    with connect(address, timeout=PATIENCE) as client:

        def comes_to_be_shared(x: Any) -> bool:
            deadline = time.monotonic() + PATIENCE
            tensors = {"input": x, "target": x}
            while time.monotonic() < deadline:
                gradient = client.evaluate("l1_loss", tensors, gradients=["input"])
                if is_shared(gradient.tensors["grad.input"]):
                    return True
                time.sleep(0.02)
            return False

        for x in (large[: 1 * MIB], large, large[: 1 * MIB]):
            assert comes_to_be_shared(x)
            assert segments(server) <= 8  # three arrays and a ring, each open twice


def test_memory_that_nothing_uses_goes_back(
    unix: tuple[Server, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    server, address = unix
    monkeypatch.setattr(shared, "IDLE", 0.3)
    with connect(address, timeout=PATIENCE) as client:
        while not is_shared(call(client)):
            pass
        most = segments(server)
        time.sleep(0.4)
        small = np.zeros(shared.FROM // 4, np.float32)
        deadline = time.monotonic() + PATIENCE
        while segments(server) >= most:
            assert time.monotonic() < deadline, f"{segments(server)} segments are left"
            client.empty(small.shape, np.float32)  # asks for one each time, until there is one
            time.sleep(0.05)
        assert is_shared(call(client)) or is_shared(call(client)) or is_shared(call(client))


def test_who_cannot_map_it_takes_none_from_others(
    start_server: StartServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as a client in a container of its own, with a socket from outside."""
    address = f"unix:{tmp_path}/lossd.sock"
    server = start_server("--max-shared-bytes", str(16 * MIB), listen=(address,))

    def elsewhere(leased: Leased) -> Block:
        raise FileNotFoundError(leased.path)

    with connect(address, timeout=PATIENCE) as apart, connect(address, timeout=PATIENCE) as client:
        with monkeypatch.context() as patch:
            patch.setattr(shared, "mapped", elsewhere)
            for _ in range(4):
                assert not is_shared(call(apart))
            await_no_segments(server)
        assert any(is_shared(call(client)) for _ in range(5))
        assert not is_shared(call(apart))


def test_from_several_threads(unix: tuple[Server, str]) -> None:
    with connect(unix[1], timeout=PATIENCE) as client:

        def work() -> None:
            for _ in range(20):
                call(client)

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert is_shared(call(client))


def test_calls_that_are_given_up_leave_no_trace_in_later_ones(unix: tuple[Server, str]) -> None:
    x = RNG.standard_normal(4 * MIB, np.float32)
    with connect(unix[1], timeout=PATIENCE) as client:
        for _ in range(3):
            call(client)
            client.evaluate("l1_loss", {"input": x, "target": x}, gradients=["input"])
        late = 0
        for k in range(20):
            try:
                client.evaluate(
                    "l1_loss", {"input": x, "target": x}, gradients=["input"],
                    timeout=1e-4 * (k + 1),
                )  # fmt: skip
            except errors.DeadlineError:
                late += 1
            call(client)
        assert late > 0


# ---- by the protocol alone ------------------------------------------------------------------


def leased(stream: Conversation, id: int, size: int) -> tuple[int, Any]:
    """A segment and its memory."""
    lease = loss_service_pb2.LeaseMemory(size=size)
    stream.say(loss_service_pb2.EvaluateStreamRequest(id=id, lease=lease))
    answer = stream.hear()
    assert answer.id == id
    assert answer.WhichOneof("message") == "leased", answer
    found = answer.leased
    block = mapped(Leased(found.segment, found.size, found.path, found.token))
    assert found.size >= size
    return found.segment, block.memory


def there(name: str, array: Any, segment: int, offset: int) -> tensor_pb2.Tensor:
    """A tensor of a place, of an array's type and shape."""
    kinds = {"float32": tensor_pb2.DTYPE_FLOAT32, "int64": tensor_pb2.DTYPE_INT64}
    return tensor_pb2.Tensor(
        name=name, dtype=kinds[str(array.dtype)], shape=array.shape,
        place=tensor_pb2.MemoryPlace(segment=segment, offset=offset),
    )  # fmt: skip


def test_any_client_can_share(conversation: Conversation) -> None:
    segment, memory = leased(conversation, 1, 4 * MIB)
    memory[: X.nbytes] = X.reshape(-1).view(np.uint8)
    message = request("cross_entropy", ["input"], target=LABELS)
    message.tensors.append(there("input", X, segment, 0))
    place = tensor_pb2.MemoryPlace(segment=segment, offset=2 * MIB)
    message.places.append(loss_service_pb2.GradientPlace(name="input", place=place))
    conversation.say(begin(2, message))
    answer = conversation.hear().result
    whole = expected()
    assert answer.tensors[0].data == whole.loss.tobytes()
    assert answer.tensors[1].place == place
    assert memory[2 * MIB :][: X.nbytes].tobytes() == whole.gradients["input"].tobytes()


@pytest.mark.parametrize(
    ("segment", "offset", "says"),
    [
        (99, 0, "segment 99, which is not leased"),
        (0, 0, "segment 0, which is not leased"),
        (1, 4 * MIB - X.nbytes + 4, "must be within"),
        (1, (1 << 63), "must be within"),
        (1, 2, "at a multiple of 4"),
    ],
)
@pytest.mark.parametrize("at_fault", ["input", "gradient"])
def test_places_that_are_not_there(
    conversation: Conversation, segment: int, offset: int, says: str, at_fault: str
) -> None:
    mine, memory = leased(conversation, 1, 4 * MIB)
    assert mine == 1
    place = tensor_pb2.MemoryPlace(segment=segment, offset=offset)
    message = request("cross_entropy", ["input"], target=LABELS)
    if at_fault == "input":
        message.tensors.append(there("input", X, segment, offset))
    else:
        message.tensors.append(there("input", X, 1, 0))
        message.places.append(loss_service_pb2.GradientPlace(name="input", place=place))
    conversation.say(begin(2, message))
    status = conversation.hear_error(2)
    assert reason_of(status) == "MALFORMED_MESSAGE"
    assert says in status.message
    del memory
    conversation.say(begin(3, request("l1_loss", input=X, target=X)))
    assert conversation.hear_result(3)["loss"] == 0


def test_a_place_for_what_is_not_wanted(conversation: Conversation) -> None:
    leased(conversation, 1, 4 * MIB)
    message = request("l1_loss", ["input"], input=X, target=X)
    place = tensor_pb2.MemoryPlace(segment=1)
    message.places.append(loss_service_pb2.GradientPlace(name="target", place=place))
    conversation.say(begin(2, message))
    assert "not wanted" in conversation.hear_error(2).message


def test_memory_that_was_let_go_of(conversation: Conversation) -> None:
    segment, _ = leased(conversation, 1, MIB)
    release = loss_service_pb2.ReleaseMemory(segment=segment)
    message = request("l1_loss", target=X)
    message.tensors.append(there("input", X, segment, 0))
    conversation.say(
        loss_service_pb2.EvaluateStreamRequest(id=2, release=release), begin(3, message)
    )
    assert "not leased" in conversation.hear_error(3).message
    conversation.say(loss_service_pb2.EvaluateStreamRequest(id=4, release=release))
    assert reason_of(conversation.hear_error(4)) == "MALFORMED_MESSAGE"


@pytest.mark.parametrize("size", [0, 1 << 50, (1 << 64) - 1])
def test_leases_of_impossible_sizes(conversation: Conversation, size: int) -> None:
    lease = loss_service_pb2.LeaseMemory(size=size)
    conversation.say(loss_service_pb2.EvaluateStreamRequest(id=1, lease=lease))
    assert reason_of(conversation.hear_error(1)) == "LIMIT_EXCEEDED"


def test_too_many_leases(conversation: Conversation) -> None:
    lease = loss_service_pb2.LeaseMemory(size=4096)
    for id in range(1, 258):
        conversation.say(loss_service_pb2.EvaluateStreamRequest(id=id, lease=lease))
    heard = [conversation.hear().WhichOneof("message") for _ in range(257)]
    assert heard == ["leased"] * 256 + ["error"]


def test_a_client_cannot_shrink_it(conversation: Conversation) -> None:
    """A server that reads beyond a file's end is killed by the kernel."""
    lease = loss_service_pb2.LeaseMemory(size=MIB)
    conversation.say(loss_service_pb2.EvaluateStreamRequest(id=1, lease=lease))
    file = os.open(conversation.hear().leased.path, os.O_RDWR)
    for size in (0, 4096, 2 * MIB):
        with pytest.raises(PermissionError):
            os.ftruncate(file, size)
    os.close(file)


@pytest.mark.parametrize("kind", [np.int64, np.uint8, np.bool_, np.float32])
def test_whole_numbers_are_not_left_where_a_client_can_change_them(kind: Any) -> None:
    """They are checked before they say where a kernel reads."""
    segments = Segments(Budget(MIB, "--max-shared-bytes"))
    leased = segments.lease(4096)
    whole = wire.Shared(np.dtype(kind), (10,), wire.Place(leased.segment, 0))
    memory = segments.room("target", whole.place, whole.dtype, whole.shape)
    assert np.shares_memory(segments.tensor("target", whole), memory) == (kind is np.float32)
    segments.close()


def test_labels_that_change_while_they_are_used(unix: tuple[Server, str]) -> None:
    """They are read once: loss and gradient are of the same labels, always."""
    rows, classes = 20_000, 10
    labels = np.zeros(rows, np.int64)
    x = np.tile(np.linspace(-1, 1, classes, dtype=np.float32), (rows, 1))
    log_p = x[0] - np.log(np.exp(x[0], dtype=np.float64).sum())
    with Stub(unix[1]) as stub, stub.stream() as stream:
        segment, memory = leased(stream, 1, labels.nbytes)
        view = memory.view(np.int64)[:rows]
        view[:] = 3
        message = request("cross_entropy", ["input"], reduction="sum", input=x)
        message.tensors.append(there("target", labels, segment, 0))
        over = threading.Event()

        def change() -> None:
            for turn in itertools.count():
                if over.is_set():
                    return
                view[turn % rows :: 7] = turn % classes
                if turn % 100 == 99:
                    view[turn % rows] = 1 << 40
                    view[turn % rows] = 3

        thread = threading.Thread(target=change)
        thread.start()
        seen = set[bytes]()
        try:
            for id in range(2, 102):
                stream.say(begin(id, message))
                answer = stream.hear()
                if answer.WhichOneof("message") == "error":
                    assert reason_of(answer.error) == "LABEL_OUT_OF_RANGE"
                    continue
                assert answer.WhichOneof("message") == "result"
                found = {t.name: array(t) for t in answer.result.tensors}
                used = (found["grad.input"] - np.exp(log_p)).argmin(1)  # p - 1 at the label
                assert found["loss"] == pytest.approx(-log_p[used].sum(), rel=1e-5)
                seen.add(used.tobytes())
        finally:
            over.set()
            thread.join()
        assert len(seen) > 10, "labels did change between evaluations"
        view[:] = 3
        stream.say(begin(200, message))
        assert stream.hear_result(200)["loss"] == pytest.approx(-rows * log_p[3])


def test_labels_that_point_outside_after_they_were_checked(unix: tuple[Server, str]) -> None:
    """This kernel uses labels as they lie in memory: what is checked must be what is used."""
    rows, classes = 20_000, 4
    labels = np.zeros((rows, classes), np.int64)
    x = np.zeros((rows, classes), np.float32)
    with Stub(unix[1]) as stub, stub.stream() as stream:
        segment, memory = leased(stream, 1, labels.nbytes)
        view = memory.view(np.int64)[: labels.size].reshape(labels.shape)
        view[:] = [1, -1, -1, -1]
        message = request("multilabel_margin_loss", ["input"], input=x)
        message.tensors.append(there("target", labels, segment, 0))
        over = threading.Event()

        def change() -> None:
            while not over.is_set():
                view[-1000:, 0] = 1 << 40
                view[-1000:, 0] = 2
                time.sleep(0.001)

        thread = threading.Thread(target=change)
        thread.start()
        kinds = set()
        try:
            for id in range(2, 202):
                stream.say(begin(id, message))
                answer = stream.hear()
                kinds.add(answer.WhichOneof("message"))
                if answer.WhichOneof("message") == "error":
                    assert reason_of(answer.error) == "LABEL_OUT_OF_RANGE"
        finally:
            over.set()
            thread.join()
        assert "result" in kinds
        view[:] = [3, -1, -1, -1]
        stream.say(begin(300, message))
        assert stream.hear_result(300)["loss"] == pytest.approx(3 / 4)


# ---- ends that are killed -------------------------------------------------------------------

CLIENT = """
import sys
import numpy as np
from lossd_client import connect, nn
x = np.ones((1000, 400), np.float32)
criterion = nn.CrossEntropyLoss(client=connect(sys.argv[1]))
print("begun", flush=True)
while True:
    criterion.value_and_grad(x, np.zeros(1000, int))
"""


def test_clients_that_are_killed_leak_nothing(unix: tuple[Server, str]) -> None:
    server, address = unix
    chance = random.Random(3)
    for _ in range(10):
        process = subprocess.Popen(
            [sys.executable, "-c", CLIENT, address], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        with process.stdout as lines:
            assert lines.readline() == "begun\n"
            time.sleep(chance.random() / 4)
            process.send_signal(signal.SIGKILL)
            process.wait()
    await_no_segments(server)
    with connect(address, timeout=PATIENCE) as client:
        call(client)


def test_a_server_that_is_killed_leaves_nothing(start_server: StartServer, tmp_path: Path) -> None:
    address = f"unix:{tmp_path}/lossd.sock"
    before = set(Path("/dev/shm").iterdir())
    server = start_server(listen=(address,))
    with connect(address, timeout=PATIENCE, retries=8) as client:
        kept = [call(client) for _ in range(2)]
        assert is_shared(kept[-1])
        server.kill()
        assert set(Path("/dev/shm").iterdir()) <= before
        np.testing.assert_array_equal(kept[-1], kept[0])  # what was answered stays
        start_server(listen=(address,))
        assert [is_shared(call(client)) for _ in range(3)][-1]


# ---- what a client makes of a lease ---------------------------------------------------------


def lease_of(file: int, token: bytes = b"0123456789abcdef", size: int = 4096) -> Leased:
    return Leased(1, size, f"/proc/{os.getpid()}/fd/{file}", token)


def test_a_lease_is_what_it_says(tmp_path: Path) -> None:
    file = os.memfd_create("test")
    os.write(file, b"0123456789abcdef" + bytes(4080))
    block = mapped(lease_of(file))
    assert isinstance(block, Block)
    assert block.memory.size == 4096
    for wrong in (
        lease_of(file, b"another one     "),
        lease_of(file, b""),
        lease_of(file, size=8192),
        lease_of(file, size=0),
        lease_of(999),
        lease_of(os.open("/dev/null", os.O_RDWR)),
        lease_of(os.open("/proc/self/status", os.O_RDONLY)),
        Leased(1, 4096, str(tmp_path / "file"), b"0123456789abcdef"),
        Leased(1, 4096, "/proc/self/fd/../../../etc/passwd", b"root"),
        Leased(1, 4096, "", b""),
    ):
        with pytest.raises((OSError, ValueError)):
            mapped(wrong)
    with mmap.mmap(file, 4096) as memory:
        memory[100] = 7
        assert block.memory[100] == 7
