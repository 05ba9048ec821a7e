"""lossd.v1 is plain protobuf over gRPC: stock stubs work, and lossd's codec agrees with them."""

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from lossd_client import wire
from lossd_client._gen.lossd.v1 import loss_service_pb2, tensor_pb2
from lossd_client.dtypes import named, narrowed
from lossd_client.wire import Announcement, Chunk, Request, Response

from lossd.engine import evaluate
from lossd.spec import registry

from . import stubs
from .stubs import Stub, begin, cancel, chunk, chunks, request, tensor

RNG = np.random.default_rng(5)
X = RNG.normal(size=(4, 3)).astype(np.float32)
LABELS = np.array([2, 0, 1, 1])


# --- stock stubs against the server ------------------------------------------------------------


def test_list_losses_describes_every_loss(stub: Stub) -> None:
    catalog = stub.list_losses()
    assert catalog.server_version.count(".") == 2
    assert [loss.name for loss in catalog.losses] == sorted(registry)
    for loss in catalog.losses:
        declared = registry[loss.name]
        assert loss.class_name == declared.__name__
        assert loss.description
        assert loss.formula
        assert loss.reference
        assert list(loss.reductions) == list(declared.reductions)
        assert [t.name for t in loss.tensors] == list(declared.tensors)
        assert [p.name for p in loss.parameters] == list(declared.params)
        assert all(t.description and t.dtypes for t in loss.tensors)


def test_list_losses_tells_defaults_domains_and_bounds(stub: Stub) -> None:
    losses = {loss.name: loss for loss in stub.list_losses().losses}
    smoothing = {p.name: p for p in losses["cross_entropy"].parameters}["label_smoothing"]
    assert smoothing.default_value == tensor_pb2.ParameterValue(number=0.0)
    assert smoothing.domain == ">= 0 and <= 1"
    ignored = {p.name: p for p in losses["cross_entropy"].parameters}["ignore_index"]
    assert ignored.default_value == tensor_pb2.ParameterValue(integer=-100)
    swap = {p.name: p for p in losses["triplet_margin_loss"].parameters}["swap"]
    assert swap.default_value == tensor_pb2.ParameterValue(boolean=False)
    given = {t.name: t for t in losses["binary_cross_entropy"].tensors}
    assert (given["input"].minimum, given["input"].maximum) == (0.0, 1.0)
    assert given["weight"].optional
    assert not given["input"].optional
    assert given["input"].differentiable
    labels = {t.name: t for t in losses["nll_loss"].tensors}["target"]
    assert not labels.HasField("minimum")
    assert tensor_pb2.DTYPE_INT64 in labels.dtypes
    assert tensor_pb2.DTYPE_FLOAT32 not in labels.dtypes


def test_unary(stub: Stub) -> None:
    response = stub.evaluate(request("cross_entropy", ["input"], input=X, target=LABELS))
    expected = evaluate("cross_entropy", {"input": X, "target": LABELS}, gradients=["input"])
    assert [t.name for t in response.tensors] == ["loss", "grad.input"]
    np.testing.assert_array_equal(stubs.array(response.tensors[0]), expected.loss)
    np.testing.assert_array_equal(stubs.array(response.tensors[1]), expected.gradients["input"])


def test_unary_parameters_of_every_kind(stub: Stub) -> None:
    message = request("cross_entropy", input=X, target=LABELS)
    message.parameters["label_smoothing"].number = 0.25
    message.parameters["ignore_index"].integer = 1
    tensors = {"input": X, "target": LABELS}
    parameters = {"label_smoothing": 0.25, "ignore_index": 1}
    expected = evaluate("cross_entropy", tensors, parameters=parameters)
    assert stubs.array(stub.evaluate(message).tensors[0]) == expected.loss

    triplet = {n: X + k for k, n in enumerate(("anchor", "positive", "negative"))}
    message = request("triplet_margin_loss", **triplet)
    message.parameters["swap"].boolean = True
    expected = evaluate("triplet_margin_loss", triplet, parameters={"swap": True})
    assert stubs.array(stub.evaluate(message).tensors[0]) == expected.loss


