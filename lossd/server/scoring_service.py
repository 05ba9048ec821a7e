"""The methods of lossd.v1.ScoringService."""

import asyncio
import math
import os
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import grpc
from google.protobuf.message import Message
from lossd_client._gen.lossd.v1 import scoring_service_pb2 as pb2
from lossd_client._gen.lossd.v1.tensor_pb2 import ParameterValue
from lossd_client.errors import LossdError, ParameterError

from lossd.engine import check_names
from lossd.scoring.roots import rooted
from lossd.scoring.sources import Name
from lossd.scoring.task import Task
from lossd.server.jobs import PAUSE, Job, Jobs
from lossd.server.status import aborted, parsed
from lossd.spec import find

NAME: Final = "lossd.v1.ScoringService"

_PIECE: Final = 1 << 20  # bytes of a file in one message
_PAGE: Final = 1000  # jobs in one answer at most
_PAGE_BYTES: Final = 1 << 20  # of jobs in one answer, beyond which no more are added
_NAME_LENGTH: Final = 4096  # characters of a source's name: what Linux takes as a path
_SHARD_ROWS: Final = range(100, (1 << 20) + 1)

Context = grpc.aio.ServicerContext[Any, Any]


class ScoringService:
    """Answers calls from a folder of jobs."""

    def __init__(self, jobs: Jobs, roots: Sequence[Path]) -> None:
        """Offer jobs that read in these folders."""
        self._jobs, self._roots = jobs, roots

    def handler(self) -> Any:
        """What a gRPC server is given to serve this."""
        return grpc.method_handlers_generic_handler(
            NAME,
            {
                "CreateScoringJob": _one(self._create, pb2.CreateScoringJobRequest),
                "GetScoringJob": _one(self._get, pb2.GetScoringJobRequest),
                "ListScoringJobs": _one(self._list, pb2.ListScoringJobsRequest),
                "CancelScoringJob": _one(self._cancel, pb2.CancelScoringJobRequest),
                "DeleteScoringJob": _one(self._delete, pb2.DeleteScoringJobRequest),
                "WatchScoringJob": _many(self._watch, pb2.WatchScoringJobRequest),
                "ReadScoringResult": _many(self._read, pb2.ReadScoringResultRequest),
            },
        )

    def _create(self, request: pb2.CreateScoringJobRequest) -> pb2.CreateScoringJobResponse:
        job = self._jobs.create(self._task(request.task), request.name)
        return pb2.CreateScoringJobResponse(job=self._told(job))

    def _get(self, request: pb2.GetScoringJobRequest) -> pb2.GetScoringJobResponse:
        return pb2.GetScoringJobResponse(job=self._told(self._jobs.get(request.name)))

    def _list(self, request: pb2.ListScoringJobsRequest) -> pb2.ListScoringJobsResponse:
        if request.page_size < 0:
            raise ParameterError(
                f"page_size = {request.page_size} must be 0 or more", field="page_size"
            )
        answer, most, size = pb2.ListScoringJobsResponse(), request.page_size or _PAGE, 0
        last = ""
        for position, job in self._jobs.latest(request.page_token):
            if len(answer.jobs) >= min(most, _PAGE) or size >= _PAGE_BYTES:
                answer.next_page_token = last
                break
            answer.jobs.append(self._told(job, files=False))
            last, size = position, size + answer.jobs[-1].ByteSize()
        return answer

    def _cancel(self, request: pb2.CancelScoringJobRequest) -> pb2.CancelScoringJobResponse:
        self._jobs.cancel(request.name)
        return pb2.CancelScoringJobResponse()

    def _delete(self, request: pb2.DeleteScoringJobRequest) -> pb2.DeleteScoringJobResponse:
        self._jobs.delete(request.name)
        return pb2.DeleteScoringJobResponse()

    async def _watch(
        self, request: pb2.WatchScoringJobRequest
    ) -> AsyncIterator[pb2.WatchScoringJobResponse]:
        before = None
        while True:
            job = await asyncio.to_thread(self._jobs.get, request.name)
            if job != before:
                told = await asyncio.to_thread(self._told, job)
                yield pb2.WatchScoringJobResponse(job=told)
            if job.ended:
                return
            before = job
            await asyncio.sleep(PAUSE)

    async def _read(
        self, request: pb2.ReadScoringResultRequest
    ) -> AsyncIterator[pb2.ReadScoringResultResponse]:
        with await asyncio.to_thread(self._jobs.opened, request.name, request.file) as file:
            size = os.fstat(file.fileno()).st_size
            if request.offset > size:
                raise ParameterError(
                    f"offset = {request.offset} is beyond the {size} bytes of {request.file}",
                    field="offset",
                )
            file.seek(request.offset)
            while piece := await asyncio.to_thread(file.read, _PIECE):
                yield pb2.ReadScoringResultResponse(data=piece)

    # --- messages -------------------------------------------------------------------------------

    def _task(self, asked: pb2.ScoringTask) -> Task:
        """What is asked for; what needs no look at files is checked.

        Raises:
            LossdError: a loss, parameters or tensors that there are not, a path outside of the
                roots, what is too long or too large.
        """
        parameters = {name: _value(asked.loss, name, v) for name, v in asked.parameters.items()}
        check_names(asked.loss, parameters, asked.tensors.keys())
        _check_finite(asked.loss, parameters)
        _check_shard_rows(asked.shard_rows)
        # a map has no order, and a manifest has one
        order = [name for name in find(asked.loss).tensors if name in asked.tensors]
        predictions = Name.parse(asked.tensors[order[0]]).path

        def named(field: str, source: str) -> str:
            _check_length(field, source)
            name = Name.parse(source)
            path = name.path or (predictions if name.key else "")
            return rooted(str(Name(path, name.key)), self._roots) if path else ""

        return Task(
            loss=asked.loss,
            tensors={name: named(name, asked.tensors[name]) for name in order},
            parameters=parameters,
            sample_weight=named("sample_weight", asked.sample_weight),
            ids=named("ids", asked.ids),
            groups=named("group_by", asked.group_by),
            gradients=asked.gradients,
            shard_rows=asked.shard_rows,
        )

    def _told(self, job: Job, *, files: bool = True) -> pb2.ScoringJob:
        task = job.task
        told = pb2.ScoringJob(
            name=job.name,
            task=pb2.ScoringTask(
                loss=task.loss,
                parameters={name: _parameter(value) for name, value in task.parameters.items()},
                tensors=task.tensors,
                sample_weight=task.sample_weight,
                ids=task.ids,
                group_by=task.groups,
                gradients=task.gradients,
                shard_rows=task.shard_rows,
            ),
            state=f"SCORING_STATE_{job.state}",
            rows_done=job.rows,
            rows=job.of,
            error_message=job.error,
            error_reason=job.reason,
        )
        told.create_time.FromNanoseconds(int(job.created * 1e9))
        if files:
            for name, size in self._jobs.files(job.name).items():
                told.files.add(name=name, size=size)
        return told


