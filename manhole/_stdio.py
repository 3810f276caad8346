"""Whose output is whose: code that a session runs gets the session's streams, the application keeps its own.

python-manhole puts the client's socket into the process's stdout for as long as a session is open: what the application
prints goes to the client, and whoever took a reference to `sys.stdout` meanwhile holds a dead stream. Here
`sys.stdout` and its like become, while at least one session exists, stand-ins that choose at every call: a session's
streams for code that runs in the session's context, what was there before for everybody else. A stand-in that somebody
keeps goes on like that for ever, and code that outlives its session, such as a task, prints where the application does.
"""

from __future__ import annotations

import io
import posix
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import Context, ContextVar, copy_context
from dataclasses import dataclass
from typing import Any, TypeVar

from manhole.compat import ReentrantLock, Spawns, get_ident

__all__ = ["Router", "SessionInput", "SessionOutput", "Streams", "context_with", "own_thread", "run_with"]


class SessionOutput(io.TextIOBase):
    """A session's stdout or stderr.

    :param put: takes what is written; may raise OSError when the client is gone.
    :param flush: has what was taken sent.
    """

    encoding = "utf-8"
    errors = "backslashreplace"

    def __init__(self, put: Callable[[str], object], flush: Callable[[], object]) -> None:
        self._put = put
        self._flush = flush

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        if not isinstance(text, str):
            raise TypeError(f"write() argument must be str, not {type(text).__name__}")
        self._put(text)
        return len(text)

    def flush(self) -> None:
        self._flush()

    def close(self) -> None:
        """Nothing: it is the session that ends, not its stream (site's exit() closes what it finds)."""


class SessionInput(io.TextIOBase):
    """A session's stdin: what the client types while code of the session runs.

    :param read_line: the next line without its end, None at the end of input.
    """

    encoding = "utf-8"
    errors = "replace"

    def __init__(self, read_line: Callable[[], bytes | None]) -> None:
        self._read_line = read_line

    def readable(self) -> bool:
        return True

    def readline(self, size: int | None = -1, /) -> str:  # type: ignore[override]  # typeshed has no None here
        line = self._read_line()
        return "" if line is None else line.decode(self.encoding, self.errors) + "\n"

    def read(self, size: int | None = -1, /) -> str:
        return "".join(iter(self.readline, ""))

    def close(self) -> None:
        """Nothing, as for the output."""


@dataclass(slots=True)
class Streams:
    """What code that a session runs finds as its streams, and what shows its values.

    A stream that is None is the application's, and so is each of them once they have ended.
    """

    stdin: Any
    stdout: Any
    stderr: Any
    display: Callable[[object], None]
    ended: bool = False


_streams: ContextVar[Streams | None] = ContextVar("manhole_streams", default=None)
# Of the threads on which nothing but a session's code runs: greenlets there may have any context.
_by_thread: dict[int, Streams] = {}


_T = TypeVar("_T")


def run_with(streams: Streams, function: Callable[[], _T]) -> _T:
    """Call *function* with *streams* as its own, also in threads and greenlets that it starts."""
    token = _streams.set(streams)
    try:
        return function()
    finally:
        _streams.reset(token)


def context_with(streams: Streams) -> Context:
    """A copy of the current context in which *streams* are its own."""
    context = copy_context()
    context.run(_streams.set, streams)
    return context


@contextmanager
def own_thread(streams: Streams) -> Iterator[None]:
    """Nothing but code of the session of *streams* runs on the calling thread meanwhile."""
    ident = get_ident()
    _by_thread[ident] = streams
    try:
        yield
    finally:
        _by_thread.pop(ident, None)


def _current() -> Streams | None:
    """The streams of the session whose code calls this; None: it is the application's."""
    streams = _streams.get()
    if streams is None and _by_thread:
        streams = _by_thread.get(get_ident())
    # A task or a greenlet that the session has started has a copy of its context, and may outlive it.
    return None if streams is None or streams.ended else streams


def _inherited() -> Context | None:
    """The context for what the calling code starts, if it is a session's."""
    streams = _current()
    return None if streams is None else context_with(streams)


