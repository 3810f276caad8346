"""Whatever bytes a listener sends, a client ends with a result or one of our errors: no hang, no other exception."""

from __future__ import annotations

import contextlib
import json
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scripted_server import ScriptedServer

from manhole import ManholeError
from manhole.client import AnswerTimeout, Client, RemoteException, connect

CALLS: dict[str, Callable[[Client], object]] = {
    "eval": lambda client: client.eval("1 + 1"),
    "complete": lambda client: client.complete("x"),
    "describe": lambda client: client.describe(),
    "sessions": lambda client: client.sessions(),
    "snapshot": lambda client: client.snapshot(),
    "interrupt": lambda client: client.interrupt(),
}
FRAME = {"file": "a.py", "line": 1, "function": "f"}
ENDS: dict[str, dict[str, Any]] = {
    "eval": {
        "status": "exception",
        "value": None,
        "value_type": None,
        "cut": 0,
        "exception": {"type": "E", "module": "m", "message": "", "traceback": "E\n", "frames": [FRAME]},
    },
    "complete": {"start": 0, "matches": ["xylophone"]},
    "describe": {
        "manhole": "2",
        "protocol": 1,
        "ops": ["eval"],
        "mode": "repl",
        "session": 1,
        "process": {
            "pid": 1,
            "argv": ["x"],
            "uptime": 1.0,
            "implementation": "CPython",
            "python": "3",
            "libraries": {"a": "1"},
            "patched": {"a": ["b"]},
        },
        "hubs": [{"number": 1, "kind": "gevent", "name": "Hub", "thread": 1, "thread_name": "x", "state": "running"}],
        "limits": {"message_bytes": 1048576, "max_sessions": 64},
    },
    "sessions": {
        "sessions": [
            {
                "session": 1,
                "pid": 1,
                "uid": 0,
                "mode": "text",
                "seconds": 1,
                "state": "idle",
                "busy": None,
                "code": None,
            }
        ]
    },
    "snapshot": {},
    "interrupt": {"interrupted": False},
}
BEFORE: dict[str, list[dict[str, Any]]] = {
    "eval": [
        {"type": "out", "stream": "stdout", "text": "one\n"},
        {"type": "out", "stream": "stderr", "text": "two ☃\n"},
        {"type": "note", "message": "x"},
    ],
    "snapshot": [{"type": "data", "text": '{"a":'}, {"type": "data", "text": " 1}"}],
}

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
many = settings(max_examples=200, deadline=None, database=None)


@pytest.fixture(scope="module")
def server() -> Iterator[ScriptedServer]:
    folder = Path(tempfile.mkdtemp(dir="/tmp"))
    with ScriptedServer(folder / "s") as server:
        yield server
    shutil.rmtree(folder)


def messages_of(op: str) -> list[dict[str, Any]]:
    """A proper answer to the first request."""
    parts = [*BEFORE.get(op, ()), {"type": "done", **ENDS[op]}]
    return [{"id": 1, "seq": seq, **part} for seq, part in enumerate(parts)]


def lines_of(messages: list[dict[str, Any]]) -> bytes:
    return b"".join(json.dumps(message, ensure_ascii=False).encode() + b"\n" for message in messages)


def call(server: ScriptedServer, op: str, *pieces: bytes) -> object:
    """The result, or the exception if it is one of ours."""
    server.pieces = pieces
    with connect(server.path, timeout=10, mirror=lambda text, missed: None) as client:
        try:
            return CALLS[op](client)
        except AnswerTimeout:
            raise AssertionError("the server has closed, and the client waits") from None
        except ManholeError as error:
            return error


@many
@given(op=st.sampled_from(sorted(CALLS)), data=st.binary(max_size=300))
@example(op="eval", data=b"")
@example(op="eval", data=b"\n")
@example(op="eval", data=b"{}\n")
def test_any_bytes(server, op, data):
    call(server, op, data)


@many
@given(op=st.sampled_from(sorted(CALLS)), values=st.lists(json_values, max_size=5))
def test_any_json(server, op, values):
    call(server, op, b"".join(json.dumps(value).encode() + b"\n" for value in values))


def places_in(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to everything in *value*."""
    yield path
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, member in inner:
        yield from places_in(member, (*path, name))


def put(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    """A copy of *value* with *new* in that place."""
    if not path:
        return new
    copy = json.loads(json.dumps(value))
    inner = copy
    for name in path[:-1]:
        inner = inner[name]
    inner[path[-1]] = new
    return copy


@many
@given(data=st.data(), op=st.sampled_from(sorted(CALLS)), new=json_values)
def test_any_value_in_any_place_of_a_proper_answer(server, data, op, new):
    messages = messages_of(op)
    path = data.draw(st.sampled_from(list(places_in(messages))[1:]))
    call(server, op, lines_of(put(messages, path, new)))


@many
@given(data=st.data(), op=st.sampled_from(sorted(CALLS)))
def test_a_proper_answer_cut_off_anywhere_is_an_error(server, data, op):
    whole = lines_of(messages_of(op))
    end = data.draw(st.integers(0, len(whole) - 1))
    assert isinstance(call(server, op, whole[:end]), ManholeError)


@many
@given(data=st.data(), op=st.sampled_from(sorted(CALLS)))
def test_a_proper_answer_in_any_pieces_is_the_same(server, data, op):
    whole = lines_of(messages_of(op))
    cuts = sorted(data.draw(st.lists(st.integers(1, len(whole)), max_size=6)))
    pieces = [whole[start:end] for start, end in zip([0, *cuts], [*cuts, len(whole)], strict=True) if start < end]
    result = call(server, op, *pieces)
    if op == "eval":
        assert isinstance(result, RemoteException)
        assert (result.stdout, result.stderr) == ("one\n", "two ☃\n")
    else:
        assert not isinstance(result, Exception)
        assert result == call(server, op, whole)


@many
@given(data=st.binary(max_size=300), with_answer=st.booleans())
@example(data=b"manhole: refused: no", with_answer=False)
@example(data=b'{"manhole": 1, "token": "', with_answer=False)
def test_any_bytes_before_the_answer_to_hello(server, data, with_answer):
    """They are skipped, as a greeting is; if nothing else comes, that is a failure."""
    server.before, server.pieces = data + b"\n", [lines_of(messages_of("eval"))]
    server.answers = with_answer
    try:
        with contextlib.suppress(ManholeError), connect(server.path, timeout=10):
            assert with_answer
    finally:
        server.before, server.answers = b"", True
