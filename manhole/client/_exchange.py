"""Requests and their answers over one connection, from several threads.

There is no thread for reading. Of the threads that wait for an answer one reads, for all: it puts each message where
the thread that it is for finds it, and another one takes over when it has its own.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping

from manhole._errors import ManholeError
from manhole.client._ctrl_c import CtrlC
from manhole.client._errors import ConnectionLost, ProtocolError
from manhole.client._wire import Message, Wire

__all__ = ["ENDS", "Call", "Exchange"]

ENDS = ("done", "error")  # the types of the messages that end an operation
# Seconds that the process has to answer a farewell; arbitrary, a caller should hardly notice.
CLOSE_SECONDS = 1.0


class Call:
    """A request that was sent.

    :ivar op: its operation.
    :ivar messages: what has come for it and was not taken yet.
    :ivar forgotten: whether nobody waits for them any longer.
    """

    def __init__(self, op: str) -> None:
        self.op = op
        self.messages: deque[Message] = deque()
        self.forgotten = False


class Exchange:
    """All requests of one connection. Every method may be called from any thread.

    :param wire: becomes the exchange's own.
    :ivar target: what messages call the process.
    :param mirror: called with a copy of what the application prints, and how many such pieces were dropped before.
    """

    def __init__(self, wire: Wire, target: str, mirror: Callable[[str, int], object] | None) -> None:
        self._wire = wire
        self.target = target
        self._mirror = mirror
        self._copies: deque[tuple[str, int]] = deque()
        self._copying = threading.Lock()
        # Over all below; notified when a thread has stopped reading.
        self._turn = threading.Condition()
        self._reading = False
        self._broken: ConnectionLost | ProtocolError | None = None
        self._closed = False
        self._calls: dict[int | str | None, Call] = {}
        self._last_id = 0
        self._next_seq = 0

    def begin(self, op: str, fields: Mapping[str, object]) -> Call:
        """Send a request.

        :raises ConnectionLost: if the connection has ended, or the process does not read.
        :raises ProtocolError: if the request is too large.
        """
        call = Call(op)
        with self._turn:
            self._raise_if_broken()
            self._last_id += 1
            ident = self._last_id
            self._calls[ident] = call
        try:
            self._wire.send({"op": op, "id": ident, **fields})
        except ProtocolError:
            with self._turn:
                self._calls.pop(ident, None)  # not sent
            raise
        except BaseException as error:
            self._break(error)  # sent in part
            raise
        return call

    def post(self, op: str, fields: Mapping[str, object]) -> None:
        """Send a request whose answer does not matter."""
        self.forget(self.begin(op, fields))

    def forget(self, call: Call) -> None:
        """Nobody waits for the rest of the answer any longer; it is dropped when it comes."""
        call.forgotten = True
        call.messages.clear()

    def next_message(self, call: Call, deadline: float, ctrl_c: CtrlC) -> Message | None:
        """The next message for *call*; None if there is none until the deadline.

        :param deadline: when to give up, on the clock of time.monotonic(); math.inf for never.
        :raises ConnectionLost: if the connection has ended.
        :raises ProtocolError: if what the process sends is no message; the connection is no longer of use.
        :raises KeyboardInterrupt: where *ctrl_c* allows it; nothing is lost.
        """
        while True:
            with self._turn:
                while not call.messages and self._reading and self._broken is None:
                    with ctrl_c.allowed():
                        waited_enough = not self._turn.wait(_left(deadline)) and time.monotonic() >= deadline
                    if waited_enough:
                        return None
                if call.messages:
                    return call.messages.popleft()
                self._raise_if_broken()
                self._reading = True
            try:
                with ctrl_c.allowed():
                    arrived = self._wire.wait_readable(_left(deadline))
                if arrived:
                    self._read()
            finally:
                with self._turn:
                    self._reading = False
                    self._turn.notify_all()
            if not arrived and time.monotonic() >= deadline:
                return None
            with ctrl_c.allowed():
                self._hand_out_copies()

    def _read(self) -> None:
        """Read what is there and put each message where it belongs."""
        try:
            for message in self._wire.read():
                with self._turn:
                    self._put(message)
        except (ConnectionLost, ProtocolError) as error:
            self._break(error)  # for next_message() to raise, after what has come before
        except BaseException as error:
            self._break(error)  # from outside, and a message may be lost
            raise

    def _put(self, message: Message) -> None:
        if message.seq != self._next_seq:
            raise ProtocolError("bad-message", f"the process has sent message {message.seq} after {self._next_seq - 1}")
        self._next_seq += 1
        if message.type == "mirror":
            if self._mirror is not None:
                self._copies.append((message.fields.take("text", str), message.fields.take("missed", int)))
            return
        if message.ident is None and message.type == "error":
            # About a line of ours that it could not read: nobody knows which request is never answered.
            raise ProtocolError(message.fields.take("code", str), message.fields.take("message", str))
        call = self._calls.get(message.ident)
        if call is None:
            raise ProtocolError("bad-message", f"the process has answered {message.ident!r:.80}, which was not asked")
        if message.type in ENDS:
            del self._calls[message.ident]
        if not call.forgotten:
            call.messages.append(message)

    def _hand_out_copies(self) -> None:
        """Call the mirror. In the order in which they came, so in one thread at a time."""
        while self._mirror is not None and self._copies and self._copying.acquire(blocking=False):
            try:
                text, missed = self._copies.popleft()
                self._mirror(text, missed)
            finally:
                self._copying.release()

    def _break(self, error: BaseException) -> None:
        """Nothing more can be said or heard."""
        with self._turn:
            if self._broken is None:
                if not isinstance(error, ConnectionLost | ProtocolError):
                    error = ConnectionLost(self.target, "the conversation was broken off by an exception")
                self._broken = error
            self._calls.clear()
            self._turn.notify_all()
        self._wire.end()

    def _raise_if_broken(self) -> None:
        # A new one for each: several threads may raise it.
        if isinstance(self._broken, ProtocolError):
            raise ProtocolError(self._broken.code, self._broken.message)
        if self._broken is not None:
            raise ConnectionLost(self._broken.target, self._broken.reason)

    def close(self) -> None:
        """Say farewell and give everything back. Who waits for an answer gets ConnectionLost. Twice is harmless."""
        with self._turn:
            if self._closed:
                return
            self._closed = True
        try:
            self._say_farewell()
        except ManholeError:
            pass  # it has ended already, or is stuck, and the end of the connection tells it too
        finally:
            self._break(ConnectionLost(self.target, "this client is closed"))
            with self._turn:
                # Its descriptor must not become another file's under a thread that reads. Limited, because a signal
                # handler may have interrupted that thread to call this.
                self._turn.wait_for(lambda: not self._reading, CLOSE_SECONDS)
            self._wire.close()

    def _say_farewell(self) -> None:
        deadline = time.monotonic() + CLOSE_SECONDS
        with CtrlC() as ctrl_c:
            call = self.begin("close", {})
            while (message := self.next_message(call, deadline, ctrl_c)) is not None and message.type not in ENDS:
                pass


def _left(deadline: float) -> float:
    # An hour: what waits has limits, poll(2) 24 days. Whoever asks looks at the clock after that, and asks again.
    return min(max(0.0, deadline - time.monotonic()), 3600.0)
