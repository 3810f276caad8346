"""PyPy's greenlet class, which is written in Python over continulets: its state, and where its stacks end.

It has no C getters, its `gr_frame` takes every greenlet for one of the calling thread, and the frames of a suspended
greenlet run in a circle: behind the function that the library starts each greenlet with comes the innermost frame
again. So a stack ends at that function. Asked for the frames of a greenlet that runs, a continulet answers with those
of the thread's main greenlet, which lie below; that is how it is known to run.
"""

from __future__ import annotations

import sys
from types import FrameType
from typing import Any

from manhole.compat._safely import attributes_of

__all__ = ["active", "dead", "in_stack", "is_used", "parent", "run", "top_frame"]


# The code of the two functions that the library starts greenlets with, by id: comparing code objects is slow. They live
# as long as the library, which cannot be unloaded.
_bottoms: set[int] = set()


def is_used() -> bool:
    """Whether the greenlet library that this process has loaded is PyPy's. Call it before any other here."""
    library = sys.modules.get("greenlet")
    for name in ("_greenlet_start", "_greenlet_throw"):
        function = getattr(library, name, None)
        if function is not None:
            _bottoms.add(id(function.__code__))
    return bool(_bottoms)


def in_stack(frame: FrameType | None) -> bool:
    """Whether *frame*, met on the way along `f_back`, is still of the stack where the way began."""
    return frame is not None and id(frame.f_code) not in _bottoms


def _find_bottom(frame: FrameType | None) -> FrameType | None:
    while in_stack(frame):
        assert frame is not None
        frame = frame.f_back
    return frame


def _greenlet_at(bottom: FrameType) -> Any:
    return bottom.f_locals.get("greenlet")


def _behind_switch(frame: FrameType) -> FrameType | None:
    """The frame that called `switch()` or `throw()`: three further out, as in the library's own `gr_frame`."""
    for _ in range(3):
        if frame.f_back is None:
            return None
        frame = frame.f_back
    return frame


def top_frame(greenlet: Any) -> FrameType | None:
    """The innermost frame of a suspended greenlet of any thread; None if it runs, has not started or is dead."""
    attributes = attributes_of(greenlet)
    if "_greenlet__main" in attributes:
        return _top_of_main(attributes.get("_greenlet__thread_id"))
    frame = _continulet()._get_frame(greenlet) or None
    bottom = _find_bottom(frame)
    if frame is None or bottom is None or _greenlet_at(bottom) is not greenlet:
        return None
    return _behind_switch(frame)


def _top_of_main(thread: Any) -> FrameType | None:
    """A main greenlet's frames lie below those of the greenlet that runs on its thread; None if it is itself that."""
    for frame in sys._current_frames().values():
        bottom = _find_bottom(frame)
        if bottom is not None and attributes_of(_greenlet_at(bottom)).get("_greenlet__thread_id") is thread:
            return _behind_switch(bottom)
    return None


def _continulet() -> Any:
    return sys.modules["_continuation"].continulet


def active(greenlet: Any) -> bool:
    """Whether it has started and is not dead."""
    return "_greenlet__main" in attributes_of(greenlet) or bool(_continulet().is_pending(greenlet))


def dead(greenlet: Any) -> bool:
    """Whether it has finished."""
    return "_greenlet__started" in attributes_of(greenlet) and not active(greenlet)


def parent(greenlet: Any) -> Any:
    """Its parent, None for a main greenlet."""
    return attributes_of(greenlet).get("parent")


def run(greenlet: Any) -> Any:
    """The function that it was made with.

    :raises AttributeError: if there is none.
    """
    try:
        return attributes_of(greenlet)["run"]
    except KeyError:
        raise AttributeError("run") from None
