"""Exceptions from another thread where Python has no function for it, as on PyPy."""

import threading

import pytest

from manhole import compat
from manhole.compat import _async_exceptions


@pytest.fixture(autouse=True)
def _without_python_api(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_async_exceptions, "python_api", lambda: None)


def test_it_is_raised_at_the_next_checkpoint_and_once() -> None:
    assert not compat.can_raise_in_threads()
    assert compat.raise_in_thread(compat.get_ident(), KeyboardInterrupt)
    with pytest.raises(KeyboardInterrupt):
        compat.checkpoint()
    compat.checkpoint()


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


def test_it_can_be_taken_back() -> None:
    compat.raise_in_thread(compat.get_ident(), KeyboardInterrupt)
    compat.forget_raised(compat.get_ident())
    compat.checkpoint()
