"""unpatched.py LIBRARY: uses the library and patches nothing."""

import sys

from _tell import tell

import manhole

manhole.install(verbose=False, start_timeout=30)
if sys.argv[1] == "gevent":
    import gevent

    spawn, sleep = gevent.spawn, gevent.sleep
else:
    import eventlet

    spawn, sleep = eventlet.spawn, eventlet.sleep


def works():
    tell("idle")
    sleep(3600)


kept = spawn(works)
sleep(3600)
