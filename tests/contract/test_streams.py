"""Whose output is whose: the application's goes where it went before, a session's to its client."""

import pytest
from harness import RUNTIME, Patient, conversation


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
