"""The dump as a function: collect, select, format, write."""

from __future__ import annotations

import sys
from typing import Protocol

from manhole._snapshot import collect_snapshot, format_snapshot, format_text, select_units

__all__ = ["dump_stacktraces", "format_greeting"]

# Two screens of a terminal, about. What is wrong comes first.
GREETING_LINES = 100


class _Writable(Protocol):
    def write(self, text: str, /) -> object: ...


def format_greeting() -> str:
    """What a client sees first: the dump, as far as it fits on two screens, and how to see the rest."""
    return "\n".join(format_text(collect_snapshot(), max_lines=GREETING_LINES)) + "\n"


def dump_stacktraces(
    file: _Writable | None = None,
    *,
    format: str = "text",
    full: bool = False,
    match: str | None = None,
    state: str | None = None,
    kind: str | None = None,
    thread: int | str | None = None,
    finished: bool = False,
    width: int | None = None,
    colour: bool = False,
) -> None:
    """Write the stacks of all threads, greenlets and asyncio tasks of this process, with a verdict on top.

    :param file: an object with `write(str)`; default: sys.stdout, which is the client's in a session.
    :param format: "text", "json", "html", "collapsed" or "speedscope", as format_snapshot() has them.
    :param full: each unit by itself, rather than equal stacks once with their count.
    :param match: only units with a function or file of this name in their stack: a part of it, or a pattern with `*`,
        `?` and `[...]`.
    :param state: only units in this state, such as "suspended".
    :param kind: only units of this kind, such as "Greenlet".
    :param thread: only units of this OS thread, by ident or name.
    :param finished: finished greenlets and tasks that somebody still holds, too.
    :param width: of text: the longest line, None for no limit.
    :param colour: of text: whether with a terminal's colours.
    :raises InvalidOption: for a value that the parameter cannot have.

    May be called from any thread and from a greenlet; it takes no lock, imports nothing and runs no code of the
    application but the `write` that it was given.
    """
    write = (sys.stdout if file is None else file).write
    whole = collect_snapshot(finished=finished)
    snapshot = select_units(whole, match=match, state=state, kind=kind, thread=thread)
    for piece in format_snapshot(snapshot, format, full=full, width=width, colour=colour, whole=whole):
        write(piece)