def test_unary_warning(stub: Stub) -> None:
    response = stub.evaluate(request("mse_loss", input=X, target=X[:1]))
    assert "(4, 3)" in response.warning
    assert "(1, 3)" in response.warning


def test_unary_multiplies_by_the_upstream_gradient(stub: Stub) -> None:
    upstream = np.arange(4, dtype=np.float32)
    message = request(
        "cross_entropy", ["input"], "none", input=X, target=LABELS, grad_output=upstream
    )
    expected = evaluate(
        "cross_entropy",
        {"input": X, "target": LABELS},
        reduction="none",
        gradients=["input"],
        grad_output=upstream,
    )
    loss, gradient = map(stubs.array, stub.evaluate(message).tensors)
    np.testing.assert_array_equal(loss, expected.loss)
    np.testing.assert_array_equal(gradient, expected.gradients["input"])


def test_stream_with_evaluations_in_flight_and_interleaved_chunks(stub: Stub) -> None:
    sizes = {7: 100_000, 8: 250_000, 9: 300_001}
    drawn = {id: RNG.normal(size=(2, n)).astype(np.float32) for id, n in sizes.items()}
    with stub.stream() as stream:
        for id, (x, y) in drawn.items():
            announced = [tensor("input", x, chunked=True), tensor("target", y, chunked=True)]
            message = request("mse_loss", ["input"], "sum")
            message.tensors.extend(announced)
            stream.say(begin(id, message))
        targets = [list(chunks(id, "target", y.tobytes(), 99_996)) for id, (_, y) in drawn.items()]
        inputs = [list(chunks(id, "input", x.tobytes(), 99_996)) for id, (x, _) in drawn.items()]
        for several in (targets, inputs):
            while any(several):
                stream.say(*[pieces.pop(0) for pieces in several if pieces])
        results: dict[int, dict[str, bytearray]] = {id: {} for id in drawn}
        wanted = {id: {"loss": 4, "grad.input": x.nbytes} for id, (x, _) in drawn.items()}
        while {id: {n: len(d) for n, d in r.items()} for id, r in results.items()} != wanted:
            answer = stream.hear()
            if answer.WhichOneof("message") == "chunk":
                assert answer.chunk.offset == len(results[answer.id][answer.chunk.name])
                results[answer.id][answer.chunk.name] += answer.chunk.data
            else:
                results[answer.id] = {t.name: bytearray(t.data) for t in answer.result.tensors}
        assert stream.end() == []
    for id, (x, y) in drawn.items():
        expected = evaluate(
            "mse_loss", {"input": x, "target": y}, reduction="sum", gradients=["input"]
        )
        assert results[id]["loss"] == expected.loss.tobytes()
        assert results[id]["grad.input"] == expected.gradients["input"].tobytes()


def test_a_large_answer_does_not_hold_up_a_small_one(stub: Stub) -> None:
    x = RNG.normal(size=1 << 20).astype(np.float32)
    with stub.stream() as stream:
        message = request("l1_loss", ["input"])
        message.tensors.extend(
            [tensor("input", x, chunked=True), tensor("target", x, chunked=True)]
        )
        stream.say(begin(1, message))
        stream.say(*chunks(1, "target", x.tobytes()), *chunks(1, "input", x.tobytes()))
        stream.say(begin(2, request("l1_loss", input=X, target=X)))
        order = [(a.id, a.WhichOneof("message")) for a in iter_until(stream, chunks_of=1, count=4)]
    assert (2, "result") in order


def iter_until(stream: stubs.Conversation, *, chunks_of: int, count: int) -> list[stubs.Answer]:
    """Answers until `count` chunks of one evaluation have come, and any other result."""
    heard: list[stubs.Answer] = []
    while sum(a.id == chunks_of and a.HasField("chunk") for a in heard) < count or not any(
        a.id != chunks_of for a in heard
    ):
        heard.append(stream.hear())
    return heard


