"""How a program speaks to a manhole: the hello, text without greeting and prompts' guesswork, and messages."""

from __future__ import annotations

import contextlib
import itertools
import json
from collections.abc import Callable, Iterator
from typing import Any

from harness import PROMPT, Conversation

_TOKENS = (f"token-{number}" for number in itertools.count())


def hello(**fields: object) -> str:
    return json.dumps({"manhole": 1, **fields}) + "\n"


def greet(client: Conversation, **fields: object) -> dict[str, Any]:
    """Say hello, and skip all that has come before its answer: a hello may come late."""
    token = next(_TOKENS)
    client.send(hello(**fields, token=token))
    client.read_past(f'"token": "{token}"}}\n'.encode())
    answer, _, client.received = client.received.partition(b"}\n")
    answer = json.loads(answer.splitlines()[-1] + b"}")
    assert answer.pop("token") == token
    return answer


def skip_past(client: Conversation, text: bytes) -> None:
    """As read_past(), for a flood: what has come is not kept."""
    while text not in client.received:
        data = client.socket.recv(65536)
        assert data, f"closed after {client.received[-2000:]!r}"
        client.received = client.received[-len(text) :] + data
    client.received = client.received.partition(text)[2]


@contextlib.contextmanager
def quiet(path: str, **fields: object) -> Iterator[Conversation]:
    """A text conversation at its first prompt, without greeting and copies of the application's output."""
    with Conversation(path) as client:
        greet(client, **{"greeting": False, "mirror": False, **fields})
        client.read_until(PROMPT)
        yield client


class Messages:
    """A conversation in messages; checks that none is missing."""

    def __init__(self, client: Conversation, **fields: object) -> None:
        self.client = client
        self.answer = greet(client, mode="messages", **fields)
        self._next_seq = 0
        self._ids = itertools.count(1)

    def send(self, op: str, **fields: object) -> int:
        """Ask for an operation; its id."""
        ident = next(self._ids)
        self.client.send(json.dumps({"op": op, "id": ident, **fields}) + "\n")
        return ident

    def read(self) -> dict[str, Any]:
        """The next message, without its number."""
        while b"\n" not in self.client.received:
            data = self.client.socket.recv(65536)
            assert data, f"closed after {self.client.received[-2000:]!r}"
            self.client.received += data
        line, _, self.client.received = self.client.received.partition(b"\n")
        assert len(line) < 1024 * 1024
        message: dict[str, Any] = json.loads(line)
        assert message.pop("seq") == self._next_seq
        self._next_seq += 1
        return message

    def read_until(self, wanted: Callable[[dict[str, Any]], object]) -> list[dict[str, Any]]:
        """The messages up to one that is *wanted*."""
        messages = [self.read()]
        while not wanted(messages[-1]):
            messages.append(self.read())
        return messages

    def answers(self, ident: object) -> list[dict[str, Any]]:
        """All messages up to the last one that answers *ident*."""
        return self.read_until(lambda message: message["id"] == ident and message["type"] in ("done", "error"))

    def ask(self, op: str, **fields: object) -> dict[str, Any]:
        """Ask for an operation, and its end."""
        return self.answers(self.send(op, **fields))[-1]

    def eval(self, code: str, **fields: object) -> dict[str, Any]:
        return self.ask("eval", code=code, **fields)

    def has_ended(self) -> bool:
        """Read the rest; that there is none."""
        return not self.client.received and not self.client.socket.recv(65536)


@contextlib.contextmanager
def messages(path: str, **fields: object) -> Iterator[Messages]:
    with Conversation(path) as client:
        yield Messages(client, **fields)
