"""install() and release(): the one place that holds process-wide state."""

from __future__ import annotations

import _socket
import atexit
import os
import sys
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

from manhole import compat
from manhole._errors import AlreadyInstalled, ManholeError, NotInstalled
from manhole._manhole import Manhole
from manhole._options import Options, parse_options

__all__ = ["handle_connection_exec", "handle_connection_repl", "install", "release"]

# install() and release() of another thread last milliseconds. Arbitrary; long enough for a loaded machine.
LOCK_SECONDS = 10.0
RETRY_SECONDS = 0.001
# From this version on Python warns of a fork with threads; before, the millisecond that it costs to have none would
# buy nothing.
_FORK_WARNS = sys.version_info >= (3, 12)


_Result = TypeVar("_Result")


class _State:
    """What this process has installed."""

    def __init__(self) -> None:
        self.queue: dict[object, None] = {}  # who is in install() or release(), first come first; see _run_locked()
        self.installed: Manhole | None = None
        self.hooked = False
        self.forking: int | None = None  # ident of the thread that forks just now
        self.resume: list[Callable[[], None]] = []
        self.pid = os.getpid()

    def notice_fork(self) -> None:
        """Where the fork hooks have not run (uWSGI forks without them), forget what the parent has installed."""
        if self.pid != os.getpid():
            self.pid = os.getpid()
            self.queue = {}
            installed, self.installed = self.installed, None
            if installed is not None:
                installed.leave_parent()

    def release(self, manhole: Manhole) -> None:
        """Undo the installation of *manhole*, if it is the installed one."""
        self.notice_fork()
        _run_locked(partial(_release_locked, manhole))

    def adopt(self, manhole: Manhole) -> None:
        """Take *manhole*, which is about to listen, for the installed one, if there is none: in a forked child."""
        self.notice_fork()
        if self.installed is None:
            self.installed = manhole


_state = _State()


def install(**options: Any) -> Manhole:
    """Open a manhole in this process: listen on a unix socket for its own user and root.

    :param verbose: whether the manhole reports on itself (default True).
    :param verbose_destination: where to: a file descriptor (default 2) or an object with ``write(str)``.
    :param patch_fork: whether a forked child gets a manhole of its own (default True); it does not with *activate_on*,
        *oneshot_on* or *socket_path*, nor with ``thread=False``.
    :param activate_on: signal (name or number) that begins the listening, instead of now.
    :param oneshot_on: signal whose handler serves one client on the main thread; no other thread is started, except
        for *dump_on* and *watchdog*, and one that writes messages where *verbose_destination* is an object without a
        descriptor.
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
    :param dump_on: signal on which a dump is written to a new file, also while the main thread is stuck in C code that
        has let go of the GIL; then what the signal did before takes place: a Python handler is called, a default action
        taken, an ignored signal ignored. At most one dump in 10 seconds. A small thread writes it; with
        ``thread=False``, and in a forked child without a manhole of its own, the main thread does, in the handler.
    :param dump_to: path of the dumps (str or PathLike), with ``{pid}`` and ``{time}`` (UTC, to the second) in the
        file's name. The folder must be there. No file is ever overwritten and no link followed; the mode is 0600.
    :param watchdog: seconds (at least 0.1): a dump is written to *dump_to* when a hub of gevent, eventlet or asyncio,
        once it has been in its loop, does not return to it for that long, and none after it until it has. A small
        thread looks four times in that time, so the dump may be late by half of it. Plain threads have no hub, and a
        forked child is watched only if it gets a manhole of its own.
    :param track_greenlets: True: have gevent tell of each greenlet that it spawns, so that a snapshot need not look for
        them in the whole heap, which is one C call that nobody can interrupt. Install after gevent is imported.
    :param mode: "repl" (default), or "dump": sessions get dumps and the state of the process, no code of theirs is ever
        run.
    :param max_sessions: how many clients may be connected at once, at least 1 (default 64); one more is refused. What
        they cost the application is a thread each while they are there.
    :param max_output: bytes of output that wait for a client at most, at least 65536 (default 1048576); then the code
        of its session waits, and nobody else.
    :param audit_log: path (str or PathLike) of a file that gets one line of JSON for each client let in or refused,
        each piece of code about to be run and each session's end; made with mode 0600 if it is not there, in a folder
        that has to be. Or a callable that is given the same as a dict, on a session's thread. What cannot be written
        down does not take place, and the client is told.
    :returns: the :class:`Manhole`; unless a signal or a call is to begin it, its socket accepts when this returns.
    :raises InvalidOption: for an option that there is not, or a value that it cannot have.
    :raises ConfigurationConflict: for options that exclude each other.
    :raises AlreadyInstalled: as said under *strict*.
    :raises PathInUse: if the socket's path is taken.
    :raises StartFailed: if the thread did not start, or the process has no descriptor left.
    :raises ManholeError: if a signal handler is to be set and this is not the main thread, or if *dump_on* would have
        to hand on to a handler of C code.

    On any error nothing stays behind. Call it on any thread or greenlet, before or after monkeypatching; not from a
    signal handler. The application's greenlets and threads are not waited for, nothing of gevent, eventlet or greenlet
    is imported.
    """
    parsed = parse_options(options)
    _state.notice_fork()
    return _run_locked(partial(_install_locked, parsed))


