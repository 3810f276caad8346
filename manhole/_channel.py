"""One client's socket as lines in and bytes out; a client that stops reading holds up only who writes for it."""

from __future__ import annotations

import _socket
from collections import deque

from manhole import compat

__all__ = ["MAX_LINE_BYTES", "Channel", "LineTooLong"]

# What a client may send without a line end. Arbitrary; a pasted program fits, a flood does not fill the memory.
MAX_LINE_BYTES = 1024 * 1024
CHUNK = 65536
# Where the application has set SIGPIPE to its default, a send without this flag would kill it; macOS has none.
_QUIETLY = getattr(_socket, "MSG_NOSIGNAL", 0)


class LineTooLong(Exception):
    """The client sent a line longer than MAX_LINE_BYTES; it was thrown away."""


class Channel:
    """Reads lines from and writes bytes to the unpatched, connected *sock*.

    Reading is for the session's own thread, writing for any.
    """

    def __init__(self, sock: _socket.socket) -> None:
        sock.settimeout(None)
        self._sock = sock
        self._pending = bytearray()
        self._searched = 0  # so much of _pending has no line end
        self._ended = False
        self._sending = compat.allocate_lock()
        self._waiting: deque[bytes] = deque()  # what write() was given and has not sent
        self._writers: set[int] = set()  # idents of the threads that are inside write()
        self._unsent = b""  # the rest of an offer, which must go before anything else: it may begin inside a character

    def wait_readable(self, seconds: float) -> bool:
        """Whether the client sends something, or leaves, within *seconds*; nothing is consumed."""
        self._sock.settimeout(seconds)
        try:
            self._sock.recv(1, _socket.MSG_PEEK)
        except OSError:
            return False
        finally:
            self._sock.settimeout(None)
        return True

    def peek_is(self, prefix: bytes) -> bool:
        """Whether what the client has sent so far begins with *prefix*; call after wait_readable() only."""
        return self._sock.recv(len(prefix), _socket.MSG_PEEK) == prefix

    def read_line(self) -> bytes | None:
        """The next line without its line end; the rest at the end of input; then None.

        :raises LineTooLong: for a line that is too long; the next call goes on behind it.
        :raises OSError: if the connection is lost.
        """
        overlong = False
        while True:
            end = self._pending.find(b"\n", self._searched)
            if end >= 0:
                line = bytes(self._pending[:end])
                del self._pending[: end + 1]
                self._searched = 0
                if overlong:
                    raise LineTooLong
                return line.removesuffix(b"\r")
            if self._ended:
                rest = bytes(self._pending)
                self._pending.clear()
                self._searched = 0
                if overlong:
                    raise LineTooLong
                return rest or None
            if len(self._pending) > MAX_LINE_BYTES:
                overlong = True
                self._pending.clear()
            self._searched = len(self._pending)
            data = self._sock.recv(CHUNK)
            self._ended = not data
            self._pending += data

    def write(self, data: bytes) -> None:
        """Send all of *data*, waiting for the client if need be.

        What interrupts a thread inside it (a signal handler that prints, a destructor) could wait for ever for the lock
        that the interrupted frame holds: it only leaves its data, for that frame to send.

        :raises OSError: if the client is gone.
        """
        self._waiting.append(data)
        me = compat.get_ident()
        # Asked again when this thread is no longer marked: until then an interruption may have left something.
        while self._waiting and me not in self._writers:
            try:
                self._writers.add(me)  # before the lock is taken, for the moment between the two
                with self._sending:
                    while self._waiting:
                        unsent, self._unsent = self._unsent, b""
                        self._sock.sendall(unsent + self._waiting.popleft(), _QUIETLY)
            finally:
                self._writers.discard(me)

    def offer(self, data: bytes, patience: float) -> bool:
        """Send *data* if the client has room for it now; False, and nothing was taken, if not. Does not wait for it.

        :param patience: seconds to wait for another thread that is sending just now.
        :raises OSError: if the client is gone.
        """
        if not self._sending.acquire(timeout=patience):
            return False  # that one waits for the client
        try:
            data_with_rest = self._unsent + data
            sent = self._sock.send(data_with_rest, _QUIETLY | _socket.MSG_DONTWAIT)
            if sent < len(self._unsent):
                self._unsent = self._unsent[sent:]
                return False
            self._unsent = data_with_rest[sent:]
            return True
        except BlockingIOError:
            return False
        finally:
            self._sending.release()
