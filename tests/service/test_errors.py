"""Bad input gets a clear error, and the server answers the next call correctly."""

import contextlib
import re
import signal
import socket
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from google.rpc import code_pb2
from lossd_client import Client, connect, errors, nn, wire
from lossd_client._gen.lossd.v1 import loss_service_pb2, tensor_pb2

from lossd.engine import evaluate
from lossd.spec import registry

from . import stubs
from .conftest import StartServer, answers, still_correct
from .servers import PATIENCE, Server, environment
from .stubs import Stub, begin, chunk, chunks, field_of, reason_of, request, tensor

X = np.float32([[0.1, 0.2, 0.7], [0.6, 0.3, 0.1]])
LABELS = np.array([2, 0])


@dataclass(frozen=True)
class Bad:
    """An evaluation that is refused, and how."""

    id: str
    error: type[errors.LossdError]
    python: type[Exception]
    at_fault: str
    says: list[str]
    loss: str
    tensors: dict[str, Any]
    parameters: dict[str, Any] = field(default_factory=dict)
    reduction: str = "mean"
    gradients: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return self.id

    def send(self, client: Client) -> Any:
        return client.evaluate(
            self.loss,
            self.tensors,
            parameters=self.parameters,
            reduction=self.reduction,
            gradients=self.gradients,
        )

    def message(self) -> loss_service_pb2.EvaluateRequest:
        message = request(self.loss, self.gradients, self.reduction, **self.tensors)
        for name, value in self.parameters.items():
            kind = {float: "number", int: "integer", bool: "boolean"}[type(value)]
            setattr(message.parameters[name], kind, value)
        return message

    def check(self, status: Any) -> None:
        """A status says what it should, to people and to programs."""
        assert status.code == self.error.code
        assert reason_of(status) == self.error.reason
        assert field_of(status) == self.at_fault
        for words in self.says:
            assert words in status.message


def regression(**changed: Any) -> dict[str, Any]:
    return {"input": X, "target": X, **changed}


def classes(**changed: Any) -> dict[str, Any]:
    return {"input": X, "target": LABELS, **changed}


