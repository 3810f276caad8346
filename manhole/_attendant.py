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
# For so long after code has run it goes on looking. To wake it costs each evaluation a switch of threads, which is more
# than most take. Arbitrary.
LINGER_SECONDS = 0.2
# Pieces that wait to be handed out, and the size of one. Arbitrary: some screenfuls, and at most a few megabytes.
MAX_PIECES = 512
MAX_PIECE = 16_384  # characters
# Characters that are handed out at once: what is said in a message must fit into one. Between two portions those whose
# code runs are looked after.
PORTION = 32_768


class Attended(Protocol):
    """A session, as far as the attendant knows it."""

    def tend(self) -> bool:
        """Look after the code that is running; whether to go on with that. Must not wait, and raise nothing."""

    def copy(self, text: str, missed: int) -> bool:
        """Take the application's *text*, at most PORTION and a piece, and how many pieces were *missed* before it.

        :returns: whether there was room for it; must not wait. send_on() is due.
        :raises OSError: if the client is gone.
        """

    def send_on(self) -> bool:
        """Send what the client has room for; whether that is all. Must not wait.

        :raises OSError: if the client is gone.
        """


class Attendant:
    """Looks after the sessions that are attached; there is one in a process, as for Router."""

    def __init__(self) -> None:
        self._clear()

    def _clear(self) -> None:
        self._changing = compat.allocate_lock()  # one attaches or detaches at a time
        self._attached: dict[Attended, None] = {}
        self._missed: dict[Attended, int] = {}  # who wants copies, and the pieces that it has not been given
        self._busy: dict[Attended, None] = {}
        self._tended: Attended | None = None
        self._behind: dict[Attended, None] = {}  # who has not been sent yet all of the copies that it has taken
        self._pieces: deque[str] = deque()
        self._refused: deque[None] = deque()  # one for each piece that found no room; += on a number is not atomic
        self._has_begun = False  # code, since the thread last looked
        self._is_asleep = False  # or about to be: only a wake-up ends that
        self._wake = compat.allocate_lock()
        self._wake.acquire()
        self._ended = compat.allocate_lock()
        self._pid = posix.getpid()  # before, a signal handler that comes in between would have to do it

    def copy(self, text: str) -> None:
        """Take *text* that the application has printed. From any thread, greenlet or signal handler; never waits."""
        # What the application prints to is its own, and so is what that takes for text: bytes, perhaps.
        if not self._missed or not issubclass(type(text), str):
            return
        text = str.__str__(text)  # a subclass's own methods are the application's code, and are not run
        for start in range(0, len(text), MAX_PIECE):
            if len(self._pieces) < MAX_PIECES:
                self._pieces.append(text[start : start + MAX_PIECE])
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
            is_first = not self._attached
            self._attached[session] = None  # before the thread looks whether there is anybody
            if is_first:
                self._ended.acquire()
                try:
                    compat.start_thread(self._attend, "manhole attendant", compat.ALL_SIGNALS)
                except RuntimeError:  # a session without copies and interrupts is better than none
                    self._attached.pop(session, None)
                    self._ended.release()
                    return False
        return True

    def detach(self, session: Attended) -> None:
        """Forget *session*; with the last one the thread ends."""
        with self._changing:
            was_attached = session in self._attached  # a forked child has lost it already
            self._missed.pop(session, None)
            self._busy.pop(session, None)
            self._behind.pop(session, None)
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
            self._has_begun = True
            if self._is_asleep:  # it announces that, and then looks whether anybody is busy
                self._wake_up()

    def end(self, session: Attended) -> None:
        """It runs no longer, and when this returns, nobody tends to it either. Not for tend() itself."""
        self.reset_after_fork()
        # It is announced what is about to be done, and then looked what the other side has announced.
        self._busy.pop(session, None)
        while self._tended is session:
            compat.sleep(0)

    def reset_after_fork(self) -> None:
        """In a forked child: the thread and the clients are the parent's. Elsewhere nothing is done."""
        if self._pid != posix.getpid():
            self._clear()

    def _attend(self) -> None:
        try:
            next_tick = last_busy = 0.0
            while self._attached:
                now = compat.monotonic()
                if now >= next_tick:
                    for session in list(self._busy):
                        self._tend(session)
                    self._send_on(list(self._behind))
                    next_tick = now + TICK_SECONDS
                if self._has_begun or self._busy:
                    self._has_begun = False
                    last_busy = now
                self._is_asleep = now - last_busy > LINGER_SECONDS
                may_sleep = self._is_asleep and not (self._busy or self._behind)
                seconds = 0.0 if self._pieces else -1.0 if may_sleep else max(0.0, next_tick - compat.monotonic())
                self._wake.acquire(timeout=seconds)
                if may_sleep:
                    # What has just begun may be over before the first tick.
                    next_tick = compat.monotonic() + TICK_SECONDS
                self._is_asleep = False
                self._hand_out()
        finally:
            self._ended.release()

    def _tend(self, session: Attended) -> None:
        self._tended = session
        try:
            if session in self._busy and not session.tend():
                self._busy.pop(session, None)
        finally:
            self._tended = None

    def _hand_out(self) -> None:
        """Hand out one portion, and how many pieces there was no room for behind it."""
        pieces, size = [], 0
        while self._pieces and size < PORTION:
            pieces.append(self._pieces.popleft())
            size += len(pieces[-1])
        refused = 0
        while self._refused and not self._pieces:
            self._refused.pop()
            refused += 1
        sessions = list(self._missed)
        if pieces:
            self._copy("".join(pieces), len(pieces), sessions)
        if refused:
            self._copy("", refused, sessions)
        if pieces or refused:
            self._send_on(sessions)

    def _copy(self, text: str, count: int, sessions: list[Attended]) -> None:
        """Copy *text* of so many pieces; an empty one: they have been missed."""
        for session in sessions:
            missed = self._missed.get(session, 0) + (0 if text else count)
            try:
                taken = session.copy(text, missed)
            except OSError:
                continue  # the client is gone; its session notices
            if session in self._missed:
                self._missed[session] = 0 if taken else missed + (count if text else 0)

    def _send_on(self, sessions: list[Attended]) -> None:
        for session in sessions:
            try:
                is_all = session.send_on()
                if is_all and self._missed.get(session):
                    self._copy("", 0, [session])  # it has room again
                    is_all = session.send_on()
            except OSError:
                is_all = True  # as above
            if is_all:
                self._behind.pop(session, None)
            elif session in self._attached:
                self._behind[session] = None
