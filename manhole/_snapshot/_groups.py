"""Which units of a snapshot to show, and which of them stand at the same place."""

from __future__ import annotations

import fnmatch
import os
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from manhole._errors import InvalidOption
from manhole._snapshot._model import Frame, Snapshot, Unit

__all__ = ["KINDS", "STATES", "Group", "Section", "group_units", "list_sections", "select_units"]

KINDS = ("thread", "hub", "main greenlet", "Greenlet", "GreenThread", "greenlet", "Task")
STATES = ("running", "suspended", "not started", "finished")
# Characters of what a function's or a file's name is matched with. Arbitrary; longer than any that is meant.
MAX_PATTERN = 1000


@dataclass(frozen=True, slots=True)
class Group:
    """Units of one kind and state with identical stacks, which wait for the same kind of thing.

    :ivar kind: of all of them, see :class:`Unit`.
    :ivar state: of all of them, likewise.
    :ivar frames: their stack, outermost first.
    :ivar wait: the kind of their :class:`Wait`, None where there is none.
    :ivar units: at least one, in the snapshot's order.
    """

    kind: str
    state: str
    frames: tuple[Frame, ...]
    wait: str | None
    units: tuple[Unit, ...]


@dataclass(frozen=True, slots=True)
class Section:
    """A thread and all that belongs to it.

    :ivar ident: the thread's, None for the units whose thread is not known.
    :ivar thread: the thread itself, None where the snapshot has not got it.
    :ivar running: what runs on it; its stack is part of the thread's.
    :ivar units: all other greenlets and tasks of it.
    """

    ident: int | None
    thread: Unit | None
    running: tuple[Unit, ...]
    units: tuple[Unit, ...]


def group_units(units: Iterable[Unit]) -> list[Group]:
    """*units* by what they have in common: the largest group first, those of one size in the order of *units*.

    Stacks are told apart by identity, which is right within one snapshot and takes 100,000 units no longer than a look
    at each.
    """
    found: dict[tuple[int, str, str, str | None], list[Unit]] = {}
    for unit in units:
        wait = unit.wait
        key = id(unit.frames), unit.kind, unit.state, None if wait is None else wait.kind
        if key in found:
            found[key].append(unit)
        else:
            found[key] = [unit]
    groups = [
        Group(kind, state, members[0].frames, wait, tuple(members)) for (_, kind, state, wait), members in found.items()
    ]
    groups.sort(key=lambda group: -len(group.units))
    return groups


def list_sections(snapshot: Snapshot) -> list[Section]:
    """The units of *snapshot* by thread: its threads in their order, then those that it has not got, None last."""
    threads: dict[int | None, Unit] = {thread.ident: thread for thread in snapshot.threads}
    found: dict[int | None, tuple[list[Unit], list[Unit]]] = {ident: ([], []) for ident in threads}
    for units in (snapshot.greenlets, snapshot.tasks):
        for unit in units:
            if unit.thread not in found:
                found[unit.thread] = ([], [])
            found[unit.thread][unit.state != "running"].append(unit)
    if None in found:
        found[None] = found.pop(None)
    return [
        Section(ident, threads.get(ident), tuple(running), tuple(others)) for ident, (running, others) in found.items()
    ]


def select_units(
    snapshot: Snapshot,
    *,
    match: str | None = None,
    state: str | None = None,
    kind: str | None = None,
    thread: int | str | None = None,
) -> Snapshot:
    """*snapshot* with those units only that fulfil all conditions; hubs, deadlocks and the rest stay as they are.

    :param match: some frame's function or file contains this; if it contains `*`, `?` or `[`, it is a pattern as in
        :mod:`fnmatch` for the whole of a function's name (qualified or not) or of a file (with or without its
        directories). A unit without a stack is judged by its name. Upper and lower case differ.
    :param state: one of STATES, in upper or lower case.
    :param kind: one of KINDS, likewise; "greenlet" is thus gevent's and the plain ones.
    :param thread: ident or name of a thread, for what is on it and itself.
    :raises InvalidOption: a value that none of this can be.
    """
    tests: list[Callable[[Unit], bool]] = []
    if thread is not None:
        idents = _find_threads(snapshot, thread)
        tests.append(lambda unit: (unit.ident if unit.kind == "thread" else unit.thread) in idents)
    if kind is not None:
        kinds = _check_choice("kind", kind, KINDS)
        tests.append(lambda unit: unit.kind in kinds)
    if state is not None:
        states = _check_choice("state", state, STATES)
        tests.append(lambda unit: unit.state in states)
    if match is not None:
        tests.append(_make_matcher(match))
    if not tests:
        return snapshot

    def select(units: Iterable[Unit]) -> tuple[Unit, ...]:
        for test in tests:
            units = filter(test, units)
        return tuple(units)

    return replace(
        snapshot,
        threads=select(snapshot.threads),
        greenlets=select(snapshot.greenlets),
        tasks=select(snapshot.tasks),
    )


def _check_choice(option: str, value: str, allowed: tuple[str, ...]) -> list[str]:
    chosen = [one for one in allowed if one.lower() == value.lower()] if isinstance(value, str) else []
    if not chosen:
        raise InvalidOption(option, value, "one of " + ", ".join(map(repr, dict.fromkeys(map(str.lower, allowed)))))
    return chosen


def _find_threads(snapshot: Snapshot, wanted: int | str) -> set[int]:
    """Idents of the threads that *wanted* may mean; several can have one name."""
    if isinstance(wanted, str):
        found = {unit.ident for unit in snapshot.threads if unit.name == wanted}
        if not found and wanted.isdecimal():
            found = {unit.ident for unit in snapshot.threads if unit.ident == int(wanted)}
    else:
        found = {unit.ident for unit in snapshot.threads if unit.ident == wanted and type(wanted) is int}
    if not found:
        there = ", ".join(f"{unit.ident} {unit.name}".strip() for unit in snapshot.threads)
        raise InvalidOption("thread", wanted, f"ident or name of a thread that there is: {there or 'none'}")
    return found


def _make_matcher(pattern: str) -> Callable[[Unit], bool]:
    if not isinstance(pattern, str) or not pattern:
        raise InvalidOption("match", pattern, "part of a function's name or a file's, or a pattern such as '*_handler'")
    if len(pattern) > MAX_PATTERN:
        raise InvalidOption("match", pattern[:MAX_PATTERN], f"at most {MAX_PATTERN} characters long")
    is_glob = any(sign in pattern for sign in "*?[")
    # fnmatch's own functions would keep tens of thousands of patterns.
    glob_fits = re.compile(fnmatch.translate(pattern)).match if is_glob else None

    def fits(text: str, separator: str) -> bool:
        if glob_fits is None:
            return pattern in text
        return bool(glob_fits(text) or glob_fits(text.rpartition(separator)[2]))

    # Equal frames are one object, and so are equal stacks: each is looked at once. They live as long as the snapshot.
    frames: dict[int, bool] = {}
    stacks: dict[int, bool] = {}

    def frame_fits(frame: Frame) -> bool:
        known = frames.get(id(frame))
        if known is None:
            known = frames[id(frame)] = fits(frame.function, ".") or fits(frame.file, os.sep)
        return known

    def unit_fits(unit: Unit) -> bool:
        if not unit.frames:
            return fits(unit.name, ".")
        known = stacks.get(id(unit.frames))
        if known is None:
            known = stacks[id(unit.frames)] = any(map(frame_fits, unit.frames))
        return known

    return unit_fits
