"""Raises an exception in a thread from outside, by the C function that CPython has for it; PyPy has none."""

from __future__ import annotations

from manhole.compat._python_api import load_python_api, python_api

__all__ = ["can_raise_in_threads", "forget_raised", "raise_in_thread"]


def can_raise_in_threads() -> bool:
    """Whether raise_in_thread() works in this Python. The first call imports ctypes: for install()."""
    return load_python_api() is not None


def raise_in_thread(ident: int, exception: type[BaseException]) -> bool:
    """Have *exception* raised in a thread, before its next step of bytecode; it replaces one that has not got there.

    A thread that is in a C call gets it when the call returns. Whoever calls must see to it that the thread is, and
    stays until then, in code that may be interrupted, and that forget_raised() is called when it leaves that.

    :param ident: of the thread, as `get_ident()` gives it without monkeypatching.
    :returns: whether there is such a thread, and this Python can do it. It cannot before can_raise_in_threads() or
        load_python_api() was called once.

    May be called from any thread, also for the calling one. Imports nothing, takes no lock of Python's threads.
    """
    api = python_api()
    return api is not None and bool(api.set_async_exc(ident, exception))


def forget_raised(ident: int) -> None:
    """Take back what raise_in_thread() has left for a thread, if it has not got there. From any thread."""
    api = python_api()
    if api is not None:
        api.set_async_exc(ident, api.null)
