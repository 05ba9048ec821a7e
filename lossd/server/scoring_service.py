"""The methods of lossd.v1.ScoringService."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any, Final

import grpc
from google.protobuf.message import Message
from lossd_client._gen.lossd.v1 import scoring_service_pb2 as pb2
from lossd_client._gen.lossd.v1.tensor_pb2 import ParameterValue
from lossd_client.errors import LossdError

from lossd.scoring.roots import rooted
from lossd.scoring.task import Task
from lossd.server.jobs import PAUSE, Job, Jobs
from lossd.server.status import aborted
from lossd.spec import find

NAME: Final = "lossd.v1.ScoringService"

_PIECE: Final = 1 << 20  # bytes of a file in one message

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
        jobs = [self._told(job, files=False) for job in self._jobs.all()]
        return pb2.ListScoringJobsResponse(jobs=jobs)

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
        path = await asyncio.to_thread(self._jobs.file, request.name, request.file)
        with path.open("rb") as file:
            file.seek(request.offset)
            while piece := await asyncio.to_thread(file.read, _PIECE):
                yield pb2.ReadScoringResultResponse(data=piece)

    # --- messages -------------------------------------------------------------------------------

    def _task(self, asked: pb2.ScoringTask) -> Task:
        """What is asked for; what needs no look at files is checked.

        Raises:
            LossdError: a loss or parameters that there are not, a path outside of the roots.
        """
        parameters = {name: _value(value) for name, value in asked.parameters.items()}
        own = {k: v for k, v in parameters.items() if k not in ("normalizer", "zero_if_empty")}
        order = list(find(asked.loss)(**own).tensors)

        # a map has no order, and a manifest has one
        in_order = sorted(asked.tensors, key=lambda n: order.index(n) if n in order else len(order))

        def named(source: str) -> str:
            return rooted(source, self._roots) if source else ""

        return Task(
            loss=asked.loss,
            tensors={name: named(asked.tensors[name]) for name in in_order},
            parameters=parameters,
            sample_weight=named(asked.sample_weight),
            ids=named(asked.ids),
            groups=named(asked.group_by),
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
            for name, path in self._jobs.files(job.name).items():
                told.files.add(name=name, size=path.stat().st_size)
        return told


def _value(given: ParameterValue) -> Any:
    kind = given.WhichOneof("value")
    return None if kind is None else getattr(given, kind)


def _parameter(value: Any) -> ParameterValue:
    kind = {bool: "boolean", int: "integer", float: "number", str: "text"}[type(value)]
    given: dict[str, Any] = {kind: value}
    return ParameterValue(**given)


def _one(answer: Callable[[Any], Message], request: type[Message]) -> Any:
    """A method with one answer, which is looked up in files on another thread."""

    async def call(message: Message, context: Context) -> Message:
        try:
            return await asyncio.to_thread(answer, message)
        except LossdError as error:
            return await aborted(context, error)

    return grpc.unary_unary_rpc_method_handler(
        call, request_deserializer=request.FromString, response_serializer=_bytes
    )


def _many(answers: Callable[[Any], AsyncIterator[Message]], request: type[Message]) -> Any:
    """A method with any number of answers."""

    async def call(message: Message, context: Context) -> AsyncIterator[Message]:
        try:
            async for answer in answers(message):
                yield answer
        except LossdError as error:
            await aborted(context, error)

    return grpc.unary_stream_rpc_method_handler(
        call, request_deserializer=request.FromString, response_serializer=_bytes
    )


def _bytes(message: Message) -> bytes:
    return bytes(message.SerializeToString())
