"""The thread beside the sessions."""

import threading
from collections.abc import Callable
from typing import Any

import pytest

from manhole import compat
from manhole._attendant import Attendant


class Session:
    def tend(self) -> bool:
        return True

    def copy(self, text: str, missed: int) -> bool:
        return True

    def send_on(self) -> bool:
        return True


def test_a_thread_that_runs_at_once_finds_the_session_that_it_was_started_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else it ends, and nobody looks after that session or any later one."""
    threads: list[threading.Thread] = []

    def start_thread(function: Callable[[], None], *_more: Any) -> None:
        threads.append(threading.Thread(target=function))
        threads[0].start()
        threads[0].join(0.1)  # a thread that finds nobody has ended by then

    monkeypatch.setattr(compat, "start_thread", start_thread)
    attendant, session = Attendant(), Session()
    assert attendant.attach(session)
    assert threads[0].is_alive()
    attendant.detach(session)
    threads[0].join()


def test_a_system_without_threads_leaves_it_unattended(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_arguments: Any) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(compat, "start_thread", fail)
    attendant, session = Attendant(), Session()
    assert not attendant.attach(session)
    assert not attendant.attach(session)
    monkeypatch.undo()
    assert attendant.attach(session)
    attendant.detach(session)
