"""Two pipes that a client on this host opens: its evaluations need neither a socket nor gRPC.

Like shared memory they have no name in any file system: a client of the same user opens them as
files of this process.
"""

import asyncio
import contextlib
import fcntl
import os
from collections.abc import Callable, Iterable
from typing import Final

from lossd_client.errors import ResourceError
from lossd_client.pipes import CAPACITY, framed, unframed
from lossd_client.wire import Opened

from lossd.server.shared import FILES

AVAILABLE: Final = hasattr(os, "pipe2") and hasattr(fcntl, "F_GETPIPE_SZ")


def _made() -> tuple[int, int]:
    """A pipe that holds a message: where it comes out, and where it goes in.

    Raises:
        ResourceError: there is none.
    """
    if not AVAILABLE:
        raise ResourceError("this server's system has no pipes that another process can open")
    try:
        ends = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise ResourceError(f"a pipe cannot be opened: {error.strerror}") from error
    if fcntl.fcntl(ends[0], fcntl.F_GETPIPE_SZ) < CAPACITY or max(ends) >= FILES:
        _close(ends)
        raise ResourceError("a pipe cannot be opened: there are too many")
    return ends


def _close(files: Iterable[int]) -> None:
    for file in files:
        os.close(file)


class Pipes:
    """Both of them, until the client closes or misuses them. Used on the event loop.

    Args:
        take: gets a message. The next one comes after its `answer`.

    Raises:
        ResourceError: there are none.
    """

    def __init__(self, take: Callable[[bytes], object]) -> None:
        requests = _made()
        try:
            responses = _made()
        except ResourceError:
            _close(requests)
            raise
        self._take, self._found, self._busy = take, b"", False
        self._ours = [requests[0], responses[1]]
        self._theirs = [requests[1], responses[0]]  # until the client has opened them
        asyncio.get_running_loop().add_reader(self._ours[0], self._read)

    @property
    def closed(self) -> bool:
        """Whether nothing goes through them any more."""
        return not self._ours

    def opened(self) -> Opened:
        """Where a client finds its ends."""
        paths = [(f"/proc/{os.getpid()}/fd/{end}", os.fstat(end).st_ino) for end in self._theirs]
        return Opened(*paths)

    def _read(self) -> None:
        """Read what is there: a message, or a part of one."""
        try:
            part = os.read(self._ours[0], CAPACITY)
            self._found = self._found + part if self._found else part
            message = unframed(self._found)
        except BlockingIOError:
            return
        except ValueError:
            self.close()
            return
        if not part or self._busy:  # the client's end is closed, or it did not wait for its answer
            self.close()
        elif message is not None:
            _close(self._theirs)  # it has opened them
            self._theirs = []
            self._found, self._busy = b"", True
            with contextlib.ExitStack() as failed:  # who asked must not wait for ever
                failed.callback(self.close)
                self._take(message)
                failed.pop_all()

    def answer(self, message: bytes) -> None:
        """Write the answer to the message that came: empty, it comes on the stream."""
        self._busy = False
        data = framed(message)
        try:
            written = os.write(self._ours[1], data)
        except OSError:  # the client is gone, or has not read its last answer
            written = 0
        if written < len(data):
            self.close()

    def pause(self) -> None:
        """Read no message until `resume`."""
        if not self.closed:
            asyncio.get_running_loop().remove_reader(self._ours[0])

    def resume(self) -> None:
        """Read on."""
        if not self.closed:
            asyncio.get_running_loop().add_reader(self._ours[0], self._read)

    def close(self) -> None:
        """Let go of them: the client sees their end."""
        if self._ours:
            asyncio.get_running_loop().remove_reader(self._ours[0])
        _close((*self._ours, *self._theirs))
        self._ours, self._theirs = [], []
