"""Tensors that the server keeps: `Client.register`, handles, their scope and their end."""

import asyncio
import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from lossd_client import AsyncClient, Client, Handle, connect, errors, nn, tensor
from lossd_client._gen.lossd.v1 import loss_service_pb2, tensor_pb2

from lossd.engine import evaluate
from lossd.registered import LEAST, Registry

from .conftest import StartServer, answers
from .servers import PATIENCE, Server, eventually
from .stubs import Answer, Message, Stub, array, begin, chunks, field_of, reason_of, request
from .stubs import tensor as described

RNG = np.random.default_rng(33)
X = RNG.standard_normal((50, 10), np.float32)
LABELS = RNG.integers(0, 10, 50)
MIB = 1 << 20


def loss_of(rows: Any) -> float:
    tensors = {"input": X[rows], "target": LABELS[rows]}
    return evaluate("cross_entropy", tensors).loss.item()


# --- from the client ---------------------------------------------------------------------------


def test_a_handle_takes_a_tensors_place(client: Client) -> None:
    labels = client.register(LABELS)
    criterion = nn.CrossEntropyLoss(client=client)
    assert criterion(X, labels).item() == loss_of(slice(None))
    value, gradient = criterion.value_and_grad(X, labels)
    assert value == loss_of(slice(None))
    expected = evaluate("cross_entropy", {"input": X, "target": LABELS}, gradients=["input"])
    np.testing.assert_array_equal(gradient, expected.gradients["input"])
    x = tensor(X, requires_grad=True)
    criterion(x, labels).backward()
    np.testing.assert_array_equal(x.grad, expected.gradients["input"])


@pytest.mark.parametrize(
    "rows",
    [slice(0, 7), slice(13, 40), slice(44, None), slice(None, 1), [3], [9, 9, 0, 49],
     np.array([5, 2], np.uint8)],
    ids=str,
)  # fmt: skip
def test_rows(client: Client, rows: Any) -> None:
    labels = client.register(LABELS)
    assert nn.CrossEntropyLoss(client=client)(X[rows], labels[rows]).item() == loss_of(rows)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int8", "uint64", "bool"])
def test_any_tensor_of_any_loss(client: Client, dtype: str) -> None:
    y = RNG.uniform(0, 2, (6, 2, 3)).astype(dtype)
    kept = client.register(y)
    x = np.ones((6, 2, 3), y.dtype if y.dtype.kind == "f" else np.float32)
    expected = nn.L1Loss(client=client)(x, y)
    assert nn.L1Loss(client=client)(x, kept).item() == expected.item()
    part = nn.L1Loss(client=client)(x[2:4], kept[2:4])
    assert part.item() == nn.L1Loss(client=client)(x[2:4], y[2:4]).item()


def test_weights_too(client: Client) -> None:
    weight = RNG.uniform(size=10).astype(np.float32)
    kept = nn.CrossEntropyLoss(weight=client.register(weight), client=client)
    sent = nn.CrossEntropyLoss(weight=weight, client=client)
    assert kept(X, LABELS).item() == sent(X, LABELS).item()


def test_a_layers_weights(client: Client) -> None:
    """The predictions of a language model's last layer: its weights are sent once."""
    weight, hidden = (RNG.standard_normal((n, 16), np.float32) for n in (40, 9))
    labels = RNG.integers(0, 40, 9)
    kept = nn.LinearCrossEntropyLoss.of(client.register(weight), client=client)
    sent = nn.LinearCrossEntropyLoss.of(weight, client=client)
    names = ("input", "linear_weight")
    value, gradients = kept.value_and_grad(hidden, labels, wrt=names)
    expected, expected_gradients = sent.value_and_grad(hidden, labels, wrt=names)
    assert value == expected
    for gradient, other in zip(gradients, expected_gradients, strict=True):
        np.testing.assert_array_equal(gradient, other)


