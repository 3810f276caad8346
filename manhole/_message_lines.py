"""What a conversation in messages sends, as lines of JSON: messages, and what was printed in between."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from manhole._writer import ANSWER, Item

__all__ = ["MESSAGE", "Encoder", "format_message"]

# Kind of what is put as a message; the others are streams.
MESSAGE = "message"


class Encoder:
    """Gives each message its number.

    :ivar current: id of the request that is being served, which what is printed meanwhile bears.
    """

    def __init__(self) -> None:
        self.current: Any = None
        self._seq = 0

    def encode(self, items: Sequence[Item]) -> bytes:
        """What was put as messages, with their numbers. What code has printed in a row is one."""
        answers = [text for kind, text in items if kind == ANSWER]
        merged = _merge([item for item in items if item[0] != ANSWER], self.current)
        lines = [f'{{"seq":{seq},{text}\n' for seq, text in enumerate(merged, self._seq)]
        # Surrogates become what JSON calls them.
        encoded = "".join([*answers, *lines]).encode("utf-8", "backslashreplace")
        self._seq += len(lines)  # not before nothing can fail any more: then it is done again
        return encoded


def format_message(message: dict[str, Any]) -> str:
    """*message* as JSON, but for the brace that it begins with: its number follows upon that."""
    return json.dumps({"id": None, **message}, ensure_ascii=False, separators=(",", ":"))[1:]


def _merge(items: Sequence[Item], current: Any) -> Iterator[str]:
    """The messages among *items*, and what was printed in between, each run of one stream as one message."""
    stream, texts = "", list[str]()
    for kind, text in [*items, ("", "")]:
        if texts and kind != stream:
            yield format_message({"id": current, "type": "out", "stream": stream, "text": "".join(texts)})
            texts = []
        if kind is None:
            yield format_message({"type": "note", "message": text.strip()})
        elif kind == MESSAGE:
            yield text
        elif text:
            stream = kind
            texts.append(text)