BAD = [
    Bad("unknown loss", errors.UnknownLossError, ValueError, "loss",
        ["'crossentropy'", "did you mean 'cross_entropy'", ", tversky_loss"], "crossentropy",
        regression()),
    Bad("no loss", errors.UnknownLossError, ValueError, "loss", ["''", ", tversky_loss"], "",
        regression()),
    Bad("unknown parameter", errors.ParameterError, ValueError, "gamma",
        ["smooth_l1_loss", "'gamma'", "beta", "reduction"],
        "smooth_l1_loss", regression(), {"gamma": 1.0}),
    Bad("beta", errors.ParameterError, ValueError, "beta",
        ["beta = -0.5", ">= 0"], "smooth_l1_loss", regression(), {"beta": -0.5}),
    Bad("beta nan", errors.ParameterError, ValueError, "beta",
        ["beta = nan", ">= 0"], "smooth_l1_loss", regression(), {"beta": float("nan")}),
    Bad("delta", errors.ParameterError, ValueError, "delta",
        ["delta = 0.0", "> 0"], "huber_loss", regression(), {"delta": 0.0}),
    Bad("label smoothing", errors.ParameterError, ValueError, "label_smoothing",
        ["label_smoothing = 1.5", ">= 0 and <= 1"],
        "cross_entropy", classes(), {"label_smoothing": 1.5}),
    Bad("margin", errors.ParameterError, ValueError, "margin",
        ["margin = 0.0", "> 0"], "triplet_margin_loss",
        {"anchor": X, "positive": X, "negative": X}, {"margin": 0.0}),
    Bad("order of a norm", errors.ParameterError, ValueError, "p",
        ["triplet_margin_loss", "p = nan"], "triplet_margin_loss",
        {"anchor": X, "positive": X, "negative": X}, {"p": float("nan")}),
    Bad("power of a margin", errors.ParameterError, ValueError, "p",
        ["p = 3", "must be one of 1, 2"], "multi_margin_loss", classes(), {"p": 3}),
    Bad("variance", errors.DomainError, ValueError, "var",
        ["var[0, 1] = -0.5 is outside [0, inf]"], "gaussian_nll_loss",
        regression(var=np.float32([[1, -0.5, 1], [1, 1, 1]]))),
    Bad("lengths of sequences", errors.ShapeError, ValueError, "input_lengths",
        ["input_lengths[1] = 9 is outside [0, 4]"], "ctc_loss",
        {"log_probs": np.zeros((4, 2, 3), np.float32), "targets": np.ones((2, 2), np.int64),
         "input_lengths": np.array([4, 9]), "target_lengths": np.array([1, 2])}),
    Bad("labels that are the blank", errors.LabelError, IndexError, "targets",
        ["targets[1, 0] = 0", "blank"], "ctc_loss",
        {"log_probs": np.zeros((4, 2, 3), np.float32), "targets": np.array([[1, 1], [0, 1]]),
         "input_lengths": np.array([4, 4]), "target_lengths": np.array([1, 2])}),
    Bad("boxes", errors.DomainError, ValueError, "boxes1",
        ["boxes1[1]", "x2", "x1"], "generalized_box_iou_loss",
        {"boxes1": np.float32([[0, 0, 1, 1], [2, 0, 1, 1]]),
         "boxes2": np.float32([[0, 0, 1, 1], [0, 0, 1, 1]])}),
    Bad("what the mean divides by", errors.ParameterError, ValueError, "normalizer",
        ["normalizer = 0.0", "> 0"], "huber_loss", regression(), {"normalizer": 0.0}),
    Bad("kind of parameter", errors.DTypeError, TypeError, "ignore_index",
        ["ignore_index = 0.5", "int", "float"], "cross_entropy", classes(), {"ignore_index": 0.5}),
    Bad("truth of parameter", errors.DTypeError, TypeError, "swap",
        ["swap = 0.5", "bool"], "triplet_margin_loss",
        {"anchor": X, "positive": X, "negative": X}, {"swap": 0.5}),
    Bad("reduction", errors.ParameterError, ValueError, "reduction",
        ["'average'", "none, mean, sum"], "l1_loss", regression(), {}, "average"),
    Bad("reduction of another", errors.ParameterError, ValueError, "reduction",
        ["'batchmean'", "none, mean, sum"], "l1_loss", regression(), {}, "batchmean"),
    Bad("gradient of labels", errors.ParameterError, ValueError, "gradients",
        ["'target'", "input"], "cross_entropy", classes(), {}, "mean", ["target"]),
    Bad("gradient of nothing", errors.ParameterError, ValueError, "gradients",
        ["'inputs'", "input, target"], "l1_loss", regression(), {}, "mean", ["inputs"]),
    Bad("missing tensor", errors.ParameterError, ValueError, "target",
        ["'target'", "missing"], "l1_loss", {"input": X}),
    Bad("unknown tensor", errors.ParameterError, ValueError, "wait",
        ["'wait'", "input, target, weight"], "cross_entropy", classes(wait=np.ones(3))),
    Bad("shapes", errors.ShapeError, ValueError, "target",
        ["input (2, 3)", "target (4,)"], "mse_loss", regression(target=np.zeros(4, np.float32))),
    Bad("shapes that differ", errors.ShapeError, ValueError, "target",
        ["input (2, 3)", "target (1, 3)"], "binary_cross_entropy", regression(target=X[:1])),
    Bad("shape of labels", errors.ShapeError, ValueError, "target",
        ["target (3,)", "input (2, 3)", "(2,)"], "cross_entropy",
        classes(target=np.array([0, 1, 2]))),
    Bad("shape of probabilities", errors.ShapeError, ValueError, "target",
        ["target (2,)", "input (2, 3)"], "cross_entropy", classes(target=X[:, 0])),
    Bad("rank", errors.ShapeError, ValueError, "input",
        ["input ()", "(N, C)"], "cross_entropy", classes(input=np.float32(1))),
    Bad("shape of class weights", errors.ShapeError, ValueError, "weight",
        ["weight (2,)", "(3,)", "input (2, 3)"], "cross_entropy",
        classes(weight=np.ones(2, np.float32))),
    Bad("shape of weight", errors.ShapeError, ValueError, "weight",
        ["weight (4,)", "input (2, 3)"], "binary_cross_entropy",
        regression(weight=np.ones(4, np.float32))),
    Bad("rank of vectors", errors.ShapeError, ValueError, "input1",
        ["input1 (2, 3, 1)"], "cosine_embedding_loss",
        {"input1": X[..., None], "input2": X[..., None], "target": LABELS}),
    Bad("label", errors.LabelError, IndexError, "target",
        ["target[1] = 7", "[0, 3)"], "cross_entropy", classes(target=np.array([2, 7]))),
    Bad("negative label", errors.LabelError, IndexError, "target",
        ["target[0] = -1", "[0, 3)"], "nll_loss", classes(target=np.array([-1, 0]))),
    Bad("small label type", errors.LabelError, IndexError, "target",
        ["target[0] = 3", "[0, 3)"], "nll_loss", classes(target=np.array([3, 0], np.uint8))),
    Bad("huge label", errors.LabelError, IndexError, "target",
        [f"target[1] = {2**64 - 1}", "[0, 3)"], "nll_loss",
        classes(target=np.array([0, 2**64 - 1], np.uint64))),
    Bad("label in space", errors.LabelError, IndexError, "target",
        ["target[1, 0, 2] = 5", "[0, 3)"], "cross_entropy",
        {"input": np.zeros((2, 3, 1, 4), np.float32),
         "target": np.array([0, 1, 2, 0, 1, 2, 5, 0]).reshape(2, 1, 4)}),
    Bad("integer input", errors.DTypeError, TypeError, "input",
        ["input", "int64", "float32"], "huber_loss", regression(input=np.ones((2, 3), np.int64))),
    Bad("truth as labels", errors.DTypeError, TypeError, "target",
        ["target", "bool", "integer"], "nll_loss", classes(target=LABELS > 0)),
    Bad("float labels", errors.DTypeError, TypeError, "target",
        ["target", "float32", "integer"], "nll_loss", classes(target=LABELS.astype(np.float32))),
    Bad("no floats", errors.DTypeError, TypeError, "input",
        ["input", "bool", "float16", "float32"], "mse_loss",
        regression(input=X > 0, target=X > 0)),
    Bad("probability", errors.DomainError, ValueError, "input",
        ["input[1, 2] = 1.5", "[0, 1]"], "binary_cross_entropy",
        regression(input=np.float32([[0, 1, 0], [0, 1, 1.5]]))),
    Bad("probability nan", errors.DomainError, ValueError, "input",
        ["input[0, 1] = nan", "[0, 1]"], "binary_cross_entropy",
        regression(input=np.float32([[0, np.nan, 0], [0, 1, 0]]))),
    Bad("target probability", errors.DomainError, ValueError, "target",
        ["target[0, 0] = -0.25", "[0, 1]"], "binary_cross_entropy", regression(target=X - 0.35)),
    Bad("upstream", errors.ShapeError, ValueError, "grad_output",
        ["grad_output (3,)", "(2, 3)"], "l1_loss",
        regression(grad_output=np.ones(3, np.float32)), {}, "none", ["input"]),
    Bad("upstream of a number", errors.ShapeError, ValueError, "grad_output",
        ["grad_output (3,)", "()"], "l1_loss",
        regression(grad_output=np.ones(3, np.float32)), {}, "mean", ["input"]),
]  # fmt: skip


