"""The snapshot as JSON: complete, as its schema says, and the schema as the dataclasses are."""

import json
import re
import sys
import time
from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from snapshots import FETCH, HANDLE, MAIN, OTHER, OWN, SERVE, make_snapshot, make_thread, make_unit

from manhole._snapshot._groups import KINDS, STATES
from manhole._snapshot._json import SCHEMA_VERSION, format_json
from manhole._snapshot._model import Deadlock, Frame, Hub, Process, Snapshot, Unit, Wait
from manhole._snapshot._verdict import format_verdict

if sys.implementation.name == "cpython":  # elsewhere it cannot be installed
    import jsonschema

needs_jsonschema = pytest.mark.skipif(sys.implementation.name != "cpython", reason="jsonschema has no wheel here")
SCHEMA = json.loads((Path(__file__).parents[2] / "docs" / "snapshot.schema.json").read_text())
EVIL = '"\\</script>\x00\x1b\n\u2028\udc80é日\U0001f600'


def make_rich() -> Snapshot:
    full = Wait("descriptor", "socket", 5, (1, 2), 7, "read or write", "127.0.0.1:80", EVIL, -0.5)
    frames = (Frame(EVIL, 0, EVIL),)
    everything = Unit(
        1, "Greenlet", "Worker", EVIL, "suspended", MAIN, 7, 8, 9, HANDLE, 1.5, (*frames, *FETCH), full, False
    )
    return Snapshot(
        Process(1, ("a", EVIL), 3.5, "CPython", "3.11", (("gevent", "26"),), (("gevent", ("socket", "ssl")),)),
        1.5e9,
        (
            Hub(7, "gevent", "Hub", MAIN, "stuck in C", 1, frames[0], 0.1, 3),
            Hub(8, "asyncio", "L", None, "in its loop", None, None, 0, 3),
        ),
        (make_thread(frames=SERVE), make_thread(OTHER, frames=SERVE, wait=Wait("timer")), make_thread(OWN, own=True)),
        (
            everything,
            make_unit(2, thread=None, spawning_stack=HANDLE, wait=Wait("lock", seconds=float("nan"))),
            make_unit(3, age=float("inf")),
        ),
        (make_unit(4, "Task", frames=FETCH, state="finished"),),
        (Deadlock((1, 2)),),
        5,
        ("one", EVIL),
    )


def load(snapshot: Snapshot) -> dict[str, Any]:
    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    loaded: dict[str, Any] = json.loads("".join(format_json(snapshot)), parse_constant=refuse)
    return loaded


@needs_jsonschema
@pytest.mark.parametrize("snapshot", [make_rich(), make_snapshot(), make_snapshot(threads=())])
def test_the_output_is_as_the_schema_says(snapshot: Snapshot) -> None:
    jsonschema.Draft202012Validator(SCHEMA).validate(load(snapshot))


@needs_jsonschema
@pytest.mark.parametrize(
    "break_it",
    [
        lambda data: data.update(more=1),
        lambda data: data.update(manhole_snapshot=2),
        lambda data: data.pop("verdict"),
        lambda data: data["greenlets"][0].update(more=1),
        lambda data: data["greenlets"][0]["wait"].update(more=1),
        lambda data: data["greenlets"][0].update(state="asleep"),
        lambda data: data["greenlets"][0].pop("stack"),
        lambda data: data["frames"][0].append(1),
        lambda data: data["frames"][0].pop(),
        lambda data: data["hubs"][0]["frame"].pop(),
        lambda data: data["process"].update(pid="1"),
    ],
)
def test_the_schema_refuses_anything_else(break_it: Any) -> None:
    data = load(make_rich())
    break_it(data)
    assert not jsonschema.Draft202012Validator(SCHEMA).is_valid(data)


@needs_jsonschema
def test_the_schema_itself_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize(
    ("schema", "data_class", "changes"),
    [
        (SCHEMA["$defs"]["process"], Process, {}),
        (SCHEMA["$defs"]["hub"], Hub, {}),
        (SCHEMA["$defs"]["deadlock"], Deadlock, {}),
        (SCHEMA["$defs"]["wait"], Wait, {}),
        (SCHEMA["$defs"]["unit"], Unit, {"frames": "stack"}),
        (SCHEMA, Snapshot, {}),
    ],
)
def test_the_schema_has_the_fields_of_the_data(
    schema: dict[str, Any], data_class: type, changes: dict[str, str]
) -> None:
    expected = {changes.get(field.name, field.name) for field in fields(data_class)}
    if data_class is Snapshot:
        expected |= {"manhole_snapshot", "verdict", "frames", "stacks"}
    assert set(schema["properties"]) == expected
    assert schema["additionalProperties"] is False
    assert set(schema["required"]) <= expected


