"""The greenlets that gevent has spawned, noted at their spawn instead of looked for in the whole heap."""

from __future__ import annotations

import sys
import weakref
from collections.abc import Iterable
from typing import Any

from manhole.compat._originals import monotonic

__all__ = ["GreenletRegistry", "registry"]


class GreenletRegistry:
    """Weak references to greenlets, and when they were spawned.

    gevent tells of each in whatever thread and greenlet spawns it: nothing here takes a lock or holds it alive.
    """

    def __init__(self) -> None:
        # By the id of the reference: a greenlet's own hash may be code of the application.
        self._known: dict[int, tuple[weakref.ref[Any], float | None]] = {}
        self._wanted = False
        self._hooked = False

    @property
    def is_active(self) -> bool:
        """Whether gevent tells of every spawn."""
        if self._wanted and not self._hooked:
            self._hook()  # gevent may have been loaded since
        return self._hooked

    def start(self, known: Iterable[Any]) -> None:
        """Begin to note spawns; *known* are the greenlets that there are already. Twice is harmless."""
        self._wanted = True
        if self.is_active:
            for greenlet in known:
                self._note(greenlet, None)

    def stop(self) -> None:
        """Note no more, and forget all. Twice is harmless."""
        self._wanted = False
        if self._hooked:
            self._hooked = False
            sys.modules["gevent.greenlet"].Greenlet.remove_spawn_callback(self._spawned)
        self._known.clear()

    def _hook(self) -> None:
        add = getattr(getattr(sys.modules.get("gevent.greenlet"), "Greenlet", None), "add_spawn_callback", None)
        if add is not None:
            add(self._spawned)
            self._hooked = True

    def greenlets(self) -> dict[int, tuple[Any, float | None]]:
        """Each greenlet that still lives and the seconds since its spawn, None if it was there before; by its id."""
        now = monotonic()
        alive = ((reference(), born) for reference, born in list(self._known.values()))
        return {id(unit): (unit, None if born is None else now - born) for unit, born in alive if unit is not None}

    def _spawned(self, greenlet: Any) -> None:
        self._note(greenlet, monotonic())

    def _note(self, greenlet: Any, born: float | None) -> None:
        reference = weakref.ref(greenlet, self._forget)
        self._known[id(reference)] = reference, born

    def _forget(self, reference: weakref.ref[Any]) -> None:
        self._known.pop(id(reference), None)


# The process's only one, as gevent's spawn callbacks are the process's.
registry = GreenletRegistry()
