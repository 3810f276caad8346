"""The %commands: how they are used, what they ask of the session, and what a wrong one says."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import hypothesis
import hypothesis.strategies as some
import pytest

from manhole import _commands, compat
from manhole._commands import COMMANDS, is_command, run_command
from manhole._errors import BadCommand, CannotThrow, InvalidOption, ManholeError, NoSuchUnit


class FakeSession:
    """Notes what it is asked for."""

    def __init__(self, dump_only: bool = False) -> None:
        self.dump_only = dump_only
        self.asked: list[Any] = []
        self.rest: str | None = None
        self._written: list[str] = []

    def write(self, text: str) -> None:
        self._written.append(text)

    def set_hub(self, hub: Any) -> None:
        self.asked.append(("set_hub", hub and hub.which))

    def run_in_hub(self, source: str, hub: Any) -> None:
        self.asked.append(("run_in_hub", source, hub.which))

    def mirror(self, wanted: bool) -> None:
        self.asked.append(("mirror", wanted))

    def sessions(self) -> list[dict[str, Any]]:
        row = {"session": 3, "pid": 42, "uid": 1000, "mode": "text", "seconds": 61.234, "state": "running"}
        idle = {"session": 12, "state": "idle", "busy": None, "code": None}
        return [{**row, "busy": 1.5, "code": "wait()"}, {**row, **idle}]

    def more(self) -> str | None:
        return self.rest

    @property
    def written(self) -> str:
        return "".join(self._written)


@pytest.fixture
def session() -> FakeSession:
    return FakeSession()


@pytest.fixture
def hubs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every hub that is asked for is there, and says how it was asked for."""
    monkeypatch.setattr(_commands, "find_hub", lambda which: SimpleNamespace(name="gevent", which=which))


def test_what_is_a_command() -> None:
    assert is_command("%dump")
    assert is_command("  %dump")
    assert not is_command("a % b")
    assert not is_command("")


@pytest.mark.parametrize("line", ["%nothing", "%", "%nothing here", "%Dump"])
def test_an_unknown_command_names_help(session: FakeSession, line: str) -> None:
    with pytest.raises(BadCommand, match="%help") as caught:
        run_command(line, session)
    assert caught.value.command == line


def test_help_shows_every_command_and_one_alone(session: FakeSession) -> None:
    run_command("%help", session)
    for name, command in COMMANDS.items():
        assert f"%{name}" in session.written
        assert command.help in session.written
    for line in ("%help locals", "%help %locals"):
        one = FakeSession()
        run_command(line, one)
        assert one.written == f"%locals ID FRAME\n    {COMMANDS['locals'].help}\n"
    with pytest.raises(BadCommand, match="no command %nothing"):
        run_command("%help nothing", session)


def test_in_dump_mode_only_what_is_harmless() -> None:
    session = FakeSession(dump_only=True)
    run_command("%help", session)
    there = {line.split()[0] for line in session.written.splitlines() if line.startswith("%")}
    assert there == {"%dump", "%sessions", "%hubs", "%help"}
    for line in ("%dump", "%sessions", "%hubs"):
        run_command(line, session)
    for name in COMMANDS.keys() - {one[1:] for one in there}:
        with pytest.raises(BadCommand, match="dump"):
            run_command(f"%{name}", session)
    assert session.asked == []


