"""What the operations give back, as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from manhole.client._errors import RemoteException, RemoteFrame
from manhole.client._fields import Fields

__all__ = [
    "Completion",
    "Description",
    "HubInfo",
    "Limits",
    "ProcessInfo",
    "Result",
    "SessionInfo",
    "read_completion",
    "read_description",
    "read_exception",
    "read_result",
    "read_session",
]


@dataclass(frozen=True)
class Result:
    """What code has come to that raised nothing.

    :ivar value: the `repr` of its last expression; None if it does not end with one, or with the value None.
    :ivar value_type: the name of that value's class, or None.
    :ivar cut: how many characters were left out of a long *value*.
    :ivar stdout: what it printed, unless *on_output* got it.
    :ivar stderr: the same for stderr.
    """

    value: str | None
    value_type: str | None
    cut: int
    stdout: str
    stderr: str


@dataclass(frozen=True)
class Completion:
    """How a text may go on.

    :ivar start: where in the text the matches begin: `text[:start] + match` is a text completed.
    :ivar matches: sorted, at most 1000.
    """

    start: int
    matches: tuple[str, ...]


@dataclass(frozen=True)
class ProcessInfo:
    """The process that is connected to.

    :ivar pid: its number, in its own pid namespace.
    :ivar argv: its command line.
    :ivar uptime: seconds since its start, None where the system does not tell.
    :ivar implementation: such as "CPython".
    :ivar python: the version, such as "3.11.7".
    :ivar libraries: the versions of gevent, eventlet and greenlet, as far as they are loaded, by name.
    :ivar patched: the modules that are patched, by the name of the library that did it.
    """

    pid: int
    argv: tuple[str, ...]
    uptime: float | None
    implementation: str
    python: str
    libraries: Mapping[str, str]
    patched: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class HubInfo:
    """What runs an event loop in the process.

    :ivar number: by which eval(hub=) can name it.
    :ivar kind: "gevent", "eventlet" or "asyncio".
    :ivar name: its name or class.
    :ivar thread: the ident of its OS thread, None where that cannot be known.
    :ivar thread_name: that thread's name, None where it has none.
    :ivar state: such as "in its loop" or "running".
    """

    number: int
    kind: str
    name: str
    thread: int | None
    thread_name: str | None
    state: str


@dataclass(frozen=True)
class Limits:
    """What the process allows.

    :ivar message_bytes: the longest line in either direction, its end included.
    :ivar max_sessions: clients at a time.
    """

    message_bytes: int
    max_sessions: int


@dataclass(frozen=True)
class Description:
    """The answer to describe().

    :ivar manhole: the version of the manhole in the process.
    :ivar protocol: the version of the protocol.
    :ivar ops: the names of the operations that there are.
    :ivar mode: "repl", or "dump" where no code is run.
    :ivar session: the number of this session.
    :ivar process: the process.
    :ivar hubs: its hubs.
    :ivar limits: what it allows.
    """

    manhole: str
    protocol: int
    ops: tuple[str, ...]
    mode: str
    session: int
    process: ProcessInfo
    hubs: tuple[HubInfo, ...]
    limits: Limits


@dataclass(frozen=True)
class SessionInfo:
    """One of the clients that are connected to the process.

    :ivar session: its number.
    :ivar pid: the client's process, 0 where the process cannot see it.
    :ivar uid: the client's user.
    :ivar mode: "text" or "messages".
    :ivar seconds: how long it has been connected.
    :ivar state: "idle", "running", or "abandoned": the client has left, its code has not ended.
    :ivar busy: seconds since its code began, None if none runs.
    :ivar code: the first line of that code, at most 80 characters.
    """

    session: int
    pid: int
    uid: int
    mode: str
    seconds: float
    state: str
    busy: float | None
    code: str | None


def read_result(done: Fields, stdout: str, stderr: str) -> Result:
    """The end of an eval that raised nothing."""
    return Result(done.maybe("value", str), done.maybe("value_type", str), done.take("cut", int), stdout, stderr)


def read_exception(exception: Fields, stdout: str, stderr: str) -> RemoteException:
    """The exception in the end of an eval."""
    return RemoteException(
        exception.take("type", str),
        exception.take("module", str),
        exception.take("message", str),
        exception.take("traceback", str),
        exception.each("frames", _read_frame),
        stdout,
        stderr,
    )


def _read_frame(frame: Fields) -> RemoteFrame:
    return RemoteFrame(frame.take("file", str), frame.take("line", int), frame.take("function", str))


def read_completion(done: Fields) -> Completion:
    """The end of a complete."""
    return Completion(done.take("start", int), done.list_of("matches", str))


def read_description(done: Fields) -> Description:
    """The end of a describe."""
    limits = done.fields("limits")
    return Description(
        done.take("manhole", str),
        done.take("protocol", int),
        done.list_of("ops", str),
        done.take("mode", str),
        done.take("session", int),
        _read_process(done.fields("process")),
        done.each("hubs", _read_hub),
        Limits(limits.take("message_bytes", int), limits.take("max_sessions", int)),
    )


def _read_process(process: Fields) -> ProcessInfo:
    libraries = process.fields("libraries")
    patched = process.fields("patched")
    return ProcessInfo(
        process.take("pid", int),
        process.list_of("argv", str),
        process.maybe_seconds("uptime"),
        process.take("implementation", str),
        process.take("python", str),
        {name: libraries.take(name, str) for name in libraries.names()},
        {name: patched.list_of(name, str) for name in patched.names()},
    )


def _read_hub(hub: Fields) -> HubInfo:
    return HubInfo(
        hub.take("number", int),
        hub.take("kind", str),
        hub.take("name", str),
        hub.maybe("thread", int),
        hub.maybe("thread_name", str),
        hub.take("state", str),
    )


def read_session(session: Fields) -> SessionInfo:
    """One entry of a sessions."""
    return SessionInfo(
        session.take("session", int),
        session.take("pid", int),
        session.take("uid", int),
        session.take("mode", str),
        session.seconds("seconds"),
        session.take("state", str),
        session.maybe_seconds("busy"),
        session.maybe("code", str),
    )
