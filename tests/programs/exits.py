"""exits.py RUNTIME HOW [OPTION=VALUE...]: installs, waits for a line on stdin if told to, and ends."""

import ast
import os
import sys

from _runtime import runtime_of
from _tell import tell

import manhole

how = sys.argv[2]
options = {name: ast.literal_eval(value) for name, value in (option.split("=", 1) for option in sys.argv[3:])}
wait = options.pop("wait", False)
options.setdefault("start_timeout", 30)  # on a loaded machine a thread may take longer than the default to begin
runtime = runtime_of(sys.argv[1])
runtime.patch()
# As every application does. Were gevent's hub first made at exit, while a session makes one on its own thread, the two
# would deadlock in gevent's patched import lock.
runtime.sleep(0)
manhole.install(**options)
tell("installed")
if wait:
    sys.stdin.readline()


def falls_off_the_end() -> None:
    pass


def calls_sys_exit() -> None:
    sys.exit(3)


def raises() -> None:
    raise RuntimeError("the application's own")


def is_gone_at_once() -> None:
    os._exit(0)


globals()[how]()
