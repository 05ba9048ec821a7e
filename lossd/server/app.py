"""The server's life: listen, warm up, serve, drain, end."""

import asyncio
import contextlib
import gc
import importlib.util
import os
import signal
import socket
import time
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, Final

# gRPC reads it when it is loaded. Its own lines are no JSON and have no level that is chosen with
# --log-level, and errors tell what they do.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection
from lossd_client._gen.lossd.v1 import loss_service_pb2  # noqa: F401  registers the descriptors
from lossd_client.transports import options

from lossd import __version__
from lossd.kernels import runtime
from lossd.registered import Registry
from lossd.server import scoring_service
from lossd.server.calls import Calls
from lossd.server.compute import Computer
from lossd.server.jobs import Jobs
from lossd.server.limits import Budget
from lossd.server.logs import log, set_up
from lossd.server.malloc import keep_freed
from lossd.server.runner import Runner
from lossd.server.service import NAME, LossService
from lossd.server.settings import Settings
from lossd.server.shared import collect_released
from lossd.server.workers import Workers

PATIENCE: Final = 5.0
"""Seconds of compiling after which it is told how far it is."""

EXPIRY: Final = 1.0
"""Seconds between two looks at what is to be dropped."""

SOCKET_PATH: Final = 107
"""Bytes of a unix socket's path at most: with its end they fill sockaddr_un."""

_STATUS: Final = health_pb2.HealthCheckResponse


