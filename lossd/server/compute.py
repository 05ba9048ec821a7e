"""From a request to its answer, on the event loop or in the compute pool."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, Generic, NamedTuple, TypeVar

import numpy.typing as npt
from lossd_client.errors import InternalError, LossdError, ResourceError
from lossd_client.wire import CHUNK, Announcement, Request, Response

from lossd import engine
from lossd.answers import Later, answer, call_of, response_of, stepped
from lossd.filling import Filling, Lanes
from lossd.kernels import courtesy, runtime
from lossd.kernels.stopping import Stop, Stopped, stopped_by
from lossd.plan import NOWHERE, Plan
from lossd.server.logs import log
from lossd.steps import Arriving, Piece, Steps

Array = npt.NDArray[Any]
T = TypeVar("T")

INLINE: Final = 64 << 10
"""Bytes of tensors up to which a compiled evaluation runs on the event loop as soon as it is read:
the hop to another thread and back costs more than computing them."""

BRIEF: Final = 300e-6
"""Seconds that an evaluation like it may have taken for a larger one to be computed on the event
loop, too: so long does the hop take."""

BRIEF_INLINE: Final = 384 << 10
"""Bytes of tensors up to which a call whose others come in pieces is begun there."""

BRIEF_SIZE: Final = 4 << 20
"""Bytes of tensors up to which it is computed there: what takes longer this time, for its values,
does not take long."""

ALONE: Final = 2e-3
"""Seconds that an evaluation may have taken to be computed there, on all threads, where no other is
under way and no other client is heard of: nobody waits for the event loop then."""

ALONE_SIZE: Final = 64 << 20
"""Bytes of tensors up to which it is."""

FILLED: Final = 4e-3
"""Seconds that it may have taken to be computed there, mostly on one thread, while its tensors are
written."""

PATIENCE: Final = 1000
"""How often a thread of the pool waits for more of tensors that are being written, where nobody
else waits for the pool: 70 ms in all."""

BUSY_PATIENCE: Final = 200
"""How often it does where others do: 14 ms in all, so that it has its turn in the queue once."""

BRIEF_PATIENCE: Final = 30
"""How often the event loop does: 2 ms in all."""

HURRY: Final = 0.25
"""Seconds after a brief evaluation for which long ones give way to others."""


class Needs(NamedTuple):
    """What an evaluation needs, told by types and shapes.

    size: bytes that it holds: tensors as they are broadcast, gradients, losses.
    in_pieces: the announced tensors that are computed as they come, and the bytes of their rows.
    """

    size: int
    in_pieces: dict[str, int]


def needed(request: Request) -> Needs:
    """What an evaluation needs.

    Raises:
        LossdError: what is wrong with the request, as far as types and shapes tell.
    """
    types = {name: (t.dtype, t.shape) for name, t in request.tensors.items()}
    given = {name: tensor.nbytes for name, tensor in request.tensors.items()}
    types.pop("grad_output", None)
    whole, possible, rest = engine.needed(
        request.loss, types, request.parameters, request.reduction, request.gradients
    )
    announced = {n for n, t in request.tensors.items() if isinstance(t, Announcement)}
    pieces = {name: row for name, row in possible.items() if name in announced}
    if not pieces:
        return Needs(sum(given.values()) + whole, pieces)
    return Needs(sum(size for name, size in given.items() if name not in pieces) + rest, pieces)


class Computer:
    """Computes requests.

    Args:
        concurrency: evaluations at the same time.
    """

    def __init__(self, concurrency: int) -> None:
        self._pool = ThreadPoolExecutor(concurrency, "lossd-compute")
        self._hurried = False
        self._last_brief = 0.0

    async def evaluate(
        self, request: Request, out: Mapping[str, Array] = NOWHERE, *, alone: bool = False
    ) -> Response:
        """The answer to a request whose tensors are all there.

        Args:
            request: what is asked.
            out: arrays that gradients go to.
            alone: whether nobody else would wait for the event loop.

        Raises:
            LossdError: what is wrong with the request.
            InternalError: a fault of ours, which is logged.
        """
        ready = _ready(request, out, alone)
        if ready is not None:
            return guarded(request.loss, lambda: self._here(*ready))
        return await self._run(request, lambda: answer(request, out=out))

    async def begin(self, request: Request, arriving: Mapping[str, Arriving]) -> Steps:
        """The steps of a request of which some tensors come in pieces; raises as `evaluate`."""
        call = guarded(request.loss, lambda: stepped(request, arriving))
        there = [tensor for name, tensor in request.tensors.items() if name not in arriving]
        if _few(there, BRIEF_INLINE) and engine.planned(call) is not None:
            return guarded(request.loss, lambda: engine.steps(call, arriving))
        return await self._run(request, lambda: engine.steps(call, arriving))

    async def step(self, request: Request, steps: Steps) -> list[Piece]:
        """Compute what is there of a request; raises as `evaluate`.

        On the event loop, which has its turn before, if it takes less than the hop to the pool.
        """
        if steps.expected > BRIEF:
            return await self._run(request, steps.step)
        await asyncio.sleep(0)
        return guarded(request.loss, steps.step)

    def fill_now(
        self,
        request: Request,
        lanes: Lanes,
        out: Mapping[str, Array],
        *,
        alone: bool,
        require: Callable[[int], None],
    ) -> Filling | None:
        """A request of which some tensors are being written, computed on the event loop.

        Args:
            request: what is asked.
            lanes: those tensors.
            out: arrays that gradients go to.
            alone: whether nobody else would wait for the event loop.
            require: raises if there is no room for so many bytes.

        Returns:
            What is computed as far as it was there soon; None of what takes longer.

        Raises:
            LossdError: as `evaluate`.
        """
        there = [tensor for name, tensor in request.tensors.items() if name not in lanes.memory]
        if not alone or not _few(there, BRIEF_INLINE):
            return None
        call = stepped(request, lanes.memory, out)
        plan = engine.planned(call)
        if plan is None or plan.size > ALONE_SIZE or plan.seconds > FILLED:
            return None
        if _sent(plan, call) > CHUNK:
            return None
        require(plan.size)
        return self._filled(plan, call, lanes, BRIEF_PATIENCE)

    async def begin_filling(
        self, request: Request, lanes: Lanes, out: Mapping[str, Array], *, alone: bool
    ) -> Filling:
        """The same in the pool, as far as it gets there: see `fill`."""

        def begin() -> Filling:
            call = stepped(request, lanes.memory, out)
            patience = PATIENCE if alone else BUSY_PATIENCE
            return self._filled(engine.plan_of(call), call, lanes, patience)

        return await self._run(request, begin)

    @staticmethod
    def _filled(plan: Plan, call: engine.Call, lanes: Lanes, patience: int) -> Filling:
        filling = engine.filling(plan, call, lanes)
        filling.go_on(patience)
        return filling

    async def fill(self, request: Request, filling: Filling, *, alone: bool, moves: bool) -> bool:
        """Compute more of it in the pool; whether there was any.

        Args:
            request: what is asked.
            filling: what is computed of it.
            alone: whether nobody else would wait for the pool.
            moves: whether there was any the last time: else who else waits has its turn.
        """
        patience = PATIENCE if alone else BUSY_PATIENCE * moves
        return await self._run(request, lambda: filling.go_on(patience))

    async def _run(self, request: Request, compute: Callable[[], T]) -> T:
        """Compute in the pool. Cancelled, it ends it, and itself once nothing is held there."""
        job = _Job(request.loss, compute)
        future = self._pool.submit(job.run)
        result = asyncio.wrap_future(future)
        try:
            await asyncio.wait([result])
        except asyncio.CancelledError:
            if future.cancel():
                job.drop()
            job.stop.ask()
            while not result.done():
                with contextlib.suppress(asyncio.CancelledError):
                    await asyncio.wait([result])
            if not result.cancelled():
                result.exception()  # nobody asks for it any more
            raise
        return result.result()

    def evaluate_now(
        self,
        request: Request,
        out: Mapping[str, Array],
        *,
        alone: bool,
        require: Callable[[int], None],
    ) -> Response | None:
        """The answer to a request as soon as it is read, on the event loop.

        Args:
            request: what is asked.
            out: arrays that gradients go to.
            alone: whether nobody else would wait for the event loop.
            require: raises if there is no room for so many bytes.

        Returns:
            None for others: those that take longer, and those whose answer is of several messages.

        Raises:
            LossdError: as `evaluate`.
        """
        ready = _ready(request, out, alone)
        if ready is None:
            return None
        plan, call = ready
        if _sent(plan, call) > CHUNK:
            return None
        if plan.size > INLINE:
            require(plan.size)
        return self._here(plan, call)

    def _here(self, plan: Plan, call: engine.Call) -> Response:
        """Compute on the calling thread: the event loop.

        What takes less than the hop to the pool has no other thread: waking one takes as long.
        """
        brief = _is_brief(plan)
        if brief:
            self._hurry()
        begun = time.perf_counter()
        with runtime.one_thread() if brief and plan.size > INLINE else contextlib.nullcontext():
            response = response_of(engine.run(plan, call))
        if not brief:
            response.seconds = time.perf_counter() - begun
        return response

    def _hurry(self) -> None:
        """Have long evaluations give way for a while."""
        loop = asyncio.get_running_loop()
        self._last_brief = loop.time()
        if not self._hurried:
            self._hurried = True
            courtesy.hurry(True)
            loop.call_later(HURRY, self._calm)

    def _calm(self) -> None:
        """Have them go on, once nobody is in a hurry."""
        loop = asyncio.get_running_loop()
        left = self._last_brief + HURRY - loop.time()
        if left > 0:
            loop.call_later(left, self._calm)
        else:
            self._hurried = False
            courtesy.hurry(False)

    async def copy(self, array: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """A copy, made in the pool."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, array.copy)

    async def warm(self, name: str) -> None:
        """Compile a loss's kernels."""
        await asyncio.get_running_loop().run_in_executor(self._pool, engine.compile_kernels, name)

    def close(self) -> None:
        """Let go of the threads."""
        self._pool.shutdown(wait=False, cancel_futures=True)


