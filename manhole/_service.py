"""install() and release(): the one place that holds process-wide state."""

from __future__ import annotations

import _socket
import atexit
import os
import sys
from collections.abc import Callable
from functools import partial
from types import FrameType
from typing import Any

from manhole import compat
from manhole._conversation import Handler, Surroundings, converse_exec, converse_repl
from manhole._errors import AlreadyInstalled, ManholeError, NotInstalled
from manhole._listener import Listener, accept_one
from manhole._log import Log
from manhole._mirror import Mirror
from manhole._options import Options, parse_options
from manhole._paths import bind_socket, default_path
from manhole._signals import SignalHook, SignalWatcher
from manhole._stdio import Router

__all__ = ["Manhole", "handle_connection_exec", "handle_connection_repl", "install", "release"]

# install() and release() of another thread last milliseconds. Arbitrary; long enough for a loaded machine.
LOCK_SECONDS = 10.0
# The same for the thread that watches for a signal.
WATCHER_SECONDS = 1.0
# How long a fork may be held up for the sake of having no thread at that moment. Arbitrary; it takes about a
# millisecond, and a few GIL waits where other threads are busy.
PAUSE_SECONDS = 0.1
# From this version on Python warns of a fork with threads; before, the millisecond would buy nothing.
_FORK_WARNS = sys.version_info >= (3, 12)