class Server:
    """A server on its addresses.

    >>> server = Server(Settings(listen=["127.0.0.1:0"], warm=["none"]))
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.addresses: list[str] = []
        self._computer = Computer(settings.concurrency)
        self._budget = Budget(settings.max_inflight_bytes, "--max-inflight-bytes")
        self._registry = Registry(settings.max_registered_bytes, settings.registered_seconds)
        self._expiring: asyncio.Task[None] | None = None
        self._scoring: asyncio.Task[None] | None = None
        self._health = health.aio.HealthServicer()
        self._calls = Calls()

    async def start(self) -> None:
        """Listen, compile the chosen kernels, then report SERVING.

        Raises:
            OSError: an address cannot be listened on.
        """
        await self._report(_STATUS.NOT_SERVING)
        self._grpc = grpc.aio.server(
            interceptors=[self._calls],
            options=[
                ("grpc.max_receive_message_length", self.settings.max_message_bytes),
                *options(self.settings.keepalive_seconds),
                ("grpc.so_reuseport", int(self.settings.workers > 1)),
                ("grpc.http2.max_ping_strikes", 0),
            ],
        )
        self._service = LossService(
            self._computer,
            self._budget,
            Budget(self.settings.max_shared_bytes, "--max-shared-bytes"),
            self.settings.share_memory,
            self._registry,
            self.settings.stall_seconds,
        )
        self._expiring = asyncio.create_task(self._expire())
        self._grpc.add_generic_rpc_handlers((self._service.handler(),))
        self._offer_scoring()
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._grpc)
        if self.settings.reflection:
            names = [NAME, health.SERVICE_NAME, reflection.SERVICE_NAME]
            names += [scoring_service.NAME] * (self._scoring is not None)
            reflection.enable_server_reflection(names, self._grpc)
        with self._unlinking():
            for address in self.settings.listen:
                self.addresses.append(self._listen(address))
            await self._grpc.start()
        for address in self.addresses:
            log.info("listening on %s", address)
        await self._warm()
        gc.collect()
        gc.freeze()  # the compiler's many objects stay: no collection need look at them again
        await self._report(_STATUS.SERVING)
        log.info(
            "serving",
            extra={
                "version": __version__,
                "threads": self.settings.threads,
                "layer": runtime.LAYER,
            },
        )

    async def stop(self) -> None:
        """Refuse new calls, let those under way finish, then end."""
        await self._report(_STATUS.NOT_SERVING)
        log.info("draining", extra={"seconds": self.settings.drain_seconds})
        self._service.drain()
        self._calls.drain()
        if self._scoring is not None:
            self._scoring.cancel()
            await asyncio.wait({self._scoring})
        # it removes unix sockets at once: what is at their paths afterwards is another server's
        await self._grpc.stop(self.settings.drain_seconds)
        self._computer.close()
        if self._expiring is not None:
            self._expiring.cancel()
        log.info("stopped")

    @contextlib.contextmanager
    def _unlinking(self) -> Iterator[None]:
        """Remove unix sockets if the start fails: gRPC does so only for what it started."""
        try:
            yield
        except BaseException:
            for address in self.addresses:
                if address.startswith("unix:"):
                    Path(address.removeprefix("unix:")).unlink(missing_ok=True)
            raise

    def _offer_scoring(self) -> None:
        settings = self.settings
        if settings.scoring_dir is None:
            return
        if importlib.util.find_spec("pyarrow") is None:
            raise OSError("scoring jobs need pyarrow: pip install 'lossd[score]'")
        jobs = Jobs(settings.scoring_dir, settings.scoring_kept)
        roots = list(map(Path, settings.scoring_roots))
        service = scoring_service.ScoringService(jobs, roots)
        self._grpc.add_generic_rpc_handlers((service.handler(),))
        runner = Runner(jobs, roots, at_once=settings.scoring_jobs, workers=settings.threads)
        self._scoring = asyncio.create_task(runner.run())
        self._scoring.add_done_callback(_tell_of_end)

    def _listen(self, address: str) -> str:
        if address.startswith("unix:"):
            path = Path(address.removeprefix("unix:")).absolute()
            _check_socket(address, path)
            if _answers(path):  # gRPC would take the socket away from whoever listens on it
                raise OSError(f"cannot listen on {address}: another server does")
        try:
            port = self._grpc.add_insecure_port(address)
        except RuntimeError as error:
            raise OSError(f"cannot listen on {address}: {error}") from error
        return address if address.startswith("unix:") else f"{address.rpartition(':')[0]}:{port}"

    async def _warm(self) -> None:
        start = told = time.perf_counter()
        for number, name in enumerate(self.settings.warm, 1):
            await self._computer.warm(name)
            if time.perf_counter() - told > PATIENCE:
                told = time.perf_counter()
                counts = {"losses": number, "of": len(self.settings.warm)}
                log.info("compiling kernels, which are kept for the next start", extra=counts)
        if self.settings.warm:
            seconds = f"{time.perf_counter() - start:.1f}"
            log.info("kernels ready", extra={"losses": len(self.settings.warm), "seconds": seconds})

    async def _expire(self) -> None:
        """Drop registered tensors when their time is over, and memory that is let go of."""
        while True:
            self._registry.expire()
            collect_released()
            await asyncio.sleep(EXPIRY)

    async def _report(self, status: int) -> None:
        for name in ("", NAME):
            await self._health.set(name, status)


def _tell_of_end(scoring: asyncio.Task[None]) -> None:
    """Log why no scoring job is computed any more, unless the server ends."""
    if not scoring.cancelled() and (error := scoring.exception()) is not None:
        log.error("no scoring job is computed any more", exc_info=error)


def _check_socket(address: str, path: Path) -> None:
    """Make the folder of a unix socket.

    Raises:
        OSError: that cannot be done, or the path is too long.
    """
    if len(os.fsencode(path)) > SOCKET_PATH:
        raise OSError(
            f"cannot listen on {address}: a socket's path has at most {SOCKET_PATH} bytes"
        )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OSError(
            f"cannot listen on {address}: {error.strerror}: {error.filename}; take another path"
        ) from error


def _answers(path: Path) -> bool:
    """Whether somebody listens on a unix socket, also one who accepts no more for now."""
    with socket.socket(socket.AF_UNIX) as probe:
        probe.setblocking(False)
        try:
            probe.connect(str(path))
        except BlockingIOError:  # as many wait as may
            return True
        except OSError:
            return False
    return True


async def serve_until(
    stopped: asyncio.Event,
    settings: Settings,
    serving: Callable[[list[str]], object] = lambda addresses: None,
) -> None:
    """Serve in this process until SIGTERM, SIGINT or an event; `serving` is told its addresses.

    Raises:
        OSError: an address cannot be listened on.
    """
    keep_freed()
    runtime.set_threads(settings.threads)
    server = Server(settings)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    starting = asyncio.create_task(server.start())
    ending = asyncio.create_task(stopped.wait())
    await asyncio.wait({starting, ending}, return_when=asyncio.FIRST_COMPLETED)
    if starting.done():
        starting.result()
        serving(server.addresses)
        await ending
    else:
        starting.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await starting
    await server.stop()


def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT."""
    set_up(settings.log_level, settings.log_format)
    run(Workers(settings).run() if settings.workers > 1 else serve_until(asyncio.Event(), settings))


def run(serving: Coroutine[Any, Any, None]) -> None:
    """Serve to the end; logs why, and exits with 1, where an address cannot be listened on."""
    try:
        asyncio.run(serving)
    except OSError as error:
        log.error("%s", error)
        raise SystemExit(1) from error
