"""The first line of a conversation with a program: what it wants, and the server's answer.

The server waits for that line for a moment only. When it comes late, part of a greeting for a person is on its way
already; the server's answer carries the token of our line, and all before it is dropped.
"""

from __future__ import annotations

import json
import secrets
import socket
import time
from typing import Any

from manhole.client._connection import is_readable, receive, receive_first
from manhole.client._locate import Target
from manhole.client._status import ExitStatus, Failure

__all__ = ["PROTOCOL", "say_hello"]

PROTOCOL = 1
# Bytes; the answer is shorter. Of a longer line no more than its end is kept.
MAX_ANSWER = 65536


def say_hello(
    sock: socket.socket, target: Target, deadline: float, mode: str, **wanted: bool
) -> tuple[dict[str, Any], bytes]:
    """Ask for a conversation of a certain kind.

    :param deadline: when to give up, on the clock of time.monotonic().
    :param mode: "text" or "messages".
    :param wanted: the other members of the line, as docs/protocol.md has them.
    :returns: the answer, and what arrived behind it.
    :raises Failure: if the server refuses, closes, or does not answer in time.
    """
    token = secrets.token_hex(16)
    hello = {"manhole": PROTOCOL, "mode": mode, **wanted, "token": token}
    try:
        sock.sendall(json.dumps(hello).encode() + b"\n")
    except ConnectionError:
        pass  # refused already; the reason can still be read
    data = receive_first(sock, target, deadline)
    while True:
        *lines, rest = data.split(b"\n")
        for number, line in enumerate(lines):
            answer = _parse_answer(line, token)
            if answer is not None:
                return answer, b"\n".join([*lines[number + 1 :], rest])
            if line.startswith(b"manhole: "):
                reason = line.decode("utf-8", "replace").removeprefix("manhole: ")
                raise Failure(ExitStatus.LOST, f"{target.name} does not understand this client: {reason}")
        left = deadline - time.monotonic()
        if left <= 0 or not is_readable(sock, left):
            raise Failure(
                ExitStatus.NO_ANSWER,
                f"{target.name} does not answer as a manhole does; wait with a longer timeout, "
                "or see whether another library's manhole listens there",
            )
        received = receive(sock, target)
        if not received:
            raise Failure(ExitStatus.LOST, f"{target.name} closed the connection at once; see whether it still runs")
        data = rest[-MAX_ANSWER:] + received


def _parse_answer(line: bytes, token: str) -> dict[str, Any] | None:
    # A prompt without a newline may stand before it.
    start = line.find(b"{")
    if start < 0 or token.encode() not in line:
        return None
    try:
        answer = json.loads(line[start:])
    except (ValueError, RecursionError):
        return None
    return answer if isinstance(answer, dict) and "manhole" in answer and answer.get("token") == token else None
