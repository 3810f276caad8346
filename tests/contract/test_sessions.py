"""Many sessions at once, each on its own, whatever the application's hub does meanwhile."""

import contextlib
import os
import re
import select
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from harness import RUNTIME, Conversation, Patient, count_threads, open_descriptors, wait_until_true
from speaking import messages, quiet

MANY = 50


def patient_in(state: str, *options: str) -> Patient:
    patient = Patient("patient.py", RUNTIME, "after", state, *options)
    try:
        assert [patient.told() for _ in range(3)][-1] == "in state"
    except BaseException:
        patient.__exit__(None, None, None)
        raise
    return patient


@pytest.fixture(scope="module", params=["idle", "busy", "in_c_sleep"])
def patient(request: pytest.FixtureRequest) -> Iterator[Patient]:
    with patient_in(request.param, "locals={'shared': [], 'number': 1}") as patient:
        yield patient


@contextlib.contextmanager
def many(patient: Patient, count: int) -> Iterator[list[Conversation]]:
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(quiet(patient.default_path)) for _ in range(count)]


def test_fifty_at_once_have_namespaces_last_values_and_streams_of_their_own(patient: Patient) -> None:
    with many(patient, MANY) as clients:
        for number, client in enumerate(clients):
            client.send(f"mine = {number}\n")
        for client in clients:
            assert client.read_until() == ""
        # All of them run code at the same time, and print in turns.
        code = "for i in range(3): print(mine, i, flush=True); print(f'{mine}e{i}', file=sys.stderr)\n\n"
        for client in clients:
            client.send(code)
        for number, client in enumerate(clients):
            printed = "".join(f"{number} {i}\n{number}e{i}\n" for i in range(3))
            assert client.read_until() == f"... {printed}"
        for client in clients:
            client.send("mine * 1000\n")
        for number, client in enumerate(clients):
            assert client.read_until() == f"{number * 1000}\n"
        for client in clients:
            client.send("_ + 1\n")
        for number, client in enumerate(clients):
            assert client.read_until() == f"{number * 1000 + 1}\n"


def test_given_names_are_shared_objects_in_separate_namespaces(patient: Patient) -> None:
    with many(patient, 2) as (one, other):
        one.ask("shared.append('of one'); number = 2; del sys")
        assert other.ask("shared.pop(), number, sys.__name__") == "('of one', 1, 'sys')\n"
        assert one.ask("number") == "2\n"


def test_one_that_hangs_floods_or_is_killed_stops_nobody(patient: Patient) -> None:
    with many(patient, 4) as (hangs, floods, is_killed, other):
        hangs.send("while True: pass\n\n")
        floods.send("while True: print('x' * 1000)\n\n")
        floods.read_past(b"x" * 1000)
        is_killed.send("while True: print('x')\n\n")
        is_killed.read_past(b"x\n")
        is_killed.socket.close()
        for number in range(20):
            assert other.ask(f"{number} + 1") == f"{number + 1}\n"


def test_a_session_that_is_busy_is_told_of_in_another_ones_list(patient: Patient) -> None:
    with quiet(patient.default_path) as busy, messages(patient.default_path) as other:
        busy.send("while True: # a comment\n  print('in')\n\n")
        busy.read_past(b"in\n")
        listed = {one["session"]: one for one in other.ask("sessions")["sessions"]}
        mine = listed[other.answer["session"]]
        assert (mine["mode"], mine["state"], mine["busy"], mine["code"]) == ("messages", "idle", None, None)
        its = next(one for one in listed.values() if one["code"] == "while True: # a comment")
        assert (its["mode"], its["state"]) == ("text", "running")
        assert 0 <= its["busy"] <= its["seconds"]
        assert (its["uid"], its["pid"]) == (os.geteuid(), os.getpid())


def test_beyond_max_sessions_a_client_is_told_why_it_is_refused_and_a_place_becomes_free_again() -> None:
    with patient_in("idle", "max_sessions=2") as patient, quiet(patient.default_path) as first:
        with quiet(patient.default_path) as second:
            with patient.connect() as third:
                line = third.read_all()
            assert line == "manhole: refused: as many sessions are open as max_sessions allows; end one of them\n"
            assert first.ask("1") == second.ask("1") == "1\n"
            second.send("exit()\n")
            second.read_all()
            # Who has seen the end of one may have its place.
            with quiet(patient.default_path) as third:
                assert third.ask("1") == "1\n"
            first.socket.close()
        wait_until_true(lambda: has_room(patient))


def has_room(patient: Patient) -> bool:
    with patient.connect() as client:
        return not client.socket.recv(65536).startswith(b"manhole: refused")


@pytest.mark.skipif(
    sys.implementation.name == "pypy", reason="PyPy cannot interrupt what computes, which earlier tests have left here"
)
def test_everything_is_given_back(patient: Patient) -> None:
    """After a warm-up, for what a library makes once for all threads."""
    with many(patient, 2) as clients:
        for client in clients:
            client.ask("import time, threading; time.sleep(0.001); threading.current_thread().name")
    with quiet(patient.default_path) as last:  # the two before have ended when it does: their thread count is known
        last.send("exit()\n")
        last.read_all()
    wait_until_true(lambda: count_threads(patient.pid) == base_threads(patient))
    before = open_descriptors(patient.pid)
    with many(patient, 10) as clients:
        for client in clients:
            client.ask("time = __import__('time'); time.sleep(0.001)")
            client.send("import threading; threading.current_thread().name; x = [lambda: x]\n")
    wait_until_true(lambda: count_threads(patient.pid) == base_threads(patient))
    wait_until_true(lambda: open_descriptors(patient.pid) == before)


def base_threads(patient: Patient) -> int:
    """Threads that there are without a session: the main one, the listener, and those that the state has."""
    return {"threads": 6}.get(RUNTIME, 2)


def test_nobody_wakes_while_no_code_runs() -> None:
    """Neither before any has run nor a moment after."""
    with patient_in("in_c_sleep") as patient:

        def switches() -> int:
            statuses = [task.read_text() for task in Path(f"/proc/{patient.pid}/task").glob("*/status")]
            return sum(int(re.search(r"^voluntary_ctxt_switches:\s*(\d+)", text, re.M)[1]) for text in statuses)

        def nobody_wakes() -> bool:
            before = switches()
            select.select([], [], [], 0.25)
            return switches() == before

        with quiet(patient.default_path) as client:
            wait_until_true(nobody_wakes)
            client.ask("6 * 7")
            wait_until_true(nobody_wakes)
