"""What each runtime module answers; adding a runtime is one such module and one line in the registry."""

from __future__ import annotations

from collections.abc import Sequence
from types import CodeType
from typing import Any, NamedTuple, Protocol

__all__ = ["Label", "Labeller", "Runtime"]


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


class Runtime(Protocol):
    """One way to have several stacks in a thread. A module fulfils it."""

    name: str

    def version(self) -> str | None:
        """The runtime's version if this process has loaded it, else None. Never imports it."""

    def make_labeller(self) -> Labeller | None:
        """A function that labels greenlets by what is loaded at this moment; None if the runtime is not."""

    def leave_thread(self) -> None:
        """Give back what this runtime holds for the calling thread, which is about to end."""
