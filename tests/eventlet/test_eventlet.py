"""What only eventlet has."""

from harness import Patient
from hubs import check_hubs_on_several_threads


def test_hubs_on_several_threads() -> None:
    check_hubs_on_several_threads("eventlet", "GreenThread")


def test_no_lock_of_ours_is_left_ungreened() -> None:
    """eventlet complains of the RLocks made before it patches; a manhole installed before adds none."""
    warned = []
    for program in ("patches_alone.py", "patches_after_install.py"):
        with Patient(program) as patient:
            _, _, err = patient.finish()
        warned.append([line for line in err.splitlines() if "RLock" in line])
    assert warned[0] == warned[1]
