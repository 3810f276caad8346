"""Ctrl-C, Ctrl-D, and clients that leave or vanish, in plain text."""

import contextlib
import sys
import time
from collections.abc import Iterator

import pytest
from harness import RUNTIME, Conversation, Patient, count_threads, open_descriptors, wait_until_true
from speaking import messages, quiet, skip_past

ON_CPYTHON = pytest.mark.skipif(sys.implementation.name == "pypy", reason="PyPy cannot interrupt what computes")
INTERRUPT, END = b"\x03", b"\x04"
# Code that no exception reaches until somebody unlocks it by name: a C call.
BE_IN_C = (
    "from manhole import compat; lock = compat.allocate_lock(); lock.acquire(); locks.append(lock); print('in'); "
    "lock.acquire()"
)

REASON = b"in this Python" if sys.implementation.name == "pypy" else b"perhaps in a call of C code"


@pytest.fixture(scope="module", params=["idle", "busy", "in_c_sleep"])
def patient(request: pytest.FixtureRequest) -> Iterator[Patient]:
    options = "locals={'locks': []}", "max_sessions=5"
    with Patient("patient.py", RUNTIME, "after", request.param, *options) as patient:
        assert [patient.told() for _ in range(3)][-1] == "in state"
        yield patient


@pytest.fixture
def client(patient: Patient) -> Iterator[Conversation]:
    with quiet(patient.default_path) as client:
        yield client


@contextlib.contextmanager
def unlocked(client: Conversation) -> Iterator[None]:
    """What BE_IN_C has locked is unlocked at the end by *client*."""
    try:
        yield
    finally:
        client.ask("while locks: locks.pop().release()", "")


@ON_CPYTHON
def test_a_loop_is_interrupted_at_once_and_the_prompt_comes_back(client: Conversation) -> None:
    client.send("print('in')\nwhile True: pass\n\n")
    client.read_past(b"in\n>>> ... ")
    client.received = b""
    began = time.monotonic()
    client.send(INTERRUPT)
    shown = client.read_until()
    # Meant are 0.1 seconds, and none of the later ways to interrupt; the rest is for a loaded machine.
    assert time.monotonic() - began < 1
    assert shown.endswith("\nKeyboardInterrupt\n")
    assert "File" in shown
    assert "/manhole/" not in shown
    assert client.ask("1 + 1") == "2\n"


def test_code_that_prints_all_the_time_is_interrupted_time_and_again(client: Conversation) -> None:
    """Wherever the interrupt meets it; what sends the output must not be left half done."""
    code = "while True: print('x' * 100)\n\n"
    for _ in range(100):
        client.send(code)
        skip_past(client, b"x" * 100)
        client.send(INTERRUPT)
        skip_past(client, b"KeyboardInterrupt\n>>> ")
    assert client.ask("1 + 1") == "2\n"


ENDLESS_TEXT = """class Endless(Exception):
  def __str__(self):
    print('in')
    while True: pass

"""


@ON_CPYTHON
def test_tracing_works_behind_an_interrupt(client: Conversation) -> None:
    """On 3.11 a thread that is traced does nothing else any more while it is to look for an exception that is gone."""
    assert client.ask("import sys; sys.settrace(lambda *_: None)") == ""
    assert client.ask("sys.settrace(None)") == ""
    client.send("print('in')\nwhile True: pass\n\n")
    client.read_past(b"in\n>>> ... ")
    client.received = b""
    client.send(INTERRUPT)
    assert client.read_until().endswith("\nKeyboardInterrupt\n")
    assert client.ask("sys.settrace(lambda *_: None)") == ""
    assert client.ask("sys.settrace(None)") == ""


@ON_CPYTHON
def test_showing_an_error_is_interrupted_like_the_code_that_raised_it(client: Conversation) -> None:
    """Its text is made by code of others."""
    client.ask(ENDLESS_TEXT)
    for _ in range(3):
        client.received = b""
        client.send("raise Endless\n")
        client.read_past(b"in\n")
        client.send(INTERRUPT)
        client.read_past(b"Endless: <exception str() failed>\n>>> ")  # as Python has it, whatever str() raises
        client.received = b""
        assert client.ask("1 + 1") == "2\n"


@ON_CPYTHON
def test_describing_an_error_is_interrupted_like_the_code_that_raised_it(patient: Patient) -> None:
    with messages(patient.default_path) as program:
        ident = program.send("eval", code=ENDLESS_TEXT + "raise Endless")
        assert program.read()["text"] == "in\n"
        program.send("interrupt")
        told = program.answers(ident)[-1]
        assert (told["status"], told["exception"]["type"]) == ("exception", "KeyboardInterrupt")
        assert program.eval("1 + 1")["value"] == "2"


