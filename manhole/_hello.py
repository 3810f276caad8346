"""The line with which a program introduces itself; a person's client sends none and gets the plain conversation."""

from __future__ import annotations

import json
import os
from typing import NamedTuple

__all__ = ["HELLO_PREFIX", "VERSION", "BadHello", "Hello", "format_answer", "parse_hello"]

HELLO_PREFIX = b'{"manhole":'
VERSION = 0


class BadHello(Exception):
    """A hello that cannot be served; the message is for the client."""


class Hello(NamedTuple):
    """What the client wants.

    greeting: whether the session begins with a dump.
    prompt: whether it prompts.
    token: repeated in the answer, so that a client whose hello came late knows what to skip.
    """

    greeting: bool
    prompt: bool
    token: str


def parse_hello(line: bytes) -> Hello | None:
    """The hello in *line*, or None if it is an ordinary line of input.

    :raises BadHello: if it is one, but of another version or with values of a wrong type.
    """
    if not line.startswith(HELLO_PREFIX):
        return None
    try:
        fields = json.loads(line)
    except (ValueError, RecursionError):
        return None  # a dict that somebody typed
    if fields["manhole"] != VERSION:
        raise BadHello(f"version {fields['manhole']!r} is not spoken here, send {VERSION}")
    hello = Hello(fields.get("greeting", True), fields.get("prompt", True), fields.get("token", ""))
    for name, value, kind in zip(hello._fields, hello, (bool, bool, str), strict=True):
        if type(value) is not kind:
            raise BadHello(f"{name!r} must be a {kind.__name__}")
    return hello


def format_answer(hello: Hello) -> bytes:
    """The line that confirms *hello*."""
    answer = {"manhole": VERSION, "pid": os.getpid(), "token": hello.token}
    return json.dumps(answer).encode() + b"\n"
