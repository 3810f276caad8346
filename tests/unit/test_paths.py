"""Binding where the file does not take its mode from the socket, as on macOS and the BSDs."""

import errno
import posix
from pathlib import Path

import pytest

from manhole import _paths


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
