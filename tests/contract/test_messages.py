"""The protocol, spoken by a bare socket."""

import json
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from harness import RUNTIME, Conversation, Patient
from speaking import Messages, messages, quiet

ON_CPYTHON = pytest.mark.skipif(sys.implementation.name == "pypy", reason="PyPy cannot interrupt what computes")


@pytest.fixture(scope="module")
def patient() -> Iterator[Patient]:
    with Patient("patient.py", RUNTIME, "after", "idle", "locals={'kept': {}}") as patient:
        assert [patient.told() for _ in range(3)][-1] == "in state"
        yield patient


@pytest.fixture
def program(patient: Patient) -> Iterator[Messages]:
    with messages(patient.default_path) as program:
        yield program


def done(ident: Any, **fields: Any) -> dict[str, Any]:
    return {"id": ident, "type": "done", **fields}


def value(ident: Any, text: str | None, kind: str | None) -> dict[str, Any]:
    return done(ident, status="ok", value=text, value_type=kind, cut=0, exception=None)


def test_describe(patient: Patient, program: Messages) -> None:
    told = program.ask("describe")
    assert told["protocol"] == 1
    assert told["ops"] == sorted(
        ["describe", "eval", "complete", "interrupt", "input", "snapshot", "sessions", "mirror", "close"]
    )
    assert (told["mode"], told["session"], told["process"]["pid"]) == ("repl", program.answer["session"], patient.pid)
    assert told["limits"] == {"message_bytes": 1048576, "max_sessions": 64}
    assert RUNTIME == "threads" or RUNTIME in told["process"]["libraries"]
    assert isinstance(told["hubs"], list)


def test_eval_brings_the_last_value_and_output_in_order(program: Messages) -> None:
    ident = program.send("eval", code="x = 20\nprint('a')\nprint('b', file=sys.stderr)\nprint('c')\nx + 1")
    assert program.answers(ident) == [
        {"id": ident, "type": "out", "stream": "stdout", "text": "a\n"},
        {"id": ident, "type": "out", "stream": "stderr", "text": "b\n"},
        {"id": ident, "type": "out", "stream": "stdout", "text": "c\n"},
        value(ident, "21", "int"),
    ]
    ident = program.send("eval", code="_")
    assert program.answers(ident) == [value(ident, "21", "int")]
    ident = program.send("eval", code="None")
    assert program.answers(ident) == [value(ident, None, None)]


def test_output_in_many_writes_comes_in_few_messages(program: Messages) -> None:
    answers = program.answers(program.send("eval", code="for i in range(1000): print(i)"))
    assert "".join(one["text"] for one in answers[:-1]) == "".join(f"{i}\n" for i in range(1000))
    assert len(answers) < 100


@pytest.mark.parametrize("size", [1000, 8000, 20_000])  # of a line; a few are sent at once
def test_code_that_uses_up_the_stack_loses_no_output(program: Messages, size: int) -> None:
    """Wherever in the sending there is none left."""
    code = "import sys", "printed = []", "def f(n):", "  if n > sys.getrecursionlimit() - 100:"
    code += "    print(f'<{n}>' + 'x' * size)", "    printed.append(str(n))", "  f(n + 1)"
    program.eval("\n".join(code))
    answers = program.answers(program.send("eval", code=f"size = {size}\nf(0)"))
    assert answers[-1]["exception"]["type"] == "RecursionError"
    shown = "".join(one["text"] for one in answers[:-1])
    for number in program.eval("' '.join(printed)")["value"].strip("'").split():
        assert f"<{number}>" in shown


def test_exceptions_are_data(program: Messages) -> None:
    told = program.eval("def f():\n  raise LookupError('why')\nf()")
    assert (told["status"], told["value"]) == ("exception", None)
    error = told["exception"]
    assert (error["type"], error["module"], error["message"]) == ("LookupError", "builtins", "why")
    assert [(frame["line"], frame["function"]) for frame in error["frames"]] == [(3, "<module>"), (2, "f")]
    assert "raise LookupError('why')" in error["traceback"]
    assert "/manhole/" not in error["traceback"]
    assert program.eval("1 1")["exception"]["type"] == "SyntaxError"


