"""What a client sends: lines, and Ctrl-C and Ctrl-D in between."""

from __future__ import annotations

import _socket
import select
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from manhole import compat

__all__ = ["MAX_LINE_BYTES", "Interrupted", "LineReader", "LineTooLong"]

# What a client may send without a line end. Arbitrary; a pasted program fits, a flood does not fill the memory.
MAX_LINE_BYTES = 1024 * 1024
# Lines that wait while code runs. Beyond it nothing more is read, and then no interrupt is seen either. Arbitrary.
MAX_WAITING_INPUT = 4 * MAX_LINE_BYTES
CHUNK = 65536
# Between two looks of who waits for a line: so long may an interrupt take that comes meanwhile.
WAIT_MILLISECONDS = 20
# Control characters, as a terminal's driver has them: Ctrl-C and Ctrl-D.
INTERRUPT, END = b"\x03", b"\x04"


class LineTooLong(Exception):
    """The client sent a line longer than MAX_LINE_BYTES; it was thrown away."""


class Interrupted(Exception):
    """The client sent Ctrl-C; what it had sent before and was not read yet was thrown away."""


class LineReader:
    """Reads lines from the unpatched, connected *sock*. For one thread at a time; look() beside it for another.

    :param guard: entered around what must not be interrupted in the middle.
    :ivar controls: whether Ctrl-C and Ctrl-D in the input have their meaning.
    :ivar has_ended: whether no more input comes.
    :ivar is_gone: whether the client is seen to have gone altogether.
    """

    def __init__(self, sock: _socket.socket, guard: AbstractContextManager[Any] | None = None) -> None:
        if sock.gettimeout() is not None:
            sock.settimeout(None)  # it may come from a handler of the application's
        self._sock = sock
        self._guard: AbstractContextManager[Any] = guard if guard is not None else nullcontext()
        self.controls = False
        self.has_ended = False
        self._is_shut = False  # by the client, which a Ctrl-D is not
        self.is_gone = False
        self._reading = compat.allocate_lock()  # held while something is received and while a line is taken
        self._pending = bytearray()
        self._searched = 0  # so much of _pending has no line end
        self._is_overlong = False  # the line that is being received
        self._was_interrupted = False

    def wait_first(self, seconds: float) -> bytes:
        """What the client has sent when it first sends something, at most *seconds* later; nothing is consumed."""
        with self._reading:
            is_late = not self._receive(_socket.MSG_DONTWAIT) and not self.has_ended
            if is_late and compat.poll_one(self._sock.fileno(), select.POLLIN, seconds * 1000):
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
                compat.poll_one(self._sock.fileno(), select.POLLIN, WAIT_MILLISECONDS)

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
        try:
            events = compat.poll_one(self._sock.fileno(), 0 if self._is_shut else select.POLLIN, 0)
        except (OSError, ValueError):
            self.is_gone = True  # closed by our side
            return
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
