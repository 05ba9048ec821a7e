"""Many evaluations under way at a time: `Client.map`, and messages that travel together."""

import asyncio
import functools
import math
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from lossd_client import AsyncClient, Client, connect, errors, nn, wire
from lossd_client._gen.lossd.v1 import loss_service_pb2

from lossd.engine import evaluate

from .conftest import StartServer
from .servers import PATIENCE
from .stubs import Answer, Conversation, Stub, begin, cancel, chunks, request, tensor

RNG = np.random.default_rng(21)
ROWS = RNG.standard_normal((500, 6, 10), np.float32)
LABELS = RNG.integers(0, 10, (500, 6))

Asked = loss_service_pb2.EvaluateStreamRequest


def expected(k: int) -> tuple[float, npt.NDArray[Any]]:
    tensors = {"input": ROWS[k], "target": LABELS[k]}
    result = evaluate("cross_entropy", tensors, gradients=["input"])
    return result.loss.item(), result.gradients["input"]


# --- map ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("in_flight", [1, 7, 128, 1000])
def test_map_gives_what_calls_give_in_order(client: Client, in_flight: int) -> None:
    criterion = nn.CrossEntropyLoss(client=client)
    found = list(client.map(criterion.value_and_grad, ROWS, LABELS, in_flight=in_flight))
    assert len(found) == len(ROWS)
    for k, (value, gradient) in enumerate(found):
        assert value == expected(k)[0]
        np.testing.assert_array_equal(gradient, expected(k)[1])


def test_map_of_losses_and_of_partial_functions(client: Client) -> None:
    criterion = nn.CrossEntropyLoss(reduction="sum", client=connect("localhost:1"))
    values = [loss.item() for loss in client.map(criterion, ROWS[:9], LABELS[:9])]
    assert values == [
        criterion.on(client)(x, y).item() for x, y in zip(ROWS[:9], LABELS, strict=False)
    ]
    both = functools.partial(nn.L1Loss().value_and_grad, wrt=("input", "target"))
    (value, (dx, dy)), *rest = client.map(both, [[1.0], [2.0]], [[3.0], [5.0]])
    assert (value, dx.item(), dy.item()) == (2.0, -1.0, 1.0)
    assert rest[0][0] == 3.0


def test_map_ends_with_the_shortest_and_may_be_empty(client: Client) -> None:
    assert len(list(client.map(nn.CrossEntropyLoss(), ROWS, LABELS[:3]))) == 3
    assert list(client.map(nn.CrossEntropyLoss(), [], LABELS)) == []


def test_map_of_torch_tensors_reaches_weights(client: Client) -> None:
    torch = pytest.importorskip("torch")
    model = torch.nn.Linear(10, 4)
    xs, ys = torch.randn(20, 8, 10), torch.randint(0, 4, (20, 8))
    sum(client.map(nn.CrossEntropyLoss(), map(model, xs), ys)).backward()
    found = [p.grad.clone() for p in model.parameters()]
    model.zero_grad()
    sum(torch.nn.CrossEntropyLoss()(model(x), y) for x, y in zip(xs, ys, strict=True)).backward()
    for gradient, parameter in zip(found, model.parameters(), strict=True):
        torch.testing.assert_close(gradient, parameter.grad)


def test_map_takes_inputs_as_it_goes(client: Client) -> None:
    taken = 0

    def endless() -> Iterator[list[float]]:
        nonlocal taken
        while True:
            taken += 1
            yield [float(taken)]

    results = client.map(nn.L1Loss(), endless(), endless(), in_flight=5)
    assert taken == 0
    for _ in range(3):
        assert next(results).item() == 1.0  # the second sequence is one ahead
    assert taken == 2 * 8
    results.close()
    assert nn.L1Loss(client=client)([1.0], [3.0]).item() == 2.0


def test_map_holds_few_large_evaluations(client: Client) -> None:
    """128 of 8 MB would be 1 GB and more."""
    block = np.ones((1000, 1000), np.float32)
    ahead = largest = 0

    def inputs() -> Iterator[npt.NDArray[np.float32]]:
        nonlocal ahead, largest
        for _ in range(40):
            ahead += 1
            largest = max(largest, ahead)
            yield block

    for loss in client.map(nn.MSELoss(), inputs(), (0 * block for _ in range(40))):
        ahead -= 1
        assert loss.item() == 1.0
    assert largest * 2 * block.nbytes <= (64 << 20) + 2 * 2 * block.nbytes


