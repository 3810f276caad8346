"""Collects a snapshot: finds every unit, reads its stack, tells whose thread it is on, and lets go of everything."""

from __future__ import annotations

import os
import platform
import sys
import threading
from collections.abc import Callable, Iterable, Sequence
from types import FrameType
from typing import Any, NamedTuple

from manhole import compat
from manhole._snapshot._model import Frame, Greenlet, Snapshot, Thread
from manhole._snapshot._stacks import Line, Moment, read_moment, read_stack
from manhole.compat import Label, Labeller, Slots

__all__ = ["collect_snapshot"]

# How often a greenlet that runs at the very moment of its turn is looked at again. Arbitrary.
LOOKS = 5
# Between two looks. sleep(0) would often take the GIL back before anybody has run.
LOOK_SECONDS = 0.001
_PYTHON = f"{platform.python_implementation()} {platform.python_version()}"
_STATES = ("running", "suspended", "not started")


class _Seen(NamedTuple):
    """A greenlet during collection."""

    greenlet: Any
    state: str
    root: int  # id of its thread's main greenlet
    stack: list[Line]
    label: Label


def collect_snapshot() -> Snapshot:
    """All threads and greenlets of this process as data.

    :returns: a frozen :class:`Snapshot`; nothing of the application is referenced by it.

    May be called from any thread and from a greenlet, also while the hub is blocked. Takes no lock, imports nothing and
    runs no code of the application's objects. In a signal handler it works too, but shows the handler's own stack.
    """
    return _Collection().finish()


