"""Starts a real server with workers, asks it over HTTP, and reaches the manhole of each of its processes."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Any

from harness import DEADLINE, PROGRAMS, Conversation, wait_until_true

DOCS = Path(__file__).parent.parent.parent / "docs"
SCRIPTS = Path(sys.executable).parent


class Reached(Conversation):
    """A conversation, after its greeting, with a manhole that may not be there yet.

    The first connection that succeeds is the one that is used: a manhole that serves one client only would take a probe
    for that client.
    """

    def __init__(self, pid: int) -> None:
        self.received = b""
        self._path = manhole_of(pid)

        def connected() -> bool:
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.settimeout(DEADLINE)
            if self.socket.connect_ex(self._path) == 0:
                return True
            self.socket.close()
            return False

        wait_until_true(connected)
        try:
            self.greeting = self.read_until()
        except BaseException:
            self.socket.close()
            raise

    def end(self) -> None:
        """Leave as a person does, and wait for the other side to have noticed."""
        self.send("exit()\n")
        self.read_all()


class Server:
    """A server and its workers, listening for HTTP on `socket_path`, as a context manager.

    It runs in a session of its own: whatever is left of that is killed at the end, and what the server said is shown if
    the test failed. stop() is for tests of the stopping: a worker that is just starting may miss the signal.
    """

    def __init__(
        self,
        *command: str,
        folder: Path,
        env: dict[str, str] | None = None,
    ) -> None:
        self.socket_path = str(folder / "http")
        self._log = folder / "log"
        self._seen: set[int] = set()
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [arg.format(socket=self.socket_path, programs=PROGRAMS) for arg in command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                # HOME: gunicorn has a control socket there
                env={**os.environ, "PYTHONUNBUFFERED": "1", "HOME": str(folder), **(env or {})},
                # gunicorn and uWSGI import from the working folder first, and the checkout is not what is tested
                cwd=folder,
                start_new_session=True,
            )
        self.pid = self.process.pid

    def __enter__(self) -> Server:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.lives():
            self._seen.update(children_of(self.pid))
            os.killpg(self.pid, signal.SIGKILL)
        self.process.wait(DEADLINE)
        for pid in {self.pid, *self._seen}:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(manhole_of(pid))
        if kind is not None:
            print(f"--- said by the server\n{self.said()}")

    def said(self) -> str:
        return self._log.read_text(errors="replace")

    def lives(self) -> bool:
        """Whether the server or anything that it started is there."""
        try:
            os.killpg(self.pid, 0)
        except ProcessLookupError:
            return False
        return True

    def stop(self) -> int:
        """Tell it to stop, wait until all its processes are gone, and return its exit status."""
        self.process.terminate()
        status = self.process.wait(DEADLINE)
        wait_until_true(lambda: not self.lives())
        return status

    def get(self) -> Any:
        """What the application answers, once it does."""
        connection = _Connection(self.socket_path)
        try:
            connection.request("GET", "/")
            return json.loads(connection.getresponse().read())
        finally:
            connection.close()

    def get_from(self, pid: int) -> None:
        """Let this worker answer, which shows that it has started and serves."""
        others = [other for other in self.workers() if other != pid]
        for other in others:
            os.kill(other, signal.SIGSTOP)
        try:
            assert self.get() == pid
        finally:
            for other in others:
                os.kill(other, signal.SIGCONT)

    def workers(self, count: int = 2) -> list[int]:
        """The pids of its *count* workers, lowest first, once there are so many."""
        found: list[int] = []

        def enough() -> bool:
            assert self.process.poll() is None, "the server has ended"
            found[:] = children_of(self.pid)
            self._seen.update(found)
            return len(found) == count

        wait_until_true(enough)
        return sorted(found)


class _Connection(http.client.HTTPConnection):
    """HTTP over a unix socket that may not be there yet."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=DEADLINE)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(DEADLINE)
        wait_until_true(lambda: self.sock.connect_ex(self._path) == 0)


def manhole_of(pid: int) -> str:
    return f"/tmp/manhole-{pid}"


def children_of(pid: int) -> list[int]:
    """The children of all threads of *pid*."""
    found: list[str] = []
    for thread in os.listdir(f"/proc/{pid}/task"):
        with contextlib.suppress(FileNotFoundError):
            found += Path(f"/proc/{pid}/task/{thread}/children").read_text().split()
    return [int(child) for child in found]


def documented(page: str, language: str) -> list[str]:
    """The code blocks of *language* in *page* of docs/, so that a page can't show what was not tested."""
    text = (DOCS / page).read_text()
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
