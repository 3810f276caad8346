"""What only OS threads have."""

import re

from harness import Patient, conversation


def test_threads_are_named_and_in_order() -> None:
    """The main thread first, the application's as they began, the manhole's own last."""
    with Patient("threads.py") as patient:
        assert patient.told() == "ready"
        with conversation(patient.default_path) as client:
            # The mirror is not waited for, and comes a moment after the session that needs it.
            dump = client.dump_until(lambda dump: "manhole attendant #" in dump and "in raw_body\n" in dump)
    names = re.findall(r"^######### ProcessID=\d+, ThreadID=\d+(?:, (.*))? #########$", dump, re.M)
    ours = ["manhole listener", "manhole session 1", "manhole attendant"]
    assert names == ["MainThread", "worker-1", "worker-2", "", *ours]
