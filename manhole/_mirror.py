"""A copy for the clients of what the application prints while they are connected, without ever waiting for one.

The application's thread only appends to a queue that has a bound; a thread of ours, which lives as long as there are
clients, hands it out. What does not fit, in the queue or in a client's socket, is dropped, counted, and the count told
to the client as soon as it has room again.
"""

from __future__ import annotations

import posix
from collections import deque

from manhole import compat
from manhole._channel import Channel

__all__ = ["Mirror"]

# Pieces that wait to be handed out, and the size of one. Arbitrary: some screenfuls, and at most a few megabytes.
MAX_PIECES = 512
MAX_PIECE = 16_384  # characters
# Seconds for a session's thread that is sending at the same moment. Arbitrary: a few GIL waits.
PATIENCE = 0.05


class Mirror:
    """Copies the application's output to the channels that are attached; there is one in a process, as for Router."""

    def __init__(self) -> None:
        self._clear()

    def _clear(self) -> None:
        self._pid = posix.getpid()
        self._changing = compat.allocate_lock()  # one attaches or detaches at a time
        self._missed: dict[Channel, int] = {}  # per client: pieces that it has not been given
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
        try:
            self._wake.release()
        except RuntimeError:
            pass  # awake already

    def attach(self, channel: Channel) -> None:
        """Give *channel* a copy from now on."""
        self.reset_after_fork()
        with self._changing:
            first = not self._missed
            self._missed[channel] = 0
            if first:
                self._ended.acquire()
                try:
                    compat.start_thread(self._hand_out, "manhole mirror", compat.ALL_SIGNALS)
                except RuntimeError:  # the system has no thread left: a session without copies is better than none
                    self._ended.release()

    def detach(self, channel: Channel) -> None:
        """Give *channel* nothing any more; with the last one the thread ends."""
        with self._changing:
            self._missed.pop(channel, None)  # a forked child has lost it already
            if not self._missed:
                try:
                    self._wake.release()
                except RuntimeError:
                    pass  # awake already
                with self._ended:  # it never waits for anything but the wake-up
                    pass
                self._pieces.clear()

    def reset_after_fork(self) -> None:
        """In a forked child: the thread and the clients are the parent's. Elsewhere nothing is done."""
        if self._pid != posix.getpid():
            self._clear()

    def _hand_out(self) -> None:
        try:
            while self._missed:
                self._wake.acquire()
                pieces = []
                while self._pieces:
                    pieces.append(self._pieces.popleft())
                missed = 0
                while self._refused:
                    self._refused.pop()
                    missed += 1
                data = "".join(pieces).encode("utf-8", "backslashreplace")
                for channel in list(self._missed):
                    self._hand(channel, data, len(pieces), missed)
        finally:
            self._ended.release()

    def _hand(self, channel: Channel, data: bytes, pieces: int, missed: int) -> None:
        missed += self._missed.get(channel, 0)
        note = f"\n[manhole: {missed} pieces of the application's output were not copied]\n" if missed else ""
        try:
            # Who has just missed something is stuck, and the others shall not wait for it each time.
            taken = channel.offer(note.encode() + data, 0 if missed else PATIENCE) if data or note else True
        except OSError:
            return  # the client is gone; its session notices
        if channel in self._missed:
            self._missed[channel] = 0 if taken else missed + pieces
