"""The commands of a session: lines that begin with %, for what would be tedious to type as Python."""

from __future__ import annotations

import builtins
import re
import shlex
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, Protocol

from manhole._dump import dump_stacktraces
from manhole._errors import BadCommand
from manhole._in_hub import find_hub, list_hubs
from manhole._inspect import format_locals, format_unit
from manhole._snapshot import FORMATS, name_unit
from manhole._throw import throw
from manhole.compat import HubHandle

__all__ = ["COMMANDS", "Command", "Session", "is_command", "run_command"]

# "%hub 1 EXPRESSION", "%hub thread=NAME EXPRESSION": what chooses the hub.
_CHOICE = re.compile(r"""(?:(?P<number>[0-9]{1,20})|thread=(?P<name>"[^"]*"|'[^']*'|\S+))(?:\s+|$)""")
_IDENT = re.compile("[0-9]{1,20}")
_EXCEPTION = re.compile(r"""(?P<name>\w+)\s*(?:\(\s*(?P<text>"[^"]*"|'[^']*')?\s*\))?""")


class Session(Protocol):
    """What the commands need of a session; they are called on its thread."""

    @property
    def dump_only(self) -> bool:
        """Whether no code may be run."""

    def write(self, text: str, /) -> object:
        """Show *text* to the client."""

    def set_hub(self, hub: HubHandle | None, /) -> None:
        """Run statements in *hub* from now on; None: on the session's own thread."""

    def run_in_hub(self, source: str, hub: HubHandle, /) -> None:
        """Run one statement in *hub*, and show its value as the prompt does."""

    def mirror(self, wanted: bool, /) -> None:
        """Begin or end the copying of the application's output."""

    def sessions(self) -> list[dict[str, Any]]:
        """All sessions that there are, as the protocol's operation `sessions` has them."""

    def more(self) -> str | None:
        """The next part of a value that was too long to be shown; None if there is nothing."""


class Command(NamedTuple):
    """One command.

    usage: what follows its name.
    help: what it does, in one line.
    function: is given the session and the rest of the line.
    is_harmless: whether it runs no code and changes nothing, so that it is there with `mode="dump"`.
    """

    usage: str
    help: str
    function: Callable[[Session, str], None]
    is_harmless: bool = False


def is_command(line: str) -> bool:
    """Whether *line*, the first of a statement, is a command. No Python statement begins with %."""
    return line.lstrip().startswith("%")


def run_command(line: str, session: Session) -> None:
    """Run the command *line*.

    :raises ManholeError: if there is no such command, it is not used as it has to be, or cannot do what it should; the
        message is for the user.

    On a session's thread. What a command does is said by its help; %greenlet and %locals run the `repr()` of values.
    """
    name, rest = _split(line)
    command = COMMANDS.get(name)
    if command is None:
        raise BadCommand(line, f"there is no command %{name}; %help shows those that there are")
    if session.dump_only and not command.is_harmless:
        raise BadCommand(line, f"%{name} is not to be had here (mode='dump'); %help shows what is")
    try:
        command.function(session, rest)
    except _Misused as error:
        raise BadCommand(line, f"{error}; usage: {_usage(name)}") from None


class _Misused(Exception):
    """The arguments of a command are wrong; how it is used is added to the message."""


def _split(line: str) -> tuple[str, str]:
    words = line.strip().removeprefix("%").split(None, 1)
    return (*words, "", "")[0], (*words, "", "")[1]


def _usage(name: str) -> str:
    return f"%{name} {COMMANDS[name].usage}".rstrip()


def _words(rest: str) -> list[str]:
    try:
        return shlex.split(rest)
    except ValueError as error:
        raise _Misused(str(error).lower()) from None


def _number(word: str, what: str) -> int:
    """A number in decimal or, with 0x, in hexadecimal digits."""
    try:
        return int(word, 16 if word.lower().startswith("0x") else 10)
    except ValueError:
        raise _Misused(f"{word!r} is no {what}") from None


def _take(rest: str, *whats: str) -> list[int]:
    """As many numbers as there are names for them."""
    words = rest.split()
    if len(words) != len(whats):
        raise _Misused(f"it takes {' and '.join(whats)}")
    return [_number(word, what) for word, what in zip(words, whats, strict=True)]


def _take_nothing(rest: str) -> None:
    if rest:
        raise _Misused("it takes nothing")


def _write_lines(session: Session, lines: Iterable[str]) -> None:
    for line in lines:
        session.write(line + "\n")


