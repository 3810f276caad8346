"""Raises an exception in one greenlet, or cancels one task, through the hub that runs it."""

from __future__ import annotations

from functools import partial

from manhole import compat
from manhole._errors import CannotThrow
from manhole._in_hub import ListedHub, list_hubs, run_in_hub
from manhole._snapshot import Unit, find_unit

__all__ = ["throw"]

# That a hub has for it. Arbitrary; as long as for all else that a session has it do.
TIMEOUT = 5.0

_REFUSED_KINDS = {
    "thread": "only greenlets and tasks can be thrown into",
    "hub": "it runs all others of its thread",
    "main greenlet": "its thread ends with it",
}


def throw(ident: int, error: BaseException | None) -> Unit:
    """Have *error* raised in the greenlet *ident* where it waits; None: end it by GreenletExit, or cancel the task.

    :param ident: as dumps show it.
    :returns: what it was. It is thrown when its hub next comes round, so that may not be over yet.
    :raises NoSuchUnit: if there is none of that ident.
    :raises CannotThrow: for a thread, a hub or a main greenlet, for one that has finished or has no hub that could do
        it, and for an exception that is to go into a task.
    :raises HubTimeout: if its hub does not come round; then nothing is thrown any more.

    Changes what the application does, as it was asked to. May be called from any thread.
    """
    found = find_unit(ident)
    unit = found.unit
    if unit.kind in _REFUSED_KINDS:
        raise CannotThrow(ident, _REFUSED_KINDS[unit.kind])
    if unit.state == "finished":
        raise CannotThrow(ident, "it has finished")
    if unit.kind == "Task" and error is not None:
        raise CannotThrow(ident, "a task can only be cancelled, which %kill does")
    hub = _find_hub(unit)
    if hub is None:
        raise CannotThrow(ident, "it belongs to no hub that is known and could do it")
    act = partial(compat.THROWERS[hub.kind], found.thing, error)
    if hub.handle.is_current():
        act()
    else:
        run_in_hub(act, hub.handle, TIMEOUT)
    return unit


def _find_hub(unit: Unit) -> ListedHub | None:
    return None if unit.hub is None else next((hub for hub in list_hubs() if hub.ident == unit.hub), None)