def _value(loss: str, name: str, given: ParameterValue) -> Any:
    """A parameter.

    Raises:
        ParameterError: it has no value.
    """
    kind = given.WhichOneof("value")
    if kind is None:
        raise ParameterError(f"{loss}: parameter {name!r} has no value", field=name)
    return getattr(given, kind)


def _check_finite(loss: str, parameters: Mapping[str, Any]) -> None:
    """Raise if a job's file cannot have a parameter: JSON has no other numbers."""
    for name, value in parameters.items():
        if isinstance(value, float) and not math.isfinite(value):
            raise ParameterError(f"{loss}: {name} = {value} must be finite in a job", field=name)


def _check_length(field: str, source: str) -> None:
    if len(source) > _NAME_LENGTH:
        raise ParameterError(
            f"the source of {field} has {len(source)} characters: there may be {_NAME_LENGTH}; "
            "name a folder or a glob",
            field=field,
        )


def _check_shard_rows(rows: int) -> None:
    if rows and rows not in _SHARD_ROWS:
        raise ParameterError(
            f"shard_rows = {rows} must be {_SHARD_ROWS[0]} to {_SHARD_ROWS[-1]}, or 0 for what "
            "suits the files",
            field="shard_rows",
        )


def _parameter(value: Any) -> ParameterValue:
    kind = {bool: "boolean", int: "integer", float: "number", str: "text"}[type(value)]
    given: dict[str, Any] = {kind: value}
    return ParameterValue(**given)


def _one(answer: Callable[[Any], Message], request: type[Message]) -> Any:
    """A method with one answer, which is looked up in files on another thread."""

    async def call(message: bytes, context: Context) -> Message:
        try:
            return await asyncio.to_thread(answer, parsed(request, message))
        except LossdError as error:
            return await aborted(context, error)

    return grpc.unary_unary_rpc_method_handler(call, response_serializer=_bytes)


def _many(answers: Callable[[Any], AsyncIterator[Message]], request: type[Message]) -> Any:
    """A method with any number of answers."""

    async def call(message: bytes, context: Context) -> AsyncIterator[Message]:
        try:
            async for answer in answers(parsed(request, message)):
                yield answer
        except LossdError as error:
            await aborted(context, error)

    return grpc.unary_stream_rpc_method_handler(call, response_serializer=_bytes)


def _bytes(message: Message) -> bytes:
    return bytes(message.SerializeToString())
