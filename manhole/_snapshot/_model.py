"""What a snapshot is made of: frozen data that holds no frame, no greenlet and no object of the application."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Frame", "Greenlet", "Snapshot", "Thread"]


@dataclass(frozen=True, slots=True)
class Frame:
    """One level of a stack.

    :ivar file: the source file as the code object names it.
    :ivar line: the line being executed, 0 where Python knows none.
    :ivar function: the function's qualified name; its plain name before Python 3.11.
    """

    file: str
    line: int
    function: str


@dataclass(frozen=True, slots=True)
class Thread:
    """An OS thread that runs Python code.

    :ivar ident: what `threading.get_ident()` is there without monkeypatching.
    :ivar name: its name, empty where nobody has given it one.
    :ivar frames: its stack, outermost first. While a greenlet runs on it, that greenlet's.
    :ivar running: ident of the greenlet that runs on it, None if it is the thread's own main greenlet or none.
    :ivar own: whether it is one of the manhole's threads.
    """

    ident: int
    name: str
    frames: tuple[Frame, ...]
    running: int | None
    own: bool


@dataclass(frozen=True, slots=True)
class Greenlet:
    """A greenlet that has not finished.

    :ivar ident: its `id()`.
    :ivar kind: "Greenlet" (gevent's), "GreenThread" (eventlet's), "hub", "main greenlet" or "greenlet".
    :ivar type: the name of its class.
    :ivar name: its own name or its function's; empty where neither can be known.
    :ivar state: "running", "suspended" or "not started".
    :ivar thread: ident of the OS thread that it belongs to, None where that cannot be known.
    :ivar parent: ident of its parent greenlet, None for a thread's main greenlet.
    :ivar frames: its stack, outermost first.
    """

    ident: int
    kind: str
    type: str
    name: str
    state: str
    thread: int | None
    parent: int | None
    frames: tuple[Frame, ...]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All units of a process at one moment.

    :ivar pid: the process.
    :ivar python: implementation and version, such as "CPython 3.11.7".
    :ivar libraries: name and version of gevent, eventlet and greenlet, as far as they are loaded.
    :ivar threads: the OS threads, the main thread first, the manhole's own last.
    :ivar greenlets: the unfinished greenlets, those of one thread together.
    :ivar finished: how many finished greenlets still have somebody who holds them.
    :ivar unseen: what could not be seen and why, one sentence each.
    """

    pid: int
    python: str
    libraries: tuple[tuple[str, str], ...]
    threads: tuple[Thread, ...]
    greenlets: tuple[Greenlet, ...]
    finished: int
    unseen: tuple[str, ...]
