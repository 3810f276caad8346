"""The options of install(): validated once, then frozen."""

from __future__ import annotations

import _thread
import os
import signal
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from itertools import combinations
from typing import Any

from manhole._errors import ConfigurationConflict, InvalidOption

__all__ = ["DUMP_PLACEHOLDERS", "Options", "parse_options"]

# What may stand in the name of a dump's file: the process's number, and the moment in UTC.
DUMP_PLACEHOLDERS = ("{pid}", "{time}")
# A busy process of several threads may hand the GIL round for longer than less. Arbitrary.
MIN_WATCHDOG_SECONDS = 0.1
# One read of a pipe's worth. Arbitrary; with much less a session's code would wait for its client all the time.
MIN_OUTPUT_BYTES = 65536

_EVERY_SIGNAL: frozenset[int] = frozenset(map(int, signal.valid_signals()))
_BY_NAME = {known.name: int(known) for known in signal.Signals}
_FAULTS = {int(signal.SIGSEGV), int(signal.SIGBUS), int(signal.SIGFPE), int(signal.SIGILL)}
# What a lock can be waited for, some 292 years; an infinite time it refuses.
_MAX_SECONDS = _thread.TIMEOUT_MAX
_UNCATCHABLE = {int(signal.SIGKILL), int(signal.SIGSTOP)}


@dataclass(frozen=True)
class Options:
    """What install() was asked for; its docstring tells what each does to the application."""

    verbose: bool = True
    verbose_destination: Any = 2
    patch_fork: bool = True
    activate_on: Any = None
    oneshot_on: Any = None
    thread: bool = True
    sigmask: Any = _EVERY_SIGNAL
    socket_path: Any = None
    reinstall_delay: float = 0.5
    start_timeout: float = 0.5
    locals: Any = field(default_factory=dict)
    daemon_connection: bool = False
    redirect_stderr: bool = True
    strict: bool = True
    connection_handler: Any = "repl"
    oneshot_timeout: float = 15.0
    dump_on: Any = None
    dump_to: Any = None
    watchdog: Any = None
    track_greenlets: bool = False
    mode: str = "repl"
    max_sessions: int = 64
    max_output: int = 1024 * 1024
    audit_log: Any = None

    @property
    def masks_code(self) -> bool:
        """Whether the code that a session runs has the mask too: only if one was asked for.

        The processes that it starts inherit the mask, and one that cannot be terminated is not what anybody wants.
        """
        return self.sigmask is not _EVERY_SIGNAL

    @property
    def why_forks_are_not_followed(self) -> str | None:
        """None if a forked child gets a manhole of its own."""
        if not self.patch_fork:
            return "patch_fork is off"
        if sys.implementation.name == "pypy":
            return "a thread that begins in PyPy's fork hook crashes the child"
        if self.activate_on is not None or self.oneshot_on is not None:
            return "a child is opened by the signal, as its parent is"
        if self.socket_path is not None:
            return "socket_path is one path for one process"
        if not self.thread:
            return "thread is off"
        return None


def parse_options(given: Mapping[str, Any]) -> Options:
    """*given* as Options, with signals as numbers and paths as str.

    :raises InvalidOption: for a name that is no option or a value that it cannot have; it says what is allowed.
    :raises ConfigurationConflict: for values that exclude each other.
    """
    known = [option.name for option in fields(Options)]
    for name in given:
        if name not in known:
            raise InvalidOption(name, given[name], "left out, there is no such option; there are " + ", ".join(known))
    options = Options(**given)
    switches = ("verbose", "patch_fork", "thread", "daemon_connection", "redirect_stderr", "strict", "track_greenlets")
    for name in switches:
        _require(type(getattr(options, name)) is bool, options, name, "True or False")
    for name in ("start_timeout", "oneshot_timeout"):
        _require(_is_time(getattr(options, name), above=0), options, name, "a finite number of seconds, above 0")
    _require(_is_time(options.reinstall_delay), options, "reinstall_delay", "a finite number of seconds, 0 or more")
    destination = options.verbose_destination
    _require(
        (type(destination) is int and destination >= 0) or callable(getattr(destination, "write", None)),
        options,
        "verbose_destination",
        "a file descriptor or an object with a write(str) method",
    )
    _require(
        options.watchdog is None or (_is_time(options.watchdog) and options.watchdog >= MIN_WATCHDOG_SECONDS),
        options,
        "watchdog",
        f"seconds, at least {MIN_WATCHDOG_SECONDS}, or None",
    )
    path = options.socket_path
    _require(
        path is None or (isinstance(path, (str, os.PathLike)) and bool(os.fspath(path))),
        options,
        "socket_path",
        "a path (str or os.PathLike) or None",
    )
    names = {} if options.locals is None else options.locals
    _require(
        isinstance(names, Mapping) and all(isinstance(name, str) for name in names),
        options,
        "locals",
        "a mapping of names (str) to objects, or None",
    )
    handler = options.connection_handler
    _require(
        handler in ("repl", "exec") if isinstance(handler, str) else callable(handler),
        options,
        "connection_handler",
        "'repl', 'exec' or a callable that takes a connected socket",
    )
    _require(isinstance(options.mode, str) and options.mode in ("repl", "dump"), options, "mode", "'repl' or 'dump'")
    _require(_is_count(options.max_sessions, 1), options, "max_sessions", "a number of sessions, 1 or more")
    _require(
        _is_count(options.max_output, MIN_OUTPUT_BYTES),
        options,
        "max_output",
        f"a number of bytes, {MIN_OUTPUT_BYTES} or more",
    )
    options = replace(
        options,
        activate_on=_parse_caught(options, "activate_on"),
        oneshot_on=_parse_caught(options, "oneshot_on"),
        dump_on=_parse_caught(options, "dump_on"),
        dump_to=_parse_dump_to(options),
        audit_log=_parse_audit_log(options),
        sigmask=_parse_mask(options),
        socket_path=None if path is None else os.fsdecode(path),
        locals=dict(names),
    )
    for one, other in combinations(("activate_on", "oneshot_on", "dump_on"), 2):
        if getattr(options, one) is not None and getattr(options, one) == getattr(options, other):
            raise ConfigurationConflict((one, other), "one signal cannot do both; give two, or one of them")
    if options.dump_on in _FAULTS:
        raise InvalidOption(
            "dump_on", given["dump_on"], "another signal: after a fault no dump can be written any more"
        )
    if options.watchdog is not None and not options.thread:
        raise ConfigurationConflict(("watchdog", "thread"), "a watchdog is a thread; leave thread=False out")
    if options.mode == "dump" and options.connection_handler != "repl":
        raise ConfigurationConflict(
            ("mode", "connection_handler"), "mode='dump' serves dumps and nothing else; leave connection_handler out"
        )
    return options


