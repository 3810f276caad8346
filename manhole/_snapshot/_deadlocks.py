"""Finds deadlocks: units that wait for each other in a ring."""

from __future__ import annotations

from collections.abc import Iterable

from manhole._snapshot._model import Deadlock, Unit

__all__ = ["find_deadlocks"]


def find_deadlocks(units: Iterable[Unit]) -> tuple[Deadlock, ...]:
    """The rings of *units*, each once, in the order of *units*; a pure function of data, safe anywhere.

    A unit that waits for several owners goes on only once it has been given what all of them have, so each of them may
    close a ring; where rings share units, one is told for each way back that a walk through the graph meets. Owners
    that are not among *units* lead nowhere. Linear in the number of units and owners, and never recursive: a chain of
    waits can be as long as there are units.
    """
    owners = {unit.ident: unit.wait.owners for unit in units if unit.wait is not None and unit.wait.owners}
    path: list[int] = []
    position: dict[int, int] = {}  # on the path
    done: set[int] = set()
    rings = []
    for start in owners:
        if start in done:
            continue
        todo = [iter((start,))]
        while todo:
            ident = next(todo[-1], None)
            if ident is None:
                todo.pop()
                if path:
                    done.add(left := path.pop())
                    del position[left]
            elif ident in position:
                rings.append(Deadlock(tuple(path[position[ident] :])))
            elif ident in owners and ident not in done:
                position[ident] = len(path)
                path.append(ident)
                todo.append(iter(dict.fromkeys(owners[ident])))
    return tuple(rings)
