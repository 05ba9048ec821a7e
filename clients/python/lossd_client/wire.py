"""Messages of lossd.v1 to bytes and back, tensors in place.

The contract is protos/lossd/v1; any protobuf implementation reads and writes the same messages.
This one does not copy tensors: a message is written by one `b"".join`, a tensor is read as a view
of the message. To that end

- a tensor's bytes are the last field of their message, at an offset that is a multiple of 16
  (CPython's bytes begin on such an address, and kernels want aligned arrays);
- lengths of nested messages take five bytes, which protobuf allows, so that offsets are known
  before the contents are.
"""

import dataclasses
import functools
import itertools
import math
import struct
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from lossd_client import errors
from lossd_client.dtypes import BFLOAT16, is_bfloat16
from lossd_client.errors import DTypeError, LossdError, ProtocolError
from lossd_client.handles import Handle

Array = npt.NDArray[Any]
Parameter = float | int | bool | str

ALIGNMENT: Final = 16
CHUNK: Final = 1 << 20
"""Bytes of a chunk, and of the largest tensor that travels inside its first message, at most:
messages of this size are the fastest that gRPC carries: one of 64 MiB takes four times as long."""

WINDOW: Final = 8 << 20
"""Bytes of a stream that either side keeps before they are read. What gRPC itself estimates to be
good has no upper bound, and grows where processors are busy."""

TOGETHER: Final = 64 << 10
"""Bytes up to which a message goes together with others, and of such messages at most: fewer
messages are cheaper, and larger ones keep their reader from what comes after."""

MOST_TOGETHER: Final = 4 << 20
"""Bytes of messages that go together that are read: small ones take long for their bytes."""

MOST_FIELDS: Final = 256
"""Fields of a message that are read, tensors, gradients and parameters among them."""

MOST_DIMENSIONS: Final = 32

_MOST_PARTS: Final = 1 << 16

GRADIENT: Final = "grad."
"""What the names of gradients begin with in an answer."""

DTYPES: Final[dict[int, np.dtype[Any]]] = {
    number: np.dtype(name)  # type: ignore[call-overload]
    for number, name in {
        1: "<f2", 2: BFLOAT16, 3: "<f4", 4: "<f8", 5: "?", 6: "i1", 7: "<i2", 8: "<i4", 9: "<i8",
        10: "u1", 11: "<u2", 12: "<u4", 13: "<u8",
    }.items()
}  # fmt: skip
"""The types of elements by their number in `lossd.v1.DType`: the only such table."""

_BFLOAT16_NUMBER: Final = 2

_NUMBERS: Final = {dtype: number for number, dtype in DTYPES.items()}

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


