"""Runs over files on servers and on a Ray cluster: the same bits as in this process."""

import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from lossd_client.errors import LabelError, UnknownLossError

from lossd.scoring import InterruptedRunError, Progress, Threads, resume, score
from tests.scoring.test_resume import assert_same, everything, files
from tests.service.servers import Server, environment, running
from tests.service.stubs import Stub, begin, cancel, request
from tests.service.stubs import tensor as described

pytestmark = pytest.mark.thorough

ROWS, SHARD = 40_000, 400


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    numbers = np.random.default_rng(0)
    np.save(folder / "x.npy", numbers.standard_normal((ROWS, 10), np.float32))
    np.save(folder / "y.npy", numbers.integers(0, 10, ROWS))
    return folder


@pytest.fixture(scope="module")
def here(data: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    out = tmp_path_factory.mktemp("here")
    score("cross_entropy", *files(data), out=out, shard_rows=SHARD, gradients=True, report=False)
    return everything(out)


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[list[Server]]:
    """Three, of which two can be reached through sockets and one through TCP."""
    unix = f"unix:{tmp_path}/1.sock", f"unix:{tmp_path}/2.sock"
    with (
        running(listen=(unix[0],)) as one,
        running(listen=(unix[1],)) as two,
        running() as three,
    ):
        yield [one, two, three]


def addresses(servers: list[Server]) -> list[str]:
    return [server.addresses()[0] for server in servers]


def test_three_servers_give_the_same_bits(
    data: Path, here: dict[str, bytes], servers: list[Server], tmp_path: Path
) -> None:
    out = tmp_path / "run"
    score(
        "cross_entropy", *files(data), out=out, shard_rows=SHARD, gradients=True, report=False,
        engine=Threads(2, addresses(servers), timeout=60),
    )  # fmt: skip
    assert_same(everything(out), here)


def test_what_servers_compute_is_told_apart_from_the_way_there(
    servers: list[Server], tmp_path: Path
) -> None:
    x = np.random.default_rng(0).standard_normal((64, 100_000), np.float32)
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "y.npy", np.arange(64))
    for address in addresses(servers)[1:]:
        given = {"report": False, "overwrite": True, "out": tmp_path / "run"}
        engine = Threads(1, [address], timeout=60)
        for _ in range(2):  # the first one compiles
            timing = score("cross_entropy", *files(tmp_path), engine=engine, **given).timing
        spent = timing["worker_seconds"]
        assert list(spent) == ["reading", "network", "computing", "writing"]
        assert all(0 < each < timing["seconds"] for each in spent.values())
        assert sum(spent.values()) <= timing["seconds"]
        assert timing["bottleneck"] == max(spent, key=spent.__getitem__)
    engine = Threads(1)
    timing = score("cross_entropy", *files(tmp_path), engine=engine, **given).timing
    assert list(timing["worker_seconds"]) == ["reading", "computing", "writing"]


def test_a_server_that_dies_is_done_without(
    data: Path, here: dict[str, bytes], servers: list[Server], tmp_path: Path
) -> None:
    out, victim = tmp_path / "run", servers[1]

    def watch(progress: Progress) -> None:
        if progress.rows >= 8 * SHARD and victim.process.poll() is None:
            victim.kill()

    score(
        "cross_entropy", *files(data), out=out, shard_rows=SHARD, gradients=True, report=False,
        engine=Threads(1, addresses(servers), timeout=60), watch=watch,
    )  # fmt: skip
    assert victim.process.poll() is not None
    assert_same(everything(out), here)


def test_a_server_that_hangs_is_done_without(
    data: Path, here: dict[str, bytes], servers: list[Server], tmp_path: Path
) -> None:
    out, victim = tmp_path / "run", servers[1]
    hung = False

    def watch(progress: Progress) -> None:
        nonlocal hung
        if progress.rows >= 8 * SHARD and not hung:
            hung = True
            victim.process.send_signal(signal.SIGSTOP)

    try:
        score(
            "cross_entropy", *files(data), out=out, shard_rows=SHARD, gradients=True, report=False,
            engine=Threads(1, addresses(servers), timeout=2), watch=watch,
        )  # fmt: skip
    finally:
        victim.process.send_signal(signal.SIGCONT)
    assert hung
    assert_same(everything(out), here)


