"""Several processes that serve at the same addresses: started, watched, replaced, ended.

Each is `python -m lossd.server.worker`, which has its settings from its standard input, tells its
addresses on its standard output once it serves, and ends when its standard input does: none
outlives this process.
"""

import asyncio
import json
import signal
import socket
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable
from typing import Final

from lossd.server.logs import log
from lossd.server.settings import Settings

_GRACE: Final = 10.0  # seconds beyond those for draining, after which a worker is killed
_PAUSE: Final = 1.0  # seconds until a worker is replaced: one that cannot live is not tried at once


class Workers:
    """The processes of a server.

    Args:
        settings: theirs; `settings.workers` is their number.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._processes: dict[int, Process] = {}
        self._stopping = False

    async def run(self) -> None:
        """Serve until SIGTERM or SIGINT.

        Raises:
            OSError: an address cannot be listened on, or a worker does not start.
        """
        for address in self._settings.listen:
            _require_free(address)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop)
        try:
            # the first compiles kernels that the others find, and takes the ports that they share
            addresses = await self._start(0)
            if addresses is not None:
                listen = [
                    given if given.startswith("unix:") else taken
                    for given, taken in zip(self._settings.listen, addresses, strict=True)
                ]
                self._settings = self._settings.model_copy(update={"listen": listen})
            others = range(1, self._settings.workers)
            await asyncio.gather(*[self._start(number) for number in others])
            if not self._stopping:
                log.info("all workers serve", extra={"workers": self._settings.workers})
            await asyncio.gather(*[self._keep(number) for number in list(self._processes)])
        finally:
            self._each(Process.kill)
            await asyncio.gather(*[process.wait() for process in self._processes.values()])

    def _stop(self) -> None:
        if not self._stopping:
            self._stopping = True
            self._each(Process.terminate)
            limit = self._settings.drain_seconds + _GRACE
            asyncio.get_running_loop().call_later(limit, self._each, Process.kill)

    def _each(self, end: Callable[[Process], object]) -> None:
        for process in self._processes.values():
            if process.returncode is None:
                end(process)

    async def _start(self, number: int) -> list[str] | None:
        """Start a worker; the addresses that it serves at, None if all is to end.

        Raises:
            OSError: it ends before it serves.
        """
        if self._stopping:
            return None
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "lossd.server.worker", stdin=PIPE, stdout=PIPE
        )
        self._processes[number] = process
        if self._stopping:
            process.terminate()
        settings = self._settings.of_worker(number).model_dump(mode="json", exclude={"config"})
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps({"number": number, "settings": settings}).encode() + b"\n")
        told = await process.stdout.readline()
        if told:
            return list(json.loads(told))
        status = await process.wait()
        if self._stopping:
            return None
        raise OSError(f"worker {number} ended before it served (exit status {status})")

    async def _keep(self, number: int) -> None:
        """Replace a worker whenever it ends, until all are to end."""
        while True:
            status = await self._processes[number].wait()
            if self._stopping:
                return
            log.error("worker ended, is replaced", extra={"number": number, "status": status})
            await asyncio.sleep(_PAUSE)
            try:
                await self._start(number)
            except OSError as error:
                log.error("%s", error)


def _require_free(address: str) -> None:
    """Make sure that a port is nobody's yet: workers share theirs, also with strangers.

    Raises:
        OSError: it is taken, or the host is unknown.
    """
    host, _, port = address.rpartition(":")
    if address.startswith("unix:") or port == "0":
        return
    try:
        found = socket.getaddrinfo(
            host.strip("[]") or None, int(port), type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except OSError as error:
        raise OSError(f"cannot listen on {address}: {error.strerror}") from error
    except ValueError as error:  # what cannot be a host's name
        raise OSError(f"cannot listen on {address}: {error}") from error
    for family, kind, protocol, _, place in found:
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(place)
            except OSError as error:
                raise OSError(f"cannot listen on {address}: {error.strerror}") from error
