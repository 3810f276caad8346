"""in_hub_asyncio.py [SIGNAL]: a loop on the main thread and one on another, for sessions, which find all this as
`__main__`; SIGNAL has it wait for a oneshot.
"""

import asyncio
import contextvars
import sys
import threading
import time

from _tell import tell

import manhole
from manhole._in_hub import HubCall, find_hub

variable = contextvars.ContextVar("variable", default="unset")
gate = threading.Lock()
gate.acquire()
noted = []
ticks = 0


def where():
    return threading.current_thread().name


async def task_where():
    await asyncio.sleep(0)
    return threading.current_thread().name, asyncio.current_task() is not None


async def get_variable():
    await asyncio.sleep(0)
    return variable.get()


async def suspend():
    await asyncio.sleep(3600)


async def compute_in_task():
    await asyncio.sleep(0)
    compute()


def compute():
    while True:
        divide(1)


def divide(by):
    return 1 / by


async def divide_in_task(by):
    await asyncio.sleep(0)
    return divide(by)


async def end():
    raise SystemExit(7)


def hold():
    gate.acquire()


def begun(function):
    call = HubCall(function, find_hub())
    call.start()
    while not call.begun:
        time.sleep(0.001)
    return call


def interrupted(function):
    call = begun(function)
    call.interrupt()
    assert call.wait(20)
    return outcome(call.result)


def outcome(function):
    try:
        return function()
    except manhole.HubTimeout as error:
        return error.begun, error.hub, error.reason, error.function
    except BaseException as error:
        return type(error).__name__, str(error)


async def tick():
    global ticks
    while True:
        ticks += 1
        await asyncio.sleep(0.001)


async def main(ready):
    ticking = asyncio.create_task(tick())
    ready()
    await ticking


manhole.install(verbose=False, start_timeout=30, oneshot_on=int(sys.argv[1]) if sys.argv[1:] else None)
there = threading.Event()
threading.Thread(target=lambda: asyncio.run(main(there.set)), name="other", daemon=True).start()
there.wait()
asyncio.run(main(lambda: tell("ready")))
