"""gevent: its greenlets' names, its hubs' threads, and the hub that a session's code may have made in our thread."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from types import CodeType
from typing import Any

from manhole.compat._contract import Label, Labeller
from manhole.compat._safely import attributes_of, clean_name, function_name, type_name

__all__ = ["leave_thread", "make_labeller", "name", "version"]

name = "gevent"


def version() -> str | None:
    """gevent's version if it is loaded."""
    return clean_name(getattr(sys.modules.get("gevent"), "__version__", None))


def make_labeller() -> Labeller | None:
    """Hubs are labelled with their thread; Greenlets by the name that they were given, else by their function."""
    hub_type = getattr(sys.modules.get("gevent.hub"), "Hub", None)
    greenlet_type = getattr(sys.modules.get("gevent.greenlet"), "Greenlet", None)
    if hub_type is None or greenlet_type is None:
        return None

    def label(greenlet: Any, codes: Sequence[CodeType]) -> Label | None:
        cls = type(greenlet)
        if issubclass(cls, hub_type):
            attributes = attributes_of(greenlet)
            thread = attributes.get("thread_ident")
            return Label("hub", clean_name(attributes.get("name")) or "gevent", thread if type(thread) is int else None)
        if issubclass(cls, greenlet_type):
            attributes = attributes_of(greenlet)
            # Asking a Greenlet for its `name` would make one up and enter it into the hub's registry.
            name = clean_name(attributes.get("name"))
            if not name and "_run" in attributes:
                name = function_name(attributes["_run"])
            return Label("Greenlet", name or type_name(cls))
        return None

    return label


def leave_thread() -> None:
    """Destroy the calling thread's hub: two descriptors would leak with it."""
    find_hub = getattr(sys.modules.get("gevent._hub_local"), "get_hub_if_exists", None)
    hub = find_hub() if find_hub is not None else None
    if hub is not None:
        hub.destroy(destroy_loop=True)
