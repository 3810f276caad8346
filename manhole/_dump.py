"""The dump as a function: collect, format, write."""

from __future__ import annotations

import sys
from typing import Protocol

from manhole._snapshot import collect_snapshot, format_snapshot

__all__ = ["dump_stacktraces", "format_dump"]


class _Writable(Protocol):
    def write(self, text: str, /) -> object: ...


def format_dump() -> str:
    """The stacks of all threads and greenlets of this process, as they are now, as text."""
    return "\n".join(format_snapshot(collect_snapshot()))


def dump_stacktraces(file: _Writable | None = None) -> None:
    """Write the stacks of all threads and greenlets of this process.

    :param file: an object with `write(str)`; default: sys.stdout, which is the client's in a session.

    May be called from any thread and from a greenlet; it takes no lock, imports nothing and runs no code of the
    application but the `write` that it was given.
    """
    (sys.stdout if file is None else file).write(format_dump() + "\n")
