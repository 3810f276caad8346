"""Who may come in: the process's own user and root. Needs root, to be somebody else now and then."""

import contextlib
import os
from pathlib import Path

import pytest
from harness import RUNTIME, Conversation, Patient

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become other users")

OWNER, STRANGER, NOBODY = 12345, 54321, 65534


def connect_as(uid: int, path: str, says: bytes = b"") -> str:
    """What the user *uid* is told. A fork, because an interpreter in root's home can be started by root alone."""
    read, write = os.pipe()
    child = os.fork()
    if not child:
        try:
            os.setuid(uid)
            with Conversation(path) as client:
                with contextlib.suppress(BrokenPipeError):
                    client.socket.sendall(says)
                told = client.socket.recv(65536).decode()
        except OSError as error:
            told = type(error).__name__
        os.write(write, told.encode()[:4096])
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as answer:
        told = answer.read()
    os.waitpid(child, 0)
    return told


@pytest.fixture
def patient():
    with Patient("patient.py", RUNTIME, "after", "idle", env={"BECOME": str(OWNER)}) as patient:
        assert [patient.told() for _ in range(3)][-1] == "in state"
        os.chmod(patient.default_path, 0o666)  # so that it is the credentials that decide
        yield patient


@pytest.mark.parametrize("uid", [OWNER, 0])
def test_the_owner_and_root_are_served(patient: Patient, uid: int) -> None:
    assert "ProcessID" in connect_as(uid, patient.default_path)


@pytest.mark.parametrize("uid", [STRANGER, NOBODY])
def test_everybody_else_is_told_in_one_line(patient: Patient, uid: int) -> None:
    told = connect_as(uid, patient.default_path).strip()
    assert told.startswith("manhole: refused: ")
    assert f"uid {uid}" in told
    assert len(told.splitlines()) == 1


def test_the_refusal_reaches_a_client_that_talks_first(patient: Patient) -> None:
    told = connect_as(STRANGER, patient.default_path, says=b"1 + 1\n" * 1000)
    assert told.startswith("manhole: refused: ")


def test_the_overflow_uid_is_refused_even_by_its_own_process() -> None:
    with Patient("patient.py", RUNTIME, "after", "idle", env={"BECOME": str(NOBODY)}) as patient:
        assert [patient.told() for _ in range(3)][-1] == "in state"
        assert connect_as(NOBODY, patient.default_path).startswith("manhole: refused: ")
        assert "ProcessID" in connect_as(0, patient.default_path)


def test_the_file_keeps_everybody_else_out_too() -> None:
    with Patient("patient.py", RUNTIME, "after", "idle", env={"BECOME": str(OWNER)}) as patient:
        assert [patient.told() for _ in range(3)][-1] == "in state"
        assert Path(patient.default_path).stat().st_mode & 0o777 == 0o600
        assert connect_as(STRANGER, patient.default_path) == "PermissionError"
