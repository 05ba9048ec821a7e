"""Reading and writing messages: in place, aligned, and safe on any bytes."""

import contextlib
import math
import struct
import sys
import threading
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from google.protobuf import any_pb2
from google.rpc import error_details_pb2, status_pb2
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from lossd_client import errors, wire
from lossd_client.errors import LossdError
from lossd_client.wire import CHUNK, Announcement, Cancel, Chunk, Request, Response

from lossd.server.status import status_of

Array = npt.NDArray[Any]

X = np.arange(6, dtype=np.float32).reshape(2, 3)
THERE = wire.Shared(X.dtype, X.shape, wire.Place(1, 128))


def offset_of(array: Any, message: bytes) -> int:
    """Where an array's elements lie in a message that it is a view of."""
    start = np.frombuffer(message, np.uint8).__array_interface__["data"][0]
    place: int = array.__array_interface__["data"][0]
    assert 0 <= place - start <= len(message), "not a view of the message"
    return place - start


# --- tensors in place --------------------------------------------------------------------------


@given(
    loss=st.text(max_size=40),
    names=st.lists(st.text(min_size=1, max_size=40), min_size=1, max_size=4, unique=True),
    size=st.integers(1, 70),
    id=st.integers(0, (1 << 64) - 1),
)
def test_payloads_are_aligned_and_read_in_place(
    loss: str, names: list[str], size: int, id: int
) -> None:
    tensors = {name: np.arange(size + k, dtype=np.float32) for k, name in enumerate(names)}
    request = Request(loss, tensors, {"p": 0.5}, "sum", names[:1])
    for message, start in ((wire.write_request(request), 0), (wire.write_stream(id, request), 1)):
        if start:
            found, read = wire.read_stream_request(message)
            assert found == id
        else:
            read = wire.read_request(memoryview(message))
        assert isinstance(read, Request)
        assert list(read.tensors) == names
        for name, expected in tensors.items():
            array = read.tensors[name]
            assert isinstance(array, np.ndarray)
            assert offset_of(array, message) % wire.ALIGNMENT == 0
            np.testing.assert_array_equal(array, expected)


@given(name=st.text(min_size=1, max_size=50), size=st.integers(1, 64), id=st.integers(0, 1 << 63))
def test_chunks_are_aligned_and_read_in_place(name: str, size: int, id: int) -> None:
    message = wire.write_stream(id, Chunk(name, 1 << 40, memoryview(bytes(range(size)))))
    found, chunk = wire.read_stream_request(message)
    assert isinstance(chunk, Chunk)
    assert (found, chunk.name, chunk.offset, chunk.data) == (id, name, 1 << 40, bytes(range(size)))
    view = np.frombuffer(chunk.data, np.uint8)
    assert offset_of(view, message) % wire.ALIGNMENT == 0


def test_arrays_are_written_in_c_order() -> None:
    for array in (X.T, X[:, ::-1], np.asfortranarray(X), np.broadcast_to(X, (2, 2, 3)), X[()]):
        read = wire.read_request(memoryview(wire.write_request(Request("l", {"a": array}))))
        np.testing.assert_array_equal(read.tensors["a"], array)  # type: ignore[arg-type]


def test_bytes_of_an_array_are_not_copied() -> None:
    assert np.shares_memory(np.frombuffer(wire.as_bytes(X), np.uint8), X)
    assert len(wire.as_bytes(np.float32(1).reshape(()))) == 4
    assert len(wire.as_bytes(np.zeros((0, 3)))) == 0


@given(
    arrays.arrays(
        st.sampled_from(list(wire.DTYPES.values())), arrays.array_shapes(min_dims=0, min_side=0)
    )
)
def test_any_array_comes_back(array: Array) -> None:
    message = wire.write_response(Response({"loss": array}))
    found = wire.read_response(memoryview(message)).tensors["loss"]
    assert isinstance(found, np.ndarray)
    assert (found.dtype, found.shape) == (array.dtype, array.shape)
    assert found.tobytes() == array.tobytes()


@given(
    st.dictionaries(
        st.text(max_size=20),
        st.floats(allow_nan=False) | st.integers(-(1 << 63), (1 << 63) - 1) | st.booleans(),
    ),
    st.sampled_from(["mean", "sum", "none", "batchmean", "?"]),
    st.lists(st.text(max_size=10)),
)
def test_any_parameters_come_back(
    parameters: dict[str, Any], reduction: str, gradients: list[str]
) -> None:
    message = wire.write_request(Request("loss", {}, parameters, reduction, gradients))
    read = wire.read_request(memoryview(message))
    assert read == Request("loss", {}, parameters, reduction, gradients)
    assert [type(v) for v in read.parameters.values()] == [type(v) for v in parameters.values()]