@pytest.mark.parametrize("bad", BAD, ids=str)
def test_through_the_client(client: Client, bad: Bad) -> None:
    with pytest.raises(bad.error) as caught:
        bad.send(client)
    assert isinstance(caught.value, bad.python)
    assert caught.value.field == bad.at_fault
    for words in bad.says:
        assert words in str(caught.value)
    still_correct(client)


@pytest.mark.parametrize("bad", BAD, ids=str)
def test_unary(stub: Stub, server: Server, bad: Bad) -> None:
    bad.check(stub.refused(bad.message()))
    answers(server.addresses()[0])


@pytest.mark.parametrize("bad", BAD, ids=str)
def test_in_a_stream_that_lives_on(stub: Stub, bad: Bad) -> None:
    with stub.stream() as stream:
        stream.say(begin(1, bad.message()))
        bad.check(stream.hear_error(1))
        stream.say(begin(2, request("l1_loss", input=X, target=X)))
        assert stream.hear_result(2)["loss"] == 0
        assert stream.end() == []


OF_THE_CALLER = (
    errors.ShapeError, errors.DTypeError, errors.DomainError, errors.LabelError,
    errors.ParameterError,
)  # fmt: skip


def wrong(given: Any) -> Iterator[Any]:
    """Tensors that may not fit in place of one that does."""
    array = np.asarray(given)
    yield array.reshape(-1)[:0]
    yield np.zeros((2,) * 7, array.dtype)
    yield np.concatenate([array.reshape(-1)] * 3)
    yield array[None]
    yield np.full(array.shape, -7).astype(array.dtype)
    yield array.astype(np.int8 if array.dtype.kind == "f" else np.float32)
    if array.dtype.kind == "f":
        yield np.full(array.shape, np.nan, array.dtype)