@dataclass
class _Described:
    """A tensor whose bytes are elsewhere."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]

    @property
    def nbytes(self) -> int:
        """Bytes of the elements."""
        return math.prod(self.shape) * self.dtype.itemsize


@dataclass
class Announcement(_Described):
    """A tensor whose bytes come in chunks."""

    def chunks(self, name: str) -> Iterator["Chunk"]:
        """The elements of a tensor of which there is more than its announcement (`Pieces`)."""
        raise ProtocolError(f"tensor {name!r} is announced, and not here", field=name)


class Place(NamedTuple):
    """A place in memory that client and server share."""

    segment: int
    offset: int


@dataclass
class Shared(_Described):
    """A tensor that is at such a place."""

    place: Place


class Ring(NamedTuple):
    """Shared tensors that are still being written, and where it is told how far they are.

    progress: a place for two int64: bytes of each that are written, and, 64 bytes on, read.
    capacity: bytes that there are at the place of each.
    """

    names: tuple[str, ...]
    progress: Place
    capacity: int


@dataclass(frozen=True)
class Lease:
    """Asks for memory that client and server share."""

    size: int


@dataclass(frozen=True)
class Leased:
    """The memory that was asked for."""

    segment: int
    size: int
    path: str
    token: bytes


@dataclass(frozen=True)
class Release:
    """Lets go of it."""

    segment: int


@dataclass(frozen=True)
class OpenPipes:
    """Asks for two pipes to the server."""


@dataclass(frozen=True)
class Opened:
    """Those that were asked for: what evaluations go into, and what answers come out of.

    Each is a path and the inode that is there.
    """

    requests: tuple[str, int]
    responses: tuple[str, int]


@dataclass(frozen=True)
class Chunk:
    """A piece of a chunked tensor; the last one of a result may have `Response.seconds`."""

    name: str
    offset: int
    data: memoryview
    seconds: float = 0.0


Content = Array | Announcement | Shared


@dataclass(frozen=True)
class Register:
    """Keeps a tensor, the only one of `tensors`, for so long after its last use."""

    tensors: Mapping[str, Content]
    seconds: float | None = None
    stream_only: bool = False

    def with_tensors(self, tensors: Mapping[str, Content]) -> "Register":
        """The same of another tensor."""
        return dataclasses.replace(self, tensors=tensors)


@dataclass(frozen=True)
class Registered:
    """What it is known by, and how long it is kept after its last use."""

    token: str
    seconds: float


@dataclass(frozen=True)
class Unregister:
    """Keeps it no longer."""

    token: str


@dataclass
class Request:
    """One evaluation. A tensor is an array, an announcement of chunks to come, or shared.

    places: where gradients go that are not sent.
    handles: tensors that the server keeps.
    ring: those tensors that are still being written.
    """

    loss: str
    tensors: Mapping[str, Content]
    parameters: Mapping[str, Parameter] = field(default_factory=dict)
    reduction: str = "mean"
    gradients: Sequence[str] = ()
    places: Mapping[str, Place] = field(default_factory=dict)
    handles: Mapping[str, Handle] = field(default_factory=dict)
    ring: Ring | None = None

    def with_tensors(self, tensors: Mapping[str, Content]) -> "Request":
        """The same of other tensors."""
        return Request(
            self.loss, tensors, self.parameters, self.reduction, self.gradients, self.places,
            self.handles, self.ring,
        )  # fmt: skip


@dataclass
class Response:
    """The answer to one evaluation.

    Attributes:
        tensors: "loss" and "grad.NAME".
        warning: what the caller should be told, empty if nothing.
        seconds: how long it was computed where that is told, which it is not of small evaluations;
            else 0.
    """

    tensors: Mapping[str, Content]
    warning: str = ""
    seconds: float = 0.0

    def with_tensors(self, tensors: Mapping[str, Content]) -> "Response":
        """The same of other tensors."""
        return Response(tensors, self.warning, self.seconds)


class Cancel:
    """Gives an evaluation up."""


# --- writing -----------------------------------------------------------------------------------


def dtype_number(name: str, dtype: np.dtype[Any]) -> int:
    """The number of an element type.

    Raises:
        DTypeError: a type that has none (objects, strings, complex numbers).
    """
    number = _NUMBERS.get(dtype)
    if number is None and is_bfloat16(dtype):
        number = _BFLOAT16_NUMBER
    if number is None:
        raise DTypeError(
            f"{name} has type {dtype}, which cannot be sent: use a real number type", field=name
        )
    return number


def _varint(value: int) -> bytes:
    out = bytearray()
    value &= (1 << 64) - 1
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


def _key(number: int, kind: int) -> bytes:
    return _varint(number << 3 | kind)


def _long(value: int) -> bytes:
    """A length in exactly five bytes."""
    return bytes(
        (value & 127 | 128, value >> 7 & 127 | 128, value >> 14 & 127 | 128,
         value >> 21 & 127 | 128, value >> 28 & 127)
    )  # fmt: skip


def _bytes_field(number: int, value: bytes) -> bytes:
    return _key(number, _BYTES) + _varint(len(value)) + value


@functools.lru_cache(4096)
def _text_field(number: int, value: str) -> bytes:
    try:
        return _bytes_field(number, value.encode())
    except UnicodeEncodeError as error:
        raise ProtocolError(f"{value!r} is not text that can be sent: {error.reason}") from error


_PADDING: Final = [_bytes_field(14, bytes(n)) for n in range(ALIGNMENT)]
_DATA: Final = _key(15, _BYTES)
_TENSOR: Final = _key(15, _BYTES)
_TOGETHER: Final = _key(10, _BYTES)


def _payload(head: bytes, data: memoryview | bytes, offset: int) -> list[bytes | memoryview]:
    """`head`, padding and data, for a message that begins at `offset`."""
    start = offset + len(head) + len(_PADDING[0]) + len(_DATA) + 5
    return [head, _PADDING[-start % ALIGNMENT], _DATA, _long(len(data)), data]


@functools.lru_cache(4096)
def _tensor_head(name: str, number: int, shape: tuple[int, ...], chunked: bool) -> bytes:
    head = _text_field(1, name) + _key(2, _VARINT) + _varint(number)
    if shape:
        head += _bytes_field(3, b"".join(map(_varint, shape)))
    return head + (_key(4, _VARINT) + b"\x01" if chunked else b"")


_DOUBLE: Final = struct.Struct("<d")


def _real(field: int, value: float) -> bytes:
    return _key(field, _FIXED64) + _DOUBLE.pack(value)


_SECONDS: Final = _key(2, _FIXED64)


def _number(field: int, value: int) -> bytes:
    return _key(field, _VARINT) + _varint(value)


def _place(place: Place) -> bytes:
    return _number(1, place.segment) + _number(2, place.offset)


def _ring(ring: Ring) -> bytes:
    names = b"".join(_text_field(1, name) for name in ring.names)
    return names + _bytes_field(2, _place(ring.progress)) + _number(3, ring.capacity)


def _handle(handle: Handle) -> bytes:
    body = _text_field(1, handle.token)
    if handle.rows is not None:
        return body + _bytes_field(4, handle.rows.astype("<i8").tobytes())
    body += _number(2, handle.start)
    return body if handle.stop is None else body + _number(3, handle.stop)


def _tensors(tensors: Mapping[str, Content], offset: int) -> tuple[list[bytes | memoryview], int]:
    """The `tensors` field of a message, whose next byte is at `offset`; also its length."""
    parts: list[bytes | memoryview] = []
    start = offset
    for name, tensor in tensors.items():
        chunked = isinstance(tensor, Announcement)
        head = _tensor_head(name, dtype_number(name, tensor.dtype), tensor.shape, chunked)
        begin = offset + len(_TENSOR) + 5
        body: list[bytes | memoryview] = [head]
        if isinstance(tensor, Shared):
            body = [head + _bytes_field(5, _place(tensor.place))]
        elif not isinstance(tensor, Announcement):
            body = _payload(head, as_bytes(tensor), begin)
        length = sum(map(len, body))
        parts += [_TENSOR, _long(length), *body]
        offset = begin + length
    return parts, offset - start


def as_bytes(array: Array) -> memoryview:
    """The bytes of an array in C order, not copied where it has that order."""
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8).data


def _parameter(name: str, value: Parameter) -> bytes:
    if isinstance(value, bool | np.bool_):
        encoded = _key(3, _VARINT) + _varint(int(value))
    elif isinstance(value, int | np.integer):
        if not -(1 << 63) <= value < 1 << 63:
            raise errors.ParameterError(f"{name} = {value} does not fit 64 bits", field=name)
        encoded = _key(2, _VARINT) + _varint(int(value))
    elif isinstance(value, float | np.floating):
        encoded = _real(1, float(value))
    elif isinstance(value, str):
        encoded = _text_field(4, value)
    else:
        raise DTypeError(
            f"{name} = {value!r} must be a number or a name, not {type(value).__name__}", field=name
        )
    return _bytes_field(2, _text_field(1, name) + _bytes_field(2, encoded))


def _request_parts(request: Request, offset: int) -> list[bytes | memoryview]:
    head = _text_field(1, request.loss)
    head += b"".join(_parameter(name, value) for name, value in request.parameters.items())
    head += _text_field(3, request.reduction)
    head += b"".join(_text_field(4, name) for name in request.gradients)
    for name, place in request.places.items():
        head += _bytes_field(5, _text_field(1, name) + _bytes_field(2, _place(place)))
    if request.ring is not None:
        head += _bytes_field(6, _ring(request.ring))
    for name, handle in request.handles.items():
        head += _bytes_field(15, _text_field(1, name) + _bytes_field(6, _handle(handle)))
    parts, _ = _tensors(request.tensors, offset + len(head))
    return [head, *parts]


def _response_parts(response: Response, offset: int) -> list[bytes | memoryview]:
    head: list[bytes | memoryview] = [_text_field(1, response.warning)] if response.warning else []
    if response.seconds:
        head += [_SECONDS, memoryview(_DOUBLE.pack(response.seconds))]
    parts, _ = _tensors(response.tensors, offset + sum(map(len, head)))
    return [*head, *parts]


def write_request(request: Request) -> bytes:
    """An `EvaluateRequest`."""
    return b"".join(_request_parts(request, 0))


def write_response(response: Response) -> bytes:
    """An `EvaluateResponse`."""
    return b"".join(_response_parts(response, 0))


def _id(id: int) -> bytes:
    return _ID + _varint(id)


_ID: Final = _key(1, _VARINT)


def _enveloped(
    id: bytes, number: int, parts_at: Callable[[int], list[bytes | memoryview]]
) -> list[bytes | memoryview]:
    head = id + _key(number, _BYTES)
    parts = parts_at(len(head) + 5)
    return [head, _long(sum(map(len, parts))), *parts]


StreamMessage = (
    Request | Response | Chunk | Cancel | Lease | Leased | Release
    | Register | Registered | Unregister | OpenPipes | Opened | bytes
)  # fmt: skip


def write_stream(id: int, message: StreamMessage) -> bytes:
    """An `EvaluateStreamRequest` or `EvaluateStreamResponse`; bytes are a `google.rpc.Status`."""
    head = _id(id)
    match message:
        case Request() if message.handles:
            parts = _enveloped(head, 13, lambda offset: _request_parts(message, offset))
        case Request():
            parameters = b"".join(_parameter(n, v) for n, v in message.parameters.items())
            asked = tuple(message.gradients), tuple(message.places.items())
            what = message.loss, message.reduction, *asked, parameters, message.ring
            return _templates.fill(head, what, message, _request_parts)
        case Response(_, warning, took):
            times = [_DOUBLE.pack(took)] if took else []
            told = warning, len(times)
            return _templates.fill(head, told, message, _response_parts, times)
        case Chunk(name, position, data, took):
            begin = _text_field(1, name) + _key(2, _VARINT) + _varint(position)
            begin += _real(3, took) if took else b""
            parts = _enveloped(head, 14, lambda offset: _payload(begin, data, offset))
        case Cancel():
            parts = _enveloped(head, 15, lambda offset: [])
        case Lease(size):
            parts = _enveloped(head, 12, lambda offset: [_number(1, size)])
        case Release(segment):
            parts = _enveloped(head, 11, lambda offset: [_number(1, segment)])
        case Register(tensors, seconds, stream_only):
            begin = b"" if seconds is None else _real(1, seconds)
            begin += _number(2, stream_only)
            parts = _enveloped(
                head, 9, lambda offset: [begin, *_tensors(tensors, offset + len(begin))[0]]
            )
        case Registered(token, kept):
            body = _text_field(1, token) + _real(2, kept)
            parts = _enveloped(head, 9, lambda offset: [body])
        case Unregister(token):
            parts = _enveloped(head, 8, lambda offset: [_text_field(1, token)])
        case OpenPipes():
            parts = _enveloped(head, 7, lambda offset: [])
        case Opened():
            pipes = [
                _text_field(1, p) + _number(2, i) for p, i in (message.requests, message.responses)
            ]
            body = b"".join(_bytes_field(k, pipe) for k, pipe in enumerate(pipes, 1))
            parts = _enveloped(head, 8, lambda offset: [body])
        case Leased(segment, size, path, token):
            body = _number(1, segment) + _number(2, size)
            body += _text_field(3, path) + _bytes_field(4, token)
            parts = _enveloped(head, 12, lambda offset: [body])
        case bytes():
            parts = _enveloped(head, 15, lambda offset: [message])
    return b"".join(parts)


def write_together(messages: Sequence[bytes]) -> bytes:
    """Several stream messages as one."""
    if len(messages) == 1:
        return messages[0]
    parts = [part for m in messages for part in (_TENSOR, _long(len(m)), m)]
    return b"".join([_TOGETHER, _long(sum(map(len, parts))), *parts])


def read_together(message: bytes) -> Sequence[bytes]:
    """The stream messages in one that may be several.

    Raises:
        ProtocolError: the bytes are not a protobuf message.
    """
    _, after = _read_id(message)
    if message[after : after + 1] != _TOGETHER:
        return (message,)
    if len(message) > MOST_TOGETHER:
        raise ProtocolError(
            f"messages that go together take {len(message)} bytes: at most {MOST_TOGETHER} may"
        )
    data, found = memoryview(message), list[bytes]()
    for number, kind, start, end in _fields(data, 0, len(data)):
        if number == 10 and kind == _BYTES:
            for part, part_kind, a, b in _fields(data, start, end, most=_MOST_PARTS):
                if part == 15 and part_kind == _BYTES:
                    found.append(message[a:b])
    return found


class _Templates:
    """Writes requests and responses; those that differ in values alone are written alike.

    A template is what stands before the bytes of each value, and after the last.
    """

    def __init__(self) -> None:
        self._known: dict[Any, list[bytes]] = {}

    def fill(
        self, head: bytes, what: object, message: Any, parts_of: Any, values: Sequence[bytes] = ()
    ) -> bytes:
        """The message with the id `head`.

        Args:
            head: the id.
            what: all of the message but its tensors and `values`.
            message: a request or a response.
            parts_of: writes it.
            values: what else differs, and stands before its tensors.
        """
        tensors = message.tensors
        types = tuple(
            (n, t.dtype, t.shape, t.place if type(t) is Shared else type(t))
            for n, t in tensors.items()
        )
        key = len(head), parts_of, what, types
        template = self._known.get(key)
        if template is None:
            parts = _enveloped(head, 13, lambda offset: parts_of(message, offset))
            if len(self._known) >= _FORMS:
                self._known.clear()
            template = [b""]
            for part in parts:
                if isinstance(part, memoryview):
                    template.append(b"")
                else:
                    template[-1] += part
            template[0] = template[0].removeprefix(head)
            self._known[key] = template  # complete: other threads use it
        filled: list[bytes | memoryview] = [head, template[0]]
        for value, after in zip(values, template[1:], strict=False):
            filled += (value, after)
        arrays = [t for t in tensors.values() if not isinstance(t, Announcement | Shared)]
        for array, after in zip(arrays, template[1 + len(values) :], strict=True):
            filled += (array.tobytes() if array.nbytes <= _SMALL else as_bytes(array), after)
        return b"".join(filled)


_FORMS: Final = 256  # forms of messages that are remembered
_SMALL: Final = 1 << 14  # bytes up to which a copy costs less than a view

_templates: Final = _Templates()


def split(
    tensors: Mapping[str, Content], size: int = CHUNK, rows: Collection[str] | None = None
) -> tuple[dict[str, Content], Iterator[Chunk]]:
    """Tensors as a first message holds them, and the chunks of those that are too large for it.

    Whoever computes needs the others from the start, and of those that have the rows the ones that
    are of the largest's type and shape along with it: others come first, then the chunks of these
    in turn.

    Args:
        tensors: what is sent.
        size: bytes of a chunk, and of a tensor in the first message, at most.
        rows: names of those that have the rows (`streamed.STREAMED`); any may by default.
    """
    first: dict[str, Content] = {}
    large: dict[str, Iterator[Chunk]] = {}
    for name, tensor in tensors.items():
        first[name] = tensor
        if isinstance(tensor, Announcement):
            large[name] = tensor.chunks(name)
        elif not isinstance(tensor, Shared) and tensor.nbytes > size:
            dtype_number(name, tensor.dtype)  # a type that has bytes
            first[name] = Announcement(tensor.dtype, tensor.shape)
            large[name] = chunks_of(name, tensor, size=size)
    coming = [name for name in large if rows is None or name in rows]
    kinds = {name: (tensors[name].dtype, tensors[name].shape) for name in coming}
    largest = max(coming, key=lambda name: tensors[name].nbytes, default="")
    together = [name for name in coming if kinds[name] == kinds[largest]]
    before = [chunks for name, chunks in large.items() if name not in together]
    return first, itertools.chain(*before, _in_turn([large[name] for name in together]))


def _in_turn(tensors: list[Iterator[Chunk]]) -> Iterator[Chunk]:
    """The chunks of several tensors, always of one that is behind."""
    sent = dict.fromkeys(range(len(tensors)), 0)
    while sent:
        behind = min(sent, key=lambda k: sent[k])
        chunk = next(tensors[behind], None)
        if chunk is None:
            del sent[behind]
        else:
            sent[behind] = chunk.offset + len(chunk.data)
            yield chunk


def chunks_of(name: str, array: Array, start: int = 0, size: int = CHUNK) -> Iterator[Chunk]:
    """The bytes of an array, `start` bytes into a tensor, in chunks: of whole rows if these fit."""
    data = as_bytes(array)
    row = math.prod(array.shape[-1:]) * array.itemsize
    step = size - size % row if 0 < row <= size else size
    return (
        Chunk(name, start + offset, data[offset : offset + step])
        for offset in range(0, len(data), step)
    )


# --- reading -----------------------------------------------------------------------------------


def _fields(
    data: memoryview, start: int, end: int, most: int = MOST_FIELDS
) -> Iterator[tuple[int, int, int, int]]:
    """(field number, wire type, value or start, end) of each field of a message.

    Raises:
        ProtocolError: the bytes are not a protobuf message, or it has more than `most` fields.
    """
    position = start
    left = most
    while position < end:
        left -= 1
        if left < 0:
            raise ProtocolError(f"a message has more than {most} fields")
        key, position = _read_varint(data, position, end)
        number, kind = key >> 3, key & 7
        if kind == _VARINT:
            value, position = _read_varint(data, position, end)
            yield number, kind, value, position
            continue
        if kind == _BYTES:
            length, position = _read_varint(data, position, end)
        elif kind in (_FIXED64, _FIXED32):
            length = 8 if kind == _FIXED64 else 4
        else:
            raise ProtocolError(f"not a protobuf message: wire type {kind} at byte {position}")
        if length > end - position:
            raise ProtocolError(
                f"message ends early: field {number} needs {length} bytes and has {end - position}"
            )
        yield number, kind, position, position + length
        position += length


def _read_varint(data: memoryview | bytes, position: int, end: int) -> tuple[int, int]:
    value = shift = 0
    while position < end and shift < 70:
        byte = data[position]
        position += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value & ((1 << 64) - 1), position
        shift += 7
    raise ProtocolError(f"not a protobuf message: a number does not end at byte {position}")


def _expect(kind: int, expected: int, number: int) -> None:
    if kind != expected:
        raise ProtocolError(f"field {number} has wire type {kind} and should have {expected}")


def _text(data: memoryview, start: int, end: int) -> str:
    try:
        return str(data[start:end], "utf-8")
    except UnicodeDecodeError as error:
        raise ProtocolError(f"a name is not UTF-8: {error}") from error


def _read_real(data: memoryview, start: int) -> float:
    value: float = struct.unpack_from("<d", data, start)[0]
    return value


def _signed(value: int) -> int:
    return value - (1 << 64) if value >> 63 else value


def _read_place(data: memoryview, start: int, end: int) -> Place:
    numbers = _read_numbers(data, start, end)
    return Place(numbers.get(1, 0), numbers.get(2, 0))


def _read_numbers(data: memoryview, start: int, end: int) -> dict[int, int]:
    """The whole numbers among a message's fields."""
    return {n: a for n, kind, a, _ in _fields(data, start, end) if kind == _VARINT}


