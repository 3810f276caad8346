"""Whose output is whose: the application's goes where it went before, a session's to its client."""

from collections.abc import Callable
from typing import Any

import pytest
from harness import RUNTIME, Patient, conversation, wait_until_true

Do = Callable[[str], Any]


@pytest.fixture
def patient():
    with Patient("prints.py", RUNTIME) as patient:
        assert patient.told() == "ready"
        yield patient


def test_the_application_prints_where_it_printed_before(patient: Patient) -> None:
    with conversation(patient.default_path) as client:
        client.ask("print('of the session')")
        patient.say("print during")
        assert patient.told() == "printed"
        patient.say("keep")
        assert patient.told() == "kept"
    patient.say("print after")
    assert patient.told() == "printed"
    patient.say("print to the kept")
    assert patient.told() == "printed"
    patient.say("end")
    code, out, err = patient.finish()
    assert code == 0
    assert out == "print during\nprint after\nprint to the kept\n"
    assert err.endswith("print during\nprint after\nprint to the kept\n")


def test_sessions_print_to_their_own_client(patient: Patient) -> None:
    with conversation(patient.default_path) as one, conversation(patient.default_path) as other:
        assert one.ask("print('one', file=sys.stderr)") == "one\n"
        assert other.ask("print('other', file=sys.__stdout__)") == "other\n"
        assert one.ask("1") == "1\n"


def test_streams_are_as_before_when_nobody_is_connected(patient: Patient) -> None:
    patient.say("names")
    before = patient.told()
    with conversation(patient.default_path) as client:
        assert client.ask("sys.stdout is sys.__stdout__") == "True\n"
        client.send("exit()\n")
        client.read_all()
    patient.say("names")
    assert patient.told() == before


def test_code_of_the_session_may_replace_the_streams_for_itself(patient: Patient) -> None:
    with conversation(patient.default_path) as client:
        client.ask("import io, contextlib; to = io.StringIO()")
        assert client.ask("with contextlib.redirect_stdout(to): print('caught')", "") == "... "
        assert client.ask("to.getvalue()") == "'caught\\n'\n"
        assert client.ask("print('shown')") == "shown\n"


def test_closing_the_streams_closes_nothing(patient: Patient) -> None:
    with conversation(patient.default_path) as client:
        assert client.ask("sys.stdin.close(); sys.stdout.close(); print('still there')") == "still there\n"


def test_reading_lines_from_the_client(patient: Patient) -> None:
    with conversation(patient.default_path) as client:
        assert client.ask("sys.stdin.readline()", "a line") == "'a line\\n'\n"
        assert client.ask("next(sys.stdin)", "another") == "'another\\n'\n"


def test_code_that_outlives_its_session_prints_as_the_application_does(commanded: Patient, do: Do) -> None:
    """A task has a copy of the context that it was made in."""
    do("manhole.install(verbose=False)")
    with conversation(commanded.default_path) as client:
        client.ask("import contextvars; sys.modules['__main__'].names['context'] = contextvars.copy_context()")
        client.send("exit()\n")
        client.read_all()
    with conversation(commanded.default_path) as other:
        assert do("answer = context.run(print, 'of the task')") is None
        other.read_until(b"of the task\n")
        assert do("answer = context.run(sys.displayhook, 'value')") is None
    commanded.process.terminate()
    assert commanded.finish()[1] == "of the task\n'value'\n"


def test_sessions_of_a_replaced_manhole_and_its_successor(commanded: Patient, do: Do) -> None:
    do("before = sys.stdout, sys.displayhook; manhole.install(verbose=False)")
    read, write = do("import posix; answer = posix.pipe()")
    with conversation(commanded.default_path) as one:
        one.send(f"import posix; print('in'); posix.read({read}, 1)\n")
        one.read_until(b"in\n")
        do("manhole.install(verbose=False, strict=False)")
        with conversation(commanded.default_path) as other:
            do(f"posix.write({write}, b'x')")
            count = "answer = list(manhole.compat.own_threads.values()).count('manhole session 1')"
            wait_until_true(lambda: do(count) == 1)
            assert other.ask("print('two')") == "two\n"
            do("manhole.release()")
    assert do("answer = [sys.stdout is before[0], sys.displayhook is before[1]]") == [True, True]


def test_text_that_is_not_text_is_the_applications_alone(commanded: Patient, do: Do) -> None:
    do("sys.stdout = type('Both', (), {'write': lambda self, text: len(text), 'flush': lambda self: None})()")
    do("manhole.install(verbose=False)")
    with conversation(commanded.default_path) as client:
        assert do("answer = sys.stdout.write(b'bytes')") == 5
        do("print('later')")
        assert client.read_until(b"later\n") == ""
    commanded.process.terminate()
    assert commanded.finish()[2] == ""
