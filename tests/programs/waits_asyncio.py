"""waits_asyncio.py: a task for each kind of wait; for each line on stdin it tells by name what they wait for."""

import asyncio
import posix
import socket
import sys
import time

from _runtime import unpatched_start
from _tell import tell
from _waits_of import waits_of_units

things = {}
tasks = {}


async def sleeps():
    await asyncio.sleep(1000)


async def within(awaitable):
    await awaitable


async def waits_condition(condition):
    async with condition:
        await condition.wait()


async def in_group():
    async with asyncio.TaskGroup() as group:
        group.create_task(sleeps())


async def waits_process():
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", "input()", stdin=-1)
    await process.wait()


async def main():
    loop = asyncio.get_running_loop()

    def unit(name, coroutine, thing=None):
        tasks[name] = asyncio.create_task(coroutine)
        things[name] = id(thing)

    unit("sleeps", sleeps())
    slept = tasks["sleeps"]
    things["sleeps"] = id(slept)
    lock, event, semaphore, condition = asyncio.Lock(), asyncio.Event(), asyncio.Semaphore(0), asyncio.Condition()
    empty, full = asyncio.Queue(), asyncio.Queue(1)
    await lock.acquire()
    await full.put(1)
    unit("locks", within(lock.acquire()), lock)
    unit("gets", within(empty.get()), empty)
    unit("puts", within(full.put(2)), full)
    unit("waits_event", within(event.wait()), event)
    unit("waits_semaphore", within(semaphore.acquire()), semaphore)
    unit("waits_condition", waits_condition(condition), condition)
    unit("awaits_task", within(slept))
    unit("gathers", within(asyncio.gather(slept)))
    unit("waits_for_one", within(asyncio.wait_for(sleeps(), 1000)))
    unit("waits_several", within(asyncio.wait([slept])))
    near, far = socket.socketpair()
    near.setblocking(False)
    unit("receives", within(loop.sock_recv(near, 1)))
    things["receives"] = near.fileno()
    listener = socket.create_server(("127.0.0.1", 0))
    reader, writer = await asyncio.open_connection(*listener.getsockname())
    unit("reads_stream", within(reader.read(1)))
    things["reads_stream"] = "{}:{}".format(*listener.getsockname())
    unit("in_executor", within(loop.run_in_executor(None, time.sleep, 3600)))
    unit("to_thread", within(asyncio.to_thread(time.sleep, 3600)))
    unit("waits_process", waits_process())
    if sys.version_info >= (3, 11):
        unit("in_group", in_group())
    things["names"] = list(tasks)
    tell({"things": things})
    unpatched_start(answer, ())
    kept = far, writer, listener
    await asyncio.sleep(3600)
    del kept


def answer():
    while posix.read(0, 1):
        waits = waits_of_units()
        tell({name: waits.get(id(task)) for name, task in tasks.items()})


asyncio.run(main())
