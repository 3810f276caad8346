"""Who waits in gevent's primitives, told by these: compiled, they leave no frame on a waiting stack.

But each knows who waits for it, and its referents are the lists in which it does. So a table of all waiters is made
from all primitives. What stays unknown: whom a greenlet has joined. A Greenlet that has started hides its referents
from the garbage collector, its links among them; only joinall() and wait() keep what they wait for in an object of
their own.
"""

from __future__ import annotations

import gc
import sys
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from types import BuiltinMethodType, MethodType
from typing import Any

from manhole.compat._contract import Wait
from manhole.compat._originals import monotonic
from manhole.compat._safely import attributes_of, type_name
from manhole.compat._variables import addresses_of, slot_getter, slot_of

__all__ = ["DIRECTIONS", "Waits", "find_class", "primitives"]

# By the events of a watcher of a descriptor.
DIRECTIONS = {1: "read", 2: "write", 3: "read or write"}
_CLASSES = (
    ("gevent._abstract_linkable", "AbstractLinkable"),
    ("gevent.queue", "SimpleQueue"),
    ("gevent.queue", "Queue"),  # the base of all before gevent 24
    ("gevent.queue", "Channel"),
    ("gevent._hub_primitives", "_WaitIterator"),
    ("gevent.threadpool", "ThreadResult"),
    ("gevent.libev.corecext", "watcher"),
    ("gevent._ffi.watcher", "watcher"),
    ("gevent.libuv.watcher", "io._multiplexwatcher"),  # one of those that share a descriptor
)


def find_class(module: str, name: str) -> Any:
    """The class *name* of a module that is loaded, None if there is none."""
    found: Any = sys.modules.get(module)
    for part in name.split("."):
        found = getattr(found, part, None)
    return found if isinstance(found, type) else None


def primitives() -> Sequence[type]:
    """Whatever of gevent's knows its waiters."""
    classes = dict.fromkeys(find_class(*names) for names in _CLASSES)
    return tuple(cls for cls in classes if cls is not None)


