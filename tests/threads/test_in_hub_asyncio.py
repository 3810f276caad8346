"""in_hub() on asyncio: a function is a callback of the loop, a coroutine a task."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator

import pytest
from harness import Conversation, Patient, connect_by, conversation

ON_CPYTHON = pytest.mark.skipif(sys.implementation.name != "cpython", reason="PyPy cannot interrupt what computes")


@pytest.fixture
def client() -> Iterator[Conversation]:
    with Patient("in_hub_asyncio.py") as patient:
        assert patient.told() == "ready"
        with conversation(patient.default_path) as client:
            client.ask("import manhole, __main__ as app")
            yield client
        assert patient.process.poll() is None


def test_function_is_called_in_the_loop(client: Conversation) -> None:
    assert client.ask("manhole.in_hub(app.where)") == "'MainThread'\n"
    assert client.ask("manhole.in_hub(app.where, hub=1)") == "'other'\n"
    assert client.ask("manhole.in_hub(app.where, hub='other')") == "'other'\n"


def test_coroutine_runs_as_a_task(client: Conversation) -> None:
    assert client.ask("manhole.in_hub(app.task_where)") == "('MainThread', True)\n"
    assert client.ask("manhole.in_hub(app.task_where, hub=1)") == "('other', True)\n"
    client.ask("before = app.ticks")
    client.ask("manhole.in_hub(app.asyncio.sleep, 0.2)")
    assert client.ask("app.ticks - before > 10") == "True\n"


@pytest.mark.parametrize("function", ["divide", "divide_in_task"])
def test_exception_comes_with_its_traceback(client: Conversation, function: str) -> None:
    answer = client.ask(f"manhole.in_hub(app.{function}, 0)")
    assert "ZeroDivisionError" in answer
    assert "return 1 / by" in answer
    assert "_await" not in answer


def test_end_of_the_function_is_not_the_loops(client: Conversation) -> None:
    assert client.ask("app.outcome(lambda: manhole.in_hub(app.end))") == "('SystemExit', '7')\n"
    assert client.ask("manhole.in_hub(app.where)") == "'MainThread'\n"


@ON_CPYTHON
@pytest.mark.parametrize("function", ["compute", "compute_in_task"])
def test_computing_function_can_be_interrupted(client: Conversation, function: str) -> None:
    assert client.ask(f"app.interrupted(app.{function})") == "('KeyboardInterrupt', '')\n"


def test_task_that_waits_can_be_interrupted(client: Conversation) -> None:
    assert client.ask("app.interrupted(app.suspend)") == "('KeyboardInterrupt', '')\n"


def test_stuck_loop_is_said_and_the_call_withdrawn(client: Conversation) -> None:
    client.ask("call = app.begun(app.hold)")
    answer = client.ask("app.outcome(lambda: manhole.in_hub(app.noted.append, 1, timeout=0.1))")
    assert answer == "(False, 'asyncio', 'stuck in C', 'hold')\n"
    client.ask("app.gate.release()")
    assert client.ask("manhole.in_hub(app.noted.copy)") == "[]\n"


def test_runs_in_the_context_that_is_given(client: Conversation) -> None:
    client.ask("import contextvars; from manhole._in_hub import find_hub, run_in_hub")
    client.ask("context = contextvars.copy_context(); context.run(app.variable.set, 'set')")
    for function in ("app.variable.get", "app.get_variable"):
        assert client.ask(f"run_in_hub({function}, find_hub(), 5, context)") == "'set'\n"
        assert client.ask(f"run_in_hub({function}, find_hub(), 5)") == "'unset'\n"


def test_a_oneshot_that_has_interrupted_the_loop_does_not_wait_for_it() -> None:
    """That would be waiting for itself, without an end."""
    with Patient("in_hub_asyncio.py", str(int(signal.SIGUSR2))) as patient:
        assert patient.told() == "ready"
        with connect_by(patient, signal.SIGUSR2) as client:
            client.read_until()
            assert client.ask("%hub (6 * 7)") == "42\n"
            client.ask("import asyncio")
            assert "RuntimeError: Cannot run the event loop" in client.ask("await asyncio.sleep(0)")
            assert client.ask("1 + 1") == "2\n"
