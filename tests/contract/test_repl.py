"""The REPL, over a bare connection as `socat` or `nc -U` makes it."""

import contextlib
import json
import re
import shutil
import subprocess
from collections.abc import Iterator

import pytest
from harness import DEADLINE, RUNTIME, Conversation, Patient, conversation, wait_until_true


@pytest.fixture(scope="module")
def patient() -> Iterator[Patient]:
    with Patient("patient.py", RUNTIME, "after", "idle", "locals={'answer': 42}") as patient:
        assert [patient.told() for _ in range(3)][-1] == "in state"
        yield patient


@pytest.fixture
def client(patient: Patient) -> Iterator[Conversation]:
    with conversation(patient.default_path) as client:
        yield client


def test_expressions_echo_their_value(client: Conversation) -> None:
    assert client.ask("1 + 1") == "2\n"
    assert client.ask("None") == ""
    assert client.ask("x = 'a'") == ""
    assert client.ask("x") == "'a'\n"
    assert client.ask("_ * 2") == "'aa'\n"


def test_blocks_of_several_lines(client: Conversation) -> None:
    assert client.ask("def double(x):", "    return 2 * x", "") == "... ... "
    assert client.ask("double(21)") == "42\n"
    assert client.ask("for i in range(2):", "  i", "  # a comment", "") == "... ... ... 0\n1\n"
    assert client.ask("(1 +", "2)") == "... 3\n"
    assert client.ask("s = '''a", "b'''") == "... "
    assert client.ask("s") == "'a\\nb'\n"


def test_blank_lines_and_comments_are_nothing(client: Conversation) -> None:
    assert client.ask("") == ""
    assert client.ask("   ") == ""
    assert client.ask("# nothing") == ""


@pytest.mark.parametrize(
    ("line", "end"),
    [
        ("1/0", "ZeroDivisionError: division by zero\n"),
        ("raise KeyboardInterrupt", "KeyboardInterrupt\n"),
        ("raise GeneratorExit", "GeneratorExit\n"),
        ("int('x')", "invalid literal for int() with base 10: 'x'\n"),
        ("1 1", "invalid syntax"),
        ("  x", "unexpected indent\n"),
        ("f(1))", "unmatched ')'\n"),
        ("'abc", "unterminated string literal"),
        ("\x00", "null bytes"),
        ("'\\ud800'.encode()", "surrogates not allowed\n"),
        ("eval('('*10000)", ""),
        ("raise OSError('the code is free to raise what a lost connection raises')", "raises\n"),
    ],
)
def test_errors_do_not_end_the_session(client: Conversation, line: str, end: str) -> None:
    answer = client.ask(line)
    assert "Error" in answer or "KeyboardInterrupt" in answer or "GeneratorExit" in answer
    assert end in answer
    assert client.ask("1") == "1\n"


def test_traceback_is_the_users_own(client: Conversation) -> None:
    client.ask("def fail():", "    raise ValueError('mine')", "")
    lines = client.ask("fail()").splitlines()
    assert lines[0] == "Traceback (most recent call last):"
    assert re.fullmatch(r'  File "<manhole \d+:2>", line 1, in <module>', lines[1])
    assert lines[2] == "    fail()"
    assert re.fullmatch(r'  File "<manhole \d+:1>", line 2, in fail', next(line for line in lines if "in fail" in line))
    assert "    raise ValueError('mine')" in lines
    assert lines[-1] == "ValueError: mine"
    assert not [line for line in lines if "/manhole/" in line]


def test_an_error_whose_text_fails_does_not_end_the_session(client: Conversation) -> None:
    client.ask("class Bad(Exception):", "    def __str__(self): raise SystemError", "")
    assert "Bad" in client.ask("raise Bad")
    assert client.ask("1") == "1\n"


def test_a_repr_that_fails_is_an_error_like_any(client: Conversation) -> None:
    client.ask("class Bad:", "    def __repr__(self): raise LookupError('no repr')", "")
    assert client.ask("Bad()").endswith("LookupError: no repr\n")


@pytest.mark.parametrize(
    "leave", ["exit()", "quit()", "raise SystemExit", "raise SystemExit(3)", "import sys; sys.exit(1)"]
)
def test_leaving_ends_the_session_and_not_the_process(patient: Patient, leave: str) -> None:
    with conversation(patient.default_path) as client:
        client.send(leave + "\n")
        assert client.read_all() == ""
    with conversation(patient.default_path) as client:
        assert client.ask("1") == "1\n"
    assert patient.process.poll() is None


def test_end_of_input_ends_the_session_after_what_is_pending(patient: Patient) -> None:
    with conversation(patient.default_path) as client:
        client.send("for i in 'ab':\n  i")
        client.socket.shutdown(1)
        assert client.read_all() == "... ... 'a'\n'b'\n"


def test_text_is_utf8_both_ways(client: Conversation) -> None:
    assert client.ask("print('Grüße, 世界 🕳')") == "Grüße, 世界 🕳\n"
    assert client.ask("ascii('é')") == "\"'\\\\xe9'\"\n"
    assert client.ask("'\\ud800'") == "'\\ud800'\n"
    assert client.ask("print('\\ud800')") == "\\ud800\n"


def test_bytes_that_are_not_utf8_harm_nothing(client: Conversation) -> None:
    client.send(b"ascii('\xff\xfe\x80')\n")
    assert client.read_until() == "\"'\\\\ufffd\\\\ufffd\\\\ufffd'\"\n"
    assert client.ask("1") == "1\n"