class Waits:
    """Who waits for what, by the id of the greenlet: what is needed to say it, and not yet the saying.

    :param found: all objects of primitives() that there are.
    """

    def __init__(self, found: Sequence[Any]) -> None:
        self.waits: dict[int, tuple[str, Any, str, tuple[int, ...], int | None]] = {}
        self.ends: dict[int, float] = {}  # on the monotonic clock
        self.timers: dict[int, int] = {}  # ids of timers that wake a greenlet
        self.pooled: set[int] = set()  # ids of the results of gevent's thread pools
        self.together: dict[int, tuple[str, Any, str, tuple[int, ...], int | None]] = {}
        self.slots: dict[type, dict[str, Callable[[Any], Any]]] = {}
        self.greenlet = find_class("greenlet", "greenlet")
        self.waiter = find_class("gevent._waiter", "Waiter")
        self.item_waiter = find_class("gevent.queue", "ItemWaiter")
        self.kinds = {
            cls: kind
            for cls, kind in (
                (find_class("gevent.thread", "LockType"), "lock"),
                (find_class("gevent._semaphore", "Semaphore"), "semaphore"),
            )
            if cls is not None
        }
        bases: dict[Any, Callable[[Any], None]] = dict(
            zip((find_class(*names) for names in _CLASSES), self._adders(), strict=True)
        )
        bases.pop(None, None)
        known: dict[type, Callable[[Any], None] | None] = {}
        for primitive in found:
            cls = type(primitive)
            if cls not in known:
                known[cls] = next((bases[base] for base in type.mro(cls) if base in bases), None)
            add = known[cls]
            if add is not None:
                add(primitive)
        self.waits.update(self.together)

    def _adders(self) -> Iterable[Callable[[Any], None]]:
        queue = self._add_queue
        return (
            self._add_linkable,
            queue,
            queue,
            queue,
            self._add_iterator,
            self._add_result,
            self._add_watcher,
            self._add_ffi_watcher,
            self._add_multiplexed,
        )

    def _waiting(self, callback: Any) -> Any:
        """The greenlet that *callback* switches to, None if it does something else."""
        cls = type(callback)
        if cls is BuiltinMethodType:
            target = callback.__self__
            return target if callback.__name__ == "switch" and issubclass(type(target), self.greenlet) else None
        if cls is MethodType:
            return self._of_waiter(callback.__self__)
        return None

    def _of_waiter(self, waiter: Any) -> Any:
        if self.waiter is None or not issubclass(type(waiter), self.waiter):
            return None
        greenlet = self.waiter.__dict__["greenlet"].__get__(waiter)
        return greenlet if issubclass(type(greenlet), self.greenlet) else None

    def _add_linkable(self, linkable: Any) -> None:
        kind = next((self.kinds[cls] for cls in type.mro(type(linkable)) if cls in self.kinds), "event")
        for links in gc.get_referents(linkable):
            if type(links) is list:
                for link in list(links):  # a copy: it changes meanwhile
                    if (greenlet := self._waiting(link)) is not None:
                        self.waits[id(greenlet)] = (kind, linkable, "", (), None)

    def _add_queue(self, queue: Any) -> None:
        items = slot_of(queue, "queue")
        for waiters in gc.get_referents(queue):
            if type(waiters) is not deque or waiters is items:
                continue
            for waiter in list(waiters):
                channel_put = type(waiter) is tuple and len(waiter) == 2  # the item and its waiter
                if channel_put:
                    waiter = waiter[1]
                if (greenlet := self._of_waiter(waiter)) is not None:
                    puts = channel_put or (self.item_waiter is not None and issubclass(type(waiter), self.item_waiter))
                    self.waits[id(greenlet)] = ("queue", queue, "put" if puts else "get", (), None)

    def _add_iterator(self, iterator: Any) -> None:
        """Of joinall() and wait(): one waiter for several objects, to be told as one wait."""
        greenlet, owners, others = None, [], 0
        referents = gc.get_referents(iterator)
        for referent in (*referents, *attributes_of(iterator).values()):
            greenlet = greenlet or self._of_waiter(referent)
            if type(referent) in (list, tuple, set, frozenset):
                awaited = list(referent)
                owners += [id(one) for one in awaited if issubclass(type(one), self.greenlet)]
                others += len(awaited) - len(owners)
        if greenlet is not None and owners and not others:
            self.together[id(greenlet)] = ("unit", None, "", tuple(dict.fromkeys(owners)), None)

    def _add_result(self, result: Any) -> None:
        self.pooled.add(id(slot_of(result, "receiver")))

    def _add_watcher(self, watcher: Any) -> None:
        cls = type(watcher)
        slots = self.slots.get(cls)
        if slots is None:  # looked up once a class: there may be 100,000 timers
            found = {name: slot_getter(cls, name) for name in ("callback", "active", "args", "at", "fd", "events")}
            slots = self.slots[cls] = {name: getter for name, getter in found.items() if getter is not None}
        callback = slots["callback"](watcher)
        if callback is not None and slots["active"](watcher):
            self._add_active(watcher, callback, slots["args"](watcher), lambda name: slots[name](watcher))

    def _add_ffi_watcher(self, watcher: Any) -> None:
        attributes = attributes_of(watcher)
        callback = attributes.get("_callback")
        if callback is not None:
            self._add_active(watcher, callback, attributes.get("_args"), lambda name: attributes.get(f"_{name}"))

    def _add_multiplexed(self, watcher: Any) -> None:
        attributes = attributes_of(watcher)
        greenlet, shared = self._waiting(attributes.get("callback")), attributes.get("_watcher_ref")
        if greenlet is not None and shared is not None:
            self._add_io(greenlet, attributes_of(shared).get("_fd"), attributes.get("_events"))

    def _add_io(self, greenlet: Any, descriptor: Any, events: Any) -> None:
        if type(descriptor) is int and type(events) is int:
            self.waits[id(greenlet)] = ("descriptor", None, DIRECTIONS.get(events & 3, ""), (), descriptor)

    def _add_active(self, watcher: Any, callback: Any, args: Any, read: Callable[[str], Any]) -> None:
        greenlet = self._waiting(callback)
        kind = type_name(type(watcher))
        if kind == "timer":
            if greenlet is None and type(args) is tuple:  # a Timeout, which throws
                greenlet = next((one for one in args[:1] if issubclass(type(one), self.greenlet)), None)
            elif greenlet is not None:
                self.timers[id(greenlet)] = id(watcher)
            at = read("at")
            if greenlet is not None and type(at) is float:
                self.ends[id(greenlet)] = min(at, self.ends.get(id(greenlet), at))
        elif greenlet is not None and kind == "child":
            self.waits[id(greenlet)] = ("process", watcher, "", (), None)
        elif greenlet is not None:
            self._add_io(greenlet, read("fd"), read("events"))

    def wait_of(self, ident: int) -> Wait | None:
        """What is known of a greenlet."""
        end = self.ends.get(ident)
        seconds = None if end is None else end - monotonic()
        known = self.waits.get(ident)
        if known is None:
            timer = self.timers.get(ident)
            return None if timer is None else Wait("timer", "timer", timer, seconds=seconds)
        kind, awaited, direction, owners, descriptor = known
        if id(awaited) in self.pooled:
            kind = "thread pool"
        local, remote = ("", "") if descriptor is None else addresses_of(descriptor)
        name, awaited_id = ("", None) if awaited is None else (type_name(type(awaited)), id(awaited))
        return Wait(kind, name, awaited_id, owners, descriptor, direction, local, remote, seconds)
