"""The client's promises: the same everywhere, shared, forked, reconnected, awaited, torch's."""

import asyncio
import copy
import doctest
import gc
import importlib
import inspect
import math
import pickle
import pkgutil
import socket
import subprocess
import sys
import textwrap
import threading
import time
import warnings
import weakref
from array import array as typed
from collections.abc import Callable, Iterator, Mapping
from concurrent import futures
from types import ModuleType
from typing import Any, cast

import grpc
import lossd_client
import ml_dtypes
import numpy as np
import numpy.typing as npt
import pytest
import torch
from lossd_client import AsyncClient, Client, connect, errors, functional, nn, owning, tensor, wire
from lossd_client.client import default_client
from lossd_client.wire import CHUNK

import lossd
import lossd.losses  # fills the registry
from lossd import engine
from lossd.spec import registry

from .conftest import StartServer, still_correct
from .servers import PATIENCE, Server, environment

Array = npt.NDArray[Any]

# --- every transport gives the same bits -------------------------------------------------------

SMALL, LARGE = (6, 5), (400, 1001)


def drawn(name: str, shape: tuple[int, ...]) -> dict[str, Array]:
    """Tensors of a loss for predictions of a shape, by what the loss declares."""
    rng = np.random.default_rng(len(name))
    classes = {"vector": shape, "element": shape, "whole": shape}
    classes |= {"scalar": shape[:1], "label": shape[:1]}
    found: dict[str, Array] = {}
    if name == "multilabel_margin_loss":
        scores = rng.uniform(0.01, 0.99, shape).astype(np.float32)
        return {"input": scores, "target": rng.integers(-1, shape[1], shape)}
    if name == "ctc_loss":
        return {
            "log_probs": np.log(rng.dirichlet(np.ones(shape[1]), shape[0])).astype(np.float32),
            "targets": rng.integers(1, shape[1], shape[0] // 3),
            "input_lengths": np.array(shape[0]),
            "target_lengths": np.array(shape[0] // 3),
        }
    if name == "linear_cross_entropy":
        return {
            "input": rng.normal(size=shape).astype(np.float32),
            "linear_weight": rng.normal(size=(9, shape[1])).astype(np.float32),
            "target": rng.integers(0, 9, shape[0]),
            "linear_bias": rng.normal(size=9).astype(np.float32),
        }
    if name == "adaptive_log_softmax_with_loss":
        inner = shape[1] // 4
        return {
            "input": rng.normal(size=shape).astype(np.float32),
            "target": rng.integers(0, 20, shape[0]),
            "head_weight": rng.normal(size=(6, shape[1])).astype(np.float32),
            "tail_weight": rng.normal(size=inner * (shape[1] + 15)).astype(np.float32),
            "cutoffs": np.array([5, 20]),
        }
    if "boxes1" in registry[name].tensors:
        ends = [np.sort(rng.uniform(0, 9, (2, math.prod(shape) // 4, 2, 2)), 2) for _ in range(2)]
        boxes1, boxes2 = np.concatenate(ends, 2).astype(np.float32).reshape(2, -1, 4)
        return {"boxes1": boxes1, "boxes2": boxes2}
    if "smooth_nr" in registry[name].params:
        classes["whole"] = (1, *shape)  # the predictions of a segmentation
    for key, declared in registry[name].tensors.items():
        if key == "ref_log_probs":
            continue  # needs a beta
        if declared.within == (-np.inf, 0):
            found[key] = rng.uniform(-5, -0.01, shape).astype(np.float32)
        elif declared.role == "class":
            found[key] = rng.uniform(0.5, 1.5, shape[1:]).astype(np.float32)
        elif declared.role == "multiplier" or declared.optional:
            found[key] = rng.uniform(0.5, 1.5, shape).astype(np.float32)
        elif declared.role in ("label", "index"):
            found[key] = rng.integers(0, shape[1], shape[:1])
        elif key == "target" and not declared.grad:
            found[key] = rng.choice(np.float32([-1, 1]), classes[declared.role])
        else:
            found[key] = rng.uniform(0.01, 0.99, classes[declared.role]).astype(np.float32)
    return found


@pytest.fixture
def everywhere(server: Server, socket_path: Any) -> Iterator[list[Client]]:
    """The engine in this process, and the server at both of its addresses."""
    targets = ["inproc:", server.addresses()[0], f"unix:{socket_path}"]
    clients = [connect(target, timeout=PATIENCE) for target in targets]
    yield clients
    for client in clients:
        client.close()


@pytest.mark.parametrize("reduction", ["mean", "none"])
@pytest.mark.parametrize("shape", [SMALL, LARGE], ids=["small", "chunked"])
@pytest.mark.parametrize("name", sorted(registry))
def test_same_bits_everywhere(
    everywhere: list[Client], name: str, shape: tuple[int, ...], reduction: str
) -> None:
    tensors = drawn(name, shape)
    assert (next(iter(tensors.values())).nbytes > CHUNK) == (shape is LARGE)
    gradients = [n for n, t in registry[name].tensors.items() if t.grad and n in tensors]
    expected, *others = [
        client.evaluate(name, tensors, reduction=reduction, gradients=gradients)
        for client in everywhere
    ]
    assert list(expected.tensors) == ["loss", *(f"grad.{key}" for key in gradients)]
    for found in others:
        assert list(found.tensors) == list(expected.tensors)
        for key, array in expected.tensors.items():
            assert isinstance(array, np.ndarray)
            assert_same_bits(found.tensors[key], array)


def assert_same_bits(found: Any, expected: Array) -> None:
    assert isinstance(found, np.ndarray)
    assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
    assert found.tobytes() == expected.tobytes()
    assert found.flags.writeable


@pytest.mark.thorough
@pytest.mark.parametrize("name", sorted(registry))
def test_same_bits_with_upstream(everywhere: list[Client], name: str) -> None:
    tensors = drawn(name, LARGE)
    rows = everywhere[0].evaluate(name, tensors, reduction="none").tensors["loss"]
    upstream = np.random.default_rng(0).normal(size=rows.shape).astype(np.float32)
    first = next(iter(tensors))
    given = {**tensors, "grad_output": upstream}
    expected, *others = [
        client.evaluate(name, given, reduction="none", gradients=[first]).tensors[f"grad.{first}"]
        for client in everywhere
    ]
    for found in others:
        assert_same_bits(found, np.asarray(expected))


@pytest.mark.thorough
@pytest.mark.parametrize("name", sorted(registry))
def test_same_bits_in_float64(everywhere: list[Client], name: str) -> None:
    tensors = {
        key: array.astype(np.float64) if array.dtype.kind == "f" else array
        for key, array in drawn(name, SMALL).items()
    }
    first = next(iter(tensors))
    expected, *others = [client.evaluate(name, tensors, gradients=[first]) for client in everywhere]
    for found in others:
        for key, array in expected.tensors.items():
            assert_same_bits(found.tensors[key], np.asarray(array))


def test_warning_comes_from_everywhere(client: Client) -> None:
    with pytest.warns(UserWarning, match=r"input \(2, 3\) and target \(3,\)"):
        nn.MSELoss(client=client)(np.zeros((2, 3)), np.zeros(3))


WARNED: dict[str, Callable[[Client], object]] = {
    "class": lambda client: nn.MSELoss(client=client)(np.zeros((2, 3)), np.zeros(3)),
    "function": lambda client: functional.mse_loss(np.zeros((2, 3)), np.zeros(3), client=client),
    "gradient": lambda client: nn.MSELoss(client=client).value_and_grad(
        np.zeros((2, 3)), np.zeros(3)
    ),
    "client": lambda client: client.evaluate(
        "mse_loss", {"input": np.zeros((2, 3)), "target": np.zeros(3)}
    ),
    "deprecated class": lambda _: nn.MSELoss(reduce=True),
    "deprecated function": lambda client: functional.mse_loss(
        [0.0], [0.0], reduce=True, client=client
    ),
}


@pytest.mark.parametrize("call", WARNED.values(), ids=WARNED.keys())
def test_warning_points_at_its_cause(call: Callable[[Client], object]) -> None:
    """Python shows a warning once for each line that it points at: that must be the user's."""
    with (
        connect("inproc:") as client,
        pytest.warns(UserWarning, match="mse_loss|deprecated") as found,
    ):
        call(client)
    assert [warning.filename for warning in found] == [__file__]


def test_results_are_the_callers(client: Client) -> None:
    """A result may be written to and kept, whatever is computed after it."""
    x = np.ones(CHUNK, np.float32)
    criterion = nn.MSELoss(reduction="sum", client=client)
    _, first = criterion.value_and_grad(x, 0 * x)
    first += 1
    for k in range(3):
        _, other = criterion.value_and_grad(k * x, 0 * x)
        assert not np.shares_memory(first, other)
    assert (first == 3).all()
    assert (x == 1).all()


# --- sharing -----------------------------------------------------------------------------------


def test_many_threads_share_a_client(client: Client) -> None:
    def work(k: int) -> None:
        size = (5, 50_000, 700_000)[k % 3]
        x = np.full(size, float(k), np.float32)
        value, gradient = nn.L1Loss(reduction="sum", client=client).value_and_grad(x, -x)
        assert value == 2.0 * k * size
        assert (gradient == np.sign(k)).all()

    with futures.ThreadPoolExecutor(16) as threads:
        list(threads.map(work, range(96)))


FORKING = textwrap.dedent("""
    import multiprocessing, sys, threading, time
    import numpy as np
    from lossd_client import connect, nn

    client = connect(sys.argv[1], timeout=30)
    criterion = nn.L1Loss(reduction="sum", client=client)
    x = np.ones(int(sys.argv[2]), np.float32)

    def work(results):
        results.put([criterion.value_and_grad(x, 0 * x)[0] for _ in range(3)])
        client.close()

    def check():
        assert criterion.value_and_grad(x, 0 * x)[0] == x.size

    if __name__ == "__main__":
        check()
        fork = multiprocessing.get_context("fork")
        results = fork.SimpleQueue()
        children = [fork.Process(target=work, args=(results,)) for _ in range(3)]
        for child in children:
            child.start()
        check()
        for child in children:
            assert results.get() == [x.size] * 3
            child.join(30)
        assert [child.exitcode for child in children] == [0, 0, 0]
        check()
        print("done")
""")


@pytest.mark.parametrize("size", [10, 500_000], ids=["small", "chunked"])
def test_forked_children_use_their_parents_client(remote_target: str, size: int) -> None:
    script = subprocess.run(
        [
            sys.executable,
            "-W",
            "ignore::DeprecationWarning",
            "-c",
            FORKING,
            remote_target,
            str(size),
        ],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        env=environment(),
        check=False,
    )
    assert script.stdout == "done\n", script.stderr


def test_default_client_is_at_the_variables_target(
    monkeypatch: pytest.MonkeyPatch, server: Server
) -> None:
    monkeypatch.setenv("LOSSD_TARGET", server.addresses()[0])
    assert default_client().target == server.addresses()[0]
    assert default_client() is default_client()
    assert nn.MSELoss()([1.0], [3.0]).item() == 4
    assert functional.mse_loss([1.0], [3.0]).item() == 4
    default_client().close()
    monkeypatch.delenv("LOSSD_TARGET")
    assert default_client().target == "localhost:50051"


# --- deadlines, lost connections, the end ------------------------------------------------------


class Silent(grpc.GenericRpcHandler):  # type: ignore[misc]
    """A server that takes everything and answers nothing."""

    def __init__(self) -> None:
        self.taken = threading.Semaphore(0)
        self.messages: list[bytes] = []

    def service(self, details: grpc.HandlerCallDetails) -> Any:
        return grpc.stream_stream_rpc_method_handler(self._take)

    def _take(self, messages: Iterator[bytes], _: grpc.ServicerContext) -> Iterator[bytes]:
        for message in messages:
            for part in wire.read_together(message):
                self.messages.append(part)
                self.taken.release()
        return iter(())


@pytest.fixture
def silent() -> Iterator[tuple[str, Silent]]:
    """The address of a server that never answers, and what it has taken."""
    handler = Silent()
    server = grpc.server(futures.ThreadPoolExecutor(4), [handler])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield f"127.0.0.1:{port}", handler
    server.stop(None).wait(PATIENCE)


def test_deadline(silent: tuple[str, Silent]) -> None:
    target, _ = silent
    start = time.monotonic()
    with connect(target, timeout=0.2) as client:
        with pytest.raises(errors.DeadlineError, match=f"mse_loss.*{target}") as caught:
            nn.MSELoss(client=client)([1.0], [2.0])
        assert isinstance(caught.value, TimeoutError)
        with pytest.raises(errors.DeadlineError):
            client.evaluate("l1_loss", {"input": np.ones(1), "target": np.ones(1)}, timeout=0.1)
        with pytest.raises(errors.DeadlineError, match="an array in shared memory: no an"):
            client.empty(1 << 20)
    assert time.monotonic() - start < 20


def test_deadline_of_an_async_client(silent: tuple[str, Silent]) -> None:
    async def main() -> None:
        async with AsyncClient(silent[0], timeout=0.2) as client:
            with pytest.raises(errors.DeadlineError, match="mse_loss"):
                await nn.MSELoss(client=client)([1.0], [2.0])

    asyncio.run(main())


def test_what_missed_its_deadline_is_given_up(silent: tuple[str, Silent]) -> None:
    """The server is told, and is sent no more of the tensors."""
    target, handler = silent
    with connect(target, timeout=0.1) as client:
        with pytest.raises(errors.DeadlineError):
            nn.MSELoss(client=client)([1.0], [2.0])
        parts = list[bytes]()
        while len(parts) < 3:
            assert handler.taken.acquire(timeout=PATIENCE)
            parts = [part for m in handler.messages for part in lossd_client.wire.read_together(m)]
    pipes, request, cancel = map(lossd_client.wire.read_stream_request, parts)
    assert isinstance(pipes[1], lossd_client.wire.OpenPipes)
    assert isinstance(request[1], lossd_client.wire.Request)
    assert isinstance(cancel[1], lossd_client.wire.Cancel)
    assert request[0] == cancel[0] != pipes[0]


def test_deadline_leaves_a_real_server_and_the_client_alone(remote: Client) -> None:
    x = np.ones(4 * CHUNK, np.float32)
    for _ in range(3):
        with pytest.raises(errors.DeadlineError):
            remote.evaluate("l1_loss", {"input": x, "target": x}, timeout=1e-3)
        still_correct(remote)


def test_timeout_of_0_is_over_at_once(silent: tuple[str, Silent]) -> None:
    tensors = {"input": np.ones(1), "target": np.ones(1)}
    start = time.monotonic()
    with (
        connect(silent[0], timeout=10) as client,
        pytest.raises((errors.DeadlineError, errors.ParameterError)),
    ):
        client.evaluate("l1_loss", tensors, timeout=0.0)
    assert time.monotonic() - start < 5, "it was taken for the absence of a timeout"


def test_server_that_is_killed_and_started_again(start_server: StartServer) -> None:
    first = start_server()
    address = first.addresses()[0]
    with connect(address, timeout=PATIENCE, retries=8) as client:
        still_correct(client)
        first.kill()
        start_server(listen=(address,))
        still_correct(client)


def test_evaluations_under_way_survive_a_restart(start_server: StartServer) -> None:
    first = start_server()
    address = first.addresses()[0]
    stop = threading.Event()
    with (
        connect(address, timeout=PATIENCE, retries=20) as client,
        futures.ThreadPoolExecutor(3) as threads,
    ):

        def work() -> int:
            count = 0
            while not stop.is_set() or count < 3:
                still_correct(client)
                count += 1
            return count

        workers = [threads.submit(work) for _ in range(3)]
        still_correct(client)
        first.kill()
        start_server(listen=(address,))
        still_correct(client)
        stop.set()
        assert all(worker.result(PATIENCE) >= 3 for worker in workers)


def test_lost_connection_without_retries(start_server: StartServer) -> None:
    server = start_server()
    with connect(server.addresses()[0], retries=0) as client:
        still_correct(client)
        server.kill()
        with pytest.raises(errors.UnavailableError, match="lossd serve --listen"):
            nn.MSELoss(client=client)([1.0], [2.0])


def test_retries_end_with_the_deadline() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        target = f"127.0.0.1:{taken.getsockname()[1]}"
        start = time.monotonic()
        with (
            connect(target, timeout=0.5, retries=1_000_000) as client,
            pytest.raises((errors.UnavailableError, errors.DeadlineError)),
        ):
            nn.MSELoss(client=client)([1.0], [2.0])
        assert time.monotonic() - start < 20


def test_close_fails_what_is_pending_and_what_comes_later(silent: tuple[str, Silent]) -> None:
    target, handler = silent
    client = connect(target)
    with futures.ThreadPoolExecutor(2) as threads:
        pending = [threads.submit(nn.MSELoss(client=client), [1.0], [2.0]) for _ in range(2)]
        for _ in pending:
            assert handler.taken.acquire(timeout=PATIENCE)
        client.close()
        for call in pending:
            with pytest.raises(errors.CancelledError, match="closed"):
                call.result(PATIENCE)
    for _ in range(2):
        with pytest.raises(errors.CancelledError, match="closed"):
            nn.MSELoss(client=client)([1.0], [2.0])
        client.close()


def test_close_of_a_client_that_was_never_used() -> None:
    client = connect("localhost:1")
    client.close()
    with pytest.raises(errors.CancelledError, match="closed"):
        nn.MSELoss(client=client)([1.0], [2.0])


# --- asyncio -----------------------------------------------------------------------------------


def test_200_evaluations_in_flight(target: str) -> None:
    async def main() -> None:
        async with AsyncClient(target, timeout=PATIENCE) as client:
            criterion = nn.L1Loss(reduction="sum", client=client)
            x = np.ones(3000, np.float32)
            values = await asyncio.gather(*[criterion(k * x, 0 * x) for k in range(200)])
            assert [value.item() for value in values] == [3000.0 * k for k in range(200)]

    asyncio.run(main())


def test_async_gradients_and_errors(target: str) -> None:
    async def main() -> None:
        async with AsyncClient(target, timeout=PATIENCE) as client:
            x = tensor([1.0, 2.0], requires_grad=True)
            (await nn.MSELoss(client=client)(x, [0.0, 0.0])).backward()
            assert x.grad is not None
            assert x.grad.tolist() == [1, 2]
            value, gradient = await nn.MSELoss(client=client).value_and_grad([3.0], [0.0])
            assert (value, gradient.tolist()) == (9, [6])
            with pytest.raises(errors.UnknownLossError):
                await client.evaluate("croak_loss", {})
            good = client.evaluate("l1_loss", {"input": np.ones(2), "target": np.ones(2)})
            assert (await good).tensors["loss"] == 0

    asyncio.run(main())


def test_cancellation_of_one_of_many(remote_target: str) -> None:
    async def main() -> None:
        async with AsyncClient(remote_target, timeout=PATIENCE) as client:
            criterion = nn.L1Loss(reduction="sum", client=client)
            x = np.ones(CHUNK, np.float32)
            calls = [asyncio.ensure_future(criterion(k * x, 0 * x)) for k in range(8)]
            await asyncio.sleep(0)  # all of them begin
            calls[3].cancel()
            done = await asyncio.gather(*calls, return_exceptions=True)
            assert isinstance(done.pop(3), asyncio.CancelledError)
            assert [value.item() for value in done] == [k * x.size for k in range(8) if k != 3]

    asyncio.run(main())


def test_async_client_serves_one_loop_after_another(remote_target: str) -> None:
    client = AsyncClient(remote_target, timeout=PATIENCE)
    for _ in range(2):
        assert asyncio.run(_value(client)) == 2.5
    asyncio.run(client.aclose())


async def _value(client: AsyncClient) -> float:
    loss = await nn.MSELoss(client=client)([1.0, 2.0], [0.0, 0.0])
    return float(loss.item())


# --- deprecated arguments ----------------------------------------------------------------------


@pytest.mark.parametrize("size_average", [None, True, False, 0])
@pytest.mark.parametrize("reduce", [None, True, False, np.False_])
def test_legacy_reductions_are_torchs(size_average: bool | None, reduce: bool | None) -> None:
    given: dict[str, Any] = {"size_average": size_average, "reduce": reduce}
    if given == {"size_average": None, "reduce": None}:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert nn.L1Loss(**given, reduction="sum").reduction == "sum"
        return
    with pytest.warns(UserWarning, match="size_average and reduce"):
        expected = torch.nn.L1Loss(**given, reduction="sum").reduction
    with pytest.warns(UserWarning, match=f"use reduction='{expected}'"):
        criterion = nn.L1Loss(**given, reduction="sum")
    assert criterion.reduction == expected
    with (
        connect("inproc:") as client,
        pytest.warns(UserWarning, match=f"use reduction='{expected}'"),
    ):
        found = functional.l1_loss([1.0, 3.0], [0.0, 0.0], **given, client=client)
    assert found.numpy().tolist() == {"mean": 2, "sum": 4, "none": [1, 3]}[expected]


# --- tensor(): what torch's do -----------------------------------------------------------------


@pytest.fixture
def mse() -> Iterator[Callable[..., Any]]:
    with connect("inproc:") as client:
        yield lambda *inputs, **given: nn.MSELoss(**given, client=client)(*inputs)


def test_gradients_accumulate(client: Client) -> None:
    x = tensor([1.0, 2.0], requires_grad=True)
    for k in (1, 2):
        nn.MSELoss(client=client)(x, [0.0, 0.0]).backward()
        assert x.grad is not None
        assert x.grad.tolist() == [k, 2 * k]
    x.zero_grad()
    assert x.grad is None


def test_accumulating_changes_no_earlier_gradient(mse: Callable[..., Any]) -> None:
    x = tensor([1.0, 2.0], requires_grad=True)
    mse(x, [0.0, 0.0]).backward()
    before = x.grad
    mse(x, [0.0, 0.0]).backward()
    assert before is not None
    assert before.tolist() == [1, 2]


def test_one_tensor_as_both_inputs(mse: Callable[..., Any]) -> None:
    x = tensor([1.0, 2.0], requires_grad=True)
    mse(x, x).backward()
    assert x.grad is not None
    assert x.grad.tolist() == [0, 0]


def test_backward_a_second_time(mse: Callable[..., Any]) -> None:
    loss = mse(tensor([1.0], requires_grad=True), [0.0])
    loss.backward()
    with pytest.raises(RuntimeError, match="backward was called before"):
        loss.backward()


def test_backward_where_nothing_wants_a_gradient(mse: Callable[..., Any]) -> None:
    with pytest.raises(RuntimeError, match="requires"):
        mse(tensor([1.0]), [0.0]).backward()
    with pytest.raises(RuntimeError, match="requires"):
        tensor([1.0], requires_grad=True).backward()


def test_backward_of_many_losses_needs_upstream(client: Client) -> None:
    x = tensor([1.0, 2.0], requires_grad=True)
    loss = nn.MSELoss(reduction="none", client=client)(x, [0.0, 0.0])
    assert loss.numpy().tolist() == [1, 4]
    with pytest.raises(RuntimeError, match=r"gradient of shape \(2,\)"):
        loss.backward()
    with pytest.raises(ValueError, match=r"\(3,\).*\(2,\)"):
        loss.backward([1.0, 2.0, 3.0])
    loss.backward([10.0, 100.0])  # what was refused has used nothing up
    assert x.grad is not None
    assert x.grad.tolist() == [20, 400]


def test_scalar_upstream_multiplies(client: Client) -> None:
    x = tensor(np.array([1.0, 2.0]), requires_grad=True)
    nn.MSELoss(client=client)(x, np.zeros(2)).backward(0.5)
    assert x.grad is not None
    assert x.grad.dtype == np.float64
    assert x.grad.tolist() == [0.5, 1.0]


def test_upstream_of_a_single_loss_that_is_not_reduced(mse: Callable[..., Any]) -> None:
    x = tensor(np.float32(3.0), requires_grad=True)
    mse(x, np.float32(1.0), reduction="none").backward()
    assert x.grad is not None
    assert x.grad == 4


@pytest.mark.parametrize("data", [[1, 2], [True], np.arange(3), np.array(["a"])])
def test_only_floats_require_gradients(data: Any) -> None:
    with pytest.raises(TypeError, match="only floating-point tensors can require gradients"):
        tensor(data, requires_grad=True)


def test_tensors_are_arrays() -> None:
    x = tensor([[0.5, 2.0, 1.0]])
    assert (x.shape, x.dtype, x.ndim, x.size, len(x)) == ((1, 3), np.float32, 2, 3, 1)
    assert np.asarray(x) is x.numpy()
    assert np.asarray(x, np.float64).dtype == np.float64
    assert not np.shares_memory(np.array(x), x.numpy())
    assert float(tensor(2.0)) == tensor([2.0]).item() == 2
    given = np.arange(3.0)
    assert tensor(given).numpy() is given
    assert repr(tensor([1.0], requires_grad=True)) == (
        "tensor([1.], dtype=float32, requires_grad=True)"
    )
    assert not tensor(x, requires_grad=True).detach().requires_grad


def test_tensors_compare_as_what_they_hold(client: Client) -> None:
    loss = nn.MSELoss(client=client)([1.0, 2.0], [0.0, 0.0])
    assert loss < 3 <= tensor(3.0)
    assert loss == 2.5
    assert loss != tensor(2.0)
    assert loss >= tensor(2.5) > tensor(2.0)
    assert min([tensor(3.0), loss]) is loss
    assert int(loss) == 2
    assert (tensor([1.0, 2.0]) == tensor([1.0, 3.0])).tolist() == [True, False]
    assert len({loss, loss, tensor(2.5)}) == 2


def test_tensors_are_pickled_without_the_way_back(client: Client) -> None:
    x = tensor([1.0, 2.0], requires_grad=True)
    loss = nn.MSELoss(client=client)(x, [0.0, 0.0])
    again, there = pickle.loads(pickle.dumps((loss, x)))
    assert again == loss
    assert there.requires_grad
    with pytest.raises(RuntimeError, match="no gradient to propagate"):
        again.backward()
    loss.backward()


def test_numbers_with_a_type_keep_it() -> None:
    assert tensor(typed("d", [1.0])).dtype == np.float64
    assert tensor(memoryview(typed("d", [1.0]))).dtype == np.float64
    assert tensor([1.0]).dtype == np.float32


def test_gradients_of_bfloat16_accumulate_without_ml_dtypes() -> None:
    program = """
import sys
import numpy as np
from lossd_client import connect, nn
criterion = nn.LinearCrossEntropyLoss(4, 3, dtype="bfloat16", client=connect("inproc:"))
weight = criterion.linear.weight
criterion(np.ones((2, 4), np.float32), [0, 1]).backward()
once = weight.grad.view(np.uint16).copy()
criterion(np.ones((2, 4), np.float32), [0, 1]).backward()
assert "ml_dtypes" not in sys.modules
assert (weight.grad.view(np.uint16) - once == 0x80).all()  # twice as much: the next exponent
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


def test_evaluate_takes_what_becomes_an_array(everywhere: list[Client]) -> None:
    ones = np.ones((2, 3), np.float32)
    for client in everywhere:
        for given in (ones.tolist(), torch.ones(2, 3), ones.view(np.recarray), ones.astype(">f4")):
            response = client.evaluate(
                "mse_loss", {"input": given, "target": 0 * ones}, gradients=["input"]
            )
            assert response.tensors["loss"] == 1
            assert response.tensors["grad.input"].dtype == np.float32
        masked = np.ma.masked_array(ones, ones > 0)
        with pytest.raises(TypeError, match="masked"):
            client.evaluate("mse_loss", {"input": masked, "target": ones})
        assert client.empty(np.int64(5)).shape == (5,)


def test_whole_numbers_for_true_and_false(client: Client) -> None:
    criterion = nn.GaussianNLLLoss(full=cast(bool, 1), client=client)
    expected = torch.nn.GaussianNLLLoss(full=True)
    given = [1.0], [2.0], [1.0]
    assert criterion(*given).item() == pytest.approx(expected(*map(torch.tensor, given)).item())


def test_value_and_grad_with_respect_to(client: Client) -> None:
    criterion = nn.MarginRankingLoss(margin=1.0, reduction="sum", client=client)
    inputs = ([1.0, 2.0], [0.5, 4.0], [1.0, 1.0])
    value, gradient = criterion.value_and_grad(*inputs)
    assert value == 3.5
    assert gradient.tolist() == [-1, -1]
    value, gradient = criterion.value_and_grad(*inputs, wrt="input2")
    assert gradient.tolist() == [1, 1]
    value, gradients = criterion.value_and_grad(*inputs, wrt=("input2", "input1"))
    assert [g.tolist() for g in gradients] == [[1, 1], [-1, -1]]
    value, gradients = criterion.value_and_grad(*inputs, wrt=["target"])
    assert [g.tolist() for g in gradients] == [[-0.5, 2.0]]
    with pytest.raises(errors.ParameterError, match="input3"):
        criterion.value_and_grad(*inputs, wrt="input3")


def test_value_and_grad_of_losses_that_are_not_reduced(client: Client) -> None:
    criterion = nn.MSELoss(reduction="none", client=client)
    value, gradient = criterion.value_and_grad([1.0, 2.0], [0.0, 0.0])
    assert value.tolist() == [1, 4]
    assert gradient.tolist() == [2, 4]


def test_wrong_number_of_inputs(client: Client) -> None:
    with pytest.raises(TypeError, match="mse_loss takes input, target: 1 were given"):
        nn.MSELoss(client=client).value_and_grad([1.0])


# --- torch -------------------------------------------------------------------------------------


def test_backward_reaches_a_models_weights(client: Client) -> None:
    weights = []
    for module, given in ((torch.nn, {}), (nn, {"client": client})):
        torch.manual_seed(3)
        model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Tanh(), torch.nn.Linear(8, 3))
        optimizer = torch.optim.SGD(model.parameters(), 0.1)
        criterion = module.CrossEntropyLoss(label_smoothing=0.1, **given)
        x, y = torch.randn(16, 4), torch.randint(3, (16,))
        for _ in range(5):
            optimizer.zero_grad()
            loss = criterion(model(x), y)
            assert isinstance(loss, torch.Tensor)
            loss.backward()
            optimizer.step()
        weights.append([p.detach().clone() for p in model.parameters()])
    for expected, found in zip(*weights, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)


def test_torch_losses_that_are_not_reduced(client: Client) -> None:
    x = torch.randn(4, 3, generator=torch.Generator().manual_seed(1))
    gradients = []
    for module, given in ((torch.nn.functional, {}), (functional, {"client": client})):
        leaf = x.clone().requires_grad_()
        losses = module.smooth_l1_loss(2 * leaf, torch.ones(4, 3), reduction="none", **given)
        assert losses.shape == (4, 3)
        losses.backward(torch.arange(12.0).reshape(4, 3))
        gradients.append(leaf.grad)
    torch.testing.assert_close(gradients[1], gradients[0])


def test_torch_loss_within_a_larger_one(client: Client) -> None:
    gradients = []
    for module, given in ((torch.nn.functional, {}), (functional, {"client": client})):
        x = torch.tensor([1.0, 2.0, -1.0], requires_grad=True)
        loss = module.mse_loss(x, torch.zeros(3), **given)
        (3 * loss + x.sum() + loss * loss).backward()
        gradients.append(x.grad)
    torch.testing.assert_close(gradients[1], gradients[0])


def test_torch_losses_are_written_to_in_place(client: Client) -> None:
    """As `loss /= steps` does in training loops."""
    for criterion in (nn.MSELoss(client=client), torch.nn.MSELoss()):
        x = torch.tensor([1.0, 3.0], requires_grad=True)
        loss = criterion(x, torch.zeros(2))
        loss /= 2
        loss += x.sum()
        loss.backward()
        assert loss.item() == 6.5
        assert x.grad is not None
        assert x.grad.tolist() == [1.5, 2.5]


@pytest.mark.parametrize("reduction", ["none", "mean"])
def test_torch_losses_let_go_of_their_inputs(client: Client, reduction: str) -> None:
    """As torch's do: who keeps losses does not keep activations."""
    x = torch.ones(10, dtype=torch.float16, requires_grad=True) * 2
    loss = nn.MSELoss(reduction=reduction, client=client)(x, torch.zeros(10).half())
    loss.sum().backward(retain_graph=True)
    loss.sum().backward()
    kept = weakref.ref(x)
    del x
    gc.collect()
    assert kept() is None


@pytest.mark.filterwarnings("ignore:`torch.jit.script`:DeprecationWarning")  # torch's own
def test_torch_tangents_are_refused(client: Client) -> None:
    with torch.autograd.forward_ad.dual_level():
        x = torch.autograd.forward_ad.make_dual(torch.ones(3), torch.ones(3))
        with pytest.raises(NotImplementedError, match="input has a tangent"):
            nn.MSELoss(client=client)(x, torch.zeros(3))


def test_torch_scalar_beside_one_of_lossds(client: Client) -> None:
    x = tensor(np.float32(2), requires_grad=True)
    nn.MSELoss(client=client)(torch.tensor(1.0), x).backward()
    assert x.grad is not None
    assert (x.grad.shape, x.grad.item()) == ((), 2)


def test_torch_gradient_of_targets(client: Client) -> None:
    logits = torch.randn(5, 3, generator=torch.Generator().manual_seed(1))
    gradients = []
    for module, given in ((torch.nn.functional, {}), (functional, {"client": client})):
        x = logits.clone().requires_grad_()
        teacher = torch.zeros(5, 3, requires_grad=True)
        module.cross_entropy(x, teacher.softmax(1), **given).backward()
        gradients.append((x.grad, teacher.grad))
    for expected, found in zip(*gradients, strict=True):
        torch.testing.assert_close(found, expected)
    x = torch.ones(3)
    target = torch.zeros(3, requires_grad=True)
    functional.mse_loss(x, target, client=client).backward()
    torch.testing.assert_close(target.grad, torch.full((3,), -2 / 3))


def test_torch_without_gradients(client: Client) -> None:
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    with torch.no_grad():
        loss = functional.mse_loss(x, torch.zeros(2), client=client)
    assert not loss.requires_grad
    assert loss.item() == 2.5
    assert loss.dtype == torch.float32
    assert not functional.mse_loss(x.detach(), torch.zeros(2), client=client).requires_grad
    double = functional.mse_loss(x.double(), torch.zeros(2, dtype=torch.float64), client=client)
    assert double.dtype == torch.float64
    assert double.requires_grad


def test_torch_inputs_beside_arrays(client: Client) -> None:
    x = torch.tensor([[1.0, 2.0]], requires_grad=True)
    loss = functional.cross_entropy(x, [1], client=client)
    assert isinstance(loss, torch.Tensor)
    loss.backward()
    assert x.grad is not None
    assert x.grad.sum().item() == pytest.approx(0, abs=1e-6)
    weighted = nn.CrossEntropyLoss(weight=torch.tensor([1.0, 3.0]), client=client)
    expected = torch.nn.CrossEntropyLoss(weight=torch.tensor([1.0, 3.0]))
    target = torch.tensor([1, 0])
    two = x.detach().repeat(2, 1)
    torch.testing.assert_close(weighted(two, target), expected(two, target))


def test_torch_views_work(client: Client) -> None:
    x = torch.arange(12.0).reshape(3, 4).requires_grad_()
    functional.l1_loss(x.T[::2], torch.zeros(2, 3), client=client).backward()
    expected = torch.zeros(3, 4)
    expected[:, ::2] = 1 / 6
    expected[0, 0] = 0
    torch.testing.assert_close(x.grad, expected)


def test_torch_second_backward_is_refused_as_torchs_is(client: Client) -> None:
    x = torch.ones(2, requires_grad=True)
    loss = functional.mse_loss(x, torch.zeros(2), client=client)
    loss.backward(retain_graph=True)
    loss.backward()
    torch.testing.assert_close(x.grad, torch.full((2,), 2.0))
    with pytest.raises(RuntimeError, match="backward through the graph a second time"):
        loss.backward()


def test_torch_gradients_are_nobody_elses(client: Client) -> None:
    """What is done to a gradient changes no other backward of the same loss."""
    for module, given in ((torch.nn.functional, {}), (functional, {"client": client})):
        x = torch.ones(3, requires_grad=True)
        loss = module.mse_loss(x, torch.zeros(3), **given)
        loss.backward(retain_graph=True)
        assert x.grad is not None
        x.grad.zero_()
        loss.backward(retain_graph=True)
        (first,) = torch.autograd.grad(loss, x, retain_graph=True)
        first.mul_(100)
        (second,) = torch.autograd.grad(loss, x)
        torch.testing.assert_close(x.grad, torch.full((3,), 2 / 3))
        torch.testing.assert_close(second, torch.full((3,), 2 / 3))
        with pytest.raises(RuntimeError, match="backward through the graph a second time"):
            loss.backward()


def test_torch_second_derivatives_are_refused(client: Client) -> None:
    x = torch.ones(3, requires_grad=True)
    loss = functional.mse_loss(x, torch.zeros(3), client=client)
    with pytest.raises(RuntimeError, match="mse_loss of lossd is differentiable once"):
        torch.autograd.grad(loss, x, create_graph=True)


def test_torch_tensors_changed_after_the_loss(client: Client) -> None:
    """A backward that has to compute again does so from what was given, or says so."""
    upstream = torch.tensor([1.0, 2.0, 3.0])
    for changed in (0, 1):
        tensors = [torch.full((3,), 5.0, requires_grad=True), torch.zeros(3)]
        losses = functional.mse_loss(*tensors, reduction="none", client=client)
        with torch.no_grad():
            tensors[changed] += 1
        name = ("input", "target")[changed]
        with pytest.raises(RuntimeError, match=f"{name} has been modified by an inplace operation"):
            losses.backward(upstream)
    x = torch.full((3,), 5.0, requires_grad=True)
    criterion = nn.HuberLoss(reduction="none", client=client)
    losses = criterion(x, torch.zeros(3))
    criterion.delta = 100.0
    losses.backward(upstream)
    torch.testing.assert_close(x.grad, upstream)
    with torch.inference_mode():
        target = torch.zeros(3)
    functional.mse_loss(x, target, reduction="none", client=client).backward(upstream)


@pytest.mark.parametrize(
    ("loss", "name"),
    [
        (nn.MSELoss, "sample_weight"),
        (nn.SoftMarginLoss, "target"),
        (nn.BCEWithLogitsLoss, "weight"),
        (nn.BCEWithLogitsLoss, "pos_weight"),
        (nn.NLLLoss, "weight"),
    ],
)
def test_torch_gradients_that_there_are_not(client: Client, loss: Any, name: str) -> None:
    x = torch.rand(3, 3, requires_grad=True)
    y = torch.tensor([0, 2, 1]) if loss is nn.NLLLoss else torch.ones(3, 3)
    asking = (y if name == "target" else torch.ones(3)).requires_grad_()
    criterion = loss(**({name: asking} if name in loss.options else {}), client=client)
    more = {name: asking} if name == "sample_weight" else {}
    with pytest.raises(RuntimeError, match=rf"not differentiable with respect to '{name}'"):
        criterion(x, y, **more)
    with torch.no_grad():
        assert not criterion(x, y, **more).requires_grad


def test_torch_targets_that_are_constants_all_the_same(client: Client) -> None:
    for module, given in ((torch.nn.functional, {}), (functional, {"client": client})):
        x, y = torch.rand(3, requires_grad=True), torch.ones(3, requires_grad=True)
        module.hinge_embedding_loss(x, y, **given).backward()
        assert y.grad is None
        rows = torch.rand(3, 3, requires_grad=True)
        module.cosine_embedding_loss(rows, rows, y, **given).backward()
        assert y.grad is None


def test_torch_tensors_without_values(client: Client) -> None:
    criterion = nn.MSELoss(client=client)
    x = torch.view_as_complex(torch.rand(3, 2)).conj().imag  # its sign is a flag
    torch.testing.assert_close(criterion(x, torch.zeros(3)), x.square().mean())
    with pytest.raises(TypeError, match="target is a tensor whose values cannot be read"):
        criterion(torch.eye(3), torch.eye(3).to_sparse())
    with pytest.raises(TypeError, match=r"torch.func and torch.compile\(fullgraph=True\)"):
        torch.func.grad(lambda x: criterion(x, torch.zeros(3)))(torch.ones(3))


@pytest.mark.filterwarnings("ignore:The .grad attribute:UserWarning")  # torch's, of its own look
def test_torch_compile_calls_the_loss_between_graphs(client: Client) -> None:
    model = torch.nn.Linear(4, 3)
    y = torch.tensor([0, 2])
    found = []
    for criterion in (torch.nn.CrossEntropyLoss(), nn.CrossEntropyLoss(client=client)):

        def step(x: torch.Tensor, criterion: Any = criterion) -> torch.Tensor:
            loss: torch.Tensor = criterion(model(x).tanh(), y)
            return loss.exp()

        model.zero_grad()
        loss = torch.compile(step, backend="eager")(torch.ones(2, 4))
        loss.backward()
        found.append((loss.detach(), model.weight.grad))
    torch.testing.assert_close(found[1], found[0])


def test_losses_are_copied_and_pickled_with_their_clients(client: Client) -> None:
    criterion = nn.CrossEntropyLoss(weight=torch.tensor([1.0, 2.0]), client=client)
    x, y = [[0.5, 1.0]], [1]
    expected = criterion(x, y)
    same = copy.deepcopy(criterion)
    assert same.client is client
    assert same.weight is not criterion.weight
    assert float(same(x, y)) == float(expected)
    sent = pickle.loads(pickle.dumps(criterion))
    assert sent.client is not client
    assert sent.client.target == client.target
    assert float(sent(x, y)) == float(expected)
    sent.client.close()


def test_torch_errors_are_the_same(client: Client) -> None:
    x = torch.ones(2, 3, requires_grad=True)
    with pytest.raises(errors.LabelError, match=r"target\[0\] = 3"):
        functional.cross_entropy(x, torch.tensor([3, 0]), client=client)


@pytest.mark.parametrize("kind", [torch.int64, torch.uint8, torch.bool])
def test_torch_integers_beside_a_floating_tensor(client: Client, kind: torch.dtype) -> None:
    """Small, in a message of its own; large, with the floating tensor and its gradient in parts."""
    for size in (3, 1 << 20):
        x = (torch.arange(size) % 7).to(kind)
        y, z = (torch.full((size,), 0.5, requires_grad=True) for _ in range(2))
        loss, expected = (
            functional.mse_loss(x, y, client=client),
            torch.nn.functional.mse_loss(x, z),
        )
        loss.backward()
        expected.backward()
        torch.testing.assert_close(loss, expected)
        torch.testing.assert_close(y.grad, z.grad)


# --- the whole of torch's interface ------------------------------------------------------------


TORCHS = sorted(n for n, declared in registry.items() if declared.library == "torch.nn")


@pytest.mark.parametrize("name", TORCHS)
def test_classes_have_torchs_signatures(name: str) -> None:
    ours, theirs = (getattr(module, registry[name].__name__) for module in (nn, torch.nn))
    assert_same_parameters(inspect.signature(ours), inspect.signature(theirs))
    call = inspect.signature(ours.__call__).parameters
    torchs = list(inspect.signature(theirs.forward).parameters)
    assert list(call) == [*torchs, "sample_weight"]
    assert call["sample_weight"].kind is inspect.Parameter.KEYWORD_ONLY


@pytest.mark.parametrize("name", [name for name in TORCHS if not registry[name].owned])
def test_functions_have_torchs_signatures(name: str) -> None:
    ours = inspect.signature(getattr(functional, name))
    theirs = inspect.signature(getattr(torch.nn.functional, name))
    assert_same_parameters(ours, theirs)


def assert_same_parameters(ours: inspect.Signature, theirs: inspect.Signature) -> None:
    """Names, order and defaults; ours takes `client` and what torch lacks too, by name."""
    found = dict(ours.parameters)
    assert "client" in found
    for name in found.keys() - theirs.parameters.keys():
        more = found.pop(name)
        assert more.kind is inspect.Parameter.KEYWORD_ONLY
        assert not more.default  # as if it was not there
    assert list(found) == list(theirs.parameters)
    assert told(found) == told(theirs.parameters)


def told(parameters: Mapping[str, inspect.Parameter]) -> dict[str, Any]:
    """Defaults, and whether arguments are given by keyword alone."""
    only = inspect.Parameter.KEYWORD_ONLY
    return {n: (p.default, p.kind is only) for n, p in parameters.items()}


def test_every_loss_is_there() -> None:
    aliases = {alias for declared in registry.values() for alias in declared.aliases}
    assert set(nn.__all__) == {declared.__name__ for declared in registry.values()} | aliases
    assert {name for name in nn.__all__ if getattr(nn, name).deprecated} == aliases
    assert set(functional.__all__) == set(registry)
    for name in set(nn.__all__) - aliases:
        assert "Example:" in inspect.getdoc(getattr(nn, name))
    assert repr(nn.CrossEntropyLoss(weight=[1.0], label_smoothing=0.1, reduction="sum")) == (
        "CrossEntropyLoss(label_smoothing=0.1, weight=…, reduction='sum')"
    )


def test_older_names_work_and_warn(client: Client) -> None:
    with pytest.warns(FutureWarning, match="NLLLoss2d is deprecated; use NLLLoss") as caught:
        criterion = nn.NLLLoss2d(client=client)
    assert caught[0].filename == __file__
    assert criterion([[-0.5, -1.0], [-2.0, -0.25]], [0, 1]).item() == 0.375


POINTS = ([[0.0, 1.0, 2.0]], [[1.0, 1.0, 2.0]], [[0.0, 3.0, 1.0]])


@pytest.mark.parametrize(
    "given",
    [
        None,
        "pairwise",
        torch.nn.functional.pairwise_distance,
        torch.pairwise_distance,
        torch.nn.PairwiseDistance(),
    ],
    ids=lambda given: getattr(given, "__name__", str(given)),
)
def test_torchs_pairwise_distance_is_known(client: Client, given: Any) -> None:
    criterion = nn.TripletMarginWithDistanceLoss(distance_function=given, client=client)
    assert criterion.distance_function == "pairwise"
    expected = torch.nn.TripletMarginWithDistanceLoss()(*map(torch.tensor, POINTS))
    assert criterion(*POINTS).item() == pytest.approx(expected.item(), rel=1e-6)


@pytest.mark.parametrize(
    "given",
    [lambda x, y: x - y, torch.nn.PairwiseDistance(p=1.0), torch.cdist, 2],
    ids=["lambda", "p=1", "cdist", "number"],
)
def test_a_function_of_ones_own_is_refused_with_what_works(client: Client, given: Any) -> None:
    with pytest.raises(TypeError, match=r"cannot be sent to a server; .* 'pairwise', 'cosine'"):
        nn.TripletMarginWithDistanceLoss(distance_function=given, client=client)


def test_an_unknown_name_of_a_function_is_an_error_of_the_server(client: Client) -> None:
    criterion = nn.TripletMarginWithDistanceLoss(distance_function="euclid", client=client)
    with pytest.raises(
        errors.ParameterError,
        match=r"distance_function = 'euclid' .* one of 'pairwise'",
    ):
        criterion(*POINTS)


# --- the examples in the documentation ---------------------------------------------------------


def modules() -> list[str]:
    """Every module of ours but what protoc made and what starts a program."""
    return [
        name
        for package in (lossd_client, lossd)
        for _, name, _ in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
        if "._gen" not in name and not name.endswith("__main__")
    ] + ["lossd_client", "lossd"]


def examples(module: ModuleType, **names: Any) -> list[doctest.DocTest]:
    found = doctest.DocTestFinder(exclude_empty=True).find(module, extraglobs=names)
    return [test for test in found if test.examples]


@pytest.mark.parametrize("name", modules())
def test_examples_in_docstrings(name: str) -> None:
    module = importlib.import_module(name)
    with connect("inproc:") as client:
        failures = []
        for test in examples(module, nn=nn, client=client, tensor=tensor, connect=connect):
            report: list[str] = []
            doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(test, out=report.append)
            failures += report
    assert not failures, "\n".join(failures)


def test_every_class_has_an_example_that_runs() -> None:
    with_examples = {t.name.rpartition(".")[2] for m in (nn, owning) for t in examples(m)}
    assert with_examples == {name for name in nn.__all__ if not getattr(nn, name).deprecated}


# --- weights of samples, and what the mean divides by -------------------------------------------

SCORES = np.float32([[2, -1, 0.5], [0, 1, 3], [1, 1, 1]])
LABELS = np.array([0, 2, -100])


def test_sample_weight_is_pytorchs_weighted_sum(client: Client) -> None:
    weight = np.float32([2, 0.5, 7])
    for reduction in ("none", "sum"):
        x = torch.tensor(SCORES, requires_grad=True)
        criterion = nn.CrossEntropyLoss(reduction=reduction, client=client)
        ours = criterion(x, torch.tensor(LABELS), sample_weight=torch.tensor(weight))
        ours.sum().backward()
        y = torch.tensor(SCORES, requires_grad=True)
        losses = torch.nn.CrossEntropyLoss(reduction="none")(y, torch.tensor(LABELS))
        theirs = losses * torch.tensor(weight)
        theirs.sum().backward()
        theirs = theirs if reduction == "none" else theirs.sum()
        torch.testing.assert_close(ours, theirs, check_dtype=True)
        torch.testing.assert_close(x.grad, y.grad)


@pytest.mark.parametrize(
    ("normalizer", "divisor"), [(None, 2), ("batch", 3), ("valid", 2), ("weights", 2.5), (10, 10)]
)
def test_normalizer_through_the_client(
    client: Client, normalizer: str | float | None, divisor: float
) -> None:
    weight = np.float32([2, 0.5, 7])
    total = functional.cross_entropy(
        SCORES, LABELS, reduction="sum", sample_weight=weight, client=client
    ).item()
    criterion = nn.CrossEntropyLoss(normalizer=normalizer, client=client)
    value, gradient = criterion.value_and_grad(SCORES, LABELS, sample_weight=weight)
    assert value == pytest.approx(total / divisor, rel=1e-6)
    assert gradient.shape == SCORES.shape
    assert ("normalizer" in repr(criterion)) == (normalizer is not None)


@pytest.mark.parametrize("size", [10, 1_000_000])
def test_objects_are_no_numbers(everywhere: list[Client], size: int) -> None:
    given = np.full(size, None), np.zeros(size, np.float32)
    for client in everywhere:
        for _ in range(2):  # with shared memory, too
            with pytest.raises(errors.DTypeError, match="input has type object"):
                nn.MSELoss(client=client)(*given)


def test_what_is_no_array_is_named(everywhere: list[Client]) -> None:
    ragged = [[1.0], [2.0, 3.0]]
    for client in everywhere:
        with pytest.raises(errors.ShapeError, match="target is not an array") as caught:
            nn.MSELoss(client=client)(np.zeros((2, 2), np.float32), ragged)
        assert caught.value.field == "target"
    with pytest.raises(errors.ShapeError, match="mse_loss: target is not an array") as caught:
        engine.evaluate("mse_loss", {"input": [1.0], "target": ragged})
    assert caught.value.field == "target"
    masked = np.ma.array([1.0, 2.0], mask=[False, True])
    with pytest.raises(TypeError, match="input is a masked array"):
        nn.MSELoss(client=everywhere[0])(masked, [1.0, 2.0])


def test_a_time_without_end(server: Server) -> None:
    for timeout in (np.inf, 1e300):
        with connect(server.addresses()[0], timeout=timeout) as client:
            assert nn.MSELoss(client=client)([1.0], [3.0]).item() == 4


def test_zero_if_empty_through_the_client(client: Client) -> None:
    ignored = np.full(3, -100)
    assert np.isnan(nn.CrossEntropyLoss(client=client)(SCORES, ignored).item())
    x = tensor(SCORES, requires_grad=True)
    loss = nn.CrossEntropyLoss(zero_if_empty=True, client=client)(x, ignored)
    loss.backward()
    assert loss.item() == 0
    assert x.grad is not None
    assert not x.grad.any()


def test_means_of_samples_through_the_client(client: Client) -> None:
    x, y = tensor(SCORES, requires_grad=True), np.zeros((3, 3), np.float32)
    losses = nn.MSELoss(reduction="sample", client=client)(x, y)
    np.testing.assert_allclose(losses.numpy(), (SCORES**2).mean(1), rtol=1e-6)
    losses.backward(np.float32([1, 0, 2]))
    assert x.grad is not None
    expected = 2 / 3 * SCORES * np.float32([[1], [0], [2]])
    np.testing.assert_allclose(x.grad, expected, rtol=1e-6)


# --- types of two bytes -------------------------------------------------------------------------


@pytest.mark.parametrize("size", [10, 700_000], ids=["small", "chunked"])
@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16], ids=str)
def test_torchs_halves_train(client: Client, kind: torch.dtype, size: int) -> None:
    x = torch.linspace(-3, 3, size).to(kind).requires_grad_()
    loss = nn.MSELoss(reduction="sum", client=client)(x, torch.zeros(size, dtype=kind))
    (2 * loss).backward()
    assert loss.dtype == torch.float32
    exact = (x.detach().double() ** 2).sum().item()
    assert loss.item() == pytest.approx(exact, rel=1e-6)
    assert x.grad is not None
    assert x.grad.dtype == kind
    torch.testing.assert_close(x.grad, 4 * x.detach(), rtol=0, atol=0)


TINY = torch.linspace(-1e-3, 1e-3, 4001)
"""A mean's gradients, 2 x / 4001, are 0 in float16."""


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize("scale", [1.0, 16384.0, 3.0, 0.25])
def test_halves_are_rounded_once_after_a_loss_was_scaled(
    client: Client, kind: torch.dtype, scale: float
) -> None:
    """torch.amp's GradScaler is for gradients that float16 has no numbers for."""
    x = TINY.to(kind).requires_grad_()
    exact = (x.detach().double() * 2 * scale / 4001).float().to(kind)
    for _ in range(3):  # the first learns the scale
        x.grad = None
        (nn.MSELoss(client=client)(x, torch.zeros(4001)) * scale).backward()
        torch.testing.assert_close(x.grad, exact, rtol=0, atol=0)
        also = tensor(x.detach().float().numpy().astype(np.float16), requires_grad=True)
        nn.MSELoss(client=client)(also, np.zeros(4001, np.float32)).backward(np.array(scale))
        wide = also.data.astype(np.float64) * 2 * scale / 4001
        assert also.grad is not None
        np.testing.assert_array_equal(also.grad, wide.astype(np.float32).astype(np.float16))


def test_a_scale_that_was_foreseen_costs_nothing(client: Client) -> None:
    """Gradients are computed once more for another scale only: from what was given, unchanged."""
    criterion = nn.MSELoss(client=client)
    x, y = TINY.half().requires_grad_(), torch.zeros(4001)
    (criterion(x, y) * 512).backward()
    loss = criterion(x, y) * 512
    y += 1
    loss.backward()
    loss = criterion(x, y) * 1024
    y += 1
    with pytest.raises(RuntimeError, match="target has been modified by an inplace operation"):
        loss.backward()


@pytest.mark.parametrize("scale", [0.0, np.inf, np.nan, 1e300, -8.0])
def test_scales_that_are_none(client: Client, scale: float) -> None:
    """Of which nothing can be foreseen, or hardly anything."""
    x = tensor(np.float16([0.5, -2.0]), requires_grad=True)
    criterion = nn.MSELoss(reduction="sum", client=client)
    criterion(x, np.zeros(2, np.float32)).backward(np.array(scale))
    with np.errstate(all="ignore"):
        first = (2 * x.data.astype(np.float32) * np.float32(scale)).astype(np.float16)
    np.testing.assert_array_equal(x.grad, first)
    for factor in (1.0, 3.0):
        x.zero_grad()
        criterion(x, np.zeros(2, np.float32)).backward(np.array(factor))
        np.testing.assert_array_equal(x.grad, 2 * x.data * np.float16(factor))


def test_an_async_clients_halves_are_rounded_once_from_the_second_call_on(server: Server) -> None:
    async def main() -> None:
        x = TINY.half().requires_grad_()
        exact = (x.detach().double() * 2 * 16384 / 4001).float().half()
        async with AsyncClient(server.addresses()[0]) as client:
            for k in range(3):
                x.grad = None
                (await nn.MSELoss(client=client)(x, torch.zeros(4001)) * 16384).backward()
                assert x.grad is not None
                assert torch.equal(x.grad, exact) == (k > 0)

    asyncio.run(main())


def test_an_async_clients_halves_never_lose_to_another_backwards_scale(server: Server) -> None:
    """Asked for times the last factor, they overflowed; times a small one, they vanished."""

    async def main() -> None:
        x, zero = torch.tensor([2.0, 3.0]).half().requires_grad_(), torch.zeros(2).half()
        async with AsyncClient(server.addresses()[0]) as client:
            criterion = nn.MSELoss(reduction="sum", client=client)
            for factor in (1e-9, 65536.0):
                (await criterion(x, zero)).backward(torch.tensor(factor))
                loss = await criterion(x, zero)
                if factor > 1:
                    with pytest.raises(RuntimeError, match="times 65536, as in the"):
                        loss.backward()
                    loss = await criterion(x, zero)
                x.grad = None
                loss.backward()
                assert x.grad is not None
                assert x.grad.tolist() == [4, 6]

    asyncio.run(main())


@pytest.mark.parametrize("kind", [np.float16, ml_dtypes.bfloat16])
def test_numpys_halves(client: Client, kind: Any) -> None:
    x = tensor(SCORES.astype(kind), requires_grad=True)
    loss = nn.CrossEntropyLoss(client=client)(x, LABELS)
    loss.backward()
    value, gradient = nn.CrossEntropyLoss(client=client).value_and_grad(SCORES.astype(kind), LABELS)
    assert loss.dtype == np.float32
    assert x.grad is not None
    assert x.grad.dtype == gradient.dtype == kind
    assert value == loss.item()
    wide = functional.cross_entropy(SCORES.astype(kind).astype(np.float32), LABELS, client=client)
    assert wide.item() == value
