"""asyncio: its tasks and their stacks through what they await, its loops, and what is on a loop's thread."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from types import (
    AsyncGeneratorType,
    CodeType,
    CoroutineType,
    FrameType,
    GeneratorType,
    GetSetDescriptorType,
    MethodDescriptorType,
)
from typing import Any, NamedTuple

from manhole.compat._safely import attributes_of, clean_name, code_name, type_name

__all__ = [
    "LoopFacts",
    "TaskFacts",
    "coroutine_name",
    "coroutine_runs",
    "is_coroutine",
    "is_loop_code",
    "loop_classes",
    "make_task_reader",
    "read_coroutine",
    "read_loop",
    "task_classes",
]

# Where a coroutine may lead to; a chain longer than this is taken for a ring.
MAX_DEPTH = 1000

# How each of the three kinds tells where it stands and what it awaits. The getters are C and run nothing.
_AWAITABLES: dict[type, tuple[Any, Any]] = {
    CoroutineType: (CoroutineType.cr_frame.__get__, CoroutineType.cr_await.__get__),
    GeneratorType: (GeneratorType.gi_frame.__get__, GeneratorType.gi_yieldfrom.__get__),
    AsyncGeneratorType: (AsyncGeneratorType.ag_frame.__get__, AsyncGeneratorType.ag_await.__get__),
}
# Whether a coroutine, and nothing but a coroutine, runs; in C.
coroutine_runs: Callable[[Any], bool] = CoroutineType.cr_running.__get__
_generator_runs: Callable[[Any], bool] = GeneratorType.gi_running.__get__


class TaskFacts(NamedTuple):
    """What a task says of itself.

    state: as of :class:`manhole.Unit`.
    name: its name.
    loop: its event loop.
    coroutine: what it runs, None if it has let go of it.
    positions: code and f_lasti of each level, outermost first.
    innermost: the frame of the last of them.
    source: the stack where it was made as asyncio's debug mode records it, None in any other.
    """

    state: str
    name: str
    loop: Any
    coroutine: Any
    positions: list[tuple[CodeType, int]]
    innermost: FrameType | None
    source: Any


class LoopFacts(NamedTuple):
    """What an event loop says of itself: its class, and the ident of the thread that runs it, None if none does."""

    name: str
    thread: int | None


def _asyncio_classes(module: str, *names: str) -> list[type]:
    found = (getattr(sys.modules.get(module), name, None) for name in names)
    return [cls for cls in found if isinstance(cls, type)]


def task_classes() -> list[type]:
    """The classes of tasks, C and Python; empty if asyncio is not loaded."""
    return _asyncio_classes("asyncio.tasks", "Task", "_PyTask", "_CTask")


def loop_classes() -> list[type]:
    """The base class of event loops; empty if asyncio is not loaded."""
    return _asyncio_classes("asyncio.events", "AbstractEventLoop")


def _make_getter(cls: type, name: str) -> Callable[[Any], Any]:
    """A function that reads the attribute *name* of an instance of *cls* by the slot of a C class among its bases.

    A subclass may have hidden the slot behind a property, and a class in Python has none: then its dict is read.
    """
    for base in type.mro(cls):
        slot = type.__dict__["__dict__"].__get__(base).get(name)
        if type(slot) is GetSetDescriptorType:
            read: Callable[[Any], Any] = slot.__get__
            return read
    return lambda instance: attributes_of(instance).get(name)


def _make_name_getter(cls: type) -> Callable[[Any], Any]:
    for base in type.mro(cls):
        method = type.__dict__["__dict__"].__get__(base).get("get_name")
        if type(method) is MethodDescriptorType:
            return method
    return lambda instance: attributes_of(instance).get("_name")


def make_task_reader() -> Callable[[Any], TaskFacts]:
    """A function from a task to its :class:`TaskFacts`, which runs no code of the application."""
    getters: dict[type, tuple[Callable[[Any], Any], ...]] = {}

    def read(task: Any) -> TaskFacts:
        cls = type(task)
        if cls not in getters:
            getters[cls] = (
                *(_make_getter(cls, name) for name in ("_state", "_loop", "_coro", "_source_traceback")),
                _make_name_getter(cls),
            )
        get_state, get_loop, get_coroutine, get_source, get_name = getters[cls]
        coroutine = get_coroutine(task)
        levels = read_coroutine(coroutine)
        positions = [position for _frame, position in levels]
        innermost = levels[-1][0] if levels else None
        if get_state(task) not in (None, "PENDING"):  # None: the Python class keeps the first state for itself
            state = "finished"
        elif _is_running(coroutine):
            state = "running"
        elif len(positions) == 1 and positions[0][1] < 0:
            state = "not started"
        else:
            state = "suspended"
        name = clean_name(get_name(task)) or ""
        return TaskFacts(state, name, get_loop(task), coroutine, positions, innermost, get_source(task))

    return read


def is_coroutine(awaitable: Any) -> bool:
    """Whether coroutine_runs() may be asked about it."""
    return type(awaitable) is CoroutineType


def _is_running(coroutine: Any) -> bool:
    """Whether it runs at this moment."""
    kind = type(coroutine)
    if kind is CoroutineType:
        return coroutine_runs(coroutine)
    return kind is GeneratorType and _generator_runs(coroutine)


def read_coroutine(awaitable: Any) -> list[tuple[FrameType, tuple[CodeType, int]]]:
    """The frame, and its code and f_lasti, of each level of what a task runs, outermost first. Let go of it soon."""
    levels: list[tuple[FrameType, tuple[CodeType, int]]] = []
    while len(levels) < MAX_DEPTH:
        getters = _AWAITABLES.get(type(awaitable))
        frame = getters[0](awaitable) if getters else None
        if getters is None or frame is None:
            break
        levels.append((frame, (frame.f_code, frame.f_lasti)))
        awaitable = getters[1](awaitable)
    return levels


def coroutine_name(coroutine: Any) -> str:
    """What a task runs: the name of its coroutine's function, or the class of whatever it is."""
    kind = type(coroutine)
    if kind in _AWAITABLES:
        code = coroutine.cr_code if kind is CoroutineType else getattr(coroutine, "gi_code", None)
        return code_name(code) if code is not None else ""
    return type_name(kind)


def read_loop(loop: Any) -> LoopFacts:
    """What *loop* says of itself. A loop that is not written in Python does not tell its thread."""
    thread = attributes_of(loop).get("_thread_id")
    return LoopFacts(type_name(type(loop)), thread if type(thread) is int else None)


def is_loop_code(codes: Sequence[CodeType]) -> bool:
    """Whether a loop's thread whose stack this is, outermost first, runs the loop itself and none of its callbacks."""
    base = getattr(sys.modules.get("asyncio.base_events"), "BaseEventLoop", None)
    run_once = getattr(getattr(base, "_run_once", None), "__code__", None)
    run = getattr(getattr(getattr(sys.modules.get("asyncio.events"), "Handle", None), "_run", None), "__code__", None)
    if run_once in codes:
        return run not in codes[codes.index(run_once) :]
    folder = os.path.dirname(getattr(sys.modules.get("asyncio"), "__file__", None) or "?") + os.sep
    return bool(codes) and codes[-1].co_filename.startswith(folder)