class _Collection:
    """One pass; its object dies with it, and with it every reference into the application."""

    def __init__(self) -> None:
        self.slots: Slots | None = compat.greenlet_slots()
        if compat.get_ident() not in compat.own_threads:
            compat.remember_root()
        self.greenlets = compat.collect_greenlets()
        self.moment: Moment = read_moment(self.slots, self.greenlets)
        self.labellers: list[Labeller] = [
            labeller for runtime in compat.RUNTIMES if (labeller := runtime.make_labeller()) is not None
        ]
        self.interned: dict[Line, Frame] = {}
        self.finished = 0

    def finish(self) -> Snapshot:
        seen = list(self._see_greenlets())
        threads = self._threads_of_roots(seen)
        greenlets = [unit for one in seen if (unit := self._make_greenlet(one, threads)) is not None]
        order = self._thread_order()
        rank = {ident: position for position, ident in enumerate(order)}
        greenlets.sort(key=lambda unit: (rank.get(unit.thread, len(rank)), _STATES.index(unit.state)))  # type: ignore[arg-type]  # None ranks last
        running = {unit.thread: unit.ident for unit in greenlets if unit.state == "running"}
        names = compat.thread_names()
        return Snapshot(
            pid=os.getpid(),
            python=_PYTHON,
            libraries=tuple(
                (runtime.name, version) for runtime in compat.RUNTIMES if (version := runtime.version()) is not None
            ),
            threads=tuple(
                Thread(
                    ident,
                    names.get(ident, ""),
                    self._make_frames(self.moment.stacks[ident]),
                    running.get(ident),
                    ident in compat.own_threads,
                )
                for ident in order
            ),
            greenlets=tuple(greenlets),
            finished=self.finished,
            unseen=tuple(compat.blind_spots()),
        )

    def _see_greenlets(self) -> Iterable[_Seen]:
        slots = self.slots
        if slots is None:
            return
        roots: dict[int, int] = {}
        _, off_stack, active, dead = self.moment
        for index, greenlet in enumerate(self.greenlets):
            if dead[index]:
                self.finished += 1
                continue
            stack: list[Line] = []
            if not off_stack[index]:
                state = "suspended"
                stack = self._read_suspended(greenlet, slots.top_frame)
            else:
                state = "running" if active[index] else "not started"
            label = Label("", "") if state == "running" else self._label(greenlet, stack)
            yield _Seen(greenlet, state, _find_root(greenlet, slots, roots), stack, label)

    def _read_suspended(self, greenlet: Any, top_frame: Callable[[Any], FrameType | None]) -> list[Line]:
        for _ in range(LOOKS):
            stack = read_stack(top_frame, greenlet)
            if stack:
                return stack
            compat.sleep(LOOK_SECONDS)  # it runs just now; once it is switched away from, it has a stack again
        return []

    def _label(self, greenlet: Any, stack: Sequence[Line]) -> Label:
        codes = [code for code, _line in reversed(stack)]
        for labeller in self.labellers:
            label = labeller(greenlet, codes)
            if label is not None:
                return label
        return Label("greenlet", "")

    def _threads_of_roots(self, seen: Sequence[_Seen]) -> dict[int, int]:
        """Which OS thread each main greenlet belongs to; those that cannot be told are left out.

        greenlet itself does not say. gevent's hubs record it; a suspended main greenlet holds the frames with which its
        thread began; a thread that once took a snapshot or installed the manhole is remembered; and where one thread
        and one main greenlet remain, they belong together.
        """
        alive = self.moment.stacks
        threads = {root: ident for root, ident in compat.remembered_roots().items() if ident in alive}
        for one in seen:
            if one.label.thread in alive:
                threads[one.root] = one.label.thread
            elif id(one.greenlet) == one.root and one.state == "suspended":
                ident = self._began_with(one.greenlet)
                if ident is not None:
                    threads[one.root] = ident
        open_roots = {one.root for one in seen} - set(threads)
        open_threads = set(alive) - set(threads.values()) - set(compat.own_threads)
        if len(open_roots) == 1 and len(open_threads) == 1:
            threads[open_roots.pop()] = open_threads.pop()
        return threads

    def _began_with(self, main_greenlet: Any) -> int | None:
        """The ident of the thread whose outermost frame *main_greenlet* holds."""
        assert self.slots is not None
        frame = self.slots.top_frame(main_greenlet)
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

    def _make_greenlet(self, one: _Seen, threads: dict[int, int]) -> Greenlet | None:
        assert self.slots is not None
        thread = threads.get(one.root)
        label, stack = one.label, one.stack
        if one.state == "running":
            if id(one.greenlet) == one.root:
                return None  # a main greenlet that runs is its thread
            stack = self.moment.stacks.get(thread, []) if thread is not None else []
            label = self._label(one.greenlet, stack)
        parent = self.slots.parent(one.greenlet)
        return Greenlet(
            ident=id(one.greenlet),
            kind=label.kind,
            type=compat.type_name(type(one.greenlet)),
            name=label.name,
            state=one.state,
            thread=thread,
            parent=None if parent is None else id(parent),
            frames=self._make_frames(stack),
        )

    def _make_frames(self, stack: Sequence[Line]) -> tuple[Frame, ...]:
        frames = []
        for line in reversed(stack):
            frame = self.interned.get(line)
            if frame is None:
                code, number = line
                frame = self.interned[line] = Frame(code.co_filename, number or 0, compat.code_name(code))
            frames.append(frame)
        return tuple(frames)

    def _thread_order(self) -> list[int]:
        """The main thread, the application's others as they began, the manhole's own."""
        main = compat.main_thread_ident()
        idents = compat.oldest_first(self.moment.stacks)
        return sorted(idents, key=lambda ident: (ident != main, ident in compat.own_threads))


def _find_root(greenlet: Any, slots: Slots, known: dict[int, int]) -> int:
    """The id of the main greenlet at the end of *greenlet*'s parents; *known* collects what was found."""
    path = []
    while (ident := id(greenlet)) not in known:
        path.append(ident)
        parent = slots.parent(greenlet)
        if parent is None:
            known[ident] = ident
            break
        greenlet = parent
    root = known[ident]
    for ident in path:
        known[ident] = root
    return root
