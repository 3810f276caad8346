"""One client's life: let in or refused, served, and everything given back."""

from __future__ import annotations

import _socket
import posix
import select
from collections.abc import Callable, Iterable
from typing import Any

from manhole import compat
from manhole._audit import Audit
from manhole._errors import AuditFailed, SuspiciousClient
from manhole._log import Log
from manhole._peer import PeerCredentials, check_client, get_peercred

__all__ = ["Handler", "Session"]


class SessionRefused(Exception):
    """The client may come in, but not now; the message says why."""


_QUIETLY = getattr(_socket, "MSG_NOSIGNAL", 0)
# Of the code that a list of sessions shows. Arbitrary; a line of a terminal.
MAX_CODE = 80


class Session:
    """A client, from accept() to the end of what serves it.

    :param sock: the unpatched socket, just accepted.
    :param number: of this session in its manhole, from 1.
    :param unmapped_uid: what :func:`overflow_uid` returned.
    :ivar ident: the session's thread, 0 until it runs.
    :ivar finished: a lock that is released when that thread has given everything back.
    :ivar code_mask: the signals that the thread blocks while code runs; None: those that it blocks anyway.
    :ivar mode: "text" or "messages", or what else the handler makes of it.
    :ivar is_admitted: whether it was let in.
    :ivar is_abandoned: whether the client has left the code that is running to itself.
    """

    def __init__(self, sock: _socket.socket, number: int, log: Log, audit: Audit, unmapped_uid: int) -> None:
        if sock.gettimeout() is not None:
            sock.settimeout(None)  # socket.setdefaulttimeout() of the application reaches accepted sockets too
        self.socket = sock
        self.number = number
        self.peer = PeerCredentials(0, -1, -1)
        self.ident = 0
        self.code_mask: Iterable[int] | None = None
        self._idle_mask: Iterable[int] = ()
        self.mode = "text"
        self.is_admitted = False
        self.is_abandoned = False
        self.finished = compat.allocate_lock()
        self.finished.acquire()
        self._unmapped_uid = unmapped_uid
        self._log = log
        self._audit = audit
        self._pid = posix.getpid()
        self._began = compat.monotonic()
        self._code: tuple[str, float] | None = None  # what is running, and since when

    def admit(self, has_room: Callable[[Session], bool] = lambda session: True) -> bool:
        """Whether the client may come in; if not, it is told why and disconnected.

        Does not wait for the client: nothing was sent yet, so the refusal fits into the socket's buffer.

        :param has_room: whether there are fewer other sessions than there may be.
        """
        try:
            self.peer = get_peercred(self.socket)
            check_client(self.peer, posix.geteuid(), self._unmapped_uid)
            self.is_admitted = True  # before the others are counted: two that come at once must not both find room
            if not has_room(self):
                raise SessionRefused("as many sessions are open as max_sessions allows; end one of them")
            self._audit.connect(self.number, self.peer.uid, self.peer.pid)
        except (SuspiciousClient, SessionRefused, AuditFailed, OSError) as error:
            self.is_admitted = False
            self.refuse(str(error))
            return False
        self._log(f"client accepted (PID {self.peer.pid}, UID {self.peer.uid}, GID {self.peer.gid})")
        return True

    def refuse(self, reason: str) -> None:
        """Tell the client in one line why it is not served, and disconnect it."""
        self._log(f"client refused: {reason}")
        try:
            self.socket.send(f"manhole: refused: {reason}\n".encode(), _QUIETLY | _socket.MSG_DONTWAIT)
        except OSError:
            pass  # gone already
        self.socket.close()
        try:
            self._audit.refuse(self.peer.uid, self.peer.pid, reason)
        except AuditFailed as error:
            self._log(str(error))

    def serve(self, handler: Handler) -> None:
        """Have *handler* serve the client, and disconnect it. For the calling thread; raises no Exception.

        What else is raised comes from outside: SystemExit or KeyboardInterrupt of one of the application's own signal
        handlers, where a session runs in one. It is the application's and goes on to it.
        """
        try:
            handler(self)
        except OSError:
            pass  # the client is gone
        except Exception as error:  # noqa: BLE001 - no error of ours becomes the application's
            self._log(f"session failed: {type(error).__name__}: {error}")
        finally:
            self.is_admitted = False  # who sees that this one has ended may have its place
            # Closing does not disconnect the client while somebody else holds the socket, such as what a handler of
            # one's own got from makefile() and PyPy has not collected yet.
            self.end()
            self.socket.close()
            if posix.getpid() == self._pid:  # in the child of a fork that its code has made it has not ended
                self._tell_the_end()

    def _tell_the_end(self) -> None:
        self._log("session ended")
        try:
            self._audit.close(self.number, self.peer.uid, self.peer.pid)
        except AuditFailed as error:
            self._log(str(error))

    def begin_code(self, code: str) -> None:
        """*code* is about to run.

        :raises AuditFailed: if it must not, because that could not be written down.
        """
        self._audit.eval(self.number, self.peer.uid, self.peer.pid, code)
        self.set_code_mask()
        self._code = code, compat.monotonic()

    def end_code(self) -> None:
        """It runs no longer."""
        if self._code is not None:
            self._code = None
            if self.code_mask is not None:
                self.code_mask = compat.swap_sigmask(self._idle_mask)  # the code may have changed it, for good

    def set_code_mask(self) -> None:
        """From here on what runs is not ours. For the session's thread."""
        if self.code_mask is not None:
            self._idle_mask = compat.swap_sigmask(self.code_mask)

    def describe(self) -> dict[str, Any]:
        """What a list of sessions says of this one, as plain data; times in seconds."""
        now = compat.monotonic()
        code = self._code
        state = "abandoned" if self.is_abandoned else "idle" if code is None else "running"
        return {
            "session": self.number,
            "pid": self.peer.pid,
            "uid": self.peer.uid,
            "mode": self.mode,
            "seconds": round(now - self._began, 3),
            "state": state,
            "busy": None if code is None else round(now - code[1], 3),
            "code": None if code is None else code[0].partition("\n")[0][:MAX_CODE],
        }

    def end(self) -> None:
        """Disconnect the client: what waits for it wakes, the thread ends as soon as the code that it runs does."""
        try:
            self.socket.shutdown(_socket.SHUT_RDWR)
        except OSError:
            pass  # gone already

    def wait_gone(self, milliseconds: int) -> bool:
        """Whether the client has left, or leaves within that time."""
        try:
            events = compat.poll_one(self.socket.fileno(), 0, milliseconds)
        except (OSError, ValueError):
            return True  # closed by our side
        return bool(events & (select.POLLHUP | select.POLLNVAL))

    def close_after_fork(self) -> None:
        """Close a forked child's copy of the client's socket; the parent's session is not disturbed."""
        self.socket.close()


# Serves a client until one of both ends it.
Handler = Callable[[Session], None]
