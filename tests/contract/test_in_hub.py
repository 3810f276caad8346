"""in_hub() runs a function in the application's hub, and the hub does not suffer from it."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from harness import RUNTIME, Conversation, Patient, conversation, open_descriptors, wait_until_true

needs_hub = pytest.mark.skipif(RUNTIME == "threads", reason="there is no hub")
ON_CPYTHON = pytest.mark.skipif(sys.implementation.name == "pypy", reason="PyPy cannot interrupt what computes")
KIND = {"gevent": "Greenlet", "eventlet": "GreenThread"}.get(RUNTIME)


@contextmanager
def app(state: str, **env: str) -> Iterator[tuple[Patient, Conversation]]:
    with Patient("in_hub.py", RUNTIME, state, flags=["-W", "ignore"], env=env) as patient:
        for _ in range(2 if state == "two" else 1):
            patient.told()
        with conversation(patient.default_path) as client:
            client.ask("import manhole, __main__ as app")
            yield patient, client


@pytest.mark.skipif(RUNTIME != "threads", reason="there is a hub")
def test_says_that_there_is_no_hub() -> None:
    with app("ticking") as (_patient, client):
        answer = client.ask("app.outcome(id, 1)")
        assert answer == "('NoHub', 'no hub of gevent, eventlet or asyncio runs in this process')\n"


@needs_hub
@pytest.mark.parametrize("state", ["idle", "busy", "ticking"])
def test_runs_in_a_greenlet_of_the_hub(state: str) -> None:
    with app(state) as (_patient, client):
        assert client.ask("manhole.in_hub(app.where)") == f"(True, '{KIND}')\n"
        assert client.ask("manhole.in_hub(app.divide, 4)") == "0.25\n"


@needs_hub
def test_exception_comes_with_its_traceback() -> None:
    with app("idle") as (_patient, client):
        answer = client.ask("manhole.in_hub(app.divide, 0)")
        assert "ZeroDivisionError" in answer
        assert "return 1 / by" in answer
        assert "_call" not in re.sub(r"_hub_call\.py", "", answer)


@needs_hub
def test_end_of_the_function_is_not_the_hubs() -> None:
    """gevent ends the application at a SystemExit or a KeyboardInterrupt that a greenlet does not catch."""
    with app("ticking") as (patient, client):
        assert client.ask("app.outcome(app.end)") == "('SystemExit', '7')\n"
        assert client.ask("manhole.in_hub(app.where)[0]") == "True\n"
        assert patient.process.poll() is None


@needs_hub
def test_stuck_hub_is_said_and_the_call_withdrawn() -> None:
    with app("idle") as (_patient, client):
        client.ask("call = app.begun(app.hold)")
        answer = client.ask("app.outcome(app.noted.append, 1, timeout=0.1)")
        begun, hub, reason, unit, is_there, function = eval(answer)
        assert (begun, hub, reason) == (False, RUNTIME, "stuck in C")
        assert unit.startswith(f"{KIND} ")
        assert (is_there, function) == (True, "hold")
        client.ask("app.gate.release()")
        # Those that were queued earlier would have run earlier.
        assert client.ask("manhole.in_hub(app.noted.copy)") == "[]\n"
        assert client.ask("call.wait(20)") == "True\n"


@needs_hub
def test_function_that_has_begun_goes_on_after_the_time() -> None:
    with app("idle") as (_patient, client):
        answer = client.ask("app.outcome(app.suspend, timeout=0.1)")
        assert eval(answer)[:3] == (True, RUNTIME, "")


@needs_hub
def test_waiting_function_does_not_keep_the_application() -> None:
    with app("ticking") as (_patient, client):
        client.ask("before = app.ticks")
        client.ask("manhole.in_hub(app.runtime.sleep, 0.2)")
        assert client.ask("app.ticks - before > 10") == "True\n"


@needs_hub
def test_is_called_at_once_in_the_hub_itself() -> None:
    with app("idle") as (_patient, client):
        assert client.ask("manhole.in_hub(lambda: manhole.in_hub(app.where))") == f"(True, '{KIND}')\n"


@needs_hub
def test_hub_is_chosen_by_number_name_or_thread() -> None:
    with app("two") as (_patient, client):
        client.ask("from manhole._in_hub import list_hubs")
        client.ask("ident = lambda **hub: manhole.in_hub(app.get_ident, **hub)")
        client.ask("listed = [(h.number, h.kind, h.thread) for h in list_hubs()]")
        answer = client.ask(
            f"listed == [(0, '{RUNTIME}', app.main_ident), (1, '{RUNTIME}', app.second_ident)] or listed"
        )
        assert answer.endswith("True\n")
        assert client.ask("ident() == ident(hub=0) == ident(hub='MainThread') == app.main_ident").endswith("True\n")
        assert client.ask("ident(hub=1) == ident(hub=app.second_ident) == app.second_ident").endswith("True\n")
        error, message = eval(client.ask("app.outcome(id, 1, hub=2)"))
        assert error == "NoHub"
        assert f"0: {RUNTIME} on thread" in message
        assert f"1: {RUNTIME} on thread" in message


@needs_hub
def test_hubs_of_sessions_are_not_offered() -> None:
    with app("ticking") as (patient, client), conversation(patient.default_path) as other:
        other.ask("import __main__ as app; app.runtime.sleep(0.01)")
        client.ask("from manhole._in_hub import list_hubs")
        assert client.ask("len(list_hubs())") == "1\n"


@needs_hub
@pytest.mark.parametrize("function", ["suspend", pytest.param("compute", marks=ON_CPYTHON)])
def test_can_be_interrupted(function: str) -> None:
    with app("ticking") as (patient, client):
        assert client.ask(f"app.interrupted(app.{function})") == "'KeyboardInterrupt'\n"
        assert client.ask("manhole.in_hub(app.where)[0]") == "True\n"
        assert patient.process.poll() is None


@needs_hub
@ON_CPYTHON
def test_interrupt_of_a_suspended_function_is_not_the_computing_ones() -> None:
    """While one call computes, an interrupt of another that is suspended does nothing to the first."""
    with app("idle") as (_patient, client):
        client.ask("suspended = app.begun(app.suspend); computing = app.begun(app.compute)")
        client.ask("suspended.interrupt()")
        assert client.ask("computing.wait(0.2)") == "False\n"
        client.ask("computing.interrupt()")
        assert client.ask("computing.wait(20), suspended.wait(20)") == "(True, True)\n"


@needs_hub
def test_interrupt_of_who_waits_is_passed_on() -> None:
    with app("ticking") as (patient, client), conversation(patient.default_path) as other:
        client.ask("app.session = app.get_ident()")
        client.send("manhole.in_hub(lambda: (app.noted.append(1), app.suspend()), timeout=1000)\n")
        other.ask("import __main__ as app; from manhole import compat")
        other.ask("while not app.noted: app.unpatched_sleep(0.001)", "")
        other.ask("compat.raise_in_thread(app.session, KeyboardInterrupt)")
        assert "in suspend" in client.read_until()


@needs_hub
def test_leaves_no_descriptor() -> None:
    with app("ticking") as (patient, client):
        before = set(open_descriptors(patient.pid).values())
        client.ask("manhole.in_hub(app.where)")
        client.ask("from manhole import compat; compat.release_hub_wakers()")
        assert set(open_descriptors(patient.pid).values()) == before
        assert client.ask("manhole.in_hub(app.where)[0]").endswith("True\n")  # and it works again


@needs_hub
def test_release_leaves_no_descriptor() -> None:
    with app("ticking") as (patient, client):
        made = pipes_made_by_a_call(patient, client)
        assert len(made) == (RUNTIME == "eventlet")
        client.send("manhole.release()\n")
        client.read_all()
        wait_until_true(lambda: made.isdisjoint(open_descriptors(patient.pid).values()))


def pipes_made_by_a_call(patient: Patient, client: Conversation) -> set[str]:
    before = open_descriptors(patient.pid).values()
    client.ask("manhole.in_hub(app.where)")
    return {what for what in open_descriptors(patient.pid).values() if what.startswith("pipe:")}.difference(before)


@needs_hub
def test_forked_child_has_none_of_it() -> None:
    """The child closes its copies; the parent's hub is woken as before."""
    with app("idle") as (patient, client):
        made = pipes_made_by_a_call(patient, client)
        assert len(made) == (RUNTIME == "eventlet")
        client.ask("import posix")
        client.ask("def fork():", "    pid = posix.fork()", "    if pid: return pid", "    app.gate.acquire()", "")
        pid = int(client.ask("manhole.in_hub(fork)"))
        try:
            # The child's hooks run when the parent goes on already.
            wait_until_true(lambda: made.isdisjoint(open_descriptors(pid).values()))
            assert client.ask("manhole.in_hub(app.where)[0]") == "True\n"
        finally:
            os.kill(pid, 9)


@needs_hub
def test_nothing_is_kept_alive() -> None:
    with app("ticking") as (_patient, client):
        assert set(eval(client.ask("app.leftovers()"))) == {None}


@needs_hub
@pytest.mark.parametrize("timeout", ["-1", "float('nan')", "'5'", "None", "True", "float('inf')"])
def test_timeout_is_seconds(timeout: str) -> None:
    with app("ticking") as (_patient, client):
        assert client.ask(f"app.outcome(id, 1, timeout={timeout})").startswith("('InvalidOption'")


@needs_hub
def test_an_error_in_making_the_greenlet_is_the_callers() -> None:
    """Such as one of a hook of the application's on new greenlets."""
    refuse = {
        "gevent": "import gevent; gevent.Greenlet.add_spawn_callback(lambda _: 1 / 0)",
        "eventlet": "import eventlet; eventlet.greenthread.GreenThread.__init__ = lambda *_: 1 / 0",
    }
    with app("idle") as (_patient, client):
        assert client.ask(refuse[RUNTIME]) == ""
        assert client.ask("app.outcome(id, 1)") == "('ZeroDivisionError', 'division by zero')\n"
