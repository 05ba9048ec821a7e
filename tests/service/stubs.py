"""lossd.v1 as any program speaks it: stock grpc and protobuf, none of lossd's own code."""

import queue
from collections.abc import Iterator, Sequence
from typing import Any, Self

import grpc
import numpy as np
import numpy.typing as npt
from google.protobuf import message as protobuf
from google.rpc import error_details_pb2, status_pb2
from lossd_client._gen.lossd.v1 import catalog_pb2, loss_service_pb2, tensor_pb2
from lossd_client.dtypes import BFLOAT16, named

Array = npt.NDArray[Any]
Message = protobuf.Message | bytes
Answer = loss_service_pb2.EvaluateStreamResponse

SERVICE = "/lossd.v1.LossService/"
PATIENCE = 60.0
TYPES: dict[str, int] = {
    "float32": tensor_pb2.DTYPE_FLOAT32,
    "float64": tensor_pb2.DTYPE_FLOAT64,
    "float16": tensor_pb2.DTYPE_FLOAT16,
    "bfloat16": tensor_pb2.DTYPE_BFLOAT16,
    "bool": tensor_pb2.DTYPE_BOOL,
    "int8": tensor_pb2.DTYPE_INT8,
    "int16": tensor_pb2.DTYPE_INT16,
    "int32": tensor_pb2.DTYPE_INT32,
    "int64": tensor_pb2.DTYPE_INT64,
    "uint8": tensor_pb2.DTYPE_UINT8,
    "uint16": tensor_pb2.DTYPE_UINT16,
    "uint32": tensor_pb2.DTYPE_UINT32,
    "uint64": tensor_pb2.DTYPE_UINT64,
}


def tensor(name: str, array: npt.ArrayLike, *, chunked: bool = False) -> tensor_pb2.Tensor:
    """An array as a message, with its bytes unless they come in chunks."""
    array = np.asarray(array)
    data = b"" if chunked else array.tobytes()
    dtype: Any = TYPES[named(array.dtype)]
    return tensor_pb2.Tensor(name=name, dtype=dtype, shape=array.shape, chunked=chunked, data=data)


def array(message: tensor_pb2.Tensor, data: bytes | None = None) -> Array:
    """A message, or the bytes of its chunks, as an array."""
    name = next(name for name, number in TYPES.items() if number == message.dtype)
    dtype = BFLOAT16 if name == "bfloat16" else np.dtype(name)
    return np.frombuffer(message.data if data is None else data, dtype).reshape(message.shape)


def request(
    loss: str, gradients: Sequence[str] = (), reduction: str = "", **arrays: npt.ArrayLike
) -> loss_service_pb2.EvaluateRequest:
    """An evaluation of arrays."""
    return loss_service_pb2.EvaluateRequest(
        loss=loss,
        reduction=reduction,
        gradients=gradients,
        tensors=[tensor(name, value) for name, value in arrays.items()],
    )


def begin(id: int, message: loss_service_pb2.EvaluateRequest) -> Message:
    """The first message of an evaluation on a stream."""
    return loss_service_pb2.EvaluateStreamRequest(id=id, evaluate=message)


def chunk(id: int, name: str, offset: int, data: bytes) -> Message:
    """A piece of a tensor."""
    piece = tensor_pb2.TensorChunk(name=name, offset=offset, data=data)
    return loss_service_pb2.EvaluateStreamRequest(id=id, chunk=piece)


def chunks(id: int, name: str, data: bytes, size: int = 1 << 20) -> Iterator[Message]:
    """All pieces of a tensor."""
    return (chunk(id, name, k, data[k : k + size]) for k in range(0, len(data), size))


def cancel(id: int) -> Message:
    """Give an evaluation up."""
    return loss_service_pb2.EvaluateStreamRequest(id=id, cancel=loss_service_pb2.CancelEvaluation())


def _serialized(message: Message) -> bytes:
    return message if isinstance(message, bytes) else message.SerializeToString()


