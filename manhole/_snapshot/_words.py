"""How the formats call things: units, places, waits, spans of time."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from manhole._snapshot._model import Frame, Unit, Wait

__all__ = [
    "describe_wait",
    "describe_waits",
    "escape",
    "find_telling_frame",
    "format_count",
    "format_place",
    "format_seconds",
    "is_ours",
    "name_thread",
    "name_unit",
]

# So many owners of one thing are named. Arbitrary.
MAX_OWNERS = 3
_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
_STDLIB = os.path.dirname(os.__file__) + os.sep
_INSTALLED = (f"{os.sep}site-packages{os.sep}", f"{os.sep}dist-packages{os.sep}")
_RUNTIMES = tuple(place + name + os.sep for place in _INSTALLED for name in ("gevent", "eventlet", "greenlet"))
_NOBODY: Mapping[int, str] = {}


def escape(text: str) -> str:
    """*text* with everything unprintable escaped as in Python's source, so that it cannot steer a terminal."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "backslashreplace").decode() for c in text)


def name_unit(unit: Unit) -> str:
    """Its kind, name and ident, such as "Greenlet worker 0x7f12"."""
    if unit.kind == "thread":
        return f"thread {name_thread(unit, unit.ident)}"
    return f"{unit.kind} {unit.name} {unit.ident:#x}" if unit.name else f"{unit.kind} {unit.ident:#x}"


def name_thread(thread: Unit | None, ident: int) -> str:
    """A thread's name, or its ident if it has none or is not known."""
    return thread.name if thread is not None and thread.name else str(ident)


def format_count(count: int, word: str) -> str:
    """Such as "1 Greenlet", "9,812 Greenlets"."""
    return f"{count:,} {word}{'' if count == 1 else 's'}"


def format_seconds(seconds: float) -> str:
    """A span such as "0.15 s", "4.2 s", "48 s", "3 min 20 s", "2 h 5 min", "3 d 4 h"."""
    if seconds < 0.995:
        return f"{seconds:.2f} s"
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    if not seconds < 1e12:  # infinity and "not a number" too
        return f"{seconds:.0f} s"
    whole = round(seconds)
    if whole < 120:
        return f"{whole} s"
    if whole < 7200:
        return f"{whole // 60} min {whole % 60} s"
    if whole < 172800:
        return f"{whole // 3600} h {whole % 3600 // 60} min"
    return f"{whole // 86400} d {whole % 86400 // 3600} h"


def format_place(frame: Frame) -> str:
    """Where a frame is, such as "/srv/app.py:12 in handle"."""
    return f"{frame.file}:{frame.line} in {frame.function}"


def is_ours(frame: Frame) -> bool:
    """Whether it is the manhole's own code."""
    return frame.file.startswith(_PACKAGE)


def find_telling_frame(frames: Sequence[Frame]) -> Frame | None:
    """The innermost frame that is neither of the standard library nor of a runtime; else the innermost of all."""
    for frame in reversed(frames):
        file = frame.file
        if any(place in file for place in _INSTALLED):
            if not any(place in file for place in _RUNTIMES):
                return frame
        elif not file.startswith((_STDLIB, _PACKAGE, "<frozen ")):
            return frame
    return frames[-1] if frames else None


def describe_wait(wait: Wait, names: Mapping[int, str] = _NOBODY) -> str:
    """What is waited for, as a phrase to follow "waits for".

    :param names: what to call owners, by ident; those not in it are called by their ident.
    """
    return f"{_thing(wait, names)}{_time_left(wait.seconds)}"


def describe_waits(waits: Sequence[Wait], names: Mapping[int, str] = _NOBODY) -> str:
    """What several wait for who wait for the same kind of thing: all that they have in common."""
    first = waits[0]
    if all(wait == first for wait in waits):  # most often the second already ends this; a set would hash them all
        return describe_wait(first, names)
    if all(_without_time(wait) == _without_time(first) for wait in waits):
        thing = _thing(first, names)
    else:
        directions = {wait.direction for wait in waits}
        types = {wait.type for wait in waits}
        bare = Wait(
            first.kind,
            type=first.type if len(types) == 1 else "",
            direction=first.direction if len(directions) == 1 else "",
        )
        thing = _thing(bare, names)
    seconds = [wait.seconds for wait in waits if wait.seconds is not None]
    if not seconds:
        return thing
    return f"{thing}, {format_seconds(max(0.0, min(seconds)))} to {format_seconds(max(0.0, *seconds))} left"


def _without_time(wait: Wait) -> tuple[object, ...]:
    return wait.type, wait.ident, wait.owners, wait.descriptor, wait.direction, wait.local, wait.remote


def _time_left(seconds: float | None) -> str:
    if seconds is None:
        return ""
    return f", {format_seconds(seconds)} left" if seconds >= 0 else f", overdue by {format_seconds(-seconds)}"


def _thing(wait: Wait, names: Mapping[int, str]) -> str:
    kind = wait.kind
    which = f"{wait.type} {wait.ident:#x}" if wait.type and wait.ident is not None else wait.type
    if not which and wait.ident is not None:
        which = f"{wait.ident:#x}"
    owners = ", ".join(names.get(ident) or f"{ident:#x}" for ident in wait.owners[:MAX_OWNERS])
    if len(wait.owners) > MAX_OWNERS:
        owners += f" and {len(wait.owners) - MAX_OWNERS:,} more"
    if kind == "descriptor":
        return _describe_descriptor(wait)
    if kind == "unit":
        return f"the end of {owners or which or 'another unit'}"
    if kind == "process":
        return f"the end of a process{f' ({which})' if which else ''}"
    fixed = {"timer": "a timer", "DNS": "a DNS look-up", "thread pool": "the thread pool"}.get(kind)
    if fixed is not None:
        return fixed
    thing = f"{kind} ({which})" if which else f"{'an' if kind[:1] in 'aeiou' else 'a'} {kind}"
    if kind == "queue":
        thing = {"get": f"an item from {thing}", "put": f"room in {thing}"}.get(wait.direction, thing)
    return f"{thing} owned by {owners}" if owners else thing


def _describe_descriptor(wait: Wait) -> str:
    number = "a descriptor" if wait.descriptor is None else f"descriptor {wait.descriptor}"
    purpose = {"read": " for reading", "write": " for writing", "read or write": " for reading or writing"}
    arrow = {"read": "<-", "write": "->"}.get(wait.direction, "<->")
    ends = f"{wait.local} {arrow} {wait.remote}" if wait.remote else wait.local
    return f"{number}{purpose.get(wait.direction, '')}{f', {escape(ends.strip())}' if ends else ''}"
