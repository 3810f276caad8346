"""The functions of CPython's C API that there is no Python for; PyPy has none of them.

`ctypes` costs 1 to 10 ms to import, so it is not imported along with the package: install() calls load_python_api(),
and nothing is imported later.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = ["PythonApi", "load_python_api", "python_api"]


class PythonApi:
    """The functions. They keep the GIL while they run.

    :ivar set_async_exc: PyThreadState_SetAsyncExc: ident of a thread, and an exception class or `null`; how many it
        was set in.
    :ivar add_pending_call: Py_AddPendingCall: address of a function, and an object, which must live until it was
        called with it; 0 if it will be.
    :ivar is_true: the address of PyObject_IsTrue.
    :ivar null: no object.
    """

    def __init__(self, ctypes: Any) -> None:
        library = ctypes.pythonapi

        def function(name: str, *types: Any) -> Callable[..., int]:
            found: Any = library[name]  # as an item a fresh one; the attribute, and its types, are everybody's
            found.argtypes = types
            call: Callable[..., int] = found
            return call

        self.set_async_exc = function("PyThreadState_SetAsyncExc", ctypes.c_ulong, ctypes.py_object)
        self.add_pending_call = function("Py_AddPendingCall", ctypes.c_void_p, ctypes.py_object)
        self.is_true = ctypes.cast(library["PyObject_IsTrue"], ctypes.c_void_p)
        self.null = ctypes.py_object()


_loaded: list[PythonApi | None] = []


def load_python_api() -> PythonApi | None:
    """The functions; None in a Python without. The first call imports ctypes: for install(). Twice is harmless."""
    if not _loaded:
        try:
            import ctypes

            _loaded.append(PythonApi(ctypes))
        except OSError:
            return None  # no descriptor is left to import with, which need not be so the next time
        except (ImportError, AttributeError):  # a Python may be built without ctypes, or not be CPython
            _loaded.append(None)
    return _loaded[0]


def python_api() -> PythonApi | None:
    """The functions, if load_python_api() has loaded them. Imports nothing."""
    return _loaded[0] if _loaded else None
