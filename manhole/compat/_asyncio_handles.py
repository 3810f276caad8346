"""asyncio's event loops, and uvloop's, for the watchdog."""

from __future__ import annotations

import sys
import weakref
from collections.abc import Callable, Sequence
from typing import Any

from manhole.compat._contract import HubHandle

__all__ = ["hub_classes", "make_handle"]


class _Handle:
    """An event loop: a callback from another thread wakes it.

    The methods are those of the library's own class, whatever a subclass of the application makes of them.
    """

    name = "asyncio"

    def __init__(self, loop: Any) -> None:
        self.ident = id(loop)
        self._loop = weakref.ref(loop)
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
