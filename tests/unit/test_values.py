"""Values as short text, and the variables of frames."""

import gc
import sys
import weakref
from collections import OrderedDict, defaultdict, deque, namedtuple
from typing import Any

import pytest

from manhole._values import MAX_REPR, read_locals, short_repr

Point = namedtuple("Point", "x y")


class Unreadable:
    def __init__(self, error: BaseException) -> None:
        self.error = error

    def __repr__(self) -> str:
        raise self.error


class Boom(BaseException):
    pass


class Text(str):
    """Whose every use is an error."""

    def __len__(self) -> int:
        raise RuntimeError

    def __getitem__(self, index: object) -> str:
        raise RuntimeError


class Speaks:
    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return self.text


@pytest.mark.parametrize(
    "value",
    [
        None,
        1.5,
        -(10**100),
        "it's",
        b"bytes",
        [],
        [1, [2, "three"]],
        (),
        (1,),
        (1, 2),
        {1},
        set(),
        frozenset({1}),
        {"a": {"b": (1, None)}},
        deque([1, 2]),
        Point(1, 2),
        Speaks("<it speaks>"),
    ],
)
def test_what_is_short_is_shown_as_repr_shows_it(value: Any) -> None:
    assert short_repr(value) == repr(value)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (OrderedDict(a=1), "OrderedDict({'a': 1})"),
        (defaultdict(list, a=[]), "defaultdict({'a': []})"),
        ([[[[[[1]]]]]], "[[[[[...]]]]]"),
        (1 << 10_000, "<int of 10001 bits>"),
        (Unreadable(ValueError("no")), "<repr failed: ValueError>"),
        (Unreadable(SystemExit()), "<repr failed: SystemExit>"),
        (Unreadable(Boom()), "<repr failed: Boom>"),
        ([1, Unreadable(Boom())], "<repr failed: Boom>"),
        (Speaks("\x1b[31m\nred"), "\\x1b[31m\\nred"),
        (Speaks(Text("text")), "text"),
    ],
)
def test_what_is_not(value: Any, text: str) -> None:
    assert short_repr(value) == text


@pytest.mark.parametrize(
    "value",
    [
        "x" * 1000,
        b"x" * 1000,
        list(range(1000)),
        dict.fromkeys(range(1000)),
        deque(range(1000)),
        [Speaks("x" * 1000)],
        Speaks("x" * 1000),
        Speaks("\x1b" * MAX_REPR),
    ],
)
def test_what_is_long_is_cut(value: Any) -> None:
    text = short_repr(value)
    assert len(text) == MAX_REPR
    assert text.endswith("...")


def test_a_long_list_is_not_turned_into_text_as_a_whole() -> None:
    asked: list[int] = []

    class Counts:
        def __repr__(self) -> str:
            asked.append(1)
            return "it"

    short_repr([Counts()] * 1000)
    assert 0 < len(asked) < MAX_REPR


def test_a_ring_ends() -> None:
    ring: list[Any] = []
    ring.append(ring)
    assert short_repr(ring) == "[[[[[...]]]]]"


def test_an_interrupt_goes_through() -> None:
    with pytest.raises(KeyboardInterrupt):
        short_repr([Unreadable(KeyboardInterrupt())])


class Thing:
    pass


def test_arguments_come_first() -> None:
    found: list[tuple[str, Any]] = []

    def function(first: int, *rest: int, key: int, **more: int) -> None:
        aaa = 5

        def inner() -> tuple[int, int]:
            return first, aaa  # both are cells

        found.extend(read_locals(sys._getframe()))

    function(1, 2, key=3, other=4)
    assert found[:4] == [("first", 1), ("key", 3), ("rest", (2,)), ("more", {"other": 4})]
    assert ("aaa", 5) in found


def test_nothing_stays_with_the_frame() -> None:
    """The dict that `f_locals` was, below Python 3.13, would keep what the function has let go of."""
    if sys.implementation.name == "pypy":
        pytest.skip("PyPy does not tell whether the dict may be emptied")
    thing = Thing()
    reference = weakref.ref(thing)
    read_locals(sys._getframe())
    del thing
    gc.collect()
    assert reference() is None


def test_a_dict_that_the_application_has_from_locals_is_not_emptied() -> None:
    thing = Thing()
    mine = locals()
    assert dict(read_locals(sys._getframe()))["thing"] is thing
    assert mine["thing"] is thing


def test_the_namespace_of_a_class_that_is_being_made_is_left_alone() -> None:
    class Made:
        first = 1
        found = read_locals(sys._getframe())
        second = 2

    assert (Made.first, Made.second) == (1, 2)
    assert Made.found[0] == ("first", 1)
    assert ("__module__", __name__) in Made.found[1:]


def test_the_namespace_of_a_module_is_left_alone() -> None:
    names = {"read": read_locals, "sys": sys, "one": 1}
    exec("found = read(sys._getframe())", names)
    assert ("one", 1) in names["found"]  # type: ignore[operator]
    assert names["one"] == 1


def test_a_namespace_that_is_no_dict_is_not_asked() -> None:
    class Names:
        def __getitem__(self, name: str) -> Any:
            return {"read": read_locals, "sys": sys}[name]

        def __setitem__(self, name: str, value: Any) -> None:
            found.append(value)

    found: list[Any] = []
    exec("found = read(sys._getframe())", {}, Names())  # type: ignore[arg-type]
    assert found == [[]]
