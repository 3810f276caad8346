"""The conversation in messages, one JSON object a line, for programs; docs/protocol.md is its specification."""

from __future__ import annotations

from _thread import TIMEOUT_MAX
from collections import deque
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from manhole import compat
from manhole._channel import Channel
from manhole._commands import is_command, run_command
from manhole._complete import complete
from manhole._conversation import Conversation
from manhole._describe import describe_hubs, describe_process
from manhole._errors import AuditFailed, ManholeError
from manhole._evaluator import DEFAULT_TIMEOUT
from manhole._hello import VERSION, Hello
from manhole._hub_list import find_hub
from manhole._interrupts import Interruption
from manhole._message_lines import MESSAGE, Encoder, format_message
from manhole._reader import MAX_LINE_BYTES, LineTooLong
from manhole._requests import BadRequest, Request, parse_request
from manhole._session import Session
from manhole._snapshot import collect_snapshot, format_snapshot, select_units
from manhole._surroundings import Surroundings
from manhole._tracebacks import MAX_TEXT, describe_error

__all__ = ["MessageConversation"]

# Seconds between two looks of code that waits for input, where the attendant hears it. Arbitrary.
INPUT_SECONDS = 0.02
# Bytes of requests that wait while code runs. Arbitrary; the memory is the application's.
MAX_QUEUED = 4 * MAX_LINE_BYTES
# Messages that the attendant reads of one client before it looks after the next. Arbitrary; a millisecond or two.
MAX_HEARD = 256
_SNAPSHOT_FIELDS: dict[str, type | tuple[type, ...]] = {
    "finished": bool,
    "samples": int,
    "within": (int, float),
    "match": str,
    "state": str,
    "kind": str,
    "thread": (int, str),
}
_SELECTING = ("match", "state", "kind", "thread")
# What must not wait for the code that is running.
_AT_ONCE = ("interrupt", "input", "close")


