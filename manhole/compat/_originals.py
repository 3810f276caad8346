"""The unpatched primitives, taken once when this module is imported; the whole service path is built on them.

gevent and eventlet replace attributes of `_thread`, `select` and `time` in place. Neither library's own record of what
was there is reliable: with eventlet patched first and gevent second, gevent has saved eventlet's green functions. What
holds in every order is that an original is a builtin made in C and a replacement is not, so the first candidate that is
one is taken. `_socket` and `posix` are never patched and are used directly everywhere.
"""

from __future__ import annotations

import _socket
import _thread
import select
import socket
import sys
import time  # noqa: F401 - so that sys.modules has it for the look-up
import types
from collections.abc import Callable, Iterator
from typing import Any

__all__ = [
    "ReentrantLock",
    "allocate_lock",
    "get_ident",
    "make_poll",
    "monotonic",
    "original_or_none",
    "original_socket_class",
    "poll_one",
    "sleep",
    "start_new_thread",
]


def _is_original(candidate: object) -> bool:
    return type(candidate) is types.BuiltinFunctionType


def _candidates(module: str, name: str) -> Iterator[object]:
    yield getattr(sys.modules.get(module), name, None)
    saved = getattr(sys.modules.get("gevent.monkey"), "saved", {})
    yield saved.get(module, {}).get(name)
    # eventlet keeps a copy of each module that it patches under this name.
    yield getattr(sys.modules.get(f"__original_module_{module}"), name, None)
    yield getattr(_fresh_module(module), name)


def _fresh_module(name: str) -> types.ModuleType:
    """A second, untouched instance of a C module, for when nobody has kept the original."""
    from importlib.machinery import BuiltinImporter, PathFinder

    spec = BuiltinImporter.find_spec(name) or PathFinder.find_spec(name)
    if spec is None or spec.loader is None:
        raise ImportError(f"cannot find the C module {name!r}")
    module = spec.loader.create_module(spec)
    if module is None:
        raise ImportError(f"{name!r} is not a C module")
    spec.loader.exec_module(module)
    return module


def original_or_none(module: str, name: str) -> Any:
    """The attribute as it is, if it is there and is an original; nothing else is tried."""
    candidate = getattr(sys.modules.get(module), name, None)
    return candidate if _is_original(candidate) else None


def _original(module: str, name: str) -> Any:
    for candidate in _candidates(module, name):
        if _is_original(candidate):
            return candidate
    raise ImportError(f"no unpatched {module}.{name} was found")


def original_socket_class() -> type[_socket.socket]:
    """The standard library's socket class as it was, with makefile() and all; the C class if nobody has kept it.

    Its instances wait in the kernel, those of a patched class in the hub.
    """
    saved = getattr(sys.modules.get("gevent.monkey"), "saved", {})
    candidates = (
        socket.socket,
        saved.get("socket", {}).get("socket"),
        getattr(sys.modules.get("__original_module_socket"), "socket", None),
    )
    for cls in candidates:
        if isinstance(cls, type) and issubclass(cls, _socket.socket) and cls.__module__ in _STDLIB_NAMES:
            return cls
    return _socket.socket


# eventlet loads a second copy of the module under its own name for it.
_STDLIB_NAMES = ("socket", "__original_module_socket")

# Patched, each of these would run the hub of whichever thread calls it, or wait for a hub that is blocked:
# a thread would be a greenlet of the blocked hub,
start_new_thread: Callable[..., int] = _original("_thread", "start_new_thread")
# a lock would switch greenlets instead of waiting,
allocate_lock: Callable[[], _thread.LockType] = _original("_thread", "allocate_lock")
# (of this one, neither library replaces more than `threading`'s own name for it)
ReentrantLock = _thread.RLock
# an ident would be a greenlet's,
get_ident: Callable[[], int] = _original("_thread", "get_ident")
# a poll would wait in the hub (eventlet deletes it altogether),
make_poll: Callable[[], select.poll] = _original("select", "poll")
# a sleep would never end while the hub is blocked,
sleep: Callable[[float], None] = _original("time", "sleep")
# and a clock may be stopped by a test tool of the application.
monotonic: Callable[[], float] = _original("time", "monotonic")


def poll_one(descriptor: int, events: int, milliseconds: float) -> int:
    """Which of *events*, and of those that are always told, have come to *descriptor* by then; 0: none.

    :raises OSError, ValueError: for a descriptor that a closed socket or file gives as its own.
    """
    poll = make_poll()
    poll.register(descriptor, events)
    return dict(poll.poll(milliseconds)).get(descriptor, 0)
