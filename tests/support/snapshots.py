"""Snapshots made by hand, for the tests of what is made from them."""

from dataclasses import fields, replace
from typing import Any

from manhole._snapshot._model import Frame, Process, Snapshot, Unit

MAIN = 140_000_000_000_001
OTHER = 140_000_000_000_002
OWN = 140_000_000_000_003

PROCESS = Process(
    4711, ("python", "app.py"), None, "CPython", "3.11.7", (("gevent", "26.9.0"), ("greenlet", "3.5.6")), ()
)
SERVE = (Frame("/srv/app/main.py", 3, "<module>"), Frame("/srv/app/main.py", 7, "serve"))
HANDLE = (Frame("/srv/app/work.py", 10, "Worker.run"), Frame("/srv/app/web/handlers.py", 12, "Handler.handle"))
FETCH = (Frame("/srv/app/work.py", 10, "Worker.run"), Frame("/srv/app/db.py", 99, "fetch"))


def make_unit(ident: int, kind: str = "Greenlet", **known: Any) -> Unit:
    """A unit of which no more is known than the given fields."""
    unknown: dict[str, Any] = {field.name: None for field in fields(Unit)}
    unknown.update(type=kind, name="", state="suspended", thread=MAIN, spawning_stack=(), frames=(), own=False)
    return Unit(**{**unknown, "ident": ident, "kind": kind, **known})


def make_thread(ident: int = MAIN, name: str = "MainThread", **known: Any) -> Unit:
    return make_unit(ident, "thread", **{"type": "", "name": name, "state": "running", "thread": ident, **known})


def make_snapshot(*greenlets: Unit, **known: Any) -> Snapshot:
    """One main thread that serves, and *greenlets*."""
    empty = Snapshot(PROCESS, 1.5e9, (), (make_thread(frames=SERVE),), greenlets, (), (), 0, ())
    return replace(empty, **known)