def test_lines_may_end_as_in_telnet(client: Conversation) -> None:
    client.send(b"1 + 1\r\n")
    assert client.read_until() == "2\n"


def test_a_flood_without_a_line_end_is_thrown_away(client: Conversation) -> None:
    client.send(b"x" * 3_000_000 + b"\n")
    assert client.read_until() == "manhole: that line was too long and was thrown away\n"
    assert client.ask("1") == "1\n"


def test_namespace(client: Conversation) -> None:
    assert client.ask("answer") == "42\n"
    names = client.ask("sorted(n for n in globals() if not n.startswith('_'))")
    assert names == "['answer', 'dump_stacktraces', 'exit', 'in_hub', 'os', 'quit', 'socket', 'sys', 'traceback']\n"
    assert "ends this session" in client.ask("exit")


def test_each_session_has_its_own_namespace(patient: Patient) -> None:
    with conversation(patient.default_path) as one, conversation(patient.default_path) as other:
        one.ask("mine = 1")
        assert "NameError" in other.ask("mine")


def test_dump_from_the_prompt(client: Conversation) -> None:
    assert "ProcessID=" in client.dump_until(lambda dump: dump.count("# parked here") == 3)


def test_input_reads_from_the_client(client: Conversation) -> None:
    client.send("name = input('who? ')\n")
    client.read_until(b"who? ")
    assert client.ask("Käthe") == ""
    assert client.ask("name") == "'Käthe'\n"


def test_the_values_shown_leave_builtins_alone(client: Conversation) -> None:
    client.ask("12345")
    assert client.ask("import builtins; hasattr(builtins, '_')") == "False\n"


def test_future_features_last_for_the_session(client: Conversation) -> None:
    client.ask("from __future__ import annotations")
    client.ask("def f(x: undefined): pass", "")
    assert client.ask("f.__annotations__") == "{'x': 'undefined'}\n"


def test_warnings_filters_of_the_process_stay_as_they_are(client: Conversation) -> None:
    client.ask("import warnings; before = (warnings.filters, list(warnings.filters))")
    assert client.ask("before[0] is warnings.filters and before[1] == warnings.filters") == "True\n"


@pytest.mark.parametrize("tool", ["socat", "nc"])
def test_common_tools_work(patient: Patient, tool: str) -> None:
    if shutil.which(tool) is None:
        pytest.skip(f"{tool} is not on this machine")
    path = patient.default_path
    # By itself socat waits for half a second after the end of its input.
    commands = {"socat": ["socat", "-t", str(DEADLINE), "-", f"unix-connect:{path}"], "nc": ["nc", "-NU", path]}
    done = subprocess.run(
        commands[tool], input=b"print(6*7)\nexit()\n", capture_output=True, timeout=2 * DEADLINE, check=False
    )
    assert done.stdout.decode().endswith(">>> 42\n>>> ")


def hello(**fields: object) -> str:
    return json.dumps({"manhole": 1, **fields}) + "\n"


def test_hello_spares_greeting_and_prompts(patient: Patient) -> None:
    with contextlib.ExitStack() as stack:
        with patient.stopped():  # else the hello may come late
            client = stack.enter_context(patient.connect())
            client.send(hello(greeting=False, prompt=False, token="abc") + "1 + 1\nexit()\n")
        lines = client.read_all().splitlines()
    answer = json.loads(lines[-2])
    assert answer.pop("session") > 0
    assert answer == {"manhole": 1, "pid": patient.pid, "mode": "text", "token": "abc"}
    assert lines[-1] == "2"
    assert not [line for line in lines if "ProcessID" in line]


def test_hello_may_come_late(patient: Patient) -> None:
    with patient.connect() as client:
        client.read_until()
        client.send(hello(greeting=False, prompt=False, token="abc") + "1 + 1\nexit()\n")
        answer = client.read_all().splitlines()
    assert json.loads(answer[1])["token"] == "abc"
    assert answer[2:] == ["2"]


@pytest.mark.parametrize(
    "fields",
    [
        {"manhole": 99},
        {"manhole": True},
        {"mode": "x"},
        {"greeting": "no"},
        {"token": 1},
        {"prompt": None},
        {"mirror": 0},
    ],
)
def test_a_hello_that_is_wrong_is_told_so(patient: Patient, fields: dict[str, object]) -> None:
    with patient.connect() as client:
        client.send(hello(**fields))
        assert client.read_all().splitlines()[-1].startswith("manhole: ")


def test_a_client_that_stops_reading_stops_itself_alone(patient: Patient) -> None:
    with conversation(patient.default_path) as deaf, conversation(patient.default_path) as other:
        deaf.send("while True: print('x' * 1000)\n\n")
        wait_until_true(lambda: len(deaf.socket.recv(4, 2)) == 4)
        assert other.ask("1 + 1") == "2\n"


def test_a_client_that_leaves_ends_its_session(patient: Patient) -> None:
    with conversation(patient.default_path) as other:
        with conversation(patient.default_path) as client:
            client.send("while True: print('x' * 1000)\n\n")
            client.socket.recv(4)
        count = "sum('session' in n for n in sys.modules['manhole'].compat.own_threads.values())"
        wait_until_true(lambda: other.ask(count) == "1\n")