def _install_locked(options: Options) -> Manhole:
    if _state.installed is not None:
        if options.strict:
            raise AlreadyInstalled(_state.installed.socket_path)
        _release_locked(_state.installed)
    if not _state.hooked:
        # These cannot be taken back, so they look whether there is something to do.
        os.register_at_fork(after_in_child=_after_fork_in_child)
        if _FORK_WARNS:
            os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent)
        _state.hooked = True
    compat.remember_root()
    manhole = Manhole(options, _state)
    try:
        manhole.begin()
        _state.installed = manhole
        atexit.register(_at_exit)
    except BaseException:
        manhole.undo()
        _state.installed = None
        raise
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
    _installed().serving.serve(client, "repl")


def handle_connection_exec(client: _socket.socket) -> None:
    """Execute each line that comes from *client*, sending nothing back; what ``connection_handler="exec"`` does.

    :param client: as for handle_connection_repl().
    :raises NotInstalled: if no manhole is installed.
    :raises ConfigurationConflict: with ``mode="dump"``.
    :raises OSError: if the client is gone.

    For any real thread; the code runs there.
    """
    _installed().serving.serve(client, "exec")


def _installed() -> Manhole:
    if _state.installed is None:
        raise NotInstalled
    return _state.installed


def _run_locked(function: Callable[[], _Result]) -> _Result:
    """*function*'s result, when nobody else is in here any more; with a deadline instead of a deadlock.

    No lock: a signal handler of the application that raises right after its acquire() would keep it for ever, for
    nobody would know who has it. Here everybody finds their own place in the queue, by one atomic operation each.
    """
    me = object()
    deadline = compat.monotonic() + LOCK_SECONDS
    queue = _state.queue
    try:
        queue[me] = None
        while list(queue)[0] is not me:  # noqa: RUF015 - the queue may change between an iter() and its next()
            if compat.monotonic() > deadline:
                raise ManholeError("another install() or release() is under way in this process and does not end")
            compat.sleep(RETRY_SECONDS)
        return function()
    finally:
        queue.pop(me, None)


def _release_locked(manhole: Manhole) -> None:
    if _state.installed is manhole:
        manhole.undo()  # first: what it has under way may not take it for one that is to be adopted
        _state.installed = None
        atexit.unregister(_at_exit)


def _at_exit() -> None:
    if _state.installed is not None:
        _state.installed.at_exit()


def _before_fork() -> None:
    if _state.installed is not None and _state.forking is None and compat.get_ident() not in compat.own_threads:
        _state.forking = compat.get_ident()
        try:
            _state.resume = _state.installed.before_fork()
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
    _state.pid = os.getpid()
    _state.queue = {}
    _state.forking = None
    _state.resume = []
    if _state.installed is not None and not _state.installed.after_fork():
        _state.installed = None
