"""A process with a way in, for `sessions.py`: python benchmarks/_server.py KIND STATE; it prints where, and stays.

KIND: ours-threads, ours-gevent, rival (python-manhole, in plain threads), backdoor (gevent.backdoor).
STATE: idle; busy: the main thread computes and never waits, as a greenlet that yields now and then under gevent.
"""

# ruff: noqa: E402 - all that follows sees the patched modules, as an application does

import sys

kind, state = sys.argv[1:3]
is_green = kind in ("ours-gevent", "backdoor")
if is_green:
    from gevent import monkey

    monkey.patch_all()

import os
import time

if kind == "backdoor":
    from gevent.backdoor import BackdoorServer

    server = BackdoorServer(("127.0.0.1", 0), locals={})
    server.start()
    where = server.server_port
else:
    import manhole

    manhole.install(verbose=False)
    where = f"/tmp/manhole-{os.getpid()}"


def compute() -> None:
    deadline = time.monotonic() + 0.001
    while not is_green or time.monotonic() < deadline:
        pass


print(where, flush=True)
if state == "idle":
    time.sleep(3600)
while True:
    compute()
    time.sleep(0)
