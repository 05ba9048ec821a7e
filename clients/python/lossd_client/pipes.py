"""Two pipes to a server on this host: an evaluation goes into one, its answer out of the other.

A message and its answer take a quarter of a millisecond over gRPC, a tenth of that through pipes.
"""

import asyncio
import os
import select
import stat
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

from lossd_client.shared import PATH
from lossd_client.wire import Opened

CAPACITY: Final = 1 << 16
"""Bytes that a pipe holds."""

MOST: Final = CAPACITY - 4
"""Bytes of a message: it is written at once, with its length."""

_LOOK: Final = 1.0
"""Seconds after which it is seen whether the server is still there."""

_NAP: Final = 20e-6
"""Seconds after which it is seen whether there is something to do again; the system adds to it."""


class LostError(Exception):
    """Nobody is at the other end: what was asked has to go another way."""


def framed(message: bytes) -> bytes:
    """A message after its length."""
    return len(message).to_bytes(4, "little") + message


def unframed(found: bytes) -> bytes | None:
    """The message in what was read; None if it is not all there.

    Raises:
        ValueError: there is more, or the message is larger than any may be.
    """
    end = 4 + int.from_bytes(found[:4], "little")
    if not len(found) <= end <= CAPACITY and len(found) >= 4:
        raise ValueError(f"{len(found)} bytes for a message of {end}")
    return found[4:] if len(found) == end else None


def _opened(pipe: tuple[str, int], flags: int) -> int:
    """The file of a pipe.

    Raises:
        OSError, ValueError: there is nothing such: the server is on another host.
    """
    path, inode = pipe
    # seen before it is opened: what is read from some other pipe would be missing there
    found = Path(path).stat() if PATH.fullmatch(path) else None
    if found is None or not stat.S_ISFIFO(found.st_mode) or found.st_ino != inode:
        raise ValueError(f"{path} is no pipe of the server's")
    file = os.open(path, flags | os.O_CLOEXEC | os.O_NONBLOCK)
    if os.fstat(file).st_ino != inode:
        os.close(file)
        raise ValueError(f"{path} is no pipe of the server's any more")
    return file


class Pipes:
    """Both of them, for one evaluation at a time: who has `take`n them gives them back.

    Args:
        opened: where they are.

    Raises:
        OSError, ValueError: there is nothing such.
    """

    def __init__(self, opened: Opened) -> None:
        self._turn = threading.Lock()
        self._closing = False
        self._files: list[int] = []
        try:
            self._files.append(_opened(opened.responses, os.O_RDONLY))
            # for reading, too, though nobody does: who writes where nobody can read gets a signal
            self._files.append(_opened(opened.requests, os.O_RDWR))
        except (OSError, ValueError):
            self.close()
            raise
        self._poll = select.poll()
        self._poll.register(self._files[0], select.POLLIN)

    def take(self) -> bool:
        """Have them, if they are free."""
        return not self._closing and self._turn.acquire(blocking=False)

    def give_back(self) -> None:
        """Let another have them."""
        self._turn.release()
        if self._closing:
            self.close()

    def close(self) -> None:
        """Let go of them, as soon as nobody has them."""
        self._closing = True
        if self._turn.acquire(blocking=False):
            while self._files:
                os.close(self._files.pop())
            self._turn.release()

    def __del__(self) -> None:
        self.close()

    def exchange(
        self,
        message: bytes,
        left: Callable[[], float | None],
        there: Callable[[], bool],
        meanwhile: Iterable[bool] = (),
    ) -> bytes:
        """Send a message and wait for its answer. After an error they are of no more use.

        Args:
            message: has `MOST` bytes at most.
            left: tells how many seconds there are for it, None for any number.
            there: tells whether the server is, as far as is known.
            meanwhile: what is done before the answer can be there, a step at a time; False where
                there is nothing to do for now.

        Raises:
            LostError: the server closed them, or is gone.
            TimeoutError: the answer did not come in time.
        """
        self._send(message)
        look = time.monotonic() + _LOOK
        for done in meanwhile:
            if self._poll.poll(0):  # an error, or the end
                break
            if done:
                look = time.monotonic() + _pause(left)
            else:
                time.sleep(_NAP)
                if time.monotonic() > look:
                    look = time.monotonic() + _pause(left)
                    if not there():
                        raise LostError
        found, answer = b"", None
        while answer is None:
            while not self._poll.poll(1000 * _pause(left)):
                if not there():
                    raise LostError
            found, answer = self._read(found)
        return answer

    async def exchange_async(
        self,
        message: bytes,
        left: Callable[[], float | None],
        there: Callable[[], bool],
        meanwhile: Iterable[bool] = (),
    ) -> bytes:
        """The same, awaited."""
        self._send(message)
        loop, responses = asyncio.get_running_loop(), self._files[0]
        ended: asyncio.Future[bytes | None] = loop.create_future()
        found = b""

        def read() -> None:
            nonlocal found
            try:
                found, answer = self._read(found)
            except LostError:
                loop.remove_reader(responses)
                ended.set_result(None)
            else:
                if answer is not None:
                    loop.remove_reader(responses)
                    ended.set_result(answer)

        loop.add_reader(responses, read)
        try:
            look = time.monotonic() + _LOOK
            for done in meanwhile:
                await asyncio.sleep(0 if done else _NAP)
                if ended.done():
                    break
                if done:
                    look = time.monotonic() + _pause(left)
                elif time.monotonic() > look:
                    look = time.monotonic() + _pause(left)
                    if not there():
                        raise LostError
            while not ended.done():
                await asyncio.wait([ended], timeout=_pause(left))
                if not ended.done() and not there():
                    break
        finally:
            loop.remove_reader(responses)
        answer = ended.result() if ended.done() else None
        if answer is None:
            raise LostError
        return answer

    def _send(self, message: bytes) -> None:
        sent = framed(message)
        try:
            written = os.write(self._files[1], sent)
        except (OSError, IndexError) as error:  # the latter: they are closed
            raise LostError from error
        if written < len(sent):
            raise LostError

    def _read(self, found: bytes) -> tuple[bytes, bytes | None]:
        """What was read, with what is there now, and the message in it once it is complete."""
        try:
            part = os.read(self._files[0], CAPACITY)
            found = found + part if found else part
            answer = unframed(found)
        except (OSError, IndexError, ValueError) as error:
            raise LostError from error
        if not part:
            raise LostError
        return found, answer


def _pause(left: Callable[[], float | None]) -> float:
    """Seconds to wait before it is seen whether the server is still there.

    Raises:
        TimeoutError: none are left.
    """
    most = left()
    if most is not None and most <= 0:
        raise TimeoutError
    return _LOOK if most is None else min(most, _LOOK)
