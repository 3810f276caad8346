"""A conversation without a human: what is on stdin goes in, what the process answers comes out, byte for byte.

Ctrl-C goes in as well, as the byte that interrupts what runs, with the end of input behind it; then the process has a
moment to say how that ends.
"""

from __future__ import annotations

import os
import select
import socket
import time

from manhole.client._connection import connection_lost, receive
from manhole.client._locate import Target
from manhole.client._status import ExitStatus, Failure

__all__ = ["INTERRUPT", "copy"]

CHUNK_SIZE = 65536  # arbitrary; what a pipe holds on Linux (pipe(7))
INTERRUPT = b"\x03"
# Seconds that the process has to end after Ctrl-C; arbitrary, within a human's patience.
INTERRUPT_SECONDS = 1.0


def copy(sock: socket.socket, target: Target, early: bytes, source: int, sink: int) -> None:
    """Send *source* as it comes and then the end of it, write the answer to *sink* until the server closes.

    :param early: the beginning of the answer, read already.
    :param source: a file descriptor, read up to its end.
    :param sink: a file descriptor.
    :raises Failure: if the connection broke, the server closed and left input unread, or has ended after Ctrl-C.
    :raises BrokenPipeError: if nobody reads *sink* any longer.
    :raises KeyboardInterrupt: if it has not ended after Ctrl-C.
    """
    copying = _Copying(sock, target, source, sink)
    try:
        _write_all(sink, early)
        copying.run()
    except KeyboardInterrupt:
        copying.interrupt()
        if not copying.run(time.monotonic() + INTERRUPT_SECONDS):
            raise
        raise Failure(ExitStatus.INTERRUPTED, f"interrupted; {target.name} has ended the session") from None


class _Copying:
    """Both directions at once: a server that writes before it has read all must not wait for us, nor we for it."""

    def __init__(self, sock: socket.socket, target: Target, source: int, sink: int) -> None:
        sock.setblocking(False)
        self._sock = sock
        self._target = target
        self._source = source
        self._sink = sink
        self._pending = b""  # not sent yet
        self._more = True  # whether the source has not ended
        self._unread = False  # whether the server has closed before it has read all

    def interrupt(self) -> None:
        """Send no more of the source, but Ctrl-C and the end. What was not sent yet would not be run any more."""
        self._pending, self._more = INTERRUPT, False

    def run(self, deadline: float | None = None) -> bool:
        """Copy until the server closes; False if that is not before *deadline*."""
        while True:
            left = None if deadline is None else deadline - time.monotonic()
            if left is not None and left <= 0:
                return False
            sending = [self._sock] if self._pending else []
            reading: list[socket.socket | int] = [self._sock]
            if self._more and not self._pending:
                reading.append(self._source)
            readable, writable, _ = select.select(reading, sending, [], left)
            if self._source in readable:
                self._pending = os.read(self._source, CHUNK_SIZE)
                self._more = bool(self._pending)
                self._end_if_all_is_sent()
            if writable:
                self._send()
            if self._sock in readable and not self._receive():
                return True

    def _send(self) -> None:
        try:
            self._pending = self._pending[self._sock.send(self._pending) :]
            self._end_if_all_is_sent()
        except BlockingIOError:
            pass  # less room than the kernel's smallest piece; select() tells again
        except ConnectionError:
            # The server has closed. What it wrote before that can still be read.
            self._pending, self._more, self._unread = b"", False, True

    def _end_if_all_is_sent(self) -> None:
        if self._pending or self._more:
            return
        try:
            self._sock.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # closed by the server, or broken, which reading will tell

    def _receive(self) -> bool:
        """Write what has come; False at the end."""
        received = receive(self._sock, self._target)
        _write_all(self._sink, received)
        if not received and self._unread:
            raise connection_lost(self._target)
        return bool(received)


def _write_all(sink: int, data: bytes) -> None:
    while data:
        data = data[os.write(sink, data) :]