def test_numpys_numbers_are_parameters() -> None:
    given: dict[str, Any] = {"a": np.float32(0.5), "b": np.int8(-3), "c": np.True_, "d": "ä"}
    read = wire.read_request(memoryview(wire.write_request(Request("loss", {}, given))))
    assert read.parameters == {"a": 0.5, "b": -3, "c": True, "d": "ä"}


def test_no_reduction_is_the_mean() -> None:
    assert wire.read_request(memoryview(b"")).reduction == "mean"


@pytest.mark.parametrize("value", [b"0.5", None, [1], 1j, np.ones(1)])
def test_parameters_that_are_no_numbers(value: Any) -> None:
    with pytest.raises(errors.DTypeError, match=r"p = .* must be a number") as caught:
        wire.write_request(Request("loss", {}, {"p": value}))
    assert caught.value.field == "p"


@pytest.mark.parametrize("value", [1 << 63, -(1 << 63) - 1])
def test_parameters_that_fit_no_integer(value: int) -> None:
    with pytest.raises(errors.ParameterError, match=str(value)):
        wire.write_request(Request("loss", {}, {"p": value}))


@pytest.mark.parametrize("dtype", ["O", "U3", "c8", "M8[s]", "V4", "S2"])
def test_types_that_cannot_be_sent(dtype: str) -> None:
    with pytest.raises(errors.DTypeError, match="target has type") as caught:
        wire.write_request(Request("loss", {"target": np.zeros(3, dtype)}))
    assert caught.value.field == "target"