def _few(tensors: Collection[Any], most: int) -> bool:
    """Whether tensors have `most` bytes and are at hand.

    What is copied only where it is computed takes long, however few the rest are.
    """
    return sum(tensor.nbytes for tensor in tensors) <= most and not any(
        isinstance(tensor, Later) for tensor in tensors
    )


def _ready(
    request: Request, out: Mapping[str, Array], alone: bool
) -> tuple[Plan, engine.Call] | None:
    """What computes a request on the event loop; None without its kernel, and of what takes long.

    Args:
        request: what is asked.
        out: arrays that gradients go to.
        alone: whether nobody else would wait for the event loop.
    """
    most = ALONE_SIZE if alone else BRIEF_SIZE
    if not _few(request.tensors.values(), most):
        return None
    call = call_of(request, out)
    plan = engine.planned(call)
    if plan is None or plan.size > most:
        return None
    return (plan, call) if _is_brief(plan) or (alone and plan.seconds <= ALONE) else None


def _sent(plan: Plan, call: engine.Call) -> int:
    """Bytes of an answer that are not in memory that both ends share."""
    return plan.size - sum(a.nbytes for a in (*call.arrays.values(), *call.out.values()))


def _is_brief(plan: Plan) -> bool:
    """Whether it takes less than the hop to the pool and back."""
    return plan.size <= INLINE or plan.seconds <= BRIEF


class _Job(Generic[T]):
    """What waits for a thread of the pool: its tensors can be let go of before it has one.

    Attributes:
        stop: what ends it.
    """

    def __init__(self, loss: str, compute: Callable[[], T]) -> None:
        self._loss, self._compute = loss, compute
        self.stop = Stop()

    def run(self) -> T:
        """Compute it."""
        try:
            with stopped_by(self.stop):
                return guarded(self._loss, self._compute)
        except Stopped as stopped:
            self.drop()
            raise stopped.with_traceback(None) from None  # its frames keep tensors

    def drop(self) -> None:
        """Let go of its tensors."""
        del self._compute


def guarded(what: str, compute: Callable[[], T]) -> T:
    """What `compute` gives; a fault of ours is logged and becomes an InternalError."""
    try:
        return compute()
    except (LossdError, Stopped):
        raise
    except MemoryError as error:
        raise ResourceError(f"{what}: the server has no memory for it now") from error
    except Exception as error:
        log.exception("evaluation failed", extra={"loss": what})
        raise InternalError(f"{what}: {type(error).__name__}; the log has more") from error
