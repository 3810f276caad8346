"""A process that speaks the manhole's wire format without being one: a small made-up language instead of Python.

Run as a program it serves one client and tells on stdout what happens; :class:`FakeServer` is the handle for tests.

The language: `ask` puts a question and greets the answer, `hang` never ends and tells when there is more to read,
`spin` runs until it is interrupted, `part` prints without a line end, `exit()` closes, a line that ends with ":" opens
a block up to a blank line, and everything else is repeated behind "ran: ".
"""

from __future__ import annotations

import json
import os
import select
import socket
import subprocess
import sys
import threading
from pathlib import Path

DEADLINE = 30.0  # seconds; arbitrary, long enough for a loaded machine
HELLO_SECONDS = 10.0  # so that a hello is never late by accident
GREETING = b'fake greeting\n  File "fake.py", line 1 >>> \n'


class FakeServer:
    """A running fake. It listens when the constructor returns.

    :param path: where; "default" is the default path of its own pid.
    :param behaviour: a name from BEHAVIOURS below.
    :param uid: whose process it becomes before it listens; for root only.
    """

    def __init__(self, path: Path | str, behaviour: str = "converse", uid: int | None = None) -> None:
        self._process = subprocess.Popen(
            [sys.executable, __file__, str(path), behaviour, *([] if uid is None else [str(uid)])],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
        )
        self._buffer = b""
        self.pid = self._process.pid
        self.path = Path(self.expect("listening"))

    def say(self, text: str) -> None:
        """Send *text* to the client now; the text "CLOSE" ends the connection."""
        self._process.stdin.write(json.dumps(text).encode() + b"\n")

    def expect(self, event: str) -> str:
        """The data of the next event, which must be called *event*."""
        while b"\n" not in self._buffer:
            readable, _, _ = select.select([self._process.stdout], [], [], DEADLINE)
            assert readable, f"no {event!r} within {DEADLINE} s"
            data = os.read(self._process.stdout.fileno(), 65536)
            assert data, f"the fake ended before {event!r}"
            self._buffer += data
        line, _, self._buffer = self._buffer.partition(b"\n")
        name, data = json.loads(line)
        assert name == event, (name, data)
        return data

    def kill(self) -> None:
        """End it as kill -9 does. Twice is harmless."""
        self._process.kill()
        self._process.wait(DEADLINE)

    def close(self) -> None:
        """Kill it and give everything back."""
        self.kill()
        self._process.stdin.close()
        self._process.stdout.close()
        self.path.unlink(missing_ok=True)


def tell(event: str, data: str = "") -> None:
    os.write(1, json.dumps([event, data]).encode() + b"\n")


class Interrupted(Exception):
    """The client has sent the byte that does that."""


def read_line(conn: socket.socket) -> bytes | None:
    """Byte by byte, so that what follows stays unread in the kernel."""
    line = b""
    while not line.endswith(b"\n"):
        data = conn.recv(1)
        if data == b"\x03":
            tell("interrupt")
            raise Interrupted
        if not data:
            return line or None
        line += data
    return line[:-1]


def meet(conn: socket.socket, line: bytes) -> dict[str, object]:
    hello = json.loads(line)
    answer = {"manhole": hello["manhole"], "pid": os.getpid(), "session": 1, "mode": "text", "token": hello["token"]}
    # In pieces, as a stream may deliver it.
    for byte in b"\n" + json.dumps(answer).encode() + b"\n":
        conn.sendall(bytes([byte]))
    return hello


def converse(conn: socket.socket, hello_seconds: float = HELLO_SECONDS, greet: bool = True) -> None:
    prompts = True
    if greet:
        conn.sendall(GREETING + b">>> ")
    elif select.select([conn], [], [], hello_seconds)[0]:
        prompts = bool(meet(conn, read_line(conn))["prompt"])
    block: list[bytes] = []
    while True:
        try:
            line = read_line(conn)
            if line is None:
                break
            if line.startswith(b'{"manhole"'):
                prompts = bool(meet(conn, line)["prompt"])
                continue
            tell("line", line.decode("utf-8", "surrogateescape"))
            if line == b"exit()":
                return
            run(conn, line, block)
        except Interrupted:
            block.clear()
            conn.sendall(b"KeyboardInterrupt\n")
        if prompts:
            conn.sendall(b"... " if block else b">>> ")
    if block:
        conn.sendall(b"ran: " + b"|".join(block) + b"\n")
    tell("end")


