"""Raises an exception in one particular call on the main thread while it computes, and never in anything else.

The problem: a greenlet that does not yield shares its thread with the whole application, and an exception that is
raised "in the thread" hits whichever greenlet happens to run when it gets there.

What does not work:
- A signal: its handler is the application's, and the kernel's to deliver to any thread.
- PyThreadState_SetAsyncExc for the main thread: between the look at what runs there and the delivery it may switch.
- The same from a pending call on the thread itself: the exception is raised in the pending call before it returns.
- A ctypes callback that raises: ctypes prints the exception and drops it.

What does: CPython runs pending calls (Py_AddPendingCall) on the main thread between two steps of bytecode, on top of
the frame that runs there, and raises in it what a pending call raises. PyObject_IsTrue is a C function of the right
shape that runs `__bool__`, and passes on its exception. So the look and the raise are one step on the thread itself.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable
from types import FrameType, TracebackType

from manhole.compat._python_api import python_api

__all__ = ["interrupt_main_thread", "without_interruption"]

Ask = Callable[[FrameType], "type[BaseException] | None"]


class _Asker:
    """The argument of the pending calls. C holds no reference to it, so it must live for ever."""

    def __init__(self) -> None:
        self.questions: deque[Ask] = deque()

    def __bool__(self) -> bool:
        frame = sys._getframe().f_back  # None at the very end of the process
        ask = self.questions.popleft() if self.questions and frame is not None else None
        exception = None if ask is None or frame is None else ask(frame)
        del ask, frame
        if exception is not None:
            raise exception
        return False  # any other value is an error


_asker = _Asker()


def interrupt_main_thread(ask: Ask) -> bool:
    """Have *ask* called on the main thread, soon, with the frame that runs there; what it answers is raised in it.

    :param ask: must raise nothing of its own, neither block nor switch greenlets; None: nothing is raised.
    :returns: whether it will be called: not on PyPy, not before load_python_api(), and not while 32 others wait.

    May be called from any thread.
    """
    api = python_api()
    if api is None:
        return False
    _asker.questions.append(ask)
    if api.add_pending_call(api.is_true, _asker) == 0:
        return True
    try:
        _asker.questions.remove(ask)
    except ValueError:  # another's pending call has come to it
        return True
    return False


def without_interruption(traceback: TracebackType | None) -> None:
    """Cut off the end of a traceback what belongs to the raising here, rather than to the code that was interrupted."""
    while traceback is not None and traceback.tb_next is not None:
        if traceback.tb_next.tb_frame.f_code is _Asker.__bool__.__code__:
            traceback.tb_next = None
        traceback = traceback.tb_next
