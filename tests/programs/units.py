"""units.py RUNTIME: greenlets and threads of every kind and state under names that a test can look for."""

import sys
import time

from _runtime import runtime_of
from _tell import tell

import manhole

name = sys.argv[1]
runtime = runtime_of(name)
runtime.patch()
manhole.install(verbose=False, start_timeout=30)
keep = []


class Hostile:
    """Every way to run code of the application by looking at one of its objects; each tells on itself."""

    @property
    def __class__(self):
        tell("__class__ ran")

    @property
    def __name__(self):
        tell("__name__ ran")

    def __getattr__(self, attribute):
        tell(f"__getattr__({attribute}) ran")
        raise AttributeError(attribute)

    def __repr__(self):
        tell("__repr__ ran")
        return "hostile"

    __str__ = __repr__

    def __eq__(self, other):
        tell("__eq__ ran")
        return False

    def __hash__(self):
        tell("__hash__ ran")
        return 1

    def __call__(self):
        sleeps_inside(3600)


def sleeps_inside(seconds):
    runtime.sleep(seconds)  # asleep here


def outer(seconds):
    middle(seconds)


def middle(seconds):
    sleeps_inside(seconds)


def add_green_units():
    import greenlet

    class Raw(greenlet.greenlet):
        def __repr__(self):
            tell("__repr__ of a greenlet ran")

        @property
        def gr_frame(self):
            tell("gr_frame ran")

    def raw_body():
        greenlet.getcurrent().parent.switch()

    raw = Raw(raw_body)
    raw.switch()
    finished = greenlet.greenlet(lambda: None)
    finished.switch()
    keep.extend([raw, finished, greenlet.greenlet(raw_body)])
    if name == "gevent":
        import gevent

        named = gevent.spawn(sleeps_inside, 3600)
        named.name = "a name\nof two lines"
        keep.append(named)
        keep.append(gevent.Greenlet(outer, 1))


runtime.spawn(outer, 3600)
runtime.spawn(Hostile() if name == "gevent" else Hostile().__call__)  # threading itself asks for a __name__
if name != "threads":
    add_green_units()
runtime.sleep(0.01)


def in_the_end():
    tell("ready")
    while True:  # runs here
        time.monotonic()


runtime.spawn(in_the_end)
runtime.sleep(3600)