def test_large_targets_and_large_predictions(client: Client) -> None:
    x, y = (RNG.standard_normal((3000, 1000), np.float32) for _ in range(2))
    kept = client.register(y)
    value, gradient = nn.MSELoss(client=client).value_and_grad(x, kept)
    expected = evaluate("mse_loss", {"input": x, "target": y}, gradients=["input"])
    assert value == expected.loss.item()
    np.testing.assert_array_equal(gradient, expected.gradients["input"])
    rows = nn.MSELoss(client=client)(x[:10], kept[2000:2010])
    assert rows.item() == nn.MSELoss(client=client)(x[:10], y[2000:2010]).item()


def test_the_servers_copy_is_its_own(client: Client) -> None:
    mine = LABELS.copy()
    labels = client.register(mine)
    mine[:] = 0
    assert nn.CrossEntropyLoss(client=client)(X, labels).item() == loss_of(slice(None))


def test_memory_that_is_shared_is_copied(remote: Client) -> None:
    mine = remote.empty((MIB,), np.float32)
    mine[:] = 3
    kept = remote.register(mine)
    mine[:] = 100
    assert nn.L1Loss(client=remote)(np.zeros(MIB, np.float32), kept).item() == 3.0


def test_torch_tensors_beside_a_handle(client: Client) -> None:
    torch = pytest.importorskip("torch")
    labels = client.register(torch.from_numpy(LABELS))
    x = torch.from_numpy(X).requires_grad_()
    nn.CrossEntropyLoss(client=client)(x, labels).backward()
    found = x.grad.clone()
    x.grad = None
    torch.nn.CrossEntropyLoss()(x, torch.from_numpy(LABELS)).backward()
    torch.testing.assert_close(found, x.grad)


def test_map_over_rows(client: Client) -> None:
    labels = client.register(LABELS)
    parts = [slice(k, k + 5) for k in range(0, 50, 5)]
    losses = client.map(nn.CrossEntropyLoss(), (X[p] for p in parts), (labels[p] for p in parts))
    assert [loss.item() for loss in losses] == [loss_of(p) for p in parts]


def test_async(target: str) -> None:
    async def main() -> None:
        async with AsyncClient(target) as client:
            labels = await client.register(LABELS)
            criterion = nn.CrossEntropyLoss(client=client)
            assert (await criterion(X, labels)).item() == loss_of(slice(None))
            await client.unregister(labels)
            with pytest.raises(errors.HandleError):
                await criterion(X, labels)
            assert (await client.empty((3, 4))).shape == (3, 4)

    asyncio.run(main())


def test_who_has_the_token_needs_no_labels(remote_target: str) -> None:
    """One party registers labels; another, on a connection of its own, has predictions."""
    with connect(remote_target) as holder, connect(remote_target) as other:
        token = holder.register(LABELS).token
        criterion = nn.CrossEntropyLoss(client=other)
        assert criterion(X[:8], Handle(token)[:8]).item() == loss_of(slice(8))
    with connect(remote_target) as later:
        assert nn.CrossEntropyLoss(client=later)(X, Handle(token)).item() == loss_of(slice(None))


@pytest.mark.parametrize("size", [100, 3000])
def test_rows_one_by_one_of_what_is_large(client: Client, size: int) -> None:
    """Copied where they are computed: of predictions too, with their gradient."""
    x = RNG.standard_normal((4000, 500), np.float32)
    y = RNG.integers(0, 500, 4000)
    rows = RNG.integers(0, 4000, size)
    kept = client.register(x)
    for _ in range(3):  # the first call has no shared memory yet
        found = client.evaluate(
            "cross_entropy", {"input": kept[rows], "target": y[rows]}, gradients=["input"]
        )
        expected = evaluate(
            "cross_entropy", {"input": x[rows], "target": y[rows]}, gradients=["input"]
        )
        assert found.tensors["loss"] == expected.loss
        np.testing.assert_array_equal(found.tensors["grad.input"], expected.gradients["input"])


def test_unregistered_and_closed_at_once(server: Any) -> None:
    address = server.addresses()[0]
    with connect(address, timeout=PATIENCE) as other:
        for _ in range(10):
            with connect(address, timeout=PATIENCE) as client:
                labels = client.register(LABELS)
                client.unregister(labels)
            with pytest.raises(errors.HandleError):
                nn.CrossEntropyLoss(client=other)(X, labels)