def test_map_raises_what_fails_where_it_stands(client: Client) -> None:
    labels = LABELS[:50].copy()
    labels[20, 3] = 12
    results = client.map(nn.CrossEntropyLoss(), ROWS, labels, in_flight=16)
    for k in range(20):
        assert next(results).item() == expected(k)[0]
    with pytest.raises(errors.LabelError, match=r"target\[3\] = 12 is outside"):
        next(results)
    with pytest.raises(StopIteration):
        next(results)
    assert next(client.map(nn.CrossEntropyLoss(), ROWS, LABELS)).item() == expected(0)[0]


def test_map_raises_what_its_inputs_raise(client: Client) -> None:
    def inputs() -> Iterator[npt.NDArray[Any]]:
        yield from ROWS[:3]
        raise RuntimeError("no more data")

    with pytest.raises(RuntimeError, match="no more data"):
        list(client.map(nn.CrossEntropyLoss(), inputs(), LABELS))
    assert nn.L1Loss(client=client)([1.0], [3.0]).item() == 2.0


def test_map_refuses_what_is_no_loss(client: Client) -> None:
    with pytest.raises(TypeError, match="map takes a loss"):
        next(client.map(lambda x: x, ROWS))
    with pytest.raises(errors.ParameterError, match="in_flight = 0 must be >= 1"):
        next(client.map(nn.L1Loss(), ROWS, ROWS, in_flight=0))


def test_maps_of_many_threads_share_a_client(client: Client) -> None:
    failed: list[BaseException] = []

    def work(start: int) -> None:
        try:
            criterion = nn.CrossEntropyLoss(client=client)
            results = client.map(criterion, ROWS[start::4], LABELS[start::4], in_flight=11)
            for k, loss in enumerate(results):
                assert loss.item() == expected(start + 4 * k)[0]
                if k % 10 == 0:
                    assert criterion(ROWS[k], LABELS[k]).item() == expected(k)[0]
        except BaseException as error:  # noqa: BLE001  told by the test's own thread
            failed.append(error)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
        assert not thread.is_alive()
    assert failed == []


def test_map_with_deadlines(remote_target: str) -> None:
    with connect(remote_target, timeout=PATIENCE) as client:
        values = [loss.item() for loss in client.map(nn.CrossEntropyLoss(), ROWS, LABELS)]
    assert values == [expected(k)[0] for k in range(len(ROWS))]


def test_map_survives_a_restart(start_server: StartServer) -> None:
    server = start_server()
    address = server.addresses()[0]
    with connect(address, retries=60) as client:
        results = client.map(nn.CrossEntropyLoss(), ROWS, LABELS, in_flight=64)
        for k in range(100):
            assert next(results).item() == expected(k)[0]
        server.kill()
        start_server("--listen", address)
        for k, loss in enumerate(results, 100):
            assert loss.item() == expected(k)[0]
        assert k == len(ROWS) - 1


def test_async_map(target: str) -> None:
    async def main() -> None:
        async with AsyncClient(target) as client:
            criterion = nn.CrossEntropyLoss(client=client)
            k = 0
            async for value, gradient in client.map(
                criterion.value_and_grad, ROWS, LABELS, in_flight=32
            ):
                assert value == expected(k)[0]
                np.testing.assert_array_equal(gradient, expected(k)[1])
                k += 1
            assert k == len(ROWS)
            with pytest.raises(errors.ShapeError):
                async for _ in client.map(criterion, ROWS, LABELS[:, :2]):
                    pass
            assert (await criterion(ROWS[0], LABELS[0])).item() == expected(0)[0]

    asyncio.run(main())


# --- together on the wire ----------------------------------------------------------------------


def together(*messages: Asked, id: int = 0) -> Asked:
    return Asked(id=id, together=loss_service_pb2.EvaluateStreamRequests(messages=messages))


def asked(id: int, k: int) -> Asked:
    message = begin(id, request("cross_entropy", ["input"], input=ROWS[k], target=LABELS[k]))
    assert isinstance(message, Asked)
    return message


def all_of(answer: Answer) -> list[Answer]:
    """The messages in one that may be several."""
    one = answer.WhichOneof("message") != "together"
    return [answer] if one else list(answer.together.messages)


def heard(stream: Conversation, count: int) -> list[Answer]:
    found: list[Answer] = []
    while len(found) < count:
        found += all_of(stream.hear())
    return found


def test_what_is_asked_together_is_answered_together(stub: Stub) -> None:
    with stub.stream() as stream:
        stream.say(asked(1, 0))  # compiles
        stream.hear_result(1)
        stream.say(together(*[asked(k + 1, k) for k in range(40)], id=7))
        answers = all_of(stream.hear())
        assert [a.id for a in answers] == list(range(1, 41))
        for k, answer in enumerate(answers):
            loss, gradient = (t.data for t in answer.result.tensors)
            assert np.frombuffer(loss, np.float32).item() == expected(k)[0]
            assert gradient == expected(k)[1].tobytes()
        assert stream.end() == []


