"""What runs in this process, and the primitives that it has not patched."""

from manhole.compat import _eventlet, _gevent, _greenlets
from manhole.compat._contract import Label, Labeller, Runtime
from manhole.compat._greenlets import (
    Slots,
    blind_spots,
    collect_greenlets,
    greenlet_slots,
    in_stack,
    remember_root,
    remembered_roots,
)
from manhole.compat._originals import allocate_lock, get_ident, make_poll, monotonic, original_socket_class, sleep
from manhole.compat._safely import clean_name, code_name, type_name
from manhole.compat._threads import (
    ALL_SIGNALS,
    OwnThread,
    current_sigmask,
    forget_dummy_thread,
    forget_parents_threads,
    main_thread_ident,
    oldest_first,
    own_threads,
    start_thread,
    thread_ident,
    thread_names,
)

__all__ = [
    "ALL_SIGNALS",
    "RUNTIMES",
    "Label",
    "Labeller",
    "OwnThread",
    "Runtime",
    "Slots",
    "allocate_lock",
    "blind_spots",
    "clean_name",
    "code_name",
    "collect_greenlets",
    "current_sigmask",
    "forget_dummy_thread",
    "forget_parents_threads",
    "get_ident",
    "greenlet_slots",
    "in_stack",
    "leave_thread",
    "main_thread_ident",
    "make_poll",
    "monotonic",
    "oldest_first",
    "original_socket_class",
    "own_threads",
    "remember_root",
    "remembered_roots",
    "sleep",
    "start_thread",
    "thread_ident",
    "thread_names",
    "type_name",
]

# The more particular first: each greenlet gets its label from the first that knows it.
RUNTIMES: tuple[Runtime, ...] = (_gevent, _eventlet, _greenlets)


def leave_thread() -> None:
    """Give back all that code run on the calling thread has made for it; for a thread of ours about to end."""
    for runtime in RUNTIMES:
        try:
            runtime.leave_thread()
        except Exception:  # noqa: BLE001 - a library's clean-up failed; the thread ends all the same
            pass
    forget_dummy_thread()