class Manhole:
    """An installed manhole; install() makes it."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._log = Log(options.verbose_destination, options.verbose)
        mirror = Mirror()
        self._around = Surroundings(self._log, Router(mirror.copy), mirror, options.locals, options.redirect_stderr)
        self._inherited_mask = compat.current_sigmask()
        self._listener: Listener | None = None
        self._listening = compat.allocate_lock()  # held while _listener is made, used or undone
        self._in_oneshot = compat.allocate_lock()
        self._asked = False  # for a oneshot, and not served yet
        self._hooks: list[SignalHook] = []
        self._watcher: SignalWatcher | None = None

    @property
    def socket_path(self) -> str:
        """Where this process listens, or would; a forked child has a path of its own."""
        return self._options.socket_path or default_path(os.getpid())

    def release(self) -> None:
        """Undo install(): remove the socket, disconnect the clients, end the threads, put signal handlers back.

        Waits for the threads, at most a second: code that a session is running cannot be ended from outside; its thread
        ends after it. Twice is harmless. May be called from any thread and from a session; from one that is not the
        main thread, signal handlers are put back when their signal next comes. Not for a signal handler.
        """
        _release(self)

    uninstall = release

    def reinstall(self) -> None:
        """Listen, if this process does not: in a child that was forked without, or with ``thread=False``.

        :raises PathInUse: if the socket's path is taken.
        :raises StartFailed: if the thread did not start.

        May be called from any thread or greenlet, not from a signal handler.
        """
        with self._listening:
            if self._listener is None:
                self._listen()

    def handle_oneshot(self, signum: int | None = None, frame: FrameType | None = None) -> None:
        """Serve one client here and now: on the calling thread, and without any other.

        Binds the socket, waits for a client at most ``oneshot_timeout`` seconds, serves it, removes the socket. What
        the thread did before stands still meanwhile and goes on afterwards.

        :param signum: not used; with *frame* it makes the method a signal handler.

        For a signal handler (that is what ``oneshot_on`` does with it), any thread, a greenlet, a forked child. Takes
        no lock that could be held and raises no Exception. While one is under way, another call does nothing.
        """
        self._asked = True
        while self._asked and self._in_oneshot.acquire(False):
            try:
                self._serve_one()
            except Exception as error:  # noqa: BLE001 - an error inside never reaches the application
                self._log(f"no session: {error}")
                self._asked = False
            finally:
                self._in_oneshot.release()

    def _serve_one(self) -> None:
        if self._listener is not None:
            self._log(f"already listening on {self.socket_path}, connect there")
            self._asked = False
            return
        bound = bind_socket(self.socket_path)
        try:
            timeout = self._options.oneshot_timeout
            self._log(f"waiting {timeout:g} seconds for a connection to {bound.path}")
            session = accept_one(bound, self._log, timeout)
            if session is None:
                self._log("nobody has connected")
            else:
                session.serve(self._make_handler(with_threads=False))
        finally:
            self._asked = False  # who asks from here on finds this socket gone, and wants another
            bound.close()

    def _make_handler(self, with_threads: bool) -> Handler:
        chosen = self._options.connection_handler
        if chosen == "repl":
            return partial(converse_repl, around=self._around, with_threads=with_threads)
        if chosen == "exec":
            return partial(converse_exec, around=self._around)
        handler: Handler = chosen
        return handler

    def _begin(self) -> None:
        """What install() does: listen, or wait for a signal that says so."""
        options = self._options
        if options.oneshot_on is not None:
            self._hooks.append(SignalHook(options.oneshot_on, self.handle_oneshot))
        if options.activate_on is not None:
            self._hooks.append(SignalHook(options.activate_on, self._on_activate))
            self._watcher = SignalWatcher(options.activate_on, self._activate, self._idle_mask())
        elif options.thread and options.oneshot_on is None:
            self._listen()
        if options.why_forks_are_not_followed is not None:
            self._log(f"forks are not followed: {options.why_forks_are_not_followed}")

    def _listen(self) -> None:
        bound = bind_socket(self.socket_path)
        code_mask = self._idle_mask() if self._options.masks_code else self._inherited_mask
        listener = Listener(bound, self._make_handler(with_threads=True), self._log, self._idle_mask(), code_mask)
        listener.start(self._options.start_timeout)
        self._listener = listener

    def _idle_mask(self) -> set[int]:
        return self._inherited_mask.union(self._options.sigmask)

    def _on_activate(self, signum: int, frame: FrameType | None) -> None:
        """The handler: it may have interrupted anything, so all is left to a thread."""
        try:
            compat.start_thread(self._activate, "manhole activation", self._idle_mask())
        except RuntimeError as error:
            self._log(f"cannot start: {error}")

    def _activate(self) -> None:
        """Listen, on a thread of ours; the watcher and the handler may both get here, and any number of times."""
        try:
            self.reinstall()
        except Exception as error:  # noqa: BLE001 - only install() raises
            self._log(f"cannot start: {error}")

    def _undo(self) -> None:
        for hook in self._hooks:
            hook.remove()
        self._hooks.clear()
        watcher, self._watcher = self._watcher, None
        if watcher is not None:
            watcher.stop(WATCHER_SECONDS)
        with self._listening:
            listener, self._listener = self._listener, None
        if listener is not None:
            listener.stop()
            self._log(f"no longer listening on {self.socket_path}")

    def _at_exit(self) -> None:
        listener = self._listener
        if listener is not None:
            listener.remove_file()
            if not self._options.daemon_connection:
                try:
                    listener.wait_for_clients()
                except KeyboardInterrupt:
                    pass  # whoever waits for this process to end has waited long enough

    def _before_fork(self) -> list[Callable[[], None]]:
        """End the idle threads, for the warning that a fork with threads draws.

        :returns: what the parent has to call afterwards to have them back.
        """
        resume: list[Callable[[], None]] = []
        if self._watcher is not None:
            self._watcher.pause(PAUSE_SECONDS)
            resume.append(partial(self._watcher.resume, WATCHER_SECONDS))
        if self._listening.acquire(False):
            try:
                if self._listener is not None and self._listener.pause(PAUSE_SECONDS):
                    resume.append(self._listener.resume)
            finally:
                self._listening.release()
        return resume

    def _after_fork(self) -> bool:
        """Let go of what is the parent's; whether this child has a manhole all the same, or will have."""
        parent = os.getppid()
        listener, self._listener = self._listener, None
        self._listening = compat.allocate_lock()
        self._around.router.reset_after_fork()
        self._around.mirror.reset_after_fork()
        self._log.reset_after_fork()
        watcher, self._watcher = self._watcher, None
        if watcher is not None:
            watcher.close_after_fork()
        if listener is not None:
            listener.close_after_fork()
        if self._options.why_forks_are_not_followed is None:
            try:
                compat.start_thread(partial(self._follow, parent), "manhole reinstall", self._idle_mask())
            except RuntimeError as error:
                self._log(f"fork of {parent} not followed: {error}")
            return True
        return bool(self._hooks) or not self._options.thread

    def _follow(self, parent: int) -> None:
        """Listen in a forked child, once it is plain that it does not go on to exec another program."""
        compat.sleep(self._options.reinstall_delay)
        if _state.installed is self:
            self._log(f"forked from {parent}")
            self._activate()
            # multiprocessing leaves its children by os._exit(), which runs its own finalizers and not atexit's.
            finalizers = getattr(sys.modules.get("multiprocessing.util"), "Finalize", None)
            if finalizers is not None:
                finalizers(None, self._at_exit, exitpriority=0)


class _State:
    """What this process has installed."""

    def __init__(self) -> None:
        self.lock = compat.allocate_lock()
        self.installed: Manhole | None = None
        self.hooked = False
        self.forking: int | None = None  # ident of the thread that forks just now
        self.resume: list[Callable[[], None]] = []


_state = _State()


