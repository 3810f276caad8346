"""waits.py RUNTIME: a unit for each kind of wait; for each line on stdin it tells by name what they wait for."""

import functools
import os
import posix
import queue
import socket
import subprocess
import sys
import threading
import time
import types

from _runtime import runtime_of, unpatched_sleep, unpatched_start
from _tell import tell
from _waits_of import waits_of_units

name = sys.argv[1]
runtime = runtime_of(name)
runtime.patch()
runtime.sleep(0)
idents = {}
things = {}
keep = []


def unit(function):
    def body():
        idents[function.__name__] = threading.get_ident()
        function()

    runtime.spawn(body)


def thing(key, value):
    things[key] = id(value)
    keep.append(value)
    return value


event = thing("event", threading.Event())
semaphore = thing("semaphore", threading.Semaphore(0))
condition = thing("condition", threading.Condition())
empty = thing("get", queue.Queue())
full = thing("put", queue.Queue(1))
full.put(1)
lock = thing("lock", threading.Lock())
one, other = thing("one", threading.RLock()), thing("other", threading.RLock())
listener = socket.create_server(("127.0.0.1", 0))
silent = socket.socket(type=socket.SOCK_DGRAM)
silent.bind(("127.0.0.1", 0))
listener_address = f"127.0.0.1:{listener.getsockname()[1]}"
process = subprocess.Popen(["sleep", "3600"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
holds_one, holds_other = threading.Event(), threading.Event()


@unit
def waits_event():
    event.wait()


@unit
def waits_event_for_a_while():
    event.wait(1000)


@unit
def waits_semaphore():
    semaphore.acquire()


@unit
def waits_condition():
    with condition:
        condition.wait()


@unit
def waits_get():
    empty.get()


@unit
def waits_get_for_a_while():
    empty.get(timeout=1000)


@unit
def waits_put():
    full.put(2)


@unit
def waits_accept():
    listener.accept()


@unit
def waits_process():
    process.wait()


@unit
def waits_sleep():
    time.sleep(1000)


@unit
def holds_lock():
    with lock:
        runtime.sleep(3600)


@unit
def waits_locked():
    lock.acquire()


@unit
def waits_other():
    with one:
        holds_one.set()
        holds_other.wait()
        other.acquire()


@unit
def waits_one():
    with other:
        holds_other.set()
        holds_one.wait()
        one.acquire()


joined = threading.Thread(target=runtime.sleep, args=(3600,), daemon=True)
joined.start()


@unit
def waits_thread():
    joined.join()


@unit
def waits_dns():
    if name == "threads":
        # Written in C, as the real one is, and blocking: nobody reads what is printed.
        never_read = os.fdopen(os.pipe()[1], "w")
        socket._socket = types.SimpleNamespace(getaddrinfo=functools.partial(print, "." * 1_000_000, file=never_read))
    elif name == "gevent":
        import gevent.resolver.thread

        blocking = types.SimpleNamespace(**vars(gevent.resolver.thread._socket))
        blocking.getaddrinfo = lambda *arguments: unpatched_sleep(3600)
        gevent.resolver.thread._socket = blocking
    else:
        from eventlet.support import greendns

        greendns.resolver._resolver.nameservers = ["127.0.0.1"]
        greendns.resolver._resolver.port = silent.getsockname()[1]
        greendns.resolver._resolver.lifetime = greendns.resolver._resolver.timeout = 3600
    socket.getaddrinfo("example.com", 80)


if name == "gevent":
    import gevent
    import gevent.lock
    import gevent.pool
    import gevent.queue
    import gevent.select

    first, second = gevent.spawn(gevent.sleep, 3600), gevent.spawn(gevent.sleep, 3600)
    things.update(first=id(first), second=id(second))
    own_lock = thing("own_lock", gevent.lock.RLock())
    result = thing("result", gevent.event.AsyncResult())
    channel = thing("channel", gevent.queue.Channel())
    near, far = socket.socketpair()
    things["near"] = near.fileno()

    @unit
    def holds_own_lock():
        own_lock.acquire()
        gevent.sleep(3600)

    @unit
    def waits_own_lock():
        own_lock.acquire()

    @unit
    def waits_all():
        gevent.joinall([first, second], timeout=1000)

    @unit
    def waits_joined():
        first.join()

    @unit
    def waits_result():
        result.get(timeout=1000)

    @unit
    def waits_channel():
        channel.put(1)

    @unit
    def waits_pool():
        gevent.get_hub().threadpool.apply(unpatched_sleep, (3600,))

    @unit
    def waits_timeout():
        with gevent.Timeout(1000):
            event.wait()

    @unit
    def waits_select():
        gevent.select.select([near], [], [], 1000)

    @unit
    def waits_recv():
        far.recv(1)


if name == "eventlet":
    import eventlet
    import eventlet.tpool

    first = eventlet.spawn(eventlet.sleep, 3600)
    things.update(first=id(first))
    near, far = socket.socketpair()
    things["near"] = near.fileno()

    @unit
    def waits_joined():
        first.wait()

    @unit
    def waits_pool():
        eventlet.tpool.execute(unpatched_sleep, 3600)

    @unit
    def waits_timeout():
        with eventlet.Timeout(1000):
            event.wait()

    @unit
    def waits_select():
        import select

        select.select([near], [], [], 1000)

    @unit
    def waits_recv():
        far.recv(1)


def answer():
    while posix.read(0, 1):
        waits = waits_of_units()
        tell({unit: waits.get(ident) for unit, ident in list(idents.items())})
    process.kill()


runtime.sleep(0.01)
things["joined"] = joined.ident
tell({"things": things, "idents": idents, "listener": [listener.fileno(), listener_address], "process": process.pid})
unpatched_start(answer, ())
runtime.sleep(3600)
