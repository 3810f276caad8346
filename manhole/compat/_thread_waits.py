"""What OS threads wait for, as far as functions of the standard library stand on top of their stacks.

The same functions wait in greenlets where they are patched, so the green libraries' modules use the table too. A wait
in C that the application calls itself (`lock.acquire()`, `time.sleep()`, `sock.recv()`) has no frame that tells of it.
"""

from __future__ import annotations

import _socket
from collections.abc import Sequence
from functools import partial
from types import CodeType, FrameType
from typing import Any

from manhole.compat._contract import Explainer, Wait
from manhole.compat._safely import attributes_of, type_name
from manhole.compat._threads import thread_ident
from manhole.compat._variables import (
    Reader,
    addresses_of,
    code_of,
    explain_by_frames,
    read_variables,
    seconds_until,
    wait_for,
)

__all__ = ["library_files", "make_explainer", "primitives", "stdlib_readers"]


def _object(kind: str, frame: FrameType, *, direction: str = "") -> Wait | None:
    awaited, end = read_variables(frame, "self", "endtime")
    return wait_for(kind, awaited, direction=direction, seconds=seconds_until(end))


def _joined(frame: FrameType) -> Wait | None:
    thread = read_variables(frame, "self")[0]
    ident = thread_ident(thread)
    return wait_for("unit", thread, owners=() if ident is None else (ident,))


def _rlock(frame: FrameType) -> Wait | None:
    lock = read_variables(frame, "self")[0]
    owner = attributes_of(lock).get("_owner")
    return wait_for("lock", lock, owners=(owner,) if type(owner) is int else ())


def _socket_wait(direction: str, frame: FrameType, *, name: str = "self") -> Wait | None:
    sock = read_variables(frame, name)[0]
    if name == "self" and not issubclass(type(sock), _socket.socket):
        sock = attributes_of(sock).get("_sock")  # a SocketIO
    if sock is None or not issubclass(type(sock), _socket.socket):
        return None
    descriptor = _socket.socket.fileno(sock)
    if descriptor < 0:
        return None
    local, remote = addresses_of(descriptor)
    return Wait("descriptor", type_name(type(sock)), id(sock), (), descriptor, direction, local, remote)


def _idle_worker(frame: FrameType) -> Wait | None:
    """An executor's thread; the variable is set as long as it has something to run, which may wait for other things."""
    queue, item = read_variables(frame, "work_queue", "work_item")
    return wait_for("queue", queue, direction="get") if item is None else None


def _plain(kind: str, _frame: FrameType) -> Wait:
    return Wait(kind)


def _functions() -> dict[tuple[str, str], Reader]:
    get, put = partial(_object, "queue", direction="get"), partial(_object, "queue", direction="put")
    event, semaphore, selector = (partial(_object, kind) for kind in ("event", "semaphore", "descriptor"))
    process, dns = partial(_object, "process"), partial(_plain, "DNS")
    read, write, either = (partial(_socket_wait, direction) for direction in ("read", "write", "read or write"))
    return {
        ("threading", "Condition.wait"): event,
        ("threading", "Condition.wait_for"): event,
        ("threading", "Event.wait"): event,
        ("threading", "Barrier.wait"): event,
        ("threading", "Semaphore.acquire"): semaphore,
        ("threading", "Thread._wait_for_tstate_lock"): _joined,
        ("threading", "Thread.join"): _joined,
        ("threading", "_RLock.acquire"): _rlock,
        ("queue", "Queue.get"): get,
        ("queue", "Queue.put"): put,
        ("queue", "Queue.join"): partial(_object, "queue"),
        ("queue", "_PySimpleQueue.get"): get,
        ("concurrent.futures._base", "Future.result"): event,
        ("concurrent.futures._base", "Future.exception"): event,
        ("concurrent.futures.thread", "_worker"): _idle_worker,
        ("selectors", "SelectSelector.select"): selector,
        ("selectors", "_PollLikeSelector.select"): selector,
        ("selectors", "EpollSelector.select"): selector,
        ("selectors", "KqueueSelector.select"): selector,
        ("socket", "getaddrinfo"): dns,
        ("socket", "getfqdn"): dns,
        ("socket", "socket.accept"): read,
        ("socket", "SocketIO.readinto"): read,
        ("socket", "SocketIO.write"): write,
        ("socket", "create_connection"): partial(_socket_wait, "write", name="sock"),
        ("ssl", "SSLSocket.read"): read,
        ("ssl", "SSLSocket.do_handshake"): either,
        ("subprocess", "Popen.wait"): process,
        ("subprocess", "Popen._wait"): process,
        ("subprocess", "Popen.communicate"): process,
    }


def stdlib_readers() -> dict[CodeType, Reader]:
    """What tells of each function of the standard library that waits, as far as it is loaded and not replaced."""
    found = ((code_of(*function), reader) for function, reader in _functions().items())
    return {code: reader for code, reader in found if code is not None}


def library_files() -> set[str]:
    """The source files of those functions."""
    return {code.co_filename for code in stdlib_readers()}


def primitives() -> Sequence[type]:
    """None: a lock of the kernel's does not know its waiters."""
    return ()


def make_explainer(found: Sequence[Any]) -> Explainer:
    """Threads are explained by their frames alone."""
    readers = stdlib_readers()
    inside = library_files().__contains__

    def explain(unit: Any, codes: Sequence[CodeType], frame: FrameType | None) -> Wait | None:
        return explain_by_frames(codes, frame, readers, inside)

    return explain