def test_dump_passes_its_words_on(session: FakeSession, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[Any] = []
    monkeypatch.setattr(_commands, "dump_stacktraces", lambda file, **options: given.append((file, options)))
    run_command("%dump", session)
    words = "full  finished match='a b' state=\"not started\" kind=Task thread=0x1f format=json width=80"
    run_command(f"%dump {words}", session)
    run_command("%dump thread=MainThread", session)
    assert given == [
        (session, {}),
        (
            session,
            {
                "full": True,
                "finished": True,
                "match": "a b",
                "state": "not started",
                "kind": "Task",
                "thread": 31,
                "format": "json",
                "width": 80,
            },
        ),
        (session, {"thread": "MainThread"}),
    ]


def test_dump_writes_to_the_session(session: FakeSession) -> None:
    run_command("%dump full thread=MainThread", session)
    assert session.written.startswith("Process ")
    assert "MainThread" in session.written


@pytest.mark.parametrize(
    ("line", "error", "says"),
    [
        ("%dump everything", BadCommand, "usage: %dump [full]"),
        ("%dump full=1", BadCommand, "usage"),
        ("%dump match=", BadCommand, "usage"),
        ("%dump width=wide", BadCommand, "'wide' is no width"),
        ("%dump thread=0xyz", BadCommand, "is no thread"),
        ("%dump match='a", BadCommand, "no closing quotation"),
        ("%dump format=pdf", InvalidOption, "one of text"),
        ("%dump state=asleep", InvalidOption, "not started"),
        ("%greenlet", BadCommand, "usage: %greenlet ID"),
        ("%greenlet one", BadCommand, "'one' is no ID"),
        ("%greenlet 0x1 0x2", BadCommand, "usage"),
        ("%greenlet 0x1", NoSuchUnit, "0x1"),
        ("%greenlet 17", NoSuchUnit, "0x11"),
        ("%locals 17", BadCommand, "usage: %locals ID FRAME"),
        ("%locals 17 0", NoSuchUnit, "0x11"),
        ("%kill", BadCommand, "usage: %kill ID"),
        ("%kill 17", NoSuchUnit, "0x11"),
        ("%throw 17", BadCommand, "usage: %throw ID EXCEPTION"),
        ("%throw x ValueError", BadCommand, "'x' is no ID"),
        ("%throw 17 ValueError", NoSuchUnit, "0x11"),
        ("%throw 17 print", BadCommand, "none of Python's own exceptions"),
        ("%throw 17 len('a')", BadCommand, "none of Python's own exceptions"),
        ("%throw 17 ValueError(", BadCommand, "none of Python's own exceptions"),
        ("%throw 17 ValueError(1)", BadCommand, "none of Python's own exceptions"),
        ("%throw 17 UnicodeDecodeError", BadCommand, "cannot be made"),
        ("%hubs all", BadCommand, "takes nothing"),
        ("%thread 1", BadCommand, "takes nothing"),
        ("%sessions 1", BadCommand, "takes nothing"),
        ("%more 1", BadCommand, "takes nothing"),
        ("%mirror", BadCommand, "on or off"),
        ("%mirror maybe", BadCommand, "usage: %mirror on|off"),
    ],
)
def test_a_wrong_use_says_what_is_right(session: FakeSession, line: str, error: type[Exception], says: str) -> None:
    with pytest.raises(error) as caught:
        run_command(line, session)
    assert says in str(caught.value)
    assert session.asked == []


def test_units_are_shown(session: FakeSession, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_commands, "format_unit", lambda ident: [f"unit {ident}", "stack"])
    monkeypatch.setattr(_commands, "format_locals", lambda ident, number: [f"unit {ident} frame {number}"])
    run_command("%greenlet 0xff", session)
    run_command("%locals 0XFF 3", session)
    assert session.written == "unit 255\nstack\nunit 255 frame 3\n"


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ("%throw 0xff TimeoutError", TimeoutError()),
        ("%throw 255 KeyError()", KeyError()),
        ("%throw 255  ValueError( 'a (b) \"c\"' )", ValueError('a (b) "c"')),
        ('%throw 255 SystemExit("")', SystemExit("")),
        ("%kill 255", None),
    ],
)
def test_exceptions_are_thrown(
    session: FakeSession, monkeypatch: pytest.MonkeyPatch, line: str, error: BaseException | None
) -> None:
    thrown: list[Any] = []
    unit = SimpleNamespace(kind="Greenlet", name="worker", ident=255)
    monkeypatch.setattr(_commands, "throw", lambda ident, error: thrown.append((ident, error)) or unit)
    run_command(line, session)
    ((ident, made),) = thrown
    assert ident == 255
    assert type(made) is type(error)
    assert error is None or made.args == error.args
    assert session.written.endswith(" is on its way to Greenlet worker 0xff\n")