@pytest.mark.parametrize(
    "code",
    [
        "class E(Exception): __module__ = object()\nraise E",
        "class M(type):\n  __name__ = property(lambda self: object())\nclass V(metaclass=M): pass\nV()",
        "class S(str):\n  __getitem__ = lambda self, key: object()\nclass V:\n  __repr__ = lambda self: S('x')\nV()",
        "class S(str):\n  __getitem__ = lambda self, key: object()\n"
        "class E(Exception):\n  __str__ = lambda self: S('x')\nraise E",
        "type('x' * 3_000_000, (Exception,), {})()",
        "raise type('x' * 3_000_000, (Exception,), {})",
        "raise Exception('\\x01' * 3_000_000)",
        "'\\x01' * 3_000_000",
        "'\\ud800'",
        "{float('nan'): float('inf')}",
        "class E(Exception):\n  __str__ = lambda self: 1/0\nraise E",
        "class E(Exception):\n  __str__ = lambda self: exit()\nraise E",
        "exec(compile('1/0', 'x' * 3_000_000, 'exec'))",
    ],
)
def test_what_is_odd_about_values_and_exceptions_stays_within_a_message(program: Messages, code: str) -> None:
    assert program.eval(code)["type"] in ("done", "error")
    assert program.eval("1")["value"] == "1"


def test_a_long_value_is_cut_and_the_rest_counted(program: Messages) -> None:
    told = program.eval("'x' * 100_000")
    assert len(told["value"]) + told["cut"] == 100_002
    assert told["cut"] > 0
    assert program.eval("len(_)")["value"] == "100000"


def test_complete(program: Messages) -> None:
    program.eval("some_name = {}")
    assert program.ask("complete", text="x = some_na") == done(2, start=4, matches=["some_name"])


def test_sessions_lists_all(patient: Patient, program: Messages) -> None:
    with quiet(patient.default_path):
        listed = program.ask("sessions")["sessions"]
    mine = next(one for one in listed if one["session"] == program.answer["session"])
    assert (mine["mode"], mine["state"], mine["code"]) == ("messages", "idle", None)
    assert set(mine) == {"session", "pid", "uid", "mode", "seconds", "state", "busy", "code"}
    assert "text" in [one["mode"] for one in listed]


def test_a_snapshot_comes_in_pieces_that_make_one_document(program: Messages) -> None:
    answers = program.answers(program.send("snapshot"))
    assert answers[-1] == done(1)
    assert {one["type"] for one in answers[:-1]} == {"data"}
    document = json.loads("".join(one["text"] for one in answers[:-1]))
    assert document["threads"]
    assert program.ask("snapshot", samples="x")["code"] == "bad-field"
    assert program.ask("snapshot", state="no such state")["code"] == "bad-field"
    assert program.ask("snapshot", within=float("nan"))["type"] in ("error", "done")


@pytest.mark.skipif(RUNTIME != "threads", reason="patched threads are greenlets, and one that waits holds up the other")
def test_two_threads_wait_for_input(program: Messages) -> None:
    code = "import threading", "got = []", "def f(): got.append(input())"
    code += "threads = [threading.Thread(target=f) for _ in range(2)]", "for one in threads: one.start()"
    ident = program.send("eval", code="\n".join([*code, "for one in threads: one.join()", "sorted(got)"]))
    assert [program.read()["type"] for _ in range(2)] == ["input", "input"]
    for text in ("a", "b"):
        assert program.answers(program.send("input", text=text))[-1]["type"] == "done"
    assert program.answers(ident)[-1]["value"] == "['a', 'b']"


def test_input(program: Messages) -> None:
    assert program.ask("input", text="early")["code"] == "no-input"
    ident = program.send("eval", code="name = input('who? ')\nname")
    assert program.read() == {"id": ident, "type": "out", "stream": "stdout", "text": "who? "}
    assert program.read() == {"id": ident, "type": "input"}
    asked = program.send("input", text="Käthe")
    assert program.answers(ident) == [done(asked), value(ident, "'Käthe'", "str")]
    ident = program.send("eval", code="input()")
    assert program.read() == {"id": ident, "type": "input"}
    program.send("input", text=None)
    assert program.answers(ident)[-1]["exception"]["type"] == "EOFError"


