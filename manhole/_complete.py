"""Completes names, attributes and keys in what was typed so far, without running any code of the application.

An attribute look-up may run a property, a descriptor, `__getattr__` or `__dir__`, and a dict may compare its keys by
code of theirs. So all is read from the dicts of objects, classes and modules by the builtin types' own methods, and a
chain such as `a.b["k"].c` is followed only as far as it leads through values that are stored there as they are.
"""

from __future__ import annotations

import builtins
import keyword
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import accumulate
from operator import is_
from types import FunctionType, GetSetDescriptorType, MappingProxyType, MemberDescriptorType
from typing import Any, NamedTuple

__all__ = ["MAX_MATCHES", "complete"]

# More than anybody reads: matches, and characters of all together.
MAX_MATCHES = 1000
MAX_CHARACTERS = 65_536
# Of a longer text the end alone is looked at. Arbitrary; longer than any statement that somebody types.
MAX_TEXT = 10_000
# How many names are sifted and sorted in one go, for the GIL is held meanwhile: well below a millisecond.
CHUNK = 2000
# A dict may change while it is read, but hardly time and again.
LOOKS = 5

_TOKEN = re.compile(
    r"""
      (?P<string> (?i:[rbuft]{0,2}) (?: '{3}(?:[^'\\]|\\.|'(?!''))*'{3} | "{3}(?:[^"\\]|\\.|"(?!""))*"{3}
        | '(?!'')(?:[^'\\\n]|\\.)*' | "(?!"")(?:[^"\\\n]|\\.)*" ))
    | (?P<open> (?i:[rbuft]{0,2}) (?: (?:'{3}|"{3}).* | ['"][^\n]* ))  # a string without an end
    | (?P<name> [^\W\d]\w* )
    | (?P<number> \d[\w.]* )
    | (?P<comment> \#[^\n]* )
    | (?P<space> [^\S\n]+ )
    | (?P<sign> . )
    """,
    re.DOTALL | re.VERBOSE,
)

# What nothing is known of; None is a value.
_UNKNOWN: Any = object()


def complete(text: str, namespace: dict[str, Any]) -> tuple[int, list[str]]:
    """What may stand at the end of *text*: names, attributes behind a dot, a dict's keys behind a bracket and a quote.

    :param text: what was typed up to the cursor, in one or several lines.
    :param namespace: where names are looked up, before the builtins.
    :returns: the index in *text* from which on a match replaces it, and the matches: sorted, at most MAX_MATCHES and
        MAX_CHARACTERS. What begins with an underscore is among them only if what was typed does. A key is written as
        it stands between its quotes, and does not close them.

    Raises nothing. Any thread or greenlet; runs no code of the application, takes no lock and imports nothing.
    """
    offset = max(0, len(text) - MAX_TEXT)
    place = _find_place(text[offset:])
    if place is None:
        return len(text), []
    start = offset + place.start
    prefix = text[start:]
    if place.quote:
        keys = _strings_in(_follow(place.chain, namespace))
        return start, _choose(prefix, (_escape(key, place.quote) for key in keys))
    names: Iterable[str]
    if place.chain:
        names = _attributes(_follow(place.chain, namespace))
    else:
        names = [*_strings_in(namespace), *_strings_in(vars(builtins)), *keyword.kwlist]
    public = not prefix.startswith("_")
    return start, _choose(prefix, (name for name in names if name.isidentifier() and not (public and name[0] == "_")))


class _Token(NamedTuple):
    kind: str
    text: str
    start: int


class _Step(NamedTuple):
    """One link of a chain: a "name", an "attribute" or a "key"."""

    kind: str
    name: str


class _Place(NamedTuple):
    """What is to be completed.

    start: index in the text where it begins.
    chain: what stands before the dot or bracket; empty for a name.
    quote: the quote that a key began with, else empty.
    """

    start: int
    chain: Sequence[_Step]
    quote: str = ""


