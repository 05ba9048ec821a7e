"""`lossd serve --workers`: several processes at the same addresses."""

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from lossd_client import connect

from lossd.server.settings import Settings

from .conftest import StartServer, answers, still_correct
from .servers import Server, eventually
from .stubs import Stub, begin, chunks, request, tensor

pytestmark = pytest.mark.thorough

FREE = "127.0.0.1:0"


def workers(server: Server) -> dict[int, int]:
    """The process of each worker, by its number."""
    children = Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children").read_text()
    found = {}
    for pid in map(int, children.split()):
        lines = Path(f"/proc/{pid}/cmdline").read_bytes()
        assert b"lossd.server.worker" in lines
        found[len(found)] = pid
    return found


def sockets(pid: int) -> int:
    """How many sockets a process has open."""
    count = 0
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            count += str(entry.readlink()).startswith("socket:")
    return count


def alive(pid: int) -> bool:
    """Whether a process runs."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.fixture
def three(start_server: StartServer, tmp_path: Path) -> Server:
    server = start_server("--workers", "3", listen=(FREE, f"unix:{tmp_path}/lossd.sock"))
    server.await_log("all workers serve  workers=3")
    return server


def test_connections_are_spread(three: Server) -> None:
    address = three.addresses()[0]
    assert set(three.await_log(r"listening on (127\S+)", 3)) == {address}
    before = {pid: sockets(pid) for pid in workers(three).values()}
    assert len(before) == 3
    with contextlib.ExitStack() as stack:
        for _ in range(60):
            still_correct_small(stack.enter_context(Stub(address)))
        added = [sockets(pid) - count for pid, count in before.items()]
    assert sum(added) == 60
    assert min(added) > 5, added


def still_correct_small(stub: Stub) -> None:
    answer = stub.evaluate(request("mse_loss", input=[1.0, 2.0], target=[0.0, 0.0]))
    assert np.frombuffer(answer.tensors[0].data, np.float64).item() == 2.5


def test_each_has_a_socket_of_its_own(three: Server, tmp_path: Path) -> None:
    for name in ("lossd.sock", "lossd.sock.1", "lossd.sock.2"):
        answers(f"unix:{tmp_path / name}")
    assert three.stop() == 0
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [0, 2])
def test_one_that_is_killed_is_replaced(three: Server, number: int) -> None:
    address = three.addresses()[0]
    before = workers(three)
    with connect(address, retries=30) as client:
        still_correct(client)
        os.kill(before[number], signal.SIGKILL)
        for _ in range(20):
            still_correct(client)
    three.await_log("worker ended, is replaced  number=.  status=-9")
    three.await_log(r"serving  version", 4)
    assert len(set(workers(three).values()) & set(before.values())) == 2
    for _ in range(20):
        answers(address)


def test_none_outlives_its_parent(three: Server) -> None:
    found = workers(three)
    three.process.kill()
    eventually(lambda: not any(map(alive, found.values())))


def test_sigterm_answers_what_is_under_way(three: Server) -> None:
    x = np.ones((300, 1000), np.float32)
    message = request("mse_loss", target=0 * x)
    message.tensors.append(tensor("input", x, chunked=True))
    first, *rest = chunks(1, "input", x.tobytes(), 100_000)
    with Stub(three.addresses()[0]) as stub, stub.stream() as stream:
        stream.say(begin(1, message), first, begin(2, request("mse_loss", input=x, target=x)))
        assert stream.hear().id == 2  # what was said before it has arrived
        three.process.send_signal(signal.SIGTERM)
        three.await_log("draining", 3)
        stream.say(*rest)
        assert np.frombuffer(stream.hear().result.tensors[0].data, np.float32).item() == 1.0
    assert three.wait() == 0
    assert len(three.await_log("stopped  worker=")) == 3


def test_ctrl_c_reaches_all_at_once(three: Server) -> None:
    for pid in (*workers(three).values(), three.process.pid):
        os.kill(pid, signal.SIGINT)
    assert three.wait() == 0
    assert "Traceback" not in three.text
    assert "replaced" not in three.text


def test_port_in_use(server: Server) -> None:
    address = server.addresses()[0]
    second = Server("--workers", "2", "--listen", address, "--warm", "none")
    try:
        assert second.wait() != 0
        assert f"cannot listen on {address}: Address already in use" in second.text
        assert "Traceback" not in second.text
    finally:
        second.kill()
    answers(address)


def test_host_that_cannot_be() -> None:
    address = f"{'a' * 300}:50051"
    server = Server("--workers", "2", "--listen", address, "--warm", "none")
    try:
        assert server.wait() == 1
        assert f"cannot listen on {address}: " in server.text
        assert "Traceback" not in server.text
    finally:
        server.kill()


def test_a_port_of_workers_is_taken_by_no_other(three: Server) -> None:
    address = three.addresses()[0]
    for count in ("1", "2"):
        second = Server("--workers", count, "--listen", address, "--warm", "none")
        try:
            assert second.wait() != 0
            assert f"cannot listen on {address}" in second.text
        finally:
            second.kill()


def test_what_cannot_start_ends_all(tmp_path: Path) -> None:
    (tmp_path / "lossd.sock.1").mkdir()
    server = Server("--workers", "3", "--listen", f"unix:{tmp_path}/lossd.sock", "--warm", "none")
    try:
        assert server.wait() != 0
        assert f"cannot listen on unix:{tmp_path}/lossd.sock.1" in server.text
        assert "worker 1 ended before it served" in server.text
        assert "Traceback" not in server.text
    finally:
        server.kill()


def parts(workers: int, **given: int) -> Iterator[int]:
    settings = Settings(workers=workers, **given).of_worker(workers - 1)
    yield from (settings.threads, settings.concurrency, settings.max_inflight_bytes)


def test_limits_are_divided() -> None:
    assert list(parts(2, threads=2, concurrency=4, max_inflight_bytes=1 << 20)) == [1, 2, 1 << 19]
    assert list(parts(9, threads=2, concurrency=2, max_inflight_bytes=8192)) == [1, 1, 4096]
    listen = ["a:1", "unix:/b"]
    assert Settings(workers=3, listen=listen).of_worker(0).listen == ["a:1", "unix:/b"]
    assert Settings(workers=3, listen=listen).of_worker(2).listen == ["a:1", "unix:/b.2"]
