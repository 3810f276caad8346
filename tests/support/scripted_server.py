"""A listener in this process that answers hello and then sends bytes that were chosen before, whatever it is asked."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections.abc import Iterable
from pathlib import Path


class ScriptedServer:
    """Serves one client after the other, as a context manager.

    :ivar pieces: what each client gets after the answer to its hello, one send each; then the end.
    :ivar answer: members of the answer to hello, beside what is right.
    :ivar before: what stands before that answer.
    :ivar answers: whether hello is answered at all.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.pieces: Iterable[bytes] = ()
        self.answer: dict[str, object] = {}
        self.before = b""
        self.answers = True
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen(5)
        self._thread = threading.Thread(target=self._serve)

    def __enter__(self) -> ScriptedServer:
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()
        self.path.unlink()

    def _serve(self) -> None:
        while True:
            try:
                conn, _ = self._listener.accept()
            except OSError:
                return
            with conn, contextlib.suppress(OSError):
                self._converse(conn)

    def _converse(self, conn: socket.socket) -> None:
        data = b""
        while b"\n" not in data:
            data += conn.recv(65536)
        token = json.loads(data)["token"]
        answer = {"manhole": 1, "pid": 1, "session": 1, "mode": "messages", "token": token, **self.answer}
        conn.sendall(self.before)
        if self.answers:
            conn.sendall(json.dumps(answer).encode() + b"\n")
            for piece in self.pieces:
                conn.sendall(piece)
        conn.shutdown(socket.SHUT_WR)
        while conn.recv(65536):
            pass
