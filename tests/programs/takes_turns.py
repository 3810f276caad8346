"""takes_turns.py RUNTIME: twenty greenlets that compute for ten milliseconds each, one after the other, for ever."""

import sys
import time

from _runtime import runtime_of
from _tell import tell

import manhole

runtime = runtime_of(sys.argv[1])
runtime.patch()
manhole.install(verbose=False, start_timeout=30)


def take_turns():
    while True:
        end = time.monotonic() + 0.01
        while time.monotonic() < end:
            pass
        runtime.sleep(0)


for _ in range(20):
    runtime.spawn(take_turns)
runtime.spawn(tell, "taking turns")
runtime.sleep(3600)
