# Made by `make gen`.
import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from lossd_client._gen.lossd.v1 import tensor_pb2 as _tensor_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ScoringState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SCORING_STATE_UNSPECIFIED: _ClassVar[ScoringState]
    SCORING_STATE_QUEUED: _ClassVar[ScoringState]
    SCORING_STATE_RUNNING: _ClassVar[ScoringState]
    SCORING_STATE_SUCCEEDED: _ClassVar[ScoringState]
    SCORING_STATE_FAILED: _ClassVar[ScoringState]
    SCORING_STATE_CANCELLED: _ClassVar[ScoringState]
SCORING_STATE_UNSPECIFIED: ScoringState
SCORING_STATE_QUEUED: ScoringState
SCORING_STATE_RUNNING: ScoringState
SCORING_STATE_SUCCEEDED: ScoringState
SCORING_STATE_FAILED: ScoringState
SCORING_STATE_CANCELLED: ScoringState

class ScoringTask(_message.Message):
    __slots__ = ("loss", "parameters", "tensors", "sample_weight", "ids", "group_by", "gradients", "shard_rows")
    class ParametersEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: _tensor_pb2.ParameterValue
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[_tensor_pb2.ParameterValue, _Mapping]] = ...) -> None: ...
    class TensorsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    LOSS_FIELD_NUMBER: _ClassVar[int]
    PARAMETERS_FIELD_NUMBER: _ClassVar[int]
    TENSORS_FIELD_NUMBER: _ClassVar[int]
    SAMPLE_WEIGHT_FIELD_NUMBER: _ClassVar[int]
    IDS_FIELD_NUMBER: _ClassVar[int]
    GROUP_BY_FIELD_NUMBER: _ClassVar[int]
    GRADIENTS_FIELD_NUMBER: _ClassVar[int]
    SHARD_ROWS_FIELD_NUMBER: _ClassVar[int]
    loss: str
    parameters: _containers.MessageMap[str, _tensor_pb2.ParameterValue]
    tensors: _containers.ScalarMap[str, str]
    sample_weight: str
    ids: str
    group_by: str
    gradients: bool
    shard_rows: int
    def __init__(self, loss: _Optional[str] = ..., parameters: _Optional[_Mapping[str, _tensor_pb2.ParameterValue]] = ..., tensors: _Optional[_Mapping[str, str]] = ..., sample_weight: _Optional[str] = ..., ids: _Optional[str] = ..., group_by: _Optional[str] = ..., gradients: _Optional[bool] = ..., shard_rows: _Optional[int] = ...) -> None: ...

class ScoringJob(_message.Message):
    __slots__ = ("name", "task", "state", "create_time", "rows_done", "rows", "error_message", "error_reason", "files")
    NAME_FIELD_NUMBER: _ClassVar[int]
    TASK_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    ROWS_DONE_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    ERROR_MESSAGE_FIELD_NUMBER: _ClassVar[int]
    ERROR_REASON_FIELD_NUMBER: _ClassVar[int]
    FILES_FIELD_NUMBER: _ClassVar[int]
    name: str
    task: ScoringTask
    state: ScoringState
    create_time: _timestamp_pb2.Timestamp
    rows_done: int
    rows: int
    error_message: str
    error_reason: str
    files: _containers.RepeatedCompositeFieldContainer[ScoringFile]
    def __init__(self, name: _Optional[str] = ..., task: _Optional[_Union[ScoringTask, _Mapping]] = ..., state: _Optional[_Union[ScoringState, str]] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., rows_done: _Optional[int] = ..., rows: _Optional[int] = ..., error_message: _Optional[str] = ..., error_reason: _Optional[str] = ..., files: _Optional[_Iterable[_Union[ScoringFile, _Mapping]]] = ...) -> None: ...

class ScoringFile(_message.Message):
    __slots__ = ("name", "size")
    NAME_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    name: str
    size: int
    def __init__(self, name: _Optional[str] = ..., size: _Optional[int] = ...) -> None: ...

class CreateScoringJobRequest(_message.Message):
    __slots__ = ("name", "task")
    NAME_FIELD_NUMBER: _ClassVar[int]
    TASK_FIELD_NUMBER: _ClassVar[int]
    name: str
    task: ScoringTask
    def __init__(self, name: _Optional[str] = ..., task: _Optional[_Union[ScoringTask, _Mapping]] = ...) -> None: ...

class CreateScoringJobResponse(_message.Message):
    __slots__ = ("job",)
    JOB_FIELD_NUMBER: _ClassVar[int]
    job: ScoringJob
    def __init__(self, job: _Optional[_Union[ScoringJob, _Mapping]] = ...) -> None: ...

class GetScoringJobRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class GetScoringJobResponse(_message.Message):
    __slots__ = ("job",)
    JOB_FIELD_NUMBER: _ClassVar[int]
    job: ScoringJob
    def __init__(self, job: _Optional[_Union[ScoringJob, _Mapping]] = ...) -> None: ...

class ListScoringJobsRequest(_message.Message):
    __slots__ = ("page_size", "page_token")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListScoringJobsResponse(_message.Message):
    __slots__ = ("jobs", "next_page_token")
    JOBS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    jobs: _containers.RepeatedCompositeFieldContainer[ScoringJob]
    next_page_token: str
    def __init__(self, jobs: _Optional[_Iterable[_Union[ScoringJob, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class WatchScoringJobRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class WatchScoringJobResponse(_message.Message):
    __slots__ = ("job",)
    JOB_FIELD_NUMBER: _ClassVar[int]
    job: ScoringJob
    def __init__(self, job: _Optional[_Union[ScoringJob, _Mapping]] = ...) -> None: ...

class CancelScoringJobRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class CancelScoringJobResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class DeleteScoringJobRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class DeleteScoringJobResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ReadScoringResultRequest(_message.Message):
    __slots__ = ("name", "file", "offset")
    NAME_FIELD_NUMBER: _ClassVar[int]
    FILE_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    name: str
    file: str
    offset: int
    def __init__(self, name: _Optional[str] = ..., file: _Optional[str] = ..., offset: _Optional[int] = ...) -> None: ...

class ReadScoringResultResponse(_message.Message):
    __slots__ = ("data",)
    DATA_FIELD_NUMBER: _ClassVar[int]
    data: bytes
    def __init__(self, data: _Optional[bytes] = ...) -> None: ...
