"""What asyncio's tasks wait for: the future that is to wake a task, and the function of asyncio's that awaits it."""

from __future__ import annotations

import _socket
import os
import sys
from collections.abc import Iterator, Sequence
from functools import partial
from types import AsyncGeneratorType, CodeType, CoroutineType, FrameType, FunctionType, GeneratorType
from typing import Any

from manhole.compat._contract import Explainer, Wait
from manhole.compat._safely import attributes_of, type_name
from manhole.compat._variables import (
    Reader,
    addresses_of,
    code_of,
    read_variables,
    seconds_until,
    slot_of,
    wait_for,
)

__all__ = ["make_explainer", "primitives"]

# Arbitrary; coroutines await each other in a chain that an application may make as long as it likes.
MAX_AWAITS = 10_000
_AWAITS: dict[Any, tuple[str, str]] = {
    CoroutineType: ("cr_frame", "cr_await"),
    GeneratorType: ("gi_frame", "gi_yieldfrom"),
    AsyncGeneratorType: ("ag_frame", "ag_await"),
}


def primitives() -> Sequence[type]:
    """None: a task itself knows what it waits for."""
    return ()


def _awaited_frames(coroutine: Any) -> Iterator[FrameType]:
    """The frames of a suspended coroutine and of what it awaits, outermost first; they are not linked to each other."""
    for _ in range(MAX_AWAITS):
        names = _AWAITS.get(type(coroutine))
        if names is None:
            return
        frame, coroutine = getattr(coroutine, names[0]), getattr(coroutine, names[1])
        if frame is None:
            return
        yield frame


def _object(kind: str, frame: FrameType, *, direction: str = "") -> Wait | None:
    return wait_for(kind, read_variables(frame, "self")[0], direction=direction)


def _slept(frame: FrameType) -> Wait | None:
    handle = read_variables(frame, "h")[0]
    when = None if handle is None else slot_of(handle, "_when")
    return wait_for("timer", handle, seconds=seconds_until(when))  # the loops' clock is the monotonic one


def _socket_wait(direction: str, frame: FrameType) -> Wait | None:
    return _describe(read_variables(frame, "sock")[0], direction)


def _describe(sock: Any, direction: str) -> Wait | None:
    if sock is None or not issubclass(type(sock), _socket.socket):
        return None
    descriptor = _socket.socket.fileno(sock)
    if descriptor < 0:
        return None
    return Wait("descriptor", type_name(type(sock)), id(sock), (), descriptor, direction, *addresses_of(descriptor))


def _stream(direction: str, frame: FrameType) -> Wait | None:
    """A StreamReader, or the protocol of a StreamWriter; the transport's own name for its socket is looked for."""
    transport = attributes_of(read_variables(frame, "self")[0]).get("_transport")
    wait = None if transport is None else _describe(attributes_of(transport).get("_sock"), direction)
    return wait or wait_for("descriptor", transport, direction=direction)


def _written(frame: FrameType) -> Wait | None:
    transport = attributes_of(read_variables(frame, "self")[0]).get("_transport")
    wait = None if transport is None else _describe(attributes_of(transport).get("_sock"), "write")
    return wait or wait_for("descriptor", transport, direction="write")


def _plain(kind: str, _frame: FrameType) -> Wait:
    return Wait(kind)


