"""mode="dump" runs no code; what sessions do is told to sys.audit and written down."""

import json
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from harness import Patient, wait_until_true
from speaking import messages, quiet

Do = Callable[[str], Any]


@pytest.fixture
def dumps_only(commanded: Patient, do: Do) -> Patient:
    do("ran = []; manhole.install(verbose=False, mode='dump', locals={'ran': ran})")
    return commanded


CODE = "ran.append(1)"


def test_no_code_is_run_in_text(dumps_only: Patient, do: Do) -> None:
    with quiet(dumps_only.default_path) as client:
        for line in (
            CODE,
            "if 1:",
            "  " + CODE,
            "",
            f"%hub {CODE}",
            f"%hub 0 {CODE}",
            "%hub",
            CODE,
            "%throw 1 SystemExit",
        ):
            shown = client.ask(line)
            assert "Traceback" not in shown
            assert "mode='dump'" in shown or not line
        assert "ProcessID" in client.ask("%dump")
    with quiet(dumps_only.default_path) as client:
        client.send(f"{CODE}\n{CODE}")
        client.socket.shutdown(1)
        client.read_all()
    assert do("answer = ran") == []


def test_no_code_is_run_in_messages(dumps_only: Patient, do: Do) -> None:
    with messages(dumps_only.default_path) as program:
        told = program.ask("describe")
        assert (told["mode"], told["ops"]) == ("dump", ["close", "describe", "mirror", "sessions", "snapshot"])
        for op, fields in (
            ("eval", {"code": CODE}),
            ("eval", {"code": "%dump"}),
            ("complete", {"text": "ra"}),
            ("interrupt", {}),
            ("input", {"text": CODE}),
        ):
            assert program.ask(op, **fields)["code"] == "refused"
        answers = program.answers(program.send("snapshot"))
        assert json.loads("".join(one["text"] for one in answers[:-1]))["threads"]
        assert program.ask("sessions")["sessions"]
    assert do("answer = ran") == []


def test_an_exec_handler_of_the_applications_own_runs_none_either(dumps_only: Patient, do: Do) -> None:
    do("import socket; here, there = socket.socketpair(); there.sendall(b'ran.append(1)\\n'); there.close()")
    refused = "try: manhole.handle_connection_exec(here)\nexcept manhole.ConfigurationConflict: ran.append('refused')"
    do(f"exec({refused!r})")
    do("here.close()")
    assert do("answer = ran") == ["refused"]


def test_what_dumps_are_chosen_by_stays_nowhere(dumps_only: Patient, do: Do) -> None:
    """A client that may dump and nothing else must not fill the memory."""
    do("import fnmatch")
    with messages(dumps_only.default_path) as program:
        for number in range(3):
            assert program.ask("snapshot", match=f"*{number}")["type"] == "done"
        assert program.ask("snapshot", match="*" * 100_000)["code"] == "bad-field"
    assert do("answer = fnmatch._compile_pattern.cache_info().currsize") == 0


def test_audit_events(commanded: Patient, do: Do) -> None:
    do("events = []; sys.addaudithook(lambda name, args: name.startswith('manhole.') and events.append([name, *args]))")
    do("manhole.install(verbose=False, max_sessions=1)")
    with messages(commanded.default_path) as program:
        with commanded.connect() as refused:
            assert refused.read_all().startswith("manhole: refused: ")
        wait_until_true(lambda: do("answer = events[-1][0]") == "manhole.refuse")  # a moment after it was said
        program.eval("1\n2")
        program.ask("close")
        assert program.has_ended()
    wait_until_true(lambda: do("answer = events[-1][0]") == "manhole.close")
    me = [os.geteuid(), os.getpid()]
    events = do("answer = events")
    number = program.answer["session"]
    assert events[0] == ["manhole.connect", number, *me]
    assert events[1][:3] == ["manhole.refuse", *me]
    assert events[2:] == [["manhole.eval", number, *me, "1\n2"], ["manhole.close", number, *me]]


def test_an_audit_log_has_a_line_for_each_event(commanded: Patient, do: Do, tmp_path: Path) -> None:
    log = tmp_path / "audit.log"
    do(f"os.umask(0); manhole.install(verbose=False, audit_log={str(log)!r})")
    with quiet(commanded.default_path) as client:
        client.ask("1 + 1")
        client.send("exit()\n")
        client.read_all()
    wait_until_true(lambda: log.read_text().count("\n") == 4)
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert [line["event"] for line in lines] == ["connect", "eval", "eval", "close"]
    assert [line["code"] for line in lines[1:3]] == ["1 + 1", "exit()"]
    for line in lines:
        assert (line["uid"], line["pid"], line["process"]) == (os.geteuid(), os.getpid(), commanded.pid)
    assert stat.S_IMODE(log.stat().st_mode) == 0o600


def test_the_child_of_a_fork_in_a_session_writes_no_end_of_it(commanded: Patient, do: Do, tmp_path: Path) -> None:
    log = tmp_path / "audit.log"
    do(f"manhole.install(verbose=False, audit_log={str(log)!r})")
    with quiet(commanded.default_path) as client:
        child = int(client.ask("import posix; child = posix.fork(); child").split()[-1])
        client.ask("posix.waitpid(child, 0)")
    wait_until_true(lambda: '"close"' in log.read_text())
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert child not in [line["process"] for line in lines]
    assert [line["event"] for line in lines].count("close") == 1


def test_what_cannot_be_written_down_does_not_take_place(commanded: Patient, do: Do, tmp_path: Path) -> None:
    log = tmp_path / "audit.log"
    log.mkdir()
    do(f"ran = []; manhole.install(verbose=False, audit_log={str(log)!r}, locals={{'ran': ran}})")
    with commanded.connect() as client:
        line = client.read_all()
        assert line.startswith("manhole: refused: ")
        assert str(log) in line
    log.rmdir()
    with quiet(commanded.default_path) as client, messages(commanded.default_path) as program:
        client.ask(CODE)
        log.unlink()
        log.mkdir()
        assert client.ask(CODE).startswith("manhole: not run: ")
        assert program.eval(CODE)["code"] == "refused"
        log.rmdir()
        assert client.ask("1") == "1\n"
    assert do("answer = ran") == [1]
