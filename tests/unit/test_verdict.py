"""The verdict: its lines, and that what is wrong comes first."""

import pytest
from snapshots import FETCH, HANDLE, MAIN, OTHER, OWN, make_snapshot, make_thread, make_unit

from manhole._snapshot._model import Deadlock, Frame, Hub, Wait
from manhole._snapshot._verdict import format_verdict, list_findings
from manhole._snapshot._words import describe_wait, describe_waits, find_telling_frame, format_seconds


def make_hub(state: str, unit: int | None = None, frame: Frame | None = None, ident: int = 0x77) -> Hub:
    return Hub(ident, "gevent", "Hub", MAIN, state, unit, frame, 0.15, 3)


PLACE = "/srv/app/web/handlers.py:12 in Handler.handle"


@pytest.mark.parametrize(
    ("hub", "expected", "is_problem"),
    [
        (make_hub("in its loop"), "in its loop", False),
        (make_hub("not running"), "not running", False),
        (make_hub("unknown"), "what it does could not be seen", False),
        (
            make_hub("stuck", 0x12, HANDLE[1]),
            f"running Greenlet worker 0x12 at {PLACE}, for at least 0.15 s through 3 samples",
            True,
        ),
        (
            make_hub("stuck in C", 0x12, HANDLE[1]),
            f"stuck in C at {PLACE}, called by Greenlet worker 0x12, for at least 0.15 s through 3 samples",
            True,
        ),
        (
            make_hub("running", None, HANDLE[1]),
            f"running one unit after another, the last at {PLACE}, through 3 samples",
            False,
        ),
        (
            make_hub("interrupted", 0x12, HANDLE[1]),
            f"was running Greenlet worker 0x12 at {PLACE}, when the dump was asked for on its thread",
            False,
        ),
        (
            make_hub("stuck", 0x77, HANDLE[1]),
            f"running a callback at {PLACE}, for at least 0.15 s through 3 samples",
            True,
        ),
        (make_hub("stuck", 0x99), "running 0x99, for at least 0.15 s through 3 samples", True),
    ],
)
def test_a_hub(hub: Hub, expected: str, is_problem: bool) -> None:
    findings = list_findings(make_snapshot(make_unit(0x12, name="worker"), hubs=(hub,)))
    assert findings[0] == (is_problem, f"hub gevent of MainThread: {expected}")


def test_a_hub_of_an_unnamed_or_unknown_thread() -> None:
    hub = Hub(1, "asyncio", "_UnixSelectorEventLoop", None, "in its loop", None, None, 0, 3)
    other = Hub(2, "eventlet", "eventlet", 99, "in its loop", None, None, 0, 3)
    assert format_verdict(make_snapshot(hubs=(hub, other)))[:2] == [
        "hub asyncio _UnixSelectorEventLoop: in its loop",
        "hub eventlet of 99: in its loop",
    ]


def test_a_deadlock_names_who_waits_for_what() -> None:
    one = make_unit(0x1, name="one", wait=Wait("lock", "RLock", 0xA, (0x2,)))
    two = make_unit(0x2, name="two", wait=Wait("semaphore", "Semaphore", 0xB, (0x1,)))
    assert format_verdict(make_snapshot(one, two, deadlocks=(Deadlock((1, 2)),)))[0] == (
        "Deadlock of 2 units: Greenlet one 0x1 waits for lock (RLock 0xa) owned by Greenlet two 0x2; "
        "Greenlet two 0x2 waits for semaphore (Semaphore 0xb) owned by Greenlet one 0x1"
    )


def test_a_deadlock_of_threads_names_them() -> None:
    threads = (
        make_thread(wait=Wait("lock", "RLock", 0xA, (OTHER,))),
        make_thread(OTHER, "", wait=Wait("lock", "RLock", 0xB, (MAIN,))),
    )
    line = format_verdict(make_snapshot(threads=threads, deadlocks=(Deadlock((MAIN, OTHER)),)))[0]
    assert f"thread MainThread waits for lock (RLock 0xa) owned by thread {OTHER}; thread {OTHER} waits" in line


