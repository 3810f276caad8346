"""What a snapshot is made of: frozen data that holds no frame, no greenlet and no object of the application."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain

from manhole.compat import Wait

__all__ = ["Deadlock", "Frame", "Hub", "Process", "Snapshot", "Unit", "Wait"]


@dataclass(frozen=True, slots=True)
class Frame:
    """One level of a stack. Equal ones of one snapshot are one object, and so are equal stacks.

    :ivar file: the source file as the code object names it.
    :ivar line: the line being executed, 0 where Python knows none.
    :ivar function: the function's qualified name; its plain name before Python 3.11.
    """

    file: str
    line: int
    function: str


@dataclass(frozen=True, slots=True)
class Unit:
    """Whatever has a stack of its own: an OS thread that runs Python code, a greenlet, an asyncio task.

    :ivar ident: of a thread what `threading.get_ident()` is there without monkeypatching; of all else its `id()`.
    :ivar kind: "thread", "hub", "main greenlet", "Greenlet" (gevent's), "GreenThread" (eventlet's), "greenlet" or
        "Task".
    :ivar type: the name of its class; empty for a thread.
    :ivar name: its own name or its function's; empty where neither can be known.
    :ivar state: "running", "suspended", "not started" or "finished". A thread is always "running".
    :ivar thread: ident of the OS thread that it belongs to, None where that cannot be known.
    :ivar hub: ident of the :class:`Hub` that it belongs to, None where there is none or it cannot be known.
    :ivar parent: ident of a greenlet's parent, None for a thread's main greenlet and all else.
    :ivar spawner: ident of the unit that spawned it, where that is recorded; it may have finished.
    :ivar spawning_stack: where it was spawned, outermost first, where that is recorded.
    :ivar age: seconds since it was made, where that is recorded.
    :ivar frames: its stack, outermost first. A task's goes on through what it awaits. A thread's is that of the
        greenlet or task that runs on it.
    :ivar wait: what it waits for, None where it does not or that cannot be known.
    :ivar own: whether it is one of the manhole's threads.
    """

    ident: int
    kind: str
    type: str
    name: str
    state: str
    thread: int | None
    hub: int | None
    parent: int | None
    spawner: int | None
    spawning_stack: tuple[Frame, ...]
    age: float | None
    frames: tuple[Frame, ...]
    wait: Wait | None
    own: bool = False


@dataclass(frozen=True, slots=True)
class Hub:
    """What runs an event loop, and what it was seen doing in a few samples one after the other.

    :ivar ident: `id()` of the hub's greenlet, or of an asyncio loop.
    :ivar kind: "gevent", "eventlet" or "asyncio".
    :ivar name: its name or class.
    :ivar thread: ident of its OS thread, None where that cannot be known.
    :ivar state: "in its loop" (in at least one sample, so it gets there); "running" (in all samples, one unit or
        another); "stuck" (in all samples one and the same unit); "stuck in C" (the same, at one instruction and using
        hardly any CPU time: in a call that waits); "interrupted" (the manhole itself holds its thread, in a signal
        handler or because it was called there); "not running"; "unknown".
    :ivar unit: ident of the unit that it is stuck in or was interrupted in: its own if that is a callback, its
        thread's if that is the thread's main greenlet; else None.
    :ivar frame: the innermost frame of whatever it ran in the last sample; None in its loop.
    :ivar seconds: if it is stuck, the time between the first and the last sample: it has been so for at least so long.
    :ivar samples: how many samples were taken.
    """

    ident: int
    kind: str
    name: str
    thread: int | None
    state: str
    unit: int | None
    frame: Frame | None
    seconds: float
    samples: int


@dataclass(frozen=True, slots=True)
class Deadlock:
    """Units that wait for each other in a ring, and so for ever.

    :ivar units: their idents; each waits for something that the next one owns, the last for the first's.
    """

    units: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Process:
    """The process that a snapshot is of.

    :ivar pid: its number, in its own pid namespace.
    :ivar argv: `sys.orig_argv`, the command line.
    :ivar uptime: seconds since its start, None where the system does not tell.
    :ivar implementation: such as "CPython".
    :ivar python: the version, such as "3.11.7".
    :ivar libraries: name and version of gevent, eventlet and greenlet, as far as they are loaded.
    :ivar patched: name of each library that has patched something, and the names of the modules.
    """

    pid: int
    argv: tuple[str, ...]
    uptime: float | None
    implementation: str
    python: str
    libraries: tuple[tuple[str, str], ...]
    patched: tuple[tuple[str, tuple[str, ...]], ...]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All units of a process at one moment.

    :ivar process: whose.
    :ivar time: when, in seconds since the epoch.
    :ivar hubs: what runs event loops; that of the main thread first.
    :ivar threads: the OS threads, the main thread first, the manhole's own last.
    :ivar greenlets: those of one thread together; the finished ones only where they were asked for.
    :ivar tasks: asyncio's, those of one loop together; finished ones likewise.
    :ivar deadlocks: rings of units that wait for each other.
    :ivar finished: how many finished greenlets and tasks still have somebody who holds them.
    :ivar unseen: what could not be seen and why, one sentence each.
    """

    process: Process
    time: float
    hubs: tuple[Hub, ...]
    threads: tuple[Unit, ...]
    greenlets: tuple[Unit, ...]
    tasks: tuple[Unit, ...]
    deadlocks: tuple[Deadlock, ...]
    finished: int
    unseen: tuple[str, ...]

    @property
    def units(self) -> Iterator[Unit]:
        """All units: threads, greenlets, tasks."""
        return chain(self.threads, self.greenlets, self.tasks)
