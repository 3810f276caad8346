"""`sys._current_frames()` without its deadlock.

Until 3.11 CPython collects garbage whenever something is allocated, inside that function too, and there it holds the
lock of its list of threads. If a finalizer that is Python code lets go of the GIL then, whoever else asks for that lock
(by the same function, or to start a thread) waits for it with the GIL in hand, and the process stands still for ever
(python/cpython#106883). So the collector is off for the length of the call: a single one in C, so that nobody can come
between. From 3.12 on collections wait for the next step of bytecode.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Iterator
from itertools import chain, compress
from operator import methodcaller
from types import FrameType
from typing import Any

__all__ = ["current_frames", "iterate_frames"]

_COLLECTS_INSIDE = sys.implementation.name == "cpython" and sys.version_info < (3, 12)
_call: Callable[[Any], Any] = methodcaller("__call__")


def iterate_frames() -> Iterator[dict[int, FrameType]]:
    """An iterator, in C, over the one dict of the innermost frame of each thread, read when it is asked for."""
    if not _COLLECTS_INSIDE:
        return map(_call, (sys._current_frames,))
    results: list[Any] = []
    read = map(results.append, map(_call, (gc.isenabled, gc.disable, sys._current_frames)))
    resume = map(_call, compress((gc.enable,), results))  # if it was enabled, which is the first result
    # These yield None, which the filter drops. Popped: the iterator must not keep the frames.
    return filter(None, chain(read, resume, map(results.pop, (2,))))


def current_frames() -> dict[int, FrameType]:
    """The innermost frame of each thread, by ident. From any thread.

    The calling function's own frame is among them: to keep the dict in one of its variables is a ring.
    """
    return next(iterate_frames())
