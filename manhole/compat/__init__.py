"""What runs in this process, and the primitives that it has not patched."""

from manhole.compat import _asyncio as asyncio_tasks
from manhole.compat import (
    _asyncio_handles,
    _eventlet,
    _eventlet_handles,
    _gevent,
    _gevent_handles,
    _greenlets,
)
from manhole.compat import _asyncio_waits as asyncio_waits
from manhole.compat import _thread_waits as thread_waits
from manhole.compat._async_exceptions import can_raise_in_threads, checkpoint, forget_raised, raise_in_thread
from manhole.compat._contract import (
    Biographer,
    Explainer,
    HubHandle,
    HubHandles,
    Label,
    Labeller,
    Origin,
    Runtime,
    Wait,
)
from manhole.compat._eventlet_wakers import forget_parents_wakers, release_hub_wakers
from manhole.compat._frames import current_frames, iterate_frames
from manhole.compat._greenlets import (
    Slots,
    blind_spots,
    greenlet_classes,
    greenlet_slots,
    in_stack,
    main_greenlet,
    remember_root,
    remembered_roots,
)
from manhole.compat._heap import collect_objects, family_of
from manhole.compat._main_thread_interrupts import interrupt_main_thread, without_interruption
from manhole.compat._originals import (
    ReentrantLock,
    allocate_lock,
    get_ident,
    make_poll,
    monotonic,
    original_socket_class,
    poll_one,
    sleep,
)
from manhole.compat._python_api import load_python_api
from manhole.compat._registry import registry
from manhole.compat._safely import clean_name, code_name, type_name
from manhole.compat._spawns import Spawns
from manhole.compat._threads import (
    ALL_SIGNALS,
    OwnThread,
    current_sigmask,
    forget_dummy_thread,
    forget_parents_threads,
    main_thread_ident,
    native_idents,
    oldest_first,
    own_threads,
    start_thread,
    swap_sigmask,
    thread_ident,
    thread_names,
)
from manhole.compat._throwing import THROWERS

__all__ = [
    "ALL_SIGNALS",
    "RUNTIMES",
    "THROWERS",
    "Biographer",
    "Explainer",
    "HubHandle",
    "Label",
    "Labeller",
    "Origin",
    "OwnThread",
    "ReentrantLock",
    "Runtime",
    "Slots",
    "Spawns",
    "Wait",
    "allocate_lock",
    "asyncio_tasks",
    "asyncio_waits",
    "blind_spots",
    "can_raise_in_threads",
    "checkpoint",
    "clean_name",
    "code_name",
    "collect_objects",
    "current_frames",
    "current_sigmask",
    "family_of",
    "find_hubs",
    "forget_dummy_thread",
    "forget_parents_threads",
    "forget_parents_wakers",
    "forget_raised",
    "get_ident",
    "greenlet_classes",
    "greenlet_slots",
    "has_hub_here",
    "in_stack",
    "interrupt_main_thread",
    "iterate_frames",
    "known_hubs",
    "leave_thread",
    "load_python_api",
    "main_greenlet",
    "main_thread_ident",
    "make_poll",
    "monotonic",
    "native_idents",
    "oldest_first",
    "original_socket_class",
    "own_threads",
    "poll_one",
    "raise_in_thread",
    "registry",
    "release_hub_wakers",
    "remember_root",
    "remembered_roots",
    "sleep",
    "start_thread",
    "swap_sigmask",
    "thread_ident",
    "thread_names",
    "thread_waits",
    "type_name",
    "without_interruption",
]

# The more particular first: each greenlet gets its label from the first that knows it.
RUNTIMES: tuple[Runtime, ...] = (_gevent, _eventlet, _greenlets)

_HANDLES: tuple[HubHandles, ...] = (_gevent_handles, _eventlet_handles, _asyncio_handles)


_known_hubs: dict[int, HubHandle] = {}


def find_hubs() -> list[HubHandle]:
    """Every event loop of this process, whether it is running or not. Goes through all objects: 10 to 50 ns each.

    A hub has the same handle each time.
    """
    makers = {cls: handles.make_handle for handles in _HANDLES for cls in family_of(handles.hub_classes())}
    for loop in collect_objects(set(makers)) if makers else ():
        known = _known_hubs.get(id(loop))
        if known is None or known.is_gone():  # another object may have got the same id
            _known_hubs[id(loop)] = makers[type(loop)](loop)
    return known_hubs()


def known_hubs() -> list[HubHandle]:
    """Those that find_hubs() has found and that are still there; of no cost."""
    for ident, handle in list(_known_hubs.items()):
        if handle.is_gone():
            _known_hubs.pop(ident, None)
    return list(_known_hubs.values())


def has_hub_here() -> bool:
    """Whether the calling thread has a hub of gevent or eventlet. Makes none."""
    return any(runtime.has_hub_here() for runtime in RUNTIMES)


def leave_thread() -> None:
    """Give back all that code run on the calling thread has made for it; for a thread of ours about to end."""
    for runtime in RUNTIMES:
        try:
            runtime.leave_thread()
        except Exception:  # noqa: BLE001 - a library's clean-up failed; the thread ends all the same
            pass
    forget_dummy_thread()
