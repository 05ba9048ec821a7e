"""Signals that raise, as Ctrl-C does, while gRPC is used on the main thread."""

# what `signal` is made of, which looks for names of numbers: 2 µs each
import _signal  # type: ignore[import-not-found]
import contextlib
import functools
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any, Final

SIGNALS: Final = [
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGALRM") if hasattr(signal, name)
]
"""Those whose handlers raise, in programs that have some."""


@contextlib.contextmanager
def uninterrupted(end: Callable[[], object]) -> Iterator[None]:
    """Have a signal end what is done inside in its own way, and raise what it raises after that.

    Python calls a signal's handler wherever the main thread is, and KeyboardInterrupt is raised
    there. Within gRPC's reader that leaves locks taken, and the channel of no more use.

    Args:
        end: makes what is done inside come to its end soon. It is called between any two of its
            steps, by its own thread.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    found = [(number, _signal.getsignal(number)) for number in SIGNALS]
    handlers = [(number, handler) for number, handler in found if callable(handler)]
    raised: list[BaseException] = []

    def handle(handler: Callable[..., Any], number: int, frame: object) -> None:
        try:
            handler(number, frame)
        except BaseException as error:
            if raised:  # pressed again: at once
                raise
            raised.append(error)
            end()

    for number, handler in handlers:
        _signal.signal(number, functools.partial(handle, handler))
    try:
        yield
    finally:
        for number, handler in handlers:
            _signal.signal(number, handler)
        if raised:
            raise raised[0]
