"""Runs a session's code where the session wants it: on its thread, in a hub, or on asyncio's loop."""

from __future__ import annotations

import builtins
import os
import socket
import sys
import traceback
from collections.abc import Callable, Coroutine, Mapping
from functools import partial
from types import CodeType
from typing import Any, TypeVar

from manhole import compat
from manhole._channel import Channel
from manhole._compiler import Compiler, is_coroutine
from manhole._dump import dump_stacktraces
from manhole._hub_list import find_asyncio_loop
from manhole._in_hub import MAX_TIMEOUT, in_hub, run_in_hub
from manhole._reader import Interrupted, LineTooLong
from manhole._stdio import SessionInput, SessionOutput, Streams, context_with

__all__ = ["DEFAULT_TIMEOUT", "Evaluator", "make_namespace"]

# Seconds that a hub has for what it is to run, if nothing else is said.
DEFAULT_TIMEOUT = 5.0
# Seconds after which a loop of our own comes back to Python, where an interrupt is raised. Arbitrary.
BEAT_SECONDS = 0.05
# Characters of a value that are shown at once. Arbitrary; some screenfuls.
SHOWN = 20_000

_T = TypeVar("_T")


class _Exit:
    """`exit` and `quit` of a session: site's would be missing under -S, and closes what it finds as stdin."""

    def __call__(self, code: object = None) -> None:
        raise SystemExit(code)

    def __repr__(self) -> str:
        return "exit(), quit() or Ctrl-D ends this session; the process goes on"


def make_namespace(extra: Mapping[str, Any]) -> dict[str, Any]:
    """A fresh namespace for a session.

    :param extra: the application's names (`locals=`), which win over ours.
    """
    leave = _Exit()
    return {
        "__name__": "__console__",
        "__doc__": None,
        "__builtins__": builtins,
        "exit": leave,
        "quit": leave,
        "os": os,
        "socket": socket,
        "sys": sys,
        "traceback": traceback,
        "dump_stacktraces": dump_stacktraces,
        "in_hub": in_hub,
        **extra,
    }


class Evaluator:
    """One session's namespace, streams and values; what runs code is for where these streams are the current ones.

    :param number: the session's.
    :param channel: takes what the code prints; what it puts there has the kinds "stdout" and "stderr".
    :param read_line: the next line for code that reads its stdin, None at the end of input.
    :param names: the application's, for the namespace.
    :param redirect_stderr: whether the code's stderr is the session's.
    :ivar hub: where code runs; None: on the session's own thread.
    """

    def __init__(
        self,
        number: int,
        channel: Channel,
        read_line: Callable[[], bytes | None],
        names: Mapping[str, Any],
        redirect_stderr: bool,
    ) -> None:
        self.namespace = make_namespace(names)
        self.compiler = Compiler(number)
        self.hub: compat.HubHandle | None = None
        self._channel = channel
        self._rest = ""  # of the last value that was cut

        def make_streams(may_wait: bool, read: Callable[[], bytes | None]) -> Streams:
            def output(kind: str) -> SessionOutput:
                return SessionOutput(partial(channel.writer.put, kind, may_wait=may_wait), channel.writer.flush)

            stderr = output("stderr") if redirect_stderr else None
            return Streams(SessionInput(read), output("stdout"), stderr, partial(self._display, may_wait))

        def read_interruptibly() -> bytes | None:
            channel.writer.drain()
            try:
                return read_line()
            except Interrupted:
                raise KeyboardInterrupt from None
            except LineTooLong:
                raise ValueError("the line was too long, and was thrown away") from None

        self.streams = make_streams(True, read_interruptibly)
        # In a hub the application would wait with it.
        self._hub_streams = make_streams(False, _refuse_to_read)

    def close(self) -> None:
        """Let go of all that the session has made.

        The namespace is not cleared: a function that was put into the application needs it, and goes on without us.
        """
        for streams in (self.streams, self._hub_streams):
            streams.ended = True
            # Python's file objects have finalizers. Left to the garbage collector these would run in the midst of some
            # other code, and an interrupt that comes to that code just then ends in them.
            streams.stdin = streams.stdout = streams.stderr = None
        self.compiler.forget_sources()
        self.namespace = {}
        self._rest = ""

    def evaluate(self, code: CodeType, hub: compat.HubHandle | None = None, timeout: float = DEFAULT_TIMEOUT) -> Any:
        """The value of *code*, run where it should; whatever it raises.

        :param hub: run it there.
        :param timeout: seconds that the hub has. Code that awaits something on the application's asyncio loop has no
            limit, unless that was asked for as *hub*.
        :raises HubTimeout: if the hub has not done it in that time.
        :raises KeyboardInterrupt: if it was interrupted.
        """
        function: Callable[[], Any] = partial(eval, code, self.namespace)
        if is_coroutine(code):
            if hub is None:
                hub, timeout = find_asyncio_loop(), MAX_TIMEOUT
            if hub is None or hub.is_current():
                return _run_coroutine(function())
        return self.run(function, hub, timeout)

    def run(
        self, function: Callable[[], _T], hub: compat.HubHandle | None = None, timeout: float = DEFAULT_TIMEOUT
    ) -> _T:
        """*function*'s result, in *hub* or on the calling thread."""
        if hub is None or hub.is_current():  # a oneshot may have interrupted the hub: nothing would run there meanwhile
            return function()
        return run_in_hub(function, hub, timeout, context_with(self._hub_streams))

    def _display(self, may_wait: bool, value: object) -> None:
        """What sys.displayhook does for this session's code; the application's `builtins._` is left alone."""
        if value is None:
            return
        self.namespace["_"] = None  # as Python's own does, so that a repr that fails leaves no stale value
        text = repr(value)
        self._channel.writer.put("stdout", self.cut(text, SHOWN) + "\n", may_wait)
        self.namespace["_"] = value

    def cut(self, text: str, length: int) -> str:
        """*text* as far as it is to be shown; more() gives the rest."""
        self._rest = text[length:]
        if not self._rest:
            return text
        return f"{text[:length]}\n[{len(self._rest)} more characters: %more shows them, print(_) all of it]"

    def more(self) -> str | None:
        """What cut() has left, as far as it is to be shown at once; None if there is nothing."""
        return self.cut(self._rest, SHOWN) if self._rest else None


def _refuse_to_read() -> bytes | None:
    raise RuntimeError("waiting for input in the hub would stop the application; read it on the session's thread")


def _run_coroutine(coroutine: Coroutine[Any, Any, _T]) -> _T:
    """*coroutine*'s result, on a loop of our own: the application has none that is running and could be waited for."""
    asyncio = sys.modules.get("asyncio")
    try:
        if asyncio is not None:
            return _run_on_a_loop(asyncio, coroutine)
        try:
            coroutine.send(None)
        except StopIteration as stop:
            value: _T = stop.value
            return value
        raise RuntimeError("there is no event loop to wait on; import asyncio first")
    finally:
        coroutine.close()


def _run_on_a_loop(asyncio: Any, coroutine: Coroutine[Any, Any, _T]) -> _T:
    """What asyncio.run() does, but for signals and the thread's own loop, which are the application's."""
    loop = asyncio.new_event_loop()

    def beat() -> None:
        loop.call_later(BEAT_SECONDS, beat)

    try:
        beat()
        result: _T = loop.run_until_complete(coroutine)
        return result
    finally:
        try:
            left = asyncio.all_tasks(loop)  # it among them, if it was interrupted
            for task in left:
                task.cancel()
            if left:
                loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
            loop.run_until_complete(loop.shutdown_asyncgens())
        finally:
            loop.close()
