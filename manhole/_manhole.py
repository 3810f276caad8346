"""A manhole: what an installed one is made of, and what it does at a signal, a fork and the process's exit."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from functools import partial
from types import FrameType
from typing import Protocol

from manhole import compat
from manhole._conversation import Handler, Surroundings, converse_exec, converse_repl
from manhole._delay import Delay
from manhole._dump_signal import DumpSignal
from manhole._dumps import DumpFiles
from manhole._errors import NotInstalled, StartFailed
from manhole._listener import Listener, accept_one
from manhole._log import Log
from manhole._mirror import Mirror
from manhole._options import Options
from manhole._paths import bind_socket, default_path
from manhole._session import Session
from manhole._signals import SignalHook, SignalWatcher
from manhole._stdio import Router
from manhole._watchdog import Watchdog

__all__ = ["Manhole"]

# The thread that watches for a signal, or waits in a forked child, ends within milliseconds. Arbitrary; long enough for
# a loaded machine.
WATCHER_SECONDS = 1.0
# How long a fork may be held up for the sake of having no thread at that moment. Arbitrary; it takes about a
# millisecond, and a few GIL waits where other threads are busy.
PAUSE_SECONDS = 0.1
# There is one `sys`: code that a session of a replaced manhole still runs goes on beside its successor's sessions.
_MIRROR = Mirror()
_ROUTER = Router(_MIRROR.copy)


class Registry(Protocol):
    """What a manhole must know of where it is installed."""

    installed: Manhole | None

    def release(self, manhole: Manhole) -> None:
        """Undo the installation of *manhole*, if it is the installed one."""

    def adopt(self, manhole: Manhole) -> None:
        """Take *manhole*, which is about to listen, for the installed one, if there is none."""


class Manhole:
    """An installed manhole; install() makes it.

    :param options: what install() was asked for.
    :param registry: where it is installed.
    """

    def __init__(self, options: Options, registry: Registry) -> None:
        self._options = options
        self._registry = registry
        self._log = Log(options.verbose_destination, options.verbose)
        self.around = Surroundings(self._log, _ROUTER, _MIRROR, options.locals, options.redirect_stderr)
        self._inherited_mask = compat.current_sigmask()
        self._listener: Listener | None = None
        self._listening = compat.allocate_lock()  # held while _listener is made, used or undone
        self._is_over = False  # released or at the process's exit: nothing listens any more; under the same lock
        self._in_oneshot = compat.allocate_lock()
        self._asked = False  # for a oneshot, and not served yet
        self._oneshot: Session | None = None  # under way, or ended just now
        self._hooks: list[SignalHook] = []
        self._watcher: SignalWatcher | None = None
        self._dump_signal: DumpSignal | None = None
        self._watchdog: Watchdog | None = None
        self._dump_files = {cause: DumpFiles(options.dump_to, self._log) for cause in ("signal", "watchdog")}
        self._following: Delay | None = None  # in a forked child, until it listens
        self._pid = os.getpid()

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
        self._registry.release(self)

    uninstall = release

    def reinstall(self) -> None:
        """Listen, if this process does not: in a child that was forked without, or with ``thread=False``.

        :raises NotInstalled: after release().
        :raises PathInUse: if the socket's path is taken.
        :raises StartFailed: if the thread did not start, or the process has no descriptor left.

        May be called from any thread or greenlet, not from a signal handler.
        """
        self.leave_parent()
        with self._listening:
            if self._is_over:
                raise NotInstalled
            self._begin_watchdog()
            if self._listener is None:
                self._registry.adopt(self)
                self._listen()

    def handle_oneshot(self, signum: int | None = None, frame: FrameType | None = None) -> None:
        """Serve one client here and now: on the calling thread, and without any other.

        Binds the socket, waits for a client at most ``oneshot_timeout`` seconds, removes the socket, serves the client.
        What the thread did before stands still meanwhile and goes on afterwards.

        :param signum: not used; with *frame* it makes the method a signal handler.

        For a signal handler (that is what ``oneshot_on`` does with it), any thread, a greenlet, a forked child. Takes
        no lock that could be held and raises no Exception. While a client is being served, another call does nothing;
        while one is being waited for, it has the whole waiting time follow, if none comes.
        """
        self.leave_parent()
        # The kernel knows when a session's client is gone: nobody can see its end before the answer here changes.
        session = self._oneshot
        if session is not None and not session.wait_gone(0):
            return
        self._asked = True
        lock = self._in_oneshot  # a child that the session forks gets another, and comes out here all the same
        while self._asked and lock.acquire(False):
            try:
                if self._asked:  # else a signal has come before the lock was taken, and has been served
                    self._serve_one()
            except Exception as error:  # noqa: BLE001 - an error inside never reaches the application
                self._log(f"no session: {error}")
            finally:
                lock.release()

    def _serve_one(self) -> None:
        self._asked = False
        if self._listener is not None:
            self._log(f"already listening on {self.socket_path}, connect there")
            return
        bound = bind_socket(self.socket_path)
        try:
            timeout = self._options.oneshot_timeout
            self._log(f"waiting {timeout:g} seconds for a connection to {bound.path}")
            session = accept_one(bound, self._log, timeout)
            if session is None:
                self._log("nobody has connected")
            else:
                self._oneshot = session
                self._asked = False  # who has asked while it was waited for meant this session
                bound.close()  # nobody may get into the backlog of a socket that accepts no more
                session.serve(self._make_handler(with_threads=False))
        finally:
            self._oneshot = None
            bound.close()

    def _make_handler(self, with_threads: bool) -> Handler:
        chosen = self._options.connection_handler
        if chosen == "repl":
            return partial(converse_repl, around=self.around, with_threads=with_threads)
        if chosen == "exec":
            return partial(converse_exec, around=self.around)
        handler: Handler = chosen
        return handler

    def begin(self) -> None:
        """What install() does: listen, or wait for a signal that says so."""
        options = self._options
        compat.load_python_api()
        if options.oneshot_on is not None:
            self._hook(SignalHook(options.oneshot_on, self.handle_oneshot))
        if options.activate_on is not None:
            self._hook(SignalHook(options.activate_on, self._on_activate))
        if options.track_greenlets:
            compat.registry.start(compat.collect_objects(compat.family_of(compat.greenlet_classes())))
        if options.dump_on is not None:
            self._dump_signal = DumpSignal(options.dump_on, self._dump_files["signal"], self._find_watcher)
            self._hook(self._dump_signal.hook)
        self._begin_watcher()
        self._begin_watchdog()
        if options.thread and options.activate_on is None and options.oneshot_on is None:
            self._listen()
        if options.why_forks_are_not_followed is not None:
            self._log(f"forks are not followed: {options.why_forks_are_not_followed}")

    def _begin_watcher(self) -> None:
        """Start the thread that sees the signals."""
        functions: dict[int, Callable[[], None]] = {}
        if self._options.activate_on is not None:
            functions[self._options.activate_on] = self._activate
        if self._dump_signal is not None and self._options.thread:
            functions.update(self._dump_signal.functions)
        if not functions:
            return
        try:
            self._watcher = SignalWatcher(functions, self._idle_mask())
            self._watcher.start()
        except (OSError, RuntimeError) as error:
            raise StartFailed(self.socket_path, str(error)) from error

    def _find_watcher(self) -> SignalWatcher | None:
        """Who is to write the dump; called by the signal's handler."""
        self.leave_parent()
        return self._watcher if self._options.thread else None

    def _begin_watchdog(self) -> None:
        """Start the thread that watches the hubs, if there shall be one."""
        if self._options.watchdog is None or self._watchdog is not None:
            return
        report = self._dump_files["watchdog"].write
        try:
            self._watchdog = Watchdog(self._options.watchdog, report, self._log, self._idle_mask())
        except RuntimeError as error:
            raise StartFailed(self.socket_path, str(error)) from error

    def _hook(self, hook: SignalHook) -> None:
        # Known to undo() before it does anything: a handler of the application may raise at any moment.
        self._hooks.append(hook)
        hook.set()

    def _listen(self) -> None:
        code_mask = self._idle_mask() if self._options.masks_code else self._inherited_mask
        path = self.socket_path
        try:
            bound = bind_socket(path)
            try:
                handler = self._make_handler(with_threads=True)
                self._listener = Listener(bound, handler, self._log, self._idle_mask(), code_mask)
                self._listener.start(self._options.start_timeout)
            except BaseException:
                listener, self._listener = self._listener, None
                if listener is not None:
                    listener.stop()
                bound.close()
                raise
        except OSError as error:
            raise StartFailed(path, str(error.strerror)) from error
        if sys.modules.get("multiprocessing.process") and sys.modules["multiprocessing.process"].parent_process():
            # multiprocessing leaves its children by os._exit(), which runs its own finalizers and not atexit's.
            sys.modules["multiprocessing.util"].Finalize(None, self.at_exit, exitpriority=0)

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
        except NotInstalled:
            pass  # released, or about to exit, since the signal came or the fork happened
        except Exception as error:  # noqa: BLE001 - only install() raises
            self._log(f"cannot start: {error}")

    def undo(self) -> None:
        """Take back what begin() and all later calls have done; twice is harmless."""
        self.leave_parent()
        for hook in self._hooks:
            hook.remove()
        self._hooks.clear()
        compat.registry.stop()
        watcher, self._watcher = self._watcher, None
        if watcher is not None:
            watcher.stop(WATCHER_SECONDS)
        following, self._following = self._following, None
        if following is not None:
            following.pause(WATCHER_SECONDS)
        with self._listening:
            self._is_over = True
            watchdog, self._watchdog = self._watchdog, None
            listener, self._listener = self._listener, None
        if watchdog is not None:
            watchdog.stop(WATCHER_SECONDS)
        if listener is not None:
            listener.stop()
            self._log(f"no longer listening on {self.socket_path}")
        compat.release_hub_wakers()

    def at_exit(self) -> None:
        """Remove the socket's file, and wait for the clients unless told not to."""
        self.leave_parent()
        with self._listening:
            self._is_over = True
            listener = self._listener
        if listener is not None:
            listener.remove_file()
            if not self._options.daemon_connection:
                try:
                    listener.wait_for_clients()
                except KeyboardInterrupt:
                    pass  # whoever waits for this process to end has waited long enough

    def before_fork(self) -> list[Callable[[], None]]:
        """End the idle threads, for the warning that a fork with threads draws.

        :returns: what the parent has to call afterwards to have them back.
        """
        resume: list[Callable[[], None]] = []
        if self._watcher is not None:
            self._watcher.pause(PAUSE_SECONDS)
            resume.append(partial(self._watcher.resume, WATCHER_SECONDS))
        if self._following is not None:
            self._following.pause(PAUSE_SECONDS)
            resume.append(self._resume_following)
        if self._listening.acquire(False):
            try:
                if self._watchdog is not None and self._watchdog.pause(PAUSE_SECONDS):
                    resume.append(self._watchdog.resume)
                if self._listener is not None and self._listener.pause(PAUSE_SECONDS):
                    resume.append(self._listener.resume)
            finally:
                self._listening.release()
        return resume

    def leave_parent(self) -> None:
        """In a forked child, let go of what is the parent's; elsewhere and afterwards it does nothing.

        Called by Python's fork hook, and by all else that could touch the parent's: uWSGI forks without the hooks.
        """
        if os.getpid() == self._pid:
            return
        self._pid = os.getpid()
        compat.forget_parents_threads()
        compat.forget_parents_wakers()
        listener, self._listener = self._listener, None
        self._listening = compat.allocate_lock()
        self._in_oneshot = compat.allocate_lock()
        self.around.router.reset_after_fork()
        self.around.mirror.reset_after_fork()
        self._log.reset_after_fork()
        self._watchdog = None
        for files in self._dump_files.values():
            files.reset_after_fork()
        if self._dump_signal is not None:
            self._dump_signal.reset_after_fork()
        self._following = None
        watcher, self._watcher = self._watcher, None
        if watcher is not None:
            watcher.close_after_fork()
        if listener is not None:
            listener.close_after_fork()
        oneshot, self._oneshot = self._oneshot, None
        if oneshot is not None:
            oneshot.close_after_fork()

    def after_fork(self) -> bool:
        """What the fork hook does in the child: whether it has a manhole all the same, or will have."""
        parent = self._pid
        self.leave_parent()
        if self._is_over:  # another thread of the parent was about to release it
            return False
        if self._options.why_forks_are_not_followed is None:
            follow = partial(self._follow, parent)
            self._following = Delay(follow, self._options.reinstall_delay, self._idle_mask())
            try:
                # Not later: the wakeup descriptor is for the main thread alone, which the forking one is here.
                self._begin_watcher()
                self._following.start()
            except (RuntimeError, StartFailed) as error:
                self._following = None
                self._log(f"fork of {parent} not followed: {error}")
            return True
        return bool(self._hooks) or not self._options.thread

    def _resume_following(self) -> None:
        try:
            if self._following is not None:  # else it was released meanwhile
                self._following.resume()
        except RuntimeError as error:
            self._log(f"fork not followed: {error}")

    def _follow(self, parent: int) -> None:
        """Listen in a forked child, once it is plain that it does not go on to exec another program."""
        if self._registry.installed is self:
            self._log(f"forked from {parent}")
            self._activate()
