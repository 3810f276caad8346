"""The line with which a program introduces itself; a person's client sends none and gets the plain conversation."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

__all__ = ["HELLO_PREFIX", "VERSION", "BadHello", "Hello", "parse_hello"]

HELLO_PREFIX = b'{"manhole":'
VERSION = 1
MAX_TOKEN = 256  # it is sent back. Arbitrary.
MODES = ("text", "messages")


class BadHello(Exception):
    """A hello that cannot be served; the message is for the client."""


class Hello(NamedTuple):
    """What the client wants.

    mode: "text" or "messages".
    greeting: whether a conversation in text begins with a dump.
    prompt: whether it prompts.
    mirror: whether it is given a copy of what the application prints.
    token: repeated in the answer, so that a client whose hello came late knows what to skip.
    """

    mode: str = "text"
    greeting: bool = True
    prompt: bool = True
    mirror: bool = True
    token: str = ""


def parse_hello(line: bytes) -> Hello | None:
    """The hello in *line*, or None if it is an ordinary line of input.

    :raises BadHello: if it is one, but of another version or with values of a wrong type.
    """
    if not line.startswith(HELLO_PREFIX):
        return None
    try:
        fields: dict[str, Any] = json.loads(line)
    except (ValueError, RecursionError):
        return None  # a dict that somebody typed
    if fields["manhole"] != VERSION or type(fields["manhole"]) is not int:
        raise BadHello(f"version {str(fields['manhole'])[:40]!r} is not spoken here, send {VERSION}")
    mode = fields.get("mode", "text")
    if mode not in MODES:
        raise BadHello(f"'mode' must be one of {', '.join(MODES)}")
    hello = Hello(
        mode,
        fields.get("greeting", True),
        fields.get("prompt", True),
        fields.get("mirror", mode == "text"),
        fields.get("token", ""),
    )
    for name, value in zip(hello._fields[1:-1], hello[1:-1], strict=True):
        if type(value) is not bool:
            raise BadHello(f"{name!r} must be true or false")
    if type(hello.token) is not str:
        raise BadHello("'token' must be a string")
    if len(hello.token) > MAX_TOKEN:
        raise BadHello(f"'token' has at most {MAX_TOKEN} characters")
    return hello
