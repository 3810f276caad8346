"""Messages over a socket: one JSON object a line, none larger than agreed."""

from __future__ import annotations

import json
import select
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NoReturn

from manhole.client._connection import RECEIVE_SIZE, wait_for
from manhole.client._errors import ConnectionLost, ProtocolError
from manhole.client._fields import Fields

__all__ = ["Message", "Wire"]

MAX_LINE = 1024 * 1024  # bytes, the line end included; of the protocol
_QUIETLY = getattr(socket, "MSG_NOSIGNAL", 0)  # a program that uses us may have given SIGPIPE its default, death


@dataclass(frozen=True)
class Message:
    """What the process has sent in one line.

    :ivar ident: of the request that it answers, None if it answers none.
    :ivar seq: its number in this session.
    :ivar type: such as "done".
    :ivar fields: all of it.
    """

    ident: int | str | None
    seq: int
    type: str
    fields: Fields


class Wire:
    """A connection behind its hello. Any thread may send; one at a time may read.

    :param sock: becomes the wire's own.
    :param early: what has been read from it already.
    :param target: for messages.
    :param timeout: seconds that the process may take to read a message.
    """

    def __init__(self, sock: socket.socket, early: bytes, target: str, timeout: float) -> None:
        sock.setblocking(False)
        self._sock = sock
        self._early = early
        self._target = target
        self._timeout = timeout
        self._begun = bytearray()  # a line whose end has not come
        self._sending = threading.Lock()

    def wait_readable(self, seconds: float) -> bool:
        """Whether there is something to read within that time. An exception raised in here loses nothing."""
        return bool(self._early) or wait_for(self._sock, select.POLLIN, seconds)

    def read(self) -> Iterator[Message]:
        """The messages that have arrived whole, without waiting; maybe none. To be used up.

        :raises ConnectionLost: if the connection has ended.
        :raises ProtocolError: if what has arrived is no message.
        """
        *ends, rest = self._receive().split(b"\n")
        for end in ends:
            line, self._begun = self._begun + end, bytearray()
            yield _parse(line)
        self._begun += rest
        if len(self._begun) >= MAX_LINE:
            raise _too_large()

    def _receive(self) -> bytes:
        early, self._early = self._early, b""
        if early:
            return early
        try:
            received = self._sock.recv(RECEIVE_SIZE)
        except BlockingIOError:
            return b""  # poll(2) may be wrong
        except OSError:
            received = b""
        if not received:
            raise ConnectionLost(self._target, "closed the connection; see whether it still runs")
        return received

    def send(self, message: Mapping[str, object]) -> None:
        """Send one message, whole. Where the connection has ended nothing happens: reading will tell.

        :raises ProtocolError: if it is too large; nothing has been sent.
        :raises ConnectionLost: if the process does not read it in time; what has been sent is then in pieces.
        """
        line = json.dumps(message).encode() + b"\n"
        if len(line) > MAX_LINE:
            raise ProtocolError(
                "too-large", f"a message of {len(line)} bytes was not sent, {MAX_LINE} is the most; send less at once"
            )
        deadline = time.monotonic() + self._timeout
        if not self._sending.acquire(timeout=self._timeout):
            self._give_up()
        try:
            while line:
                try:
                    line = line[self._sock.send(line, _QUIETLY) :]
                except BlockingIOError:
                    if not wait_for(self._sock, select.POLLOUT, deadline - time.monotonic()):
                        self._give_up()
                except OSError:
                    return
        finally:
            self._sending.release()

    def _give_up(self) -> NoReturn:
        raise ConnectionLost(self._target, f"has not read for {self._timeout:g} s; see whether it still runs")

    def end(self) -> None:
        """End the connection: whoever waits for it in another thread wakes."""
        try:
            self._sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # ended already

    def close(self) -> None:
        """Give the socket back, after :meth:`end` and when nobody reads."""
        with self._sending:
            self._sock.close()


def _too_large() -> ProtocolError:
    return ProtocolError("too-large", f"the process has sent a line of more than {MAX_LINE} bytes")


def _parse(line: bytearray) -> Message:
    if len(line) >= MAX_LINE:
        raise _too_large()
    try:
        members = json.loads(line.decode())
    except (ValueError, RecursionError):
        members = None
    if not isinstance(members, dict):
        raise ProtocolError("bad-message", f"the process has sent what is no JSON object: {bytes(line[:80])!r}")
    fields = Fields(members, "a message")
    ident = members.get("id")
    if ident is not None and type(ident) not in (int, str):
        raise ProtocolError("bad-message", f"the process has sent a message with the id {ident!r:.80}")
    return Message(ident, fields.take("seq", int), fields.take("type", str), fields)