# --- chunks ------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1 << 17, wire.CHUNK])
def test_the_largest_come_last(size: int) -> None:
    """They can be computed as they come only if all else is there."""
    small, large = np.zeros(200_000), np.zeros((200_000, 40), np.float32)
    for tensors in (
        {"target": small, "input": large},
        {"input": large, "target": small, "weight": large},
    ):
        first, chunks = wire.split(tensors, size)
        names = [chunk.name for chunk in chunks]
        assert set(first) == set(tensors)
        count = names.count("target")
        assert names[:count] == ["target"] * count
        assert count == -(-small.nbytes // size)


def test_what_is_needed_whole_comes_before_the_rows() -> None:
    alike = np.zeros((200_000, 40), np.float32)
    tensors = {"input": alike, "target": alike, "weight": alike}
    _, chunks = wire.split(tensors, wire.CHUNK, ("input", "target"))
    names = [chunk.name for chunk in chunks]
    count = names.count("weight")
    assert names[:count] == ["weight"] * count
    assert set(names[count : count + 2]) == {"input", "target"}


def test_small_tensors_are_not_split() -> None:
    tensors = {"a": np.zeros(CHUNK, np.uint8), "b": X}
    first, chunks = wire.split(tensors)
    assert first == tensors
    assert list(chunks) == []


def test_large_tensors_are_split_the_first_one_last() -> None:
    tensors = {
        "input": np.arange(CHUNK // 2, dtype=np.float32),
        "small": X,
        "target": np.arange(CHUNK + 1).astype(np.uint8),
        "weight": np.arange(CHUNK // 4, dtype=np.float64),
    }
    first, chunks = wire.split(tensors)
    for name in ("input", "target", "weight"):
        assert first[name] == Announcement(tensors[name].dtype, tensors[name].shape)
    assert first["small"] is X
    pieces = list(chunks)
    order = list(dict.fromkeys(chunk.name for chunk in pieces))
    assert order == ["target", "weight", "input"]
    for name in order:
        own = [chunk for chunk in pieces if chunk.name == name]
        assert [chunk.offset for chunk in own] == [k * CHUNK for k in range(len(own))]
        assert all(len(chunk.data) <= CHUNK for chunk in own)
        assert b"".join(chunk.data for chunk in own) == tensors[name].tobytes()


# --- bytes that are no message -----------------------------------------------------------------

READERS = [
    lambda data: wire.read_request(memoryview(data)),
    lambda data: wire.read_response(memoryview(data)),
    wire.read_stream_request,
    wire.read_stream_response,
    wire.read_status,
]

STATUS = status_of(errors.LabelError("target[0] = 3", field="target"))
VALID = [
    wire.write_request(Request("mse_loss", {"input": X, "target": X}, {"a": 1.0, "b": 2}, "sum")),
    wire.write_response(
        Response({"loss": X, "grad.input": Announcement(X.dtype, (9,))}, "careful")
    ),
    wire.write_stream(3, Request("mse_loss", {"input": X}, {"c": True}, "none", ["input"])),
    wire.write_stream(3, Response({"loss": X})),
    wire.write_stream(3, Chunk("input", 12, memoryview(b"12345678"))),
    wire.write_stream(3, Cancel()),
    wire.write_stream(
        3,
        Request(
            "mse_loss",
            {"input": THERE, "target": X},
            {},
            "sum",
            ["input"],
            {"input": wire.Place(2, 64)},
        ),
    ),
    wire.write_stream(3, Response({"loss": X, "grad.input": THERE}, "", 0.5)),
    wire.write_stream(3, wire.OpenPipes()),
    wire.write_stream(3, wire.Opened(("/proc/7/fd/8", 9), ("/proc/7/fd/10", 11))),
    wire.write_stream(3, STATUS),
    STATUS,
]


def read_by_all(data: bytes) -> None:
    """Every reader gives an answer, or says in its own terms why not."""
    for read in READERS:
        with contextlib.suppress(LossdError):
            read(data)


@settings(max_examples=300)
@given(st.binary(max_size=200))
@example(b"\x1a\x2b\x0a\x29type.googleapis.com/google.rpc.BadRequest\x12\x00")
@example(b"\x7a\x10\x10\x03\x18\x00\x18\x80\x80\x80\x80\x80\x80\x80\x80\x40")  # [0, 1 << 62]
def test_random_bytes(data: bytes) -> None:
    read_by_all(data)


@settings(max_examples=200)
@given(st.sampled_from(VALID), st.data())
def test_messages_that_end_early(message: bytes, data: st.DataObject) -> None:
    read_by_all(message[: data.draw(st.integers(0, len(message)))])


@settings(max_examples=500)
@given(
    st.sampled_from(VALID),
    st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), min_size=1, max_size=6),
)
def test_messages_with_wrong_bytes(message: bytes, changes: list[tuple[int, int]]) -> None:
    changed = bytearray(message)
    for place, value in changes:
        changed[place % len(changed)] = value
    read_by_all(bytes(changed))


@settings(max_examples=200)
@given(st.sampled_from(VALID), st.integers(0, 10_000), st.binary(max_size=12), st.integers(0, 8))
def test_messages_with_more_or_fewer_bytes(
    message: bytes, place: int, added: bytes, removed: int
) -> None:
    start = place % len(message)
    read_by_all(message[:start] + added + message[start + removed :])


def shown(item: Any) -> Any:
    """What a message holds, in a form that can be compared."""
    if isinstance(item, LossdError):
        return type(item), str(item)
    if not isinstance(item, Request | Response):
        return repr(item) if isinstance(item, Chunk) else type(item)
    tensors = {
        name: (t.dtype, t.shape, t.tobytes()) if isinstance(t, np.ndarray) else t
        for name, t in item.tensors.items()
    }
    return list(tensors.items()), repr(replace(item, tensors={}))


def outcome(read: Any, message: bytes) -> Any:
    """What a reader makes of a message."""
    try:
        id, item = read(message)
    except LossdError as error:
        return shown(error)
    return id, shown(item if not isinstance(item, Chunk) else replace(item, data=bytes(item.data)))


@settings(max_examples=500)
@given(
    st.sampled_from([message for message in VALID if message.startswith(wire._ID)]),
    st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), max_size=4),
)
def test_what_was_read_before_does_not_change_what_is_read(
    message: bytes, changes: list[tuple[int, int]]
) -> None:
    """Forms of messages are remembered: a message of nearly the same form is another."""
    changed = bytearray(message)
    for place, value in changes:
        changed[place % len(changed)] = value
    for read, forms in (
        (wire.read_stream_request, wire._request_forms),
        (wire.read_stream_response, wire._response_forms),
    ):
        forms.forget()
        expected = outcome(read, bytes(changed))
        forms.forget()
        outcome(read, message)
        for _ in range(2):
            assert outcome(read, bytes(changed)) == expected


