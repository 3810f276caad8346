"""switches.py RUNTIME: 2,000 greenlets (or 50 threads) that switch all the time, until stdin says stop.

Then tells what of them is still alive: each has a local object, and a frame or a greenlet that somebody holds keeps it.
"""

import gc
import posix
import sys
import threading
import weakref

from _runtime import runtime_of, unpatched_start
from _tell import tell

import manhole

name = sys.argv[1]
runtime = runtime_of(name)
runtime.patch()
manhole.install(verbose=False, start_timeout=30)

stopping = False
locals_of_units = weakref.WeakSet()
units = weakref.WeakSet()


class Local:
    pass


def level_0():
    mine = Local()
    locals_of_units.add(mine)
    while not stopping:
        level_1()


def level_1():
    level_2()


def level_2():
    level_3()


def level_3():
    level_4()


def level_4():
    runtime.sleep(0)


def spawn():
    if name == "threads":
        thread = threading.Thread(target=level_0)
        thread.start()
    elif name == "gevent":
        import gevent

        thread = gevent.spawn(level_0)
    else:
        import eventlet

        thread = eventlet.spawn(level_0)
    units.add(thread)


for _ in range(50 if name == "threads" else 2000):
    spawn()


def read_stop():
    """On a thread of the kernel's, for the hub never comes to rest here."""
    global stopping
    posix.read(0, 5)
    stopping = True


unpatched_start(read_stop, ())
tell("switching")
while not stopping or len(locals_of_units):
    runtime.sleep(0)
    if stopping:
        gc.collect()  # PyPy lets go of nothing before
tell({"units alive": sum(not getattr(unit, "dead", True) for unit in units), "frames alive": len(locals_of_units)})
runtime.sleep(3600)
