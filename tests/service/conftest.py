"""A server for all tests, servers for one test, and a client on every transport."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from lossd_client import Client, connect, nn

from .servers import Server, running
from .stubs import Conversation, Stub

Target = str
StartServer = Callable[..., Server]


@pytest.fixture(scope="session")
def socket_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the shared server's unix socket is."""
    return tmp_path_factory.mktemp("run") / "lossd.sock"


@pytest.fixture(scope="session")
def server(socket_path: Path) -> Iterator[Server]:
    """A server for tests that leave it as it was."""
    with running(listen=("127.0.0.1:0", f"unix:{socket_path}")) as server:
        yield server


@pytest.fixture
def start_server() -> Iterator[StartServer]:
    """Start servers with flags of one's own; they are stopped, and must exit with 0."""
    with contextlib.ExitStack() as stack:
        yield lambda *flags, **options: stack.enter_context(running(*flags, **options))


@pytest.fixture
def unix(start_server: StartServer, tmp_path: Path) -> tuple[Server, str]:
    """A server of its own and its socket."""
    address = f"unix:{tmp_path}/lossd.sock"
    return start_server(listen=(address,)), address


@pytest.fixture
def conversation(unix: tuple[Server, str]) -> Iterator[Conversation]:
    """A stream to that server."""
    with Stub(unix[1]) as stub, stub.stream() as stream:
        yield stream


@pytest.fixture
def stub(server: Server) -> Iterator[Stub]:
    """Stock grpc and protobuf, connected to the shared server."""
    with Stub(server.addresses()[0]) as stub:
        yield stub


@pytest.fixture(params=["tcp", "unix"])
def remote_target(request: pytest.FixtureRequest, server: Server, socket_path: Path) -> Target:
    """Each address of the shared server."""
    return {"tcp": server.addresses()[0], "unix": f"unix:{socket_path}"}[request.param]


@pytest.fixture(params=["tcp", "unix", "inproc"])
def target(request: pytest.FixtureRequest, server: Server, socket_path: Path) -> Target:
    """Everything that `connect` takes."""
    known = {
        "tcp": server.addresses()[0],
        "unix": f"unix:{socket_path}",
        "inproc": "inproc:",
    }
    return known[request.param]


@pytest.fixture
def client(target: Target) -> Iterator[Client]:
    """A client on each transport."""
    with connect(target, timeout=60) as client:
        yield client


@pytest.fixture
def remote(remote_target: Target) -> Iterator[Client]:
    """A client on each transport that has a server."""
    with connect(remote_target, timeout=60) as client:
        yield client


def still_correct(client: Client) -> None:
    """A small and a chunked evaluation give the values that they should."""
    value, gradient = nn.MSELoss(client=client).value_and_grad([1.0, 2.0], [0.0, 0.0])
    assert value == 2.5
    assert gradient.tolist() == [1.0, 2.0]
    x = np.full(400_000, 3.0, np.float32)
    value, gradient = nn.L1Loss(reduction="sum", client=client).value_and_grad(x, np.zeros_like(x))
    assert value == 1_200_000.0
    assert (gradient == 1.0).all()


def answers(address: str) -> None:
    """The server at an address answers the next client correctly."""
    with connect(address, timeout=60) as client:
        still_correct(client)
