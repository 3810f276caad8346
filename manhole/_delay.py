"""Calls a function some time later, on a thread of ours that can be ended for a fork, and for ever."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from manhole import compat

__all__ = ["Delay"]


class Delay:
    """A function that is to be called once, later.

    :param function: what to call; must raise nothing.
    :param seconds: how much later.
    :param sigmask: the signals to block on the thread.
    """

    def __init__(self, function: Callable[[], None], seconds: float, sigmask: Iterable[int]) -> None:
        self._function = function
        self._deadline = compat.monotonic() + seconds
        self._sigmask = sigmask
        self._told_to_end = compat.allocate_lock()  # free when the thread is to end; it takes it again
        self._told_to_end.acquire()
        self._ended = compat.allocate_lock()
        self._thread = compat.OwnThread()

    def start(self) -> None:
        """Start the thread that waits.

        :raises RuntimeError: if the system has no thread left.
        """
        self._ended.acquire(False)
        try:
            self._thread = compat.start_thread(self._wait, "manhole reinstall", self._sigmask)
        except RuntimeError:
            self._ended.release()
            raise

    def pause(self, timeout: float) -> None:
        """End the thread for a while, if it still waits; resume() is due then. Or for ever.

        :param timeout: seconds to wait for its end.
        """
        try:
            self._told_to_end.release()
        except RuntimeError:
            pass  # told already: release() comes while another thread forks
        if self._ended.acquire(timeout=timeout):
            self._ended.release()
            self._thread.wait_gone(timeout)

    def resume(self) -> None:
        """Wait on, unless the time was over before pause()."""
        # Whoever takes it back first decides: the thread has ended for it, or will never know of it.
        if not self._told_to_end.acquire(False):
            self.start()

    def _wait(self) -> None:
        try:
            if not self._told_to_end.acquire(timeout=max(0.0, self._deadline - compat.monotonic())):
                self._function()
        finally:
            self._ended.release()
