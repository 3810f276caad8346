"""Sessions leave nothing behind, and one whose client does not read costs its bound."""

import pytest
from harness import RUNTIME, Patient
from many_sessions import Leaks, resident_kilobytes
from speaking import quiet

# The full number is for benchmarks/leaks.py.
SESSIONS = 300


@pytest.fixture
def patient():
    with Patient("leaks.py", RUNTIME, flags=["-W", "ignore"]) as patient:
        assert patient.told() == "ready"
        yield patient


def test_many_sessions_of_which_some_are_killed_leave_nothing_behind(patient: Patient) -> None:
    left = Leaks(patient, SESSIONS)
    print(left.objects[:20], left.kilobytes)
    assert left.killed > 0
    assert (left.threads, left.descriptors) == (0, 0)
    assert left.kilobytes < 5_000
    # One object for each session would be as many as there were; what one has left only just is not collected yet.
    assert [pair for pair in left.objects if pair[1] >= SESSIONS // 10] == []


def test_two_hundred_megabytes_for_a_client_that_does_not_read_are_no_burden_on_the_application(
    patient: Patient,
) -> None:
    patient.say("lateness")
    _, before = patient.told()
    with quiet(patient.default_path) as deaf, quiet(patient.default_path) as other:
        deaf.send("for i in range(200): print('x' * 1_000_000)\n\n")
        # It waits for its client by then, and cannot be faster than that.
        for number in range(200):
            assert other.ask(f"{number}") == f"{number}\n"
        patient.say("lateness")
        worst, most = patient.told()
        print(worst, most - before)
        # Some waits for the GIL; meant is that nothing stops the hub as long as the client does not read.
        assert worst < 1
        assert most - before < 30_000
        # What the client reads in the end is all there.
        length = 0
        while length < 200_000_200:
            data = deaf.socket.recv(1 << 20)
            assert data
            length += data.count(b"x") + data.count(b"\n")
        assert length == 200_000_200
    assert resident_kilobytes(patient.pid) - before < 30_000
