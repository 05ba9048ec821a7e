"""The methods of lossd.v1.LossService."""

import ipaddress
import urllib.parse
from collections.abc import AsyncIterator
from typing import Any, Final, Literal

import grpc
from lossd_client import wire
from lossd_client._gen.lossd.v1 import catalog_pb2, tensor_pb2
from lossd_client.dtypes import BFLOAT16, FLOAT16
from lossd_client.errors import LossdError, ProtocolError
from lossd_client.wire import Announcement, Shared

from lossd import __version__
from lossd.registered import Registry
from lossd.server.compute import Computer, needed
from lossd.server.limits import Budget
from lossd.server.shared import Segments
from lossd.server.status import aborted, parsed
from lossd.server.streams import Stream
from lossd.server.traffic import Traffic
from lossd.spec import FLOATS, Loss, Param, Tensor, registry

NAME: Final = "lossd.v1.LossService"

Context = grpc.aio.ServicerContext[Any, Any]


class LossService:
    """Answers calls. Messages with tensors stay bytes until `wire` reads them in place."""

    def __init__(
        self,
        computer: Computer,
        budget: Budget,
        shared: Budget,
        share_with: Literal["local", "unix", "any", "none"],
        registered: Registry,
        stall: float,
    ) -> None:
        self._computer, self._budget, self._registered = computer, budget, registered
        self._shared, self._share_with, self._stall = shared, share_with, stall
        self._streams: set[Stream] = set()
        self._traffic = Traffic()

    def drain(self) -> None:
        """End streams as they become idle."""
        for stream in list(self._streams):
            stream.drain()

    def handler(self) -> Any:
        """What a gRPC server is given to serve this."""
        methods: dict[str, Any] = {
            "ListLosses": grpc.unary_unary_rpc_method_handler(
                self.list_losses,
                response_serializer=catalog_pb2.ListLossesResponse.SerializeToString,
            ),
            "Evaluate": grpc.unary_unary_rpc_method_handler(self.evaluate),
            "EvaluateStream": grpc.stream_stream_rpc_method_handler(self.evaluate_stream),
        }
        return grpc.method_handlers_generic_handler(NAME, methods)

    async def list_losses(self, message: bytes, context: Context) -> catalog_pb2.ListLossesResponse:
        """Describe every loss."""
        try:
            parsed(catalog_pb2.ListLossesRequest, message)
        except LossdError as error:
            return await aborted(context, error)
        losses = [_described(registry[name]) for name in sorted(registry)]
        return catalog_pb2.ListLossesResponse(losses=losses, server_version=__version__)

    async def evaluate(self, message: bytes, context: Context) -> bytes:
        """Evaluate one loss on tensors in one message."""
        size = 0
        try:
            request = wire.read_request(memoryview(message))
            request = self._registered.resolved(request, require=self._budget.require)
            for name, tensor in request.tensors.items():
                if isinstance(tensor, Announcement | Shared):
                    raise ProtocolError(
                        f"tensor {name!r} is chunked or shared: that needs EvaluateStream",
                        field=name,
                    )
            asked = max(needed(request).size, len(message))
            self._budget.take(asked)
            size = asked
            return wire.write_response(await self._computer.evaluate(request))
        except LossdError as error:
            return await aborted(context, error)
        finally:
            self._budget.give_back(size)

    async def evaluate_stream(self, messages: AsyncIterator[bytes], context: Context) -> None:
        """Evaluate any number of losses on a stream."""
        offered = self._share_with in _KINDS[kind_of(context.peer())]
        segments = Segments(self._shared) if offered else None
        stream = Stream(
            self._computer,
            self._budget,
            context,
            segments,
            self._registered,
            self._stall,
            self._traffic,
        )
        self._streams.add(stream)
        try:
            await stream.serve(messages)
        finally:
            self._streams.discard(stream)


_KINDS: Final = {
    "unix": ("unix", "local", "any"),
    "loopback": ("local", "any"),
    "network": ("any",),
}
"""With which settings memory is shared with a peer of a kind."""


def kind_of(peer: str) -> Literal["unix", "loopback", "network"]:
    """How a peer reaches this server: "unix:…", "ipv4:127.0.0.1:4711", "ipv6:%5B::1%5D:4711"."""
    kind, _, rest = peer.partition(":")
    if kind.startswith("unix"):
        return "unix"
    host = urllib.parse.unquote(rest).rpartition(":")[0].strip("[]")
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return "network"
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return "loopback" if (mapped or address).is_loopback else "network"


def _described(loss: type[Loss]) -> catalog_pb2.Loss:
    return catalog_pb2.Loss(
        name=loss.name,
        class_name=loss.__name__,
        description=loss.doc(),
        formula=loss.formula,
        reference=loss.reference,
        tensors=[_tensor(name, tensor) for name, tensor in loss.tensors.items()],
        parameters=[_parameter(name, param) for name, param in loss.params.items()],
        reductions=loss.reductions,
    )


def _tensor(name: str, tensor: Tensor) -> catalog_pb2.TensorInfo:
    integers = [n for n, dtype in wire.DTYPES.items() if dtype.kind in "iu"]
    floats = [wire.dtype_number(name, dtype) for dtype in (FLOAT16, BFLOAT16, *FLOATS)]
    indices = tensor.role in ("label", "index")
    numbers = integers + floats * (tensor.soft or tensor.cut) if indices else floats
    low, high = tensor.within or (None, None)
    return catalog_pb2.TensorInfo(
        name=name,
        description=tensor.doc,
        dtypes=[tensor_pb2.DType.Name(number) for number in numbers],
        differentiable=tensor.grad,
        optional=tensor.optional,
        minimum=low,
        maximum=high,
    )


def _parameter(name: str, param: Param) -> catalog_pb2.ParameterInfo:
    kind = {float: "number", int: "integer", bool: "boolean", str: "text"}[param.type]
    given: dict[str, Any] = {kind: param.default}
    value = tensor_pb2.ParameterValue(**given)
    return catalog_pb2.ParameterInfo(
        name=name, description=param.doc, default_value=value, domain=param.domain
    )
