"""Many exits with a client connected: no crash, no hang, no stray line. MANHOLE_TEST_EXITS says how often."""

import os

import pytest
from harness import RUNTIME, Patient, conversation

# Races at the interpreter's end are rare: a release is tried with 200, a run of the suite with a few.
COUNT = int(os.environ.get("MANHOLE_TEST_EXITS", "3"))

# What the session is doing when the process ends, by its last line before the answer stops.
DOING = {
    "waits_at_the_prompt": ("6 * 7\n", b"42\n>>> "),
    "evaluates": ("while True: pass\n\n", b"... "),
    "sleeps": ("import time\nprint('so'); time.sleep(3600)\n", b"so\n"),
    "prints": ("while True: print('.')\n\n", b".\n"),
}


@pytest.mark.parametrize("how", ["falls_off_the_end", "calls_sys_exit"])
@pytest.mark.parametrize("doing", DOING)
@pytest.mark.parametrize("daemon", [True, False])
def test_exits(daemon: bool, doing: str, how: str) -> None:
    options = ["wait=True", "verbose=False", f"daemon_connection={daemon}"]
    for _ in range(COUNT):
        with Patient("exits.py", RUNTIME, how, *options, flags=["-W", "ignore"]) as patient:
            assert patient.told() == "installed"
            with conversation(patient.default_path) as client:
                said, answered = DOING[doing]
                client.send(said)
                client.read_until(answered) if doing != "prints" else client.socket.recv(1)
                if daemon:
                    patient.say("")
                    ended = patient.finish()
            if not daemon:
                patient.say("")
                ended = patient.finish()
            assert ended == ({"falls_off_the_end": 0, "calls_sys_exit": 3}[how], "", "")
            assert not os.path.exists(patient.default_path)
