"""What each runtime module answers; adding a runtime is one such module and one line in the registry."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from contextvars import Context
from dataclasses import dataclass
from types import CodeType, FrameType
from typing import Any, NamedTuple, Protocol

__all__ = ["Biographer", "Explainer", "HubHandle", "HubHandles", "Label", "Labeller", "Origin", "Runtime", "Wait"]


class Label(NamedTuple):
    """What a greenlet is, for a reader.

    kind: "hub", "main greenlet", "Greenlet" (gevent's), "GreenThread" (eventlet's) or "greenlet".
    name: its own name or its function's; empty where neither can be known.
    thread: the ident of the OS thread that it belongs to, where the runtime has recorded one.
    """

    kind: str
    name: str
    thread: int | None = None


class Labeller(Protocol):
    """Tells what a greenlet is."""

    def __call__(self, greenlet: Any, codes: Sequence[CodeType], /) -> Label | None:
        """What *greenlet* is, or None if it is not of this runtime. Runs no code of the application.

        :param codes: the code objects of its stack, outermost first; empty if it has none to show.
        """


@dataclass(frozen=True, slots=True)
class Wait:
    """What a unit waits for.

    :ivar kind: "descriptor", "timer", "lock", "semaphore", "queue", "event", "unit" (another unit's end), "DNS",
        "thread pool" or "process".
    :ivar type: the name of the class of what is waited for, empty where there is none.
    :ivar ident: `id()` of what is waited for, None where there is no such object.
    :ivar owners: idents of the units that own it, or whose end is waited for, as far as that is recorded.
    :ivar descriptor: the file descriptor, for that kind.
    :ivar direction: "read", "write" or "read or write" for a descriptor, "get" or "put" for a queue; else empty.
    :ivar local: a socket's own address, such as "127.0.0.1:80", "[::1]:80" or a path; empty if it has none.
    :ivar remote: its peer's address, likewise.
    :ivar seconds: until the wait ends by itself, None if it does not or that cannot be known. Negative: overdue.
    """

    kind: str
    type: str = ""
    ident: int | None = None
    owners: tuple[int, ...] = ()
    descriptor: int | None = None
    direction: str = ""
    local: str = ""
    remote: str = ""
    seconds: float | None = None


class Origin(NamedTuple):
    """Where a unit comes from.

    spawner: ident of the unit that spawned it, None if that is gone.
    stack: code and line of each level of the spawning stack, innermost first.
    """

    spawner: int | None
    stack: Sequence[tuple[CodeType, int]]


class Biographer(Protocol):
    """Tells where a greenlet comes from."""

    def __call__(self, greenlet: Any, /) -> Origin | None:
        """Who spawned *greenlet* and where, or None if it is not recorded. Runs nothing of the application."""


class Explainer(Protocol):
    """Tells what a suspended unit waits for."""

    def __call__(self, unit: Any, codes: Sequence[CodeType], frame: FrameType | None, /) -> Wait | None:
        """What *unit* (a greenlet, a task, or the ident of a thread) waits for, or None if that cannot be told.

        Runs no code of the application; called for each of 100,000 units, so it looks at *codes* first and at *frame*'s
        variables only where that says it is worth it.

        :param codes: the code objects of its stack, outermost first; empty if it has none to show.
        :param frame: its innermost frame, as long as it does not go on; None if it has none to show.
        """


class Runtime(Protocol):
    """One way to have several stacks in a thread. A module fulfils it."""

    name: str

    def version(self) -> str | None:
        """The runtime's version if this process has loaded it, else None. Never imports it."""

    def make_labeller(self) -> Labeller | None:
        """A function that labels greenlets by what is loaded at this moment; None if the runtime is not."""

    def hub_threads(self, greenlets: Sequence[Any]) -> dict[int, int]:
        """The thread idents of this runtime's hubs among *greenlets*, by `id()`, as far as it has recorded them."""

    def is_loop_code(self, codes: Sequence[CodeType]) -> bool:
        """Whether a hub with this stack, outermost first, is in its loop, rather than in a callback that it runs."""

    def patched_modules(self) -> list[str]:
        """The names of the modules that this runtime has patched."""

    def make_biographer(self) -> Biographer | None:
        """A function that tells where this runtime's greenlets come from; None if it does not record that."""

    def primitives(self) -> Sequence[type]:
        """The classes whose instances, and those of their subclasses, make_explainer() wants to see."""

    def make_explainer(self, found: Sequence[Any]) -> Explainer | None:
        """A function that explains the waits of this runtime's units; None if the runtime is not loaded.

        :param found: all objects of the process of the classes that primitives() named, of all runtimes.
        """

    def has_hub_here(self) -> bool:
        """Whether the calling thread has a hub of this runtime. Makes none."""

    def leave_thread(self) -> None:
        """Give back what this runtime holds for the calling thread, which is about to end."""


class HubHandle(Protocol):
    """An event loop; does not keep it alive. Its methods wait for nothing and, where not said otherwise, are for any
    thread."""

    name: str  # the library's
    label: str  # the loop's own, as in snapshots
    ident: int  # id() of the loop, as long as it is not gone

    def is_gone(self) -> bool:
        """Whether there is no such loop any more."""

    def is_at_rest(self) -> bool:
        """Whether it is plain without asking that nothing keeps the loop: it waits for events, or no thread runs it."""

    def ping(self, callback: Callable[[], object]) -> None:
        """Have *callback* called on the loop's thread when the loop next comes round.

        An idle loop is woken up for it, unless it is one that is_at_rest() knows to be idle.

        :param callback: must neither block nor raise.
        :raises Exception: if the loop is just being closed.
        """

    def unit(self) -> int | None:
        """The ident that the hub has in snapshots."""

    def thread(self) -> int | None:
        """The ident of the loop's thread, None if the library has not recorded it."""

    def greenlet(self) -> Any:
        """The greenlet that runs the loop, for where thread() does not know; None if there is none."""

    def is_running(self) -> bool:
        """Whether a thread runs the loop, as far as can be told: False only if none does."""

    def is_current(self) -> bool:
        """Whether the calling thread is the loop's."""

    def call_soon(self, callback: Callable[[], object]) -> None:
        """Have *callback* called on the loop's thread, once, as ping() does; an idle loop is woken up if it can be.

        :raises Exception: if the loop is just being closed, or the process has no descriptor left to wake it with.
        """

    def nudge(self) -> None:
        """Once more try to wake the loop for what call_soon() has left there; for callbacks that are late."""

    def spawn(self, run: Callable[[], Coroutine[Any, Any, None] | None], context: Context | None) -> None:
        """Have *run* called in a unit of its own, or await the coroutine that it returns in one. In a callback only.

        :param run: must raise nothing. Returns a coroutine only where has_tasks is true.
        :param context: what the coroutine's task gets a copy of; None for whatever the callback has.
        """

    has_tasks: bool  # whether a unit is a task that awaits, rather than a greenlet

    def current_unit(self) -> Any:
        """The greenlet or task that calls; None where a callback does. On the loop's thread."""

    def throw(self, unit: Any, exception: type[BaseException]) -> None:
        """Raise *exception*, or its like, in a suspended unit of the loop. In a callback only."""

    def why_asleep(self) -> str:
        """Why an idle loop could not be woken up, in words for a message; empty if that is not so."""


class HubHandles(Protocol):
    """The hubs of one kind. A module fulfils it."""

    def hub_classes(self) -> Sequence[type]:
        """Their classes that are loaded at this moment; subclasses count too."""

    def make_handle(self, loop: Any) -> HubHandle:
        """A handle of an instance of one of hub_classes(), whichever thread's."""