@pytest.mark.parametrize("loss", sorted(registry))
def test_no_tensor_is_a_fault_of_ours(server: Server, socket_path: Path, loss: str) -> None:
    """Each of each loss is computed, or refused with a reason; the next call is right."""
    good, refused = registry[loss].smallest(), list[str]()
    expected = evaluate(loss, good)
    with connect(f"unix:{socket_path}", timeout=PATIENCE) as client, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of shapes that PyTorch warns of, too
        for name, array in good.items():
            without = {n: x for n, x in good.items() if n != name}
            for given in [without, *({**good, name: other} for other in wrong(array))]:
                try:
                    client.evaluate(loss, given)
                except OF_THE_CALLER as error:
                    refused.append(str(error))
        assert refused
        assert all(message.startswith(f"{loss}") for message in refused), refused
        again = client.evaluate(loss, good).tensors["loss"]
    np.testing.assert_array_equal(again, expected.loss)
    assert "Traceback" not in server.text


def test_labels_in_a_large_tensor(client: Client) -> None:
    x = np.zeros((200_000, 3), np.float32)
    target = np.zeros(200_000, np.int64)
    target[123_456] = 3
    with pytest.raises(errors.LabelError, match=r"target\[123456\] = 3 is outside \[0, 3\)"):
        nn.CrossEntropyLoss(client=client)(x, target)
    still_correct(client)


@pytest.mark.parametrize(
    "array",
    [
        np.array([[1.0, None], [2.0, "x"]], object),
        np.array(["a", "b"]),
        np.array([1 + 2j]),
        np.array(["2020-01-01"], "M8[D]"),
    ],
    ids=["object", "text", "complex", "date"],
)
@pytest.mark.parametrize("name", ["input", "target"])
def test_types_that_are_no_numbers(client: Client, name: str, array: Any) -> None:
    tensors = {"input": np.zeros(array.shape, np.float32), "target": np.zeros(array.shape)}
    with pytest.raises(
        errors.DTypeError, match=rf"{name} .*{re.escape(str(array.dtype))}"
    ) as caught:
        client.evaluate("mse_loss", {**tensors, name: array})
    assert caught.value.field == name
    still_correct(client)


@pytest.mark.parametrize("value", ["0.5", None, [1.0], 1j])
def test_parameters_that_are_no_numbers(client: Client, value: Any) -> None:
    with pytest.raises(errors.DTypeError, match="beta") as caught:
        nn.SmoothL1Loss(beta=value, client=client)(X, X)
    assert caught.value.field == "beta"
    still_correct(client)


def test_parameter_that_fits_no_integer(client: Client) -> None:
    with pytest.raises(errors.ParameterError, match=str(2**70)):
        nn.CrossEntropyLoss(ignore_index=2**70, client=client)(X, LABELS)
    still_correct(client)


def test_ragged_lists(client: Client) -> None:
    with pytest.raises(ValueError, match=r"inhomogeneous|shape"):
        nn.MSELoss(client=client)([[1.0, 2.0], [3.0]], [1.0])
    still_correct(client)


def test_names_that_are_no_text(client: Client) -> None:
    with pytest.raises((ValueError, TypeError)):
        client.evaluate("l1_loss\ud800", {"input": X, "target": X})
    still_correct(client)


def test_request_that_cannot_be_written_fails_alone(remote: Client) -> None:
    """Threads share a stream: what one of them gets wrong is no other's error."""
    x = np.ones(4 << 20, np.float32)
    with ThreadPoolExecutor(1) as threads:
        for _ in range(5):
            other = threads.submit(nn.L1Loss(client=remote).value_and_grad, x, x)
            with pytest.raises((ValueError, TypeError)):
                remote.evaluate("l1_loss\ud800", {"input": X, "target": X})
            assert other.result(PATIENCE)[0] == 0


def arrays_that_work() -> Iterator[Any]:
    wide = np.arange(24, dtype=np.float32).reshape(4, 6)
    read_only = wide.copy()
    read_only.flags.writeable = False
    unaligned = np.frombuffer(b"\0" + wide.tobytes(), np.uint8)[1:].view(np.float32).reshape(4, 6)
    yield pytest.param(wide.T, id="transposed")
    yield pytest.param(wide[::2, ::-3], id="strided")
    yield pytest.param(np.asfortranarray(wide), id="fortran")
    yield pytest.param(np.broadcast_to(wide[0], (5, 6)), id="broadcast")
    yield pytest.param(read_only, id="read-only")
    yield pytest.param(unaligned, id="unaligned")
    yield pytest.param(np.float32(3).reshape(()), id="0-d")
    yield pytest.param(np.zeros((0,), np.float32), id="empty")
    yield pytest.param(np.zeros((3, 0, 2), np.float32), id="empty dimension")
    yield pytest.param(np.arange(600_000, dtype=np.float32).reshape(600, 1000).T, id="large")


