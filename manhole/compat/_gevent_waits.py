"""What gevent's greenlets wait for: its primitives tell that, and frames of its functions, where there are any, more.

Pure Python gevent (PyPy, PURE_PYTHON) has all frames.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from types import CodeType, FrameType
from typing import Any

from manhole.compat._contract import Explainer, Wait
from manhole.compat._gevent_primitives import DIRECTIONS, Waits, find_class
from manhole.compat._safely import attributes_of
from manhole.compat._thread_waits import library_files, stdlib_readers
from manhole.compat._variables import (
    Reader,
    addresses_of,
    code_of,
    explain_by_frames,
    read_variables,
    slot_of,
    wait_for,
)

__all__ = ["make_explainer"]


def _rlock(frame: FrameType) -> Wait | None:
    lock = read_variables(frame, "self")[0]
    owner = None if lock is None else slot_of(lock, "_owner")
    return wait_for("lock", lock, owners=() if owner is None else (id(owner),))


def _joined(frame: FrameType) -> Wait | None:
    greenlet = read_variables(frame, "self")[0]
    return wait_for("unit", greenlet, owners=(id(greenlet),))


def _selected(frame: FrameType) -> Wait | None:
    """select() has a watcher for each descriptor and one event for all."""
    watchers = read_variables(frame, "watchers")[0]
    if type(watchers) is not list or not watchers:
        return None
    seen = []
    for watcher in list(watchers):
        own = attributes_of(watcher)
        shared = own.get("_watcher_ref")  # libuv has one watcher a descriptor, and others that share it
        fd = own.get("_fd") if shared is None else attributes_of(shared).get("_fd")
        seen.append((slot_of(watcher, "fd") if fd is None else fd, own.get("_events", slot_of(watcher, "events"))))
    if not all(type(fd) is int and type(events) is int for fd, events in seen):
        return None
    both = 0
    for _fd, events in seen:
        both |= events & 3
    descriptor = seen[0][0] if len(seen) == 1 else None
    local, remote = ("", "") if descriptor is None else addresses_of(descriptor)
    return Wait("descriptor", "", None, (), descriptor, DIRECTIONS.get(both, ""), local, remote)


def _process(frame: FrameType) -> Wait | None:
    return wait_for("process", read_variables(frame, "self")[0])


def _plain(kind: str, _frame: FrameType) -> Wait:
    return Wait(kind)


def _readers() -> dict[CodeType, Reader]:
    dns, pool = partial(_plain, "DNS"), partial(_plain, "thread pool")
    functions: dict[tuple[str, str], Reader] = {
        ("gevent.lock", "RLock.acquire"): _rlock,
        ("gevent.greenlet", "Greenlet.join"): _joined,
        ("gevent.greenlet", "Greenlet.get"): _joined,
        ("gevent.select", "SelectResult.select"): _selected,
        ("gevent.subprocess", "Popen.wait"): _process,
        ("gevent.subprocess", "Popen.communicate"): _process,
        ("gevent.threadpool", "ThreadPool.spawn"): pool,
        ("gevent.threadpool", "ThreadPool.join"): pool,
    }
    for module in ("ares", "thread", "dnspython"):
        cls = find_class(f"gevent.resolver.{module}", "Resolver")
        for name in () if cls is None else cls.__dict__:
            functions[f"gevent.resolver.{module}", f"Resolver.{name}"] = dns
    for name in ("getaddrinfo", "gethostbyname", "gethostbyname_ex", "gethostbyaddr", "getnameinfo", "getfqdn"):
        functions["gevent._socketcommon", name] = functions["gevent._socket3", name] = dns
    found = ((code_of(*function), reader) for function, reader in functions.items())
    return {code: reader for code, reader in found if code is not None and not code.co_name.startswith("__")}


def make_explainer(found: Sequence[Any]) -> Explainer | None:
    """The primitives tell what each greenlet waits for; frames, what that means."""
    if find_class("gevent.greenlet", "Greenlet") is None or find_class("greenlet", "greenlet") is None:
        return None
    waits = Waits(found)
    readers = {**stdlib_readers(), **_readers()}
    files = library_files()
    folder = os.path.dirname(str(sys.modules["gevent"].__file__)) + os.sep

    def inside(file: str) -> bool:
        return file in files or file.startswith(folder)

    def explain(unit: Any, codes: Sequence[CodeType], frame: FrameType | None) -> Wait | None:
        known = waits.wait_of(id(unit))
        told = explain_by_frames(codes, frame, readers, inside)
        if told is None or known is None:
            return told or known
        if told.seconds is None and known.seconds is not None:
            told = replace(told, seconds=known.seconds)
        return told

    return explain
