"""Signals: a handler that can be taken back from anywhere, and a thread that sees a signal when no handler can run."""

from __future__ import annotations

import posix
import signal
from collections.abc import Callable, Iterable
from types import FrameType
from typing import Any

from manhole import compat
from manhole._errors import ManholeError

__all__ = ["SignalHook", "SignalWatcher"]

_STOP = 0  # no signal has this number
# Arbitrary; long enough for a loaded machine. If it is not, nothing but uWSGI minds.
START_SECONDS = 1.0


class SignalHook:
    """Has a signal call a function, in place of what it did before.

    :param signum: the signal.
    :param function: called as any Python handler is: on the main thread, between two bytecodes of whatever runs there.
    """

    def __init__(self, signum: int, function: Callable[[int, FrameType | None], None]) -> None:
        self._signum = signum
        self._function: Callable[[int, FrameType | None], None] | None = function
        self._before: Any = signal.getsignal(signum)

    def set(self) -> None:
        """Put the function there.

        :raises ManholeError: if the calling thread is not the main one, where alone Python lets handlers be set.
        """
        try:
            signal.signal(self._signum, self._handle)
        except ValueError:
            raise ManholeError(
                f"a handler for signal {self._signum} can be set on the main thread alone; call install() there"
            ) from None

    def _handle(self, signum: int, frame: FrameType | None) -> None:
        if self._function is not None:
            self._function(signum, frame)
        else:  # removed from another thread, which could not put back what was there
            self._put_back()
            signal.raise_signal(signum)

    def remove(self) -> None:
        """Put back what was there before, unless somebody has set another handler since.

        Only the main thread may set one: called from another, the hook puts it back when the signal comes.
        """
        self._function = None
        try:
            self._put_back()
        except ValueError:
            pass

    def _put_back(self) -> None:
        if signal.getsignal(self._signum) == self._handle:
            # None: a handler that is not Python's and cannot be set again
            signal.signal(self._signum, signal.SIG_DFL if self._before is None else self._before)


class SignalWatcher:
    """Calls a function on a thread of its own when a signal comes, also while the main thread never returns to Python.

    A Python handler runs when the main thread gets to its next bytecode, and one that is stuck in a library's C code
    never does. The interpreter's own C handler does run, and writes the signal's number to the descriptor that
    `signal.set_wakeup_fd` names; a thread that reads there learns of it. There is one such descriptor in a process:
    it is taken only if it is free, and given back. Whoever takes it later (asyncio does) wins.

    Works for signals that have a Python handler. For the main thread.

    :param signum: the signal.
    :param function: what to call; must raise nothing.
    :param sigmask: the signals to block on the thread.
    :raises OSError: if the process has no descriptor left.
    """

    def __init__(self, signum: int, function: Callable[[], None], sigmask: Iterable[int]) -> None:
        self._signum = signum
        self._function = function
        self._read, self._write = posix.pipe()
        posix.set_blocking(self._write, False)
        self._ended = compat.allocate_lock()
        self._is_wakeup = False
        self._sigmask = sigmask
        self._is_paused = False
        self._running = compat.allocate_lock()
        self._running.acquire()

    def start(self) -> None:
        """Start the thread; stop() is due afterwards, whatever this raises.

        :raises RuntimeError: if the system has no thread left.
        """
        self._is_wakeup = self._take_wakeup()
        self._start_thread()
        # A thread that waits for the GIL while uWSGI forks leaves the child waiting for it for ever (uwsgi#2387).
        self._running.acquire(timeout=START_SECONDS)

    def _start_thread(self) -> None:
        self._ended.acquire(False)
        try:
            self._thread = compat.start_thread(self._watch, "manhole signal watcher", self._sigmask)
        except RuntimeError:
            self._ended.release()
            raise

    def _take_wakeup(self) -> bool:
        """Make the pipe the wakeup descriptor, if there is none."""
        try:
            other = signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)
            if other == -1:
                return True
            signal.set_wakeup_fd(other)
        except ValueError:
            pass  # not the main thread
        return False

    def _give_wakeup_back(self) -> bool:
        """Whether the pipe is no longer the wakeup descriptor."""
        try:
            now = signal.set_wakeup_fd(-1)
            if now not in (-1, self._write):
                signal.set_wakeup_fd(now)
        except ValueError:
            return not self._is_wakeup  # not the main thread
        return True

    def _watch(self) -> None:
        if self._running.locked():  # the first time
            self._running.release()
        try:
            while True:
                seen = posix.read(self._read, 256)
                if self._signum in seen:
                    self._function()
                if _STOP in seen or not seen:
                    break
        finally:
            self._ended.release()

    def pause(self, timeout: float) -> None:
        """End the thread for a while; resume() is due then. For the time before a fork.

        :param timeout: seconds to wait for its end.
        """
        # Signals to the child would wake the parent, before the child gets to let go of the pipe.
        self._give_wakeup_back()
        posix.write(self._write, bytes([_STOP]))
        self._is_paused = self._ended.acquire(timeout=timeout)
        if self._is_paused:
            self._thread.wait_gone(timeout)

    def resume(self, timeout: float) -> None:
        """Start the thread again.

        :param timeout: seconds to wait for the end of the one before, if pause() has not seen it.
        """
        if not self._is_paused and not self._ended.acquire(timeout=timeout):
            return  # busy beyond measure; the Python handler still works
        self._is_wakeup = self._take_wakeup()
        try:
            self._start_thread()
        except RuntimeError:
            pass  # as above

    def stop(self, timeout: float) -> None:
        """End the thread and give the wakeup descriptor back, waiting at most *timeout* seconds."""
        given_back = self._give_wakeup_back()
        posix.write(self._write, bytes([_STOP]))
        # Closed while a signal may still be written to it, the number could become somebody else's file.
        if self._ended.acquire(timeout=timeout) and given_back:
            posix.close(self._read)
            posix.close(self._write)

    def close_after_fork(self) -> None:
        """In a forked child: let go of the parent's pipe, through which its signals would wake the parent."""
        self._give_wakeup_back()
        posix.close(self._read)
        posix.close(self._write)
