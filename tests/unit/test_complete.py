"""Completion: what it finds, and that no code of the application runs for it."""

import sys
import types
from collections import OrderedDict
from typing import Any

import hypothesis
import hypothesis.strategies as some
import pytest

from manhole._complete import MAX_MATCHES, MAX_TEXT, complete

ran: list[str] = []


def _hostile(name: str) -> Any:
    def method(*_arguments: object, **_more: object) -> Any:
        ran.append(name)
        raise RuntimeError(name)

    return method


_TRAPS = [
    *(
        "__getattr__",
        "__getattribute__",
        "__dir__",
        "__getitem__",
        "__missing__",
        "__contains__",
        "__iter__",
        "__len__",
    ),
    *("__bool__", "__hash__", "__eq__", "__instancecheck__", "__subclasscheck__", "__repr__", "__str__"),
    *("keys", "items", "get"),
]


class HostileMeta(type):
    """Of classes whose every use is recorded; their making is not."""

    for _trap in _TRAPS:
        locals()[_trap] = _hostile(f"metaclass {_trap}")
    del _trap


class Descriptor:
    """Of both kinds."""

    mistaken = "for the value that it would give"

    def __get__(self, instance: object, owner: object = None) -> Any:
        ran.append("__get__")
        raise RuntimeError

    def __set__(self, instance: object, value: object) -> None:
        ran.append("__set__")


class Reader:
    """No data descriptor."""

    mistaken = Descriptor.mistaken

    __get__ = Descriptor.__get__


class Hostile(metaclass=HostileMeta):
    """Whatever is done with it is recorded."""

    for _trap in _TRAPS:
        locals()[_trap] = _hostile(_trap)
    del _trap
    plain = "a class attribute"
    described = Descriptor()
    read = Reader()

    @property
    def computed(self) -> Any:
        ran.append("property")
        return ""

    def method(self) -> None: ...


class HostileDict(dict, metaclass=HostileMeta):  # type: ignore[type-arg]
    for _trap in _TRAPS:
        locals()[_trap] = _hostile(_trap)
    del _trap


class SameHash:
    """A key that a look-up of "key" compares with."""

    def __hash__(self) -> int:
        return hash("key")

    def __eq__(self, other: object) -> bool:
        ran.append("__eq__ of a key")
        return False


class Slots:
    __slots__ = ("full", "never_set")


class WithDict(HostileDict):
    """A namespace that an object has in place of a plain dict."""


@pytest.fixture
def names() -> dict[str, Any]:
    instance = object.__new__(Hostile)
    own = object.__getattribute__(instance, "__dict__")
    own["own"] = [1]
    own["_private"] = own["__very"] = 2
    own["not an identifier"] = 3
    own["read"] = Slots()  # wins over what is no data descriptor
    own["described"] = Slots()  # does not win over what is one
    own["mapping"] = HostileDict({"key": Slots(), "kind": 1, b"kb": 2, 3: 4})
    own["mixed"] = {SameHash(): 1, "key": Slots()}
    own["proxy"] = types.MappingProxyType(HostileDict(key=1))
    slots = Slots()
    slots.full = {"key": Slots()}
    module = types.ModuleType("module")
    module.loaded = 1  # type: ignore[attr-defined]
    module.__getattr__ = _hostile("__getattr__ of a module")  # type: ignore[method-assign]
    ran.clear()
    return {
        "hostile": instance,
        "Hostile": Hostile,
        "slots": slots,
        "module": module,
        "table": {"it's": 1, 'say "so"': 2, "line\nend": 3, "back\\slash": 4, "plain": {"key": slots}},
        "ordered": OrderedDict(first=1, last=2),
        "_hidden": 1,
        "number": 1,
    }


