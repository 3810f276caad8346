"""The options that are about sessions: what they may be, and what becomes of it."""

import os
from pathlib import Path
from typing import Any

import pytest

from manhole import ConfigurationConflict, InvalidOption
from manhole._options import parse_options


def test_defaults() -> None:
    options = parse_options({})
    assert (options.mode, options.max_sessions, options.max_output, options.audit_log) == ("repl", 64, 1048576, None)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"mode": "exec"}, "'repl' or 'dump'"),
        ({"mode": None}, "'repl' or 'dump'"),
        ({"max_sessions": 0}, "1 or more"),
        ({"max_sessions": True}, "1 or more"),
        ({"max_sessions": 1.0}, "1 or more"),
        ({"max_output": 65535}, "65536 or more"),
        ({"max_output": "1 MiB"}, "65536 or more"),
        ({"audit_log": 2}, "a callable"),
        ({"audit_log": ""}, "a file's path"),
        ({"audit_log": "/tmp/"}, "a file's path"),
        ({"audit_log": b"/tmp/audit"}, "a file's path"),
        ({"audit_log": "/no/such/folder/audit"}, "a folder that exists"),
        ({"audit_log": "/tmp/a\0b"}, "a folder that exists"),
    ],
)
def test_a_wrong_value_says_what_is_allowed(given: dict[str, Any], says: str) -> None:
    with pytest.raises(InvalidOption) as caught:
        parse_options(given)
    assert caught.value.option == next(iter(given))
    assert says in str(caught.value)


def test_the_least_that_is_allowed() -> None:
    options = parse_options({"max_sessions": 1, "max_output": 65536, "mode": "dump"})
    assert (options.max_sessions, options.max_output, options.mode) == (1, 65536, "dump")


def test_the_audit_logs_path_is_made_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert parse_options({"audit_log": "audit"}).audit_log == str(tmp_path / "audit")
    assert parse_options({"audit_log": Path("audit")}).audit_log == str(tmp_path / "audit")


def test_an_audit_log_is_in_a_folder_to_write_to_or_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writable: set[str] = set()
    monkeypatch.setattr(os, "access", lambda path, _mode: path in writable)
    with pytest.raises(InvalidOption, match="to write to"):
        parse_options({"audit_log": tmp_path / "audit"})
    writable.add(str(tmp_path / "audit"))
    assert parse_options({"audit_log": tmp_path / "audit"}).audit_log == str(tmp_path / "audit")


def test_a_callable_is_an_audit_log() -> None:
    assert parse_options({"audit_log": print}).audit_log is print


@pytest.mark.parametrize("handler", ["exec", print])
def test_dump_mode_has_no_other_handler(handler: Any) -> None:
    with pytest.raises(ConfigurationConflict) as caught:
        parse_options({"mode": "dump", "connection_handler": handler})
    assert caught.value.options == ("mode", "connection_handler")
