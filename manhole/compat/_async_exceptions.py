"""Raises an exception in a thread from outside.

CPython has a C function for it. Where there is none, as on PyPy, the exception waits for the thread to call
checkpoint(), which ours do where they wait or send for a session's code: code that only computes is not reached.
"""

from __future__ import annotations

from manhole.compat._originals import get_ident
from manhole.compat._python_api import python_api

__all__ = ["can_raise_in_threads", "checkpoint", "forget_raised", "raise_in_thread"]

# Where there is no C function: by ident of the thread.
_waiting: dict[int, type[BaseException]] = {}


class _Found(BaseException):
    """What is left for a thread to find, and goes no further."""


def can_raise_in_threads() -> bool:
    """Whether raise_in_thread() reaches code that never calls checkpoint(), which load_python_api() has found out."""
    return python_api() is not None


def raise_in_thread(ident: int, exception: type[BaseException]) -> bool:
    """Have *exception* raised in a thread, before its next step of bytecode; it replaces one that has not got there.

    A thread that is in a C call gets it when the call returns. Whoever calls must see to it that the thread is, and
    stays until then, in code that may be interrupted, and that forget_raised() is called when it leaves that.

    :param ident: of the thread, as `get_ident()` gives it without monkeypatching.
    :returns: whether there is such a thread, as far as this Python can tell.

    May be called from any thread, also for the calling one. Imports nothing, takes no lock of Python's threads.
    """
    api = python_api()
    if api is not None:
        return bool(api.set_async_exc(ident, exception))
    _waiting[ident] = exception
    return True


def checkpoint() -> None:
    """Raise here what raise_in_thread() has left for the calling thread.

    That Python may do so between any two steps does not mean that it has: calling this makes it look.
    """
    if _waiting:
        exception = _waiting.pop(get_ident(), None)
        if exception is not None:
            raise exception


def forget_raised(ident: int) -> None:
    """Take back what raise_in_thread() has left for a thread, if it has not got there. From any thread."""
    _waiting.pop(ident, None)
    api = python_api()
    if api is None:
        return
    api.set_async_exc(ident, api.null)
    # Up to 3.12 all threads look at each step for what is no longer there, until some thread finds something: they are
    # slower, and on 3.11 those that are traced (sys.settrace) do nothing else for ever. So there is something to find.
    try:
        api.set_async_exc(get_ident(), _Found)
        checkpoint()
    except _Found:
        pass
