"""The manhole's own messages, where they go nowhere at first and where they are long."""

import os
import queue
import select

import pytest
from harness import DEADLINE

from manhole import compat
from manhole._log import Log


class Sink:
    def __init__(self) -> None:
        self.lines: queue.SimpleQueue[str] = queue.SimpleQueue()

    def write(self, text: str) -> None:
        self.lines.put(text.partition(": ")[2])


def test_a_thread_that_cannot_start_silences_nothing_for_good(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_arguments: object) -> None:
        raise RuntimeError("can't start new thread")

    sink = Sink()
    log = Log(sink, enabled=True)
    with monkeypatch.context() as patch:
        patch.setattr(compat, "start_thread", fail)
        log("first")
    log("second")
    assert [sink.lines.get(timeout=DEADLINE) for _ in range(2)] == ["first\n", "second\n"]


def test_a_line_is_no_longer_than_a_pipe_takes_at_once() -> None:
    read, write = os.pipe()
    Log(write, enabled=True)("é" * select.PIPE_BUF)
    os.close(write)
    with open(read, "rb") as pipe:
        line = pipe.read()
    assert select.PIPE_BUF - 1 <= len(line) <= select.PIPE_BUF
    assert line.decode().endswith("é\n")