def test_a_server_that_is_full_is_asked_again(
    data: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Another client's announcement holds all that evaluations may, for a second."""
    given = {"shard_rows": ROWS // 2, "report": False}
    score("cross_entropy", *files(data), out=tmp_path / "here", **given)
    limit = 8 << 20
    waiting = request("dice_loss")
    for name in ("input", "target"):
        large = np.empty((1, 1, limit // 8 - 100_000), np.float32)
        waiting.tensors.append(described(name, large, chunked=True))
    with running("--max-inflight-bytes", str(limit)) as server:
        (address,) = addresses([server])
        with Stub(address) as stub, stub.stream() as stream:
            one = np.ones(1, np.float32)
            stream.say(begin(1, waiting), begin(2, request("l1_loss", input=one, target=one)))
            assert stream.hear_result(2)["loss"] == 0, "the first waits"
            threading.Timer(1.0, stream.say, (cancel(1),)).start()
            score("cross_entropy", *files(data), out=tmp_path / "run", engine=Threads(1, [address]),
                  **given)  # fmt: skip
    assert "asked again" in caplog.text
    assert_same(everything(tmp_path / "run"), everything(tmp_path / "here"))


def test_when_all_servers_are_gone_the_run_goes_on_later(
    data: Path, here: dict[str, bytes], tmp_path: Path
) -> None:
    out = tmp_path / "run"
    with running() as server:

        def watch(progress: Progress) -> None:
            if progress.rows >= 8 * SHARD and server.process.poll() is None:
                server.kill()

        with pytest.raises(InterruptedRunError, match="no server answers any more: "):
            score(
                "cross_entropy", *files(data), out=out, shard_rows=SHARD, gradients=True,
                report=False, engine=Threads(2, addresses([server])), watch=watch,
            )  # fmt: skip
    told: list[Progress] = []
    resume(out, report=False, watch=told.append)
    assert told[0].resumed >= 8 * SHARD
    assert_same(everything(out), here)


def test_labels_out_of_range_are_named_with_their_row(
    data: Path, servers: list[Server], tmp_path: Path
) -> None:
    y = np.load(data / "y.npy")
    y[12_345] = 10
    np.save(tmp_path / "y.npy", y)
    with pytest.raises(LabelError, match=r"target\[12345\] = 10 .*y\.npy, row 12345\)"):
        score(
            "cross_entropy", data / "x.npy", tmp_path / "y.npy", out=tmp_path / "run",
            engine=Threads(1, addresses(servers)),
        )  # fmt: skip
    with pytest.raises(UnknownLossError):
        score("no_loss", *files(data), out=tmp_path / "b", engine=Threads(1, addresses(servers)))


def on_ray(*given: str) -> "subprocess.CompletedProcess[str]":
    env = environment({"RAY_USAGE_STATS_ENABLED": "0", "RAY_DISABLE_IMPORT_WARNING": "1"})
    return subprocess.run(
        [sys.executable, "-m", "lossd.cli", "score", *given, "--engine", "ray", "--no-report"],
        capture_output=True, text=True, timeout=240, env=env, check=False,
    )  # fmt: skip


def test_ray_gives_the_same_bits_and_names_errors(
    data: Path, here: dict[str, bytes], tmp_path: Path
) -> None:
    out, x, y = tmp_path / "run", *map(str, files(data))
    given = ["cross_entropy", x, y, "--out", str(out), "--shard-rows", str(SHARD), "--gradients"]
    done = on_ray(*given, "--workers", "2", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    assert_same(everything(out), here)

    labels = np.load(y)
    labels[12_345] = 10
    np.save(tmp_path / "y.npy", labels)
    failed = on_ray("cross_entropy", x, str(tmp_path / "y.npy"), "--out", str(tmp_path / "b"))
    assert failed.returncode == 2, failed.stderr
    assert "target[12345] = 10 is outside [0, 10)" in failed.stderr