def test_unregistered(client: Client) -> None:
    labels = client.register(LABELS)
    kept = client.register(LABELS)
    client.unregister(labels)
    criterion = nn.CrossEntropyLoss(client=client)
    with pytest.raises(errors.HandleError, match="target: no tensor is registered") as caught:
        criterion(X, labels)
    assert isinstance(caught.value, LookupError)
    assert caught.value.field == "target"
    assert criterion(X, kept).item() == loss_of(slice(None))


def test_a_restarted_server_knows_no_handle(start_server: StartServer) -> None:
    server = start_server()
    address = server.addresses()[0]
    with connect(address, retries=60) as client:
        labels = client.register(LABELS)
        server.kill()
        start_server("--listen", address)
        with pytest.raises(errors.HandleError, match="started anew"):
            nn.CrossEntropyLoss(client=client)(X, labels)


def test_wrong_rows(client: Client) -> None:
    labels = client.register(LABELS)
    criterion = nn.CrossEntropyLoss(client=client)
    for rows, says in [
        (slice(45, 51), "target has 50 rows at the server; 45 to 50 were asked for"),
        (slice(60, None), "target has 50 rows"),
        ([0, 50], "0 to 50 were asked for"),
    ]:
        with pytest.raises(errors.ShapeError, match=says):
            criterion(X[:6], labels[rows])
    with pytest.raises(errors.ShapeError, match="has 0 rows"):
        criterion(X, client.register(3)[:1])
    with pytest.raises(errors.ShapeError):
        criterion(X, labels[:49])
    with pytest.raises(errors.LabelError, match="outside"):
        criterion(X[:, :3], labels)


def test_what_a_handle_is_indexed_by() -> None:
    handle = Handle("a-secret-token")
    for wrong in (3, "a", [[1, 2]], [0.5], [True], None, (1, 2)):
        with pytest.raises(TypeError, match="indexed by a slice or by row numbers"):
            handle[wrong]
    for negative in (slice(-3, None), slice(0, -1), slice(0, 9, 2), [-1, 0]):
        with pytest.raises(ValueError, match="no negative numbers"):
            handle[negative]
    with pytest.raises(TypeError, match="indexed already"):
        handle[2:5][1:2]
    assert "secret" not in repr(handle)
    assert repr(handle[2:5]) == "Handle(a-se…, rows 2:5)"
    assert repr(handle[[2, 5]]) == "Handle(a-se…, 2 rows)"


def test_wrong_registrations(client: Client) -> None:
    with pytest.raises(errors.ParameterError, match="seconds = 0 must be > 0"):
        client.register(LABELS, seconds=0)
    with pytest.raises(errors.DTypeError):
        client.register(["a", "b"])


# --- scope and time ----------------------------------------------------------------------------


def test_for_one_stream_alone(remote_target: str) -> None:
    with connect(remote_target) as holder, connect(remote_target) as other:
        labels = holder.register(LABELS, stream_only=True)
        criterion = nn.CrossEntropyLoss(client=holder)
        assert criterion(X, labels).item() == loss_of(slice(None))
        with pytest.raises(errors.HandleError, match="another stream"):
            criterion.on(other)(X, labels)
        other.unregister(labels)
        with pytest.raises(errors.HandleError):
            criterion.on(other)(X, labels)
        assert criterion(X, labels).item() == loss_of(slice(None))


def test_for_one_stream_alone_and_not_for_single_calls(server: Server, socket_path: Path) -> None:
    """Calls that are on no stream have none of its tensors, whoever makes them."""
    tcp, unix = server.addresses()[0], f"unix:{socket_path}"
    with Stub(tcp) as holder, Stub(tcp) as other, Stub(unix) as beside, holder.stream() as stream:
        stream.say(registration(1, described("labels", LABELS), stream_only=True))
        token = stream.hear().registered.token
        of_all, of_rows = (
            asked(X, kept("target", token)),
            asked(X[:3], kept("target", token, stop=3)),
        )
        for stub in (other, beside, holder):
            for message in (of_all, of_rows):
                status = stub.refused(message)
                assert reason_of(status) == "UNKNOWN_HANDLE"
                assert field_of(status) == "target"
                assert "another stream" in status.message
                assert token not in status.message
            whole = stub.evaluate(request("cross_entropy", input=X, target=LABELS))
            assert value_of(whole) == loss_of(slice(None))
        stream.say(begin(2, of_all))
        assert value_of(stream.hear()) == loss_of(slice(None))
        assert stream.end() == []
    answers(tcp)


