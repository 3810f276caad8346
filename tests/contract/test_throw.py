"""Exceptions thrown into greenlets through their hub, and tasks cancelled."""

from collections.abc import Callable
from typing import Any

import pytest
from harness import RUNTIME, Patient

Do = Callable[[str], Any]

pytestmark = pytest.mark.skipif(RUNTIME == "threads", reason="there is no hub")

PREPARE = '''
import threading, time, traceback
import greenlet
from manhole import compat
from manhole._throw import throw

told = []

def work(name):
    told.append([name, "begins"])
    try:
        go.wait()
        told.append([name, "ends"])
    except BaseException as error:
        told.append([name, type(error).__name__, list(error.args)])
        raise

go = threading.Event()

def throw_from_a_thread(ident, error):
    """As a session would; the main thread is in its hub meanwhile."""
    outcome = []

    def ask():
        try:
            unit = throw(ident, error)
            outcome.append(["thrown", unit.kind])
        except Exception as failed:
            outcome.append([type(failed).__name__, str(failed)])

    compat.start_thread(ask, "throws", ())
    while not outcome:
        runtime.sleep(0.001)
    for _ in range(10):
        runtime.sleep(0.001)
    return outcome[0]
'''


@pytest.fixture
def prepared(do: Do) -> Do:
    assert do("import warnings; warnings.simplefilter('ignore')") is None
    assert do(f"exec({PREPARE!r}, globals())") is None
    do("runtime.spawn(work, 'one'); runtime.spawn(work, 'two'); runtime.sleep(0.01)")
    assert do("answer = told") == [["one", "begins"], ["two", "begins"]]
    do("told.clear()")
    return do


KIND = {"gevent": "Greenlet", "eventlet": "GreenThread"}.get(RUNTIME)


def test_an_exception_is_raised_in_one_and_in_no_other(prepared: Do) -> None:
    outcome = prepared("answer = throw_from_a_thread(id(runtime.kept[0]), ValueError('from outside'))")
    assert outcome == ["thrown", KIND]
    assert prepared("answer = told") == [["one", "ValueError", ["from outside"]]]
    prepared("go.set(); runtime.sleep(0.01)")
    assert prepared("answer = told[1:]") == [["two", "ends"]]


def test_what_one_does_not_catch_is_reported_as_always(prepared: Do, commanded: Patient) -> None:
    prepared("answer = throw_from_a_thread(id(runtime.kept[0]), ValueError('from outside'))")
    commanded.say("sys.stderr.flush(); os._exit(0)")
    _code, _out, err = commanded.finish()
    assert err.count("\nValueError: from outside\n") == 1
    assert err.count("Traceback") == 1


def test_one_is_ended(prepared: Do) -> None:
    assert prepared("answer = throw_from_a_thread(id(runtime.kept[1]), None)") == ["thrown", KIND]
    assert prepared("answer = [name[:2] for name in told]") == [["two", "GreenletExit"]]
    assert prepared("answer = throw_from_a_thread(id(runtime.kept[1]), None)")[0] == "CannotThrow"


def test_one_that_has_not_started_never_does_and_who_waits_for_it_is_told(prepared: Do) -> None:
    source = """
runtime.spawn(work, 'three')
unit = throw(id(runtime.kept[2]), None)
told.append([unit.state])
try:
    told.append([type(runtime.kept[2].get()).__name__] if hasattr(runtime.kept[2], "get") else runtime.kept[2].wait())
except BaseException as error:
    told.append([type(error).__name__])
"""
    prepared(f"exec({source!r}, globals())")
    assert prepared("answer = told") == [["not started"], ["GreenletExit"]]
    assert prepared("answer = bool(runtime.kept[2].dead)") is True


def test_a_bare_greenlet_is_thrown_into(prepared: Do) -> None:
    source = """
def bare():
    try:
        greenlet.getcurrent().parent.switch()
    except KeyError as error:
        told.append(["bare", list(error.args)])

hub = runtime.kept[0].parent
raw = greenlet.greenlet(bare, hub)
"""
    prepared(f"exec({source!r}, globals())")
    if RUNTIME == "gevent":
        prepared("hub.loop.run_callback(raw.switch); runtime.sleep(0.01)")
    else:
        prepared("import eventlet; eventlet.hubs.get_hub().schedule_call_global(0, raw.switch); runtime.sleep(0.01)")
    assert prepared("answer = throw_from_a_thread(id(raw), KeyError('key'))") == ["thrown", "greenlet"]
    assert prepared("answer = told") == [["bare", ["key"]]]
    assert prepared("answer = raw.dead") is True


def test_what_cannot_be_thrown_into(prepared: Do) -> None:
    hub, reason = prepared("answer = throw_from_a_thread(id(runtime.kept[0].parent), None)")
    assert hub == "CannotThrow"
    assert "runs all others" in reason
    main, reason = prepared("answer = throw_from_a_thread(id(greenlet.getcurrent()), None)")
    assert main in ("CannotThrow", "NoSuchUnit")  # the latter: it was its thread at that moment
    name, reason = prepared("answer = throw_from_a_thread(compat.main_thread_ident(), None)")
    assert name == "CannotThrow"
    assert "only greenlets and tasks" in reason
    name, reason = prepared("answer = throw_from_a_thread(12345, None)")
    assert name == "NoSuchUnit"
    assert prepared("answer = told") == []


def test_it_works_on_the_hubs_own_thread(prepared: Do) -> None:
    prepared("throw(id(runtime.kept[0]), OSError('here')); runtime.sleep(0.01)")
    assert prepared("answer = told") == [["one", "OSError", ["here"]]]