class Stub:
    """The three methods. Messages may be given as bytes, to send what is none."""

    def __init__(self, address: str) -> None:
        self.channel = grpc.insecure_channel(
            address,
            [
                ("grpc.max_receive_message_length", -1),
                ("grpc.http2.bdp_probe", 0),  # keeps little of what is not heard
                ("grpc.use_local_subchannel_pool", 1),
            ],
        )
        self._list = self.channel.unary_unary(
            SERVICE + "ListLosses",
            catalog_pb2.ListLossesRequest.SerializeToString,
            catalog_pb2.ListLossesResponse.FromString,
        )
        self._evaluate = self.channel.unary_unary(
            SERVICE + "Evaluate", _serialized, loss_service_pb2.EvaluateResponse.FromString
        )
        self._stream = self.channel.stream_stream(
            SERVICE + "EvaluateStream", _serialized, Answer.FromString
        )

    def list_losses(self) -> catalog_pb2.ListLossesResponse:
        return self._list(catalog_pb2.ListLossesRequest(), timeout=PATIENCE)

    def evaluate(
        self, message: Message, timeout: float = PATIENCE
    ) -> loss_service_pb2.EvaluateResponse:
        return self._evaluate(message, timeout=timeout)

    def evaluate_later(self, message: Message, timeout: float = PATIENCE) -> Any:
        """A call that is under way."""
        return self._evaluate.future(message, timeout=timeout)

    def refused(self, message: Message) -> status_pb2.Status:
        """The status with which a message is refused."""
        try:
            response = self.evaluate(message)
        except grpc.RpcError as error:
            return status_of(error)
        raise AssertionError(f"not refused, but answered: {str(response)[:200]}")

    def stream(self) -> "Conversation":
        return Conversation(self._stream)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.channel.close()


class Conversation:
    """One open stream: say something, hear an answer."""

    def __init__(self, method: Any) -> None:
        self._outgoing: queue.SimpleQueue[Message | None] = queue.SimpleQueue()
        self.call = method(iter(self._outgoing.get, None), timeout=PATIENCE)

    def say(self, *messages: Message) -> None:
        for message in messages:
            self._outgoing.put(message)

    def hear(self) -> Answer:
        """The next message of the server's."""
        return next(self.call)

    def hear_error(self, id: int) -> status_pb2.Status:
        """The next message, which must be the error of this evaluation."""
        answer = self.hear()
        assert answer.id == id, str(answer)[:500]
        assert answer.WhichOneof("message") == "error", str(answer)[:500]
        return answer.error

    @property
    def unsent(self) -> int:
        """Messages that gRPC did not take yet."""
        return self._outgoing.qsize()

    def hear_result(self, id: int) -> dict[str, Array]:
        """The next answer, which must be the result of this evaluation, with its chunks."""
        answer = self.hear()
        assert answer.id == id, str(answer)[:500]
        assert answer.WhichOneof("message") == "result", str(answer)[:500]
        return self._complete(id, answer.result)

    def _complete(self, id: int, result: loss_service_pb2.EvaluateResponse) -> dict[str, Array]:
        arrays = {t.name: array(t) for t in result.tensors if not t.chunked}
        missing = {t.name: t for t in result.tensors if t.chunked}
        received = {name: bytearray() for name in missing}
        size = {n: int(np.prod(t.shape)) * array_size(t) for n, t in missing.items()}
        while any(len(received[name]) < size[name] for name in missing):
            answer = self.hear()
            assert answer.id == id, str(answer)[:500]
            assert answer.chunk.offset == len(received[answer.chunk.name])
            received[answer.chunk.name] += answer.chunk.data
        return arrays | {n: array(t, bytes(received[n])) for n, t in missing.items()}

    def end(self) -> list[Answer]:
        """Send no more; what is still answered."""
        self._outgoing.put(None)
        return list(self.call)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._outgoing.put(None)
        self.call.cancel()


def array_size(message: tensor_pb2.Tensor) -> int:
    """Bytes of one element."""
    return next(np.dtype(n).itemsize for n, number in TYPES.items() if number == message.dtype)


def status_of(error: grpc.RpcError) -> status_pb2.Status:
    """The google.rpc.Status that came with an error."""
    details = dict(error.trailing_metadata() or ())
    assert "grpc-status-details-bin" in details, f"no details: {error}"
    status = status_pb2.Status.FromString(details["grpc-status-details-bin"])
    assert status.code == error.code().value[0]
    assert status.message == error.details()
    return status


def reason_of(status: status_pb2.Status) -> str:
    """The reason of a status, whose domain must be ours."""
    info = error_details_pb2.ErrorInfo()
    found = [d for d in status.details if d.Is(info.DESCRIPTOR)]
    assert len(found) == 1, status
    found[0].Unpack(info)
    assert info.domain == "lossd"
    return info.reason


def field_of(status: status_pb2.Status) -> str:
    """The argument that a status says is at fault, or ""."""
    bad = error_details_pb2.BadRequest()
    for detail in status.details:
        if detail.Is(bad.DESCRIPTOR):
            detail.Unpack(bad)
            assert len(bad.field_violations) == 1
            assert bad.field_violations[0].description == status.message
            return bad.field_violations[0].field
    return ""
