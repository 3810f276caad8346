"""Clients that send a lot and read nothing while their code runs: nobody else notices, and memory has a bound."""

import json
import socket
import sys
from collections.abc import Iterator

import pytest
from harness import RUNTIME, Patient
from speaking import messages

pytestmark = pytest.mark.skipif(
    sys.implementation.name == "pypy", reason="PyPy cannot raise an exception in another thread"
)
# More than is heard, and than sockets hold.
FLOOD_BYTES = 32 * 1024 * 1024


@pytest.fixture(scope="module")
def patient() -> Iterator[Patient]:
    with Patient("patient.py", RUNTIME, "after", "idle") as patient:
        assert [patient.told() for _ in range(3)][-1] == "in state"
        yield patient


@pytest.mark.parametrize(
    "line",
    [
        "no message\n",
        json.dumps({"op": "interrupted", "id": 1}) + "\n",
        json.dumps({"op": "input", "text": "nobody waits", "id": 1}) + "\n",
    ],
    ids=["bad", "queued", "at-once"],
)
def test_answers_that_nobody_reads_hold_up_that_session_alone(patient: Patient, line: str) -> None:
    with messages(patient.default_path) as flooding, messages(patient.default_path) as other:
        flooding.send("eval", code="print('in')\nwhile True: pass")
        flooding.read()
        flooding.client.socket.settimeout(1)
        with pytest.raises(socket.timeout):
            flooding.client.socket.sendall(line.encode() * (FLOOD_BYTES // len(line)))
        for _ in range(3):
            ident = other.send("eval", code="print('in')\nwhile True: pass")
            assert other.read()["text"] == "in\n"
            other.send("interrupt")
            assert other.answers(ident)[-1]["exception"]["type"] == "KeyboardInterrupt"
