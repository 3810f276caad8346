"""Variables of frames, and values as short text.

`repr()` runs code of the application: this is for those who ask for it. What is known to be large is not turned into
text as a whole, for the C code that does so holds the GIL.
"""

from __future__ import annotations

import sys
from collections import OrderedDict, defaultdict, deque
from collections.abc import Iterator
from itertools import islice
from types import CodeType, FrameType
from typing import Any

from manhole._snapshot._words import escape
from manhole.compat import type_name

__all__ = ["MAX_REPR", "read_locals", "short_repr"]

# Characters of a value's text.
MAX_REPR = 200
# Items of a container that are looked at: "0, " a piece, more than these do not fit.
_MAX_ITEMS = MAX_REPR // 3 + 1
# Containers within containers.
_MAX_DEPTH = 4
# Bits of a number whose decimal digits are worked out, which takes a time that grows with their square.
_MAX_BITS = 4 * MAX_REPR

_CO_OPTIMIZED, _CO_VARARGS, _CO_VARKEYWORDS = 1, 4, 8  # inspect's names for bits of co_flags
_DICT_STAYS = sys.version_info < (3, 13)
_count_references = getattr(sys, "getrefcount", None)  # PyPy has none
# Who holds that dict if nobody else has got at it: its frame, a variable and an argument of ours.
_OWN_REFERENCES = 3

# These are not turned into text as a whole; what they begin and end with.
_CONTAINERS: dict[type, tuple[str, str]] = {
    list: ("[", "]"),
    tuple: ("(", ")"),
    set: ("{", "}"),
    frozenset: ("frozenset({", "})"),
    deque: ("deque([", "])"),
    dict: ("{", "}"),
    OrderedDict: ("OrderedDict({", "})"),
    defaultdict: ("defaultdict({", "})"),
}


def read_locals(frame: FrameType) -> list[tuple[str, Any]]:
    """Name and value of each variable of *frame*, the arguments of its function first. Let go of them soon.

    Below Python 3.13 a function's `f_locals` is a dict that stays with the frame and keeps all values alive, so it is
    emptied, unless the application has got the same dict from `locals()`: then it has to stay as it is. PyPy does not
    tell whether it has, so there the dict stays until the function returns.
    """
    code = frame.f_code
    values: Any = frame.f_locals
    if not code.co_flags & _CO_OPTIMIZED:  # a module's or a class's own namespace, what it was born with comes last
        pairs = list(dict.items(values)) if issubclass(type(values), dict) else []
        named = [(name, value) for name, value in pairs if type(name) is str]
        return sorted(named, key=lambda pair: pair[0].startswith("__"))
    found = dict(values)
    if _DICT_STAYS and _count_references is not None and _count_references(values) <= _OWN_REFERENCES:
        values.clear()
    arguments = [(name, found.pop(name)) for name in _argument_names(code) if name in found]
    return [*arguments, *found.items()]


def _argument_names(code: CodeType) -> tuple[str, ...]:
    count = code.co_argcount + code.co_kwonlyargcount
    count += bool(code.co_flags & _CO_VARARGS) + bool(code.co_flags & _CO_VARKEYWORDS)
    return code.co_varnames[:count]


def short_repr(value: Any) -> str:
    """The `repr()` of *value*, cut to MAX_REPR characters, everything unprintable escaped.

    What it raises is shown in its place, but for a KeyboardInterrupt: whoever asked for the value wants it no more.
    """
    text = ""
    try:
        for piece in _pieces(value, _MAX_DEPTH):
            text += "".join((piece,))  # a plain str, whatever __repr__ has made
            if len(text) > MAX_REPR:
                break
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001 - whatever it is, it is not the session's
        text = f"<repr failed: {type_name(type(error))}>"
    text = escape(text[: MAX_REPR + 1])
    return text if len(text) <= MAX_REPR else text[: MAX_REPR - 3] + "..."


def _pieces(value: Any, depth: int) -> Iterator[str]:
    """The text of *value*, from its beginning, in pieces that are made one after the other."""
    kind = type(value)
    if kind is str or kind is bytes or kind is bytearray:
        yield repr(value[: MAX_REPR + 1])
    elif kind is int and value.bit_length() > _MAX_BITS:
        yield f"<int of {value.bit_length()} bits>"
    elif value and kind in _CONTAINERS:
        yield from _pieces_of_container(value, _CONTAINERS[kind], depth)
    else:
        yield repr(value)


def _pieces_of_container(value: Any, brackets: tuple[str, str], depth: int) -> Iterator[str]:
    opening, closing = brackets
    yield opening
    if depth == 0:
        yield "..."
    else:
        is_dict = issubclass(type(value), dict)
        # In one C call: it may change meanwhile.
        items = list(islice(value.items() if is_dict else value, _MAX_ITEMS))
        for number, item in enumerate(items):
            if number:
                yield ", "
            if is_dict:
                yield from _pieces(item[0], depth - 1)
                yield ": "
                item = item[1]
            yield from _pieces(item, depth - 1)
        if type(value) is tuple and len(items) == 1:
            yield ","
    yield closing
