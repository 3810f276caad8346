"""hubs.py LIBRARY: a hub each on four threads: the main one idle, one idle, one busy, one stuck in C."""

import sys
import threading

from _runtime import unpatched_sleep
from _tell import tell

import manhole

manhole.install(verbose=False, start_timeout=30)
if sys.argv[1] == "gevent":
    import gevent

    spawn, sleep = gevent.spawn, gevent.sleep
else:
    import eventlet

    spawn, sleep = eventlet.spawn, eventlet.sleep
idents = {}
there = threading.Semaphore(0)
kept = []


def waits_main():
    sleep(3600)


def waits_idle():
    sleep(3600)


def waits_busy():
    sleep(3600)


def waits_stuck():
    sleep(3600)


def busy():
    there.release()
    while True:
        pass


def idle():
    there.release()
    sleep(3600)


def stuck():
    there.release()
    unpatched_sleep(3600)


def thread(name, then):
    idents[name] = threading.get_ident()
    kept.append(spawn(globals()[f"waits_{name}"]))
    sleep(0.001)
    if name == "busy":
        kept.append(spawn(then))
        sleep(3600)
    then()


for name, then in (("idle", idle), ("stuck", stuck), ("busy", busy)):
    threading.Thread(target=thread, args=(name, then), daemon=True).start()
    there.acquire()


def tell_ready():
    tell("ready")


idents["main"] = threading.get_ident()
kept.append(spawn(waits_main))
tell(idents)
kept.append(spawn(tell_ready))
sleep(3600)