def install(**options: Any) -> Manhole:
    """Open a manhole in this process: listen on a unix socket for its own user and root.

    :param verbose: whether the manhole reports on itself (default True).
    :param verbose_destination: where to: a file descriptor (default 2) or an object with ``write(str)``.
    :param patch_fork: whether a forked child gets a manhole of its own (default True); it does not with *activate_on*,
        *oneshot_on* or *socket_path*, nor with ``thread=False``.
    :param activate_on: signal (name or number) that begins the listening, instead of now.
    :param oneshot_on: signal whose handler serves one client on the main thread; no other thread is ever started.
    :param thread: False: neither listen nor wait for a signal, until reinstall() or handle_oneshot() is called.
    :param sigmask: names or numbers of the signals to block on the manhole's threads (default: all); None for none.
        The code that sessions run has it only if it is given, for the processes that it starts inherit it.
    :param socket_path: listen there (str or PathLike) instead of on ``/tmp/manhole-<pid>``.
    :param reinstall_delay: seconds before a forked child binds its socket (default 0.5), so that one that goes on to
        exec another program leaves nothing behind.
    :param start_timeout: seconds to wait for the listening thread (default 0.5).
    :param locals: a mapping of names that every session finds in its namespace.
    :param daemon_connection: False (default): the process exits only when no client is connected any more; True: it
        does not wait.
    :param redirect_stderr: whether stderr of a session's code is the client's (default True) or the process's.
    :param strict: True (default): a second install() raises AlreadyInstalled; False: it replaces the first.
    :param connection_handler: "repl" (default), "exec", or a callable that is given the connected unpatched socket.
    :param oneshot_timeout: seconds that a oneshot waits for its client (default 15).
    :returns: the :class:`Manhole`; unless a signal or a call is to begin it, its socket accepts when this returns.
    :raises InvalidOption: for an option that there is not, or a value that it cannot have.
    :raises ConfigurationConflict: for options that exclude each other.
    :raises AlreadyInstalled: as said under *strict*.
    :raises PathInUse: if the socket's path is taken.
    :raises StartFailed: if the thread did not start.
    :raises ManholeError: if a signal handler is to be set and this is not the main thread.

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
            # These cannot be taken back, so they look whether there is something to do.
            os.register_at_fork(after_in_child=_after_fork_in_child)
            if _FORK_WARNS:
                os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent)
            _state.hooked = True
        compat.remember_root()
        manhole = Manhole(parsed)
        try:
            manhole._begin()
        except BaseException:
            manhole._undo()
            raise
        _state.installed = manhole
        atexit.register(_at_exit)
        return manhole


def release() -> None:
    """Undo install(), as :meth:`Manhole.release`.

    :raises NotInstalled: if there is nothing to undo.
    """
    if _state.installed is None:
        raise NotInstalled
    _state.installed.release()


def handle_connection_repl(client: _socket.socket) -> None:
    """Serve a dump and a REPL on *client* until one of both ends it; what ``connection_handler="repl"`` does.

    :param client: a connected socket that is not patched, such as a handler of one's own is given. It is not closed.
    :raises NotInstalled: if no manhole is installed.
    :raises OSError: if the client is gone.

    For any real thread; the code runs there.
    """
    converse_repl(client, _surroundings())


def handle_connection_exec(client: _socket.socket) -> None:
    """Execute each line that comes from *client*, sending nothing back; what ``connection_handler="exec"`` does.

    :param client: as for handle_connection_repl().
    :raises NotInstalled: if no manhole is installed.
    :raises OSError: if the client is gone.

    For any real thread; the code runs there.
    """
    converse_exec(client, _surroundings())


def _surroundings() -> Surroundings:
    if _state.installed is None:
        raise NotInstalled
    return _state.installed._around


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
        manhole._undo()


def _at_exit() -> None:
    if _state.installed is not None:
        _state.installed._at_exit()


def _before_fork() -> None:
    if _state.installed is not None and _state.forking is None and compat.get_ident() not in compat.own_threads:
        _state.forking = compat.get_ident()
        try:
            _state.resume = _state.installed._before_fork()
        except OSError:
            pass  # being released at the same moment


def _after_fork_in_parent() -> None:
    if _state.forking == compat.get_ident():
        resume, _state.resume = _state.resume, []
        for function in resume:
            try:
                function()
            except OSError:
                pass  # as above
        _state.forking = None


def _after_fork_in_child() -> None:
    """The parent's threads do not exist here, and what they held stays held."""
    _state.lock = compat.allocate_lock()
    _state.forking = None
    _state.resume = []
    if _state.installed is not None and not _state.installed._after_fork():
        _state.installed = None