def _find_place(text: str) -> _Place | None:
    """What the end of *text* is; None where there is nothing to complete."""
    tokens = [_Token(match.lastgroup or "", match.group(), match.start()) for match in _TOKEN.finditer(text)]
    begins_anew = not tokens or tokens[-1].kind == "space"
    tokens = [token for token in tokens if token.kind != "space"]
    last = tokens[-1] if tokens else _Token("", "", 0)
    if last.text == ".":
        chain = _chain_of(tokens[:-1])
        return _Place(len(text), chain) if chain else None
    if last.kind == "open":
        chain = _chain_of(tokens[:-2]) if len(tokens) > 1 and tokens[-2].text == "[" else None
        if not chain or last.text[0] not in "'\"" or last.text[:3] in ("'''", '"""'):
            return None
        return _Place(last.start + 1, chain, last.text[0])
    if begins_anew or last.kind == "sign":
        return _Place(len(text), ())
    if last.kind != "name":
        return None
    if len(tokens) > 1 and tokens[-2].text == ".":
        chain = _chain_of(tokens[:-2])
        return _Place(last.start, chain) if chain else None
    return _Place(last.start, ())


def _chain_of(tokens: list[_Token]) -> list[_Step] | None:
    """The chain that *tokens* end with; None if they end with anything else, whose value is not known."""
    steps: list[_Step] = []
    while tokens:
        last = tokens[-1]
        if last.kind == "name" and len(tokens) > 1 and tokens[-2].text == ".":
            steps.append(_Step("attribute", last.text))
            del tokens[-2:]
        elif last.kind == "name":
            steps.append(_Step("name", last.text))
            return steps[::-1]
        elif last.text == "]" and len(tokens) > 2 and tokens[-3].text == "[" and _is_plain(tokens[-2]):
            steps.append(_Step("key", tokens[-2].text[1:-1]))
            del tokens[-3:]
        else:
            return None
    return None


def _is_plain(token: _Token) -> bool:
    """Whether it is a string that has nothing to be decoded: that could warn, by functions of the application."""
    return (
        token.kind == "string"
        and token.text[0] in "'\""
        and token.text[:3] not in ("'''", '"""')
        and ("\\" not in token.text)
    )


def _escape(key: str, quote: str) -> str:
    """*key* as it is written between two of *quote*."""
    key = key.replace("\\", "\\\\").replace(quote, "\\" + quote)
    if key.isprintable():
        return key
    # Not by the codec unicode_escape, which is imported when it is first used.
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in key)


def _choose(prefix: str, names: Iterable[str]) -> list[str]:
    """Those of *names* that begin with *prefix*, each once: the first MAX_MATCHES of them, sorted."""
    found: list[str] = []
    fresh: set[str] = set()
    for name in names:
        if name.startswith(prefix):
            fresh.add(name)
            if len(fresh) >= CHUNK:
                found = sorted(fresh.union(found))[:MAX_MATCHES]
                fresh.clear()
    found = sorted(fresh.union(found))[:MAX_MATCHES]
    return [name for name, total in zip(found, accumulate(map(len, found)), strict=True) if total <= MAX_CHARACTERS]


# How objects are read: by nothing but the methods of the builtin types. Classes are compared by `is`, for `==`, `in` a
# tuple and a set would ask their metaclass.

_mro: Callable[[type], tuple[type, ...]] = type.__dict__["__mro__"].__get__
_dict_of_class: Callable[[type], Any] = type.__dict__["__dict__"].__get__
_class_slot = object.__dict__["__class__"]
_is_str = partial(is_, str)


def _follow(chain: Sequence[_Step], namespace: dict[str, Any]) -> Any:
    """The value of *chain*, _UNKNOWN if it does not lead through plain values alone."""
    value: Any = _UNKNOWN
    for kind, name in chain:
        if kind == "name":
            value = _item(namespace, name)
            if value is _UNKNOWN:
                value = _item(vars(builtins), name)
        else:
            value = _item(value, name) if kind == "key" else _attribute(value, name)
        if value is _UNKNOWN:
            break
    return value


