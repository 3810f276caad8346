"""Finds all objects of some classes in the process."""

from __future__ import annotations

import gc
from collections.abc import Iterable
from itertools import chain, compress, repeat
from operator import methodcaller
from typing import Any

__all__ = ["collect_objects", "family_of"]

_dict_of: Any = type.__dict__["__dict__"].__get__


def family_of(classes: Iterable[type]) -> set[type]:
    """*classes* and all their subclasses, to compare exact types with: isinstance() may run a proxy's code."""
    family = set(classes)
    todo = list(family)
    while todo:
        fresh: set[type] = set(type.__subclasses__(todo.pop())) - family
        family |= fresh
        todo.extend(fresh)
    return family


def collect_objects(family: set[type]) -> list[Any]:
    """Every object of exactly one of these classes that the garbage collector knows. Let go of the list soon.

    One C call that cannot be interrupted, and must not be: somebody may be building a tuple, which is resized in place
    in the end, and the application gets a SystemError if anybody else holds a reference to it then. The list of all
    objects does, so it is made, sifted and freed without a step of bytecode between.
    """
    box: list[list[Any]] = []  # the list of all objects is in there, once it is made and until it is freed
    make = map(box.append, map(methodcaller("__call__"), (gc.get_objects,)))
    types = map(map, repeat(type), box)
    if _hashing_runs_code():
        # Takes twice as long.
        told = map(map, repeat({*map(id, family)}.__contains__), map(map, repeat(id), types))
    else:
        told = map(map, repeat(family.__contains__), types)
    sift = map(list, map(compress, box, told))
    free = map(methodcaller("clear"), (box,))
    steps: list[Any] = list(chain(make, sift, free))  # runs them
    found: list[Any] = steps[1]
    return found


def _hashing_runs_code() -> bool:
    """Whether a metaclass has a hash of its own, or none: to look such a class up in a set would run it, or fail."""
    return any("__hash__" in _dict_of(cls) for cls in family_of([type]) - {type})
