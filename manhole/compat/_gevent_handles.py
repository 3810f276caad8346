"""gevent's hubs for the watchdog."""

from __future__ import annotations

import sys
import weakref
from collections.abc import Callable
from types import GetSetDescriptorType
from typing import Any

from manhole.compat._contract import HubHandle
from manhole.compat._safely import attributes_of

__all__ = ["hub_classes", "make_handle"]


class _Handle:
    """A gevent Hub: a callback from another thread wakes its loop."""

    name = "gevent"

    def __init__(self, hub: Any) -> None:
        self.ident = id(hub)
        self._hub = weakref.ref(hub)
        self._thread = attributes_of(hub).get("thread_ident")

    def is_gone(self) -> bool:
        return self._hub() is None

    def is_at_rest(self) -> bool:
        # A thread's end leaves its hub to the garbage collector.
        return self._thread not in sys._current_frames()

    def ping(self, callback: Callable[[], object]) -> None:
        hub = self._hub()
        if hub is not None:
            _loop_of(hub).run_callback_threadsafe(callback)


def _loop_of(hub: Any) -> Any:
    """The loop as gevent's own class has stored it: a slot where gevent is compiled, else an attribute."""
    for cls in type.mro(type(hub)):
        slot = cls.__dict__.get("loop")
        if type(slot) is GetSetDescriptorType:
            return slot.__get__(hub)
    return attributes_of(hub)["loop"]


def hub_classes() -> tuple[type, ...]:
    """The Hub class."""
    cls = getattr(sys.modules.get("gevent.hub"), "Hub", None)
    return () if cls is None else (cls,)


def make_handle(loop: Any) -> HubHandle:
    """A Hub, whichever thread's."""
    return _Handle(loop)
