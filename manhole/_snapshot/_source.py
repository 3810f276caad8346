"""Source lines for a dump, read with unpatched calls and kept no longer than the dump.

`linecache` is not used: it opens files with whatever `open` has been patched to, asks the application's module loaders,
and keeps every file that it has read. What is in its cache already (code typed at a prompt) is looked at.
"""

from __future__ import annotations

import _io
import encodings
import encodings.latin_1
import linecache
import posix
import re
import stat
import sys
from encodings.aliases import aliases

__all__ = ["SourceLines"]

# A generated file larger than this is not worth the time of a sick process. Arbitrary.
MAX_FILE_BYTES = 4 * 1024 * 1024
# A code object's file name may be anything: a pipe's open() would wait for a writer, a terminal's take control of it.
_OPEN_FLAGS = posix.O_RDONLY | posix.O_NONBLOCK | posix.O_CLOEXEC | posix.O_NOCTTY
_BOM = b"\xef\xbb\xbf"
# PEP 263: on the first line, or on the second if the first is a comment or blank.
_CODING = re.compile(rb"(?:[ \t\f]*(?:#.*)?\r?\n)??[ \t\f]*#.*?coding[:=][ \t]*([-\w.]+)")


class SourceLines:
    """Reads each file once. Safe on any thread; takes no lock and raises nothing."""

    def __init__(self) -> None:
        self._files: dict[str, list[str]] = {}

    def line(self, file: str, number: int) -> str:
        """Line *number* (from 1) of *file*, stripped; empty if there is none to be had."""
        lines = self._files.get(file)
        if lines is None:
            lines = self._files[file] = _cached_lines(file) or _read_lines(file)
        return lines[number - 1].strip() if 0 < number <= len(lines) else ""


def _cached_lines(file: str) -> list[str]:
    entry = linecache.cache.get(file)
    return list(entry[2]) if entry is not None and len(entry) == 4 else []


def _read_lines(file: str) -> list[str]:
    if file.startswith("<"):
        return []
    try:
        with _io.FileIO(file, opener=lambda name, _flags: posix.open(name, _OPEN_FLAGS)) as raw:
            if not stat.S_ISREG(posix.fstat(raw.fileno()).st_mode):
                return []
            data = raw.read(MAX_FILE_BYTES) or b""  # None: a file of /proc that would wait
        # Not splitlines(), which ends a line at a form feed and other characters that do not end one for Python.
        text = _io.BytesIO(data.removeprefix(_BOM))
        return _io.TextIOWrapper(text, _find_encoding(data), "replace").readlines()
    except (OSError, LookupError, ValueError):
        return []


def _find_encoding(data: bytes) -> str:
    """The encoding that source *data* declares, if its codec is loaded, else UTF-8.

    Loading one is an import, and waits for whoever holds the import lock; what is not ASCII is shown as � instead.
    """
    declared = _CODING.match(data)
    if declared is not None:
        name = encodings.normalize_encoding(declared[1].decode("utf-8", "replace")).lower()
        if f"encodings.{aliases.get(name, name)}" in sys.modules:
            return name
    return "utf-8"
