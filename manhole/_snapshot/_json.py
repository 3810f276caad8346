"""A snapshot as JSON; docs/snapshot.schema.json describes it field by field.

It is written by hand and not by `json.dumps`, which would need all of a big process as dicts first. Frames and stacks
are in tables, so that each is in it once; of a unit and its wait, what is not known is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from json.encoder import encode_basestring_ascii as _quote
from math import isfinite

from manhole._snapshot._model import Frame, Hub, Process, Snapshot, Unit, Wait
from manhole._snapshot._verdict import format_verdict

__all__ = ["SCHEMA_VERSION", "format_json", "quote"]

# Counts up when a reader of the old form could not read the new one.
SCHEMA_VERSION = 1
# So many lines of a table are one chunk. Arbitrary; some ten kilobytes.
_LINES_A_CHUNK = 100

# Plain ASCII comes out, also for half a surrogate pair, as in a file's name that is no UTF-8.
quote: Callable[[str], str] = _quote


def format_json(snapshot: Snapshot) -> Iterator[str]:
    """Chunks of one JSON document in ASCII, each small, with a line for each frame, stack and unit.

    A pure function of *snapshot*: safe on any thread and in any greenlet.
    """
    tables = Tables(snapshot.units)
    yield (
        f'{{"manhole_snapshot": {SCHEMA_VERSION},\n"process": {_process(snapshot.process)},\n'
        f'"time": {number(snapshot.time)},\n"verdict": {_strings(format_verdict(snapshot))},\n'
        f'"unseen": {_strings(snapshot.unseen)},\n"finished": {snapshot.finished}'
    )
    yield from _table("hubs", map(_hub, snapshot.hubs))
    yield from _table("deadlocks", (f'{{"units": {_integers(lock.units)}}}' for lock in snapshot.deadlocks))
    yield from _table("frames", map(_frame, tables.frames))
    yield from _table("stacks", map(_integers, tables.stacks))
    for name, units in (("threads", snapshot.threads), ("greenlets", snapshot.greenlets), ("tasks", snapshot.tasks)):
        yield from _table(name, _units(units, tables))
    yield "}\n"


class Tables:
    """The different frames and stacks of units, by number.

    They are told apart by identity: equal ones of a snapshot are one object, which it keeps alive.

    :ivar frames: the frames.
    :ivar stacks: the stacks, as indices into *frames*, outermost first.
    :ivar numbers: the index of each stack in *stacks*, by `id()`.
    """

    def __init__(self, units: Iterable[Unit]) -> None:
        self.frames: list[Frame] = []
        self.stacks: list[list[int]] = []
        self.numbers: dict[int, int] = {}
        self._frame_numbers: dict[int, int] = {}
        for unit in units:
            if id(unit.frames) not in self.numbers:
                self._add(unit.frames)
            if unit.spawning_stack and id(unit.spawning_stack) not in self.numbers:
                self._add(unit.spawning_stack)

    def _add(self, frames: tuple[Frame, ...]) -> None:
        self.numbers[id(frames)] = len(self.stacks)
        self.stacks.append([self._number(frame) for frame in frames])

    def _number(self, frame: Frame) -> int:
        known = self._frame_numbers.get(id(frame))
        if known is None:
            known = self._frame_numbers[id(frame)] = len(self.frames)
            self.frames.append(frame)
        return known


def number(value: float | None) -> str:
    """A number, or null for None and for what JSON has not got."""
    return repr(value) if value is not None and isfinite(value) else "null"


def _table(name: str, lines: Iterable[str]) -> Iterator[str]:
    chunk = [f',\n"{name}": [']
    separator = "\n"
    for line in lines:
        chunk += (separator, line)
        separator = ",\n"
        if len(chunk) > 2 * _LINES_A_CHUNK:
            yield "".join(chunk)
            chunk = []
    chunk.append("]")
    yield "".join(chunk)


def _units(units: Iterable[Unit], tables: Tables) -> Iterator[str]:
    numbers = tables.numbers
    for unit in units:
        thread = "null" if unit.thread is None else unit.thread
        line = (
            f'{{"ident": {unit.ident}, "kind": {quote(unit.kind)}, "type": {quote(unit.type)}, '
            f'"name": {quote(unit.name)}, "state": {quote(unit.state)}, "thread": {thread}, '
            f'"stack": {numbers[id(unit.frames)]}'
        )
        if unit.hub is not None:
            line += f', "hub": {unit.hub}'
        if unit.parent is not None:
            line += f', "parent": {unit.parent}'
        if unit.spawner is not None:
            line += f', "spawner": {unit.spawner}'
        if unit.spawning_stack:
            line += f', "spawning_stack": {numbers[id(unit.spawning_stack)]}'
        if unit.age is not None:
            line += f', "age": {number(unit.age)}'
        if unit.wait is not None:
            line += f', "wait": {_wait(unit.wait)}'
        yield line + (', "own": true}' if unit.own else "}")


def _wait(wait: Wait) -> str:
    line = f'{{"kind": {quote(wait.kind)}'
    if wait.type:
        line += f', "type": {quote(wait.type)}'
    if wait.ident is not None:
        line += f', "ident": {wait.ident}'
    if wait.owners:
        line += f', "owners": {_integers(wait.owners)}'
    if wait.descriptor is not None:
        line += f', "descriptor": {wait.descriptor}'
    if wait.direction:
        line += f', "direction": {quote(wait.direction)}'
    if wait.local:
        line += f', "local": {quote(wait.local)}'
    if wait.remote:
        line += f', "remote": {quote(wait.remote)}'
    if wait.seconds is not None:
        line += f', "seconds": {number(wait.seconds)}'
    return line + "}"


def _process(process: Process) -> str:
    libraries = ", ".join(f"{quote(name)}: {quote(version)}" for name, version in process.libraries)
    patched = ", ".join(f"{quote(name)}: {_strings(modules)}" for name, modules in process.patched)
    return (
        f'{{"pid": {process.pid}, "argv": {_strings(process.argv)}, "uptime": {number(process.uptime)}, '
        f'"implementation": {quote(process.implementation)}, "python": {quote(process.python)}, '
        f'"libraries": {{{libraries}}}, "patched": {{{patched}}}}}'
    )


def _hub(hub: Hub) -> str:
    return (
        f'{{"ident": {hub.ident}, "kind": {quote(hub.kind)}, "name": {quote(hub.name)}, '
        f'"thread": {number(hub.thread)}, "state": {quote(hub.state)}, "unit": {number(hub.unit)}, '
        f'"frame": {"null" if hub.frame is None else _frame(hub.frame)}, "seconds": {number(hub.seconds)}, '
        f'"samples": {hub.samples}}}'
    )


def _frame(frame: Frame) -> str:
    return f"[{quote(frame.file)}, {frame.line}, {quote(frame.function)}]"


def _strings(values: Iterable[str]) -> str:
    return f"[{', '.join(map(quote, values))}]"


def _integers(values: Iterable[int]) -> str:
    return f"[{', '.join(map(str, values))}]"
