"""Has an exception raised in a greenlet, or a task cancelled, the way its library does it.

To be called in a greenlet of the hub's thread, but not in the hub itself; both libraries see to it that the caller goes
on, which greenlet's own `throw()` does not.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["THROWERS"]

# Takes a greenlet and an exception; None for the one that ends it quietly.
Thrower = Callable[[Any, BaseException | None], None]


def _throw_by_gevent(greenlet: Any, error: BaseException | None) -> None:
    kill = sys.modules["gevent.hub"].kill
    kill(greenlet) if error is None else kill(greenlet, error)


def _throw_by_eventlet(greenlet: Any, error: BaseException | None) -> None:
    if error is None:
        error = sys.modules["greenlet"].GreenletExit()
    # All three: that is what kill() wants for one that has not started.
    sys.modules["eventlet.greenthread"].kill(greenlet, type(error), error, None)


def _cancel(task: Any, _error: BaseException | None) -> None:
    task.cancel()


# By the kind of the hub that the unit belongs to.
THROWERS: Mapping[str, Thrower] = {
    "gevent": _throw_by_gevent,
    "eventlet": _throw_by_eventlet,
    "asyncio": _cancel,
}
