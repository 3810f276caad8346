"""multiprocessing: a child that was forked follows its parent, and one that was started anew installs its own."""

import contextlib
import os
from pathlib import Path

import pytest
from harness import PROGRAMS, Conversation, Patient
from servers import Reached, documented, manhole_of


def is_it(client: Conversation, pid: int) -> bool:
    return client.ask("import os; os.getpid()") == f"{pid}\n"


@pytest.mark.parametrize(
    ("method", "who"),
    [
        ("fork", "parent"),
        ("fork", "variable"),
        ("spawn", "each"),
        ("spawn", "variable"),
        ("forkserver", "each"),
        ("forkserver", "variable"),
    ],
)
def test_parent_and_child_are_reachable(method: str, who: str) -> None:
    env = {"PYTHONMANHOLE": ""} if who == "variable" else {}
    with Patient("multiprocessing_child.py", method, who, env=env) as parent, contextlib.ExitStack() as leftovers:
        pid = parent.told()
        leftovers.callback(lambda: Path(manhole_of(pid)).unlink(missing_ok=True))
        with Reached(pid) as client, Reached(parent.pid) as other:
            assert is_it(client, pid)
            assert is_it(other, parent.pid)
            client.end()
            other.end()
        parent.say("end")
        assert parent.told() == 0
        assert not os.path.exists(manhole_of(pid))
        with Reached(parent.pid) as again:
            assert is_it(again, parent.pid)
            again.end()
        parent.say("end")
        assert parent.finish()[0] == 0
        assert not os.path.exists(manhole_of(parent.pid))


def test_the_documented_lines_are_the_tested_ones() -> None:
    (block,) = documented("multiprocessing.md", "python")
    assert block in (PROGRAMS / "multiprocessing_child.py").read_text()