@pytest.mark.parametrize("array", list(arrays_that_work()))
@pytest.mark.parametrize("reduction", ["sum", "none"])
def test_arrays_of_every_layout_work(client: Client, array: Any, reduction: str) -> None:
    before = array.tobytes()
    criterion = nn.L1Loss(reduction=reduction, client=client)
    value, gradient = criterion.value_and_grad(array, np.zeros(array.shape, np.float32))
    expected = np.abs(array)
    if reduction == "sum":
        assert value == pytest.approx(float(expected.sum(dtype=np.float64)), rel=1e-6)
    else:
        np.testing.assert_array_equal(value, expected)
    np.testing.assert_array_equal(gradient, np.sign(array))
    assert array.tobytes() == before


# --- messages that are none --------------------------------------------------------------------


def misfits() -> Iterator[Any]:
    """Tensors whose bytes contradict what they say."""
    good = {"name": "input", "dtype": tensor_pb2.DTYPE_FLOAT32, "shape": [2, 3], "data": bytes(24)}
    for id, changed, words in (
        ("short", {"data": bytes(23)}, ["needs 24 bytes", "has 23"]),
        ("long", {"data": bytes(25)}, ["needs 24 bytes", "has 25"]),
        ("none", {"data": b""}, ["needs 24 bytes", "has 0"]),
        ("negative", {"shape": [-2, -3]}, ["(-2, -3)"]),
        ("deep", {"shape": [1] * 33, "data": bytes(4)}, ["shape"]),
        ("huge", {"shape": [1 << 40, 1 << 40]}, ["too large"]),
        ("huge and empty", {"shape": [0, 1 << 62], "data": b""}, ["shape"]),
    ):
        yield pytest.param(good | changed, errors.ProtocolError, words, id=id)
    for number in (0, 99):  # unspecified, unknown
        yield pytest.param(good | {"dtype": number}, errors.DTypeError, [f"type {number}"],
                           id=f"type {number}")  # fmt: skip


@pytest.mark.parametrize(("fields", "error", "words"), list(misfits()))
@pytest.mark.parametrize("way", ["unary", "stream"])
def test_bytes_that_do_not_match_their_shape(
    stub: Stub, server: Server, way: str, fields: Any, error: Any, words: list[str]
) -> None:
    message = request("mse_loss", target=X)
    message.tensors.append(tensor_pb2.Tensor(**fields))
    if way == "unary":
        status = stub.refused(message)
    else:
        with stub.stream() as stream:
            stream.say(begin(4, message))
            status = stream.hear_error(4)
            stream.say(begin(5, request("l1_loss", input=X, target=X)))
            assert stream.hear_result(5)["loss"] == 0
    assert reason_of(status) == error.reason
    assert field_of(status) == "input"
    for part in words:
        assert part in status.message
    answers(server.addresses()[0])


@pytest.mark.parametrize("shape", [[1 << 40, 1 << 40], [0, 1 << 62], [1 << 62]], ids=str)
def test_announcement_of_what_cannot_exist(stub: Stub, server: Server, shape: list[int]) -> None:
    message = request("mse_loss", target=X)
    announced = tensor_pb2.Tensor(
        name="input", dtype=tensor_pb2.DTYPE_FLOAT32, shape=shape, chunked=True
    )
    message.tensors.append(announced)
    with stub.stream() as stream:
        stream.say(begin(4, message))
        stream.hear_error(4)
        stream.say(begin(5, request("l1_loss", input=X, target=X)))
        assert stream.hear_result(5)["loss"] == 0
    answers(server.addresses()[0])


def random_messages() -> Iterator[Any]:
    rng = np.random.default_rng(11)
    for size in (1, 2, 7, 100, 5000):
        for k in range(4):
            yield pytest.param(rng.bytes(size), id=f"{size} bytes {k}")
    valid = begin(3, request("l1_loss", input=X, target=X))
    assert not isinstance(valid, bytes)
    for cut in (1, 5, 30):
        yield pytest.param(valid.SerializeToString()[:-cut], id=f"cut by {cut}")
    yield pytest.param(b"", id="empty")


