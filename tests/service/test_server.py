"""The server's life: settings, listening, warm-up, limits, logs and its end."""

import contextlib
import itertools
import json
import signal
import socket
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
import tomli_w
from google.protobuf import descriptor_pb2
from google.rpc import code_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from lossd_client import connect, errors, nn

from lossd.server.limits import Budget
from lossd.server.settings import Settings

from . import stubs
from .conftest import StartServer, answers, still_correct
from .servers import NOT_SERVING, PATIENCE, SERVING, Server, eventually, watched
from .stubs import Stub, begin, chunk, chunks, field_of, reason_of, request, tensor

X = np.float32([[0.1, 0.2, 0.7], [0.6, 0.3, 0.1]])
FREE = "127.0.0.1:0"


# --- settings ----------------------------------------------------------------------------------


@pytest.fixture
def no_variables(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """No setting comes from the environment of whoever runs the tests."""
    for name in Settings.model_fields:
        monkeypatch.delenv(f"LOSSD_{name.upper()}", raising=False)
    return monkeypatch


def toml(folder: Path, **settings: Any) -> str:
    """A settings file; its path."""
    path = folder / "lossd.toml"
    path.write_bytes(tomli_w.dumps(settings).encode())
    return str(path)


@pytest.mark.usefixtures("no_variables")
def test_defaults() -> None:
    settings = Settings.load([])
    assert settings.listen == ["127.0.0.1:50051"]
    assert settings.reflection
    assert "cross_entropy" in settings.warm


@pytest.mark.parametrize(
    ("name", "in_file", "in_variable", "in_flag", "expected"),
    [
        ("concurrency", 3, "4", "5", (3, 4, 5)),
        ("max_message_bytes", 5000, "6000", "7000", (5000, 6000, 7000)),
        ("max_inflight_bytes", 5000, "6000", "7000", (5000, 6000, 7000)),
        ("drain_seconds", 1.5, "2.5", "3.5", (1.5, 2.5, 3.5)),
        ("log_level", "debug", "warning", "error", ("debug", "warning", "error")),
        ("threads", 1, "1", "1", (1, 1, 1)),
        ("warm", ["l1_loss"], "mse_loss,kl_div", "nll_loss",
         (["l1_loss"], ["mse_loss", "kl_div"], ["nll_loss"])),
        ("warm", "none", "mse_loss", "none", ([], ["mse_loss"], [])),
        ("listen", ["a:1", "unix:/b"], "c:2, unix:/d", "e:3",
         (["a:1", "unix:/b"], ["c:2", "unix:/d"], ["e:3"])),
        ("log_format", "json", "text", "json", ("json", "text", "json")),
    ],
)  # fmt: skip
def test_a_flag_wins_over_a_variable_over_the_file(
    no_variables: pytest.MonkeyPatch,
    tmp_path: Path,
    name: str,
    in_file: Any,
    in_variable: str,
    in_flag: str,
    expected: tuple[Any, Any, Any],
) -> None:
    file = toml(tmp_path, **{name: in_file})
    flag = [f"--{name.replace('_', '-')}", in_flag]
    found = [getattr(Settings.load(["--config", file]), name)]
    no_variables.setenv(f"LOSSD_{name.upper()}", in_variable)
    found.append(getattr(Settings.load(["--config", file]), name))
    found.append(getattr(Settings.load(["--config", file, *flag]), name))
    assert tuple(found) == expected
    assert getattr(Settings.load([]), name) == expected[1]


@pytest.mark.usefixtures("no_variables")
def test_a_flag_may_be_given_several_times() -> None:
    settings = Settings.load(["--listen", "a:1", "--listen", "unix:/b", "--listen", "c:2,d:3"])
    assert settings.listen == ["a:1", "unix:/b", "c:2", "d:3"]


@pytest.mark.usefixtures("no_variables")
def test_a_switch_may_be_turned_off(tmp_path: Path) -> None:
    assert not Settings.load(["--no-reflection"]).reflection
    assert not Settings.load(["--config", toml(tmp_path, reflection=False)]).reflection
    assert Settings.load(["--config", toml(tmp_path, reflection=False), "--reflection"]).reflection


def test_the_file_may_be_named_by_a_variable(
    no_variables: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    no_variables.setenv("LOSSD_CONFIG", toml(tmp_path, concurrency=7))
    assert Settings.load([]).concurrency == 7


def test_the_clients_variable_is_no_setting(no_variables: pytest.MonkeyPatch) -> None:
    no_variables.setenv("LOSSD_TARGET", "localhost:1")
    assert Settings.load([]).listen == ["127.0.0.1:50051"]


@pytest.mark.usefixtures("no_variables")
@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--threads", "0"], ["threads", "'0'", "greater than or equal to 1"]),
        (["--threads", "many"], ["threads", "'many'", "integer"]),
        (["--max-message-bytes", "1"], ["max_message_bytes", "4096"]),
        (["--drain-seconds", "-1"], ["drain_seconds"]),
        (["--log-level", "loud"], ["log_level", "'loud'", "'warning'"]),
        (["--listen", "nowhere"], ["listen", "'nowhere'", "host:port", "unix:/path"]),
        (["--listen", "host:port"], ["listen", "'host:port'", "unix:/path"]),
        (["--listen", ","], ["listen", "at least one"]),
        (["--listen", "127.0.0.1:99999"], ["listen", "'127.0.0.1:99999'", "beyond 65535"]),
        (["--listen", "127.0.0.1:²"], ["listen", "'127.0.0.1:²'", "host:port"]),
        (["--listen", "unix:"], ["listen", "'unix:' has no path", "unix:/path"]),
        (["--keepalive-seconds", "inf"], ["keepalive_seconds", "'inf'", "1000000"]),
        (["--keepalive-seconds", "1e12"], ["keepalive_seconds", "1000000"]),
        (["--max-inflight-bytes", str(10**20)], ["max_inflight_bytes", str((1 << 63) - 1)]),
        (["--max-shared-bytes", str(10**20)], ["max_shared_bytes", str((1 << 63) - 1)]),
        (["--max-registered-bytes", str(10**20)], ["max_registered_bytes", str((1 << 63) - 1)]),
        (["--scoring-dir", "."], [":\n  Value error, scoring jobs need both scoring_dir and"]),
        (["--warm", "croak_loss"], ["warm", "'croak_loss'", "tversky_loss"]),
    ],
    ids=str,
)
def test_wrong_flags(flags: list[str], says: Sequence[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        Settings.load(flags)
    for words in ["lossd serve", *says]:
        assert words in str(caught.value)


@pytest.mark.usefixtures("no_variables")
@pytest.mark.parametrize(
    "wrong", [{"listen": 5}, {"listen": True}, {"warm": False}, {"scoring_roots": [1]}], ids=str
)
def test_what_is_no_string_in_the_file(tmp_path: Path, wrong: dict[str, Any]) -> None:
    ((name, value),) = wrong.items()
    with pytest.raises(SystemExit) as caught:
        Settings.load(["--config", toml(tmp_path, **wrong)])
    assert f"{name} = {value!r}: Value error, give a string" in str(caught.value)


def test_empty_name_of_the_file_is_none(no_variables: pytest.MonkeyPatch) -> None:
    no_variables.setenv("LOSSD_CONFIG", "")
    assert Settings.load([]).config is None


def test_help_names_what_flags_take(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        Settings.load(["--help"])
    told = capsys.readouterr().out
    for flag in (
        "--listen ADDRESS", "--config FILE", "--workers N", "--max-inflight-bytes BYTES",
        "--stall-seconds SECONDS", "--scoring-roots FOLDER", "--warm LOSSES",
        "{local,unix,any,none}",
    ):  # fmt: skip
        assert flag in told
    for kind in ("list[", "int]", "float]", "Path]", " int ", " Path "):
        assert kind not in told


@pytest.mark.usefixtures("no_variables")
def test_several_wrong_flags_are_told_at_once() -> None:
    with pytest.raises(SystemExit, match=r"(?s)threads.*concurrency"):
        Settings.load(["--threads", "0", "--concurrency", "0"])


def test_wrong_variable(no_variables: pytest.MonkeyPatch) -> None:
    no_variables.setenv("LOSSD_CONCURRENCY", "few")
    with pytest.raises(SystemExit, match=r"concurrency.*'few'"):
        Settings.load([])


@pytest.mark.usefixtures("no_variables")
@pytest.mark.parametrize("flag", ["--thread", "--treads=2", "--listn=a:1"])
def test_unknown_flag(flag: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        Settings.load([flag])
    assert caught.value.code not in (0, None)
    assert flag in f"{caught.value}{capsys.readouterr().err}"


@pytest.mark.usefixtures("no_variables")
def test_unknown_key_in_the_file(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="treads"):
        Settings.load(["--config", toml(tmp_path, treads=2)])


@pytest.mark.usefixtures("no_variables")
def test_file_that_cannot_be_read(tmp_path: Path) -> None:
    missing = tmp_path / "missing.toml"
    with pytest.raises(SystemExit, match=f"{missing}.*No such file"):
        Settings.load(["--config", str(missing)])
    broken = tmp_path / "broken.toml"
    broken.write_text("threads = = 2")
    with pytest.raises(SystemExit, match=f"{broken}.*line 1"):
        Settings.load(["--config", str(broken)])
    text = tmp_path / "text.toml"
    text.write_bytes(b"listen = '\xff'")
    with pytest.raises(SystemExit, match=str(text)):
        Settings.load(["--config", str(text)])


@pytest.mark.usefixtures("no_variables")
def test_help_tells_every_flag(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        Settings.load(["--help"])
    assert caught.value.code == 0
    text = capsys.readouterr().out
    for name in Settings.model_fields:
        assert f"--{name.replace('_', '-')}" in text


def test_wrong_setting_ends_the_process_with_a_message() -> None:
    server = Server("--warm", "croak_loss")
    assert server.wait() != 0
    assert "croak_loss" in server.text
    assert "Traceback" not in server.text


# --- listening ---------------------------------------------------------------------------------


def test_several_addresses_at_once(start_server: StartServer, tmp_path: Path) -> None:
    paths = [tmp_path / "a.sock", tmp_path / "folder" / "that" / "is_made" / "b.sock"]
    listen = (FREE, FREE, *(f"unix:{path}" for path in paths))
    server = start_server(listen=listen)
    addresses = server.addresses(4)
    assert len(set(addresses)) == 4
    for address in addresses:
        answers(address)
    assert server.stop() == 0
    assert not any(path.exists() for path in paths)


def test_stale_socket_file(start_server: StartServer, tmp_path: Path) -> None:
    path = tmp_path / "lossd.sock"
    first = start_server(listen=(f"unix:{path}",))
    first.kill()
    assert path.exists()
    start_server(listen=(f"unix:{path}",))
    answers(f"unix:{path}")


def test_socket_of_a_server_that_lives_is_not_taken(
    start_server: StartServer, tmp_path: Path
) -> None:
    path = tmp_path / "lossd.sock"
    start_server(listen=(f"unix:{path}",))
    second = Server("--listen", f"unix:{path}", "--warm", "none")
    try:
        assert second.await_log("listening on|cannot listen on") == ["cannot listen on"]
        assert second.wait() != 0
    finally:
        second.kill()
    answers(f"unix:{path}")


def test_socket_whose_backlog_is_full_is_not_taken(tmp_path: Path) -> None:
    path = tmp_path / "lossd.sock"
    with contextlib.ExitStack() as stack:
        listener, *waiting = (stack.enter_context(socket.socket(socket.AF_UNIX)) for _ in range(3))
        listener.bind(str(path))
        listener.listen(0)
        with contextlib.suppress(BlockingIOError):
            for each in waiting:
                each.setblocking(False)
                each.connect(str(path))
        server = Server("--listen", f"unix:{path}", "--warm", "none")
        try:
            assert server.process.wait(20) != 0
            assert server.await_log("cannot listen on .*: another server does")
        finally:
            server.kill()
        assert path.exists()


def test_no_socket_is_left_by_a_server_that_does_not_start(server: Server, tmp_path: Path) -> None:
    path = tmp_path / "lossd.sock"
    taken = server.addresses()[0]
    second = Server("--listen", f"unix:{path}", "--listen", taken, "--warm", "none")
    try:
        assert second.wait() != 0
        assert f"cannot listen on {taken}" in second.text
        assert not path.exists()
    finally:
        second.kill()


def test_path_that_is_no_socket(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("keep me")
    server = Server("--listen", f"unix:{path}", "--warm", "none")
    try:
        assert server.wait() != 0
        assert f"cannot listen on unix:{path}" in server.text
        assert "Traceback" not in server.text
    finally:
        server.kill()
    assert path.read_text() == "keep me"


@pytest.mark.parametrize(
    ("path", "why"),
    [("notes.txt/lossd.sock", "take another path"), ("a" * 120, "has at most 107 bytes")],
)
def test_path_that_cannot_be(tmp_path: Path, path: str, why: str) -> None:
    (tmp_path / "notes.txt").write_text("keep me")
    server = Server("--listen", f"unix:{tmp_path}/{path}", "--warm", "none")
    try:
        assert server.wait() != 0
        assert f"cannot listen on unix:{tmp_path}/{path}: " in server.text
        assert why in server.text
        assert "Traceback" not in server.text
    finally:
        server.kill()


def test_port_in_use(server: Server) -> None:
    address = server.addresses()[0]
    second = Server("--listen", address, "--warm", "none")
    try:
        assert second.wait() != 0
        assert f"cannot listen on {address}" in second.text
        assert "Traceback" not in second.text
    finally:
        second.kill()
    answers(address)


# --- health and reflection ---------------------------------------------------------------------


def test_health_is_serving_once_the_kernels_are_compiled(tmp_path: Path) -> None:
    losses = "mse_loss,l1_loss"
    nothing_compiled = {"NUMBA_CACHE_DIR": str(tmp_path)}
    server = Server("--listen", FREE, "--warm", losses, env=nothing_compiled)
    try:
        with grpc.insecure_channel(server.addresses()[0]) as channel:
            seen: list[int] = []
            for status in watched(channel):
                seen.append(status)
                if status == SERVING:
                    break
            assert seen == [NOT_SERVING, SERVING]
            assert server.await_log(r"kernels ready .*losses=2")
            overall: Any = health_pb2_grpc.HealthStub(channel)
            assert overall.Check(health_pb2.HealthCheckRequest()).status == SERVING
        answers(server.addresses()[0])
        assert server.stop() == 0
    finally:
        server.kill()


@pytest.mark.thorough
@pytest.mark.parametrize("workers", [1, 3])
def test_sigterm_while_the_kernels_compile(tmp_path: Path, workers: int) -> None:
    nothing_compiled = {"NUMBA_CACHE_DIR": str(tmp_path)}
    flags = ("--listen", FREE, "--warm", "all", "--workers", str(workers))
    server = Server(*flags, env=nothing_compiled)
    try:
        server.addresses()
        assert server.stop() == 0
        assert "Traceback" not in server.text
        assert "kernels ready" not in server.text
        assert "all workers serve" not in server.text
    finally:
        server.kill()


def test_health_of_an_unknown_service(server: Server) -> None:
    with grpc.insecure_channel(server.addresses()[0]) as channel:
        health: Any = health_pb2_grpc.HealthStub(channel)
        with pytest.raises(grpc.RpcError) as caught:
            health.Check(health_pb2.HealthCheckRequest(service="nobody"), timeout=PATIENCE)
    assert caught.value.code() == grpc.StatusCode.NOT_FOUND


def reflected(address: str, message: reflection_pb2.ServerReflectionRequest) -> Any:
    with grpc.insecure_channel(address) as channel:
        stub: Any = reflection_pb2_grpc.ServerReflectionStub(channel)
        return next(stub.ServerReflectionInfo(iter([message]), timeout=PATIENCE))


def test_reflection_lists_the_service(server: Server) -> None:
    asked = reflection_pb2.ServerReflectionRequest(list_services="")
    names = reflected(server.addresses()[0], asked).list_services_response.service
    found = {service.name for service in names}
    assert {"lossd.v1.LossService", "grpc.health.v1.Health"} <= found


def test_reflection_describes_the_methods(server: Server) -> None:
    asked = reflection_pb2.ServerReflectionRequest(file_containing_symbol="lossd.v1.LossService")
    answer = reflected(server.addresses()[0], asked).file_descriptor_response
    files = [descriptor_pb2.FileDescriptorProto.FromString(f) for f in answer.file_descriptor_proto]
    service = next(s for f in files for s in f.service if s.name == "LossService")
    assert [m.name for m in service.method] == ["ListLosses", "Evaluate", "EvaluateStream"]


def test_reflection_may_be_off(start_server: StartServer) -> None:
    server = start_server("--no-reflection")
    with pytest.raises(grpc.RpcError) as caught:
        reflected(server.addresses()[0], reflection_pb2.ServerReflectionRequest(list_services=""))
    assert caught.value.code() == grpc.StatusCode.UNIMPLEMENTED


@pytest.mark.parametrize(
    "method",
    ["CreateScoringJob", "GetScoringJob", "ListScoringJobs", "CancelScoringJob",
     "DeleteScoringJob", "WatchScoringJob", "ReadScoringResult"],
)  # fmt: skip
def test_bytes_that_are_no_request_of_a_job(
    start_server: StartServer, tmp_path: Path, method: str
) -> None:
    flags = ("--scoring-dir", str(tmp_path / "jobs"), "--scoring-roots", str(tmp_path))
    address = start_server(*flags).addresses()[0]
    with grpc.insecure_channel(address) as channel:
        call: Any = channel.unary_stream(f"/lossd.v1.ScoringService/{method}")
        with pytest.raises(grpc.RpcError) as caught:
            list(call(b"\xff\xff", timeout=PATIENCE))
    status = stubs.status_of(caught.value)
    assert status.code == code_pb2.INVALID_ARGUMENT
    assert status.message == f"the message is no {method}Request"
    assert reason_of(status) == "MALFORMED_MESSAGE"


# --- logs --------------------------------------------------------------------------------------


def test_json_logs_are_one_object_a_line(start_server: StartServer) -> None:
    server = start_server("--log-format", "json", "--warm", "l1_loss")
    address = server.addresses()[0]
    with Stub(address) as stub:
        stub.refused(b"\xff\xff")
        with stub.stream() as stream:
            stream.say(b"\xff\xff", begin(1, request("croak_loss")))
            stream.hear()
            stream.call.cancel()
    answers(address)
    assert server.stop() == 0
    entries = [json.loads(line) for line in server.log]
    assert all(entry.keys() >= {"time", "level", "message"} for entry in entries)
    messages = [entry["message"] for entry in entries]
    assert f"listening on {address}" in messages
    assert {"serving", "draining", "stopped"} <= set(messages)


def test_a_port_in_use_is_told_in_json(server: Server) -> None:
    address = server.addresses()[0]
    second = Server("--listen", address, "--warm", "none", "--log-format", "json")
    try:
        assert second.wait() == 1
        (entry,) = map(json.loads, second.log)
        assert entry["level"] == "error"
        assert entry["message"].startswith(f"cannot listen on {address}: ")
    finally:
        second.kill()


def test_text_logs_are_readable(start_server: StartServer) -> None:
    server = start_server()
    assert server.stop() == 0
    assert server.await_log(r"\d\d:\d\d:\d\d info    serving  version=\S+  threads=\d+")


def test_level_of_the_logs(tmp_path: Path) -> None:
    path = tmp_path / "lossd.sock"
    server = Server("--listen", f"unix:{path}", "--warm", "none", "--log-level", "error")
    try:
        with grpc.insecure_channel(f"unix:{path}") as channel:
            assert SERVING in iter(watched(channel))
        assert server.stop() == 0
        assert server.log == []
    finally:
        server.kill()


# --- the end -----------------------------------------------------------------------------------


def awaiting(id: int = 1) -> stubs.Message:
    """An evaluation that awaits 24 bytes of input."""
    message = request("l1_loss", ["input"], target=0 * X)
    message.tensors.append(tensor("input", X, chunked=True))
    return begin(id, message)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_evaluation_under_way_is_answered_before_the_end(
    start_server: StartServer, number: signal.Signals
) -> None:
    server = start_server("--drain-seconds", "10")
    with Stub(server.addresses()[0]) as stub, stub.stream() as stream:
        stream.say(awaiting(), begin(2, request("l1_loss", input=X, target=X)))
        stream.hear_result(2)
        stream.say(chunk(1, "input", 0, X.tobytes()[:8]))
        server.process.send_signal(number)
        server.await_log("draining")
        stream.say(chunk(1, "input", 8, X.tobytes()[8:]))
        result = stream.hear_result(1)
        np.testing.assert_array_equal(result["grad.input"], np.full_like(X, np.float32(1 / 6)))
        assert stream.end() == []
        assert server.wait() == 0


@pytest.mark.parametrize("chunked", [True, False])
def test_an_error_is_answered_before_the_end(start_server: StartServer, chunked: bool) -> None:
    server = start_server("--drain-seconds", "10")
    with Stub(server.addresses()[0]) as stub, stub.stream() as stream:
        stream.say(awaiting(), begin(2, request("l1_loss", input=X, target=X)))
        stream.hear_result(2)
        server.process.send_signal(signal.SIGTERM)
        server.await_log("draining")
        if chunked:
            stream.say(chunk(1, "input", 4, X.tobytes()))
        else:
            stream.say(begin(1, request("l1_loss", input=X, target=X)))
        assert reason_of(stream.hear_error(1)) == "MALFORMED_MESSAGE"
        assert stream.end() == []
        assert server.wait() == 0


def refusal(address: str) -> Any:
    """With what a server refuses calls, once it does: its log is a moment ahead of it."""
    with Stub(address) as stub:
        for _ in range(1000):
            try:
                stub.evaluate(request("l1_loss", input=X, target=X))
            except grpc.RpcError as error:
                return error.code()
    raise AssertionError("calls are still answered")


def test_new_calls_are_refused_while_draining(start_server: StartServer) -> None:
    server = start_server("--drain-seconds", "10")
    with Stub(server.addresses()[0]) as stub, stub.stream() as stream:
        stream.say(awaiting(), begin(2, request("l1_loss", input=X, target=X)))
        stream.hear_result(2)
        server.process.send_signal(signal.SIGTERM)
        server.await_log("draining")
        assert refusal(server.addresses()[0]) == grpc.StatusCode.UNAVAILABLE
        stream.say(chunk(1, "input", 0, X.tobytes()))
        stream.hear_result(1)
        assert stream.end() == []
        assert server.wait() == 0


def test_draining_ends_when_its_time_is_over(start_server: StartServer) -> None:
    server = start_server("--drain-seconds", "0.2")
    with Stub(server.addresses()[0]) as stub, stub.stream() as stream:
        stream.say(awaiting(), begin(2, request("l1_loss", input=X, target=X)))
        stream.hear_result(2)
        assert server.stop() == 0
        with pytest.raises(grpc.RpcError):
            stream.hear()


def test_the_end_leaves_the_socket_of_the_next_server(
    start_server: StartServer, tmp_path: Path
) -> None:
    address = f"unix:{tmp_path}/lossd.sock"
    first = start_server("--drain-seconds", "100", listen=(address,))
    with Stub(address) as stub, stub.stream() as stream:
        stream.say(awaiting(), begin(2, request("l1_loss", input=X, target=X)))
        stream.hear_result(2)
        first.process.send_signal(signal.SIGTERM)
        first.await_log("draining")
        eventually(lambda: not (tmp_path / "lossd.sock").exists())
        start_server(listen=(address,))
        stream.say(chunk(1, "input", 0, X.tobytes()))
        stream.hear_result(1)
        assert first.wait() == 0
    answers(address)


def endless(channel: grpc.Channel) -> list[Any]:
    """Calls that last as long as their client likes; each has been answered."""
    health: Any = health_pb2_grpc.HealthStub(channel)
    reflection: Any = reflection_pb2_grpc.ServerReflectionStub(channel)
    asked = reflection_pb2.ServerReflectionRequest(list_services="")
    never = threading.Event()
    messages = itertools.chain([asked], (asked for _ in iter(never.wait, True)))
    calls = [
        health.Watch(health_pb2.HealthCheckRequest(), timeout=PATIENCE),
        reflection.ServerReflectionInfo(messages, timeout=PATIENCE),
    ]
    for call in calls:
        next(call)
        call.add_callback(never.set)
    return calls


@pytest.mark.parametrize("workers", ["1", "2"])
def test_endless_calls_do_not_hold_up_the_end(start_server: StartServer, workers: str) -> None:
    flags = ("--workers", workers, "--log-format", "json")
    server = start_server("--drain-seconds", "100", *flags)
    with grpc.insecure_channel(server.addresses()[0]) as channel:
        calls = endless(channel)
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(20) == 0
        for call in calls:
            with pytest.raises(grpc.RpcError) as caught:
                list(call)
            assert caught.value.code() == grpc.StatusCode.UNAVAILABLE
    server.wait()
    assert all(json.loads(line) for line in server.log)


def test_endless_calls_last_as_long_as_an_evaluation(start_server: StartServer) -> None:
    server = start_server("--drain-seconds", "100")
    with Stub(server.addresses()[0]) as stub, stub.stream() as stream:
        stream.say(awaiting(), begin(2, request("l1_loss", input=X, target=X)))
        stream.hear_result(2)
        health, reflection = endless(stub.channel)
        server.process.send_signal(signal.SIGTERM)
        server.await_log("draining")
        assert next(health).status == NOT_SERVING
        assert health.is_active()
        assert reflection.is_active()
        stream.say(chunk(1, "input", 0, X.tobytes()))
        stream.hear_result(1)
        assert server.process.wait(20) == 0


def test_endless_calls_leave_no_traceback_when_the_time_is_over(start_server: StartServer) -> None:
    server = start_server("--drain-seconds", "0.2")
    with Stub(server.addresses()[0]) as stub, stub.stream() as stream:
        stream.say(awaiting(), begin(2, request("l1_loss", input=X, target=X)))
        stream.hear_result(2)
        endless(stub.channel)
        assert server.stop() == 0
    assert "Traceback" not in server.text


def test_an_idle_client_does_not_hold_up_the_end(start_server: StartServer) -> None:
    """Clients keep a stream open; nothing is under way on it, so nothing is waited for."""
    server = start_server("--drain-seconds", "100")
    with connect(server.addresses()[0], retries=0) as client:
        still_correct(client)
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(20) == 0


# --- limits ------------------------------------------------------------------------------------

MIB = 1 << 20
VECTOR = np.ones(MIB // 4, np.float32)  # 1 MiB


def test_message_that_is_too_large(start_server: StartServer) -> None:
    server = start_server("--max-message-bytes", "5000")
    x = np.zeros(2000, np.float32)
    with Stub(server.addresses()[0]) as stub:
        with pytest.raises(grpc.RpcError) as caught:
            stub.evaluate(request("l1_loss", input=x, target=x))
        assert caught.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
        with stub.stream() as stream:
            stream.say(begin(1, request("l1_loss", input=x, target=x)))
            with pytest.raises(grpc.RpcError) as caught:
                stream.hear()
            assert caught.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    with connect(server.addresses()[0]) as client:
        with pytest.raises(errors.ResourceError, match="5000") as refused:
            nn.L1Loss(client=client)(x, x)
        assert isinstance(refused.value, MemoryError)
        assert nn.L1Loss(client=client)(x[:500], x[:500]).item() == 0


def limited(start_server: StartServer, size: int) -> str:
    return start_server("--max-inflight-bytes", str(size)).addresses()[0]


def test_evaluation_that_is_too_large(start_server: StartServer) -> None:
    address = limited(start_server, 3 * MIB)
    with Stub(address) as stub:
        status = stub.refused(request("l1_loss", ["input", "target"], input=VECTOR, target=VECTOR))
        assert status.code == code_pb2.RESOURCE_EXHAUSTED
        assert reason_of(status) == "LIMIT_EXCEEDED"
        assert field_of(status) == ""
        assert f"{4 * MIB:,}" in status.message
        assert f"{3 * MIB:,}" in status.message
        assert "--max-inflight-bytes" in status.message
        stub.evaluate(request("l1_loss", ["input"], input=VECTOR, target=VECTOR))
    x = np.ones((3, MIB // 4), np.float32)
    with connect(address) as client:
        with pytest.raises(errors.ResourceError) as refused:
            nn.L1Loss(client=client).value_and_grad(x, x)
        assert isinstance(refused.value, MemoryError)
        still_correct_within(client)


def still_correct_within(client: Any) -> None:
    """All of 3 MiB are free."""
    value, gradient = nn.L1Loss(reduction="sum", client=client).value_and_grad(VECTOR, 0 * VECTOR)
    assert value == VECTOR.size
    assert (gradient == 1).all()


def test_evaluations_that_are_too_large_together(start_server: StartServer) -> None:
    address = limited(start_server, 3 * MIB)
    one = request("l1_loss", target=VECTOR)
    one.tensors.append(tensor("input", VECTOR, chunked=True))
    with Stub(address) as stub, stub.stream() as stream:
        stream.say(begin(1, one), begin(2, one))
        assert reason_of(stream.hear_error(2)) == "LIMIT_EXCEEDED"
        stream.say(*chunks(1, "input", VECTOR.tobytes()))
        assert stream.hear_result(1)["loss"] == 0
        stream.say(begin(2, one), *chunks(2, "input", VECTOR.tobytes()))
        assert stream.hear_result(2)["loss"] == 0


def test_broadcasting_counts_as_what_it_becomes(start_server: StartServer) -> None:
    """A few bytes that are broadcast to many must not get past the limit."""
    address = limited(start_server, 3 * MIB)
    column, row = np.ones((2000, 1), np.float32), np.ones((1, 2000), np.float32)
    with Stub(address) as stub:
        status = stub.refused(request("kl_div", ["input"], "none", input=column, target=row))
        assert reason_of(status) == "LIMIT_EXCEEDED"
    answers_within(address)


def answers_within(address: str) -> None:
    with connect(address, timeout=PATIENCE) as client:
        still_correct_within(client)


def succeed(stub: Stub) -> None:
    stub.evaluate(request("l1_loss", ["input"], input=VECTOR, target=VECTOR))


def fail(stub: Stub) -> None:
    stub.refused(request("binary_cross_entropy", ["input"], input=2 * VECTOR, target=VECTOR))


def fail_early(stub: Stub) -> None:
    stub.refused(request("croak_loss", ["input"], input=VECTOR, target=VECTOR))


def succeed_in_a_stream(stub: Stub) -> None:
    with stub.stream() as stream:
        stream.say(begin(1, request("l1_loss", ["input"], input=VECTOR, target=VECTOR)))
        stream.hear_result(1)
        stream.end()


def fail_in_a_stream(stub: Stub) -> None:
    with stub.stream() as stream:
        message = request("binary_cross_entropy", ["input"], input=2 * VECTOR, target=VECTOR)
        stream.say(begin(1, message))
        stream.hear_error(1)
        stream.end()


def send_a_wrong_chunk(stub: Stub) -> None:
    with stub.stream() as stream:
        stream.say(partial(1), chunk(1, "input", 5, bytes(4)))
        stream.hear_error(1)
        stream.end()


def give_up(stub: Stub) -> None:
    with stub.stream() as stream:
        stream.say(partial(1), chunk(1, "input", 0, bytes(400)), stubs.cancel(1))
        stream.end()


def stop_in_the_middle(stub: Stub) -> None:
    with stub.stream() as stream:
        stream.say(partial(1), chunk(1, "input", 0, bytes(400)))
        stream.end()


def partial(id: int) -> stubs.Message:
    message = request("l1_loss", ["input"], target=VECTOR)
    message.tensors.append(tensor("input", VECTOR, chunked=True))
    return begin(id, message)


@pytest.fixture(scope="module")
def small_budget(tmp_path_factory: pytest.TempPathFactory) -> Any:
    from .servers import running

    with running("--max-inflight-bytes", str(3 * MIB)) as server:
        yield server.addresses()[0]


WAYS: list[Callable[[Stub], None]] = [
    succeed, fail, fail_early, succeed_in_a_stream, fail_in_a_stream, send_a_wrong_chunk,
    give_up, stop_in_the_middle,
]  # fmt: skip


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_the_budget_is_given_back(small_budget: str, way: Callable[[Stub], None]) -> None:
    with Stub(small_budget) as stub:
        for _ in range(3):
            way(stub)
            succeed(stub)
    answers_within(small_budget)


@pytest.mark.parametrize("streaming", [True, False])
def test_the_budget_is_given_back_after_a_disconnect(small_budget: str, streaming: bool) -> None:
    for _ in range(3):
        with Stub(small_budget) as stub:
            if streaming:
                with stub.stream() as stream:
                    stream.say(partial(1), chunk(1, "input", 0, bytes(400)))
                    stream.say(begin(2, request("l1_loss", input=X, target=X)))
                    refused = stream.hear()  # what fits not proves that the first is under way
                    assert refused.id == 2
            else:
                call = stub.evaluate_later(
                    request("l1_loss", ["input"], input=VECTOR, target=VECTOR)
                )
                call.cancel()
        becomes_free(small_budget)


def becomes_free(address: str) -> None:
    """The server notices a disconnect by itself, soon; nothing tells a client when."""
    tries = 0
    with connect(address, timeout=PATIENCE) as client:
        while True:
            try:
                return still_correct_within(client)
            except errors.ResourceError:
                tries += 1
                if tries == 100:
                    raise
                threading.Event().wait(0.02)


def test_budget_counts() -> None:
    budget = Budget(10, "--flag")
    budget.take(4)
    budget.take(6)
    with pytest.raises(errors.ResourceError, match="needs 1 bytes"):
        budget.take(1)
    budget.give_back(6)
    budget.take(5)
    assert budget.used == 9


def test_port_is_free_after_the_end(start_server: StartServer) -> None:
    server = start_server()
    host, _, port = server.addresses()[0].rpartition(":")
    assert server.stop() == 0
    with pytest.raises(ConnectionRefusedError), socket.create_connection((host, int(port)), 5):
        pass