@ON_CPYTHON
def test_an_interrupt_between_two_parts_of_a_program_is_not_lost(patient: Patient) -> None:
    """Its statements, its last expression and the making of that one's text are three steps."""
    slow = "class Slow:\n  def __repr__(self): time.sleep(0.004); return 'x'\n"
    with messages(patient.default_path) as program:
        program.eval("import time\n" + slow)
        for _ in range(50):
            ident = program.send("eval", code="print('in'); time.sleep(0.004)\n(time.sleep(0.004), Slow())[1]")
            program.read()
            asked = program.send("interrupt")
            answers = program.answers(ident)
            heard = next((one["interrupted"] for one in answers if one["id"] == asked), False)
            assert heard == (answers[-1]["status"] == "exception")
            if not any(one["id"] == asked for one in answers):
                program.answers(asked)


@ON_CPYTHON
def test_code_may_catch_it_and_go_on(client: Conversation) -> None:
    code = "try:", "  print('in')", "  while True: pass", "except KeyboardInterrupt: print('caught')", "", ""
    client.send("\n".join(code))
    client.read_past(b"in\n")
    client.send(INTERRUPT)
    client.read_past(b"caught\n>>> ")


def test_at_the_prompt_and_in_a_block_what_was_typed_is_thrown_away(client: Conversation) -> None:
    client.send(b"raise SystemExit" + INTERRUPT)
    assert client.read_until() == "\nKeyboardInterrupt\n"
    client.send("if True:\n  raise SystemExit\n")
    client.read_until(b"... ... ")
    client.send(INTERRUPT)
    assert client.read_until() == "\nKeyboardInterrupt\n"
    assert client.ask("") == ""
    assert client.ask("1 + 1") == "2\n"


@ON_CPYTHON
def test_lines_typed_ahead_are_thrown_away(client: Conversation) -> None:
    client.send("print('in')\nwhile True: pass\n\nraise SystemExit\n")
    client.read_past(b"in\n")
    client.send(b"raise SystemExit\n" + INTERRUPT + b"print('after')\n")
    client.read_past(b"KeyboardInterrupt\n>>> after\n>>> ")


@ON_CPYTHON
def test_an_interrupt_undoes_an_end_of_input_that_was_typed_ahead(client: Conversation) -> None:
    client.send("print('in')\nwhile True: pass\n\n")
    client.read_past(b"in\n")
    client.send(END)
    client.send(INTERRUPT)
    client.read_past(b"KeyboardInterrupt\n>>> ")
    client.received = b""
    assert client.ask("1 + 1") == "2\n"


def test_code_that_waits_for_input_is_interrupted(client: Conversation) -> None:
    for _ in range(10):
        client.send("input('? ')\n")
        client.read_until(b"? ")
        client.send(INTERRUPT)
        assert client.read_until().endswith("KeyboardInterrupt\n")
        assert client.ask("1 + 1") == "2\n"


def test_a_line_for_input_that_is_too_long_is_an_error_of_that(client: Conversation) -> None:
    client.send("input()\n")
    client.send(b"x" * 2_000_000 + b"\n")
    shown = client.read_until()
    assert "too long" in shown
    assert client.ask("1 + 1") == "2\n"


def test_code_in_a_c_call_is_told_of_and_may_be_left(patient: Patient, client: Conversation) -> None:
    with messages(patient.default_path) as other, quiet(patient.default_path) as third:
        for leave in (INTERRUPT, END, None):
            with unlocked(third), quiet(patient.default_path) as stuck:
                stuck.send(BE_IN_C + "\n")
                stuck.read_past(b"in\n")
                stuck.send(INTERRUPT)
                stuck.read_past(b"has not reacted to the interrupt yet: it is at <manhole ")
                stuck.read_past(b" in <module>")
                stuck.read_past(REASON)
                stuck.read_past(b"leaves it to itself]\n")
                if leave is None:
                    stuck.socket.shutdown(1)
                else:
                    stuck.send(leave)
                stuck.read_all()
                states = [one["state"] for one in other.ask("sessions")["sessions"]]
                assert states.count("abandoned") == 1
            wait_until_true(lambda: "abandoned" not in str(other.ask("sessions")["sessions"]))


@ON_CPYTHON
def test_two_interrupts_in_a_row_do_not_leave_the_code_yet(client: Conversation, patient: Patient) -> None:
    with quiet(patient.default_path) as stuck, unlocked(client):
        stuck.send(BE_IN_C + "\n")
        stuck.read_past(b"in\n")
        for _ in range(3):
            stuck.send(INTERRUPT)
        stuck.read_past(b"leaves it to itself]\n")
        client.ask("while locks: locks.pop().release()", "")
        stuck.read_past(b"KeyboardInterrupt\n>>> ")
        stuck.received = b""
        assert stuck.ask("1 + 1") == "2\n"