def test_tensors_may_be_chunked_whatever_their_size(stub: Stub) -> None:
    with stub.stream() as stream:
        message = request("cross_entropy", ["input"])
        message.tensors.extend(
            [tensor("input", X, chunked=True), tensor("target", LABELS, chunked=True)]
        )
        stream.say(begin(3, message))
        stream.say(*chunks(3, "target", LABELS.tobytes(), 8), *chunks(3, "input", X.tobytes(), 1))
        result = stream.hear_result(3)
    expected = evaluate("cross_entropy", {"input": X, "target": LABELS}, gradients=["input"])
    np.testing.assert_array_equal(result["grad.input"], expected.gradients["input"])


def test_empty_tensors_may_be_chunked(stub: Stub) -> None:
    nothing = np.zeros((0, 3), np.float32)
    with stub.stream() as stream:
        message = request("l1_loss", reduction="sum", target=nothing)
        message.tensors.append(tensor("input", nothing, chunked=True))
        stream.say(begin(3, message))
        assert stream.hear_result(3)["loss"] == 0


def test_cancelled_evaluation_is_not_answered_and_its_id_is_free_again(stub: Stub) -> None:
    with stub.stream() as stream:
        message = request("l1_loss", target=X)
        message.tensors.append(tensor("input", X, chunked=True))
        stream.say(begin(5, message), chunk(5, "input", 0, X.tobytes()[:8]), cancel(5))
        stream.say(begin(5, request("mse_loss", input=X, target=0 * X)))
        assert (
            stream.hear_result(5)["loss"]
            == evaluate("mse_loss", {"input": X, "target": 0 * X}).loss
        )
        assert stream.end() == []


FLOATS = ("float16", "bfloat16", "float32", "float64")


@pytest.mark.parametrize("name", sorted(set(stubs.TYPES) - {"bool", *FLOATS}))
def test_labels_of_every_integer_type(stub: Stub, name: str) -> None:
    response = stub.evaluate(request("cross_entropy", input=X, target=LABELS.astype(name)))
    expected = evaluate("cross_entropy", {"input": X, "target": LABELS})
    assert stubs.array(response.tensors[0]) == expected.loss


@pytest.mark.parametrize("name", ["float32", "float64"])
def test_answers_have_the_type_of_the_input(stub: Stub, name: str) -> None:
    message = request("mse_loss", ["input"], input=X.astype(name), target=X.astype(name))
    assert {t.dtype for t in stub.evaluate(message).tensors} == {stubs.TYPES[name]}


# --- lossd's codec and protobuf's --------------------------------------------------------------

SHAPES = [(), (1,), (0,), (3,), (2, 3), (0, 4), (1, 1, 1, 1, 5), (300, 7)]


