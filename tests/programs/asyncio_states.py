"""asyncio_states.py STATE: tasks that wait or have ended, and a loop that idles or is kept by a task or callback."""

import asyncio
import sys
import threading
import time

from _tell import tell

import manhole

kept = []


async def inner() -> None:
    await asyncio.sleep(3600)


async def outer() -> None:
    await inner()


async def ends() -> None:
    pass


async def keep_the_loop() -> None:
    tell("in state")
    while True:
        pass


def sleep_in_the_loop() -> None:
    tell("in state")
    time.sleep(3600)


def other_loop() -> None:
    asyncio.run(outer())


async def main() -> None:
    manhole.install(verbose=False, start_timeout=30)
    kept.extend(asyncio.create_task(outer()) for _ in range(3))
    kept.append(asyncio.create_task(inner(), name="a name"))
    kept.append(asyncio.create_task(ends()))
    threading.Thread(target=other_loop, daemon=True).start()
    await kept[-1]
    state = sys.argv[1]
    if state == "task":
        kept.append(asyncio.create_task(keep_the_loop()))
    elif state == "callback":
        asyncio.get_running_loop().call_soon(sleep_in_the_loop)
    else:
        tell("in state")
    await asyncio.sleep(3600)


asyncio.run(main())
