"""What most of the contract needs: a process that runs what it is told."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from harness import RUNTIME, Patient

Do = Callable[[str], Any]


@pytest.fixture
def commanded() -> Iterator[Patient]:
    """A patched process that runs each line it is given; see programs/commands.py."""
    with Patient("commands.py", RUNTIME, flags=["-W", "ignore"]) as patient:
        assert patient.told() == "ready"
        yield patient


@pytest.fixture
def do(commanded: Patient) -> Do:
    """Run a line there, and have the value of its `answer`."""

    def do(line: str) -> Any:
        commanded.say(line)
        return commanded.told()

    return do
