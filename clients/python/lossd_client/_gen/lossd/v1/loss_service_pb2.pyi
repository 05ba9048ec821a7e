# Made by `make gen`.
from google.rpc import status_pb2 as _status_pb2
from lossd_client._gen.lossd.v1 import catalog_pb2 as _catalog_pb2
from lossd_client._gen.lossd.v1 import tensor_pb2 as _tensor_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class EvaluateRequest(_message.Message):
    __slots__ = ("loss", "parameters", "reduction", "gradients", "places", "ring", "tensors")
    class ParametersEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: _tensor_pb2.ParameterValue
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[_tensor_pb2.ParameterValue, _Mapping]] = ...) -> None: ...
    LOSS_FIELD_NUMBER: _ClassVar[int]
    PARAMETERS_FIELD_NUMBER: _ClassVar[int]
    REDUCTION_FIELD_NUMBER: _ClassVar[int]
    GRADIENTS_FIELD_NUMBER: _ClassVar[int]
    PLACES_FIELD_NUMBER: _ClassVar[int]
    RING_FIELD_NUMBER: _ClassVar[int]
    TENSORS_FIELD_NUMBER: _ClassVar[int]
    loss: str
    parameters: _containers.MessageMap[str, _tensor_pb2.ParameterValue]
    reduction: str
    gradients: _containers.RepeatedScalarFieldContainer[str]
    places: _containers.RepeatedCompositeFieldContainer[GradientPlace]
    ring: Ring
    tensors: _containers.RepeatedCompositeFieldContainer[_tensor_pb2.Tensor]
    def __init__(self, loss: _Optional[str] = ..., parameters: _Optional[_Mapping[str, _tensor_pb2.ParameterValue]] = ..., reduction: _Optional[str] = ..., gradients: _Optional[_Iterable[str]] = ..., places: _Optional[_Iterable[_Union[GradientPlace, _Mapping]]] = ..., ring: _Optional[_Union[Ring, _Mapping]] = ..., tensors: _Optional[_Iterable[_Union[_tensor_pb2.Tensor, _Mapping]]] = ...) -> None: ...

class GradientPlace(_message.Message):
    __slots__ = ("name", "place")
    NAME_FIELD_NUMBER: _ClassVar[int]
    PLACE_FIELD_NUMBER: _ClassVar[int]
    name: str
    place: _tensor_pb2.MemoryPlace
    def __init__(self, name: _Optional[str] = ..., place: _Optional[_Union[_tensor_pb2.MemoryPlace, _Mapping]] = ...) -> None: ...

class Ring(_message.Message):
    __slots__ = ("names", "progress", "capacity")
    NAMES_FIELD_NUMBER: _ClassVar[int]
    PROGRESS_FIELD_NUMBER: _ClassVar[int]
    CAPACITY_FIELD_NUMBER: _ClassVar[int]
    names: _containers.RepeatedScalarFieldContainer[str]
    progress: _tensor_pb2.MemoryPlace
    capacity: int
    def __init__(self, names: _Optional[_Iterable[str]] = ..., progress: _Optional[_Union[_tensor_pb2.MemoryPlace, _Mapping]] = ..., capacity: _Optional[int] = ...) -> None: ...

class EvaluateResponse(_message.Message):
    __slots__ = ("warning", "compute_seconds", "tensors")
    WARNING_FIELD_NUMBER: _ClassVar[int]
    COMPUTE_SECONDS_FIELD_NUMBER: _ClassVar[int]
    TENSORS_FIELD_NUMBER: _ClassVar[int]
    warning: str
    compute_seconds: float
    tensors: _containers.RepeatedCompositeFieldContainer[_tensor_pb2.Tensor]
    def __init__(self, warning: _Optional[str] = ..., compute_seconds: _Optional[float] = ..., tensors: _Optional[_Iterable[_Union[_tensor_pb2.Tensor, _Mapping]]] = ...) -> None: ...

class EvaluateStreamRequest(_message.Message):
    __slots__ = ("id", "open_pipes", "unregister", "register", "together", "release", "lease", "evaluate", "chunk", "cancel")
    ID_FIELD_NUMBER: _ClassVar[int]
    OPEN_PIPES_FIELD_NUMBER: _ClassVar[int]
    UNREGISTER_FIELD_NUMBER: _ClassVar[int]
    REGISTER_FIELD_NUMBER: _ClassVar[int]
    TOGETHER_FIELD_NUMBER: _ClassVar[int]
    RELEASE_FIELD_NUMBER: _ClassVar[int]
    LEASE_FIELD_NUMBER: _ClassVar[int]
    EVALUATE_FIELD_NUMBER: _ClassVar[int]
    CHUNK_FIELD_NUMBER: _ClassVar[int]
    CANCEL_FIELD_NUMBER: _ClassVar[int]
    id: int
    open_pipes: OpenPipes
    unregister: UnregisterTensor
    register: RegisterTensor
    together: EvaluateStreamRequests
    release: ReleaseMemory
    lease: LeaseMemory
    evaluate: EvaluateRequest
    chunk: _tensor_pb2.TensorChunk
    cancel: CancelEvaluation
    def __init__(self, id: _Optional[int] = ..., open_pipes: _Optional[_Union[OpenPipes, _Mapping]] = ..., unregister: _Optional[_Union[UnregisterTensor, _Mapping]] = ..., register: _Optional[_Union[RegisterTensor, _Mapping]] = ..., together: _Optional[_Union[EvaluateStreamRequests, _Mapping]] = ..., release: _Optional[_Union[ReleaseMemory, _Mapping]] = ..., lease: _Optional[_Union[LeaseMemory, _Mapping]] = ..., evaluate: _Optional[_Union[EvaluateRequest, _Mapping]] = ..., chunk: _Optional[_Union[_tensor_pb2.TensorChunk, _Mapping]] = ..., cancel: _Optional[_Union[CancelEvaluation, _Mapping]] = ...) -> None: ...