def test_an_interrupted_wait_for_input_takes_none_any_more(program: Messages) -> None:
    ident = program.send("eval", code="input()")
    assert program.read() == {"id": ident, "type": "input"}
    program.send("interrupt")
    assert program.answers(ident)[-1]["exception"]["type"] == "KeyboardInterrupt"
    assert program.ask("input", text="late")["code"] == "no-input"
    ident = program.send("eval", code="input()")
    assert program.read() == {"id": ident, "type": "input"}
    program.send("input", text="new")
    assert program.answers(ident)[-1]["value"] == "'new'"


@ON_CPYTHON
def test_interrupt(program: Messages) -> None:
    assert program.ask("interrupt") == done(1, interrupted=False)
    ident = program.send("eval", code="print('in')\nwhile True: pass")
    assert program.read()["text"] == "in\n"
    asked = program.send("interrupt")
    answers = program.answers(ident)
    assert answers[0] == done(asked, interrupted=True)
    assert (answers[-1]["status"], answers[-1]["exception"]["type"]) == ("exception", "KeyboardInterrupt")
    assert program.eval("1")["value"] == "1"


@ON_CPYTHON
def test_an_interrupt_of_code_in_a_c_call_is_noted(patient: Patient, program: Messages) -> None:
    lock = "from manhole import compat; kept['lock'] = compat.allocate_lock(); kept['lock'].acquire()\n"
    ident = program.send("eval", code=lock + "print('in')\nkept['lock'].acquire()")
    assert program.read()["text"] == "in\n"
    program.send("interrupt")
    note = program.read_until(lambda message: message["type"] == "note")[-1]
    assert note["id"] == ident
    with quiet(patient.default_path) as other:
        other.ask("kept['lock'].release()")
    assert program.answers(ident)[-1]["exception"]["type"] == "KeyboardInterrupt"


def test_requests_sent_during_an_evaluation_are_done_afterwards_in_order(program: Messages) -> None:
    first = program.send("eval", code="input()")
    assert program.read()["type"] == "input"
    others = [program.send("eval", code=f"print({i})\n{i}") for i in range(50)]
    program.send("input", text="")
    program.answers(first)
    for number, ident in enumerate(others):
        answers = program.answers(ident)
        assert [one["id"] for one in answers] == [ident] * len(answers)
        assert answers[-1] == value(ident, str(number), "int")


def test_no_request_is_lost_at_the_moment_when_code_ends(program: Messages) -> None:
    """Whoever has heard it."""
    for number in range(300):
        first = program.send("eval", code="import time; time.sleep(0.0195)" if number % 10 == 0 else "1")
        assert program.answers(first)[-1]["status"] == "ok"
        assert program.eval("2")["value"] == "2"


def test_too_many_requests_during_an_evaluation_are_refused(program: Messages) -> None:
    first = program.send("eval", code="input()")
    assert program.read()["type"] == "input"
    for _ in range(8):
        last = program.send("eval", code="#" + "x" * 900_000)
    assert program.answers(last)[-1]["code"] == "busy"
    program.send("input", text="")
    assert program.answers(first)[-1]["status"] == "ok"
    assert program.answers(program.send("describe"))[-1]["type"] == "done"


@ON_CPYTHON
def test_close_during_an_evaluation_interrupts_it(program: Messages) -> None:
    ident = program.send("eval", code="print('in')\nwhile True: pass")
    assert program.read()["text"] == "in\n"
    asked = program.send("close")
    answers = program.answers(ident)
    assert answers[0] == done(asked)
    assert answers[-1]["exception"]["type"] == "KeyboardInterrupt"
    assert program.has_ended()


def test_close_and_exit_end_the_session(patient: Patient, program: Messages) -> None:
    assert program.ask("close") == done(1)
    assert program.has_ended()
    with messages(patient.default_path) as other:
        assert other.eval("exit()")["status"] == "exit"
        assert other.has_ended()
    with messages(patient.default_path) as other:
        ident = other.send("eval", code="1")
        other.client.socket.shutdown(1)
        assert other.answers(ident) == [value(ident, "1", "int")]
        assert other.has_ended()


