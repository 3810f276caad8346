"""A snapshot as one HTML page that needs nothing but itself: no network, no other file.

The page is written by hand in `page/`: the document, its style, and its scripts, which become one. All that comes from
the application is in a block of JSON, and the scripts put it on the page as text, never as markup. Escaping is what
keeps a hostile name from ending that block; should it ever fail, the page's content security policy lets nothing run
but what carries this page's own random nonce.
"""

from __future__ import annotations

import _io
import json
import math
import os
import posix
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from itertools import islice
from typing import Any

from manhole._snapshot._model import Frame, Snapshot, Unit, Wait
from manhole._snapshot._source import SourceLines

__all__ = ["format_html"]

_FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "page")
# In the order in which they need one another.
_SCRIPTS = ("data.js", "words.js", "graph.js", "list.js", "page.js")

# json.dumps() is one C call that keeps the GIL: at 200 rows well below a millisecond. Arbitrary beyond that.
_ROWS_AT_ONCE = 200


def format_html(snapshot: Snapshot, verdict: Sequence[str]) -> Iterator[str]:
    """The page in pieces, all of them ASCII, whatever the application's names are made of.

    Safe on any thread and in a greenlet, not in a signal handler: it reads the page's files, and the source files for
    the lines that the stacks show, with unpatched calls. Takes no lock that the application can hold. Keeps nothing.

    :param snapshot: what the page shows.
    :param verdict: the lines that it has on top, without line ends; the first is its headline.
    :raises OSError: before the first piece, if the page's own files cannot be read, as when the process is out of file
        descriptors or has changed its root.
    """
    document = _read("page.html")
    replacements: dict[str, Iterable[str]] = {
        "style": [_read("style.css")],
        "script": [_read(name) for name in _SCRIPTS],
        "data": _format_data(snapshot, verdict),
    }
    document = document.replace("{{nonce}}", posix.urandom(16).hex())
    for number, part in enumerate(document.replace("}}", "{{").split("{{")):
        # Every other part is what stood between braces.
        if number % 2:
            yield from replacements[part]
        else:
            yield part


def _read(name: str) -> str:
    # Not open(): that may be patched, and a patched one may hand the work to the hub that hangs.
    with _io.FileIO(os.path.join(_FOLDER, name)) as raw:
        return raw.readall().decode("utf-8")


def _escape(value: Any) -> str:
    """*value* as JSON that may stand in a script element of HTML.

    Outside of strings JSON has none of the three characters; inside, the escapes mean the same. json itself escapes all
    that is not ASCII, U+2028, U+2029 and lone surrogates among it.
    """
    text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _format_data(snapshot: Snapshot, verdict: Sequence[str]) -> Iterator[str]:
    """A JSON object; page/data.js is what reads it. The tables come last, as the rows fill them."""
    tables = _Tables()
    process = asdict(snapshot.process)
    process["uptime"] = _seconds(snapshot.process.uptime)
    head = {
        "verdict": list(verdict),
        "process": process,
        "time": _seconds(snapshot.time),
        "finished": snapshot.finished,
        "unseen": snapshot.unseen,
        "deadlocks": [deadlock.units for deadlock in snapshot.deadlocks],
        "hubs": [[hub.ident, hub.kind, hub.name, hub.thread, hub.state] for hub in snapshot.hubs],
    }
    yield f'{_escape(head)[:-1]},"units":'
    yield from _format_rows(tables.unit(unit) for unit in snapshot.units)
    yield ',"stacks":'
    yield from _format_rows(tables.stacks)
    yield ',"frames":'
    sources = SourceLines()
    yield from _format_rows(tables.frame(frame, sources) for frame in tables.frames)
    yield ',"strings":'
    yield from _format_rows(tables.strings)
    yield "}"


def _format_rows(rows: Iterable[Any]) -> Iterator[str]:
    remaining = iter(rows)
    separator = "["
    while some := list(islice(remaining, _ROWS_AT_ONCE)):
        yield separator + _escape(some)[1:-1]
        separator = ","
    yield "[]" if separator == "[" else "]"


def _seconds(value: float | None) -> float | None:
    """To the millisecond. JSON has no infinities and no NaN."""
    return round(value, 3) if value is not None and math.isfinite(value) else None


class _Tables:
    """Gives each string, frame and stack a number, so that the page holds it once."""

    def __init__(self) -> None:
        self.strings: dict[str, int] = {}
        self.frames: dict[Frame, int] = {}
        self.stacks: list[list[int]] = []
        self._stack_numbers: dict[tuple[Frame, ...], int] = {}
        # By id(): to hash a stack is to hash all its frames, and equal stacks of a snapshot are one object.
        self._known: dict[int, int] = {}

    def unit(self, unit: Unit) -> list[Any]:
        """A unit's row; page/data.js has the same order."""
        return [
            unit.ident,
            self._string(unit.kind),
            self._string(unit.type),
            self._string(unit.name),
            self._string(unit.state),
            unit.thread,
            unit.hub,
            unit.parent,
            unit.spawner,
            self._stack(unit.spawning_stack),
            _seconds(unit.age),
            self._stack(unit.frames),
            self._wait(unit.wait),
            int(unit.own),
        ]

    def frame(self, frame: Frame, sources: SourceLines) -> list[int]:
        source = sources.line(frame.file, frame.line)
        return [self._string(frame.file), frame.line, self._string(frame.function), self._string(source)]

    def _wait(self, wait: Wait | None) -> list[Any] | None:
        if wait is None:
            return None
        return [
            self._string(wait.kind),
            self._string(wait.type),
            wait.ident,
            wait.owners,
            wait.descriptor,
            self._string(wait.direction),
            self._string(wait.local),
            self._string(wait.remote),
            _seconds(wait.seconds),
        ]

    def _string(self, value: str) -> int:
        return self.strings.setdefault(value, len(self.strings))

    def _stack(self, frames: tuple[Frame, ...]) -> int:
        number = self._known.get(id(frames))
        if number is None:
            number = self._stack_numbers.setdefault(frames, len(self.stacks))
            if number == len(self.stacks):
                self.stacks.append([self.frames.setdefault(frame, len(self.frames)) for frame in frames])
            self._known[id(frames)] = number
        return number