def _read_handle(data: memoryview, start: int, end: int) -> Handle:
    token, first, stop, rows = "", 0, None, None
    for number, kind, a, b in _fields(data, start, end):
        match number:
            case 1:
                _expect(kind, _BYTES, 1)
                token = _text(data, a, b)
            case 2:
                _expect(kind, _VARINT, 2)
                first = _signed(a)
            case 3:
                _expect(kind, _VARINT, 3)
                stop = _signed(a)
            case 4:
                _expect(kind, _BYTES, 4)
                if (b - a) % 8:
                    raise ProtocolError(f"row numbers take 8 bytes each: there are {b - a}")
                rows = np.frombuffer(bytes(data[a:b]), "<i8")
    return Handle(token, first, stop, rows)


def _read_register(data: memoryview, start: int, end: int) -> Register:
    tensors: dict[str, Content] = {}
    seconds, stream_only = None, False
    for number, kind, a, b in _fields(data, start, end):
        if number == 1:
            _expect(kind, _FIXED64, 1)
            seconds = _read_real(data, a)
        elif number == 2:
            _expect(kind, _VARINT, 2)
            stream_only = bool(a)
        elif number == 15:
            _expect(kind, _BYTES, 15)
            name, tensor = _read_tensor(data, a, b)
            if isinstance(tensor, Handle):
                raise ProtocolError("a tensor that is kept already cannot be registered")
            tensors = {name: tensor}
    if len(tensors) != 1:
        raise ProtocolError("there is no tensor to register")
    if seconds is not None and not seconds > 0:
        raise ProtocolError(f"seconds = {seconds} must be > 0", field="seconds")
    return Register(tensors, seconds, stream_only)


