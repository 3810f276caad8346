"""What eventlet's greenlets wait for: it is pure Python, so its own functions stand on top of each waiting stack."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from types import BuiltinMethodType, CodeType, FrameType, FunctionType
from typing import Any

from manhole.compat._contract import Explainer, Wait
from manhole.compat._safely import attributes_of, type_name
from manhole.compat._thread_waits import library_files, stdlib_readers
from manhole.compat._variables import (
    Reader,
    addresses_of,
    code_of,
    explain_by_frames,
    read_variables,
    seconds_until,
    wait_for,
)

__all__ = ["make_explainer", "primitives"]


def primitives() -> Sequence[type]:
    """The hubs, which hold the timers: the time left of a wait is in none of its frames."""
    hub = getattr(sys.modules.get("eventlet.hubs.hub"), "BaseHub", None)
    return () if hub is None else (hub,)


class _Timers:
    """The moments, on the hubs' monotonic clock, at which timers go off."""

    def __init__(self, found: Sequence[Any]) -> None:
        self.of_timers: dict[int, float] = {}  # by the timer's id
        self.of_greenlets: dict[int, float] = {}  # the first that switches or throws to it, by the greenlet's id
        classes = tuple(primitives())
        for hub in found:
            if issubclass(type(hub), classes):
                attributes = attributes_of(hub)
                for name in ("timers", "next_timers"):
                    timers = attributes.get(name)
                    for entry in list(timers) if type(timers) is list else ():  # a copy: it changes meanwhile
                        self._add(*entry[:2])

    def _add(self, end: float, timer: Any) -> None:
        attributes = attributes_of(timer)
        what = attributes.get("tpl")
        callback = what[0] if type(what) is tuple and what else None
        if attributes.get("called") is not False:  # cancelled
            return
        self.of_timers[id(timer)] = end
        if type(callback) is BuiltinMethodType:
            self._note(callback.__self__, end)
        elif type(callback) is FunctionType:  # trampoline()'s own, which throws to the greenlet in its closure
            for cell in callback.__closure__ or () if callback.__code__ in _throwers() else ():
                self._note(cell.cell_contents, end)

    def _note(self, greenlet: Any, end: float) -> None:
        self.of_greenlets[id(greenlet)] = min(end, self.of_greenlets.get(id(greenlet), end))


def _throwers() -> set[CodeType]:
    trampoline = code_of("eventlet.hubs", "trampoline")
    return {code for code in (trampoline.co_consts if trampoline else ()) if type(code) is CodeType}


def _object(kind: str, frame: FrameType, *, name: str = "self", direction: str = "") -> Wait | None:
    return wait_for(kind, read_variables(frame, name)[0], direction=direction)


def _semaphore(frame: FrameType) -> Wait | None:
    semaphore = read_variables(frame, "self")[0]
    lock = getattr(sys.modules.get("eventlet.lock"), "Lock", None)
    is_lock = lock is not None and issubclass(type(semaphore), lock)
    return wait_for("lock" if is_lock else "semaphore", semaphore)


def _joined(frame: FrameType) -> Wait | None:
    greenlet = read_variables(frame, "self")[0]
    return wait_for("unit", greenlet, owners=(id(greenlet),))


def _descriptor(frame: FrameType) -> Wait | None:
    awaited, fd, read, write = read_variables(frame, "fd", "fileno", "read", "write")
    if type(fd) is not int:
        return None
    direction = "read" if read is True else "write" if write is True else ""
    name, ident = ("", None) if type(awaited) is int else (type_name(type(awaited)), id(awaited))
    return Wait("descriptor", name, ident, (), fd, direction, *addresses_of(fd))


def _selected(frame: FrameType) -> Wait | None:
    """Several descriptors are one wait without a number."""
    wanted = read_variables(frame, "ds")[0]
    if type(wanted) is not dict:
        return None
    asked = dict(wanted)
    ways = {way for ways in asked.values() if type(ways) is dict for way in ways if way in ("read", "write")}
    direction = " or ".join(sorted(ways))
    if len(asked) == 1 and type(fd := next(iter(asked))) is int:
        return Wait("descriptor", "", None, (), fd, direction, *addresses_of(fd))
    return Wait("descriptor", direction=direction)


def _plain(kind: str, _frame: FrameType) -> Wait:
    return Wait(kind)


def _readers() -> dict[CodeType, Reader]:
    dns, queue = partial(_plain, "DNS"), partial(_object, "queue")
    functions: dict[tuple[str, str], Reader] = {
        ("eventlet.greenthread", "sleep"): partial(_object, "timer", name="timer"),
        ("eventlet.greenthread", "GreenThread.wait"): _joined,
        ("eventlet.hubs", "trampoline"): _descriptor,
        ("eventlet.semaphore", "Semaphore.acquire"): _semaphore,
        ("eventlet.event", "Event.wait"): partial(_object, "event"),
        ("eventlet.queue", "LightQueue.get"): partial(_object, "queue", direction="get"),
        ("eventlet.queue", "LightQueue.put"): partial(_object, "queue", direction="put"),
        ("eventlet.queue", "Queue.join"): queue,
        ("eventlet.tpool", "execute"): partial(_plain, "thread pool"),
        ("eventlet.green.select", "select"): _selected,
        ("eventlet.green.subprocess", "Popen.wait"): partial(_object, "process"),
        ("eventlet.green.os", "waitpid"): partial(_plain, "process"),
    }
    for module in ("eventlet.support.greendns", "eventlet.green._socket_nodns", "eventlet.green.socket"):
        for name in (
            "getaddrinfo",
            "gethostbyname",
            "gethostbyname_ex",
            "getnameinfo",
            "getfqdn",
            "resolve",
            "resolve_cname",
        ):
            functions[module, name] = dns
    found = ((code_of(*function), reader) for function, reader in functions.items())
    return {code: reader for code, reader in found if code is not None}


def make_explainer(found: Sequence[Any]) -> Explainer | None:
    """The outermost of eventlet's functions tells what is waited for, a timer how long yet."""
    if not primitives():
        return None
    timers = _Timers(found)
    readers = {**stdlib_readers(), **_readers()}
    files = library_files()
    # greendns asks through dnspython, whose functions stand on the stack between eventlet's
    folders = tuple(
        os.path.dirname(file) + os.sep
        for name in ("eventlet", "dns")
        if type(file := getattr(sys.modules.get(name), "__file__", None)) is str
    )

    def inside(file: str) -> bool:
        return file in files or file.startswith(folders)

    def explain(unit: Any, codes: Sequence[CodeType], frame: FrameType | None) -> Wait | None:
        told = explain_by_frames(codes, frame, readers, inside)
        if told is None or told.seconds is not None or told.kind == "process":  # which is asked again and again
            return told
        end = timers.of_timers.get(told.ident or 0) if told.kind == "timer" else timers.of_greenlets.get(id(unit))
        return told if end is None else replace(told, seconds=seconds_until(end))

    return explain
