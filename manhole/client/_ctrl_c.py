"""Ctrl-C, kept back until a place where nothing is half done.

Python's own handler raises KeyboardInterrupt between any two steps: what has just been read from the connection would
be lost, or half a message sent, and the conversation could not go on.
"""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType, TracebackType

__all__ = ["CtrlC"]


class CtrlC:
    """Within `with`, KeyboardInterrupt is raised inside :meth:`allowed` alone.

    Only in the main thread, and only where SIGINT has Python's own handler: another one is the application's to decide.
    """

    def __init__(self) -> None:
        self._pressed = False
        self._allowed = False
        self._ours = False

    def __enter__(self) -> CtrlC:
        """Take the signal."""
        self._ours = (
            threading.current_thread() is threading.main_thread()
            and signal.getsignal(signal.SIGINT) is signal.default_int_handler
        )
        if self._ours:
            signal.signal(signal.SIGINT, self._handle)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give it back, and raise what was kept."""
        if self._ours:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        if self._pressed and kind is None:
            raise KeyboardInterrupt

    def take(self) -> bool:
        """Whether it was pressed and not raised; it never will be, then."""
        pressed, self._pressed = self._pressed, False
        return pressed

    @contextlib.contextmanager
    def allowed(self) -> Iterator[None]:
        """Here it may be raised, at once if it was pressed before."""
        self._allowed = True
        try:
            if self.take():
                raise KeyboardInterrupt
            yield
        finally:
            self._allowed = False

    def _handle(self, signum: int, frame: FrameType | None) -> None:
        if not self._allowed:
            self._pressed = True
            return
        # Once: the `finally` above may not have been reached when the next one comes.
        self._allowed = False
        raise KeyboardInterrupt
