"""A process's manhole as a Python object: each operation of the protocol is a method."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from manhole.client._asking import Hear, Reply, ask
from manhole.client._connection import open_connection
from manhole.client._errors import ProtocolError, RemoteExit
from manhole.client._exchange import Exchange
from manhole.client._fields import Fields
from manhole.client._hello import PROTOCOL, say_hello
from manhole.client._locate import Target, locate, locate_path, locate_pid
from manhole.client._results import (
    Completion,
    Description,
    Result,
    SessionInfo,
    read_completion,
    read_description,
    read_exception,
    read_result,
    read_session,
)
from manhole.client._wire import Message, Wire

__all__ = ["Client", "connect"]


def connect(
    target: int | str | os.PathLike[str], *, timeout: float = 5.0, mirror: Callable[[str, int], object] | None = None
) -> Client:
    """Open a session in a process.

    :param target: the process's id, also as digits, or the path of its socket.
    :param timeout: seconds, for the connection and later for each answer. Code and snapshots may take longer.
    :param mirror: called with what the application prints, and with how many such pieces were dropped before this one
        because they were not taken in time. It is called by whatever thread waits for an answer, and only then.
    :raises Failure: if there is no such process or manhole, it refuses, or does not answer; `status` tells which.
    :raises SuspiciousServer: if somebody else listens there.
    :raises ProtocolError: if the answer is not one of this protocol.
    """
    deadline = time.monotonic() + timeout
    found = _find(target)
    sock = open_connection(found, deadline)
    try:
        members, early = say_hello(sock, found, deadline, "messages", mirror=mirror is not None)
        answer = Fields(members, "an answer to hello")
        version, mode = answer.take("manhole", int), answer.take("mode", str)
        if (version, mode) != (PROTOCOL, "messages"):
            raise ProtocolError("bad-message", f"{found.name} has answered hello with version {version}, mode {mode!r}")
        return Client(
            Exchange(Wire(sock, early, found.name, timeout), found.name, mirror),
            found,
            answer.take("pid", int),
            answer.take("session", int),
            timeout,
            mirror is not None,
        )
    except BaseException:
        sock.close()
        raise


def _find(target: int | str | os.PathLike[str]) -> Target:
    if isinstance(target, int):
        return locate_pid(target)
    return locate(target) if isinstance(target, str) else locate_path(Path(target))


def _next_line(on_input: Callable[[], str | None] | None) -> str | None:
    try:
        return None if on_input is None else on_input()
    except EOFError:
        return None


class Client:
    """A session in a process; :func:`connect` makes one. Leaving its `with` closes it.

    Every method may be called from any thread. The process does one operation after the other, so a method that is
    called during eval() waits for that to end, and raises :class:`AnswerTimeout` if it takes too long; but for
    interrupt(), which is answered at once, and close(). After a fork only one of both processes may use it.

    Every method raises :class:`ConnectionLost` once the connection has ended, :class:`ProtocolError` if the process
    answers with an error or with nonsense, and :class:`AnswerTimeout` if there is no answer in time. An exception of a
    callback comes out of the method that called it; the operation goes on, and what more it sends is dropped.

    :ivar pid: the process, by its own account.
    :ivar session: the number of this session there.
    """

    def __init__(
        self, exchange: Exchange, target: Target, pid: int, session: int, timeout: float, has_mirror: bool
    ) -> None:
        self._exchange = exchange
        self._target = target
        self._timeout = timeout
        self._has_mirror = has_mirror
        self.pid = pid
        self.session = session

    def __enter__(self) -> Client:
        """The client itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        self.close()

    def eval(
        self,
        code: str,
        *,
        hub: bool | int | str = False,
        timeout: float | None = None,
        wait: float | None = None,
        on_output: Callable[[str, str], object] | None = None,
        on_input: Callable[[], str | None] | None = None,
        on_note: Callable[[str], object] | None = None,
    ) -> Result:
        """Run code in the process, in this session's namespace.

        Ctrl-C in the main thread interrupts the code there, waits for it to end, and then raises KeyboardInterrupt
        here; a second one raises it at once.

        :param code: any number of statements, or one %command.
        :param hub: where: False on a thread of the session's own, True in the main thread's hub, else in the hub that
            this number or thread's name means.
        :param timeout: seconds that the hub has for it; the process's default if None.
        :param wait: seconds until :class:`AnswerTimeout`; by default the code may run for ever.
        :param on_output: called with "stdout" or "stderr" and what was printed there, as it comes. It is then not kept
            for the result.
        :param on_input: called when the code reads from stdin; returns a line without its end, or None or raises
            EOFError for the end of the input, so that `input` is one. By default there is no input.
        :param on_note: called with what the process has to say about the code, such as that it has not reacted to an
            interrupt and where it is.
        :raises RemoteException: if the code raised one.
        :raises RemoteExit: if it raised SystemExit.
        """
        output: dict[str, list[str]] = {"stdout": [], "stderr": []}

        def hear(message: Message) -> Reply | None:
            fields = message.fields
            if message.type == "out":
                stream, text = fields.take("stream", str), fields.take("text", str)
                if on_output is not None:
                    on_output(stream, text)
                else:
                    output.setdefault(stream, []).append(text)
            elif message.type == "input":
                return "input", {"text": _next_line(on_input)}
            elif message.type == "note" and on_note is not None:
                on_note(fields.take("message", str))
            return None

        request: dict[str, object] = {"code": code, "hub": hub}
        if timeout is not None:
            request["timeout"] = timeout
        done = self._ask("eval", request, math.inf if wait is None else wait, hear, interrupts=True)
        stdout, stderr = ("".join(output[stream]) for stream in ("stdout", "stderr"))
        status = done.take("status", str)
        if status == "exception":
            raise read_exception(done.fields("exception"), stdout, stderr)
        if status == "exit":
            raise RemoteExit(stdout, stderr)
        return read_result(done, stdout, stderr)

    def complete(self, text: str) -> Completion:
        """How the last word of *text* may go on, by this session's names; runs no code of the application's objects."""
        return read_completion(self._ask("complete", {"text": text}))

    def describe(self) -> Description:
        """The process, its hubs, and what its manhole can do. Costs the process next to nothing."""
        return read_description(self._ask("describe"))

    def sessions(self) -> tuple[SessionInfo, ...]:
        """Everybody who is connected to the process, this client included."""
        return self._ask("sessions").each("sessions", read_session)

    def snapshot(
        self,
        *,
        finished: bool | None = None,
        samples: int | None = None,
        within: float | None = None,
        match: str | None = None,
        state: str | None = None,
        kind: str | None = None,
        thread: int | str | None = None,
    ) -> dict[str, Any]:
        """All stacks of the process, as docs/snapshot.schema.json describes them.

        The parameters are those of :func:`manhole.snapshot` and :func:`manhole.dump_stacktraces`, None is their
        default. The time limit is for each piece: a big process may take longer in all.
        """
        given = {
            "finished": finished,
            "samples": samples,
            "within": within,
            "match": match,
            "state": state,
            "kind": kind,
            "thread": thread,
        }
        pieces: list[str] = []

        def hear(message: Message) -> None:
            if message.type == "data":
                pieces.append(message.fields.take("text", str))

        filters = {name: value for name, value in given.items() if value is not None}
        self._ask("snapshot", filters, self._timeout + (within or 0.0), hear, renewed=True)
        try:
            snapshot = json.loads("".join(pieces))
        except (ValueError, RecursionError):
            snapshot = None
        if not isinstance(snapshot, dict):
            raise ProtocolError("bad-message", f"{self._target.name} has sent a snapshot that is no JSON object")
        return snapshot

    def interrupt(self) -> bool:
        """Raise KeyboardInterrupt in the code that eval() runs in another thread; eval() tells how that ends.

        :returns: whether code was running.
        """
        return self._ask("interrupt").take("interrupted", bool)

    def mirror(self, on: bool) -> bool:
        """Begin or cease to have what the application prints handed to the `mirror` that connect() was given.

        :returns: whether it is on.
        :raises ValueError: if connect() was given none.
        """
        if not self._has_mirror:
            raise ValueError("there is nothing to hand the application's output to: give connect() a mirror")
        return self._ask("mirror", {"on": on}).take("on", bool)

    def close(self) -> None:
        """End the session; code that it runs is interrupted. Twice is harmless, and so is a process that has ended."""
        self._exchange.close()

    def _ask(
        self,
        op: str,
        request: Mapping[str, object] | None = None,
        seconds: float | None = None,
        hear: Hear | None = None,
        *,
        renewed: bool = False,
        interrupts: bool = False,
    ) -> Fields:
        seconds = self._timeout if seconds is None else seconds
        return ask(self._exchange, op, request or {}, seconds, hear, renewed=renewed, interrupts=interrupts)