def _write_table(session: Session, rows: list[list[str]]) -> None:
    """Columns as wide as they need to be, the first row above the others."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        session.write(line.rstrip() + "\n")


# --- the commands


def _dump(session: Session, rest: str) -> None:
    options: dict[str, Any] = {}
    for word in _words(rest):
        name, equals, value = word.partition("=")
        if name in ("full", "finished") and not equals:
            options[name] = True
        elif name == "width" and value:
            options[name] = _number(value, "width")
        elif name == "thread" and value:
            options[name] = _number(value, "thread") if value.lower().startswith("0x") else value
        elif name in ("match", "state", "kind", "format") and value:
            options[name] = value
        else:
            raise _Misused(f"{word!r} is none of its words")
    dump_stacktraces(session, **options)


def _greenlet(session: Session, rest: str) -> None:
    (ident,) = _take(rest, "ID")
    _write_lines(session, format_unit(ident))


def _locals(session: Session, rest: str) -> None:
    ident, number = _take(rest, "ID", "FRAME")
    _write_lines(session, format_locals(ident, number))


def _throw(session: Session, rest: str) -> None:
    words = rest.split(None, 1)
    if len(words) != 2:
        raise _Misused("it takes ID and EXCEPTION")
    error = _make_exception(words[1])
    unit = throw(_number(words[0], "ID"), error)
    session.write(f"{type(error).__name__} is on its way to {name_unit(unit)}\n")


def _make_exception(text: str) -> BaseException:
    match = _EXCEPTION.fullmatch(text)
    cls = getattr(builtins, match["name"], None) if match is not None else None
    if match is None or not isinstance(cls, type) or not issubclass(cls, BaseException):
        raise _Misused(f"{text!r} is none of Python's own exceptions, such as TimeoutError or ValueError('text')")
    arguments = [match["text"][1:-1]] if match["text"] else []
    try:
        return cls(*arguments)
    except TypeError as error:
        raise _Misused(f"{text} cannot be made: {error}") from None


def _kill(session: Session, rest: str) -> None:
    (ident,) = _take(rest, "ID")
    unit = throw(ident, None)
    what = "Its cancellation" if unit.kind == "Task" else "GreenletExit"
    session.write(f"{what} is on its way to {name_unit(unit)}\n")


def _hub(session: Session, rest: str) -> None:
    match = _CHOICE.match(rest)
    which: int | str | None = None
    if match is not None:
        rest = rest[match.end() :]
        name = match["name"]
        if name is None:
            which = int(match["number"])
        else:
            name = name[1:-1] if name[0] in "'\"" else name
            which = int(name) if _IDENT.fullmatch(name) else name
    hub = find_hub(which)
    if rest:
        session.run_in_hub(rest, hub)
    else:
        session.set_hub(hub)
        session.write(f"Statements run in a hub of {hub.name} from now on; %thread ends that\n")


def _hubs(session: Session, rest: str) -> None:
    _take_nothing(rest)
    rows = [
        [_cell(value) for value in (hub.number, hub.kind, hub.name, hub.thread, hub.thread_name)] for hub in list_hubs()
    ]
    if rows:
        _write_table(session, [["HUB", "KIND", "NAME", "THREAD", "THREAD'S NAME"], *rows])
    else:
        session.write("There is no hub in this process\n")


def _thread(session: Session, rest: str) -> None:
    _take_nothing(rest)
    session.set_hub(None)
    session.write("Statements run on the session's own thread\n")


def _sessions(session: Session, rest: str) -> None:
    _take_nothing(rest)
    columns = ("session", "pid", "uid", "mode", "seconds", "state", "busy", "code")
    rows = [[_cell(one[column]) for column in columns] for one in session.sessions()]
    _write_table(session, [["SESSION", "PID", "UID", "MODE", "SECONDS", "STATE", "BUSY", "CODE"], *rows])


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.1f}" if isinstance(value, float) else str(value)


def _mirror(session: Session, rest: str) -> None:
    if rest not in ("on", "off"):
        raise _Misused("it takes on or off")
    session.mirror(rest == "on")
    session.write(f"The application's output is {'copied' if rest == 'on' else 'not copied'} here\n")


def _more(session: Session, rest: str) -> None:
    _take_nothing(rest)
    text = session.more()
    session.write("There is nothing more to show\n" if text is None else text + "\n")


def _help(session: Session, rest: str) -> None:
    name = rest.removeprefix("%")
    if name and name not in COMMANDS:
        raise _Misused(f"there is no command %{name}")
    for one, command in COMMANDS.items():
        if one == name or (not name and (command.is_harmless or not session.dump_only)):
            session.write(f"{_usage(one)}\n    {command.help}\n")


COMMANDS = {
    "dump": Command(
        "[full] [finished] [match=TEXT] [state=STATE] [kind=KIND] [thread=THREAD] [format=FORMAT] [width=COLUMNS]",
        f"The stacks of all threads, greenlets and tasks, or of those chosen; in {', '.join(FORMATS[:-1])} or "
        f"{FORMATS[-1]}.",
        _dump,
        is_harmless=True,
    ),
    "greenlet": Command(
        "ID",
        "All of one greenlet, task or thread, by the id that %dump full shows: its stack with variables, its origin.",
        _greenlet,
    ),
    "locals": Command("ID FRAME", "All variables of one frame, by its number in %greenlet.", _locals),
    "throw": Command(
        "ID EXCEPTION", 'Raise one of Python\'s exceptions in a greenlet, such as TimeoutError("text").', _throw
    ),
    "kill": Command("ID", "End a greenlet by GreenletExit, or cancel a task, through its hub.", _kill),
    "hub": Command(
        "[NUMBER|thread=NAME] [STATEMENT]",
        "Run a statement, or from now on all, in the main thread's hub or the one that is chosen.",
        _hub,
    ),
    "hubs": Command("", "The hubs of this process, with the numbers that %hub takes.", _hubs, is_harmless=True),
    "thread": Command("", "Run statements on the session's own thread again.", _thread),
    "sessions": Command("", "Who is connected, and what they run.", _sessions, is_harmless=True),
    "mirror": Command("on|off", "Whether the application's output is copied here.", _mirror),
    "more": Command("", "The next part of a value that was too long to be shown.", _more),
    "help": Command("[COMMAND]", "What commands there are, or what one does.", _help, is_harmless=True),
}
