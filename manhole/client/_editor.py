"""Asking for a line at the terminal, and giving way to output that arrives while the user types.

input() blocks until Enter, and readline has no door for a second thread. So a timer looks at the connection a few times
a second and raises out of input() when something has come; the text typed so far is put back at the next question. One
signal sent on arrival would do with fewer wake-ups, but it can be handled just before readline goes to sleep, and then
nobody wakes it; the next tick of a timer does. Ctrl-C is left to the tick as well: where two handlers raise one after
the other, input() runs the second with the first's exception set, and dies of a SystemError. Between two
questions it is kept until nothing can be lost by it.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Callable
from types import FrameType, ModuleType, TracebackType

from manhole.client._ctrl_c import CtrlC

__all__ = ["LineEditor"]

TICK = 0.05  # seconds; arbitrary: at once for a human, and nothing for the machine


class _Arrived(Exception):
    """Raised out of input() when there is output.

    :ivar text: what had been typed.
    """

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text


class LineEditor:
    """Asks for lines until told that something else has to be shown. Within `with`, in the main thread.

    :param arrived: whether there is output to be shown; must not block.
    :param readline: the module of that name, None to do without.
    :ivar ctrl_c: Ctrl-C between the questions.
    """

    def __init__(self, arrived: Callable[[], bool], readline: ModuleType | None) -> None:
        self._arrived = arrived
        self._readline = readline
        self._asking = False
        self.ctrl_c = CtrlC()
        self._text = ""

    def __enter__(self) -> LineEditor:
        """Take the signals."""
        if self._readline is not None:
            self._readline.set_startup_hook(self._begin)
        signal.signal(signal.SIGALRM, self._tick)
        self.ctrl_c.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give them back."""
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        if self._readline is not None:
            self._readline.set_startup_hook(None)
        self.ctrl_c.__exit__(kind, error, trace)

    def ask(self, label: str) -> str | None:
        """The line that the user types behind *label*, without its end.

        :returns: the line, or None if there is output. Then the label is no longer there, or on a line further up.
        :raises EOFError: if the user ends the input.
        :raises KeyboardInterrupt: if the user gives up what was typed.
        """
        typed: list[str] = []
        try:
            self._ask(label, typed)
        except _Arrived as arrival:
            self._asking = False
            if not typed:
                self._text = arrival.text
                self._erase(len(label) + len(arrival.text))
        return typed[0] if typed else None

    def _ask(self, label: str, typed: list[str]) -> None:
        signal.setitimer(signal.ITIMER_REAL, TICK)
        self._asking = self._readline is None
        try:
            # extend() takes the line from input() without a step of bytecode between: an exception of the timer's may
            # come after that, but the line is not lost.
            typed.extend(map(input, (label,)))
        finally:
            self._asking = False
            signal.setitimer(signal.ITIMER_REAL, 0)

    def _begin(self) -> None:
        """Called by readline when its buffer is ready. Before, the buffer still holds the line before."""
        assert self._readline is not None
        text, self._text = self._text, ""
        self._readline.insert_text(text)
        self._asking = True

    def _tick(self, signum: int, frame: FrameType | None) -> None:
        if self._asking and self.ctrl_c.take():
            raise KeyboardInterrupt
        if self._asking and self._arrived():
            raise _Arrived(self._readline.get_line_buffer() if self._readline is not None else "")
        # One at a time: none can come while the exception of the one before is on its way.
        signal.setitimer(signal.ITIMER_REAL, TICK)

    def _erase(self, width: int) -> None:
        # Spaces rather than an escape sequence: every terminal knows them. Without readline it is the terminal that
        # holds what was typed, and how much that is cannot be known; over several rows it gets too clever.
        if self._readline is not None and width < shutil.get_terminal_size().columns:
            sys.stdout.write("\r" + " " * width + "\r" if width else "")
        elif os.isatty(1):
            sys.stdout.write("\n")
        sys.stdout.flush()
