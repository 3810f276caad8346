"""The watchdog: a dump when a hub has not returned to its loop for too long, then none until it has.

Only the loop itself can tell that it has come round, so a thread of ours asks: it leaves a callback with the loop, and
looks later whether it was called. Samples of stacks do not tell: a loop that runs through a thousand short greenlets
looks, now and then, like one that is stuck in the thousandth. The callback is a `deque.append`, C code that neither
blocks nor raises; one at most is on its way to each hub.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from functools import partial

from manhole import compat
from manhole._log import Log

__all__ = ["Watchdog"]

# How often the thread looks within the time that a hub may take. A dump is late by two looks at most.
LOOKS = 4
# Nobody waits for a look longer than this. Arbitrary; keeps the lock's timeout within what it can have.
MAX_PERIOD = 3600.0
# Finding the hubs goes through all objects, 10 to 50 ns each in one C call: at the first look, after twice as long each
# time while there is none, and this many seconds later when there is one. Arbitrary.
MAX_SECONDS_BETWEEN_SEARCHES = 60.0


class _Watched:
    """One hub, and what it has answered."""

    def __init__(self, hub: compat.HubHandle) -> None:
        self.hub = hub
        self.answers: deque[bool] = deque(maxlen=1)
        self.asked: float | None = None  # when, and not answered yet
        self.known = False  # to have been in its loop once: before, a process that is just starting is not stuck
        self.reported = False

    def look(self, now: float) -> float | None:
        """For how many seconds at least the hub has not been in its loop; None if it has."""
        if self.asked is not None:
            if not self.answers and not self.hub.is_at_rest():
                return now - self.asked if self.known else None
            self.known = True
        if self.asked is None or self.answers:
            self.answers.clear()
            self.hub.ping(partial(self.answers.append, True))
        self.asked = now
        self.reported = False
        return None


class Watchdog:
    """A thread that watches the hubs of this process.

    :param seconds: how long a hub may stay away from its loop.
    :param report: what to call then, with what has happened; whether it has done something. Must raise nothing.
    :param log: the manhole's messages.
    :param sigmask: the signals to block on the thread.
    :raises RuntimeError: if the system has no thread left.
    """

    def __init__(self, seconds: float, report: Callable[[str], bool], log: Log, sigmask: Iterable[int]) -> None:
        self._seconds = seconds
        self._period = min(seconds / LOOKS, MAX_PERIOD)
        self._report = report
        self._log = log
        self._sigmask = sigmask
        self._watched: list[_Watched] = []
        self._said_none = False
        self._next_search = 0.0
        self._between_searches = self._period
        self._stop = compat.allocate_lock()  # released to end the thread
        self._stop.acquire()
        self._ended = compat.allocate_lock()
        self._ended.acquire()
        self._is_paused = False
        self._thread = compat.start_thread(self._watch, "manhole watchdog", sigmask)

    def pause(self, timeout: float) -> bool:
        """End the thread for a while, for the time before a fork; whether it has ended, and resume() is due.

        :param timeout: seconds to wait for its end.
        """
        self._stop.release()
        if not self._ended.acquire(timeout=timeout):
            if self._stop.acquire(False):  # it writes a dump just now, and goes on
                return False
            self._ended.acquire()  # it has just seen that it should end
        self._thread.wait_gone(timeout)
        return True

    def resume(self) -> None:
        """Start the thread again after pause()."""
        try:
            self._thread = compat.start_thread(self._watch, "manhole watchdog", self._sigmask)
        except RuntimeError:
            self._ended.release()

    def stop(self, timeout: float) -> None:
        """End the thread, waiting at most *timeout* seconds."""
        self._stop.release()
        self._ended.acquire(timeout=timeout)

    def _watch(self) -> None:
        try:
            while not self._stop.acquire(timeout=self._period):
                try:
                    self._look()
                except Exception as error:  # noqa: BLE001 - a library's loop that is just being closed, for one
                    self._log(f"watchdog: {error}")
        finally:
            self._ended.release()

    def _look(self) -> None:
        now = compat.monotonic()
        if now >= self._next_search:
            self._search()
            longest = max(MAX_SECONDS_BETWEEN_SEARCHES, self._period)
            self._next_search = now + (longest if self._watched else self._between_searches)
            self._between_searches = min(self._between_searches * 2, longest)
        self._watched = [watched for watched in self._watched if not watched.hub.is_gone()]
        for watched in self._watched:
            away = watched.look(now)
            if away is not None and away >= self._seconds and not watched.reported:
                # Where the last dump was a moment ago, the next look tries again.
                watched.reported = self._report(
                    f"a hub of {watched.hub.name} has not returned to its loop for {away:.1f} seconds"
                )

    def _search(self) -> None:
        known = {watched.hub.ident for watched in self._watched if not watched.hub.is_gone()}
        for hub in compat.find_hubs():
            if hub.ident not in known:
                self._watched.append(_Watched(hub))
        if not self._watched and not self._said_none:
            self._said_none = True
            self._log("watchdog: no hub of gevent, eventlet or asyncio is here to watch; looking again now and then")
