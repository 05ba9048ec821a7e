"""Tensors larger than what the server may hold: computed, and answered, while they come."""

import contextlib
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from lossd_client import Pieces, connect, errors

from lossd.engine import evaluate

from .conftest import StartServer, answers
from .servers import PATIENCE, Server
from .stubs import Conversation, Stub, begin, chunk, chunks, field_of, reason_of, request, tensor

pytestmark = pytest.mark.thorough

MIB = 1 << 20
RNG = np.random.default_rng(7)
ROWS, WIDTH = 2048, 1000  # 8 MB


def resident(server: Server, kind: str = "VmRSS") -> float:
    """MiB that a server holds (VmRSS), or held at most since `forget_peak` (VmHWM)."""
    lines = Path(f"/proc/{server.process.pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(kind)).split()[1]) / 1024


def forget_peak(server: Server) -> None:
    Path(f"/proc/{server.process.pid}/clear_refs").write_text("5")


def drawn(count: int) -> tuple[Any, Any]:
    return RNG.standard_normal((count, WIDTH), np.float32), RNG.integers(0, WIDTH, count)


def test_a_stream_larger_than_the_limit(start_server: StartServer) -> None:
    """1 GB of predictions, made while they are sent, at a server that may hold 64 MiB."""
    server = start_server("--max-inflight-bytes", str(64 * MIB))
    block, labels = drawn(ROWS)
    times = 128
    total = 0.0

    def check(name: str, start: int, values: Any) -> None:
        nonlocal total
        assert name == "input"
        assert start == check_at[0]
        check_at[0] += values.size
        total += abs(values).sum(dtype=np.float64)

    with connect(server.addresses()[0]) as client:
        small = client.evaluate(
            "cross_entropy", {"input": block, "target": labels}, gradients=["input"]
        )
        forget_peak(server)
        before = resident(server)
        check_at = [0]
        x = Pieces((times * ROWS, WIDTH), np.float32, (block for _ in range(times)))
        tensors = {"input": x, "target": np.tile(labels, times)}
        answer = client.evaluate("cross_entropy", tensors, gradients=["input"], sink=check)
        assert check_at[0] == times * block.size
        assert list(answer.tensors) == ["loss"]
        np.testing.assert_allclose(answer.tensors["loss"], small.tensors["loss"], rtol=1e-6)
        expected = abs(small.tensors["grad.input"]).sum(dtype=np.float64)
        np.testing.assert_allclose(total, expected, rtol=1e-5)
        assert resident(server, "VmHWM") - before < 100


@pytest.mark.parametrize("loss", ["mse_loss", "l1_loss", "huber_loss", "grpo_loss"])
def test_what_the_mean_divides_by_comes_first(start_server: StartServer, loss: str) -> None:
    """Weights of the predictions' shape are kept whole, predictions and targets are not."""
    server = start_server("--max-inflight-bytes", str(160 * MIB))
    shape = (32 * ROWS, 256)  # 64 MiB
    x, y, weight = (RNG.random(shape, np.float32) for _ in range(3))
    first, second, third = {
        "mse_loss": ("input", "target", "weight"),
        "l1_loss": ("input", "target", "sample_weight"),
        "huber_loss": ("input", "target", "weight"),
        "grpo_loss": ("log_probs", "old_log_probs", "mask"),
    }[loss]
    tensors = {first: -x, second: -y, third: weight}
    if loss == "grpo_loss":
        tensors |= {"advantages": RNG.standard_normal(shape[0], np.float32)}
        tensors["mask"] = np.float32(weight > 0.5)
    parameters = {"normalizer": "weights"} if loss in ("l1_loss", "huber_loss") else {}
    expected = evaluate(loss, tensors, parameters=parameters, gradients=[first])
    with connect(server.addresses()[0]) as client:
        found = client.evaluate(loss, tensors, parameters=parameters, gradients=[first])
    np.testing.assert_array_equal(found.tensors["loss"], expected.loss)
    np.testing.assert_array_equal(found.tensors[f"grad.{first}"], expected.gradients[first])


def test_gradients_come_before_the_last_predictions_are_sent(stub: Stub) -> None:
    x, labels = drawn(ROWS)
    expected = evaluate("cross_entropy", {"input": x, "target": labels}, gradients=["input"])
    data = x.tobytes()
    message = request("cross_entropy", ["input"], target=labels)
    message.tensors.append(tensor("input", x, chunked=True))
    found: dict[str, bytearray] = {"loss": bytearray(), "grad.input": bytearray()}
    with stub.stream() as stream:
        pieces = list(chunks(1, "input", data))
        stream.say(begin(1, message), *pieces[:-1])
        first = stream.hear()
        assert {t.name for t in first.result.tensors if t.chunked} == {"loss", "grad.input"}
        while len(found["grad.input"]) < 6 * MIB:
            found["grad.input"] += stream.hear().chunk.data
        stream.say(pieces[-1])
        while len(found["grad.input"]) < len(data) or not found["loss"]:
            piece = stream.hear().chunk
            found[piece.name] += piece.data
        assert stream.end() == []
    assert found["loss"] == expected.loss.tobytes()
    assert found["grad.input"] == expected.gradients["input"].tobytes()


def test_who_does_not_take_answers_is_not_read_from(start_server: StartServer) -> None:
    server = start_server()
    x, labels = drawn(ROWS)
    times = 20  # 160 MB
    message = request("cross_entropy", ["input"], target=np.tile(labels, times))
    whole = np.broadcast_to(x, (times, *x.shape)).reshape(-1, WIDTH)
    message.tensors.append(tensor("input", whole, chunked=True))
    with Stub(server.addresses()[0]) as stub:
        stub.evaluate(request("cross_entropy", ["input"], input=x, target=labels))
        before = resident(server)
        with stub.stream() as stream:
            stream.say(begin(1, message), *chunks(1, "input", whole.tobytes()))
            unsent = 0
            while unsent != stream.unsent:
                unsent = stream.unsent
                time.sleep(1)
            assert unsent > whole.nbytes / MIB / 2, "all was taken in, with nobody to take answers"
            assert resident(server) - before < 100
            received = 0
            while received < whole.nbytes + 4:
                received += len(stream.hear().chunk.data)
            assert stream.unsent == 0


def test_blocks_are_not_drawn_far_ahead_of_a_sink(remote_target: str) -> None:
    """A sink that waits holds up the server, and that the blocks that are made for it."""
    block, labels = drawn(ROWS)
    times, made, goes_on = 40, [0], threading.Event()  # 320 MB

    def blocks() -> Iterator[Any]:
        for _ in range(times):
            made[0] += 1
            yield block

    def sink(name: str, start: int, values: Any) -> None:
        assert goes_on.wait(PATIENCE)

    tensors = {
        "input": Pieces((times * ROWS, WIDTH), np.float32, blocks()),
        "target": np.tile(labels, times),
    }
    with (
        connect(remote_target) as client,
        ThreadPoolExecutor(1) as threads,
        contextlib.ExitStack() as last,
    ):
        last.callback(goes_on.set)
        answer = threads.submit(
            client.evaluate, "cross_entropy", tensors, gradients=["input"], sink=sink
        )
        before = -1
        while made[0] != before:
            before = made[0]
            time.sleep(1)
        assert 0 < before < times / 2
        goes_on.set()
        expected = evaluate("cross_entropy", {"input": block, "target": labels}).loss
        loss = answer.result(PATIENCE).tensors["loss"]
    np.testing.assert_allclose(loss, expected, rtol=1e-6)
    assert made[0] == times


def test_tensors_that_do_not_come_in_turn_count(start_server: StartServer) -> None:
    """All of one, and then all of another: within the limit or refused, not without end."""
    server = start_server("--max-inflight-bytes", str(32 * MIB))
    x = RNG.standard_normal(10 * MIB, np.float32)  # 40 MiB
    with connect(server.addresses()[0]) as client:  # what loads a kernel keeps its memory so long
        client.evaluate("mse_loss", {"input": x[:3], "target": x[:3]}, gradients=["input"])
    message = request("mse_loss", ["input"])
    message.tensors.extend([tensor("input", x, chunked=True), tensor("target", x, chunked=True)])
    with Stub(server.addresses()[0]) as stub, stub.stream() as stream:
        stream.say(begin(1, message), *chunks(1, "target", x.tobytes()))
        status = stream.hear_error(1)
        assert reason_of(status) == "LIMIT_EXCEEDED"
        assert "in turn" in status.message
    with connect(server.addresses()[0], timeout=PATIENCE) as client:
        answer = client.evaluate("mse_loss", {"input": x, "target": 0 * x}, gradients=["input"])
    expected = evaluate("mse_loss", {"input": x, "target": 0 * x}, gradients=["input"])
    assert answer.tensors["loss"] == expected.loss
    np.testing.assert_array_equal(answer.tensors["grad.input"], expected.gradients["input"])


@pytest.mark.parametrize("last", ["weight", "mask"])
def test_what_the_mean_divides_by_may_come_last(stub: Stub, last: str) -> None:
    """It is needed first: the others are taken in until it is there."""
    x = RNG.standard_normal((3, 4096, 1024), np.float32)  # 16 MiB each
    names = {
        "weight": ("mse_loss", ["input", "target", "weight"]),
        "mask": ("grpo_loss", ["log_probs", "old_log_probs", "mask"]),
    }
    loss, tensors = names[last]
    given = dict(zip(tensors, [x[0], x[1], abs(x[2])], strict=True))
    more = {"advantages": x[2, :, 0].copy()} if last == "mask" else {}
    expected = evaluate(loss, given | more, gradients=tensors[:1])
    message = request(loss, tensors[:1], **more)
    message.tensors.extend(tensor(name, array, chunked=True) for name, array in given.items())
    with stub.stream() as stream:
        stream.say(begin(1, message))
        for pieces in zip(*[chunks(1, n, a.tobytes()) for n, a in given.items()], strict=True):
            stream.say(*pieces)
        found = stream.hear_result(1)
    assert found["loss"].tobytes() == expected.loss.tobytes()
    assert found[f"grad.{tensors[0]}"].tobytes() == expected.gradients[tensors[0]].tobytes()


def test_a_wrong_value_after_others_were_answered(stub: Stub) -> None:
    x = np.full(3 * MIB, 0.5, np.float32)
    x[-7] = 2
    message = request("binary_cross_entropy", ["input"])
    message.tensors.extend([tensor("input", x, chunked=True), tensor("target", x, chunked=True)])
    with stub.stream() as stream:
        stream.say(begin(1, message))
        for one, other in zip(
            chunks(1, "input", x.tobytes()), chunks(1, "target", x.tobytes()), strict=True
        ):
            stream.say(one, other)
        answer = stream.hear()
        while answer.WhichOneof("message") != "error":
            answer = stream.hear()
        assert f"input[{x.size - 7}] = 2" in answer.error.message
        stream.say(begin(1, request("l1_loss", input=x[:4], target=x[:4])))
        assert stream.hear_result(1)["loss"] == 0


SENT = 5 * MIB
"""Bytes of predictions that have come when the wrong chunk does."""


def follow(stream: Conversation, data: bytes, count: int) -> bytearray:
    """Send pieces of predictions until so many bytes of their gradient came; those.

    They are SENT bytes of predictions; more are awaited still.
    """
    found = bytearray()
    stream.say(*chunks(1, "input", data[:SENT]))
    while len(found) < count:
        answer = stream.hear()
        assert answer.id == 1
        assert answer.WhichOneof("message") in ("result", "chunk"), str(answer)[:500]
        if answer.chunk.name == "grad.input":
            assert answer.chunk.offset == len(found)
            found += answer.chunk.data
    return found


WRONG_CHUNKS: dict[str, tuple[str, int, int, list[str]]] = {
    "gap": ("input", SENT + 4, MIB, [f"byte {SENT + 4}", f"at {SENT}"]),
    "last first": ("input", 7 * MIB, MIB, [f"byte {7 * MIB}", f"at {SENT}"]),
    "duplicate": ("input", SENT - MIB, MIB, [f"byte {SENT - MIB}", f"at {SENT}"]),
    "anew": ("input", 0, MIB, ["byte 0", f"at {SENT}"]),
    "too many": ("input", SENT, 4 * MIB, [f"{SENT + 4 * MIB} bytes", f"{4 * ROWS * WIDTH}"]),
    "beyond": ("input", 4 * ROWS * WIDTH, MIB, [f"byte {4 * ROWS * WIDTH}", f"at {SENT}"]),
    "far beyond": ("input", (1 << 64) - 4, 8, [f"byte {(1 << 64) - 4}"]),
    "of one that is there": ("target", 0, 8, []),
    "of none": ("weight", 0, 8, []),
    "of the answer": ("grad.input", 0, MIB, []),
}
"""What is wrong: the tensor, the offset and the bytes of a chunk, and what is said about it."""


@pytest.mark.parametrize("name", WRONG_CHUNKS)
def test_a_wrong_chunk_after_others_were_answered(
    stub: Stub, server: Server, socket_path: Path, name: str
) -> None:
    """Gradients of what came before are right, none come after; nobody else is concerned."""
    x, labels = drawn(ROWS)
    expected = evaluate("cross_entropy", {"input": x, "target": labels}, gradients=["input"])
    gradient = expected.gradients["input"].tobytes()
    message = request("cross_entropy", ["input"], target=labels)
    message.tensors.append(tensor("input", x, chunked=True))
    other = request("l1_loss", target=np.zeros(6, np.float32))
    other.tensors.append(tensor("input", np.ones(6, np.float32), chunked=True))
    at_fault, offset, size, says = WRONG_CHUNKS[name]
    with stub.stream() as stream:
        stream.say(begin(2, other), chunk(2, "input", 0, np.ones(2, np.float32).tobytes()))
        stream.say(begin(1, message))
        found = follow(stream, x.tobytes(), 3 * MIB)
        stream.say(chunk(1, at_fault, offset, bytes(size)))
        while (answer := stream.hear()).WhichOneof("message") == "chunk":
            assert answer.id == 1
            found += answer.chunk.data if answer.chunk.name == "grad.input" else b""
        assert (answer.id, answer.WhichOneof("message")) == (1, "error")
        assert reason_of(answer.error) == "MALFORMED_MESSAGE"
        assert field_of(answer.error) == at_fault
        for words in (f"'{at_fault}'", *says):
            assert words in answer.error.message
        assert 3 * MIB <= len(found) <= SENT
        assert gradient.startswith(found)
        # the rest was on its way: let pass, nothing is said about it
        stream.say(*list(chunks(1, "input", x.tobytes()))[SENT // MIB :])
        stream.say(chunk(2, "input", 8, np.ones(4, np.float32).tobytes()))
        assert stream.hear_result(2)["loss"] == 1
        stream.say(begin(1, message), *chunks(1, "input", x.tobytes()))
        whole = stream.hear_result(1)
        assert whole["loss"] == expected.loss
        assert whole["grad.input"].tobytes() == gradient
        assert stream.end() == []
    for address in (server.addresses()[0], f"unix:{socket_path}"):
        answers(address)


@pytest.mark.parametrize(
    ("blocks", "kind", "says"),
    [
        ([(100, 10), (100, 9)], errors.ShapeError, r"\(100, 9\).*\(n, 10\)"),
        ([(100, 10)], errors.ShapeError, "have 100 rows and should have 200"),
        ([(100, 10)] * 3, errors.ShapeError, "have 300 rows or more and should have 200"),
    ],
)
def test_blocks_that_do_not_fit(
    target: str, blocks: list[tuple[int, int]], kind: type[Exception], says: str
) -> None:
    made = (np.zeros(shape, np.float32) for shape in blocks)
    tensors = {"input": Pieces((200, 10), np.float32, made), "target": np.zeros(200, int)}
    with connect(target, timeout=PATIENCE) as client:
        with pytest.raises(kind, match=says):
            client.evaluate("cross_entropy", tensors)
        still_correct(client)


def still_correct(client: Any) -> None:
    answer = client.evaluate("l1_loss", {"input": np.ones(3), "target": np.zeros(3)})
    assert answer.tensors["loss"] == 1


def test_blocks_of_another_type(target: str) -> None:
    tensors = {
        "input": Pieces((2, 3), np.float32, iter([np.zeros((2, 3))])),
        "target": np.zeros(2, int),
    }
    with connect(target, timeout=PATIENCE) as client:
        with pytest.raises(errors.DTypeError, match="float64 and should have float32"):
            client.evaluate("cross_entropy", tensors)
        still_correct(client)


class OwnError(Exception):
    """A caller's."""


def test_what_blocks_raise_reaches_the_caller(target: str) -> None:
    def blocks() -> Iterator[Any]:
        yield np.zeros((100, 10), np.float32)
        raise OwnError("no more")

    tensors = {"input": Pieces((200, 10), np.float32, blocks()), "target": np.zeros(200, int)}
    with connect(target, timeout=PATIENCE) as client:
        with pytest.raises(OwnError, match="no more"):
            client.evaluate("cross_entropy", tensors)
        still_correct(client)


def test_what_a_sink_raises_reaches_the_caller(target: str) -> None:
    def sink(name: str, start: int, values: Any) -> None:
        raise OwnError("full")

    x = np.ones(2 * MIB, np.float32)
    with connect(target, timeout=PATIENCE) as client:
        for size in (3, x.size):
            with pytest.raises(OwnError, match="full"):
                client.evaluate(
                    "l1_loss", {"input": x[:size], "target": x[:size]}, gradients=["input"],
                    sink=sink,
                )  # fmt: skip
            still_correct(client)


@pytest.mark.parametrize("loss", ["cross_entropy", "mse_loss", "dice_loss"])
def test_pieces_and_a_sink_give_the_same_bits_everywhere(target: str, loss: str) -> None:
    """Also of what is not computed in pieces."""
    x, y = np.abs(RNG.standard_normal((2, 600, 10, 90), np.float32)) % 1
    labels = RNG.integers(0, 10, (600, 90))
    tensors = {"input": x, "target": labels if loss == "cross_entropy" else y}
    expected = evaluate(loss, tensors, gradients=["input"])
    found = np.zeros_like(x)

    def sink(name: str, start: int, values: Any) -> None:
        found.reshape(-1)[start : start + values.size] = values

    with connect(target, timeout=PATIENCE) as client, contextlib.closing(iter_rows(x)) as blocks:
        given = tensors | {"input": Pieces(x.shape, x.dtype, blocks)}
        answer = client.evaluate(loss, given, gradients=["input"], sink=sink)
    assert answer.tensors["loss"].tobytes() == expected.loss.tobytes()
    assert found.tobytes() == expected.gradients["input"].tobytes()


def iter_rows(x: Any) -> Iterator[Any]:
    for start in range(0, len(x), 77):
        yield x[start : start + 77]


@pytest.mark.parametrize("rows", [4, ROWS])
def test_how_long_it_was_computed_is_told(target: str, rows: int) -> None:
    """Of what is computed as it comes by the last chunk; of small evaluations not at all."""
    x, labels = drawn(rows)
    with connect(target) as client:
        for reduction in ("mean", "none"):
            start = time.perf_counter()
            response = client.evaluate(
                "cross_entropy", {"input": x, "target": labels}, reduction=reduction,
                gradients=["input"],
            )  # fmt: skip
            whole = time.perf_counter() - start
            assert 0 <= response.seconds < whole
            assert rows == 4 or response.seconds > 0


def test_a_chunk_for_a_tensor_that_is_complete(stub: Stub) -> None:
    x = np.ones((2, 3), np.float32)
    message = request("l1_loss", target=x)
    message.tensors.append(tensor("input", x, chunked=True))
    with stub.stream() as stream:
        stream.say(begin(1, message), chunk(1, "input", 0, x.tobytes()))
        assert stream.hear_result(1)["loss"] == 0
        stream.say(chunk(1, "input", 24, bytes(4)))
        assert reason_of(stream.hear_error(1)) == "MALFORMED_MESSAGE"
