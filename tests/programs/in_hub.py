"""in_hub.py RUNTIME STATE: a patched process in whose hub sessions run code. They find all this as `__main__`.

STATE is "idle", "busy" (a greenlet computes in slices and yields between), "ticking" (the hub comes round now and
then), "asleep" (nothing to listen to) or "two" (a second hub on a thread).
"""

import _thread
import gc
import sys
import weakref

from _runtime import runtime_of, unpatched_sleep
from _tell import tell

import manhole
from manhole._in_hub import HubCall, find_hub

# Taken before anything is patched.
get_ident, allocate_lock = _thread.get_ident, _thread.allocate_lock
main_ident = get_ident()
runtime = runtime_of(sys.argv[1])
runtime.patch()
gate = allocate_lock()
gate.acquire()
noted = []
ticks = 0
second_ident = 0
kept = []


class Thing:
    """Something that a weak reference can be to."""


def where():
    """Whether it runs on the main thread, and in which class of greenlet."""
    greenlet = type(sys.modules["greenlet"].getcurrent()).__name__
    return get_ident() == main_ident, greenlet


def hold():
    """Keep the hub until a session releases the gate."""
    gate.acquire()  # held


def divide(by):
    return 1 / by


def compute():
    while True:
        divide(1)


def suspend():
    runtime.sleep(3600)


def end():
    raise SystemExit(7)


def begun(function, hub=None):
    """A call that has begun."""
    call = HubCall(function, find_hub(hub))
    call.start()
    while not call.begun:
        unpatched_sleep(0.001)
    return call


def interrupted(function):
    """The class of what a call raises that is interrupted."""
    call = begun(function)
    call.interrupt()
    assert call.wait(20)
    try:
        call.result()
    except BaseException as error:
        return type(error).__name__


def outcome(function, *args, **options):
    """What in_hub() raises, as data."""
    try:
        manhole.in_hub(function, *args, **options)
    except manhole.HubTimeout as error:
        return error.begun, error.hub, error.reason, error.unit, error.file == __file__, error.function
    except BaseException as error:
        return type(error).__name__, str(error)


def leftovers():
    """Whether a value, an exception, a greenlet and what the function held are gone after the calls."""
    references = []

    def value():
        thing = Thing()
        references.append(weakref.ref(thing))
        references.append(weakref.ref(sys.modules["greenlet"].getcurrent()))
        return thing

    def fail():
        thing = Thing()
        references.append(weakref.ref(thing))
        references.append(weakref.ref(sys.modules["greenlet"].getcurrent()))
        raise ValueError(thing)

    manhole.in_hub(value)
    try:
        manhole.in_hub(fail)
    except ValueError:
        pass
    argument = Thing()
    references.append(weakref.ref(argument))
    manhole.in_hub(id, argument)
    del argument
    manhole.in_hub(divide, 1)  # the hub may still have had the last one's callback in a variable
    if not hasattr(sys, "getrefcount"):
        gc.collect()  # PyPy lets go of nothing before
    return [reference() for reference in references]


def computes_in_slices():
    while True:
        for _ in range(1000):
            divide(1)
        runtime.sleep(0)


def tick():
    global ticks
    while True:
        ticks += 1
        runtime.sleep(0.001)


def listen():
    import socket

    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    listener.accept()


def second():
    global second_ident
    second_ident = get_ident()
    tell("second")
    tick()


def ready():
    tell("ready")


manhole.install(verbose=False, start_timeout=30)
state = sys.argv[2]
if state != "asleep":
    runtime.spawn(listen)
if state == "busy":
    runtime.spawn(computes_in_slices)
if state == "ticking":
    runtime.spawn(tick)
if state == "two":
    real_start = __import__("_runtime").unpatched_start
    real_start(second, ())
runtime.spawn(ready)
while True:
    runtime.sleep(3600)
