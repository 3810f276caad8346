"""The manhole's own messages: one line each with pid and time, written without buffers, locks or `logging`."""

from __future__ import annotations

import posix
import time
from collections import deque
from typing import Any

from manhole import compat

__all__ = ["Log"]

# Messages that wait for an object whose write() does not return. Arbitrary; the oldest are dropped.
MAX_WAITING = 1000


class Log:
    """Writes lines to a descriptor or an object; never raises and never waits for the application.

    :param destination: descriptor number, or an object whose `write` takes a `str`.
    :param enabled: False silences it.

    Safe in a signal handler, on any thread, in a greenlet and after a fork. Descriptors, and objects that have one, are
    written to by `posix.write`: it needs no lock that an interrupted frame could hold, and eventlet's `os.write` would
    raise in the hub. Any other object's `write` may wait for anything, so a thread that lives as long as there is
    something to write calls it.
    """

    def __init__(self, destination: Any, enabled: bool) -> None:
        self._destination = destination
        self._enabled = enabled
        self._waiting: deque[str] = deque(maxlen=MAX_WAITING)
        self._writing = compat.allocate_lock()

    def __call__(self, message: str) -> None:
        """Write *message* as one line."""
        if not self._enabled:
            return
        line = f"manhole[{posix.getpid()}:{time.time():.4f}]: {message}\n"
        try:
            descriptor = self._descriptor()
            if descriptor is not None:
                posix.write(descriptor, line.encode("utf-8", "backslashreplace"))
            else:
                self._waiting.append(line)
                self._start_writer()
        except Exception:  # noqa: BLE001 - the destination is the application's: any error in it is swallowed
            pass

    def reset_after_fork(self) -> None:
        """In a forked child: the writer, if there was one, is the parent's."""
        self._writing = compat.allocate_lock()
        self._waiting.clear()

    def _descriptor(self) -> int | None:
        if isinstance(self._destination, int):
            return self._destination
        try:
            # Asked each time: once the file is closed, its number may be somebody else's.
            return int(self._destination.fileno())
        except Exception:  # noqa: BLE001 - whatever it is, it has no descriptor to offer
            return None

    def _start_writer(self) -> None:
        # Who gets the lock hands it to the thread; who does not leaves the line to the thread that has it.
        if self._writing.acquire(False):
            compat.start_thread(self._write_waiting, "manhole log", compat.ALL_SIGNALS)

    def _write_waiting(self) -> None:
        while True:
            try:
                while self._waiting:
                    self._destination.write(self._waiting.popleft())
            except Exception:  # noqa: BLE001 - as above
                pass
            finally:
                self._writing.release()
            # A line that came between the last look and the release found the lock taken.
            if not self._waiting or not self._writing.acquire(False):
                break