def _keys(mapping: Any, methods: Any = dict) -> list[Any]:
    """The keys of a dict, in one C call; empty if it is none.

    :param methods: MappingProxyType for a class's dict; that of anything else may be a mapping of the application's.
    """
    for _ in range(LOOKS):
        try:
            return list(iter(methods.keys(mapping))) if issubclass(type(mapping), methods) else []
        except RuntimeError:  # its size has changed: to make the list has let a finalizer run
            continue
    return []


def _strings_in(mapping: Any, methods: Any = dict) -> Iterator[str]:
    return (key for key in _keys(mapping, methods) if type(key) is str)


def _item(mapping: Any, name: str, methods: Any = dict) -> Any:
    """What a dict has under *name*, _UNKNOWN if it has nothing or is none.

    A look-up compares *name* with keys of the same hash, by code of theirs if they are no plain strings. Where there
    are such keys, the dict is gone through instead.
    """
    keys = _keys(mapping, methods)
    if not keys:
        return _UNKNOWN
    if all(map(_is_str, map(type, keys))):
        return methods.get(mapping, name, _UNKNOWN)
    pairs = list(iter(methods.items(mapping)))
    return next((value for key, value in pairs if type(key) is str and key == name), _UNKNOWN)


def _own_dict(instance: Any) -> Any:
    """An instance's own dict, as the class that gave it one keeps it; _UNKNOWN if it has none."""
    for cls in reversed(_mro(type(instance))):
        getter = _item(_dict_of_class(cls), "__dict__", MappingProxyType)
        if type(getter) is GetSetDescriptorType or type(getter) is MemberDescriptorType:  # the latter in modules
            return _read(getter, instance)
    return _UNKNOWN


def _read(slot: Any, instance: Any) -> Any:
    try:
        return slot.__get__(instance)
    except (AttributeError, TypeError):  # not set; of another class, put there by hand
        return _UNKNOWN


def _attributes(value: Any) -> Iterator[str]:
    """The names of all attributes that *value* has without a `__getattr__`."""
    if value is _UNKNOWN:
        return
    yield from _strings_in(_own_dict(value))
    classes = _mro(type(value))
    for cls in (*_mro(value), *classes) if issubclass(type(value), type) else classes:
        yield from _strings_in(_dict_of_class(cls), MappingProxyType)


def _attribute(value: Any, name: str) -> Any:
    """The attribute that a look-up would find first, if it is stored as it is; else _UNKNOWN."""
    if name == "__dict__":
        return _own_dict(value)
    of_type = _find_in(_mro(type(value)), name)
    if of_type is _class_slot:
        return type(value)
    if type(of_type) is MemberDescriptorType:
        return _read(of_type, value)
    if _has(of_type, "__set__") or _has(of_type, "__delete__"):
        return _UNKNOWN
    if issubclass(type(value), type):
        own = _find_in(_mro(value), name)
    else:
        own = _item(_own_dict(value), name)
        if own is not _UNKNOWN:
            return own  # nothing in an instance's own dict is a descriptor
    found = of_type if own is _UNKNOWN else own
    # A function is one too, but what it gives has the attributes of the function.
    return found if type(found) is FunctionType or not _has(found, "__get__") else _UNKNOWN


def _find_in(classes: Iterable[type], name: str) -> Any:
    for cls in classes:
        found = _item(_dict_of_class(cls), name, MappingProxyType)
        if found is not _UNKNOWN:
            return found
    return _UNKNOWN


def _has(value: Any, method: str) -> bool:
    """Whether the class of *value* has that method."""
    return value is not _UNKNOWN and _find_in(_mro(type(value)), method) is not _UNKNOWN
