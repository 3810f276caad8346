"""Gets an eventlet hub to call something soon, from another thread: a pipe that the hub listens to.

What does not work:
- schedule_call_global() alone: nothing wakes a hub that waits, and a timer that another thread adds is lost if the hub
  is just between the loop over its new timers and the emptying of their list.
- A listener alone: a hub that had none before sleeps in time.sleep() until its next timer, a minute if there is none.

What does: both, and a second try for what is late. The pipe stays once it is there: a hub that has come round once
since waits for it, and is woken by a byte. epoll sees a new listener at once, poll and select when they next begin.
The hub on asyncio has a loop beneath that can be woken by itself.
"""

from __future__ import annotations

import os
import posix
import sys
import weakref
from collections import deque
from collections.abc import Callable
from typing import Any

from manhole.compat._originals import get_ident
from manhole.compat._safely import attributes_of

__all__ = ["forget_parents_wakers", "known_thread", "release_hub_wakers", "waker_of"]

_READ_BYTES = 4096


class _Waker:
    """What is left for one hub to call, and how it is told. Holds the hub by a weak reference only.

    :ivar has_woken: whether the hub has ever answered to the pipe: then it can be woken.
    :ivar thread: the hub's, once it has called something.
    """

    def __init__(self, hub: Any) -> None:
        self.pid = posix.getpid()
        self.hub = weakref.ref(hub, self._on_gone)
        self.has_woken = False
        self.thread: int | None = None
        self._ident = id(hub)
        self._callbacks: deque[Callable[[], object]] = deque()
        self._pipe: tuple[int, int] | None = None
        self._listener: Any = None

    def call_soon(self, hub: Any, callback: Callable[[], object]) -> None:
        self._callbacks.append(callback)
        self.nudge(hub)

    def nudge(self, hub: Any) -> None:
        loop = attributes_of(hub).get("loop")  # of the hub on asyncio
        if loop is not None:
            loop.call_soon_threadsafe(self._run)
            return
        if self._pipe is None:
            self._listen(hub)
        _base_class().schedule_call_global(hub, 0, self._run)
        if self._pipe is not None:
            try:
                posix.write(self._pipe[1], b"!")
            except BlockingIOError:
                pass  # it is full: the hub has enough to wake up for

    def _listen(self, hub: Any) -> None:
        pipe = posix.pipe2(posix.O_NONBLOCK | posix.O_CLOEXEC) if hasattr(posix, "pipe2") else _plain_pipe()
        if self.__dict__.setdefault("_claimed", pipe) is not pipe:  # another thread is just doing it
            _close(pipe)
            return
        try:
            listener = hub.add(hub.READ, pipe[0], self._on_byte, _nothing, _nothing)
        except Exception:  # noqa: BLE001 - the application has closed that descriptor once, and the hub was not told
            _close(pipe)
            self.__dict__.pop("_claimed", None)
            return  # the timer alone has to do, until the next try
        listener.greenlet = hub.greenlet  # it noted the calling one, and would keep that alive
        self._listener = listener
        self._pipe = pipe

    def _on_byte(self, descriptor: int) -> None:
        """In the hub, when the pipe has something."""
        self.has_woken = True
        try:
            posix.read(descriptor, _READ_BYTES)
        except OSError:
            pass  # BlockingIOError: somebody else has read it; EBADF: it was closed a moment ago
        self._run()

    def _run(self) -> None:
        """In the hub: call what there is."""
        self.thread = get_ident()
        while self._callbacks:
            self._callbacks.popleft()()

    def release(self) -> None:
        """Close the pipe; the hub does not listen to it any more. Twice is harmless."""
        self._callbacks.clear()
        pipe, self._pipe = self._pipe, None
        listener, self._listener = self._listener, None
        hub = self.hub()
        if hub is not None and listener is not None:
            if self.pid == posix.getpid():
                hub.remove(listener)
            else:
                self._remove_in_child(hub, listener)
        if pipe is not None:
            _close(pipe)

    def _remove_in_child(self, hub: Any, listener: Any) -> None:
        """As hub.remove(), but an epoll descriptor is one with the parent's: what it is told holds there, too."""
        hub.listeners[hub.READ].pop(listener.fileno, None)
        poll = attributes_of(hub).get("poll")
        if poll is not None and not hasattr(poll, "close"):  # poll has none, and is the child's own
            try:
                poll.unregister(listener.fileno)
            except KeyError:
                pass

    def _on_gone(self, reference: object) -> None:
        if _wakers.get(self._ident) is self:
            _wakers.pop(self._ident, None)
        self.release()


_wakers: dict[int, _Waker] = {}  # by the id of the hub


def _base_class() -> Any:
    return sys.modules["eventlet.hubs.hub"].BaseHub


def _nothing(*ignored: object) -> None:
    """What a hub calls when it takes the pipe for one that was closed."""


def _plain_pipe() -> tuple[int, int]:
    pipe = posix.pipe()
    for descriptor in pipe:
        os.set_blocking(descriptor, False)
    return pipe


def _close(pipe: tuple[int, int]) -> None:
    for descriptor in pipe:
        try:
            posix.close(descriptor)
        except OSError:
            pass  # the application has closed it, as daemons close all that they do not know


def waker_of(hub: Any) -> _Waker:
    """The waker of *hub*; it has a pipe when it is first used. From any thread."""
    waker = _wakers.get(id(hub))
    if waker is not None and waker.pid != posix.getpid():
        forget_parents_wakers()
        waker = None
    if waker is None:
        waker = _wakers.setdefault(id(hub), _Waker(hub))
    return waker


def known_thread(hub: Any) -> int | None:
    """The ident of the thread on which *hub* has called something, None if it has not."""
    waker = _wakers.get(id(hub))
    return None if waker is None else waker.thread


def release_hub_wakers() -> None:
    """Close all pipes that hubs listen to for us. From any thread; twice is harmless."""
    while _wakers:
        try:
            _, waker = _wakers.popitem()
        except KeyError:
            break  # another thread has done it
        try:
            waker.release()
        except Exception:  # noqa: BLE001 - a hub that is just being closed, for one
            pass


def forget_parents_wakers() -> None:
    """In a forked child: close its copies of the parent's pipes, without a word to the parent's epoll."""
    for ident, waker in list(_wakers.items()):
        if waker.pid != posix.getpid():
            _wakers.pop(ident, None)
            try:
                waker.release()
            except Exception:  # noqa: BLE001 - as above
                pass
