"""eventlet's hubs: what the watchdog asks of them, and running code in them."""

from __future__ import annotations

import sys
import weakref
from collections.abc import Callable
from contextvars import Context
from operator import attrgetter
from types import CodeType, FunctionType
from typing import Any

from manhole.compat._contract import HubHandle
from manhole.compat._eventlet_wakers import known_thread, waker_of
from manhole.compat._frames import current_frames
from manhole.compat._greenlets import greenlet_slots
from manhole.compat._heap import family_of
from manhole.compat._originals import get_ident
from manhole.compat._safely import attributes_of
from manhole.compat._variables import read_variables

__all__ = ["hub_classes", "make_handle"]


class _Handle:
    """An eventlet hub. Nothing from outside wakes one without listeners, so an idle one has to be seen to be so."""

    name = label = "eventlet"
    has_tasks = False

    def __init__(self, hub: Any) -> None:
        self.ident = id(hub)
        self._hub = weakref.ref(hub)

    def is_gone(self) -> bool:
        return self._hub() is None

    def is_at_rest(self) -> bool:
        """Whether the hub's greenlet is the one that its thread runs, and a thread is where hubs wait."""
        slots = greenlet_slots()
        greenlet = self.greenlet()
        if slots is None or greenlet is None or not slots.active(greenlet):
            return True  # nobody runs it
        if slots.top_frame(greenlet) is not None:
            return False  # suspended: another greenlet runs
        # In C: a variable with the frames, this function's among them, would be a ring that keeps them all.
        return any(map(_wait_codes().__contains__, map(attrgetter("f_code"), current_frames().values())))

    def ping(self, callback: Callable[[], object]) -> None:
        hub = self._hub()
        base = getattr(sys.modules.get("eventlet.hubs.hub"), "BaseHub", None)
        if hub is not None and base is not None:
            # Appends to a list, which the loop looks at when it comes round.
            base.schedule_call_global(hub, 0, callback)

    def call_soon(self, callback: Callable[[], object]) -> None:
        hub = self._hub()
        if hub is not None:
            waker_of(hub).call_soon(hub, callback)

    def nudge(self) -> None:
        hub = self._hub()
        if hub is not None:
            waker_of(hub).nudge(hub)

    def greenlet(self) -> Any:
        hub = self._hub()
        return None if hub is None else attributes_of(hub).get("greenlet")

    def unit(self) -> int | None:
        greenlet = self.greenlet()
        return None if greenlet is None else id(greenlet)

    def thread(self) -> int | None:
        """Known once a callback was called, and while the hub waits."""
        hub = self._hub()
        if hub is None:
            return None
        known = known_thread(hub)
        return known if known is not None else _thread_that_waits_in(hub)

    def is_running(self) -> bool:
        slots = greenlet_slots()
        greenlet = self.greenlet()
        return slots is not None and greenlet is not None and not slots.dead(greenlet)

    def is_current(self) -> bool:
        hub = self._hub()
        local = getattr(sys.modules.get("eventlet.hubs"), "_threadlocal", None)
        return hub is not None and getattr(local, "hub", None) is hub

    def spawn(self, run: Callable[[], object], context: Context | None) -> None:
        hub = self._hub()
        if hub is None:
            return
        unit = sys.modules["eventlet.greenthread"].GreenThread(hub.greenlet)
        try:
            # A child of the hub switches back to it, into the callback, when it waits or ends.
            unit.switch(run, (), {})
        except BaseException as error:  # noqa: BLE001 - see below
            # Of another greenlet, which *run* has had thrown into: such a one ends in the hub, wherever that is. It is
            # reported as any other, and not to whoever listens here, for the hub would have done with that.
            hub.schedule_call_global(0, _raise, error)

    def current_unit(self) -> Any:
        return sys.modules["greenlet"].getcurrent()

    def throw(self, unit: Any, exception: type[BaseException]) -> None:
        unit.throw(exception)

    def why_asleep(self) -> str:
        hub = self._hub()
        if hub is None or not self.is_at_rest() or waker_of(hub).has_woken:
            return ""
        return "it sleeps until its next timer or event, and cannot be woken from outside before it has come round once"


def _raise(error: BaseException) -> None:
    raise error


def _thread_that_waits_in(hub: Any) -> int | None:
    """The ident of the thread that is in the hub's own wait for events, None if it is not there."""
    codes = _wait_codes()
    frames = current_frames()
    frames.pop(get_ident())  # this function's own: a ring would keep them all
    for ident, frame in frames.items():
        if frame.f_code in codes and read_variables(frame, "self")[0] is hub:
            return ident
    return None


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