def run(conn: socket.socket, line: bytes, block: list[bytes]) -> None:
    if line == b"hang":
        select.select([conn], [], [])
        tell("unread")
        threading.Event().wait()
    if line == b"spin":
        read_line(conn)
    elif block and line:
        block.append(line)
    elif block:
        conn.sendall(b"ran: " + b"|".join(block) + b"\n")
        block.clear()
    elif line.endswith(b":"):
        block.append(line)
    elif line == b"ask":
        conn.sendall(b"name? ")
        conn.sendall(b"hello " + (read_line(conn) or b"nobody") + b"\n")
    elif line == b"part":
        conn.sendall(b"no line end")
    elif line:
        conn.sendall(b"ran: " + line + b"\n")


def scripted(conn: socket.socket) -> None:
    converse(conn, greet=False)


def echo(conn: socket.socket) -> None:
    """Repeat every byte, without waiting for the end."""
    meet(conn, read_line(conn))
    while data := conn.recv(65536):
        conn.sendall(data)


def amplify(conn: socket.socket) -> None:
    """Answer every byte with ten, and read no further before they are sent."""
    meet(conn, read_line(conn))
    while data := conn.recv(65536):
        conn.sendall(data * 10)


def flood(conn: socket.socket) -> None:
    meet(conn, read_line(conn))
    while True:
        conn.sendall(b"flood\n" * 1000)


def flood_greeting(conn: socket.socket) -> None:
    while True:
        conn.sendall(b"flood " * 1000)


def refuse(conn: socket.socket) -> None:
    conn.sendall(b"manhole: refused: this one is for somebody else\n")


def unknown_version(conn: socket.socket) -> None:
    read_line(conn)
    conn.sendall(b"manhole: version 0 is not spoken here\n")


def silent(conn: socket.socket) -> None:
    threading.Event().wait()


def hang_up(conn: socket.socket) -> None:
    pass


BEHAVIOURS = {
    "converse": converse,
    "scripted": scripted,
    "echo": echo,
    "amplify": amplify,
    "flood": flood,
    "flood_greeting": flood_greeting,
    "refuse": refuse,
    "unknown_version": unknown_version,
    "silent": silent,
    "hang_up": hang_up,
    "backlog_full": None,
}


def obey(conn: socket.socket) -> None:
    for line in sys.stdin.buffer:
        text = json.loads(line)
        if text == "CLOSE":
            conn.shutdown(socket.SHUT_RDWR)
        else:
            conn.sendall(text.encode("utf-8", "surrogateescape"))


def serve(path: str, behaviour: str, uid: str = "") -> None:
    if uid:
        os.setuid(int(uid))
    if path == "default":
        path = f"/tmp/manhole-{os.getpid()}"
        Path(path).unlink(missing_ok=True)  # an earlier bearer of this pid has left it
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(path)
    os.chmod(path, 0o777)
    listener.listen(0)
    if behaviour == "backlog_full":
        waiting = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        waiting.connect(path)
        tell("listening", path)
        # The first word makes room, as a process does that comes back to life.
        sys.stdin.readline()
        waiting.close()
        listener.accept()[0].close()
        behaviour = "scripted"
    else:
        tell("listening", path)
    conn = listener.accept()[0]
    threading.Thread(target=obey, args=(conn,), daemon=True).start()
    with conn:
        try:
            BEHAVIOURS[behaviour](conn)
        except OSError as error:
            tell("error", str(error))


if __name__ == "__main__":
    serve(*sys.argv[1:])
    os._exit(0)  # a thread still waits in stdin, which an orderly exit takes amiss
