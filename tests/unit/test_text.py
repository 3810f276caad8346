"""The dump as text: its shape, that it keeps to width and number of lines, and that nothing in it steers a terminal."""

import re
import time
import unicodedata
from dataclasses import replace
from pathlib import Path

import pytest
from snapshots import FETCH, HANDLE, MAIN, OTHER, OWN, SERVE, make_snapshot, make_thread, make_unit

import manhole
from manhole._snapshot import _text
from manhole._snapshot._groups import select_units
from manhole._snapshot._lines import fit_frame
from manhole._snapshot._model import Deadlock, Frame, Hub, Snapshot, Wait
from manhole._snapshot._source import SourceLines
from manhole._snapshot._text import describe_wait, format_text
from manhole._snapshot._verdict import format_verdict

HEADER = f"######### ProcessID=4711, ThreadID={MAIN}, MainThread #########"
FRAME = '  File "{0.file}", line {0.line}, in {0.function}'.format
HANDLE_LINES = [FRAME(frame) for frame in HANDLE]
FETCH_LINES = [FRAME(frame) for frame in FETCH]
SERVE_LINES = [FRAME(frame) for frame in SERVE]


def body(snapshot: Snapshot, **options: object) -> list[str]:
    """The lines after the summary."""
    lines = list(format_text(snapshot, **options))  # type: ignore[arg-type]
    return lines[lines.index("") + 1 :]


def test_headline_and_verdict_come_first() -> None:
    snapshot = make_snapshot(make_unit(1), unseen=("much",))
    lines = list(format_text(snapshot))
    assert lines[0] == "Process 4711, CPython 3.11.7, gevent 26.9.0, greenlet 3.5.6"
    assert lines[1 : lines.index("")] == format_verdict(snapshot)
    up = replace(snapshot, process=replace(snapshot.process, uptime=7500.0))
    assert next(format_text(up)).endswith(", up 2 h 5 min")


def test_each_thread_has_its_stack_and_its_units() -> None:
    snapshot = make_snapshot(
        make_unit(0x10, frames=HANDLE, name="one", wait=Wait("timer", seconds=4.2)),
        make_unit(0x11, "greenlet", frames=FETCH, type="Raw", thread=OTHER),
        make_unit(0x12, frames=FETCH, thread=None),
        threads=(make_thread(frames=SERVE), make_thread(OTHER, "", frames=SERVE, wait=Wait("lock", owners=(0x10,)))),
        tasks=(make_unit(0x13, "Task", type="_asyncio.Task", name="Task-1", state="not started"),),
    )
    assert body(snapshot) == [
        HEADER,
        *SERVE_LINES,
        "--- Greenlet one, suspended, id 0x10, waits for a timer, 4.2 s left",
        *HANDLE_LINES,
        "--- Task Task-1 (_asyncio.Task), not started, id 0x13",
        "",
        f"######### ProcessID=4711, ThreadID={OTHER} #########",
        "    waits for a lock owned by Greenlet one 0x10",
        *SERVE_LINES,
        "--- greenlet (Raw), suspended, id 0x11",
        *FETCH_LINES,
        "",
        "######### ProcessID=4711, units of a thread that is not known #########",
        "--- Greenlet, suspended, id 0x12",
        *FETCH_LINES,
        "",
    ]


def test_what_runs_on_a_thread_comes_first_and_its_stack_once() -> None:
    stack = SERVE + HANDLE
    snapshot = make_snapshot(
        *(make_unit(n, frames=FETCH) for n in (1, 2)),
        make_unit(0x10, frames=stack, name="runs", state="running"),
        threads=(make_thread(frames=stack),),
        tasks=(make_unit(0x11, "Task", frames=HANDLE, state="running"),),
    )
    assert (
        body(snapshot)[:7]
        == [
            HEADER,
            "--- Greenlet runs, running, id 0x10",
            *SERVE_LINES,
            *HANDLE_LINES,
            "--- Task, running, id 0x11",
            "--- 2 Greenlets, suspended",
        ][:7]
    )
    assert "\n".join(body(snapshot)).count("in Handler.handle") == 1


