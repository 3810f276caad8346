"""The verdict: what is wrong, what runs, how much there is of what, and what could not be seen."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from operator import attrgetter
from typing import NamedTuple

from manhole._snapshot._groups import Group, group_units
from manhole._snapshot._model import Deadlock, Hub, Snapshot, Unit
from manhole._snapshot._words import (
    describe_wait,
    describe_waits,
    escape,
    find_telling_frame,
    format_count,
    format_place,
    format_seconds,
    name_thread,
    name_unit,
)

__all__ = ["Finding", "format_verdict", "list_findings"]

# How many of each the verdict names before it only counts them. Arbitrary; it has to stay a glance.
MAX_DEADLOCKS = 5
MAX_RING = 6
MAX_HUBS = 5
MAX_GROUPS = 3


class Finding(NamedTuple):
    """One line of the verdict.

    is_problem: whether something is wrong.
    text: the line.
    """

    is_problem: bool
    text: str


def format_verdict(snapshot: Snapshot) -> list[str]:
    """The first lines of every dump, what is wrong first, without line ends and unprintable characters.

    A pure function of *snapshot*, which looks at each unit once: safe on any thread and in any greenlet.
    """
    return [finding.text for finding in list_findings(snapshot)]


def list_findings(snapshot: Snapshot) -> list[Finding]:
    """As :func:`format_verdict`, with what tells a problem from the rest."""
    units = _find_units(snapshot)
    threads = {thread.ident: thread for thread in snapshot.threads}
    findings = list(_judge_deadlocks(snapshot.deadlocks, units))
    hubs = [Finding(hub.state in ("stuck", "stuck in C"), _describe_hub(hub, units, threads)) for hub in snapshot.hubs]
    hubs.sort(key=lambda finding: not finding.is_problem)
    findings += _shorten(hubs, MAX_HUBS, "hub")
    findings.append(Finding(False, _count_units(snapshot)))
    findings += (Finding(False, text) for text in _name_groups(snapshot))
    findings += (Finding(False, f"Not seen: {reason}") for reason in snapshot.unseen)
    return [Finding(is_problem, escape(text)) for is_problem, text in findings]


def _find_units(snapshot: Snapshot) -> dict[int, Unit]:
    """The units that the verdict names, by ident."""
    wanted = {hub.unit for hub in snapshot.hubs} | {ident for lock in snapshot.deadlocks for ident in lock.units}
    wanted.discard(None)
    return {unit.ident: unit for unit in snapshot.units if unit.ident in wanted} if wanted else {}


def _name(ident: int, units: Mapping[int, Unit]) -> str:
    unit = units.get(ident)
    return f"{ident:#x}" if unit is None else name_unit(unit)


def _judge_deadlocks(deadlocks: Iterable[Deadlock], units: Mapping[int, Unit]) -> Iterator[Finding]:
    found = []
    names = {ident: name_unit(unit) for ident, unit in units.items()}
    for deadlock in deadlocks:
        ring = deadlock.units
        links = [_describe_link(ident, units, names) for ident in ring[:MAX_RING]]
        if len(ring) > MAX_RING:
            links.append(f"{len(ring) - MAX_RING:,} more")
        found.append(Finding(True, f"Deadlock of {format_count(len(ring), 'unit')}: {'; '.join(links)}"))
    return _shorten(found, MAX_DEADLOCKS, "deadlock")


def _describe_link(ident: int, units: Mapping[int, Unit], names: Mapping[int, str]) -> str:
    unit = units.get(ident)
    wait = unit.wait if unit is not None else None
    return f"{_name(ident, units)} waits for {'the next' if wait is None else describe_wait(wait, names)}"


def _describe_hub(hub: Hub, units: Mapping[int, Unit], threads: Mapping[int, Unit]) -> str:
    name = "" if hub.name.lower() in ("", "hub", hub.kind) else f" {hub.name}"
    of = "" if hub.thread is None else f" of {name_thread(threads.get(hub.thread), hub.thread)}"
    return f"hub {hub.kind}{name}{of}: {_describe_activity(hub, units)}"


def _describe_activity(hub: Hub, units: Mapping[int, Unit]) -> str:
    # Not the place at the end of the line: there, a reader who looks for a frame of a stack would take this for one.
    place = "" if hub.frame is None else f" at {format_place(hub.frame)}"
    samples = format_count(hub.samples, "sample")
    seconds = format_seconds(hub.seconds)
    lasting = f"for at least {seconds} through {samples}"
    if hub.unit is None:
        unit = "something unknown"
    elif hub.unit == hub.ident:
        unit = "a callback"
    else:
        unit = _name(hub.unit, units)
    if hub.state == "running":
        return f"running one unit after another, the last{place}, through {samples}"
    if hub.state == "stuck":
        return f"running {unit}{place}, {lasting}"
    if hub.state == "stuck in C":
        return f"stuck in C{place}, called by {unit}, {lasting}"
    if hub.state == "interrupted":
        return f"was running {unit}{place}, when the dump was asked for on its thread"
    return "what it does could not be seen" if hub.state == "unknown" else hub.state


def _count_units(snapshot: Snapshot) -> str:
    parts = [format_count(len(snapshot.threads), "thread")]
    for units, word in ((snapshot.greenlets, "greenlet"), (snapshot.tasks, "task")):
        if units or word == "greenlet":
            counts = Counter(map(attrgetter("kind", "state"), units))
            each = ", ".join(f"{format_count(count, kind)} {state}" for (kind, state), count in counts.most_common())
            parts.append(f"{format_count(len(units), word)}{': ' if each else ''}{each}")
    shown = sum(unit.state == "finished" for units in (snapshot.greenlets, snapshot.tasks) for unit in units)
    hidden = snapshot.finished - shown
    return "; ".join(parts) + (f" ({hidden:,} finished not shown)" if hidden > 0 else "")


def _name_groups(snapshot: Snapshot) -> Iterator[str]:
    """The largest groups; a single unit is none."""
    own = {thread.ident for thread in snapshot.threads if thread.own}
    groups = group_units(unit for unit in snapshot.units if unit.ident not in own and unit.thread not in own)
    large = [group for group in groups if len(group.units) > 1]
    for group in large[:MAX_GROUPS]:
        yield _describe_group(group)
    rest = large[MAX_GROUPS:]
    if rest:
        count = sum(len(group.units) for group in rest)
        yield f"{len(rest):,} more group{'' if len(rest) == 1 else 's'} of {count:,} units"


def _describe_group(group: Group) -> str:
    frame = find_telling_frame(group.frames)
    place = "" if frame is None else f" at {format_place(frame)}"
    waits = [unit.wait for unit in group.units if unit.wait is not None]
    waiting = f", waiting for {describe_waits(waits)}" if waits else ""
    return f"{format_count(len(group.units), group.kind)} {group.state}{place}{waiting}"


def _shorten(findings: list[Finding], limit: int, word: str) -> Iterator[Finding]:
    """The first *limit* of them, all problems first, and a count of the rest."""
    yield from findings[:limit]
    rest = findings[limit:]
    if rest:
        problems = sum(finding.is_problem for finding in rest)
        what = f"{len(rest):,} more {word}{'' if len(rest) == 1 else 's'}"
        yield Finding(problems > 0, f"{what}, {problems:,} of them stuck" if problems and word == "hub" else what)
