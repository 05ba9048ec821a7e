"""Errors to `google.rpc.Status`."""

from typing import Any, Final, NoReturn

import grpc
from google.protobuf import any_pb2
from google.rpc import error_details_pb2, status_pb2
from lossd_client.errors import LossdError

DOMAIN: Final = "lossd"
LONGEST: Final = 800
"""Characters of a message: gRPC limits the metadata that it travels in, three times, to 8 KiB."""


_CODES: Final = {code.value[0]: code for code in grpc.StatusCode}


def text_of(error: LossdError) -> str:
    """The message of an error, as much of it as can travel."""
    text = str(error)
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


def status_of(error: LossdError) -> bytes:
    """A serialised `google.rpc.Status` with ErrorInfo, and BadRequest for an argument at fault."""
    text = text_of(error)
    details = [error_details_pb2.ErrorInfo(reason=error.reason, domain=DOMAIN)]
    if error.field:
        violation = error_details_pb2.BadRequest.FieldViolation(
            field=error.field[:LONGEST], description=text
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
