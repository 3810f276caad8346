"""stays_away.py gevent|eventlet|asyncio STATE FOLDER: a hub that stays away from its loop when told to; it is watched.

Commands come on stdin, one a line, read by an OS thread that no library has patched.
"""

import hashlib
import os
import posix
import sys
import time

from _runtime import runtime_of, unpatched_start
from _tell import tell

import manhole
from manhole import _dumps, _watchdog

SECONDS = 0.4
name, state, folder = sys.argv[1:4]
said = []  # by the test
looks = [0]  # how often the watchdog has looked
returns = []  # after how many looks the hub may come back


def read_commands() -> None:
    while line := posix.read(0, 100):
        said.extend(line.decode().splitlines())


def is_said(command: str) -> bool:
    if command in said:
        said.remove(command)
        return True
    return False


def may_come_back():
    """Whether the test has said so, and the watchdog has looked some more times since: it must not dump again."""
    if is_said("come back"):
        returns.append(looks[0] + 4)
    return bool(returns) and looks[0] >= returns[-1]


def stay_busy() -> None:
    while not may_come_back():
        pass


def stay_in_c() -> None:
    while not may_come_back():
        hashlib.pbkdf2_hmac("sha256", b"", b"", 100_000)


def finished_search() -> bool:
    """Whether the watchdog has seen every hub in its loop."""
    watched = manhole_installed._watchdog._watched
    return bool(watched) and all(one.known for one in watched)


def steps():
    """What the hub's greenlet or task does, with a pause in the loop at each yield, for so many seconds."""
    while not finished_search():
        yield 0.01
    tell("in its loop")
    while True:
        yield 0.01
        if is_said("stay away"):
            returns.clear()
            tell(time.time())
            globals()[f"stay_{state}"]()
            before = looks[0]
            while looks[0] < before + 3:  # looked at in its loop
                yield 0.01
            tell("back")
        elif is_said("wait"):
            yield SECONDS * 4
            tell("wait")
        elif is_said("switch"):
            end = time.monotonic() + SECONDS * 4
            while time.monotonic() < end:
                yield 0
            tell("switch")


look = _watchdog.Watchdog._look


def counting_look(self) -> None:
    look(self)
    looks[0] += 1


_watchdog.Watchdog._look = counting_look
_dumps.SECONDS_BETWEEN = 0  # no pause between dumps
unpatched_start(read_commands, ())
options = {"watchdog": SECONDS, "dump_to": os.path.join(folder, "dump-{pid}-{time}.txt"), "verbose": False}
if name == "asyncio":
    import asyncio

    manhole_installed = manhole.install(**options)

    async def main() -> None:
        for pause in steps():
            await asyncio.sleep(pause)

    asyncio.run(main())
else:
    runtime = runtime_of(name)
    runtime.patch()
    manhole_installed = manhole.install(**options)

    def work() -> None:
        for pause in steps():
            runtime.sleep(pause)

    runtime.spawn(work)
    while True:
        runtime.sleep(3600)
