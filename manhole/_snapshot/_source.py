"""Source lines for a dump, read with unpatched calls and kept no longer than the dump.

`linecache` is not used: it opens files with whatever `open` has been patched to, asks the application's module loaders,
and keeps every file that it has read. What is in its cache already (code typed at a prompt) is looked at.
"""

from __future__ import annotations

import _io
import linecache
import tokenize

__all__ = ["SourceLines"]

# A generated file larger than this is not worth the time of a sick process. Arbitrary.
MAX_FILE_BYTES = 4 * 1024 * 1024


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
        with _io.FileIO(file) as raw:
            data = raw.read(MAX_FILE_BYTES)
        encoding, _ = tokenize.detect_encoding(_io.BytesIO(data).readline)
        return data.decode(encoding, "replace").splitlines()
    except (OSError, SyntaxError, LookupError, ValueError):
        return []