def registers(client: Client, array: npt.NDArray[Any]) -> bool:
    """Whether there is room for it."""
    try:
        client.register(array)
    except errors.ResourceError:
        return False
    return True


def test_room_comes_back(start_server: StartServer) -> None:
    """64 KiB of 100: one fits, and another only once the first is gone."""
    flags = ("--max-registered-bytes", "100000")
    address = start_server(*flags).addresses()[0]
    big = np.zeros(64 << 10, np.uint8)
    with connect(address) as client:
        first = client.register(big)
        with pytest.raises(errors.ResourceError, match=r"65,536 bytes .*--max-registered-bytes"):
            client.register(big)
        client.unregister(first)
        client.register(big, stream_only=True)
        with pytest.raises(errors.ResourceError):
            client.register(np.zeros(2 * MIB, np.uint8))
    with connect(address) as client:
        eventually(lambda: registers(client, big))
        answers(address)


def test_expiry(start_server: StartServer) -> None:
    address = start_server("--registered-seconds", "3").addresses()[0]
    with connect(address) as client:
        criterion = nn.CrossEntropyLoss(client=client)
        short = client.register(LABELS, seconds=0.2)
        kept = client.register(LABELS, seconds=1e9)
        time.sleep(0.5)
        with pytest.raises(errors.HandleError, match="expired"):
            criterion(X, short)
        assert criterion(X, kept).item() == loss_of(slice(None))
        with Stub(address) as stub, stub.stream() as stream:
            stream.say(registration(1, described("a", LABELS), seconds=1e9))
            assert stream.hear().registered.seconds == 3.0


def test_nothing_may_be_registered_where_it_is_off(start_server: StartServer) -> None:
    address = start_server("--max-registered-bytes", "0").addresses()[0]
    with connect(address) as client, pytest.raises(errors.ResourceError, match="of the server's 0"):
        client.register([1])
    answers(address)


