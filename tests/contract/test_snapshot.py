"""What a snapshot says of hubs and units; as data, asked for in a session."""

import ast
import os
from collections.abc import Callable
from typing import Any

import pytest
from harness import RUNTIME, Conversation, Patient, conversation, wait_until_true

Do = Callable[[str], Any]

GREEN = RUNTIME != "threads"
green = pytest.mark.skipif(not GREEN, reason="threads have no hub")


def ask(client: Conversation, expression: str) -> Any:
    """The value of an expression over `s`, a fresh snapshot."""
    assert client.ask("import manhole; s = manhole.snapshot()") == ""
    return ast.literal_eval(client.ask(f"print(repr({expression}))"))


def start(state: str) -> Patient:
    patient = Patient("patient.py", RUNTIME, "after", state, flags=["-W", "ignore"])
    assert [patient.told() for _ in range(3)][-1] == "in state"
    return patient


@green
@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ("idle", "in its loop"),
        ("ticking", "in its loop"),
        ("busy", "stuck"),
        ("in_c_sleep", "stuck in C"),
        ("stuck_in_c", "stuck"),  # C code that computes looks as Python does: it uses the CPU
    ],
)
def test_what_the_hub_does(state: str, expected: str) -> None:
    with start(state) as patient, conversation(patient.default_path) as client:
        hub = "kind, state, thread, samples, frame, unit, seconds".replace(", ", ", h.")
        found: Any = None

        def look() -> bool:
            nonlocal found
            found = ask(client, f"[(h.{hub.replace('h.frame', 'h.frame and h.frame.function')}) for h in s.hubs]")
            return found[0][1] == expected

        wait_until_true(look)  # it tells that it is in the state a moment before it is
        main = ask(client, "s.threads[0].ident")
        ((kind, told, thread, samples, function, unit, seconds),) = found
        assert (kind, told, thread, samples) == (RUNTIME, expected, main, 3)
        if expected == "in its loop":
            assert (function, unit, seconds) == (None, None, 0.0)
        else:
            assert function in (f"be_{state}", "pbkdf2_hmac")  # which is written in Python on PyPy
            assert 0.15 <= seconds < 30
            names = "(u.name, u.state, u.thread, u.hub == s.hubs[0].ident)"
            assert ask(client, f"[{names} for u in s.greenlets if u.ident == s.hubs[0].unit]") == [
                ("the_state", "running", main, True)
            ]


@green
@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="the system does not tell who waits for a processor")
def test_a_hub_that_computes_and_gets_no_processor_is_not_stuck_in_c() -> None:
    processor = min(os.sched_getaffinity(0))
    with start("busy") as patient, Patient("patient.py", "threads", "after", "busy") as other:
        for process in (patient, other):
            os.sched_setaffinity(process.pid, {processor})  # the main threads alone, which have begun
        os.setpriority(os.PRIO_PROCESS, patient.pid, 19)
        with conversation(patient.default_path) as client:
            assert ask(client, "s.hubs[0].state") == "stuck"


@green
def test_a_hub_whose_thread_asks_is_interrupted_and_not_stuck(do: Do) -> None:
    """Its own frames, and the manhole's, are not what the hub is stuck in."""
    do("manhole.install(verbose=False)")
    hub = "[(h.state, h.frame.file == __file__) for h in snapshot.hubs]"
    do(f"__file__ = sys.modules['__main__'].__file__; __import__('{RUNTIME}').sleep(0); snapshot = manhole.snapshot()")
    assert do(f"answer = {hub}") == [["interrupted", False]]
    assert do("answer = snapshot.threads[0].frames[-1].function") == "<module>"


@green
def test_a_hub_that_runs_many_units_is_not_stuck() -> None:
    with Patient("takes_turns.py", RUNTIME, flags=["-W", "ignore"]) as patient:
        assert patient.told() == "taking turns"
        with conversation(patient.default_path) as client:
            for _ in range(3):
                assert ask(client, "s.hubs[0].state") in ("running", "in its loop")


