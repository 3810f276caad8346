"""OS threads: starting ours so that `threading` never learns of them, and naming everybody's."""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # typeshed leaves it out
import _thread
import posix
import signal
import sys
import threading
from collections.abc import Callable, Iterable
from typing import Any

from manhole.compat._frames import current_frames
from manhole.compat._originals import get_ident, monotonic, original_or_none, sleep, start_new_thread
from manhole.compat._safely import attributes_of, clean_name

__all__ = [
    "ALL_SIGNALS",
    "OwnThread",
    "current_sigmask",
    "forget_dummy_thread",
    "forget_parents_threads",
    "main_thread_ident",
    "native_idents",
    "oldest_first",
    "own_threads",
    "start_thread",
    "swap_sigmask",
    "thread_ident",
    "thread_names",
]

ALL_SIGNALS = frozenset(map(int, signal.valid_signals()))

# Between two looks whether a thread that has returned is gone: microseconds, as a rule.
GONE_SECONDS = 0.0001

# Ident and name of each thread that start_thread() has running.
own_threads: dict[int, str] = {}


class OwnThread:
    """A running thread of ours.

    :ivar native_id: the kernel's number for it, 0 until it runs.
    """

    native_id = 0

    def wait_gone(self, timeout: float) -> None:
        """Wait, at most *timeout* seconds, until the kernel has no such thread any more; its function has returned.

        Linux alone tells of that; elsewhere this returns at once.
        """
        deadline = monotonic() + timeout
        while monotonic() < deadline and self.native_id:
            try:
                posix.stat(f"/proc/self/task/{self.native_id}")
            except OSError:
                break
            sleep(GONE_SECONDS)


def start_thread(function: Callable[[], None], name: str, sigmask: Iterable[int]) -> OwnThread:
    """Run *function* on a new OS thread that `threading` does not know: it is neither listed nor waited for at exit.

    :param name: what a snapshot calls the thread.
    :param sigmask: the signals that the thread has blocked from its first instruction. An idle thread of ours blocks
        all: were it handed a signal, Python's handler would wait until the main thread happens to wake up. While it
        runs a user's code it must not: the processes that this starts inherit the mask.
    :raises RuntimeError: if the system has no thread left.
    """

    thread = OwnThread()

    def body() -> None:
        ident = get_ident()
        own_threads[ident] = name
        thread.native_id = _thread.get_native_id()
        try:
            _signal.pthread_sigmask(signal.SIG_SETMASK, sigmask)
            function()
        finally:
            own_threads.pop(ident, None)

    # Asked for by a call of its own: pthread_sigmask() runs pending Python handlers when the mask is changed already,
    # and where one of them raises, what it would have returned is lost.
    before = current_sigmask()
    try:
        # The new thread inherits this: no signal can reach it before it has set its own mask.
        _signal.pthread_sigmask(signal.SIG_BLOCK, ALL_SIGNALS)
        start_new_thread(body, ())
    finally:
        _signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return thread


def current_sigmask() -> set[int]:
    """The signals that the calling thread has blocked."""
    # The C function: what signal's own adds to it, an enum for each signal, takes longer than starting a thread.
    return set(_signal.pthread_sigmask(signal.SIG_BLOCK, ()))


def swap_sigmask(sigmask: Iterable[int]) -> set[int]:
    """Have the calling thread, which is not the main one, block these signals; those that it has blocked before."""
    return set(_signal.pthread_sigmask(signal.SIG_SETMASK, sigmask))


def forget_parents_threads() -> None:
    """In a forked child: what is known of threads of ours, except of the one that calls, is the parent's.

    Idents are addresses, and the child's own threads get the same ones again.
    """
    me = get_ident()
    for ident in list(own_threads):
        if ident != me:
            own_threads.pop(ident, None)


def forget_dummy_thread() -> None:
    """Undo what threading.current_thread() left behind for the calling thread, which `threading` has not started."""
    # threading.get_ident may be patched: whatever it is, it made the key.
    for ident in {get_ident(), threading.get_ident()}:
        known = threading._active.get(ident)  # type: ignore[attr-defined]  # not public, and the only way
        if type(known) is threading._DummyThread:
            threading._active.pop(ident, None)  # type: ignore[attr-defined]  # as above


def thread_names() -> dict[int, str]:
    """Name of each OS thread that has one, by ident. Takes no lock of `threading`."""
    names = {}
    for ident, thread in dict(threading._active).items():  # type: ignore[attr-defined]  # enumerate() takes a lock
        name = clean_name(attributes_of(thread).get("_name"))
        if name:
            names[ident] = name
    main = main_thread_ident()
    if main is not None:
        # Under monkeypatching the main thread is filed under a greenlet's ident.
        names.setdefault(main, "MainThread")
    names.update(own_threads)
    return names


def native_idents() -> dict[int, int]:
    """The kernel's number of each OS thread that `threading` has started, by ident, and the main thread's."""
    known = ((ident, attributes_of(thread).get("_native_id")) for ident, thread in dict(threading._active).items())  # type: ignore[attr-defined]  # as above
    natives = {ident: native for ident, native in known if type(native) is int}
    main = main_thread_ident()
    if main is not None:
        natives[main] = posix.getpid()
    return natives


def thread_ident(thread: Any) -> int | None:
    """What a `threading.Thread` has recorded as its ident; None if *thread* is none or has not started."""
    if not issubclass(type(thread), threading.Thread):
        return None
    ident = attributes_of(thread).get("_ident")
    return ident if type(ident) is int else None


def main_thread_ident() -> int | None:
    """The ident of the process's main OS thread, whatever `threading` has been patched to say."""
    tell = original_or_none("_thread", "_get_main_thread_ident")  # 3.13+; eventlet adds one of its own to any
    if tell is not None:
        return int(tell())
    # Only the idents: a variable with the frames, this function's among them, would be a ring that keeps them all.
    idents = list(current_frames())
    known: int | None = threading.main_thread().ident
    return known if known in idents else oldest_first(idents)[0]


def oldest_first(idents: Iterable[int]) -> list[int]:
    """Thread idents in the order of `sys._current_frames()` as the threads began: CPython has the newest first."""
    idents = list(idents)
    return idents if sys.implementation.name == "pypy" else idents[::-1]
