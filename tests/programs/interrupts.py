"""interrupts.py RUNTIME [OPTION=VALUE...]: has an exception land at each call of install() in turn.

Tells what was left behind by which, then how many there were, and installs a manhole that listens.
"""

import ast
import os
import signal
import sys

from _runtime import runtime_of
from _tell import tell

import manhole
from manhole import compat

runtime = runtime_of(sys.argv[1])
runtime.patch()
options = {name: ast.literal_eval(value) for name, value in (option.split("=", 1) for option in sys.argv[2:])}
HOME = os.path.dirname(manhole.__file__)


class Landed(Exception):
    pass


def interrupt(after):
    """Have Landed raised where that many calls of ours have begun or, those of C functions, returned.

    There it is that the interpreter runs a signal's handler.
    """
    left = after

    def profile(frame, event, _arg):
        nonlocal left
        if event in ("call", "c_return") and frame.f_code.co_filename.startswith(HOME):
            left -= 1
            if left < 0:
                sys.setprofile(None)
                raise Landed

    sys.setprofile(profile)


def is_left_behind():
    try:
        manhole.release()
    except manhole.NotInstalled:
        pass  # as it should be; else it was complete already, which is as good
    return [
        os.path.exists(f"/tmp/manhole-{os.getpid()}"),
        len(compat.own_threads) > 0,
        signal.getsignal(signal.SIGUSR1) != signal.SIG_DFL,
        signal.set_wakeup_fd(-1) != -1,
        len(signal.pthread_sigmask(signal.SIG_BLOCK, ())) > 0,
    ]


manhole.install(verbose=False, **options).release()  # what happens once, such as imports
left_behind = []
calls = 0
while True:
    interrupt(calls)
    try:
        manhole.install(verbose=False, **options)
    except Landed as landed:
        trace = landed.__traceback__
        while trace.tb_next and trace.tb_next.tb_next:  # the last one is our own
            trace = trace.tb_next
        if any(found := is_left_behind()):
            left_behind.append([trace.tb_frame.f_code.co_name, trace.tb_lineno, found])
    else:
        sys.setprofile(None)
        break
    calls += 1
tell(left_behind)
manhole.release()
manhole.install(verbose=False, start_timeout=30)
tell(calls)
runtime.sleep(3600)
