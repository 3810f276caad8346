"""One unit as text, in each runtime: while it waits, while it runs, and when it is gone."""

from collections.abc import Callable
from typing import Any

import pytest
from harness import RUNTIME

Do = Callable[[str], Any]

# What is inspected. `go` and `arrived` are the runtime's own, by patching.
PREPARE = """
import gc, threading, weakref
from manhole import compat
from manhole._errors import NoSuchFrame, NoSuchUnit
from manhole._inspect import format_locals, format_unit

go = [threading.Event(), threading.Event()]
arrived = [threading.Event() for _ in range(3)]
idents = []

class Thing:
    def __repr__(self):
        return "<the thing>"

class Secret(Exception):
    pass

class Unreadable:
    def __repr__(self):
        raise Secret

def ident_of_this_unit():
    greenlet = sys.modules.get("greenlet")
    current = greenlet.getcurrent() if greenlet else None
    return id(current) if current is not None and current.parent is not None else compat.get_ident()

def work(first, second=2, *rest, **more):
    thing = Thing()
    references.append(weakref.ref(thing))
    unreadable = Unreadable()
    long = list(range(1000))
    idents.append(ident_of_this_unit())
    arrived[0].set()
    go[0].wait()  # waits here
    del thing
    arrived[1].set()
    go[1].wait()
    arrived[2].set()

def spawn_it():
    runtime.spawn(work, "one", "two", "three")
    arrived[0].wait()

references = []
"""


@pytest.fixture
def prepared(do: Do) -> Do:
    assert do(f"exec({PREPARE!r}, globals())") is None
    assert do("spawn_it()") is None
    return do


def number_of(lines: list[str], function: str) -> int:
    return next(int(line.split()[0]) for line in lines if line.endswith(f" in {function}"))


def test_a_unit_is_shown_with_its_variables_and_where_it_comes_from(prepared: Do) -> None:
    lines = prepared("answer = list(format_unit(idents[0]))")
    kind = {"threads": "ThreadID=", "gevent": "--- Greenlet work", "eventlet": "--- GreenThread"}[RUNTIME]
    assert kind in lines[0]
    begin = next(number for number, line in enumerate(lines) if line.endswith(" in work"))
    assert lines[begin + 1 : begin + 7] == [
        "        first = 'one'",
        "        second = 'two'",
        "        rest = ('three',)",
        "        more = {}",
        "        thing = <the thing>",
        "        unreadable = <repr failed: Secret>",
    ]
    assert lines[begin + 7].startswith("        long = [0, 1, 2")
    assert lines[begin + 7].endswith("...")
    if RUNTIME == "gevent":
        assert any(line.startswith("Spawned by ") for line in lines)
        spawned = lines.index("Spawned at, the outermost frame first:")
        stack = lines.index("Its stack, the outermost frame first:")
        assert any(line.endswith(" in spawn_it") for line in lines[spawned:stack])


def test_a_frame_is_shown_with_all_its_variables(prepared: Do) -> None:
    number = number_of(prepared("answer = list(format_unit(idents[0]))"), "work")
    lines = prepared(f"answer = list(format_locals(idents[0], {number}))")
    assert lines[0].startswith(f"{number:>3} File ")
    assert "        first = 'one'" in lines
    assert not any(line.endswith(" in spawn_it") for line in lines)


def test_a_frame_that_there_is_not(prepared: Do) -> None:
    for number in (-1, 1000):
        name, message = prepared(f"format_locals(idents[0], {number})")
        assert name == "NoSuchFrame"
        assert "0 (outermost)" in message


def test_a_unit_that_there_is_not(do: Do) -> None:
    do(f"exec({PREPARE!r}, globals())")
    for call in ("format_unit(12345)", "format_locals(12345, 0)"):
        name, message = do(call)
        assert name == "NoSuchUnit"
        assert "0x3039" in message


def test_nothing_is_kept_alive(prepared: Do) -> None:
    """It goes on afterwards, lets go of an object, and stands in another place of the same frame."""
    prepared("list(format_unit(idents[0]))")
    prepared("go[0].set(); arrived[1].wait()")
    prepared("gc.collect()")
    assert prepared("answer = references[0]() is None") is True
    prepared("go[1].set(); arrived[2].wait(); gc.collect()")


def test_it_goes_on_with_all_its_variables(prepared: Do) -> None:
    prepared("list(format_unit(idents[0])); list(format_locals(idents[0], 0))")
    assert prepared("go[0].set(); go[1].set(); arrived[2].wait(); answer = 'ended'") == "ended"


def test_the_main_thread_is_shown_and_keeps_its_names(prepared: Do) -> None:
    """Its frames are of modules: what they show are their real namespaces."""
    lines = prepared("answer = list(format_unit(compat.main_thread_ident()))")
    assert "MainThread" in lines[0]
    assert any(line.endswith(" in <module>") for line in lines)
    assert not any("_inspect.py" in line for line in lines)  # what the manhole does there is of no use
    number = number_of(lines, "<module>")
    shown = prepared(f"answer = list(format_locals(compat.main_thread_ident(), {number}))")
    assert any("runtime = " in line for line in shown)
    assert prepared("answer = len(idents)") == 1


def test_a_unit_that_runs_is_shown_by_its_thread(do: Do) -> None:
    do(f"exec({PREPARE!r}, globals())")
    source = """
def runs(number):
    answers.append(list(format_unit(ident_of_this_unit())))
    arrived[0].set()

answers = []
runtime.spawn(runs, 77)
arrived[0].wait()
"""
    do(f"exec({source!r}, globals())")
    lines = do("answer = answers[0]")
    assert any(line.endswith(" in runs") for line in lines)
    assert "        number = 77" in lines


def test_it_can_be_asked_for_from_another_thread_while_the_main_thread_is_busy(prepared: Do) -> None:
    source = """
def ask():
    answers.append(list(format_unit(idents[0])))
    answers.append(list(format_unit(compat.main_thread_ident())))

answers = []

def be_busy(until):
    compat.start_thread(ask, "asks", ())
    while len(answers) < until:
        pass

be_busy(2)
"""
    do = prepared
    do(f"exec({source!r}, globals())")
    unit, main = do("answer = answers")
    assert "        first = 'one'" in unit
    assert "        until = 2" in main
    assert any(line.endswith(" in be_busy") for line in main)


@pytest.mark.skipif(RUNTIME == "threads", reason="a thread that has ended is gone")
def test_a_finished_one_has_no_stack(prepared: Do) -> None:
    prepared("go[0].set(); go[1].set(); arrived[2].wait(); runtime.sleep(0.01)")
    lines = prepared("answer = list(format_unit(idents[0]))")
    assert "finished" in lines[0]
    assert lines[-1] == "It has no stack to show."


@pytest.mark.skipif(RUNTIME != "gevent", reason="only gevent tells of its spawns")
def test_a_registry_is_asked_first_and_the_heap_for_what_it_does_not_know(do: Do) -> None:
    do(f"exec({PREPARE!r}, globals())")
    do("compat.registry.start([]); spawn_it(); import greenlet")
    do("raw = greenlet.greenlet(lambda mark: greenlet.getcurrent().parent.switch(mark)); raw.switch(5)")
    assert "        first = 'one'" in do("answer = list(format_unit(idents[0]))")
    assert "        mark = 5" in do("answer = list(format_unit(id(raw)))")
    do("compat.registry.stop(); raw.switch()")
