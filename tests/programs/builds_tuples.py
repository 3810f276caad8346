"""builds_tuples.py LIBRARY: makes tuples out of generators all the time, on two threads, and tells of any error."""

import sys
import threading

from _runtime import runtime_of
from _tell import tell

import manhole

if sys.argv[1] != "threads":
    runtime_of(sys.argv[1]).sleep(0)  # loads greenlet, without patching: the threads are to be real
manhole.install(verbose=False, start_timeout=30)


def build():
    tell("building")
    while True:
        try:
            if tuple(number for number in range(50)) != tuple(range(50)):
                tell("a wrong tuple")
        except SystemError as error:
            tell(repr(error))


for _ in range(2):
    threading.Thread(target=build, daemon=True).start()
threading.Event().wait()