def sample(shape: tuple[int, ...], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    return narrowed((np.arange(math.prod(shape)) % 100.0).reshape(shape), np.dtype(dtype))


def assert_same(found: Any, expected: npt.NDArray[Any]) -> None:
    assert isinstance(found, np.ndarray)
    assert found.dtype == expected.dtype
    assert found.shape == expected.shape
    assert found.tobytes() == expected.tobytes()


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("dtype", wire.DTYPES.values(), ids=named)
def test_request_is_protobufs(dtype: np.dtype[Any], shape: tuple[int, ...]) -> None:
    given = Request(
        "some_loss",
        {"input": sample(shape, dtype), "target": sample(shape, dtype)},
        {"a": 0.5, "b": -3, "c": True},
        "sum",
        ["input", "target"],
    )
    message = loss_service_pb2.EvaluateRequest.FromString(wire.write_request(given))
    assert message.loss == "some_loss"
    assert message.reduction == "sum"
    assert list(message.gradients) == ["input", "target"]
    assert message.parameters["a"] == tensor_pb2.ParameterValue(number=0.5)
    assert message.parameters["b"] == tensor_pb2.ParameterValue(integer=-3)
    assert message.parameters["c"] == tensor_pb2.ParameterValue(boolean=True)
    assert [t.name for t in message.tensors] == ["input", "target"]
    for found in message.tensors:
        assert_same(stubs.array(found), sample(shape, dtype))

    read = wire.read_request(memoryview(message.SerializeToString()))
    assert (read.loss, read.reduction, list(read.gradients)) == (
        "some_loss",
        "sum",
        given.gradients,
    )
    assert read.parameters == given.parameters
    assert {n: type(v) for n, v in read.parameters.items()} == {"a": float, "b": int, "c": bool}
    for name, expected in given.tensors.items():
        assert isinstance(expected, np.ndarray)
        assert_same(read.tensors[name], expected)


def test_dtype_table_is_the_contracts() -> None:
    numbers = {n: v for n, v in tensor_pb2.DType.items() if n != "DTYPE_UNSPECIFIED"}
    for name, number in numbers.items():
        assert named(wire.DTYPES[number]) == name.removeprefix("DTYPE_").lower()
    assert set(wire.DTYPES) == set(numbers.values())


def test_response_is_protobufs() -> None:
    arrays = {"loss": np.float32(2.5).reshape(()), "grad.input": sample((3, 5), np.float64)}
    announced = {**arrays, "grad.target": Announcement(np.dtype(np.float32), (70, 80))}
    raw = wire.write_response(Response(announced, "take care"))
    message = loss_service_pb2.EvaluateResponse.FromString(raw)
    assert message.warning == "take care"
    assert [t.name for t in message.tensors] == list(announced)
    assert_same(stubs.array(message.tensors[0]), arrays["loss"])
    assert_same(stubs.array(message.tensors[1]), arrays["grad.input"])
    assert message.tensors[2].chunked
    assert list(message.tensors[2].shape) == [70, 80]
    for data in (raw, message.SerializeToString()):
        read = wire.read_response(memoryview(data))
        assert read.warning == "take care"
        assert read.tensors["grad.target"] == announced["grad.target"]
        assert_same(read.tensors["grad.input"], arrays["grad.input"])


@pytest.mark.parametrize("id", [0, 1, 127, 128, 1 << 40, (1 << 64) - 1])
def test_stream_requests_are_protobufs(id: int) -> None:
    def through_protobuf(message: Any) -> Any:
        parsed = loss_service_pb2.EvaluateStreamRequest.FromString(wire.write_stream(id, message))
        assert parsed.id == id
        return wire.read_stream_request(parsed.SerializeToString())

    found, request = through_protobuf(Request("l1_loss", {"input": X}))
    assert (found, request.loss) == (id, "l1_loss")
    assert_same(request.tensors["input"], X)
    found, piece = through_protobuf(Chunk("input", 1 << 33, memoryview(b"12345")))
    assert (found, piece) == (id, Chunk("input", 1 << 33, memoryview(b"12345")))
    found, given_up = through_protobuf(wire.Cancel())
    assert found == id
    assert isinstance(given_up, wire.Cancel)


@pytest.mark.parametrize("id", [0, 1, 127, 128, 1 << 40, (1 << 64) - 1])
def test_stream_responses_are_protobufs(id: int) -> None:
    def through_protobuf(message: Any) -> Any:
        parsed = loss_service_pb2.EvaluateStreamResponse.FromString(wire.write_stream(id, message))
        assert parsed.id == id
        return wire.read_stream_response(parsed.SerializeToString())

    found, response = through_protobuf(Response({"loss": X}, "w"))
    assert (found, response.warning) == (id, "w")
    assert_same(response.tensors["loss"], X)
    found, response = through_protobuf(Response({"loss": X}, "w", 0.25))
    assert (found, response.warning, response.seconds) == (id, "w", 0.25)
    assert_same(response.tensors["loss"], X)
    found, piece = through_protobuf(Chunk("grad.input", 3, memoryview(b"")))
    assert (found, piece) == (id, Chunk("grad.input", 3, memoryview(b"")))
    found, piece = through_protobuf(Chunk("loss", 0, memoryview(b"1234"), 1.5))
    assert (found, piece) == (id, Chunk("loss", 0, memoryview(b"1234"), 1.5))