def test_one_bad_among_many(stub: Stub) -> None:
    bad = request("cross_entropy", input=ROWS[0], target=LABELS[1] + 10)
    unknown = request("no_such_loss", input=ROWS[0])
    with stub.stream() as stream:
        good = request("cross_entropy", input=ROWS[0], target=LABELS[0])
        for message in (asked(1, 0), begin(1, good)):  # compile
            stream.say(message)
            stream.hear_result(1)
        stream.say(together(asked(1, 0), begin(2, bad), begin(3, unknown), asked(4, 1), cancel(9)))
        answers = heard(stream, 4)
        assert [a.WhichOneof("message") for a in answers] == ["result", "error", "error", "result"]
        assert stream.end() == []


def test_chunks_and_large_evaluations_may_be_among_them(stub: Stub) -> None:
    x = RNG.standard_normal((400, 1000), np.float32)
    labels = RNG.integers(0, 1000, 400)
    message = request("cross_entropy", target=labels)
    message.tensors.append(tensor("input", x, chunked=True))
    with stub.stream() as stream:
        stream.say(together(asked(1, 0), begin(2, message), *chunks(2, "input", x.tobytes())))
        answers = {a.id: a for a in heard(stream, 2)}
    value = np.frombuffer(answers[2].result.tensors[0].data, np.float32).item()
    assert value == evaluate("cross_entropy", {"input": x, "target": labels}).loss.item()


def test_answers_together_are_bounded(stub: Stub) -> None:
    x = np.ones((100, 4000), np.float32)
    message = request("l1_loss", reduction="none", input=x[0], target=0 * x[0])
    with stub.stream() as stream:
        stream.say(together(*[begin(k, message) for k in range(1, 101)]))
        sizes, found = list[int](), 0
        while found < 100:
            answer = stream.hear()
            sizes.append(answer.ByteSize())
            found += len(all_of(answer))
    assert max(sizes) <= wire.TOGETHER + x[0].nbytes + 1000


def test_nothing_and_nests_of_it(stub: Stub) -> None:
    with stub.stream() as stream:
        stream.say(together(), together(together(asked(1, 0), id=5)), asked(2, 0))
        refused, answer = heard(stream, 2)
        assert refused.id == 5
        assert "neither an evaluation" in refused.error.message
        assert answer.id == 2


@pytest.mark.parametrize("end", [1, 7, 12, 300, -1])
def test_broken_off(stub: Stub, end: int) -> None:
    whole = together(asked(1, 0), asked(2, 1)).SerializeToString()
    with stub.stream() as stream:
        stream.say(whole[:end], asked(3, 2))
        answers = heard(stream, 2)
        assert "ends early" in answers[0].error.message or "protobuf" in answers[0].error.message
        assert answers[-1].id == 3
        assert answers[-1].WhichOneof("message") == "result"


@pytest.mark.parametrize("count", [1, 2, 300])
def test_together_is_protobufs(count: int) -> None:
    messages = [asked(k + 1, k) for k in range(count)]
    whole = wire.write_together([m.SerializeToString() for m in messages])
    parsed = Asked.FromString(whole)
    assert parsed == (together(*messages) if count > 1 else messages[0])
    stock = together(*messages, id=3).SerializeToString()
    for found in (whole, stock):
        parts = wire.read_together(found)
        assert [Asked.FromString(bytes(part)) for part in parts] == messages


def test_a_client_sends_small_ones_together(server: Any, remote_target: str) -> None:
    """What is asked while gRPC takes a message goes out as one: here its first takes long."""
    asked_for, sent = threading.Event(), list[int]()
    write = wire.write_together

    def slow(messages: list[bytes]) -> bytes:
        assert asked_for.wait(30)
        sent.append(len(messages))
        return write(messages)

    def rows() -> Iterator[npt.NDArray[Any]]:
        for k, row in enumerate(ROWS):
            if k == 20:  # 20 are under way, fewer than map allows
                asked_for.set()
            yield row

    with connect(remote_target) as client, pytest.MonkeyPatch.context() as patch:
        patch.setattr(wire, "write_together", slow)
        total = math.fsum(v.item() for v in client.map(nn.CrossEntropyLoss(), rows(), LABELS))
    assert total == math.fsum(expected(k)[0] for k in range(len(ROWS)))
    assert sum(sent) == len(ROWS)
    assert max(sent[:2]) >= 10
