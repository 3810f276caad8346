"""A conversation with a human at a terminal.

The server sends text and, when it wants a line, a prompt behind it; nothing marks the prompt. It has to be told from
output all the same, because readline must be given it to know how wide it is. So the text behind the last line end is
held back: if it is one of Python's prompts the user is asked at once, else after a short silence. That serves a
question by the code that runs, `input("name? ")` or pdb, as well.
"""

from __future__ import annotations

import codecs
import select
import socket
import sys
import time
from collections import deque
from types import ModuleType
from typing import NoReturn

from manhole.client._connection import is_readable, receive, wait_for
from manhole.client._editor import LineEditor
from manhole.client._history import History
from manhole.client._locate import Target
from manhole.client._pipe import INTERRUPT
from manhole.client._status import ExitStatus, Failure

__all__ = ["Terminal"]

PRIMARY, CONTINUATION = ">>> ", "... "
# Seconds without output after which the user may type even though there is no prompt. Arbitrary; shorter than a
# human's patience, longer than a pause within a line of output.
SILENCE = 0.3
# The same where there is a prompt: it may be part of a longer text whose rest is on its way.
SETTLE = 0.005


class Terminal:
    """One conversation on stdin and stdout.

    :param sock: connected and checked.
    :param target: for messages.
    :param readline: the module of that name, None to do without.
    :param history: where the lines go that were typed at a prompt, None for nowhere.
    """

    def __init__(
        self, sock: socket.socket, target: Target, readline: ModuleType | None, history: History | None
    ) -> None:
        self._sock = sock
        self._target = target
        self._history = history
        self._editor = LineEditor(lambda: is_readable(sock), readline)
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._tail = ""  # received behind the last line end, not written yet
        self._prompt = ""  # the server waits for an answer to this
        self._interrupted = False  # whether Ctrl-C was sent and there was no prompt since
        self._typed: deque[str] = deque()  # more lines, from a paste that readline took for one

    def converse(self, first: bytes, timeout: float) -> None:
        """Talk until one side ends it.

        :param first: what the server has sent already.
        :param timeout: seconds that the server has to close after the user has ended the input.
        :raises Failure: if the connection broke, or the user left code that did not react to Ctrl-C.
        """
        try:
            self._show(first)
            with self._editor:
                while self._take_turn():
                    pass
            if self._prompt:  # the user has not asked for it
                self._write(f"{self._target.name} closed the connection\n")
        except EOFError:
            self._write("\n")
            self._finish(timeout)

    def _take_turn(self) -> bool:
        """Once what the server sends and what the user does then; False once the server has closed."""
        try:
            if not self._wait_for_turn():
                return False
            line = self._next_line()
            if line is not None:
                self._send(line.encode("utf-8", "surrogateescape") + b"\n")
        except KeyboardInterrupt:
            self._interrupt()
        return True

    def _wait_for_turn(self) -> bool:
        """Show what the server sends until it is the user's turn; False once the server has closed."""
        while True:
            with self._editor.ctrl_c.allowed():
                arrived = is_readable(self._sock, SETTLE if self._prompt and not self._tail else SILENCE)
            if not arrived:
                return True
            received = receive(self._sock, self._target)
            if not received:
                self._show(b"", final=True)
                return False
            self._show(received)

    def _next_line(self) -> str | None:
        """The next line for the server; None if there is output first."""
        if not self._typed:
            try:
                text = self._editor.ask(self._tail or self._prompt)
            except KeyboardInterrupt:
                self._tail = ""  # it has been shown
                raise
            if text is None:
                return None
            self._typed.extend(text.split("\n"))
        line = self._typed.popleft()
        if self._prompt and self._history is not None:
            self._history.add(line)
        self._tail = self._prompt = ""
        return line

    def _send(self, data: bytes) -> None:
        """Send as much as it takes, or up to Ctrl-C: the byte that is sent for that makes the rest void."""
        while data:
            try:
                data = data[self._sock.send(data, socket.MSG_DONTWAIT) :]
            except BlockingIOError:
                with self._editor.ctrl_c.allowed():
                    wait_for(self._sock, select.POLLOUT, SILENCE)
            except ConnectionError:
                return  # closed; what was written before that is read next, and then the end

    def _interrupt(self) -> None:
        """At a prompt give up what was typed. Else have what runs interrupted; if it was already, leave."""
        self._typed.clear()
        self._write(self._tail + "\n")
        self._tail = ""
        if self._prompt:
            self._write("KeyboardInterrupt\n")
            return
        if self._interrupted:
            self._leave()
        self._interrupted = True
        try:
            self._sock.send(INTERRUPT, socket.MSG_DONTWAIT)
        except OSError:
            pass  # it reads nothing, so the next Ctrl-C leaves; or it has closed, which reading tells

    def _show(self, received: bytes, final: bool = False) -> None:
        text = self._tail + self._decoder.decode(received, final)
        lines, newline, self._tail = text.rpartition("\n")
        # "... " ends many a message about progress, so it counts on a line of its own only.
        if self._tail == CONTINUATION or self._tail.endswith(PRIMARY):
            self._prompt, self._tail = self._tail, ""
            self._interrupted = False
        if final and self._tail:
            lines, newline, self._tail = text, "\n", ""
        self._write(lines + newline)

    def _write(self, text: str) -> None:
        sys.stdout.write(text)
        sys.stdout.flush()

    def _finish(self, timeout: float) -> None:
        """Tell the server that no more input comes, and show what it still has to say."""
        try:
            self._sock.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # closed already
        deadline = time.monotonic() + timeout
        while is_readable(self._sock, deadline - time.monotonic()):
            received = receive(self._sock, self._target)
            self._show(received, final=not received)
            if not received:
                break

    def _leave(self) -> NoReturn:
        raise Failure(
            ExitStatus.INTERRUPTED,
            f"left; the code goes on in {self._target.name}, connect again to see what it does",
        )
