"""install() and release(): the one place that holds process-wide state."""

from __future__ import annotations

import atexit
import os
from typing import Any

from manhole import compat
from manhole._errors import AlreadyInstalled, ManholeError, NotInstalled
from manhole._listener import Listener
from manhole._log import Log
from manhole._options import Options, parse_options
from manhole._paths import bind_socket, default_path
from manhole._peer import overflow_uid
from manhole._session import Host
from manhole._stdio import Router

__all__ = ["Manhole", "install", "release"]

# install() and release() of another thread last milliseconds. Arbitrary; long enough for a loaded machine.
LOCK_SECONDS = 10.0


class Manhole:
    """An installed manhole.

    :ivar socket_path: where it listens.
    """

    def __init__(self, options: Options) -> None:
        self.socket_path = os.fspath(options.socket_path or default_path(os.getpid()))
        self._router = Router()
        self._log = Log(options.verbose_destination, options.verbose)
        host = Host(self._log, self._router, dict(options.locals), overflow_uid())
        self._listener = Listener(bind_socket(self.socket_path), host, compat.current_sigmask())
        self._listener.start(options.start_timeout)
        self._log(f"listening on {self.socket_path}")

    def release(self) -> None:
        """Undo install(): remove the socket, disconnect the clients, end the threads. Twice is harmless.

        Waits for the threads, at most a second: code that a session is running cannot be ended from outside; its thread
        ends after it. May be called from any thread and from a session; not from a signal handler.
        """
        _release(self)

    uninstall = release


class _State:
    """What this process has installed."""

    def __init__(self) -> None:
        self.lock = compat.allocate_lock()
        self.installed: Manhole | None = None
        self.hooked = False


_state = _State()


def install(**options: Any) -> Manhole:
    """Open a manhole in this process: listen on a unix socket for its own user and root.

    :param verbose: whether the manhole reports on itself (default True).
    :param verbose_destination: a file descriptor (default 2) or an object with `write(str)` for these messages.
    :param socket_path: listen there (str or PathLike) instead of on ``/tmp/manhole-<pid>``.
    :param start_timeout: seconds to wait for the listening thread (default 0.5).
    :param locals: a mapping of names that every session finds in its namespace.
    :param strict: True (default): a second install() raises AlreadyInstalled; False: it replaces the first.
    :returns: the :class:`Manhole`; when this returns, its socket accepts.
    :raises InvalidOption: for an option that there is not, or a value that it cannot have.
    :raises AlreadyInstalled: as said under *strict*.
    :raises PathInUse: if the socket's path is taken.
    :raises StartFailed: if the thread did not start.

    On any error nothing stays behind. Call it on any thread or greenlet, before or after monkeypatching; not from a
    signal handler. The application's greenlets and threads are not waited for, nothing of gevent, eventlet or greenlet
    is imported.
    """
    parsed = parse_options(options)
    with _Locked():
        if _state.installed is not None:
            if parsed.strict:
                raise AlreadyInstalled(_state.installed.socket_path)
            _release_locked(_state.installed)
        if not _state.hooked:
            os.register_at_fork(after_in_child=_after_fork_in_child)  # cannot be taken back, so it checks the state
            _state.hooked = True
        compat.remember_root()
        _state.installed = Manhole(parsed)
        atexit.register(_at_exit)
        return _state.installed


def release() -> None:
    """Undo install(), as :meth:`Manhole.release`.

    :raises NotInstalled: if there is nothing to undo.
    """
    if _state.installed is None:
        raise NotInstalled
    _state.installed.release()


class _Locked:
    """The state's lock, with a deadline instead of a deadlock."""

    def __enter__(self) -> None:
        if not _state.lock.acquire(timeout=LOCK_SECONDS):
            raise ManholeError("another install() or release() is under way in this process and does not end")

    def __exit__(self, *exc_info: object) -> None:
        _state.lock.release()


def _release(manhole: Manhole) -> None:
    with _Locked():
        _release_locked(manhole)


def _release_locked(manhole: Manhole) -> None:
    if _state.installed is manhole:
        _state.installed = None
        atexit.unregister(_at_exit)
        manhole._listener.stop()
        manhole._log(f"no longer listening on {manhole.socket_path}")


def _at_exit() -> None:
    if _state.installed is not None:
        _state.installed._listener.remove_file()


def _after_fork_in_child() -> None:
    """Let go of what the parent's threads own; the lock may have been held by one of them."""
    installed, _state.installed = _state.installed, None
    _state.lock = compat.allocate_lock()
    if installed is not None:
        installed._listener.close_after_fork()
        installed._router.reset_after_fork()