def _read_registered(data: memoryview, start: int, end: int) -> Registered:
    token, seconds = "", 0.0
    for number, kind, a, b in _fields(data, start, end):
        if number == 1 and kind == _BYTES:
            token = _text(data, a, b)
        elif number == 2 and kind == _FIXED64:
            seconds = _read_real(data, a)
    return Registered(token, seconds)


def _read_tensor(data: memoryview, start: int, end: int) -> tuple[str, Content | Handle]:
    name, number, chunked, place, handle = "", 0, False, None, None
    shape: list[int] = []
    content = (end, end)
    for field_number, kind, a, b in _fields(data, start, end):
        match field_number:
            case 1:
                _expect(kind, _BYTES, 1)
                name = _text(data, a, b)
            case 2:
                _expect(kind, _VARINT, 2)
                number = a
            case 3 if kind == _VARINT:  # unpacked, which protobuf allows
                shape.append(_signed(a))
            case 3:
                _expect(kind, _BYTES, 3)
                position = a
                while position < b and len(shape) <= MOST_DIMENSIONS:
                    length, position = _read_varint(data, position, b)
                    shape.append(_signed(length))
            case 4:
                _expect(kind, _VARINT, 4)
                chunked = bool(a)
            case 5:
                _expect(kind, _BYTES, 5)
                place = _read_place(data, a, b)
            case 6:
                _expect(kind, _BYTES, 6)
                handle = (a, b)
            case 15:
                _expect(kind, _BYTES, 15)
                content = (a, b)
    if handle is not None:
        return name, _read_handle(data, *handle)
    if number not in DTYPES:
        raise DTypeError(
            f"tensor {name!r} has the unknown or unsupported type {number}", field=name
        )
    dtype, dimensions = DTYPES[number], tuple(shape)
    if any(length < 0 for length in dimensions) or len(dimensions) > MOST_DIMENSIONS:
        raise ProtocolError(f"tensor {name!r} has the impossible shape {dimensions}", field=name)
    announced = Announcement(dtype, dimensions)
    if math.prod(filter(None, dimensions)) * dtype.itemsize >= 1 << 62:
        raise ProtocolError(
            f"tensor {name!r} has a shape too large to exist: {dimensions}", field=name
        )
    if chunked:
        return name, announced
    if place is not None:
        return name, Shared(dtype, dimensions, place)
    size = content[1] - content[0]
    if size != announced.nbytes:
        raise ProtocolError(
            f"tensor {name!r} {dimensions} of {dtype} needs {announced.nbytes} bytes "
            f"and has {size}",
            field=name,
        )
    count = math.prod(dimensions)
    return name, np.frombuffer(data, dtype, count, content[0]).reshape(dimensions) if count else (
        np.empty(dimensions, dtype)
    )


