"""A snapshot as text for a person."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence

from manhole._snapshot._model import Frame, Greenlet, Snapshot, Thread
from manhole._snapshot._source import SourceLines

__all__ = ["format_snapshot"]

_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep


def format_snapshot(snapshot: Snapshot) -> Iterator[str]:
    """The lines of a dump, without line ends.

    A summary, then each thread with its stack and with the greenlets that belong to it. The stack of the greenlet that
    runs on a thread is the thread's and is shown once.
    """
    sources = SourceLines()
    yield from _format_summary(snapshot)
    by_thread: dict[int | None, list[Greenlet]] = {}
    for greenlet in snapshot.greenlets:
        by_thread.setdefault(greenlet.thread, []).append(greenlet)
    for thread in snapshot.threads:
        yield ""
        yield from _format_thread(snapshot.pid, thread, by_thread.pop(thread.ident, []), sources)
    for greenlets in by_thread.values():
        yield ""
        yield f"######### ProcessID={snapshot.pid}, greenlets of a thread that is not known #########"
        for greenlet in greenlets:
            yield from _format_greenlet(greenlet, sources)
    yield ""


def _format_summary(snapshot: Snapshot) -> Iterator[str]:
    libraries = "".join(f", {name} {version}" for name, version in snapshot.libraries)
    yield f"Process {snapshot.pid}, {snapshot.python}{libraries}"
    states = Counter(greenlet.state for greenlet in snapshot.greenlets)
    counts = ", ".join(f"{count} {state}" for state, count in sorted(states.items()))
    counts = f": {counts}" if counts else ""
    finished = f" ({snapshot.finished} finished not shown)" if snapshot.finished else ""
    yield f"{len(snapshot.threads)} threads; {len(snapshot.greenlets)} greenlets{counts}{finished}"
    for reason in snapshot.unseen:
        yield f"Not seen: {reason}"


def _format_thread(pid: int, thread: Thread, greenlets: Sequence[Greenlet], sources: SourceLines) -> Iterator[str]:
    name = f", {thread.name}" if thread.name else ""
    yield f"######### ProcessID={pid}, ThreadID={thread.ident}{name} #########"
    if thread.own:
        # How the manhole itself works is of no use to a reader; what a session runs is.
        yield from _format_frames([frame for frame in thread.frames if not _is_ours(frame)], sources)
    elif thread.running is None:
        yield from _format_frames(thread.frames, sources)
    for greenlet in greenlets:
        yield from _format_greenlet(greenlet, sources)


def _is_ours(frame: Frame) -> bool:
    return frame.file.startswith(_PACKAGE)


def _format_greenlet(greenlet: Greenlet, sources: SourceLines) -> Iterator[str]:
    of_type = f" ({greenlet.type})" if greenlet.type.lower() not in ("greenlet", greenlet.kind.lower()) else ""
    name = f" {greenlet.name}" if greenlet.name else ""
    yield f"--- {greenlet.kind}{name}{of_type}, {greenlet.state}, id {greenlet.ident:#x}"
    yield from _format_frames(greenlet.frames, sources)


def _format_frames(frames: Sequence[Frame], sources: SourceLines) -> Iterator[str]:
    for frame in frames:
        yield f'  File "{frame.file}", line {frame.line}, in {frame.function}'
        source = sources.line(frame.file, frame.line)
        if source:
            yield f"    {source}"
