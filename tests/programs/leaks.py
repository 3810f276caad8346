"""leaks.py RUNTIME: a process with a manhole and a ticker of 1 ms; for each line on stdin it tells what there is.

"count": the numbers of objects by type, after a collection; "lateness": the worst lateness of a tick since the last
time, in seconds, and the largest resident size that the process ever had, in kilobytes.
"""

import gc
import os
import resource
import select
import sys
import time
from collections import Counter

from _runtime import runtime_of
from _tell import tell

import manhole

runtime = runtime_of(sys.argv[1])
poll = select.poll()  # the system's own, which is not there any more afterwards
runtime.patch()
manhole.install(verbose=False, start_timeout=30, max_sessions=200)
worst = 0.0


def tick() -> None:
    global worst
    while True:
        began = time.monotonic()
        runtime.sleep(0.001)
        worst = max(worst, time.monotonic() - began - 0.001)


def count() -> dict[str, int]:
    for _ in range(3):
        gc.collect()
    return dict(Counter(f"{type(one).__module__}.{type(one).__qualname__}" for one in gc.get_objects()))


runtime.spawn(tick)
runtime.sleep(0.01)
tell("ready")
poll.register(0, select.POLLIN)
while True:
    if not poll.poll(0):
        runtime.sleep(0.005)
        continue
    line = os.read(0, 100)
    if line == b"count\n":
        tell(count())
    else:
        tell([worst, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss])
        worst = 0.0
