"""Positions in code as frames: each distinct line and each distinct stack is one object."""

from __future__ import annotations

from collections.abc import Sequence
from types import CodeType

from manhole import compat
from manhole._snapshot._model import Frame
from manhole._snapshot._stacks import Position

__all__ = ["Frames"]


class Frames:
    """Makes the frames of one snapshot. It holds code objects until it is let go of.

    Code objects are looked up by their `id()`: hashing one goes through its constants and its bytecode.
    """

    def __init__(self) -> None:
        self._by_positions: dict[tuple[int, ...], tuple[Frame, ...]] = {}
        self._by_places: dict[tuple[int, ...], tuple[Frame, ...]] = {}
        self._by_line: dict[tuple[str, int, str], Frame] = {}
        self._by_frames: dict[tuple[int, ...], tuple[Frame, ...]] = {}
        self._lines: dict[tuple[int, int], int] = {}
        self._codes: dict[int, CodeType] = {}  # what is in here keeps its id

    def stack(self, positions: Sequence[Position]) -> tuple[Frame, ...]:
        """The frames at *positions*, in the same order; the same object for the same lines."""
        if not positions:
            return ()
        codes, offsets = zip(*positions, strict=True)
        key = (*map(id, codes), *offsets)
        found = self._by_positions.get(key)
        if found is None:
            self._codes.update(zip(map(id, codes), codes, strict=True))
            found = self._unique([self._frame(code, self._line(code, offset)) for code, offset in positions])
            self._by_positions[key] = found
        return found

    def at_lines(self, places: Sequence[tuple[CodeType, int]]) -> tuple[Frame, ...]:
        """The frames at lines of code objects."""
        if not places:
            return ()
        codes, lines = zip(*places, strict=True)
        key = (*map(id, codes), *lines)
        found = self._by_places.get(key)
        if found is None:
            self._codes.update(zip(map(id, codes), codes, strict=True))
            found = self._by_places[key] = self._unique([self._frame(code, line) for code, line in places])
        return found

    def _unique(self, frames: list[Frame]) -> tuple[Frame, ...]:
        return self._by_frames.setdefault(tuple(map(id, frames)), tuple(frames))

    def _frame(self, code: CodeType, line: int) -> Frame:
        key = (code.co_filename, line, compat.code_name(code))
        frame = self._by_line.get(key)
        if frame is None:
            frame = self._by_line[key] = Frame(*key)
        return frame

    def _line(self, code: CodeType, offset: int) -> int:
        key = (id(code), offset)
        if key not in self._lines:
            lines = [line for start, end, line in code.co_lines() if start <= offset < end]
            # Below 0: it has not begun.
            self._lines[key] = code.co_firstlineno if offset < 0 else (lines[0] if lines else None) or 0
        return self._lines[key]
