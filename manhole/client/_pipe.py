"""A conversation without a human: what is on stdin goes in, what the process answers comes out, byte for byte.

Prompts and the greeting have no place in it, so the first line asks the server to leave them out. The server waits for
that line for a moment only. When it comes late, part of the greeting is on its way already; the server's answer carries
the token of our line, and all before it is dropped.
"""

from __future__ import annotations

import json
import os
import secrets
import select
import socket

from manhole.client._connection import connection_lost, is_readable, receive, receive_first
from manhole.client._locate import Target
from manhole.client._status import ExitStatus, Failure

__all__ = ["copy", "say_hello"]

PROTOCOL = 0
CHUNK_SIZE = 65536  # arbitrary; what a pipe holds on Linux (pipe(7))


def say_hello(sock: socket.socket, target: Target, deadline: float, timeout: float) -> bytes:
    """Ask for a conversation without greeting and prompts.

    :param deadline: for the first byte, on the clock of time.monotonic().
    :param timeout: seconds to wait for every further byte of the answer.
    :returns: what arrived behind the answer, already output.
    :raises Failure: if the server refuses, closes, or does not answer in time.
    """
    token = secrets.token_hex(16)
    hello = {"manhole": PROTOCOL, "greeting": False, "prompt": False, "token": token}
    try:
        sock.sendall(json.dumps(hello).encode() + b"\n")
    except ConnectionError:
        pass  # refused already; the reason can still be read
    data = receive_first(sock, target, deadline)
    while True:
        *lines, rest = data.split(b"\n")
        for number, line in enumerate(lines):
            if _is_answer(line, token):
                return b"\n".join([*lines[number + 1 :], rest])
        refusals = [line for line in lines if line.startswith(b"manhole: ")]
        if refusals:
            reason = refusals[0].decode("utf-8", "replace").removeprefix("manhole: ")
            raise Failure(ExitStatus.LOST, f"{target.name} does not understand this client: {reason}")
        if not is_readable(sock, timeout):
            raise Failure(
                ExitStatus.NO_ANSWER,
                f"{target.name} does not answer as a manhole does; wait longer with --timeout, "
                "or see whether another library's manhole listens there",
            )
        received = receive(sock, target)
        if not received:
            raise Failure(ExitStatus.LOST, f"{target.name} closed the connection at once; see whether it still runs")
        data = rest + received


def _is_answer(line: bytes, token: str) -> bool:
    # A prompt without a newline may stand before it.
    start = line.find(b"{")
    if start < 0 or token.encode() not in line:
        return False
    try:
        answer = json.loads(line[start:])
    except ValueError:
        return False
    return isinstance(answer, dict) and "manhole" in answer and answer.get("token") == token


def copy(sock: socket.socket, target: Target, early: bytes, source: int, sink: int) -> None:
    """Send *source* as it comes and then the end of it, write the answer to *sink* until the server closes.

    Both at once: a server that writes before it has read all must not wait for us, nor we for it.

    :param early: the beginning of the answer, read already.
    :param source: a file descriptor, read up to its end.
    :param sink: a file descriptor.
    :raises Failure: if the connection broke or the server closed and left input unread.
    :raises BrokenPipeError: if nobody reads *sink* any longer.
    """
    _write_all(sink, early)
    sock.setblocking(False)
    pending = b""
    more = True
    unread = False
    while True:
        wanted: list[socket.socket | int] = [sock, source] if more and not pending else [sock]
        readable, writable, _ = select.select(wanted, [sock] if pending else [], [])
        if source in readable:
            pending = os.read(source, CHUNK_SIZE)
            if not pending:
                more = False
                _end_input(sock)
        if writable:
            try:
                pending = pending[sock.send(pending) :]
            except BlockingIOError:
                pass  # less room than the kernel's smallest piece; select() tells again
            except ConnectionError:
                # The server has closed. What it wrote before that can still be read.
                pending, more, unread = b"", False, True
        if sock in readable:
            received = receive(sock, target)
            if received:
                _write_all(sink, received)
            elif unread:
                raise connection_lost(target)
            else:
                return


def _end_input(sock: socket.socket) -> None:
    try:
        sock.shutdown(socket.SHUT_WR)
    except OSError:
        pass  # closed by the server, or broken, which reading will tell


def _write_all(sink: int, data: bytes) -> None:
    while data:
        data = data[os.write(sink, data) :]
