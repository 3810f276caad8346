"""What is compared: each way to dump a process as one function. Where an API changes, only these tables do.

A way's `prepare` runs in the patient before anything is measured: it imports what it needs and returns the function
that is measured, or raises Skip with the reason why it cannot be had here. Nothing is imported at the top: the rival's
package has the same name as ours, and its process has only that one.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable
from functools import partial
from typing import IO, Any, NamedTuple

__all__ = ["FORMATS", "WAYS", "Format", "Skip", "Way"]

Dump = Callable[[IO[str]], object]


class Skip(Exception):
    """Why a way cannot be measured here."""


class Way(NamedTuple):
    """A live dump.

    where: "thread" (an OS thread of the patient), "hub" (a greenlet) or "outside" (another process).
    prepare: returns what is measured; it writes the dump to the text file that it is given.
    rival: whether it runs in the environment that has python-manhole 1.8.1.
    """

    name: str
    where: str
    prepare: Callable[[], Dump]
    rival: bool = False


class Format(NamedTuple):
    """Formatting alone. `collect` gets the data, `prepare` returns what makes text of it."""

    name: str
    collect: Callable[[], Any]
    prepare: Callable[[], Callable[[Any], str]]


# --- ours


def _snapshot() -> Any:
    import manhole

    return manhole.snapshot()


def _prepare_snapshot() -> Dump:
    import manhole

    return lambda file: manhole.snapshot()


def _prepare_dump(**options: Any) -> Dump:
    import manhole

    return lambda file: manhole.dump_stacktraces(file, **options)


def _prepare_collect() -> Dump:
    from manhole import compat

    return lambda file: compat.collect_objects(compat.family_of(compat.greenlet_classes()))


def _prepare_format(name: str, **options: Any) -> Callable[[Any], str]:
    from manhole._snapshot import format_snapshot

    return lambda snapshot: "".join(format_snapshot(snapshot, name, **options))


# --- others


def _prepare_run_info() -> Dump:
    from gevent.util import format_run_info

    return lambda file: file.write("\n".join(format_run_info()))


def _forest() -> Any:
    from gevent.util import GreenletTree

    return GreenletTree.forest()


def _prepare_forest_text() -> Callable[[Any], str]:
    return lambda forest: "\n".join(line for tree in forest for line in tree.format_lines())


def _prepare_rival() -> Dump:
    import manhole

    if manhole.__version__ != "1.8.1":
        raise Skip(f"manhole there is {manhole.__version__}")
    # dump_stacktraces() asks the installed manhole where to; thread=False opens no socket.
    manhole.install(verbose=False, patch_fork=False, thread=False, activate_on="USR2")

    def dump(file: IO[str]) -> None:
        stderr, sys.stderr = sys.stderr, file
        try:
            manhole.dump_stacktraces()
        finally:
            sys.stderr = stderr

    return dump


def _prepare_faulthandler() -> Dump:
    import faulthandler

    return faulthandler.dump_traceback


# --- to compare with


def _prepare_walk() -> Dump:
    import greenlet

    top_frame = greenlet.greenlet.__dict__["gr_frame"].__get__  # gevent's subclass hides the attribute

    def walk(file: IO[str]) -> None:
        for one in gc.get_objects():
            if isinstance(one, greenlet.greenlet):
                frame = top_frame(one)
                while frame is not None:
                    frame = frame.f_back

    return walk


def _compute(file: IO[str]) -> None:
    for _ in range(30_000_000):
        pass


# The order is the table's.
WAYS: dict[str, Way] = {
    "grouped": Way("manhole: text, grouped", "thread", _prepare_dump),
    "full": Way("manhole: text, full", "thread", partial(_prepare_dump, full=True)),
    "json": Way("manhole: JSON", "thread", partial(_prepare_dump, format="json")),
    "snapshot": Way("manhole: snapshot(), the data alone", "thread", _prepare_snapshot),
    "gevent": Way("gevent: format_run_info() in the hub", "hub", _prepare_run_info),
    "rival": Way("python-manhole 1.8.1 (threads only)", "thread", _prepare_rival, rival=True),
    "py-spy": Way("py-spy dump (threads only)", "outside", lambda: lambda file: None),
    "faulthandler": Way("faulthandler.dump_traceback (threads only)", "thread", _prepare_faulthandler),
    "compute": Way("no dump: a thread that counts", "thread", lambda: _compute),
    # For tables of their own:
    "objects": Way("`gc.get_objects()` alone", "thread", lambda: lambda file: gc.get_objects()),
    "collect": Way("the single C call that finds the greenlets", "thread", _prepare_collect),
    "walk": Way("no dump: every frame looked at", "thread", _prepare_walk),
}

FORMATS: dict[str, Format] = {
    "grouped": Format("manhole: text, grouped", _snapshot, partial(_prepare_format, "text")),
    "full": Format("manhole: text, full", _snapshot, partial(_prepare_format, "text", full=True)),
    "json": Format("manhole: JSON", _snapshot, partial(_prepare_format, "json")),
    "gevent": Format("gevent: GreenletTree.format_lines()", _forest, _prepare_forest_text),
}
