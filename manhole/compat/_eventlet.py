"""eventlet: its GreenThreads' functions, its hubs, and the hub that a session's code may have made in our thread."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from types import CodeType, FunctionType, MethodType
from typing import Any

from manhole.compat._contract import Label, Labeller
from manhole.compat._eventlet_waits import make_explainer, primitives
from manhole.compat._greenlets import greenlet_slots
from manhole.compat._safely import clean_name, code_name

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

name = "eventlet"


def version() -> str | None:
    """eventlet's version if it is loaded."""
    return clean_name(getattr(sys.modules.get("eventlet"), "__version__", None))


def _hub_codes() -> set[CodeType]:
    """The code of every hub's `run`: an eventlet hub is a plain greenlet that runs it."""
    base = getattr(sys.modules.get("eventlet.hubs.hub"), "BaseHub", None)
    if base is None:
        return set()
    classes = [base]
    for cls in classes:
        classes.extend(type.__subclasses__(cls))
    methods = (cls.__dict__.get("run") for cls in classes)
    return {method.__code__ for method in methods if hasattr(method, "__code__")}


def _run_code(greenlet: Any) -> CodeType | None:
    """The code of the method that *greenlet* was made with, if it has not started yet."""
    slots = greenlet_slots()
    try:
        run = slots.run(greenlet) if slots else None
    except AttributeError:
        return None
    return run.__func__.__code__ if type(run) is MethodType and type(run.__func__) is FunctionType else None


def make_labeller() -> Labeller | None:
    """Hubs are known by the `run` that they are in; GreenThreads called after the function under eventlet's `main`."""
    thread_type = getattr(sys.modules.get("eventlet.greenthread"), "GreenThread", None)
    hub_codes = _hub_codes()
    if thread_type is None or not hub_codes:
        return None
    main_code = thread_type.main.__code__

    def label(greenlet: Any, codes: Sequence[CodeType]) -> Label | None:
        if issubclass(type(greenlet), thread_type):
            named_by = codes[1:2] if codes and codes[0] is main_code else codes[:1]
            return Label("GreenThread", code_name(named_by[0]) if named_by else "")
        if (codes[0] if codes else _run_code(greenlet)) in hub_codes:
            return Label("hub", "eventlet")
        return None

    return label


def hub_threads(greenlets: Sequence[Any]) -> dict[int, int]:
    """eventlet does not record the thread of a hub."""
    return {}


def is_loop_code(codes: Sequence[CodeType]) -> bool:
    """Whether a hub with this stack, outermost first, is in its loop: no callback is on top of the hub's own code."""
    folder = os.path.dirname(getattr(sys.modules.get("eventlet.hubs"), "__file__", None) or "?") + os.sep
    # The hub on asyncio waits in its selector.
    selectors = getattr(sys.modules.get("selectors"), "__file__", None)
    return not codes or codes[-1].co_filename.startswith(folder) or codes[-1].co_filename == selectors


def patched_modules() -> list[str]:
    """The names that eventlet gives to what it has patched: mostly those of the modules."""
    return sorted(filter(None, map(clean_name, getattr(sys.modules.get("eventlet.patcher"), "already_patched", ()))))


def make_biographer() -> None:
    """eventlet records nothing of who has spawned a greenlet."""


def has_hub_here() -> bool:
    """Whether the calling thread has a hub."""
    return hasattr(getattr(sys.modules.get("eventlet.hubs"), "_threadlocal", None), "hub")


def leave_thread() -> None:
    """End the calling thread's hub and let go of it: its epoll descriptor would leak with it."""
    local: Any = getattr(sys.modules.get("eventlet.hubs"), "_threadlocal", None)
    hub = getattr(local, "hub", None)
    if hub is None:
        return
    if hub.running:
        hub.abort(wait=True)
    close = getattr(getattr(hub, "poll", None), "close", None)  # epoll has one, poll has none
    if close is not None:
        close()
    del local.hub
