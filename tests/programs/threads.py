"""threads.py: named threads, and one that `threading` does not know."""

import _thread
import threading

from _tell import tell

import manhole

stop = threading.Event()
started = threading.Semaphore(0)


def body():
    started.release()
    stop.wait()


def raw_body():
    body()


threads = [threading.Thread(target=body, name=f"worker-{number}", daemon=True) for number in (1, 2)]
for thread in threads:
    thread.start()
    started.acquire()
_thread.start_new_thread(raw_body, ())
started.acquire()
manhole.install(verbose=False, start_timeout=30)
tell("ready")
stop.wait()
