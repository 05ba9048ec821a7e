"""Signals that raise, as Ctrl-C does, while gRPC is used on the main thread."""

import contextlib
import functools
import inspect
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any, Final

SIGNALS: Final = [
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGALRM") if hasattr(signal, name)
]
"""Those whose handlers raise, in programs that have some."""

# without the names that they have for numbers: 0.1 µs, not 2
_handler_of, _handle_by = inspect.unwrap(signal.getsignal), inspect.unwrap(signal.signal)


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
    found = [(number, _handler_of(number)) for number in SIGNALS]
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
        _handle_by(number, functools.partial(handle, handler))
    try:
        yield
    finally:
        for number, handler in handlers:
            _handle_by(number, handler)
        if raised:
            raise raised[0]
