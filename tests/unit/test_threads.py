"""Starting threads of ours while signals come, and what a forked child knows of its parent's."""

import signal
from collections.abc import Iterator

import pytest

from manhole import compat
from manhole.compat import _threads


class Boom(Exception):
    pass


@pytest.fixture
def raises_on_signal() -> Iterator[None]:
    def handler(*_: object) -> None:
        raise Boom

    before = signal.signal(signal.SIGUSR1, handler)
    yield
    signal.signal(signal.SIGUSR1, before)


@pytest.mark.usefixtures("raises_on_signal")
def test_a_handler_that_raises_does_not_leave_the_signals_blocked(monkeypatch: pytest.MonkeyPatch) -> None:
    """The signal comes after the last bytecode before the mask is changed, so that the change runs the handler."""
    real = _threads._signal.pthread_sigmask

    def hit(how: int, mask: object) -> object:
        if mask is not compat.ALL_SIGNALS:
            return real(how, mask)
        real(signal.SIG_BLOCK, {signal.SIGUSR1})
        signal.raise_signal(signal.SIGUSR1)  # stays pending
        real(signal.SIG_BLOCK, mask)
        return real(signal.SIG_UNBLOCK, {signal.SIGUSR1})

    before = compat.current_sigmask()
    monkeypatch.setattr(_threads._signal, "pthread_sigmask", hit)
    try:
        with pytest.raises(Boom):
            compat.start_thread(lambda: None, "never begun", ())
        monkeypatch.undo()
        assert compat.current_sigmask() == before
    finally:
        real(signal.SIG_SETMASK, before)
