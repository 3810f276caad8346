"""Lines for a terminal: made to fit its width, and coloured."""

from __future__ import annotations

from manhole._snapshot._model import Frame
from manhole._snapshot._words import escape

__all__ = ["BOLD", "DIM", "MIN_WIDTH", "PROBLEM", "columns", "cut_left", "cut_right", "fit_frame", "paint", "wrap"]

# Narrower than this nothing useful can be said.
MIN_WIDTH = 20
# SGR (ECMA-48): bold red, bold, faint.
PROBLEM = "1;31"
BOLD = "1"
DIM = "2"
# The least that a path keeps before the function's name is cut as well.
_LEAST_PATH = 12


def columns(text: str) -> int:
    """How many columns of a terminal *text* takes at most."""
    # The first wide characters are Hangul's at U+1100; whatever comes later is counted as wide, so that no line is too
    # long. Knowing better would take unicodedata, a library of its own in each process.
    return len(text) if text.isascii() else len(text) + sum(char >= "\u1100" for char in text)


def cut_right(text: str, width: int) -> str:
    """The beginning of *text* and "...", in *width* columns, or all of it."""
    if columns(text) <= width:
        return text
    text = text[: max(0, width - 3)]
    while columns(text) > width - 3 and text:
        text = text[:-1]
    return (text + "...")[:width]


def cut_left(text: str, width: int) -> str:
    """The end of *text* after "...", in *width* columns, or all of it."""
    if columns(text) <= width:
        return text
    text = text[len(text) - (width - 3) :] if width > 3 else ""
    while columns(text) > width - 3 and text:
        text = text[1:]
    return ("..." + text)[:width]


def wrap(line: str, width: int | None, indent: str = "    ") -> list[str]:
    """*line* in lines of at most *width* columns, broken at blanks; a word that is longer loses its beginning.

    :param indent: what the second line and those after it begin with.
    """
    if width is None or columns(line) <= width:
        return [line]
    words = line.lstrip(" ")
    start = line[: len(line) - len(words)]
    lines: list[str] = []
    current = ""
    for word in words.split(" "):
        longer = f"{current} {word}" if current else start + word
        if columns(longer) <= width:
            current = longer
            continue
        if current:
            lines.append(current)
            start = indent
        # The end of a path is kept: that says which file, and which line.
        current = start + cut_left(word, width - len(start))
    lines.append(current)
    return lines


def fit_frame(frame: Frame, width: int | None) -> str:
    """A frame's first line, as Python's own tracebacks have it; the path is cut first, then the function's name."""
    file, function, line = escape(frame.file), escape(frame.function), frame.line
    text = f'  File "{file}", line {line}, in {function}'
    if width is None or columns(text) <= width:
        return text
    file = cut_left(file, max(_LEAST_PATH, width - columns(text) + columns(file)))
    return cut_right(f'  File "{file}", line {line}, in {function}', width)


def paint(text: str, sgr: str, colour: bool) -> str:
    """*text* in the colours *sgr*, if *colour*."""
    return f"\x1b[{sgr}m{text}\x1b[0m" if colour and text else text