@pytest.mark.parametrize(
    ("line", "ident", "code"),
    [
        (b"no json", None, "bad-message"),
        (b"", None, "bad-message"),
        (b"[1]", None, "bad-message"),
        (b"\xff\xfe{}", None, "bad-message"),
        (b"[" * 100_000, None, "bad-message"),
        (b'{"id": 7}', 7, "bad-message"),
        (b'{"op": 1, "id": "a"}', "a", "bad-message"),
        (b'{"op": "describe", "id": [1]}', None, "bad-message"),
        (b'{"op": "describe", "id": true}', None, "bad-message"),
        (b'{"op": "describe", "id": "' + b"x" * 900_000 + b'"}', None, "bad-message"),
        (b'{"op": "dance", "id": 1}', 1, "unknown-op"),
        (b'{"op": "eval", "id": 1}', 1, "bad-field"),
        (b'{"op": "eval", "code": 1, "id": 1}', 1, "bad-field"),
        (b'{"op": "eval", "code": "1", "hub": 1.5, "id": 1}', 1, "bad-field"),
        (b'{"op": "eval", "code": "1", "timeout": "5", "id": 1}', 1, "bad-field"),
        (b'{"op": "eval", "code": "1", "timeout": -1, "id": 1}', 1, "bad-field"),
        (b'{"op": "eval", "code": "1", "timeout": NaN, "id": 1}', 1, "bad-field"),
        (b'{"op": "eval", "code": "1", "timeout": true, "id": 1}', 1, "bad-field"),
        (b'{"op": "complete", "id": 1}', 1, "bad-field"),
        (b'{"op": "mirror", "on": 1, "id": 1}', 1, "bad-field"),
        (b'{"op": "input", "id": 1}', 1, "bad-field"),
        (b'{"op": "input", "text": "x", "id": 1}', 1, "no-input"),
        (b"x" * 1_100_000, None, "too-large"),
    ],
)
def test_what_cannot_be_served_is_answered(program: Messages, line: bytes, ident: object, code: str) -> None:
    program.client.send(line + b"\n")
    answer = program.read()
    assert (answer["type"], answer["id"], answer["code"]) == ("error", ident, code)
    assert answer["message"]
    assert program.eval("1")["value"] == "1"


@pytest.mark.parametrize(
    "request_",
    [
        {"op": "eval", "code": "1", "hub": "\\" * 400_000},
        {"op": "snapshot", "state": "\\" * 400_000},
        {"op": "complete", "text": "x = long['"},
    ],
)
def test_answers_stay_within_a_message_whatever_they_quote(program: Messages, request_: dict[str, Any]) -> None:
    program.eval("long = {'\\x01' * 10_000 + str(i): i for i in range(1000)}")
    assert program.ask(**request_)["type"] in ("done", "error")
    assert program.eval("1")["value"] == "1"


def test_unknown_fields_are_ignored_and_an_id_need_not_be(program: Messages) -> None:
    program.client.send('{"op": "complete", "text": "zzz", "new": [1], "id": "a"}\n{"op": "complete", "text": "zzz"}\n')
    assert program.read() == done("a", start=0, matches=[])
    assert program.read() == done(None, start=0, matches=[])


def test_a_big_message_is_taken(program: Messages) -> None:
    assert program.eval("len('" + "x" * 1_000_000 + "')")["value"] == "1000000"


def test_a_late_hello_begins_messages_and_control_bytes_mean_nothing_there(patient: Patient) -> None:
    with Conversation(patient.default_path) as client:
        client.read_until()
        program = Messages(client)
        client.send(b'{"op": "eval", "code": "\x03\x04"}\n')
        assert program.read()["code"] == "bad-message"
        assert program.eval("1")["value"] == "1"


def test_a_commands_output_is_the_evaluations(program: Messages) -> None:
    ident = program.send("eval", code="%help")
    answers = program.answers(ident)
    assert "%dump" in "".join(one["text"] for one in answers if one["type"] == "out")
    assert answers[-1] == value(ident, None, None)


def test_top_level_await(program: Messages) -> None:
    assert program.eval("import asyncio\nawait asyncio.sleep(0, 'x')")["value"] == "'x'"
    assert program.eval("async def f(): return 42\nx = await f()\nx")["value"] == "42"
