"""Collects a snapshot: finds every unit, reads its stack, looks what the hubs do, and lets go of everything."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from manhole import compat
from manhole._errors import InvalidOption, NoSuchUnit
from manhole._snapshot._deadlocks import find_deadlocks
from manhole._snapshot._explaining import Explaining
from manhole._snapshot._greenlets import Greenlets, running_now
from manhole._snapshot._hubs import WatchedHub, finish_hubs, take_sample, watch_until
from manhole._snapshot._interning import Frames
from manhole._snapshot._model import Snapshot, Unit, Wait
from manhole._snapshot._pace import Pace
from manhole._snapshot._process import collect_process, thread_ages
from manhole._snapshot._roots import Roots
from manhole._snapshot._stacks import Position, read_moment, without_own
from manhole._snapshot._tasks import Tasks

__all__ = ["FoundUnit", "collect_snapshot", "find_unit"]

_STATES = ("running", "suspended", "not started", "finished")


def collect_snapshot(*, finished: bool = False, samples: int = 3, within: float = 0.15) -> Snapshot:
    """All threads, greenlets and asyncio tasks of this process as data, and what its hubs are doing.

    :param finished: whether finished greenlets and tasks that somebody still holds are shown, too.
    :param samples: how often each hub is looked at, at least 1.
    :param within: seconds between the first and the last of these looks; longer where reading all stacks takes longer.
    :returns: a frozen :class:`Snapshot`; nothing of the application is referenced by it.
    :raises InvalidOption: for a number that is out of range.

    May be called from any thread and from a greenlet, also while the hub is blocked; between the samples it sleeps, on
    the calling thread alone. Takes no lock, imports nothing and runs no code of the application's objects. In a signal
    handler it works too, and shows what it has interrupted.
    """
    if type(samples) is not int or samples < 1:
        raise InvalidOption("samples", samples, "a number from 1 on")
    if type(within) not in (int, float) or not 0 <= within <= 3600:
        raise InvalidOption("within", within, "seconds from 0 to 3600")
    return _Collection(Pace(), compat.registry.is_active).collect(finished, samples, within)


class FoundUnit(NamedTuple):
    """A unit that was looked for by its ident. Let go of it soon.

    unit: what a snapshot says of it.
    thing: the greenlet or task itself, None for a thread.
    snapshot: that snapshot.
    """

    unit: Unit
    thing: Any
    snapshot: Snapshot


def find_unit(ident: int) -> FoundUnit:
    """The thread, greenlet or task that a snapshot shows under *ident*, finished ones too.

    :raises NoSuchUnit: if there is none.

    Takes as long as a snapshot, and may be called wherever that may.
    """
    # gevent's registry may not know it, and somebody who asks for one unit by its ident wants it found.
    registered = compat.registry.is_active and ident in compat.registry.greenlets()
    collection = _Collection(Pace(), registered)
    snapshot = collection.collect(with_finished=True, samples=1, within=0)
    unit = next((unit for unit in snapshot.units if unit.ident == ident), None)
    if unit is None:
        raise NoSuchUnit(ident)
    return FoundUnit(unit, None if unit.kind == "thread" else collection.find(ident), snapshot)


def _in_order(units: Sequence[Unit], threads: Sequence[int]) -> list[Unit]:
    """*units* by their thread and their state; those of no known thread last. Sorting them would be one long C call."""
    rank = {ident: position for position, ident in enumerate(threads)}
    sorts: dict[tuple[int, int], list[Unit]] = {}
    for unit in units:
        position = len(rank) if unit.thread is None else rank.get(unit.thread, len(rank))
        sorts.setdefault((position, _STATES.index(unit.state)), []).append(unit)
    return [unit for key in sorted(sorts) for unit in sorts[key]]


class _Found(NamedTuple):
    """What a snapshot is made from.

    primitives: what else the runtimes want to see, to explain waits.
    ages: of greenlets, in seconds, by id.
    """

    greenlets: list[Any]
    tasks: list[Any]
    loops: list[Any]
    primitives: list[Any]
    ages: dict[int, float]


class _Collection:
    """One pass; its object dies with it, and with it every reference into the application.

    :param registered: whether to take the greenlets that gevent has told of, and not to look through the heap.
    """

    def __init__(self, pace: Pace, registered: bool) -> None:
        self.slots = compat.greenlet_slots()
        if compat.get_ident() not in compat.own_threads:
            compat.remember_root()
        self.unseen = compat.blind_spots()
        if registered:
            found = _find_registered()
            self.unseen.append(
                "track_greenlets is on: asyncio's tasks and greenlets that gevent has not spawned are not looked for, "
                "and what a greenlet waits for is told by its frames alone"
            )
        else:
            found = _find_all()
        self.loops = found.loops
        self.frames = Frames()
        self.explaining = Explaining(found.primitives, found.ages)
        self.tasks = Tasks(found.tasks, pace)
        self.greenlets = Greenlets(self.slots, found.greenlets, pace) if self.slots is not None else None
        if self.slots is None or self.greenlets is None:
            self.moment = read_moment()
        else:
            self.moment = read_moment(running_now(self.slots, self.greenlets.candidates))
            self.roots = Roots(self.slots, self.greenlets.unfinished, self.moment.stacks)
            self.greenlets.settle(self.moment, self.moment.answers[0], self.roots)
        self.time = time.time()
        self.natives = compat.native_idents()

    def collect(self, with_finished: bool, samples: int, within: float) -> Snapshot:
        order = self._thread_order()
        hubs = {hub.ident: hub for hub in (*self._greenlet_hubs(), *self._loops())}
        began = compat.monotonic()  # behind the first sample of each hub
        greenlets = list(self._make_greenlets(hubs, with_finished))
        tasks = list(
            self.tasks.units(
                {ident: hub.thread for ident, hub in hubs.items()}, with_finished, self.frames, self.explaining
            )
        )
        greenlets = _in_order(greenlets, order)
        tasks = _in_order(tasks, order)
        threads = list(self._make_threads(order))
        if hubs:
            for number in range(1, samples):
                watch_until(began + within * number / (samples - 1), hubs.values())
                take_sample(hubs.values())
        return Snapshot(
            process=collect_process(),
            time=self.time,
            hubs=finish_hubs(hubs.values(), self.frames, order),
            threads=tuple(threads),
            greenlets=tuple(greenlets),
            tasks=tuple(tasks),
            deadlocks=find_deadlocks([*threads, *greenlets, *tasks]),
            finished=self.tasks.finished + (len(self.greenlets.finished) if self.greenlets is not None else 0),
            unseen=tuple(self.unseen),
        )

    def find(self, ident: int) -> Any:
        """The greenlet or task with that ident."""
        greenlet = self.greenlets.find(ident) if self.greenlets is not None else None
        return self.tasks.find(ident) if greenlet is None else greenlet

    def _greenlet_hubs(self) -> Iterator[WatchedHub]:
        """Of gevent and eventlet."""
        if self.greenlets is None:
            return
        for greenlet in self.roots.find_candidates(self.greenlets.unfinished):
            thread = self.roots.thread_of(greenlet)
            label, runtime = self.greenlets.label(greenlet, self.greenlets.positions(greenlet, thread))
            if label.kind != "hub" or runtime is None:
                continue
            hub = WatchedHub(id(greenlet), runtime.name, label.name, thread, runtime.is_loop_code, own=greenlet)
            stack = self.moment.stacks.get(thread) if thread is not None else None
            if stack is not None:
                hub.unit, hub.unit_ident = self._running_on(thread)
                hub.note(stack, hub.unit is greenlet, True, self.natives.get(thread or 0))
            yield hub

    def _running_on(self, thread: int | None) -> tuple[Any, int | None]:
        """The greenlet that runs on *thread*, and the ident of its unit: a main greenlet's is the thread's."""
        assert self.greenlets is not None
        for greenlet in filter(self.greenlets.is_running, self.greenlets.candidates):
            if self.roots.thread_of(greenlet) == thread:
                is_main = self.roots.root_of(greenlet) == id(greenlet)
                return greenlet, thread if is_main else id(greenlet)
        return None, None

    def _loops(self) -> Iterator[WatchedHub]:
        for loop in self.loops:
            facts = compat.asyncio_tasks.read_loop(loop)
            thread = facts.thread if facts.thread in self.moment.stacks else None
            hub = WatchedHub(id(loop), "asyncio", facts.name, thread, compat.asyncio_tasks.is_loop_code)
            if thread is not None:
                hub.unit, hub.unit_ident = self.tasks.running_coroutine(loop) or (None, id(loop))
                hub.note(self.moment.stacks[thread], True, True, self.natives.get(thread))
            yield hub

    def _make_greenlets(self, hubs: dict[int, WatchedHub], with_finished: bool) -> Iterator[Unit]:
        if self.slots is None or self.greenlets is None:
            return
        parent = self.slots.parent
        known: dict[int, int | None] = {}

        def hub_of(greenlet: Any) -> int | None:
            """The nearest hub among its parents, or itself; a main greenlet has the hub of its thread."""
            path = []
            found = None
            while greenlet is not None and (ident := id(greenlet)) not in known:
                path.append(ident)
                if ident in hubs:
                    found = ident
                    break
                greenlet = parent(greenlet)
            else:
                found = known[id(greenlet)] if greenlet is not None else None
            known.update(dict.fromkeys(path, found))
            return found

        yield from self.greenlets.units(self.roots, hub_of, self.frames, self.explaining)
        if with_finished:
            yield from self.greenlets.finished_units(self.frames)

    def _make_threads(self, order: Iterable[int]) -> Iterator[Unit]:
        names = compat.thread_names()
        ages = thread_ages()
        waits = self._explain_threads(order)
        for ident in order:
            yield Unit(
                ident=ident,
                kind="thread",
                type="",
                name=names.get(ident, ""),
                state="running",
                thread=ident,
                hub=None,
                parent=None,
                spawner=None,
                spawning_stack=(),
                age=ages.get(ident),
                frames=self.frames.stack(self._stack(ident)[::-1]),
                wait=waits.get(ident),
                own=ident in compat.own_threads,
            )

    def _stack(self, ident: int) -> list[Position]:
        stack = self.moment.stacks[ident]
        return stack if ident in compat.own_threads else without_own(stack)

    def _explain_threads(self, idents: Iterable[int]) -> dict[int, Wait | None]:
        frames = compat.current_frames()
        try:
            return {
                ident: self.explaining.thread(ident, self.moment.stacks[ident][::-1], frames.get(ident))
                for ident in idents
                if ident not in compat.own_threads
            }
        finally:
            frames.clear()  # this function's own frame is among them: a ring would keep them all

    def _thread_order(self) -> list[int]:
        """The main thread, the application's others as they began, the manhole's own."""
        main = compat.main_thread_ident()
        idents = compat.oldest_first(self.moment.stacks)
        return sorted(idents, key=lambda ident: (ident != main, ident in compat.own_threads))


def _find_all() -> _Found:
    """By a look through the whole heap."""
    families = [
        compat.family_of(classes)
        for classes in (
            compat.greenlet_classes(),
            compat.asyncio_tasks.task_classes(),
            compat.asyncio_tasks.loop_classes(),
            [cls for runtime in compat.RUNTIMES for cls in runtime.primitives()],
        )
    ]
    objects = compat.collect_objects(set().union(*families)) if any(families) else []
    types = list(map(type, objects))
    greenlets, tasks, loops, primitives = (
        [unit for unit, cls in zip(objects, types, strict=True) if cls in family] for family in families
    )
    return _Found(greenlets, tasks, loops, primitives, {})


def _find_registered() -> _Found:
    """By what gevent has told of its spawns, and their parents: hubs and main greenlets."""
    slots = compat.greenlet_slots()
    known = compat.registry.greenlets()
    ages = {ident: age for ident, (_greenlet, age) in known.items() if age is not None}
    greenlets = {ident: greenlet for ident, (greenlet, _age) in known.items()}
    todo = list(greenlets.values())
    while todo and slots is not None:
        parent = slots.parent(todo.pop())
        if parent is not None and id(parent) not in greenlets:
            greenlets[id(parent)] = parent
            todo.append(parent)
    return _Found(list(greenlets.values()), [], [], [], ages)