def _require(condition: bool, options: Options, name: str, allowed: str) -> None:
    if not condition:
        raise InvalidOption(name, getattr(options, name), allowed)


def _is_time(value: Any, above: float = -1) -> bool:
    """Whether that many seconds can be waited; a NaN compares with nothing."""
    return type(value) in (int, float) and above < value and 0 <= value <= _MAX_SECONDS


def _is_count(value: Any, least: int) -> bool:
    return type(value) is int and value >= least


def _parse_mask(options: Options) -> frozenset[int]:
    given: Any = options.sigmask
    if given is None:
        return frozenset()
    if given is _EVERY_SIGNAL:
        return given
    _require(
        isinstance(given, Iterable) and not isinstance(given, (str, bytes)),
        options,
        "sigmask",
        "an iterable of signal names or numbers, or None for none",
    )
    numbers: list[int] = [_parse_signal("sigmask", one) for one in given]
    return frozenset(numbers)


def _parse_caught(options: Options, name: str) -> int | None:
    value = getattr(options, name)
    if value is None:
        return None
    number = _parse_signal(name, value)
    if number in _UNCATCHABLE:
        raise InvalidOption(name, value, "a signal that a process can catch")
    return number


def _parse_dump_to(options: Options) -> str | None:
    """The pattern as an absolute one: the application may change its working folder later."""
    given = options.dump_to
    if options.dump_on is None and options.watchdog is None:
        _require(given is None, options, "dump_to", "left out, without dump_on or watchdog nothing is written there")
        return None
    _require(
        isinstance(given, (str, os.PathLike)) and bool(os.path.basename(os.fspath(given))),
        options,
        "dump_to",
        "a file's path (str or os.PathLike), as in '/var/tmp/app-{pid}-{time}.txt'; dump_on and watchdog need one",
    )
    pattern = os.path.abspath(os.fsdecode(given))
    folder, name = os.path.split(pattern)
    left = name
    for placeholder in DUMP_PLACEHOLDERS:
        left = left.replace(placeholder, "")
    if set("{}") & set(left):
        raise InvalidOption("dump_to", given, "without any { or } but " + " and ".join(DUMP_PLACEHOLDERS))
    _require(not set("{}") & set(folder), options, "dump_to", "without placeholders in the folder's name")
    _require(
        "\0" not in pattern and os.path.isdir(folder), options, "dump_to", f"in a folder that exists, not {folder}"
    )
    _require(os.access(folder, os.W_OK | os.X_OK), options, "dump_to", f"in a folder to write to, not {folder}")
    return pattern


def _parse_audit_log(options: Options) -> Any:
    """A path as an absolute one, for the same reason; what is no path as it is."""
    given = options.audit_log
    if given is None or (callable(given) and not isinstance(given, (str, os.PathLike))):
        return given
    _require(
        isinstance(given, (str, os.PathLike)) and bool(os.path.basename(os.fspath(given))),
        options,
        "audit_log",
        "a file's path (str or os.PathLike), a callable that takes a dict, or None",
    )
    path = os.path.abspath(os.fsdecode(given))
    folder = os.path.dirname(path)
    _require("\0" not in path and os.path.isdir(folder), options, "audit_log", f"in a folder that exists, not {folder}")
    _require(
        os.access(path, os.W_OK) or os.access(folder, os.W_OK | os.X_OK),
        options,
        "audit_log",
        f"a file to write to, or in a folder to write to; {folder} is none",
    )
    return path


def _parse_signal(option: str, value: object) -> int:
    """A signal's number from its number or its name, with or without SIG, in any case."""
    number = None
    if isinstance(value, str):
        name = value.upper()
        number = _BY_NAME.get(name, _BY_NAME.get(f"SIG{name}"))
    elif isinstance(value, int) and not isinstance(value, bool):
        number = int(value)
    if number not in _EVERY_SIGNAL:
        raise InvalidOption(option, value, "a signal's number or name, such as 'USR1'; there are " + _signal_names())
    return int(number)


def _signal_names() -> str:
    return ", ".join(sorted(name.removeprefix("SIG") for name in _BY_NAME))
