"""The lines typed at a prompt, kept in a file that is up to date after every line: kill -9 loses none."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from types import ModuleType

__all__ = ["History", "default_history_path"]

MAX_ENTRIES = 10_000  # arbitrary; years of use, and read in a few milliseconds
MODE = 0o600


def default_history_path() -> str:
    """The file named by the environment's MANHOLE_HISTORY, else ~/.manhole_history; empty means none."""
    return os.environ.get("MANHOLE_HISTORY", os.path.expanduser("~/.manhole_history"))


class History:
    """readline's history, read from a file at the start and written there line by line.

    No line is worth a failure: the first error is reported, and then the file is left alone.

    :param readline: the module of that name.
    :param path: the file, made with mode 0600 if it is missing; anything but a regular file is not used.
    :param warn: takes one line of text.
    """

    def __init__(self, readline: ModuleType, path: str, warn: Callable[[str], None]) -> None:
        self._readline = readline
        self._path = path
        self._warn = warn
        self._usable = bool(path)

    def load(self) -> None:
        """Take over the lines of earlier conversations."""
        self._readline.set_auto_history(False)
        # readline also cuts the file to this length, whenever it writes there.
        self._readline.set_history_length(MAX_ENTRIES)
        if not self._usable:
            return
        try:
            self._usable = _make_private(self._path)
            if self._usable:
                self._readline.read_history_file(self._path)
        except OSError as error:
            self._give_up("read", error)

    def add(self, line: str) -> None:
        """Remember *line*, unless it is empty or the same as the one before."""
        length = self._readline.get_current_history_length()
        if not line.strip() or (length and self._readline.get_history_item(length) == line):
            return
        self._readline.add_history(line)
        if not self._usable:
            return
        try:
            # Not there under libedit before Python 3.13, nor under very old GNU readline.
            if hasattr(self._readline, "append_history_file"):
                self._readline.append_history_file(1, self._path)
            else:
                self._readline.write_history_file(self._path)
        except OSError as error:
            self._give_up("write", error)

    def _give_up(self, what: str, error: OSError) -> None:
        self._usable = False
        self._warn(f"cannot {what} the history {self._path}: {error.strerror}; set MANHOLE_HISTORY to another file")


def _make_private(path: str) -> bool:
    """Make the file if it is missing and keep others from reading it; False if it is no regular file."""
    # O_NONBLOCK: a named pipe must not hold us up.
    descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK | os.O_CLOEXEC, MODE)
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            return False
        if stat.S_IMODE(found.st_mode) != MODE and found.st_uid == os.geteuid():
            os.fchmod(descriptor, MODE)
    finally:
        os.close(descriptor)
    return True