class EvaluateStreamRequests(_message.Message):
    __slots__ = ("messages",)
    MESSAGES_FIELD_NUMBER: _ClassVar[int]
    messages: _containers.RepeatedCompositeFieldContainer[EvaluateStreamRequest]
    def __init__(self, messages: _Optional[_Iterable[_Union[EvaluateStreamRequest, _Mapping]]] = ...) -> None: ...

class RegisterTensor(_message.Message):
    __slots__ = ("seconds", "stream_only", "tensor")
    SECONDS_FIELD_NUMBER: _ClassVar[int]
    STREAM_ONLY_FIELD_NUMBER: _ClassVar[int]
    TENSOR_FIELD_NUMBER: _ClassVar[int]
    seconds: float
    stream_only: bool
    tensor: _tensor_pb2.Tensor
    def __init__(self, seconds: _Optional[float] = ..., stream_only: _Optional[bool] = ..., tensor: _Optional[_Union[_tensor_pb2.Tensor, _Mapping]] = ...) -> None: ...

class UnregisterTensor(_message.Message):
    __slots__ = ("token",)
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    token: str
    def __init__(self, token: _Optional[str] = ...) -> None: ...

class RegisteredTensor(_message.Message):
    __slots__ = ("token", "seconds")
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    SECONDS_FIELD_NUMBER: _ClassVar[int]
    token: str
    seconds: float
    def __init__(self, token: _Optional[str] = ..., seconds: _Optional[float] = ...) -> None: ...

class LeaseMemory(_message.Message):
    __slots__ = ("size",)
    SIZE_FIELD_NUMBER: _ClassVar[int]
    size: int
    def __init__(self, size: _Optional[int] = ...) -> None: ...

class ReleaseMemory(_message.Message):
    __slots__ = ("segment",)
    SEGMENT_FIELD_NUMBER: _ClassVar[int]
    segment: int
    def __init__(self, segment: _Optional[int] = ...) -> None: ...

class LeasedMemory(_message.Message):
    __slots__ = ("segment", "size", "path", "token")
    SEGMENT_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    segment: int
    size: int
    path: str
    token: bytes
    def __init__(self, segment: _Optional[int] = ..., size: _Optional[int] = ..., path: _Optional[str] = ..., token: _Optional[bytes] = ...) -> None: ...

class OpenPipes(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Pipes(_message.Message):
    __slots__ = ("requests", "responses")
    REQUESTS_FIELD_NUMBER: _ClassVar[int]
    RESPONSES_FIELD_NUMBER: _ClassVar[int]
    requests: Pipe
    responses: Pipe
    def __init__(self, requests: _Optional[_Union[Pipe, _Mapping]] = ..., responses: _Optional[_Union[Pipe, _Mapping]] = ...) -> None: ...

class Pipe(_message.Message):
    __slots__ = ("path", "inode")
    PATH_FIELD_NUMBER: _ClassVar[int]
    INODE_FIELD_NUMBER: _ClassVar[int]
    path: str
    inode: int
    def __init__(self, path: _Optional[str] = ..., inode: _Optional[int] = ...) -> None: ...

class CancelEvaluation(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class EvaluateStreamResponse(_message.Message):
    __slots__ = ("id", "pipes", "registered", "together", "leased", "result", "chunk", "error")
    ID_FIELD_NUMBER: _ClassVar[int]
    PIPES_FIELD_NUMBER: _ClassVar[int]
    REGISTERED_FIELD_NUMBER: _ClassVar[int]
    TOGETHER_FIELD_NUMBER: _ClassVar[int]
    LEASED_FIELD_NUMBER: _ClassVar[int]
    RESULT_FIELD_NUMBER: _ClassVar[int]
    CHUNK_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    id: int
    pipes: Pipes
    registered: RegisteredTensor
    together: EvaluateStreamResponses
    leased: LeasedMemory
    result: EvaluateResponse
    chunk: _tensor_pb2.TensorChunk
    error: _status_pb2.Status
    def __init__(self, id: _Optional[int] = ..., pipes: _Optional[_Union[Pipes, _Mapping]] = ..., registered: _Optional[_Union[RegisteredTensor, _Mapping]] = ..., together: _Optional[_Union[EvaluateStreamResponses, _Mapping]] = ..., leased: _Optional[_Union[LeasedMemory, _Mapping]] = ..., result: _Optional[_Union[EvaluateResponse, _Mapping]] = ..., chunk: _Optional[_Union[_tensor_pb2.TensorChunk, _Mapping]] = ..., error: _Optional[_Union[_status_pb2.Status, _Mapping]] = ...) -> None: ...

class EvaluateStreamResponses(_message.Message):
    __slots__ = ("messages",)
    MESSAGES_FIELD_NUMBER: _ClassVar[int]
    messages: _containers.RepeatedCompositeFieldContainer[EvaluateStreamResponse]
    def __init__(self, messages: _Optional[_Iterable[_Union[EvaluateStreamResponse, _Mapping]]] = ...) -> None: ...
