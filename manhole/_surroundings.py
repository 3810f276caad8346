"""What a session takes from the process and the manhole that it is in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from manhole._attendant import Attendant
from manhole._log import Log
from manhole._stdio import Router

__all__ = ["Surroundings"]


@dataclass(frozen=True)
class Surroundings:
    """Handed to whatever serves a client.

    :ivar log: the manhole's own messages.
    :ivar router: whose output is whose.
    :ivar attendant: the thread beside the sessions.
    :ivar locals: the application's names for each namespace.
    :ivar redirect_stderr: whether stderr of the session's code is the client's.
    :ivar max_output: bytes of output that may wait for a client.
    :ivar max_sessions: how many sessions there may be.
    :ivar dump_only: whether no code is ever run.
    :ivar list_sessions: describes the sessions that there are, as `Session.describe()` does.
    """

    log: Log
    router: Router
    attendant: Attendant
    locals: Mapping[str, Any]
    redirect_stderr: bool
    max_output: int
    max_sessions: int
    dump_only: bool
    list_sessions: Callable[[], list[dict[str, Any]]]
