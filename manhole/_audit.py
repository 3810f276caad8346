"""Tells of every session: by `sys.audit` events, and by lines of JSON in the audit log if there is one."""

from __future__ import annotations

import json
import posix
import stat
import sys
import time
from collections.abc import Callable
from typing import Any

from manhole._errors import AuditFailed
from manhole.compat import type_name

__all__ = ["Audit", "AuditLog"]

# A path, or a function that is called with each event.
AuditLog = str | Callable[[dict[str, Any]], object] | None

MODE = 0o600
# No link of another's in a folder like /tmp is followed; a pipe's open() would wait for a reader.
_FLAGS = posix.O_WRONLY | posix.O_APPEND | posix.O_NOFOLLOW | posix.O_CLOEXEC | posix.O_NONBLOCK
# Somebody may make or move the file between two of our looks, but hardly time and again.
ATTEMPTS = 5


class Audit:
    """Raises the audit events of this process's sessions and writes them down.

    :param log: path of a file that gets a line for each event, or what is called with each event as a dict, or None.

    Every method raises :class:`AuditFailed` if an audit hook refuses or the log cannot be written; what it was to tell
    of must not take place then. For the manhole's own threads: what the hooks and the callable do, they do there.
    Nothing is held between two events, so a file may be moved away at any time and a fork changes nothing.
    """

    def __init__(self, log: AuditLog) -> None:
        self._log = log

    def connect(self, session: int, uid: int, pid: int) -> None:
        """A client is let in: `manhole.connect` with the session's number and the client's user and process."""
        self._tell("connect", {"session": session, "uid": uid, "pid": pid})

    def refuse(self, uid: int, pid: int, reason: str) -> None:
        """A client is not let in: `manhole.refuse`."""
        self._tell("refuse", {"uid": uid, "pid": pid, "reason": reason})

    def eval(self, session: int, uid: int, pid: int, code: str) -> None:
        """A session is about to run *code*: `manhole.eval`."""
        self._tell("eval", {"session": session, "uid": uid, "pid": pid, "code": code})

    def close(self, session: int, uid: int, pid: int) -> None:
        """A session has ended: `manhole.close`."""
        self._tell("close", {"session": session, "uid": uid, "pid": pid})

    def _tell(self, event: str, fields: dict[str, Any]) -> None:
        try:
            sys.audit(f"manhole.{event}", *fields.values())
        except Exception as error:
            raise AuditFailed("sys.audit", f"a hook refuses manhole.{event}: {_describe(error)}") from error
        if self._log is None:
            return
        entry = {"time": _now(), "event": event, **fields, "process": posix.getpid()}
        if isinstance(self._log, str):
            try:
                _append(self._log, (json.dumps(entry) + "\n").encode())
            except OSError as error:
                raise AuditFailed(self._log, error.strerror or str(error)) from error
            return
        try:
            self._log(entry)
        except Exception as error:
            raise AuditFailed("audit_log", f"what it calls has raised {_describe(error)}") from error


def _describe(error: Exception) -> str:
    name = type_name(type(error))
    try:
        return f"{name}: {error}"
    except Exception:  # noqa: BLE001 - the exception is the application's, and so is what its text raises
        return name


def _now() -> str:
    """The time in UTC, such as 2026-01-31T23:59:59.000001Z."""
    seconds, microseconds = divmod(time.time_ns() // 1000, 1_000_000)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds))}.{microseconds:06}Z"


def _append(path: str, line: bytes) -> None:
    """Write *line* at the end of the file, which is made if there is none.

    It is opened each time, so that whoever rotates logs need not tell us.

    :raises OSError: if that does not work, or what is there is no regular file of this user.
    """
    descriptor = _open(path)
    try:
        about = posix.fstat(descriptor)
        if not stat.S_ISREG(about.st_mode):
            raise OSError("it is no regular file")
        if about.st_uid != posix.geteuid():
            raise OSError(f"it belongs to uid {about.st_uid}, not to {posix.geteuid()}")
        rest = memoryview(line)
        while rest:
            rest = rest[posix.write(descriptor, rest) :]  # all of it, unless the disk is just getting full
    finally:
        posix.close(descriptor)


def _open(path: str) -> int:
    for _ in range(ATTEMPTS):
        try:
            return posix.open(path, _FLAGS)
        except FileNotFoundError:
            pass
        try:
            descriptor = posix.open(path, _FLAGS | posix.O_CREAT | posix.O_EXCL, MODE)
        except FileExistsError:
            continue  # made by somebody in between
        posix.fchmod(descriptor, MODE)  # whatever the umask has left of it
        return descriptor
    raise OSError("it comes and goes")
