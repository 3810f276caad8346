"""Collapsed stacks and speedscope's format."""

import json
import re
from typing import Any

from snapshots import FETCH, HANDLE, MAIN, OTHER, OWN, SERVE, make_snapshot, make_thread, make_unit

from manhole._snapshot._flame import format_collapsed, format_speedscope
from manhole._snapshot._model import Frame, Snapshot

SNAPSHOT = make_snapshot(
    *(make_unit(n, frames=FETCH) for n in range(5)),
    *(make_unit(n, frames=HANDLE) for n in range(7)),
    make_unit(0x20, "greenlet", frames=FETCH),
    make_unit(0x21, frames=SERVE, state="running"),
    make_unit(0x22, state="not started"),
    make_unit(0x23, frames=FETCH, thread=None),
    threads=(
        make_thread(frames=SERVE),
        make_thread(OTHER, "", frames=SERVE),
        make_thread(OWN, "manhole", frames=SERVE, own=True),
    ),
    tasks=(make_unit(0x24, "Task", thread=OTHER),),
)


def load(snapshot: Snapshot) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads("".join(format_speedscope(snapshot)))
    return loaded


def test_collapsed_stacks_have_the_thread_as_root_and_count_units() -> None:
    serve = "<module> (app/main.py:3);serve (app/main.py:7)"
    fetch = "Worker.run (app/work.py:10);fetch (app/db.py:99)"
    assert sorted(format_collapsed(SNAPSHOT)) == sorted(
        [
            f"MainThread;{serve} 1",
            "MainThread;Worker.run (app/work.py:10);Handler.handle (web/handlers.py:12) 7",
            f"MainThread;{fetch} 6",
            "MainThread;(not started) 1",
            f"{OTHER};{serve} 1",
            f"{OTHER};(suspended) 1",
            f"(thread not known);{fetch} 1",
        ]
    )


def test_collapsed_stacks_can_be_taken_apart_whatever_the_names() -> None:
    evil = "a;b\nc\x1b 5\u2028\udc80"
    snapshot = make_snapshot(
        make_unit(1, frames=(Frame(evil, 1, evil), *FETCH)), threads=(make_thread(name=evil, frames=FETCH),)
    )
    lines = list(format_collapsed(snapshot))
    assert len(lines) == 2
    for line in lines:
        assert line.isprintable()
        stack, _, count = line.rpartition(" ")
        assert count == "1"
        assert len(stack.split(";")) in (3, 4)
    assert re.match(r"a,b\\nc\\x1b 5\\u2028\\udc80;a,b", lines[1])


def test_speedscope_has_a_profile_a_thread_with_the_units_as_weights() -> None:
    data = load(SNAPSHOT)
    assert data["$schema"] == "https://www.speedscope.app/file-format-schema.json"
    assert (data["name"], data["exporter"]) == ("Process 4711", "manhole")
    frames = data["shared"]["frames"]
    assert {"name": "fetch", "file": "/srv/app/db.py", "line": 99} in frames
    assert len({json.dumps(frame) for frame in frames}) == len(frames)
    assert [profile["name"] for profile in data["profiles"]] == ["MainThread", str(OTHER), "(thread not known)"]
    for profile in data["profiles"]:
        assert (profile["type"], profile["unit"], profile["startValue"]) == ("sampled", "none", 0)
        assert len(profile["samples"]) == len(profile["weights"])
        assert profile["endValue"] == sum(profile["weights"])
        assert set(profile) == {"type", "name", "unit", "startValue", "endValue", "samples", "weights"}
    main = data["profiles"][0]
    stacks = [[frames[index]["name"] for index in sample] for sample in main["samples"]]
    assert main["weights"] == sorted(main["weights"], reverse=True)
    assert dict(zip(map(tuple, stacks), main["weights"], strict=True))["Worker.run", "Handler.handle"] == 7
    assert ["(not started)"] in stacks
    assert sum(main["weights"]) == 15


def test_speedscope_takes_any_name() -> None:
    evil = '"\\\n\x00\udc80'
    data = load(make_snapshot(threads=(make_thread(name=evil, frames=(Frame(evil, 0, evil),)),)))
    assert data["profiles"][0]["name"] == evil
    assert data["shared"]["frames"] == [{"name": evil, "file": evil}]


def test_an_empty_snapshot_is_valid() -> None:
    assert list(format_collapsed(make_snapshot(threads=()))) == []
    assert load(make_snapshot(threads=()))["profiles"] == []


def test_a_thread_that_is_not_in_the_snapshot_is_named_by_its_ident() -> None:
    snapshot = make_snapshot(make_unit(1, frames=FETCH), make_unit(2, frames=HANDLE, state="running"), threads=())
    assert [line.split(";")[0] for line in format_collapsed(snapshot)] == [str(MAIN)] * 2