def _read_parameter(data: memoryview, start: int, end: int) -> Parameter | None:
    value: Parameter | None = None
    for number, kind, a, b in _fields(data, start, end):
        match number:
            case 4:
                _expect(kind, _BYTES, 4)
                value = _text(data, a, b)
            case 1:
                _expect(kind, _FIXED64, 1)
                value = _read_real(data, a)
            case 2:
                _expect(kind, _VARINT, 2)
                value = _signed(a)
            case 3:
                _expect(kind, _VARINT, 3)
                value = bool(a)
    return value


class _Form(NamedTuple):
    """A message without the bytes of its tensors: equal in most of a client's calls.

    fixed: what stands between these, with its place after the id.
    tensors: name, type, place after the id, and shape of each that is in the message.
    seconds: where a response's are, after the id; 0 if it has none.
    message: the request or response, whose tensors are complete but for these.
    """

    fixed: tuple[tuple[int, int, bytes], ...]
    tensors: tuple[tuple[str, np.dtype[Any], int, tuple[int, ...]], ...]
    seconds: int
    message: Request | Response

    def fits(self, message: bytes, start: int) -> bool:
        """Whether it is that of a message whose id ends at `start`."""
        return all(message[start + a : start + b] == expected for a, b, expected in self.fixed)


class _Forms:
    """Reads small stream messages of a form seen before without taking them apart again.

    Args:
        opening: bytes after the id, before any tensor's, by which forms are looked up.
    """

    def __init__(self, opening: int) -> None:
        self._opening = opening
        self._known: dict[tuple[int, bytes], list[_Form]] = {}

    def forget(self) -> None:
        """Forget all forms."""
        self._known.clear()

    def _key(self, message: bytes, start: int) -> tuple[int, bytes]:
        return len(message) - start, message[start : start + self._opening]

    def read(self, message: bytes, start: int) -> Any:
        """The request or response in a message whose id ends at `start`; None if not known."""
        for form in self._known.get(self._key(message, start), ()):
            if form.fits(message, start):
                break
        else:
            return None
        tensors: dict[str, Content] = dict(form.message.tensors)
        for name, dtype, at, shape in form.tensors:
            tensors[name] = np.ndarray(shape, dtype, message, start + at)
        found = form.message.with_tensors(tensors)
        if form.seconds and isinstance(found, Response):
            (found.seconds,) = _DOUBLE.unpack_from(message, start + form.seconds)
        return found

    def learn(self, message: bytes, start: int, found: Request | Response) -> None:
        """Remember the form of a message."""
        arrays = {n: t for n, t in found.tensors.items() if isinstance(t, np.ndarray) and t.size}
        shared = [n for n, t in found.tensors.items() if isinstance(t, Shared)]
        if len(arrays) + len(shared) < len(found.tensors) or len(message) > 1 << 16:
            return  # empty or announced tensors, or enough else to do: nothing to gain
        if len(message) - sum(array.nbytes for array in arrays.values()) > _LARGEST:
            return
        if isinstance(found, Request) and found.handles:
            return  # rows differ from call to call
        base = address_of(np.frombuffer(message, np.uint8)) + start
        tensors = tuple((n, t.dtype, address_of(t) - base, t.shape) for n, t in arrays.items())
        holes = [(at, at + arrays[name].nbytes) for name, _, at, _ in tensors]
        seconds = 0
        if isinstance(found, Response) and found.seconds:
            if found.warning:
                return  # it might hold the bytes that are looked for
            at = message.find(_SECONDS + _DOUBLE.pack(found.seconds), start)
            seconds = at + len(_SECONDS) - start
            if at < 0 or any(seconds > begin for begin, _ in holes):
                return  # written otherwise, or it may be within a tensor
            holes.append((seconds, seconds + _DOUBLE.size))
        edges = [0, *itertools.chain(*sorted(holes)), len(message) - start]
        spans = zip(edges[::2], edges[1::2], strict=True)
        fixed = tuple((a, b, message[start + a : start + b]) for a, b in spans)
        if len(self._known) >= _FORMS:
            self.forget()
        key = self._key(message, start)
        no_data: dict[str, Content] = dict.fromkeys(arrays, _NO_DATA)
        form = _Form(fixed, tensors, seconds, found.with_tensors(dict(found.tensors) | no_data))
        self._known[key] = [form, *self._known.get(key, [])[: _ALIKE - 1]]


