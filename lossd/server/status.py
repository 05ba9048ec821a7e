"""Errors to `google.rpc.Status`."""

import itertools
from typing import Any, Final, NoReturn, TypeVar

import grpc
from google.protobuf import any_pb2
from google.protobuf.message import DecodeError, Message
from google.rpc import error_details_pb2, status_pb2
from lossd_client.errors import LossdError, ProtocolError

T = TypeVar("T", bound=Message)

DOMAIN: Final = "lossd"
LONGEST: Final = 1500
"""Bytes of a message: gRPC limits the metadata that it travels in, three times, to 8 KiB."""
_LONGEST_FIELD: Final = 200

_CODES: Final = {code.value[0]: code for code in grpc.StatusCode}


def text_of(error: LossdError) -> str:
    """The message of an error, as much of it as can travel."""
    return _cut(str(error), LONGEST)


def _cut(text: str, most: int) -> str:
    """A text of so many bytes in headers at most, where those of letters beyond ASCII triple."""
    start = text[:most]  # not a look at each letter of a message's 60 MiB
    sizes = (1 if c.isascii() else 3 * len(c.encode(errors="replace")) for c in start)
    there = sum(size <= most for size in itertools.accumulate(sizes))
    return text if there == len(text) else text[: there - 1] + "…"


def status_of(error: LossdError) -> bytes:
    """A serialised `google.rpc.Status` with ErrorInfo, and BadRequest for an argument at fault."""
    text = text_of(error)
    details = [error_details_pb2.ErrorInfo(reason=error.reason, domain=DOMAIN)]
    if error.field:
        violation = error_details_pb2.BadRequest.FieldViolation(
            field=_cut(error.field, _LONGEST_FIELD), description=text
        )
        details.append(error_details_pb2.BadRequest(field_violations=[violation]))
    packed = []
    for detail in details:
        packed.append(any_pb2.Any())
        packed[-1].Pack(detail)
    status = status_pb2.Status(code=error.code, message=text, details=packed)
    return bytes(status.SerializeToString())


async def aborted(context: "grpc.aio.ServicerContext[Any, Any]", error: LossdError) -> NoReturn:
    """End a call with an error."""
    context.set_trailing_metadata((("grpc-status-details-bin", status_of(error)),))
    await context.abort(_CODES[error.code], text_of(error))
    raise AssertionError("abort raises") from error


def parsed(kind: type[T], message: bytes) -> T:
    """A request; gRPC's own reading would answer what is none with a status without details.

    Raises:
        ProtocolError: it is none.
    """
    try:
        return kind.FromString(message)
    except DecodeError as error:
        raise ProtocolError(f"the message is no {kind.DESCRIPTOR.name}") from error
