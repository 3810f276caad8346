"""Dumps without a client: files that are always new, and never too many."""

from __future__ import annotations

import os
import posix
import time

from manhole import compat
from manhole._log import Log
from manhole._snapshot import collect_snapshot, format_of_path, format_snapshot

__all__ = ["SECONDS_BETWEEN", "DumpFiles", "write_dump"]

# At most one dump in so many seconds for each cause, lest a supervisor that signals in a loop, or a hub that is slow
# all night, fill the disk. Arbitrary; a gunicorn worker's second timeout is 30 seconds after its first.
SECONDS_BETWEEN = 10.0
# How many files of the same name and second are stepped over. Arbitrary; more are no accident.
MAX_COUNTER = 1000
MODE = 0o600  # a dump has file names, code and addresses: nobody else's business


class DumpFiles:
    """The dumps of one cause.

    :param pattern: the absolute path of each file, with ``{pid}`` and ``{time}`` in its name.
    :param log: where it is said what has been written, and what could not be.
    """

    def __init__(self, pattern: str, log: Log) -> None:
        self._pattern = pattern
        self._log = log
        self._last: float | None = None

    def write(self, cause: str) -> bool:
        """Write a dump, unless the last was a moment ago; whether it was tried.

        :param cause: what has happened, for the message.

        Raises no Exception. From any thread, in a signal handler and after a fork: takes no lock.
        """
        now = compat.monotonic()
        if self._last is not None and now - self._last < SECONDS_BETWEEN:
            return False
        self._last = now  # before the writing: a signal that interrupts it finds it done
        try:
            self._log(f"{cause}: dump written to {self._write_new()}")
        except Exception as error:  # noqa: BLE001 - the application must not see it
            self._log(f"{cause}: no dump written to {self._pattern}: {error}")
        return True

    def reset_after_fork(self) -> None:
        """In a forked child: the last dump was the parent's."""
        self._last = None

    def _write_new(self) -> str:
        moment = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        folder, name = os.path.split(self._pattern)
        path = os.path.join(folder, name.replace("{pid}", str(posix.getpid())).replace("{time}", moment))
        stem, extension = os.path.splitext(path)
        for counter in range(1, MAX_COUNTER + 1):
            try:
                write_dump(path)
            except FileExistsError:
                path = f"{stem}-{counter}{extension}"
            else:
                return path
        raise FileExistsError(f"{MAX_COUNTER} files of that name are there; remove some or put {{time}} into it")


def write_dump(path: str) -> None:
    """Write a dump of this process to the new file *path*, with mode 0600.

    :raises FileExistsError: if anything is there, a link that leads nowhere included; it is left alone.
    :raises OSError: if the file cannot be made or written; what was made is left.

    Its extension says which format it has, see :func:`format_of_path`. From any thread and in a signal handler.
    """
    # Another's link in a folder like /tmp would have us write to a file of his choice.
    flags = posix.O_WRONLY | posix.O_CREAT | posix.O_EXCL | posix.O_NOFOLLOW | posix.O_CLOEXEC
    descriptor = posix.open(path, flags, MODE)
    try:
        posix.fchmod(descriptor, MODE)  # whatever the umask has left of it
        for piece in format_snapshot(collect_snapshot(), format_of_path(path)):
            data = memoryview(piece.encode("utf-8", "backslashreplace"))
            while data:
                data = data[posix.write(descriptor, data) :]
    finally:
        posix.close(descriptor)
