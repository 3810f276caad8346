"""The three runtimes under one face: patch everything, spawn, sleep, and wait for ever."""

import _thread
import sys
import threading
import time

# Taken before anything is patched.
unpatched_sleep = time.sleep
unpatched_start = _thread.start_new_thread


class Threads:
    def patch(self) -> None:
        pass

    def spawn(self, function, *arguments):
        threading.Thread(target=function, args=arguments, daemon=True).start()

    def sleep(self, seconds):
        time.sleep(seconds)


class Gevent:
    def patch(self) -> None:
        from gevent import monkey

        monkey.patch_all()

    def spawn(self, function, *arguments):
        import gevent

        self.kept = [*getattr(self, "kept", []), gevent.spawn(function, *arguments)]

    def sleep(self, seconds):
        import gevent

        gevent.sleep(seconds)


class Eventlet:
    def patch(self) -> None:
        import eventlet

        eventlet.monkey_patch(all=True, builtins=True)

    def spawn(self, function, *arguments):
        import eventlet

        self.kept = [*getattr(self, "kept", []), eventlet.spawn(function, *arguments)]

    def sleep(self, seconds):
        import eventlet

        eventlet.sleep(seconds)


RUNTIMES = {"threads": Threads, "gevent": Gevent, "eventlet": Eventlet}


def runtime_of(name: str):
    return RUNTIMES[name]()


def loaded_libraries() -> list[str]:
    return [name for name in ("gevent", "eventlet", "greenlet") if name in sys.modules]
