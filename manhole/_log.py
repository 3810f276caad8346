"""The manhole's own messages: one line each with time and pid, written without buffers, locks or `logging`."""

from __future__ import annotations

import posix
import time
from typing import Protocol

__all__ = ["Log"]


class _Writable(Protocol):
    def write(self, text: str, /) -> object: ...


class Log:
    """Writes lines to a file descriptor or to an object with `write`; never raises.

    :param destination: descriptor number, or an object whose `write` takes a `str`.
    :param enabled: False silences it.

    Safe in a signal handler, on any thread and in a greenlet, as far as a given object's own `write` is. Messages go
    through `posix.write` because eventlet replaces `os.write` by one that raises in the hub.
    """

    def __init__(self, destination: int | _Writable, enabled: bool) -> None:
        self._destination = destination
        self._enabled = enabled

    def __call__(self, message: str) -> None:
        """Write *message* as one line."""
        if not self._enabled:
            return
        line = f"manhole[{posix.getpid()}:{time.time():.4f}]: {message}\n"
        try:
            if isinstance(self._destination, int):
                posix.write(self._destination, line.encode("utf-8", "backslashreplace"))
            else:
                self._destination.write(line)
        except Exception:  # noqa: BLE001 - the destination is the application's: any error in it is swallowed
            pass