def test_abandoned_sessions_take_no_place(patient: Patient) -> None:
    with messages(patient.default_path) as other, quiet(patient.default_path) as unlocker, unlocked(unlocker):
        for count in range(1, 6):
            with quiet(patient.default_path) as stuck:
                stuck.send(BE_IN_C + "\n")
                stuck.read_past(b"in\n")
            wait_until_true(lambda: str(other.ask("sessions")).count("abandoned") == count)  # noqa: B023 - called at once


# An eventlet hub that has nothing to listen to sleeps in a C call.
WAIT_IN_HUB = {
    "gevent": "import gevent; print('in'); gevent.sleep(3600)",
    "eventlet": "import eventlet; pipe = os.pipe(); print('in'); eventlet.hubs.trampoline(pipe[0], read=True)",
}


@pytest.mark.skipif(RUNTIME == "threads", reason="plain threads have no hub")
def test_code_that_waits_in_a_hub_of_the_session_s_own_thread_is_interrupted(client: Conversation) -> None:
    for _ in range(3):
        client.send(WAIT_IN_HUB[RUNTIME] + "\n")
        client.read_past(b"in\n")
        client.send(INTERRUPT)
        client.read_past(b"KeyboardInterrupt\n>>> ")
        client.received = b""
        assert client.ask("1 + 1") == "2\n"


@pytest.mark.skipif(RUNTIME != "gevent", reason="gevent's hubs note the ident of their thread, which may be reused")
def test_a_hub_that_was_destroyed_is_not_taken_for_that_of_a_later_thread(client: Conversation) -> None:
    client.ask("import gevent; from gevent import hub; old = hub.Hub(default=False); old.destroy(destroy_loop=True)")
    client.send(WAIT_IN_HUB[RUNTIME] + "\n")
    client.read_past(b"in\n")
    client.send(INTERRUPT)
    client.read_past(b"KeyboardInterrupt\n>>> ")


def test_code_that_awaits_is_interrupted_and_cleans_up(client: Conversation) -> None:
    """On a loop of the session's own, which waits in C."""
    code = (
        "async def f():",
        "  try:",
        "    print('in')",
        "    await asyncio.Event().wait()",
        "  finally: print('out')",
        "",
    )
    client.ask("import asyncio")
    client.ask("\n".join([*code, ""]))
    for _ in range(3):
        client.received = b""
        client.send("other = asyncio.ensure_future(f()); await f()\n")
        client.read_past(b"in\n")
        client.read_past(b"in\n")
        client.send(INTERRUPT)
        shown = client.read_until()
        assert shown.count("out\n") == 2
        if RUNTIME == "gevent":  # where it hits a callback of gevent's hub, that reports it too, before or after
            assert "KeyboardInterrupt\n" in shown
        else:
            assert shown.endswith("KeyboardInterrupt\n")
        assert client.ask("other.cancelled()") == "True\n"


def test_end_of_input_ends_the_session_at_a_prompt_and_after_code(patient: Patient) -> None:
    with quiet(patient.default_path) as client:
        client.send(END)
        assert client.read_all() == ""
    with quiet(patient.default_path) as client:
        client.send(b"print('first')\nfor i in range(3): print(i)\n" + END)
        assert client.read_all() == "first\n>>> ... 0\n1\n2\n"


def test_half_closing_lets_code_run_on(patient: Patient) -> None:
    with quiet(patient.default_path) as client, quiet(patient.default_path) as other, unlocked(other):
        client.send(BE_IN_C + "; print('went on')\n1 + 1\n")
        client.read_past(b"in\n")
        client.socket.shutdown(1)
        assert other.ask("1") == "1\n"  # time to notice, were it a reason to end
        other.ask("locks.pop().release()")
        assert client.read_all().endswith("in\nTrue\nwent on\n>>> 2\n>>> ")


@pytest.mark.parametrize(
    "code",
    [
        pytest.param("while True: pass\n", marks=ON_CPYTHON),
        "while True: print('x' * 1000)\n",
        "input()",
        "while True: input()\n",
        pytest.param(ENDLESS_TEXT + "raise Endless", marks=ON_CPYTHON),
    ],
)
def test_a_client_that_vanishes_in_the_middle_takes_its_session_along(patient: Patient, code: str) -> None:
    with messages(patient.default_path) as other:
        wait_until_true(lambda: len(other.ask("sessions")["sessions"]) == 1)
        threads, descriptors = count_threads(patient.pid), open_descriptors(patient.pid)
        for _ in range(3):
            with quiet(patient.default_path) as client:
                client.send(f"print('in')\n{code}\n")
                client.read_past(b"in\n")
        wait_until_true(lambda: count_threads(patient.pid) <= threads)
        wait_until_true(lambda: len(open_descriptors(patient.pid)) <= len(descriptors))
        assert [one["mode"] for one in other.ask("sessions")["sessions"]] == ["messages"]
