"""What a session shows of an error that its code has raised: a traceback without the frames that are ours."""

from __future__ import annotations

import importlib
import os
import sys
import traceback
from typing import Any

from manhole._compiler import PREFIX
from manhole.compat import clean_name, type_name

__all__ = ["describe_error", "format_error", "is_ours"]

# Module that `traceback` imports in the middle of formatting some error, and the version that began with it. Imported
# only then, it would wait for the import lock, which the application may hold. inspect has imported ast already, and
# what 3.15 imports for a ModuleNotFoundError follows upon an import that the user has asked for.
_IMPORTED_LATE = {"unicodedata": (3, 11), "_suggestions": (3, 13), "difflib": (3, 14), "_colorize": (3, 15)}
for _name, _since in _IMPORTED_LATE.items():
    if sys.version_info >= _since:
        try:
            importlib.import_module(_name)
        except ImportError:
            pass  # not part of this build

_OURS = os.path.dirname(__file__) + os.sep
# Of one text in a message. Arbitrary; leaves a message below the size that a client must take.
MAX_TEXT = 65_536
MAX_FRAMES = 200
# Of the names of all their files and functions together, which code may choose. Arbitrary, likewise.
MAX_NAMES = 32_768


def is_ours(file: str) -> bool:
    """Whether *file*, as code objects name it, is one of the manhole's own."""
    return file.startswith(_OURS)


def format_error(error: BaseException) -> str:
    """The traceback as text."""
    try:
        return "".join(_shown(error).format())
    except KeyboardInterrupt:  # whoever asked for it wants it no more
        raise
    except BaseException as broken:  # noqa: BLE001 - an exception whose own formatting fails is the user's, not ours
        return f"{type(error).__name__} (its traceback cannot be shown: {type(broken).__name__})\n"


def describe_error(error: BaseException) -> dict[str, Any]:
    """The error as plain data."""
    try:
        message = str.__str__(str(error))
    except KeyboardInterrupt:  # as above
        raise
    except BaseException:  # noqa: BLE001 - as above
        message = "(its text cannot be had)"
    frames = traceback.extract_tb(error.__traceback__)
    shown = [frame for frame in frames if not is_ours(frame.filename)]
    return {
        "type": type_name(type(error)),
        "module": clean_name(getattr(type(error), "__module__", None)) or "?",
        "message": message[:MAX_TEXT],
        "traceback": format_error(error)[:MAX_TEXT],
        "frames": _describe_frames(shown),
    }


def _describe_frames(frames: list[traceback.FrameSummary]) -> list[dict[str, Any]]:
    """The innermost of them, as many as there is room for."""
    found: list[dict[str, Any]] = []
    room = MAX_NAMES
    for frame in reversed(frames[-MAX_FRAMES:]):
        room -= len(frame.filename) + len(frame.name)
        if room < 0:
            break
        found.append({"file": frame.filename, "line": frame.lineno, "function": frame.name})
    return found[::-1]


def _shown(error: BaseException) -> traceback.TracebackException:
    # compact: what is not to be shown of a chain is not read either
    whole = traceback.TracebackException(type(error), error, error.__traceback__, compact=True)
    todo: list[traceback.TracebackException | None] = [whole]
    while todo:
        one = todo.pop()
        if one is not None:
            one.stack = traceback.StackSummary.from_list(_without_ours(one.stack))
            todo += [one.__cause__, one.__context__, *(getattr(one, "exceptions", None) or ())]
    return whole


def _without_ours(frames: list[traceback.FrameSummary]) -> list[traceback.FrameSummary]:
    """What stands before the session's own code called it, in a hub, and what it called of ours."""
    typed = [number for number, frame in enumerate(frames) if frame.filename.startswith(PREFIX)]
    return [frame for frame in frames[typed[0] if typed else 0 :] if not is_ours(frame.filename)]
