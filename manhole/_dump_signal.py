"""What dump_on does: a dump when the signal comes, and then what the signal did before.

A thread of ours writes the dump, for the main thread may be stuck in C code. But the main thread runs what was there
before, for a Python handler runs nowhere else, and it must not do so first: it may end the process. So the handler asks
the thread and waits for it. A main thread that is stuck runs no handler, and where the signal would have killed the
process, the thread sees to that: Python sets a default action on the main thread alone, the C library on any.
"""

from __future__ import annotations

import posix
import signal
from collections import deque
from collections.abc import Callable, Mapping
from types import FrameType
from typing import Any

from manhole import compat
from manhole._dumps import DumpFiles
from manhole._errors import ManholeError
from manhole._signals import KNOWS_SENDER, SignalHook, SignalWatcher

__all__ = ["DumpSignal"]

# How long the handler waits for the thread's dump before it hands on. Arbitrary; 100,000 greenlets take a second.
WRITE_SECONDS = 10.0
_HARMLESS = {"SIGCHLD", "SIGCONT", "SIGURG", "SIGWINCH", "SIGINFO", "SIGIO", "SIGTSTP", "SIGTTIN", "SIGTTOU"}


class DumpSignal:
    """A signal that writes a dump before it does what it did.

    :param signum: the signal.
    :param files: what writes the dumps.
    :param find_watcher: what tells the thread that watches for this signal, None if there is none: then the handler
        writes on the main thread.
    :raises ManholeError: if the signal has a handler that is not Python's, or this is not the main thread.
    """

    def __init__(self, signum: int, files: DumpFiles, find_watcher: Callable[[], SignalWatcher | None]) -> None:
        self._signum = signum
        self._files = files
        self._find_watcher = find_watcher
        self._name = signal.Signals(signum).name if signum in set(signal.Signals) else f"signal {signum}"
        self._asked = SignalWatcher.TOLD + signum
        self._is_noticed = False  # by the thread, before the handler has run
        self._waiting: deque[Any] = deque()
        self.hook = SignalHook(signum, self._handle)
        if self.hook.before is None:
            raise ManholeError(
                f"{self._name} has a handler of C code, which cannot be called after a dump; choose another"
            )
        is_fatal = self.hook.before == signal.SIG_DFL and self._name not in _HARMLESS
        self._set_default = _libc_signal() if is_fatal and KNOWS_SENDER else None
        self._is_fatal = is_fatal

    @property
    def functions(self) -> Mapping[int, Callable[[], None]]:
        """What the watcher is to call."""
        return {self._signum: self._notice, self._asked: self._answer}

    def reset_after_fork(self) -> None:
        """In a forked child: the thread was the parent's."""
        self._is_noticed = False
        self._waiting.clear()

    def _notice(self) -> None:
        """On the thread: the interpreter's C handler has run; whether the Python one will, nobody knows."""
        self._is_noticed = True
        self._files.write(self._name)
        if self._set_default is not None and self.hook.is_set():
            self._set_default(self._signum, 0)  # SIG_DFL
            signal.pthread_sigmask(signal.SIG_UNBLOCK, [self._signum])  # here: no other thread may take it
            posix.kill(posix.getpid(), self._signum)

    def _answer(self) -> None:
        """On the thread: the Python handler has run, and waits."""
        if self._is_noticed:  # the same signal, which the C handler has written before
            self._is_noticed = False
        else:
            self._files.write(self._name)
        while self._waiting:
            self._waiting.popleft().release()

    def _handle(self, signum: int, frame: FrameType | None) -> None:
        try:
            self._dump()
        finally:  # the handler of another signal may raise into the waiting
            before = self.hook.before
            if callable(before):
                before(signum, frame)
            elif before == signal.SIG_DFL:
                self._do_default()

    def _dump(self) -> None:
        watcher = self._find_watcher()
        written = compat.allocate_lock()
        written.acquire()
        self._waiting.append(written)
        if watcher is not None and watcher.tell(self._asked):
            written.acquire(timeout=WRITE_SECONDS)
        else:
            try:
                self._waiting.remove(written)  # and not what an interrupted frame waits for
            except ValueError:
                pass  # the thread has been quicker
            self._files.write(self._name)

    def _do_default(self) -> None:
        """What the kernel does when nobody handles the signal."""
        signal.signal(self._signum, signal.SIG_DFL)
        if self._is_fatal:
            # Its handler runs on this thread, but another may have taken the signal because this one blocks it.
            signal.pthread_sigmask(signal.SIG_UNBLOCK, [self._signum])
        posix.kill(posix.getpid(), self._signum)
        if not self._is_fatal:
            self.hook.set()  # stopped and gone on, or ignored


def _libc_signal() -> Callable[[int, int], object] | None:
    """The C library's signal(2); None in a Python without ctypes."""
    try:
        import ctypes

        function = ctypes.CDLL(None).signal
    except (ImportError, OSError, AttributeError):
        return None
    function.restype = ctypes.c_void_p
    function.argtypes = [ctypes.c_int, ctypes.c_void_p]
    found: Callable[[int, int], object] = function
    return found
