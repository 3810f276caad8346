"""One operation, from its request to its end."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from manhole.client._ctrl_c import CtrlC
from manhole.client._errors import AnswerTimeout, ProtocolError
from manhole.client._exchange import ENDS, Call, Exchange
from manhole.client._fields import Fields
from manhole.client._wire import Message

__all__ = ["Hear", "Reply", "ask"]

# An operation and its fields, to be sent because of what was heard.
Reply = tuple[str, Mapping[str, object]]
Hear = Callable[[Message], Reply | None]


def ask(
    exchange: Exchange,
    op: str,
    request: Mapping[str, object],
    seconds: float,
    hear: Hear | None,
    *,
    renewed: bool,
    interrupts: bool,
) -> Fields:
    """Ask for an operation and wait for its end.

    :param seconds: how long to wait, math.inf for ever.
    :param hear: called with the messages before the last one.
    :param renewed: whether the time begins again with each message.
    :param interrupts: whether Ctrl-C interrupts it in the process and waits on; a second one is raised at once.
    :returns: the members of its last message.
    :raises AnswerTimeout: if that does not come in time.
    :raises ProtocolError: if it is an error.
    :raises KeyboardInterrupt: after Ctrl-C.
    """
    with CtrlC() as ctrl_c:
        call = exchange.begin(op, request)
        try:
            return _listen(exchange, call, seconds, hear, ctrl_c, renewed, interrupts)
        except BaseException:
            exchange.forget(call)
            raise


def _listen(
    exchange: Exchange,
    call: Call,
    seconds: float,
    hear: Hear | None,
    ctrl_c: CtrlC,
    renewed: bool,
    interrupts: bool,
) -> Fields:
    pressed = False
    deadline = time.monotonic() + seconds
    while True:
        try:
            message = exchange.next_message(call, deadline, ctrl_c)
            if message is None:
                raise AnswerTimeout(call.op, seconds, exchange.target)
            if message.type in ENDS:
                break
            with ctrl_c.allowed():
                reply = None if hear is None else hear(message)
            if reply is not None:
                exchange.post(*reply)
            if renewed:
                deadline = time.monotonic() + seconds
        except KeyboardInterrupt:
            if pressed or not interrupts:
                raise
            pressed = True
            exchange.post("interrupt", {})
    if pressed:
        raise KeyboardInterrupt
    if message.type == "error":
        raise ProtocolError(message.fields.take("code", str), message.fields.take("message", str))
    return message.fields
