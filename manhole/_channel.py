"""One client's socket: what it sends, and what it is sent."""

from __future__ import annotations

import _socket
from contextlib import AbstractContextManager
from typing import Any

from manhole._reader import LineReader
from manhole._writer import MAX_OUTPUT, Writer

__all__ = ["Channel"]


class Channel:
    """Both directions of the unpatched, connected *sock*.

    :param max_output: bytes of output that may wait for the client.
    :param guard: entered around what must not be interrupted in the middle.
    """

    def __init__(
        self,
        sock: _socket.socket,
        max_output: int = MAX_OUTPUT,
        guard: AbstractContextManager[Any] | None = None,
    ) -> None:
        self._sock = sock
        self.reader = LineReader(sock, guard)  # first: it sees to it that the socket is a blocking one
        self.writer = Writer(sock, max_output, guard)

    @property
    def is_gone(self) -> bool:
        """Whether the client is known to have gone altogether."""
        return self.reader.is_gone or self.writer.is_gone

    def end(self) -> None:
        """Disconnect the client; whoever waits for it wakes."""
        try:
            self._sock.shutdown(_socket.SHUT_RDWR)
        except OSError:
            pass  # gone already
