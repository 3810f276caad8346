"""Bare greenlets: finding them all, and reading their state through greenlet's own C slots."""

from __future__ import annotations

import gc
import sys
import weakref
from collections.abc import Callable, Sequence
from functools import partial
from operator import is_not
from types import CodeType, FrameType
from typing import Any, NamedTuple

from manhole.compat import _continulets
from manhole.compat._contract import Explainer, Label, Labeller
from manhole.compat._originals import get_ident
from manhole.compat._safely import clean_name, code_name, function_name

__all__ = [
    "Slots",
    "blind_spots",
    "greenlet_classes",
    "greenlet_slots",
    "has_hub_here",
    "hub_threads",
    "in_stack",
    "is_loop_code",
    "leave_thread",
    "main_greenlet",
    "make_biographer",
    "make_explainer",
    "make_labeller",
    "name",
    "patched_modules",
    "primitives",
    "remember_root",
    "remembered_roots",
    "version",
]

name = "greenlet"


# Whether a frame met on the way along `f_back`, or None, is still of the stack. In C, so that the whole walk is one C
# call, but where a stack's end has to be looked for.
in_stack: Callable[[Any], bool] = (
    _continulets.in_stack if "_continuation" in sys.builtin_module_names else partial(is_not, None)
)
# By thread ident; weak, so that nothing is kept alive.
_roots: dict[int, weakref.ref[Any]] = {}


class Slots(NamedTuple):
    """greenlet's own getters. A subclass may hide the attributes (gevent's does), the slots it cannot."""

    top_frame: Callable[[Any], FrameType | None]
    parent: Callable[[Any], Any]
    dead: Callable[[Any], bool]
    active: Callable[[Any], bool]  # started and not dead
    run: Callable[[Any], Any]  # raises AttributeError once started


def _greenlet_type() -> type | None:
    return getattr(sys.modules.get("greenlet"), "greenlet", None)


def greenlet_slots() -> Slots | None:
    """The getters of the greenlet library that this process has loaded, or None."""
    cls = _greenlet_type()
    if cls is None:
        return None
    if _continulets.is_used():
        return Slots(
            _continulets.top_frame, _continulets.parent, _continulets.dead, _continulets.active, _continulets.run
        )
    slots: dict[str, Any] = cls.__dict__  # type: ignore[assignment]  # a mappingproxy
    return Slots(
        slots["gr_frame"].__get__,
        slots["parent"].__get__,
        slots["dead"].__get__,
        slots["__bool__"],
        slots["run"].__get__,
    )


def version() -> str | None:
    """greenlet's version if it is loaded."""
    return clean_name(getattr(sys.modules.get("greenlet"), "__version__", None))


def blind_spots() -> list[str]:
    """Why greenlets may be missing or incomplete here, one sentence each."""
    reasons: list[str] = []
    if _greenlet_type() is None:
        return reasons
    if not _can_walk():
        reasons.append("greenlets are not shown: walking them crashes a free-threaded Python")
    if sys.version_info >= (3, 12) and version() in ("3.0.0", "3.0.1"):
        reasons.append("greenlet 3.0.0 and 3.0.1 show only the innermost frame of each greenlet; 3.0.2 mends it")
    frozen = getattr(gc, "get_freeze_count", int)()  # PyPy has no gc.freeze
    if frozen:
        reasons.append(f"{frozen} objects were hidden by gc.freeze(), greenlets among them are not shown")
    return reasons


def main_greenlet() -> Any:
    """The calling thread's main greenlet, None if the library is not loaded.

    A thread without greenlets has one from then on. When such a thread ends as the process does, old releases of
    greenlet print an error of their own: not to be called on a thread of ours that is not known to have them.
    """
    getcurrent = getattr(sys.modules.get("greenlet"), "getcurrent", None)
    slots = greenlet_slots()
    if getcurrent is None or slots is None:
        return None
    root = getcurrent()
    while (parent := slots.parent(root)) is not None:
        root = parent
    return root


def remember_root() -> None:
    """Note the calling thread's main greenlet, so that a later snapshot knows which thread it belongs to."""
    root = main_greenlet()
    if root is not None:
        _roots[get_ident()] = weakref.ref(root)


def remembered_roots() -> dict[int, int]:
    """Thread idents of the main greenlets that were noted and still live, by the greenlet's id."""
    alive = ((ident, ref()) for ident, ref in dict(_roots).items())
    return {id(root): ident for ident, root in alive if root is not None}


def _can_walk() -> bool:
    return bool(getattr(sys, "_is_gil_enabled", lambda: True)())


def greenlet_classes() -> list[type]:
    """The class of greenlets; empty if the library is not loaded or they must not be looked at here."""
    cls = _greenlet_type()
    return [cls] if cls is not None and _can_walk() else []


def hub_threads(greenlets: Sequence[Any]) -> dict[int, int]:
    """There are no hubs here."""
    return {}


def is_loop_code(codes: Sequence[CodeType]) -> bool:
    """There are no hubs here."""
    return False


def patched_modules() -> list[str]:
    """greenlet patches nothing."""
    return []


def make_biographer() -> None:
    """greenlet records nothing of who has made one."""


def make_labeller() -> Labeller | None:
    """Greenlets of no particular library are called after the function that they run."""
    slots = greenlet_slots()
    if slots is None:
        return None

    def label(greenlet: Any, codes: Sequence[CodeType]) -> Label:
        if codes:
            kind = "main greenlet" if slots.parent(greenlet) is None else "greenlet"
            return Label(kind, code_name(codes[0]))
        try:
            return Label("greenlet", function_name(slots.run(greenlet)))
        except AttributeError:  # started, or made without a function
            return Label("greenlet", "")

    return label


def primitives() -> Sequence[type]:
    """None: bare greenlets wait for nothing but a switch."""
    return ()


def make_explainer(found: Sequence[Any]) -> Explainer | None:
    """None: whoever is to switch to a bare greenlet is recorded nowhere."""
    return None


def has_hub_here() -> bool:
    """There are no hubs here."""
    return False


def leave_thread() -> None:
    """Forget the thread's main greenlet; its ident will be another thread's."""
    _roots.pop(get_ident(), None)
