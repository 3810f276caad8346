"""in_hub(): runs a function where the application runs, and says what is in the way if it cannot."""

from __future__ import annotations

import contextvars
from collections.abc import Callable
from functools import partial
from typing import TypeVar

from manhole import compat
from manhole._errors import HubTimeout, InvalidOption
from manhole._hub_call import HubCall
from manhole._hub_list import ListedHub, find_hub, list_hubs
from manhole._snapshot import Frame, Snapshot, Unit, collect_snapshot

__all__ = ["HubCall", "ListedHub", "explain_timeout", "find_hub", "in_hub", "list_hubs", "run_in_hub"]

_Result = TypeVar("_Result")

# Longer is for ever.
MAX_TIMEOUT = 1e9


def in_hub(
    function: Callable[..., _Result], *args: object, timeout: float = 5.0, hub: int | str | None = None
) -> _Result:
    """Call ``function(*args)`` inside a hub of the application, and return what it returns.

    In gevent and eventlet it runs in a greenlet of its own, where locks, queues, connections and all else of the
    application's work as they do for its own greenlets. In asyncio it is called by the loop; if it returns a coroutine,
    that is run as a task, and what is returned is its result. What it raises is raised here, with its traceback; the
    hub does not see it, be it SystemExit.

    :param function: while it computes and does not wait, the application stands still, as for any greenlet of its own.
    :param timeout: seconds to wait.
    :param hub: its number as manhole shows it, or its thread's name or ident; the main thread's by default.
    :raises HubTimeout: if the time was over. Where the function had not begun, it never will; else it goes on.
    :raises NoHub: if there is no such hub.
    :raises InvalidOption: for a timeout that is no number or negative.

    May be called from any thread and any greenlet, not from a signal handler. On the hub's own thread it calls the
    function at once, and returns the coroutine if that is what it returns; from a thread with another hub it keeps that
    one waiting. A KeyboardInterrupt meanwhile is passed on to the function.
    """
    if isinstance(timeout, bool) or not isinstance(timeout, (int, float)) or not 0 <= timeout <= MAX_TIMEOUT:
        raise InvalidOption("timeout", timeout, f"seconds from 0 to {MAX_TIMEOUT:g}")
    handle = find_hub(hub)
    if handle.is_current():
        return function(*args)
    return run_in_hub(partial(function, *args), handle, timeout)


def run_in_hub(
    function: Callable[[], _Result],
    hub: compat.HubHandle,
    timeout: float,
    context: contextvars.Context | None = None,
) -> _Result:
    """What in_hub() does, for a hub that was found and is not the calling thread's.

    :param context: the context that the function runs in.
    """
    call = HubCall(function, hub, context)
    del function
    try:
        if _start_and_wait(call, timeout):
            result: _Result = call.result()
            return result
        if not call.withdraw() and call.wait(0):  # it has ended just now
            result = call.result()
            return result
        call.abandon()
        raise explain_timeout(call, timeout)
    finally:
        del call  # the traceback holds this frame


def _start_and_wait(call: HubCall, timeout: float) -> bool:
    deadline = compat.monotonic() + timeout
    try:
        call.start()  # here, for it may begin before this is over, and be what an interrupt is meant for
        return call.wait(timeout)
    except BaseException as error:
        # From outside, into this thread. Whoever interrupts a second time does not want to wait for the function.
        if not call.withdraw():
            call.interrupt(type(error))
            if call.wait(deadline - compat.monotonic()):
                return True
        call.abandon()
        raise


def explain_timeout(call: HubCall, timeout: float) -> HubTimeout:
    """The error for a call that was withdrawn, or goes on: what its hub does instead. Takes 0.15 seconds or more."""
    asleep = call.hub.why_asleep()
    snapshot = collect_snapshot()
    return HubTimeout(call.hub.name, timeout, call.begun, *_where(call, snapshot, asleep))


def _where(call: HubCall, snapshot: Snapshot, asleep: str) -> tuple[str, str, Frame | None]:
    """What the hub does, in words; the unit that it does it in; and where that is."""
    units = {unit.ident: unit for unit in snapshot.units}
    if call.begun:
        unit = units.get(call.unit or 0)
        frame = unit.frames[-1] if unit is not None and unit.frames else None
        return "", _name(unit), frame
    ident = call.hub.unit()
    hub = next((hub for hub in snapshot.hubs if hub.ident == ident), None)
    if hub is None:
        return "it is not there any more", "", None
    if asleep and hub.state == "in its loop":
        return asleep, "", None
    if hub.state in ("in its loop", "unknown", "not running"):
        return (
            {"in its loop": "it is back in its loop now", "unknown": "nobody knows its thread"}.get(
                hub.state, "no thread runs it"
            ),
            "",
            None,
        )
    return hub.state, _name(units.get(hub.unit or 0)), hub.frame


def _name(unit: Unit | None) -> str:
    return "" if unit is None else f"{unit.kind} {unit.name}".strip()
