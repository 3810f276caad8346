"""Accepts clients on a real OS thread, which starts a thread for each."""

from __future__ import annotations

import posix
import select
from collections.abc import Iterable

from manhole import compat
from manhole._errors import StartFailed
from manhole._log import Log
from manhole._paths import BoundSocket
from manhole._serving import Serving
from manhole._session import Session

__all__ = ["Listener", "accept"]

# Before accept() is tried again when the process has no descriptor left. Arbitrary; it only must not spin.
RETRY_MILLISECONDS = 1000
# How long stop() waits for threads that have been told to end; code that a session runs cannot be ended.
STOP_SECONDS = 1.0
# How often a waiting exit looks whether the session has ended, or its client left in the middle of an evaluation.
EXIT_MILLISECONDS = 50


class Listener:
    """The accept thread of a manhole and its sessions.

    :param bound: the listening socket, which the listener closes in the end.
    :param serving: what clients are served with.
    :param log: the manhole's own messages.
    :param idle_mask: the signals to block while waiting for clients and for what they send.
    :param code_mask: the signals to block while a user's code runs.
    """

    def __init__(
        self,
        bound: BoundSocket,
        serving: Serving,
        log: Log,
        idle_mask: Iterable[int],
        code_mask: Iterable[int],
    ) -> None:
        self._bound = bound
        self._serving = serving
        self._log = log
        self._idle_mask = idle_mask
        self._code_mask = code_mask
        self._pid = posix.getpid()
        self._running = compat.allocate_lock()
        self._ended = compat.allocate_lock()
        self._running.acquire()
        self._wake_read, self._wake_write = posix.pipe()
        self._thread = compat.OwnThread()
        self._is_paused = False

    def start(self, timeout: float) -> None:
        """Start the thread and return when it accepts.

        :param timeout: seconds to wait for it.
        :raises StartFailed: if it does not run by then, or the system has no thread left.

        stop() is due afterwards, whatever this raises: a signal handler of the application may raise anything.
        """
        # A client that connects and leaves again before accept() must not leave the thread blocked there.
        self._bound.socket.setblocking(False)
        self._start_thread()
        if not self._running.acquire(timeout=timeout):
            raise StartFailed(self._bound.path, f"its thread did not run within {timeout} seconds")
        self._log(f"listening on {self._bound.path}")

    def pause(self, timeout: float) -> bool:
        """End the thread for a while, if there is no other; clients that come meanwhile wait in the backlog.

        :param timeout: seconds to wait for its end.
        :returns: whether resume() is due.
        """
        if self._serving.sessions:
            return False
        posix.write(self._wake_write, b"x")
        self._is_paused = self._ended.acquire(timeout=timeout)
        if self._is_paused:
            self._thread.wait_gone(timeout)
        return True

    def resume(self) -> None:
        """Start the thread again."""
        if not self._is_paused and not self._ended.acquire(timeout=STOP_SECONDS):
            return  # it has not seen the wake-up yet; when it does it ends: a manhole less, and no fork held up
        posix.read(self._wake_read, 1)
        try:
            self._start_thread()
        except StartFailed as error:
            self._log(f"stopped listening: {error}")

    def _start_thread(self) -> None:
        self._ended.acquire(False)
        try:
            self._thread = compat.start_thread(self._run, "manhole listener", self._idle_mask)
        except RuntimeError as error:
            self._ended.release()
            raise StartFailed(self._bound.path, str(error)) from error

    def stop(self) -> None:
        """Remove the socket, disconnect all clients and wait for the threads, at most STOP_SECONDS in all.

        May be called from a session's own thread, which is then not waited for.
        """
        deadline = compat.monotonic() + STOP_SECONDS
        posix.write(self._wake_write, b"x")
        ended = self._ended.acquire(timeout=STOP_SECONDS)
        self._bound.close()
        me = compat.get_ident()
        for session in list(self._serving.sessions.values()):
            session.end()
            if session.ident != me:
                session.finished.acquire(timeout=max(0.0, deadline - compat.monotonic()))
        if ended:  # else the thread still polls them; it will end, and two descriptors are the smaller harm
            posix.close(self._wake_read)
            posix.close(self._wake_write)

    def remove_file(self) -> None:
        """Remove the socket's file: the process exits, and the threads end with it."""
        self._bound.remove_file()

    def wait_for_clients(self) -> None:
        """Return when no client is connected any more."""
        if self._serving.sessions:
            self._log("a client is connected: the process exits when it has left")
        for session in list(self._serving.sessions.values()):
            while not session.finished.acquire(False) and not session.wait_gone(EXIT_MILLISECONDS):
                pass

    def close_after_fork(self) -> None:
        """Close a forked child's copies of all descriptors; the threads are the parent's."""
        self._bound.close()
        posix.close(self._wake_read)
        posix.close(self._wake_write)

    def _run(self) -> None:
        try:
            poll = compat.make_poll()
            poll.register(self._bound.socket.fileno(), select.POLLIN)
            poll.register(self._wake_read, select.POLLIN)
            if self._running.locked():  # the first time
                # Before start() returns: a thread that then waited for the GIL while uWSGI forks would leave the child
                # waiting for it for ever (uwsgi#2387).
                self._log("waiting for a connection")
                self._running.release()
            while self._wake_read not in dict(poll.poll()):
                self._accept()
        except BaseException as error:  # noqa: BLE001 - our thread must not print a traceback into the application
            self._log(f"stopped listening: {type(error).__name__}: {error}")
        finally:
            self._ended.release()

    def _accept(self) -> None:
        try:
            session = accept(self._bound, self._serving)
        except (BlockingIOError, ConnectionAbortedError):
            return  # the client has left again
        except OSError as error:
            self._log(f"cannot accept a client: {error.strerror}; trying again")
            self._wait_to_retry()
            return

        session.code_mask = self._code_mask

        def serve() -> None:
            session.ident = compat.get_ident()
            try:
                # Here and not before: what writes the audit log may take its time.
                if session.admit(self._serving.has_room):
                    session.serve(self._serving.handler(with_threads=True))
            except BaseException as error:  # noqa: BLE001 - as in _run()
                self._log(f"session failed: {type(error).__name__}: {error}")
            finally:
                if posix.getpid() != self._pid:
                    # Code of the session has forked, and this is the child: nobody waits for the thread here, and
                    # no other thread goes on.
                    posix._exit(0)
                compat.leave_thread()
                self._serving.end(session)
                session.finished.release()

        try:
            compat.start_thread(serve, f"manhole session {session.number}", self._idle_mask)
        except RuntimeError as error:
            self._serving.end(session)
            session.refuse(f"no thread for a session: {error}")

    def _wait_to_retry(self) -> None:
        compat.poll_one(self._wake_read, select.POLLIN, RETRY_MILLISECONDS)


def accept(bound: BoundSocket, serving: Serving) -> Session:
    """A session of the client that waits.

    :raises OSError: if none waits any more, or the process has no descriptor left.
    """
    descriptor, _address = bound.socket._accept()  # type: ignore[attr-defined]  # typeshed leaves it out
    return serving.make_session(compat.original_socket_class()(fileno=descriptor))
