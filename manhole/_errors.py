"""The exceptions: one root, each with its data as attributes and a message that says what to do next."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

__all__ = [
    "AlreadyInstalled",
    "AuditFailed",
    "BadCommand",
    "CannotThrow",
    "ConfigurationConflict",
    "HubTimeout",
    "InvalidOption",
    "ManholeError",
    "NoHub",
    "NoSuchFrame",
    "NoSuchUnit",
    "NotInstalled",
    "PathInUse",
    "StartFailed",
    "SuspiciousClient",
    "SuspiciousServer",
]


class ManholeError(Exception):
    """Root of all that manhole raises on purpose."""


class AlreadyInstalled(ManholeError):
    """install() was called while a manhole is installed.

    :ivar socket_path: where the installed one listens.
    """

    def __init__(self, socket_path: str) -> None:
        super().__init__(
            f"a manhole is already installed at {socket_path}; release() it first, or pass strict=False to replace it"
        )
        self.socket_path = socket_path


class NotInstalled(ManholeError):
    """Something needs an installed manhole and there is none."""

    def __init__(self) -> None:
        super().__init__("no manhole is installed in this process; call manhole.install() first")


class InvalidOption(ManholeError, ValueError):
    """An option of install(), or of another function, has a value that it cannot have.

    :ivar option: the option's name.
    :ivar value: what was given.
    """

    def __init__(self, option: str, value: object, allowed: str) -> None:
        super().__init__(f"{option}={value!r}: must be {allowed}")
        self.option = option
        self.value = value


class ConfigurationConflict(ManholeError, ValueError):
    """Options of install() that exclude each other.

    :ivar options: their names.
    """

    def __init__(self, options: tuple[str, ...], reason: str) -> None:
        super().__init__(f"{' and '.join(options)}: {reason}")
        self.options = options


class BadCommand(ManholeError):
    """A %command of a session that is not there, or is not used as it has to be.

    :ivar command: what was typed.
    """

    def __init__(self, command: str, reason: str) -> None:
        super().__init__(reason)
        self.command = command


class CannotThrow(ManholeError):
    """No exception can be raised in that unit from outside.

    :ivar ident: the unit's.
    """

    def __init__(self, ident: int, reason: str) -> None:
        super().__init__(f"nothing can be thrown into the unit {ident:#x}: {reason}")
        self.ident = ident


class NoSuchUnit(ManholeError):
    """No thread, greenlet or task of this process has that ident, or it has none any more.

    :ivar ident: what was asked for.
    """

    def __init__(self, ident: int) -> None:
        super().__init__(
            f"no thread, greenlet or task has the id {ident:#x} ({ident}); it may have ended since: "
            "a new dump shows those that there are"
        )
        self.ident = ident


class NoSuchFrame(ManholeError):
    """A unit's stack has no frame of that number.

    :ivar ident: the unit's.
    :ivar number: what was asked for.
    :ivar count: how many frames there are.
    """

    def __init__(self, ident: int, number: int, count: int) -> None:
        there = f"its frames are 0 (outermost) to {count - 1}" if count else "it has no frame to show"
        super().__init__(f"the unit {ident:#x} has no frame {number}; {there}")
        self.ident = ident
        self.number = number
        self.count = count


class PathInUse(ManholeError):
    """The socket's path cannot be taken, and it is not ours to clear.

    :ivar path: that path.
    """

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"cannot listen on {path}: {reason}")
        self.path = path


class AuditFailed(ManholeError):
    """A session cannot be told of as it has to be, by an audit hook's refusal or an audit log that cannot be written.

    What was to be told of, a session or code, does not take place.

    :ivar path: the audit log's path; "audit_log" if that is a callable, "sys.audit" for a hook.
    :ivar reason: what went wrong.
    """

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"cannot be audited: {path}: {reason}")
        self.path = path
        self.reason = reason


class StartFailed(ManholeError):
    """The listening thread did not start; nothing of it stays behind.

    :ivar socket_path: where it would have listened.
    """

    def __init__(self, socket_path: str, reason: str) -> None:
        super().__init__(f"the manhole at {socket_path} did not start: {reason}")
        self.socket_path = socket_path


class SuspiciousClient(ManholeError):
    """The client is neither the process's own user nor root; it was refused.

    :ivar pid: the client's process, 0 where it cannot be seen from here.
    :ivar uid: the client's effective user when it connected.
    :ivar gid: its effective group.
    """

    def __init__(self, pid: int, uid: int, gid: int, reason: str) -> None:
        super().__init__(f"{reason} (pid {pid}, uid {uid}, gid {gid})")
        self.pid = pid
        self.uid = uid
        self.gid = gid


class SuspiciousServer(ManholeError):
    """Who listens on the socket is not the process that was asked for.

    :ivar path: the socket.
    :ivar pid: the listening process, 0 where it cannot be seen from here.
    :ivar uid: its effective user when it began to listen.
    """

    def __init__(self, path: str, pid: int, uid: int, reason: str) -> None:
        super().__init__(f"not talking to {path}: {reason} (listener: pid {pid}, uid {uid})")
        self.path = path
        self.pid = pid
        self.uid = uid


class Place(Protocol):
    """A line of code; a :class:`Frame` is one."""

    @property
    def file(self) -> str:
        """The source file."""

    @property
    def line(self) -> int:
        """The line's number."""

    @property
    def function(self) -> str:
        """The function that it is in."""


class NoHub(ManholeError, LookupError):
    """There is no such hub in this process.

    :ivar which: what was asked for, None for the main thread's.
    :ivar hubs: what there is, a line each.
    """

    def __init__(self, which: int | str | None, hubs: Sequence[str]) -> None:
        asked = "no hub on the main thread, and not just one elsewhere" if which is None else f"no hub {which!r}"
        if hubs:
            there = f"there are {'; '.join(hubs)}; choose one by its number, or its thread's name or ident"
        else:
            there = "no hub of gevent, eventlet or asyncio runs in this process"
        super().__init__(f"{asked}: {there}" if hubs or which is not None else there)
        self.which = which
        self.hubs = list(hubs)


class HubTimeout(ManholeError, TimeoutError):
    """A function that was to run in a hub has not ended in time.

    :ivar hub: the hub's kind: "gevent", "eventlet" or "asyncio".
    :ivar timeout: seconds that were waited.
    :ivar begun: True: it goes on in the hub. False: it had not begun, and never will.
    :ivar reason: what the hub does instead: "stuck", "stuck in C" or "running" as of a :class:`Hub`, or a sentence;
        empty if the function has begun.
    :ivar unit: what the hub runs instead, or what the function runs in; empty where there is none.
    :ivar file: the source file that this is in, empty if it is not known.
    :ivar line: the line there, 0 if it is not known.
    :ivar function: the function's name, empty likewise.
    """

    def __init__(self, hub: str, timeout: float, begun: bool, reason: str, unit: str, place: Place | None) -> None:
        self.hub = hub
        self.timeout = timeout
        self.begun = begun
        self.reason = reason
        self.unit = unit
        self.file, self.line, self.function = (place.file, place.line, place.function) if place else ("", 0, "")
        where = (f" in {unit}" if unit else "") + (f", at {self.file}:{self.line} {self.function}" if place else "")
        if begun:
            message = f"has begun in the {hub} hub but not ended within {timeout:g} seconds, and goes on{where}"
        else:
            message = (
                f"the {hub} hub did not get to it within {timeout:g} seconds, it was withdrawn and will not run; "
                f"the hub: {reason}{where}"
            )
        super().__init__(message)
