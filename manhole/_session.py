"""One client's life: let in or refused, served, and everything given back."""

from __future__ import annotations

import _socket
import posix
import select

from manhole import compat
from manhole._conversation import Handler
from manhole._errors import SuspiciousClient
from manhole._log import Log
from manhole._peer import check_client, get_peercred, overflow_uid

__all__ = ["Session"]

_QUIETLY = getattr(_socket, "MSG_NOSIGNAL", 0)


class Session:
    """A client, from accept() to the end of what serves it.

    :param sock: the unpatched socket, just accepted.
    :ivar ident: the session's thread, 0 until it runs.
    :ivar finished: a lock that is released when that thread has given everything back.
    """

    def __init__(self, sock: _socket.socket, log: Log) -> None:
        sock.settimeout(None)  # socket.setdefaulttimeout() of the application reaches accepted sockets too
        self._sock = sock
        self._log = log
        self.ident = 0
        self.finished = compat.allocate_lock()
        self.finished.acquire()

    def admit(self) -> bool:
        """Whether the client may come in; if not, it is told why and disconnected.

        Does not wait: nothing was sent yet, so the refusal fits into the socket's buffer.
        """
        try:
            peer = get_peercred(self._sock)
            check_client(peer, posix.geteuid(), overflow_uid())
        except (SuspiciousClient, OSError) as error:
            self.refuse(str(error))
            return False
        self._log(f"client accepted (PID {peer.pid}, UID {peer.uid}, GID {peer.gid})")
        return True

    def refuse(self, reason: str) -> None:
        """Tell the client in one line why it is not served, and disconnect it."""
        self._log(f"client refused: {reason}")
        try:
            self._sock.send(f"manhole: refused: {reason}\n".encode(), _QUIETLY | _socket.MSG_DONTWAIT)
        except OSError:
            pass  # gone already
        self._sock.close()

    def serve(self, handler: Handler) -> None:
        """Have *handler* serve the client, and disconnect it. For the calling thread; raises no Exception.

        What else is raised comes from outside: SystemExit or KeyboardInterrupt of one of the application's own signal
        handlers, where a session runs in one. It is the application's and goes on to it.
        """
        try:
            handler(self._sock)
        except OSError:
            pass  # the client is gone
        except Exception as error:  # noqa: BLE001 - no error of ours becomes the application's
            self._log(f"session failed: {type(error).__name__}: {error}")
        finally:
            # Closing does not disconnect the client while somebody else holds the socket, such as what a handler of
            # one's own got from makefile() and PyPy has not collected yet.
            self.end()
            self._sock.close()
            self._log("session ended")

    def end(self) -> None:
        """Disconnect the client: what waits for it wakes, the thread ends as soon as the code that it runs does."""
        try:
            self._sock.shutdown(_socket.SHUT_RDWR)
        except OSError:
            pass  # gone already

    def wait_gone(self, milliseconds: int) -> bool:
        """Whether the client has left, or leaves within that time."""
        poll = compat.make_poll()
        try:
            poll.register(self._sock.fileno(), 0)
        except (OSError, ValueError):
            return True  # closed by our side
        return any(event & (select.POLLHUP | select.POLLNVAL) for _descriptor, event in poll.poll(milliseconds))

    def close_after_fork(self) -> None:
        """Close a forked child's copy of the client's socket; the parent's session is not disturbed."""
        self._sock.close()
