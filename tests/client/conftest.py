"""The real command against a fake server, in pipes and in a pseudo-terminal."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import pexpect
import pytest
from fake_server import DEADLINE, FakeServer

COMMAND = str(Path(sys.executable).with_name("manhole-cli"))


@pytest.fixture(autouse=True)
def _ctrl_c_works() -> Iterator[None]:
    """A shell starts what it puts into the background with SIGINT ignored, and that is handed down to the command."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder whose path is short enough for a socket's address, which tmp_path may not be."""
    path = Path(tempfile.mkdtemp(dir="/tmp"))
    path.chmod(0o755 if os.geteuid() else 0o777)  # fakes of another user bind there
    yield path
    shutil.rmtree(path)


@pytest.fixture
def start_fake(folder: Path) -> Iterator[Callable[..., FakeServer]]:
    """Start a fake with a behaviour, in *folder* unless a path is given; killed at the end."""
    fakes: list[FakeServer] = []

    def start(behaviour: str = "converse", path: Path | str | None = None, **options: int) -> FakeServer:
        fakes.append(FakeServer(path or folder / "s", behaviour, **options))
        return fakes[-1]

    yield start
    for fake in fakes:
        fake.close()


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """The environment of the command: a home of its own, and a terminal without escape sequences."""
    home = tmp_path / "home"
    home.mkdir()
    changed = {"HOME": str(home), "MANHOLE_HISTORY": str(home / "history"), "TERM": "dumb", "INPUTRC": "/dev/null"}
    # readline, which pytest loads, leaves the size of its own terminal to all that is started.
    inherited = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
    # "strict" is what every locale but C has.
    return {**inherited, **changed, "LC_ALL": "C.UTF-8", "PYTHONIOENCODING": "utf-8:strict"}


@pytest.fixture
def command() -> str:
    """The installed command."""
    return COMMAND


@pytest.fixture
def run(environment: dict[str, str]) -> Callable[..., subprocess.CompletedProcess[bytes]]:
    """Run the command with *stdin* in a pipe, to its end."""

    def run(*arguments: object, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        command = [COMMAND, *map(str, arguments)]
        return subprocess.run(command, input=stdin, capture_output=True, env=environment, timeout=DEADLINE)

    return run


@pytest.fixture
def start_command(environment: dict[str, str]) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Start the command with pipes at all three ends; killed at the end, and after the deadline."""
    children: list[tuple[subprocess.Popen[bytes], threading.Timer]] = []

    def start(*arguments: object) -> subprocess.Popen[bytes]:
        command = [COMMAND, *map(str, arguments)]
        pipe = subprocess.PIPE
        child = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, env=environment, bufsize=0)
        children.append((child, threading.Timer(DEADLINE, child.kill)))
        children[-1][1].start()
        return child

    yield start
    for child, watchdog in children:
        watchdog.cancel()
        watchdog.join()
        child.kill()
        child.wait()
        for stream in (child.stdin, child.stdout, child.stderr):
            stream.close()


@pytest.fixture
def spawn(environment: dict[str, str]) -> Iterator[Callable[..., pexpect.spawn]]:
    """Start the command at a terminal of its own; ended at the end."""
    children: list[pexpect.spawn] = []

    def spawn(*arguments: object, columns: int = 80, program: str = COMMAND) -> pexpect.spawn:
        with warnings.catch_warnings():
            # A worker of pytest-xdist has a second thread, and Python 3.15 would let the warning of that end the fork.
            warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)
            child = pexpect.spawn(
                program,
                [str(argument) for argument in arguments],
                env=environment,
                encoding="utf-8",
                codec_errors="replace",
                timeout=DEADLINE,
                dimensions=(24, columns),
            )
        child.delaybeforesend = None
        children.append(child)
        return child

    yield spawn
    for child in children:
        child.close(force=True)
