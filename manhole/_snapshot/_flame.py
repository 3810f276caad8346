"""A picture of where all units stand: Brendan Gregg's collapsed stacks and speedscope's file format.

Neither is a profile over time: a stack's weight is the number of units that have it. The manhole's own threads are left
out, and what runs on a thread counts as the thread.
"""

from __future__ import annotations

from collections.abc import Iterator

from manhole._snapshot._groups import Section, group_units, list_sections
from manhole._snapshot._json import quote
from manhole._snapshot._model import Frame, Snapshot, Unit
from manhole._snapshot._words import escape, name_thread

__all__ = ["format_collapsed", "format_speedscope"]

_SCHEMA = "https://www.speedscope.app/file-format-schema.json"


def format_collapsed(snapshot: Snapshot) -> Iterator[str]:
    """Lines without line ends for flamegraph.pl and all that reads its input: names from the root on, and a count.

    The root is the thread. A unit without a stack has its state for one. Semicolons in names become commas.

    A pure function of *snapshot*: safe on any thread and in any greenlet.
    """
    counts: dict[str, int] = {}
    names: dict[int, str] = {}
    for section in _list_sections(snapshot):
        root = _clean(_name_root(section))
        for group in group_units(_list_units(section)):
            elements = [root]
            for frame in group.frames:
                if id(frame) not in names:
                    names[id(frame)] = _clean(f"{frame.function} ({_shorten(frame.file)}:{frame.line})")
                elements.append(names[id(frame)])
            if not group.frames:
                elements.append(f"({group.state})")
            stack = ";".join(elements)
            counts[stack] = counts.get(stack, 0) + len(group.units)
    for stack, count in counts.items():
        yield f"{stack} {count}"


def format_speedscope(snapshot: Snapshot) -> Iterator[str]:
    """Chunks of one JSON document in speedscope's file format, one "sampled" profile a thread.

    A pure function of *snapshot*: safe on any thread and in any greenlet.
    """
    frames: dict[str, int] = {}
    known: dict[int, int] = {}
    yield f'{{"$schema": {quote(_SCHEMA)},\n"exporter": "manhole",\n'
    yield f'"name": {quote(f"Process {snapshot.process.pid}")},\n"profiles": ['
    separator = "\n"
    for section in _list_sections(snapshot):
        samples, weights = [], []
        for group in group_units(_list_units(section)):
            stack = []
            for frame in group.frames:
                if id(frame) not in known:
                    known[id(frame)] = frames.setdefault(_format_frame(frame), len(frames))
                stack.append(known[id(frame)])
            if not group.frames:
                stack.append(frames.setdefault(f'{{"name": {quote(f"({group.state})")}}}', len(frames)))
            samples.append(stack)
            weights.append(len(group.units))
        yield (
            f'{separator}{{"type": "sampled", "name": {quote(_name_root(section))}, "unit": "none", "startValue": 0, '
            f'"endValue": {sum(weights)}, "samples": {samples}, "weights": {weights}}}'
        )
        separator = ",\n"
    yield '],\n"shared": {"frames": [\n'
    yield ",\n".join(frames)
    yield "]}}\n"


def _list_sections(snapshot: Snapshot) -> Iterator[Section]:
    for section in list_sections(snapshot):
        if section.thread is None or not section.thread.own:
            yield section


def _list_units(section: Section) -> list[Unit]:
    """What is on a thread, with the stack of what runs on it once."""
    units = list(section.units)
    if section.thread is not None:
        units.insert(0, section.thread)
    else:
        units[:0] = section.running
    return units


def _name_root(section: Section) -> str:
    if section.ident is None:
        return "(thread not known)"
    return name_thread(section.thread, section.ident)


def _shorten(file: str) -> str:
    """The last directory and the file, since many files are called __init__.py."""
    return "/".join(file.split("/")[-2:])


def _clean(name: str) -> str:
    return escape(name).replace(";", ",")


def _format_frame(frame: Frame) -> str:
    line = f', "line": {frame.line}' if frame.line else ""
    return f'{{"name": {quote(frame.function)}, "file": {quote(frame.file)}{line}}}'