@pytest.mark.parametrize("message", list(random_messages()))
def test_random_bytes_in_a_stream(stub: Stub, server: Server, message: bytes) -> None:
    with stub.stream() as stream:
        stream.say(message, begin(77, request("l1_loss", input=X, target=X + 2)))
        heard = [stream.hear()]
        if heard[0].WhichOneof("message") == "error":
            assert reason_of(heard[0].error) == "MALFORMED_MESSAGE"
            heard.append(stream.hear())
        assert heard[-1].id == 77
        assert stubs.array(heard[-1].result.tensors[0]) == 2
    answers(server.addresses()[0])


@pytest.mark.parametrize("message", list(random_messages()))
def test_random_bytes_in_a_call(stub: Stub, server: Server, message: bytes) -> None:
    status = stub.refused(message)
    assert status.code in (code_pb2.INVALID_ARGUMENT, code_pb2.NOT_FOUND)
    answers(server.addresses()[0])


def test_tensor_twice(stub: Stub) -> None:
    message = request("mse_loss", input=X, target=X)
    message.tensors.append(tensor("input", X))
    status = stub.refused(message)
    assert (reason_of(status), field_of(status)) == ("MALFORMED_MESSAGE", "input")
    assert "twice" in status.message


def test_parameter_without_value(stub: Stub) -> None:
    message = request("smooth_l1_loss", input=X, target=X)
    message.parameters["beta"].SetInParent()
    status = stub.refused(message)
    assert (reason_of(status), field_of(status)) == ("MALFORMED_MESSAGE", "beta")


def test_chunked_tensor_in_a_call(stub: Stub) -> None:
    message = request("mse_loss", target=X)
    message.tensors.append(tensor("input", X, chunked=True))
    status = stub.refused(message)
    assert (reason_of(status), field_of(status)) == ("MALFORMED_MESSAGE", "input")
    assert "EvaluateStream" in status.message


@pytest.mark.parametrize("letter", ["x", "é", "損"])
def test_long_name_gets_its_error(stub: Stub, server: Server, letter: str) -> None:
    """An error's text travels in headers, of which gRPC carries a few thousand bytes."""
    failed = request("l1_loss", input=X, target=X)
    failed.parameters[letter * 50_000].number = 1.0
    assert reason_of(stub.refused(failed)) == "INVALID_PARAMETER"
    status = stub.refused(request(letter * 50_000, input=X, target=X))
    assert reason_of(status) == "UNKNOWN_LOSS"
    assert "mse_loss" in status.message
    answers(server.addresses()[0])


def of_many(kind: str) -> bytes:
    """A message of very many fields, in few bytes."""
    message = request("l1_loss", input=X, target=X)
    if kind == "tensors":
        for k in range(300):
            message.tensors.append(tensor(f"t{k}", X))
    elif kind == "gradients":
        message.gradients.extend([""] * 1_000_000)
    elif kind == "dimensions":
        message.tensors[0].shape.extend([1] * 1_000_000)
    else:
        for k in range(1000):
            message.parameters[f"p{k}"].number = 1.0
    return bytes(message.SerializeToString())


@pytest.mark.parametrize("kind", ["tensors", "gradients", "dimensions", "parameters"])
def test_messages_of_very_many_fields_are_refused(kind: str) -> None:
    message = memoryview(of_many(kind))
    with pytest.raises(errors.ProtocolError, match=r"more than 256 fields|impossible shape"):
        wire.read_request(message)


def test_very_many_messages_together_are_refused(stub: Stub) -> None:
    one = loss_service_pb2.EvaluateStreamRequest(id=1)
    many = loss_service_pb2.EvaluateStreamRequests(messages=[one] * 2_000_000)
    with stub.stream() as stream:
        stream.say(loss_service_pb2.EvaluateStreamRequest(together=many))
        assert "at most 4194304 may" in stream.hear_error(0).message


# --- streams that go wrong ---------------------------------------------------------------------


def announced(loss: str = "l1_loss") -> loss_service_pb2.EvaluateRequest:
    """An evaluation that awaits its input, 24 bytes, in chunks."""
    message = request(loss, target=0 * X)
    message.tensors.append(tensor("input", X, chunked=True))
    return message


@dataclass(frozen=True)
class Wrong:
    """Messages about evaluation 1, the last of which is wrong."""

    id: str
    at_fault: str
    says: list[str]
    messages: Callable[[], list[stubs.Message]]

    def __str__(self) -> str:
        return self.id


