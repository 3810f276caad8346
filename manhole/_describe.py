"""What a program is told of the process that it is connected to, cheaply: no stack is read."""

from __future__ import annotations

from types import CodeType, FrameType
from typing import Any

from manhole import compat
from manhole._hub_list import list_known_hubs
from manhole._snapshot import collect_process
from manhole._version import __version__

__all__ = ["describe_hubs", "describe_process"]


def describe_process() -> dict[str, Any]:
    """The manhole's version and the process, as plain data. From any thread; takes no lock."""
    process = collect_process()
    return {
        "manhole": __version__,
        "process": {
            "pid": process.pid,
            "argv": list(process.argv),
            "uptime": process.uptime,
            "implementation": process.implementation,
            "python": process.python,
            "libraries": dict(process.libraries),
            "patched": {name: list(modules) for name, modules in process.patched},
        },
    }


def describe_hubs() -> list[dict[str, Any]]:
    """The hubs that are known, as plain data; looks for them if there are none. From any thread; takes no lock.

    Their state is what one look at their thread tells: a snapshot looks several times.
    """
    return [
        {
            "number": hub.number,
            "kind": hub.kind,
            "name": hub.name,
            "thread": hub.thread,
            "thread_name": hub.thread_name,
            "state": _state_of(hub.kind, hub.thread),
        }
        for hub in list_known_hubs()
    ]


def _state_of(kind: str, thread: int | None) -> str:
    codes = _codes_of(thread)
    if not codes:
        return "unknown"
    is_loop_code = compat.asyncio_tasks.is_loop_code
    for runtime in compat.RUNTIMES:
        if runtime.name == kind:
            is_loop_code = runtime.is_loop_code
    return "in its loop" if is_loop_code(codes) else "running"


def _codes_of(thread: int | None) -> list[CodeType]:
    """What is on a thread's stack, outermost first."""
    frame: FrameType | None = compat.current_frames().get(thread or 0)
    codes = []
    while frame is not None:
        codes.append(frame.f_code)
        frame = frame.f_back
    return codes[::-1]