class MessageConversation(Conversation):
    """Does what the client's messages ask for, in their order, and answers each."""

    def __init__(self, session: Session, channel: Channel, interruption: Interruption, around: Surroundings) -> None:
        super().__init__(session, channel, interruption, around)
        self.session.mode = "messages"
        self._lines = Encoder()
        self.channel.writer.encode = self._lines.encode
        self.channel.reader.controls = False  # as they are where the hello came late
        self._queue: deque[Request] = deque()  # heard while code was running
        self._queued = 0  # its size
        self._inputs: deque[str | None] = deque()
        self._readers: set[int] = set()  # idents of the threads whose code waits for input
        self._goes_on = True
        self._operations: dict[str, Callable[[Request], dict[str, Any]]] = {
            "describe": self._describe,
            "snapshot": self._snapshot,
            "sessions": self._sessions,
            "mirror": self._mirror,
            "close": self._close,
        }
        if not self.around.dump_only:
            self._operations |= {
                "eval": self._eval,
                "complete": self._complete,
                "interrupt": self._interrupt,
                "input": self._input,
            }

    def run(self) -> Hello | None:
        while self._goes_on:
            request = self._queue.popleft() if self._queue else self._read()
            if request is None:
                break
            if not self._queue:
                self._queued = 0
            self._do(request)
        return None

    # --- requests

    def _read(self) -> Request | None:
        """The next one, None at the end of input; what is none is answered on the way."""
        while True:
            self.channel.writer.drain()
            try:
                line = self.channel.reader.read_line()
            except LineTooLong:
                self._refuse_overlong()
                continue
            if line is None:
                return None
            request = self._parse(line)
            if request is not None:
                return request

    def _parse(self, line: bytes, may_wait: bool = True) -> Request | None:
        try:
            return parse_request(line)
        except BadRequest as error:
            self._fail(error.ident, error.code, str(error), may_wait)
            return None

    def _refuse_overlong(self, may_wait: bool = True) -> None:
        told = f"a message has at most {MAX_LINE_BYTES} bytes; this one was thrown away"
        self._fail(None, "too-large", told, may_wait)

    def _do(self, request: Request) -> None:
        operation = self._operations.get(request.op)
        if operation is None:
            known = ", ".join(sorted(self._operations))
            if self.around.dump_only and request.op in ("eval", "complete", "interrupt", "input"):
                self._fail(request.ident, "refused", f"no code is run here (mode='dump'); there are {known}")
            else:
                self._fail(request.ident, "unknown-op", f"there is no operation {request.op[:80]!r}; there are {known}")
            return
        self._lines.current = request.ident
        try:
            try:
                self._send({"id": request.ident, "type": "done", **operation(request)})
            except BadRequest as error:
                self._fail(request.ident, error.code, str(error))
            except AuditFailed as error:
                self._fail(request.ident, "refused", str(error))
            except ManholeError as error:
                self._fail(request.ident, "bad-field" if isinstance(error, ValueError) else "failed", str(error))
            self.channel.writer.drain()  # what it has printed bears its id
        finally:
            self._lines.current = None

    # --- answers

    def _send(self, message: dict[str, Any], may_wait: bool = True) -> None:
        self.channel.writer.put_whole(MESSAGE, format_message(message), may_wait)

    def _fail(self, ident: Any, code: str, message: str, may_wait: bool = True) -> None:
        # What the client has sent may be quoted in it, and is as long as it likes.
        self._send({"id": ident, "type": "error", "code": code, "message": message[:MAX_TEXT]}, may_wait)

    # --- operations

    def _describe(self, request: Request) -> dict[str, Any]:
        return {
            "protocol": VERSION,
            "ops": sorted(self._operations),
            "mode": "dump" if self.around.dump_only else "repl",
            "session": self.session.number,
            **describe_process(),
            "hubs": describe_hubs(),
            "limits": {"message_bytes": MAX_LINE_BYTES, "max_sessions": self.around.max_sessions},
        }

    def _eval(self, request: Request) -> dict[str, Any]:
        code = request.take("code", str)
        where = request.take("hub", (bool, int, str), False)
        timeout = request.take("timeout", (int, float), DEFAULT_TIMEOUT)
        if not 0 <= timeout <= TIMEOUT_MAX:
            raise BadRequest(request.ident, "bad-field", f"'timeout' must be seconds from 0 to {TIMEOUT_MAX:g}")
        hub = None if where is False else find_hub(None if where is True else where)
        try:
            outcome = self.perform(code, partial(self._evaluate, code, hub, timeout))
        except KeyboardInterrupt:  # too late for the code itself; perhaps it has hit what describes an error
            outcome = _describe_failure(KeyboardInterrupt())
        return {"status": "ok", "value": None, "value_type": None, "cut": 0, "exception": None} | outcome

    def _evaluate(self, source: str, hub: compat.HubHandle | None, timeout: float) -> dict[str, Any]:
        """What is to be said of *source*, whatever it gives or raises."""
        try:
            if not is_command(source):
                return self._run_program(source, hub, timeout)
            run_command(source, self)
            return {}
        except SystemExit:
            self._goes_on = False
            return {"status": "exit"}
        except BaseException as error:  # noqa: BLE001 - whatever it is, it ends the evaluation, not the session
            return _describe_failure(error)

    def _run_program(self, source: str, hub: compat.HubHandle | None, timeout: float) -> dict[str, Any]:
        first, last = self.evaluator.compiler.program(source)
        if first is not None:
            self.evaluator.evaluate(first, hub, timeout)
        if last is None:
            return {}
        value = self.evaluator.evaluate(last, hub, timeout)
        if value is None:
            return {}
        self.evaluator.namespace["_"] = value
        # Where it came about: what its repr() looks at may belong to the hub.
        text = str.__str__(self.evaluator.run(partial(repr, value), hub, timeout))
        shown = text[:MAX_TEXT]
        return {"value": shown, "value_type": compat.type_name(type(value)), "cut": len(text) - len(shown)}

    def _complete(self, request: Request) -> dict[str, Any]:
        start, matches = complete(request.take("text", str), self.evaluator.namespace)
        return {"start": start, "matches": matches}

    def _interrupt(self, request: Request) -> dict[str, Any]:
        return {"interrupted": self.interrupt()}

    def _input(self, request: Request) -> dict[str, Any]:
        text = request.take("text", (str, type(None)))
        if len(self._readers) <= len(self._inputs):
            raise BadRequest(request.ident, "no-input", "no code waits for input")
        self._inputs.append(text)
        return {}

    def _snapshot(self, request: Request) -> dict[str, Any]:
        given = {name: request.take(name, kind) for name, kind in _SNAPSHOT_FIELDS.items() if name in request.fields}
        selecting = {name: given.pop(name) for name in _SELECTING if name in given}
        snapshot = select_units(collect_snapshot(**given), **selecting)
        for piece in _in_pieces(format_snapshot(snapshot, "json")):
            self._send({"id": request.ident, "type": "data", "text": piece})
        return {}

    def _sessions(self, request: Request) -> dict[str, Any]:
        return {"sessions": self.sessions()}

    def _mirror(self, request: Request) -> dict[str, Any]:
        wanted = request.take("on", bool)
        self.mirror(wanted)
        return {"on": wanted and self.is_attended}

    def _close(self, request: Request) -> dict[str, Any]:
        self._goes_on = False
        self.is_leaving = True
        self.interrupt()
        return {}

    # --- what the others want of it

    def read_input(self) -> bytes | None:
        if not self._readers:
            self._inputs.clear()  # what was meant for code that was interrupted then
        me = compat.get_ident()
        self._readers.add(me)
        try:
            self._send({"id": self._lines.current, "type": "input"})
            self.channel.writer.drain()
            while True:
                try:
                    text = self._inputs.popleft()
                except IndexError:  # a thread of the code's may have been quicker
                    pass
                else:
                    return None if text is None else text.encode("utf-8", "surrogatepass")
                if self.is_attended:
                    if self.channel.reader.has_ended:
                        return None
                    compat.sleep(INPUT_SECONDS)
                    compat.checkpoint()
                else:
                    request = self._read()
                    if request is None:
                        return None
                    self._sort(request)
        finally:
            self._readers.discard(me)

    def hear(self) -> None:
        for _ in range(MAX_HEARD):
            if not self.channel.writer.has_room_for_answers():
                break
            try:
                line = self.channel.reader.take_line()
            except LineTooLong:
                self._refuse_overlong(may_wait=False)
                continue
            if line is None:
                break
            request = self._parse(line, may_wait=False)
            if request is not None:
                self._sort(request)

    def _sort(self, request: Request) -> None:
        """Do at once what must not wait."""
        if request.op not in _AT_ONCE or request.op not in self._operations:
            self._queued += request.size
            if self._queued > MAX_QUEUED:
                self._queued -= request.size
                told = "too many requests wait for the end of the code that is running"
                self._fail(request.ident, "busy", told, may_wait=False)
            else:
                self._queue.append(request)
            return
        try:
            self._send({"id": request.ident, "type": "done", **self._operations[request.op](request)}, may_wait=False)
        except BadRequest as error:
            self._fail(request.ident, error.code, str(error), may_wait=False)

    def note(self, message: str) -> None:
        self._send({"id": self._lines.current, "type": "note", "message": message}, may_wait=False)

    def copy(self, text: str, missed: int) -> bool:
        return self.channel.writer.offer(MESSAGE, format_message({"type": "mirror", "text": text, "missed": missed}))


def _describe_failure(error: BaseException) -> dict[str, Any]:
    return {"status": "exception", "exception": describe_error(error)}


def _in_pieces(texts: Iterator[str]) -> Iterator[str]:
    """*texts* joined and cut into pieces of at most MAX_TEXT characters."""
    held = ""
    for text in texts:
        held += text
        while len(held) >= MAX_TEXT:
            yield held[:MAX_TEXT]
            held = held[MAX_TEXT:]
    if held:
        yield held
