"""Sessions of a process whose application runs on asyncio: one loop on the main thread, one on another."""

from collections.abc import Iterator

import pytest
from harness import Conversation, Patient, conversation


@pytest.fixture
def patient() -> Iterator[Patient]:
    with Patient("in_hub_asyncio.py") as patient:
        assert patient.told() == "ready"
        yield patient


@pytest.fixture
def client(patient: Patient) -> Iterator[Conversation]:
    with conversation(patient.default_path) as client:
        client.ask("from __main__ import *; import asyncio")
        yield client


def test_await_at_the_prompt_runs_as_a_task_of_the_applications_loop(client: Conversation) -> None:
    assert client.ask("await task_where()") == "('MainThread', True)\n"
    assert client.ask("x = await asyncio.sleep(0, 'slept')") == ""
    assert client.ask("x") == "'slept'\n"
    assert client.ask("async with asyncio.Lock(): print('of the session')", "") == "... of the session\n"
    assert client.ask("await divide_in_task(0)").endswith("ZeroDivisionError: division by zero\n")


def test_what_a_task_prints_that_the_session_has_made_is_the_sessions(client: Conversation) -> None:
    client.ask("async def say():", "    await asyncio.sleep(0)", "    print('of its task')", "")
    assert client.ask("await asyncio.create_task(say())") == "of its task\n"


def test_an_interrupt_cancels_what_is_awaited_and_the_loop_goes_on(client: Conversation) -> None:
    client.send("print('in'); await suspend()\n")
    client.read_past(b"in\n")
    client.received = b""
    client.send(b"\x03")
    assert client.read_until().endswith("KeyboardInterrupt\n")
    assert client.ask("await task_where()") == "('MainThread', True)\n"
    assert (
        client.ask("len([t for t in asyncio.all_tasks(in_hub(asyncio.get_running_loop)) if 'suspend' in str(t)])")
        == "0\n"
    )


def test_an_interrupt_reaches_a_task_that_computes(client: Conversation) -> None:
    client.send("print('in'); await compute_in_task()\n")
    client.read_past(b"in\n")
    client.received = b""
    client.send(b"\x03")
    assert client.read_until().endswith("KeyboardInterrupt\n")
    assert client.ask("await task_where()") == "('MainThread', True)\n"


def test_statements_in_the_loop(client: Conversation) -> None:
    assert client.ask("%hub where()") == "'MainThread'\n"
    assert client.ask("%hub await task_where()") == "('MainThread', True)\n"
    assert "from now on" in client.ask("%hub")
    assert client.ask("asyncio.get_running_loop().is_running()") == "True\n"
    client.ask("%thread")
    assert "RuntimeError" in client.ask("asyncio.get_running_loop()")


def test_a_stuck_loop_is_named_and_what_was_to_run_never_does(patient: Patient, client: Conversation) -> None:
    client.ask("in_hub(asyncio.get_running_loop).call_soon_threadsafe(hold); None")
    with conversation(patient.default_path) as other:
        other.ask("from __main__ import *")
        answer = other.ask("manhole.in_hub(noted.append, 'late', timeout=0.5)")
        assert "HubTimeout" in answer
        assert "hold" in answer
        # The await waits for the loop without a limit, and can be interrupted.
        client.send("await task_where()\n")
        client.send(b"\x03")
        assert client.read_until().endswith("KeyboardInterrupt\n")
        other.ask("gate.release()")
        assert other.ask("await task_where()") == "('MainThread', True)\n"
        assert other.ask("noted") == "[]\n"
