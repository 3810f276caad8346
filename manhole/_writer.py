"""What a client is sent, in few pieces; one that stops reading holds up only who may be made to wait for it.

What is written is only put into a queue; who sends gathers all that is there into one call. One call a print would be
slow, and in a busy process each call that lets go of the GIL may cost a switch interval.
"""

from __future__ import annotations

import _socket
import select
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from manhole import compat

__all__ = ["ANSWER", "MAX_OUTPUT", "Item", "Writer"]

# Bytes of output that may wait for the client; beyond it who writes waits. Arbitrary.
MAX_OUTPUT = 1024 * 1024
# Of text: what is put at once, and after how much of it it is sent without being asked. Arbitrary.
PIECE = 16_384
SEND_AT = 32_768
# What a piece counts beside its text, so that many small ones are sent on as well. Arbitrary.
PIECE_COST = 32
# Sends at once; else who sends for a client that reads as fast as its code prints would do nothing else. Arbitrary.
MAX_SENDS = 16
# Between two looks of who waits for the client: so long may an interrupt take that comes meanwhile.
WAIT_MILLISECONDS = 20
# Where the application has set SIGPIPE to its default, a send without this flag would kill it; macOS has none.
_NOWAIT = getattr(_socket, "MSG_NOSIGNAL", 0) | _socket.MSG_DONTWAIT

Item = tuple[Any, str]
# The kind of the answer to a hello: a line that is the same in all conversations.
ANSWER = "answer"


def _encode_text(items: Sequence[Item]) -> bytes:
    return "".join(text for _kind, text in items).encode("utf-8", "backslashreplace")


class Writer:
    """Sends text to the unpatched, connected, blocking *sock*. For any thread.

    :param max_output: bytes that may wait for the client.
    :param guard: entered around each sending, so that nobody is interrupted in the middle of it.
    :ivar eager: whether each line is sent at once; False where somebody calls flush() now and then.
    :ivar encode: makes bytes of what was put, in its order.
    :ivar is_gone: whether a sending has shown that the client is gone.
    """

    def __init__(
        self,
        sock: _socket.socket,
        max_output: int = MAX_OUTPUT,
        guard: AbstractContextManager[Any] | None = None,
    ) -> None:
        self._sock = sock
        self._max_output = max_output
        self._guard: AbstractContextManager[Any] = guard if guard is not None else nullcontext()
        self.eager = True
        self.encode: Callable[[Sequence[Item]], bytes] = _encode_text
        self.is_gone = False
        self._sending = compat.allocate_lock()
        self._senders: set[int] = set()  # idents of the threads that are in flush()
        self._waiters: set[int] = set()  # idents of the threads that wait for the client
        self._waiting: deque[Item] = deque()  # put, and not encoded yet
        self._waiting_size = 0  # of it, about: characters since the last gathering
        self._unsent = bytearray()
        self._dropped = 0  # pieces of those who must not wait

    def put(self, kind: Any, text: str, may_wait: bool = True) -> None:
        """Have *text* sent, in the order in which it was put.

        Where more than max_output bytes wait for the client, this waits with them, or drops *text* and counts it.

        :param kind: what `encode` is given with it.
        :param may_wait: False for code that the application waits for.
        :raises OSError: if the client is gone and *may_wait*.

        For any thread and for what interrupts one in here, such as a signal handler that prints: it only leaves its
        text to the interrupted frame, which would else be waited for for ever.
        """
        # One that prints many lines comes through here twice for each, hence the short way.
        if len(text) <= PIECE and may_wait:
            self._waiting.append((kind, text))
            self._waiting_size += len(text) + PIECE_COST
            if self._waiting_size >= SEND_AT or (self.eager and "\n" in text):
                self._send(may_wait)
            return
        for start in range(0, len(text), PIECE):
            if not may_wait and (self.is_gone or self._is_full()):
                self._dropped += 1
                return
            self.put_whole(kind, text[start : start + PIECE], may_wait)
        if self.eager and "\n" in text:
            self._send(may_wait)

    def put_whole(self, kind: Any, text: str, may_wait: bool = True) -> None:
        """As put(), but in one piece, not at once, and never dropped: who must not wait has to put little."""
        self._waiting.append((kind, text))
        self._waiting_size += len(text) + PIECE_COST
        if self._waiting_size >= SEND_AT:
            self._send(may_wait)

    def _send(self, may_wait: bool) -> None:
        try:
            self.flush()
            if may_wait and self._is_full():
                self._wait_while(self._is_full)
        except OSError:
            self.is_gone = True
            if may_wait:
                raise

    def _wait_while(self, is_so: Callable[[], object]) -> None:
        """Send until that is no longer so, waiting for the client; but not where this has interrupted the same."""
        me = compat.get_ident()
        if me in self._waiters or me in self._senders:
            return
        try:
            self._waiters.add(me)
            while is_so():
                compat.poll_one(self._sock.fileno(), select.POLLOUT, WAIT_MILLISECONDS)
                self.flush()
        finally:
            self._waiters.discard(me)

    def _is_full(self) -> bool:
        return len(self._unsent) + self._waiting_size > self._max_output

    def has_room_for_answers(self) -> bool:
        """Whether put_whole() is still for those who must not wait: beyond max_output they have as much again."""
        return len(self._unsent) + self._waiting_size <= 2 * self._max_output

    def flush(self) -> bool:
        """Send what the client has room for; whether that is all. Never waits.

        :raises OSError: if the client is gone.
        """
        me = compat.get_ident()
        if me in self._senders:
            return False  # this has interrupted the sending, which goes on afterwards
        try:
            self._senders.add(me)
            with self._guard:
                return self._flush()
        finally:
            self._senders.discard(me)

    def _flush(self) -> bool:
        # Who holds it will see what was put meanwhile, or the next flush() does.
        if not self._sending.acquire(False):
            return False
        try:
            for _ in range(MAX_SENDS):
                self._gather()
                if not self._unsent:
                    return True
                sent = self._sock.send(self._unsent, _NOWAIT)
                del self._unsent[:sent]
            return False
        except BlockingIOError:
            return False
        finally:
            self._sending.release()

    def _gather(self) -> None:
        if len(self._unsent) > self._max_output:
            return
        items: list[Item] = []
        size = 0
        while self._waiting and size < SEND_AT:
            items.append(self._waiting.popleft())
            size += len(items[-1][1]) + PIECE_COST
        dropped, self._dropped = self._dropped, 0
        if dropped:
            items.append((None, f"\n[manhole: {dropped} pieces of output were dropped, for nobody has read them]\n"))
        try:
            if items:
                self._unsent += self.encode(items)
        except BaseException:  # no stack left, or no memory, where the code that prints has used up all of it
            self._waiting.extendleft(reversed(items))
            raise
        self._waiting_size = max(0, self._waiting_size - size) if self._waiting else 0

    def drain(self) -> None:
        """Send all that was put, waiting for the client.

        :raises OSError: if it is gone.
        """
        self.flush()
        self._wait_while(lambda: self._waiting or self._unsent)

    def offer(self, kind: Any, text: str) -> bool:
        """put_whole() if there is room; False, and nothing was taken, if not. Never waits; flush() is due.

        :raises OSError: if the client is gone.
        """
        if self._is_full():
            self.flush()
            if self._is_full():
                return False
        self._waiting.append((kind, text))
        self._waiting_size += len(text) + PIECE_COST
        return True
