"""One client's life: let in or refused, greeted, served, and everything given back."""

from __future__ import annotations

import _socket
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from manhole import compat
from manhole._channel import Channel
from manhole._console import Console, make_namespace
from manhole._dump import dump_stacktraces, format_dump
from manhole._errors import SuspiciousClient
from manhole._hello import HELLO_PREFIX, BadHello, Hello, format_answer, parse_hello
from manhole._log import Log
from manhole._peer import PeerCredentials, check_client, get_peercred
from manhole._stdio import Router, SessionInput, SessionOutput, Streams, run_with

__all__ = ["Host", "Session"]

# How long a client has to say hello before it is taken for a person's. A program sends it right after connect(); one
# that is late is understood all the same, it has only caused a dump that it does not read.
HELLO_SECONDS = 0.01


@dataclass(frozen=True)
class Host:
    """What every session of a manhole is handed.

    :ivar log: the manhole's own messages.
    :ivar router: whose output is whose.
    :ivar locals: the application's names for each namespace.
    :ivar unmapped_uid: the uid that stands for any unmapped user.
    """

    log: Log
    router: Router
    locals: Mapping[str, Any]
    unmapped_uid: int


class Session:
    """A client, from accept() to the end of its thread.

    :param sock: the unpatched socket, just accepted.
    :ivar ident: the session's thread, 0 until it runs.
    :ivar finished: a lock that is released when that thread has given everything back.
    """

    def __init__(self, sock: _socket.socket, host: Host) -> None:
        self._host = host
        self._channel = Channel(sock)
        self._sock = sock
        self._first_line = True
        self.ident = 0
        self.finished = compat.allocate_lock()
        self.finished.acquire()
        self._stdout = SessionOutput(self._channel.write)
        self._stderr = SessionOutput(self._channel.write)
        namespace = make_namespace(host.locals, {"dump_stacktraces": dump_stacktraces})
        self._namespace = namespace
        self._console = Console(namespace, self._read_line, self._stdout, self._stderr)

    def admit(self, euid: int) -> PeerCredentials | None:
        """Who the client is, if it may come in; else it is told why not and disconnected.

        Does not wait: nothing was sent yet, so the refusal fits into the socket's buffer.
        """
        try:
            peer = get_peercred(self._sock)
            check_client(peer, euid, self._host.unmapped_uid)
        except (SuspiciousClient, OSError) as error:
            self.refuse(str(error))
            return None
        self._host.log(f"client accepted (pid {peer.pid}, uid {peer.uid}, gid {peer.gid})")
        return peer

    def refuse(self, reason: str) -> None:
        """Tell the client in one line why it is not served, and disconnect it."""
        self._host.log(f"client refused: {reason}")
        self._tell(f"manhole: refused: {reason}\n")
        self._channel.close()

    def run(self) -> None:
        """Serve the client until one of both ends it. For a thread of its own; raises nothing."""
        self.ident = compat.get_ident()
        try:
            self._host.router.attach()
            try:
                streams = Streams(
                    SessionInput(self._channel.read_line), self._stdout, self._stderr, self._console.display
                )
                run_with(streams, self._converse)
            finally:
                self._host.router.detach()
        except BadHello as error:
            self._tell(f"\nmanhole: {error}\n")  # behind a prompt
        except OSError:
            pass  # the client is gone
        except BaseException as error:  # noqa: BLE001 - our thread must not print a traceback into the application
            self._host.log(f"session failed: {type(error).__name__}: {error}")
        finally:
            self._namespace.clear()
            compat.leave_thread()
            self._channel.close()
            self._host.log("session ended")

    def end(self) -> None:
        """Disconnect the client; the thread ends as soon as the code that it runs does. From any thread."""
        self._channel.shut_down()

    def close_after_fork(self) -> None:
        """Close a forked child's copy of the client's socket; the parent's session is not disturbed."""
        self._channel.close()

    def _converse(self) -> None:
        said_hello = self._channel.wait_readable(HELLO_SECONDS) and self._channel.peek_is(HELLO_PREFIX)
        if not said_hello:
            self._stdout.write(format_dump() + "\n")
        self._console.run()

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
            self._stdout.write(format_dump() + "\n")
        self._console.prompt()

    def _tell(self, message: str) -> None:
        try:
            self._channel.write(message.encode("utf-8", "backslashreplace"))
        except OSError:
            pass  # gone already
