"""gevent's hubs: what the watchdog asks of them, and running code in them."""

from __future__ import annotations

import sys
import weakref
from collections.abc import Callable
from contextvars import Context
from types import GetSetDescriptorType
from typing import Any

from manhole.compat._contract import HubHandle
from manhole.compat._frames import current_frames
from manhole.compat._greenlets import greenlet_slots
from manhole.compat._originals import get_ident
from manhole.compat._safely import attributes_of, clean_name

__all__ = ["hub_classes", "make_handle"]

# What a dump shows as the name of a greenlet that was asked for from outside.
CALL_NAME = "manhole.in_hub"


class _Handle:
    """A gevent Hub: a callback from another thread wakes its loop."""

    name = "gevent"
    has_tasks = False

    def __init__(self, hub: Any) -> None:
        self.ident = id(hub)
        self.label = clean_name(attributes_of(hub).get("name")) or "gevent"
        self._hub = weakref.ref(hub)
        self._thread = attributes_of(hub).get("thread_ident")

    def is_gone(self) -> bool:
        return self._hub() is None

    def is_at_rest(self) -> bool:
        # A thread's end leaves its hub to the garbage collector.
        return self._thread not in current_frames()

    def ping(self, callback: Callable[[], object]) -> None:
        hub = self._hub()
        if hub is not None:
            _loop_of(hub).run_callback_threadsafe(callback)

    call_soon = ping

    def nudge(self) -> None:
        """Not needed: the loop was woken up for certain."""

    def unit(self) -> int | None:
        return self.ident

    def thread(self) -> int | None:
        return self._thread if type(self._thread) is int else None

    def greenlet(self) -> Any:
        return self._hub()

    def is_running(self) -> bool:
        """One that was destroyed stays until it is collected, and its thread's ident may be another's by then."""
        hub = self._hub()
        if hub is None or _loop_of(hub) is None or self._thread not in current_frames():
            return False
        slots = greenlet_slots()
        return slots is None or not slots.dead(hub)

    def is_current(self) -> bool:
        return self._thread == get_ident()

    def spawn(self, run: Callable[[], object], context: Context | None) -> None:
        greenlet = sys.modules["gevent.greenlet"].Greenlet(run)
        greenlet.name = CALL_NAME
        greenlet.start()  # the hub runs it after this callback, which must not switch

    def current_unit(self) -> Any:
        return sys.modules["greenlet"].getcurrent()

    def throw(self, unit: Any, exception: type[BaseException]) -> None:
        unit.throw(exception)

    def why_asleep(self) -> str:
        return ""


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