_NO_DATA: Final = np.empty(0, np.uint8)
_LARGEST: Final = 4096  # bytes of a form
_ALIKE: Final = 8  # forms that begin alike: of memory that is used in turn, among others


def address_of(array: Array) -> int:
    """Where an array's memory begins."""
    return int(array.__array_interface__["data"][0])


def read_request(data: memoryview, start: int = 0, end: int | None = None) -> Request:
    """An `EvaluateRequest`; its arrays are views of `data`.

    Raises:
        ProtocolError: the bytes are not one.
        DTypeError: a tensor has a type that is unknown here.
    """
    request = Request(
        "", tensors := {}, parameters := {}, "mean", gradients := [], places := {}, handles := {}
    )
    for number, kind, a, b in _fields(data, start, len(data) if end is None else end):
        if number in (1, 2, 3, 4, 5, 6, 15):
            _expect(kind, _BYTES, number)
        match number:
            case 1:
                request.loss = _text(data, a, b)
            case 2:
                name, value = "", None
                for part, part_kind, c, d in _fields(data, a, b):
                    _expect(part_kind, _BYTES, part)
                    if part == 1:
                        name = _text(data, c, d)
                    elif part == 2:
                        value = _read_parameter(data, c, d)
                if value is None:
                    raise ProtocolError(f"parameter {name!r} has no value", field=name)
                parameters[name] = value
            case 3:
                request.reduction = _text(data, a, b) or "mean"
            case 4:
                gradients.append(_text(data, a, b))
            case 5:
                name, place = _read_gradient_place(data, a, b)
                places[name] = place
            case 6:
                request.ring = _read_ring(data, a, b)
            case 15:
                name, tensor = _read_tensor(data, a, b)
                if name in tensors or name in handles:
                    raise ProtocolError(f"tensor {name!r} is there twice", field=name)
                if isinstance(tensor, Handle):
                    handles[name] = tensor
                else:
                    tensors[name] = tensor
    return request


