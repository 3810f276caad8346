"""Which hubs there are, in an order that gives each a number, and which of them is meant."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from manhole import compat
from manhole._errors import NoHub
from manhole._snapshot import Roots

__all__ = ["ListedHub", "find_asyncio_loop", "find_hub", "find_hub_of", "list_hubs", "list_known_hubs"]


class ListedHub(NamedTuple):
    """A hub that code can be run in.

    number: its position in the list, from 0; that of the main thread is the first.
    kind: "gevent", "eventlet" or "asyncio".
    name: its name or class.
    ident: of the :class:`manhole.Hub` in snapshots.
    thread: the ident of its thread, None where that cannot be known.
    thread_name: the thread's name, empty if it has none.
    handle: to run code in it.
    """

    number: int
    kind: str
    name: str
    ident: int | None
    thread: int | None
    thread_name: str
    handle: compat.HubHandle


def list_hubs() -> list[ListedHub]:
    """The hubs of the application, those of the main thread first and others as their threads began.

    Not those of threads that have ended, of loops that nobody runs, and of threads of the manhole itself. Goes through
    all objects of the process, 10 to 50 ns each. May be called from any thread.
    """
    return _list(compat.find_hubs())


def list_known_hubs() -> list[ListedHub]:
    """As list_hubs(), but without a look through all objects if any hub is known from the last one."""
    return _list(compat.known_hubs()) or list_hubs()


def find_asyncio_loop() -> compat.HubHandle | None:
    """The application's running asyncio loop, the main thread's before others; None if there is none."""
    return next(
        (hub.handle for list_them in (list_known_hubs, list_hubs) for hub in list_them() if hub.handle.has_tasks), None
    )


def find_hub_of(ident: int) -> compat.HubHandle | None:
    """The hub of greenlets of a thread, of the manhole's own too. From any thread; goes through all objects."""
    handles = [handle for handle in compat.find_hubs() if not handle.has_tasks and handle.is_running()]
    threads = _threads_of(handles)
    return next((handle for handle in handles if threads[handle.ident] == ident), None)


def find_hub(which: int | str | None = None) -> compat.HubHandle:
    """The hub that is meant.

    :param which: a number as in list_hubs(), or the name or ident of a thread; None for the main thread's, and where
        that has none, the only one.
    :raises NoHub: if there is none, or not just one.

    Hubs that are known already are found without a look through all objects. May be called from any thread.
    """
    found = _choose(_list(compat.known_hubs()), which)
    if found is None:
        listed = list_hubs()
        found = _choose(listed, which)
        if found is None:
            raise NoHub(which, [f"{hub.number}: {hub.kind} on {describe_thread(hub)}" for hub in listed])
    return found


def describe_thread(hub: ListedHub) -> str:
    """Its thread, for a reader."""
    if hub.thread is None:
        return "a thread that is not known"
    return f"thread {hub.thread}" + (f" ({hub.thread_name})" if hub.thread_name else "")


def _choose(listed: Sequence[ListedHub], which: int | str | None) -> compat.HubHandle | None:
    if which is None:
        main = compat.main_thread_ident()
        found = [hub for hub in listed if hub.thread == main] or (listed if len(listed) == 1 else [])
    elif isinstance(which, bool):
        found = []
    elif isinstance(which, int):
        # A thread's ident is an address: no number of a hub.
        found = [hub for hub in listed if which in (hub.number, hub.thread)]
    else:
        found = [hub for hub in listed if hub.thread_name == which]
    return found[0].handle if found else None


def _list(handles: Sequence[compat.HubHandle]) -> list[ListedHub]:
    threads = _threads_of(handles)
    names = compat.thread_names()
    main = compat.main_thread_ident()
    # In C: a variable with the frames, this function's among them, would be a ring that keeps them all.
    order = compat.oldest_first(list(compat.current_frames()))
    rank = {ident: position for position, ident in enumerate(sorted(order, key=lambda ident: ident != main))}
    there = [handle for handle in handles if handle.is_running() and threads[handle.ident] not in compat.own_threads]
    open_threads = set(rank).difference(compat.own_threads, (threads[handle.ident] for handle in there))
    if not open_threads:  # each thread of the application has one: another is of a thread of ours, or of one that ended
        there = [handle for handle in there if threads[handle.ident] is not None]
    there = [handle for handle in there if threads[handle.ident] is None or threads[handle.ident] in rank]

    def place(handle: compat.HubHandle) -> tuple[int, bool]:
        # eventlet's hub on asyncio is before the loop that it has beneath.
        return rank.get(threads[handle.ident] or 0, len(rank)), handle.has_tasks

    return [
        ListedHub(
            number,
            handle.name,
            handle.label,
            handle.unit(),
            thread := threads[handle.ident],
            names.get(thread or 0, ""),
            handle,
        )
        for number, handle in enumerate(sorted(there, key=place))
    ]


def _threads_of(handles: Sequence[compat.HubHandle]) -> dict[int, int | None]:
    """The ident of each hub's thread, by the handle's ident. What eventlet does not record is looked for."""
    threads = {handle.ident: handle.thread() for handle in handles}
    slots = compat.greenlet_slots()
    open_handles = [handle for handle in handles if threads[handle.ident] is None]
    greenlets = {handle.ident: greenlet for handle in open_handles if (greenlet := handle.greenlet()) is not None}
    if slots is not None and greenlets:
        roots = Roots(slots, list(greenlets.values()), list(compat.current_frames()))
        threads.update((ident, roots.thread_of(greenlet)) for ident, greenlet in greenlets.items())
    return threads
