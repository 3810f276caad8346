"""Starts a program of tests/programs/ as a real process, waits for events, and converses with its manhole."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

PROGRAMS = Path(__file__).parent.parent / "programs"
RUNTIME = os.environ.get("MANHOLE_TEST_RUNTIME", "threads")
# Every wait ends after this many seconds. Arbitrary; long enough for a loaded machine.
DEADLINE = float(os.environ.get("MANHOLE_TEST_DEADLINE", "30"))
PROMPT = b">>> "
# How a program's connection begins; see manhole/_hello.py.
HELLO_PREFIX = b'{"manhole":'
HELLO = HELLO_PREFIX + b' 1, "greeting": false}\n'


class Patient:
    """A process with a manhole, as a context manager; it is killed at the end, and shown if the test failed.

    The program finds the number of a descriptor in READY_FD and tells on it what it has to tell, one JSON value a line.
    """

    def __init__(
        self,
        program: str,
        *arguments: str,
        env: dict[str, str] | None = None,
        flags: Sequence[str] = (),
    ) -> None:
        self._read, write = os.pipe()
        try:
            self.process = subprocess.Popen(
                [sys.executable, *flags, str(PROGRAMS / program), *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env={**os.environ, "READY_FD": str(write), "PYTHONUNBUFFERED": "1", **(env or {})},
                pass_fds=[write],
            )
        finally:
            os.close(write)
        self.pid = self.process.pid
        self._told = b""

    def __enter__(self) -> Patient:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.process.kill()
        out, err = self.process.communicate(timeout=DEADLINE)  # a child of it that is left holds the pipes
        os.close(self._read)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.default_path)
        if kind is not None:
            print(f"--- stdout of the program\n{out.decode(errors='replace')}")
            print(f"--- stderr of the program\n{err.decode(errors='replace')}")

    @property
    def default_path(self) -> str:
        return f"/tmp/manhole-{self.pid}"

    def told(self) -> Any:
        """The next thing that the program tells."""
        deadline = time.monotonic() + DEADLINE
        while b"\n" not in self._told:
            ready, _, _ = select.select([self._read], [], [], max(0, deadline - time.monotonic()))
            data = os.read(self._read, 65536) if ready else b""
            if not data:
                raise AssertionError("the program ended" if ready else "the program told nothing in time")
            self._told += data
        line, _, self._told = self._told.partition(b"\n")
        return json.loads(line)

    def forget_told(self) -> None:
        """Throw away what was told so far."""
        while select.select([self._read], [], [], 0)[0]:
            self._told = os.read(self._read, 65536)
        self._told = b""

    def say(self, text: str) -> None:
        """Give the program a line on its stdin."""
        assert self.process.stdin is not None
        self.process.stdin.write(text.encode() + b"\n")
        self.process.stdin.flush()

    @contextlib.contextmanager
    def stopped(self) -> Iterator[None]:
        """Nothing in the process runs meanwhile."""
        self.process.send_signal(signal.SIGSTOP)
        assert os.WIFSTOPPED(os.waitpid(self.pid, os.WUNTRACED)[1])
        try:
            yield
        finally:
            self.process.send_signal(signal.SIGCONT)

    def connect(self, path: str | None = None) -> Conversation:
        return Conversation(path or self.default_path)

    def finish(self) -> tuple[int, str, str]:
        """Wait for the program's end: exit code, stdout, stderr."""
        out, err = self.process.communicate(timeout=DEADLINE)
        return self.process.returncode, out.decode(), err.decode()


class Conversation:
    """A bare connection, as `socat` would make it."""

    def __init__(self, path: str) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(DEADLINE)
        try:
            self.socket.connect(path)
        except BaseException:
            self.socket.close()
            raise
        self.received = b""

    def __enter__(self) -> Conversation:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.socket.close()

    def send(self, text: str | bytes) -> None:
        self.socket.sendall(text.encode() if isinstance(text, str) else text)

    def read_until(self, end: bytes = PROMPT) -> str:
        """What comes before *end* at the end of what has come."""
        while not self.received.endswith(end):
            self._receive()
        text, self.received = self.received[: -len(end)], b""
        return text.decode()

    def _receive(self) -> None:
        try:
            data = self.socket.recv(65536)
        except TimeoutError:
            raise AssertionError(f"nothing more after {self.received[-2000:]!r}") from None
        assert data, f"closed after {self.received[-2000:]!r}"
        self.received += data

    def read_past(self, text: bytes) -> None:
        """Read until *text* has come, whatever has come before and after."""
        while text not in self.received:
            self._receive()

    def ask(self, *lines: str) -> str:
        """Send *lines*, and what is answered before the next prompt."""
        self.send("".join(line + "\n" for line in lines))
        return self.read_until()

    def dump_until(self, settled: Callable[[str], bool]) -> str:
        """The first dump that is *settled*: a program tells where it is a moment before it is there."""
        dump = ""

        def ask() -> bool:
            nonlocal dump
            dump = self.ask("dump_stacktraces(full=True)")
            return settled(dump)

        try:
            wait_until_true(ask)
        except AssertionError:
            print(f"--- the last dump\n{dump}")
            raise
        return dump

    def read_all(self) -> str:
        """Everything until the manhole closes the connection."""
        while data := self.socket.recv(65536):
            self.received += data
        return self.received.decode()


@contextlib.contextmanager
def conversation(path: str) -> Iterator[Conversation]:
    """A connection at its first prompt. It says hello and so has no greeting, which takes longer than most tests.

    A test that wants the greeting uses Patient.connect().
    """
    with Conversation(path) as connection:
        connection.send(HELLO)
        connection.read_past(HELLO_PREFIX)  # its answer; a prompt or, on a loaded machine, a greeting comes before
        connection.read_until()
        yield connection


def connect_by(patient: Patient, signum: int) -> Conversation:
    """Send the signal and connect: the file is there a moment after that, and a moment before somebody listens."""
    connected: list[Conversation] = []

    def connect() -> bool:
        with contextlib.suppress(FileNotFoundError, ConnectionRefusedError):
            connected.append(patient.connect())
        return bool(connected)

    signal_until_true(patient.pid, signum, connect)
    return connected[0]


def signal_until_true(pid: int, signum: int, question: Callable[[], object]) -> None:
    """Send the signal, and wait for what it does.

    Python may see a signal late that comes when the main thread is about to wait: between its last look for signals
    and the system call, which then does not end for it. About one in 10,000 that are sent at such a moment; any later
    one wakes it. Hence a second one in every second.
    """
    deadline = time.monotonic() + DEADLINE
    again = 0.0
    while True:
        if time.monotonic() >= again:
            os.kill(pid, signum)
            again = time.monotonic() + 1
        if question():
            return
        assert time.monotonic() < deadline, "did not become true in time"
        select.select([], [], [], 0.01)


def wait_until_true(question: Any) -> None:
    """For what has no event to wait for, such as the end of another process's thread: ask again until the deadline."""
    deadline = time.monotonic() + DEADLINE
    while not question():
        assert time.monotonic() < deadline, "did not become true in time"
        select.select([], [], [], 0.01)


def count_threads(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/task"))


def gone(pid: int) -> bool:
    """Whether the process has ended, a zombie or not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def open_descriptors(pid: int) -> dict[str, str]:
    found = {}
    for name in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(FileNotFoundError):
            found[name] = os.readlink(f"/proc/{pid}/fd/{name}")
    return found
