"""The audit of sessions: events, lines, and what happens when they cannot be told."""

import json
import os
import re
import stat
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from manhole import ManholeError
from manhole._audit import Audit
from manhole._errors import AuditFailed

Hook = Callable[[str, tuple[Any, ...]], None]

# A hook cannot be taken away again, so there is one for all tests, and it does what the test wants.
_wanted: list[Hook] = []
_added = False


@pytest.fixture
def hook() -> Iterator[Callable[[Hook], None]]:
    global _added
    if not _added:
        _added = True
        sys.addaudithook(lambda event, arguments: [one(event, arguments) for one in _wanted] and None)  # type: ignore[func-returns-value]
    yield _wanted.append
    _wanted.clear()


def tell_all(audit: Audit) -> None:
    audit.connect(7, 1000, 42)
    audit.refuse(1001, 43, "uid 1001 is not let in")
    audit.eval(7, 1000, 42, "print('é\ud800')\nx = 1")
    audit.close(7, 1000, 42)


TOLD = [
    {"event": "connect", "session": 7, "uid": 1000, "pid": 42},
    {"event": "refuse", "uid": 1001, "pid": 43, "reason": "uid 1001 is not let in"},
    {"event": "eval", "session": 7, "uid": 1000, "pid": 42, "code": "print('é\ud800')\nx = 1"},
    {"event": "close", "session": 7, "uid": 1000, "pid": 42},
]


def check_entries(entries: list[dict[str, Any]]) -> None:
    for entry in entries:
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", entry.pop("time"))
        assert entry.pop("process") == os.getpid()
    assert entries == TOLD


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_each_event_is_an_audit_event(hook: Callable[[Hook], None]) -> None:
    events: list[tuple[Any, ...]] = []

    def note(event: str, arguments: tuple[Any, ...]) -> None:
        if event.startswith("manhole."):
            events.append((event, *arguments))

    hook(note)
    tell_all(Audit(None))
    assert events == [(f"manhole.{one['event']}", *list(one.values())[1:]) for one in TOLD]


def test_each_event_is_a_line_of_a_file_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    before = os.umask(0o277)
    try:
        tell_all(Audit(str(path)))
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    check_entries(read(path))


def test_a_callable_gets_each_event_as_a_dict() -> None:
    entries: list[dict[str, Any]] = []
    tell_all(Audit(entries.append))
    check_entries(entries)


def test_a_file_that_is_there_is_added_to_and_keeps_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    path.write_text('{"old": 1}\n')
    path.chmod(0o640)
    Audit(str(path)).close(1, 2, 3)
    assert [entry.get("old") for entry in read(path)] == [1, None]
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_a_file_that_was_moved_away_is_made_anew(tmp_path: Path) -> None:
    path, old = tmp_path / "audit.jsonl", tmp_path / "audit.jsonl.1"
    audit = Audit(str(path))
    audit.connect(1, 2, 3)
    path.rename(old)
    audit.close(1, 2, 3)
    assert [entry["event"] for entry in read(old)] == ["connect"]
    assert [entry["event"] for entry in read(path)] == ["close"]


def test_a_short_write_is_gone_on_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = os.write
    monkeypatch.setattr("posix.write", lambda descriptor, data: write(descriptor, data[:10]))
    path = tmp_path / "audit.jsonl"
    Audit(str(path)).connect(1, 2, 3)
    assert [entry["event"] for entry in read(path)] == ["connect"]


def make_folder_without_it(path: Path) -> None:
    path.parent.rmdir()


def make_link(path: Path) -> None:
    (path.parent / "target").write_text("precious")
    path.symlink_to(path.parent / "target")


def make_pipe_that_nobody_reads(path: Path) -> None:
    os.mkfifo(path)


def make_folder(path: Path) -> None:
    path.mkdir()


def make_device(path: Path) -> None:
    path.symlink_to("/dev/null")


@pytest.mark.parametrize(
    "make", [make_folder_without_it, make_link, make_pipe_that_nobody_reads, make_folder, make_device]
)
def test_what_cannot_be_written_is_an_error_with_the_path(tmp_path: Path, make: Callable[[Path], None]) -> None:
    path = tmp_path / "logs" / "audit.jsonl"
    path.parent.mkdir()
    make(path)
    with pytest.raises(AuditFailed) as caught:
        Audit(str(path)).connect(1, 2, 3)
    assert caught.value.path == str(path)
    assert str(path) in str(caught.value)
    assert caught.value.reason
    assert isinstance(caught.value, ManholeError)
    target = tmp_path / "logs" / "target"
    assert not target.exists() or target.read_text() == "precious"


def test_a_pipe_that_is_read_is_no_log(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        with pytest.raises(AuditFailed, match="regular file"):
            Audit(str(path)).connect(1, 2, 3)
        assert os.read(reader, 100) == b""
    finally:
        os.close(reader)


def test_a_file_of_another_user_is_no_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "audit.jsonl"
    path.touch()
    monkeypatch.setattr("posix.geteuid", lambda: path.stat().st_uid + 1)
    with pytest.raises(AuditFailed, match="belongs to uid"):
        Audit(str(path)).connect(1, 2, 3)
    assert path.read_text() == ""


def test_a_full_disk_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """As /dev/full has it, which is no regular file."""
    if not os.path.exists("/dev/full"):
        pytest.skip("there is no /dev/full here")
    monkeypatch.setattr("stat.S_ISREG", lambda mode: True)
    monkeypatch.setattr("posix.geteuid", lambda: 0)
    with pytest.raises(AuditFailed) as caught:
        Audit("/dev/full").connect(1, 2, 3)
    assert "No space left" in caught.value.reason


def test_no_descriptor_is_left(tmp_path: Path) -> None:
    pipe, path = tmp_path / "pipe", tmp_path / "audit.jsonl"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        lowest = os.dup(0)
        os.close(lowest)
        for _ in range(3):
            tell_all(Audit(str(path)))
            with pytest.raises(AuditFailed):
                Audit(str(pipe)).connect(1, 2, 3)
        again = os.dup(0)
        os.close(again)
    finally:
        os.close(reader)
    assert again == lowest


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise ValueError


@pytest.mark.parametrize("error", [RuntimeError("the log is full"), Unspeakable()])
def test_what_a_callable_raises_is_an_error_with_its_text(error: Exception) -> None:
    def fail(_entry: dict[str, Any]) -> None:
        raise error

    with pytest.raises(AuditFailed) as caught:
        Audit(fail).eval(1, 2, 3, "x")
    assert caught.value.path == "audit_log"
    assert type(error).__name__ in caught.value.reason
    assert "full" in caught.value.reason or isinstance(error, Unspeakable)


def test_a_hook_that_refuses_is_an_error_and_nothing_is_written(hook: Callable[[Hook], None], tmp_path: Path) -> None:
    def refuse(event: str, _arguments: tuple[Any, ...]) -> None:
        if event == "manhole.eval":
            raise PermissionError("no code here")

    hook(refuse)
    path = tmp_path / "audit.jsonl"
    audit = Audit(str(path))
    audit.connect(1, 2, 3)
    with pytest.raises(AuditFailed) as caught:
        audit.eval(1, 2, 3, "x")
    assert caught.value.path == "sys.audit"
    assert "manhole.eval" in caught.value.reason
    assert "no code here" in caught.value.reason
    assert [entry["event"] for entry in read(path)] == ["connect"]


def test_an_interrupt_is_no_refusal() -> None:
    def interrupted(_entry: dict[str, Any]) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Audit(interrupted).connect(1, 2, 3)
