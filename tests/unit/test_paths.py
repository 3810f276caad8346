"""Binding: the mode where a file does not take it from its socket, as on macOS and the BSDs, and who gets a path."""

import errno
import fcntl
import os
import posix
import socket
import threading
from pathlib import Path

import pytest
from harness import DEADLINE

from manhole import PathInUse, _paths


@pytest.fixture
def no_fchmod_on_sockets(monkeypatch: pytest.MonkeyPatch) -> None:
    def fchmod(fd: int, mode: int) -> None:
        raise OSError(errno.EINVAL, "Invalid argument")

    monkeypatch.setattr(posix, "fchmod", fchmod)


@pytest.mark.usefixtures("no_fchmod_on_sockets")
def test_mode_without_fchmod(short_path: Path) -> None:
    bound = _paths.bind_socket(str(short_path / "s"))
    assert (short_path / "s").stat().st_mode & 0o777 == 0o600
    bound.close()
    assert not (short_path / "s").exists()


def test_a_path_may_be_as_long_as_an_address_holds(short_path: Path) -> None:
    room = _paths.MAX_PATH_BYTES - len(str(short_path)) - 1
    _paths.bind_socket(str(short_path / ("x" * room))).close()
    with pytest.raises(ValueError, match="bytes long"):
        _paths.bind_socket(str(short_path / ("x" * (room + 1))))


def test_closing_twice_is_harmless(short_path: Path) -> None:
    bound = _paths.bind_socket(str(short_path / "s"))
    bound.close()
    bound.close()


@pytest.mark.parametrize("between", ["_somebody_listens", "_bind"])
def test_one_path_goes_to_one_of_two(short_path: Path, monkeypatch: pytest.MonkeyPatch, between: str) -> None:
    """The other comes when the first has found the old socket stale, or has bound its own and does not listen yet."""
    path = str(short_path / "s")
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(path)
    other_is_done_or_waits = threading.Event()
    got: list[_paths.BoundSocket] = []
    refused: list[PathInUse] = []

    def bind() -> None:
        try:
            got.append(_paths.bind_socket(path))
        except PathInUse as error:
            refused.append(error)

    def other_binds() -> None:
        bind()
        other_is_done_or_waits.set()

    other = threading.Thread(target=other_binds)

    def then_the_other() -> None:
        if not other.ident:
            other.start()
            assert other_is_done_or_waits.wait(DEADLINE)

    def flock(folder: int, operation: int) -> None:
        try:
            real_flock(folder, operation)
        except BlockingIOError:
            other_is_done_or_waits.set()
            raise

    real_flock = fcntl.flock
    monkeypatch.setattr(fcntl, "flock", flock)
    real = getattr(_paths, between)
    monkeypatch.setattr(_paths, between, lambda *arguments: (real(*arguments), then_the_other())[0])
    bind()
    other.join(DEADLINE)
    assert (len(got), len(refused)) == (1, 1)
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(path)
    got[0].close()
    assert os.listdir(short_path) == []


def test_a_folder_that_somebody_keeps_locked_holds_nobody_up(short_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_paths, "LOCK_SECONDS", 0.01)
    folder = os.open(short_path, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        _paths.bind_socket(str(short_path / "s")).close()
    finally:
        os.close(folder)
    assert os.listdir(short_path) == []


def test_a_relative_path_is_found_from_another_directory(short_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(short_path)
    bound = _paths.bind_socket("s")
    assert bound.path == "s"
    monkeypatch.chdir("/")
    bound.close()
    assert os.listdir(short_path) == []
