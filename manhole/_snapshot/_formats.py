"""All formats of a snapshot under their names; a file's extension names one, too."""

from __future__ import annotations

from collections.abc import Iterator

from manhole._errors import InvalidOption
from manhole._snapshot._flame import format_collapsed, format_speedscope
from manhole._snapshot._html import format_html
from manhole._snapshot._json import format_json
from manhole._snapshot._model import Snapshot
from manhole._snapshot._text import format_text
from manhole._snapshot._verdict import format_verdict

__all__ = ["FORMATS", "format_of_path", "format_snapshot"]

FORMATS = ("text", "json", "html", "collapsed", "speedscope")

# What a path ends with; the more particular first. All others are text.
_EXTENSIONS = (
    (".speedscope.json", "speedscope"),
    (".json", "json"),
    (".html", "html"),
    (".htm", "html"),
    (".collapsed", "collapsed"),
    (".folded", "collapsed"),
)


def format_of_path(path: str) -> str:
    """The name of the format that a file called *path* is to have."""
    lower = path.lower()
    return next((name for extension, name in _EXTENSIONS if lower.endswith(extension)), "text")


def format_snapshot(
    snapshot: Snapshot,
    format: str = "text",
    *,
    full: bool = False,
    width: int | None = None,
    colour: bool = False,
    whole: Snapshot | None = None,
) -> Iterator[str]:
    """*snapshot* in a format, in pieces of text to be written one after the other.

    :param format: "text" for a person, "json" (see docs/snapshot.schema.json), "html" (one page without any network),
        "collapsed" (Brendan Gregg's stacks for flame graphs) or "speedscope".
    :param full: of text: each unit by itself, rather than equal stacks once with their count.
    :param width: of text: the longest line, None for no limit.
    :param colour: of text: whether with a terminal's colours.
    :param whole: of text and HTML: what *snapshot* was selected from, for the verdict and the names of threads.
    :raises InvalidOption: for a format that there is not.

    Any thread, greenlet or signal handler; nothing of the process that the snapshot is of is touched.
    """
    if format == "text":
        return (line + "\n" for line in format_text(snapshot, full=full, width=width, colour=colour, whole=whole))
    if format == "json":
        return format_json(snapshot)
    if format == "html":
        return format_html(snapshot, format_verdict(whole or snapshot))
    if format == "collapsed":
        return (line + "\n" for line in format_collapsed(snapshot))
    if format == "speedscope":
        return iter(format_speedscope(snapshot))
    raise InvalidOption("format", format, "one of " + ", ".join(FORMATS))