@pytest.mark.parametrize(
    ("line", "asked"),
    [
        ("%hub", ("set_hub", None)),
        ("%hub 1", ("set_hub", 1)),
        ("%hub thread=MainThread", ("set_hub", "MainThread")),
        ("%hub thread='Thread 1'", ("set_hub", "Thread 1")),
        ("%hub thread=1234", ("set_hub", 1234)),
        ("%hub f(1)", ("run_in_hub", "f(1)", None)),
        ("%hub 1 f(1)", ("run_in_hub", "f(1)", 1)),
        ("%hub  x = 'a  b'", ("run_in_hub", "x = 'a  b'", None)),
        ('%hub thread="Thread 1" f()', ("run_in_hub", "f()", "Thread 1")),
        ("%hub thread = 1", ("run_in_hub", "thread = 1", None)),
        ("%hub 1.5", ("run_in_hub", "1.5", None)),
        (f"%hub {'9' * 5000}", ("run_in_hub", "9" * 5000, None)),
        (f"%hub thread={'9' * 5000}", ("set_hub", "9" * 5000)),
        ("%hub 12+3", ("run_in_hub", "12+3", None)),
    ],
)
@pytest.mark.usefixtures("hubs")
def test_hubs_are_chosen(session: FakeSession, line: str, asked: tuple[Any, ...]) -> None:
    run_command(line, session)
    assert session.asked == [asked]
    assert ("gevent" in session.written) == (asked[0] == "set_hub")


def test_back_on_the_thread(session: FakeSession) -> None:
    run_command("%thread", session)
    assert session.asked == [("set_hub", None)]


def test_hubs_are_listed(session: FakeSession, monkeypatch: pytest.MonkeyPatch) -> None:
    run_command("%hubs", session)
    monkeypatch.setattr(
        _commands,
        "list_hubs",
        lambda: [
            SimpleNamespace(number=0, kind="gevent", name="Hub", thread=1234, thread_name="MainThread"),
            SimpleNamespace(number=1, kind="asyncio", name="Loop", thread=None, thread_name=""),
        ],
    )
    run_command("%hubs", session)
    none, *rows = session.written.splitlines()
    assert none == "There is no hub in this process"
    assert [row.split() for row in rows[1:]] == [
        ["0", "gevent", "Hub", "1234", "MainThread"],
        ["1", "asyncio", "Loop", "-"],
    ]


def test_sessions_are_listed(session: FakeSession) -> None:
    run_command("%sessions", session)
    assert session.written == (
        "SESSION  PID  UID   MODE  SECONDS  STATE    BUSY  CODE\n"
        "3        42   1000  text  61.2     running  1.5   wait()\n"
        "12       42   1000  text  61.2     idle     -     -\n"
    )


def test_mirror_and_more(session: FakeSession) -> None:
    run_command("%mirror off", session)
    run_command("%mirror on", session)
    assert session.asked == [("mirror", False), ("mirror", True)]
    nothing = FakeSession()
    run_command("%more", nothing)
    nothing.rest = "the rest"
    run_command("%more", nothing)
    assert nothing.written == "There is nothing more to show\nthe rest\n"


def test_a_thread_cannot_be_thrown_into(session: FakeSession) -> None:
    with pytest.raises(CannotThrow, match="only greenlets and tasks"):
        run_command(f"%kill {compat.get_ident()}", session)


def test_every_command_is_documented() -> None:
    text = (Path(__file__).parents[2] / "docs" / "session.md").read_text()
    for name, command in COMMANDS.items():
        assert f"\n### %{name} {command.usage}".rstrip() + "\n" in text
        assert f">>> %{name}" in text


@pytest.mark.usefixtures("hubs")
def test_an_arbitrary_line_is_no_error_but_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_commands, "dump_stacktraces", lambda file, **options: None)
    monkeypatch.setattr(_commands, "format_unit", lambda ident: iter(()))
    monkeypatch.setattr(_commands, "format_locals", lambda ident, number: iter(()))
    monkeypatch.setattr(_commands, "throw", lambda ident, error: SimpleNamespace(kind="Task", name="", ident=ident))
    names = some.sampled_from([*COMMANDS, ""])
    words = some.lists(some.text(max_size=8) | some.sampled_from(["0x1", "1", "thread=", "'", "full", "KeyError("]))

    @hypothesis.settings(max_examples=300, deadline=None, database=None)
    @hypothesis.given(names, words)
    def check(name: str, words: list[str]) -> None:
        try:
            run_command(" ".join([f"%{name}", *words]), FakeSession())
        except ManholeError:
            pass

    check()