def test_identical_stacks_are_shown_once_with_count_wait_and_first_names() -> None:
    units = [make_unit(n, frames=FETCH, name=f"w{n}", wait=Wait("timer", seconds=n)) for n in range(1, 2001)]
    few = [make_unit(0x9000 + n, frames=HANDLE, name="same", type="Worker") for n in range(2)]
    assert body(make_snapshot(*few, *units))[3:] == [
        "--- 2,000 Greenlets, suspended, waiting for a timer, 1.0 s to 33 min 20 s left: w1, w2, w3, w4, ...",
        *FETCH_LINES,
        "--- 2 Greenlets (Worker), suspended: same",
        *HANDLE_LINES,
        "",
    ]


def test_full_shows_each_unit_with_all_that_is_known() -> None:
    one = make_unit(0x10, frames=FETCH, age=3.21, spawner=0x5, parent=0x6, spawning_stack=SERVE)
    other = make_unit(0x11, frames=FETCH)
    assert body(make_snapshot(one, other), full=True)[3:] == [
        "--- Greenlet, suspended, id 0x10",
        "    age 3.2 s, spawned by 0x5, spawned at /srv/app/main.py:7 in serve, parent 0x6",
        *FETCH_LINES,
        "--- Greenlet, suspended, id 0x11",
        *FETCH_LINES,
        "",
    ]


def test_the_manholes_own_frames_are_not_shown() -> None:
    frames = (Frame(_text.__file__, 1, "format_text"), *FETCH)
    own = make_thread(OWN, "manhole", frames=frames, own=True)
    assert body(make_snapshot(threads=(own,)))[1:] == [*FETCH_LINES, ""]
    running = make_unit(1, thread=OWN, frames=frames, state="running")
    assert body(make_snapshot(running, threads=(own,)))[1:] == ["--- Greenlet, running, id 0x1", *FETCH_LINES, ""]
    assert len(body(make_snapshot(threads=(replace(own, own=False),)))) == 6


def test_a_selection_keeps_the_verdict_and_the_names_of_the_whole() -> None:
    hub = Hub(7, "gevent", "Hub", MAIN, "stuck", 2, None, 1, 3)
    whole = make_snapshot(make_unit(1, frames=FETCH), make_unit(2, frames=HANDLE, name="bad"), hubs=(hub,))
    lines = list(format_text(select_units(whole, match="fetch"), whole=whole))
    assert "hub gevent of MainThread: running Greenlet bad 0x2, for at least 1.0 s through 3 samples" in lines
    assert lines[-7:] == ["Selected: 1 of 3 units", "", HEADER, "--- Greenlet, suspended, id 0x1", *FETCH_LINES, ""]