class _StandIn:
    """What `sys.<name>` is while sessions exist, and for ever after for those who kept it."""

    __slots__ = ("_manhole_copy", "_manhole_field", "_manhole_original")

    def __init__(self, field: str, original: Any, copy: Callable[[str], None]) -> None:
        object.__setattr__(self, "_manhole_field", field)
        object.__setattr__(self, "_manhole_original", original)
        object.__setattr__(self, "_manhole_copy", copy)

    def _manhole_target(self) -> Any:
        streams = _current()
        own = None if streams is None else getattr(streams, self._manhole_field)
        return self._manhole_original if own is None else own

    def write(self, text: str) -> Any:
        streams = _current()
        if streams is None:
            written = self._manhole_original.write(text)
            self._manhole_copy(text)
            return written
        own = getattr(streams, self._manhole_field)
        return (self._manhole_original if own is None else own).write(text)

    def writelines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._manhole_target(), name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._manhole_target(), name, value)

    def __iter__(self) -> Any:
        return iter(self._manhole_target())

    def __next__(self) -> Any:
        return next(self._manhole_target())

    def __enter__(self) -> Any:
        return self._manhole_target().__enter__()

    def __exit__(self, *exc_info: Any) -> Any:
        return self._manhole_target().__exit__(*exc_info)

    def __repr__(self) -> str:
        return repr(self._manhole_target())


class _Nowhere(io.TextIOBase):
    """Stands for a stream that is None, as in a process without a console: print() there says nothing."""

    def write(self, text: str) -> int:
        return len(text)


class _Display:
    """What `sys.displayhook` is meanwhile."""

    def __init__(self, original: Callable[[object], Any]) -> None:
        self._original = original

    def __call__(self, value: object) -> Any:
        streams = _current()
        return self._original(value) if streams is None else streams.display(value)


# Name in `sys`, and which of a session's streams it is. The dunder names are what many tools restore from.
_FIELDS = {
    "stdin": "stdin",
    "stdout": "stdout",
    "stderr": "stderr",
    "__stdin__": "stdin",
    "__stdout__": "stdout",
    "__stderr__": "stderr",
}


class Router:
    """Puts the stand-ins in place with the first session and takes them out with the last.

    The application pays for them (a microsecond a print) only while somebody is connected.

    There is one in a process, as there is one `sys`.

    :param copy: takes what the application prints meanwhile, after it was printed where it belongs.

    A signal handler that serves a session may interrupt each step of this, even in a forked child that is just giving
    up its parent's session: so each step may be done again in the midst of itself, and the handler ends before it goes
    on. Hence also the kind of the lock.
    """

    def __init__(self, copy: Callable[[str], None]) -> None:
        self._copy = copy
        self._pid = posix.getpid()
        self._lock = ReentrantLock()
        self._spawns = Spawns(_inherited)
        self._sessions: set[object] = set()
        self._is_in_place = False
        self._swapped: dict[str, tuple[Any, Any]] = {}  # name in sys: what was there, what we put there

    def attach(self, session: object) -> None:
        """*session* begins."""
        self.reset_after_fork()
        with self._lock:
            self._sessions.add(session)
            if not self._is_in_place:
                self._put_in_place()
                self._is_in_place = True

    def detach(self, session: object) -> None:
        """*session* has ended; one that a forked child has inherited did so with the fork."""
        with self._lock:
            self._sessions.discard(session)
            if not self._sessions:
                self._is_in_place = False
                self._take_out()

    def _put_in_place(self) -> None:
        stand_ins: dict[int, _StandIn] = {}  # sys.stdout and sys.__stdout__ stay the same object if they were
        for name, field in _FIELDS.items():
            found = getattr(sys, name)
            if type(found) is not _StandIn:  # somebody may have put a kept one back
                original = _Nowhere() if found is None else found
                self._swap(name, found, stand_ins.setdefault(id(found), _StandIn(field, original, self._copy)))
        found = sys.displayhook
        if type(found) is not _Display:
            self._swap("displayhook", found, _Display(found))
        self._spawns.watch()

    def _take_out(self) -> None:
        self._spawns.unwatch()
        for name, (original, ours) in list(self._swapped.items()):
            if getattr(sys, name) is ours:  # else the application has replaced it meanwhile: its choice
                setattr(sys, name, original)
            self._swapped.pop(name, None)  # not before: a handler of the application may raise, or another thread fork

    def _swap(self, name: str, found: Any, ours: Any) -> None:
        self._swapped[name] = (found, ours)
        setattr(sys, name, ours)

    def reset_after_fork(self) -> None:
        """In a forked child no session goes on, whatever the parent's threads were doing; elsewhere nothing is done."""
        if self._pid != posix.getpid():
            self._lock = ReentrantLock()
            self._sessions.clear()
            _by_thread.clear()
            self._pid = posix.getpid()  # before, who comes in between would have to do it
            self.detach(None)
