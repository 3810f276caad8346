"""Exceptions from another thread, also where Python has no function for it, as on PyPy."""

import subprocess
import sys
import threading

import pytest

from manhole import compat
from manhole.compat import _async_exceptions


@pytest.fixture
def _without_python_api(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_async_exceptions, "python_api", lambda: None)


@pytest.mark.usefixtures("_without_python_api")
def test_it_is_raised_at_the_next_checkpoint_and_once() -> None:
    assert not compat.can_raise_in_threads()
    assert compat.raise_in_thread(compat.get_ident(), KeyboardInterrupt)
    with pytest.raises(KeyboardInterrupt):
        compat.checkpoint()
    compat.checkpoint()


@pytest.mark.usefixtures("_without_python_api")
def test_it_is_raised_in_that_thread_alone() -> None:
    other = threading.Thread(target=lambda: compat.raise_in_thread(ident, KeyboardInterrupt))
    ident = compat.get_ident()
    other.start()
    other.join()
    another = threading.Thread(target=compat.checkpoint)  # an exception there would fail the test as a warning
    another.start()
    another.join()
    with pytest.raises(KeyboardInterrupt):
        compat.checkpoint()


@pytest.mark.usefixtures("_without_python_api")
def test_it_can_be_taken_back() -> None:
    compat.raise_in_thread(compat.get_ident(), KeyboardInterrupt)
    compat.forget_raised(compat.get_ident())
    compat.checkpoint()


TRACED = """
import sys, threading
from manhole import compat

compat.load_python_api()
end = threading.Event()
other = threading.Thread(target=end.wait)
other.start()
compat.raise_in_thread(other.ident, KeyboardInterrupt)
compat.forget_raised(other.ident)
seen = []
sys.settrace(lambda frame, event, arg: seen.append(event))
compat.checkpoint()
sys.settrace(None)
end.set()
other.join()
assert seen
"""


def test_what_was_taken_back_does_not_hold_up_traced_code() -> None:
    """On 3.11 it would for ever, in all threads, beyond the reach of any signal's handler."""
    subprocess.run([sys.executable, "-c", TRACED], check=True, timeout=30)
