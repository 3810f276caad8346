"""asyncio: its tasks and loops in a snapshot."""

import ast
from typing import Any

import pytest
from harness import Conversation, Patient, conversation, wait_until_true


def ask(client: Conversation, expression: str) -> Any:
    client.ask("import manhole; s = manhole.snapshot()")
    return ast.literal_eval(client.ask(f"print(repr({expression}))"))


@pytest.mark.parametrize(
    ("state", "expected", "function"),
    [
        ("idle", "in its loop", None),
        ("task", "stuck", "keep_the_loop"),
        ("callback", "stuck in C", "sleep_in_the_loop"),
    ],
)
def test_what_each_loop_does(state: str, expected: str, function: str | None) -> None:
    with Patient("asyncio_states.py", state) as patient:
        assert patient.told() == "in state"
        with conversation(patient.default_path) as client:
            wait_until_true(lambda: len(ask(client, "[h.ident for h in s.hubs]")) == 2)
            main, other = ask(client, "[(h.kind, h.state, h.frame and h.frame.function, h.thread) for h in s.hubs]")
            assert main == ("asyncio", expected, function, ask(client, "s.threads[0].ident"))
            if state != "task":  # which hardly lets the other one run
                assert other[:3] == ("asyncio", "in its loop", None)
            if state == "task":
                assert ask(client, "[u.name for u in s.tasks if u.ident == s.hubs[0].unit]") == ["keep_the_loop"]


def test_tasks_and_their_stacks() -> None:
    with Patient("asyncio_states.py", "idle") as patient:
        assert patient.told() == "in state"
        with conversation(patient.default_path) as client:
            of_main = "[u for u in s.tasks if u.thread == s.threads[0].ident]"
            wait_until_true(lambda: ask(client, f"all(u.state == 'suspended' for u in {of_main})"))
            # PyPy's futures are written in Python.
            functions = "[f.function for f in u.frames if f.function != 'Future.__await__']"
            tasks = ask(client, f"[(u.name, u.state, {functions}) for u in {of_main}]")
            assert sorted(tasks) == [
                ("a name (inner)", "suspended", ["inner", "sleep"]),
                ("main", "suspended", ["main", "sleep"]),
                *[("outer", "suspended", ["outer", "inner", "sleep"])] * 3,
            ]
            assert ask(client, f"{{u.hub for u in {of_main}}} == {{s.hubs[0].ident}}") is True
            assert ask(client, f"{{u.wait.kind for u in {of_main}}}") == {"timer"}
            assert ask(client, "s.finished") == 1
            shown = "[(u.name, u.frames) for u in manhole.snapshot(finished=True).tasks if u.state == 'finished']"
            ((name, frames),) = ask(client, shown)
            assert frames == ()
            assert "Task-" in name or name == "ends"
            dump = client.ask("dump_stacktraces()")
            assert "--- 3 Tasks, suspended" in dump