@pytest.mark.parametrize("id", [1, 127, 128, 16_384, (1 << 64) - 1])
def test_what_was_written_before_does_not_change_what_is_written(id: int) -> None:
    """Messages are written by templates: each differs from the one before in one thing."""
    x, y = np.arange(6, dtype=np.float32).reshape(2, 3), np.arange(2)
    messages = [
        Request("l1_loss", {"input": x}),
        Request("l1_loss", {"input": x + 1}),
        Request("l1_loss", {"input": x.T}),
        Request("l1_loss", {"input": x.astype(np.float64)}),
        Request("l1_loss", {"input": x[:0]}),
        Request("l1_loss", {"other": x}),
        Request("mse_loss", {"input": x}),
        Request("l1_loss", {"input": x}, {}, "sum"),
        Request("l1_loss", {"input": x}, {}, "mean", ["input"]),
        Request("l1_loss", {"input": x}, {"p": True}),
        Request("l1_loss", {"input": x}, {"p": 1}),
        Request("l1_loss", {"input": x}, {"p": 1.0}),
        Request("l1_loss", {"input": x, "target": y}),
        Request("l1_loss", {"target": y, "input": x}),
        Request("l1_loss", {"input": x, "target": wire.Announcement(y.dtype, y.shape)}),
        Response({"input": x}),
        Response({"input": x}, "take care"),
    ]
    for _ in range(2):
        for message in messages:
            read = (
                wire.read_stream_request
                if isinstance(message, Request)
                else wire.read_stream_response
            )
            found, got = read(wire.write_stream(id, message))
            assert found == id
            expected = message
            if isinstance(message, Request):
                expected = replace(message, gradients=list(message.gradients))
            assert shown(got) == shown(expected)


@settings(max_examples=200)
@given(
    st.lists(st.integers(-2, 3) | st.integers(-(1 << 63), (1 << 63) - 1), max_size=34),
    st.integers(0, 14),
    st.booleans(),
    st.integers(0, 40),
)
def test_tensors_of_any_description(
    shape: list[int], number: int, chunked: bool, size: int
) -> None:
    """Either the array has the shape and type that it says, or there is an error."""
    lengths = b"".join(wire._varint(n) for n in shape)
    body = b"\x0a\x01x\x10" + bytes([number]) + b"\x1a" + wire._varint(len(lengths)) + lengths
    body += b"\x20\x01" * chunked + b"\x7a" + bytes([size]) + bytes(size)
    message = b"\x7a" + wire._varint(len(body)) + body
    tensor: Any = None
    with contextlib.suppress(LossdError):
        tensor = wire.read_request(memoryview(message)).tensors["x"]
    if tensor is None:
        return
    assert tensor.shape == tuple(shape)
    assert tensor.dtype == wire.DTYPES[number]
    assert isinstance(tensor, Announcement) == chunked
    assert chunked or math.prod(shape) * tensor.dtype.itemsize == size


@pytest.mark.parametrize(
    ("message", "says"),
    [
        (b"\x0b", "wire type 3"),
        (b"\x80" * 11, "does not end"),
        (b"\x0a\x05abc", "needs 5 bytes and has 3"),
        (b"\x08\x01", "field 1 has wire type 0 and should have 2"),
        (b"\x0a\x02\xff\xfe", "not UTF-8"),
        (b"\x0d\x01\x02\x03\x04", "field 1 has wire type 5"),
    ],
)
def test_what_is_wrong_with_a_message_is_said(message: bytes, says: str) -> None:
    with pytest.raises(errors.ProtocolError, match=says):
        wire.read_request(memoryview(message))


def test_fields_that_are_unknown_are_skipped() -> None:
    unknown = b"\xa2\x06\x03abc" + b"\xa8\x06\x05" + b"\xb1\x06" + bytes(8) + b"\xb5\x06" + bytes(4)
    message = unknown + wire.write_request(Request("l1_loss", {"input": X})) + unknown
    read = wire.read_request(memoryview(message))
    assert read.loss == "l1_loss"
    np.testing.assert_array_equal(read.tensors["input"], X)  # type: ignore[arg-type]


def test_shapes_that_are_not_packed() -> None:
    body = b"\x0a\x01x\x10\x03" + b"\x18\x02\x18\x03" + b"\x7a\x18" + X.tobytes()
    read = wire.read_request(memoryview(b"\x7a" + bytes([len(body)]) + body))
    np.testing.assert_array_equal(read.tensors["x"], X)  # type: ignore[arg-type]


def test_long_lengths_and_numbers() -> None:
    """Varints may be longer than they need be."""
    message = b"\x0a\x87\x80\x80\x80\x00l1_loss"
    assert wire.read_request(memoryview(message)).loss == "l1_loss"
    assert struct.unpack("<I", b"\x07\0\0\0")[0] == len("l1_loss")


# --- errors ------------------------------------------------------------------------------------

