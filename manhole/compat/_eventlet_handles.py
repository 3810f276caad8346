"""eventlet's hubs for the watchdog."""

from __future__ import annotations

import sys
import weakref
from collections.abc import Callable
from operator import attrgetter
from types import CodeType, FunctionType
from typing import Any

from manhole.compat._contract import HubHandle
from manhole.compat._greenlets import greenlet_slots
from manhole.compat._heap import family_of
from manhole.compat._safely import attributes_of

__all__ = ["hub_classes", "make_handle"]


class _Handle:
    """An eventlet hub. Nothing from outside wakes one without listeners, so an idle one has to be seen to be so."""

    name = "eventlet"

    def __init__(self, hub: Any) -> None:
        self.ident = id(hub)
        self._hub = weakref.ref(hub)

    def is_gone(self) -> bool:
        return self._hub() is None

    def is_at_rest(self) -> bool:
        """Whether the hub's greenlet is the one that its thread runs, and a thread is where hubs wait."""
        slots = greenlet_slots()
        hub = self._hub()
        greenlet = None if hub is None else attributes_of(hub).get("greenlet")
        if slots is None or greenlet is None or not slots.active(greenlet):
            return True  # nobody runs it
        if slots.top_frame(greenlet) is not None:
            return False  # suspended: another greenlet runs
        # In C: a variable with the frames, this function's among them, would be a ring that keeps them all.
        return any(map(_wait_codes().__contains__, map(attrgetter("f_code"), sys._current_frames().values())))

    def ping(self, callback: Callable[[], object]) -> None:
        hub = self._hub()
        base = getattr(sys.modules.get("eventlet.hubs.hub"), "BaseHub", None)
        if hub is not None and base is not None:
            # Appends to a list, which the loop looks at when it comes round.
            base.schedule_call_global(hub, 0, callback)


def _wait_codes() -> set[CodeType]:
    """The code of every hub's methods that wait for events and call nothing else."""
    classes = family_of(hub_classes())
    methods = (cls.__dict__.get(wait) for cls in classes for wait in ("wait", "do_poll"))
    return {method.__code__ for method in methods if type(method) is FunctionType}


def hub_classes() -> tuple[type, ...]:
    """The base class of the hubs."""
    cls = getattr(sys.modules.get("eventlet.hubs.hub"), "BaseHub", None)
    return () if cls is None else (cls,)


def make_handle(loop: Any) -> HubHandle:
    """A hub, whichever thread's."""
    return _Handle(loop)
