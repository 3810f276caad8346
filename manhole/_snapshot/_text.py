"""A snapshot as text for a person."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice
from typing import NamedTuple

from manhole._errors import InvalidOption
from manhole._snapshot._groups import Group, Section, group_units, list_sections
from manhole._snapshot._lines import BOLD, MIN_WIDTH, PROBLEM, cut_right, paint, wrap
from manhole._snapshot._model import Frame, Snapshot, Unit
from manhole._snapshot._stacklines import StackLines
from manhole._snapshot._verdict import list_findings
from manhole._snapshot._words import (
    describe_wait,
    describe_waits,
    escape,
    format_count,
    format_place,
    format_seconds,
    is_ours,
    name_thread,
    name_unit,
)

__all__ = ["describe_wait", "format_headline", "format_text"]

# How many different names of a group are shown. Arbitrary.
MAX_NAMES = 4
# How many innermost frames are shown where there is no room for all. Arbitrary.
INNERMOST = 5


def format_text(
    snapshot: Snapshot,
    *,
    full: bool = False,
    width: int | None = None,
    colour: bool = False,
    max_lines: int | None = None,
    whole: Snapshot | None = None,
) -> Iterator[str]:
    """The lines of a dump, without line ends.

    The verdict, then each thread with its stack and with the greenlets and tasks that belong to it; identical stacks
    are shown once, the largest group first. The stack of what runs on a thread is the thread's and is shown once.
    Nothing unprintable is in it.

    :param full: show each unit apart, with all that is known of it.
    :param width: columns that no line exceeds, at least 20; None: lines are as long as they need to be.
    :param colour: colours by ECMA-48's SGR sequences, for a terminal.
    :param max_lines: show no more lines than that. If it is too few, problems and threads come first, stacks are
        shortened, and the last line says how much is not shown and what shows it. None: no limit.
    :param whole: what *snapshot* was selected from, for the verdict and the names of threads.
    :raises InvalidOption: *width* or *max_lines* is too small.

    A pure function but for source files, which it reads: safe on any thread and in any greenlet.
    """
    if width is not None and width < MIN_WIDTH:
        raise InvalidOption("width", width, f"None, or at least {MIN_WIDTH}")
    if max_lines is not None and max_lines < 1:
        raise InvalidOption("max_lines", max_lines, "None, or at least 1")
    text = _Text(snapshot, full, width, colour, whole or snapshot)
    if max_lines is None:
        return text.lines()
    lines = list(islice(text.lines(), max_lines + 1))
    return iter(lines if len(lines) <= max_lines else text.few_lines(max_lines))


def format_headline(unit: Unit, snapshot: Snapshot) -> list[str]:
    """What a full dump has above a unit's stack.

    :param snapshot: what the unit is of.
    """
    return _Text(snapshot, True, None, False, snapshot).headline(unit)


class _Block(NamedTuple):
    """Lines that are shown together or not at all, and what they show."""

    lines: Sequence[str]
    threads: int = 0
    groups: int = 0
    units: int = 0


class _Text:
    """One dump being formatted."""

    def __init__(self, snapshot: Snapshot, full: bool, width: int | None, colour: bool, whole: Snapshot) -> None:
        self.snapshot = snapshot
        self.whole = whole
        self.full = full
        self.width = width
        self.colour = colour
        self.sections = list_sections(snapshot)
        self.threads = {thread.ident: thread for thread in whole.threads}
        owners = {ident for unit in snapshot.units if unit.wait is not None for ident in unit.wait.owners}
        self.names = {unit.ident: name_unit(unit) for unit in whole.units if unit.ident in owners} if owners else {}
        self.stacks = StackLines(width, colour)

    def lines(self) -> Iterator[str]:
        """All of it."""
        yield from self._summary()
        for section in self.sections:
            yield from self._thread(section).lines
            if self.full:
                for unit in section.units:
                    yield from self._headline(unit)
                    yield from self.stacks.all_of(unit.frames)
            else:
                for group in group_units(section.units):
                    yield from self._group_lines(group)
                    yield from self.stacks.all_of(group.frames)
        yield ""

    def headline(self, unit: Unit) -> list[str]:
        """What stands above the unit's stack where it is shown by itself."""
        if unit.kind != "thread":
            return self._headline(unit, f", of {self._thread_name(unit.thread)}")
        waits = [f"    waits for {describe_wait(unit.wait, self.names)}"] if unit.wait is not None else []
        return [*self._header(self.whole.process.pid, unit.ident, unit.name), *map(escape, waits)]

    def few_lines(self, limit: int) -> Iterator[str]:
        """At most *limit* of it: the summary, the threads, the largest groups, and what is missing."""
        own: list[Section] = []
        others: list[Section] = []
        for section in self.sections:
            (own if section.thread is not None and section.thread.own else others).append(section)
        groups = self._groups(unit for section in self.sections for unit in section.units)
        blocks = chain(
            (_Block([line]) for line in self._summary()),
            (self._thread(section, INNERMOST) for section in others),
            (_Block(["", *self._wrap("Of all threads, the largest group first:")]) for _ in groups[:1]),
            (self._group(group) for group in groups),
            (self._thread(section, INNERMOST) for section in own),
        )
        missing = _Block(
            (),
            len(self.snapshot.threads),
            len(groups),
            sum(len(section.running) + len(section.units) for section in self.sections),
        )
        room = limit - len(self._missing(missing))
        for block in blocks:
            room -= len(block.lines)
            if room < 0:
                break
            yield from block.lines
            missing = _Block(
                (), missing.threads - block.threads, missing.groups - block.groups, missing.units - block.units
            )
        yield from self._missing(missing)[:limit]

    def _missing(self, rest: _Block) -> list[str]:
        parts = []
        if rest.threads:
            parts.append(format_count(rest.threads, "thread"))
        if rest.groups and not self.full:
            parts.append(f"{format_count(rest.groups, 'group')} of {format_count(rest.units, 'unit')}")
        elif rest.units:
            parts.append(format_count(rest.units, "unit"))
        what = " and ".join(parts) or "outer frames"
        return self._wrap(
            f"Not shown: {what}. dump_stacktraces() shows all, dump_stacktraces(full=True) each unit apart.", BOLD
        )

    def _summary(self) -> Iterator[str]:
        process = self.whole.process
        libraries = "".join(f", {name} {version}" for name, version in process.libraries)
        uptime = "" if process.uptime is None else f", up {format_seconds(process.uptime)}"
        yield from self._wrap(
            f"Process {process.pid}, {process.implementation} {process.python}{libraries}{uptime}", BOLD
        )
        for is_problem, text in list_findings(self.whole):
            yield from self._wrap(text, PROBLEM if is_problem else "")
        if self.whole is not self.snapshot:
            shown, there = (sum(1 for _ in one.units) for one in (self.snapshot, self.whole))
            yield from self._wrap(f"Selected: {shown:,} of {format_count(there, 'unit')}")

    def _thread(self, section: Section, innermost: int | None = None) -> _Block:
        """A thread, and what runs on it."""
        pid, thread = self.whole.process.pid, section.thread
        named = self.threads.get(section.ident) if section.ident is not None else None
        lines = ["", *self._header(pid, section.ident, named.name if named is not None else "")]
        shown: tuple[Frame, ...] = ()
        if thread is not None:
            if thread.wait is not None:
                lines += self._wrap(f"    waits for {describe_wait(thread.wait, self.names)}")
            shown = thread.frames
        if not section.running:
            lines += self._own_stack(shown, section, innermost)
        for number, unit in enumerate(section.running):
            lines += self._headline(unit)
            if number == 0 and thread is not None:
                lines += self._own_stack(shown, section, innermost)
            elif not {id(frame) for frame in unit.frames} <= {id(frame) for frame in shown}:
                lines += self._own_stack(unit.frames, section, innermost)
        return _Block(lines, threads=int(thread is not None), units=len(section.running))

    def _header(self, pid: int, ident: int | None, name: str) -> list[str]:
        if ident is None:
            return self._wrap(f"######### ProcessID={pid}, units of a thread that is not known #########", BOLD)
        start, end = f"######### ProcessID={pid}, ThreadID={ident}", " #########"
        name = escape(f", {name}" if name else "")
        if self.width is not None:
            name = cut_right(name, max(0, self.width - len(start) - len(end)))
        line = start + name + end
        return [paint(line if self.width is None else cut_right(line, self.width), BOLD, self.colour)]

    def _own_stack(self, frames: tuple[Frame, ...], section: Section, innermost: int | None) -> Sequence[str]:
        if section.thread is not None and section.thread.own:
            # How the manhole itself works is of no use to a reader; what a session runs is.
            frames = tuple(frame for frame in frames if not is_ours(frame))
            return self.stacks.format(frames, innermost)
        return self.stacks.all_of(frames) if innermost is None else self.stacks.format(frames, innermost)

    def _groups(self, units: Iterable[Unit]) -> Sequence[Group]:
        if not self.full:
            return group_units(units)
        return [Group(unit.kind, unit.state, unit.frames, None, (unit,)) for unit in units]

    def _group(self, group: Group) -> _Block:
        """A group that is not below its thread's header, so it is said which that is."""
        where = ""
        if len(self.sections) > 1:
            threads = {unit.thread for unit in group.units}
            where = f", of {self._thread_name(*threads) if len(threads) == 1 else f'{len(threads)} threads'}"
        lines = [*self._group_lines(group, where), *self.stacks.format(group.frames, INNERMOST)]
        return _Block(lines, groups=1, units=len(group.units))

    def _group_lines(self, group: Group, where: str = "") -> list[str]:
        """What stands above a group's stack."""
        return self._headline(group.units[0], where) if len(group.units) == 1 else self._group_headline(group, where)

    def _thread_name(self, ident: int | None) -> str:
        if ident is None:
            return "an unknown thread"
        return name_thread(self.threads.get(ident), ident)

    def _headline(self, unit: Unit, where: str = "") -> list[str]:
        name = f" {unit.name}" if unit.name else ""
        waits = f", waits for {describe_wait(unit.wait, self.names)}" if unit.wait is not None else ""
        lines = self._wrap(
            f"--- {unit.kind}{name}{_of_type(unit)}, {unit.state}, id {unit.ident:#x}{waits}{where}", BOLD
        )
        if self.full:
            parts = []
            if unit.age is not None:
                parts.append(f"age {format_seconds(unit.age)}")
            if unit.spawner is not None:
                parts.append(f"spawned by {unit.spawner:#x}")
            if unit.spawning_stack:
                parts.append(f"spawned at {format_place(unit.spawning_stack[-1])}")
            if unit.parent is not None:
                parts.append(f"parent {unit.parent:#x}")
            if parts:
                lines += self._wrap("    " + ", ".join(parts))
        return lines

    def _group_headline(self, group: Group, where: str) -> list[str]:
        units = group.units
        of_type = _of_type(units[0]) if len({unit.type for unit in units}) == 1 else ""
        waits = [unit.wait for unit in units if unit.wait is not None]
        waiting = f", waiting for {describe_waits(waits, self.names)}" if waits else ""
        names = list(islice(dict.fromkeys(unit.name for unit in units if unit.name), MAX_NAMES + 1))
        few = ", ".join(names[:MAX_NAMES]) + (", ..." if len(names) > MAX_NAMES else "")
        return self._wrap(
            f"--- {format_count(len(units), group.kind)}{of_type}, {group.state}{waiting}{where}"
            f"{': ' if few else ''}{few}",
            BOLD,
        )

    def _wrap(self, line: str, sgr: str = "") -> list[str]:
        lines = wrap(escape(line), self.width)
        return [paint(one, sgr, True) for one in lines] if self.colour and sgr else lines


def _of_type(unit: Unit) -> str:
    return f" ({unit.type})" if unit.type.lower() not in ("", "greenlet", unit.kind.lower()) else ""