@pytest.mark.parametrize(
    ("text", "start", "matches"),
    [
        ("numb", 0, ["number"]),
        ("x = numb", 4, ["number"]),
        ("_hid", 0, ["_hidden"]),
        ("lamb", 0, ["lambda"]),
        ("isinst", 0, ["isinstance"]),
        ("hostile.o", 8, ["own"]),
        ("hostile._p", 8, ["_private"]),
        ("hostile.pl", 8, ["plain"]),
        ("hostile.com", 8, ["computed"]),  # its name is no secret
        ("hostile.computed.", 17, []),
        ("hostile.described.", 18, []),
        ("hostile.read.", 13, ["full", "never_set"]),
        ("Hostile.read.", 13, []),
        ("hostile.own.app", 12, ["append"]),
        ("hostile.method.__na", 15, ["__name__"]),
        ("hostile.plain.isid", 14, ["isidentifier"]),
        ("Hostile.meth", 8, ["method"]),
        ("Hostile.mro", 8, ["mro"]),
        ("hostile.__class__.compu", 18, ["computed"]),
        ("hostile.__dict__['own'].ext", 24, ["extend"]),
        ("hostile.mapping['k", 17, ["key", "kind"]),
        ('hostile.mapping["key"].', 23, ["full", "never_set"]),
        ("hostile.mixed['key'].f", 21, ["full"]),
        ("hostile.mixed['", 15, ["key"]),
        ("hostile.proxy['", 15, []),
        ("hostile['", 9, []),
        ("hostile.nothing.", 16, []),
        ("slots.full['key'].n", 18, ["never_set"]),
        ("slots.never_set.", 16, []),
        ("module.lo", 7, ["loaded"]),
        ("module.nothing.", 15, []),
        ("table['it", 7, ["it\\'s"]),
        ("table['it\\'", 7, ["it\\'s"]),
        ('table["it', 7, ["it's"]),
        ('table["say', 7, ['say \\"so\\"']),
        ("table['l", 7, ["line\\nend"]),
        ("table['b", 7, ["back\\\\slash"]),
        ("table['plain']['k", 16, ["key"]),
        ("table['plain']['key'].f", 22, ["full"]),
        ("ordered['", 9, ["first", "last"]),
        ("print(slots.f", 12, ["full"]),
        ("if not slots.f", 13, ["full"]),
        ("[slots.f", 7, ["full"]),
        ("x=-slots.f", 9, ["full"]),
        ("slots . f", 8, ["full"]),
        ("slots.", 6, ["full", "never_set"]),
        ("'text' + slots.f", 15, ["full"]),
        ("for x in y:\n    slots.f", 22, ["full"]),
        ("slots\n.f", 7, []),
        ("slots().f", 8, []),
        ("(slots).f", 8, []),
        ("'text'.jo", 7, []),
        ("'slots.f", 8, []),
        ("'''slots.f", 10, []),
        ("table[r'", 8, []),
        ("table['''", 9, []),
        ("['", 2, []),
        ("# slots.f", 9, []),
        ("1.", 2, []),
        ("12", 2, []),
        ("'text'", 6, []),
        (".f", 1, []),
        ("...", 3, []),
    ],
)
def test_matches(names: dict[str, Any], text: str, start: int, matches: list[str]) -> None:
    found = complete(text, names)
    assert ran == []
    assert found[1] == matches
    if matches:
        assert found[0] == start


@pytest.mark.parametrize("text", ["", "  ", "print(", "x ", "1 + "])
def test_without_a_prefix_all_public_names(names: dict[str, Any], text: str) -> None:
    start, matches = complete(text, names)
    assert start == len(text)
    assert {"number", "len", "yield"} <= set(matches)
    assert "_hidden" not in matches
    assert ran == []


def test_names_that_a_class_does_not_show_otherwise() -> None:
    """What an instance's class replaces its `__dict__` with is not asked either."""

    class Pretends:
        @property
        def __dict__(self) -> Any:  # type: ignore[override]
            ran.append("__dict__")
            return {}

    ran.clear()
    assert complete("it.__dic", {"it": Pretends()}) == (3, ["__dict__"])
    assert complete("it.__dict__.", {"it": Pretends()})[0] == 12
    assert ran == []


def test_a_dict_in_place_of_an_objects_own() -> None:
    class Bare: ...

    bare = Bare()
    bare.__dict__ = WithDict(own=Slots())
    ran.clear()
    assert complete("bare.own.", {"bare": bare}) == (9, ["full", "never_set"])
    assert ran == []


def test_a_descriptor_of_another_class_is_no_error() -> None:
    class Borrows:
        full = Slots.__dict__["full"]
        __dict__ = types.FunctionType.__dict__["__dict__"]

    assert complete("it.full.", {"it": Borrows()}) == (8, [])


def test_many_matches_are_cut_to_the_first() -> None:
    names: dict[str, Any] = {f"name{number:05}": number for number in reversed(range(5 * MAX_MATCHES))}
    assert complete("name", names) == (0, sorted(names)[:MAX_MATCHES])


def test_each_match_comes_once() -> None:
    assert complete("prin", {"print": 1}) == (0, ["print"])


def test_of_a_long_text_the_end_is_completed(names: dict[str, Any]) -> None:
    text = "x = 1\n" * MAX_TEXT + "slots.f"
    assert complete(text, names) == (len(text) - 1, ["full"])


def test_nothing_is_kept_alive(names: dict[str, Any]) -> None:
    slots = names["slots"]
    before = sys.getrefcount(slots) if sys.implementation.name == "cpython" else 0
    complete("slots.full['key'].n", names)
    if sys.implementation.name == "cpython":
        assert sys.getrefcount(slots) == before


def test_arbitrary_text_is_no_error(names: dict[str, Any]) -> None:
    words = ["'''", '"""', "hostile", "table", "slots", "key", "own", "mapping"]
    pieces = some.sampled_from([*"'\"[](){}.\\\n #=f", *words])

    @hypothesis.settings(max_examples=300, deadline=None, database=None)
    @hypothesis.given(some.text(max_size=30) | some.lists(pieces, max_size=30).map("".join))
    def check(text: str) -> None:
        start, matches = complete(text, names)
        assert 0 <= start <= len(text)
        assert matches == sorted(set(matches))
        assert all(match.startswith(text[start:]) for match in matches)

    check()
    assert ran == []
