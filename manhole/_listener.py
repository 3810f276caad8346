"""Accepts clients on a real OS thread and starts a session's thread for each."""

from __future__ import annotations

import _socket
import posix
import select
from collections.abc import Iterable

from manhole import compat
from manhole._errors import StartFailed
from manhole._log import Log
from manhole._paths import BoundSocket
from manhole._session import Host, Session

__all__ = ["Listener"]

# Before accept() is tried again when the process has no descriptor left. Arbitrary; it only must not spin.
RETRY_MILLISECONDS = 1000
# How long stop() waits for threads that have been told to end; code that a session runs cannot be ended.
STOP_SECONDS = 1.0


class Listener:
    """The accept thread of a manhole and its sessions.

    :param bound: the listening socket, which the listener closes in the end.
    :param host: what each session is handed.
    :param sigmask: the signals to block while a session runs a user's code.
    """

    def __init__(self, bound: BoundSocket, host: Host, sigmask: Iterable[int]) -> None:
        self._bound = bound
        self._host = host
        self._log: Log = host.log
        self._sigmask = sigmask
        self._sessions: dict[int, Session] = {}  # by number; dict operations are atomic
        self._count = 0
        self._running = compat.allocate_lock()
        self._ended = compat.allocate_lock()
        self._running.acquire()
        self._ended.acquire()
        self._wake_read, self._wake_write = posix.pipe()

    def start(self, timeout: float) -> None:
        """Start the thread and return when it accepts.

        :param timeout: seconds to wait for it.
        :raises StartFailed: if it does not run by then, or the system has no thread left; everything is closed.
        """
        # A client that connects and leaves again before accept() must not leave the thread blocked there.
        self._bound.socket.setblocking(False)
        try:
            compat.start_thread(self._run, "manhole listener", compat.ALL_SIGNALS)
        except RuntimeError as error:
            self._ended.release()
            self.stop()
            raise StartFailed(self._bound.path, str(error)) from error
        if not self._running.acquire(timeout=timeout):
            self.stop()
            raise StartFailed(self._bound.path, f"its thread did not run within {timeout} seconds")

    def stop(self) -> None:
        """Remove the socket, disconnect all clients and wait for the threads, at most STOP_SECONDS in all.

        May be called from a session's own thread, which is then not waited for.
        """
        deadline = compat.monotonic() + STOP_SECONDS
        posix.write(self._wake_write, b"x")
        ended = self._ended.acquire(timeout=STOP_SECONDS)
        self._bound.close()
        me = compat.get_ident()
        for session in list(self._sessions.values()):
            session.end()
            if session.ident != me:
                session.finished.acquire(timeout=max(0.0, deadline - compat.monotonic()))
        if ended:  # else the thread still polls them; it will end, and two descriptors are the smaller harm
            posix.close(self._wake_read)
            posix.close(self._wake_write)

    def remove_file(self) -> None:
        """Remove the socket's file: the process exits, and the threads end with it."""
        self._bound.remove_file()

    def close_after_fork(self) -> None:
        """Close a forked child's copies of all descriptors; the threads are the parent's."""
        self._bound.close()
        posix.close(self._wake_read)
        posix.close(self._wake_write)
        for session in list(self._sessions.values()):
            session.close_after_fork()

    def _run(self) -> None:
        try:
            poll = compat.make_poll()
            poll.register(self._bound.socket.fileno(), select.POLLIN)
            poll.register(self._wake_read, select.POLLIN)
            self._running.release()
            while self._wake_read not in dict(poll.poll()):
                self._accept()
        except BaseException as error:  # noqa: BLE001 - our thread must not print a traceback into the application
            self._log(f"stopped listening: {type(error).__name__}: {error}")
        finally:
            self._ended.release()

    def _accept(self) -> None:
        try:
            descriptor, _address = self._bound.socket._accept()  # type: ignore[attr-defined]  # typeshed leaves it out
        except (BlockingIOError, ConnectionAbortedError):
            return  # the client has left again
        except OSError as error:
            self._log(f"cannot accept a client: {error.strerror}; trying again")
            self._wait_to_retry()
            return
        session = Session(_socket.socket(fileno=descriptor), self._host)
        if session.admit(posix.geteuid()) is None:
            return
        self._count += 1
        number = self._count
        self._sessions[number] = session

        def serve() -> None:
            try:
                session.run()
            finally:
                self._sessions.pop(number, None)
                session.finished.release()

        try:
            compat.start_thread(serve, f"manhole session {number}", self._sigmask)
        except RuntimeError as error:
            del self._sessions[number]
            session.refuse(f"no thread for a session: {error}")

    def _wait_to_retry(self) -> None:
        poll = compat.make_poll()
        poll.register(self._wake_read, select.POLLIN)
        poll.poll(RETRY_MILLISECONDS)
