"""Groups of units, sections by thread, and the filters."""

import time

import pytest
from snapshots import FETCH, HANDLE, MAIN, OTHER, make_snapshot, make_thread, make_unit

import manhole
from manhole._snapshot._groups import group_units, list_sections, select_units
from manhole._snapshot._model import Wait

SNAPSHOT = make_snapshot(
    make_unit(1, frames=HANDLE, name="one"),
    make_unit(2, "greenlet", frames=FETCH, name="two", state="running"),
    make_unit(3, frames=FETCH, name="three", thread=OTHER),
    make_unit(4, "GreenThread", name="Pool.spawn_later", state="not started", thread=None),
    threads=(make_thread(frames=HANDLE), make_thread(OTHER, "worker")),
    tasks=(make_unit(5, "Task", frames=HANDLE, name="Task-5", state="finished"),),
)


def idents(**conditions: object) -> list[int]:
    return [unit.ident for unit in select_units(SNAPSHOT, **conditions).units]  # type: ignore[arg-type]


def test_no_condition_selects_all() -> None:
    assert select_units(SNAPSHOT) is SNAPSHOT


@pytest.mark.parametrize(
    ("match", "expected"),
    [
        ("fetch", [2, 3]),
        ("etc", [2, 3]),
        ("Handler.handle", [MAIN, 1, 5]),
        ("web/", [MAIN, 1, 5]),
        ("handle*", [MAIN, 1, 5]),
        ("fetc?", [2, 3]),
        ("etc?", []),
        ("[ef]etch", [2, 3]),
        ("db.*", [2, 3]),
        ("/srv/*/db.py", [2, 3]),
        ("FETCH", []),
        ("spawn_later", [4]),
        ("three", []),  # a name counts only where there is no stack
    ],
)
def test_match_is_a_part_of_a_function_or_file_or_a_glob(match: str, expected: list[int]) -> None:
    assert idents(match=match) == expected


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        ({"state": "Running"}, [MAIN, OTHER, 2]),
        ({"state": "not started"}, [4]),
        ({"kind": "task"}, [5]),
        ({"kind": "Greenlet"}, [1, 2, 3]),
        ({"thread": "worker"}, [OTHER, 3]),
        ({"thread": OTHER}, [OTHER, 3]),
        ({"thread": str(OTHER)}, [OTHER, 3]),
        ({"thread": "MainThread", "kind": "greenlet", "match": "fetch", "state": "running"}, [2]),
    ],
)
def test_conditions(conditions: dict[str, object], expected: list[int]) -> None:
    assert idents(**conditions) == expected


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("match", "", "pattern"),
        ("match", 5, "pattern"),
        ("state", "sleeping", "'suspended'"),
        ("state", 1, "'suspended'"),
        ("kind", "fibre", "'main greenlet'"),
        ("thread", "nobody", "worker"),
        ("thread", 12, str(OTHER)),
    ],
)
def test_a_bad_value_is_refused_with_what_is_allowed(option: str, value: object, said: str) -> None:
    with pytest.raises(manhole.InvalidOption, match=said) as refused:
        idents(**{option: value})
    assert (refused.value.option, refused.value.value) == (option, value)


def test_true_is_no_ident() -> None:
    snapshot = make_snapshot(threads=(make_thread(1, "one"),))
    assert select_units(snapshot, thread=1).threads == snapshot.threads
    with pytest.raises(manhole.InvalidOption):
        select_units(snapshot, thread=True)


def test_groups_are_by_stack_kind_state_and_wait_the_largest_first() -> None:
    lock, timer = Wait("lock"), Wait("timer")
    units = [
        make_unit(1, frames=HANDLE),
        make_unit(2, frames=FETCH),
        make_unit(3, frames=FETCH, wait=lock),
        make_unit(4, frames=FETCH, wait=timer),
        make_unit(5, "greenlet", frames=FETCH),
        make_unit(6, frames=FETCH, wait=Wait("timer", seconds=3)),
        make_unit(7, frames=FETCH, state="running"),
    ]
    groups = group_units(units)
    assert [[unit.ident for unit in group.units] for group in groups] == [[4, 6], [1], [2], [3], [5], [7]]
    assert (groups[0].kind, groups[0].state, groups[0].frames, groups[0].wait) == (
        "Greenlet",
        "suspended",
        FETCH,
        "timer",
    )
    assert groups[1].wait is None


def test_sections_are_by_thread_with_what_runs_apart() -> None:
    stray = make_unit(6, thread=9)
    sections = list_sections(make_snapshot(*SNAPSHOT.greenlets, stray, threads=SNAPSHOT.threads, tasks=SNAPSHOT.tasks))
    found = [([u.ident for u in section.running], [u.ident for u in section.units]) for section in sections]
    assert [section.ident for section in sections] == [MAIN, OTHER, 9, None]
    assert [section.thread for section in sections] == [*SNAPSHOT.threads, None, None]
    assert found == [([2], [1, 5]), ([], [3]), ([], [6]), ([], [4])]


def test_a_hundred_thousand_units_are_quick() -> None:
    snapshot = make_snapshot(*(make_unit(n, frames=(HANDLE, FETCH)[n % 2], wait=Wait("timer")) for n in range(100_000)))
    start = time.process_time()
    groups = group_units(select_units(snapshot, match="Worker.*", state="suspended").greenlets)
    # some 50 ms here; whatever grows with the square takes minutes
    assert time.process_time() - start < 5
    assert [len(group.units) for group in groups] == [50_000, 50_000]
