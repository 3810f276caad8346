"""Fixtures for all folders."""

import contextlib
import os
import re
import shutil
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(scope="session", autouse=True)
def _no_stale_sockets() -> None:
    """Remove what killed processes have left: one of a new process's pid would be taken for its own."""
    for path in Path("/tmp").glob("manhole-*"):
        with contextlib.suppress(FileNotFoundError):
            pid = re.fullmatch(r"manhole-(\d+)", path.name)
            if pid and path.is_socket() and path.lstat().st_uid == os.geteuid() and _is_left_over(path, int(pid[1])):
                path.unlink()


def _is_left_over(path: Path, pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        pass
    except (PermissionError, OverflowError):
        return False
    else:
        return False
    with socket.socket(socket.AF_UNIX) as probe:
        probe.setblocking(False)  # a full backlog is somebody's
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            return True
        except OSError:
            return False
    return False


@pytest.fixture
def short_path() -> Iterator[Path]:
    """A folder whose path is short enough for a socket address; pytest's own need not be."""
    folder = Path(tempfile.mkdtemp(prefix="mh-"))
    yield folder
    shutil.rmtree(folder)
