"""Stacks as lines of text with their source, each formatted once."""

from __future__ import annotations

from collections.abc import Sequence

from manhole._snapshot._lines import DIM, cut_right, fit_frame, paint
from manhole._snapshot._model import Frame
from manhole._snapshot._source import SourceLines
from manhole._snapshot._words import escape

__all__ = ["StackLines"]

# How many stacks stay formatted: most programs stand in few places, the others must not cost memory. Arbitrary.
MAX_STACKS = 1000


class StackLines:
    """Formats the stacks of one snapshot, which has to outlive it: equal frames and stacks are known by their `id()`.

    :param width: columns that no line exceeds, or None.
    :param colour: whether source is shown faint.
    """

    def __init__(self, width: int | None, colour: bool) -> None:
        self._width = width
        self._colour = colour
        self._sources = SourceLines()
        self._frames: dict[int, list[str]] = {}
        self._stacks: dict[int, list[str]] = {}

    def all_of(self, frames: tuple[Frame, ...]) -> Sequence[str]:
        """The lines of a unit's stack; *frames* is the unit's own tuple."""
        lines = self._stacks.get(id(frames))
        if lines is None:
            if len(self._stacks) >= MAX_STACKS:
                self._stacks.clear()
            lines = self._stacks[id(frames)] = self.format(frames)
        return lines

    def format(self, frames: Sequence[Frame], innermost: int | None = None) -> list[str]:
        """The lines of any frames of the snapshot, or of the *innermost* ones of them and how many others there are."""
        lines = []
        if innermost is not None and len(frames) > innermost:
            lines.append(f"  ... {len(frames) - innermost:,} outer frames")
            frames = frames[-innermost:]
        for frame in frames:
            known = self._frames.get(id(frame))
            if known is None:
                known = self._frames[id(frame)] = self._format_frame(frame)
            lines += known
        return lines

    def _format_frame(self, frame: Frame) -> list[str]:
        lines = [fit_frame(frame, self._width)]
        source = escape(self._sources.line(frame.file, frame.line).expandtabs(4))
        if source:
            if self._width is not None:
                source = cut_right(source, self._width - 4)
            lines.append(f"    {paint(source, DIM, self._colour)}")
        return lines