def test_the_schema_has_the_frame_in_its_order() -> None:
    items = SCHEMA["$defs"]["frame"]["prefixItems"]
    assert [item["description"].partition(":")[0] for item in items] == [field.name for field in fields(Frame)]


def test_the_schema_names_all_values() -> None:
    unit, wait, hub = (SCHEMA["$defs"][name]["properties"] for name in ("unit", "wait", "hub"))
    assert set(unit["kind"]["enum"]) == set(KINDS)
    assert set(unit["state"]["enum"]) == set(STATES)
    assert SCHEMA["properties"]["manhole_snapshot"]["const"] == SCHEMA_VERSION
    for values, documented in ((wait["kind"], Wait.__doc__), (hub["state"], Hub.__doc__), (hub["kind"], Hub.__doc__)):
        assert documented is not None
        assert set(values["enum"]) <= set(re.findall(r'"([^"]+)"', documented))


def test_every_field_is_described() -> None:
    def places(schema: Any) -> Iterator[dict[str, Any]]:
        if isinstance(schema, dict):
            yield from schema.get("properties", {}).values()
            for value in schema.values():
                yield from places(value)

    found = list(places(SCHEMA))
    assert len(found) > 50
    assert [place for place in found if not place.get("description")] == []


def test_all_of_the_snapshot_is_in_it() -> None:
    """Reading it back gives the snapshot again, but for numbers that JSON has not got."""
    snapshot = make_rich()
    data = load(snapshot)
    frames = [Frame(*frame) for frame in data["frames"]]
    stacks = [tuple(frames[index] for index in stack) for stack in data["stacks"]]

    def unit(one: dict[str, Any]) -> Unit:
        one["frames"] = stacks[one.pop("stack")]
        one["spawning_stack"] = stacks[one["spawning_stack"]] if "spawning_stack" in one else ()
        if "wait" in one:
            one["wait"]["owners"] = tuple(one["wait"].get("owners", ()))
            one["wait"] = Wait(**one["wait"])
        return Unit(**{"hub": None, "parent": None, "spawner": None, "age": None, "wait": None, **one})

    def hub(one: dict[str, Any]) -> Hub:
        return Hub(**{**one, "frame": one["frame"] and Frame(*one["frame"])})

    process = data["process"]
    process["argv"] = tuple(process["argv"])
    process["libraries"] = tuple(process["libraries"].items())
    process["patched"] = tuple((name, tuple(modules)) for name, modules in process["patched"].items())
    back = Snapshot(
        Process(**process),
        data["time"],
        tuple(map(hub, data["hubs"])),
        tuple(map(unit, data["threads"])),
        tuple(map(unit, data["greenlets"])),
        tuple(map(unit, data["tasks"])),
        tuple(Deadlock(tuple(lock["units"])) for lock in data["deadlocks"]),
        data["finished"],
        tuple(data["unseen"]),
    )
    second, third = snapshot.greenlets[1:]
    assert second.wait is not None
    expected = (replace(second, wait=replace(second.wait, seconds=None)), replace(third, age=None))
    assert is_dataclass(back)
    assert back == replace(snapshot, greenlets=(snapshot.greenlets[0], *expected))
    assert data["verdict"] == format_verdict(snapshot)


def test_frames_and_stacks_are_in_it_once() -> None:
    snapshot = make_snapshot(*(make_unit(n, frames=(HANDLE, FETCH)[n % 2]) for n in range(1000)))
    data = load(snapshot)
    assert len(data["stacks"]) == 3
    assert len(data["frames"]) == len({*SERVE, *HANDLE, *FETCH}) + 1  # the first of two stacks is equal, not the same


def test_it_is_ascii_and_comes_in_small_chunks() -> None:
    snapshot = make_snapshot(*(make_unit(n, name=EVIL, wait=Wait("timer", seconds=n)) for n in range(20_000)))
    start = time.process_time()
    chunks = list(format_json(snapshot))
    assert time.process_time() - start < 5  # 0.06 s here; whatever grows with the square takes minutes
    assert len(chunks) > 150
    assert max(map(len, chunks)) < 64 * 1024
    assert "".join(chunks).isascii()
