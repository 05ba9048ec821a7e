# Made by `make gen`.
from lossd_client._gen.lossd.v1 import tensor_pb2 as _tensor_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ListLossesRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListLossesResponse(_message.Message):
    __slots__ = ("losses", "server_version")
    LOSSES_FIELD_NUMBER: _ClassVar[int]
    SERVER_VERSION_FIELD_NUMBER: _ClassVar[int]
    losses: _containers.RepeatedCompositeFieldContainer[Loss]
    server_version: str
    def __init__(self, losses: _Optional[_Iterable[_Union[Loss, _Mapping]]] = ..., server_version: _Optional[str] = ...) -> None: ...

class Loss(_message.Message):
    __slots__ = ("name", "class_name", "description", "formula", "reference", "tensors", "parameters", "reductions")
    NAME_FIELD_NUMBER: _ClassVar[int]
    CLASS_NAME_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    FORMULA_FIELD_NUMBER: _ClassVar[int]
    REFERENCE_FIELD_NUMBER: _ClassVar[int]
    TENSORS_FIELD_NUMBER: _ClassVar[int]
    PARAMETERS_FIELD_NUMBER: _ClassVar[int]
    REDUCTIONS_FIELD_NUMBER: _ClassVar[int]
    name: str
    class_name: str
    description: str
    formula: str
    reference: str
    tensors: _containers.RepeatedCompositeFieldContainer[TensorInfo]
    parameters: _containers.RepeatedCompositeFieldContainer[ParameterInfo]
    reductions: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, name: _Optional[str] = ..., class_name: _Optional[str] = ..., description: _Optional[str] = ..., formula: _Optional[str] = ..., reference: _Optional[str] = ..., tensors: _Optional[_Iterable[_Union[TensorInfo, _Mapping]]] = ..., parameters: _Optional[_Iterable[_Union[ParameterInfo, _Mapping]]] = ..., reductions: _Optional[_Iterable[str]] = ...) -> None: ...

class TensorInfo(_message.Message):
    __slots__ = ("name", "description", "dtypes", "differentiable", "optional", "minimum", "maximum")
    NAME_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    DTYPES_FIELD_NUMBER: _ClassVar[int]
    DIFFERENTIABLE_FIELD_NUMBER: _ClassVar[int]
    OPTIONAL_FIELD_NUMBER: _ClassVar[int]
    MINIMUM_FIELD_NUMBER: _ClassVar[int]
    MAXIMUM_FIELD_NUMBER: _ClassVar[int]
    name: str
    description: str
    dtypes: _containers.RepeatedScalarFieldContainer[_tensor_pb2.DType]
    differentiable: bool
    optional: bool
    minimum: float
    maximum: float
    def __init__(self, name: _Optional[str] = ..., description: _Optional[str] = ..., dtypes: _Optional[_Iterable[_Union[_tensor_pb2.DType, str]]] = ..., differentiable: _Optional[bool] = ..., optional: _Optional[bool] = ..., minimum: _Optional[float] = ..., maximum: _Optional[float] = ...) -> None: ...

class ParameterInfo(_message.Message):
    __slots__ = ("name", "description", "default_value", "domain")
    NAME_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    DEFAULT_VALUE_FIELD_NUMBER: _ClassVar[int]
    DOMAIN_FIELD_NUMBER: _ClassVar[int]
    name: str
    description: str
    default_value: _tensor_pb2.ParameterValue
    domain: str
    def __init__(self, name: _Optional[str] = ..., description: _Optional[str] = ..., default_value: _Optional[_Union[_tensor_pb2.ParameterValue, _Mapping]] = ..., domain: _Optional[str] = ...) -> None: ...
