"""Finding objects by their class runs no code of the application's."""

import gc
from collections.abc import Callable
from typing import Any

import pytest

from manhole.compat._heap import collect_objects


class Wanted:
    pass


def _fail(_cls: type) -> int:
    raise RuntimeError("the application's code has run")


@pytest.mark.parametrize("how", [_fail, None])
def test_a_metaclass_is_not_asked_for_its_hash(how: Callable[[type], int] | None) -> None:
    """Nor is it an error that it has none, as one that defines `__eq__`."""
    meta: Any = type("Meta", (type,), {"__hash__": how})
    instance = meta("Strange", (), {})()
    wanted = Wanted()
    assert collect_objects({Wanted}) == [wanted]
    del instance, meta
    gc.collect()  # the next test has the quick way again
    assert collect_objects({Wanted}) == [wanted]