def test_what_is_wrong_comes_first_and_what_is_not_seen_last() -> None:
    hubs = (make_hub("in its loop"), make_hub("stuck", 1, ident=0x78), make_hub("stuck in C", 1, ident=0x79))
    snapshot = make_snapshot(hubs=hubs, deadlocks=(Deadlock((1, 2)),), unseen=("the dark side",))
    findings = list_findings(snapshot)
    assert [finding.is_problem for finding in findings] == [True, True, True, False, False, False]
    assert findings[0].text.startswith("Deadlock")
    assert findings[-1].text == "Not seen: the dark side"


def test_many_of_a_sort_are_counted() -> None:
    hubs = tuple(make_hub("in its loop", ident=n) for n in range(20)) + (make_hub("stuck", 1),) * 7
    ring = tuple(range(1, 1001))
    lines = format_verdict(make_snapshot(hubs=hubs, deadlocks=(Deadlock(ring),) * 8))
    assert lines[0].startswith("Deadlock of 1,000 units: ")
    assert lines[0].endswith("; 994 more")
    assert lines[5] == "3 more deadlocks"
    assert lines[11] == "22 more hubs, 2 of them stuck"
    assert len(lines) == 13


def test_counts_by_kind_and_state() -> None:
    greenlets = [make_unit(n, frames=HANDLE) for n in range(1200)]
    greenlets += [make_unit(1, "hub", state="running"), make_unit(2, state="finished")]
    task = make_unit(3, "Task")
    assert format_verdict(make_snapshot(*greenlets, tasks=(task,), finished=4))[0] == (
        "1 thread; 1,202 greenlets: 1,200 Greenlets suspended, 1 hub running, 1 Greenlet finished; "
        "1 task: 1 Task suspended (3 finished not shown)"
    )
    assert format_verdict(make_snapshot())[0] == "1 thread; 0 greenlets"


def test_the_three_largest_groups_are_named_with_place_and_wait() -> None:
    library = Frame("/x/lib/python3.11/site-packages/gevent/hub.py", 5, "sleep")
    stacks = [(*HANDLE, library), FETCH, HANDLE, FETCH[:1], HANDLE[:1]]
    units = [
        make_unit(100 * count + n, frames=stack, wait=Wait("timer", seconds=n))
        for count, stack in zip([9, 8, 7, 6, 5], stacks, strict=True)
        for n in range(count)
    ]
    lines = format_verdict(make_snapshot(*units, make_unit(1, frames=SINGLE)))
    assert lines[1] == f"9 Greenlets suspended at {PLACE}, waiting for a timer, 0.00 s to 8.0 s left"
    assert lines[2].startswith("8 Greenlets suspended at /srv/app/db.py:99 in fetch, waiting for a timer")
    assert lines[4] == "2 more groups of 11 units"
    assert len(lines) == 5


SINGLE = (Frame("/srv/app/single.py", 1, "single"),)


def test_the_manholes_own_are_no_group() -> None:
    own = tuple(make_thread(OWN + n, own=True, frames=HANDLE) for n in range(3))
    snapshot = make_snapshot(*(make_unit(n, thread=OWN, frames=FETCH) for n in range(3)), threads=own)
    assert len(format_verdict(snapshot)) == 1


def test_nothing_unprintable_comes_out() -> None:
    evil = "\x1b[2J\n\u202e\udc80"
    hub = Hub(1, evil, evil, MAIN, "stuck", 5, Frame(evil, 1, evil), 1, 3)
    unit = make_unit(5, name=evil, wait=Wait("lock", evil, 3, (5,)))
    snapshot = make_snapshot(unit, hubs=(hub,), deadlocks=(Deadlock((5,)),), unseen=(evil,))
    assert all(line.isprintable() for line in format_verdict(snapshot))


