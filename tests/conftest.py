"""Fixtures for all folders."""

import contextlib
import os
import re
import shutil
import signal
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

# A shell has what it starts in the background ignore it, and so would the programs that the tests start.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_sessionstart(session: pytest.Session) -> None:
    """Remove what killed processes have left: one of a new process's pid would be taken for its own."""
    if hasattr(session.config, "workerinput"):
        return  # one of several processes that run the tests; what another one has killed may still be looked at
    for path in Path("/tmp").glob("manhole-*"):
        with contextlib.suppress(FileNotFoundError):
            pid = re.fullmatch(r"manhole-(\d+)", path.name)
            if pid and path.is_socket() and path.lstat().st_uid == os.geteuid() and _is_left_over(path, int(pid[1])):
                path.unlink()


@pytest.hookimpl(optionalhook=True)  # of pytest-xdist
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Each test to the next free worker, but those to one that share environments, which take seconds to make."""
    from xdist.scheduler import LoadScopeScheduling

    class Scheduling(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return "tests/startup" if nodeid.startswith("tests/startup/") else nodeid

    return Scheduling(config, log)


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
