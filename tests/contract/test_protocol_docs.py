"""The example conversation of docs/protocol.md, replayed: against a real process, and against the client's tests' fake.

What is compared: the answers to each line of the client's, in the order of their ids, and output in one piece.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from io import BufferedReader
from pathlib import Path
from typing import Any

import pytest
from fake_protocol import FakeProtocol
from harness import RUNTIME, Conversation, Patient

from manhole import _hello

PAGE = Path(__file__).parents[2] / "docs" / "protocol.md"
# Members whose values differ from one run or process to the next: only their types are compared. Elsewhere a string
# that ends with "..." stands for any that begins as it does.
WILD = {"argv", "file", "hubs", "implementation", "libraries", "line", "manhole", "ops", "patched", "pid", "python"}
WILD |= {"seconds", "seq", "session", "uid", "uptime"}
NULLABLE = {"uptime"}

speaks_messages = pytest.mark.skipif(_hello.VERSION == 0, reason="the process does not speak messages")


def read_example() -> list[str]:
    """The lines of the block at the page's end."""
    lines = PAGE.read_text().removesuffix("```\n").rpartition("```\n")[2].splitlines()
    assert all(line.startswith(("> ", "< ")) for line in lines)
    return lines


def groups(lines: list[str]) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Each line of the client's with what the process answers before the next."""
    sent, answers = "", []
    for line in lines:
        if line.startswith("> "):
            if sent:
                yield sent, answers
            sent, answers = line[2:], []
        else:
            answers.append(json.loads(line[2:]))
    yield sent, answers


def assert_like(found: Any, shown: Any, where: str, wild: bool = False) -> None:
    if isinstance(shown, dict) and not wild:
        assert isinstance(found, dict), where
        assert set(found) == set(shown), where
        for name, value in shown.items():
            if found[name] is None and name in NULLABLE:
                continue
            assert_like(found[name], value, f"{where}.{name}", name in WILD)
    elif isinstance(shown, list) and not wild:
        assert isinstance(found, list), where
        assert len(found) == len(shown), where
        for number, value in enumerate(shown):
            assert_like(found[number], value, f"{where}[{number}]")
    elif wild:
        numbers = (int, float)
        assert type(found) is type(shown) or (type(found) in numbers and type(shown) in numbers), where
    elif isinstance(shown, str) and shown.endswith("..."):
        assert found.startswith(shown[:-3]), (where, found)
    else:
        assert found == shown, where


def joined(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """*messages* in the order of their ids, with output in one piece."""
    result: list[dict[str, Any]] = []
    for message in sorted(messages, key=lambda message: str(message["id"])):
        last = result[-1] if result else {}
        if message["type"] == "out" and all(last.get(name) == message[name] for name in ("id", "type", "stream")):
            result[-1] = {**last, "text": last["text"] + message["text"]}
        else:
            result.append(message)
    return result


def is_whole(found: list[dict[str, Any]], shown: list[dict[str, Any]]) -> bool:
    return len(found) >= len(shown) and all(
        len(message["text"]) >= len(expected["text"])
        for message, expected in zip(found, shown, strict=False)
        if message["type"] == expected["type"] == "out"
    )


class Reader:
    """Reads messages, and sees that they are counted without a gap."""

    def __init__(self, file: BufferedReader) -> None:
        self._file = file
        self._next = 0

    def line(self) -> dict[str, Any]:
        line = self._file.readline()
        assert line.endswith(b"\n"), line
        result: dict[str, Any] = json.loads(line)
        return result

    def answer_to_hello(self) -> dict[str, Any]:
        """More may stand before it, if hello came late."""
        while b'"token": "' not in (line := self._file.readline()):
            assert line.endswith(b"\n"), line
        answer: dict[str, Any] = json.loads(line)
        return answer

    def as_shown(self, shown: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """As many messages as it takes to have those that are shown."""
        messages: list[dict[str, Any]] = []
        while not is_whole(joined(messages), joined(shown)):
            messages.append(self.line())
            assert messages[-1]["seq"] == self._next
            self._next += 1
        return joined(messages)


@pytest.fixture(params=["fake", pytest.param("real", marks=speaks_messages)])
def path(request: pytest.FixtureRequest, short_path: Path) -> Iterator[str]:
    if request.param == "fake":
        with FakeProtocol(short_path / "s") as fake:
            yield str(fake.path)
        return
    with Patient("commands.py", RUNTIME, flags=["-W", "ignore"]) as patient:
        assert patient.told() == "ready"
        patient.say("manhole.install(); answer = 1")
        assert patient.told() == 1
        yield patient.default_path


def test_the_example_happens_as_it_is_written(path: str) -> None:
    with Conversation(path) as client, client.socket.makefile("rb") as file:
        reader = Reader(file)
        (hello, (answer,)), *rest = groups(read_example())
        client.send(hello + "\n")
        assert_like(reader.answer_to_hello(), answer, "the answer to hello")
        for sent, shown in rest:
            client.send(sent + "\n")
            for message, expected in zip(reader.as_shown(shown), joined(shown), strict=True):
                assert_like(message, expected, sent)
        assert file.read() == b""


def test_every_message_of_the_example_is_counted() -> None:
    messages = [message for _, shown in list(groups(read_example()))[1:] for message in shown]
    assert [message["seq"] for message in messages] == list(range(len(messages)))
