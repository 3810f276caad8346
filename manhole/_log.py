"""The manhole's own messages: one line each with pid and time, written without buffers, locks or `logging`."""

from __future__ import annotations

import posix
import select
import signal
import time
from collections import deque
from typing import Any

from manhole import compat

__all__ = ["Log"]

# Messages that wait for an object whose write() does not return. Arbitrary; the oldest are dropped.
MAX_WAITING = 1000
# A pipe that polls writable takes so many bytes without waiting (POSIX); a line has no more.
MAX_LINE_BYTES = select.PIPE_BUF


class Log:
    """Writes lines to a descriptor or an object; never raises and never waits for the application or who reads it.

    :param destination: descriptor number, or an object whose `write` takes a `str`.
    :param enabled: False silences it.

    Safe in a signal handler, on any thread, in a greenlet and after a fork. Descriptors, and objects that have one, are
    written to by `posix.write`: it needs no lock that an interrupted frame could hold, and eventlet's `os.write` would
    raise in the hub. What a descriptor has no room for, such as a pipe that nobody empties, is dropped, and the next
    line says so. Any other object's `write` may wait for anything, so a thread that lives as long as there is something
    to write calls it.
    """

    def __init__(self, destination: Any, enabled: bool) -> None:
        self._destination = destination
        self._enabled = enabled
        self._waiting: deque[str] = deque(maxlen=MAX_WAITING)
        self._writing = compat.allocate_lock()
        self._dropped = 0  # lines in a row

    def __call__(self, message: str) -> None:
        """Write *message* as one line."""
        if not self._enabled:
            return
        dropped = self._dropped
        note = f"[lines dropped before this one: {dropped}] " if dropped else ""
        line = f"manhole[{posix.getpid()}:{time.time():.4f}]: {note}{message}\n"
        try:
            descriptor = self._descriptor()
            if descriptor is not None:
                self._dropped = 0 if _write_nowait(descriptor, line) else dropped + 1
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
            try:
                compat.start_thread(self._write_waiting, "manhole log", compat.ALL_SIGNALS)
            except RuntimeError:  # the system has no thread left; the next line tries again
                self._writing.release()

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


def _write_nowait(descriptor: int, line: str) -> bool:
    """Write *line* to *descriptor* if it has room for it now; whether it was written.

    Somebody who fills a pipe between the look and the write makes it wait all the same; no call on a descriptor that
    is shared with the application knows a better way.
    """
    if not compat.poll_one(descriptor, select.POLLOUT, 0) & select.POLLOUT:
        return False
    data = line.encode("utf-8", "backslashreplace")
    if len(data) > MAX_LINE_BYTES:
        data = data[: MAX_LINE_BYTES - 1].decode("utf-8", "ignore").encode() + b"\n"
    # Where the application has set SIGPIPE to its default, a pipe that nobody reads any more would kill it. The signal
    # goes to the thread that writes, so it can be caught here.
    pending = signal.SIGPIPE in signal.sigpending()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGPIPE})
    try:
        posix.write(descriptor, data)
        return True
    except OSError:
        if not pending and signal.SIGPIPE in signal.sigpending():
            signal.sigwait({signal.SIGPIPE})
        return False
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
