"""gevent: its greenlets' names, its hubs' threads, and the hub that a session's code may have made in our thread."""

from __future__ import annotations

import os
import sys
import weakref
from collections.abc import Callable, Sequence
from functools import partial
from itertools import accumulate, chain, compress, repeat, takewhile
from operator import attrgetter, is_not
from types import CodeType, GetSetDescriptorType
from typing import Any

from manhole.compat._contract import Biographer, Label, Labeller, Origin
from manhole.compat._gevent_primitives import primitives
from manhole.compat._gevent_waits import make_explainer
from manhole.compat._heap import family_of
from manhole.compat._safely import attributes_getter, attributes_of, clean_name, function_name, type_name

__all__ = [
    "has_hub_here",
    "hub_threads",
    "is_loop_code",
    "leave_thread",
    "make_biographer",
    "make_explainer",
    "make_labeller",
    "name",
    "patched_modules",
    "primitives",
    "version",
]

name = "gevent"

# gevent records ten by default; a class may say more.
MAX_SPAWNING_STACK = 50

_read_level = attrgetter("f_code", "f_lineno")
_is_level: Callable[[Any], bool] = partial(is_not, None)


def version() -> str | None:
    """gevent's version if it is loaded."""
    return clean_name(getattr(sys.modules.get("gevent"), "__version__", None))


def make_labeller() -> Labeller | None:
    """Hubs are labelled with their thread; Greenlets by the name that they were given, else by their function."""
    hub_type = getattr(sys.modules.get("gevent.hub"), "Hub", None)
    greenlet_type = getattr(sys.modules.get("gevent.greenlet"), "Greenlet", None)
    if hub_type is None or greenlet_type is None:
        return None

    # For each class that was met: its kind, and how to get at its instances' dict.
    known: dict[type, tuple[str, Callable[[Any], dict[str, Any]]]] = {}

    def label(greenlet: Any, codes: Sequence[CodeType]) -> Label | None:
        cls = type(greenlet)
        if cls not in known:
            kind = "hub" if issubclass(cls, hub_type) else "Greenlet" if issubclass(cls, greenlet_type) else ""
            known[cls] = kind, attributes_getter(cls)
        kind, get_attributes = known[cls]
        if not kind:
            return None
        attributes = get_attributes(greenlet)
        if kind == "hub":
            thread = attributes.get("thread_ident")
            return Label("hub", clean_name(attributes.get("name")) or "gevent", thread if type(thread) is int else None)
        # Asking a Greenlet for its `name` would make one up and enter it into the hub's registry.
        name = clean_name(attributes.get("name"))
        if not name and "_run" in attributes:
            name = function_name(attributes["_run"])
        return Label("Greenlet", name or type_name(cls))

    return label


def hub_threads(greenlets: Sequence[Any]) -> dict[int, int]:
    """The thread idents of the hubs among *greenlets*, by the hub's id."""
    hub_type = getattr(sys.modules.get("gevent.hub"), "Hub", None)
    if hub_type is None:
        return {}
    hubs = compress(greenlets, map(family_of([hub_type]).__contains__, map(type, greenlets)))
    threads = {id(hub): attributes_of(hub).get("thread_ident") for hub in hubs}
    return {hub: thread for hub, thread in threads.items() if type(thread) is int}


def is_loop_code(codes: Sequence[CodeType]) -> bool:
    """Whether a hub with this stack, outermost first, is in its loop: no Python of anybody else is on top of it."""
    folder = os.path.dirname(getattr(sys.modules.get("gevent"), "__file__", None) or "?") + os.sep
    return not codes or codes[-1].co_filename.startswith(folder)


def patched_modules() -> list[str]:
    """The names of the modules that gevent has patched."""
    return sorted(filter(None, map(clean_name, getattr(sys.modules.get("gevent.monkey"), "saved", ()))))


def make_biographer() -> Biographer | None:
    """Greenlets know who has spawned them and where, unless their class was told not to track it."""
    greenlet_type = getattr(sys.modules.get("gevent.greenlet"), "Greenlet", None)
    if greenlet_type is None:
        return None
    get_spawner = _make_getter(greenlet_type, "spawning_greenlet")
    get_stack = _make_getter(greenlet_type, "spawning_stack")

    def tell(greenlet: Any) -> Origin | None:
        if not issubclass(type(greenlet), greenlet_type):
            return None
        reference = get_spawner(greenlet)
        spawner = reference() if type(reference) is weakref.ReferenceType else None
        levels = accumulate(chain((get_stack(greenlet),), repeat("f_back", MAX_SPAWNING_STACK)), getattr)
        stack = list(map(_read_level, takewhile(_is_level, levels)))
        return Origin(None if spawner is None else id(spawner), stack)

    return tell


def _make_getter(cls: type, name: str) -> Callable[[Any], Any]:
    """A function that reads *name* by the slot of gevent's class; gevent in pure Python has a dict for it."""
    slot = cls.__dict__.get(name)
    if type(slot) is GetSetDescriptorType:
        read: Callable[[Any], Any] = slot.__get__
        return read
    return lambda instance: attributes_of(instance).get(name)


def _hub_here() -> Any:
    find_hub = getattr(sys.modules.get("gevent._hub_local"), "get_hub_if_exists", None)
    return None if find_hub is None else find_hub()


def has_hub_here() -> bool:
    """Whether the calling thread has a hub."""
    return _hub_here() is not None


def leave_thread() -> None:
    """Destroy the calling thread's hub: two descriptors would leak with it."""
    hub = _hub_here()
    if hub is not None:
        _end_hub(hub)
        hub.destroy(destroy_loop=True)


def _end_hub(hub: Any) -> None:
    """Have the hub's greenlet come to its end, as destroy() does.

    What that throws into the main greenlet of this thread stays there for ever, with the hub and our frames: it is
    emptied.
    """
    destroyed = getattr(sys.modules.get("gevent.exceptions"), "HubDestroyed", None)
    if destroyed is None or not hub:
        return
    try:
        hub.throw(destroyed(True))
    except Exception as error:  # noqa: BLE001 - a LoopExit
        error.args = ()
        error.with_traceback(None)