def _read_gradient_place(data: memoryview, start: int, end: int) -> tuple[str, Place]:
    name, place = "", Place(0, 0)
    for number, kind, a, b in _fields(data, start, end):
        _expect(kind, _BYTES, number)
        if number == 1:
            name = _text(data, a, b)
        elif number == 2:
            place = _read_place(data, a, b)
    return name, place


def _read_ring(data: memoryview, start: int, end: int) -> Ring:
    names, place, capacity = list[str](), Place(0, 0), 0
    for number, kind, a, b in _fields(data, start, end):
        _expect(kind, _VARINT if number == 3 else _BYTES, number)
        if number == 1:
            names.append(_text(data, a, b))
        elif number == 2:
            place = _read_place(data, a, b)
        elif number == 3:
            capacity = a
    return Ring(tuple(names), place, capacity)


def read_response(data: memoryview, start: int = 0, end: int | None = None) -> Response:
    """An `EvaluateResponse`; its arrays are views of `data`."""
    response = Response(tensors := {})
    for number, kind, a, b in _fields(data, start, len(data) if end is None else end):
        if number in (1, 15):
            _expect(kind, _BYTES, number)
        if number == 1:
            response.warning = _text(data, a, b)
        elif number == 2:
            _expect(kind, _FIXED64, 2)
            response.seconds = _read_real(data, a)
        elif number == 15:
            name, tensor = _read_tensor(data, a, b)
            if isinstance(tensor, Handle):
                raise ProtocolError(f"{name!r} is a handle, which is no answer")
            tensors[name] = tensor
    return response


def _read_leased(data: memoryview, start: int, end: int) -> Leased:
    numbers, path, token = _read_numbers(data, start, end), "", b""
    for number, kind, a, b in _fields(data, start, end):
        if number == 3 and kind == _BYTES:
            path = _text(data, a, b)
        elif number == 4 and kind == _BYTES:
            token = bytes(data[a:b])
    return Leased(numbers.get(1, 0), numbers.get(2, 0), path, token)


def _read_opened(data: memoryview, start: int, end: int) -> Opened:
    pipes = {1: ("", 0), 2: ("", 0)}
    for number, kind, a, b in _fields(data, start, end):
        if number in pipes and kind == _BYTES:
            path = _first_text(data[a:b])
            pipes[number] = path, _read_numbers(data, a, b).get(2, 0)
    return Opened(pipes[1], pipes[2])


