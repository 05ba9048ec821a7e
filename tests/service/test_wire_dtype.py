"""`connect(wire_dtype=…)`: float32 tensors that travel in half precision."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from lossd_client import AsyncClient, Client, connect, errors, nn
from lossd_client.dtypes import BFLOAT16, FLOAT16, narrowed, widened

from lossd.engine import evaluate

from .conftest import StartServer
from .servers import Server

RNG = np.random.default_rng(41)
HALVES = {"bfloat16": BFLOAT16, "float16": FLOAT16}
SHAPES = [(5, 7), (700, 999), (1_000_003,), (3, 1_000_000)]

Array = npt.NDArray[Any]


@pytest.fixture(params=list(HALVES))
def halved(request: pytest.FixtureRequest, server: Server) -> Any:
    """A client over TCP, and the type that its tensors travel in."""
    with connect(server.addresses()[0], timeout=60, wire_dtype=request.param) as client:
        yield client, HALVES[request.param]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_what_the_server_computes_is_of_rounded_tensors(
    halved: tuple[Client, np.dtype[Any]], shape: tuple[int, ...]
) -> None:
    client, half = halved
    x, y = (RNG.standard_normal(shape, np.float32) for _ in range(2))
    value, gradient = nn.MSELoss(client=client).value_and_grad(x, y)
    tensors = {"input": narrowed(x, half), "target": narrowed(y, half)}
    expected = evaluate("mse_loss", tensors, gradients=["input"])
    assert value == expected.loss.item()
    assert gradient.dtype == np.float32
    np.testing.assert_array_equal(gradient, widened(expected.gradients["input"]))
    gradient[...] = 0  # it is the caller's


def test_others_travel_as_they_are(halved: tuple[Client, np.dtype[Any]]) -> None:
    client, half = halved
    x, labels = RNG.standard_normal((3000, 300), np.float32), RNG.integers(0, 300, 3000)
    value, gradient = nn.CrossEntropyLoss(client=client).value_and_grad(x, labels)
    tensors = {"input": narrowed(x, half), "target": labels}
    expected = evaluate("cross_entropy", tensors, gradients=["input"])
    assert value == expected.loss.item()
    np.testing.assert_array_equal(gradient, widened(expected.gradients["input"]))
    wide = RNG.standard_normal((40, 50))
    value, gradient = nn.MSELoss(client=client).value_and_grad(wide, 0 * wide)
    exact = evaluate("mse_loss", {"input": wide, "target": 0 * wide}, gradients=["input"])
    assert value == exact.loss.item()
    np.testing.assert_array_equal(gradient, exact.gradients["input"])


def test_losses_are_float32(halved: tuple[Client, np.dtype[Any]]) -> None:
    client, half = halved
    x = RNG.standard_normal((400, 1000), np.float32)
    found = nn.L1Loss(reduction="none", client=client)(x, 0 * x).numpy()
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, abs(widened(narrowed(x, half))))


def test_sinks_take_float32(halved: tuple[Client, np.dtype[Any]]) -> None:
    client, half = halved
    for rows in (3, 2000):
        x = RNG.standard_normal((rows, 1000), np.float32)
        found = np.zeros(x.size, np.float32)

        def sink(name: str, at: int, values: Array, found: Array = found) -> None:
            assert values.dtype == np.float32
            found[at : at + values.size] = values

        tensors = {"input": x, "target": 0 * x}
        client.evaluate("mse_loss", tensors, gradients=["input"], sink=sink)
        small = {"input": narrowed(x, half), "target": narrowed(0 * x, half)}
        expected = evaluate("mse_loss", small, gradients=["input"]).gradients["input"]
        np.testing.assert_array_equal(found.reshape(x.shape), widened(expected))


def test_nothing_is_rounded_where_nothing_travels(start_server: StartServer, tmp_path: Any) -> None:
    start_server(listen=(f"unix:{tmp_path}/lossd.sock",))
    x, y = (RNG.standard_normal((1000, 1000), np.float32) for _ in range(2))
    expected = evaluate("mse_loss", {"input": x, "target": y}, gradients=["input"])
    for target in ("inproc:", f"unix:{tmp_path}/lossd.sock"):
        with connect(target, wire_dtype="bfloat16") as client:
            criterion = nn.MSELoss(client=client)
            for _ in range(4):  # the first asks for memory
                value, gradient = criterion.value_and_grad(x, y)
            assert value == expected.loss.item()
            np.testing.assert_array_equal(gradient, expected.gradients["input"])


def test_beyond_float16(server: Server) -> None:
    """What float16 cannot hold becomes infinite, as in any rounding to it."""
    with connect(server.addresses()[0], wire_dtype="float16") as client:
        assert nn.L1Loss(client=client)(np.float32([1e5]), np.float32([0])).item() == np.inf
    with connect(server.addresses()[0], wire_dtype="bfloat16") as client:
        found = nn.L1Loss(client=client)(np.float32([1e5]), np.float32([0])).item()
        assert found == pytest.approx(1e5, rel=2**-8)


@pytest.mark.parametrize("kind", [Client, AsyncClient])
def test_unknown_type(kind: Any) -> None:
    with pytest.raises(errors.ParameterError, match="wire_dtype = 'int8' must be None, 'bfloat16'"):
        kind("localhost:1", wire_dtype="int8")