class _Explainer:
    """All that has to be looked up once."""

    def __init__(self) -> None:
        self.tasks = tuple(
            cls
            for module, name in (("_asyncio", "Task"), ("asyncio.tasks", "_PyTask"), ("asyncio.tasks", "Task"))
            if isinstance(cls := getattr(sys.modules.get(module), name, None), type)
        )
        self.gathering = getattr(sys.modules.get("asyncio.tasks"), "_GatheringFuture", None)
        chain = code_of("asyncio.futures", "_chain_future")
        # The callbacks that tie a future to one of an executor's, or of run_coroutine_threadsafe()'s.
        self.chained = {code for code in (chain.co_consts if chain else ()) if type(code) is CodeType}
        self.readers = self._find_readers()
        self.folder = os.path.dirname(str(sys.modules["asyncio"].__file__)) + os.sep

    def _find_readers(self) -> dict[CodeType, Reader]:
        loop, event, read, write = (
            "asyncio.selector_events",
            partial(_object, "event"),
            partial(_socket_wait, "read"),
            partial(_socket_wait, "write"),
        )
        functions: dict[tuple[str, str], Reader] = {
            ("asyncio.tasks", "sleep"): _slept,
            ("asyncio.tasks", "_wait"): partial(self._several, "fs"),
            ("asyncio.tasks", "wait"): partial(self._several, "fs"),
            ("asyncio.tasks", "wait_for"): partial(self._several, "fut"),
            ("asyncio.taskgroups", "TaskGroup.__aexit__"): self._group,
            ("asyncio.taskgroups", "TaskGroup._aexit"): self._group,
            ("asyncio.locks", "Lock.acquire"): partial(_object, "lock"),
            ("asyncio.locks", "Semaphore.acquire"): partial(_object, "semaphore"),
            ("asyncio.locks", "Event.wait"): event,
            ("asyncio.locks", "Condition.wait"): event,
            ("asyncio.locks", "Barrier.wait"): event,
            ("asyncio.queues", "Queue.get"): partial(_object, "queue", direction="get"),
            ("asyncio.queues", "Queue.put"): partial(_object, "queue", direction="put"),
            ("asyncio.queues", "Queue.join"): partial(_object, "queue"),
            ("asyncio.threads", "to_thread"): partial(_plain, "thread pool"),
            ("asyncio.base_events", "BaseEventLoop.getaddrinfo"): partial(_plain, "DNS"),
            ("asyncio.base_events", "BaseEventLoop.getnameinfo"): partial(_plain, "DNS"),
            ("asyncio.base_subprocess", "BaseSubprocessTransport._wait"): partial(_object, "process"),
            ("asyncio.subprocess", "Process.wait"): partial(_object, "process"),
            ("asyncio.subprocess", "Process.communicate"): partial(_object, "process"),
            ("asyncio.streams", "StreamReader._wait_for_data"): partial(_stream, "read"),
            ("asyncio.streams", "FlowControlMixin._drain_helper"): _written,
            (loop, "BaseSelectorEventLoop.sock_sendall"): write,
            (loop, "BaseSelectorEventLoop.sock_sendto"): write,
            (loop, "BaseSelectorEventLoop.sock_connect"): write,
        }
        for name in ("sock_recv", "sock_recv_into", "sock_recvfrom", "sock_recvfrom_into", "sock_accept"):
            functions[loop, f"BaseSelectorEventLoop.{name}"] = read
        found = ((code_of(*function), reader) for function, reader in functions.items())
        return {code: reader for code, reader in found if code is not None}

    def _is_task(self, one: Any) -> bool:
        return issubclass(type(one), self.tasks)

    def _owners(self, awaited: Any) -> tuple[int, ...]:
        several = list(awaited) if type(awaited) in (list, tuple, set, frozenset) else [awaited]
        return tuple(id(one) for one in several if self._is_task(one) and slot_of(one, "_state") == "PENDING")

    def _several(self, name: str, frame: FrameType) -> Wait | None:
        owners = self._owners(read_variables(frame, name)[0])
        return Wait("unit", owners=owners) if owners else None

    def _group(self, frame: FrameType) -> Wait | None:
        group = read_variables(frame, "self")[0]
        return wait_for("unit", group, owners=self._owners(attributes_of(group).get("_tasks")))

    def _explain_future(self, future: Any) -> Wait | None:
        if self._is_task(future):
            return wait_for("unit", future, owners=(id(future),))
        # The class is asyncio's own, so this look-up runs nothing else; a future in C does not give its dict away.
        if type(future) is self.gathering and (owners := self._owners(future._children)):
            return wait_for("unit", future, owners=owners)
        callbacks = slot_of(future, "_callbacks")
        for entry in list(callbacks) if type(callbacks) is list else ():
            callback = entry[0] if type(entry) is tuple and entry else None
            if type(callback) is FunctionType and callback.__code__ in self.chained:
                return Wait("thread pool")
        return None

    def __call__(self, unit: Any, codes: Sequence[CodeType], frame: FrameType | None, /) -> Wait | None:
        future = slot_of(unit, "_fut_waiter") if self._is_task(unit) else None
        if future is None:
            return None
        tail = []  # asyncio's own functions, innermost first
        for one in reversed(list(_awaited_frames(slot_of(unit, "_coro")))):
            if not one.f_code.co_filename.startswith(self.folder):
                break
            tail.append(one)
        for one in reversed(tail):
            reader = self.readers.get(one.f_code)
            wait = reader(one) if reader is not None else None
            if wait is not None and slot_of(unit, "_fut_waiter") is future:  # else it has gone on meanwhile
                return wait
        return self._explain_future(future)


def make_explainer(found: Sequence[Any]) -> Explainer | None:
    """Tasks are explained by themselves; None if asyncio is not loaded."""
    return _Explainer() if "asyncio.tasks" in sys.modules else None
