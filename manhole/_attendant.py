"""One thread beside all sessions: hands out the application's output, and tends to those whose code runs.

What the application prints goes to a queue that has a bound, and from there to the clients that want a copy. What does
not fit, in the queue or in a client's socket, is dropped, counted, and the count told to the client as soon as it has
room again: neither the application nor another client ever waits for one.

While a session's thread runs code, somebody else has to see that the client has sent a Ctrl-C or is gone, and to send
on what the code has printed so far: this thread, every few milliseconds. While none does, it sleeps until it is woken.
"""

from __future__ import annotations

import posix
from collections import deque
from typing import Protocol

from manhole import compat

__all__ = ["Attendant", "Attended"]

# Between two looks after sessions whose code runs. Arbitrary; a fraction of what a person notices.
TICK_SECONDS = 0.02
# Pieces that wait to be handed out, and the size of one. Arbitrary: some screenfuls, and at most a few megabytes.
MAX_PIECES = 512
MAX_PIECE = 16_384  # characters
# Seconds for a session's thread that is sending at the same moment. Arbitrary: a few GIL waits.
PATIENCE = 0.05


class Attended(Protocol):
    """A session, as far as the attendant knows it."""

    def tend(self) -> None:
        """Look after the code that is running. Must not wait, and raise nothing."""

    def copy(self, text: str, missed: int, patience: float) -> bool:
        """Send the application's *text* and how many pieces were *missed* before it, if the client has room for it.

        :param patience: seconds to wait for another thread that is sending.
        :returns: whether it was taken.
        :raises OSError: if the client is gone.
        """


class Attendant:
    """Looks after the sessions that are attached; there is one in a process, as for Router."""

    def __init__(self) -> None:
        self._clear()

    def _clear(self) -> None:
        self._pid = posix.getpid()
        self._changing = compat.allocate_lock()  # one attaches or detaches at a time
        self._attached: dict[Attended, None] = {}
        self._missed: dict[Attended, int] = {}  # who wants copies, and the pieces that it has not been given
        self._busy: dict[Attended, None] = {}
        self._pieces: deque[str] = deque()
        self._refused: deque[None] = deque()  # one for each piece that found no room; += on a number is not atomic
        self._wake = compat.allocate_lock()
        self._wake.acquire()
        self._ended = compat.allocate_lock()

    def copy(self, text: str) -> None:
        """Take *text* that the application has printed. From any thread, greenlet or signal handler; never waits."""
        # What the application prints to is its own, and so is what that takes for text: bytes, perhaps.
        if not self._missed or not issubclass(type(text), str):
            return
        text = str.__str__(text)  # a subclass's own methods are the application's code, and are not run
        if len(self._pieces) < MAX_PIECES and len(text) <= MAX_PIECE:
            self._pieces.append(text)
        else:
            self._refused.append(None)
        self._wake_up()

    def _wake_up(self) -> None:
        try:
            self._wake.release()
        except RuntimeError:
            pass  # awake already

    def attach(self, session: Attended) -> bool:
        """Look after *session* from now on; False if the system has no thread left for it."""
        self.reset_after_fork()
        with self._changing:
            if not self._attached:
                self._ended.acquire()
                try:
                    compat.start_thread(self._attend, "manhole attendant", compat.ALL_SIGNALS)
                except RuntimeError:  # a session without copies and interrupts is better than none
                    self._ended.release()
                    return False
            self._attached[session] = None
        return True

    def detach(self, session: Attended) -> None:
        """Forget *session*; with the last one the thread ends."""
        with self._changing:
            was_attached = session in self._attached  # a forked child has lost it already
            self._missed.pop(session, None)
            self._busy.pop(session, None)
            self._attached.pop(session, None)
            if was_attached and not self._attached:
                self._wake_up()
                with self._ended:  # it never waits for anything but the wake-up
                    pass
                self._pieces.clear()

    def mirror(self, session: Attended, wanted: bool) -> None:
        """Begin or end giving *session*, which is attached, a copy of the application's output."""
        if wanted and session in self._attached:
            self._missed.setdefault(session, 0)
        else:
            self._missed.pop(session, None)

    def begin(self, session: Attended) -> None:
        """Code of *session* is about to run. Not a system call, for those let go of the GIL."""
        if session in self._attached:
            self._busy[session] = None
            self._wake_up()

    def end(self, session: Attended) -> None:
        """It runs no longer."""
        self._busy.pop(session, None)

    def reset_after_fork(self) -> None:
        """In a forked child: the thread and the clients are the parent's. Elsewhere nothing is done."""
        if self._pid != posix.getpid():
            self._clear()

    def _attend(self) -> None:
        try:
            next_tick = 0.0
            while self._attached:
                now = compat.monotonic()
                if self._busy and now >= next_tick:
                    for session in list(self._busy):
                        session.tend()
                    next_tick = now + TICK_SECONDS
                # What has just begun may be over before the first tick.
                was_idle = not self._busy
                self._wake.acquire(timeout=max(0.0, next_tick - compat.monotonic()) if self._busy else -1)
                if was_idle:
                    next_tick = compat.monotonic() + TICK_SECONDS
                self._hand_out()
        finally:
            self._ended.release()

    def _hand_out(self) -> None:
        pieces = []
        while self._pieces:
            pieces.append(self._pieces.popleft())
        missed = 0
        while self._refused:
            self._refused.pop()
            missed += 1
        if not pieces and not missed:
            return
        text = "".join(pieces)
        for session in list(self._missed):
            missed_here = missed + self._missed.get(session, 0)
            try:
                # Who has just missed something is stuck, and the others shall not wait for it each time.
                taken = session.copy(text, missed_here, 0 if missed_here else PATIENCE)
            except OSError:
                continue  # the client is gone; its session notices
            if session in self._missed:
                self._missed[session] = 0 if taken else missed_here + len(pieces)
