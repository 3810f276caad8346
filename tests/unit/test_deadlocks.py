"""Rings of units that wait for each other."""

from collections.abc import Iterator
from dataclasses import replace

from manhole._snapshot._deadlocks import find_deadlocks
from manhole._snapshot._model import Unit
from manhole.compat import Wait


def unit(ident: int, *owners: int) -> Unit:
    wait = Wait("lock", owners=owners)
    return Unit(ident, "greenlet", "", "", "suspended", None, None, None, None, (), None, (), wait)


def rings(*units: Unit) -> list[tuple[int, ...]]:
    return [deadlock.units for deadlock in find_deadlocks(units)]


def test_a_ring_is_told_once_each_before_what_it_waits_for() -> None:
    assert rings(unit(1, 3), unit(2, 1), unit(3, 2)) == [(1, 3, 2)]
    assert rings(unit(1, 2), unit(2, 1), unit(3, 4), unit(4, 3)) == [(1, 2), (3, 4)]


def test_a_unit_that_waits_for_itself_is_a_ring() -> None:
    assert rings(unit(1, 1)) == [(1,)]


def test_who_waits_for_a_ring_is_not_in_it() -> None:
    assert rings(unit(9, 1), unit(8, 9), unit(1, 2), unit(2, 1)) == [(1, 2)]


def test_a_chain_is_no_ring() -> None:
    assert rings(unit(1, 2), unit(2, 3), unit(3)) == []
    assert rings(unit(1, 7)) == []  # 7 is no unit that is known
    assert rings(unit(1, 2, 3), unit(2, 4), unit(3, 4), unit(4)) == []


def test_one_of_several_owners_makes_a_ring() -> None:
    assert rings(unit(1, 5, 2), unit(2, 1), unit(5)) == [(1, 2)]
    assert rings(unit(1, 2, 2), unit(2, 1)) == [(1, 2)]


class Owners(tuple[int, ...]):
    """Counts how often it is looked through: time would tell of the machine too."""

    looks = 0

    def __iter__(self) -> Iterator[int]:
        Owners.looks += 1
        return super().__iter__()


def test_the_owners_of_each_unit_are_looked_through_once() -> None:
    count = 100_000
    # Each waits for the next two, so there are more ways than could ever be walked; the last closes one ring.
    units = [unit(ident) for ident in range(count)]
    units = [replace(one, wait=Wait("lock", owners=Owners((one.ident + 1, one.ident + 2)))) for one in units]
    units.append(replace(unit(count), wait=Wait("lock", owners=Owners((count,)))))
    Owners.looks = 0
    assert rings(*units) == [(count,)]
    assert Owners.looks == count + 1


def test_a_ring_may_be_as_long_as_there_are_units() -> None:
    count = 100_000
    assert rings(*[unit(ident, (ident + 1) % count) for ident in range(count)]) == [tuple(range(count))]
