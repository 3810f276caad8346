"""Has the threads and greenlets that code starts take its context along, so that they are known for that code's.

A new greenlet has an empty context, and so has a new thread. gevent offers a callback for each spawn. eventlet and
`threading` offer nothing, so one method of each is replaced while somebody watches. Greenlets that are made without
either library are missed.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from contextvars import Context
from typing import Any

__all__ = ["Spawns"]

# Since 3.14 a thread may be given one. Before, an attribute of that name is a subclass's own.
_THREADS_TAKE_A_CONTEXT = "context" in (threading.Thread.__init__.__kwdefaults__ or ())


class Spawns:
    """Gives a context to what is started.

    :param find_context: the context that what is being started on this thread and in this greenlet shall have; None to
        leave it alone. Called by the application's threads and greenlets: must be quick, and neither wait nor raise.
    """

    def __init__(self, find_context: Callable[[], Context | None]) -> None:
        self._find_context = find_context
        self._undo: list[Callable[[], object]] = []

    def watch(self) -> None:
        """Begin, for the libraries that are loaded now; again before unwatch() is harmless."""
        self._replace(threading.Thread, "start", self._make_thread_start)
        green_thread = getattr(sys.modules.get("eventlet.greenthread"), "GreenThread", None)
        if green_thread is not None:
            self._replace(green_thread, "__init__", self._make_greenthread_init)
        gevent_class = getattr(sys.modules.get("gevent.greenlet"), "Greenlet", None)
        if gevent_class is not None:
            gevent_class.add_spawn_callback(self._give)
            self._undo.append(lambda: gevent_class.remove_spawn_callback(self._give))

    def unwatch(self) -> None:
        """Undo watch(); twice is harmless."""
        while self._undo:
            self._undo.pop()()

    def _replace(self, cls: type, name: str, make: Callable[[Any], Any]) -> None:
        # gevent puts subclasses in the place of some classes of the standard library.
        cls = next(base for base in type.mro(cls) if name in base.__dict__)
        original = cls.__dict__[name]
        ours = make(original)

        def put_back() -> None:
            if cls.__dict__.get(name) is ours:  # else somebody has replaced it meanwhile: their choice
                setattr(cls, name, original)

        self._undo.append(put_back)  # first: a fork may come in between
        setattr(cls, name, ours)

    def _give(self, greenlet: Any) -> None:
        """Before *greenlet* starts."""
        context = self._find_context()
        slot = getattr(sys.modules.get("greenlet"), "greenlet", object).__dict__.get("gr_context")
        if context is not None and slot is not None:
            slot.__set__(greenlet, context)

    def _make_greenthread_init(self, original: Any) -> Any:
        give = self._give

        def __init__(green_thread: Any, *args: Any, **kwargs: Any) -> None:
            original(green_thread, *args, **kwargs)
            give(green_thread)

        return __init__

    def _make_thread_start(self, original: Any) -> Any:
        find_context = self._find_context

        def start(thread: Any) -> Any:
            context = find_context()
            if context is not None:
                _run_in(thread, context)
            return original(thread)

        return start


def _run_in(thread: Any, context: Context) -> None:
    """Have *thread*, which is about to start, run in *context*."""
    if _THREADS_TAKE_A_CONTEXT:
        if thread._context is None:
            thread._context = context
        return
    run = thread.run

    def run_once() -> None:
        del thread.run  # the thread's own attribute, which hides its class's: a ring
        context.run(run)

    thread.run = run_once