def test_units_and_process() -> None:
    with start("idle") as patient, conversation(patient.default_path) as client:
        process = ask(client, "(s.process.pid, s.process.argv, s.process.implementation, s.process.libraries)")
        assert process[0] == patient.pid
        assert process[1][1:] == tuple(patient.process.args[1:])
        assert [name for name, _version in process[3]] == {
            "threads": [],
            "gevent": ["gevent", "greenlet"],
            "eventlet": ["eventlet", "greenlet"],
        }[RUNTIME]
        assert 0 < ask(client, "s.process.uptime") < 600
        assert 0 < ask(client, "s.threads[0].age") < 600
        patched = dict(ask(client, "s.process.patched"))
        assert ("socket" in patched.get(RUNTIME, ())) is GREEN
        parked = ask(client, "[u.ident for u in s.units if any(f.function == 'parked' for f in u.frames)]")
        assert len(parked) == len(set(parked)) == 3


def test_equal_stacks_are_one_object() -> None:
    with start("idle") as patient, conversation(patient.default_path) as client:
        parked = "[u.frames for u in s.units if any(f.function == 'parked' for f in u.frames)]"
        assert ask(client, f"len(set(map(id, {parked})))") == 1
        frames = "[f for u in s.units for f in u.frames]"
        assert ask(client, f"len(set(map(id, {frames}))) == len(set({frames}))") is True


@green
def test_finished_ones_are_shown_only_if_asked_for() -> None:
    with Patient("units.py", RUNTIME, flags=["-W", "ignore"]) as patient:
        assert patient.told() == "ready"
        with conversation(patient.default_path) as client:
            assert ask(client, "(s.finished, [u for u in s.units if u.state == 'finished'])") == (1, [])
            shown = "[u.kind for u in manhole.snapshot(finished=True).units if u.state == 'finished']"
            assert ask(client, shown) == ["greenlet"]


@pytest.mark.skipif(RUNTIME != "gevent", reason="gevent alone records it")
def test_who_has_spawned_a_greenlet_and_where() -> None:
    with start("idle") as patient, conversation(patient.default_path) as client:
        stacks = ask(client, "[[f.function for f in u.spawning_stack] for u in s.greenlets if u.name == 'parked']")
        assert [stack[-2:] for stack in stacks] == [["<module>", "Gevent.spawn"]] * 3 or [
            stack[-2:] for stack in stacks
        ] == [["<module>", "spawn"]] * 3
        spawners = "{u.spawner for u in s.greenlets if u.name == 'parked'}"
        mains = "{u.ident for u in s.greenlets if u.kind == 'main greenlet'}"
        assert ask(client, f"{spawners} == {mains}") is True


@pytest.mark.parametrize("wrong", ["samples=0", "samples='3'", "within=-1", "within=float('nan')"])
def test_numbers_out_of_range(wrong: str) -> None:
    with start("idle") as patient, conversation(patient.default_path) as client:
        told = client.ask(f"import manhole; manhole.snapshot({wrong})")
        assert told.splitlines()[-1].startswith("manhole._errors.InvalidOption: ")


@pytest.mark.skipif(RUNTIME != "gevent", reason="gevent alone tells of its spawns")
class TestRegistry:
    @pytest.fixture(autouse=True)
    def _spawn_some(self, do: Do) -> None:
        do("import gevent; early = gevent.spawn(gevent.sleep, 3600); gevent.sleep(0)")
        do("manhole.install(verbose=False, track_greenlets=True)")
        do("late = [gevent.spawn(gevent.sleep, 3600) for _ in range(3)]; gevent.sleep(0)")

    def test_a_registry_finds_what_was_there_and_what_is_spawned(self, commanded: Patient, do: Do) -> None:
        idents = do("answer = [id(early), *map(id, late)]")
        with conversation(commanded.default_path) as client:
            units = dict(ask(client, "[(u.ident, u.age) for u in s.greenlets]"))
            assert set(idents) <= set(units)
            assert units[idents[0]] is None
            assert all(0 < units[ident] < 600 for ident in idents[1:])
            assert ask(client, "[h.kind for h in s.hubs]") == ["gevent"]
            assert any("track_greenlets is on" in sentence for sentence in ask(client, "s.unseen"))

    def test_a_registry_holds_nothing_alive(self, commanded: Patient, do: Do) -> None:
        do("import gc, weakref; gone = weakref.ref(late.pop()); gone().kill(); gevent.sleep(0.01); gc.collect()")
        assert do("answer = gone() is None") is True

    def test_a_registry_ends_with_the_manhole(self, do: Do) -> None:
        do("manhole.release()")
        assert do("answer = len(sys.modules['manhole.compat'].registry.greenlets())") == 0
        do("late.append(gevent.spawn(gevent.sleep, 3600))")
        assert do("answer = len(sys.modules['manhole.compat'].registry.greenlets())") == 0
