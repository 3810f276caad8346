"""Which OS thread a greenlet belongs to; greenlet itself does not say."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterable, Sequence
from typing import Any

from manhole import compat
from manhole.compat import Slots

__all__ = ["Roots"]

# How many greenlets are sifted in one C call: well below a millisecond.
CHUNK = 2000


class Roots:
    """The main greenlets at the ends of all chains of parents, and their threads.

    gevent's hubs record their thread; a suspended main greenlet holds the frames with which its thread began; a thread
    that once took a snapshot or installed the manhole is remembered; and where one thread and one main greenlet remain,
    they belong together.

    :param slots: greenlet's getters.
    :param greenlets: the unfinished ones.
    :param alive: the idents of the process's threads.
    """

    def __init__(self, slots: Slots, greenlets: Sequence[Any], alive: Iterable[int]) -> None:
        self._slots = slots
        self._known: dict[int, int] = {}  # id of a greenlet: id of its main greenlet
        self._parents: dict[int, Any] = {}
        alive = set(alive)
        roots = {root for greenlet in greenlets if (root := self.root_of(greenlet)) is not None}
        self._threads = {root: ident for root, ident in compat.remembered_roots().items() if ident in alive}
        for start in range(0, len(greenlets), CHUNK):
            for runtime in compat.RUNTIMES:
                for hub, ident in runtime.hub_threads(greenlets[start : start + CHUNK]).items():
                    if ident in alive:
                        self._threads[self._known[hub]] = ident
        for root in roots.difference(self._threads):
            began = self._began_with(self._parents[root])
            if began in alive:
                self._threads[root] = began
        open_roots = roots.difference(self._threads)
        open_threads = alive.difference(self._threads.values(), compat.own_threads)
        if len(open_roots) == 1 and len(open_threads) == 1:
            self._threads[open_roots.pop()] = open_threads.pop()

    def find_candidates(self, greenlets: Iterable[Any]) -> list[Any]:
        """The greenlets that may be hubs: somebody's parents, and the children of main greenlets. Few, as a rule."""
        found = dict(self._parents)
        for greenlet in greenlets:
            parent = self._slots.parent(greenlet)
            if parent is not None and self._slots.parent(parent) is None:
                found[id(greenlet)] = greenlet
        return list(found.values())

    def root_of(self, greenlet: Any) -> int:
        """The id of the main greenlet at the end of *greenlet*'s parents."""
        path = []
        while (ident := id(greenlet)) not in self._known:
            path.append(ident)
            parent = self._slots.parent(greenlet)
            if parent is None:
                self._known[ident] = ident
                self._parents[ident] = greenlet
                break
            if id(parent) not in self._parents:
                self._parents[id(parent)] = parent
            greenlet = parent
        root = self._known[ident]
        for ident in path:
            self._known[ident] = root
        return root

    def thread_of(self, greenlet: Any) -> int | None:
        """The ident of its thread, None where that cannot be told."""
        return self._threads.get(self.root_of(greenlet))

    def _began_with(self, main_greenlet: Any) -> int | None:
        """The ident of the thread whose outermost frame *main_greenlet* holds."""
        frame = self._slots.top_frame(main_greenlet)
        while frame is not None and frame.f_back is not None:
            frame = frame.f_back
        if frame is None:
            return None
        code = frame.f_code
        if code.co_name == "_bootstrap" and code.co_filename == threading.__file__:
            thread = frame.f_locals.get("self")
            ident = compat.thread_ident(thread) if thread is not None else None
            if sys.version_info < (3, 13):
                frame.f_locals.clear()  # this dict stays with the frame and would keep its values alive
            return ident
        if code.co_name in ("<module>", "_run_module_as_main"):
            return compat.main_thread_ident()
        return None
