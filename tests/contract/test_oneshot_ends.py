"""A oneshot's end: its socket is gone before, and a signal sooner or later is answered by whoever is there then."""

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from harness import RUNTIME, Patient, connect_by

Do = Callable[[str], Any]

# What the process does to itself, at a moment that cannot be met from outside.
ENDS_WITH_SIGNAL = """
import posix, manhole._session as module
real = module.Session.end
module.Session.end = lambda self: ({before}, real(self), {after})
"""
SIGNAL = "posix.kill(posix.getpid(), 12)"
NOTHING = "None"
NESTS = pytest.mark.skipif(
    sys.implementation.name == "pypy",
    reason="PyPy runs no handler inside another: what comes in a session counts after it",
)


@pytest.fixture
def patient(commanded: Patient, do: Do) -> Patient:
    do("m = manhole.install(verbose=False, oneshot_on=12, oneshot_timeout=3600)")
    return commanded


def converse(patient: Patient, signum: int = signal.SIGUSR2) -> None:
    with connect_by(patient, signum) as client:
        client.read_until()
        assert not os.path.exists(patient.default_path)
        client.send("exit()\n")
        client.read_all()


def test_a_signal_just_after_the_end_opens_the_next(patient: Patient, do: Do) -> None:
    """The client has been told of the end; the handler has not returned."""
    do(f"exec({ENDS_WITH_SIGNAL.format(before=NOTHING, after=SIGNAL)!r})")
    converse(patient)
    converse(patient, signum=0)


@NESTS
def test_a_signal_just_before_the_end_opens_nothing(patient: Patient, do: Do) -> None:
    do(f"exec({ENDS_WITH_SIGNAL.format(before=SIGNAL, after=NOTHING)!r})")
    converse(patient)
    assert do("answer = 'went on'") == "went on"
    assert not os.path.exists(patient.default_path)


def test_a_signal_after_the_client_has_left_opens_the_next(patient: Patient, do: Do) -> None:
    """The session has not noticed: its code waits for something else."""
    read, write = do("answer = os.pipe()")
    with connect_by(patient, signal.SIGUSR2) as client:
        client.read_until()
        client.send(f"print('so'); sys.modules['posix'].read({read}, 1)\n")
        client.read_until(b"so\n")
    patient.process.send_signal(signal.SIGUSR2)
    Path(f"/proc/{patient.pid}/fd/{write}").write_text("x")
    converse(patient, signum=0)


@NESTS
def test_a_signal_just_before_a_oneshot_begins_is_served_once(patient: Patient, do: Do) -> None:
    """Its handler serves a client inside the first one's, who then has none to wait for."""
    do("real = m._in_oneshot; posix = __import__('posix'); first = [True]")
    do(
        f"acquire = lambda self, wait: (first and first.pop() and {SIGNAL}, real.acquire(wait))[1]; "
        "m._in_oneshot = type('', (), {'acquire': acquire, 'release': lambda self: real.release()})()"
    )
    converse(patient)
    assert do("answer = 'went on'") == "went on"


@pytest.mark.skipif(RUNTIME == "threads", reason="plain threads have no hub")
def test_a_oneshot_that_has_interrupted_the_hub_runs_there_what_is_for_it() -> None:
    """Waiting for the hub would be waiting for itself."""
    with Patient("patient.py", RUNTIME, "after", "idle", "oneshot_on=12") as patient:
        assert [patient.told() for _ in range(3)][-1] == "in state"
        with connect_by(patient, signal.SIGUSR2) as client:
            client.read_until()
            assert client.ask("%hub (6 * 7)") == "42\n"
