"""Serves one client on the calling thread, whatever that was doing, and without any other thread."""

from __future__ import annotations

from collections.abc import Callable

from manhole import compat
from manhole._listener import accept
from manhole._log import Log
from manhole._paths import BoundSocket, bind_socket
from manhole._serving import Serving
from manhole._session import Session

__all__ = ["Oneshot"]

# A socket refuses a timeout whose milliseconds no C int holds, 24 days; it is asked again. Arbitrary.
MAX_ACCEPT_SECONDS = 86400.0


class Oneshot:
    """One at a time in a process; who asks while one is under way asks for that one.

    :param serving: what the client is served with.
    :param timeout: seconds to wait for a client.
    :param log: the manhole's own messages.
    """

    def __init__(self, serving: Serving, timeout: float, log: Log) -> None:
        self._serving = serving
        self._timeout = timeout
        self._log = log
        self._is_busy = compat.allocate_lock()
        self._asked = False  # and not served yet
        self._session: Session | None = None  # under way, or ended just now

    def serve(self, find_path: Callable[[], str | None]) -> None:
        """Wait for a client and serve it.

        :param find_path: tells where to listen; None: nowhere.

        For a signal handler too: takes no lock that could be held, and raises no Exception.
        """
        # The kernel knows when a session's client is gone: nobody can see its end before the answer here changes.
        session = self._session
        if session is not None and not session.wait_gone(0):
            return
        self._asked = True
        lock = self._is_busy  # a child that the session forks gets another, and comes out here all the same
        while self._asked and lock.acquire(False):
            try:
                if self._asked:  # else a signal has come before the lock was taken, and has been served
                    self._asked = False
                    path = find_path()
                    if path is not None:
                        self._serve_one(path)
            except Exception as error:  # noqa: BLE001 - an error inside never reaches the application
                self._log(f"no session: {error}")
            finally:
                lock.release()

    def _serve_one(self, path: str) -> None:
        bound = bind_socket(path)
        try:
            self._log(f"waiting {self._timeout:g} seconds for a connection to {bound.path}")
            session = self._wait_for_client(bound)
            if session is None:
                self._log("nobody has connected")
                return
            self._session = session
            self._asked = False  # who has asked while it was waited for meant this session
            bound.close()  # nobody may get into the backlog of a socket that accepts no more
            try:
                session.serve(self._serving.handler(with_threads=False))
            finally:
                self._serving.end(session)
        finally:
            self._session = None
            bound.close()

    def _wait_for_client(self, bound: BoundSocket) -> Session | None:
        """The first client that may come in, None if none came in time."""
        deadline = compat.monotonic() + self._timeout
        while (left := deadline - compat.monotonic()) > 0:
            bound.socket.settimeout(min(left, MAX_ACCEPT_SECONDS))
            try:
                session = accept(bound, self._serving)
            except (TimeoutError, ConnectionAbortedError):
                continue
            if session.admit():
                return session
            self._serving.end(session)
        return None

    def reset_after_fork(self) -> None:
        """In a forked child: the session is the parent's."""
        self._is_busy = compat.allocate_lock()
        self._session = None
