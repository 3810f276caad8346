"""What a client is connected to: the REPL with its own streams, or the bare `exec` of line after line."""

from __future__ import annotations

import _socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from manhole._channel import Channel, LineTooLong
from manhole._console import Console, make_namespace
from manhole._dump import dump_stacktraces, format_greeting
from manhole._hello import HELLO_PREFIX, BadHello, Hello, format_answer, parse_hello
from manhole._log import Log
from manhole._mirror import Mirror
from manhole._stdio import Router, SessionInput, SessionOutput, Streams

__all__ = ["Handler", "Surroundings", "converse_exec", "converse_repl"]

# Serves the client at the other end of an unpatched, connected socket until one of both ends it.
Handler = Callable[[_socket.socket], None]

# How long a client has to say hello before it is taken for a person's. A program sends it right after connect(); one
# that is late is understood all the same, it has only caused a dump that it does not read.
HELLO_SECONDS = 0.01


@dataclass(frozen=True)
class Surroundings:
    """What a conversation takes from the process that it is in.

    :ivar log: the manhole's own messages.
    :ivar router: whose output is whose.
    :ivar mirror: copies the application's output to the clients.
    :ivar locals: the application's names for each namespace.
    :ivar redirect_stderr: whether stderr of the session's code is the client's.
    """

    log: Log
    router: Router
    mirror: Mirror
    locals: Mapping[str, Any]
    redirect_stderr: bool


def converse_repl(sock: _socket.socket, around: Surroundings, with_threads: bool = True) -> None:
    """A dump, then a prompt; until the client leaves or its code raises SystemExit.

    :param with_threads: False where none is welcome: then the client gets no copy of the application's output.
    :raises OSError: if the client is gone.
    """
    channel = Channel(sock)
    repl = _Repl(channel, around)
    around.router.attach(channel)
    try:
        if not with_threads:
            repl.run()
            return
        around.mirror.attach(channel)
        try:
            repl.run()
        finally:
            around.mirror.detach(channel)
    finally:
        around.router.detach(channel)


class _Repl:
    """One client's REPL."""

    def __init__(self, channel: Channel, around: Surroundings) -> None:
        self._channel = channel
        self._stdout = SessionOutput(channel.write)
        stderr = SessionOutput(channel.write)
        namespace = make_namespace(around.locals, {"dump_stacktraces": dump_stacktraces})
        self._namespace = namespace
        self._console = Console(namespace, self._read_line, self._stdout, stderr)
        self._streams = Streams(
            SessionInput(channel.read_line),
            self._stdout,
            stderr if around.redirect_stderr else None,
            self._console.display,
        )
        self._first_line = True

    def run(self) -> None:
        try:
            said_hello = self._channel.wait_readable(HELLO_SECONDS) and self._channel.peek_is(HELLO_PREFIX)
            if not said_hello:
                self._stdout.write(format_greeting())
            self._console.run(self._streams)
        except BadHello as error:
            self._channel.write(f"\nmanhole: {error}\n".encode())  # the line end: behind a prompt
        finally:
            self._streams.ended = True
            self._namespace.clear()

    def _read_line(self) -> bytes | None:
        """The console's next line. A hello, early or late, is dealt with on the way."""
        line = self._channel.read_line()
        if self._first_line:
            self._first_line = False
            hello = parse_hello(line or b"")
            if hello is not None:
                self._meet(hello)
                return self._channel.read_line()
        return line

    def _meet(self, hello: Hello) -> None:
        self._console.prompts = hello.prompt
        # What was sent before hello arrived ends with a prompt, hence the line end in front.
        self._channel.write(b"\n" + format_answer(hello))
        if hello.greeting:
            self._stdout.write(format_greeting())
        self._console.prompt()


def converse_exec(sock: _socket.socket, around: Surroundings) -> None:
    """Each line is executed as it comes: nothing is sent back, no stream is touched, `exit()` ends it.

    Errors are reported with the manhole's own messages.

    :raises OSError: if the client is gone.
    """
    read_line = Channel(sock).read_line
    namespace = make_namespace(around.locals, {"dump_stacktraces": dump_stacktraces})
    try:
        while True:
            try:
                line = read_line()
            except LineTooLong:
                around.log("a line was too long and was thrown away")
                continue
            if line is None:
                break
            try:
                exec(line.decode("utf-8", "replace"), namespace)  # noqa: S102 - what this handler is for
            except SystemExit:
                break
            except BaseException as error:  # noqa: BLE001 - whatever it is, it ends the line, not the session
                around.log(f"{type(error).__name__}: {_text_of(error)} in the line {line[:80]!r}")
    finally:
        namespace.clear()


def _text_of(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # noqa: BLE001 - the exception is the user's, and so is what its text raises
        return "(its text cannot be had)"
