"""asyncio's event loops, and uvloop's: what the watchdog asks of them, and running code in them."""

from __future__ import annotations

import sys
import weakref
from collections.abc import Callable, Coroutine, Sequence
from contextvars import Context
from functools import partial
from typing import Any

from manhole.compat._asyncio import read_loop
from manhole.compat._contract import HubHandle
from manhole.compat._safely import type_name

__all__ = ["hub_classes", "make_handle"]


class _Handle:
    """An event loop: a callback from another thread wakes it.

    The methods are those of the library's own class, whatever a subclass of the application makes of them.
    """

    name = "asyncio"
    has_tasks = True

    def __init__(self, loop: Any) -> None:
        self.ident = id(loop)
        self.label = type_name(type(loop))
        self._loop = weakref.ref(loop)
        self._tasks: set[Any] = set()
        self._class: Any = next(cls for cls in hub_classes() if issubclass(type(loop), cls))

    def is_gone(self) -> bool:
        return self._loop() is None

    def is_at_rest(self) -> bool:
        loop = self._loop()
        return loop is None or not self._class.is_running(loop)

    def ping(self, callback: Callable[[], object]) -> None:
        loop = self._loop()
        if loop is not None and not self._class.is_closed(loop):
            self._class.call_soon_threadsafe(loop, callback)

    call_soon = ping

    def nudge(self) -> None:
        """Not needed: the loop was woken up for certain."""

    def unit(self) -> int | None:
        return self.ident

    def thread(self) -> int | None:
        loop = self._loop()
        return None if loop is None else read_loop(loop).thread

    def greenlet(self) -> Any:
        return None

    def is_running(self) -> bool:
        loop = self._loop()
        return loop is not None and bool(self._class.is_running(loop))

    def is_current(self) -> bool:
        running = getattr(sys.modules.get("asyncio.events"), "_get_running_loop", None)
        loop = self._loop()
        return loop is not None and running is not None and running() is loop

    def spawn(self, run: Callable[[], Coroutine[Any, Any, None] | None], context: Context | None) -> None:
        coroutine = run()
        loop = self._loop()
        if coroutine is not None and loop is not None:
            make = partial(self._class.create_task, loop, coroutine)
            task = make() if context is None else context.run(make)
            self._tasks.add(task)  # the loop itself holds no task alive
            task.add_done_callback(self._tasks.discard)

    def current_unit(self) -> Any:
        return sys.modules["asyncio.tasks"].current_task(self._loop())

    def throw(self, unit: Any, exception: type[BaseException]) -> None:
        unit.cancel()

    def why_asleep(self) -> str:
        return ""


def hub_classes() -> Sequence[type]:
    """The classes that the standard library's loops and uvloop's have in common."""
    found = (
        getattr(sys.modules.get("asyncio.base_events"), "BaseEventLoop", None),
        getattr(sys.modules.get("uvloop.loop"), "Loop", None),
    )
    return [cls for cls in found if cls is not None]


def make_handle(loop: Any) -> HubHandle:
    """A loop, whichever thread's."""
    return _Handle(loop)