KINDS = [getattr(errors, name) for name in errors.__all__ if name != "LossdError"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("at_fault", ["", "target"])
def test_errors_come_back_as_what_they_were(kind: type[LossdError], at_fault: str) -> None:
    sent = kind("it is 3 µm too long", field=at_fault)
    found = wire.read_status(status_of(sent))
    assert type(found) is kind
    assert str(found) == str(sent)
    assert found.field == at_fault
    id, error = wire.read_stream_response(wire.write_stream(9, status_of(sent)))
    assert (id, type(error)) == (9, kind)


@pytest.mark.parametrize("kind", KINDS)
def test_errors_of_other_programs_are_known_by_their_code(kind: type[LossdError]) -> None:
    status = status_pb2.Status(code=kind.code, message="no").SerializeToString()
    assert wire.read_status(status).code in (kind.code, LossdError.code)


def test_errors_with_details_of_other_kinds() -> None:
    details = [
        error_details_pb2.RetryInfo(),
        error_details_pb2.BadRequest(),
        error_details_pb2.ErrorInfo(reason="SOMETHING_NEW", domain="lossd"),
    ]
    packed = []
    for detail in details:
        packed.append(any_pb2.Any())
        packed[-1].Pack(detail)
    status = status_pb2.Status(code=11, message="no", details=packed)
    found = wire.read_status(status.SerializeToString())
    assert type(found) is errors.LabelError
    assert (str(found), found.field) == ("no", "")


def test_reasons_are_distinct() -> None:
    assert len({kind.reason for kind in KINDS}) == len(KINDS)
    assert all(kind.reason.isupper() for kind in KINDS)


def test_messages_read_by_their_form_differ_in_what_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Losses, times and places of one form: read without being taken apart, and right."""
    wire._response_forms.forget()
    place = [wire.Place(segment, 64) for segment in (3, 4)]
    asked = list[int]()
    read = wire.read_response
    monkeypatch.setattr(wire, "read_response", lambda *a: asked.append(1) or read(*a))
    for k in range(40):
        shared = wire.Shared(np.dtype(np.float32), (1 << 20,), place[k % 2])
        loss = np.asarray(np.float32(k))
        told = wire.Response({"loss": loss, "grad.input": shared}, "", k / 7 if k > 20 else 0.0)
        id, found = wire.read_stream_response(wire.write_stream(k + 1, told))
        assert id == k + 1
        assert isinstance(found, wire.Response)
        assert found.seconds == told.seconds
        assert found.tensors["loss"] == k
        assert found.tensors["grad.input"] == shared
    assert len(asked) == 4


def test_a_form_keeps_the_order_of_tensors() -> None:
    wire._response_forms.forget()
    place = wire.Shared(np.dtype(np.float32), (3,), wire.Place(1, 0))
    tensors = {"loss": np.ones((), np.float32), "grad.a": place, "grad.b": np.ones(3, np.float32)}
    for _ in range(2):
        _, found = wire.read_stream_response(wire.write_stream(1, wire.Response(tensors)))
        assert isinstance(found, wire.Response)
        assert list(found.tensors) == list(tensors)


def test_forms_are_small() -> None:
    """What is remembered of messages does not add up to much."""
    wire._request_forms.forget()
    for size, known in ((100, True), (10_000, False)):
        request = Request("l1_loss", {"input": np.ones(3)}, {"a": "x" * size})
        message = wire.write_stream(1, request)
        wire.read_stream_request(message)
        assert (wire._request_forms.read(message, 2) is not None) == known


def test_a_time_that_is_written_otherwise() -> None:
    """Protobuf allows longer numbers of fields: such messages have no form, and can be read."""
    wire._response_forms.forget()
    told = wire.Response({"loss": np.ones(1, np.float32)}, "", 0.25)
    message = wire.write_stream(1, told)
    key = wire._SECONDS + wire._DOUBLE.pack(0.25)
    body = message[8:].replace(key, b"\x91\x80\x00" + key[1:])
    for _ in range(2):
        _, found = wire.read_stream_response(
            message[:2] + wire._key(13, 2) + wire._long(len(body)) + body
        )
        assert isinstance(found, wire.Response)
        assert found.seconds == 0.25
        assert found.tensors["loss"] == 1


def test_templates_of_several_threads() -> None:
    """A template is used when it is complete, and not before."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    wrong = list[str]()

    def work(k: int) -> None:
        for n in range(3000):
            request = Request("l1_loss", {"input": np.ones(n % 1000, np.float32)}, {"n": n})
            try:
                id, found = wire.read_stream_request(wire.write_stream(k, request))
            except ValueError as error:
                wrong.append(repr(error))
            else:
                if id != k or not isinstance(found, Request) or found.parameters["n"] != n:
                    wrong.append(f"{k}: {id}, {found}")

    try:
        threads = [threading.Thread(target=work, args=[k]) for k in range(1, 5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert not wrong, wrong[:3]