def _read_chunk(data: memoryview, start: int, end: int) -> Chunk:
    name, offset, content, seconds = "", 0, data[:0], 0.0
    for number, kind, a, b in _fields(data, start, end):
        match number:
            case 1:
                _expect(kind, _BYTES, 1)
                name = _text(data, a, b)
            case 2:
                _expect(kind, _VARINT, 2)
                offset = a
            case 3:
                _expect(kind, _FIXED64, 3)
                seconds = _read_real(data, a)
            case 15:
                _expect(kind, _BYTES, 15)
                content = data[a:b]
    return Chunk(name, offset, content, seconds)


def _read_envelope(data: memoryview) -> tuple[int, int, int, int]:
    id, message = 0, (0, 0, 0)
    for number, kind, a, b in _fields(data, 0, len(data)):
        if number == 1:
            _expect(kind, _VARINT, 1)
            id = a
        elif number in (7, 8, 9, 11, 12, 13, 14, 15):
            _expect(kind, _BYTES, number)
            message = (number, a, b)
    return id, *message


def _read_id(message: bytes) -> tuple[int, int]:
    """The id that a message begins with, and where it ends; (0, 0) if it begins otherwise."""
    if message[:1] != _ID:
        return 0, 0
    return _read_varint(message, 1, len(message))


Asked = (
    Request | Chunk | Cancel | Lease | Release | Register | Unregister | OpenPipes | LossdError
)  # fmt: skip
Answered = Response | Chunk | Leased | Registered | Opened | LossdError


def read_stream_request(message: bytes) -> tuple[int, Asked]:
    """An `EvaluateStreamRequest`: its id and what it holds, or why that cannot be read.

    Raises:
        ProtocolError: not even an id can be read.
    """
    first, place = _read_id(message)
    known = _request_forms.read(message, place) if place else None
    if known is not None:
        return first, known
    data = memoryview(message)
    id, number, start, end = _read_envelope(data)
    try:
        match number:
            case 13:
                request = read_request(data, start, end)
                if place and id == first:
                    _request_forms.learn(message, place, request)
                return id, request
            case 14:
                return id, _read_chunk(data, start, end)
            case 15:
                return id, Cancel()
            case 12:
                return id, Lease(_read_numbers(data, start, end).get(1, 0))
            case 11:
                return id, Release(_read_numbers(data, start, end).get(1, 0))
            case 9:
                return id, _read_register(data, start, end)
            case 8:
                return id, Unregister(_first_text(data[start:end]))
            case 7:
                return id, OpenPipes()
    except LossdError as error:
        return id, error
    return id, ProtocolError("the message holds neither an evaluation, a chunk nor a cancellation")


def read_stream_response(message: bytes) -> tuple[int, Answered]:
    """An `EvaluateStreamResponse`: its id and what it holds."""
    first, place = _read_id(message)
    known = _response_forms.read(message, place) if place else None
    if known is not None:
        return first, known
    data = memoryview(message)
    id, number, start, end = _read_envelope(data)
    match number:
        case 13:
            response = read_response(data, start, end)
            if place and id == first:
                _response_forms.learn(message, place, response)
            return id, response
        case 14:
            return id, _read_chunk(data, start, end)
        case 15:
            return id, read_status(message[start:end])
        case 12:
            return id, _read_leased(data, start, end)
        case 9:
            return id, _read_registered(data, start, end)
        case 8:
            return id, _read_opened(data, start, end)
    raise ProtocolError("the message holds neither a result, a chunk nor an error")


_request_forms: Final = _Forms(24)  # its length, and most of the loss's name
_response_forms: Final = _Forms(7)  # its length, and whether it tells a time


# --- errors ------------------------------------------------------------------------------------

_BY_REASON: Final = {
    kind.reason: kind for name in errors.__all__ for kind in [getattr(errors, name)]
}
_BY_CODE: Final = {
    kind.code: kind
    for kind in (
        errors.ProtocolError, errors.LabelError, errors.ResourceError, errors.UnavailableError,
        errors.DeadlineError, errors.CancelledError, errors.InternalError,
    )
}  # fmt: skip


def error_for(code: int, message: str, reason: str = "", field: str = "") -> LossdError:
    """The error of a gRPC status, by its reason, or by its code where the reason is unknown."""
    kind: type[LossdError] = _BY_REASON.get(reason) or _BY_CODE.get(code) or LossdError
    return kind(message, field=field)


def read_status(status: bytes) -> LossdError:
    """The error in a `google.rpc.Status`."""
    data = memoryview(status)
    code, message, reason, at_fault = 2, "", "", ""
    for number, kind, a, b in _fields(data, 0, len(data)):
        if number == 1 and kind == _VARINT:
            code = a
        elif number == 2 and kind == _BYTES:
            message = _text(data, a, b)
        elif number == 3 and kind == _BYTES:
            detail = {part: data[c:d] for part, _, c, d in _fields(data, a, b)}
            url, value = bytes(detail.get(1, b"")), detail.get(2, data[:0])
            if url.endswith(b"google.rpc.ErrorInfo"):
                reason = _first_text(value)
            elif url.endswith(b"google.rpc.BadRequest"):
                fields = _fields(value, 0, len(value))
                violation = next((value[c:d] for n, _, c, d in fields if n == 1), value[:0])
                at_fault = _first_text(violation)
    return error_for(code, message, reason, at_fault)


def _first_text(message: memoryview) -> str:
    """Field 1 of a message, a string."""
    for number, kind, a, b in _fields(message, 0, len(message)):
        if number == 1 and kind == _BYTES:
            return _text(message, a, b)
    return ""
