"""One client's socket: lines in, text out; a client that stops reading holds up only who may be made to wait for it.

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

__all__ = ["ANSWER", "MAX_LINE_BYTES", "MAX_OUTPUT", "Channel", "Interrupted", "LineTooLong"]

# What a client may send without a line end. Arbitrary; a pasted program fits, a flood does not fill the memory.
MAX_LINE_BYTES = 1024 * 1024
# Lines that wait while code runs. Beyond it nothing more is read, and then no interrupt is seen either. Arbitrary.
MAX_WAITING_INPUT = 4 * MAX_LINE_BYTES
# Bytes of output that may wait for the client; beyond it who writes waits. Arbitrary.
MAX_OUTPUT = 1024 * 1024
CHUNK = 65536
# Of text: what is put at once, and after how much of it it is sent without being asked. Arbitrary.
PIECE = 16_384
SEND_AT = 32_768
# What a piece counts beside its text, so that many small ones are sent on as well. Arbitrary.
PIECE_COST = 32
# Sends at once; else who sends for a client that reads as fast as its code prints would do nothing else. Arbitrary.
MAX_SENDS = 16
# Between two looks of who waits for the client: so long may an interrupt take that comes meanwhile.
WAIT_MILLISECONDS = 20
# Control characters, as a terminal's driver has them: Ctrl-C and Ctrl-D.
INTERRUPT, END = b"\x03", b"\x04"
# Where the application has set SIGPIPE to its default, a send without this flag would kill it; macOS has none.
_NOWAIT = getattr(_socket, "MSG_NOSIGNAL", 0) | _socket.MSG_DONTWAIT

Item = tuple[Any, str]
# The kind of the answer to a hello: a line that is the same in all conversations.
ANSWER = "answer"


class LineTooLong(Exception):
    """The client sent a line longer than MAX_LINE_BYTES; it was thrown away."""


class Interrupted(Exception):
    """The client sent Ctrl-C; what it had sent before and was not read yet was thrown away."""


def _encode_text(items: Sequence[Item]) -> bytes:
    return "".join(text for _kind, text in items).encode("utf-8", "backslashreplace")


class Channel:
    """Reads lines from and writes text to the unpatched, connected *sock*.

    Lines are for one thread at a time, :meth:`look` beside it for another; writing is for any thread.

    :param max_output: bytes that may wait for the client.
    :param guard: entered around each sending, so that nobody is interrupted in the middle of it.
    :ivar controls: whether Ctrl-C and Ctrl-D in the input have their meaning.
    :ivar eager: whether each line is sent at once; False where somebody calls flush() now and then.
    :ivar encode: makes bytes of what was put, in its order.
    :ivar has_ended: whether no more input comes.
    :ivar is_gone: whether the client is known to have gone altogether.
    """

    def __init__(
        self,
        sock: _socket.socket,
        max_output: int = MAX_OUTPUT,
        guard: AbstractContextManager[Any] | None = None,
    ) -> None:
        if sock.gettimeout() is not None:
            sock.settimeout(None)
        self._sock = sock
        self.controls = False
        self.eager = True
        self.encode: Callable[[Sequence[Item]], bytes] = _encode_text
        self.has_ended = False
        self._is_shut = False  # by the client, which a Ctrl-D is not
        self.is_gone = False
        self._max_output = max_output
        self._guard: AbstractContextManager[Any] = guard if guard is not None else nullcontext()
        self._reading = compat.allocate_lock()  # held while something is received and while a line is taken
        self._pending = bytearray()
        self._searched = 0  # so much of _pending has no line end
        self._is_overlong = False  # the line that is being received
        self._was_interrupted = False
        self._sending = compat.allocate_lock()
        self._senders: set[int] = set()  # idents of the threads that are in flush()
        self._waiters: set[int] = set()  # idents of the threads that wait for the client
        self._waiting: deque[Item] = deque()  # put, and not encoded yet
        self._waiting_size = 0  # of it, about: characters since the last gathering
        self._unsent = bytearray()
        self._dropped = 0  # pieces of those who must not wait

    # --- input

    def wait_first(self, seconds: float) -> bytes:
        """What the client has sent when it first sends something, at most *seconds* later; nothing is consumed."""
        with self._reading:
            if not self._receive(_socket.MSG_DONTWAIT) and not self.has_ended:
                poll = compat.make_poll()
                poll.register(self._sock.fileno(), select.POLLIN)
                if poll.poll(seconds * 1000):
                    self._receive(_socket.MSG_DONTWAIT)
            return bytes(self._pending)

    def read_line(self) -> bytes | None:
        """The next line without its line end; the rest at the end of input; then None.

        :raises LineTooLong: for a line that is too long; the next call goes on behind it.
        :raises Interrupted: for a Ctrl-C.
        :raises OSError: if the connection is lost.
        """
        with self._reading:
            while True:
                if self.take_interrupt():
                    raise Interrupted
                line = self._take_line()
                if line is not None or self.has_ended:
                    return line
                self._receive(0)

    def read_line_interruptibly(self) -> bytes | None:
        """As read_line(), but coming back to Python now and then, where an exception from another thread is raised."""
        while True:
            # Else an exception from outside might leave the lock locked, or lose what was just received.
            with self._guard, self._reading:
                if self.take_interrupt():
                    raise Interrupted
                line = self._take_line()
                if line is not None or self.has_ended:
                    return line
                if self._receive(_socket.MSG_DONTWAIT):
                    continue
            if not self.has_ended:
                self._wait(select.POLLIN)

    def take_line(self) -> bytes | None:
        """The next line if it is here already; does not wait.

        :raises LineTooLong: as read_line().
        """
        if not self._reading.acquire(False):
            return None  # whoever reads gets it
        try:
            return self._take_line()
        finally:
            self._reading.release()

    def take_interrupt(self) -> bool:
        """Whether a Ctrl-C has come since this was last asked."""
        seen, self._was_interrupted = self._was_interrupted, False
        return seen

    def interrupt_again(self) -> None:
        """Leave a Ctrl-C that was taken to who asks next."""
        self._was_interrupted = True

    def look(self) -> None:
        """Receive what is there, and notice whether the client is gone, while its code runs elsewhere. Never waits."""
        poll = compat.make_poll()
        try:
            poll.register(self._sock.fileno(), 0 if self._is_shut else select.POLLIN)
        except (OSError, ValueError):
            self.is_gone = True  # closed by our side
            return
        events = dict(poll.poll(0)).get(self._sock.fileno(), 0)
        if events & (select.POLLHUP | select.POLLNVAL):
            self.is_gone = True
        if events & select.POLLIN and len(self._pending) < MAX_WAITING_INPUT and self._reading.acquire(False):
            try:
                self._receive(_socket.MSG_DONTWAIT)
            except OSError:
                self.is_gone = True
            finally:
                self._reading.release()

    def _receive(self, flags: int) -> bool:
        """Whether something has come; waits for it unless *flags* say otherwise."""
        try:
            data = self._sock.recv(CHUNK, flags)
        except BlockingIOError:
            return False
        if not data:
            self.has_ended = self._is_shut = True
        elif self.controls:
            self._feed(data)
        else:
            self._pending += data
        return bool(data)

    def _feed(self, data: bytes) -> None:
        _before, interrupt, data = data.rpartition(INTERRUPT)
        if interrupt:
            self._was_interrupted = True
            self._pending.clear()
            self._searched = 0
            self._is_overlong = self.has_ended = False
        elif self.has_ended:
            return  # behind a Ctrl-D nothing but a Ctrl-C is heard
        data, end, _behind = data.partition(END)
        self._pending += data
        self.has_ended = self.has_ended or bool(end)

    def take_controls(self) -> None:
        """Give Ctrl-C and Ctrl-D their meaning, also in what was received before."""
        with self._reading:
            self.controls = True
            received = bytes(self._pending)
            self._pending.clear()
            self._feed(received)

    def _take_line(self) -> bytes | None:
        end = self._pending.find(b"\n", self._searched)
        if end < 0 and not self.has_ended:
            if len(self._pending) > MAX_LINE_BYTES:
                self._is_overlong = True
                self._pending.clear()
            self._searched = len(self._pending)
            return None
        line = bytes(self._pending[: end if end >= 0 else None])
        is_rest = end < 0
        del self._pending[: len(line) + 1]
        self._searched = 0
        was_overlong, self._is_overlong = self._is_overlong or len(line) > MAX_LINE_BYTES, False
        if was_overlong:
            raise LineTooLong
        return (line or None) if is_rest else line.removesuffix(b"\r")

    # --- output

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
                self._wait(select.POLLOUT)
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

    def _wait(self, event: int) -> None:
        poll = compat.make_poll()
        poll.register(self._sock.fileno(), event)
        poll.poll(WAIT_MILLISECONDS)

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

    # --- both

    def end(self) -> None:
        """Disconnect the client; whoever waits for it wakes."""
        try:
            self._sock.shutdown(_socket.SHUT_RDWR)
        except OSError:
            pass  # gone already