WRONG = [
    Wrong("gap", "input", ["'input'", "byte 12", "at 8"],
          lambda: [begin(1, announced()), chunk(1, "input", 0, bytes(8)),
                   chunk(1, "input", 12, bytes(12))]),
    Wrong("again", "input", ["'input'", "byte 0", "at 8"],
          lambda: [begin(1, announced()), chunk(1, "input", 0, bytes(8)),
                   chunk(1, "input", 0, bytes(8))]),
    Wrong("too many bytes", "input", ["'input'", "28 bytes", "24"],
          lambda: [begin(1, announced()), chunk(1, "input", 0, bytes(20)),
                   chunk(1, "input", 20, bytes(8))]),
    Wrong("far beyond", "input", ["'input'"],
          lambda: [begin(1, announced()), chunk(1, "input", (1 << 64) - 4, bytes(8))]),
    Wrong("not chunked", "target", ["'target'"],
          lambda: [begin(1, announced()), chunk(1, "target", 0, bytes(8))]),
    Wrong("no such tensor", "weight", ["'weight'"],
          lambda: [begin(1, announced()), chunk(1, "weight", 0, bytes(8))]),
    Wrong("never begun", "", ["evaluation 1", "not begun"],
          lambda: [chunk(1, "input", 0, bytes(8))]),
    Wrong("begun twice", "", ["evaluation 1", "under way"],
          lambda: [begin(1, announced()), begin(1, announced())]),
    Wrong("nothing said", "", ["neither"],
          lambda: [loss_service_pb2.EvaluateStreamRequest(id=1)]),
    Wrong("out of range in chunks", "input", ["input[0, 0] = 3"],
          lambda: [begin(1, announced("binary_cross_entropy")),
                   *chunks(1, "input", np.full((2, 3), 3, np.float32).tobytes(), 4)]),
]  # fmt: skip


@pytest.mark.parametrize("wrong", WRONG, ids=str)
def test_wrong_order(stub: Stub, server: Server, wrong: Wrong) -> None:
    with stub.stream() as stream:
        stream.say(begin(2, announced()), *wrong.messages())
        status = stream.hear_error(1)
        assert reason_of(status) in ("MALFORMED_MESSAGE", "OUT_OF_DOMAIN")
        assert field_of(status) == wrong.at_fault
        for words in wrong.says:
            assert words in status.message
        # chunks that were on their way are let pass, the other evaluation and the id are not lost
        stream.say(chunk(1, "input", 12, bytes(4)), chunk(2, "input", 0, X.tobytes()))
        assert stream.hear_result(2)["loss"] == pytest.approx(X.mean(dtype=np.float64))
        stream.say(begin(1, announced()), chunk(1, "input", 0, X.tobytes()))
        assert stream.hear_result(1)["loss"] == pytest.approx(X.mean(dtype=np.float64))
        assert stream.end() == []
    answers(server.addresses()[0])


def test_evaluation_0_is_refused_or_answered(stub: Stub) -> None:
    """0 stands for no evaluation in answers; a client that uses it must be told so or served."""
    with stub.stream() as stream:
        stream.say(begin(0, announced()), begin(1, request("croak_loss")))
        first = stream.hear()
        if first.id == 0:
            assert reason_of(first.error) == "MALFORMED_MESSAGE"
            return
        stream.say(chunk(0, "input", 0, X.tobytes()))
        assert stream.hear_result(0)["loss"] == pytest.approx(X.mean(dtype=np.float64))


def test_cancelled_evaluation_does_not_end_its_successor(stub: Stub) -> None:
    """What becomes of an evaluation that was given up concerns nobody, whatever has its id."""
    x = np.zeros((1 << 20, 2), np.float32)
    target = np.zeros(1 << 20, np.int64)
    target[-1] = 2  # an error, after a while
    slow = request("cross_entropy")
    slow.tensors.extend([tensor("input", x, chunked=True), tensor("target", target, chunked=True)])
    with stub.stream() as stream:
        stream.say(begin(1, slow))
        stream.say(*chunks(1, "target", target.tobytes()), *chunks(1, "input", x.tobytes()))
        stream.say(stubs.cancel(1), begin(1, announced()), begin(3, slow))
        stream.say(*chunks(3, "target", target.tobytes()), *chunks(3, "input", x.tobytes()))
        heard = [stream.hear()]
        while heard[-1].id != 3:
            heard.append(stream.hear())
        assert reason_of(heard[-1].error) == "LABEL_OUT_OF_RANGE"
        stream.say(chunk(1, "input", 0, X.tobytes()))
        rest = stream.end()
    assert [(a.id, a.WhichOneof("message")) for a in rest] == [(1, "result")]


