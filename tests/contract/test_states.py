"""The manhole answers in every state of a hang, installed before or after patching, and the process does not notice."""

import os
import stat

import pytest
from harness import RUNTIME, Patient, conversation
from speaking import messages

STATES = [
    "idle",
    "busy",
    "in_c_sleep",
    "holding_the_logging_lock",
    "holding_the_import_lock",
    "waiting_for_a_lock",
]
LIBRARIES = {"threads": [], "gevent": ["gevent", "greenlet"], "eventlet": ["eventlet", "greenlet"]}


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("state", STATES)
def test_answers(when: str, state: str) -> None:
    with Patient("patient.py", RUNTIME, when, state) as patient:
        patient.told()
        assert patient.told() == LIBRARIES[RUNTIME]
        assert patient.told() == "in state"
        with patient.connect() as client:
            greeting = client.read_until()
            assert f"be_{state}" in greeting
            client.dump_until(lambda dump: f"be_{state}" in dump and dump.count("# parked here") == 3)
            assert client.ask("print(6*7)") == "42\n"
            assert client.ask("import decimal; decimal.__name__" if state != "holding_the_import_lock" else "1") != ""
            client.send("exit()\n")
            assert client.read_all() == ""
        assert patient.process.poll() is None


def test_errors_are_shown_while_somebody_holds_the_import_lock() -> None:
    """Python guesses what was meant, underlines it and shows its source, with what it would only then import."""
    with Patient("patient.py", RUNTIME, "after", "holding_the_import_lock") as patient:
        assert [patient.told() for _ in range(3)][-1] == "in state"
        with conversation(patient.default_path) as client:
            assert "NameError" in client.ask("nosuch")
            assert "AttributeError" in client.ask("import sys; sys.nosuch")
            assert "SyntaxError" in client.ask("whille True: pass")
            assert "SyntaxError" in client.ask("exec('a = \"ä\" 1')")
            assert "JSONDecodeError" in client.ask("import json; json.loads('{')")
            assert "UserWarning" in client.ask("import warnings; warnings.warn('x')")


def test_messages_are_answered_while_somebody_holds_the_import_lock() -> None:
    """What looks as if it were encoded some other way, and what is to be written as an escape, needs no codec."""
    with Patient("patient.py", RUNTIME, "after", "holding_the_import_lock") as patient:
        assert [patient.told() for _ in range(3)][-1] == "in state"
        with messages(patient.default_path) as program:
            for line in ("\0{\0}", "{\0}\0", "\0\0\0{", "{\0\0\0", "\ufeff{}"):
                program.client.send(line + "\n")
                assert program.read()["code"] == "bad-message"
            assert program.eval(r"found = {'a\u200b\ud800\n': 1}")["status"] == "ok"
            assert program.ask("complete", text="found['")["matches"] == ["a\\u200b\\ud800\\n"]


@pytest.mark.parametrize("when", ["before", "after"])
def test_threading_is_as_without_it(when: str) -> None:
    with Patient("patient.py", RUNTIME, when, "idle") as patient:
        listed = patient.told()
        assert listed["after"] == listed["before"]


def test_socket_is_for_the_owner_alone() -> None:
    with Patient("patient.py", RUNTIME, "after", "idle") as patient:
        patient.told()
        found = os.lstat(patient.default_path)
        assert stat.S_ISSOCK(found.st_mode)
        assert stat.S_IMODE(found.st_mode) == 0o600
        assert found.st_uid == os.geteuid()


def test_accepts_when_install_returns() -> None:
    """The process connects to itself in the statement after install()."""
    with Patient("self_connect.py", RUNTIME) as patient:
        assert patient.told() == "connected"


def test_install_is_silent_with_verbose_off() -> None:
    with Patient("exits.py", RUNTIME, "falls_off_the_end", "verbose=False") as patient:
        code, out, err = patient.finish()
    assert (code, out) == (0, "")
    # eventlet itself warns that it is deprecated, and of locks that were made before it patched
    assert "manhole[" not in err  # how each of our messages begins
