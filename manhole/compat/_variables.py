"""Reads the variables of library functions that wait, and tells what the objects in them are; runs no application code.

Below Python 3.13 `f_locals` is a dict that stays with the frame and keeps all values alive: it is read in functions of
known libraries only, never in the application's, and emptied afterwards.
"""

from __future__ import annotations

import _socket
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import CodeType, FrameType, FunctionType, GetSetDescriptorType, MemberDescriptorType
from typing import Any

from manhole.compat._contract import Wait
from manhole.compat._originals import monotonic
from manhole.compat._safely import attributes_of, clean_name, type_name

__all__ = [
    "Reader",
    "addresses_of",
    "code_of",
    "explain_by_frames",
    "read_variables",
    "seconds_until",
    "slot_getter",
    "slot_of",
    "wait_for",
]

Reader = Callable[[FrameType], Wait | None]
_DICT_STAYS = sys.version_info < (3, 13)
# Levels of library functions between the innermost frame and the application's own. Arbitrary; six have been seen.
MAX_LEVELS = 16


def read_variables(frame: FrameType, *names: str) -> list[Any]:
    """The values of *names* in *frame*, each None if it is not set."""
    values = frame.f_locals
    found = [values.get(name) for name in names]
    if _DICT_STAYS:
        values.clear()
    return found


def code_of(module: str, function: str) -> CodeType | None:
    """The code of a loaded module's *function*, such as "Event.wait"; None if it is not there or was replaced."""
    loaded, *path = sys.modules.get(module), *function.split(".")
    found: Any = getattr(loaded, path[0], None)
    for name in path[1:]:
        if not isinstance(found, type):
            return None
        # gevent replaces some classes of the standard library with subclasses
        found = next((cls.__dict__[name] for cls in type.mro(found) if name in cls.__dict__), None)
    return found.__code__ if type(found) is FunctionType else None


def slot_getter(cls: type, name: str) -> Callable[[Any], Any] | None:
    """The getter of the slot that a class in C or `__slots__` has for an attribute; None if it is anything else."""
    for base in type.mro(cls):
        slot = type.__dict__["__dict__"].__get__(base).get(name)
        if slot is not None:
            getter: Callable[[Any], Any] = slot.__get__
            return getter if type(slot) in (GetSetDescriptorType, MemberDescriptorType) else None
    return None


def slot_of(instance: Any, name: str) -> Any:
    """An attribute that is in a slot, else in the instance's own dict; None if there is none."""
    getter = slot_getter(type(instance), name)
    if getter is None:
        return attributes_of(instance).get(name)
    try:
        return getter(instance)
    except AttributeError:  # not set
        return None


def wait_for(kind: str, awaited: Any, **more: Any) -> Wait | None:
    """A wait for an object; None if there is none."""
    return None if awaited is None else Wait(kind, type_name(type(awaited)), id(awaited), **more)


def seconds_until(moment: Any) -> float | None:
    """Seconds until *moment* on the monotonic clock, None if it is no number."""
    return moment - monotonic() if type(moment) in (int, float) else None


def explain_by_frames(
    codes: Sequence[CodeType],
    frame: FrameType | None,
    readers: Mapping[CodeType, Reader],
    inside: Callable[[str], bool],
) -> Wait | None:
    """What the outermost function with a reader says, as far as the stack, from within, consists of library code.

    :param inside: whether a file is of the library.
    """
    if not codes or frame is None or not inside(codes[-1].co_filename):
        return None
    for one in reversed(list(_library_frames(codes, frame, inside))):
        reader = readers.get(one.f_code)
        wait = reader(one) if reader is not None else None
        if wait is not None:
            return wait
    return None


def _library_frames(
    codes: Sequence[CodeType], frame: FrameType | None, inside: Callable[[str], bool]
) -> Iterator[FrameType]:
    for code in codes[: -MAX_LEVELS - 1 : -1]:
        # Another code object there means that the unit has gone on since its stack was read.
        if frame is None or frame.f_code is not code or not inside(code.co_filename):
            return
        yield frame
        frame = frame.f_back


def addresses_of(descriptor: int) -> tuple[str, str]:
    """A socket's own address and its peer's; empty ones if *descriptor* is no socket.

    A socket object is made for it and gives it back at once. Making one would switch the descriptor to non-blocking if
    the application has set a default timeout: then nothing is told of those that block.
    """
    if _socket.getdefaulttimeout() is not None:
        return "", ""
    try:
        raw = _socket.socket(fileno=descriptor)
    except (OSError, ValueError):
        return "", ""
    try:
        return _address(raw.getsockname), _address(raw.getpeername)
    finally:
        raw.detach()


def _address(ask: Callable[[], Any]) -> str:
    try:
        address = ask()
    except OSError:
        return ""
    if type(address) is tuple and len(address) >= 2:
        host, port = address[:2]
        return f"[{host}]:{port}" if ":" in str(host) else f"{host}:{port}"
    if type(address) is bytes:  # in Linux's abstract namespace
        address = "@" + address[1:].decode(errors="replace")
    return clean_name(address) or ""
