"""What only OS threads have."""

import re

from harness import Patient


def test_threads_are_named_and_in_order() -> None:
    """The main thread first, the application's as they began, the manhole's own last."""
    with Patient("threads.py") as patient:
        assert patient.told() == "ready"
        with patient.connect() as client:
            greeting = client.read_until()
    names = re.findall(r"^######### ProcessID=\d+, ThreadID=\d+(?:, (.*))? #########$", greeting, re.M)
    ours = ["manhole listener", "manhole session 1", "manhole mirror"]
    assert names == ["MainThread", "worker-1", "worker-2", "", *ours]
    assert "in raw_body\n" in greeting
