"""One thread, greenlet or task as text: its stack with the variables of each frame, and where it comes from."""

from __future__ import annotations

import traceback
from collections.abc import Iterator, Sequence
from types import FrameType
from typing import Any

from manhole import compat
from manhole._errors import NoSuchFrame
from manhole._snapshot import FoundUnit, Frame, Snapshot, Unit, find_unit, format_headline
from manhole._snapshot._greenlets import running_now
from manhole._snapshot._interning import Frames
from manhole._snapshot._source import SourceLines
from manhole._snapshot._stacks import Level, frame_of_thread, iterate_levels
from manhole._snapshot._words import escape, is_ours, name_unit
from manhole._values import read_locals, short_repr

__all__ = ["format_locals", "format_unit"]

# Variables that a whole stack shows of each frame. Arbitrary; format_locals() shows all.
MAX_VARIABLES = 20


def format_unit(ident: int) -> Iterator[str]:
    """The lines that tell all of a thread, greenlet or task: what a full dump does, its variables, where it comes from.

    Its frames are numbered, 0 is the outermost; of each the arguments of its function come first.

    :param ident: as dumps show it.
    :raises NoSuchUnit: if there is none of that ident.

    All is read before this returns, and nothing of it is kept. Code of the application runs: each value's `repr()`.
    For any thread; a greenlet that goes on meanwhile shows what it had when its stack was read.
    """
    found = find_unit(ident)
    unit, snapshot = found.unit, found.snapshot
    lines = format_headline(unit, snapshot)
    spawner = _describe_spawner(unit, snapshot)
    if spawner:
        lines.append(f"Spawned by {escape(spawner)}")
    sources = SourceLines()
    born_at = _spawning_stack(found)
    if born_at:
        lines.append("Spawned at, the outermost frame first:")
        for frame in born_at:
            lines += _format_frame("", frame, sources)
    stack = _read_stack(found)
    lines.append("Its stack, the outermost frame first:" if stack else "It has no stack to show.")
    for number, (raw, frame) in enumerate(stack):
        lines += _format_frame(str(number), frame, sources)
        variables = read_locals(raw)
        lines += _format_variables(variables[:MAX_VARIABLES])
        if len(variables) > MAX_VARIABLES:
            lines.append(f"        and {len(variables) - MAX_VARIABLES:,} more: %locals {ident:#x} {number}")
    return iter(lines)


def format_locals(ident: int, frame_number: int) -> Iterator[str]:
    """The lines of one frame of a thread, greenlet or task with all its variables.

    :param ident: as dumps show it.
    :param frame_number: as format_unit() counts them.
    :raises NoSuchUnit: if there is none of that ident.
    :raises NoSuchFrame: if its stack has no such frame.

    As format_unit() in all else.
    """
    found = find_unit(ident)
    stack = _read_stack(found)
    if not 0 <= frame_number < len(stack):
        raise NoSuchFrame(ident, frame_number, len(stack))
    raw, frame = stack[frame_number]
    variables = read_locals(raw)
    lines = _format_frame(str(frame_number), frame, SourceLines())
    return iter([*lines, *(_format_variables(variables) if variables else ["        no variables"])])


def _read_stack(found: FoundUnit) -> list[tuple[FrameType, Frame]]:
    """The unit's frames at this moment and what they say, outermost first, without those of the manhole itself."""
    levels = _read_levels(found)
    frames = Frames().stack([position for _raw, position in levels])
    stack = [(raw, frame) for (raw, _position), frame in zip(levels, frames, strict=True) if not is_ours(frame)]
    levels.clear()  # frames of ours may be among them: a ring would keep them all
    return stack


def _read_levels(found: FoundUnit) -> list[Level]:
    """All of them."""
    unit, thing = found.unit, found.thing
    slots = compat.greenlet_slots()
    if unit.kind == "Task":
        return compat.asyncio_tasks.read_coroutine(_facts_of(thing).coroutine)
    if unit.kind == "thread":
        return list(iterate_levels(frame_of_thread(unit.ident)))[::-1]
    if slots is None or unit.state == "finished":
        return []
    levels = list(iterate_levels(map(slots.top_frame, (thing,))))
    if not levels and unit.thread is not None:
        # Whether it runs, and what its thread does, in one C call.
        parts: list[Iterator[Any]] = [running_now(slots, (thing,)), iterate_levels(frame_of_thread(unit.thread))]
        (is_running,), levels = map(list, parts)
        if not is_running:
            levels.clear()
    levels.reverse()
    return levels


def _facts_of(task: Any) -> compat.asyncio_tasks.TaskFacts:
    return compat.asyncio_tasks.make_task_reader()(task)


def _spawning_stack(found: FoundUnit) -> Sequence[Frame]:
    """Where the unit was spawned, outermost first: as gevent records it, or asyncio in its debug mode."""
    if found.unit.kind != "Task":
        return found.unit.spawning_stack
    source = _facts_of(found.thing).source
    levels = source if type(source) is traceback.StackSummary else ()
    return [Frame(level.filename, level.lineno or 0, level.name) for level in levels]


def _describe_spawner(unit: Unit, snapshot: Snapshot) -> str:
    if unit.spawner is None:
        return ""
    spawner = next((one for one in snapshot.units if one.ident == unit.spawner), None)
    return f"{unit.spawner:#x}, which is gone" if spawner is None else f"{name_unit(spawner)}, {spawner.state}"


def _format_frame(number: str, frame: Frame, sources: SourceLines) -> list[str]:
    lines = [escape(f'{number:>3} File "{frame.file}", line {frame.line}, in {frame.function}')]
    source = escape(sources.line(frame.file, frame.line).expandtabs(4))
    return [*lines, f"      {source}"] if source else lines


def _format_variables(variables: Sequence[tuple[str, Any]]) -> list[str]:
    return [escape(f"        {name} = {short_repr(value)}") for name, value in variables]
