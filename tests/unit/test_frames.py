"""Reading the frames of all threads while garbage is collected."""

import gc
import subprocess
import sys
import threading

import pytest
from harness import DEADLINE

from manhole.compat import current_frames

PROGRAM = """
import gc, threading, time
from manhole.compat import current_frames

class Ring:
    def __init__(self): self.me = self
    def __del__(self): time.sleep(0)  # lets go of the GIL

def work():
    for _ in range(2000):
        Ring()
        current_frames()

gc.set_threshold(5)
threads = [threading.Thread(target=work) for _ in range(4)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print('done')
"""


def test_finalizers_that_let_others_run_are_no_deadlock() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=DEADLINE, check=True)
    assert done.stdout == "done\n"


@pytest.mark.parametrize("enabled", [True, False])
def test_the_collector_is_left_as_it_was(enabled: bool) -> None:
    if not enabled:
        gc.disable()
    try:
        assert current_frames()[threading.get_ident()].f_back is sys._getframe()
        assert gc.isenabled() == enabled
    finally:
        gc.enable()
