"""A client's message, read and checked."""

from __future__ import annotations

import json
from typing import Any

__all__ = ["BadRequest", "Request", "parse_request"]

_MISSING = object()
# Characters of an id, which every answer repeats. Arbitrary.
MAX_ID = 256
# Bytes that a request takes beside what was sent. Roughly.
OVERHEAD = 1000


class BadRequest(Exception):
    """A message that cannot be served; the text is for the client.

    :ivar ident: its id, None where it has none.
    :ivar code: the kind of the mistake.
    """

    def __init__(self, ident: Any, code: str, message: str) -> None:
        super().__init__(message)
        self.ident = ident
        self.code = code


class Request:
    """One operation that a client asks for.

    :ivar op: its name.
    :ivar ident: what the answers repeat.
    :ivar fields: all of the message.
    :ivar size: bytes that it takes while it waits, about.
    """

    def __init__(self, fields: dict[str, Any], op: str, ident: int | str | None, size: int) -> None:
        self.fields = fields
        self.op = op
        self.ident = ident
        self.size = size

    def take(self, name: str, kind: type | tuple[type, ...], default: Any = _MISSING) -> Any:
        """The value of a field.

        :raises BadRequest: if it is missing and has no default, or is not of that *kind*; true is no number.
        """
        value = self.fields.get(name, default)
        kinds = kind if isinstance(kind, tuple) else (kind,)
        if value is _MISSING:
            raise BadRequest(self.ident, "bad-field", f"{self.op} needs a field {name!r}")
        if value is not default and type(value) not in kinds:
            names = " or ".join(_JSON_NAMES[one] for one in kinds)
            raise BadRequest(self.ident, "bad-field", f"{name!r} of {self.op} must be {names}")
        return value


_JSON_NAMES = {
    str: "a string",
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    type(None): "null",
}


def parse_request(line: bytes) -> Request:
    """The request in *line*.

    :raises BadRequest: if it is no JSON object, or has no name of an operation in it, or an id that is none.
    """
    try:
        # Decoded here: for bytes that look like UTF-16 json would import that codec, and the application may hold the
        # import lock. Its own pairs of surrogates it takes as they are.
        fields = json.loads(line.decode("utf-8", "surrogatepass"))
    except (ValueError, RecursionError):
        raise BadRequest(None, "bad-message", "that was no JSON") from None
    if type(fields) is not dict:
        raise BadRequest(None, "bad-message", "a message is a JSON object")
    ident = fields.get("id")
    if type(ident) not in (int, str, type(None)) or len(str(ident)) > MAX_ID:
        raise BadRequest(
            None, "bad-message", f"'id' must be a whole number or a string, of {MAX_ID} characters at most"
        )
    op = fields.get("op")
    if type(op) is not str:
        raise BadRequest(ident, "bad-message", "'op' must name an operation")
    return Request(fields, op, ident, len(line) + OVERHEAD)