def test_source_lines_are_shown_also_after_a_form_feed(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text("first()\n\x0c\nthird(1,\t2)\nx = '\x1b[2J\u2028'\n")
    frames = tuple(Frame(str(program), line, "f") for line in (1, 2, 3, 4, 5, 0))
    shown = [line for line in body(make_snapshot(make_unit(1, frames=frames)))[3:] if "File" not in line]
    assert shown == [
        "--- Greenlet, suspended, id 0x1",
        "    first()",
        "    third(1,    2)",
        "    x = '\\x1b[2J\\u2028'",
        "",
    ]


EVIL = "\x1b[31m\n\r\x00\x9b\u202e\u2028\udc80"


def make_evil() -> Snapshot:
    unit = make_unit(
        1, frames=(Frame(EVIL, 1, EVIL),), name=EVIL, type=EVIL, wait=Wait("lock", EVIL, 1, (1,), local=EVIL)
    )
    hub = Hub(7, EVIL, EVIL, MAIN, "stuck", 1, unit.frames[0], 1, 3)
    return make_snapshot(
        unit,
        replace(unit, ident=2, wait=Wait("descriptor", local=EVIL)),
        replace(unit, ident=3, spawning_stack=unit.frames),
        threads=(make_thread(name=EVIL, frames=unit.frames, wait=Wait("queue", EVIL)),),
        hubs=(hub,),
        deadlocks=(Deadlock((1,)),),
        unseen=(EVIL,),
    )


@pytest.mark.parametrize("options", [{}, {"full": True}, {"width": 40}, {"max_lines": 8}])
def test_nothing_unprintable_comes_out(options: dict[str, object]) -> None:
    lines = list(format_text(make_evil(), **options))  # type: ignore[arg-type]
    assert [line for line in lines if not line.isprintable()] == []
    coloured = list(format_text(make_evil(), colour=True, **options))  # type: ignore[arg-type]
    assert [re.sub(r"\x1b\[(1|2|1;31|0)m", "", line) for line in coloured] == lines


def columns(line: str) -> int:
    """How many columns a terminal needs for it."""
    return sum(2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in line)


def make_long() -> Snapshot:
    long = Frame("/a/very/" + "long/" * 30 + "path/of_a_file.py", 12345, "some.<locals>." + "function_" * 20)
    wide = Frame("/日本/" + "語" * 90 + ".py", 3, "名" * 60)
    units = [
        make_unit(n, frames=(long, wide), name="n" * 110 + str(n), wait=Wait("lock", "L", 5, (1,))) for n in (1, 2)
    ]
    threads = (make_thread(name="t" * 100, frames=(long, wide)), make_thread(OTHER, "名" * 80))
    hubs = (
        Hub(7, "gevent", "Hub", MAIN, "stuck", 1, long, 1, 3),
        Hub(7, "gevent", "Hub", MAIN, "stuck", 1, wide, 1, 3),
    )
    return make_snapshot(*units, make_unit(3, name="x y " * 30), threads=threads, hubs=hubs, unseen=("because " * 30,))


@pytest.mark.parametrize("width", [20, 40, 80, 132])
@pytest.mark.parametrize("full", [False, True])
def test_no_line_is_wider_than_asked_for(width: int, full: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SourceLines, "line", lambda self, file, number: f"call({file!r})  # {'x' * 200}")
    lines = list(format_text(make_long(), width=width, full=full))
    assert [line for line in lines if columns(line) > width] == []
    few = list(format_text(make_long(), width=width, full=full, max_lines=len(lines) - 1))
    assert [line for line in few if columns(line) > width] == []


def test_a_frame_loses_the_beginning_of_its_path_and_then_the_end_of_its_function() -> None:
    frame = Frame("/srv/app/web/handlers.py", 12, "Handler.handle_request")
    assert fit_frame(frame, 60) == '  File ".../handlers.py", line 12, in Handler.handle_request'
    assert fit_frame(frame, 40) == '  File "...ndlers.py", line 12, in Ha...'


def test_a_narrow_frame_keeps_the_end_of_its_path() -> None:
    lines = body(make_snapshot(make_unit(1, frames=HANDLE)), width=56)
    assert '  File ".../web/handlers.py", line 12, in Handler.handle' in lines
    assert HEADER in body(make_snapshot(), width=80)


def test_wide_enough_changes_nothing() -> None:
    assert list(format_text(make_long(), width=1000)) == list(format_text(make_long()))


def test_colour_marks_problems_headers_and_source(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text("first()\n")
    hub = Hub(7, "gevent", "Hub", MAIN, "stuck", None, None, 1, 3)
    snapshot = make_snapshot(make_unit(1, frames=(Frame(str(program), 1, "f"),)), hubs=(hub,))
    lines = list(format_text(snapshot, colour=True))
    assert lines[1].startswith("\x1b[1;31mhub gevent of MainThread: running")
    assert f"\x1b[1m{HEADER}\x1b[0m" in lines
    assert "\x1b[1m--- Greenlet, suspended, id 0x1\x1b[0m" in lines
    assert "    \x1b[2mfirst()\x1b[0m" in lines
    assert "\x1b" not in "".join(format_text(snapshot))


def make_many() -> Snapshot:
    deep = tuple(Frame("/srv/app/deep.py", n, f"level_{n}") for n in range(50))
    stacks = [(*FETCH, Frame("/srv/app/x.py", n, "x")) for n in range(40)]
    units = [make_unit(1000 * n + m, frames=stacks[n]) for n in range(40) for m in range(n + 1)]
    threads = (
        make_thread(frames=deep),
        make_thread(OTHER, "worker", frames=SERVE),
        make_thread(OWN, "manhole", own=True, frames=FETCH),
    )
    other = make_unit(0x5, "greenlet", name="other", thread=OTHER, frames=FETCH)
    running = make_unit(0x6, name="runs", state="running", frames=deep)
    hub = Hub(7, "gevent", "Hub", MAIN, "stuck", 0x6, deep[-1], 1, 3)
    return make_snapshot(*units, other, running, threads=threads, hubs=(hub,))


def test_what_fits_is_shown_as_ever() -> None:
    lines = list(format_text(make_many()))
    assert list(format_text(make_many(), max_lines=len(lines))) == lines


def test_few_lines_are_problems_threads_large_groups_and_what_is_missing() -> None:
    lines = list(format_text(make_many(), max_lines=38))
    assert len(lines) <= 38
    assert lines[1].startswith("hub gevent of MainThread: running Greenlet runs")
    start = lines.index("")
    assert lines[start:] == [
        "",
        HEADER,
        "--- Greenlet runs, running, id 0x6",
        "  ... 45 outer frames",
        *(f'  File "/srv/app/deep.py", line {n}, in level_{n}' for n in range(45, 50)),
        "",
        f"######### ProcessID=4711, ThreadID={OTHER}, worker #########",
        *SERVE_LINES,
        "",
        "Of all threads, the largest group first:",
        "--- 40 Greenlets, suspended, of MainThread",
        *FETCH_LINES,
        '  File "/srv/app/x.py", line 39, in x',
        "--- 39 Greenlets, suspended, of MainThread",
        *FETCH_LINES,
        '  File "/srv/app/x.py", line 38, in x',
        "--- 38 Greenlets, suspended, of MainThread",
        *FETCH_LINES,
        '  File "/srv/app/x.py", line 37, in x',
        "Not shown: 1 thread and 38 groups of 704 units. dump_stacktraces() shows all, "
        "dump_stacktraces(full=True) each unit apart.",
    ]


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("width", [None, 40])
def test_no_more_lines_than_asked_for(full: bool, width: int | None) -> None:
    count = len(list(format_text(make_many(), full=full, width=width)))
    for limit in [*range(1, 60), count - 1]:
        lines = list(format_text(make_many(), full=full, width=width, max_lines=limit))
        assert len(lines) <= limit
        assert any(line.startswith("Not shown: ") for line in lines)


def test_what_is_missing_is_counted_right() -> None:
    for limit in range(1, 140):
        lines = list(format_text(make_many(), max_lines=limit))
        found = re.match(r"Not shown: (?:(\d+) threads?)?(?: and )?(?:(\d+) groups? of (\d+) units?)?", lines[-1])
        assert found is not None
        threads, groups, units = (int(number or 0) for number in found.groups())
        shown = [int(count) for count in re.findall(r"(?m)^--- (\d+) Greenlets", "\n".join(lines))]
        single = len(re.findall(r"(?m)^--- (?:Greenlet|greenlet),? .*suspended, id", "\n".join(lines)))
        running = "\n".join(lines).count(", running, id")
        assert threads + sum(line.startswith("#########") for line in lines) == 3
        assert groups + len(shown) + single == 41
        assert units + sum(shown) + single + running == 822


def test_units_of_an_unknown_thread_are_no_missing_thread() -> None:
    snapshot = make_snapshot(make_unit(1, thread=None, frames=HANDLE * 9), make_unit(2, thread=None, frames=FETCH))
    few = list(format_text(snapshot, max_lines=len(list(format_text(snapshot))) - 1))
    assert "######### ProcessID=4711, units of a thread that is not known #########" in few
    assert few[-1].startswith("Not shown: outer frames. ")


@pytest.mark.parametrize(("option", "value"), [("width", 19), ("width", 0), ("max_lines", 0), ("max_lines", -1)])
def test_limits_too_small_are_refused_at_once(option: str, value: int) -> None:
    with pytest.raises(manhole.InvalidOption, match="at least"):
        format_text(make_snapshot(), **{option: value})  # type: ignore[arg-type]


def test_waits_are_described_by_the_text_module_too() -> None:
    assert describe_wait(Wait("DNS")) == "a DNS look-up"


def test_time_grows_with_the_number_of_units() -> None:
    def measure(count: int) -> float:
        stacks = [tuple(Frame("/srv/x.py", n, f"f{n}") for n in range(15)) for _ in range(20)]
        timer = Wait("timer", seconds=1)
        snapshot = make_snapshot(*(make_unit(n, frames=stacks[n % 20], name="x", wait=timer) for n in range(count)))
        start = time.process_time()
        for full in (False, True):
            for _ in format_text(snapshot, full=full):
                pass
        return time.process_time() - start

    # Twice a linear factor, and half a second for a machine that is busy; a square would take 100 times as long.
    assert measure(20_000) < 20 * measure(2_000) + 0.5