def test_stream_that_stops_in_the_middle_of_chunks(stub: Stub, server: Server) -> None:
    with stub.stream() as stream:
        stream.say(begin(1, announced()), chunk(1, "input", 0, bytes(8)))
        stream.say(begin(2, request("l1_loss", input=X, target=X)))
        assert stream.hear_result(2)["loss"] == 0
        rest = stream.end()
    assert [a.id for a in rest] == [1], "the evaluation that is incomplete is not answered"
    assert reason_of(rest[0].error) == "MALFORMED_MESSAGE"
    assert field_of(rest[0].error) == "input"
    answers(server.addresses()[0])


def test_stream_that_is_dropped_in_the_middle_of_chunks(stub: Stub, server: Server) -> None:
    with stub.stream() as stream:
        stream.say(begin(2, announced()), chunk(2, "input", 0, bytes(8)))
        stream.say(begin(1, request("l1_loss", input=X, target=X)))
        assert stream.hear_result(1)["loss"] == 0
        stream.call.cancel()
        with pytest.raises(grpc.RpcError):
            stream.hear()
    answers(server.addresses()[0])


BUSY_CLIENT = """
import os, sys, threading
import numpy as np
from lossd_client import connect, nn

client = connect(sys.argv[1])
criterion = nn.CrossEntropyLoss(client=client)
x, y = np.zeros((20_000, 100), np.float32), np.zeros(20_000, np.int64)

def work():
    while True:
        criterion.value_and_grad(x, y)
        os.write(1, b"computed\\n")

for _ in range(8):
    threading.Thread(target=work).start()
"""


def test_client_that_is_killed_while_its_evaluations_compute(start_server: StartServer) -> None:
    limit = 128 << 20  # for the eight evaluations of 16 MB that are under way
    server = start_server("--max-inflight-bytes", str(limit + (20 << 20)))
    address = server.addresses()[0]
    with subprocess.Popen(
        [sys.executable, "-c", BUSY_CLIENT, address],
        stdout=subprocess.PIPE,
        text=True,
        env=environment(),
    ) as process:
        assert process.stdout is not None
        for _ in range(12):
            assert process.stdout.readline() == "computed\n"
        process.send_signal(signal.SIGKILL)
        process.wait(PATIENCE)
    answers(address)
    assert server.process.poll() is None


def test_bytes_that_are_no_grpc(server: Server) -> None:
    host, _, port = server.addresses()[0].rpartition(":")
    with socket.create_connection((host, int(port)), timeout=PATIENCE) as connection:
        connection.sendall(np.random.default_rng(3).bytes(10_000))
        with contextlib.suppress(ConnectionResetError):
            while connection.recv(4096):
                pass
    answers(server.addresses()[0])


# --- no server ---------------------------------------------------------------------------------


def test_no_server_at_the_address() -> None:
    with socket.socket() as taken:  # bound and not listening: nobody else gets the port
        taken.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with (
            connect(address, retries=1, timeout=PATIENCE) as client,
            pytest.raises(errors.UnavailableError) as caught,
        ):
            nn.MSELoss(client=client)([1.0], [2.0])
    assert isinstance(caught.value, ConnectionError)
    assert address in str(caught.value)
    assert f"lossd serve --listen {address}" in str(caught.value)
    assert "inproc:" in str(caught.value)


def test_no_server_at_the_socket(tmp_path: Any) -> None:
    address = f"unix:{tmp_path}/none.sock"
    with (
        connect(address, retries=0, timeout=PATIENCE) as client,
        pytest.raises(errors.UnavailableError, match=f"lossd serve --listen {address}"),
    ):
        nn.MSELoss(client=client)([1.0], [2.0])


def test_no_such_host() -> None:
    with (
        connect("no-such-host.invalid:50051", retries=0, timeout=PATIENCE) as client,
        pytest.raises(errors.UnavailableError, match=r"no-such-host\.invalid:50051"),
    ):
        nn.MSELoss(client=client)([1.0], [2.0])


@pytest.mark.parametrize("given", [{"timeout": 0}, {"timeout": -1.0}, {"retries": -1}])
def test_connect_with_impossible_settings(given: dict[str, Any]) -> None:
    with pytest.raises(errors.ParameterError, match=next(iter(given))):
        connect("127.0.0.1:1", **given)


def test_address_in_place_of_a_client() -> None:
    with pytest.raises(TypeError, match="connect"):
        nn.MSELoss(client="localhost:50051")([1.0], [2.0])  # type: ignore[arg-type]