@pytest.mark.parametrize(
    ("wait", "expected"),
    [
        (
            Wait("descriptor", descriptor=7, direction="read", local="127.0.0.1:80", remote="127.0.0.1:4711"),
            "descriptor 7 for reading, 127.0.0.1:80 <- 127.0.0.1:4711",
        ),
        (
            Wait("descriptor", descriptor=7, direction="write", local="[::1]:80", remote="[::1]:9", seconds=3),
            "descriptor 7 for writing, [::1]:80 -> [::1]:9, 3.0 s left",
        ),
        (
            Wait("descriptor", descriptor=7, direction="read or write", remote="/run/x"),
            "descriptor 7 for reading or writing, <-> /run/x",
        ),
        (
            Wait("descriptor", descriptor=7, direction="read", local="0.0.0.0:80"),
            "descriptor 7 for reading, 0.0.0.0:80",
        ),
        (Wait("descriptor", descriptor=0), "descriptor 0"),
        (Wait("timer", seconds=4.2), "a timer, 4.2 s left"),
        (Wait("timer", seconds=-0.3), "a timer, overdue by 0.30 s"),
        (Wait("lock", "RLock", 0x7F, (0x12,)), "lock (RLock 0x7f) owned by 0x12"),
        (Wait("lock"), "a lock"),
        (Wait("event"), "an event"),
        (Wait("event", ident=0x5), "event (0x5)"),
        (Wait("semaphore", "S", 1, (1, 2, 3, 4, 5)), "semaphore (S 0x1) owned by 0x1, 0x2, 0x3 and 2 more"),
        (Wait("queue", "Queue", 0x7F, direction="get"), "an item from queue (Queue 0x7f)"),
        (Wait("queue", direction="put", seconds=200), "room in a queue, 3 min 20 s left"),
        (Wait("unit", owners=(0x12,)), "the end of 0x12"),
        (Wait("unit"), "the end of another unit"),
        (Wait("DNS"), "a DNS look-up"),
        (Wait("thread pool"), "the thread pool"),
        (Wait("process"), "the end of a process"),
        (Wait("something new", "Thing"), "something new (Thing)"),
    ],
)
def test_a_wait_in_one_phrase(wait: Wait, expected: str) -> None:
    assert describe_wait(wait) == expected


@pytest.mark.parametrize(
    ("waits", "expected"),
    [
        ([Wait("lock", "RLock", 1, (2,))] * 2, "lock (RLock 0x1) owned by the boss"),
        ([Wait("lock", "RLock", 1), Wait("lock", "RLock", 3)], "lock (RLock)"),
        ([Wait("lock", "RLock", 1), Wait("lock", "Lock", 3)], "a lock"),
        ([Wait("lock", "L", 1, seconds=1), Wait("lock", "L", 1, seconds=9)], "lock (L 0x1), 1.0 s to 9.0 s left"),
        ([Wait("timer", seconds=1), Wait("timer", seconds=-9), Wait("timer")], "a timer, 0.00 s to 1.0 s left"),
        (
            [Wait("descriptor", descriptor=n, direction="read", local=f"x:{n}") for n in (5, 6)],
            "a descriptor for reading",
        ),
        ([Wait("queue", "Q", 1, direction="get"), Wait("queue", "Q", 1, direction="put")], "queue (Q)"),
    ],
)
def test_what_waits_have_in_common(waits: list[Wait], expected: str) -> None:
    assert describe_waits(waits, {2: "the boss"}) == expected


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0, "0.00 s"),
        (0.151, "0.15 s"),
        (0.999, "1.0 s"),
        (9.99, "10 s"),
        (119.4, "119 s"),
        (200, "3 min 20 s"),
        (7500, "2 h 5 min"),
        (3 * 86400 + 4 * 3600, "3 d 4 h"),
        (float("inf"), "inf s"),
        (float("nan"), "nan s"),
    ],
)
def test_spans_of_time(seconds: float, expected: str) -> None:
    assert format_seconds(seconds) == expected


def test_the_telling_frame_is_the_applications() -> None:
    import threading

    ours = Frame("/x/lib/python3.11/site-packages/flask/app.py", 1, "dispatch")
    library = Frame("/x/lib/python3.11/site-packages/eventlet/hubs/hub.py", 1, "switch")
    stdlib = Frame(threading.__file__, 1, "wait")
    assert find_telling_frame([ours, stdlib, library, Frame("<frozen runpy>", 1, "x")]) is ours
    assert find_telling_frame([library, stdlib]) is stdlib
    assert find_telling_frame([]) is None
