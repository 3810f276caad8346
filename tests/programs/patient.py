"""patient.py RUNTIME before|after STATE [OPTION=VALUE...]: a process with a manhole, in one of the states of a hang.

Tells what `threading` lists before and after install(), which libraries are loaded, and then, from inside the state,
that it is in it.
"""

import ast
import os
import sys
import threading

from _runtime import loaded_libraries, runtime_of, unpatched_sleep
from _tell import tell

import manhole

runtime = runtime_of(sys.argv[1])
when, state = sys.argv[2:4]
options = {name: ast.literal_eval(value) for name, value in (option.split("=", 1) for option in sys.argv[4:])}


def install() -> None:
    if "BECOME" in os.environ:
        runtime.sleep(0)  # loads what it needs while it may
        os.setuid(int(os.environ["BECOME"]))
    before = [threading.active_count(), len(threading.enumerate())]
    options.setdefault("verbose", False)
    options.setdefault("start_timeout", 30)  # on a loaded machine a thread may take longer than the default to begin
    manhole.install(**options)
    tell({"before": before, "after": [threading.active_count(), len(threading.enumerate())]})


def parked(seconds: float) -> None:
    runtime.sleep(seconds)  # parked here


def the_state() -> None:
    globals()[f"be_{state}"]()


def be_idle() -> None:
    tell("in state")
    runtime.sleep(3600)


def be_ticking() -> None:
    tell("in state")
    while True:
        runtime.sleep(0.02)
        tell("tick")


def be_stuck_in_c() -> None:
    """In C code that has let go of the GIL and never looks for signals."""
    import hashlib

    tell("in state")
    hashlib.pbkdf2_hmac("sha256", b"", b"", 2**31 - 1)


def be_busy() -> None:
    tell("in state")
    while True:
        pass


def be_in_c_sleep() -> None:
    tell("in state")
    unpatched_sleep(3600)


def be_holding_the_logging_lock() -> None:
    import logging

    logging._lock.acquire()
    tell("in state")
    runtime.sleep(3600)


def be_holding_the_import_lock() -> None:
    import _imp

    _imp.acquire_lock()
    tell("in state")
    unpatched_sleep(3600)


def be_waiting_for_a_lock() -> None:
    lock = threading.Lock()
    lock.acquire()
    tell("in state")
    lock.acquire()


if when == "before":
    install()
runtime.patch()
if when == "after":
    install()
tell(loaded_libraries())
for _ in range(3):
    runtime.spawn(parked, 3600)
runtime.sleep(0.001)  # lets them get there
if state == "ticking":
    the_state()  # on the main thread: what stops that one stops the ticks
runtime.spawn(the_state)
runtime.sleep(3600)
