"""KeyboardInterrupt in the code that a session runs on its thread, and nowhere else.

CPython raises an exception in another thread when that next looks for such things, wherever it is then: in the code of
the session, as wanted, but just as well in ours behind it. A lock would not help, for the exception may come between
its acquire() and whatever notes that it is held. So both sides announce by a plain assignment what they are about to
do, and then look what the other one has announced. Afterwards what was set and not raised yet is taken back.

Code that waits in C, for a lock or a sleep, is not reached until it returns. On PyPy code is reached only where it
prints, reads its input or waits for a hub: see compat/_async_exceptions.py.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from manhole import compat

__all__ = ["Interruption"]

_T = TypeVar("_T")


class Interruption:
    """Lets another thread interrupt what one thread runs by it.

    As a context manager: what must not be interrupted in the middle, on whichever thread; not nested.
    """

    def __init__(self) -> None:
        self._ident = 0  # of the thread that runs something
        self._is_running = False
        self._is_shielded = False
        self._is_setting = False  # the other side is about to look, and to act upon it
        self._is_wanted = False
        self._is_set = False  # and has been raised or has not

    def run(self, function: Callable[[], _T]) -> _T:
        """*function*'s result; not from within itself.

        :raises KeyboardInterrupt: if it is interrupted, and what else it raises.
        """
        self._ident = compat.get_ident()
        self._is_wanted = False
        try:
            try:
                self._is_running = True
                return function()
            finally:
                self._stop()
        except KeyboardInterrupt:
            self._stop()  # it may have come in the other _stop()
            raise

    def _stop(self) -> None:
        while True:
            try:
                self._is_running = False
                while self._is_setting:
                    compat.sleep(0)
                if self._is_set:  # what follows is not for each evaluation
                    compat.forget_raised(self._ident)
                    self._is_set = False
                return
            except KeyboardInterrupt:
                pass  # too late: what was to be interrupted has ended

    def request(self) -> bool:
        """Have it interrupted as soon as it may be, by deliver(); whether anything runs."""
        self._is_wanted = self._is_running
        return self._is_wanted

    def deliver(self) -> None:
        """Interrupt what runs, if that was requested, and not now if it is shielded. For one other thread at a time."""
        if not self._is_wanted:
            return
        self._is_setting = True
        try:
            if self._is_running and not self._is_shielded and self._is_wanted:
                self._is_wanted = False
                self._is_set = True
                compat.raise_in_thread(self._ident, KeyboardInterrupt)
        finally:
            self._is_setting = False

    def __enter__(self) -> None:
        if compat.get_ident() != self._ident:
            return
        try:
            self._is_shielded = True
            while self._is_setting:
                compat.sleep(0)
            compat.checkpoint()  # what was set before is raised here
            # Code that prints all the time gives up the GIL only while it is shielded: the other side never finds it
            # otherwise.
            if self._is_running and self._is_wanted:
                self._is_wanted = False
                raise KeyboardInterrupt
        except BaseException:
            self._is_shielded = False
            raise

    def __exit__(self, *exc_info: object) -> None:
        if compat.get_ident() == self._ident:
            self._is_shielded = False