class Clock:
    """A time that is set."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_use_prolongs_and_the_end_frees() -> None:
    clock = Clock()
    registry = Registry(100_000, 10.0, clock)
    handle = Handle(registry.add(np.zeros(50_000, np.uint8), None)[0])
    brief = Handle(registry.add(np.zeros(1, np.uint8), 2.0)[0])
    assert registry.used == 50_000 + LEAST
    for _ in range(5):
        clock.now += 9
        registry.find("target", handle)
    with pytest.raises(errors.HandleError):
        registry.find("target", brief)
    assert registry.used == 50_000
    clock.now += 10
    registry.expire()
    assert registry.used == 0
    with pytest.raises(errors.HandleError):
        registry.remove(handle.token)


def test_many_small_ones_are_counted() -> None:
    registry = Registry(10 * LEAST, 10.0)
    for _ in range(10):
        registry.add(np.zeros(1), None)
    with pytest.raises(errors.ResourceError):
        registry.add(np.zeros(1), None)


def test_what_is_kept_cannot_be_written_to() -> None:
    registry = Registry(100_000, 10.0)
    kept = registry.find("target", Handle(registry.add(np.zeros(3), None)[0]))
    with pytest.raises(ValueError, match="read-only"):
        kept[0] = 1


# --- on the wire -------------------------------------------------------------------------------


def registration(id: int, message: tensor_pb2.Tensor, **more: Any) -> Message:
    told = loss_service_pb2.RegisterTensor(tensor=message, **more)
    return loss_service_pb2.EvaluateStreamRequest(id=id, register=told)


def kept(name: str, token: str, **rows: Any) -> tensor_pb2.Tensor:
    return tensor_pb2.Tensor(name=name, handle=tensor_pb2.TensorHandle(token=token, **rows))


def asked(x: npt.NDArray[Any], target: tensor_pb2.Tensor) -> loss_service_pb2.EvaluateRequest:
    message = request("cross_entropy", input=x)
    message.tensors.append(target)
    return message


def value_of(answer: Answer | loss_service_pb2.EvaluateResponse) -> float:
    result = answer.result if isinstance(answer, Answer) else answer
    return float(array(result.tensors[0]).item())


def test_stock_stubs(stub: Stub) -> None:
    with stub.stream() as stream:
        stream.say(registration(1, described("labels", LABELS)))
        token = stream.hear().registered.token
        stream.say(begin(2, asked(X, kept("target", token))))
        stream.say(begin(3, asked(X[4:9], kept("target", token, start=4, stop=9))))
        rows = np.array([7, 7, 1], "<i8")
        stream.say(begin(4, asked(X[rows], kept("target", token, rows=rows.tobytes()))))
        found = {(a := stream.hear()).id: value_of(a) for _ in range(3)}
    assert found == {2: loss_of(slice(None)), 3: loss_of(slice(4, 9)), 4: loss_of(rows)}
    unary = stub.evaluate(asked(X[:5], kept("target", token, stop=5)))
    assert value_of(unary) == loss_of(slice(5))


def test_in_chunks(stub: Stub) -> None:
    big = RNG.integers(0, 10, 300_000)
    with stub.stream() as stream:
        stream.say(registration(1, described("labels", big, chunked=True)))
        stream.say(*chunks(1, "labels", big.tobytes(), 500_000))
        token = stream.hear().registered.token
        stream.say(begin(2, asked(X, kept("target", token, start=100_000, stop=100_050))))
        tensors = {"input": X, "target": big[100_000:100_050]}
        assert value_of(stream.hear()) == evaluate("cross_entropy", tensors).loss.item()


def refused(stub: Stub, *messages: Message) -> Any:
    with stub.stream() as stream:
        stream.say(*messages)
        status = stream.hear_error(1)
        stream.say(begin(9, request("l1_loss", input=X, target=X)))
        assert stream.hear().id == 9
        return status


def test_refused_on_the_wire(stub: Stub) -> None:
    unknown = asked(X, kept("target", "nobody's"))
    assert reason_of(refused(stub, begin(1, unknown))) == "UNKNOWN_HANDLE"
    assert reason_of(stub.refused(unknown)) == "UNKNOWN_HANDLE"
    forget = loss_service_pb2.UnregisterTensor(token="nobody's")
    message = loss_service_pb2.EvaluateStreamRequest(id=1, unregister=forget)
    assert reason_of(refused(stub, message)) == "UNKNOWN_HANDLE"
    nothing = loss_service_pb2.EvaluateStreamRequest(
        id=1, register=loss_service_pb2.RegisterTensor()
    )
    assert "no tensor to register" in refused(stub, nothing).message
    assert "must be > 0" in refused(stub, registration(1, described("a", X), seconds=-1)).message
    again = registration(1, kept("a", "token"))
    assert "cannot be registered" in refused(stub, again).message
    odd = asked(X, kept("target", "t", rows=b"12345"))
    assert "8 bytes each" in refused(stub, begin(1, odd)).message
    lying = described("a", X)
    lying.shape[0] = 51
    assert reason_of(refused(stub, registration(1, lying))) == "MALFORMED_MESSAGE"
    huge = tensor_pb2.Tensor(name="a", dtype="DTYPE_INT64", shape=[1 << 40], chunked=True)
    assert reason_of(refused(stub, registration(1, huge))) == "LIMIT_EXCEEDED"


def test_a_registration_that_breaks_off_leaves_nothing(
    start_server: StartServer, tmp_path: Path
) -> None:
    big = np.zeros(8 * MIB, np.uint8)
    flags = ("--max-registered-bytes", str(9 * MIB), "--max-inflight-bytes", str(9 * MIB))
    address = start_server(*flags).addresses()[0]
    for _ in range(3):
        with Stub(address) as stub, stub.stream() as stream:
            first, *_ = chunks(1, "a", big.tobytes())
            stream.say(registration(1, described("a", big, chunked=True)), first)
            stream.say(begin(2, request("l1_loss", input=X[:3], target=X[:3])))
            assert stream.hear().id == 2
    with connect(address, timeout=PATIENCE) as client:
        eventually(lambda: registers(client, big))
